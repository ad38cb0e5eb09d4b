//! Which certificates of clients are accepted.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use crate::config::ClientAuth;

/// Decides about the certificates of clients. That a client has the key of its certificate is
/// verified always.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    policy: ClientAuth,
    authorities: Authorities,
    allowed_sans: Option<BTreeSet<String>>,
    /// The certificate that this server shows. Who has its key is this exporter, such as its own
    /// health check.
    own: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// What a verifier is built from.
pub(super) struct ClientRules {
    pub(super) policy: ClientAuth,
    /// The authorities of the web configuration; absent: the system's.
    pub(super) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(super) allowed_sans: Option<Vec<String>>,
    pub(super) own: CertificateDer<'static>,
}

/// Who signs clients' certificates.
#[derive(Debug)]
struct Authorities {
    /// Whether the web configuration names them, so that they stand for the exporter's users.
    are_configured: bool,
    /// Accepted themselves, too: the usual way to let one client with a self-signed certificate in.
    certificates: Vec<CertificateDer<'static>>,
    /// `None` where there are no authorities: nobody is verified.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl ClientVerifier {
    /// # Errors
    /// A sentence's end about the authorities.
    pub(super) fn new(rules: ClientRules, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let authorities = match rules.authorities {
            Some(certificates) => Authorities::configured(certificates, provider)?,
            None if rules.policy.verifies() => Authorities::of_the_system(provider)?,
            None => Authorities::none(),
        };
        Ok(Self {
            policy: rules.policy,
            authorities,
            allowed_sans: rules.allowed_sans.map(BTreeSet::from_iter),
            own: rules.own,
            algorithms: provider.signature_verification_algorithms,
        })
    }

    /// Whether a client that was let in with this chain is one of the exporter's users: its
    /// certificate was verified against the authorities of the web configuration.
    pub(super) fn proves_user(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return false;
        };
        self.policy.verifies()
            && self.authorities.are_configured
            // The server's own certificate is let in without this.
            && (*leaf != self.own || self.verify(leaf, intermediates, UnixTime::now()).is_ok())
    }

    /// Whether such a proof is possible.
    pub(super) const fn can_prove_users(&self) -> bool {
        self.policy.verifies() && self.authorities.are_configured
    }

    /// Whether certificates are verified and there is no authority.
    pub(super) const fn accepts_none(&self) -> bool {
        self.policy.verifies() && self.authorities.verifier.is_none()
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.policy.verifies() {
            self.authorities.verify(leaf, intermediates, now)?;
        }
        match &self.allowed_sans {
            Some(allowed) if !has_one_of(leaf, allowed) => Err(refused()),
            _ => Ok(()),
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.policy.requires_one()
    }

    /// Those of the web configuration, so that a client with several certificates finds the right
    /// one.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.authorities.verifier {
            Some(verifier) if self.authorities.are_configured => verifier.root_hint_subjects(),
            _ => &[],
        }
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *leaf != self.own {
            self.verify(leaf, intermediates, now)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Authorities {
    const fn none() -> Self {
        Self {
            are_configured: false,
            certificates: Vec::new(),
            verifier: None,
        }
    }

    /// Every one of `certificates` must be usable.
    fn configured(
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|_| "holds a certificate that cannot be an authority's")?;
        }
        Ok(Self {
            are_configured: true,
            certificates,
            verifier: Some(verifier(roots, provider)?),
        })
    }

    /// Those that this machine trusts, as Go takes them where none are configured.
    fn of_the_system(provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Ok(Self::none());
        }
        Ok(Self {
            verifier: Some(verifier(roots, provider)?),
            ..Self::none()
        })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        // The library takes no authority for a client, but a certificate that signed itself is
        // both.
        if self.certificates.iter().any(|one| one == leaf) {
            return verify_usable(leaf, now);
        }
        match &self.verifier {
            Some(verifier) => verifier
                .verify_client_cert(leaf, intermediates, now)
                .map(drop),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let provider = Arc::clone(provider);
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    builder
        .build()
        .map_err(|error| format!("cannot be used: {error}"))
}

fn refused() -> Error {
    CertificateError::ApplicationVerificationFailure.into()
}

fn parsed<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

/// What the library verifies of a certificate beside its signature: that it is valid now, and for
/// clients.
fn verify_usable(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = parsed(certificate)?;
    let now = i64::try_from(now.as_secs()).ok();
    let now = now.and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    let is_valid = now.is_some_and(|now| certificate.validity().is_valid_at(now));
    if !is_valid {
        return Err(CertificateError::Expired.into());
    }
    let usage = certificate.extended_key_usage();
    let usage = usage.map_err(|_| Error::from(CertificateError::BadEncoding))?;
    match usage {
        Some(usage) if !usage.value.client_auth && !usage.value.any => {
            Err(CertificateError::InvalidPurpose.into())
        }
        _ => Ok(()),
    }
}

/// Whether one of the certificate's alternative names is one of `allowed`, letter by letter.
fn has_one_of(certificate: &CertificateDer<'_>, allowed: &BTreeSet<String>) -> bool {
    let Ok(certificate) = parsed(certificate) else {
        return false;
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return false;
    };
    let mut names = names.value.general_names.iter();
    names.any(|name| san_text(name).is_some_and(|text| allowed.contains(&text)))
}

/// A name as the toolkit compares it; `None` for the kinds that it leaves out.
fn san_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => Some(ip(bytes)?.to_canonical().to_string()),
        _ => None,
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four));
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::from(sixteen))
}
