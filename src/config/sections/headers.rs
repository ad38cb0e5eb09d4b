//! The headers that a receiver's requests get.

use std::collections::{BTreeMap, HashSet};

use crate::config::SecretSource;
use crate::config::cursor::{Cursor, Section, inline_source};
use crate::config::value::{any_secret, is_header_name};

/// Headers that the exporter sets itself, or that belong to the connection.
const OWN_HEADERS: [&str; 5] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// The headers of a receiver; none where the file has no key `headers`.
pub(super) fn headers_of(section: &Section<'_>) -> BTreeMap<String, SecretSource> {
    match section.get("headers") {
        Some(cursor) => headers(&cursor),
        None => BTreeMap::new(),
    }
}

/// Reads headers: `Name: value`, or `Name_file: path`.
fn headers(cursor: &Cursor<'_>) -> BTreeMap<String, SecretSource> {
    let mut seen = HashSet::new();
    let mut headers = BTreeMap::new();
    for (key, value) in cursor.entries() {
        let file_name = key.strip_suffix("_file");
        let name = file_name.unwrap_or(key);
        if !is_header_name(name) || value.is_null() {
            // The name is not shown: `{Authorization:secret}` and `{Authorization, secret}` make
            // one of the secret.
            cursor.add_problem("has an entry that is no header with a value (is there a space behind every colon?)");
            continue;
        }
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            value.add_problem("the exporter sets this header itself");
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            value.add_problem("the header is given twice (upper and lower case are alike, and Name_file gives Name)");
        }
        let source = match file_name {
            Some(_) => value.secret_file(),
            None => inline_source(&value, any_secret),
        };
        if let Some(source) = source {
            headers.insert(name.to_owned(), source);
        }
    }
    headers
}
