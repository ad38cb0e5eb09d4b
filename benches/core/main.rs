//! What the steps between an answer of a server and a scrape cost, for a thousand pairs: a reply
//! parsed, a poll handled, a tick, a snapshot, /metrics. `make bench`, docs/performance.md.
//!
//! Criterion shows each step with its scatter and compares it with the run before; the table has
//! the medians for one pair. Time is that of this thread on the processor, so that other programs
//! disturb it little. `BENCH_CORE_PAIRS=100` is for another number of pairs. Without `--bench`, as
//! `cargo test` runs it, every step is made once for a few pairs.

#![allow(
    clippy::indexing_slicing,
    reason = "an index that is wrong has to end the bench"
)]
#![allow(clippy::print_stdout, reason = "a table for the person who runs it")]

#[path = "../fleet/document.rs"]
mod document;
#[allow(dead_code, reason = "only its replies are used here")]
#[path = "../../tests/fleet/mod.rs"]
mod fleet;
mod growth;
mod world;

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use redis_cross_dc_exporter::info;
use redis_cross_dc_exporter::metrics::{self, Exposition};
use rustix::time::{ClockId, clock_gettime};

use fleet::Side;
use world::World;

/// How long after half of the fleet fails the slowest tick is looked for: every rule fires in it.
const TICKS_OF_A_FAILURE: usize = 600;

/// A step, and what it cost each time that it was measured.
struct Step {
    name: &'static str,
    /// What is divided by: `poll` or `pair`.
    unit: &'static str,
    /// For one unit, in nanoseconds.
    costs: Vec<f64>,
}

/// All steps, measured by `criterion` as they are added.
struct Steps {
    criterion: Criterion,
    steps: Vec<Step>,
}

impl Steps {
    /// Measures a step. `once` makes it once, and returns how long it took and for how many units.
    fn add(
        &mut self,
        name: &'static str,
        unit: &'static str,
        mut once: impl FnMut() -> (Duration, usize),
    ) {
        let mut costs = Vec::new();
        self.criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut total = Duration::ZERO;
                for _ in 0..times {
                    let (took, units) = once();
                    costs.push(took.as_secs_f64() * 1e9 / units as f64);
                    total += took;
                }
                total
            });
        });
        self.steps.push(Step { name, unit, costs });
    }

    fn table(&self, pairs: usize) -> String {
        let mut text = format!("| step, of {pairs} pairs | ns | for one |\n|---|---|---|\n");
        // Criterion leaves out what the command line does not name.
        for step in self.steps.iter().filter(|step| !step.costs.is_empty()) {
            let cost = median(step.costs.clone());
            text += &format!("| {} | {cost:.0} | {} |\n", step.name, step.unit);
        }
        text
    }
}

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let pairs = match std::env::var("BENCH_CORE_PAIRS") {
        Ok(text) => text.parse().expect("a number of pairs"),
        Err(_) if full => 1_000,
        Err(_) => 20,
    };
    let criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut steps = Steps {
        criterion,
        steps: Vec::new(),
    };
    add_parse(&mut steps);
    let mut world = World::healthy(pairs);
    add_polls_and_ticks(&mut steps, &mut world, pairs);
    add_answers(&mut steps, &mut world, pairs);
    world.fail_half();
    let slowest = slowest_tick(&mut world, pairs);
    steps.steps.push(Step {
        name: "the slowest tick in a minute after half of the replicas failed at once",
        unit: "pair",
        costs: vec![slowest],
    });
    steps.add("tick while half of the replicas fail", "pair", || {
        world.advance();
        timed(pairs, || world.tick())
    });
    steps.criterion.final_summary();
    let circumstances = document::circumstances();
    let text = format!("{circumstances}:\n\n{}", steps.table(pairs));
    document::publish("core", &text);
    let (few, many) = if full { (1_000, 10_000) } else { (10, 20) };
    let text = format!("{circumstances}:\n\n{}", growth::table(few, many));
    document::publish("growth", &text);
}

fn add_parse(steps: &mut Steps) {
    let world = World::healthy(1);
    for (name, side) in [
        ("parse a master's reply", Side::Master),
        ("parse a replica's reply", Side::Replica),
    ] {
        let text = world.reply(0, side);
        // Many of them, so that the clock costs nothing beside them.
        steps.add(name, "poll", || {
            timed(100, || {
                for _ in 0..100 {
                    black_box(info::parse(black_box(&text)).is_ok());
                }
            })
        });
    }
}

fn add_polls_and_ticks(steps: &mut Steps, world: &mut World, pairs: usize) {
    steps.add("handle a poll", "poll", || {
        let events = world.polls();
        let polls = events.len();
        let handled = timed(polls, || {
            for event in events {
                world.monitor.handle_poll(event);
            }
        });
        // Not measured here, but nothing may wait for it.
        world.tick();
        handled
    });
    steps.add("tick", "pair", || {
        world.advance();
        timed(pairs, || world.tick())
    });
}

fn add_answers(steps: &mut Steps, world: &mut World, pairs: usize) {
    steps.add("snapshot after the polls of a tick", "pair", || {
        world.advance();
        let published = timed(pairs, || world.publish());
        world.tick();
        published
    });
    let snapshot = world.snapshot();
    let exposition = Exposition::default();
    steps.add("/metrics: collect", "pair", || {
        timed(pairs, || {
            metrics::collect(&snapshot, world.now(), &exposition)
        })
    });
    let families = metrics::collect(&snapshot, world.now(), &exposition);
    steps.add("/metrics: one text", "pair", || {
        timed(pairs, || families.to_text())
    });
}

/// What the slowest of many ticks cost for one pair, in nanoseconds.
fn slowest_tick(world: &mut World, pairs: usize) -> f64 {
    let mut slowest = Duration::ZERO;
    for _ in 0..TICKS_OF_A_FAILURE {
        world.advance();
        let (took, _) = timed(pairs, || world.tick());
        slowest = slowest.max(took);
    }
    slowest.as_secs_f64() * 1e9 / pairs as f64
}

/// How long `step` takes, without dropping what it returns; `units` are passed on.
fn timed<T>(units: usize, step: impl FnOnce() -> T) -> (Duration, usize) {
    let began = processor_time();
    let result = black_box(step());
    let took = processor_time().saturating_sub(began);
    drop(result);
    (took, units)
}

/// For how long this thread has run on a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.try_into().expect("less than a second"),
    )
}

fn median(mut costs: Vec<f64>) -> f64 {
    costs.sort_by(f64::total_cmp);
    costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN)
}
