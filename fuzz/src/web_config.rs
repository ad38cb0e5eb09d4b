//! The web configuration: who may ask this exporter, and over what.

use std::fmt::Write as _;
use std::path::Path;

use redis_cross_dc_exporter::config::{
    ConfigErrors, PemSource, TlsVersion, WebSettings, WebTlsSettings, parse_web,
};

use super::config;

/// The text of a file, in the encoding that it came in. What is accepted is bounded, can be served,
/// shows no hash, and reads back from a file that says the same; what is refused is refused in
/// bounded, visible sentences.
pub fn run(data: &[u8]) {
    match read(&String::from_utf8_lossy(data)) {
        Ok(settings) => accepted(&settings),
        Err(errors) => config::refused(&errors),
    }
}

fn read(text: &str) -> Result<WebSettings, ConfigErrors> {
    parse_web(text, Path::new("/etc"))
}

fn accepted(settings: &WebSettings) {
    settings.tls.iter().for_each(served);
    for (name, hash) in &settings.users {
        assert!(
            (1..=128).contains(&name.len())
                && !name.contains(':')
                && !name.contains(char::is_control),
            "{name:?}"
        );
        assert!(
            (4..=18).contains(&hash.cost()) && hash.reveal().len() == 60,
            "{name:?}"
        );
        assert!(
            !format!("{hash:?}").contains(hash.reveal()),
            "a hash is a secret"
        );
    }
    for (header, value) in &settings.headers {
        let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        assert!(
            (1..=4096).contains(&value.len()) && printable,
            "{header:?}: {value:?}"
        );
    }
    let printed = printed(settings);
    let again = read(&printed).unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
    assert_eq!(&again, settings, "{printed}");
}

fn served(tls: &WebTlsSettings) {
    assert!(tls.min_version <= tls.max_version);
    for source in [&tls.cert, &tls.key].into_iter().chain(&tls.client_ca) {
        match source {
            PemSource::File(path) => {
                assert!(path.is_absolute(), "relative to what? {}", path.display());
            }
            PemSource::Inline(text) => assert!(!text.reveal().is_empty()),
        }
    }
}

/// The file that says `settings`.
fn printed(settings: &WebSettings) -> String {
    let users = settings
        .users
        .iter()
        .map(|(name, hash)| entry(name, hash.reveal()));
    let headers = settings
        .headers
        .iter()
        .map(|(header, value)| entry(header.name(), value));
    let mut file = format!("basic_auth_users: {{{}}}\n", users.collect::<String>());
    let _ = writeln!(
        file,
        "http_server_config: {{headers: {{{}}}}}",
        headers.collect::<String>()
    );
    let tls = settings.tls.as_ref().map(printed_tls).unwrap_or_default();
    let _ = writeln!(file, "tls_server_config: {{{tls}}}");
    if let Some(limit) = settings.rate_limit {
        let interval = limit.interval.as_nanos();
        let burst = limit.burst;
        let _ = writeln!(
            file,
            "rate_limit: {{interval: {interval}ns, burst: {burst}}}"
        );
    }
    file
}

fn printed_tls(tls: &WebTlsSettings) -> String {
    let version = |version| {
        if version == TlsVersion::Tls12 {
            "TLS12"
        } else {
            "TLS13"
        }
    };
    let mut entries = vec![
        pem("cert", &tls.cert),
        pem("key", &tls.key),
        entry("client_auth_type", tls.client_auth.label()),
        entry("min_version", version(tls.min_version)),
        entry("max_version", version(tls.max_version)),
        list(
            "cipher_suites",
            tls.cipher_suites.iter().map(|suite| suite.label()),
        ),
        list(
            "curve_preferences",
            tls.curves.iter().map(|curve| curve.label()),
        ),
        format!("prefer_server_cipher_suites: {}, ", tls.prefer_server_order),
    ];
    entries.extend(tls.client_ca.iter().map(|source| pem("client_ca", source)));
    if let Some(names) = &tls.client_allowed_sans {
        entries.push(list(
            "client_allowed_sans",
            names.iter().map(String::as_str),
        ));
    }
    entries.concat()
}

fn pem(key: &str, source: &PemSource) -> String {
    match source {
        PemSource::File(path) => {
            let path = path.to_str().expect("it came from a text");
            entry(&format!("{key}_file"), path)
        }
        PemSource::Inline(text) => entry(key, text.reveal()),
    }
}

/// A list as an entry of a mapping in braces.
fn list<'a>(key: &str, items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(quoted).collect();
    format!("{}: [{}], ", quoted(key), items.join(", "))
}

/// One entry of a mapping in braces.
fn entry(key: &str, value: &str) -> String {
    format!("{}: {}, ", quoted(key), quoted(value))
}

/// `text` as YAML in double quotes, with nothing in it that YAML could mean otherwise.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
        }
    }
    quoted + "\""
}
