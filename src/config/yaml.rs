//! Writes YAML: mappings keep their order, dollars are escaped, secrets are redacted.

use std::path::Path;

use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlEmitter};

use super::SecretSource;
use super::value::span_text;
use crate::model::{Bytes, Share, Span};

/// What is printed instead of a secret.
const REDACTED: &str = "***";

/// A mapping in the order in which it is filled.
#[derive(Default)]
pub(super) struct Mapping(Hash);

impl Mapping {
    pub(super) fn put(&mut self, key: &str, value: impl Into<Yaml>) {
        self.0.insert(Yaml::String(key.to_owned()), value.into());
    }

    /// Puts `map` under `key` unless it is empty.
    pub(super) fn put_unless_empty(&mut self, key: &str, map: Self) {
        if !map.0.is_empty() {
            self.put(key, map);
        }
    }

    /// The entries that are not the same in `other`.
    pub(super) fn without(self, other: &Self) -> Self {
        let entries = self.0.into_iter();
        let differs = |(key, value): &(Yaml, Yaml)| other.0.get(key) != Some(value);
        Self(entries.filter(differs).collect())
    }

    /// A secret under `key`, its file under `key_file`.
    pub(super) fn put_secret(&mut self, key: &str, secret: &SecretSource) {
        match secret {
            SecretSource::Inline(_) => self.put(key, string(REDACTED)),
            SecretSource::File(file) => self.put(&format!("{key}_file"), path(file)),
        }
    }

    /// The text of the mapping as a whole file.
    pub(super) fn into_text(self) -> String {
        let mut text = String::new();
        // A `String` takes everything, and the emitter fails only where its writer does.
        let _ = YamlEmitter::new(&mut text).dump(&self.into());
        text.push('\n');
        text
    }
}

impl From<Mapping> for Yaml {
    fn from(map: Mapping) -> Self {
        Self::Hash(map.0)
    }
}

/// A text with its dollars doubled, because a single one would begin a variable.
pub(super) fn string(text: &str) -> Yaml {
    Yaml::String(text.replace('$', "$$"))
}

pub(super) fn path(path: &Path) -> Yaml {
    string(&path.to_string_lossy())
}

pub(super) fn span(span: Span) -> Yaml {
    Yaml::String(span_text(span))
}

pub(super) fn bytes(bytes: Bytes) -> Yaml {
    count(bytes.get())
}

pub(super) fn count(count: u64) -> Yaml {
    Yaml::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A part of a whole.
pub(super) fn share(share: Share) -> Yaml {
    Yaml::Real(share.as_f64().to_string())
}

/// What is switched off. `yaml-rust2` writes null as `~`, which fewer people know; a number is
/// written unchanged.
pub(super) fn off() -> Yaml {
    Yaml::Real("null".to_owned())
}

pub(super) fn list<T>(items: &[T], item: impl Fn(&T) -> Yaml) -> Yaml {
    Yaml::Array(items.iter().map(item).collect())
}

pub(super) fn strings<'a>(texts: impl IntoIterator<Item = &'a String>) -> Yaml {
    Yaml::Array(texts.into_iter().map(|text| string(text)).collect())
}
