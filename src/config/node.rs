//! The configuration as an untyped tree.

use std::collections::BTreeMap;

use ::config::{Value, ValueKind};
use yaml_rust2::Yaml;

use super::error::quoted;

/// A mapping, sorted so that problems are always reported in the same order.
pub(super) type Table = BTreeMap<String, Node>;

/// One value of the tree. Has no `Debug`: it may hold secrets.
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Table(Table),
    /// A value with which a problem has been recorded already.
    Refused,
}

/// A text and its origin.
pub(super) struct Text {
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// Where a text comes from.
pub(super) enum Origin {
    /// It is written in the file like this.
    File,
    /// The file has `written`, which names environment variables.
    Expanded { written: String },
    /// An environment variable overrides the file.
    Override,
}

impl Text {
    /// Whether the text may be read as a number or a truth value: environment variables are always
    /// texts, while a quoted number in a file is a mistake.
    pub(super) const fn may_be_scalar(&self) -> bool {
        !matches!(self.origin, Origin::File)
    }
}

impl Node {
    /// The value as messages show it. The content of environment variables is not shown but their
    /// names are, because variables often contain secrets.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(Text {
                origin: Origin::Expanded { written },
                ..
            }) => quoted(written),
            Self::Text(text) => quoted(&text.value),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a mapping".to_owned(),
            Self::Refused => "a refused value".to_owned(),
        }
    }
}

impl Node {
    /// The kind of value, for messages about a value that may be a misplaced secret.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a mapping",
            Self::Refused => "a refused value",
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value.kind {
            ValueKind::Nil => Self::Null,
            ValueKind::Boolean(value) => Self::Bool(value),
            ValueKind::I64(value) => Self::Int(value.into()),
            ValueKind::I128(value) => Self::Int(value),
            ValueKind::U64(value) => Self::Int(value.into()),
            // Only some formats have such numbers. The largest i128 is beyond every key's range,
            // too.
            ValueKind::U128(value) => Self::Int(value.try_into().unwrap_or(i128::MAX)),
            ValueKind::Float(value) => Self::Float(value),
            ValueKind::String(value) => Self::Text(Text {
                value,
                origin: Origin::File,
            }),
            ValueKind::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            ValueKind::Table(map) => Self::Table(table_from(map)),
        }
    }
}

impl From<serde_json::Value> for Node {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;

        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => number_node(&number.to_string()),
            Json::String(value) => Self::Text(Text {
                value,
                origin: Origin::File,
            }),
            Json::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Json::Object(map) => {
                let entries = map.into_iter();
                Self::Table(entries.map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

/// The tree of a YAML document. An error is a sentence without a subject.
pub(super) fn node_from_yaml(yaml: Yaml) -> Result<Node, &'static str> {
    Ok(match yaml {
        Yaml::Null => Node::Null,
        Yaml::Boolean(value) => Node::Bool(value),
        Yaml::Integer(value) => Node::Int(value.into()),
        Yaml::Real(text) => number_node(&text),
        Yaml::String(value) => Node::Text(Text {
            value,
            origin: Origin::File,
        }),
        Yaml::Array(items) => {
            let items: Result<_, _> = items.into_iter().map(node_from_yaml).collect();
            Node::List(items?)
        }
        Yaml::Hash(map) => {
            let mut table = Table::new();
            for (key, value) in map {
                let Yaml::String(key) = key else {
                    return Err("a key is no text: put it in quotes");
                };
                table.insert(key, node_from_yaml(value)?);
            }
            Node::Table(table)
        }
        Yaml::Alias(_) | Yaml::BadValue => return Err("a value cannot be read"),
    })
}

/// A number as it is written. One that is no number in Rust's notation, such as `.inf`, is beyond
/// every key's range.
fn number_node(text: &str) -> Node {
    match text.parse::<i128>() {
        Ok(whole) => Node::Int(whole),
        Err(_) => Node::Float(text.parse().unwrap_or(f64::INFINITY)),
    }
}

/// The mapping `map` as a sorted table.
pub(super) fn table_from(map: impl IntoIterator<Item = (String, Value)>) -> Table {
    let mut table = Table::new();
    for (key, value) in map {
        table.insert(key, value.into());
    }
    table
}

/// The path of `key` below `path`; a key that is not plain is quoted.
pub(super) fn key_path(path: &str, key: &str) -> String {
    match (path, is_plain_key(key)) {
        ("", true) => key.to_owned(),
        (_, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", quoted(key)),
    }
}

/// Whether `key` is a plain word, like all keys of the table.
pub(super) fn is_plain_key(key: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    (1..=128).contains(&key.len()) && key.bytes().all(is_plain)
}

/// The path of the item `index` of the list at `path`.
pub(super) fn index_path(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
