//! From a file's text to a tree: YAML, TOML or JSON, with limits, and with messages that repeat
//! nothing of the text.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use ::config::{FileFormat, Format as _};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use yaml_rust2::parser::{Event, Parser};

use super::error::quoted;
use super::node::{Table, table_of};

/// The longest configuration that is read. Ten thousand pairs take about 4 MiB.
pub(super) const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// The deepest nesting of YAML that is read: the parser behind it recurses. The configuration needs
/// eight levels.
const MAX_DEPTH: usize = 32;

/// The most YAML nodes that are read, counting what an alias repeats: a few nested aliases can make
/// billions.
const MAX_NODES: u64 = 4_000_000;

/// A configuration file's language.
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
    /// The language that the ending of `path` stands for.
    pub fn from_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_ascii_lowercase().to_str()? {
            "yml" | "yaml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The language's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
            Self::Json => "JSON",
        }
    }
}

/// Reads `text`; an error is a sentence.
pub(super) fn read(text: &str, format: Format) -> Result<Table, String> {
    if text.len() > MAX_FILE_BYTES {
        return Err(format!(
            "is longer than {} MiB",
            MAX_FILE_BYTES / 1024 / 1024
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parsed = match format {
        Format::Yaml => {
            check_yaml(text).and_then(|()| parse(FileFormat::Yaml, text).map_err(yaml_sentence))
        }
        Format::Toml => parse(FileFormat::Toml, text).map_err(|error| toml_sentence(&error)),
        Format::Json => check_json(text).and_then(|()| parse(FileFormat::Json, text)),
    };
    parsed.map_err(|reason| format!("is not a valid {} configuration: {reason}", format.name()))
}

/// Lets the `config` crate read `text`.
fn parse(format: FileFormat, text: &str) -> Result<Table, String> {
    let map = format
        .parse(None, text)
        .map_err(|error| sentence_of(error.as_ref()))?;
    Ok(table_of(map))
}

/// The parser's message, unless the root is no mapping: then the message would hold the root, which
/// may be anything.
fn sentence_of(error: &(dyn Error + Send + Sync + 'static)) -> String {
    if error.is::<::config::ConfigError>() || error.is::<Box<::config::ConfigError>>() {
        return "it must be a mapping of sections".to_owned();
    }
    error.to_string()
}

/// A duplicate key's message without the parser's own notation, and without a key that is more than
/// a word.
fn yaml_sentence(message: String) -> String {
    // It goes on with the whole mapping, and whatever stands in it.
    if message.starts_with("Cannot parse ") {
        return "a mapping or a list stands where a key belongs: is there a comma or a brace too many?".to_owned();
    }
    let Some((key, place)) = message.split_once(": duplicated key in mapping ") else {
        return message;
    };
    match key
        .strip_prefix("String(")
        .and_then(|key| key.strip_suffix(')'))
    {
        Some(key) if key.len() <= 64 => {
            format!("the key {key} stands twice in one mapping, {place}")
        }
        _ => format!("a key stands twice in one mapping, {place}"),
    }
}

/// The message without the line of the file that it shows, which may hold a secret.
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

/// Refuses YAML that is too deep or too large, or that the `config` crate would read as something
/// else than it says.
fn check_yaml(text: &str) -> Result<(), String> {
    let mut parser = Parser::new_from_str(text);
    let mut tally = YamlTally::default();
    loop {
        let (event, place) = parser.next_token().map_err(|error| error.to_string())?;
        if matches!(event, Event::StreamEnd) {
            return Ok(());
        }
        tally.count(&event).map_err(|reason| {
            format!(
                "{reason} at line {} column {}",
                place.line(),
                place.col() + 1
            )
        })?;
    }
}

/// Counts nodes and depth over a stream of YAML events.
#[derive(Default)]
struct YamlTally {
    nodes: u64,
    /// Per open collection: its anchor, and the count when it began.
    open: Vec<(usize, u64)>,
    /// How many nodes an anchor stands for.
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
            .ok_or("an alias stands inside the value that it repeats")?;
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

/// Refuses JSON in which a key stands twice: the parser would silently keep the last one.
fn check_json(text: &str) -> Result<(), String> {
    serde_json::from_str::<DistinctKeys>(text)
        .map(|_| ())
        .map_err(|error| error.to_string())
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
                    "the key {} stands twice in one object",
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
