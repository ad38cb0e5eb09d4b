//! The tail of a stream that only one server has: what of it is worth keeping, and what it changes.
//!
//! A stream also has what no client wrote: PING and REPLCONF of the master itself, messages of
//! Sentinels and of this program's heartbeats. That is counted apart and not kept: replayed, a
//! Sentinel's old message would be sent to the Sentinels again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::command::{CommandParser, StreamCommand, StreamError};
use super::keys::{Changed, changed};
use super::look_back::database_number;

/// The most keys that are remembered, 16 bytes each with their table: beyond it, conflicts are
/// found for these alone.
const MAX_KEYS: usize = 2_000_000;

/// The most names of commands that are counted apart; Redis has some 250.
const MAX_NAMES: usize = 1000;

/// The channels whose messages no client of the user sends: those of Sentinels, and of this
/// program's heartbeats.
const OWN_CHANNELS: [&[u8]; 2] = [b"__sentinel__:hello", b"__redis_cross_dc_exporter:"];

/// What the commands of a tail are and change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailCounts {
    /// Commands of clients, by name in upper case; MULTI, EXEC and SELECT are not among them.
    pub commands: BTreeMap<String, u64>,
    /// Commands of clients by database; those of an unknown one are not among them.
    pub databases: BTreeMap<u64, u64>,
    /// Transactions (MULTI to EXEC); a script that wrote more than once is one, too.
    pub transactions: u64,
    /// Commands that no client wrote.
    pub own_commands: u64,
    /// Their bytes.
    pub own_bytes: u64,
    /// Commands of which it is not known which keys they change.
    pub unknown_keys: BTreeSet<String>,
    /// Whether a command changed all keys at once, such as FLUSHALL.
    pub changed_everything: bool,
}

impl TailCounts {
    /// Commands of clients.
    pub fn total(&self) -> u64 {
        self.commands.values().sum()
    }

    fn add(&mut self, newer: Self) {
        for (name, count) in newer.commands {
            *self.commands.entry(name).or_default() += count;
        }
        for (database, count) in newer.databases {
            *self.databases.entry(database).or_default() += count;
        }
        self.transactions += newer.transactions;
        self.own_commands += newer.own_commands;
        self.own_bytes += newer.own_bytes;
        self.unknown_keys.extend(newer.unknown_keys);
        self.changed_everything |= newer.changed_everything;
    }
}

/// The keys that a tail changes, by a hash of their database and name: small, whatever their
/// length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    hashes: HashSet<u64>,
    /// Whether there were more than are remembered.
    pub is_cut: bool,
}

impl KeySet {
    /// The number of distinct keys that are remembered.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether no key was changed.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this key is among them.
    pub fn contains(&self, database: u64, key: &[u8]) -> bool {
        self.hashes.contains(&hash(database, key))
    }

    pub(super) fn insert(&mut self, database: u64, key: &[u8]) {
        if self.hashes.len() < MAX_KEYS {
            self.hashes.insert(hash(database, key));
        } else if !self.contains(database, key) {
            self.is_cut = true;
        }
    }

    fn add(&mut self, newer: &Self) {
        self.is_cut |= newer.is_cut;
        for hash in &newer.hashes {
            if self.hashes.len() < MAX_KEYS {
                self.hashes.insert(*hash);
            } else if !self.hashes.contains(hash) {
                self.is_cut = true;
            }
        }
    }
}

fn hash(database: u64, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    database.hash(&mut hasher);
    key.hash(&mut hasher);
    hasher.finish()
}

/// Reads a tail from its first byte: counts its commands and returns what of it can be replayed.
///
/// A transaction that has not ended is held back: half of one is never returned.
#[derive(Debug)]
pub struct TailDigest {
    parser: CommandParser,
    contents: Contents,
}

#[derive(Debug)]
struct Contents {
    /// The database of the next command, if known.
    database: Option<u64>,
    /// The same after what was returned.
    counted: Part,
    /// The transaction that has not ended.
    open: Option<Part>,
    /// Bytes of the stream up to the last command outside of a transaction.
    returned_until: u64,
    /// Bytes of whole commands so far.
    seen: u64,
}

/// What a part of a tail is and changes, and what of it can be replayed.
#[derive(Debug, Default)]
struct Part {
    counts: TailCounts,
    keys: KeySet,
    bytes: Vec<u8>,
    /// Whether a command changed keys of a database that is not known.
    in_unknown_database: bool,
}

impl TailDigest {
    /// A digest of a tail that begins in `database`, if that is known, with commands of at most
    /// `limit` bytes.
    pub fn new(database: Option<u64>, limit: usize) -> Self {
        Self {
            parser: CommandParser::new(limit),
            contents: Contents {
                database,
                counted: Part::default(),
                open: None,
                returned_until: 0,
                seen: 0,
            },
        }
    }

    /// Takes the next bytes of the tail and appends to `kept` what of it can be replayed.
    ///
    /// # Errors
    /// What came is no command. What was appended before is whole.
    pub fn feed(&mut self, piece: &[u8], kept: &mut Vec<u8>) -> Result<(), StreamError> {
        let contents = &mut self.contents;
        let fed = self.parser.feed(piece, |command| contents.take(command));
        kept.append(&mut self.contents.counted.bytes);
        fed
    }

    /// What the commands are that [`Self::feed`] has returned or left out.
    pub const fn counts(&self) -> &TailCounts {
        &self.contents.counted.counts
    }

    /// Which keys they change.
    pub const fn keys(&self) -> &KeySet {
        &self.contents.counted.keys
    }

    /// Whether some of their keys are in a database that is not known.
    pub const fn is_in_unknown_database(&self) -> bool {
        self.contents.counted.in_unknown_database
    }

    /// Bytes of the stream up to the end of the last command or transaction that is whole.
    pub const fn whole_bytes(&self) -> u64 {
        self.contents.returned_until
    }

    /// Whether the tail ends where a command ends, and in no transaction.
    pub const fn is_whole(&self) -> bool {
        self.parser.is_between_commands() && self.contents.open.is_none()
    }
}

impl Contents {
    fn take(&mut self, command: StreamCommand<'_>) {
        self.seen += command.bytes().len() as u64;
        let name = command.name();
        match name.as_str() {
            "MULTI" if self.open.is_none() => self.open = Some(Part::default()),
            "SELECT" => self.database = command.argument(1).and_then(database_number),
            _ => {}
        }
        let database = self.database;
        let part = self.open.as_mut().unwrap_or(&mut self.counted);
        part.add_command(&name, command, database);
        if name == "EXEC"
            && let Some(mut whole) = self.open.take()
        {
            whole.counts.transactions += 1;
            self.counted.add(whole);
        }
        if self.open.is_none() {
            self.returned_until = self.seen;
        }
    }
}

impl Part {
    fn add_command(&mut self, name: &str, command: StreamCommand<'_>, database: Option<u64>) {
        if is_own(name, command) {
            self.counts.own_commands += 1;
            self.counts.own_bytes += command.bytes().len() as u64;
            return;
        }
        self.bytes.extend_from_slice(command.bytes());
        if matches!(name, "SELECT" | "MULTI" | "EXEC") {
            return;
        }
        let known =
            self.counts.commands.len() < MAX_NAMES || self.counts.commands.contains_key(name);
        let counted = if known { name } else { "OTHER" };
        *self.counts.commands.entry(counted.to_owned()).or_default() += 1;
        if let Some(database) = database {
            *self.counts.databases.entry(database).or_default() += 1;
        }
        self.add_keys(counted, changed(name, &command), database);
    }

    fn add_keys(&mut self, name: &str, changed: Changed<'_>, database: Option<u64>) {
        match changed {
            Changed::Nothing => {}
            Changed::Everything => self.counts.changed_everything = true,
            Changed::Unknown => {
                self.counts.unknown_keys.insert(name.to_owned());
            }
            Changed::Keys(keys) => match database {
                Some(database) => {
                    for key in keys {
                        self.keys.insert(database, key);
                    }
                }
                None => self.in_unknown_database = true,
            },
        }
    }

    fn add(&mut self, mut newer: Self) {
        self.bytes.append(&mut newer.bytes);
        self.counts.add(newer.counts);
        self.keys.add(&newer.keys);
        self.in_unknown_database |= newer.in_unknown_database;
    }
}

/// Whether no client of the user wrote the command.
fn is_own(name: &str, command: StreamCommand<'_>) -> bool {
    match name {
        "PING" | "REPLCONF" => true,
        "PUBLISH" => {
            let channel = command.argument(1).unwrap_or_default();
            OWN_CHANNELS.iter().any(|own| channel.starts_with(own))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::stream;
    use super::*;

    const LIMIT: usize = 1024;

    /// Feeds these commands to a digest that begins in `database`.
    fn digest(database: Option<u64>, commands: &[&str]) -> (TailDigest, Vec<u8>) {
        let mut digest = TailDigest::new(database, LIMIT);
        let mut kept = Vec::new();
        digest.feed(&stream(commands), &mut kept).unwrap();
        (digest, kept)
    }

    #[test]
    fn what_clients_wrote_is_kept_and_counted() {
        let commands = ["SET a 1", "SELECT 5", "DEL a b", "incr c"];
        let (digest, kept) = digest(Some(0), &commands);
        assert_eq!(kept, stream(&commands));
        let counts = digest.counts();
        assert_eq!(counts.total(), 3);
        let names: Vec<&str> = counts.commands.keys().map(String::as_str).collect();
        assert_eq!(names, ["DEL", "INCR", "SET"]);
        assert_eq!(counts.databases, [(0, 1), (5, 2)].into());
        assert_eq!(digest.keys().len(), 4, "a of two databases is two keys");
        assert!(digest.keys().contains(0, b"a") && digest.keys().contains(5, b"a"));
        assert!(!digest.keys().contains(0, b"b") && !digest.is_in_unknown_database());
    }

    #[test]
    fn what_no_client_wrote_is_counted_apart_and_left_out() {
        let own = [
            "PING",
            "REPLCONF GETACK *",
            "PUBLISH __sentinel__:hello x",
            "PUBLISH __redis_cross_dc_exporter:0f 7",
        ];
        let (digest, kept) = digest(Some(0), &[&own[..], &["PUBLISH news x"]].concat());
        assert_eq!(kept, stream(&["PUBLISH news x"]));
        assert_eq!(digest.counts().own_commands, 4);
        assert_eq!(digest.counts().own_bytes, stream(&own).len() as u64);
        assert_eq!(digest.counts().total(), 1);
        assert!(digest.keys().is_empty());
    }

    #[test]
    fn half_of_a_transaction_is_held_back() {
        let whole = ["MULTI", "SET a 1", "INCR b", "EXEC"];
        let (begun, kept) = digest(Some(0), &[&["SET x 1"], &whole[..3]].concat());
        assert_eq!(kept, stream(&["SET x 1"]));
        assert_eq!((begun.counts().total(), begun.keys().len()), (1, 1));
        assert_eq!(begun.whole_bytes(), kept.len() as u64);
        assert!(!begun.is_whole());
        let (ended, kept) = digest(Some(0), &whole);
        assert_eq!(kept, stream(&whole));
        assert_eq!(
            (ended.counts().total(), ended.counts().transactions),
            (2, 1)
        );
        assert!(ended.is_whole());
    }

    #[test]
    fn in_an_unknown_database_keys_are_not_known_until_a_select() {
        let (digest, _) = digest(None, &["SET a 1", "SELECT 2", "SET b 1"]);
        assert!(digest.is_in_unknown_database());
        assert_eq!(digest.counts().databases, [(2, 1)].into());
        assert!(digest.keys().contains(2, b"b") && digest.keys().len() == 1);
    }

    #[test]
    fn commands_without_known_keys_and_for_all_keys_are_named() {
        let (digest, _) = digest(Some(0), &["JSON.SET k . 1", "FLUSHALL"]);
        assert_eq!(digest.counts().unknown_keys, ["JSON.SET".to_owned()].into());
        assert!(digest.counts().changed_everything);
    }

    #[test]
    fn endless_names_of_commands_take_no_memory() {
        let mut digest = TailDigest::new(Some(0), LIMIT);
        for number in 0..3000 {
            let mut kept = Vec::new();
            digest
                .feed(&stream(&[&format!("C{number} k")]), &mut kept)
                .unwrap();
        }
        assert_eq!(digest.counts().commands.len(), MAX_NAMES + 1);
        assert_eq!(digest.counts().total(), 3000);
        assert!(digest.counts().unknown_keys.len() <= MAX_NAMES + 1);
    }

    #[test]
    fn the_number_of_remembered_keys_is_bounded() {
        let mut keys = KeySet::default();
        for number in 0..MAX_KEYS as u64 {
            keys.hashes.insert(number);
        }
        keys.insert(0, b"one more");
        assert_eq!((keys.len(), keys.is_cut), (MAX_KEYS, true));
    }

    proptest! {
        #[test]
        fn how_a_tail_is_cut_changes_nothing(
            picked in proptest::collection::vec(0_usize..8, 0..20),
            size in 1_usize..40,
        ) {
            let all = [
                "PING", "SELECT 3", "SET a 1", "MULTI", "EXEC", "DEL a b", "REPLCONF GETACK *", "FLUSHDB",
            ];
            let commands: Vec<&str> = picked.iter().map(|index| all[*index]).collect();
            let (at_once, expected) = digest(Some(0), &commands);
            let mut pieces = TailDigest::new(Some(0), LIMIT);
            let mut kept = Vec::new();
            for piece in stream(&commands).chunks(size) {
                pieces.feed(piece, &mut kept).unwrap();
            }
            prop_assert_eq!(kept, expected);
            prop_assert_eq!(pieces.counts(), at_once.counts());
            prop_assert_eq!(pieces.keys(), at_once.keys());
            prop_assert_eq!(pieces.whole_bytes(), at_once.whole_bytes());
        }
    }
}
