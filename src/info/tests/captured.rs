//! The captured replies of all server generations, compared with values that another program read
//! from the files.

use std::fmt::{Debug, Display};
use std::path::Path;

use crate::info::{
    Field, InfoError, Observation, ReplicaLine, ReplicationInfo, UpstreamInfo, parse,
};
use crate::model::{ReplicationId, Span};

/// The text of the captured reply `name`, such as `redis-7.4/master`.
pub(super) fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/info")
        .join(format!("{name}.txt"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all replies that hold a replication section.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let whole = SERVER
        .iter()
        .filter(|(name, _)| !name.ends_with("info_server"));
    REPLICATION.iter().chain(whole).map(|(name, _)| *name)
}

/// A field in a row: `.` missing, `-` none, `!` malformed.
fn shown<T>(field: &Field<T>, show: impl Fn(&T) -> String) -> String {
    match field {
        Field::Missing => ".".to_owned(),
        Field::None => "-".to_owned(),
        Field::Malformed => "!".to_owned(),
        Field::Value(value) => show(value),
    }
}

fn plain<T: Display>(field: &Field<T>) -> String {
    shown(field, T::to_string)
}

fn word<T: Debug>(field: &Field<T>) -> String {
    shown(field, |value| format!("{value:?}"))
}

fn secs(field: &Field<Span>) -> String {
    shown(field, |span| (span.as_nanos() / 1_000_000_000).to_string())
}

fn flag(field: &Field<bool>) -> String {
    shown(field, |on| u8::from(*on).to_string())
}

fn bytes(field: &Field<crate::model::Bytes>) -> String {
    shown(field, |bytes| bytes.get().to_string())
}

fn id(field: &Field<ReplicationId>) -> String {
    shown(field, |id| id.as_str()[..8].to_owned())
}

fn replica_row(r: &ReplicaLine) -> String {
    format!(
        " [{} {} {:?} {} {}]",
        r.ip,
        plain(&r.port),
        r.state,
        plain(&r.offset),
        secs(&r.ack_age)
    )
}

fn upstream_row(u: &UpstreamInfo) -> String {
    let link = format!(
        "{} {} {} {}",
        plain(&u.host),
        plain(&u.port),
        word(&u.link),
        secs(&u.last_io)
    );
    let sync = format!(
        "{} {} {}",
        flag(&u.sync_in_progress),
        bytes(&u.sync_read),
        bytes(&u.sync_total)
    );
    let at = format!(
        "{} {} down {}",
        plain(&u.read_offset),
        plain(&u.applied_offset),
        secs(&u.link_down_since)
    );
    format!(
        " <- {link} sync {sync} at {at} prio {} {}",
        plain(&u.priority),
        flag(&u.read_only)
    )
}

fn replication_row(r: &ReplicationInfo) -> String {
    let role = shown(&r.role, |role| role.label().to_owned());
    let history = format!(
        "{} {} {}",
        id(&r.replid),
        id(&r.replid2),
        plain(&r.second_offset)
    );
    let b = &r.backlog;
    let backlog = format!(
        "{} {} {} {}",
        flag(&b.active),
        bytes(&b.size),
        plain(&b.first_byte),
        bytes(&b.histlen)
    );
    let replicas: String = r.replicas.iter().map(replica_row).collect();
    let upstream = r.upstream.as_ref().map_or(String::new(), upstream_row);
    let end = plain(&r.master_offset);
    let count = plain(&r.connected_replicas);
    format!("{role} {history} end {end} backlog {backlog} of {count}{replicas}{upstream}")
}

fn server_row(o: &Observation) -> String {
    let s = &o.server;
    let t = &o.stats;
    let p = &o.persistence;
    let run = shown(&s.run_id, |id| format!("{id:?}")[7..15].to_owned());
    let who = format!(
        "{} {} {} {run} {}",
        s.engine.label(),
        plain(&s.version),
        word(&s.mode),
        plain(&s.tcp_port)
    );
    let stats = format!(
        "{} {} {}",
        plain(&t.sync_full),
        plain(&t.sync_partial_ok),
        plain(&t.sync_partial_err)
    );
    let loading = format!("{} {}", flag(&p.loading), flag(&p.async_loading));
    let loaded = format!("{} {}", flag(&p.aof_enabled), plain(&p.rdb_keys_loaded));
    format!(
        "{who} up {} stats {stats} loading {loading} loaded {loaded}",
        secs(&s.uptime)
    )
}

#[test]
fn every_captured_replication_section_is_read_in_full() {
    for (name, row) in REPLICATION {
        assert_eq!(
            replication_row(&parse(&text(name)).unwrap().replication),
            row,
            "{name}"
        );
    }
}

#[test]
fn every_captured_server_section_is_read_in_full() {
    for (name, row) in SERVER {
        // INFO server alone has no role: it is read as a server before 7.0 gives it, with the
        // replication section.
        let rest = if name.ends_with("info_server") {
            "role:master\r\n"
        } else {
            ""
        };
        assert_eq!(
            server_row(&parse(&(text(name) + rest)).unwrap()),
            row,
            "{name}"
        );
    }
}

#[test]
fn a_server_section_alone_is_refused() {
    assert_eq!(
        parse(&text("redis-7.4/info_server")),
        Err(InfoError::NoRole)
    );
}

#[test]
fn sections_one_by_one_say_the_same_as_the_whole_reply() {
    let whole = text("redis-6.2/master_info_all");
    let sections = whole.split_inclusive("\r\n\r\n");
    let wanted = ["Server", "Persistence", "Stats", "Replication", "Keyspace"];
    let some: String = sections
        .filter(|s| wanted.iter().any(|w| s.starts_with(&format!("# {w}\r\n"))))
        .collect();
    assert!(some.len() < whole.len());
    assert_eq!(parse(&some), parse(&whole));
}

const REPLICATION: [(&str, &str); 42] = [
    (
        "redis-6.2/master",
        "master 68efbcfe - - end 92 backlog 1 1048576 1 92 of 1 [127.0.0.1 37021 Online 78 1]",
    ),
    (
        "redis-6.2/master_while_syncing",
        "master 68efbcfe - - end 62149180 backlog 1 16384 62132797 16384 of 1 [127.0.0.1 37021 WaitBgsave - 0]",
    ),
    (
        "redis-6.2/replica",
        "replica 68efbcfe - - end 92 backlog 1 1048576 1 92 of 0 <- 127.0.0.1 37020 Up 0 sync 0 . . at . 92 down . \
         prio 100 1",
    ),
    (
        "redis-6.2/replica_syncing",
        "replica 38d85ac7 68efbcfe 62028983 end 62029038 backlog 0 1048576 60980463 1048576 of 0 <- 127.0.0.1 37020 \
         Down - sync 1 34229 - at . 1 down - prio 100 1",
    ),
    (
        "redis-6.2/replica_link_down",
        "replica 68efbcfe - - end 62149320 backlog 1 1048576 62149181 140 of 0 <- 127.0.0.1 37020 Down - sync 0 . . \
         at . 62149320 down 3 prio 100 1",
    ),
    (
        "redis-6.2/replica_master_frozen",
        "replica 68efbcfe - - end 62149306 backlog 1 1048576 62149181 126 of 0 <- 127.0.0.1 37020 Down - sync 0 . . \
         at . 62149306 down 1 prio 100 1",
    ),
    (
        "redis-6.2.14/master",
        "master cb72d1e1 - - end 92 backlog 1 1048576 1 92 of 1 [127.0.0.1 37031 Online 92 0]",
    ),
    (
        "redis-6.2.14/master_while_syncing",
        "master cb72d1e1 - - end 62149180 backlog 1 16384 62132797 16384 of 1 [127.0.0.1 37031 WaitBgsave - 0]",
    ),
    (
        "redis-6.2.14/replica",
        "replica cb72d1e1 - - end 92 backlog 1 1048576 1 92 of 0 <- 127.0.0.1 37030 Up 0 sync 0 . . at 92 92 down . \
         prio 100 1",
    ),
    (
        "redis-6.2.14/replica_syncing",
        "replica ccee80d5 cb72d1e1 52492401 end 52492456 backlog 0 1048576 51443881 1048576 of 0 <- 127.0.0.1 37030 \
         Down - sync 1 17222 - at 1 1 down - prio 100 1",
    ),
    (
        "redis-6.2.14/replica_link_down",
        "replica cb72d1e1 - - end 62149320 backlog 1 1048576 62149181 140 of 0 <- 127.0.0.1 37030 Down - sync 0 . . \
         at 62149320 62149320 down 3 prio 100 1",
    ),
    (
        "redis-6.2.14/replica_master_frozen",
        "replica cb72d1e1 - - end 62149306 backlog 1 1048576 62149181 126 of 0 <- 127.0.0.1 37030 Down - sync 0 . . \
         at 62149306 62149306 down 1 prio 100 1",
    ),
    (
        "redis-7.0/master",
        "master 26ca4324 - - end 92 backlog 1 1048576 1 92 of 1 [127.0.0.1 37011 Online 78 1]",
    ),
    (
        "redis-7.0/master_while_syncing",
        "master 26ca4324 - - end 62149194 backlog 1 16384 62117161 32034 of 1 [127.0.0.1 37011 WaitBgsave - 0]",
    ),
    (
        "redis-7.0/replica",
        "replica 26ca4324 - - end 92 backlog 1 1048576 1 92 of 0 <- 127.0.0.1 37010 Up 1 sync 0 . . at 92 92 down . \
         prio 100 1",
    ),
    (
        "redis-7.0/replica_syncing",
        "replica 980d6206 26ca4324 62028997 end 62029052 backlog 1 1048576 60972521 1056532 of 0 <- 127.0.0.1 37010 \
         Down - sync 1 68409 - at 62029052 62029052 down - prio 100 1",
    ),
    (
        "redis-7.0/replica_link_down",
        "replica 26ca4324 - - end 62149334 backlog 1 1048576 62149195 140 of 0 <- 127.0.0.1 37010 Down - sync 0 . . \
         at 62149334 62149334 down 3 prio 100 1",
    ),
    (
        "redis-7.0/replica_master_frozen",
        "replica 26ca4324 - - end 62149320 backlog 1 1048576 62149195 126 of 0 <- 127.0.0.1 37010 Down - sync 0 . . \
         at 62149320 62149320 down 1 prio 100 1",
    ),
    (
        "redis-7.4/master",
        "master 5a7b2955 - - end 92 backlog 1 1048576 1 92 of 1 [127.0.0.1 37041 Online 78 0]",
    ),
    (
        "redis-7.4/master_while_syncing",
        "master 5a7b2955 - - end 62149180 backlog 1 16384 62117161 32020 of 1 [127.0.0.1 37041 WaitBgsave - 0]",
    ),
    (
        "redis-7.4/replica",
        "replica 5a7b2955 - - end 92 backlog 1 1048576 1 92 of 0 <- 127.0.0.1 37040 Up 0 sync 0 . . at 92 92 down . \
         prio 100 1",
    ),
    (
        "redis-7.4/replica_syncing",
        "replica da6a7986 5a7b2955 62028983 end 62029038 backlog 1 1048576 60972521 1056518 of 0 <- 127.0.0.1 37040 \
         Down - sync 1 221724 - at 62029038 62029038 down - prio 100 1",
    ),
    (
        "redis-7.4/replica_link_down",
        "replica 5a7b2955 - - end 62149306 backlog 1 1048576 62149181 126 of 0 <- 127.0.0.1 37040 Down - sync 0 . . \
         at 62149306 62149306 down 3 prio 100 1",
    ),
    (
        "redis-7.4/replica_master_frozen",
        "replica 5a7b2955 - - end 62149292 backlog 1 1048576 62149181 112 of 0 <- 127.0.0.1 37040 Down - sync 0 . . \
         at 62149292 62149292 down 1 prio 100 1",
    ),
    (
        "redis-8.2/master",
        "master 33f8c5ee - - end 78 backlog 1 1048576 1 78 of 1 [127.0.0.1 37051 Online 64 1]",
    ),
    (
        "redis-8.2/master_while_syncing",
        "master 33f8c5ee - - end 62149166 backlog 1 16384 62117161 32006 of 1 [127.0.0.1 37051 Transfer - 0]",
    ),
    (
        "redis-8.2/replica",
        "replica 33f8c5ee - - end 78 backlog 1 1048576 1 78 of 0 <- 127.0.0.1 37050 Up 1 sync 0 . . at 78 78 down . \
         prio 100 1",
    ),
    (
        "redis-8.2/replica_syncing",
        "replica 341c4d66 33f8c5ee 62028969 end 62029024 backlog 1 1048576 60972521 1056504 of 0 <- 127.0.0.1 37050 \
         Down - sync 1 102412 - at 62029024 62029024 down - prio 100 1",
    ),
    (
        "redis-8.2/replica_link_down",
        "replica 33f8c5ee - - end 62149343 backlog 1 1048576 62149167 177 of 0 <- 127.0.0.1 37050 Down - sync 0 . . \
         at 62149343 62149343 down 3 prio 100 1",
    ),
    (
        "redis-8.2/replica_master_frozen",
        "replica 33f8c5ee - - end 62149278 backlog 1 1048576 62149167 112 of 0 <- 127.0.0.1 37050 Down - sync 0 . . \
         at 62149278 62149278 down 1 prio 100 1",
    ),
    (
        "valkey-8.1/master",
        "master 927b78d5 - - end 92 backlog 1 1048576 1 92 of 1 [127.0.0.1 37061 Online 78 1]",
    ),
    (
        "valkey-8.1/master_while_syncing",
        "master 927b78d5 - - end 62149194 backlog 1 16384 62128129 21066 of 1 [127.0.0.1 37061 WaitBgsave - 0]",
    ),
    (
        "valkey-8.1/replica",
        "replica 927b78d5 - - end 92 backlog 1 10485760 1 92 of 0 <- 127.0.0.1 37060 Up 1 sync 0 . . at 92 92 down . \
         prio 100 1",
    ),
    (
        "valkey-8.1/replica_syncing",
        "replica 5a2a82e4 927b78d5 62028997 end 62029052 backlog 1 10485760 51527681 10501372 of 0 <- 127.0.0.1 \
         37060 Down - sync 1 119449 - at 62029052 62029052 down - prio 100 1",
    ),
    (
        "valkey-8.1/replica_link_down",
        "replica 927b78d5 - - end 62149320 backlog 1 10485760 62149195 126 of 0 <- 127.0.0.1 37060 Down - sync 0 . . \
         at 62149320 62149320 down 3 prio 100 1",
    ),
    (
        "valkey-8.1/replica_master_frozen",
        "replica 927b78d5 - - end 62149306 backlog 1 10485760 62149195 112 of 0 <- 127.0.0.1 37060 Down - sync 0 . . \
         at 62149306 62149306 down 1 prio 100 1",
    ),
    (
        "valkey-9.1/master",
        "master 0b29e4c1 - - end 106 backlog 1 1048576 1 106 of 1 [127.0.0.1 37071 Online 106 0]",
    ),
    (
        "valkey-9.1/master_while_syncing",
        "master 0b29e4c1 - - end 62149222 backlog 1 16384 62128129 21094 of 1 [127.0.0.1 37071 WaitBgsave - 0]",
    ),
    (
        "valkey-9.1/replica",
        "replica 0b29e4c1 - - end 106 backlog 1 10485760 1 106 of 0 <- 127.0.0.1 37070 Up 1 sync 0 . . at 106 106 \
         down . prio 100 1",
    ),
    (
        "valkey-9.1/replica_syncing",
        "replica c6f018be 0b29e4c1 43806829 end 43806884 backlog 1 10485760 33308673 10498212 of 0 <- 127.0.0.1 \
         37070 Down - sync 1 85391 - at 43806884 43806884 down - prio 100 1",
    ),
    (
        "valkey-9.1/replica_link_down",
        "replica 0b29e4c1 - - end 62149399 backlog 1 10485760 62149209 191 of 0 <- 127.0.0.1 37070 Down - sync 0 . . \
         at 62149399 62149399 down 3 prio 100 1",
    ),
    (
        "valkey-9.1/replica_master_frozen",
        "replica 0b29e4c1 - - end 62149334 backlog 1 10485760 62149209 126 of 0 <- 127.0.0.1 37070 Down - sync 0 . . \
         at 62149334 62149334 down 1 prio 100 1",
    ),
];

const SERVER: [(&str, &str); 21] = [
    (
        "redis-6.2/info_server",
        "redis 6.2.5 Standalone 0afaf3e7 37020 up 3 stats . . . loading . . loaded . .",
    ),
    (
        "redis-6.2/master_info_all",
        "redis 6.2.5 Standalone 0afaf3e7 37020 up 3 stats 1 0 0 loading 0 . loaded 0 .",
    ),
    (
        "redis-6.2/replica_info_all",
        "redis 6.2.5 Standalone 4f652343 37021 up 3 stats 0 0 0 loading 0 . loaded 0 .",
    ),
    (
        "redis-6.2.14/info_server",
        "redis 6.2.14 Standalone 51ac5b84 37030 up 3 stats . . . loading . . loaded . .",
    ),
    (
        "redis-6.2.14/master_info_all",
        "redis 6.2.14 Standalone 51ac5b84 37030 up 3 stats 1 0 0 loading 0 . loaded 0 .",
    ),
    (
        "redis-6.2.14/replica_info_all",
        "redis 6.2.14 Standalone b15f8f12 37031 up 3 stats 0 0 0 loading 0 . loaded 0 .",
    ),
    (
        "redis-7.0/info_server",
        "redis 7.0.15 Standalone b5892009 37010 up 4 stats . . . loading . . loaded . .",
    ),
    (
        "redis-7.0/master_info_all",
        "redis 7.0.15 Standalone b5892009 37010 up 4 stats 1 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "redis-7.0/replica_info_all",
        "redis 7.0.15 Standalone 6a1985cc 37011 up 3 stats 0 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "redis-7.4/info_server",
        "redis 7.4.1 Standalone 5e57be18 37040 up 3 stats . . . loading . . loaded . .",
    ),
    (
        "redis-7.4/master_info_all",
        "redis 7.4.1 Standalone 5e57be18 37040 up 3 stats 1 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "redis-7.4/replica_info_all",
        "redis 7.4.1 Standalone 4323e181 37041 up 2 stats 0 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "redis-8.2/info_server",
        "redis 8.2.3 Standalone 0d2ec153 37050 up 4 stats . . . loading . . loaded . .",
    ),
    (
        "redis-8.2/master_info_all",
        "redis 8.2.3 Standalone 0d2ec153 37050 up 4 stats 1 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "redis-8.2/replica_info_all",
        "redis 8.2.3 Standalone d2db5fb7 37051 up 3 stats 0 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "valkey-8.1/info_server",
        "valkey 8.1.8 Standalone 1a9de992 37060 up 4 stats . . . loading . . loaded . .",
    ),
    (
        "valkey-8.1/master_info_all",
        "valkey 8.1.8 Standalone 1a9de992 37060 up 4 stats 1 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "valkey-8.1/replica_info_all",
        "valkey 8.1.8 Standalone d289c550 37061 up 3 stats 0 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "valkey-9.1/info_server",
        "valkey 9.1.2 Standalone aab10fb2 37070 up 5 stats . . . loading . . loaded . .",
    ),
    (
        "valkey-9.1/master_info_all",
        "valkey 9.1.2 Standalone aab10fb2 37070 up 5 stats 1 0 0 loading 0 0 loaded 0 0",
    ),
    (
        "valkey-9.1/replica_info_all",
        "valkey 9.1.2 Standalone 87e4230d 37071 up 4 stats 0 0 0 loading 0 0 loaded 0 0",
    ),
];
