//! A typed reader over the tree: it knows the key path of every value and notes every problem with
//! it.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::model::{Bytes, Secret, Span};

use super::SecretSource;
use super::error::Problems;
use super::files::{FileCollector, FileKind};
use super::node::{Node, Table, Text, index_path, is_plain_key, key_path};
use super::schema::Keys;
use super::value::{check_name, in_range, parse_bytes, parse_span, span_text, unit_examples};

/// What a section that is not in the file holds.
static EMPTY: Table = Table::new();

/// YAML's merge key, which some parsers know; it is no secret.
const MERGE: &str = "<<";

/// What every value's reading shares.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// Where problems are noted.
    pub(super) problems: &'a Problems,
    /// Where files that are named are collected.
    pub(super) files: &'a FileCollector,
    /// The configuration file's folder, which relative paths start from.
    pub(super) folder: &'a Path,
}

/// One value and where it stands.
pub(super) struct Cursor<'a> {
    node: &'a Node,
    path: String,
    context: Context<'a>,
}

/// A mapping with declared keys and where it stands.
pub(super) struct Section<'a> {
    table: &'a Table,
    path: String,
    context: Context<'a>,
    /// Whether the mapping has keys that were refused: then what seems missing may only be
    /// misspelt.
    has_refused_keys: bool,
}

impl Context<'_> {
    /// `path`, from the configuration file's folder on where it is relative, without needless `.`
    /// parts.
    pub(super) fn in_folder(&self, path: &str) -> PathBuf {
        self.folder.join(path).components().collect()
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Notes a problem: `what` goes on after the value.
    pub(super) fn refuse(&self, what: impl fmt::Display) {
        self.context
            .problems
            .add(&self.path, format!("{} {what}", self.node.shown()));
    }

    /// Notes a problem with the place rather than its value.
    pub(super) fn note(&self, sentence: impl Into<String>) {
        self.context.problems.add(&self.path, sentence);
    }

    /// Notes a problem with a value that must not be shown.
    pub(super) fn refuse_hidden(&self, what: impl fmt::Display) {
        self.context
            .problems
            .add(&self.path, format!("the value {what}"));
    }

    /// The value of `result`, or `None` after noting its error.
    pub(super) fn checked<T, E: fmt::Display>(&self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.refuse(error)).ok()
    }

    /// `None` after noting that the value is of the wrong kind, unless a problem has been noted
    /// with it before.
    fn not<T>(&self, wanted: &str) -> Option<T> {
        if !matches!(self.node, Node::Refused) {
            self.refuse(format_args!("is not {wanted}"));
        }
        None
    }

    /// As [`Self::not`], of a value that stands where a section or a list belongs. It is not shown:
    /// a secret's section with nothing but the secret in it is a likely mistake (`slack:
    /// https://...`).
    fn not_hidden<T>(&self, wanted: &str) -> Option<T> {
        if !matches!(self.node, Node::Refused) {
            self.note(format!("{} is not {wanted}", self.node.kind()));
        }
        None
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self.node, Node::Null)
    }

    pub(super) const fn is_list(&self) -> bool {
        matches!(self.node, Node::List(_))
    }

    pub(super) const fn is_mapping(&self) -> bool {
        matches!(self.node, Node::Table(_))
    }

    /// The mapping with the declared `keys`; every other key is a problem.
    pub(super) fn section(&self, keys: &Keys) -> Option<Section<'a>> {
        let Node::Table(table) = self.node else {
            return self.not_hidden("a mapping");
        };
        Some(Section::new(table, self.path.clone(), self.context, keys))
    }

    /// The entries of a mapping whose keys the user chooses; none where nothing stands under its
    /// name.
    pub(super) fn entries(&self) -> Vec<(&'a str, Cursor<'a>)> {
        if self.is_null() {
            return Vec::new();
        }
        let Node::Table(table) = self.node else {
            return self.not_hidden("a mapping").unwrap_or_default();
        };
        let entry = |(key, node): (&'a String, &'a Node)| {
            let path = key_path(&self.path, key);
            (
                key.as_str(),
                Cursor {
                    node,
                    path,
                    context: self.context,
                },
            )
        };
        table.iter().map(entry).collect()
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Cursor<'a>> {
        let Node::List(items) = self.node else {
            return self.not_hidden("a list").unwrap_or_default();
        };
        let item = |(index, node): (usize, &'a Node)| {
            let path = index_path(&self.path, index);
            Cursor {
                node,
                path,
                context: self.context,
            }
        };
        items.iter().enumerate().map(item).collect()
    }

    fn raw_text(&self) -> Option<&'a Text> {
        if let Node::Text(text) = self.node {
            Some(text)
        } else {
            None
        }
    }

    /// The text that stands for a number or a truth value, where one may.
    fn scalar_text(&self) -> Option<&'a str> {
        self.raw_text()
            .filter(|text| text.may_be_scalar())
            .map(|text| text.value.as_str())
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) => Some(&text.value),
            Node::Bool(_) | Node::Int(_) | Node::Float(_) => self.not("text; put it in quotes"),
            _ => self.not("text"),
        }
    }

    /// A name of 1 to 128 characters.
    pub(super) fn name(&self) -> Option<&'a str> {
        let text = self.text()?;
        self.checked(check_name(text))?;
        Some(text)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match (self.node, self.scalar_text()) {
            (Node::Bool(value), _) => Some(*value),
            (_, Some("true")) => Some(true),
            (_, Some("false")) => Some(false),
            _ => self.not("true or false"),
        }
    }

    fn integer(&self, wanted: &str) -> Option<i128> {
        match (self.node, self.scalar_text()) {
            (Node::Int(value), _) => Some(*value),
            (_, Some(text)) => text.parse().ok().or_else(|| self.not(wanted)),
            _ => self.not(wanted),
        }
    }

    /// A whole number in `range`.
    pub(super) fn whole_number(&self, range: &RangeInclusive<u32>) -> Option<u32> {
        let wide = i128::from(*range.start())..=i128::from(*range.end());
        let value = self.integer("a whole number (without quotes)")?;
        let value = self.checked(in_range(value, &wide, i128::to_string))?;
        u32::try_from(value).ok()
    }

    /// A duration in `range`.
    pub(super) fn span(&self, range: &RangeInclusive<Span>) -> Option<Span> {
        let span = match self.node {
            Node::Int(0) => Span::ZERO,
            Node::Int(number) => {
                let example = unit_examples(&number.unsigned_abs().to_string());
                return self.checked(Err(format!("has no unit; write {example}")));
            }
            Node::Text(text) => self.checked(parse_span(&text.value))?,
            _ => return self.not("a duration; write it like 250ms, 30s, 1m30s or 4h"),
        };
        self.checked(in_range(span, range, |span| span_text(*span)))
    }

    /// A size in `range`.
    pub(super) fn bytes(&self, range: &RangeInclusive<Bytes>) -> Option<Bytes> {
        let bare = self
            .scalar_text()
            .and_then(|text| text.parse::<i128>().ok());
        let number = if let Node::Int(number) = self.node {
            Some(*number)
        } else {
            bare
        };
        let bytes = match (number, self.node) {
            // A number below zero or above u64 is out of every range; the nearest u64 is so as
            // well.
            (Some(number), _) if number < 0 => return self.checked(Err("is less than nothing")),
            (Some(number), _) => Bytes::new(u64::try_from(number).unwrap_or(u64::MAX)),
            (None, Node::Text(text)) => self.checked(parse_bytes(&text.value))?,
            _ => {
                return self.not("a size; write it like 64MiB, 1GB, or as a whole number of bytes");
            }
        };
        self.checked(in_range(bytes, range, |bytes| format!("{}B", bytes.get())))
    }

    /// Whether the value switches something off: `null`, or that word in the environment.
    pub(super) fn is_off(&self) -> bool {
        self.is_null() || self.scalar_text() == Some("null")
    }

    /// A path; a relative one starts from the configuration file's folder.
    pub(super) fn file_path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        if text.is_empty() || text.len() > 4096 || text.chars().any(char::is_control) {
            return self.checked(Err(
                "is not a path; allowed: 1 to 4096 characters, no control characters",
            ));
        }
        Some(self.context.in_folder(text))
    }

    /// The path of a file that is read when it is used; collected, so that whoever checks the
    /// configuration can read it at once.
    pub(super) fn named_file(&self, kind: FileKind) -> Option<PathBuf> {
        let path = self.file_path()?;
        self.context.files.add(&self.path, path.clone(), kind);
        Some(path)
    }

    /// The secret in the file at this path.
    pub(super) fn secret_file(&self) -> Option<SecretSource> {
        let path = self.named_file(FileKind::Secret)?;
        Some(SecretSource::File(path))
    }

    /// A secret that is written in the configuration. No message shows it.
    pub(super) fn inline_secret(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) if text.value.is_empty() => {
                self.hidden("is empty; remove the key if there is none")
            }
            Node::Text(text) if text.value.chars().any(char::is_control) => {
                self.hidden("has control characters, such as a line break, in it")
            }
            Node::Text(text) => Some(&text.value),
            Node::Refused => None,
            _ => self.hidden("is not text; put it in quotes"),
        }
    }

    fn hidden<T>(&self, what: &str) -> Option<T> {
        self.refuse_hidden(what);
        None
    }
}

impl<'a> Section<'a> {
    /// The root of the configuration.
    pub(super) fn root(table: &'a Table, context: Context<'a>, keys: &Keys) -> Self {
        Self::new(table, String::new(), context, keys)
    }

    fn new(table: &'a Table, path: String, context: Context<'a>, keys: &Keys) -> Self {
        let mut has_refused_keys = false;
        for (key, value) in table {
            let Some(refusal) = keys.refusal(key) else {
                continue;
            };
            has_refused_keys = true;
            let is_word =
                is_plain_key(key) && (!matches!(value, Node::Null) || keys.nearly_has(key));
            if is_word || key == MERGE {
                context.problems.add(&key_path(&path, key), refusal);
            } else {
                // `{password:secret}` and `{password, secret}` make a key of the secret.
                let place = if path.is_empty() {
                    "configuration"
                } else {
                    &path
                };
                context.problems.add(place, keys.refusal_of_hidden());
            }
        }
        Self {
            table,
            path,
            context,
            has_refused_keys,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Notes a problem with the mapping as a whole.
    pub(super) fn refuse(&self, sentence: impl Into<String>) {
        self.context.problems.add(&self.path, sentence);
    }

    /// Notes a problem at `path`, which lies in the mapping.
    pub(super) fn refuse_at(&self, path: &str, sentence: impl Into<String>) {
        self.context.problems.add(path, sentence);
    }

    /// Notes that something is missing, unless a refused key is probably what was meant.
    pub(super) fn refuse_as_incomplete(&self, sentence: impl Into<String>) {
        if !self.has_refused_keys {
            self.refuse(sentence);
        }
    }

    /// The value of `key`, where the file has one.
    pub(super) fn get(&self, key: &str) -> Option<Cursor<'a>> {
        let node = self.table.get(key)?;
        Some(Cursor {
            node,
            path: key_path(&self.path, key),
            context: self.context,
        })
    }

    /// Whether the file has `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of `key`; a problem where there is none.
    pub(super) fn required(&self, key: &str, meaning: &str) -> Option<Cursor<'a>> {
        let value = self.get(key);
        if value.is_none() && !self.has_refused_keys {
            self.context.problems.add(
                &key_path(&self.path, key),
                format!("is missing: give {meaning}"),
            );
        }
        value
    }

    /// The mapping at `key`; empty where the file has none, or nothing under its name.
    pub(super) fn section(&self, key: &str, keys: &Keys) -> Section<'a> {
        let given = self
            .get(key)
            .filter(|cursor| !cursor.is_null())
            .and_then(|cursor| cursor.section(keys));
        given.unwrap_or_else(|| Section {
            table: &EMPTY,
            path: key_path(&self.path, key),
            context: self.context,
            has_refused_keys: false,
        })
    }

    /// The items of the list at `key`; none where the file has none, or nothing under its name.
    pub(super) fn items(&self, key: &str) -> Vec<Cursor<'a>> {
        self.get(key)
            .filter(|cursor| !cursor.is_null())
            .map_or_else(Vec::new, |cursor| cursor.items())
    }

    /// The duration at `key`, or `default`.
    pub(super) fn span(&self, key: &str, default: Span, range: &RangeInclusive<Span>) -> Span {
        self.get(key)
            .and_then(|cursor| cursor.span(range))
            .unwrap_or(default)
    }

    /// The secret at `key` or its file at `key_file`; `check` may refuse what is written in the
    /// configuration.
    pub(super) fn secret(
        &self,
        key: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<SecretSource> {
        let file_key = format!("{key}_file");
        match (self.get(key), self.get(&file_key)) {
            (Some(_), Some(file)) => {
                let sentence = format!("{key} is given as well; give one of {key} and {file_key}");
                self.context.problems.add(file.path(), sentence);
                None
            }
            (Some(inline), None) => inline_source(&inline, check),
            (None, Some(file)) => file.secret_file(),
            (None, None) => None,
        }
    }

    /// Like [`Self::secret`], with a problem where neither is given.
    pub(super) fn required_secret(
        &self,
        key: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<SecretSource> {
        if !self.has(key) && !self.has(&format!("{key}_file")) {
            let _ = self.required(key, &format!("it or {key}_file"));
        }
        self.secret(key, check)
    }
}

/// The secret that is written at `cursor`.
pub(super) fn inline_source(
    cursor: &Cursor<'_>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Option<SecretSource> {
    let text = cursor.inline_secret()?;
    check(text)
        .map_err(|error| cursor.refuse_hidden(error))
        .ok()?;
    Some(SecretSource::Inline(Secret::new(text)))
}
