//! Who may ask, over what, and who may ask for changes: the web configuration at work.

mod file;
mod gate;
mod password;
mod tls;
mod writes;

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{ConfigErrors, PasswordHash, WebSettings};
use std::collections::BTreeMap;

pub(super) use file::ActiveConfigWatch;
pub use file::{WebConfig, WebConfigStatus};
pub(super) use gate::{Gate, guarded};
pub(super) use tls::Tls;
pub(super) use writes::{WritePolicy, refuse_write};

/// The web configuration that is in force. Immutable; a new file makes a new one.
#[derive(Default)]
pub(super) struct ActiveConfig {
    /// HTTPS; absent means plain HTTP.
    pub(super) tls: Option<Arc<Tls>>,
    users: BTreeMap<String, PasswordHash>,
    headers: HeaderMap,
}

/// The far side of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its address.
    pub(super) ip: IpAddr,
    /// Whether the connection is HTTPS.
    pub(super) https: bool,
    /// Whether it has shown a certificate that was verified.
    pub(super) certified: bool,
}

/// Whether a request's sender has proved who it is: by a password, or by its connection's
/// certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authenticated(pub(super) bool);

impl ActiveConfig {
    /// What `settings` mean, with `tls` already built from them.
    fn new(settings: WebSettings, tls: Option<Tls>) -> Result<Self, ConfigErrors> {
        let mut headers = HeaderMap::new();
        for (header, value) in &settings.headers {
            let value = HeaderValue::from_str(value).map_err(|_| {
                let place = format!("http_server_config.headers.{}", header.name());
                ConfigErrors::one(place, "is not a header's value")
            })?;
            // The catalogue of names is closed, and each of them is a legal one.
            headers.extend(
                HeaderName::try_from(header.name())
                    .ok()
                    .map(|name| (name, value)),
            );
        }
        Ok(Self {
            tls: tls.map(Arc::new),
            users: settings.users,
            headers,
        })
    }

    /// Who has a password.
    #[cfg(test)]
    pub(super) fn user_names(&self) -> Vec<String> {
        self.users.keys().cloned().collect()
    }

    /// Whether clients' certificates are looked at.
    fn asks_for_certificates(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.asks_for_certificates())
    }

    /// Whether a connection that began under `tls` may go on: not once certificates or who must
    /// show one changed.
    pub(super) fn still_speaks(&self, tls: Option<&Arc<Tls>>) -> bool {
        match (&self.tls, tls) {
            (None, None) => true,
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            _ => false,
        }
    }
}
