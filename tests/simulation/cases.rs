//! The cases that fool everybody, one line each: what the servers say, and what may be said about
//! them.
//!
//! Every poll takes 10 ms. An answer reads `state [lower estimate upper] bytes`, in milliseconds
//! and bytes; `-` is unknown, and so is everything where only the state stands; `stale` rests on
//! what a silent replica ACKs. The numbers are those of docs/lag.md, "When there is no number".

use std::fmt::Write as _;

use redis_cross_dc_exporter::info;
use redis_cross_dc_exporter::model::{Bytes, PollError, ServerAddr, Span, Timestamp};
use redis_cross_dc_exporter::monitor::{Action, Monitor, PollEvent, PollEventKind};
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
    let text = format!(
        "role:master\r\nmaster_replid:{}\r\nmaster_repl_offset:{offset}\r\n",
        replid(id)
    );
    Step {
        server: MASTER,
        at,
        takes: 10,
        answer: Some(text + &lines(fields)),
    }
}

/// The replica says that its link is up and that it applied (and received) `offset` of the history
/// `id`.
fn r(at: Nanos, id: char, offset: u64) -> Step {
    rx(at, id, offset, "master_link_status:up")
}

/// The same, with its own words about its link.
fn rx(at: Nanos, id: char, offset: u64, fields: &str) -> Step {
    let text = format!(
        "role:slave\r\nmaster_replid:{}\r\nslave_repl_offset:{offset}\r\nslave_read_repl_offset:{offset}\r\n",
        replid(id)
    );
    Step {
        server: REPLICA,
        at,
        takes: 10,
        answer: Some(text + &lines(fields)),
    }
}

/// The replica says that it received more than it applied.
fn rx2(at: Nanos, applied: u64, received: u64) -> Step {
    let text = format!(
        "role:slave\r\nmaster_replid:{}\r\nmaster_link_status:up\r\nslave_repl_offset:{applied}\r\n\
         slave_read_repl_offset:{received}\r\n",
        replid('a')
    );
    Step {
        server: REPLICA,
        at,
        takes: 10,
        answer: Some(text + &lines("loading:0")),
    }
}

/// The master says that its history `id` continues `old` from the offset before `second` on.
fn cont(at: Nanos, id: char, offset: u64, old: char, second: u64) -> Step {
    mx(
        at,
        id,
        offset,
        &format!("repl_backlog_active:1 {}", continues(old, second)),
    )
}

/// The configured replica says that it is a master, continuing `old` up to the offset before
/// `second`.
fn promoted(at: Nanos, old: char, second: u64) -> Step {
    let fields = format!("repl_backlog_active:1 {}", continues(old, second));
    Step {
        server: REPLICA,
        ..mx(at, 'c', second + 50, &fields)
    }
}

/// The configured master says that it is a replica.
fn demoted(at: Nanos) -> Step {
    Step {
        server: MASTER,
        ..r(at, 'c', 500)
    }
}

fn continues(old: char, second: u64) -> String {
    format!("master_replid2:{} second_repl_offset:{second}", replid(old))
}

fn fails(server: &'static str, at: Nanos) -> Step {
    Step {
        server,
        at,
        takes: 10,
        answer: None,
    }
}

fn lines(fields: &str) -> String {
    fields.split(' ').fold(
        "redis_version:7.2.4\r\ntcp_port:6379\r\n".to_owned(),
        |all, field| all + field + "\r\n",
    )
}

/// A monitor that has heard all that.
fn fed(steps: Vec<Step>) -> Monitor {
    let settings = settings_of(&[(
        "orders".to_owned(),
        MASTER.to_owned(),
        vec![REPLICA.to_owned()],
    )]);
    let mut monitor = Monitor::new(
        &settings,
        &Topology::from_settings(&settings),
        anchor(at(0)),
    );
    for step in steps {
        let (sent, received) = (at(step.at), at(step.at + step.takes));
        let kind = match step.answer {
            Some(text) => {
                let observation = Box::new(info::parse(&text).expect("an INFO text"));
                PollEventKind::Answered {
                    sent,
                    received,
                    observation,
                    late: Span::ZERO,
                }
            }
            None => PollEventKind::Failed {
                began: sent,
                at: received,
                error: PollError::Timeout.into(),
                late: Span::ZERO,
            },
        };
        monitor.handle_poll(PollEvent {
            server: ServerAddr::parse(step.server).expect("an address"),
            kind,
        });
    }
    monitor
}

fn at(millis: Nanos) -> Timestamp {
    Timestamp::from_nanos(millis * MS)
}

fn run(steps: Vec<Step>, now: Nanos) -> String {
    let seen = fed(steps).snapshot(anchor(at(now))).pairs[0].assess(at(now));
    let mut out = seen.state.label().to_owned();
    let span = |s: Option<Span>| s.map_or("-".to_owned(), |s| (s.as_nanos() / MS).to_string());
    let bytes = |b: Option<Bytes>| b.map_or("-".to_owned(), |b| b.get().to_string());
    let lag = [seen.lag.lower, seen.lag.estimate, seen.lag.upper];
    if lag.iter().any(Option::is_some) {
        let _ = write!(
            out,
            " [{}] {}",
            lag.map(span).join(" "),
            bytes(seen.bytes.estimate)
        );
    }
    if seen.stale {
        out += " stale";
    }
    if let Some(unshared) = seen.diverged {
        let _ = write!(out, " {} unshared", unshared.older().get());
    }
    out
}

fn check(what: &str, steps: Vec<Step>, now: Nanos, expected: &str) {
    assert_eq!(run(steps, now), expected, "{what}");
}

const DOWN: &str = "master_link_status:down master_link_down_since_seconds:5";
const TRANSFER: &str =
    "master_link_status:down master_link_down_since_seconds:5 master_sync_in_progress:1";
const LOADING: &str = "master_link_status:down master_link_down_since_seconds:5 loading:1";
const LOADING_ON: &str = "master_link_status:down master_link_down_since_seconds:13 loading:1";
const NO_BACKLOG: &str = "repl_backlog_active:0";
const ACKED_AGO: &str =
    "repl_backlog_active:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=600,lag=1";
const ACKED_LONG_AGO: &str =
    "repl_backlog_active:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=600,lag=2";
const ACKED_MORE: &str =
    "repl_backlog_active:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=700,lag=0";
const ACKED_MORE_YET: &str =
    "repl_backlog_active:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=800,lag=0";
const MAPPED_ACK: &str =
    "repl_backlog_active:1 slave0:ip=172.17.0.1,port=40123,state=online,offset=600,lag=0";
const TWIN_ACKS: &str = "repl_backlog_active:1 slave0:ip=10.9.0.1,port=6379,state=online,offset=600,lag=0 \
                         slave1:ip=10.9.0.1,port=6379,state=online,offset=600,lag=0";
const ACKED: &str =
    "repl_backlog_active:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=600,lag=0";
const ZERO_ACK: &str =
    "repl_backlog_active:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=0,lag=0";
const OTHERS_ACK: &str = "repl_backlog_active:1 slave0:ip=10.9.0.1,port=6380,state=online,offset=600,lag=0 \
                          slave1:ip=10.9.0.2,port=6380,state=online,offset=600,lag=0";

#[test]
#[rustfmt::skip] // one case, one line
fn conditions_reported_by_the_master() {
    check("the same history: all applied", vec![m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100)], 50, "streaming [0 0 10] 0");
    check("nothing is said before the master answered again", vec![m(0, 'a', 100), r(20, 'a', 100)], 50, "unknown");
    check("behind since between two polls", vec![m(0, 'a', 100), m(1000, 'a', 200), r(1020, 'a', 100), m(1040, 'a', 200)], 1050, "streaming [10 63 1050] 100");
    check("empty history, before the first poll: only a lower bound", vec![m(0, 'a', 500), m(1000, 'a', 600), r(1020, 'a', 100), m(1040, 'a', 600)], 1050, "unknown [1010 - -] 500");
    check("no backlog: the offset is no evidence", vec![mx(0, 'a', 100, NO_BACKLOG), r(20, 'a', 100), mx(40, 'a', 100, NO_BACKLOG)], 50, "unknown");
    check("the backlog goes: the end of a closed history is not 0", vec![m(0, 'a', 100), r(20, 'a', 100), mx(40, 'a', 100, NO_BACKLOG)], 50, "unknown [0 - 50] -");
    check("the backlog expired (its TTL): another name at a higher offset is no continuation", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'a', 900), mx(1000, 'a', 950, NO_BACKLOG), m(2000, 'b', 990), rx(2020, 'a', 900, DOWN), m(2040, 'b', 990)], 2050, "link_down [0 - 2010] -");
    check("regress: an offset falls under the same name", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'a', 900), m(60, 'a', 14), r(80, 'a', 900), m(100, 'a', 14)], 120, "unknown");
    check("a restart: another name, a small offset: the history is lost, and the age of the copy is no lag", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'a', 900), m(60, 'b', 14), rx(80, 'a', 900, DOWN), m(100, 'b', 14)], 120, "link_down");
    check("after it a full sync brings the new history", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'b', 14), r(60, 'b', 14), m(80, 'b', 14)], 90, "streaming [0 0 10] 0");
    check("a restart that kept its data goes on", vec![m(0, 'a', 900), cont(20, 'b', 950, 'a', 901), r(40, 'a', 900), cont(60, 'b', 950, 'a', 901)], 70, "streaming [10 30 70] 50");
    check("failover: what both histories share is placed in the new one", vec![m(0, 'a', 100), m(1000, 'a', 200), m(2000, 'a', 300), cont(3000, 'b', 310, 'a', 251), r(3020, 'b', 200), cont(3040, 'b', 310, 'a', 251)], 3050, "streaming [1010 1520 2050] 110");
    check("a new master that shows less than it claims to share: nothing of the old table is trusted", vec![m(0, 'a', 900), cont(1000, 'b', 50, 'a', 901), r(1020, 'b', 40), cont(1040, 'b', 50, 'a', 901)], 1050, "unknown [10 - -] 10");
    check("it says that it is a replica", vec![m(0, 'a', 100), r(20, 'a', 100), demoted(40)], 50, "unknown");
    check("it hands over: the estimate stands for two polls, and nothing bounds it", vec![m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100), demoted(1000)], 2030, "unknown [0 0 -] -");
    check("it has handed over to nobody", vec![m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100), demoted(1000), demoted(2000)], 2050, "unknown");
    check("a new history after an expired backlog: nothing of it was written while there was none", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'a', 900), mx(1000, 'b', 950, NO_BACKLOG), m(2000, 'c', 990), r(2020, 'c', 960), m(2040, 'c', 990)], 2050, "streaming [10 63 1050] 30");
    check("a new history after a restart: nothing of it was written while the old one went on", vec![m(0, 'a', 900), r(20, 'a', 900), m(40, 'a', 900), m(1000, 'b', 60), r(1020, 'b', 14), m(1040, 'b', 60)], 1050, "streaming [10 63 1010] 46");
    check("reordered: overlapping polls are no regress", vec![m(0, 'a', 100), Step { takes: 500, ..m(20, 'a', 300) }, m(60, 'a', 200), r(600, 'a', 300), m(620, 'a', 300)], 640, "streaming [0 0 20] 0");
}

#[test]
#[rustfmt::skip] // one case, one line
fn conditions_reported_by_the_replica() {
    let known = || vec![m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100)];
    let with = |more: Vec<Step>| known().into_iter().chain(more).collect::<Vec<_>>();
    check("0 promoted beside a living master: diverged by what the old one wrote", with(vec![m(60, 'a', 180), promoted(80, 'a', 151), m(100, 'a', 180)]), 110, "diverged 30 unshared");
    check("0 promoted, and the old master is a replica: roles are swapped", with(vec![promoted(60, 'a', 101), demoted(80)]), 90, "unknown");
    check("0 promoted from a history that nobody knows: diverged, by nobody knows how much", with(vec![promoted(60, 'f', 101), m(80, 'a', 100)]), 90, "diverged");
    check("1 the old offset during a transfer is valid", with(vec![m(1000, 'a', 200), rx(1020, 'a', 100, TRANSFER), m(1040, 'a', 200)]), 1050, "full_sync [10 510 1010] 100");
    check("1 offset 1 while it loads: the old position ages on", with(vec![m(1000, 'a', 200), rx(1020, 'a', 100, TRANSFER), m(1040, 'a', 200), rx(9000, 'a', 1, LOADING_ON), m(9020, 'a', 200)]), 9030, "full_sync [7990 8505 8990] 100");
    check("1 hidden at once (6.2): it may have applied more until the link was lost", with(vec![m(9000, 'a', 200), rx(9020, 'a', 1, LOADING), m(9040, 'a', 200)]), 9050, "full_sync [0 5006 9010] 50");
    check("1 offset 1 and never a position", vec![m(0, 'a', 100), rx(20, 'e', 1, "master_link_status:down master_link_down_since_seconds:-1"), m(40, 'a', 100)], 50, "never_synced");
    check("1 offset 0 with the link up is an empty, synced pair", vec![m(0, 'a', 0), r(20, 'a', 0), m(40, 'a', 0)], 50, "streaming [0 0 10] 0");
    check("1 and so is offset 1", vec![m(0, 'a', 1), r(20, 'a', 1), m(40, 'a', 1)], 50, "streaming [0 0 10] 0");
    check("2 the current history: behind", vec![m(0, 'a', 100), m(1000, 'a', 200), rx(1020, 'a', 100, DOWN), m(1040, 'a', 200)], 1050, "link_down [10 520 1050] 100");
    check("3 the history before the promotion, shared part", vec![m(0, 'a', 100), cont(20, 'b', 100, 'a', 101), r(40, 'a', 100), cont(60, 'b', 100, 'a', 101)], 70, "streaming [0 0 10] 0");
    check("4 beyond the shared part: diverged, and no lag", vec![m(0, 'a', 100), cont(20, 'b', 90, 'a', 81), r(40, 'a', 100), cont(60, 'b', 90, 'a', 81)], 70, "diverged 20 unshared");
    check("5 a history that the master lost gives no age: the copy is all there is", vec![m(0, 'a', 100), m(1000, 'a', 200), m(2000, 'b', 14), rx(2020, 'a', 100, DOWN), m(2040, 'b', 14)], 2050, "link_down");
    check("5 the same with its link up: it has not noticed", vec![m(0, 'a', 100), m(1000, 'a', 200), m(2000, 'b', 14), r(2020, 'a', 100), m(2040, 'b', 14)], 2050, "unknown");
    check("5 the history before the two that are kept is foreign", vec![m(0, 'a', 9), m(100, 'b', 9), m(200, 'c', 9), m(300, 'd', 9), rx(400, 'a', 9, DOWN), m(500, 'd', 9)], 520, "link_down");
    check("6 a history that nobody named: no number", with(vec![r(60, 'f', 100), m(80, 'a', 100)]), 90, "wrong_master");
    check("6 the same with the link down is no wrong master", with(vec![rx(60, 'f', 100, DOWN), m(80, 'a', 100)]), 90, "link_down");
    check("another master_host is no wrong master: names differ behind NAT and in chains", with(vec![rx(60, 'a', 100, "master_link_status:up master_host:172.16.0.9 master_port:1"), m(80, 'a', 100)]), 90, "streaming [0 0 10] 0");
    check("it is ahead of a master that answered after it: not that history", with(vec![r(60, 'a', 300), m(80, 'a', 200)]), 90, "unknown");
    check("it stepped back: an older snapshot is no error", vec![m(0, 'a', 100), m(1000, 'a', 200), r(1020, 'a', 200), m(1040, 'a', 200), r(2000, 'a', 100), m(2020, 'a', 200)], 2030, "streaming [990 1520 2030] 100");
    check("a late answer that a later one overtook", with(vec![m(60, 'a', 200), r(80, 'a', 200), m(100, 'a', 200), Step { takes: 120, ..r(10, 'a', 100) }]), 140, "streaming [0 0 40] 0");
    check("it refuses every command but INFO (MASTERDOWN): its position is known all the same", with(vec![rx(60, 'a', 100, "master_link_status:down master_link_down_since_seconds:5"), m(80, 'a', 100)]), 90, "link_down [0 0 10] 0");
}

/// Its connection is tried every five seconds by then; its master knows better.
#[test]
fn a_replica_that_its_master_has_online_again_is_polled_at_once() {
    let synced = |state: &str, full: u64| {
        format!(
            "repl_backlog_active:1 sync_full:{full} slave0:ip=10.2.0.1,port=6379,state={state},offset=0,lag=0"
        )
    };
    for (line, expected) in [
        (synced("wait_bgsave", 1), false),
        (synced("online", 0), false),
        (synced("online", 1), true),
    ] {
        let known = &synced("online", 0);
        let steps = vec![
            mx(0, 'a', 500, known),
            r(20, 'a', 500),
            mx(40, 'a', 500, known),
            fails(REPLICA, 1000),
            fails(REPLICA, 2000),
            mx(2020, 'a', 600, &line),
        ];
        let actions = fed(steps).tick(at(2050));
        let boosts = actions.iter().filter_map(|action| match action {
            Action::BoostPolling {
                server, is_back, ..
            } => Some((server.to_string(), *is_back)),
            _ => None,
        });
        assert_eq!(
            boosts.collect::<Vec<_>>(),
            [(REPLICA.to_owned(), expected)],
            "{line}"
        );
    }
}

#[test]
#[rustfmt::skip] // one case, one line
fn stopped_servers_and_streams() {
    let frozen = |says: fn(Nanos) -> Step| {
        let master = |at: Nanos| m(at, 'a', 100 + 50 * u64::try_from(at / 1000).expect("small"));
        let rounds = (1..=4).flat_map(move |i| [master(i * 1000), says(i * 1000 + 20), master(i * 1000 + 40)]);
        [m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100)].into_iter().chain(rounds).collect::<Vec<_>>()
    };
    check("stalled: nothing arrives for 3 s while the master writes", frozen(|at| r(at, 'a', 100)), 4050, "stalled [3010 3525 4010] 200");
    check("a long transaction or script: only the applied offset stands still", frozen(|at| rx2(at, 100, 100 + u64::try_from(at / 100).expect("small"))), 4050, "streaming [3010 3525 4010] 200");
    check("the same over a link that is down", frozen(|at| rx(at, 'a', 100, DOWN)), 4050, "link_down [3010 3525 4010] 200");
    check("an idle pair stands still, too", vec![m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100), m(9000, 'a', 100), r(9020, 'a', 100), m(9040, 'a', 100)], 9050, "streaming [0 0 10] 0");
    check("it moves: not stalled, however far behind", vec![m(0, 'a', 100), r(20, 'a', 100), m(40, 'a', 100), m(5000, 'a', 900), r(5020, 'a', 110), m(5040, 'a', 900), r(6020, 'a', 120), m(6040, 'a', 900), r(7020, 'a', 130), m(7040, 'a', 900)], 7050, "streaming [2010 4520 7010] 770");
}

#[test]
#[rustfmt::skip] // one case, one line
fn silent_servers() {
    let known = |fields: &str| vec![mx(0, 'a', 500, fields), r(20, 'a', 500), mx(40, 'a', 500, fields), mx(1000, 'a', 600, fields), r(1020, 'a', 500), mx(1040, 'a', 600, fields)];
    let with = |fields: &str, more: Vec<Step>| known(fields).into_iter().chain(more).collect::<Vec<_>>();
    let no_line = "repl_backlog_active:1";
    check("a silent master: the lower bound only", with(no_line, vec![fails(MASTER, 2000), fails(MASTER, 3000)]), 3050, "master_unreachable [10 - -] -");
    check("one lost poll is no silence", with(no_line, vec![fails(MASTER, 2000)]), 2050, "streaming [10 63 2010] 100");
    check("caught up before the master fell silent is not caught up now", vec![m(0, 'a', 500), r(20, 'a', 500), m(40, 'a', 500), fails(MASTER, 1000), r(1020, 'a', 500), fails(MASTER, 2000), r(2020, 'a', 500)], 2050, "master_unreachable [0 - -] -");
    check("a silent replica, and nobody knows its line: no estimate", with(no_line, vec![fails(REPLICA, 2000), mx(2020, 'a', 600, no_line), fails(REPLICA, 3000), mx(3020, 'a', 600, no_line)]), 3050, "replica_unreachable [0 - 3010] - stale");
    check("the lines of two others are not its line", with(OTHERS_ACK, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 600, OTHERS_ACK)]), 3050, "replica_unreachable [0 - 3010] - stale");
    check("two replicas behind one address: neither line is its line", with(TWIN_ACKS, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 600, TWIN_ACKS)]), 3050, "replica_unreachable [0 - 3010] - stale");
    check("a port mapping: the only line of a one-replica master is its line", with(MAPPED_ACK, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 600, MAPPED_ACK)]), 3050, "replica_unreachable [0 0 30] 0 stale");
    check("its line says that it applied all: it is well, and only I cannot reach it", with(ACKED, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 600, ACKED)]), 3050, "replica_unreachable [0 0 30] 0 stale");
    check("its line says nothing yet (offset 0 is no evidence): the last answer ages, less a part of what it may have applied since", with(ZERO_ACK, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 600, ZERO_ACK)]), 3050, "replica_unreachable [0 1960 3010] 100 stale");
    check("it stopped: its ACKs age", with(ACKED, vec![fails(REPLICA, 2000), mx(2020, 'a', 700, ACKED), fails(REPLICA, 3000), mx(3020, 'a', 700, ACKED_AGO), fails(REPLICA, 4000), mx(4020, 'a', 700, ACKED_LONG_AGO)]), 4050, "replica_unreachable [0 2354 3010] 100 stale");
    check("it ACKs on: the lag is what it was at the ACK", with(ACKED, vec![fails(REPLICA, 2000), mx(2020, 'a', 700, ACKED), fails(REPLICA, 3000), mx(3020, 'a', 800, ACKED_MORE), fails(REPLICA, 4000), mx(4020, 'a', 900, ACKED_MORE_YET)]), 4050, "replica_unreachable [0 49 1030] 100 stale");
    check("the line vanishes: what was ACKed stays applied", with(ACKED, vec![fails(REPLICA, 2000), mx(2020, 'a', 700, ACKED), fails(REPLICA, 3000), mx(3020, 'a', 700, no_line)]), 3050, "replica_unreachable [0 1354 2010] 100 stale");
    check("it stood still before it fell silent: it did not go on", with(ZERO_ACK, vec![mx(2000, 'a', 650, ZERO_ACK), r(2020, 'a', 500), mx(2040, 'a', 650, ZERO_ACK), fails(REPLICA, 3000), fails(REPLICA, 4000), mx(4020, 'a', 700, ZERO_ACK)]), 4050, "replica_unreachable [0 3525 4010] 200 stale");
    check("another life: the master syncs it, so nothing bounds what it has; until then it serves nothing newer than before", with(ACKED, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 700, "repl_backlog_active:1 sync_full:1 slave0:ip=10.2.0.1,port=6379,state=wait_bgsave,offset=0,lag=0")]), 3050, "replica_unreachable [0 1960 -] 200 stale");
    check("another life: it is online and has not ACKed yet", with(&format!("{ACKED} sync_full:0"), vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 700, "repl_backlog_active:1 sync_full:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=0,lag=0")]), 3050, "replica_unreachable [0 1960 -] 200 stale");
    check("another life: its first ACK counts", with(ACKED, vec![fails(REPLICA, 2000), fails(REPLICA, 3000), mx(3020, 'a', 700, "repl_backlog_active:1 sync_full:1 slave0:ip=10.2.0.1,port=6379,state=online,offset=700,lag=0")]), 3050, "replica_unreachable [0 0 30] 0 stale");
    check("a late answer is evidence of [asked, answered], and no news of the moment at which it came", with(ACKED, vec![Step { takes: 4000, ..r(2020, 'a', 600) }, mx(6040, 'a', 700, ACKED)]), 6060, "streaming [0 0 5020] 100 stale");
    check("back after a silence: nothing new is known before the master was asked after it", with(ZERO_ACK, vec![fails(REPLICA, 2000), mx(2020, 'a', 700, ZERO_ACK), mx(7990, 'a', 800, ZERO_ACK), r(8000, 'a', 800)]), 8020, "streaming [0 6918 7980] 300 stale");
}
