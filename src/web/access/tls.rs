//! HTTPS: builds the configuration of rustls from the files. The provider is ring.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio_rustls::TlsAcceptor;

use super::clients::{ClientRules, ClientVerifier};
use super::suites;
use crate::config::{ClientAuth, ConfigErrors, PemSource, TlsVersion, WebTlsSettings};

/// The certificates and keys of [`WebTlsSettings`]: the contents of the files, or what is written
/// in the web configuration itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct TlsFiles {
    pub(super) cert: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) client_ca: Option<Vec<u8>>,
}

/// HTTPS as it is served.
pub(in crate::web) struct Tls {
    acceptor: TlsAcceptor,
    certificate: CertificateDer<'static>,
    /// Where clients are asked for a certificate.
    clients: Option<Arc<ClientVerifier>>,
}

impl Tls {
    /// Performs handshakes.
    pub(in crate::web) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Whether a client can prove with a certificate that it is one of the exporter's users.
    pub(super) fn can_prove_users(&self) -> bool {
        self.clients
            .as_ref()
            .is_some_and(|clients| clients.can_prove_users())
    }

    /// Whether no client's certificate is accepted, for want of an authority.
    pub(super) fn accepts_no_certificate(&self) -> bool {
        self.clients
            .as_ref()
            .is_some_and(|clients| clients.accepts_none())
    }

    /// Whether the client of a connection has proved that by this chain.
    pub(in crate::web) fn proves_user(&self, chain: Option<&[CertificateDer<'_>]>) -> bool {
        match (&self.clients, chain) {
            (Some(clients), Some(chain)) => clients.proves_user(chain),
            _ => false,
        }
    }

    /// Whether the served certificate is for the DNS name `name` (RFC 6125, over the subject's
    /// alternative names).
    pub(super) fn is_for(&self, name: &str) -> bool {
        let Ok(certificate) = ParsedCertificate::try_from(&self.certificate) else {
            return false;
        };
        let Ok(name) = ServerName::try_from(name) else {
            return false;
        };
        rustls::client::verify_server_name(&certificate, &name).is_ok()
    }
}

/// Builds HTTPS. Errors do not repeat what the library reports about the key.
pub(super) fn build(settings: &WebTlsSettings, files: &TlsFiles) -> Result<Tls, ConfigErrors> {
    let chain = certificates(&files.cert).unwrap_or_default();
    let Some(certificate) = chain.first().cloned() else {
        return Err(unusable(
            "cert",
            &settings.cert,
            "holds no certificate (PEM)",
        ));
    };
    let Ok(key) = PrivateKeyDer::from_pem_slice(&files.key) else {
        return Err(unusable("key", &settings.key, "holds no private key (PEM)"));
    };
    let provider = match suites::provider(settings) {
        Ok(provider) => Arc::new(provider),
        Err(none) => return Err(wrong(none.key, none.sentence)),
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings))
        .map_err(|error| wrong("min_version", format!("cannot be spoken: {error}")))?;
    let rules = client_rules(settings, files, certificate.clone())?;
    let clients = match rules.map(|rules| ClientVerifier::new(rules, &provider)) {
        Some(Ok(clients)) => Some(Arc::new(clients)),
        Some(Err(sentence)) => return Err(unusable_authorities(settings, &sentence)),
        None => None,
    };
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as _),
        None => builder.with_no_client_auth(),
    };
    let mut config = match builder.with_single_cert(chain, key) {
        Ok(config) => config,
        Err(error) => return Err(unusable("key", &settings.key, why_no_pair(&error))),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = settings.prefer_server_order;
    Ok(Tls {
        acceptor: Arc::new(config).into(),
        certificate,
        clients,
    })
}

fn wrong(key: &str, sentence: String) -> ConfigErrors {
    ConfigErrors::one(format!("tls_server_config.{key}"), sentence)
}

/// The error about a certificate or a key; `what` is the end of a sentence about where it is.
fn unusable(key: &str, source: &PemSource, what: &str) -> ConfigErrors {
    match source {
        PemSource::File(path) => {
            wrong(&format!("{key}_file"), format!("{} {what}", path.display()))
        }
        PemSource::Inline(_) => wrong(key, format!("the value {what}")),
    }
}

fn unusable_authorities(settings: &WebTlsSettings, what: &str) -> ConfigErrors {
    match &settings.client_ca {
        Some(source) => unusable("client_ca", source, what),
        None => wrong(
            "client_auth_type",
            format!("cannot be followed: what this machine has of authorities {what}"),
        ),
    }
}

const fn why_no_pair(error: &rustls::Error) -> &'static str {
    if matches!(error, rustls::Error::InconsistentKeys(_)) {
        "is not the key of the certificate"
    } else {
        "and the certificate cannot be used: the key's kind is not supported or the certificate is malformed"
    }
}

/// The certificates of a PEM text; `None` when there is none, or one that cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificates.push(certificate.ok()?);
    }
    if certificates.is_empty() {
        return None;
    }
    Some(certificates)
}

/// The TLS versions that are served.
fn versions(settings: &WebTlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let served = settings.min_version..=settings.max_version;
    let mut versions = Vec::new();
    if served.contains(&TlsVersion::Tls12) {
        versions.push(&version::TLS12);
    }
    if served.contains(&TlsVersion::Tls13) {
        versions.push(&version::TLS13);
    }
    versions
}

/// What clients have to show; `None` where no client is asked for a certificate.
fn client_rules(
    settings: &WebTlsSettings,
    files: &TlsFiles,
    own: CertificateDer<'static>,
) -> Result<Option<ClientRules>, ConfigErrors> {
    if settings.client_auth == ClientAuth::None {
        return Ok(None);
    }
    let authorities = match &files.client_ca {
        Some(pem) => match certificates(pem) {
            Some(authorities) => Some(authorities),
            None => return Err(unusable_authorities(settings, "holds no certificate (PEM)")),
        },
        None => None,
    };
    Ok(Some(ClientRules {
        policy: settings.client_auth,
        authorities,
        allowed_sans: settings.client_allowed_sans.clone(),
        own,
    }))
}
