//! The cases that fool everybody, one line each: what the servers say, and what may be said about them.
//!
//! Every poll takes 10 ms. An answer reads `state [lower estimate upper] bytes`, in milliseconds and bytes; `-` is
//! unknown, and so is everything where only the state stands.

use std::fmt::Write as _;

use redis_cross_dc_exporter::info;
use redis_cross_dc_exporter::model::{Bytes, PollError, ServerAddr, Span, Timestamp};
use redis_cross_dc_exporter::monitor::{Monitor, PollEvent, PollEventKind};
use redis_cross_dc_exporter::topology::Topology;

use crate::driver::{MASTER, REPLICA, anchor};
use crate::replies::replid;
use crate::settings::settings_of;
use crate::world::{MS, Nanos};

/// One poll: whom, when (in ms), how long it takes, and what comes of it.
struct Step {
    server: &'static str,
    at: Nanos,
    takes: Nanos,
    answer: Option<String>,
}

/// The master says that its history `id` is at `offset`.
fn m(at: Nanos, id: char, offset: u64) -> Step {
    mx(at, id, offset, "repl_backlog_active:1")
}

/// The same, with more fields.
fn mx(at: Nanos, id: char, offset: u64, fields: &str) -> Step {
    let text = format!("role:master\r\nmaster_replid:{}\r\nmaster_repl_offset:{offset}\r\n", replid(id));
    Step { server: MASTER, at, takes: 10, answer: Some(text + &lines(fields)) }
}

/// The replica says that its link is up and that it applied (and received) `offset` of the history `id`.
fn r(at: Nanos, id: char, offset: u64) -> Step {
    rx(at, id, offset, "master_link_status:up")
}

/// The same, with its own words about its link.
fn rx(at: Nanos, id: char, offset: u64, fields: &str) -> Step {
    let text = format!(
        "role:slave\r\nmaster_replid:{}\r\nslave_repl_offset:{offset}\r\nslave_read_repl_offset:{offset}\r\n",
        replid(id)
    );
    Step { server: REPLICA, at, takes: 10, answer: Some(text + &lines(fields)) }
}

/// The configured replica says that it is a master, continuing `old` up to the offset before `second`.
fn promoted(at: Nanos, old: char, second: u64) -> Step {
    let fields = format!("repl_backlog_active:1 {}", continues(old, second));
    Step { server: REPLICA, ..mx(at, 'c', second + 50, &fields) }
}

/// The configured master says that it is a replica.
fn demoted(at: Nanos) -> Step {
    Step { server: MASTER, ..r(at, 'c', 500) }
}

fn continues(old: char, second: u64) -> String {
    format!("master_replid2:{} second_repl_offset:{second}", replid(old))
}

fn fails(server: &'static str, at: Nanos) -> Step {
    Step { server, at, takes: 10, answer: None }
}

fn lines(fields: &str) -> String {
    fields.split(' ').fold("redis_version:7.2.4\r\ntcp_port:6379\r\n".to_owned(), |all, field| all + field + "\r\n")
}

fn run(steps: Vec<Step>, now: Nanos) -> String {
    let settings = settings_of(&[("orders".to_owned(), MASTER.to_owned(), vec![REPLICA.to_owned()])]);
    let at = |millis: Nanos| Timestamp::from_nanos(millis * MS);
    let mut monitor = Monitor::new(&settings, &Topology::from_settings(&settings), anchor(at(0)));
    for step in steps {
        let (sent, received) = (at(step.at), at(step.at + step.takes));
        let kind = match step.answer {
            Some(text) => {
                let observation = Box::new(info::parse(&text).expect("an INFO text"));
                PollEventKind::Answered { sent, received, observation, late: Span::ZERO }
            }
            None => PollEventKind::Failed { began: sent, at: received, error: PollError::Timeout, late: Span::ZERO },
        };
        monitor.handle_poll(PollEvent { server: ServerAddr::parse(step.server).expect("an address"), kind });
    }
    let seen = monitor.snapshot(anchor(at(now))).pairs[0].assess(at(now));
    let mut out = seen.state.label().to_owned();
    let span = |s: Option<Span>| s.map_or("-".to_owned(), |s| (s.as_nanos() / MS).to_string());
    let bytes = |b: Option<Bytes>| b.map_or("-".to_owned(), |b| b.get().to_string());
    let lag = [seen.lag.lower, seen.lag.estimate, seen.lag.upper];
    if lag.iter().any(Option::is_some) {
        let _ = write!(out, " [{}] {}", lag.map(span).join(" "), bytes(seen.bytes.estimate));
    }
    if let Some(unshared) = seen.diverged {
        let _ = write!(out, " {} unshared", unshared.get());
    }
    out
}

fn check(what: &str, steps: Vec<Step>, now: Nanos, expected: &str) {
    assert_eq!(run(steps, now), expected, "{what}");
}

const DOWN: &str = "master_link_status:down master_link_down_since_seconds:5";
const TRANSFER: &str = "master_link_status:down master_link_down_since_seconds:5 master_sync_in_progress:1";
const LOADING: &str = "master_link_status:down master_link_down_since_seconds:5 loading:1";
const LOADING_ON: &str = "master_link_status:down master_link_down_since_seconds:13 loading:1";
const ACKED: &str = "repl_backlog_active:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=600,lag=0";
const ZERO_ACK: &str = "repl_backlog_active:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=0,lag=0";
const OTHERS_ACK: &str = "repl_backlog_active:1 slave0:ip=10.9.0.1,port=6380,state=online,offset=600,lag=0 \
                          slave1:ip=10.9.0.2,port=6380,state=online,offset=600,lag=0";

#[test]
#[rustfmt::skip] // one case, one line
fn what_the_master_says() {
    check("all applied", vec![m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100)], 50, "streaming [0 0 10] 0");
    check("nothing is said before the master answered again", vec![m(0, 'a', 100), r(20, 'a', 100)], 50, "unknown");
    check("behind since between two polls", vec![m(0, 'a', 100), m(1000, 'a', 200), r(1020, 'a', 100), m(1040, 'a', 200)], 1050, "streaming [10 100 1050] 100");
    check("before the first poll: only a lower bound", vec![m(0, 'a', 500), m(1000, 'a', 600), r(1020, 'a', 100), m(1040, 'a', 600)], 1050, "streaming [1010 - -] 500");
    check("no backlog: the offset is no evidence", vec![mx(0, 'a', 100, "repl_backlog_active:0"), r(20, 'a', 100), mx(40, 'a', 100, "repl_backlog_active:0")], 50, "unknown");
    check("the backlog goes: the end of a history is not 0", vec![m(0, 'a', 100), r(20, 'a', 100), mx(40, 'a', 100, "repl_backlog_active:0")], 50, "unknown [0 - 50] -");
    check("an offset falls under the same name", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'a', 900), m(60, 'a', 14), r(80, 'a', 900), m(100, 'a', 14)], 120, "unknown");
    check("a restart: another name, a small offset", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'a', 900), m(60, 'b', 14), rx(80, 'a', 900, DOWN), m(100, 'b', 14)], 120, "link_down [0 - 80] -");
    check("after it a full sync brings the new history", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'b', 14), r(60, 'b', 14), m(80, 'b', 14)], 90, "streaming [0 0 10] 0");
    check("a restart that kept its data goes on", vec![m(0, 'a', 900), mx(20, 'b', 950, &format!("repl_backlog_active:1 {}", continues('a', 901))), r(40, 'a', 900), mx(60, 'b', 950, &format!("repl_backlog_active:1 {}", continues('a', 901)))], 70, "streaming [10 30 70] 50");
    check("it says that it is a replica", vec![m(0, 'a', 100), r(20, 'a', 100), demoted(40)], 50, "unknown");
    check("overlapping polls are no regress", vec![m(0, 'a', 100), Step { takes: 500, ..m(20, 'a', 300) }, m(60, 'a', 200), r(600, 'a', 300), m(620, 'a', 300)], 640, "streaming [0 0 20] 0");
}

#[test]
#[rustfmt::skip] // one case, one line
fn what_the_replica_says() {
    let known = || vec![m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100)];
    let with = |more: Vec<Step>| known().into_iter().chain(more).collect::<Vec<_>>();
    check("0 promoted beside a living master: diverged by what the old one wrote", with(vec![m(60, 'a', 180), promoted(80, 'a', 151), m(100, 'a', 180)]), 110, "diverged 30 unshared");
    check("0 promoted, and the old master is a replica: roles are swapped", with(vec![promoted(60, 'a', 101), demoted(80)]), 90, "unknown");
    check("1 the old offset during a transfer is valid", with(vec![m(1000, 'a', 200), rx(1020, 'a', 100, TRANSFER), m(1040, 'a', 200)]), 1050, "full_sync [10 500 1010] 100");
    check("1 offset 1 while it loads: the old position ages on", with(vec![m(1000, 'a', 200), rx(1020, 'a', 100, TRANSFER), m(1040, 'a', 200), rx(9000, 'a', 1, LOADING_ON), m(9020, 'a', 200)]), 9030, "full_sync [7990 8505 8990] 100");
    check("1 hidden at once (6.2): it may have applied more, so little is certain", with(vec![m(9000, 'a', 200), rx(9020, 'a', 1, LOADING), m(9040, 'a', 200)]), 9050, "full_sync [0 4500 9010] 50");
    check("1 offset 1 and never a position", vec![m(0, 'a', 100), rx(20, 'e', 1, "master_link_status:down master_link_down_since_seconds:-1"), m(40, 'a', 100)], 50, "never_synced");
    check("1 offset 0 with the link up is an empty, synced pair", vec![m(0, 'a', 0), r(20, 'a', 0), m(40, 'a', 0)], 50, "streaming [0 0 10] 0");
    check("3 the history before the promotion, shared part", vec![m(0, 'a', 100), mx(20, 'b', 100, &format!("repl_backlog_active:1 {}", continues('a', 101))), r(40, 'a', 100), mx(60, 'b', 100, &format!("repl_backlog_active:1 {}", continues('a', 101)))], 70, "streaming [0 0 10] 0");
    check("4 beyond the shared part", vec![m(0, 'a', 100), mx(20, 'b', 90, &format!("repl_backlog_active:1 {}", continues('a', 81))), r(40, 'a', 100), mx(60, 'b', 90, &format!("repl_backlog_active:1 {}", continues('a', 81)))], 70, "diverged 20 unshared");
    check("5 a history that is over still gives an age", vec![m(0, 'a', 100), m(1000, 'a', 200), m(2000, 'b', 14), rx(2020, 'a', 100, DOWN), m(2040, 'b', 14)], 2050, "link_down [1010 1520 2050] -");
    check("6 a history that nobody named", with(vec![r(60, 'f', 100), m(80, 'a', 100)]), 90, "wrong_master");
    check("6 the same with the link down is no wrong master", with(vec![rx(60, 'f', 100, DOWN), m(80, 'a', 100)]), 90, "link_down");
    check("it is ahead of a master that answered later", with(vec![r(60, 'a', 300), m(80, 'a', 200)]), 90, "unknown");
    check("it stepped back: an older snapshot is no error", vec![m(0, 'a', 100), m(1000, 'a', 200), r(1020, 'a', 200), m(1040, 'a', 200), r(2000, 'a', 100), m(2020, 'a', 200)], 2030, "streaming [990 1520 2030] 100");
    check("a late answer that a later one overtook", with(vec![m(60, 'a', 200), r(80, 'a', 200), m(100, 'a', 200), Step { takes: 120, ..r(10, 'a', 100) }]), 140, "streaming [0 0 40] 0");
}

#[test]
#[rustfmt::skip] // one case, one line
fn who_is_silent() {
    let known = |fields: &str| vec![mx(0, 'a', 500, fields), r(20, 'a', 500), mx(40, 'a', 500, fields), mx(1000, 'a', 600, fields), r(1020, 'a', 500), mx(1040, 'a', 600, fields)];
    let with = |fields: &str, more: Vec<Step>| known(fields).into_iter().chain(more).collect::<Vec<_>>();
    let no_line = "repl_backlog_active:1";
    check("a silent master: the lower bound only", with(no_line, vec![fails(MASTER, 2000), fails(MASTER, 3000)]), 3050, "master_unreachable [10 - -] -");
    check("one lost poll is no silence", with(no_line, vec![fails(MASTER, 2000)]), 2050, "streaming [10 100 2010] 100");
    check("caught up before the master fell silent is not caught up now", vec![m(0, 'a', 500), r(20, 'a', 500), m(40, 'a', 500), fails(MASTER, 1000), r(1020, 'a', 500), fails(MASTER, 2000), r(2020, 'a', 500)], 2050, "master_unreachable [0 - -] -");
    check("a silent replica, and nobody knows its line: no estimate", with(no_line, vec![fails(REPLICA, 2000), mx(2020, 'a', 600, no_line), fails(REPLICA, 3000), mx(3020, 'a', 600, no_line)]), 3050, "replica_unreachable [0 - 3010] -");
    check("the lines of two others are not its line", with(OTHERS_ACK, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 600, OTHERS_ACK)]), 3050, "replica_unreachable [0 - 3010] -");
    check("its line says that it applied all: it is well", with(ACKED, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 600, ACKED)]), 3050, "replica_unreachable [0 0 30] 0");
    check("its line says nothing yet (offset 0): the last answer ages", with(ZERO_ACK, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 600, ZERO_ACK)]), 3050, "replica_unreachable [0 1837 3010] 100");
    check("the line vanishes: what was ACKed stays applied", with(ACKED, vec![fails(REPLICA, 2000), mx(2020, 'a', 700, ACKED), fails(REPLICA, 3000), mx(3020, 'a', 700, no_line)]), 3050, "replica_unreachable [0 1332 2010] 100");
}
