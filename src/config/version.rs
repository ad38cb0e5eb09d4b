//! The version of the configuration's schema, so that a file for another program is refused by its
//! version and not by the first key that differs.

use super::ConfigErrors;
use super::node::{Node, Table};

/// The version that this program reads and prints. It changes when the meaning of a file changes,
/// not when keys are added.
pub(super) const VERSION: u32 = 1;

/// The key of the version.
pub(super) const KEY: &str = "version";

/// Refuses a tree of another version; `file` is what the message calls it. A file without the key
/// has version 1.
///
/// # Errors
/// Only this problem: others of a file of another version would be misleading.
pub(super) fn check(root: &Table, file: &str) -> Result<(), ConfigErrors> {
    let sentence = match root.get(KEY) {
        None => return Ok(()),
        Some(Node::Int(version)) if *version == i128::from(VERSION) => return Ok(()),
        Some(Node::Int(version)) => refusal(*version, file),
        Some(other) => format!(
            "{} is not a whole number: write version: {VERSION}, without quotes",
            other.shown()
        ),
    };
    Err(ConfigErrors::one(KEY, sentence))
}

fn refusal(version: i128, file: &str) -> String {
    let program = env!("CARGO_PKG_VERSION");
    let what_to_do = if version > i128::from(VERSION) {
        "it was written for a newer program: install that one, or bring the file back to version 1 (docs/upgrading.md)"
    } else {
        "there has never been such a version: write version: 1, or leave it out"
    };
    format!(
        "{file} has version {version}, but this program ({program}) understands only version {VERSION}: {what_to_do}"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Environment, Format, parse};

    const PAIR: &str =
        r#"pairs: [{name: p, master: {address: "a:1"}, replicas: [{address: "b:1"}]}]"#;

    fn errors(head: &str) -> Option<String> {
        let environment = Environment::default();
        let text = format!("{head}\n{PAIR}");
        parse(&text, Format::Yaml, Path::new(""), &environment)
            .err()
            .map(|errors| errors.to_string())
    }

    #[test]
    fn version_1_is_what_it_is_without_a_version() {
        assert_eq!(errors(""), None);
        assert_eq!(errors("version: 1"), None);
    }

    #[test]
    fn another_version_is_refused_with_this_problem_only() {
        let understood = concat!(
            "but this program (",
            env!("CARGO_PKG_VERSION"),
            ") understands only version 1: "
        );
        let newer = "it was written for a newer program: install that one, or bring the file back to version 1 \
                     (docs/upgrading.md)";
        let cases = [
            (
                "version: 2\nsentinels: [x]",
                format!("the configuration has version 2, {understood}{newer}"),
            ),
            (
                "version: 99999999999",
                format!("the configuration has version 99999999999, {understood}{newer}"),
            ),
            (
                "version: 0",
                format!(
                    "the configuration has version 0, {understood}there has never been such a version: write \
                     version: 1, or leave it out"
                ),
            ),
            ("version: -1", String::new()),
            (
                "version: '1'",
                "\"1\" is not a whole number: write version: 1, without quotes".to_owned(),
            ),
            ("version: 1.0", String::new()),
            (
                "version:",
                "null is not a whole number: write version: 1, without quotes".to_owned(),
            ),
            (
                "version: [1]",
                "a list is not a whole number: write version: 1, without quotes".to_owned(),
            ),
        ];
        for (head, sentence) in cases {
            let said = errors(head).unwrap_or_else(|| panic!("{head} is accepted"));
            assert!(
                said.starts_with("version: ") && said.lines().count() == 1,
                "{said}"
            );
            assert!(
                sentence.is_empty() || said == format!("version: {sentence}"),
                "{head}: {said}"
            );
        }
    }
}
