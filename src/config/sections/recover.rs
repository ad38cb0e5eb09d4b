//! `recover`: whether and where lost writes are saved.

use std::ops::RangeInclusive;

use crate::config::RecoverSettings;
use crate::config::cursor::{Context, Cursor, Section};
use crate::model::Bytes;

const SIZES: RangeInclusive<Bytes> = Bytes::new(1 << 20)..=Bytes::new(1 << 40);

const DEFAULT_MAX_BYTES: Bytes = Bytes::new(1 << 30);

/// Where lost writes are saved.
pub(super) fn read(root: &Section<'_>, context: Context<'_>) -> RecoverSettings {
    let section = root.section("recover");
    let dir = section.read("dir", Cursor::file_path);
    let max_bytes = section.read("max_bytes", |cursor| cursor.bytes(&SIZES));
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
