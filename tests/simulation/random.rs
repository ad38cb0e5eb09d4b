//! Random worlds under random conditions: what is certified holds, always.

use fastrand::Rng;

use crate::driver::{Conditions, Driver};
use crate::loads::Load;
use crate::oracle;
use crate::seeds::for_seeds;
use crate::world::{MS, Nanos, Outage, OutageKind, SEC, Server, World};

pub(crate) const DURATION: Nanos = 100 * SEC;

/// Outages one after the other, with time between them.
fn outages(rng: &mut Rng) -> Vec<Outage> {
    let mut all = Vec::new();
    let mut from = rng.i64(5 * SEC..20 * SEC);
    while from < DURATION - 20 * SEC {
        let to = from + rng.i64(SEC / 2..20 * SEC);
        let kind = match rng.u8(0..6) {
            0 => OutageKind::Stall,
            1 => OutageKind::Cut,
            2 => OutageKind::FullSync {
                hides_offset: rng.bool(),
            },
            3 => OutageKind::ReplicaStopped,
            _ => OutageKind::Throttle {
                rate: rng.u64(1_000..40_000),
            },
        };
        all.push(Outage::new(from, to, kind));
        from = to + rng.i64(SEC..20 * SEC);
    }
    all
}

pub(crate) fn conditions(rng: &mut Rng) -> Conditions {
    Conditions {
        rtt: [rng.i64(MS..100 * MS), rng.i64(MS..300 * MS)],
        jitter: rng.i64(0..50 * MS),
        loss: if rng.bool() { 0.0 } else { 0.05 },
        slow: if rng.bool() { 0.0 } else { 0.1 },
        reconnects: rng.bool(),
        beats: rng.bool().then(|| rng.i64(100 * MS..2 * SEC)),
        ..Conditions::CALM
    }
}

pub(crate) fn world(rng: &mut Rng) -> World {
    let load = Load::ALL[rng.usize(0..Load::ALL.len())];
    let shape = World::shape(rng.i64(MS..300 * MS));
    let base = rng.u64(1_000..1_000_000_000_000);
    let outages = outages(rng);
    let mut world = World::new(rng, load, DURATION, base, shape, outages);
    if rng.u8(0..3) == 0 {
        let from = rng.i64(10 * SEC..80 * SEC);
        let who = if rng.bool() {
            Server::Master
        } else {
            Server::Replica
        };
        world
            .cut_off
            .push((who, from, from + rng.i64(SEC..15 * SEC)));
    }
    world
}

#[test]
fn i1_the_bounds_hold_the_truth_in_any_world() {
    for_seeds("i1_the_bounds_hold_the_truth_in_any_world", 60, |seed| {
        let mut rng = Rng::with_seed(seed);
        let world = world(&mut rng);
        let conditions = conditions(&mut rng);
        let mut driver = Driver::new(world, conditions, seed);
        driver.run(DURATION, oracle::check);
        assert!(driver.answers > 100, "the monitor saw hardly anything");
    });
}
