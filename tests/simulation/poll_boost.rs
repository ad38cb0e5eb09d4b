//! What faster polling and the replica delay bring, and what they cost: measured against the truth.
//!
//! `cargo test --test simulation poll_boost -- --nocapture` prints the figures.

#![allow(clippy::print_stdout)] // the figures are for people who measure, and test output is where they look

use fastrand::Rng;
use redis_cross_dc_exporter::alert::{AlertState, Rule};
use redis_cross_dc_exporter::config::{LevelRule, LevelThreshold, Settings};
use redis_cross_dc_exporter::model::Span;
use redis_cross_dc_exporter::poll::Intervals;

use crate::driver::{Conditions, Driver, Look, settings};
use crate::loads::Load;
use crate::oracle;
use crate::seeds::for_seeds;
use crate::world::{MS, Nanos, Outage, OutageKind, SEC, Truth, World};

/// A long link: 150 ms one way, the servers 2 ms and 100 ms away from the monitor.
const LONG_LINK: Nanos = 150 * MS;
const CONDITIONS: Conditions = Conditions {
    rtt: [2 * MS, 100 * MS],
    look_every: 50 * MS,
    ..Conditions::CALM
};

/// Until then the monitor learns what the link takes.
const WARM: Nanos = 20 * SEC;

/// What a run was worth.
#[derive(Default)]
struct Figures {
    /// Width of the certified interval at each sample, in seconds.
    widths: Vec<f64>,
    /// Distance of the estimate from the truth at random instants, in seconds.
    errors: Vec<f64>,
    /// Polls a second.
    polls: f64,
}

impl Figures {
    fn median_width(&self) -> f64 {
        let mut sorted = self.widths.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn mean_error(&self) -> f64 {
        self.errors.iter().sum::<f64>() / self.errors.len() as f64
    }
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / SEC as f64
}

/// Runs `world` to `end` and measures from `from` on.
fn measure(world: World, conditions: Conditions, seed: u64, from: Nanos, end: Nanos) -> Figures {
    let mut driver = Driver::new(world, conditions, seed);
    driver.run(from, oracle::check);
    let before: u64 = driver.polls.iter().sum();
    let (mut figures, mut last) = (Figures::default(), None);
    driver.run(end, |look| {
        oracle::check(look);
        note(look, &mut figures, &mut last);
    });
    figures.polls = (driver.polls.iter().sum::<u64>() - before) as f64 / seconds(end - from);
    figures
}

fn note(look: &Look<'_>, figures: &mut Figures, last: &mut Option<Nanos>) {
    if let (Truth::Comparable { lag, .. }, Some(estimate)) =
        (look.world.truth(look.now), look.seen.lag.estimate)
    {
        figures
            .errors
            .push((estimate.as_secs_f64() - seconds(lag)).abs());
    }
    let Some(located) = &look.pair.facts.located else {
        return;
    };
    let at = look.world_time(located.received());
    if last.replace(at) != Some(at)
        && let (Some(lower), Some(upper)) = (located.at_sample.lower, located.at_sample.upper)
    {
        figures.widths.push((upper - lower).as_secs_f64());
    }
}

/// The replica delay: without it the write that the replica lacks is dated by the last round's
/// poll.
#[test]
fn a_replica_delay_narrows_the_interval_of_a_long_link() {
    for_seeds(
        "a_replica_delay_narrows_the_interval_of_a_long_link",
        4,
        |seed| {
            for load in [Load::Steady, Load::Transactions] {
                let run = |replica_delay| {
                    let world = World::new(
                        &mut Rng::with_seed(seed),
                        load,
                        120 * SEC,
                        0,
                        World::shape(LONG_LINK),
                        vec![],
                    );
                    measure(
                        world,
                        Conditions {
                            replica_delay,
                            ..CONDITIONS
                        },
                        seed,
                        WARM,
                        120 * SEC,
                    )
                };
                let (with, without) = (run(true), run(false));
                for (name, figures) in [("without", &without), ("with", &with)] {
                    println!(
                        "seed {seed} {load:?} {name} the delay: median width {:.3} s, mean error {:.4} s, {:.2} polls/s",
                        figures.median_width(),
                        figures.mean_error(),
                        figures.polls
                    );
                }
                assert!(without.median_width() > 0.45, "{}", without.median_width());
                assert!(with.median_width() < 0.3, "{}", with.median_width());
                assert!(
                    load != Load::Steady || with.polls < 1.01 * without.polls,
                    "for no more polls"
                );
            }
        },
    );
}

/// Five polls a second of a healthy pair: three of the master, two of the replica; twelve while
/// something is wrong. In the mean, doubts about the lag of a pair that is written to cost a fifth
/// of a poll more: how many there are in one run is chance.
#[test]
fn what_polling_costs() {
    let mut steady = Vec::new();
    for_seeds("what_polling_costs", 12, |seed| {
        for load in [Load::Idle, Load::Steady] {
            let (hit, end) = (60 * SEC, 120 * SEC);
            let stall = Outage::new(hit, end, OutageKind::Stall);
            let world = World::new(
                &mut Rng::with_seed(seed),
                load,
                end,
                0,
                World::shape(40 * MS),
                vec![stall],
            );
            let calm = measure(world.clone(), CONDITIONS, seed, WARM, hit).polls;
            let boosted = measure(world, CONDITIONS, seed, hit + 15 * SEC, end).polls;
            println!("seed {seed} {load:?}: {calm:.2} polls/s calm, {boosted:.2} boosted");
            match load {
                Load::Idle => assert!((4.9..=5.1).contains(&calm), "{calm}"),
                _ => steady.push(calm),
            }
            assert!((11.5..=12.5).contains(&boosted), "{boosted}");
        }
    });
    let mean = steady.iter().sum::<f64>() / steady.len() as f64;
    println!("steady in the mean: {mean:.2} polls/s");
    // One run that is replayed is chance.
    let widest = if steady.len() > 1 { 5.35 } else { 6.5 };
    assert!((4.9..=widest).contains(&mean), "{mean}");
}

/// A warning at `at` that has to be below `clear_below` for 3 s before it is over; polled each 4 s.
fn warning(at: Span, clear_below: Span) -> Settings {
    let mut settings = settings();
    settings.poll.interval = Span::from_secs(4);
    let level = LevelThreshold { at, clear_below };
    let rule = LevelRule {
        warning: Some(level),
        critical: None,
        pending_for: Span::ZERO,
        keep_firing_for: Span::from_secs(3),
    };
    settings.alerts.lag_seconds = rule;
    settings.pairs[0].alerts.lag_seconds = rule;
    settings
}

/// A pair that is polled each 4 s has an upper bound that is seconds old: no base poll could prove
/// for long that its lag is below 1.5 s. While the alert is open it is polled faster, and calmly
/// again after it.
#[test]
fn a_low_threshold_resolves_on_an_idle_pair() {
    for_seeds("a_low_threshold_resolves_on_an_idle_pair", 8, |seed| {
        let (hit, heal, end) = (30 * SEC, 60 * SEC, 120 * SEC);
        let run = |boosted: Span| {
            let stall = Outage::new(hit, heal, OutageKind::Stall);
            let world = World::new(
                &mut Rng::with_seed(seed),
                Load::Idle,
                end,
                0,
                World::shape(40 * MS),
                vec![stall],
            );
            let intervals = Intervals {
                base: Span::from_secs(4),
                boosted,
            };
            let conditions = Conditions {
                intervals,
                ..CONDITIONS
            };
            let mut driver = Driver::with_settings(
                world,
                conditions,
                seed,
                warning(Span::from_secs(5), Span::from_millis(1500)),
            );
            let (mut fired, mut resolved) = (None, None);
            driver.run(end - 20 * SEC, |look| {
                oracle::check(look);
                let lag = look
                    .fleet
                    .alerts
                    .iter()
                    .find(|listed| listed.alert.identity.rule == Rule::LagSeconds);
                match lag.map(|listed| listed.state) {
                    Some(AlertState::Firing) => _ = fired.get_or_insert(look.now),
                    Some(AlertState::Resolved) => _ = resolved.get_or_insert(look.now),
                    _ => {}
                }
            });
            let before: u64 = driver.polls.iter().sum();
            driver.run(end, oracle::check);
            let polls = (driver.polls.iter().sum::<u64>() - before) as f64 / 20.0;
            (fired, resolved, polls)
        };
        let (fired, resolved, polls) = run(Span::from_millis(250));
        // The first write that does not arrive is a PING, within 10 s; the next poll is up to 4 s
        // away.
        assert!(
            fired.is_some_and(|at| (hit + 5 * SEC..hit + 20 * SEC).contains(&at)),
            "{fired:?}"
        );
        assert!(
            resolved.is_some_and(|at| (heal + 3 * SEC..heal + 6 * SEC).contains(&at)),
            "{resolved:?}"
        );
        assert!(polls < 1.5, "{polls} polls a second when it was over");
        let (fired, resolved, _) = run(Span::from_secs(4));
        assert!(
            fired.is_some() && resolved.is_none(),
            "without faster polls it stays: {resolved:?}"
        );
    });
}
