//! HTTPS: versions, certificates, handshakes that do not end.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::pki::Pki;
use super::secure::{SHORT, limits, serve_with, until, users};
use crate::http_client::{
    ExporterAccess, GetError, HttpClient, HttpError, HttpTimeouts, ServerTrust,
};
use crate::model::{Secret, Timestamp};
use crate::report::PairsReport;
use crate::web::testing::{METRICS_TEXT, PATIENCE, Running, read_all};
use crate::web::{Drained, Limits, Server};

#[tokio::test]
async fn https_is_served_and_plain_http_is_refused_with_a_sentence() {
    let pki = Pki::new();
    pki.write_config("", "");
    let server = serve_with(limits(), pki.load()).await;
    let client = pki.client(None);
    assert_eq!(
        client.get(server.addr, "/-/healthy").await.unwrap().text(),
        "healthy\n"
    );
    assert_eq!(
        client
            .clone()
            .old()
            .get(server.addr, "/metrics")
            .await
            .unwrap()
            .text(),
        METRICS_TEXT
    );
    let plain = server.get("/metrics").await;
    assert_eq!(
        (plain.status, plain.text()),
        (400, "this port speaks HTTPS: use https://.\n")
    );
    assert_eq!(plain.header("content-length"), plain.body.len().to_string());
    let stranger = Pki::new();
    assert!(
        stranger.client(None).get(server.addr, "/").await.is_none(),
        "a client need not believe it"
    );
}

#[tokio::test]
async fn a_version_that_is_not_configured_is_not_spoken() {
    let pki = Pki::new();
    pki.write_config("min_version: TLS13", "");
    let server = serve_with(limits(), pki.load()).await;
    assert!(pki.client(None).old().get(server.addr, "/").await.is_none());
    assert_eq!(
        pki.client(None).get(server.addr, "/").await.unwrap().status,
        200
    );
}

#[tokio::test]
async fn clients_present_the_certificates_that_are_required() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let cases = [
        ("RequireAndVerifyClientCert", None),
        ("VerifyClientCertIfGiven", Some(200)),
    ];
    for (kind, without) in cases {
        pki.write_config(
            &format!("client_auth_type: {kind}, client_ca_file: ca.pem"),
            "",
        );
        let server = serve_with(limits(), pki.load()).await;
        let status = async |leaf: Option<&_>, old: bool| {
            let client = pki.client(leaf);
            let client = if old { client.old() } else { client };
            client
                .get(server.addr, "/metrics")
                .await
                .map(|reply| reply.status)
        };
        let (good, bad) = (pki.leaf(&["client"]), stranger.leaf(&["client"]));
        for old in [false, true] {
            assert_eq!(status(None, old).await, without, "{kind}");
            assert_eq!(status(Some(&good), old).await, Some(200), "{kind}");
            assert_eq!(status(Some(&bad), old).await, None, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_counts_as_a_connection_and_is_dropped() {
    let pki = Pki::new();
    pki.write_config("", "");
    let server = serve_with(
        Limits {
            connections: 2,
            handshake: SHORT,
            ..limits()
        },
        pki.load(),
    )
    .await;
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    // The head of a record that promises 512 bytes of a handshake.
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    for stream in [&mut silent, &mut half] {
        assert!(read_all(stream).await.is_empty());
    }
    until("a place is free", async || {
        pki.client(None).get(server.addr, "/").await.is_some()
    })
    .await;
}

#[tokio::test]
async fn over_the_limit_a_handshake_that_does_not_end_is_evicted() {
    let pki = Pki::new();
    pki.write_config("", "");
    let server = serve_with(
        Limits {
            connections: 1,
            ..limits()
        },
        pki.load(),
    )
    .await;
    let mut silent = server.connect().await;
    assert!(pki.client(None).get(server.addr, "/").await.is_some());
    assert!(read_all(&mut silent).await.is_empty());
}

#[tokio::test]
async fn a_tls_client_that_does_not_read_loses_its_connection() {
    const BODY: usize = 64 << 20; // more than all buffers can ever hold
    let pki = Pki::new();
    pki.write_config("", "");
    let server = Server::new(Limits {
        response: SHORT,
        ..limits()
    })
    .with_config(Some(pki.load()));
    let server = Running::serving(
        server,
        Arc::new(|_, _| Ok(vec![b'x'; BODY])),
        Timestamp::default,
    )
    .await;
    let mut slow = pki.client(None).connect(server.addr).await.unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    slow.get_ref().0.readable().await.unwrap();
    let stopped = server.stop();
    assert_eq!(
        stopped.await.unwrap(),
        Drained { cut: 0 },
        "it ended by itself"
    );
    assert!(read_all(&mut slow).await.len() < BODY, "it was cut");
}

#[tokio::test]
async fn a_new_certificate_is_served_and_ends_the_connections_of_the_old() {
    let pki = Pki::new();
    pki.write_config("", "");
    let config = pki.load();
    let status = config.status();
    // Nothing but the new certificate ends an idle connection.
    let server = serve_with(
        Limits {
            head: PATIENCE * 100,
            ..limits()
        },
        config,
    )
    .await;
    let certificate = async || {
        let stream = pki.client(None).connect(server.addr).await.ok()?;
        stream
            .get_ref()
            .1
            .peer_certificates()
            .map(|chain| chain[0].as_ref().to_vec())
    };
    let first = certificate().await;
    let mut idle = pki.client(None).connect(server.addr).await.unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"healthy\n") {
        assert!(idle.read_buf(&mut answer).await.unwrap() > 0);
    }
    pki.renew();
    until("the new certificate", async || certificate().await != first).await;
    assert!(
        read_all(&mut idle).await.is_empty(),
        "what the old one let in has ended"
    );
    // A key of another certificate is what one sees in the middle of a renewal.
    let shown = certificate().await;
    pki.write("server.key", &pki.leaf(&["x"]).key);
    until("the mismatch is noticed", async || !status.successful()).await;
    assert_eq!(certificate().await, shown);
    pki.renew();
    until("both are new", async || status.successful()).await;
    assert_ne!(certificate().await, shown);
}

#[tokio::test]
async fn the_exporters_own_client_connects_with_its_credentials_or_reports_why_not() {
    let pki = Pki::new();
    let auth = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem";
    pki.write_config(auth, &users(&[("alice", "secret")]));
    let server = serve_with(limits(), pki.load()).await;
    let leaf = pki.leaf(&["client"]);
    let whole = ExporterAccess {
        login: Some(("alice".to_owned(), Secret::new("secret"))),
        trust: ServerTrust::Authorities(pki.ca_pem.clone().into_bytes()),
        identity: Some(Secret::new(format!("{}\n{}", leaf.cert, leaf.key))),
    };
    let ask = async |access: ExporterAccess| {
        let timeouts = HttpTimeouts {
            connect: PATIENCE,
            total: PATIENCE,
        };
        let client = HttpClient::for_exporter_with(timeouts, &access).unwrap();
        let url = format!("https://{}/api/v1/pairs", server.addr);
        client
            .get_json::<PairsReport>(&url)
            .await
            .map(|report| report.pairs.len())
    };
    assert_eq!(ask(whole.clone()).await, Ok(1));
    assert_eq!(
        ask(ExporterAccess {
            trust: ServerTrust::Anybody,
            ..whole.clone()
        })
        .await,
        Ok(1)
    );
    assert_eq!(
        ask(ExporterAccess {
            login: None,
            ..whole.clone()
        })
        .await,
        Err(GetError::Status(401))
    );
    let nobody = ask(ExporterAccess {
        trust: ServerTrust::Nobody,
        ..whole.clone()
    })
    .await;
    assert!(
        matches!(nobody, Err(GetError::Http(HttpError::Tls(_)))),
        "{nobody:?}"
    );
    let no_certificate = ask(ExporterAccess {
        identity: None,
        ..whole.clone()
    })
    .await;
    assert!(
        matches!(no_certificate, Err(GetError::Http(_))),
        "{no_certificate:?}"
    );
}
