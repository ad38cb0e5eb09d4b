//! The journal of an operation: one JSON object a line, each with its CRC.
//!
//! A line is `{"crc":"89abcdef","entry":{...}}`, the CRC-32 (IEEE) being that of the text of the
//! entry. The line of an order
//! that changes a role is on the disk before the order leaves.

use serde::{Deserialize, Serialize};

use super::ending::Ending;
use super::goal::Goal;
use super::hook_names::HookStage;
use super::intent::Intent;
use super::order::Order;

const HEAD: &str = "{\"crc\":\"";
const MIDDLE: &str = "\",\"entry\":";
const END: &str = "}";
const CRC_DIGITS: usize = 8;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in Unix seconds.
    pub at: f64,
    /// What.
    pub record: Record,
}

/// What a line records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The operation began. The first line, and only that.
    Began {
        /// What it is meant to do.
        intent: Box<Intent>,
    },
    /// A further run began.
    Resumed {
        /// Where it goes.
        goal: Goal,
    },
    /// An order is about to leave.
    Will {
        /// The order.
        order: Order,
    },
    /// An order was answered, or given up.
    Did {
        /// The order.
        order: Order,
        /// How long that took, in seconds.
        seconds: f64,
        /// Why it was not carried out, as a sentence; `null` where it was.
        failure: Option<String>,
    },
    /// A hook ran.
    Hook {
        /// When.
        stage: HookStage,
        /// Its name.
        name: String,
        /// How long it took, in seconds.
        seconds: f64,
        /// Why it failed, as a sentence; `null` where it did not.
        failure: Option<String>,
    },
    /// Something was proved.
    Proved {
        /// What, as a sentence.
        what: String,
    },
    /// The run ended.
    Ended {
        /// How.
        ending: Ending,
    },
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// What the operation is meant to do.
    pub intent: Intent,
    /// Every whole line.
    pub entries: Vec<Entry>,
    /// The bytes of the whole lines; what follows is a torn one.
    pub length: usize,
}

/// Why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A line before the last one is damaged.
    #[error("line {line} of the journal is damaged")]
    Damaged {
        /// Its number, from 1.
        line: usize,
    },
    /// It does not begin with what is meant to be done.
    #[error("the journal does not begin with the operation's intent")]
    NoIntent,
}

/// The line for `entry`, with its line break.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn encode(entry: &Entry) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(entry)?;
    let crc = crc32fast::hash(text.as_bytes());
    Ok(format!("{HEAD}{crc:08x}{MIDDLE}{text}{END}\n"))
}

/// The lines of a journal. A last line that is torn is left out: its order has not left.
///
/// # Errors
/// [`JournalError`] where another line is damaged, or the first is no intent.
pub fn decode(text: &str) -> Result<Journal, JournalError> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut entries = Vec::with_capacity(lines.len());
    let mut length = 0;
    for (index, line) in lines.iter().enumerate() {
        match decode_line(line) {
            Some(entry) => {
                entries.push(entry);
                length += line.len();
            }
            None if index + 1 == lines.len() => {}
            None => return Err(JournalError::Damaged { line: index + 1 }),
        }
    }
    let intent = match entries.first() {
        Some(Entry {
            record: Record::Began { intent },
            ..
        }) => (**intent).clone(),
        _ => return Err(JournalError::NoIntent),
    };
    Ok(Journal {
        intent,
        entries,
        length,
    })
}

fn decode_line(line: &str) -> Option<Entry> {
    let rest = line.strip_suffix('\n')?.strip_prefix(HEAD)?;
    let crc = rest.get(..CRC_DIGITS)?;
    let body = rest.get(CRC_DIGITS..)?.strip_prefix(MIDDLE)?;
    let text = body.strip_suffix(END)?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    if crc32fast::hash(text.as_bytes()) != crc {
        return None;
    }
    serde_json::from_str(text).ok()
}
