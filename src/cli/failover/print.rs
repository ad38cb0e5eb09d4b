//! What the commands of operations print alike.

use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::output::{complain, say};

/// Prints what is wrong with the request.
pub(super) fn usage(sentence: &str) -> Exit {
    complain(sentence);
    Exit::Usage
}

/// Prints `value` as JSON.
pub(super) fn print_json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => say(&text),
        Err(error) => complain(&format!(
            "The report cannot be written as JSON: {error}. Please report it."
        )),
    }
}
