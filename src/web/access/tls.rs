//! HTTPS: builds the configuration of rustls from the files. The provider is ring; the ciphers are
//! rustls' own choice.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientAuth, ConfigErrors, TlsVersion, WebTlsSettings};

/// The contents of the files that [`WebTlsSettings`] name.
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
    asks_for_certificates: bool,
}

impl Tls {
    /// Performs handshakes.
    pub(in crate::web) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Whether clients are asked for a certificate.
    pub(super) const fn asks_for_certificates(&self) -> bool {
        self.asks_for_certificates
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
        let path = settings.cert_file.display();
        let sentence = format!("{path} holds no certificate (PEM)");
        return Err(wrong("cert_file", sentence));
    };
    let Ok(key) = PrivateKeyDer::from_pem_slice(&files.key) else {
        let path = settings.key_file.display();
        let sentence = format!("{path} holds no private key (PEM)");
        return Err(wrong("key_file", sentence));
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings))
        .map_err(|error| wrong("min_version", format!("cannot be spoken: {error}")))?;
    let builder = match client_verifier(settings, files, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = match builder.with_single_cert(chain, key) {
        Ok(config) => config,
        Err(error) => return Err(unusable_key(settings, &error)),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls {
        acceptor: Arc::new(config).into(),
        certificate,
        asks_for_certificates: settings.client_auth != ClientAuth::None,
    })
}

fn wrong(key: &str, sentence: String) -> ConfigErrors {
    ConfigErrors::one(format!("tls_server_config.{key}"), sentence)
}

fn unusable_key(settings: &WebTlsSettings, error: &rustls::Error) -> ConfigErrors {
    let reason = if matches!(error, rustls::Error::InconsistentKeys(_)) {
        "is not the key of the certificate in cert_file"
    } else {
        "and cert_file cannot be used: the key's kind is not supported or the certificate is malformed"
    };
    let path = settings.key_file.display();
    wrong("key_file", format!("{path} {reason}"))
}

/// The certificates of a PEM file; `None` when there is none, or one that cannot be read.
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

/// Verifies clients' certificates; `None` where no client is asked for one.
fn client_verifier(
    settings: &WebTlsSettings,
    files: &TlsFiles,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, ConfigErrors> {
    let is_optional = match settings.client_auth {
        ClientAuth::None => return Ok(None),
        ClientAuth::IfGiven(_) => true,
        ClientAuth::Required(_) => false,
    };
    let authorities = files.client_ca.as_deref().unwrap_or_default();
    match verifier(authorities, is_optional, provider) {
        Ok(verifier) => Ok(Some(verifier)),
        Err(sentence) => Err(wrong("client_ca_file", sentence)),
    }
}

/// Verifies clients' certificates against the authorities of `pem`; every one of them must be
/// usable.
fn verifier(
    pem: &[u8],
    optional: bool,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem).ok_or("holds no certificate (PEM)")? {
        roots
            .add(authority)
            .map_err(|_| "holds a certificate that cannot be an authority's")?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if optional {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    builder
        .build()
        .map_err(|error| format!("cannot be used: {error}"))
}
