//! Why there is no TLS connection, as a sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use rustls::{AlertDescription, CertificateError, Error};

use crate::config::{ClientCertificate, SmallFileError};
use crate::model::{PollError, PollFailure, ServerAddr};

/// Why there is no TLS connection. Contains nothing of a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsFailure {
    /// A file cannot be read.
    #[error("the TLS file {} {cause}", path.display())]
    File {
        path: PathBuf,
        cause: SmallFileError,
    },
    /// A file has other contents than it should have.
    #[error("the TLS file {} holds {what}", path.display())]
    Unusable { path: PathBuf, what: &'static str },
    /// Certificate and key do not belong together, or the key is of an unknown kind.
    #[error(
        "the client certificate {} cannot be used with the key {}: they do not belong together \
         (half rotated?), or the key is neither RSA, ECDSA nor Ed25519",
        _0.cert_file.display(),
        _0.key_file.display()
    )]
    KeyMismatch(ClientCertificate),
    /// The system has no certificate authorities.
    #[error(
        "this system has no certificate authorities: install its ca-certificates, or set \
         tls.ca_file"
    )]
    NoSystemAuthorities,
    /// The name to verify the certificate against is not a valid name.
    #[error("{0:?} is not a name that a certificate can have: set tls.server_name")]
    ServerName(String),
    /// The two sides could not agree, or one of them did not trust the other.
    #[error("{0}")]
    Protocol(String),
    /// The port answers in plain Redis.
    #[error(
        "this port is not its TLS port (tls-port): it answers in plain Redis; use the other one, \
         or remove tls"
    )]
    PlainPort,
    /// The server closed the connection during the handshake.
    #[error(
        "the server closed the connection during the TLS handshake: is this its TLS port \
         (tls-port), and does it require a client certificate?"
    )]
    Closed,
    /// The handshake did not end in time.
    #[error(
        "the TLS handshake did not end in time: the server is stopped or blocked, or this port is \
         not its TLS port (tls-port), and plain Redis waits silently"
    )]
    Silent,
    /// The program is stopping.
    #[error("the program is stopping")]
    Stopping,
}

impl TlsFailure {
    pub(super) fn unusable(path: &Path, what: &'static str) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            what,
        }
    }

    /// Why the handshake failed.
    pub(super) fn from_handshake(error: &io::Error) -> Self {
        Self::from_stream(error).unwrap_or(Self::Closed)
    }

    /// The failure of TLS itself; `None` when the stream below it ended.
    pub(super) fn from_stream(error: &io::Error) -> Option<Self> {
        let cause = error.get_ref()?.downcast_ref::<Error>()?;
        Some(Self::Protocol(describe(cause)))
    }

    /// The failure that every surface shows, with the sentence that the log has.
    pub(super) fn to_poll_failure(&self) -> PollFailure {
        let sentence = self.to_string();
        match self {
            Self::Closed => PollFailure::server(PollError::Reset, &sentence),
            Self::Silent => PollFailure::server(PollError::Timeout, &sentence),
            Self::Protocol(_) | Self::PlainPort => PollFailure::access(PollError::Tls, &sentence),
            _ => PollFailure::own(PollError::Tls, &sentence),
        }
    }

    /// Logs one line for the person who has to fix it.
    pub(super) fn log(&self, server: &ServerAddr) {
        if !matches!(self, Self::Stopping) {
            tracing::error!(%server, error = %self, "no secure connection");
        }
    }
}

/// What `error` means here; in rustls' own words, which contain no key, where there is nothing
/// better to say.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::InvalidMessage(_) => {
            "the server did not answer in TLS: use the port where it does (tls-port), or remove tls"
                .to_owned()
        }
        Error::InvalidCertificate(reason) => describe_certificate_error(reason),
        Error::AlertReceived(alert) => describe_alert(*alert),
        other => format!("TLS failed: {other}"),
    }
}

fn describe_certificate_error(error: &CertificateError) -> String {
    use CertificateError as C;
    match error {
        C::UnknownIssuer => {
            "the server's certificate is signed by an authority that is not trusted here: set \
             tls.ca_file to the authority's certificate"
                .to_owned()
        }
        C::Expired | C::ExpiredContext { .. } => {
            "the server's certificate, or its authority's, has expired: renew it (or correct this \
             machine's clock)"
                .to_owned()
        }
        C::NotValidYet | C::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: is this machine's clock right?".to_owned()
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => format!(
            "the server's certificate is for another name ({error}): set tls.server_name to one of \
             its subject alternative names; its common name does not count"
        ),
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            "the server's certificate is not meant for servers: it needs the extended key usage \
             serverAuth"
                .to_owned()
        }
        C::Other(_) if error.to_string().contains("CaUsedAsEndEntity") => {
            "the server presents an authority's certificate as its own: issue a server certificate \
             from it, without CA:TRUE"
                .to_owned()
        }
        other => format!("the server's certificate is not acceptable: {other}"),
    }
}

fn describe_alert(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => {
            "the server requires a client certificate: set tls.cert_file and tls.key_file"
                .to_owned()
        }
        A::UnknownCA
        | A::BadCertificate
        | A::CertificateUnknown
        | A::UnsupportedCertificate
        | A::AccessDenied => format!(
            "the server does not accept the client certificate ({alert:?}): is it signed by an \
             authority that it trusts?"
        ),
        A::CertificateExpired | A::CertificateRevoked => {
            format!(
                "the server no longer accepts the client certificate ({alert:?}): renew \
                 tls.cert_file"
            )
        }
        A::HandshakeFailure => {
            "the server ended the TLS handshake (HandshakeFailure): it shares no protocol version \
             or cipher with this program (TLS 1.2 and 1.3), or requires a client certificate"
                .to_owned()
        }
        A::ProtocolVersion => "the server speaks neither TLS 1.2 nor 1.3".to_owned(),
        other => format!("the server ended the TLS connection: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;

    use super::*;

    fn check(error: Error, expected: &str) {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        let failure = TlsFailure::from_handshake(&error);
        assert!(failure.to_string().contains(expected), "{failure}");
        assert_eq!(failure.to_poll_failure().reason, PollError::Tls);
    }

    #[test]
    fn every_failure_says_what_to_do() {
        check(
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            "use the port where it does (tls-port)",
        );
        check(
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            "set tls.ca_file",
        );
        check(
            Error::InvalidCertificate(CertificateError::Expired),
            "has expired: renew it",
        );
        check(
            Error::InvalidCertificate(CertificateError::NotValidYet),
            "clock right?",
        );
        check(
            Error::InvalidCertificate(CertificateError::NotValidForName),
            "set tls.server_name",
        );
        check(
            Error::InvalidCertificate(CertificateError::InvalidPurpose),
            "serverAuth",
        );
        check(
            Error::InvalidCertificate(CertificateError::BadSignature),
            "is not acceptable",
        );
        check(
            Error::AlertReceived(AlertDescription::CertificateRequired),
            "set tls.cert_file and tls.key_file",
        );
        check(
            Error::AlertReceived(AlertDescription::UnknownCA),
            "an authority that it trusts?",
        );
        check(
            Error::AlertReceived(AlertDescription::CertificateExpired),
            "renew tls.cert_file",
        );
        check(
            Error::AlertReceived(AlertDescription::InternalError),
            "InternalError",
        );
    }

    #[test]
    fn an_end_without_a_reason_is_a_reset() {
        let failure = TlsFailure::from_handshake(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!(failure.to_poll_failure().reason, PollError::Reset);
        assert!(TlsFailure::from_stream(&io::ErrorKind::ConnectionReset.into()).is_none());
    }
}
