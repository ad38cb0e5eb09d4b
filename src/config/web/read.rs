//! Reads and checks the web configuration.

use std::collections::BTreeMap;
use std::path::Path;

use super::{PasswordHash, WebHeader, WebSettings, rate_limit, tls};
use crate::config::cursor::{Context, Cursor, Section};
use crate::config::error::{ConfigErrors, Problems};
use crate::config::files::FileCollector;
use crate::config::format::{self, Format};
use crate::config::node::Table;
use crate::config::schema::{Key, Keys};
use crate::config::small_file::{MAX_PEM_BYTES, read_small_file};

/// The longest value of a header: a content security policy is the longest and has some hundred
/// bytes.
const MAX_HEADER_BYTES: usize = 4096;

pub(super) static ROOT: Keys = Keys::new(&[
    Key::section("tls_server_config", &tls::TLS),
    Key::collection("basic_auth_users", "mapping"),
    Key::section("http_server_config", &HTTP),
    Key::section("rate_limit", &rate_limit::RATE_LIMIT),
]);

pub(super) static HTTP: Keys =
    Keys::new(&[Key::flag("http2"), Key::collection("headers", "mapping")]);

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
    let root = parse_root(text)?;
    let problems = Problems::default();
    // The server reads these files itself, before the configuration is in force.
    let files = FileCollector::default();
    let context = Context {
        problems: &problems,
        files: &files,
        folder,
    };
    let root = Section::root(&root, context, &ROOT);
    let settings = WebSettings {
        tls: tls::read(&root),
        users: users(&root),
        headers: headers(&root),
        rate_limit: rate_limit::read(&root),
    };
    problems.or(settings)
}

/// The root mapping. A file of nothing, or of nothing but comments, configures nothing, as in the
/// toolkit.
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
    let text = cursor.text_of_scalar()?;
    let value = text.trim();
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
