//! Programs that speak the protocol and do not count replication in bytes: the state says so, and
//! no number is shown.

use redis_cross_dc_exporter::replication::PairState;
use serde_json::json;

use crate::watched::{MASTER_REPLY, REPLICA_REPLY, Watched, settings};

/// What INFO of each program looks like, in the fields that tell it apart, and with offsets as it
/// prints them. Versions as captured: `KeyDB` 6.3.4 with a master and as an active replica,
/// Dragonfly 1.40, Kvrocks 2.9, Garnet 1.0.50.
const PROGRAMS: [(&str, &str); 5] = [
    (
        "keydb",
        "redis_version:6.3.4\r\nredis_mode:standalone\r\nexecutable:/usr/local/bin/keydb-server\r\n",
    ),
    (
        "keydb",
        "redis_version:6.3.4\r\nmaster_global_link_status:up\r\nconnected_masters:1\r\n",
    ),
    (
        "dragonfly",
        "redis_version:7.4.0\r\ndragonfly_version:df-v1.40.1\r\nredis_mode:standalone\r\n",
    ),
    (
        "kvrocks",
        "version:2.9.0\r\nkvrocks_version:2.9.0\r\nredis_version:4.0.0\r\n",
    ),
    (
        "garnet",
        "garnet_version:1.0.50\r\nredis_version:7.4.3\r\nredis_mode:standalone\r\n",
    ),
];

/// The replication section that Redis would print: the worst case, in which everything could be
/// computed.
fn like_redis(program: &str, reply: &str) -> String {
    let replication = reply
        .split_once("# Replication")
        .unwrap()
        .1
        .split("\r\n#")
        .next()
        .unwrap();
    format!("# Server\r\n{program}# Replication{replication}\r\n")
}

fn watched() -> Watched {
    let pair = json!({"name": "orders", "master": {"address": "m:1", "dc": "dc1"}, "replicas": [{"address": "r:1", "dc": "dc2"}]});
    Watched::begin(&settings(&json!({"pairs": [pair]})))
}

fn check(watched: &Watched, program: &str) {
    let pair = watched.pair();
    assert_eq!(pair.state, PairState::Unsupported, "{program}");
    assert!(
        pair.reason.contains("whose offsets are not bytes"),
        "{program}: {}",
        pair.reason
    );
    let seconds = [
        pair.lag_seconds,
        pair.lag_lower_seconds,
        pair.lag_upper_seconds,
    ];
    assert_eq!(seconds, [None; 3], "{program}");
    let bytes = [
        pair.lag_bytes,
        pair.lag_lower_bytes,
        pair.lag_upper_bytes,
        pair.unapplied_bytes,
        pair.backlog_headroom_bytes,
    ];
    assert_eq!(bytes, [None; 5], "{program}");
    let scrape = watched.scrape();
    assert!(
        scrape.contains("state=\"unsupported\"} 1\n"),
        "{program}: {scrape}"
    );
    let server = format!("engine=\"{program}\"");
    assert!(scrape.contains(&server), "{program}: {scrape}");
    for absent in [
        "replication_lag_seconds{",
        "replication_lag_upper",
        "replication_lag_bytes{",
        "headroom",
        "unapplied",
    ] {
        assert!(
            !scrape.contains(&format!("redis_cross_dc_{absent}")),
            "{program}: {absent}"
        );
    }
}

#[test]
fn another_program_on_either_side_is_reported_and_gives_no_number() {
    for (name, program) in PROGRAMS {
        let (master, replica) = (
            like_redis(program, MASTER_REPLY),
            like_redis(program, REPLICA_REPLY),
        );
        for (master, replica) in [
            (master.as_str(), replica.as_str()),
            (&master, REPLICA_REPLY),
            (MASTER_REPLY, &replica),
        ] {
            let mut watched = watched();
            watched.rounds(3, master, replica);
            check(&watched, name);
        }
    }
}

/// Found by fuzzing: the last position went on ageing as if it still meant something.
#[test]
fn a_pair_whose_server_became_another_program_shows_no_number() {
    for (name, program) in PROGRAMS {
        let mut watched = watched();
        watched.rounds(3, MASTER_REPLY, REPLICA_REPLY);
        assert!(
            watched.pair().lag_seconds.is_some(),
            "it was healthy before"
        );
        watched.rounds(1, &like_redis(program, MASTER_REPLY), REPLICA_REPLY);
        check(&watched, name);
        watched.rounds(3, MASTER_REPLY, REPLICA_REPLY);
        assert_eq!(
            (watched.pair().state, watched.pair().lag_seconds),
            (PairState::Streaming, Some(0.0)),
            "{name}"
        );
    }
}
