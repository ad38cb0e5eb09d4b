//! Which server certificates are accepted.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::failure::TlsFailure;
use super::material;
use crate::config::TlsSettings;

/// The system's authorities, read once per process: there are some hundred of them, and thousands
/// of connections may be established at once.
static SYSTEM: OnceLock<Arc<Verifier>> = OnceLock::new();

/// The verifier for `settings`.
pub(super) fn build(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsFailure> {
    if settings.insecure_skip_verify {
        return Ok(Arc::new(AnyCertificate(Arc::clone(provider))));
    }
    let Some(file) = &settings.ca_file else {
        return Ok(system(provider)?);
    };
    let roots = Arc::new(material::authorities(file)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    Ok(verifier.map_err(|_| TlsFailure::unusable(file, "no authority"))?)
}

fn system(provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, TlsFailure> {
    if let Some(known) = SYSTEM.get() {
        return Ok(Arc::clone(known));
    }
    let found = Verifier::new(Arc::clone(provider)).map_err(|_| TlsFailure::NoSystemAuthorities)?;
    Ok(Arc::clone(SYSTEM.get_or_init(|| Arc::new(found))))
}

/// Accepts every certificate (`insecure_skip_verify`); that the server owns its key is still
/// verified.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
