//! Reads and checks the web configuration.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ClientAuth, PasswordHash, TlsVersion, WebHeader, WebSettings, WebTlsSettings};
use crate::config::cursor::{Context, Cursor, Section};
use crate::config::error::{ConfigErrors, Problems};
use crate::config::files::FileCollector;
use crate::config::format::{self, Format};
use crate::config::node::{Node, Table, key_path};
use crate::config::schema::{Key, Keys};
use crate::config::small_file::{MAX_PEM_BYTES, read_small_file};

/// The longest value of a header: a content security policy is the longest and has some hundred
/// bytes.
const MAX_HEADER_BYTES: usize = 4096;

pub(super) static ROOT: Keys = Keys::new(&[
    Key::section("tls_server_config", &TLS),
    Key::collection("basic_auth_users", "mapping"),
    Key::section("http_server_config", &HTTP),
]);

pub(super) static TLS: Keys = Keys::new(&[
    Key::text("cert_file"),
    Key::text("key_file"),
    Key::text("client_auth_type"),
    Key::text("client_ca_file"),
    Key::text("min_version"),
    Key::text("max_version"),
]);

pub(super) static HTTP: Keys =
    Keys::new(&[Key::flag("http2"), Key::collection("headers", "mapping")]);

const OWN_SUITES: &str = "not supported: rustls' defaults are used, which are all safe; remove it";
const FILES_ONLY: &str = "not supported: put it into a file and name that";

/// Keys of the toolkit that are refused, each with its reason: to ignore one could leave a door
/// open.
pub(super) const UNSUPPORTED: &[(&str, &[(&str, &str)])] = &[
    (
        "tls_server_config",
        &[
            ("cipher_suites", OWN_SUITES),
            ("curve_preferences", OWN_SUITES),
            ("prefer_server_cipher_suites", OWN_SUITES),
            ("cert", FILES_ONLY),
            ("key", FILES_ONLY),
            ("client_ca", FILES_ONLY),
            (
                "client_allowed_sans",
                "not supported: let a separate authority sign those clients' certificates",
            ),
        ],
    ),
    (
        "",
        &[(
            "rate_limit",
            "not supported: connections and the work for each are limited already; remove it",
        )],
    ),
];

/// Reads and checks the web configuration file at `path`. Reads nothing else: certificates and keys
/// are only named.
///
/// # Errors
/// The file cannot be read, or as [`parse_web`].
pub fn load_web(path: &Path) -> Result<WebSettings, ConfigErrors> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(sentence) => return Err(ConfigErrors::one(path.display().to_string(), sentence)),
    };
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    parse_web(&text, folder)
}

/// The file's text. An error is a sentence without a subject, which is the file.
fn read_text(path: &Path) -> Result<String, String> {
    let bytes = read_small_file(path, MAX_PEM_BYTES).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

/// Reads the web configuration `text`, which is YAML whatever its file is called; relative paths in
/// it start from `folder`, which is the file's own. Reads nothing else.
///
/// # Errors
/// At a syntax error only that one, otherwise every problem.
pub fn parse_web(text: &str, folder: &Path) -> Result<WebSettings, ConfigErrors> {
    // An empty file is more likely one that is still to be written.
    if text.trim().is_empty() {
        return Err(ConfigErrors::one(
            "web configuration",
            "is empty; write {} to switch everything off",
        ));
    }
    let mut root = parse_root(text)?;
    let problems = Problems::default();
    refuse_unsupported(&mut root, &problems);
    // The server reads these files itself, before the configuration is in force.
    let files = FileCollector::default();
    let context = Context {
        problems: &problems,
        files: &files,
        folder,
    };
    let root = Section::root(&root, context, &ROOT);
    let settings = WebSettings {
        tls: tls(&root),
        users: users(&root),
        headers: headers(&root),
    };
    problems.or(settings)
}

/// The root mapping. A file of nothing but comments configures nothing, which is how people switch
/// everything off.
fn parse_root(text: &str) -> Result<Table, ConfigErrors> {
    if text.lines().all(is_blank_or_comment) {
        return Ok(Table::new());
    }
    format::read(text, Format::Yaml)
        .map_err(|sentence| ConfigErrors::one("web configuration", sentence))
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

/// Removes the keys that are refused with their own reasons, and records those.
fn refuse_unsupported(root: &mut Table, problems: &Problems) {
    for (section, keys) in UNSUPPORTED {
        let table = match (*section, root.get_mut(*section)) {
            ("", _) => &mut *root,
            (_, Some(Node::Table(table))) => table,
            _ => continue,
        };
        for (key, reason) in *keys {
            if table.remove(*key).is_some() {
                problems.add(&key_path(section, key), *reason);
            }
        }
    }
}

fn tls(root: &Section<'_>) -> Option<WebTlsSettings> {
    let given = root.get("tls_server_config")?;
    if given.is_null() || (given.is_mapping() && given.entries().is_empty()) {
        return None;
    }
    let section = root.given_section("tls_server_config")?;
    let min = tls_version(&section, "min_version", TlsVersion::Tls12);
    let max = tls_version(&section, "max_version", TlsVersion::Tls13);
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        section.refuse_at("tls_server_config.max_version", "is below min_version");
    }
    let cert_file = section.read_required(
        "cert_file",
        "the file of the certificate (PEM)",
        Cursor::file_path,
    );
    let key_file = section.read_required(
        "key_file",
        "the file of the private key (PEM)",
        Cursor::file_path,
    );
    let client_auth = client_auth(&section);
    Some(WebTlsSettings {
        cert_file: cert_file?,
        key_file: key_file?,
        client_auth: client_auth?,
        min_version: min?,
        max_version: max?,
    })
}

/// The version at `key`, or `default` where the file has none.
fn tls_version(section: &Section<'_>, key: &str, default: TlsVersion) -> Option<TlsVersion> {
    let Some(cursor) = section.get(key) else {
        return Some(default);
    };
    cursor.checked(match cursor.text()? {
        "TLS12" => Ok(TlsVersion::Tls12),
        "TLS13" => Ok(TlsVersion::Tls13),
        _ => Err("is not a version that is supported; allowed: TLS12, TLS13"),
    })
}

fn client_auth(section: &Section<'_>) -> Option<ClientAuth> {
    let ca_file = section.read("client_ca_file", Cursor::file_path);
    let Some(cursor) = section.get("client_auth_type") else {
        return no_client_auth(section);
    };
    let kind = match cursor.text()? {
        "" | "NoClientCert" => return no_client_auth(section),
        "VerifyClientCertIfGiven" => ClientAuth::IfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::Required,
        "RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert" => {
            cursor
                .refuse("is not supported: it takes certificates that nobody verified; use RequireAndVerifyClientCert");
            return None;
        }
        _ => {
            cursor.refuse(
                "is not a policy for clients; allowed: NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert",
            );
            return None;
        }
    };
    if !section.has("client_ca_file") {
        section.refuse_missing(
            "client_ca_file",
            "the file of the authorities that sign clients' certificates (PEM)",
        );
    }
    ca_file.map(kind)
}

fn no_client_auth(section: &Section<'_>) -> Option<ClientAuth> {
    if section.has("client_ca_file") {
        let sentence = "asks no client for a certificate without client_auth_type: set it to RequireAndVerifyClientCert";
        section.refuse_at("tls_server_config.client_ca_file", sentence);
        return None;
    }
    Some(ClientAuth::None)
}

fn users(root: &Section<'_>) -> BTreeMap<String, PasswordHash> {
    let mut users = BTreeMap::new();
    let Some(cursor) = root.get("basic_auth_users") else {
        return users;
    };
    for (name, cursor) in cursor.entries() {
        check_user_name(name, &cursor);
        if let Some(hash) = password_hash(&cursor) {
            users.insert(name.to_owned(), hash);
        }
    }
    users
}

fn check_user_name(name: &str, cursor: &Cursor<'_>) {
    let fits = (1..=128).contains(&name.len());
    // RFC 7617, section 2: a user's name ends at the first colon.
    if !fits || name.contains(':') || name.contains(char::is_control) {
        cursor.add_problem(
            "is not a user's name; allowed: 1 to 128 bytes, no colon, no control characters",
        );
    }
}

fn password_hash(cursor: &Cursor<'_>) -> Option<PasswordHash> {
    match PasswordHash::parse(cursor.inline_secret()?) {
        Ok(hash) => Some(hash),
        Err(reason) => {
            cursor.refuse_hidden(reason);
            None
        }
    }
}

fn headers(root: &Section<'_>) -> BTreeMap<WebHeader, String> {
    let section = root.section("http_server_config");
    if let Some(cursor) = section.get("http2") {
        // Only checked: HTTP/1.1 is served either way, which every client of HTTP/2 speaks too.
        cursor.flag();
    }
    let mut headers = BTreeMap::new();
    let Some(cursor) = section.get("headers") else {
        return headers;
    };
    for (name, cursor) in cursor.entries() {
        headers.extend(header(name, &cursor));
    }
    headers
}

/// A header and its value; a blank value sets nothing, as in the toolkit.
fn header(name: &str, cursor: &Cursor<'_>) -> Option<(WebHeader, String)> {
    let mut known = WebHeader::ALL.into_iter();
    let Some(header) = known.find(|header| header.name() == name) else {
        let names = WebHeader::ALL.map(WebHeader::name).join(", ");
        cursor.add_problem(format!("is not a header that can be set; allowed: {names}"));
        return None;
    };
    let value = cursor.text()?.trim();
    if value.is_empty() {
        return None;
    }
    if value.len() > MAX_HEADER_BYTES || !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        cursor.refuse(format_args!(
            "is not a header's value; allowed: up to {MAX_HEADER_BYTES} printable ASCII characters"
        ));
        return None;
    }
    let allowed = header.allowed();
    if !allowed.is_empty() && !allowed.contains(&value) {
        cursor.refuse(format_args!(
            "is not allowed here; allowed: {}",
            allowed.join(", ")
        ));
        return None;
    }
    Some((header, value.to_owned()))
}
