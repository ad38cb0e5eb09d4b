//! The web configurations of Prometheus' exporter-toolkit (tests/fixtures/exporter-toolkit): each
//! is judged as the toolkit judges it, or docs/web.md says why not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::{CipherSuite, NamedGroup};

use super::pki::{Leaf, TlsClient};
use super::secure::{limits, login, serve_with};
use crate::web::WebConfig;
use crate::web::testing::Running;

/// What comes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The server starts with it.
    Starts,
    /// It does not.
    Refused,
}

use Verdict::{Refused, Starts};

/// Every file, and what the toolkit makes of it: by its tests (`web/tls_config_test.go`), or, for
/// the two that none of them names, by the code.
const FILES: [(&str, Verdict); 41] = [
    (
        "tls_config_noAuth.requireandverifyclientcert.good.yml",
        Starts,
    ),
    ("tls_config_noAuth.requireanyclientcert.good.yml", Starts),
    // In no test there.
    (
        "tls_config_noAuth.requireanyclientcertkeyinline.good.yml",
        Starts,
    ),
    ("web_config_auth_clientCAs_invalid.bad.yml", Refused),
    // In no test there. Go then takes the system's authorities.
    ("web_config_auth_clientCAs_missing.bad.yml", Starts),
    ("web_config_auth_client_san.bad.yaml", Starts),
    ("web_config_auth_client_san.good.yaml", Starts),
    ("web_config_auth_user_list_invalid.bad.yml", Refused),
    ("web_config_empty.yml", Starts),
    ("web_config_headers.good.yml", Starts),
    ("web_config_headers_content_type_options.bad.yml", Refused),
    ("web_config_headers_extra_header.bad.yml", Refused),
    ("web_config_headers_frame_options.bad.yml", Refused),
    ("web_config_junk.yml", Refused),
    ("web_config_junk_key.yml", Refused),
    ("web_config_noAuth.bad.yml", Refused),
    ("web_config_noAuth.good.blocking.yml", Starts),
    ("web_config_noAuth.good.yml", Starts),
    ("web_config_noAuth_allCiphers.good.yml", Starts),
    ("web_config_noAuth_allCurves.good.yml", Starts),
    ("web_config_noAuth_certPath_empty.bad.yml", Refused),
    ("web_config_noAuth_certPath_invalid.bad.yml", Refused),
    ("web_config_noAuth_certPath_keyPath_empty.bad.yml", Refused),
    (
        "web_config_noAuth_certPath_keyPath_invalid.bad.yml",
        Refused,
    ),
    ("web_config_noAuth_cert_empty.bad.yml", Refused),
    ("web_config_noAuth_inventedCiphers.bad.yml", Refused),
    ("web_config_noAuth_inventedCurves.bad.yml", Refused),
    ("web_config_noAuth_keyPath_empty.bad.yml", Refused),
    ("web_config_noAuth_keyPath_invalid.bad.yml", Refused),
    ("web_config_noAuth_key_empty.bad.yml", Refused),
    ("web_config_noAuth_noHTTP2.good.yml", Starts),
    ("web_config_noAuth_noHTTP2Cipher.bad.yml", Refused),
    ("web_config_noAuth_someCiphers.good.yml", Starts),
    ("web_config_noAuth_someCiphers_noOrder.good.yml", Starts),
    ("web_config_noAuth_someCurves.good.yml", Starts),
    ("web_config_noAuth_tlsInline.good.yml", Starts),
    ("web_config_noAuth_wrongTLSVersion.bad.yml", Refused),
    ("web_config_rate_limiter_nonblocking.yaml", Starts),
    ("web_config_rate_limiter_one_second.yaml", Starts),
    ("web_config_users.good.yml", Starts),
    ("web_config_users_noTLS.good.yml", Starts),
];

/// The files that are judged otherwise here, with what comes of them; docs/web.md says why.
const DIFFERENT: [(&str, Verdict); 2] = [
    ("web_config_noAuth_noHTTP2Cipher.bad.yml", Starts),
    ("web_config_noAuth_someCurves.good.yml", Refused),
];

/// The heading of the section of docs/web.md that says why.
const HEADING: &str = "## Where it differs from the toolkit";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exporter-toolkit")
}

fn load(file: &str) -> Result<WebConfig, String> {
    WebConfig::load(folder().join(file)).map_err(|errors| errors.to_string())
}

fn text(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

async fn serve(file: &str) -> Running {
    let config = load(file).unwrap_or_else(|errors| panic!("{file}: {errors}"));
    serve_with(limits(), config).await
}

/// A client that believes the authority of the files' certificates.
fn client() -> TlsClient {
    TlsClient::trusting(&text("tls-ca-chain.pem"), "localhost")
}

/// The certificate and key of a client.
fn leaf(name: &str) -> Leaf {
    Leaf {
        cert: text(&format!("{name}.pem")),
        key: text(&format!("{name}.key")),
    }
}

#[test]
fn every_file_is_judged_as_the_toolkit_judges_it_or_the_difference_is_documented() {
    let there: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("_config_"))
        .collect();
    let listed: BTreeSet<String> = FILES.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(there, listed);
    let mut different = BTreeMap::new();
    for (file, toolkit) in FILES {
        let ours = if load(file).is_ok() { Starts } else { Refused };
        if ours != toolkit {
            different.insert(file, ours);
        }
    }
    assert_eq!(different, BTreeMap::from(DIFFERENT));
    let document = include_str!("../../../docs/web.md");
    let (_, section) = document
        .split_once(HEADING)
        .expect("docs/web.md has the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `web_"));
    let documented: BTreeSet<String> = rows
        .map(|row| format!("web_{}", row.split_once('`').unwrap().0))
        .collect();
    let different: BTreeSet<String> = different.into_keys().map(str::to_owned).collect();
    assert_eq!(documented, different, "the table below {HEADING}");
}

#[test]
fn what_cannot_be_served_is_refused_with_the_key_and_the_reason() {
    let cases = [
        (
            "web_config_noAuth_someCurves.good.yml",
            "tls_server_config.curve_preferences: names no curve that this program has",
        ),
        (
            "web_config_noAuth_cert_empty.bad.yml",
            "tls_server_config.cert_file: is missing: give ",
        ),
        (
            "web_config_noAuth_certPath_keyPath_empty.bad.yml",
            "tls_server_config.cert_file: is missing: give ",
        ),
        (
            "web_config_auth_clientCAs_invalid.bad.yml",
            "tls_server_config.client_ca_file: asks no client for a certificate",
        ),
        (
            "web_config_auth_user_list_invalid.bad.yml",
            "basic_auth_users.john: the value is not a bcrypt hash",
        ),
    ];
    for (file, sentence) in cases {
        let errors = load(file).map(drop).unwrap_err();
        assert!(errors.contains(sentence), "{file}: {errors}");
    }
}

#[tokio::test]
async fn certificates_and_keys_are_taken_from_files_and_from_the_text_itself() {
    for file in [
        "web_config_noAuth.good.yml",
        "web_config_noAuth_tlsInline.good.yml",
        "web_config_noAuth_allCiphers.good.yml",
        "web_config_noAuth_allCurves.good.yml",
        "web_config_noAuth_noHTTP2.good.yml",
        "web_config_noAuth_noHTTP2Cipher.bad.yml",
    ] {
        let server = serve(file).await;
        let reply = client().get(server.addr, "/-/healthy").await;
        assert_eq!(reply.map(|reply| reply.status), Some(200), "{file}");
        assert_eq!(server.get("/-/healthy").await.status, 400, "{file}: HTTP");
    }
}

#[tokio::test]
async fn suites_of_tls_1_2_are_those_that_the_file_has_in_its_order_or_the_clients() {
    let small = cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let large = cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
    let other = cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256;
    let newer = cipher_suite::TLS13_AES_128_GCM_SHA256;
    let in_order = "web_config_noAuth_someCiphers.good.yml";
    let clients_order = "web_config_noAuth_someCiphers_noOrder.good.yml";
    let cases = [
        (in_order, &[small][..], Some(small)),
        (in_order, &[small, large], Some(small)),
        (in_order, &[large, small], Some(small)),
        (in_order, &[other], None),
        (in_order, &[newer], None),
        (clients_order, &[small, large], Some(small)),
        (clients_order, &[large, small], Some(large)),
    ];
    for (file, suites, agreed) in cases {
        let server = serve(file).await;
        let stream = client().suites(suites).connect(server.addr).await;
        let suite = stream.ok().map(|stream| {
            let suite = stream.get_ref().1.negotiated_cipher_suite();
            suite.expect("the handshake is complete").suite()
        });
        let agreed: Option<CipherSuite> = agreed.map(|suite| suite.suite());
        assert_eq!(suite, agreed, "{file}");
    }
}

#[tokio::test]
async fn suites_of_tls_1_3_are_not_restricted() {
    let server = serve("web_config_noAuth_allCiphers.good.yml").await;
    for suite in [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ] {
        let stream = client().suites(&[suite]).connect(server.addr).await;
        assert!(stream.is_ok(), "{suite:?}");
    }
}

#[tokio::test]
async fn keys_are_exchanged_on_the_curves_that_the_file_has() {
    let yaml = "tls_server_config: {cert_file: server.crt, key_file: server.key, curve_preferences: [CurveP384, CurveP521]}";
    let copy = tempfile::tempdir().unwrap();
    for name in ["server.crt", "server.key"] {
        fs::copy(folder().join(name), copy.path().join(name)).unwrap();
    }
    fs::write(copy.path().join("web.yml"), yaml).unwrap();
    let config = WebConfig::load(copy.path().join("web.yml")).unwrap();
    let server = serve_with(limits(), config).await;
    let group = async |client: TlsClient| {
        let stream = client.connect(server.addr).await.ok()?;
        let group = stream.get_ref().1.negotiated_key_exchange_group();
        Some(group.expect("the handshake is complete").name())
    };
    for old in [false, true] {
        let client = || if old { client().old() } else { client() };
        let all = [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        assert_eq!(
            group(client().groups(&all)).await,
            Some(NamedGroup::secp384r1)
        );
        assert_eq!(group(client().groups(&[kx_group::X25519])).await, None);
    }
}

#[tokio::test]
async fn clients_show_what_the_file_asks_for() {
    let none = None;
    let one = Some(leaf("client_selfsigned"));
    let two = Some(leaf("client2_selfsigned"));
    // What a client gets that shows nothing, the first certificate, the second one.
    let cases = [
        ("web_config_noAuth.good.yml", [true, false, false]),
        ("web_config_noAuth.good.blocking.yml", [false, false, false]),
        (
            "web_config_auth_clientCAs_missing.bad.yml",
            [false, false, false],
        ),
        (
            "tls_config_noAuth.requireanyclientcert.good.yml",
            [false, true, true],
        ),
        (
            "tls_config_noAuth.requireanyclientcertkeyinline.good.yml",
            [false, true, true],
        ),
        (
            "tls_config_noAuth.requireandverifyclientcert.good.yml",
            [false, true, false],
        ),
        ("web_config_auth_client_san.good.yaml", [false, false, true]),
        ("web_config_auth_client_san.bad.yaml", [false, false, false]),
    ];
    for (file, accepted) in cases {
        let server = serve(file).await;
        for old in [false, true] {
            for (leaf, accepted) in [&none, &one, &two].into_iter().zip(accepted) {
                let client = client().showing(leaf.as_ref());
                let client = if old { client.old() } else { client };
                let reply = client.get(server.addr, "/-/healthy").await;
                let status = reply.map(|reply| reply.status);
                let shown = leaf.as_ref().map(|leaf| &leaf.cert);
                assert_eq!(status, accepted.then_some(200), "{file} {old} {shown:?}");
            }
        }
    }
}

#[tokio::test]
async fn users_log_in_with_and_without_https() {
    let ask = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let cases = [
        (String::new(), 401),
        (login("dave", "dave123"), 200),
        (login("carol", "carol123"), 200),
        (login("dave", "bad"), 401),
    ];
    let plain = serve("web_config_users_noTLS.good.yml").await;
    let secured = serve("web_config_users.good.yml").await;
    for (header, status) in cases {
        assert_eq!(plain.ask("GET", "/metrics", &header).await.status, status);
        let request = format!("{ask}{header}\r\n");
        let reply = client().send(secured.addr, &request).await.unwrap();
        assert_eq!(reply.status, status, "{header}");
    }
}

#[tokio::test]
async fn a_bucket_without_room_answers_nothing_but_health_checks_of_this_machine() {
    let server = serve("web_config_rate_limiter_one_second.yaml").await;
    for path in ["/", "/metrics", "/api/v1/pairs"] {
        let reply = server.get(path).await;
        assert_eq!(reply.status, 429, "{path}");
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
    let proxied = server.ask("GET", "/-/healthy", "x-forwarded-for: 192.0.2.1\r\n");
    assert_eq!(proxied.await.status, 429);
    let unlimited = serve("web_config_rate_limiter_nonblocking.yaml").await;
    for _ in 0..10 {
        assert_eq!(unlimited.get("/metrics").await.status, 200);
    }
}

#[tokio::test]
async fn the_headers_of_the_file_are_sent() {
    let server = serve("web_config_headers.good.yml").await;
    let reply = server.get("/").await;
    for (name, value) in [
        ("x-frame-options", "deny"),
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-xss-protection", "1"),
        (
            "content-security-policy",
            "default-src 'self' *.test.example.net",
        ),
    ] {
        assert_eq!(reply.header(name), value);
    }
}
