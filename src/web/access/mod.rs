//! Access control by the web configuration: HTTPS, authentication, and write access.

mod file;
mod gate;
mod password;
mod tls;
mod writes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{ConfigErrors, PasswordHash, WebSettings};

pub(super) use file::ActiveConfigWatch;
pub use file::{WebConfig, WebConfigStatus};
pub(super) use gate::{AccessGate, authenticate};
pub(super) use tls::Tls;
pub(super) use writes::{WritePolicy, refuse_write};

/// The active web configuration. Immutable; a changed file makes a new one.
#[derive(Default)]
pub(super) struct ActiveConfig {
    /// HTTPS; absent means plain HTTP.
    pub(super) tls: Option<Arc<Tls>>,
    users: BTreeMap<String, PasswordHash>,
    headers: HeaderMap,
}

/// The client's side of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The address that the connection comes from; behind a proxy, the proxy's.
    pub(super) ip: IpAddr,
    /// Whether the connection is HTTPS.
    pub(super) https: bool,
    /// Whether the client has presented a certificate that was verified.
    pub(super) certified: bool,
}

/// Whether a request's sender is authenticated: by a password, or by its connection's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authenticated(pub(super) bool);

impl ActiveConfig {
    /// The configuration by `settings`, with `tls` already built from them.
    fn new(settings: WebSettings, tls: Option<Tls>) -> Result<Self, ConfigErrors> {
        let mut headers = HeaderMap::new();
        for (header, value) in &settings.headers {
            let value = HeaderValue::from_str(value).map_err(|_| {
                let place = format!("http_server_config.headers.{}", header.name());
                ConfigErrors::one(place, "is not a header's value")
            })?;
            // The catalogue of names is closed, and each of them is a legal one.
            if let Ok(name) = HeaderName::try_from(header.name()) {
                headers.append(name, value);
            }
        }
        Ok(Self {
            tls: tls.map(Arc::new),
            users: settings.users,
            headers,
        })
    }

    /// The users that are configured.
    #[cfg(test)]
    pub(super) fn user_names(&self) -> Vec<String> {
        self.users.keys().cloned().collect()
    }

    /// Whether the server asks clients for certificates.
    fn asks_for_certificates(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.asks_for_certificates())
    }

    /// Whether a connection that was accepted under `tls` may continue: not once the certificates, or
    /// the rule that clients need one, have changed.
    pub(super) fn still_speaks(&self, tls: Option<&Arc<Tls>>) -> bool {
        match (&self.tls, tls) {
            (None, None) => true,
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            _ => false,
        }
    }
}
