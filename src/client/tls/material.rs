//! Certificates and keys, read from PEM files.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::failure::TlsFailure;
use crate::config::{ClientCertificate, read_small_file};

/// The largest file that is read: the bundle of all public authorities has about 250 KiB.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// The authorities in `file`; at least one, and all of them usable.
pub(super) fn authorities(file: &Path) -> Result<RootCertStore, TlsFailure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|_| TlsFailure::unusable(file, "a certificate that cannot be an authority"))?;
    }
    Ok(roots)
}

/// The certificate chain that is presented to the server, and its key.
pub(super) fn client_certificate(
    files: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsFailure> {
    let chain = certificates(&files.cert_file)?;
    let pem = read(&files.key_file)?;
    // The parser's message is dropped: it may contain a line of the key.
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        TlsFailure::unusable(
            &files.key_file,
            "no private key in PEM (an encrypted one cannot be used)",
        )
    })?;
    Ok((chain, key))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFailure> {
    let pem = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsFailure::unusable(file, "no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(_) => Err(TlsFailure::unusable(
            file,
            "PEM that is cut off or malformed",
        )),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsFailure> {
    read_small_file(file, MAX_PEM_BYTES).map_err(|cause| TlsFailure::File {
        path: file.to_owned(),
        cause,
    })
}
