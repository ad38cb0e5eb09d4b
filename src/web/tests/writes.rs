//! Write access: who may reload, replay and silence.

use super::pki::Pki;
use super::secure::{JSON, limits, login, serve, serve_with, users};
use crate::admin::{AdminCommand, AdminError};
use crate::config::ConfigErrors;
use crate::web::Server;
use crate::web::testing::{Reply, Running};

/// Posts to `/-/reload` with exactly these headers.
async fn post(server: &Running, headers: &str) -> Reply {
    server
        .send(&format!(
            "POST /-/reload HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"
        ))
        .await
}

#[tokio::test]
async fn without_the_flag_or_a_login_every_write_is_refused() {
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
async fn a_certificate_that_proves_nothing_gives_no_write_access() {
    let pki = Pki::new();
    let host = format!("host: 127.0.0.1\r\n{JSON}");
    let text =
        format!("POST /-/reload HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{host}\r\n");
    let stranger = Pki::new().leaf(&["x"]);
    let own = pki.own_leaf();
    let unverified = "client_auth_type: RequireAnyClientCert, client_ca_file: ca.pem";
    let by_others = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: others.pem";
    pki.write("others.pem", &Pki::new().ca_pem);
    for (keys, leaf) in [
        (unverified, &stranger),
        (unverified, &own),
        (by_others, &own),
    ] {
        pki.write_config(keys, "");
        let server = serve_with(limits(), pki.load()).await;
        let client = pki.client(Some(leaf));
        let read = client.get(server.addr, "/metrics").await.unwrap();
        assert_eq!(read.status, 200, "{keys}");
        let written = client.send(server.addr, &text).await.unwrap();
        assert_eq!((written.status, server.core.reloads()), (403, 0), "{keys}");
    }
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
async fn a_client_with_a_password_may_reload_and_receives_the_result() {
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
    let sentence = "reloaded: pairs added 1, removed 2, kept 3; replication trees whose polling started again: 4; receivers: 5\n";
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
async fn authorised_clients_create_and_expire_silences() {
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
async fn an_operation_that_is_too_large_is_not_read_to_its_end() {
    let pki = Pki::new();
    pki.write("web.yml", &users(&[("alice", "secret")]));
    let server = serve_with(limits(), pki.load()).await;
    let headers =
        format!("host: 127.0.0.1\r\nconnection: close\r\n{JSON}") + &login("alice", "secret");
    let chunk = format!("{:x}\r\n{}\r\n", 32_769, " ".repeat(32_769));
    let text = format!(
        "POST /api/v1/operations HTTP/1.1\r\n{headers}transfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
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
