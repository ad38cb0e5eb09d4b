//! A private certificate authority and what it signs, as files.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use redis_cross_dc_exporter::config::ClientCertificate;
use redis_cross_dc_exporter::lab::ServerTls;
use tempfile::TempDir;

use crate::planted;

/// A new authority, whose files are removed with it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new one, which no server trusts.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = named("the lab's authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self {
            issuer,
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(authority.ca_file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// Its own certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.path("ca.crt")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server's certificate for `names` (host names and IP addresses).
    pub(crate) fn server(&self, names: &[&str]) -> ServerTls {
        self.server_until(names, 2100)
    }

    /// The same, valid until the beginning of `year`.
    pub(crate) fn server_until(&self, names: &[&str], year: i32) -> ServerTls {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        // A server that replicates over TLS is its master's client.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_after = date_time_ymd(year, 1, 1);
        let (cert_file, key_file) = (self.path("server.crt"), self.path("server.key"));
        self.sign(&params, &cert_file, &key_file);
        ServerTls {
            ca_file: self.ca_file(),
            cert_file,
            key_file,
        }
    }

    /// A client's certificate in files that bear `name`, in the place of those that were there.
    pub(crate) fn client(&self, name: &str) -> ClientCertificate {
        let files = ClientCertificate {
            cert_file: self.path(&format!("{name}.crt")),
            key_file: self.path(&format!("{name}.key")),
        };
        self.sign_client(name, &files);
        files
    }

    /// Puts a new client's certificate into `files`, which may be another authority's.
    pub(crate) fn sign_client(&self, name: &str, files: &ClientCertificate) {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params, &files.cert_file, &files.key_file);
    }

    fn sign(&self, params: &CertificateParams, cert_file: &Path, key_file: &Path) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(cert_file, certificate.pem()).unwrap();
        planted::remember(&key.serialize_pem());
        std::fs::write(key_file, key.serialize_pem()).unwrap();
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
