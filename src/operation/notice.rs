//! What the controller of an operation reports to the running exporter, every few seconds while it
//! works: then the exporter shows the operation and does not notify of what it causes.

use serde::{Deserialize, Serialize};

use super::ending::Outcome;
use super::intent::{Intent, OperationKind};
use crate::model::{Span, closed_set, is_printable, serde_as_label};

/// How long a notice holds: a controller that dies quiets no alert for longer than this.
pub const NOTICE_LEASE: Span = Span::from_secs(10);

/// How often a controller renews it: two reports may be lost.
pub const NOTICE_EVERY: Span = Span::from_secs(3);

/// The longest name of an operation, in bytes.
pub const MAX_NOTICE_ID: usize = 64;

/// The longest name of a pair or address and the longest sentence, in bytes.
pub const MAX_NOTICE_TEXT: usize = 2000;

closed_set! {
    /// Where an operation is.
    pub enum NoticeState {
        /// Its controller works on it.
        Running => "running",
        /// Everything was done and proved.
        Done => "done",
        /// It failed, and everything is as before.
        AsBefore => "as-before",
        /// It was refused after all, and nothing was done.
        Refused => "refused",
        /// Things are not as before, and something is open.
        Incomplete => "incomplete",
    }
}

serde_as_label!(NoticeState);

/// One report of a controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationNotice {
    /// The operation's name.
    pub id: String,
    /// The pair.
    pub pair: String,
    /// What is done.
    pub kind: OperationKind,
    /// The master that is replaced, or that returns: `host:port`.
    pub old: String,
    /// The server that becomes, or is, the master: `host:port`.
    pub target: String,
    /// Where it is.
    pub state: NoticeState,
    /// How it ended and what is open, as a sentence; empty while it runs.
    pub sentence: String,
}

impl From<Outcome> for NoticeState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::AsBefore => Self::AsBefore,
            Outcome::Refused => Self::Refused,
            Outcome::Incomplete => Self::Incomplete,
        }
    }
}

impl OperationNotice {
    /// The first notice about an operation.
    pub fn begins(intent: &Intent) -> Self {
        Self {
            id: intent.id.clone(),
            pair: intent.pair.clone(),
            kind: intent.kind,
            old: intent.old.addr.to_string(),
            target: intent.target.addr.to_string(),
            state: NoticeState::Running,
            sentence: String::new(),
        }
    }

    /// The last notice about the same.
    #[must_use]
    pub fn ended(&self, outcome: Outcome, sentence: &str) -> Self {
        Self {
            state: outcome.into(),
            sentence: shortened(sentence),
            ..self.clone()
        }
    }

    /// Checks what comes from outside.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without a full stop.
    pub fn check(&self) -> Result<(), String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.id.is_empty() || self.id.len() > MAX_NOTICE_ID || !self.id.chars().all(is_plain) {
            return Err(format!(
                "`id` is not the name of an operation: letters, digits and -, at most {MAX_NOTICE_ID}"
            ));
        }
        let texts = [
            ("pair", &self.pair),
            ("old", &self.old),
            ("target", &self.target),
            ("sentence", &self.sentence),
        ];
        for (name, text) in texts {
            if text.len() > MAX_NOTICE_TEXT || !text.chars().all(is_printable) {
                return Err(format!(
                    "`{name}` is longer than {MAX_NOTICE_TEXT} bytes, or has characters that cannot be printed"
                ));
            }
        }
        Ok(())
    }
}

/// As much of `sentence` as a notice may have, in printable characters.
fn shortened(sentence: &str) -> String {
    let mut text = String::new();
    for c in sentence.chars() {
        let c = if is_printable(c) { c } else { ' ' };
        if text.len() + c.len_utf8() > MAX_NOTICE_TEXT {
            break;
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> OperationNotice {
        OperationNotice {
            id: "20261130T120000Z-1a2b".to_owned(),
            pair: "orders".to_owned(),
            kind: OperationKind::SwitchOver,
            old: "10.0.0.1:6379".to_owned(),
            target: "10.0.0.2:6379".to_owned(),
            state: NoticeState::Running,
            sentence: String::new(),
        }
    }

    #[test]
    fn what_comes_from_outside_is_checked() {
        notice().check().unwrap();
        let long = "x".repeat(MAX_NOTICE_TEXT + 1);
        let changes: [fn(&mut OperationNotice, &str); 6] = [
            |notice, _| notice.id = String::new(),
            |notice, _| notice.id = "../x".to_owned(),
            |notice, _| notice.id = "x".repeat(MAX_NOTICE_ID + 1),
            |notice, _| notice.pair = "a\u{1b}b".to_owned(),
            |notice, long| notice.old = long.to_owned(),
            |notice, long| notice.sentence = long.to_owned(),
        ];
        for (case, change) in changes.into_iter().enumerate() {
            let mut wrong = notice();
            change(&mut wrong, &long);
            assert!(wrong.check().is_err(), "case {case}");
        }
    }

    #[test]
    fn an_ending_of_any_length_is_accepted() {
        let ended = notice().ended(Outcome::Incomplete, &"ä\n".repeat(5000));
        ended.check().unwrap();
        assert_eq!(ended.state, NoticeState::Incomplete);
        assert!(ended.sentence.len() >= MAX_NOTICE_TEXT - 1);
    }
}
