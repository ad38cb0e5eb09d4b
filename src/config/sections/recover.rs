//! `operator` and `recover`: how commands of disaster recovery log in, and where lost writes are
//! saved.

use std::ops::RangeInclusive;

use crate::config::cursor::{Context, Cursor, Section};
use crate::config::error::quoted;
use crate::config::{Credentials, RecoverSettings};
use crate::model::Bytes;

const MAX_BYTES: RangeInclusive<Bytes> = Bytes::new(1 << 20)..=Bytes::new(1 << 40);

const DEFAULT_MAX_BYTES: Bytes = Bytes::new(1 << 30);

/// The login of the operator; without a password there is none.
pub(super) fn operator(root: &Section<'_>) -> Credentials {
    let section = root.section("operator");
    let username = section.read("username", |cursor| cursor.name().map(str::to_owned));
    let has_password = section.has("password") || section.has("password_file");
    if let Some(username) = &username
        && !has_password
    {
        let username = quoted(username);
        section.refuse(format!(
            "the username {username} has no password: give password or password_file with it"
        ));
    }
    Credentials {
        username,
        password: section.secret("password"),
    }
}

pub(super) fn read(root: &Section<'_>, context: Context<'_>) -> RecoverSettings {
    let section = root.section("recover");
    let dir = section.read("dir", Cursor::file_path);
    let max_bytes = section.read("max_bytes", |cursor| cursor.bytes(&MAX_BYTES));
    RecoverSettings {
        capture: section.read("capture", on_or_off).unwrap_or(false),
        dir: dir.unwrap_or_else(|| context.in_folder("./data/lost-writes")),
        max_bytes: max_bytes.unwrap_or(DEFAULT_MAX_BYTES),
    }
}

/// `on` and `off`, which are plain words in YAML 1.2, or `true` and `false`.
fn on_or_off(cursor: &Cursor<'_>) -> Option<bool> {
    match cursor.word() {
        Some("on") => Some(true),
        Some("off") => Some(false),
        _ => cursor.flag(),
    }
}
