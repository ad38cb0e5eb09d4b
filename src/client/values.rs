//! Requests of plain words, and the values in their replies.

use redis::{Cmd, Value};

/// `words` two by two; `None` when their number is odd.
pub(super) fn pairs(words: Vec<Value>) -> Option<Vec<(Value, Value)>> {
    let mut pairs = Vec::with_capacity(words.len() / 2);
    let mut words = words.into_iter();
    while let Some(name) = words.next() {
        pairs.push((name, words.next()?));
    }
    Some(pairs)
}

/// The command with these words.
pub(super) fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(words);
    command
}

/// A simple value as text; `None` for nil and for what has elements.
pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(line) => Some(line),
        Value::Int(number) => Some(number.to_string()),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}
