//! TLS with real servers and real certificates.

use std::path::PathBuf;
use std::time::Duration;

use redis_cross_dc_exporter::config::{ClientCertificate, TlsSettings};
use redis_cross_dc_exporter::lab::{RedisServer, ServerTls, eventually};
use redis_cross_dc_exporter::model::{PollError, Span};
use redis_cross_dc_exporter::replication::PairState;

use crate::certificates::Authority;
use crate::command;
use crate::connect::{ask, connect, connect_within};
use crate::exporter::Exporter;

const LOCAL: [&str; 2] = ["127.0.0.1", "redis.example.com"];

/// How long a connection may take that is to fail by that.
const SHORT: Span = Span::from_millis(500);

async fn start(files: ServerTls) -> RedisServer {
    RedisServer::builder().tls(files).start().await.unwrap()
}

fn trusting(ca_file: PathBuf) -> TlsSettings {
    TlsSettings {
        ca_file: Some(ca_file),
        ..TlsSettings::default()
    }
}

/// What the first INFO over TLS comes to.
async fn outcome(server: &RedisServer, tls: TlsSettings) -> Result<(), PollError> {
    ask(server.tls_addr().unwrap(), Some(tls))
        .await
        .map(|reply| assert!(reply.text.contains("role:master")))
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_and_for_its_name_only() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = start(authority.server(&LOCAL)).await;
    let named = |name: &str| TlsSettings {
        server_name: Some(name.to_owned()),
        ..trusting(authority.ca_file())
    };
    assert_eq!(
        outcome(&server, trusting(authority.ca_file())).await,
        Ok(())
    );
    assert_eq!(
        outcome(&server, trusting(stranger.ca_file())).await,
        Err(PollError::Tls),
        "another authority"
    );
    assert_eq!(
        outcome(&server, TlsSettings::default()).await,
        Err(PollError::Tls),
        "the system's authorities"
    );
    assert_eq!(
        outcome(&server, named("redis.example.com")).await,
        Ok(()),
        "another of its names"
    );
    assert_eq!(
        outcome(&server, named("other.example.com")).await,
        Err(PollError::Tls),
        "another name"
    );
    assert_eq!(
        outcome(&server, named("127.0.0.2")).await,
        Err(PollError::Tls),
        "another address"
    );
}

#[tokio::test]
async fn a_name_that_is_not_in_the_certificate_is_refused_unless_server_name_or_no_verification_is_set()
 {
    let authority = Authority::new();
    let server = start(authority.server(&["redis.example.com"])).await;
    let plain = trusting(authority.ca_file());
    assert_eq!(outcome(&server, plain.clone()).await, Err(PollError::Tls));
    assert_eq!(
        outcome(
            &server,
            TlsSettings {
                server_name: Some("redis.example.com".into()),
                ..plain
            }
        )
        .await,
        Ok(())
    );
    let insecure = TlsSettings {
        insecure_skip_verify: true,
        ..TlsSettings::default()
    };
    assert_eq!(outcome(&server, insecure).await, Ok(()));
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let server = start(authority.server_until(&LOCAL, 2020)).await;
    assert_eq!(
        outcome(&server, trusting(authority.ca_file())).await,
        Err(PollError::Tls)
    );
}

#[tokio::test]
async fn a_required_client_certificate_is_sent_and_a_rotated_one_is_used_at_the_next_connection() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let builder = RedisServer::builder()
            .tls(authority.server(&LOCAL))
            .config("tls-auth-clients yes");
        let server = builder
            .config(&format!("tls-protocols {protocols}"))
            .start()
            .await
            .unwrap();
        let showing = |files: &ClientCertificate| TlsSettings {
            client_certificate: Some(files.clone()),
            ..trusting(authority.ca_file())
        };
        assert_eq!(
            outcome(&server, trusting(authority.ca_file())).await,
            Err(PollError::Tls),
            "none, {protocols}"
        );
        let files = stranger.client("monitor");
        assert_eq!(
            outcome(&server, showing(&files)).await,
            Err(PollError::Tls),
            "a stranger's, {protocols}"
        );
        authority.sign_client("monitor", &files);
        assert_eq!(
            outcome(&server, showing(&files)).await,
            Ok(()),
            "rotated, {protocols}"
        );
        std::fs::write(&files.key_file, "").unwrap();
        assert_eq!(
            outcome(&server, showing(&files)).await,
            Err(PollError::Tls),
            "half rotated, {protocols}"
        );
    }
}

#[tokio::test]
async fn plain_text_to_a_tls_port_and_tls_to_a_plain_port_fail() {
    let authority = Authority::new();
    let server = start(authority.server(&LOCAL)).await;
    // A plain port takes the handshake for the beginning of a line, and waits for its end; asked in
    // plain text, it answers.
    let to_plain_port = connect_within(server.addr(), Some(trusting(authority.ca_file())), SHORT)
        .await
        .err();
    assert_eq!(to_plain_port, Some(PollError::Tls), "it was asked");
    let to_tls_port = ask(server.tls_addr().unwrap(), None).await.unwrap_err();
    assert!(
        matches!(to_tls_port, PollError::Tls | PollError::Reset),
        "{to_tls_port:?}"
    );
}

#[tokio::test]
async fn a_secured_connection_ends_and_is_bounded_like_a_plain_one() {
    let authority = Authority::new();
    let mut server = start(authority.server(&LOCAL)).await;
    let mut connection = connect(
        server.tls_addr().unwrap(),
        Some(trusting(authority.ca_file())),
    )
    .await
    .unwrap();
    let watch = connection.watch();
    for _ in 0..3 {
        let reply = connection.fetch_info().await.unwrap();
        assert!(reply.sent < reply.received);
        assert_eq!(
            (watch.sent(), watch.last_byte()),
            (Some(reply.sent), Some(reply.received))
        );
    }
    server.kill();
    assert_eq!(connection.fetch_info().await, Err(PollError::Reset));
    assert!(!connection.is_open());
}

#[tokio::test]
async fn a_pair_that_replicates_over_tls_is_monitored_and_its_problems_are_logged() {
    let authority = Authority::new();
    let files = authority.server(&LOCAL);
    let secured = || {
        RedisServer::builder()
            .tls(files.clone())
            .config("tls-replication yes")
            .config("tls-auth-clients yes")
    };
    let master = secured().start().await.unwrap();
    let replica = secured()
        .replicaof(master.tls_addr().unwrap())
        .start()
        .await
        .unwrap();
    replica
        .wait_until_in_sync(Duration::from_secs(30))
        .await
        .unwrap();
    let ClientCertificate {
        cert_file,
        key_file,
    } = authority.client("monitor");
    let exporter = Exporter::start(&format!(
        "
redis: {{tls: {{cert_file: '{}', key_file: '{}', ca_file: '{}'}}}}
pairs:
  - name: orders
    master: {{address: '{}', dc: dc1}}
    replicas: [{{address: 'rediss://{}', dc: dc2}}]
  - name: broken
    tls: {{ca_file: absent.crt, insecure_skip_verify: false}}
    master: {{address: 'rediss://localhost:{}'}}
    replicas: [{{address: 'rediss://{}', tls: {{ca_file: '{}'}}}}]
",
        cert_file.display(),
        key_file.display(),
        authority.ca_file().display(),
        master.tls_addr().unwrap(),
        replica.tls_addr().unwrap(),
        master.tls_addr().unwrap().port().unwrap(),
        master.addr(),
        authority.ca_file().display(),
    ))
    .await;
    let limit = Duration::from_secs(20);
    let pair = exporter
        .wait_for("orders", "a lag is shown", limit, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    assert_eq!(pair.state, PairState::Streaming);
    let broken = exporter
        .wait_for("broken", "the reason is known", limit, |pair| {
            format!("{pair:?}").contains("TLS")
        })
        .await;
    assert_eq!(broken.lag_seconds, None);
    for line in [
        "absent.crt cannot be read: No such file",
        "this port is not its TLS port (tls-port)",
    ] {
        let told = || async { exporter.log().contains(line) };
        eventually(line, limit, told)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
    }
}

#[tokio::test]
async fn unverified_certificates_cause_a_warning() {
    let exporter = Exporter::start(
        "pairs: [{name: p, tls: {insecure_skip_verify: true}, master: {address: 'a.invalid:1'}, replicas: [{address: 'b.invalid:1'}]}]",
    )
    .await;
    let sentence = "tls.insecure_skip_verify is on for 2 servers, such as a.invalid:1: certificates are not verified";
    assert!(exporter.log().contains(sentence), "{}", exporter.log());
    let folder = exporter.config().parent().unwrap().to_owned();
    let check = command::run(&folder, &["check-config", "--config.file", "config.yml"])
        .await
        .ended_with(0);
    assert!(
        check.stdout.starts_with(&format!("# warning: {sentence}")),
        "{check:?}"
    );
}
