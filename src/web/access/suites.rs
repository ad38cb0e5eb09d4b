//! The cipher suites and curves that the web configuration allows, as far as the library has them.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};

use crate::config::{CipherSuite, Curve, TlsVersion, WebTlsSettings};

/// A key of `tls_server_config` that allows nothing that can be spoken.
pub(super) struct NoneLeft {
    pub(super) key: &'static str,
    pub(super) sentence: String,
}

/// The library's cryptography, restricted to what `settings` allow.
///
/// # Errors
/// Nothing of what they allow can be spoken.
pub(super) fn provider(settings: &WebTlsSettings) -> Result<CryptoProvider, NoneLeft> {
    let mut provider = rustls::crypto::ring::default_provider();
    if !settings.cipher_suites.is_empty() {
        restrict_suites(&mut provider, &settings.cipher_suites);
        if settings.max_version == TlsVersion::Tls12 && !has_tls12(&provider) {
            return Err(NoneLeft::new("cipher_suites", "cipher suite of TLS 1.2"));
        }
    }
    if !settings.curves.is_empty() {
        provider.kx_groups = settings.curves.iter().filter_map(|c| group(*c)).collect();
        if provider.kx_groups.is_empty() {
            return Err(NoneLeft::new("curve_preferences", "curve"));
        }
    }
    Ok(provider)
}

impl NoneLeft {
    fn new(key: &'static str, what: &str) -> Self {
        Self {
            key,
            sentence: format!("names no {what} that this program has; docs/web.md lists them"),
        }
    }
}

/// Leaves the suites of TLS 1.3 as they are, as Go does, and those of TLS 1.2 that are `allowed`,
/// in that order.
fn restrict_suites(provider: &mut CryptoProvider, allowed: &[CipherSuite]) {
    provider
        .cipher_suites
        .retain(|suite| suite.tls13().is_some());
    for suite in allowed {
        provider.cipher_suites.extend(tls12(*suite));
    }
}

fn has_tls12(provider: &CryptoProvider) -> bool {
    let mut suites = provider.cipher_suites.iter();
    suites.any(|suite| suite.tls13().is_none())
}

/// The library's suite of TLS 1.2; `None` for those of TLS 1.3, and for those with CBC, which the
/// library does not have.
fn tls12(suite: CipherSuite) -> Option<SupportedCipherSuite> {
    Some(match suite {
        CipherSuite::EcdheEcdsaAes128GcmSha256 => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        }
        CipherSuite::EcdheEcdsaAes256GcmSha384 => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        }
        CipherSuite::EcdheEcdsaChacha20Poly1305 => {
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        CipherSuite::EcdheRsaAes128GcmSha256 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaAes256GcmSha384 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaChacha20Poly1305 => {
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
        CipherSuite::Aes128GcmSha256
        | CipherSuite::Aes256GcmSha384
        | CipherSuite::Chacha20Poly1305Sha256
        | CipherSuite::EcdheEcdsaAes128CbcSha
        | CipherSuite::EcdheEcdsaAes256CbcSha
        | CipherSuite::EcdheRsaAes128CbcSha
        | CipherSuite::EcdheRsaAes256CbcSha => return None,
    })
}

/// The library's key exchange on a curve; it has none on P-521.
fn group(curve: Curve) -> Option<&'static dyn SupportedKxGroup> {
    match curve {
        Curve::P256 => Some(kx_group::SECP256R1),
        Curve::P384 => Some(kx_group::SECP384R1),
        Curve::P521 => None,
        Curve::X25519 => Some(kx_group::X25519),
    }
}
