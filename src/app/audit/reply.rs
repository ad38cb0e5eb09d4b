//! Commands of an audit, and their replies.

use std::collections::BTreeMap;

use crate::client::{Command, Value};
use crate::doctor::Gap;
use crate::model::{PollError, WallTime};

pub(super) fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new();
    command.arg(name).arg(arguments);
    command
}

pub(super) fn config_get(names: &[&str]) -> Command {
    let mut command = command("CONFIG", &["GET"]);
    command.arg(names);
    command
}

/// The names and values of an answer to CONFIG GET.
pub(super) fn parameters(reply: Value) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    match reply {
        Value::Array(words) => {
            let mut words = words.into_iter().filter_map(text);
            while let (Some(name), Some(value)) = (words.next(), words.next()) {
                parameters.insert(name, value);
            }
        }
        Value::Map(fields) => {
            for (name, value) in fields {
                if let (Some(name), Some(value)) = (text(name), text(value)) {
                    parameters.insert(name, value);
                }
            }
        }
        _ => {}
    }
    parameters
}

/// The answer of TIME: seconds and microseconds.
pub(super) fn wall_time(reply: Value) -> Option<WallTime> {
    let Value::Array(words) = reply else {
        return None;
    };
    let numbers: Vec<i64> = words
        .into_iter()
        .filter_map(|word| text(word)?.parse().ok())
        .collect();
    let [seconds, micros] = numbers[..] else {
        return None;
    };
    let nanos = seconds.checked_mul(1_000_000_000)?;
    Some(WallTime::from_nanos(
        nanos.checked_add(micros.checked_mul(1000)?)?,
    ))
}

pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(line) => Some(line),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Why `command` gave no answer; `rule` is the right that it needs.
pub(super) fn gap(command: &str, rule: &str, reason: PollError) -> Gap {
    match reason {
        PollError::Denied => {
            Gap::because(format!("{command} is not permitted: give the user {rule}"))
        }
        _ => Gap::because(format!(
            "{command} failed: the server {}",
            reason.sentence()
        )),
    }
}
