//! The web configuration: who may ask this exporter, and over what.

use std::fmt::Write as _;
use std::path::Path;

use redis_cross_dc_exporter::config::{
    ClientAuth, ConfigErrors, TlsVersion, WebSettings, WebTlsSettings, parse_web,
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
            (4..=16).contains(&hash.cost()) && hash.reveal().len() == 60,
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
    let authorities = authorities(tls).1;
    for path in [&tls.cert_file, &tls.key_file]
        .into_iter()
        .chain(authorities)
    {
        assert!(path.is_absolute(), "relative to what? {}", path.display());
    }
}

fn authorities(tls: &WebTlsSettings) -> (&'static str, Option<&std::path::PathBuf>) {
    match &tls.client_auth {
        ClientAuth::None => ("NoClientCert", None),
        ClientAuth::IfGiven(path) => ("VerifyClientCertIfGiven", Some(path)),
        ClientAuth::Required(path) => ("RequireAndVerifyClientCert", Some(path)),
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
    let path = |path: &Path| path.to_str().expect("it came from a text").to_owned();
    let (policy, authorities) = authorities(tls);
    let mut entries = vec![
        ("cert_file", path(&tls.cert_file)),
        ("key_file", path(&tls.key_file)),
        ("client_auth_type", policy.to_owned()),
        ("min_version", version(tls.min_version).to_owned()),
        ("max_version", version(tls.max_version).to_owned()),
    ];
    entries.extend(authorities.map(|file| ("client_ca_file", path(file))));
    entries
        .iter()
        .map(|(key, value)| entry(key, value))
        .collect()
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
