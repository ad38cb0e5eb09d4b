//! More servers than two: a chain whose middle is lost, and a tree whose master changes. What the
//! leaf and the other replicas show then.

use redis_cross_dc_exporter::alert::{AlertChange, Transition};
use redis_cross_dc_exporter::config::Settings;
use redis_cross_dc_exporter::info::{self, Role};
use redis_cross_dc_exporter::model::{Bytes, PollError, ServerAddr, Span, Timestamp};
use redis_cross_dc_exporter::monitor::{
    Action, Failover, FailoverLoss, PollEvent, PollEventKind, Promotion,
};
use redis_cross_dc_exporter::replication::{
    Assessment, Diverged, LagBytes, LagInterval, PairState, StateReason,
};
use redis_cross_dc_exporter::topology::{ObservedMasters, Topology};

use crate::driver::anchor;
use crate::replies::replid;
use crate::settings::settings_of;
use crate::twins::Twins;
use crate::world::{MS, Nanos};

const TOP: &str = "10.1.0.1:6379";
const MIDDLE: &str = "10.2.0.1:6379";
const LEAF: &str = "10.3.0.1:6379";

/// A monitor whose wish to follow a failover is carried out at once, as the core does.
struct Fleet {
    monitor: Twins,
    settings: Settings,
    masters: ObservedMasters,
    changes: Vec<Transition>,
}

fn at(millis: Nanos) -> Timestamp {
    Timestamp::from_nanos(millis * MS)
}

/// A server that says that it is a master at `offset` of `id`, which it may have continued.
fn master(id: char, offset: u64, continues: Option<(char, u64)>) -> String {
    let before = continues.map_or_else(String::new, |(old, second)| {
        format!(
            "master_replid2:{}\r\nsecond_repl_offset:{second}\r\n",
            replid(old)
        )
    });
    format!(
        "redis_version:7.2.4\r\nrole:master\r\nmaster_replid:{}\r\nmaster_repl_offset:{offset}\r\n\
         repl_backlog_active:1\r\n{before}",
        replid(id)
    )
}

fn replica(id: char, offset: u64, link: &str) -> String {
    format!(
        "redis_version:7.2.4\r\nrole:slave\r\nmaster_link_status:{link}\r\nmaster_replid:{}\r\n\
         slave_repl_offset:{offset}\r\nslave_read_repl_offset:{offset}\r\n",
        replid(id)
    )
}

impl Fleet {
    fn of(pairs: &[(&str, &str, &[&str])]) -> Self {
        let owned = |(name, master, replicas): &(&str, &str, &[&str])| {
            (
                (*name).to_owned(),
                (*master).to_owned(),
                replicas.iter().map(|r| (*r).to_owned()).collect(),
            )
        };
        let settings = settings_of(&pairs.iter().map(owned).collect::<Vec<_>>());
        let monitor = Twins::new(
            &settings,
            &Topology::from_settings(&settings),
            anchor(at(0)),
        );
        Self {
            monitor,
            settings,
            masters: ObservedMasters::default(),
            changes: Vec::new(),
        }
    }

    /// Follows who took over, and evaluates at an instant.
    fn tick(&mut self, now: Nanos) {
        for Promotion { pair, to, .. } in self.monitor.promotions(at(now)) {
            self.masters.follow(&self.settings.pairs, [(&pair, &to)]);
            let topology = Topology::observed(
                &self.settings.pairs,
                &self.settings.datacenters,
                &self.masters,
            );
            self.monitor.retarget(&self.settings, &topology, at(now));
        }
        for action in self.monitor.tick(at(now)) {
            if let Action::AlertChanged(change) = action {
                self.changes.push(change);
            }
        }
    }

    /// A poll that takes 10 ms.
    fn says(&mut self, server: &str, when: Nanos, text: &str) -> &mut Self {
        let observation = Box::new(info::parse(text).expect("an INFO text"));
        let kind = PollEventKind::Answered {
            sent: at(when),
            received: at(when + 10),
            observation,
            late: Span::ZERO,
        };
        let event = PollEvent {
            server: ServerAddr::parse(server).expect("an address"),
            kind,
        };
        self.monitor.handle_poll(event, at(when + 10));
        self.tick(when + 11);
        self
    }

    /// A poll that is refused.
    fn fails(&mut self, server: &str, when: Nanos) -> &mut Self {
        let kind = PollEventKind::Failed {
            began: at(when),
            at: at(when + 1),
            error: PollError::Refused.into(),
            late: Span::ZERO,
        };
        let event = PollEvent {
            server: ServerAddr::parse(server).expect("an address"),
            kind,
        };
        self.monitor.handle_poll(event, at(when + 1));
        self.tick(when + 2);
        self
    }

    /// The pairs as `master>replica`, and the failovers so far.
    fn directions(&self, now: Nanos) -> String {
        let fleet = self.monitor.snapshot(anchor(at(now)));
        let host = |addr: &ServerAddr| letter_of(&addr.to_string());
        let pairs = fleet.pairs.iter().map(|pair| {
            format!(
                "{}>{}",
                host(&pair.meta.master),
                host(&pair.meta.key.replica)
            )
        });
        let failovers: u64 = fleet.failovers.iter().map(|entry| entry.total).sum();
        format!("{} {failovers}", pairs.collect::<Vec<_>>().join(","))
    }

    fn last_failover(&self, now: Nanos) -> Failover {
        let fleet = self.monitor.snapshot(anchor(at(now)));
        fleet
            .failovers
            .iter()
            .find_map(|entry| entry.last.clone())
            .expect("a failover")
    }

    fn applied(&self, of: &str, now: Nanos) -> Option<u64> {
        let of = ServerAddr::parse(of).expect("an address");
        let fleet = self.monitor.snapshot(anchor(at(now)));
        fleet
            .pairs
            .iter()
            .find(|pair| pair.meta.key.replica == of)
            .expect("a pair")
            .facts
            .applied_total
    }

    /// The alerts that fired, or resolved, as `rule change`.
    fn told(&self) -> Vec<String> {
        let shown = |change: &Transition| {
            let key = change.alert.identity.rule.label();
            match change.change {
                AlertChange::Fired { severity } => format!("{key} {}", severity.label()),
                AlertChange::Resolved { reason } => format!("{key} over: {}", reason.label()),
                AlertChange::Escalated => format!("{key} escalated"),
                AlertChange::Deescalated => format!("{key} deescalated"),
                AlertChange::Flapping => format!("{key} flapping"),
                AlertChange::Settled => format!("{key} settled"),
            }
        };
        self.changes.iter().map(shown).collect()
    }

    /// The pair whose replica this is, at an instant.
    fn pair(&self, of: &str, now: Nanos) -> Assessment {
        let of = ServerAddr::parse(of).expect("an address");
        let fleet = self.monitor.snapshot(anchor(at(now)));
        fleet
            .pairs
            .iter()
            .find(|pair| pair.meta.key.replica == of)
            .expect("a pair")
            .assess(at(now))
    }
}

/// The leaf's own link is up and well all the time.
#[test]
fn a_leaf_lags_behind_the_top_and_names_the_losing_datacenter() {
    let mut fleet = Fleet::of(&[("upper", TOP, &[MIDDLE]), ("lower", MIDDLE, &[LEAF])]);
    let mut round = |second: i64, written: u64, applied: u64, link: &str| {
        let now = second * 1000;
        fleet.says(TOP, now, &master('a', written, None)).says(
            MIDDLE,
            now + 20,
            &replica('a', applied, link),
        );
        fleet
            .says(LEAF, now + 20, &replica('a', applied, "up"))
            .says(TOP, now + 40, &master('a', written, None));
        (fleet.pair(MIDDLE, now + 60), fleet.pair(LEAF, now + 60))
    };
    let (middle, leaf) = round(1, 1000, 1000, "up");
    assert_eq!(
        (middle.state, leaf.state),
        (PairState::Streaming, PairState::Streaming)
    );
    for second in 2..10 {
        let (middle, leaf) = round(
            second,
            1000 * u64::try_from(second).expect("small"),
            1000,
            "down",
        );
        assert_eq!(
            (middle.state, leaf.state),
            (PairState::LinkDown, PairState::Stalled)
        );
        assert!(
            matches!(leaf.reason, StateReason::ParentCutOff { .. }),
            "{}",
            leaf.reason
        );
        let since = Span::from_millis(second * 1000 - 2000);
        assert!(
            leaf.lag.lower >= Some(since) && leaf.lag.estimate == middle.lag.estimate,
            "{:?}",
            leaf.lag
        );
    }
    let (_, leaf) = round(10, 10_000, 10_000, "up");
    assert_eq!(
        (leaf.state, leaf.lag.estimate),
        (PairState::Streaming, Some(Span::ZERO))
    );
}

fn letter_of(addr: &str) -> char {
    match addr {
        TOP => 'T',
        MIDDLE => 'M',
        LEAF => 'L',
        _ => '?',
    }
}

/// A tree of one master with two replicas that stream, for four seconds; each writes and applies a
/// thousand bytes a second.
fn streaming() -> Fleet {
    let mut fleet = Fleet::of(&[("orders", TOP, &[MIDDLE, LEAF])]);
    for second in 1..5 {
        let (now, bytes) = (second * 1000, written(second));
        fleet.says(TOP, now, &master('a', bytes, None)).says(
            MIDDLE,
            now + 20,
            &replica('a', bytes, "up"),
        );
        fleet.says(LEAF, now + 20, &replica('a', bytes, "up")).says(
            TOP,
            now + 40,
            &master('a', bytes, None),
        );
    }
    assert_eq!(fleet.directions(4_100), "T>M,T>L 0");
    fleet
}

fn written(second: Nanos) -> u64 {
    1000 * u64::try_from(second).expect("small")
}

/// A history belongs to a tree: the configured master hands over, and the other replica follows.
#[test]
fn after_a_failover_the_others_are_measured_against_the_new_master() {
    let (heir, other) = (MIDDLE, LEAF);
    let mut fleet = streaming();
    let before = fleet.applied(other, 4_100);
    // The others are polled beside each other, and the old master before and after them.
    let mut last = None;
    for second in 5..12 {
        let (now, bytes) = (second * 1000, written(second));
        let applied = if second < 9 { bytes } else { 8000 };
        fleet.says(TOP, now, &replica('b', bytes, "up")).says(
            other,
            now + 15,
            &replica('b', applied, "up"),
        );
        fleet.says(heir, now + 20, &master('b', bytes, Some(('a', 4001))));
        fleet.says(TOP, now + 40, &replica('b', bytes, "up"));
        assert_eq!(fleet.directions(now + 60), "M>T,M>L 1", "{second}");
        let seen = fleet.pair(other, now + 60);
        if second > 5 {
            assert!(seen.lag.estimate.is_some(), "{second}: {seen:?}");
        }
        last = Some(seen);
    }
    let seen = last.expect("it was looked at");
    assert!(
        seen.lag.lower >= Some(Span::from_millis(900)),
        "it stands at 8000 since the ninth second: {:?}",
        seen.lag
    );
    assert_eq!(
        fleet.applied(other, 11_060),
        before.map(|before| before + 4000),
        "the count goes on"
    );
    // And back again.
    for second in 12..15 {
        let (now, bytes) = (second * 1000, written(second));
        let back = master('c', bytes, Some(('b', 11_001)));
        fleet
            .says(TOP, now, &back)
            .says(heir, now + 20, &replica('c', bytes, "up"));
        fleet
            .says(other, now + 20, &replica('c', bytes, "up"))
            .says(TOP, now + 40, &back);
    }
    assert_eq!(fleet.directions(14_060), "T>M,T>L 2");
    assert_eq!(
        (
            fleet.pair(other, 14_060).state,
            fleet.pair(heir, 14_060).state
        ),
        (PairState::Streaming, PairState::Streaming)
    );
    assert_eq!(
        fleet.applied(heir, 14_060),
        Some(3000 + 1000),
        "3000 before it was a master, 1000 between two answers after"
    );
}

/// The old master is dead, and what it had beyond what the new one has becomes known only when it
/// is back.
#[test]
fn after_a_promotion_the_loss_is_measured_when_the_dead_master_returns() {
    let mut fleet = streaming();
    fleet.says(TOP, 4_500, &master('a', 4_700, None));
    fleet.fails(TOP, 5_000).fails(TOP, 6_000);
    fleet.says(MIDDLE, 6_020, &replica('a', 4_600, "down"));
    assert_eq!(fleet.directions(6_100), "T>M,T>L 0", "nobody took over");
    fleet.says(MIDDLE, 7_020, &master('b', 4_650, Some(('a', 4_601))));
    assert_eq!(fleet.directions(7_100), "M>T,M>L 1");
    fleet
        .says(MIDDLE, 8_020, &master('b', 4_650, Some(('a', 4_601))))
        .says(LEAF, 8_030, &replica('b', 4_650, "up"));
    let known = fleet.last_failover(8_100);
    assert_eq!(
        (known.loss, known.promotion.to.to_string().as_str()),
        (FailoverLoss::AtLeast(Bytes::new(100)), MIDDLE)
    );
    assert!(known.last_known.is_some());
    // It claims to be a master, as Sentinel's old master does for some time.
    fleet.says(TOP, 9_000, &master('a', 4_900, None));
    let seen = fleet.pair(TOP, 9_100);
    assert_eq!(seen.state, PairState::Diverged);
    let split = seen.diverged.expect("both histories are known");
    assert_eq!(
        (split.older(), split.master(), split.replica()),
        (Bytes::new(300), Some(Bytes::new(50)), Bytes::new(300))
    );
    assert_eq!(
        fleet.last_failover(9_100).loss,
        FailoverLoss::Exactly(Bytes::new(300))
    );
    // It follows, by a full sync, and what it had alone is gone.
    fleet.says(TOP, 10_000, &replica('b', 4_650, "up")).says(
        MIDDLE,
        10_020,
        &master('b', 4_650, Some(('a', 4_601))),
    );
    fleet.tick(10_200);
    assert_eq!(fleet.pair(TOP, 10_200).state, PairState::Streaming);
    assert_eq!(
        fleet.last_failover(10_200).loss,
        FailoverLoss::Exactly(Bytes::new(300))
    );
    assert_eq!(
        fleet.told(),
        [
            "failover warning",
            "diverged warning",
            "diverged over: cleared"
        ],
        "the story is told once, and nobody is paged"
    );
}

#[test]
fn an_old_master_that_resyncs_partially_had_no_unreplicated_writes() {
    let mut fleet = streaming();
    let follows = |bytes| {
        replica('b', bytes, "up")
            + &format!(
                "master_replid2:{}\r\nsecond_repl_offset:4001\r\n",
                replid('a')
            )
    };
    fleet.says(TOP, 5_000, &replica('a', 4_000, "down")).says(
        MIDDLE,
        5_020,
        &master('b', 4_000, Some(('a', 4001))),
    );
    assert_eq!(
        fleet.directions(5_100),
        "M>T,M>L 1",
        "it gave way, though it follows nobody yet"
    );
    fleet.says(TOP, 6_000, &follows(4_000));
    assert_eq!(
        fleet.last_failover(6_100).loss,
        FailoverLoss::Exactly(Bytes::ZERO)
    );
}

/// Who is right between two living masters nobody can say; who gives way decides.
#[test]
fn two_masters_are_no_failover_until_one_is_demoted() {
    let both = |gives_way: &str| {
        let mut fleet = streaming();
        for second in 5..40 {
            let (now, bytes) = (second * 1000, written(second));
            fleet.says(TOP, now, &master('a', bytes, None));
            fleet
                .says(
                    MIDDLE,
                    now + 20,
                    &master('b', bytes - 500, Some(('a', 4001))),
                )
                .says(TOP, now + 40, &master('a', bytes, None));
        }
        assert_eq!(fleet.directions(39_100), "T>M,T>L 0");
        let seen = fleet.pair(MIDDLE, 39_100);
        assert!(
            matches!(seen.reason, StateReason::TwoMasters { split: Some(_) }),
            "{:?}",
            seen.reason
        );
        assert_eq!(
            seen.diverged.map(Diverged::replica),
            Some(Bytes::new(38_500 - 4000))
        );
        assert_eq!(fleet.told(), ["diverged warning", "diverged escalated"]);
        let (id, end) = if gives_way == TOP {
            ('b', 38_500)
        } else {
            ('a', 39_000)
        };
        fleet.says(gives_way, 40_000, &replica(id, end, "up"));
        if gives_way == TOP {
            fleet.says(MIDDLE, 40_020, &master('b', end, Some(('a', 4001))));
        } else {
            fleet.says(TOP, 40_020, &master('a', end, None));
        }
        fleet.tick(40_200);
        (fleet.directions(40_300), fleet.told()[2..].to_vec())
    };
    assert_eq!(
        both(TOP),
        (
            "M>T,M>L 1".to_owned(),
            vec![
                "diverged over: failover".to_owned(),
                "failover warning".to_owned()
            ]
        )
    );
    assert_eq!(
        both(MIDDLE),
        (
            "T>M,T>L 0".to_owned(),
            vec!["diverged over: cleared".to_owned()]
        )
    );
}

/// It may have been so for months: only who is the master is learned.
#[test]
fn a_direction_that_is_wrong_from_the_start_is_no_failover() {
    let mut fleet = Fleet::of(&[("orders", TOP, &[MIDDLE])]);
    fleet.says(TOP, 0, &replica('b', 100, "up")).says(
        MIDDLE,
        20,
        &master('b', 100, Some(('a', 51))),
    );
    assert_eq!(fleet.directions(100), "M>T 0");
    fleet
        .says(MIDDLE, 1_000, &master('b', 100, Some(('a', 51))))
        .says(TOP, 1_020, &replica('b', 100, "up"));
    fleet.says(MIDDLE, 1_040, &master('b', 100, Some(('a', 51))));
    assert_eq!(fleet.pair(TOP, 1_100).state, PairState::Streaming);
    assert_eq!(fleet.told(), [] as [&str; 0]);
}

/// It may be alive, with replicas of its own; and of two that took over nobody knows who is right.
#[test]
fn a_silent_master_is_replaced_only_by_a_server_promoted_from_its_history() {
    let mut stranger = streaming();
    stranger.fails(TOP, 5_000).fails(TOP, 6_000).says(
        MIDDLE,
        6_020,
        &master('x', 10, Some(('y', 5))),
    );
    assert_eq!(stranger.directions(6_100), "T>M,T>L 0");
    assert_eq!(
        stranger.pair(MIDDLE, 6_100).state,
        PairState::MasterUnreachable
    );
    let mut two = streaming();
    two.fails(TOP, 5_000).fails(TOP, 6_000);
    two.says(MIDDLE, 6_001, &master('b', 4_000, Some(('a', 4001))));
    assert_eq!(two.directions(6_100), "M>T,M>L 1", "the first that is seen");
    let mut beside = streaming();
    beside
        .says(MIDDLE, 4_900, &master('b', 4_000, Some(('a', 4001))))
        .says(LEAF, 4_920, &master('c', 4_000, Some(('a', 4001))));
    beside.fails(TOP, 5_000).fails(TOP, 6_000);
    assert_eq!(beside.directions(6_100), "T>M,T>L 0");
}

/// The leaf of a chain was split off: the servers above it stream on.
#[test]
fn a_promoted_leaf_does_not_reverse_the_chain_above_it() {
    let mut fleet = Fleet::of(&[("upper", TOP, &[MIDDLE]), ("lower", MIDDLE, &[LEAF])]);
    for second in 1..4 {
        let (now, bytes) = (second * 1000, written(second));
        fleet.says(TOP, now, &master('a', bytes, None)).says(
            MIDDLE,
            now + 20,
            &replica('a', bytes, "up"),
        );
        fleet.says(LEAF, now + 20, &replica('a', bytes, "up")).says(
            TOP,
            now + 40,
            &master('a', bytes, None),
        );
    }
    fleet
        .says(LEAF, 4_000, &master('b', 3_000, Some(('a', 3001))))
        .says(TOP, 4_040, &master('a', 4_000, None));
    assert_eq!(fleet.directions(4_100), "T>M,M>L 0");
    assert_eq!(
        (
            fleet.pair(LEAF, 4_100).state,
            fleet.pair(MIDDLE, 4_100).state
        ),
        (PairState::Diverged, PairState::Streaming)
    );
    // The middle takes over: the top follows it, and the leaf's entry stays as it is.
    fleet.says(TOP, 5_000, &replica('c', 4_000, "up")).says(
        MIDDLE,
        5_020,
        &master('c', 4_000, Some(('a', 4001))),
    );
    assert_eq!(fleet.directions(5_100), "M>T,M>L 1");
}

/// The answer of this process, which has run for so many seconds.
fn by(process: char, uptime: i64, text: &str) -> String {
    format!(
        "run_id:{}\r\nuptime_in_seconds:{uptime}\r\n{text}",
        replid(process)
    )
}

/// A proxy or a load balancer at both addresses hands each poll to the other one of two servers.
#[test]
fn servers_that_take_turns_at_both_addresses_are_no_failover_and_not_two_masters() {
    for phase in 0..2 {
        let mut fleet = Fleet::of(&[("orders", TOP, &[LEAF])]);
        for second in 0..30_i64 {
            let now = second * 1000;
            let offset = 1000 + 10 * second.unsigned_abs();
            let both = [
                by('1', 900, &master('a', offset, None)),
                by('2', 900, &replica('a', offset, "up")),
            ];
            let first = usize::from(second % 2 == 1);
            let second = if phase == 0 { 1 - first } else { first };
            fleet
                .says(TOP, now, &both[first])
                .says(LEAF, now + 20, &both[second])
                .says(TOP, now + 40, &both[1 - first]);
            assert_eq!(fleet.directions(now + 60), "T>L 0", "phase {phase}");
        }
        let pair = fleet.pair(LEAF, 29_100);
        let who = Role::Master;
        let expected = StateReason::SeveralServers { who };
        assert_eq!((pair.state, pair.reason), (PairState::Unknown, expected));
        assert_eq!(
            (pair.lag, pair.bytes),
            (LagInterval::UNKNOWN, LagBytes::UNKNOWN)
        );
        let told = fleet.told();
        assert!(
            !told
                .iter()
                .any(|news| news.contains("diverged") || news.contains("failover")),
            "phase {phase}: {told:?}"
        );
    }
}

/// Once the two addresses have changed places for good, the pair is turned.
#[test]
fn addresses_that_changed_places_for_good_are_followed() {
    let mut fleet = Fleet::of(&[("orders", TOP, &[LEAF])]);
    for second in 0..30_i64 {
        let now = second * 1000;
        let offset = 1000 + 10 * second.unsigned_abs();
        let of_master = by('1', 900 + second, &master('a', offset, None));
        let of_replica = by('2', 900 + second, &replica('a', offset, "up"));
        let (at_top, at_leaf) = if second < 5 {
            (&of_master, &of_replica)
        } else {
            (&of_replica, &of_master)
        };
        fleet
            .says(TOP, now, at_top)
            .says(LEAF, now + 20, at_leaf)
            .says(TOP, now + 40, at_top)
            .says(LEAF, now + 60, at_leaf);
        let settled = second > 15;
        let expected = if settled { "L>T 1" } else { "T>L 0" };
        if !(14..=16).contains(&second) {
            assert_eq!(fleet.directions(now + 80), expected, "{second}");
        }
    }
    let pair = fleet.pair(TOP, 29_100);
    assert_eq!(pair.state, PairState::Streaming);
}

/// A reader endpoint without a replica behind it leads to the master.
#[test]
fn one_server_at_both_addresses_is_not_two_masters() {
    let mut fleet = Fleet::of(&[("orders", TOP, &[LEAF])]);
    for second in 0..10 {
        let now = second * 1000;
        let says = by('1', 900, &master('a', 1000, None));
        fleet.says(TOP, now, &says).says(LEAF, now + 20, &says);
    }
    let pair = fleet.pair(LEAF, 9_100);
    assert_eq!(
        (pair.state, pair.reason),
        (PairState::Unknown, StateReason::OneServer)
    );
    assert_eq!(fleet.directions(9_200), "T>L 0");
    let told = fleet.told();
    assert!(
        !told.iter().any(|news| news.contains("diverged")),
        "{told:?}"
    );
}
