//! The description of a file of lost writes: the JSON document beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::conflicts::{ConflictKey, Conflicts};
use super::tail::TailCounts;

/// The version of the document's form.
pub const FORMAT: u32 = 1;

/// A server that a file is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerOfFile {
    /// `host:port`.
    pub server: String,
    /// Its datacenter.
    pub dc: String,
    /// The program and its version, such as `redis 7.0.15`; `null` where it does not say so.
    pub version: Option<String>,
    /// The process; `null` where it does not say so.
    pub run_id: Option<String>,
}

/// One file of lost writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LostWritesHeader {
    /// The version of this document's form: 1.
    pub format: u32,
    /// The program that wrote it, and its version.
    pub written_by: String,
    /// The pair.
    pub pair: String,
    /// The master that was deposed, which alone has these writes.
    pub deposed: ServerOfFile,
    /// The server that was promoted.
    pub promoted: ServerOfFile,
    /// The replication ID of the history that the writes belong to.
    pub replication_id: String,
    /// The offset of the first byte that only the deposed master has.
    pub first_offset: u64,
    /// The offset of the last byte that was read.
    pub last_offset: u64,
    /// When reading began, in Unix seconds.
    pub captured_timestamp: f64,
    /// Bytes of the stream from the first to the last offset.
    pub stream_bytes: u64,
    /// Whether the file has all that the deposed master had when it was last asked.
    pub is_complete: bool,
    /// What is missing and why; `null` where nothing is.
    pub missing: Option<String>,
    /// The name of the file with the commands, in the same folder.
    pub file: String,
    /// Its size.
    pub file_bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The database that the file begins in; `null` where it is not known.
    pub database: Option<u64>,
    /// Commands of clients.
    pub commands_total: u64,
    /// The same by name.
    pub commands: BTreeMap<String, u64>,
    /// The same by database.
    pub databases: BTreeMap<u64, u64>,
    /// Transactions; a script that wrote more than once is one, too.
    pub transactions: u64,
    /// Distinct keys that they change, where that is known.
    pub keys: u64,
    /// Whether a command changed all keys at once.
    pub changed_everything: bool,
    /// Commands of which it is not known which keys they change.
    pub unknown_keys: Vec<String>,
    /// Commands of the stream that no client wrote; they are not in the file.
    pub own_commands: u64,
    /// Their bytes.
    pub own_bytes: u64,
    /// What both sides have changed.
    pub conflicts: ConflictsOfFile,
    /// Whether a person has marked the file as dealt with.
    pub done: Option<DoneMark>,
}

/// What both sides have changed since the promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictsOfFile {
    /// How many keys; `null` where it is not known.
    pub count: Option<u64>,
    /// Why it is not known, or not all of it; `null` where it is.
    pub why: Option<String>,
    /// The keys, at most 1,000 of them.
    pub keys: Vec<KeyOfFile>,
}

/// A key that both sides have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOfFile {
    /// Its database.
    pub database: u64,
    /// Its name; bytes that are not UTF-8 are replaced.
    pub key: String,
}

/// Who marked a file as dealt with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoneMark {
    /// When, in Unix seconds.
    pub timestamp: f64,
    /// Who.
    pub by: String,
    /// What was done.
    pub comment: String,
}

impl ConflictsOfFile {
    /// Nothing is known yet, or can be known.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self {
            count: None,
            why: Some(why.into()),
            keys: Vec::new(),
        }
    }

    /// What was found.
    pub fn from_found(found: Conflicts) -> Self {
        let why = if found.is_everything {
            Some("the promoted server has changed all keys at once since (FLUSHALL or the like)")
        } else if found.is_partial {
            Some("there may be more: the keys of some commands are not known")
        } else {
            None
        };
        Self {
            count: Some(found.count),
            why: why.map(str::to_owned),
            keys: found.keys.into_iter().map(KeyOfFile::from).collect(),
        }
    }

    /// Notes which commands of the file itself may conflict with more than the keys that were
    /// looked for.
    pub fn note_own(&mut self, counts: &TailCounts) {
        if self.why.is_some() {
            return;
        }
        if counts.changed_everything {
            let why = "a command of the file changes all keys at once (FLUSHALL or the like)";
            self.why = Some(why.to_owned());
        } else if !counts.unknown_keys.is_empty() {
            let why = "there may be more: the keys of some commands of the file are not known";
            self.why = Some(why.to_owned());
        }
    }
}

impl From<ConflictKey> for KeyOfFile {
    fn from(key: ConflictKey) -> Self {
        Self {
            database: key.database,
            key: key.key,
        }
    }
}

impl LostWritesHeader {
    /// Takes over what was counted of the stream.
    pub fn set_counts(&mut self, counts: &TailCounts, keys: u64) {
        self.commands_total = counts.total();
        self.commands.clone_from(&counts.commands);
        self.databases.clone_from(&counts.databases);
        self.transactions = counts.transactions;
        self.keys = keys;
        self.changed_everything = counts.changed_everything;
        self.unknown_keys = counts.unknown_keys.iter().cloned().collect();
        self.own_commands = counts.own_commands;
        self.own_bytes = counts.own_bytes;
    }

    /// One sentence about the file, such as `1,603 commands for 512 keys, 3 keys also changed on
    /// dc2-redis:6379`.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{} for {}",
            plural(self.commands_total, "command"),
            plural(self.keys, "key")
        );
        let is_all = self.conflicts.why.is_none();
        match self.conflicts.count {
            Some(0) if is_all => {
                text += &format!(", none of them changed on {}", self.promoted.server);
            }
            None | Some(0) => text += ", conflicts not known",
            Some(count) => {
                let least = if is_all { "" } else { "at least " };
                text += &format!(
                    ", {least}{} also changed on {}",
                    plural(count, "key"),
                    self.promoted.server
                );
            }
        }
        if !self.is_complete {
            text += ", not complete";
        }
        text
    }
}

/// `1 command`, `1,603 commands`.
pub fn plural(count: u64, noun: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let end = if count == 1 { "" } else { "s" };
    format!("{grouped} {noun}{end}")
}

#[cfg(test)]
mod tests {
    use super::super::tail::TailDigest;
    use super::super::testing::{header, stream};
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(plural(1, "key"), "1 key");
        assert_eq!(plural(0, "key"), "0 keys");
        assert_eq!(plural(999, "command"), "999 commands");
        assert_eq!(plural(1_603, "command"), "1,603 commands");
        assert_eq!(plural(1_234_567, "key"), "1,234,567 keys");
    }

    #[test]
    fn a_header_is_read_back_as_it_was_written() {
        let mut header = header();
        let mut digest = TailDigest::new(Some(0), 1024);
        let commands = stream(&["SET a 1", "MULTI", "INCR b", "EXEC", "PING"]);
        digest.feed(&commands, &mut Vec::new()).unwrap();
        header.set_counts(digest.counts(), digest.keys().len() as u64);
        let text = serde_json::to_string(&header).unwrap();
        let read: LostWritesHeader = serde_json::from_str(&text).unwrap();
        assert_eq!(read, header);
        assert_eq!(
            (
                read.commands_total,
                read.keys,
                read.transactions,
                read.own_commands
            ),
            (2, 2, 1, 1)
        );
    }

    #[test]
    fn commands_of_the_file_that_may_change_any_key_leave_conflicts_open() {
        for (command, words) in [
            ("FLUSHALL", "all keys at once"),
            ("JSON.SET k . 1", "may be more"),
        ] {
            let mut digest = TailDigest::new(Some(0), 1024);
            digest.feed(&stream(&[command]), &mut Vec::new()).unwrap();
            let mut conflicts = ConflictsOfFile {
                count: Some(0),
                why: None,
                keys: Vec::new(),
            };
            conflicts.note_own(digest.counts());
            assert!(conflicts.why.unwrap().contains(words), "{command}");
        }
    }

    #[test]
    fn the_summary_says_what_a_person_asks_first() {
        let mut header = header();
        header.commands_total = 1_603;
        header.keys = 512;
        assert_eq!(
            header.summary(),
            "1,603 commands for 512 keys, conflicts not known"
        );
        header.conflicts.count = Some(0);
        assert!(header.summary().ends_with("conflicts not known"), "not all");
        header.conflicts.count = Some(3);
        assert!(
            header
                .summary()
                .ends_with("at least 3 keys also changed on 127.0.0.2:6379")
        );
        header.conflicts.why = None;
        header.is_complete = false;
        let expected =
            "1,603 commands for 512 keys, 3 keys also changed on 127.0.0.2:6379, not complete";
        assert_eq!(header.summary(), expected);
        header.conflicts.count = Some(0);
        assert!(
            header
                .summary()
                .contains("none of them changed on 127.0.0.2:6379")
        );
    }
}
