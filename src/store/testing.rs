//! Samples of everything that is kept, for unit tests.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::clock_mapping::{BootClock, ClockMappings};
use super::save_planner::Batch;
use crate::model::{
    BootId, Bytes, ClockAnchor, PairKey, PairName, ReplicationId, ReplicationOffset, ServerAddr,
    Span, Timestamp, WallTime,
};
use crate::replication::{
    Bracket, EpochRecord, HistoryRecord, LagBytes, LagInterval, LastKnown, LinkLossRecord,
    LocatedRecord, PairRecord, Plateau,
};

pub(super) fn at(secs: i64) -> Timestamp {
    Timestamp::from_nanos(secs * 1_000_000_000)
}

pub(super) fn id(letter: char) -> ReplicationId {
    ReplicationId::parse(&letter.to_string().repeat(40)).expect("a hexadecimal letter")
}

pub(super) fn addr() -> ServerAddr {
    ServerAddr::new("master.example.com", 6379)
}

/// The clock of boot 1, so many seconds after the tests' zero; the wall clock goes along.
pub(super) fn clock(secs: i64) -> BootClock {
    clock_of(1, secs, secs)
}

/// The clock of a boot whose two clocks stand there.
pub(super) fn clock_of(boot: u128, mono: i64, wall: i64) -> BootClock {
    let wall = WallTime::from_nanos((1_700_000_000 + wall) * 1_000_000_000);
    BootClock {
        boot: Some(BootId::from_bits(boot)),
        anchor: ClockAnchor {
            mono: at(mono),
            wall,
        },
    }
}

/// `BootClock` 0 is the present one, at the tests' zero.
pub(super) fn mappings() -> ClockMappings {
    ClockMappings::new(&BTreeMap::from([(0, clock(0))]), &clock(0))
}

pub(super) fn pair_key() -> PairKey {
    PairKey::new(
        PairName::new("orders"),
        ServerAddr::new("replica.example.com", 6379),
    )
}

pub(super) fn pair_record() -> PairRecord {
    let offset = ReplicationOffset::new;
    let located = LocatedRecord {
        replid: id('a'),
        applied: offset(100),
        at_most: Some(offset(120)),
        read: offset(110),
        shown: at(-30),
        lost: Some(LinkLossRecord {
            after: at(-30),
            before: at(-28),
            lag: Span::from_millis(40),
        }),
        sent: at(-20),
        received: at(-19),
        half_rtt: Span::from_nanos(40_000_123),
        generation: 3,
        bracket: Bracket {
            lo: Some(at(-50)),
            hi: Some(at(-45)),
        },
        at_sample: LagInterval {
            lower: Some(Span::ZERO),
            estimate: None,
            upper: Some(Span::from_secs(30)),
        },
        bytes: LagBytes {
            lower: None,
            estimate: Some(Bytes::new(7)),
            upper: Some(Bytes::new(9)),
        },
        same_applied: 4,
        same_received: 1,
    };
    PairRecord {
        located: Some(located),
        last_known: Some(LastKnown {
            upper: Span::from_secs(30),
            upper_bytes: Some(Bytes::new(9)),
            at: at(-19),
        }),
        applied_total: Some(1 << 40),
        counted_to: Some((id('a'), offset(100))),
        resynced: true,
        usual: Some((Span::from_millis(40), Span::from_millis(3))),
        silent_since: Some(at(-10)),
        ack_seen: true,
        synced_since: false,
        syncs: [Some(2), None],
    }
}

/// The first commit, of one pair.
pub(super) fn saved_pair() -> Batch {
    Batch {
        commit: 1,
        anchor: clock(0).anchor,
        snapshots: Vec::new(),
        deltas: Vec::new(),
        drop_deltas_to: 0,
        forgotten: Vec::new(),
        pairs: vec![(pair_key(), pair_record())],
        servers: Vec::new(),
    }
}

fn epoch(letter: char, plateaus: Vec<Plateau>) -> EpochRecord {
    EpochRecord {
        replid: id(letter),
        continues: Some((id('f'), ReplicationOffset::new(70))),
        plateaus,
    }
}

/// A busy master, polled twice a second for ten minutes.
pub(super) fn history_record() -> HistoryRecord {
    let plateau = |n: i64| Plateau {
        offset: ReplicationOffset::new(
            5_000_000_000 + u64::try_from(n).expect("not negative") * 812_345,
        ),
        first_seen: Timestamp::from_nanos((n - 1_200) * 500_000_000 + 80_000 - 80_000 * (n % 2)),
        last_sent: Timestamp::from_nanos((n - 1_200) * 500_000_000 - 1_200_000),
    };
    let current = Some(epoch('a', (0..1_200).map(plateau).collect()));
    HistoryRecord {
        generation: 5,
        current,
        closed: Vec::new(),
    }
}

prop_compose! {
    /// Tables of any shape, in whole microseconds before the tests' zero.
    fn plateaus()(
        steps in proptest::collection::vec((any::<u32>(), 1_i64..100_000_000, 0_i64..100_000_000), 0..50)
    ) -> Vec<Plateau> {
        let micros = |m: i64| Timestamp::from_nanos(m * 1_000);
        let (mut offset, mut time) = (0_u64, -10_000_000_000_i64);
        steps.into_iter().map(|(bytes, gap, idle)| {
            offset += 1 + u64::from(bytes);
            time += gap;
            let plateau = Plateau { offset: ReplicationOffset::new(offset), first_seen: micros(time), last_sent: micros(time + idle) };
            time += idle;
            plateau
        }).collect()
    }
}

prop_compose! {
    /// Everything that may be known of a master.
    pub(super) fn history_strategy()(
        generation in any::<u64>(),
        current in proptest::option::of(plateaus()),
        closed in proptest::collection::vec(plateaus(), 0..3),
        plain in any::<bool>(),
    ) -> HistoryRecord {
        let current = current.map(|plateaus| epoch('a', plateaus)).map(|mut current| {
            current.continues = current.continues.filter(|_| plain);
            current
        });
        HistoryRecord { generation, current, closed: closed.into_iter().map(|plateaus| epoch('b', plateaus)).collect() }
    }
}
