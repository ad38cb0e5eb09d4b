//! HTTPS, passwords, the web configuration's file and the admin API, over real sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::pki::{Pki, remove};
use super::testing::{METRICS_TEXT, PATIENCE, Reply, Running, read_all, small_limits};
use super::{Drained, Limits, Server, WebConfig, WebConfigStatus};
use crate::admin::{AdminCommand, AdminError};
use crate::config::ConfigErrors;
use crate::http_client::{
    ExporterAccess, GetError, HttpClient, HttpError, HttpTimeouts, ServerTrust,
};
use crate::model::{Secret, Timestamp};
use crate::report::PairsReport;

const SHORT: Duration = Duration::from_millis(100);

fn limits() -> Limits {
    Limits {
        handshake: PATIENCE,
        reread: Duration::from_millis(10),
        ..small_limits()
    }
}

async fn serve(server: Server) -> Running {
    Running::serving(
        server,
        Arc::new(|_, _| Ok(METRICS_TEXT.into())),
        Timestamp::default,
    )
    .await
}

async fn serve_with(limits: Limits, config: WebConfig) -> Running {
    serve(Server::new(limits).with_config(Some(config))).await
}

fn users(names: &[(&str, &str)]) -> String {
    let line = |(name, password): &(&str, &str)| {
        format!("{name}: '{}'", bcrypt::hash(password, 4).unwrap())
    };
    format!(
        "basic_auth_users: {{{}}}\n",
        names.iter().map(line).collect::<Vec<_>>().join(", ")
    )
}

fn login(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("authorization: Basic {text}\r\n")
}

/// Waits until `is_so`.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn https_is_served_and_plain_http_is_told_so() {
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
async fn clients_show_what_they_are_asked_for() {
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
async fn over_the_cap_a_handshake_that_does_not_end_gives_way() {
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
async fn every_path_asks_for_a_password_where_users_are_configured() {
    let pki = Pki::new();
    pki.write(
        "web.yml",
        &(users(&[("alice", "secret"), ("bob", "other")])),
    );
    let server = serve_with(limits(), pki.load()).await;
    let cases = [
        (login("alice", "secret"), 200),
        (login("alice", "secret"), 200),
        (login("bob", "other"), 200),
        (login("alice", "other"), 401),
        (login("bob", ""), 401),
        (login("carol", "secret"), 401),
        ("authorization: Bearer x\r\n".to_owned(), 401),
        (login("alice", "secret") + &login("bob", "other"), 401),
        (String::new(), 401),
    ];
    for (header, status) in cases {
        for path in ["/metrics", "/-/healthy", "/", "/nowhere"] {
            let reply = server.ask("GET", path, &header).await;
            let expected = if path == "/nowhere" && status == 200 {
                404
            } else {
                status
            };
            assert_eq!(reply.status, expected, "{path} {header}");
            let challenge = if status == 401 {
                "Basic realm=\"redis-cross-dc-exporter\", charset=\"UTF-8\""
            } else {
                ""
            };
            assert_eq!(
                reply.header("www-authenticate"),
                challenge,
                "{path} {header}"
            );
            assert_eq!(
                reply.header("x-content-type-options"),
                "nosniff",
                "{path} {header}"
            );
            if status == 401 {
                assert!(
                    reply
                        .text()
                        .contains("unauthorized: give a user and a password"),
                    "{}",
                    reply.text()
                );
            }
        }
    }
}

#[tokio::test]
async fn configured_headers_stand_over_the_exporters_own() {
    let pki = Pki::new();
    let headers = "http_server_config: {headers: {X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=9, \
        X-XSS-Protection: '0', Content-Security-Policy: \"default-src 'self'\", X-Content-Type-Options: ''}}\n";
    pki.write("web.yml", &(users(&[("alice", "secret")]) + headers));
    let server = serve_with(limits(), pki.load()).await;
    for reply in [
        server.get("/").await,
        server.ask("GET", "/", &login("alice", "secret")).await,
    ] {
        let expected = [
            ("x-frame-options", "sameorigin"),
            ("strict-transport-security", "max-age=9"),
            ("x-xss-protection", "0"),
            ("content-security-policy", "default-src 'self'"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
        ];
        for (name, value) in expected {
            assert_eq!(reply.header(name), value, "{name}");
        }
    }
}

#[tokio::test]
async fn a_changed_file_is_in_force_and_a_broken_one_is_not() {
    let pki = Pki::new();
    pki.write("web.yml", &users(&[("alice", "one")]));
    let config = pki.load();
    let status: WebConfigStatus = config.status();
    let server = serve_with(limits(), config).await;
    let accepted = async |password: &str| {
        server
            .ask("GET", "/", &login("alice", password))
            .await
            .status
            == 200
    };
    assert!(accepted("one").await && !accepted("two").await && status.successful());
    pki.write("web.yml", &users(&[("alice", "two")]));
    until("the new password", async || accepted("two").await).await;
    assert!(
        !accepted("one").await,
        "what was verified before counts no more"
    );
    for broken in [
        "basic_auth_users: {alice: three}",
        "nonsense",
        "tls_server_config: {cert_file: a, key_file: b}",
    ] {
        pki.write("web.yml", broken);
        until("it is noticed", async || !status.successful()).await;
        assert!(accepted("two").await, "the old one goes on");
        pki.write("web.yml", &users(&[("alice", "two")]));
        until("it is mended", async || status.successful()).await;
    }
    remove(&pki.path("web.yml"));
    until("its absence is noticed", async || !status.successful()).await;
    assert!(
        accepted("two").await && server.get("/").await.status == 401,
        "no file is no permission"
    );
}

#[tokio::test]
async fn what_stands_in_the_file_for_a_moment_does_not_count() {
    let pki = Pki::new();
    let text = users(&[("alice", "one")]);
    pki.write("web.yml", &text);
    let mut config = pki.load();
    let published = config.watch_active();
    let users_now = || published.borrow().user_names();
    for half in ["{}", "# the first line of a file", "", "basic_auth_"] {
        pki.write("web.yml", half);
        config.reread().await;
        pki.write("web.yml", &text);
        config.reread().await;
        assert_eq!(
            (users_now(), config.status().successful()),
            (vec!["alice".to_owned()], true),
            "{half:?}"
        );
    }
    pki.write("web.yml", "{}");
    config.reread().await;
    assert_eq!(users_now(), ["alice"]);
    config.reread().await;
    assert!(users_now().is_empty());
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
async fn what_cannot_be_served_is_a_sentence_at_the_start() {
    let pki = Pki::new();
    let other = pki.leaf(&["x"]);
    pki.write("other.key", &other.key);
    pki.write("text", "hunter2");
    pki.write("large", &"x".repeat(1024 * 1024 + 1));
    let load = |keys: &str| {
        pki.write("web.yml", &format!("tls_server_config: {{{keys}}}"));
        WebConfig::load(pki.path("web.yml"))
            .map(drop)
            .map_err(|errors: ConfigErrors| errors.to_string())
            .unwrap_err()
    };
    let auth = "cert_file: server.crt, key_file: server.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file:";
    let cases = [
        (
            "cert_file: absent, key_file: server.key".to_owned(),
            "tls_server_config.cert_file: ",
            "absent cannot be read: No such file",
        ),
        (
            "cert_file: large, key_file: server.key".to_owned(),
            "tls_server_config.cert_file: ",
            "large is larger than any that is meant here",
        ),
        (
            "cert_file: ., key_file: server.key".to_owned(),
            "tls_server_config.cert_file: ",
            "is not a regular file",
        ),
        (
            "cert_file: text, key_file: server.key".to_owned(),
            "tls_server_config.cert_file: ",
            "text holds no certificate (PEM)",
        ),
        (
            "cert_file: server.crt, key_file: text".to_owned(),
            "tls_server_config.key_file: ",
            "text holds no private key (PEM)",
        ),
        (
            "cert_file: server.crt, key_file: other.key".to_owned(),
            "tls_server_config.key_file: ",
            "is not the key of the certificate in cert_file",
        ),
        (
            format!("{auth} text"),
            "tls_server_config.client_ca_file: ",
            "holds no certificate (PEM)",
        ),
    ];
    for (keys, place, part) in cases {
        let sentence = load(&keys);
        assert!(
            sentence.starts_with(place) && sentence.contains(part),
            "{keys}: {sentence}"
        );
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
    let absent = WebConfig::load(pki.path("absent.yml"))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(
        absent.contains("absent.yml: cannot be read: No such file"),
        "{absent}"
    );
}

/// Posts to `/-/reload` with exactly these headers.
async fn post(server: &Running, headers: &str) -> Reply {
    server
        .send(&format!(
            "POST /-/reload HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"
        ))
        .await
}

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn nobody_changes_anything_unless_it_is_enabled() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let host = format!("host: 127.0.0.1\r\n{JSON}");
    let plain = serve(Server::new(limits())).await;
    pki.write("web.yml", "http_server_config: {http2: true}");
    let headers_only = serve_with(limits(), pki.load()).await;
    for server in [plain, headers_only] {
        let reply = post(&server, &host).await;
        assert_eq!((reply.status, server.core.reloads()), (403, 0));
        assert!(
            reply.text().starts_with("not enabled: configure"),
            "{}",
            reply.text()
        );
    }
    pki.write_config(
        "client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem",
        "",
    );
    let server = serve_with(limits(), pki.load()).await;
    let text =
        format!("POST /-/reload HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{host}\r\n");
    let reply = pki.client(None).send(server.addr, &text).await.unwrap();
    assert!(
        reply.status == 403 && reply.text().starts_with("not without a certificate"),
        "{}",
        reply.text()
    );
    assert!(
        pki.client(Some(&stranger.leaf(&["x"])))
            .send(server.addr, &text)
            .await
            .is_none()
    );
    assert_eq!(server.core.reloads(), 0);
    let reply = pki
        .client(Some(&pki.leaf(&["x"])))
        .send(server.addr, &text)
        .await
        .unwrap();
    assert_eq!((reply.status, server.core.reloads()), (200, 1));
}

#[tokio::test]
async fn the_flag_is_for_clients_on_this_machine_and_no_page_of_another_site() {
    let server = serve(Server::new(limits()).with_admin_api(true)).await;
    let host = |host: &str| format!("host: {host}\r\n{JSON}");
    let refused = [
        ("host: 127.0.0.1\r\n".to_owned(), 415),
        (
            "host: 127.0.0.1\r\ncontent-type: text/plain\r\n".to_owned(),
            415,
        ),
        (
            "host: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\n".to_owned(),
            415,
        ),
        (host("127.0.0.1") + JSON, 415),
        (host("evil.example.com"), 421),
        (host("localhost.evil.example.com"), 421),
        (host("exporter.example.com"), 421),
        (host("127.0.0.1") + "host: evil.example.com\r\n", 421),
        (host("127.0.0.1@evil.example.com"), 421),
        (
            host("127.0.0.1") + "origin: http://evil.example.com\r\n",
            403,
        ),
        (host("127.0.0.1") + "origin: null\r\n", 403),
        (host("127.0.0.1:1") + "origin: http://127.0.0.1:2\r\n", 403),
        (host("127.0.0.1:1") + "origin: https://127.0.0.1:1\r\n", 403),
        (
            host("127.0.0.1") + "origin: http://127.0.0.1\r\norigin: http://evil\r\n",
            403,
        ),
        (host("127.0.0.1") + "x-forwarded-for: 192.0.2.1\r\n", 403),
        (host("127.0.0.1") + "forwarded: for=192.0.2.1\r\n", 403),
        (host("127.0.0.1") + "via: 1.1 proxy\r\n", 403),
    ];
    for (headers, status) in refused {
        let reply = post(&server, &headers).await;
        assert_eq!(
            (reply.status, server.core.reloads()),
            (status, 0),
            "{headers}: {}",
            reply.text()
        );
    }
    let accepted = [
        host("127.0.0.1"),
        host("127.0.0.1:10121"),
        host("[::1]:10121"),
        host("LOCALHOST:1"),
        host("192.0.2.7"),
        "host: localhost\r\ncontent-type: Application/JSON; charset=utf-8\r\n".to_owned(),
        host("localhost:1") + "origin: http://localhost:1\r\n",
    ];
    for (count, headers) in accepted.into_iter().enumerate() {
        let reply = post(&server, &headers).await;
        assert_eq!(
            (reply.status, server.core.reloads()),
            (200, count + 1),
            "{headers}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn a_request_line_with_another_host_counts_as_that_host() {
    let server = serve(Server::new(limits()).with_admin_api(true)).await;
    let text = format!(
        "POST http://evil.example.com/-/reload HTTP/1.1\r\nconnection: close\r\nhost: 127.0.0.1\r\n{JSON}\r\n"
    );
    assert_eq!(
        (server.send(&text).await.status, server.core.reloads()),
        (421, 0)
    );
}

#[tokio::test]
async fn who_has_a_password_may_reload_and_is_told_what_it_came_to() {
    let pki = Pki::new();
    pki.write("web.yml", &users(&[("alice", "secret")]));
    let server = serve_with(limits(), pki.load()).await;
    let host = format!("host: 127.0.0.1\r\n{JSON}");
    assert_eq!(
        (post(&server, &host).await.status, server.core.reloads()),
        (401, 0)
    );
    assert_eq!(
        (
            post(&server, &(host.clone() + &login("alice", "x")))
                .await
                .status,
            server.core.reloads()
        ),
        (401, 0)
    );
    let headers = host + &login("alice", "secret");
    let sentence = "reloaded: pairs added 1, removed 2, kept 3; replication trees whose polling began anew: 4; receivers: 5\n";
    let reply = post(&server, &headers).await;
    assert_eq!(
        (reply.status, reply.text(), server.core.reloads()),
        (200, sentence, 1)
    );
    let errors = ConfigErrors::one("pairs[0].name", "is missing: give a name");
    let failures = [
        (
            AdminError::Config(errors),
            500,
            "the new configuration is refused; the old one stays in force:\npairs[0].name: is missing: give a name\n",
        ),
        (
            AdminError::Busy,
            503,
            "several requests are waiting already: try again\n",
        ),
        (
            AdminError::ShuttingDown,
            503,
            "the exporter is about to end: nothing is changed\n",
        ),
    ];
    for (error, status, sentence) in failures {
        server.core.refuse_reloads(error);
        let reply = post(&server, &headers).await;
        assert_eq!((reply.status, reply.text()), (status, sentence));
    }
}

#[tokio::test]
async fn who_may_write_makes_and_ends_silences() {
    let pki = Pki::new();
    pki.write("web.yml", &users(&[("alice", "secret")]));
    let server = serve_with(limits(), pki.load()).await;
    let headers =
        format!("host: 127.0.0.1\r\nconnection: close\r\n{JSON}") + &login("alice", "secret");
    let ask = async |method: &str, path: &str, body: &str| {
        let length = body.len();
        let text =
            format!("{method} {path} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n{body}");
        server.send(&text).await
    };
    let silence =
        r#"{"matchers": {"pair": "a*"}, "duration_seconds": 60, "author": "me", "comment": "why"}"#;
    let made = ask("POST", "/api/v1/silences", silence).await;
    assert_eq!(
        (made.status, made.json()["id"].as_str()),
        (200, Some("0123456789abcdef"))
    );
    let cases = [
        (
            "POST",
            "/api/v1/silences",
            "{}",
            400,
            "the body is no silence: missing field `matchers`",
        ),
        (
            "POST",
            "/api/v1/silences",
            "x",
            400,
            "the body is no silence: expected value",
        ),
        (
            "POST",
            "/api/v1/silences",
            r#"{"matchers": {}, "author": "a", "comment": "b"}"#,
            400,
            "give either ends_timestamp",
        ),
        (
            "DELETE",
            "/api/v1/silences/ffffffffffffffff",
            "",
            404,
            "nothing is silenced: there is no silence ffffffffffffffff",
        ),
        (
            "DELETE",
            "/api/v1/silences/..%2f",
            "",
            404,
            "a silence is named by 16 hexadecimal digits",
        ),
    ];
    for (method, path, body, status, sentence) in cases {
        let reply = ask(method, path, body).await;
        let said = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(
            reply.status == status && said.starts_with(sentence),
            "{method} {path} {body}: {} {said}",
            reply.status
        );
    }
    assert_eq!(
        ask("DELETE", "/api/v1/silences/0123456789abcdef", "")
            .await
            .status,
        200
    );
    let asked = server.core.asked();
    assert_eq!(
        asked.len(),
        3,
        "what makes no sense asks for nothing: {asked:?}"
    );
    let AdminCommand::AddSilence(new) = &asked[0] else {
        panic!("{asked:?}")
    };
    assert_eq!(
        (
            new.matchers["pair"].as_str(),
            new.author.as_str(),
            new.comment.as_str()
        ),
        ("a*", "me", "why")
    );
}

#[tokio::test]
async fn a_silence_that_is_too_large_is_not_read_to_its_end() {
    let pki = Pki::new();
    pki.write("web.yml", &users(&[("alice", "secret")]));
    let server = serve_with(limits(), pki.load()).await;
    let headers =
        format!("host: 127.0.0.1\r\nconnection: close\r\n{JSON}") + &login("alice", "secret");
    let chunk = format!("{:x}\r\n{}\r\n", 65_537, " ".repeat(65_537));
    let text = format!(
        "POST /api/v1/silences HTTP/1.1\r\n{headers}transfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
    );
    let reply = server.send(&text).await;
    assert_eq!((reply.status, server.core.asked().len()), (413, 0));
}

#[tokio::test]
async fn over_https_the_certificates_names_are_ours_and_no_others() {
    let pki = Pki::new();
    pki.write_config("", &users(&[("alice", "secret")]));
    let server = serve_with(limits(), pki.load()).await;
    let cases = [
        ("exporter.example.com", "", 200),
        ("EXPORTER.example.com:10121", "", 200),
        (
            "exporter.example.com",
            "origin: https://exporter.example.com\r\n",
            200,
        ),
        (
            "exporter.example.com",
            "origin: http://exporter.example.com\r\n",
            403,
        ),
        ("evil.example.com", "", 421),
    ];
    for (host, more, status) in cases {
        let auth = login("alice", "secret");
        let text = format!(
            "POST /-/reload HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\nhost: {host}\r\n{JSON}{auth}{more}\r\n"
        );
        let reply = pki.client(None).send(server.addr, &text).await.unwrap();
        assert_eq!(reply.status, status, "{host} {more} {}", reply.text());
    }
}

#[tokio::test]
async fn nothing_but_a_post_changes_anything() {
    let pki = Pki::new();
    pki.write("web.yml", &users(&[("alice", "secret")]));
    let server = serve(
        Server::new(limits())
            .with_config(Some(pki.load()))
            .with_admin_api(true),
    )
    .await;
    let headers = format!("{JSON}{}", login("alice", "secret"));
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in [
            "/-/reload",
            "/-/reload?method=POST",
            "/",
            "/metrics",
            "/-/ready",
            "/api/v1/pairs",
        ] {
            let reply = server.ask(method, path, &headers).await;
            assert!(
                reply.status == 200 || reply.status == 405,
                "{method} {path}: {}",
                reply.status
            );
        }
    }
    assert_eq!(server.core.reloads(), 0);
    assert_eq!(server.ask("POST", "/-/reload/", &headers).await.status, 404);
}

#[tokio::test]
async fn our_own_client_gets_in_with_what_it_is_given_and_says_why_not() {
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
