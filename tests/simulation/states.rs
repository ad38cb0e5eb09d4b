//! Each thing that can happen, and the state that it must lead to within a stated time; and what
//! must not be said then.

use fastrand::Rng;
use redis_cross_dc_exporter::model::{Bytes, Span};
use redis_cross_dc_exporter::replication::{LagBytes, LagInterval, PairState, StateReason};

use crate::driver::{Conditions, Driver, Look};
use crate::loads::Load;
use crate::oracle::{self, told};
use crate::seeds::for_seeds;
use crate::world::{
    MS, Nanos, Outage, OutageKind, Promotion, SEC, Server, Steps, Stream, Truth, World, deliver,
};

const DELAY: Nanos = 40 * MS;
pub(crate) const HIT: Nanos = 20 * SEC;
pub(crate) const HEAL: Nanos = 45 * SEC;
pub(crate) const END: Nanos = 70 * SEC;

/// A world with one outage in the middle.
pub(crate) fn with_outage(
    rng: &mut Rng,
    load: Load,
    from: Nanos,
    to: Nanos,
    end: Nanos,
    kind: OutageKind,
) -> World {
    World::new(
        rng,
        load,
        end,
        1_000_000,
        World::shape(DELAY),
        vec![Outage::new(from, to, kind)],
    )
}

pub(crate) fn healthy(rng: &mut Rng, load: Load) -> World {
    World::new(rng, load, END, 1_000_000, World::shape(DELAY), Vec::new())
}

/// The master dies and comes back with another history that shares `cut` bytes of the old one, or
/// none.
pub(crate) fn restarted(rng: &mut Rng, keeps_data: bool) -> World {
    let sync = OutageKind::FullSync {
        hides_offset: false,
    };
    let (down, up) = (HIT, HIT + 6 * SEC);
    let mut outages = vec![Outage::new(down, up + SEC, OutageKind::Cut)];
    if !keeps_data {
        outages.push(Outage::new(up + SEC, HEAL, sync));
    }
    let mut world = World::new(
        rng,
        Load::Steady,
        down,
        1_000_000,
        World::shape(DELAY),
        outages,
    );
    let shared = world.lives[0].offset.at(down);
    let base = if keeps_data { shared } else { 100 };
    let mut writes = Load::Steady.writes(rng, up, END, base);
    let mut second = world.lives[0].clone();
    world.lives[0].until = down;
    second.from = up;
    second.replid = 'b';
    if keeps_data {
        second.continues = Some(('a', shared));
        let old = Load::writes_of(&world.lives[0].offset);
        writes = old.into_iter().chain(writes).collect();
        second.offset = Steps::of(1_000_000, &writes);
    } else {
        second.offset = Steps::of(base, &writes);
    }
    let first_base = if keeps_data { 1_000_000 } else { base };
    let (stream, _) = deliver(
        'b',
        first_base,
        &writes,
        &second.offset,
        World::shape(DELAY),
        &world.outages,
    );
    let from = if keeps_data { up + SEC } else { HEAL };
    world.streams.push(Stream { from, ..stream });
    world.lives.push(second);
    world
}

pub(crate) fn promoted(rng: &mut Rng, old_master: OldMaster) -> World {
    let mut world = with_outage(rng, Load::Steady, HIT, END, END, OutageKind::Cut);
    let shared = world.streams[0].applied.at(HIT);
    let at = HIT + 5 * SEC;
    world.promotion = Some(Promotion {
        at,
        replid: 'c',
        continues: ('a', shared),
    });
    match old_master {
        OldMaster::Lives => {}
        OldMaster::Follows => {
            let mut second = world.lives[0].clone();
            world.lives[0].until = at;
            (second.from, second.is_master, second.replid) = (at, false, 'c');
            world.lives.push(second);
        }
    }
    world
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum OldMaster {
    Lives,
    Follows,
}

/// What must be the state in `[from, to)`.
struct Expected {
    from: Nanos,
    to: Nanos,
    states: &'static [PairState],
}

const fn expect(from: Nanos, to: Nanos, states: &'static [PairState]) -> Expected {
    Expected { from, to, states }
}

/// Runs a world, checks the oracle and the states, and whatever else `also` checks.
fn run(world: World, seed: u64, expected: &[Expected], mut also: impl FnMut(&Look<'_>)) {
    let conditions = Conditions {
        look_every: 100 * MS,
        ..Conditions::CALM
    };
    let mut driver = Driver::new(world, conditions, seed);
    let mut matched = vec![0_u32; expected.len()];
    driver.run(END, |look| {
        oracle::check(look);
        for (expected, count) in expected.iter().zip(&mut matched) {
            if (expected.from..expected.to).contains(&look.now) {
                *count += 1;
                assert!(
                    expected.states.contains(&look.seen.state),
                    "{}",
                    told(look, &format!("not {:?}", expected.states))
                );
            }
        }
        also(look);
    });
    assert!(
        matched.iter().all(|count| *count > 5),
        "hardly looked at: {matched:?}"
    );
}

use PairState as S;

#[test]
fn a_healthy_pair_never_leaves_streaming() {
    for_seeds("a_healthy_pair_never_leaves_streaming", 8, |seed| {
        for load in Load::ALL {
            let world = healthy(&mut Rng::with_seed(seed), load);
            run(
                world,
                seed,
                &[expect(3 * SEC, END, &[S::Streaming])],
                |_| {},
            );
        }
    });
}

/// Within 4 s of the first write that does not arrive, at one poll a second.
#[test]
fn a_link_outage_is_detected_within_four_seconds_and_its_end_within_two() {
    for_seeds(
        "a_link_outage_is_detected_within_four_seconds_and_its_end_within_two",
        8,
        |seed| {
            let cases = [
                (OutageKind::Cut, S::LinkDown),
                (OutageKind::Stall, S::Stalled),
                (
                    OutageKind::FullSync {
                        hides_offset: false,
                    },
                    S::FullSync,
                ),
                (OutageKind::FullSync { hides_offset: true }, S::FullSync),
                (OutageKind::ReplicaStopped, S::ReplicaUnreachable),
            ];
            for (kind, state) in cases {
                let world = with_outage(
                    &mut Rng::with_seed(seed),
                    Load::Steady,
                    HIT,
                    HEAL,
                    END,
                    kind,
                );
                let states: &'static [S] = Box::leak(Box::new([state]));
                let expected = [
                    expect(3 * SEC, HIT, &[S::Streaming]),
                    expect(HIT + 4 * SEC, HEAL, states),
                    expect(HEAL + 2 * SEC, END, &[S::Streaming]),
                ];
                run(world, seed, &expected, |_| {});
            }
        },
    );
}

/// While the replica stands still, the estimate grows exactly as time does.
#[test]
fn i7_the_estimate_grows_with_time_while_the_replica_is_stopped() {
    for_seeds(
        "i7_the_estimate_grows_with_time_while_the_replica_is_stopped",
        8,
        |seed| {
            for kind in [
                OutageKind::Cut,
                OutageKind::Stall,
                OutageKind::FullSync {
                    hides_offset: false,
                },
            ] {
                let world = with_outage(
                    &mut Rng::with_seed(seed),
                    Load::Steady,
                    HIT,
                    HEAL,
                    END,
                    kind,
                );
                let mut last: Option<(Nanos, Span)> = None;
                run(world, seed, &[], |look| {
                    if !(HIT + 4 * SEC..HEAL).contains(&look.now) {
                        return;
                    }
                    let estimate = look.seen.lag.estimate.expect("it is known");
                    if let Some((before, was)) = last {
                        let grown = (estimate - was).as_nanos() - (look.now - before);
                        assert!(
                            grown.abs() < MS,
                            "{}",
                            told(look, &format!("{grown} ns too much"))
                        );
                    }
                    let Truth::Comparable { lag, .. } = look.world.truth(look.now) else {
                        panic!("one history")
                    };
                    assert!(
                        (estimate.as_nanos() - lag).abs() < SEC,
                        "{}",
                        told(look, "far from the truth")
                    );
                    last = Some((look.now, estimate));
                });
                assert!(last.is_some());
            }
        },
    );
}

/// And the bytes of a replica that stands still.
#[test]
fn i8_zero_means_that_nothing_is_missing() {
    for_seeds("i8_zero_means_that_nothing_is_missing", 8, |seed| {
        let world = healthy(&mut Rng::with_seed(seed), Load::Idle);
        run(world, seed, &[], |look| {
            let quiet = look.world.lives[0]
                .offset
                .last_change(look.now)
                .is_some_and(|at| look.now - at > 2500 * MS);
            if look.now > 4 * SEC && quiet {
                assert_eq!(
                    look.seen.lag.estimate,
                    Some(Span::ZERO),
                    "{}",
                    told(look, "idle is 0")
                );
                assert_eq!(
                    look.seen.bytes.estimate,
                    Some(Bytes::new(0)),
                    "{}",
                    told(look, "idle is 0")
                );
            }
        });
        let world = with_outage(
            &mut Rng::with_seed(seed),
            Load::Steady,
            HIT,
            HEAL,
            END,
            OutageKind::Cut,
        );
        run(world, seed, &[], |look| {
            if (HIT + 4 * SEC..HEAL).contains(&look.now) {
                let known = look.seen.bytes.estimate.expect("it is known").get();
                let bytes = |t| match look.world.truth(t) {
                    Truth::Comparable { bytes, .. } => bytes,
                    _ => panic!("one history"),
                };
                assert!(
                    bytes(look.now - 1100 * MS) <= known && known <= bytes(look.now),
                    "{}",
                    told(look, "bytes")
                );
            }
        });
    });
}

#[test]
fn how_long_a_link_is_down_is_known_to_the_second() {
    for_seeds(
        "how_long_a_link_is_down_is_known_to_the_second",
        8,
        |seed| {
            let world = with_outage(
                &mut Rng::with_seed(seed),
                Load::Steady,
                HIT,
                HEAL,
                END,
                OutageKind::Cut,
            );
            run(world, seed, &[], |look| {
                let Some(for_) = look.seen.link_down_for else {
                    return;
                };
                let off = for_.as_nanos() - (look.now - HIT);
                assert!(
                    off.abs() < 1200 * MS,
                    "{}",
                    told(look, &format!("off by {off} ns"))
                );
            });
        },
    );
}

/// The master is dead: not one number that could be taken for "all is well", and the last certified
/// one stays.
#[test]
fn a_dead_master_leaves_no_zero_behind() {
    for_seeds("a_dead_master_leaves_no_zero_behind", 8, |seed| {
        for load in [Load::Steady, Load::Idle] {
            let mut world = healthy(&mut Rng::with_seed(seed), load);
            world.lives[0].until = HIT;
            world.outages.push(Outage::new(HIT, END, OutageKind::Cut));
            run(
                world,
                seed,
                &[expect(HIT + 3 * SEC, END, &[S::MasterUnreachable])],
                |look| {
                    if look.now > HIT + 3 * SEC {
                        assert_eq!(
                            look.seen.lag.estimate,
                            None,
                            "{}",
                            told(look, "no estimate")
                        );
                        assert_eq!(
                            look.seen.lag.upper,
                            None,
                            "{}",
                            told(look, "no upper bound")
                        );
                        assert_eq!(look.seen.bytes.estimate, None, "{}", told(look, "no bytes"));
                        let known = look
                            .seen
                            .last_known
                            .expect("the last certified statement stays");
                        assert!(look.world_time(known.at) < HIT + SEC);
                    }
                },
            );
        }
    });
}

#[test]
fn a_master_that_restarts_without_its_data_needs_a_full_sync() {
    for_seeds(
        "a_master_that_restarts_without_its_data_needs_a_full_sync",
        8,
        |seed| {
            let world = restarted(&mut Rng::with_seed(seed), false);
            let expected = [
                expect(HIT + 3 * SEC, HIT + 6 * SEC, &[S::MasterUnreachable]),
                expect(HIT + 11 * SEC, HEAL, &[S::FullSync]),
                expect(HEAL + 2 * SEC, END, &[S::Streaming]),
            ];
            run(world, seed, &expected, |look| {
                if (HIT + 9 * SEC..HEAL).contains(&look.now) {
                    assert_eq!(
                        look.seen.bytes,
                        LagBytes::UNKNOWN,
                        "{}",
                        told(look, "two histories do not subtract")
                    );
                    assert_ne!(
                        look.seen.lag.estimate,
                        Some(Span::ZERO),
                        "{}",
                        told(look, "the end of a history is not 0")
                    );
                }
            });
        },
    );
}

#[test]
fn a_master_that_restarts_with_its_data_goes_on() {
    for_seeds("a_master_that_restarts_with_its_data_goes_on", 8, |seed| {
        let world = restarted(&mut Rng::with_seed(seed), true);
        let expected = [
            expect(HIT + 3 * SEC, HIT + 6 * SEC, &[S::MasterUnreachable]),
            expect(HIT + 10 * SEC, END, &[S::Streaming]),
        ];
        run(world, seed, &expected, |_| {});
    });
}

#[test]
fn two_masters_diverge_by_the_old_ones_later_writes() {
    for_seeds(
        "two_masters_diverge_by_the_old_ones_later_writes",
        8,
        |seed| {
            let world = promoted(&mut Rng::with_seed(seed), OldMaster::Lives);
            run(
                world,
                seed,
                &[expect(HIT + 7 * SEC, END, &[S::Diverged])],
                |look| {
                    if look.now > HIT + 7 * SEC {
                        let shared = look.world.promotion.as_ref().expect("promoted").continues.1;
                        let unshared = |t| look.world.lives[0].offset.at(t) - shared;
                        let said = look
                            .seen
                            .diverged
                            .expect("both histories are known")
                            .older()
                            .get();
                        let true_bytes = unshared(look.now - 1300 * MS)..=unshared(look.now);
                        assert!(
                            true_bytes.contains(&said),
                            "{}",
                            told(look, "diverged bytes")
                        );
                        assert_eq!(
                            look.seen.lag.estimate,
                            None,
                            "{}",
                            told(look, "no lag between two masters")
                        );
                        assert_eq!(
                            look.seen.bytes.estimate,
                            None,
                            "{}",
                            told(look, "no lag between two masters")
                        );
                    }
                },
            );
        },
    );
}

#[test]
fn swapped_roles_are_not_two_masters() {
    for_seeds("swapped_roles_are_not_two_masters", 4, |seed| {
        let world = promoted(&mut Rng::with_seed(seed), OldMaster::Follows);
        run(
            world,
            seed,
            &[expect(HIT + 7 * SEC, END, &[S::Unknown])],
            |look| {
                if look.now > HIT + 7 * SEC {
                    assert_eq!(look.seen.reason, StateReason::RolesSwapped);
                    assert_eq!(look.seen.lag.estimate, None);
                }
            },
        );
    });
}

#[test]
fn a_master_that_follows_its_replica_has_no_stream_to_compare_with() {
    for_seeds(
        "a_master_that_follows_its_replica_has_no_stream_to_compare_with",
        4,
        |seed| {
            let mut world = healthy(&mut Rng::with_seed(seed), Load::Steady);
            let mut second = world.lives[0].clone();
            world.lives[0].until = HIT;
            (second.from, second.is_master) = (HIT, false);
            world.lives.push(second);
            run(
                world,
                seed,
                &[expect(HIT + 2 * SEC, END, &[S::Unknown])],
                |look| {
                    if look.now > HIT + 2 * SEC {
                        // It follows the replica that follows it.
                        assert_eq!(look.seen.reason, StateReason::NoMaster);
                        assert_eq!(look.seen.lag.estimate, None);
                    }
                },
            );
        },
    );
}

#[test]
fn a_replica_of_another_master_has_no_lag() {
    for_seeds("a_replica_of_another_master_has_no_lag", 4, |seed| {
        let mut world = healthy(&mut Rng::with_seed(seed), Load::Steady);
        let foreign = Stream {
            from: HIT,
            replid: 'f',
            received: Steps::new(77),
            applied: Steps::new(77),
        };
        world.streams.push(foreign);
        run(
            world,
            seed,
            &[expect(HIT + 2 * SEC, END, &[S::WrongMaster])],
            |look| {
                if look.now > HIT + 2 * SEC {
                    assert_eq!(
                        (
                            look.seen.lag.lower,
                            look.seen.lag.estimate,
                            look.seen.lag.upper
                        ),
                        (None, None, None)
                    );
                    assert_eq!(look.seen.bytes, LagBytes::UNKNOWN);
                }
            },
        );
    });
}

#[test]
fn a_replica_that_never_synced_has_no_lag() {
    for_seeds("a_replica_that_never_synced_has_no_lag", 4, |seed| {
        let mut world = healthy(&mut Rng::with_seed(seed), Load::Steady);
        world.never_synced = true;
        run(
            world,
            seed,
            &[expect(2 * SEC, END, &[S::NeverSynced])],
            |look| {
                assert_eq!(
                    (look.seen.lag, look.seen.bytes),
                    (LagInterval::UNKNOWN, LagBytes::UNKNOWN)
                );
            },
        );
    });
}

/// A master without a backlog shows a frozen offset: it proves nothing, least of all that nothing
/// is missing.
#[test]
fn a_master_without_a_backlog_proves_nothing() {
    for_seeds("a_master_without_a_backlog_proves_nothing", 4, |seed| {
        let mut world = with_outage(
            &mut Rng::with_seed(seed),
            Load::Steady,
            HIT,
            END,
            END,
            OutageKind::Cut,
        );
        let mut second = world.lives[0].clone();
        world.lives[0].until = HIT + 5 * SEC;
        (second.from, second.backlog) = (HIT + 5 * SEC, false);
        second.offset = Steps::new(second.offset.at(HIT));
        world.lives.push(second);
        run(
            world,
            seed,
            &[expect(HIT + 4 * SEC, END, &[S::LinkDown])],
            |look| {
                if look.now > HIT + 7 * SEC {
                    assert_ne!(
                        look.seen.lag.estimate,
                        Some(Span::ZERO),
                        "{}",
                        told(look, "not 0")
                    );
                    assert_eq!(
                        look.seen.bytes,
                        LagBytes::UNKNOWN,
                        "{}",
                        told(look, "no bytes")
                    );
                }
            },
        );
    });
}

#[test]
fn an_offset_that_falls_under_the_same_replication_id_is_another_history() {
    for_seeds(
        "an_offset_that_falls_under_the_same_replication_id_is_another_history",
        4,
        |seed| {
            let mut rng = Rng::with_seed(seed);
            let mut world = healthy(&mut rng, Load::Steady);
            let mut second = world.lives[0].clone();
            world.lives[0].until = HIT;
            second.from = HIT;
            second.offset = Steps::of(5_000, &Load::Steady.writes(&mut rng, HIT, END, 5_000));
            world.lives.push(second);
            let conditions = Conditions {
                look_every: 100 * MS,
                ..Conditions::CALM
            };
            Driver::new(world, conditions, seed).run(END, |look| {
                if look.now > HIT + 2 * SEC {
                    assert_eq!(look.seen.state, S::Unknown, "{}", told(look, "not unknown"));
                    assert_eq!(
                        (look.seen.lag, look.seen.bytes),
                        (LagInterval::UNKNOWN, LagBytes::UNKNOWN)
                    );
                }
            });
        },
    );
}

/// The replica is well and ACKs; only the monitor cannot reach it.
#[test]
fn a_monitor_that_is_cut_off_from_a_healthy_replica_sees_no_lag() {
    for_seeds(
        "a_monitor_that_is_cut_off_from_a_healthy_replica_sees_no_lag",
        8,
        |seed| {
            for load in [Load::Steady, Load::Idle] {
                let mut world = healthy(&mut Rng::with_seed(seed), load);
                world.cut_off.push((Server::Replica, HIT, HEAL));
                let expected = [
                    expect(HIT + 4 * SEC, HEAL, &[S::ReplicaUnreachable]),
                    expect(HEAL + 2 * SEC, END, &[S::Streaming]),
                ];
                run(world, seed, &expected, |look| {
                    if look.now > 4 * SEC {
                        let estimate = look.seen.lag.estimate.expect("the ACKs tell");
                        // ACKs come at 1 Hz, and what they say is up to a poll old.
                        assert!(
                            estimate < Span::from_millis(1600),
                            "{}",
                            told(look, "the ACKs tell")
                        );
                    }
                });
            }
        },
    );
}

/// Applied bytes are counted once each, over cuts, stalls and stops; a full sync's data set is not
/// counted.
#[test]
fn applied_bytes_are_counted_once() {
    for_seeds("applied_bytes_are_counted_once", 8, |seed| {
        let cases = [
            OutageKind::Cut,
            OutageKind::Stall,
            OutageKind::FullSync {
                hides_offset: seed % 2 == 0,
            },
        ];
        for kind in cases {
            let mut rng = Rng::with_seed(seed);
            let mut driver = Driver::new(
                with_outage(&mut rng, Load::Steady, HIT, HEAL, END, kind),
                Conditions {
                    reconnects: true,
                    slow: 0.1,
                    ..Conditions::CALM
                },
                seed,
            );
            let (mut last, mut first) = (0, None);
            driver.run(END, |look| {
                let Some(total) = look.pair.facts.applied_total else {
                    return;
                };
                let located = look
                    .pair
                    .facts
                    .located
                    .as_ref()
                    .expect("counted means located");
                let served = look.served[&look.world_time(located.sent())];
                let (counted, from) = *first.get_or_insert((total, served));
                assert!(total >= last, "{}", told(look, "the counter fell"));
                let truth = counted + look.world.streamed(from, served);
                let exact = !matches!(kind, OutageKind::FullSync { .. }) || look.now < HIT;
                assert!(
                    if exact {
                        total == truth
                    } else {
                        total <= truth
                    },
                    "{}",
                    told(look, &format!("{total} {truth}"))
                );
                last = total;
            });
            assert!(last > 0);
        }
    });
}

/// Between two polls, too: the maximum of a minute is that of all its scrapes, and the distribution
/// counts seconds.
#[test]
fn the_highest_of_a_minute_and_the_distribution_follow_the_estimate() {
    for_seeds(
        "the_highest_of_a_minute_and_the_distribution_follow_the_estimate",
        4,
        |seed| {
            let world = with_outage(
                &mut Rng::with_seed(seed),
                Load::Steady,
                HIT,
                HEAL,
                END,
                OutageKind::Cut,
            );
            let (mut seen, mut counted, mut above) = (Vec::new(), None, 0);
            run(world, seed, &[], |look| {
                let Some(lag) = look.seen.lag.estimate else {
                    return;
                };
                seen.push((look.now, lag));
                // It is noted ten times a second.
                let noted = look.now - 58 * SEC..look.now - 150 * MS;
                let minute = seen
                    .iter()
                    .filter(|(at, _)| noted.contains(at))
                    .map(|(_, lag)| *lag)
                    .max();
                let longer = seen.iter().map(|(_, lag)| *lag).max();
                let max = look.pair.lag_max.unwrap_or_default();
                let grain = Span::from_millis(200);
                assert!(
                    Some(max + grain) >= minute,
                    "{}",
                    told(look, &format!("{max} was exceeded"))
                );
                assert!(
                    Some(max) <= longer.map(|l| l + grain),
                    "{}",
                    told(look, &format!("{max} never was"))
                );
                let histogram = look.fleet.lag_distribution.values().next();
                let Some(histogram) = histogram else { return };
                let (first_at, first) = *counted.get_or_insert((look.now, histogram.count()));
                let seconds = u64::try_from((look.now - first_at) / SEC).expect("later");
                assert!(
                    (histogram.count() - first).abs_diff(seconds) <= 1,
                    "{}",
                    told(look, "once a second")
                );
                above = histogram.count()
                    - histogram
                        .cumulative()
                        .find(|(bound, _)| *bound >= 5.0)
                        .expect("a bound")
                        .1;
            });
            let expected = u64::try_from((HEAL - HIT) / SEC).expect("later") - 5;
            assert!(
                above.abs_diff(expected) <= 1,
                "{above} seconds above five, {expected} expected"
            );
        },
    );
}
