//! With heartbeats every promise holds as well, and the upper bound is tighter.

use fastrand::Rng;
use redis_cross_dc_exporter::model::Span;

use crate::driver::{Conditions, Driver, Look};
use crate::loads::Load;
use crate::oracle::{self, told};
use crate::seeds::for_seeds;
use crate::states::{END, HEAL, HIT, OldMaster, healthy, promoted, restarted, with_outage};
use crate::world::{MS, Nanos, OutageKind, SEC, World};

fn run(world: World, seed: u64, beats: Option<Nanos>, mut also: impl FnMut(&Look<'_>)) {
    let conditions = Conditions {
        look_every: 100 * MS,
        beats,
        ..Conditions::CALM
    };
    Driver::new(world, conditions, seed).run(END, |look| {
        oracle::check(look);
        also(look);
    });
}

#[test]
fn every_promise_holds_with_heartbeats_whatever_happens() {
    for_seeds(
        "every_promise_holds_with_heartbeats_whatever_happens",
        6,
        |seed| {
            let outages = [
                OutageKind::Cut,
                OutageKind::Stall,
                OutageKind::FullSync {
                    hides_offset: false,
                },
                OutageKind::FullSync { hides_offset: true },
                OutageKind::ReplicaStopped,
                OutageKind::Throttle { rate: 20_000 },
            ];
            let worlds = outages
                .into_iter()
                .flat_map(|kind| Load::ALL.map(|load| (load, kind)))
                .map(|(load, kind)| {
                    with_outage(&mut Rng::with_seed(seed), load, HIT, HEAL, END, kind)
                })
                .chain(
                    [false, true]
                        .map(|keeps_data| restarted(&mut Rng::with_seed(seed), keeps_data)),
                )
                .chain(
                    [OldMaster::Lives, OldMaster::Follows]
                        .map(|old| promoted(&mut Rng::with_seed(seed), old)),
                );
            for world in worlds {
                let mut arrived = 0;
                run(world, seed, Some(300 * MS), |look| {
                    arrived = look.pair.facts.heartbeats.arrived;
                });
                assert!(arrived > 20, "hardly a heartbeat came: {arrived}");
            }
        },
    );
}

/// The mean upper bound while the pair is well, in seconds.
fn mean_upper(load: Load, seed: u64, beats: Option<Nanos>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    run(
        healthy(&mut Rng::with_seed(seed), load),
        seed,
        beats,
        |look| {
            if look.now > 5 * SEC {
                sum += look.seen.lag.upper.expect("a bound").as_secs_f64();
                count += 1.0;
            }
        },
    );
    sum / count
}

#[test]
fn heartbeats_tighten_the_upper_bound() {
    for_seeds("heartbeats_tighten_the_upper_bound", 4, |seed| {
        for load in Load::ALL {
            let (without, with) = (
                mean_upper(load, seed, None),
                mean_upper(load, seed, Some(200 * MS)),
            );
            // Of a pair that hardly writes, polls alone prove twice a second that nothing is
            // missing.
            let part = if matches!(load, Load::Idle | Load::Bursts) {
                0.75
            } else {
                0.6
            };
            assert!(
                with < without * part,
                "{load:?}: {with} s with heartbeats, {without} s without"
            );
        }
    });
}

/// While a link is cut, the bound that was proven goes on ageing, and nothing makes it younger.
#[test]
fn what_was_proven_before_a_cut_ages_with_it() {
    for_seeds("what_was_proven_before_a_cut_ages_with_it", 4, |seed| {
        let world = with_outage(
            &mut Rng::with_seed(seed),
            Load::Steady,
            HIT,
            HEAL,
            END,
            OutageKind::Cut,
        );
        let mut looked = 0;
        run(world, seed, Some(200 * MS), |look| {
            if (HIT + SEC..HEAL).contains(&look.now) {
                looked += 1;
                let since = Span::from_nanos(look.now - HIT);
                let upper = look.seen.lag.upper.expect("a bound");
                assert!(upper >= since, "{}", told(look, "younger than the cut"));
                assert!(
                    (upper - since).as_nanos() < 400 * MS,
                    "{}",
                    told(look, "not bounded by the last heartbeat")
                );
            }
        });
        assert!(looked > 50);
    });
}
