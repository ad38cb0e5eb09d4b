//! Programs that speak the protocol and do not count replication in bytes: the state says so, and
//! no number is shown.

use std::path::Path;

use redis_cross_dc_exporter::info;
use redis_cross_dc_exporter::replication::PairState;
use serde_json::json;

use crate::watched::{MASTER_REPLY, REPLICA_REPLY, Watched, settings};

/// A reply of another program, as its file in tests/fixtures/info/engines has it.
struct Reply {
    /// The file, which begins with the program's name.
    file: String,
    text: String,
}

impl Reply {
    fn program(&self) -> &str {
        self.file.split('-').next().unwrap()
    }
}

/// Every reply of another program; its README says where they come from.
fn replies() -> Vec<Reply> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/info/engines");
    let mut replies = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        replies.push(Reply {
            file: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            text: std::fs::read_to_string(&path).unwrap(),
        });
    }
    for program in ["keydb", "dragonfly", "kvrocks", "garnet"] {
        let count = replies.iter().filter(|r| r.program() == program).count();
        assert!(count >= 2, "{program}: {count}");
    }
    replies
}

/// The program's server section, and the replication section that Redis would print: the worst
/// case, in which everything could be computed.
fn like_redis(reply: &Reply, redis: &str) -> String {
    let (server, _) = reply.text.split_once("# Replication").unwrap();
    let (_, replication) = redis.split_once("# Replication").unwrap();
    let replication = replication.split("\r\n#").next().unwrap();
    format!("{server}# Replication{replication}\r\n")
}

/// Whether the server section alone shows which program it is: `KeyDB` up to 6.2 and Redis have the
/// same one but for the program's path.
fn names_itself(reply: &Reply) -> bool {
    let (server, _) = reply.text.split_once("# Replication").unwrap();
    let seen = info::parse(&format!("{server}role:master\r\n")).unwrap();
    seen.server.engine.label() == reply.program()
}

fn watched() -> Watched {
    let pair = json!({"name": "orders", "master": {"address": "m:1", "dc": "dc1"}, "replicas": [{"address": "r:1", "dc": "dc2"}]});
    Watched::begin(&settings(&json!({"pairs": [pair]})))
}

fn check(watched: &Watched, program: &str, what: &str) {
    let pair = watched.pair();
    assert_eq!(pair.state, PairState::Unsupported, "{what}");
    assert!(
        pair.reason.contains(program) && pair.reason.contains("whose offsets are not bytes"),
        "{what}: {}",
        pair.reason
    );
    let seconds = [
        pair.lag_seconds,
        pair.lag_lower_seconds,
        pair.lag_upper_seconds,
    ];
    assert_eq!(seconds, [None; 3], "{what}");
    let bytes = [
        pair.lag_bytes,
        pair.lag_lower_bytes,
        pair.lag_upper_bytes,
        pair.unapplied_bytes,
        pair.backlog_headroom_bytes,
    ];
    assert_eq!(bytes, [None; 5], "{what}");
    let scrape = watched.scrape();
    assert!(
        scrape.contains("state=\"unsupported\"} 1\n"),
        "{what}: {scrape}"
    );
    let server = format!("engine=\"{program}\"");
    assert!(scrape.contains(&server), "{what}: {scrape}");
    for absent in [
        "replication_lag_seconds{",
        "replication_lag_upper",
        "replication_lag_bytes{",
        "headroom",
        "unapplied",
        "failovers_total{pair=\"orders\"} 1",
    ] {
        assert!(
            !scrape.contains(&format!("redis_cross_dc_{absent}")),
            "{what}: {absent}"
        );
    }
}

#[test]
fn another_program_on_either_side_is_reported_and_gives_no_number() {
    for reply in replies() {
        let Reply { file, text } = &reply;
        for (master, replica) in [
            (text.as_str(), text.as_str()),
            (text, REPLICA_REPLY),
            (MASTER_REPLY, text),
        ] {
            let mut watched = watched();
            watched.rounds(3, master, replica);
            check(&watched, reply.program(), file);
        }
    }
}

#[test]
fn another_program_gives_no_number_even_where_its_fields_are_those_of_redis() {
    for reply in replies() {
        assert!(names_itself(&reply), "{}", reply.file);
        let master = like_redis(&reply, MASTER_REPLY);
        let replica = like_redis(&reply, REPLICA_REPLY);
        let mut watched = watched();
        watched.rounds(3, &master, &replica);
        check(&watched, reply.program(), &reply.file);
    }
}

/// Found by fuzzing: the last position went on ageing as if it still meant something.
#[test]
fn a_pair_whose_server_became_another_program_shows_no_number() {
    for reply in replies() {
        let mut watched = watched();
        watched.rounds(3, MASTER_REPLY, REPLICA_REPLY);
        assert!(
            watched.pair().lag_seconds.is_some(),
            "it was healthy before"
        );
        watched.rounds(1, &reply.text, REPLICA_REPLY);
        check(&watched, reply.program(), &reply.file);
        watched.rounds(3, MASTER_REPLY, REPLICA_REPLY);
        assert_eq!(
            (watched.pair().state, watched.pair().lag_seconds),
            (PairState::Streaming, Some(0.0)),
            "{}",
            reply.file
        );
    }
}

/// A proxy that passes on one section only.
#[test]
fn a_server_that_does_not_say_what_it_is_gives_no_number() {
    let (_, replication) = MASTER_REPLY.split_once("# Replication").unwrap();
    let mut watched = watched();
    watched.rounds(3, replication, REPLICA_REPLY);
    let pair = watched.pair();
    assert_eq!(pair.state, PairState::Unsupported);
    assert!(
        pair.reason.contains("does not say which program it is"),
        "{}",
        pair.reason
    );
    assert_eq!(pair.lag_seconds, None);
}
