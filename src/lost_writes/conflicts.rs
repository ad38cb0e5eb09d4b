//! Keys that were changed on both sides after the cut.

use super::command::{CommandParser, StreamError};
use super::keys::{Changed, changed};
use super::look_back::database_number;
use super::tail::KeySet;

/// The most keys that are listed; the others are counted.
const MAX_LISTED: usize = 1000;

/// The longest name of a key that is listed; longer ones are cut.
const MAX_KEY: usize = 256;

/// A key that both sides have changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConflictKey {
    /// Its database.
    pub database: u64,
    /// Its name; bytes that are not UTF-8 are replaced, and a long one is cut.
    pub key: String,
}

/// Looks in the tail of the other server for keys that a tail changes, too.
#[derive(Debug)]
pub struct ConflictSearch<'a> {
    wanted: &'a KeySet,
    parser: CommandParser,
    found: Found,
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    database: Option<u64>,
    /// The keys that were found, so that each counts once.
    seen: KeySet,
    keys: Vec<ConflictKey>,
    is_everything: bool,
    is_partial: bool,
}

/// What both sides have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts {
    /// How many keys.
    pub count: u64,
    /// The first of them, in the order in which the other side changed them.
    pub keys: Vec<ConflictKey>,
    /// Whether the other side changed all keys at once.
    pub is_everything: bool,
    /// Whether there may be more: the keys of some commands of the other side are not known.
    pub is_partial: bool,
}

impl<'a> ConflictSearch<'a> {
    /// A search for `wanted`, in commands of at most `limit` bytes.
    pub fn new(wanted: &'a KeySet, limit: usize) -> Self {
        Self {
            wanted,
            parser: CommandParser::new(limit),
            found: Found::default(),
        }
    }

    /// Takes the next bytes of the other server's tail.
    ///
    /// # Errors
    /// What came is no command.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), StreamError> {
        let found = &mut self.found;
        let wanted = self.wanted;
        self.parser.feed(piece, |command| {
            let name = command.name();
            if name == "SELECT" {
                found.database = command.argument(1).and_then(database_number);
            }
            match changed(&name, &command) {
                Changed::Nothing => {}
                Changed::Everything => found.is_everything = true,
                Changed::Unknown => found.is_partial = true,
                Changed::Keys(keys) => found.compare(wanted, &keys),
            }
        })
    }

    /// What was found.
    pub fn finish(self) -> Conflicts {
        Conflicts {
            count: self.found.seen.len() as u64,
            keys: self.found.keys,
            is_everything: self.found.is_everything,
            is_partial: self.found.is_partial || self.wanted.is_cut,
        }
    }
}

impl Found {
    fn compare(&mut self, wanted: &KeySet, keys: &[&[u8]]) {
        let Some(database) = self.database else {
            self.is_partial = true; // a promoted server begins with SELECT
            return;
        };
        for key in keys {
            if !wanted.contains(database, key) || self.seen.contains(database, key) {
                continue;
            }
            self.seen.insert(database, key);
            if self.keys.len() < MAX_LISTED {
                self.keys.push(ConflictKey {
                    database,
                    key: shown(key),
                });
            }
        }
    }
}

fn shown(key: &[u8]) -> String {
    let cut = key.get(..MAX_KEY).unwrap_or(key);
    String::from_utf8_lossy(cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tail::TailDigest;
    use super::super::testing::stream;
    use super::*;

    fn search(own: &[&str], other: &[&str]) -> Conflicts {
        let mut digest = TailDigest::new(Some(0), 1024);
        digest.feed(&stream(own), &mut Vec::new()).unwrap();
        let mut search = ConflictSearch::new(digest.keys(), 1024);
        search.feed(&stream(other)).unwrap();
        search.finish()
    }

    #[test]
    fn a_key_is_in_conflict_if_both_sides_changed_it_in_the_same_database() {
        let own = ["SET a 1", "SET b 1", "SELECT 5", "SET c 1"];
        let other = ["SELECT 0", "SET a 2", "DEL a", "SET c 2", "SET x 1"];
        let found = search(&own, &other);
        let expected = ConflictKey {
            database: 0,
            key: "a".to_owned(),
        };
        assert_eq!((found.count, found.keys), (1, vec![expected]));
        assert!(!found.is_everything && !found.is_partial);
    }

    #[test]
    fn what_is_not_known_of_the_other_side_makes_the_list_partial() {
        assert!(search(&["SET a 1"], &["SET a 1"]).is_partial);
        assert!(search(&["SET a 1"], &["SELECT 0", "JSON.SET a . 1"]).is_partial);
        assert!(search(&["SET a 1"], &["FLUSHALL"]).is_everything);
    }

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let keys: Vec<String> = (0..1500).map(|number| format!("SET k{number} 1")).collect();
        let own: Vec<&str> = keys.iter().map(String::as_str).collect();
        let other = [&["SELECT 0"], &own[..]].concat();
        let found = search(&own, &other);
        assert_eq!((found.count, found.keys.len()), (1500, MAX_LISTED));
    }
}
