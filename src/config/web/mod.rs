//! The web configuration: HTTPS, users and headers of this exporter's own HTTP server. The format is
//! that of Prometheus'
//! [exporter-toolkit](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md),
//! so that a file that other exporters use works here, or is refused with a sentence.
//!
//! Pure but for the read of the file in [`load_web`]: text in, [`WebSettings`] out. Nothing is
//! expanded from the environment, as in the toolkit, because a bcrypt hash is full of `$`.

mod password;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use password::PasswordHash;
pub use read::{load_web, parse_web};

/// The clients that this exporter serves, and the protocols that it speaks with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSettings {
    /// HTTPS; absent means plain HTTP.
    pub tls: Option<WebTlsSettings>,
    /// The users and their passwords' hashes; empty means that everybody may read.
    pub users: BTreeMap<String, PasswordHash>,
    /// Headers of every response.
    pub headers: BTreeMap<WebHeader, String>,
}

/// How HTTPS is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebTlsSettings {
    /// The certificate and what connects it to its authority, as PEM.
    pub cert_file: PathBuf,
    /// The certificate's private key, as PEM.
    pub key_file: PathBuf,
    /// What clients have to show.
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest version that is spoken; not before `min_version`.
    pub max_version: TlsVersion,
}

/// What clients have to show. `RequestClientCert` and `RequireAnyClientCert` are not here: they
/// take a certificate that nobody has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`: nothing.
    None,
    /// `VerifyClientCertIfGiven`: nothing, but a certificate that is shown must be signed by one of
    /// this file.
    IfGiven(PathBuf),
    /// `RequireAndVerifyClientCert`: a certificate that is signed by one of this file.
    Required(PathBuf),
}

/// A version of TLS that is safe to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

/// A header that the web configuration may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebHeader {
    /// `Content-Security-Policy`
    ContentSecurityPolicy,
    /// `X-Frame-Options`: `deny` or `sameorigin`
    XFrameOptions,
    /// `X-Content-Type-Options`: `nosniff`
    XContentTypeOptions,
    /// `X-XSS-Protection`
    XXssProtection,
    /// `Strict-Transport-Security`
    StrictTransportSecurity,
}

impl WebHeader {
    /// Every header that may be set.
    pub const ALL: [Self; 5] = [
        Self::ContentSecurityPolicy,
        Self::XFrameOptions,
        Self::XContentTypeOptions,
        Self::XXssProtection,
        Self::StrictTransportSecurity,
    ];

    /// The name, as the toolkit spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentSecurityPolicy => "Content-Security-Policy",
            Self::XFrameOptions => "X-Frame-Options",
            Self::XContentTypeOptions => "X-Content-Type-Options",
            Self::XXssProtection => "X-XSS-Protection",
            Self::StrictTransportSecurity => "Strict-Transport-Security",
        }
    }

    /// The values that are allowed; empty means any.
    const fn allowed(self) -> &'static [&'static str] {
        match self {
            Self::XFrameOptions => &["deny", "sameorigin"],
            Self::XContentTypeOptions => &["nosniff"],
            Self::ContentSecurityPolicy | Self::XXssProtection | Self::StrictTransportSecurity => {
                &[]
            }
        }
    }
}
