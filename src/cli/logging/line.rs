//! One line of the log: an event's message and fields, as logfmt or JSON. Whatever a value
//! contains, the result is one line, the value stays in its field, and no terminal interprets it.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use super::super::args::LogFormat;
use crate::model::{Span, WallTime, is_printable};

/// The most bytes of one value. A foreign name of 10 KB says no more in full.
const MAX_VALUE: usize = 4096;

/// The most bytes of a line. Docker cuts lines into pieces of 16 KiB.
const MAX_LINE: usize = 12 * 1024;

/// The end of a value that was cut.
const CUT: char = '…';

/// This program's own modules; a line of another one says whose it is.
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

/// The names of the fields that every line has, and what another field of that name is called
/// instead: no name occurs twice in a line.
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
        for (field, value) in self
            .fields
            .iter()
            .filter(|(field, _)| SUBJECT.contains(field))
        {
            let (Value::Text(value) | Value::Bare(value)) = value;
            name += &format!("{field}={value}\n");
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
        let mut sheet = Sheet::new(format);
        sheet.put("ts", &Value::Text(time_text(now)));
        sheet.put("level", &Value::Text(level));
        sheet.put("msg", &Value::Text(self.message.clone()));
        for (name, value) in &self.fields {
            sheet.put(name, value);
        }
        let target = self.metadata.target();
        if !target.starts_with(OWN) {
            sheet.put("target", &Value::Text(target.to_owned()));
        }
        sheet.end()
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Bare(text)) => self.message = text,
            (name, value) => {
                let instead = RESERVED.iter().find(|(reserved, _)| *reserved == name);
                self.fields
                    .push((instead.map_or(name, |(_, instead)| instead), value));
            }
        }
    }
}

impl Visit for LogLine {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no other numbers.
        let text = format!("{value}");
        self.put(
            field,
            if value.is_finite() {
                Value::Bare(text)
            } else {
                Value::Text(text)
            },
        );
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
        let end = (0..=room)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        self.0.push_str(text.get(..end).unwrap_or_default());
        self.0.push(CUT);
        Err(fmt::Error)
    }
}

/// A line that is being written.
struct Sheet {
    format: LogFormat,
    text: String,
    is_full: bool,
}

impl Sheet {
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
            LogFormat::Logfmt => format!(
                "{}{name}={}",
                if is_first { "" } else { " " },
                value.logfmt()
            ),
            LogFormat::Json => format!(
                "{}\"{name}\":{}",
                if is_first { "{" } else { "," },
                value.json()
            ),
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
    !text.is_empty()
        && text
            .chars()
            .all(|c| !matches!(c, ' ' | '=' | '"' | '\\') && is_printable(c))
}

/// `text` as a text of JSON, which is how the readers of logfmt take a value in quotes as well.
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

/// A time as RFC 3339 writes it, in UTC to the millisecond; without a date where the calendar has
/// none.
fn time_text(at: WallTime) -> String {
    jiff::Timestamp::from_nanosecond(at.as_nanos().into())
        .map_or_else(|_| "unknown".to_owned(), |at| format!("{at:.3}"))
}
