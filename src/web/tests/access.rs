//! Passwords, configured headers, and the web configuration's file.

use super::pki::{Pki, remove};
use super::secure::{SHORT, limits, login, serve_with, until, users};
use crate::config::ConfigErrors;
use crate::report::testing::Scene;
use crate::web::{Limits, WebConfig, WebConfigStatus};

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
        for path in ["/metrics", "/", "/nowhere"] {
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
async fn a_password_that_takes_longer_to_check_than_a_request_may_is_accepted_later() {
    let pki = Pki::new();
    let hash = bcrypt::hash("secret", 12).unwrap();
    pki.write("web.yml", &format!("basic_auth_users: {{alice: '{hash}'}}"));
    let limits = Limits {
        request: SHORT / 4,
        ..limits()
    };
    let server = serve_with(limits, pki.load()).await;
    let ask = async || {
        server
            .ask("GET", "/metrics", &login("alice", "secret"))
            .await
    };
    let first = ask().await;
    assert_eq!(first.status, 503);
    assert_eq!(first.header("retry-after"), "1");
    until("the login is accepted", async || ask().await.status == 200).await;
}

#[tokio::test]
async fn health_checks_of_this_machine_get_a_word_without_a_password() {
    let pki = Pki::new();
    pki.write("web.yml", &users(&[("alice", "secret")]));
    let server = serve_with(limits(), pki.load()).await;
    let proxied = "x-forwarded-for: 192.0.2.1\r\n".to_owned();
    let cases = [
        (String::new(), 200, "ok\n"),
        ("authorization: Bearer x\r\n".to_owned(), 200, "ok\n"),
        (login("alice", "secret"), 200, "healthy\n"),
        (login("alice", "wrong"), 401, ""),
        (proxied, 401, ""),
    ];
    for (header, status, word) in cases {
        let reply = server.ask("GET", "/-/healthy", &header).await;
        assert_eq!(reply.status, status, "{header}");
        assert!(word.is_empty() || reply.text() == word, "{header}");
    }
    server.show(Scene::NothingYet);
    let reply = server.get("/-/ready").await;
    assert_eq!((reply.status, reply.text()), (503, "not ok\n"));
    let known = server
        .ask("GET", "/-/ready", &login("alice", "secret"))
        .await;
    assert!(known.text().starts_with("not ready: "), "{}", known.text());
}

#[tokio::test]
async fn configured_headers_replace_the_exporters_own() {
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
async fn a_changed_file_becomes_active_and_a_broken_one_does_not() {
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
async fn contents_that_are_there_for_a_moment_are_ignored() {
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
async fn an_empty_file_is_as_good_as_none_but_switches_nothing_off() {
    let pki = Pki::new();
    pki.write("web.yml", "");
    let mut config = pki.load();
    let published = config.watch_active();
    let users_now = || published.borrow().user_names();
    let cases = [
        (users(&[("alice", "one")]), 1, true),
        (" \n".to_owned(), 1, false),
        ("# nobody\n".to_owned(), 0, true),
        (String::new(), 0, true),
    ];
    for (text, count, successful) in cases {
        pki.write("web.yml", &text);
        for _ in 0..3 {
            config.reread().await;
        }
        assert_eq!(users_now().len(), count, "{text:?}");
        assert_eq!(config.status().successful(), successful, "{text:?}");
    }
}

#[tokio::test]
async fn a_web_configuration_that_cannot_be_served_is_an_error_at_the_start() {
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
            "other.key is not the key of the certificate",
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
