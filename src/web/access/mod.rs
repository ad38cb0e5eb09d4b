//! Access control by the web configuration: HTTPS, authentication, and write access.

mod clients;
mod file;
mod gate;
mod password;
mod requests;
mod suites;
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
use requests::RequestLimit;
pub(super) use tls::Tls;
pub(super) use writes::{WritePolicy, refuse_write};

/// The active web configuration. Immutable; a changed file makes a new one.
#[derive(Default)]
pub(super) struct ActiveConfig {
    /// HTTPS; absent means plain HTTP.
    pub(super) tls: Option<Arc<Tls>>,
    users: BTreeMap<String, PasswordHash>,
    headers: HeaderMap,
    requests: Option<RequestLimit>,
}

/// The client's side of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The address that the connection comes from; behind a proxy, the proxy's.
    pub(super) ip: IpAddr,
    /// Whether the connection is HTTPS.
    pub(super) https: bool,
    /// Whether the client has presented a certificate that the web configuration's authorities have
    /// signed.
    pub(super) certified: bool,
}

impl Peer {
    /// Whether the connection comes from this machine; a proxy on it, for one, does.
    fn is_local(self) -> bool {
        self.ip.to_canonical().is_loopback()
    }
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
            requests: settings.rate_limit.map(RequestLimit::new),
        })
    }

    /// Logs what is valid and hardly meant.
    fn warn(&self) {
        let limit = self.requests.as_ref();
        if limit.is_some_and(RequestLimit::admits_none) {
            tracing::warn!(
                "rate_limit of the web configuration has no burst: every request is refused"
            );
        }
        if self
            .tls
            .as_ref()
            .is_some_and(|tls| tls.accepts_no_certificate())
        {
            tracing::warn!(
                "the web configuration names no authorities of clients, and this machine has none: \
                 no client's certificate is accepted"
            );
        }
    }

    /// Whether nothing is configured.
    fn is_default(&self) -> bool {
        self.tls.is_none()
            && self.users.is_empty()
            && self.headers.is_empty()
            && self.requests.is_none()
    }

    /// The users that are configured.
    #[cfg(test)]
    pub(super) fn user_names(&self) -> Vec<String> {
        self.users.keys().cloned().collect()
    }

    /// Whether a client's certificate can give it write access.
    fn trusts_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.can_prove_users())
    }

    /// Whether a connection that was accepted under `tls` may continue: not once the certificates,
    /// or the rule that clients need one, have changed.
    pub(super) fn still_speaks(&self, tls: Option<&Arc<Tls>>) -> bool {
        match (&self.tls, tls) {
            (None, None) => true,
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            _ => false,
        }
    }
}
