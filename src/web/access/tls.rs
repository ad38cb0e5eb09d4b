//! HTTPS: from files to what rustls needs. One provider, ring, and rustls' own choice of ciphers.

use std::sync::Arc;

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
    /// What handshakes are made with.
    pub(in crate::web) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Whether clients' certificates are looked at.
    pub(super) const fn asks_for_certificates(&self) -> bool {
        self.asks_for_certificates
    }

    /// Whether the served certificate is for the DNS name `name` (RFC 6125, over the subject's
    /// alternative names).
    pub(super) fn is_for(&self, name: &str) -> bool {
        let certificate = ParsedCertificate::try_from(&self.certificate);
        let name = ServerName::try_from(name);
        matches!((certificate, name), (Ok(cert), Ok(name)) if rustls::client::verify_server_name(&cert, &name).is_ok())
    }
}

/// Builds HTTPS. Nothing of the library's text about the key is repeated.
pub(super) fn build(settings: &WebTlsSettings, files: &TlsFiles) -> Result<Tls, ConfigErrors> {
    let wrong = |key: &str, sentence: String| {
        ConfigErrors::one(format!("tls_server_config.{key}"), sentence)
    };
    let chain = certificates(&files.cert).ok_or_else(|| {
        wrong(
            "cert_file",
            format!(
                "{} holds no certificate (PEM)",
                settings.cert_file.display()
            ),
        )
    })?;
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|_| {
        wrong(
            "key_file",
            format!("{} holds no private key (PEM)", settings.key_file.display()),
        )
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings))
        .map_err(|error| wrong("min_version", format!("cannot be spoken: {error}")))?;
    let builder = match (&settings.client_auth, &files.client_ca) {
        (ClientAuth::None, _) => builder.with_no_client_auth(),
        (asked, ca) => {
            let optional = matches!(asked, ClientAuth::IfGiven(_));
            let verifier = verifier(ca.as_deref().unwrap_or_default(), optional, provider);
            builder.with_client_cert_verifier(
                verifier.map_err(|sentence| wrong("client_ca_file", sentence))?,
            )
        }
    };
    let certificate = chain[0].clone();
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let reason = if matches!(error, rustls::Error::InconsistentKeys(_)) {
            "is not the key of the certificate in cert_file"
        } else {
            "and cert_file cannot be used: the key's kind is not supported or the certificate is malformed"
        };
        wrong("key_file", format!("{} {reason}", settings.key_file.display()))
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls {
        acceptor: Arc::new(config).into(),
        certificate,
        asks_for_certificates: settings.client_auth != ClientAuth::None,
    })
}

/// The certificates of a PEM file; `None` when there is none, or one that cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()?;
    (!all.is_empty()).then_some(all)
}

fn versions(settings: &WebTlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let all = [
        (TlsVersion::Tls12, &version::TLS12),
        (TlsVersion::Tls13, &version::TLS13),
    ];
    let spoken = all
        .into_iter()
        .filter(|(v, _)| (settings.min_version..=settings.max_version).contains(v));
    spoken.map(|(_, version)| version).collect()
}

/// Verifies clients' certificates against the authorities of `pem`; every one of them must be
/// usable.
fn verifier(
    pem: &[u8],
    optional: bool,
    provider: Arc<rustls::crypto::CryptoProvider>,
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
