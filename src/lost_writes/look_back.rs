//! In which database a stream goes on: the last SELECT before a cut.
//!
//! A master writes SELECT only when a command is for another database than the one before, so the
//! tail of a stream need not begin with one. What lies before the cut is shared by both servers;
//! its first bytes may be the middle of a command.

use super::command::CommandParser;
use crate::info::ServerDetails;

/// How much before the cut is worth reading.
pub const LOOK_BACK: u64 = 1024 * 1024;

/// The most places at which the beginning of a command is tried.
const MAX_TRIALS: usize = 4096;

/// How many bytes are parsed at once.
const PIECE: usize = 4096;

/// The database that is selected at the end of `shared`, which ends where a command ends. `None`
/// where no SELECT is in it.
///
/// The first command is found by trial: it begins at a `*` from which the stream is commands to
/// exactly its end.
pub fn database_at_end(shared: &[u8]) -> Option<u64> {
    let starts = shared.iter().enumerate().filter(|(_, byte)| **byte == b'*');
    for (start, _) in starts.take(MAX_TRIALS) {
        let rest = shared.get(start..)?;
        if let Trial::Commands(database) = read_from(rest) {
            return database;
        }
    }
    None
}

/// What is read from a place at which a command may begin.
enum Trial {
    /// It is no sequence of commands.
    Nothing,
    /// It is one to its end, and its last SELECT selects this.
    Commands(Option<u64>),
}

fn read_from(stream: &[u8]) -> Trial {
    let mut parser = CommandParser::new(stream.len());
    let mut database = None;
    // In pieces: most places are no beginning, which shows after a few bytes.
    for piece in stream.chunks(PIECE) {
        let fed = parser.feed(piece, |command| {
            if command.has(0, "SELECT") {
                database = command.argument(1).and_then(database_number);
            }
        });
        if fed.is_err() {
            return Trial::Nothing;
        }
    }
    if parser.is_between_commands() {
        Trial::Commands(database)
    } else {
        Trial::Nothing
    }
}

/// The number of a database, as SELECT has it.
pub(super) fn database_number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether all keys of a server are in database 0, as far as its INFO shows.
pub fn uses_only_the_first_database(details: &ServerDetails) -> bool {
    match details.databases.get() {
        Some(databases) => databases.keys().all(|number| *number == 0),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::{resp, stream};
    use super::*;
    use crate::info::Field;

    #[test]
    fn the_last_select_counts_wherever_the_shared_part_begins() {
        let shared = stream(&["SELECT 3", "SET k v", "SELECT 5", "SET k *3", "PING"]);
        for start in 0..shared.len() {
            let expected = (start <= stream(&["SELECT 3", "SET k v"]).len()).then_some(5);
            assert_eq!(database_at_end(&shared[start..]), expected, "{start}");
        }
    }

    #[test]
    fn a_value_that_looks_like_commands_is_a_value() {
        let inner = String::from_utf8(stream(&["SELECT 9", "PING"])).unwrap();
        let shared = [stream(&["SELECT 2"]), resp(&["SET", "k", &inner])].concat();
        assert_eq!(database_at_end(&shared), Some(2));
    }

    #[test]
    fn without_a_select_the_database_is_unknown() {
        assert_eq!(database_at_end(&stream(&["SET k v"])), None);
        assert_eq!(database_at_end(b""), None);
        assert_eq!(database_at_end(&vec![b'*'; 100_000]), None);
    }

    #[test]
    fn only_a_known_keyspace_says_that_nothing_else_is_used() {
        let with = |databases: Field<BTreeMap<u64, u64>>| {
            uses_only_the_first_database(&ServerDetails {
                databases,
                ..ServerDetails::default()
            })
        };
        assert!(with(Field::Value([(0, 7)].into())));
        assert!(with(Field::Value(BTreeMap::new())));
        assert!(!with(Field::Value([(0, 7), (5, 1)].into())));
        assert!(!with(Field::Missing));
    }
}
