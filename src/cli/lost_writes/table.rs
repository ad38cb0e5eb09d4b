//! The screen of `lost-writes`: the news first, then what a person needs to decide.

use std::collections::BTreeMap;

use super::{Report, ServerReport, Verdict};
use crate::lost_writes::{LostWritesHeader, plural};
use crate::model::{Bytes, ServerAddr, shell_quote};
use crate::report::{bytes_text, seconds_text, utc_text, visible_line, visible_text};

/// How many keys in conflict, and how many kinds of commands, are printed.
const LISTED: usize = 10;

/// The width of the names of lines.
const NAMES: usize = 11;

/// The whole screen. Names of keys and servers come from outside: control characters in them are
/// escaped.
pub(super) fn table(report: &Report) -> String {
    let pair = visible_text(&report.pair);
    let mut text = match report.result {
        Verdict::None => {
            format!("{pair}: no server has writes of clients that its new master lacks.\n")
        }
        Verdict::CannotBeHad if report.servers.is_empty() => {
            format!(
                "{pair}: whether there are lost writes is not known: no answer shows which server was promoted.\n"
            )
        }
        _ => String::new(),
    };
    for server in &report.servers {
        text += &match (&server.writes, &server.detail) {
            (Some(writes), _) => found(&pair, server, writes),
            (None, Some(detail)) => {
                let name = visible_text(&server.server);
                let promoted = visible_text(&server.promoted);
                format!(
                    "{pair}: the writes that only {name} has, if any, cannot be had ({promoted} was promoted instead).\n{}",
                    line("why", &visible_line(detail))
                )
            }
            (None, None) => format!(
                "{pair}: {} has no write of a client that {} lacks.\n",
                visible_text(&server.server),
                visible_text(&server.promoted)
            ),
        };
    }
    for silent in &report.silent {
        text += &line("no answer", &visible_text(silent));
    }
    text
}

fn found(pair: &str, server: &ServerReport, writes: &LostWritesHeader) -> String {
    let name = visible_text(&server.server);
    let commands = plural(writes.commands_total, "command");
    let keys = plural(writes.keys, "key");
    let mut text = format!(
        "{pair}: {name} alone has {commands} for {keys} ({} was promoted instead).\n",
        visible_text(&server.promoted)
    );
    text += &where_saved(server, writes);
    if let Some(missing) = &writes.missing {
        text += &line("not all", &visible_text(missing));
    }
    text += &line("commands", &commonest(&writes.commands));
    text += &line("databases", &databases(writes));
    text += &line("conflicts", &conflicts(writes));
    text += &line(
        "read",
        &format!(
            "{}, offsets {} to {} of history {}; {} of the server's own commands are left out",
            utc_text(writes.captured_timestamp),
            writes.first_offset,
            writes.last_offset,
            visible_text(&writes.replication_id),
            writes.own_commands
        ),
    );
    if let Some(grown) = server.grown_bytes
        && grown > 0
    {
        let grown = Bytes::new(grown);
        text += &line(
            "still",
            &format!(
                "{name} has written {grown} more since. Keep clients away from it, then run this again"
            ),
        );
    }
    text += &next(server, writes);
    text
}

fn where_saved(server: &ServerReport, writes: &LostWritesHeader) -> String {
    let Some(file) = &server.file else {
        let held = match server.held_for_seconds {
            Some(seconds) => format!(
                "the backlog holds them for about {} at the present rate",
                seconds_text(seconds)
            ),
            None => {
                "they are gone when the server restarts, becomes a replica or frees its backlog"
                    .to_owned()
            }
        };
        return line("not saved", &format!("run this without --summary: {held}"));
    };
    let size = bytes_text(Some(writes.file_bytes));
    let before = if server.was_there {
        ", from before"
    } else {
        ""
    };
    line(
        "saved in",
        &format!("{} ({size}{before})", visible_line(file)),
    )
}

/// The commonest commands: `SET 1203, DEL 400`.
fn commonest(commands: &BTreeMap<String, u64>) -> String {
    let mut ordered: Vec<_> = commands.iter().collect();
    ordered.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let listed = ordered.iter().take(LISTED);
    let mut parts: Vec<_> = listed
        .map(|(name, count)| format!("{} {count}", visible_text(name)))
        .collect();
    if ordered.len() > LISTED {
        parts.push(format!("{} other kinds", ordered.len() - LISTED));
    }
    parts.join(", ")
}

fn databases(writes: &LostWritesHeader) -> String {
    let counts = writes.databases.iter();
    let mut parts: Vec<_> = counts
        .map(|(number, count)| format!("{number} ({count})"))
        .collect();
    if begins_in_unknown_database(writes) {
        parts.push(
            "the first commands: not known, choose it when you replay (redis-cli -n N)".to_owned(),
        );
    }
    parts.join(", ")
}

/// Whether a replay has to be given the database of the first commands.
fn begins_in_unknown_database(writes: &LostWritesHeader) -> bool {
    writes.database.is_none() && writes.databases.values().sum::<u64>() < writes.commands_total
}

fn conflicts(writes: &LostWritesHeader) -> String {
    let promoted = visible_text(&writes.promoted.server);
    let found = &writes.conflicts;
    let why = found.why.as_deref().map(visible_text);
    let Some(count) = found.count else {
        return match why {
            Some(why) => format!("not known: {why}"),
            None => "not known".to_owned(),
        };
    };
    let mut text = match count {
        0 if why.is_some() => "none are known".to_owned(),
        0 => format!("none: {promoted} has changed none of these keys since"),
        _ => format!(
            "{} were also changed on {promoted} since",
            plural(count, "key")
        ),
    };
    let listed = found.keys.iter().take(LISTED);
    let names: Vec<_> = listed
        .map(|key| format!("{} (database {})", visible_text(&key.key), key.database))
        .collect();
    if !names.is_empty() {
        text += &format!(": {}", names.join(", "));
    }
    if count > LISTED as u64 {
        text += &format!(" and {} more, see the .json file", count - LISTED as u64);
    }
    if let Some(why) = why {
        text += &format!("; {why}");
    }
    text
}

/// What a person does next.
fn next(server: &ServerReport, writes: &LostWritesHeader) -> String {
    let Some(file) = &server.file else {
        return String::new();
    };
    // The description of a file may have been edited.
    let promoted = match ServerAddr::parse(&writes.promoted.server) {
        Ok(addr) => addr.redis_cli(),
        Err(_) => format!("redis-cli -h {}", shell_quote(&writes.promoted.server)),
    };
    let file = shell_quote(file);
    // A shell refuses the line until it is set: without -n the commands would go to database 0.
    let database = if begins_in_unknown_database(writes) {
        " -n \"${DATABASE:?set it to the database of the first commands}\""
    } else {
        ""
    };
    line(
        "decide",
        "conflicts first: a replayed SET overwrites what is newer, a replayed INCR adds",
    ) + &line("replay", &format!("{promoted}{database} --pipe < {file}"))
        + &line(
            "then",
            &format!("redis-cross-dc-exporter lost-writes --done {file}"),
        )
}

fn line(name: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("  {name:NAMES$}{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lost_writes::testing::header;
    use crate::lost_writes::{ConflictsOfFile, KeyOfFile};

    fn report(writes: LostWritesHeader, file: Option<&str>) -> String {
        let server = ServerReport {
            server: "127.0.0.1:6379".to_owned(),
            promoted: "127.0.0.2:6379".to_owned(),
            result: Verdict::Found,
            reason: None,
            detail: None,
            file: file.map(str::to_owned),
            was_there: false,
            writes: Some(writes),
            grown_bytes: Some(14),
            held_for_seconds: None,
        };
        table(&Report {
            pair: "orders".to_owned(),
            result: Verdict::Found,
            servers: vec![server],
            silent: Vec::new(),
        })
    }

    #[test]
    fn what_was_found_is_said_first_and_what_to_do_last() {
        let mut writes = header();
        writes.commands = [("SET".to_owned(), 3), ("DEL".to_owned(), 4)].into();
        writes.commands_total = 7;
        writes.databases = [(0, 5), (5, 2)].into();
        writes.keys = 6;
        writes.conflicts = ConflictsOfFile {
            count: Some(12),
            why: None,
            keys: vec![KeyOfFile {
                database: 5,
                key: "a\u{1b}".to_owned(),
            }],
        };
        let text = report(writes, Some("/d/x y.aof"));
        let expected = [
            "orders: 127.0.0.1:6379 alone has 7 commands for 6 keys (127.0.0.2:6379 was promoted instead).",
            "  saved in   /d/x y.aof (0 B)",
            "  commands   DEL 4, SET 3",
            "  databases  0 (5), 5 (2)",
            "  conflicts  12 keys were also changed on 127.0.0.2:6379 since: a\\u{1b} (database 5) and 2 more, see the .json file",
        ];
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..5], expected);
        assert!(text.contains("still      127.0.0.1:6379 has written 14 B more since"));
        assert!(text.contains("replay     redis-cli -h 127.0.0.2 -p 6379 --pipe < '/d/x y.aof'"));
        assert!(text.trim_end().ends_with("lost-writes --done '/d/x y.aof'"));
    }

    #[test]
    fn a_summary_says_that_nothing_is_saved() {
        let text = report(header(), None);
        assert!(text.contains("  not saved  run this without --summary: they are gone when"));
        assert!(!text.contains("replay"));
        assert!(text.contains("conflicts  not known: the other side was not read"));
    }

    #[test]
    fn a_replay_into_a_database_that_is_not_known_has_to_be_given_one() {
        let mut writes = header();
        writes.database = None;
        writes.commands_total = 3;
        writes.databases = [(5, 2)].into();
        let text = report(writes.clone(), Some("/d/x.aof"));
        assert!(text.contains("replay     redis-cli -h 127.0.0.2 -p 6379 -n \"${DATABASE:?"));
        assert!(text.contains("databases  5 (2), the first commands: not known"));
        // It begins with a SELECT of its own.
        writes.commands_total = 2;
        let text = report(writes, Some("/d/x.aof"));
        assert!(text.contains("-p 6379 --pipe") && !text.contains("not known, choose it"));
    }

    #[test]
    fn a_search_that_found_nothing_and_missed_something_is_not_calm() {
        let mut writes = header();
        writes.conflicts.count = Some(0);
        writes.conflicts.why = Some("there may be more".to_owned());
        let text = report(writes, Some("/d/x.aof"));
        assert!(text.contains("conflicts  none are known; there may be more"));
    }

    #[test]
    fn nothing_is_said_in_one_line() {
        let none = Report {
            pair: "orders".to_owned(),
            result: Verdict::None,
            servers: Vec::new(),
            silent: Vec::new(),
        };
        assert_eq!(
            table(&none),
            "orders: no server has writes of clients that its new master lacks.\n"
        );
    }
}
