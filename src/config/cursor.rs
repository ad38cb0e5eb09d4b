//! Typed access to the tree. A cursor has the key path of its value and records every problem
//! with it.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::model::{Bytes, Secret, ServerAddr, Share, Span};

use super::SecretSource;
use super::error::Problems;
use super::files::{FileCollector, FileKind};
use super::node::{Node, Table, Text, index_path, is_plain_key, key_path};
use super::schema::{Key, Keys, Kind};
use super::value::{
    Check, any_secret, check_name, check_url, in_range, parse_bytes, parse_span, span_text,
    unit_examples,
};

/// The content of a section that is not in the file.
static EMPTY: Table = Table::new();

/// YAML's merge key, which is refused by its name: it is no secret.
const MERGE: &str = "<<";

/// Shared by all cursors of one configuration.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// Records problems.
    pub(super) problems: &'a Problems,
    /// Records the files that the configuration names.
    pub(super) files: &'a FileCollector,
    /// The folder of the configuration file, which relative paths start from.
    pub(super) folder: &'a Path,
}

/// One value and its key path.
pub(super) struct Cursor<'a> {
    node: &'a Node,
    path: String,
    context: Context<'a>,
}

/// A mapping with declared keys, and its key path.
pub(super) struct Section<'a> {
    table: &'a Table,
    path: String,
    context: Context<'a>,
    keys: &'static Keys,
    /// Whether some keys of the mapping were refused: a key that seems to be missing may be one of
    /// them, misspelt.
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
    /// The items of a list that is the whole file.
    pub(super) fn items_of(items: &'a [Node], context: Context<'a>) -> Vec<Self> {
        let mut cursors = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            cursors.push(Self {
                node,
                path: index_path("", index),
                context,
            });
        }
        cursors
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// `path` from the configuration file's folder on, as [`Context::in_folder`].
    pub(super) fn in_folder(&self, path: &str) -> PathBuf {
        self.context.in_folder(path)
    }

    /// Records a problem with the value; `what` continues the sentence that begins with the value.
    pub(super) fn refuse(&self, what: impl fmt::Display) {
        self.context
            .problems
            .add(&self.path, format!("{} {what}", self.node.shown()));
    }

    /// Records a problem without showing the value.
    pub(super) fn add_problem(&self, sentence: impl Into<String>) {
        self.context.problems.add(&self.path, sentence);
    }

    /// Records a problem with a value that may be a secret; `what` continues "the value".
    pub(super) fn refuse_hidden(&self, what: impl fmt::Display) {
        self.context
            .problems
            .add(&self.path, format!("the value {what}"));
    }

    /// The value of `result`, or `None` after recording its error.
    pub(super) fn checked<T, E: fmt::Display>(&self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.refuse(error)).ok()
    }

    /// Records that the value is of the wrong kind, unless it was refused already.
    fn not<T>(&self, wanted: &str) -> Option<T> {
        if !matches!(self.node, Node::Refused) {
            self.refuse(format_args!("is not {wanted}"));
        }
        None
    }

    /// Like [`Self::not`], for a value in the place of a section or a list. It is not shown,
    /// because a secret in the place of its section is a likely mistake (`slack: https://...`).
    fn not_hidden<T>(&self, wanted: &str) -> Option<T> {
        if !matches!(self.node, Node::Refused) {
            self.add_problem(format!("{} is not {wanted}", self.node.kind()));
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
    pub(super) fn section(&self, keys: &'static Keys) -> Option<Section<'a>> {
        let Node::Table(table) = self.node else {
            return self.not_hidden("a mapping");
        };
        Some(Section::new(table, self.path.clone(), self.context, keys))
    }

    /// The entries of a mapping whose keys the user chooses; none if it is null.
    pub(super) fn entries(&self) -> Vec<(&'a str, Cursor<'a>)> {
        if self.is_null() {
            return Vec::new();
        }
        let Node::Table(table) = self.node else {
            return self.not_hidden("a mapping").unwrap_or_default();
        };
        let mut entries = Vec::with_capacity(table.len());
        for (key, node) in table {
            let entry = self.below(node, key_path(&self.path, key));
            entries.push((key.as_str(), entry));
        }
        entries
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Cursor<'a>> {
        let Node::List(items) = self.node else {
            return self.not_hidden("a list").unwrap_or_default();
        };
        let mut cursors = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            cursors.push(self.below(node, index_path(&self.path, index)));
        }
        cursors
    }

    /// A value inside this one.
    fn below(&self, node: &'a Node, path: String) -> Self {
        Self {
            node,
            path,
            context: self.context,
        }
    }

    fn raw_text(&self) -> Option<&'a Text> {
        if let Node::Text(text) = self.node {
            Some(text)
        } else {
            None
        }
    }

    /// The text of an environment variable, which may be a number or a truth value.
    fn scalar_text(&self) -> Option<&'a str> {
        let text = self.raw_text()?;
        if text.may_be_scalar() {
            Some(&text.value)
        } else {
            None
        }
    }

    /// The text of the value, if it is one; nothing is refused.
    pub(super) fn word(&self) -> Option<&'a str> {
        Some(&self.raw_text()?.value)
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) => Some(&text.value),
            Node::Bool(_) | Node::Int(_) | Node::Float(_) => self.not("text; put it in quotes"),
            _ => self.not("text"),
        }
    }

    /// The value as text, also where YAML reads it as a whole number, a truth value or nothing.
    pub(super) fn text_of_scalar(&self) -> Option<Cow<'a, str>> {
        match self.node {
            Node::Null => Some(Cow::Borrowed("")),
            Node::Int(number) => Some(Cow::Owned(number.to_string())),
            Node::Bool(value) => Some(Cow::Owned(value.to_string())),
            _ => self.text().map(Cow::Borrowed),
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

    /// A part of a whole in `range`, written as a number such as `0.8`.
    pub(super) fn share(&self, range: &RangeInclusive<Share>) -> Option<Share> {
        let number = match (self.node, self.scalar_text()) {
            (Node::Float(number), _) => Some(*number),
            (Node::Int(1), _) => Some(1.0),
            (_, Some(text)) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number.filter(|number| (0.0..=1000.0).contains(number)) else {
            return self.not("a part of a whole, such as 0.8");
        };
        // In range, by the filter above.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let thousandths = (number * 1000.0).round() as u32;
        let share = Share::from_thousandths(thousandths);
        self.checked(in_range(share, range, |share| share.as_f64().to_string()))
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

    /// A duration in the range of its `key`.
    pub(super) fn span_of(&self, key: &Key) -> Option<Span> {
        match &key.kind {
            Kind::Duration { range, .. } => self.span(range),
            _ => None,
        }
    }

    /// An HTTP URL that is no secret. It is not shown when it is wrong, because a secret in it may
    /// be what is wrong.
    pub(super) fn url(&self) -> Option<&'a str> {
        let text = self.text()?;
        if let Err(error) = check_url(text) {
            self.refuse_hidden(error);
            return None;
        }
        Some(text)
    }

    /// A host name or an IP address, without a port.
    pub(super) fn host_name(&self) -> Option<&'a str> {
        let text = self.text()?;
        // What may be the host of an address; the port only completes one.
        let address = if text.contains(':') {
            format!("[{text}]:1")
        } else {
            format!("{text}:1")
        };
        if ServerAddr::parse(&address).is_err() {
            self.refuse(
                "is not a host name or an IP address; write it like redis.example.com, without a \
                 port",
            );
            return None;
        }
        Some(text)
    }

    /// A size in `range`.
    pub(super) fn bytes(&self, range: &RangeInclusive<Bytes>) -> Option<Bytes> {
        let bytes = match (self.bare_number(), self.node) {
            (Some(number), _) if number < 0 => return self.checked(Err("is less than nothing")),
            // A number above u64 is out of every range, and so is the largest u64.
            (Some(number), _) => Bytes::new(u64::try_from(number).unwrap_or(u64::MAX)),
            (None, Node::Text(text)) => self.checked(parse_bytes(&text.value))?,
            _ => {
                return self.not("a size; write it like 64MiB, 1GB, or as a whole number of bytes");
            }
        };
        self.checked(in_range(bytes, range, |bytes| format!("{}B", bytes.get())))
    }

    /// A number without a unit, which an environment variable has as text.
    fn bare_number(&self) -> Option<i128> {
        if let Node::Int(number) = self.node {
            return Some(*number);
        }
        self.scalar_text()?.parse().ok()
    }

    /// Whether the value switches something off: `null`, or that word from the environment.
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

    /// The path of a file that is read when it is used; collected, so that a check of the
    /// configuration can read it at once.
    fn named_file(&self, kind: FileKind) -> Option<PathBuf> {
        let path = self.file_path()?;
        self.context.files.add(&self.path, path.clone(), kind);
        Some(path)
    }

    /// The path of a file of certificates or keys.
    pub(super) fn pem_file(&self) -> Option<PathBuf> {
        self.named_file(FileKind::Pem)
    }

    /// The secret in the file at this path.
    pub(super) fn secret_file(&self) -> Option<SecretSource> {
        let path = self.named_file(FileKind::Secret)?;
        Some(SecretSource::File(path))
    }

    /// A secret that is written in the configuration. Messages never show it.
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
    pub(super) fn root(table: &'a Table, context: Context<'a>, keys: &'static Keys) -> Self {
        Self::new(table, String::new(), context, keys)
    }

    fn new(table: &'a Table, path: String, context: Context<'a>, keys: &'static Keys) -> Self {
        let mut section = Self {
            table,
            path,
            context,
            keys,
            has_refused_keys: false,
        };
        for (key, value) in table {
            if let Some(refusal) = keys.refusal(key) {
                section.has_refused_keys = true;
                section.refuse_key(key, value, refusal);
            }
        }
        section
    }

    /// Records that `key` is not one of the mapping's. It is named only if it looks like a key:
    /// `{password:secret}` and `{password, secret}` turn the secret into one.
    fn refuse_key(&self, key: &str, value: &Node, refusal: String) {
        let problems = self.context.problems;
        let has_value = !matches!(value, Node::Null);
        let looks_like_key = is_plain_key(key) && (has_value || self.keys.nearly_has(key));
        if looks_like_key || key == MERGE {
            problems.add(&key_path(&self.path, key), refusal);
        } else if self.path.is_empty() {
            problems.add("configuration", self.keys.refusal_of_hidden());
        } else {
            problems.add(&self.path, self.keys.refusal_of_hidden());
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Records a problem with the mapping as a whole.
    pub(super) fn refuse(&self, sentence: impl Into<String>) {
        self.context.problems.add(&self.path, sentence);
    }

    /// Records a problem at `path`, which is inside the mapping.
    pub(super) fn refuse_at(&self, path: &str, sentence: impl Into<String>) {
        self.context.problems.add(path, sentence);
    }

    /// Records that something is missing, unless a refused key is probably what was meant.
    pub(super) fn refuse_as_incomplete(&self, sentence: impl Into<String>) {
        if !self.has_refused_keys {
            self.refuse(sentence);
        }
    }

    /// The value of `key`, if the file has one.
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

    /// The value of `key`; records a problem if there is none.
    pub(super) fn required(&self, key: &str, meaning: &str) -> Option<Cursor<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.refuse_missing(key, meaning);
        }
        value
    }

    /// The value of `key` as `read` reads it; `None` if the file has none, or one that is refused.
    pub(super) fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Cursor<'a>) -> Option<T>,
    ) -> Option<T> {
        read(&self.get(key)?)
    }

    /// Like [`Self::read`]; records a problem if the file has no `key`.
    pub(super) fn read_required<T>(
        &self,
        key: &str,
        meaning: &str,
        read: impl FnOnce(&Cursor<'a>) -> Option<T>,
    ) -> Option<T> {
        read(&self.required(key, meaning)?)
    }

    /// Records that `key` is missing, unless a refused key is probably what was meant.
    pub(super) fn refuse_missing(&self, key: &str, meaning: &str) {
        if !self.has_refused_keys {
            let path = key_path(&self.path, key);
            let sentence = format!("is missing: give {meaning}");
            self.context.problems.add(&path, sentence);
        }
    }

    /// The mapping at `key`, whose keys the table has; empty where the file has none, or nothing
    /// under its name.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        let is_given = self.get(key).is_some_and(|cursor| !cursor.is_null());
        if is_given && let Some(section) = self.given_section(key) {
            return section;
        }
        Section {
            table: &EMPTY,
            path: key_path(&self.path, key),
            context: self.context,
            keys: self.keys.below(key),
            has_refused_keys: false,
        }
    }

    /// The mapping at `key`, where the file has one; something else is a problem.
    pub(super) fn given_section(&self, key: &str) -> Option<Section<'a>> {
        self.get(key)?.section(self.keys.below(key))
    }

    /// The items of the list at `key`; none where the file has none, or nothing under its name.
    pub(super) fn items(&self, key: &str) -> Vec<Cursor<'a>> {
        match self.get(key) {
            Some(cursor) if !cursor.is_null() => cursor.items(),
            _ => Vec::new(),
        }
    }

    /// The duration at `key`, in the table's range; `None` where it is not given or refused.
    pub(super) fn span(&self, key: &str) -> Option<Span> {
        self.get(key)?.span_of(self.keys.get(key)?)
    }

    /// The duration at `key`, or the table's default.
    pub(super) fn span_or_default(&self, key: &str) -> Span {
        if let Some(span) = self.span(key) {
            return span;
        }
        let default = self.keys.get(key).and_then(Key::default_duration);
        default.unwrap_or(Span::ZERO)
    }

    /// The secret at `key`, or its file at `key_file`. What is written in the configuration is
    /// checked as the table says.
    pub(super) fn secret(&self, key: &str) -> Option<SecretSource> {
        let file_key = format!("{key}_file");
        match (self.get(key), self.get(&file_key)) {
            (Some(_), Some(file)) => {
                let sentence = format!("{key} is given as well; give one of {key} and {file_key}");
                self.context.problems.add(file.path(), sentence);
                None
            }
            (Some(inline), None) => inline_source(&inline, self.secret_check(key)),
            (None, Some(file)) => file.secret_file(),
            (None, None) => None,
        }
    }

    /// How a secret at `key` is checked.
    fn secret_check(&self, key: &str) -> Check {
        match self.keys.get(key) {
            Some(Key {
                kind: Kind::Secret(check),
                ..
            }) => *check,
            _ => any_secret,
        }
    }

    /// Like [`Self::secret`], but records a problem if neither is given.
    pub(super) fn required_secret(&self, key: &str) -> Option<SecretSource> {
        let file_key = format!("{key}_file");
        if !self.has(key) && !self.has(&file_key) {
            self.refuse_missing(key, &format!("it or {file_key}"));
        }
        self.secret(key)
    }
}

/// The secret that is written at `cursor`, checked by `check`.
pub(super) fn inline_source(cursor: &Cursor<'_>, check: Check) -> Option<SecretSource> {
    let text = cursor.inline_secret()?;
    if let Err(error) = check(text) {
        cursor.refuse_hidden(error);
        return None;
    }
    Some(SecretSource::Inline(Secret::new(text)))
}
