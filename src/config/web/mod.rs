//! The web configuration: HTTPS, users and headers of this exporter's own HTTP server. The format
//! is that of Prometheus'
//! [exporter-toolkit](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md),
//! so that a file that other exporters use works here, or is refused with a sentence.
//!
//! Pure but for the read of the file in [`load_web`]: text in, [`WebSettings`] out. Nothing is
//! expanded from the environment, as in the toolkit, because a bcrypt hash is full of `$`.

mod password;
mod rate_limit;
mod read;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;

pub use password::PasswordHash;
pub use rate_limit::RateLimit;
pub use read::{load_web, parse_web};
pub use tls::{CipherSuite, ClientAuth, Curve, PemSource, TlsVersion, WebTlsSettings};

/// The clients that this exporter serves, and the protocols that it speaks with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSettings {
    /// HTTPS; absent means plain HTTP.
    pub tls: Option<WebTlsSettings>,
    /// The users and their passwords' hashes; empty means that everybody may read.
    pub users: BTreeMap<String, PasswordHash>,
    /// Headers of every response.
    pub headers: BTreeMap<WebHeader, String>,
    /// How many requests are answered; absent means all.
    pub rate_limit: Option<RateLimit>,
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
