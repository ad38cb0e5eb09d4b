//! How an operation ended.

use serde::{Deserialize, Serialize};

use crate::model::{closed_set, serde_as_label};

closed_set! {
    /// How an operation ended, as its exit code says it.
    pub enum Outcome {
        /// Everything was done and proved.
        Done => "done",
        /// It failed, and everything is as before, proved.
        AsBefore => "as-before",
        /// The servers do not allow it; nothing was done.
        Refused => "refused",
        /// Things are not as before, and something is open.
        Incomplete => "incomplete",
    }
}

serde_as_label!(Outcome);

/// The end of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// How it ended.
    pub outcome: Outcome,
    /// Who is master, and why it ended so: one sentence without a full stop.
    pub sentence: String,
    /// What is open, a sentence each: for somebody to do.
    pub open: Vec<String>,
}

impl Ending {
    /// An end with nothing open.
    pub fn new(outcome: Outcome, sentence: impl Into<String>) -> Self {
        Self {
            outcome,
            sentence: sentence.into(),
            open: Vec::new(),
        }
    }

    /// The same with what is open.
    #[must_use]
    pub fn with_open(mut self, open: Vec<String>) -> Self {
        self.open = open;
        self
    }

    /// The last line of every run: how it ended, who is master, and what is open.
    pub fn last_line(&self) -> String {
        let head = match self.outcome {
            Outcome::Done => "Done",
            Outcome::AsBefore => "Failed, and everything is as before",
            Outcome::Refused => "Refused, and nothing was done",
            Outcome::Incomplete => "Incomplete",
        };
        let open = if self.open.is_empty() {
            "Nothing is open.".to_owned()
        } else {
            format!("Open: {}.", self.open.join("; "))
        };
        format!("{head}: {}. {open}", self.sentence)
    }
}
