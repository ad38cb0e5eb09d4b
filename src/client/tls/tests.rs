//! Unusable files, and servers that violate TLS. Tests with real servers are in `tests/real`.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::client::Connection;
use crate::config::{ClientCertificate, Credentials};
use crate::model::{Blame, Datacenter, PollError, Span};
use crate::topology::Server;

/// A folder with an authority, a certificate with its key, and another key.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let other = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["redis.example".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    for (name, text) in [
        ("ca.crt", certificate.pem()),
        ("client.crt", certificate.pem()),
        ("client.key", key.serialize_pem()),
        ("other.key", other.serialize_pem()),
        (
            "encrypted.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
                .into(),
        ),
        ("empty", String::new()),
        ("cut.crt", certificate.pem()[..100].to_owned()),
        ("large", "x".repeat(1024 * 1024 + 1)),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn built(folder: &TempDir, ca: Option<&str>, pair: Option<(&str, &str)>) -> Result<(), String> {
    let path = |name: &str| folder.path().join(name);
    let client_certificate = pair.map(|(cert, key)| ClientCertificate {
        cert_file: path(cert),
        key_file: path(key),
    });
    let settings = TlsSettings {
        ca_file: ca.map(path),
        client_certificate,
        ..TlsSettings::default()
    };
    build(&settings).map(|_| ()).map_err(|failure| {
        assert_eq!(failure.to_poll_failure().reason, PollError::Tls);
        failure
            .to_string()
            .replace(&*folder.path().to_string_lossy(), "DIR")
    })
}

#[test]
fn an_unusable_file_is_named_and_its_content_is_not_shown() {
    let folder = folder();
    let client = |cert, key| built(&folder, Some("ca.crt"), Some((cert, key)));
    assert_eq!(client("client.crt", "client.key"), Ok(()));
    let cases = [
        (
            built(&folder, Some("absent"), None),
            "the TLS file DIR/absent cannot be read: No such file",
        ),
        (
            built(&folder, Some(""), None),
            "the TLS file DIR/ is not a regular file",
        ),
        (
            built(&folder, Some("empty"), None),
            "the TLS file DIR/empty holds no certificate in PEM",
        ),
        (
            built(&folder, Some("client.key"), None),
            "the TLS file DIR/client.key holds no certificate in PEM",
        ),
        (
            built(&folder, Some("cut.crt"), None),
            "the TLS file DIR/cut.crt holds PEM that is cut off or malformed",
        ),
        (
            built(&folder, Some("large"), None),
            "the TLS file DIR/large is larger than any that is meant here",
        ),
        (
            client("empty", "client.key"),
            "the TLS file DIR/empty holds no certificate in PEM",
        ),
        (
            client("client.crt", "client.crt"),
            "the TLS file DIR/client.crt holds no private key in PEM",
        ),
        (
            client("client.crt", "encrypted.key"),
            "the TLS file DIR/encrypted.key holds no private key in PEM",
        ),
        (
            client("client.crt", "other.key"),
            "the client certificate DIR/client.crt cannot be used with the key",
        ),
    ];
    for (result, expected) in cases {
        let error = result.unwrap_err();
        assert!(error.starts_with(expected), "{expected}\n{error}");
    }
}

#[test]
fn the_name_to_verify_is_the_one_that_is_set_or_the_host() {
    let name = |addr: &str, set: Option<&str>| {
        let settings = TlsSettings {
            server_name: set.map(ToOwned::to_owned),
            ..TlsSettings::default()
        };
        server_name(&ServerAddr::parse(addr).unwrap(), &settings)
            .map(|name| name.to_str().into_owned())
    };
    assert_eq!(
        name("redis.example.com:1", None).unwrap(),
        "redis.example.com"
    );
    assert_eq!(name("[2001:db8::1]:1", None).unwrap(), "2001:db8::1");
    assert_eq!(
        name("10.0.0.1:1", Some("redis.example.com")).unwrap(),
        "redis.example.com"
    );
    assert_eq!(name("redis_1:1", None).unwrap(), "redis_1");
    let error = name("a..b:1", None).unwrap_err().to_string();
    assert_eq!(
        error,
        "\"a..b\" is not a name that a certificate can have: set tls.server_name"
    );
}

/// Connects with TLS, and no verification, to a server that treats its one client as `serve` says.
async fn against<F>(serve: impl FnOnce(TcpStream) -> F, within: Span) -> Option<PollError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = ServerAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
    let tls = Some(TlsSettings {
        insecure_skip_verify: true,
        ..TlsSettings::default()
    });
    let server = Server {
        addr,
        dc: Datacenter::unknown(),
        local: true,
        credentials: Credentials::default(),
        tls,
    };
    let client = tokio::spawn(async move { Connection::connect(&server, within).await.err() });
    let (stream, _) = listener.accept().await.unwrap();
    let serving = tokio::spawn(serve(stream));
    let error = timeout(Duration::from_secs(30), client)
        .await
        .expect("nothing outlives the deadline")
        .unwrap();
    serving.abort();
    error.map(|failure| failure.reason)
}

const LONG: Span = Span::from_secs(25);
const SHORT: Span = Span::from_millis(300);

#[tokio::test]
async fn garbage_plain_text_and_closed_connections_have_their_reason() {
    let sends = |bytes: &'static [u8]| {
        move |mut stream: TcpStream| async move {
            stream.read_exact(&mut [0]).await.unwrap();
            // The client may have hung up on the first bytes.
            let _ = stream.write_all(bytes).await;
            std::future::pending::<()>().await;
        }
    };
    assert_eq!(
        against(sends(b"-ERR unknown command\r\n"), LONG).await,
        Some(PollError::Tls)
    );
    assert_eq!(
        against(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), LONG).await,
        Some(PollError::Tls)
    );
    assert_eq!(
        against(sends(&[0xff; 16_000]), LONG).await,
        Some(PollError::Tls)
    );
    assert_eq!(
        against(sends(&[22, 3, 3, 0, 4, 2, 0, 0, 0]), LONG).await,
        Some(PollError::Tls),
        "an empty hello"
    );
    let hangs_up = |mut stream: TcpStream| async move {
        // All of it: unread bytes would turn the close into a reset, which is no different.
        let _ = stream.read(&mut [0; 16 * 1024]).await;
    };
    assert_eq!(against(hangs_up, LONG).await, Some(PollError::Reset));
}

#[tokio::test]
async fn a_handshake_that_never_ends_fails_at_the_deadline() {
    let silent = |stream: TcpStream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    };
    assert_eq!(against(silent, SHORT).await, Some(PollError::Timeout));
    let drips = |mut stream: TcpStream| async move {
        // A record of 16 KiB, announced in full and delivered byte by byte, in more time than there
        // is.
        let _ = stream.write_all(&[22, 3, 3, 0x40, 0]).await;
        while stream.write_all(&[2]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert_eq!(against(drips, SHORT).await, Some(PollError::Timeout));
}

#[tokio::test]
async fn plain_text_to_a_tls_port_is_recognized_by_the_alert() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = ServerAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
    let server = Server {
        addr,
        dc: Datacenter::unknown(),
        local: true,
        credentials: Credentials::default(),
        tls: None,
    };
    let client = tokio::spawn(async move {
        let failure = Connection::connect(&server, LONG).await.err();
        failure.map(|failure| failure.sentence("the master"))
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    // A fatal alert "unexpected message" in a TLS 1.2 record.
    stream.write_all(&[21, 3, 3, 0, 2, 2, 10]).await.unwrap();
    assert_eq!(
        client.await.unwrap().as_deref(),
        Some(
            "this exporter cannot make a secure connection to the master: the port speaks TLS, and \
             tls is not set for it"
        )
    );
}

/// A plain Redis port: what the handshake sends is no whole line, and a `PING` is answered.
#[tokio::test]
async fn a_plain_port_is_distinguished_from_a_frozen_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = ServerAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
    let server = Server {
        addr,
        dc: Datacenter::unknown(),
        local: true,
        credentials: Credentials::default(),
        tls: Some(TlsSettings::default()),
    };
    let within = Span::from_secs(2);
    let client = tokio::spawn(async move { Connection::connect(&server, within).await.err() });
    let (_handshake, _) = listener.accept().await.unwrap();
    let (mut probe, _) = listener.accept().await.unwrap();
    probe.read_exact(&mut [0; 6]).await.unwrap();
    probe
        .write_all(b"-NOAUTH Authentication required.\r\n")
        .await
        .unwrap();
    let failure = client.await.unwrap().unwrap();
    assert_eq!(
        (failure.reason, failure.blame),
        (PollError::Tls, Blame::Access)
    );
    assert_eq!(
        failure.sentence("the master"),
        "this exporter cannot make a secure connection to the master: this port is not its TLS \
         port (tls-port): it answers in plain Redis; use the other one, or remove tls"
    );
}
