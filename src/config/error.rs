//! The problems of a configuration: all at once, each a sentence with its place.

use std::cell::RefCell;
use std::fmt;

/// The maximum number of problems that are kept. A file with more usually has one cause.
const MAX_PROBLEMS: usize = 100;

/// The maximum number of characters of a value in a message.
const MAX_SHOWN: usize = 80;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// A key path such as `pairs[1].replicas[0].address`, an environment variable, or the
    /// file.
    pub place: String,
    /// What is wrong there and what is allowed. Never contains the value of a secret.
    pub sentence: String,
}

/// All problems of a configuration. `Display` prints one a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    problems: Vec<ConfigProblem>,
    omitted: usize,
}

/// Collects problems while a configuration is read, so that they can be reported together.
#[derive(Default)]
pub(super) struct Problems(RefCell<ConfigErrors>);

impl ConfigErrors {
    /// A single problem at `place`; `sentence` must not contain a secret.
    pub fn one(place: impl Into<String>, sentence: impl Into<String>) -> Self {
        let problem = ConfigProblem {
            place: place.into(),
            sentence: sentence.into(),
        };
        Self {
            problems: vec![problem],
            omitted: 0,
        }
    }

    /// The problems in the order in which they were found: 1 to 100.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl Problems {
    /// Records a problem at `place`.
    pub(super) fn add(&self, place: &str, sentence: impl Into<String>) {
        let mut found = self.0.borrow_mut();
        if found.problems.len() < MAX_PROBLEMS {
            found.problems.push(ConfigProblem {
                place: place.to_owned(),
                sentence: sentence.into(),
            });
        } else {
            found.omitted += 1;
        }
    }

    /// `value` if there is no problem.
    pub(super) fn or<T>(self, value: T) -> Result<T, ConfigErrors> {
        let found = self.0.into_inner();
        if found.problems.is_empty() {
            Ok(value)
        } else {
            Err(found)
        }
    }
}

/// `text` in quotes, with control characters escaped, cut if it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.sentence)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        match self.omitted {
            0 => Ok(()),
            more => write!(f, "\nand {more} more problems"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_lines_and_their_number_is_bounded() {
        let problems = Problems::default();
        for index in 0..MAX_PROBLEMS + 7 {
            problems.add(&format!("pairs[{index}]"), "is wrong");
        }
        let text = problems.or(()).unwrap_err().to_string();
        assert!(text.starts_with("pairs[0]: is wrong\npairs[1]: is wrong\n"));
        assert!(text.ends_with("\nand 7 more problems"));
        assert_eq!(text.lines().count(), MAX_PROBLEMS + 1);
    }

    #[test]
    fn a_shown_value_is_escaped_and_cut_between_characters() {
        assert_eq!(quoted("a\n\u{1b}"), r#""a\n\u{1b}""#);
        assert_eq!(
            quoted(&"ä".repeat(81)),
            format!("\"{}\"...", "ä".repeat(80))
        );
    }
}
