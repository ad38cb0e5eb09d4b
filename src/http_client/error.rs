//! Why a request failed, as a closed set without text from the URL, the headers or the library:
//! those may contain secrets.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The connection was established, but no answer came in time. The server may have acted on the
    /// request.
    #[error("no answer within the timeout")]
    Timeout,
    /// No connection could be established: nothing was sent.
    #[error("no connection: {0}")]
    Connect(&'static str),
    /// The TLS handshake failed: nothing was sent.
    #[error("no TLS connection: {0}")]
    Tls(&'static str),
    /// The connection broke before an answer came. The server may have acted on the request.
    #[error("the connection broke before the answer")]
    Broken,
    /// The URL or a header is not valid: nothing was sent.
    #[error("the URL or a header's value is not valid")]
    Invalid,
    /// The client itself cannot be created.
    #[error("the TLS library cannot be set up")]
    Setup,
}

/// Why a running exporter's answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Its status was not 2xx.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It was too large, or the connection broke before its end.
    #[error("its answer broke off or is larger than 32 MiB")]
    Incomplete,
    /// Its body was not the expected JSON.
    #[error("its answer is not the expected JSON: {0}")]
    Json(String),
}

/// The closed reason behind the library's error.
pub(super) fn classify(error: &reqwest::Error) -> HttpError {
    if error.is_builder() {
        return HttpError::Invalid;
    }
    if let Some(reason) = find_cause(error, tls_reason) {
        return HttpError::Tls(reason);
    }
    if error.is_connect() {
        return HttpError::Connect(connect_reason(error));
    }
    if error.is_timeout() {
        HttpError::Timeout
    } else {
        HttpError::Broken
    }
}

fn connect_reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        return "not established in time";
    }
    if error.is_dns() {
        return "the host's name cannot be resolved";
    }
    find_cause(error, io_reason).unwrap_or("it could not be established")
}

/// The first result of `classify_cause` along the chain of causes.
fn find_cause<T>(
    error: &reqwest::Error,
    classify_cause: impl Fn(&(dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    let mut cause = error.source();
    while let Some(current) = cause {
        let found = classify_cause(current);
        if found.is_some() {
            return found;
        }
        cause = cause_of(current);
    }
    None
}

/// The cause of `error`. `io::Error::source` skips the error that it wraps, so that one is taken
/// from its content.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(io) = error.downcast_ref::<io::Error>()
        && let Some(wrapped) = io.get_ref()
    {
        return Some(wrapped);
    }
    error.source()
}

fn io_reason(source: &(dyn Error + 'static)) -> Option<&'static str> {
    match source.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => Some("the server refused it"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            Some("the server closed it")
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("there is no route to the server")
        }
        _ => None,
    }
}

/// Does not use the text of rustls: it may name the host, and a host name may contain a token.
fn tls_reason(source: &(dyn Error + 'static)) -> Option<&'static str> {
    use CertificateError as C;
    let error = source.downcast_ref::<rustls::Error>()?;
    let reason = match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => {
            "the server's certificate is not signed by an authority that this system trusts"
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "the server's certificate has expired"
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet"
        }
        rustls::Error::InvalidCertificate(
            C::NotValidForName | C::NotValidForNameContext { .. },
        ) => "the server's certificate is for another name",
        rustls::Error::InvalidCertificate(_) => {
            "the server's certificate is not acceptable to this system"
        }
        _ => "the handshake failed",
    };
    Some(reason)
}
