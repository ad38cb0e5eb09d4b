//! How a running exporter is reached when it speaks HTTPS or asks who one is.

use super::{HttpClient, HttpTimeouts, base};
use crate::model::Secret;

/// How a running exporter is reached. The default is plain HTTP that everybody may read.
#[derive(Clone, Debug, Default)]
pub struct ExporterAccess {
    /// The user and password for basic authentication.
    pub login: Option<(String, Secret)>,
    /// Whose certificates are believed.
    pub trust: ServerTrust,
    /// Our own certificate and its private key, as PEM, one after the other.
    pub identity: Option<Secret>,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerTrust {
    /// Nobody's: enough for plain HTTP, and the system's authorities need not be loaded for it.
    #[default]
    Nobody,
    /// Those that the system's authorities have signed.
    System,
    /// Those that one of these authorities (PEM) has signed.
    Authorities(Vec<u8>),
    /// Everybody's: the exporter may be anyone.
    Anybody,
}

/// Why no client can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The authorities are no PEM.
    #[error("the authorities' file holds no certificate (PEM), or one that cannot be read")]
    Authorities,
    /// Our own certificate or key is no PEM.
    #[error("the client's certificate or private key cannot be read (PEM)")]
    Identity,
    /// The proxy's URL is none.
    #[error("the proxy's URL is not valid")]
    Proxy,
    /// The TLS library does not work.
    #[error("the TLS library cannot be set up")]
    Setup,
}

impl HttpClient {
    /// A client for a running exporter, which is never behind a proxy: a proxy would look for our
    /// loopback on its own.
    ///
    /// # Errors
    /// The certificates or the key of `access` cannot be read, or the TLS library cannot be set up.
    pub fn for_exporter_with(
        timeouts: HttpTimeouts,
        access: &ExporterAccess,
    ) -> Result<Self, AccessError> {
        let mut builder = base(timeouts).no_proxy();
        builder = match &access.trust {
            ServerTrust::Nobody => builder.tls_certs_only([]),
            ServerTrust::System => builder,
            ServerTrust::Authorities(pem) => builder.tls_certs_only(authorities(pem)?),
            ServerTrust::Anybody => builder
                .tls_certs_only([])
                .tls_danger_accept_invalid_certs(true),
        };
        if let Some(pem) = &access.identity {
            let identity = reqwest::Identity::from_pem(pem.reveal().as_bytes());
            builder = builder.identity(identity.map_err(|_| AccessError::Identity)?);
        }
        let inner = builder.build().map_err(|_| AccessError::Setup)?;
        Ok(Self {
            inner,
            login: access.login.clone(),
            routes: None,
        })
    }
}

pub(super) fn authorities(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, AccessError> {
    let all = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| AccessError::Authorities)?;
    if all.is_empty() {
        Err(AccessError::Authorities)
    } else {
        Ok(all)
    }
}
