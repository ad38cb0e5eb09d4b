//! What the web configuration may hold, and which sentence refuses the rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::read::{HTTP, TLS, UNSUPPORTED};
use super::*;
use crate::config::schema::Keys;

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
        "# nothing\n---\n",
        "tls_server_config:\nbasic_auth_users:\n",
        "tls_server_config: {}",
        "{}",
    ] {
        assert_eq!(read(yaml), Ok(WebSettings::default()), "{yaml:?}");
    }
}

#[test]
fn tls_paths_are_relative_to_the_file_and_defaults_are_the_toolkits() {
    let tls = tls_of("");
    assert_eq!(tls.cert_file, Path::new("/etc/exporter/a.crt"));
    assert_eq!(tls.key_file, Path::new("/k/a.key"));
    assert_eq!(tls.client_auth, ClientAuth::None);
    assert_eq!(
        (tls.min_version, tls.max_version),
        (TlsVersion::Tls12, TlsVersion::Tls13)
    );
    let ca = PathBuf::from("/etc/exporter/ca.pem");
    let cases = [
        ("VerifyClientCertIfGiven", ClientAuth::IfGiven(ca.clone())),
        ("RequireAndVerifyClientCert", ClientAuth::Required(ca)),
    ];
    for (kind, client_auth) in cases {
        assert_eq!(
            tls_of(&format!("client_auth_type: {kind}, client_ca_file: ca.pem")).client_auth,
            client_auth
        );
    }
    assert_eq!(
        tls_of("client_auth_type: NoClientCert, max_version: TLS12").max_version,
        TlsVersion::Tls12
    );
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
            tls("cipher_suites: [A]"),
            "tls_server_config.cipher_suites: not supported: rustls' defaults are used",
        ),
        (
            tls("curve_preferences: [A]"),
            "tls_server_config.curve_preferences: not supported: rustls' defaults",
        ),
        (
            tls("prefer_server_cipher_suites: true"),
            "tls_server_config.prefer_server_cipher_suites: not supported: ",
        ),
        (
            tls("client_allowed_sans: [a]"),
            "tls_server_config.client_allowed_sans: not supported: ",
        ),
        (
            tls("key: hunter2"),
            "tls_server_config.key: not supported: put it into a file",
        ),
        (
            "rate_limit: {burst: 1}".to_owned(),
            "rate_limit: not supported: ",
        ),
        (
            "tls_server_config: {cert_file: a}".to_owned(),
            "tls_server_config.key_file: is missing: give the file of",
        ),
        (
            tls("min_version: TLS10"),
            "tls_server_config.min_version: \"TLS10\" is not a version that is supported; allowed: TLS12, TLS13",
        ),
        (
            tls("min_version: TLS13, max_version: TLS12"),
            "tls_server_config.max_version: is below min_version",
        ),
        (
            tls("client_auth_type: RequireAnyClientCert"),
            "tls_server_config.client_auth_type: \"RequireAnyClientCert\" is not supported: it takes certificates that nobody verified",
        ),
        (
            tls("client_auth_type: Maybe"),
            "tls_server_config.client_auth_type: \"Maybe\" is not a policy for clients; allowed: NoClientCert, ",
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert"),
            "tls_server_config.client_ca_file: is missing: ",
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
                HASH.replace("$04$", "$17$")
            ),
            "basic_auth_users.alice: the value is a bcrypt hash of another cost than 4 to 16",
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
            " \n".to_owned(),
            "web configuration: is empty; write {} to switch everything off",
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
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<_> = rows
        .map(|(key, _)| key.to_owned())
        .filter(|key| !key.starts_with("--"))
        .collect();
    let of = |path: &str, keys: &Keys| {
        keys.names()
            .map(|key| format!("{path}{key}"))
            .collect::<Vec<_>>()
    };
    let mut keys = of("tls_server_config.", &TLS);
    keys.extend(of("http_server_config.", &HTTP));
    keys.push("basic_auth_users".to_owned());
    assert_eq!(documented, keys.into_iter().collect());
    for (_, keys) in UNSUPPORTED {
        for (key, _) in *keys {
            assert!(text.contains(&format!("`{key}`")), "{key}");
        }
    }
    let (_, example) = text.split_once("```yaml web-config.yml\n").unwrap();
    let settings = read(example.split_once("```").unwrap().0).unwrap();
    assert!(settings.tls.is_some() && settings.users.len() == 1 && !settings.headers.is_empty());
}
