//! Why a request failed, as a closed set: nothing of the URL, the headers or the library's text
//! gets through.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The connection stood, but no answer came in time. The request may have been acted on.
    #[error("no answer within the timeout")]
    Timeout,
    /// There was no connection: nothing was sent.
    #[error("no connection: {0}")]
    Connect(&'static str),
    /// The TLS handshake failed: nothing was sent.
    #[error("no TLS connection: {0}")]
    Tls(&'static str),
    /// The connection broke before an answer came. The request may have been acted on.
    #[error("the connection broke before the answer")]
    Broken,
    /// The URL or a header is none: nothing was sent.
    #[error("the URL or a header's value is not valid")]
    Invalid,
    /// The client itself cannot be set up.
    #[error("the TLS library cannot be set up")]
    Setup,
}

/// Why a running exporter's answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// There was none.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It was not 2xx.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It was too large or broke off.
    #[error("its answer broke off or is larger than 32 MiB")]
    Incomplete,
    /// It was not the JSON that was asked for.
    #[error("its answer is not the expected JSON: {0}")]
    Json(String),
}

/// The closed reason behind the library's error.
pub(super) fn classify(error: &reqwest::Error) -> HttpError {
    if error.is_builder() {
        return HttpError::Invalid;
    }
    if let Some(tls) = find(error, |source| {
        source.downcast_ref::<rustls::Error>().map(tls_reason)
    }) {
        return HttpError::Tls(tls);
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => HttpError::Connect("not established in time"),
        (true, false) if error.is_dns() => HttpError::Connect("the host's name cannot be resolved"),
        (true, false) => {
            HttpError::Connect(find(error, io_reason).unwrap_or("it could not be established"))
        }
        (false, true) => HttpError::Timeout,
        (false, false) => HttpError::Broken,
    }
}

/// The first finding of `look` along the chain of causes. An `io::Error` hides the error that it
/// wraps from the chain, so its content is looked at instead of its source.
fn find<T>(
    error: &reqwest::Error,
    look: impl Fn(&(dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(current) = source {
        let found = look(current);
        if found.is_some() {
            return found;
        }
        let wrapped = current
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        source = wrapped
            .map(|inner| inner as &(dyn Error + 'static))
            .or_else(|| current.source());
    }
    None
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

/// The rustls text is not used: it may name the host, and a host may hold a token.
fn tls_reason(error: &rustls::Error) -> &'static str {
    use CertificateError as C;
    match error {
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
    }
}
