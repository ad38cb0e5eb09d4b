//! Access to a running exporter that uses HTTPS or requires authentication.

use super::{HttpClient, HttpTimeouts, base};
use crate::model::Secret;

/// How to access a running exporter. The default is plain HTTP without authentication.
#[derive(Clone, Debug, Default)]
pub struct ExporterAccess {
    /// The user and password for basic authentication.
    pub login: Option<(String, Secret)>,
    /// Which server certificates are accepted.
    pub trust: ServerTrust,
    /// The client certificate and its private key, as PEM, one after the other.
    pub identity: Option<Secret>,
}

/// Which server certificates are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerTrust {
    /// None: enough for plain HTTP, without loading the system's authorities.
    #[default]
    Nobody,
    /// Those signed by one of the system's authorities.
    System,
    /// Those signed by one of these authorities (PEM).
    Authorities(Vec<u8>),
    /// Any: the server's identity is not verified.
    Anybody,
}

/// Why no client can be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The authorities are not PEM.
    #[error("the authorities' file holds no certificate (PEM), or one that cannot be read")]
    Authorities,
    /// The client's certificate or key is not PEM.
    #[error("the client's certificate or private key cannot be read (PEM)")]
    Identity,
    /// The proxy's URL cannot be parsed.
    #[error("the proxy's URL is not valid")]
    Proxy,
    /// The TLS library cannot be initialized.
    #[error("the TLS library cannot be set up")]
    Setup,
}

impl HttpClient {
    /// A client for a running exporter. Never uses a proxy, for which a loopback address would be
    /// its own.
    ///
    /// # Errors
    /// The certificates or the key of `access` cannot be read, or the TLS library cannot be set up.
    pub fn for_exporter_with(
        timeouts: HttpTimeouts,
        access: &ExporterAccess,
    ) -> Result<Self, AccessError> {
        let mut builder = base(timeouts).no_proxy();
        builder = access.trust.apply(builder)?;
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

impl ServerTrust {
    fn apply(
        &self,
        builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, AccessError> {
        Ok(match self {
            Self::Nobody => builder.tls_certs_only([]),
            Self::System => builder,
            Self::Authorities(pem) => builder.tls_certs_only(authorities(pem)?),
            Self::Anybody => builder
                .tls_certs_only([])
                .tls_danger_accept_invalid_certs(true),
        })
    }
}

/// The certificates of a PEM file, of which there must be at least one.
pub(super) fn authorities(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, AccessError> {
    let all = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| AccessError::Authorities)?;
    if all.is_empty() {
        Err(AccessError::Authorities)
    } else {
        Ok(all)
    }
}
