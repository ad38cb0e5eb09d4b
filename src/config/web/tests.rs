//! What the web configuration may hold, and which sentence refuses the rest.

use std::collections::BTreeSet;
use std::path::Path;

use super::rate_limit::RATE_LIMIT;
use super::read::HTTP;
use super::tls::TLS;
use super::*;
use crate::config::schema::Keys;
use crate::model::{Secret, Span};

/// Of the password `hunter2`.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm";

fn read(yaml: &str) -> Result<WebSettings, String> {
    parse_web(yaml, Path::new("/etc/exporter")).map_err(|errors| errors.to_string())
}

fn tls_of(keys: &str) -> WebTlsSettings {
    let yaml = format!("tls_server_config: {{cert_file: a.crt, key_file: /k/a.key, {keys}}}");
    read(&yaml)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .tls
        .unwrap()
}

#[test]
fn an_empty_configuration_switches_nothing_on() {
    for yaml in [
        "",
        " \n",
        "# nothing\n---\n",
        "tls_server_config:\nbasic_auth_users:\n",
        "tls_server_config: {}",
        "tls_server_config: {cert_file: '', key_file: '', client_auth_type:}",
        "rate_limit: {interval: 0, burst: 0}",
        "rate_limit: {interval: 0s}",
        "rate_limit: {burst: 7}",
        "rate_limit:",
        "{}",
    ] {
        assert_eq!(read(yaml), Ok(WebSettings::default()), "{yaml:?}");
    }
}

#[test]
fn tls_paths_are_relative_to_the_file_and_defaults_are_the_toolkits() {
    let file = |path: &str| PemSource::File(path.into());
    let expected = WebTlsSettings {
        cert: file("/etc/exporter/a.crt"),
        key: file("/k/a.key"),
        client_auth: ClientAuth::None,
        client_ca: None,
        client_allowed_sans: None,
        min_version: TlsVersion::Tls12,
        max_version: TlsVersion::Tls13,
        cipher_suites: Vec::new(),
        prefer_server_order: false,
        curves: Vec::new(),
    };
    assert_eq!(tls_of(""), expected);
    let ca = tls_of("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem");
    assert_eq!(ca.client_ca, Some(file("/etc/exporter/ca.pem")));
    let kinds = [
        ("", ClientAuth::None),
        ("NoClientCert", ClientAuth::None),
        ("RequestClientCert", ClientAuth::Request),
        ("RequireClientCert", ClientAuth::RequireAny),
        ("RequireAnyClientCert", ClientAuth::RequireAny),
        ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
        ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
    ];
    for (kind, client_auth) in kinds {
        let tls = tls_of(&format!("client_auth_type: '{kind}'"));
        assert_eq!(tls.client_auth, client_auth, "{kind}");
    }
    let versions = [
        ("min_version: TLS10", TlsVersion::Tls12, TlsVersion::Tls13),
        ("min_version: TLS11", TlsVersion::Tls12, TlsVersion::Tls13),
        ("min_version: TLS13", TlsVersion::Tls13, TlsVersion::Tls13),
        ("max_version: TLS12", TlsVersion::Tls12, TlsVersion::Tls12),
    ];
    for (keys, min, max) in versions {
        let tls = tls_of(keys);
        assert_eq!((tls.min_version, tls.max_version), (min, max), "{keys}");
    }
}

#[test]
fn what_is_written_inline_is_taken_and_never_shown() {
    let yaml = "tls_server_config: {cert: hunter2, cert_file: '', key: hunter2, client_ca: hunter2, \
                client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [a, 10.0.0.1]}";
    let settings = read(yaml).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let tls = settings.tls.unwrap();
    let inline = PemSource::Inline(Secret::new("hunter2"));
    assert_eq!(tls.cert, inline);
    assert_eq!(tls.key, inline);
    assert_eq!(tls.client_ca, Some(inline));
    let names = ["a", "10.0.0.1"].map(str::to_owned);
    assert_eq!(tls.client_allowed_sans, Some(names.to_vec()));
}

#[test]
fn suites_and_curves_keep_their_order() {
    let suites = "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]";
    let tls = tls_of(&format!("{suites}, curve_preferences: [X25519, CurveP384]"));
    let expected = [
        CipherSuite::EcdheRsaAes256GcmSha384,
        CipherSuite::Aes128GcmSha256,
    ];
    assert_eq!(tls.cipher_suites, expected);
    assert_eq!(tls.curves, [Curve::X25519, Curve::P384]);
    assert!(tls.prefer_server_order);
    let clients_order = tls_of(&format!("{suites}, prefer_server_cipher_suites: false"));
    assert!(!clients_order.prefer_server_order);
}

#[test]
fn numbers_are_values_of_headers_and_a_rate_has_an_interval() {
    let yaml = "http_server_config: {headers: {X-XSS-Protection: 1}}\nrate_limit: {interval: 1.5s, burst: 20}";
    let settings = read(yaml).unwrap();
    assert_eq!(settings.headers[&WebHeader::XXssProtection], "1");
    let limit = RateLimit {
        interval: Span::from_millis(1500),
        burst: 20,
    };
    assert_eq!(settings.rate_limit, Some(limit));
}

#[test]
fn users_and_headers_are_read_and_blank_headers_set_nothing() {
    let yaml = format!(
        "basic_auth_users: {{alice: '{HASH}'}}\nhttp_server_config: {{http2: true, headers: {{X-Frame-Options: deny, \
         Strict-Transport-Security: max-age=60, X-XSS-Protection: ''}}}}"
    );
    let settings = read(&yaml).unwrap();
    let hash = &settings.users["alice"];
    assert_eq!((hash.reveal(), hash.cost()), (HASH, 4));
    let headers: Vec<_> = settings
        .headers
        .iter()
        .map(|(h, v)| (h.name(), v.as_str()))
        .collect();
    assert_eq!(
        headers,
        [
            ("X-Frame-Options", "deny"),
            ("Strict-Transport-Security", "max-age=60")
        ]
    );
    assert!(!format!("{settings:?}").contains(&HASH[7..]));
}

#[test]
fn a_refusal_names_the_key_and_what_is_allowed() {
    let tls = |keys: &str| format!("tls_server_config: {{cert_file: a, key_file: b, {keys}}}");
    let header = |line: &str| format!("http_server_config: {{headers: {{{line}}}}}");
    let cases = [
        (
            "tls_server: {}".to_owned(),
            "tls_server: is not a known key; allowed here: tls_server_config, ",
        ),
        (
            tls("certfile: x"),
            "tls_server_config.certfile: is not a known key (did you mean cert_file?); allowed here",
        ),
        (
            tls("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]"),
            "tls_server_config.cipher_suites[0]: \"TLS_RSA_WITH_RC4_128_SHA\" is not known to Prometheus' toolkit",
        ),
        (
            tls("curve_preferences: [X25519, CurveP257]"),
            "tls_server_config.curve_preferences[1]: \"CurveP257\" is not known to Prometheus' toolkit",
        ),
        (
            tls("cipher_suites: A"),
            "tls_server_config.cipher_suites: a text is not a list",
        ),
        (
            tls("prefer_server_cipher_suites: maybe"),
            "tls_server_config.prefer_server_cipher_suites: \"maybe\" is not true or false",
        ),
        (
            tls("client_allowed_sans: [a]"),
            "tls_server_config.client_allowed_sans: asks no client for a certificate",
        ),
        (
            tls("key: hunter2"),
            "tls_server_config.key_file: key is given as well; give one of key and key_file",
        ),
        (
            "tls_server_config: {cert: 1, key: hunter2}".to_owned(),
            "tls_server_config.cert: the value is not text (PEM)",
        ),
        (
            "tls_server_config: {min_version: TLS13, key_file: b}".to_owned(),
            "tls_server_config.cert_file: is missing: give the file of the certificate (PEM), or the certificate itself as cert",
        ),
        (
            "rate_limit: {interval: 1}".to_owned(),
            "rate_limit.interval: 1 has no unit; write 1s or 1ms",
        ),
        (
            "rate_limit: {interval: soon}".to_owned(),
            "rate_limit.interval: \"soon\" is not a duration; write it like 100ms, 1.5s or 1m",
        ),
        (
            "rate_limit: {interval: 1s, burst: 1000000001}".to_owned(),
            "rate_limit.burst: 1000000001 is out of range",
        ),
        (
            "rate_limit: {interval: 1s, burst: -1}".to_owned(),
            "rate_limit.burst: -1 is out of range",
        ),
        (
            "tls_server_config: {cert_file: a}".to_owned(),
            "tls_server_config.key_file: is missing: give the file of the private key (PEM), or the private key itself as key",
        ),
        (
            tls("min_version: TLS14"),
            "tls_server_config.min_version: \"TLS14\" is not a version of TLS; allowed: TLS10, TLS11, TLS12, TLS13",
        ),
        (
            tls("max_version: TLS11"),
            "tls_server_config.max_version: \"TLS11\" is not a version that can be the newest here; allowed: TLS12, TLS13",
        ),
        (
            tls("min_version: TLS13, max_version: TLS12"),
            "tls_server_config.max_version: is below min_version",
        ),
        (
            tls("client_auth_type: Maybe"),
            "tls_server_config.client_auth_type: \"Maybe\" is not a policy for clients; allowed: NoClientCert, ",
        ),
        (
            tls("client_ca_file: ca"),
            "tls_server_config.client_ca_file: asks no client for a certificate",
        ),
        (
            "basic_auth_users: {alice: hunter2}".to_owned(),
            "basic_auth_users.alice: the value is not a bcrypt hash",
        ),
        (
            format!(
                "basic_auth_users: {{alice: '{}'}}",
                HASH.replace("$04$", "$19$")
            ),
            "basic_auth_users.alice: the value is a bcrypt hash of another cost than 4 to 18",
        ),
        (
            format!("basic_auth_users: {{'a:b': '{HASH}'}}"),
            "basic_auth_users[\"a:b\"]: is not a user's name; allowed: ",
        ),
        (
            "http_server_config: {http2: maybe}".to_owned(),
            "http_server_config.http2: \"maybe\" is not true or false",
        ),
        (
            header("Server: x"),
            "http_server_config.headers.Server: is not a header that can be set; allowed: Content-Security-Policy, ",
        ),
        (
            header("X-Frame-Options: DENY"),
            "http_server_config.headers.X-Frame-Options: \"DENY\" is not allowed here; allowed: deny, sameorigin",
        ),
        (
            header("Content-Security-Policy: \"a\\nb\""),
            "http_server_config.headers.Content-Security-Policy: \"a\\nb\" is not a header's value",
        ),
        (
            "[]".to_owned(),
            "web configuration: is not a valid YAML configuration: it must be a mapping of sections",
        ),
    ];
    for (yaml, sentence) in cases {
        let errors = read(&yaml).unwrap_err();
        assert!(
            errors.starts_with(sentence),
            "{yaml}\n{errors}\nwanted: {sentence}"
        );
        assert_eq!(errors.lines().count(), 1, "{yaml}\n{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
    let policy = |length| {
        format!(
            "http_server_config: {{headers: {{Content-Security-Policy: {}}}}}",
            "x".repeat(length)
        )
    };
    assert!(read(&policy(4096)).is_ok());
    assert!(
        read(&policy(4097))
            .unwrap_err()
            .contains("allowed: up to 4096 printable ASCII characters")
    );
}

#[test]
fn the_documentation_has_every_key_and_an_example_that_reads() {
    let text = include_str!("../../../docs/web.md");
    let (table, _) = text.split_once("\n## ").unwrap();
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<_> = rows.map(|(key, _)| key.to_owned()).collect();
    let of = |path: &str, keys: &Keys| {
        keys.names()
            .map(|key| format!("{path}{key}"))
            .collect::<Vec<_>>()
    };
    let mut keys = of("tls_server_config.", &TLS);
    keys.extend(of("http_server_config.", &HTTP));
    keys.extend(of("rate_limit.", &RATE_LIMIT));
    keys.push("basic_auth_users".to_owned());
    assert_eq!(documented, keys.into_iter().collect());
    let (_, example) = text.split_once("```yaml web-config.yml\n").unwrap();
    let settings = read(example.split_once("```").unwrap().0).unwrap();
    assert!(settings.tls.is_some() && settings.users.len() == 1 && !settings.headers.is_empty());
}
