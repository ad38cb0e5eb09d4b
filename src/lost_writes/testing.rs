//! Streams for the tests of this room.

use super::command::{CommandParser, StreamCommand};
use super::header::{ConflictsOfFile, FORMAT, LostWritesHeader, ServerOfFile};

/// A command as an array of bulk strings.
pub(crate) fn resp(words: &[&str]) -> Vec<u8> {
    let mut encoded = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        encoded.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    encoded
}

/// The stream of these commands, their words separated by spaces.
pub(crate) fn stream(commands: &[&str]) -> Vec<u8> {
    let words = commands
        .iter()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    words.flat_map(|words| resp(&words)).collect()
}

/// What `look` makes of the command of these words.
pub(crate) fn with_command<T>(words: &[&str], look: impl Fn(StreamCommand<'_>) -> T) -> T {
    let mut seen = None;
    let mut parser = CommandParser::new(1024);
    parser
        .feed(&resp(words), |command| seen = Some(look(command)))
        .unwrap();
    seen.unwrap()
}

/// The header of a file with nothing in it.
pub(crate) fn header() -> LostWritesHeader {
    let server = |server: &str, dc: &str| ServerOfFile {
        server: server.to_owned(),
        dc: dc.to_owned(),
        version: Some("redis 7.0.15".to_owned()),
        run_id: None,
    };
    LostWritesHeader {
        format: FORMAT,
        written_by: "redis-cross-dc-exporter 0.1.0".to_owned(),
        pair: "orders".to_owned(),
        deposed: server("127.0.0.1:6379", "dc1"),
        promoted: server("127.0.0.2:6379", "dc2"),
        replication_id: "a".repeat(40),
        first_offset: 100,
        last_offset: 200,
        captured_timestamp: 1_700_000_000.0,
        stream_bytes: 101,
        is_complete: true,
        missing: None,
        file: "orders.aof".to_owned(),
        file_bytes: 0,
        sha256: String::new(),
        database: Some(0),
        commands_total: 0,
        commands: std::collections::BTreeMap::new(),
        databases: std::collections::BTreeMap::new(),
        transactions: 0,
        keys: 0,
        changed_everything: false,
        unknown_keys: Vec::new(),
        own_commands: 0,
        own_bytes: 0,
        conflicts: ConflictsOfFile::unknown("the other side was not read"),
        done: None,
    }
}
