//! One line of the log: an event's message and fields, as logfmt or JSON. Whatever a value
//! contains, the result is one line, the value stays in its field, and no terminal interprets it.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use super::super::args::LogFormat;
use crate::model::{Span, WallTime, is_printable};

/// The most bytes of one value. A foreign name of 10 KB is no more useful in full.
const MAX_VALUE: usize = 4096;

/// The most bytes of a line. Docker cuts lines into pieces of 16 KiB.
const MAX_LINE: usize = 12 * 1024;

/// The end of a value that was cut.
const CUT: char = '…';

/// This program's crate; lines of other crates have a field `target`.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// The fields that identify what a line is about; lines are rate-limited by them.
const SUBJECT: [&str; 8] = [
    "pair",
    "replica",
    "server",
    "receiver",
    "group",
    "fingerprint",
    "path",
    "file",
];

/// The fields that every line has, and the name of another field that is called the same: no name
/// occurs twice in a line.
const RESERVED: [(&str, &str); 4] = [
    ("ts", "ts_"),
    ("level", "level_"),
    ("msg", "msg_"),
    ("target", "target_"),
];

/// An event, with its values already bounded.
#[derive(Debug)]
pub(super) struct LogLine {
    metadata: &'static Metadata<'static>,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

#[derive(Debug)]
enum Value {
    Text(String),
    /// A number or a truth value, as JSON writes it.
    Bare(String),
}

/// What a line is about; lines with equal subjects are rate-limited together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LogSubject {
    /// The module that logs it.
    source: &'static str,
    /// The values of the identifying fields, or the message where there are none.
    name: String,
}

impl LogSubject {
    /// The subject that all those of the same module share when there is no room for more.
    pub(super) fn without_name(&self) -> Self {
        Self {
            source: self.source,
            name: String::new(),
        }
    }
}

impl LogLine {
    /// The line of `event`.
    pub(super) fn from_event(event: &Event<'_>) -> Self {
        let mut line = Self {
            metadata: event.metadata(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// What it is about; `None` for debug and trace lines, which are never suppressed.
    pub(super) fn subject(&self) -> Option<LogSubject> {
        if *self.metadata.level() > Level::INFO {
            return None;
        }
        let mut name = String::new();
        for (field, value) in &self.fields {
            if SUBJECT.contains(field) {
                let (Value::Text(value) | Value::Bare(value)) = value;
                name += &format!("{field}={value}\n");
            }
        }
        if name.is_empty() {
            name.clone_from(&self.message);
        }
        Some(LogSubject {
            source: self.metadata.target(),
            name,
        })
    }

    /// Makes the line a summary of `lines` suppressed ones over the time `over`, of which it is the
    /// last, logged at `at`.
    pub(super) fn sum_up(&mut self, lines: u64, over: Span, at: WallTime) {
        let seconds = over.as_secs_f64();
        if lines > 1 {
            self.message +=
                &format!(" (the last of {lines} more like this in the last {seconds:.0} s)");
        }
        self.fields
            .push(("held_back", Value::Bare(lines.to_string())));
        self.fields.push(("said_at", Value::Text(time_text(at))));
    }

    /// The text of the line, written at `now`, with its line break.
    pub(super) fn render(&self, format: LogFormat, now: WallTime) -> String {
        let level = self.metadata.level().as_str().to_ascii_lowercase();
        let mut writer = LineWriter::new(format);
        writer.put("ts", &Value::Text(time_text(now)));
        writer.put("level", &Value::Text(level));
        writer.put("msg", &Value::Text(self.message.clone()));
        for (name, value) in &self.fields {
            writer.put(name, value);
        }
        let target = self.metadata.target();
        if !target.starts_with(OWN) {
            writer.put("target", &Value::Text(target.to_owned()));
        }
        writer.end()
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Bare(text)) => self.message = text,
            (name, value) => self.fields.push((unreserved(name), value)),
        }
    }
}

/// The name under which a field is written.
fn unreserved(name: &'static str) -> &'static str {
    for (reserved, instead) in RESERVED {
        if name == reserved {
            return instead;
        }
    }
    name
}

impl Visit for LogLine {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = format!("{value}");
        // JSON has no number for infinity, and none for NaN.
        let value = if value.is_finite() {
            Value::Bare(text)
        } else {
            Value::Text(text)
        };
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded::default();
        // The error means that the rest was cut off.
        let _ = write!(text, "{value:?}");
        self.put(field, Value::Text(text.0));
    }
}

/// A text of at most [`MAX_VALUE`] bytes; the rest is cut off.
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_VALUE.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = text.floor_char_boundary(room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        self.0.push(CUT);
        Err(fmt::Error)
    }
}

/// A line that is being written, field by field.
struct LineWriter {
    format: LogFormat,
    text: String,
    is_full: bool,
}

impl LineWriter {
    fn new(format: LogFormat) -> Self {
        Self {
            format,
            text: String::new(),
            is_full: false,
        }
    }

    /// Adds a field, unless the line would be too long.
    fn put(&mut self, name: &str, value: &Value) {
        let is_first = self.text.is_empty();
        let field = match self.format {
            LogFormat::Logfmt if is_first => format!("{name}={}", value.logfmt()),
            LogFormat::Logfmt => format!(" {name}={}", value.logfmt()),
            LogFormat::Json if is_first => format!("{{\"{name}\":{}", value.json()),
            LogFormat::Json => format!(",\"{name}\":{}", value.json()),
        };
        self.is_full |= self.text.len() + field.len() > MAX_LINE;
        if !self.is_full {
            self.text.push_str(&field);
        }
    }

    fn end(mut self) -> String {
        match (self.format, self.is_full) {
            (LogFormat::Logfmt, true) => self.text.push_str(" cut=true\n"),
            (LogFormat::Logfmt, false) => self.text.push('\n'),
            (LogFormat::Json, true) => self.text.push_str(",\"cut\":true}\n"),
            (LogFormat::Json, false) => self.text.push_str("}\n"),
        }
        self.text
    }
}

impl Value {
    fn logfmt(&self) -> String {
        match self {
            Self::Bare(text) => text.clone(),
            Self::Text(text) if is_plain(text) => text.clone(),
            Self::Text(text) => quoted(text),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Bare(text) => text.clone(),
            Self::Text(text) => quoted(text),
        }
    }
}

/// Whether a value of logfmt needs no quotes.
fn is_plain(text: &str) -> bool {
    let is_plain = |c: char| is_printable(c) && !matches!(c, ' ' | '=' | '"' | '\\');
    !text.is_empty() && text.chars().all(is_plain)
}

/// `text` as a string of JSON; a quoted value of logfmt has the same form.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if quoted.len() > MAX_VALUE {
            quoted.push(CUT);
            break;
        }
        escape(c, &mut quoted);
    }
    quoted.push('"');
    quoted
}

fn escape(c: char, to: &mut String) {
    match c {
        '"' => to.push_str("\\\""),
        '\\' => to.push_str("\\\\"),
        '\n' => to.push_str("\\n"),
        '\r' => to.push_str("\\r"),
        '\t' => to.push_str("\\t"),
        c if is_printable(c) => to.push(c),
        c => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                to.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

/// A time in RFC 3339, in UTC to the millisecond; `unknown` outside the calendar.
fn time_text(at: WallTime) -> String {
    match jiff::Timestamp::from_nanosecond(at.as_nanos().into()) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => "unknown".to_owned(),
    }
}
