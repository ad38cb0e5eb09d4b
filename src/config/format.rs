//! Parses YAML, TOML or JSON into a tree, within limits. Error messages repeat none of the values.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use ::config::{FileFormat, Format as _};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use yaml_rust2::YamlLoader;
use yaml_rust2::parser::{Event, Parser};

use super::error::quoted;
use super::node::{Node, Table, node_from_yaml, table_from};

/// The maximum size of a configuration. Ten thousand pairs take about 4 MiB.
pub(super) const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// The maximum nesting of YAML, because the parser recurses. The configuration needs eight levels.
const MAX_DEPTH: usize = 32;

/// The maximum number of YAML nodes, counting those that aliases repeat: a few nested aliases can
/// expand to billions.
const MAX_NODES: u64 = 4_000_000;

/// The format of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.yml`, `.yaml`
    Yaml,
    /// `.toml`
    Toml,
    /// `.json`
    Json,
}

impl Format {
    /// The format for the extension of `path`; `None` for an unknown one.
    pub fn from_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_ascii_lowercase().to_str()? {
            "yml" | "yaml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The name in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
            Self::Json => "JSON",
        }
    }
}

/// Parses `text`.
///
/// # Errors
/// A sentence without a subject, which is the file.
pub(super) fn read(text: &str, format: Format) -> Result<Table, String> {
    if text.len() > MAX_FILE_BYTES {
        return Err(format!(
            "is longer than {} MiB",
            MAX_FILE_BYTES / 1024 / 1024
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parsed = match format {
        Format::Yaml => read_yaml(text),
        Format::Toml => parse(FileFormat::Toml, text).map_err(|error| toml_sentence(&error)),
        Format::Json => read_json(text),
    };
    parsed.map_err(|reason| format!("is not a valid {} configuration: {reason}", format.name()))
}

/// Parses `text`, which is a list as a whole.
///
/// # Errors
/// A sentence without a subject, which is the file.
pub(super) fn read_list(text: &str, format: Format) -> Result<Vec<Node>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        // A file that is written in place is empty for a moment.
        return Err("is empty: a file without pairs has an empty list, []".to_owned());
    }
    let parsed = match format {
        Format::Yaml => read_yaml_root(text),
        Format::Json => read_json_root(text),
        Format::Toml => Err("a list cannot be written in TOML".to_owned()),
    };
    match parsed {
        Ok(Node::List(items)) => Ok(items),
        Ok(_) => Err("must be a list of pairs, as below `pairs` in the configuration".to_owned()),
        Err(reason) => Err(format!("is no valid {}: {reason}", format.name())),
    }
}

fn read_yaml_root(text: &str) -> Result<Node, String> {
    check_yaml(text)?;
    let documents =
        YamlLoader::load_from_str(text).map_err(|error| yaml_sentence(error.to_string()))?;
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(root), None) => node_from_yaml(root).map_err(str::to_owned),
        (None, _) => Ok(Node::Null),
        (Some(_), Some(_)) => Err("there are several documents in it".to_owned()),
    }
}

fn read_json_root(text: &str) -> Result<Node, String> {
    check_json(text)?;
    let root: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(root.into())
}

fn read_yaml(text: &str) -> Result<Table, String> {
    check_yaml(text)?;
    parse(FileFormat::Yaml, text).map_err(yaml_sentence)
}

fn read_json(text: &str) -> Result<Table, String> {
    check_json(text)?;
    parse(FileFormat::Json, text)
}

/// Parses `text` with the `config` crate.
fn parse(format: FileFormat, text: &str) -> Result<Table, String> {
    match format.parse(None, text) {
        Ok(map) => Ok(table_from(map)),
        Err(error) => Err(sentence_of(error.as_ref())),
    }
}

/// The parser's message, unless the root is no mapping: that message would contain the root.
fn sentence_of(error: &(dyn Error + Send + Sync + 'static)) -> String {
    if error.is::<::config::ConfigError>() || error.is::<Box<::config::ConfigError>>() {
        return "it must be a mapping of sections".to_owned();
    }
    error.to_string()
}

/// The scanner's message, with the way out where it names none.
fn scan_sentence(message: &str) -> String {
    if message.starts_with("tabs disallowed") {
        return format!("{message}: indent with spaces");
    }
    message.to_owned()
}

/// The message about a duplicate key without the parser's notation, and without a key that is more
/// than a word.
fn yaml_sentence(message: String) -> String {
    // The rest of this message is the whole mapping.
    if message.starts_with("Cannot parse ") {
        return "a mapping or a list is in the place of a key: is there a comma or a brace too many?".to_owned();
    }
    let Some((key, place)) = message.split_once(": duplicated key in mapping ") else {
        return message;
    };
    match plain_key(key) {
        Some(key) if key.len() <= 64 => {
            format!("the key {key} is given twice in one mapping, {place}")
        }
        _ => format!("a key is given twice in one mapping, {place}"),
    }
}

/// The key in the parser's notation `String(key)`.
fn plain_key(notation: &str) -> Option<&str> {
    notation.strip_prefix("String(")?.strip_suffix(')')
}

/// The message without the quoted line of the file, which may contain a secret.
fn toml_sentence(message: &str) -> String {
    const SHOWN_LINES: usize = 3;
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    let Some(place) = first.strip_prefix("TOML parse error ") else {
        return message.trim_end().replace('\n', ", ");
    };
    let reason: Vec<_> = lines.skip(SHOWN_LINES).collect();
    format!("{} {place}", reason.join(", "))
}

/// Refuses YAML that is too deep or too large, or that the `config` crate would misread.
fn check_yaml(text: &str) -> Result<(), String> {
    let mut parser = Parser::new_from_str(text);
    let mut tally = YamlTally::default();
    loop {
        let (event, place) = parser
            .next_token()
            .map_err(|error| scan_sentence(&error.to_string()))?;
        if matches!(event, Event::StreamEnd) {
            return Ok(());
        }
        if let Err(reason) = tally.count(&event) {
            let line = place.line();
            let column = place.col() + 1;
            return Err(format!("{reason} at line {line} column {column}"));
        }
    }
}

/// Counts nodes and depth over a stream of YAML events.
#[derive(Default)]
struct YamlTally {
    nodes: u64,
    /// The anchor of each open collection, and the count at its start.
    open: Vec<(usize, u64)>,
    /// The number of nodes that each anchor stands for.
    anchored: HashMap<usize, u64>,
}

impl YamlTally {
    fn count(&mut self, event: &Event) -> Result<(), &'static str> {
        match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err("a YAML tag, such as !!int, has no meaning here: remove it");
            }
            Event::Scalar(_, _, anchor, None) => {
                self.nodes += 1;
                self.anchored.insert(*anchor, 1);
            }
            Event::SequenceStart(anchor, None) | Event::MappingStart(anchor, None) => {
                self.open.push((*anchor, self.nodes));
                self.nodes += 1;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.repeat(*anchor)?,
            _ => {}
        }
        self.within_limits()
    }

    fn close(&mut self) {
        if let Some((anchor, before)) = self.open.pop() {
            self.anchored.insert(anchor, self.nodes - before);
        }
    }

    fn repeat(&mut self, anchor: usize) -> Result<(), &'static str> {
        let size = self
            .anchored
            .get(&anchor)
            .ok_or("an alias is inside the value that it repeats")?;
        self.nodes = self.nodes.saturating_add(*size);
        Ok(())
    }

    fn within_limits(&self) -> Result<(), &'static str> {
        if self.open.len() > MAX_DEPTH {
            return Err("values are nested more than 32 deep");
        }
        if self.nodes > MAX_NODES {
            return Err("there are more than 4 million values, counting those that aliases repeat");
        }
        Ok(())
    }
}

/// Refuses JSON with a duplicate key, of which the parser would silently keep the last.
fn check_json(text: &str) -> Result<(), String> {
    match serde_json::from_str::<DistinctKeys>(text) {
        Ok(DistinctKeys) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Any JSON value whose objects have distinct keys.
struct DistinctKeys;

impl<'de> Deserialize<'de> for DistinctKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistinctKeysVisitor)
    }
}

struct DistinctKeysVisitor;

impl<'de> Visitor<'de> for DistinctKeysVisitor {
    type Value = DistinctKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DistinctKeys, A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<DistinctKeys>()?;
            if let Some(key) = seen.replace(key) {
                return Err(serde::de::Error::custom(format!(
                    "the key {} is given twice in one object",
                    quoted(&key)
                )));
            }
        }
        Ok(DistinctKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<DistinctKeys, A::Error> {
        while items.next_element::<DistinctKeys>()?.is_some() {}
        Ok(DistinctKeys)
    }

    fn visit_bool<E>(self, _: bool) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_i64<E>(self, _: i64) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_u64<E>(self, _: u64) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_f64<E>(self, _: f64) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_str<E>(self, _: &str) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }

    fn visit_unit<E>(self) -> Result<DistinctKeys, E> {
        Ok(DistinctKeys)
    }
}
