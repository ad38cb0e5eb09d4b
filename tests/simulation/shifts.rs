//! Where the clock began and at which offset the history began changes no answer.

use fastrand::Rng;
use redis_cross_dc_exporter::model::{Bytes, Span};
use redis_cross_dc_exporter::replication::PairState;

use crate::driver::{Conditions, Driver};
use crate::loads::Load;
use crate::seeds::for_seeds;
use crate::world::{MS, Nanos, Outage, OutageKind, SEC, World};

const END: Nanos = 60 * SEC;

/// What a look says that does not name an instant or an offset.
type Said = (
    Nanos,
    PairState,
    [Option<Span>; 3],
    [Option<Bytes>; 3],
    Option<Span>,
    Option<Bytes>,
    Option<u64>,
);

fn run(seed: u64, origin: Nanos, base: u64) -> Vec<Said> {
    let mut rng = Rng::with_seed(seed);
    let load = Load::ALL[rng.usize(0..Load::ALL.len())];
    let kinds = [
        OutageKind::Cut,
        OutageKind::Stall,
        OutageKind::FullSync { hides_offset: true },
        OutageKind::ReplicaStopped,
    ];
    let outage = Outage::new(20 * SEC, 40 * SEC, kinds[rng.usize(0..kinds.len())]);
    let world = World::new(
        &mut rng,
        load,
        END,
        base,
        World::shape(30 * MS),
        vec![outage],
    );
    let conditions = Conditions {
        origin,
        loss: 0.02,
        slow: 0.05,
        jitter: 10 * MS,
        ..Conditions::CALM
    };
    let mut said = Vec::new();
    Driver::new(world, conditions, seed).run(END, |look| {
        let (lag, bytes) = (look.seen.lag, look.seen.bytes);
        said.push((
            look.now,
            look.seen.state,
            [lag.lower, lag.estimate, lag.upper],
            [bytes.lower, bytes.estimate, bytes.upper],
            look.seen.link_down_for,
            look.seen.backlog_headroom,
            look.pair.facts.applied_total,
        ));
    });
    said
}

#[test]
fn i10_the_origins_of_clocks_and_offsets_do_not_matter() {
    for_seeds(
        "i10_the_origins_of_clocks_and_offsets_do_not_matter",
        12,
        |seed| {
            let said = run(seed, 0, 1_000);
            assert!(said.len() > 100);
            let later = run(seed, 1_000_000 * SEC + 123_456_789, 1_000);
            assert_eq!(
                first_difference(&said, &later),
                None,
                "the clock's origin changes what is said"
            );
            let further = run(seed, 0, 3_000_000_000_000);
            assert_eq!(
                first_difference(&said, &further),
                None,
                "the offset's origin changes what is said"
            );
        },
    );
}

fn first_difference<'a>(a: &'a [Said], b: &'a [Said]) -> Option<(&'a Said, &'a Said)> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).find(|(a, b)| a != b)
}
