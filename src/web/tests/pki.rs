//! For this room's tests: a certificate authority, its certificates in a folder, and clients that
//! speak TLS.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::web::WebConfig;
use crate::web::testing::{Reply, read_all};

/// An authority. What it signs for the server lies in its folder.
pub(super) struct Pki {
    pub(super) folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub(super) ca_pem: String,
}

/// A certificate and its key, as PEM.
pub(super) struct Leaf {
    pub(super) cert: String,
    pub(super) key: String,
}

impl Pki {
    /// A new authority, with a certificate for `exporter.example.com` and `127.0.0.1` in its
    /// folder.
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key).unwrap().pem();
        let pki = Self {
            folder: tempfile::tempdir().unwrap(),
            issuer: Issuer::new(params, key),
            ca_pem,
        };
        pki.write("ca.pem", &pki.ca_pem);
        pki.renew();
        pki
    }

    /// Signs a certificate for these names or addresses.
    pub(super) fn leaf(&self, names: &[&str]) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())
                .unwrap();
        Leaf {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Writes a new certificate and key for the server.
    pub(super) fn renew(&self) {
        let leaf = self.leaf(&["exporter.example.com", "127.0.0.1"]);
        self.write("server.key", &leaf.key);
        self.write("server.crt", &leaf.cert);
    }

    /// What the server shows.
    pub(super) fn own_leaf(&self) -> Leaf {
        let read = |name: &str| std::fs::read_to_string(self.path(name)).unwrap();
        Leaf {
            cert: read("server.crt"),
            key: read("server.key"),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file as careful programs do: readers see the old or the new one.
    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("new"), text).unwrap();
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// Writes `web.yml` with the server's certificate, further keys of TLS, and what follows.
    pub(super) fn write_config(&self, keys: &str, rest: &str) {
        let tls = format!(
            "tls_server_config: {{cert_file: server.crt, key_file: server.key, {keys}}}\n{rest}"
        );
        self.write("web.yml", &tls);
    }

    pub(super) fn load(&self) -> WebConfig {
        WebConfig::load(self.path("web.yml")).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// A client that believes this authority, and shows `leaf` where one is asked for.
    pub(super) fn client(&self, leaf: Option<&Leaf>) -> TlsClient {
        TlsClient::trusting(&self.ca_pem, "exporter.example.com").showing(leaf)
    }
}

/// A client that speaks TLS.
#[derive(Clone)]
pub(super) struct TlsClient {
    ca_pem: String,
    server_name: &'static str,
    leaf: Option<(String, String)>,
    old: bool,
    provider: CryptoProvider,
}

impl TlsClient {
    /// One that believes the authority `ca_pem` about the server `server_name`.
    pub(super) fn trusting(ca_pem: &str, server_name: &'static str) -> Self {
        Self {
            ca_pem: ca_pem.to_owned(),
            server_name,
            leaf: None,
            old: false,
            provider: rustls::crypto::ring::default_provider(),
        }
    }

    /// Shows `leaf` where a certificate is asked for.
    pub(super) fn showing(self, leaf: Option<&Leaf>) -> Self {
        let leaf = leaf.map(|leaf| (leaf.cert.clone(), leaf.key.clone()));
        Self { leaf, ..self }
    }

    /// One that speaks nothing newer than TLS 1.2.
    pub(super) fn old(self) -> Self {
        Self { old: true, ..self }
    }

    /// One that speaks these suites, best first.
    pub(super) fn suites(mut self, suites: &[SupportedCipherSuite]) -> Self {
        self.provider.cipher_suites = suites.to_vec();
        self
    }

    /// One that exchanges keys on these curves, best first.
    pub(super) fn groups(mut self, groups: &[&'static dyn SupportedKxGroup]) -> Self {
        self.provider.kx_groups = groups.to_vec();
        self
    }

    pub(super) async fn connect(&self, addr: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap())
            .unwrap();
        let versions = if self.old {
            vec![&TLS12]
        } else {
            vec![&TLS12, &TLS13]
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match &self.leaf {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(
                        chain,
                        PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                    )
                    .unwrap()
            }
        };
        let stream = TcpStream::connect(addr).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(self.server_name).unwrap(), stream)
            .await
    }

    /// Sends a request and reads the answer; `None` when the server ended the connection without
    /// one.
    pub(super) async fn send(&self, addr: SocketAddr, text: &str) -> Option<Reply> {
        let mut stream = self.connect(addr).await.ok()?;
        // With TLS 1.3 the server refuses a client's certificate only after the client has begun to
        // speak.
        let _ = stream.write_all(text.as_bytes()).await;
        let answer = read_all(&mut stream).await;
        (!answer.is_empty()).then(|| Reply::parse(&answer))
    }

    /// A GET of `path`.
    pub(super) async fn get(&self, addr: SocketAddr, path: &str) -> Option<Reply> {
        self.send(
            addr,
            &format!(
                "GET {path} HTTP/1.1\r\nhost: exporter.example.com\r\nconnection: close\r\n\r\n"
            ),
        )
        .await
    }
}

/// Whether `path` is there: what a reload must not read is taken away with it.
pub(super) fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}
