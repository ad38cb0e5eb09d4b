//! More servers than two: a chain whose middle is lost, and a tree whose master changes. What the leaf and the other
//! replicas show then.

use redis_cross_dc_exporter::info;
use redis_cross_dc_exporter::model::{ServerAddr, Span, Timestamp};
use redis_cross_dc_exporter::monitor::{Monitor, PollEvent, PollEventKind};
use redis_cross_dc_exporter::replication::{Assessment, PairState, StateReason};
use redis_cross_dc_exporter::topology::Topology;

use crate::driver::anchor;
use crate::replies::replid;
use crate::settings::settings_of;
use crate::world::{MS, Nanos};

const TOP: &str = "10.1.0.1:6379";
const MIDDLE: &str = "10.2.0.1:6379";
const LEAF: &str = "10.3.0.1:6379";

struct Fleet(Monitor);

fn at(millis: Nanos) -> Timestamp {
    Timestamp::from_nanos(millis * MS)
}

/// A server that says that it is a master at `offset` of `id`, which it may have continued.
fn master(id: char, offset: u64, continues: Option<(char, u64)>) -> String {
    let before = continues.map_or_else(String::new, |(old, second)| {
        format!("master_replid2:{}\r\nsecond_repl_offset:{second}\r\n", replid(old))
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
            ((*name).to_owned(), (*master).to_owned(), replicas.iter().map(|r| (*r).to_owned()).collect())
        };
        let settings = settings_of(&pairs.iter().map(owned).collect::<Vec<_>>());
        Self(Monitor::new(&settings, &Topology::from_settings(&settings), anchor(at(0))))
    }

    /// A poll that takes 10 ms.
    fn says(&mut self, server: &str, when: Nanos, text: &str) -> &mut Self {
        let observation = Box::new(info::parse(text).expect("an INFO text"));
        let kind = PollEventKind::Answered { sent: at(when), received: at(when + 10), observation, late: Span::ZERO };
        self.0.handle_poll(PollEvent { server: ServerAddr::parse(server).expect("an address"), kind });
        self
    }

    /// The pair whose replica this is, at an instant.
    fn pair(&self, of: &str, now: Nanos) -> Assessment {
        let of = ServerAddr::parse(of).expect("an address");
        let fleet = self.0.snapshot(anchor(at(now)));
        fleet.pairs.iter().find(|pair| pair.meta.key.replica == of).expect("a pair").assess(at(now))
    }
}

/// The leaf's own link is up and well all the time.
#[test]
fn a_leaf_lags_behind_the_top_and_says_whose_loss_it_is() {
    let mut fleet = Fleet::of(&[("upper", TOP, &[MIDDLE]), ("lower", MIDDLE, &[LEAF])]);
    let mut round = |second: i64, written: u64, applied: u64, link: &str| {
        let now = second * 1000;
        fleet.says(TOP, now, &master('a', written, None)).says(MIDDLE, now + 20, &replica('a', applied, link));
        fleet.says(LEAF, now + 20, &replica('a', applied, "up")).says(TOP, now + 40, &master('a', written, None));
        (fleet.pair(MIDDLE, now + 60), fleet.pair(LEAF, now + 60))
    };
    let (middle, leaf) = round(1, 1000, 1000, "up");
    assert_eq!((middle.state, leaf.state), (PairState::Streaming, PairState::Streaming));
    for second in 2..10 {
        let (middle, leaf) = round(second, 1000 * u64::try_from(second).expect("small"), 1000, "down");
        assert_eq!((middle.state, leaf.state), (PairState::LinkDown, PairState::Stalled));
        assert!(matches!(leaf.reason, StateReason::ParentCutOff { .. }), "{}", leaf.reason);
        let since = Span::from_millis(second * 1000 - 2000);
        assert!(leaf.lag.lower >= Some(since) && leaf.lag.estimate == middle.lag.estimate, "{:?}", leaf.lag);
    }
    let (_, leaf) = round(10, 10_000, 10_000, "up");
    assert_eq!((leaf.state, leaf.lag.estimate), (PairState::Streaming, Some(Span::ZERO)));
}

/// A history belongs to a tree: the configured master hands over, and the other replica follows the heir.
#[test]
fn after_a_failover_the_others_are_measured_against_the_heir() {
    let (heir, other) = (MIDDLE, LEAF);
    let mut fleet = Fleet::of(&[("orders", TOP, &[heir, other])]);
    for second in 1..5 {
        let (now, bytes) = (second * 1000, 1000 * u64::try_from(second).expect("small"));
        fleet.says(TOP, now, &master('a', bytes, None)).says(heir, now + 20, &replica('a', bytes, "up"));
        fleet.says(other, now + 20, &replica('a', bytes, "up")).says(TOP, now + 40, &master('a', bytes, None));
    }
    // The others are polled beside each other, and the old master before and after them.
    let mut last = None;
    for second in 5..12 {
        let (now, bytes) = (second * 1000, 1000 * u64::try_from(second).expect("small"));
        let applied = if second < 9 { bytes } else { 8000 };
        fleet.says(TOP, now, &replica('b', bytes, "up")).says(other, now + 15, &replica('b', applied, "up"));
        fleet.says(heir, now + 20, &master('b', bytes, Some(('a', 4001)))).says(
            TOP,
            now + 40,
            &replica('b', bytes, "up"),
        );
        let seen = fleet.pair(other, now + 60);
        if second > 6 {
            assert!(seen.lag.estimate.is_some(), "{second}: {seen:?}");
        }
        assert_eq!(fleet.pair(heir, now + 60).reason, StateReason::RolesSwapped);
        last = Some(seen);
    }
    let seen = last.expect("it was looked at");
    assert!(seen.lag.lower >= Some(Span::from_millis(900)), "it stands at 8000 since the ninth second: {:?}", seen.lag);
    // And back again.
    for second in 12..15 {
        let (now, bytes) = (second * 1000, 1000 * u64::try_from(second).expect("small"));
        let back = master('c', bytes, Some(('b', 11_001)));
        fleet.says(TOP, now, &back).says(heir, now + 20, &replica('c', bytes, "up"));
        fleet.says(other, now + 20, &replica('c', bytes, "up")).says(TOP, now + 40, &back);
    }
    assert_eq!(
        (fleet.pair(other, 14_060).state, fleet.pair(heir, 14_060).state),
        (PairState::Streaming, PairState::Streaming)
    );
}

/// Nobody knows who is right, then: it may be alive, with replicas of its own.
#[test]
fn a_master_that_does_not_answer_has_no_heir() {
    let (heir, other) = (MIDDLE, LEAF);
    let mut fleet = Fleet::of(&[("orders", TOP, &[heir, other])]);
    fleet.says(TOP, 0, &master('a', 100, None)).says(other, 20, &replica('a', 100, "up"));
    fleet.says(TOP, 40, &master('a', 100, None));
    for second in 1..8 {
        let now = second * 1000;
        fleet.says(heir, now, &master('b', 200, Some(('a', 101)))).says(other, now + 20, &replica('b', 200, "up"));
    }
    let seen = fleet.pair(other, 7_060);
    assert_eq!((seen.state, seen.lag.estimate), (PairState::MasterUnreachable, None));
}
