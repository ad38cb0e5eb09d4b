//! How close the estimate is to the truth, scenario by scenario: the instrument with which the
//! estimator is tuned.
//!
//! The scenarios are those of the laboratory of real servers; here the truth is perfect and a run
//! takes milliseconds. Polls every second, every 250 ms while lag moves; scrapes ten times a
//! second. An error is *raw* against the truth at the instant of the scrape, and *settled* against
//! all that was true in the 0.3 s before it: what no poll can have seen yet is then no error. Each
//! scenario runs with several phases of polling, and the table is printed.

#![allow(clippy::print_stdout)] // the table is for people who measure

use fastrand::Rng;
use redis_cross_dc_exporter::model::Span;

use crate::driver::{Conditions, Driver, Look};
use crate::loads::{Load, Write};
use crate::oracle;
use crate::world::{MS, Nanos, Outage, OutageKind, SEC, Server, Shape, Truth, World};

/// How long before a scrape what was true still counts as seen in time.
const SETTLED: Nanos = 300 * MS;

/// The threshold whose crossings are judged.
const THRESHOLD: Nanos = 5 * SEC;

/// An estimate may be above the threshold when the truth is below it by no more than this: half a
/// poll, by which the instant of a burst is uncertain.
const UNCERTAIN: Nanos = 500 * MS;

/// Phases of polling for each scenario, unless `SIM_RUNS` says how many.
const PHASES: u64 = 4;

/// Nothing is judged before: the monitor begins to watch.
const FROM: Nanos = 4 * SEC;

const HIT: Nanos = 15 * SEC;
const HEAL: Nanos = 35 * SEC;
const END: Nanos = 55 * SEC;

/// Loopback to both servers; scrapes at 10 Hz.
const LABORATORY: Conditions = Conditions {
    rtt: [300_000, 300_000],
    jitter: 100_000,
    look_every: 100 * MS,
    ..Conditions::CALM
};

/// What a scenario must reach: settled and raw mean error, in seconds.
struct Goal {
    settled: f64,
    raw: f64,
}

/// What is promised for each scenario; the raw error of those with a long outage has the heal in
/// it, which a poll every 250 ms sees 125 ms late on average: a peak of 20 s is 0.05 s in a minute,
/// and chance makes up to twice that of it.
const GOAL: Goal = Goal {
    settled: 0.05,
    raw: 0.15,
};

/// Redis 6.2 hides its offset from the loss of the link on, so what it applied last is an estimate
/// for the whole outage: off by 0.04 s in the mean of 24 phases, with one scheduler as with
/// another, and chance makes 0.06 s of it in four; the raw error likewise (0.15 s).
const HIDDEN: Goal = Goal {
    settled: 0.07,
    raw: 0.2,
};

struct Scenario {
    name: &'static str,
    goal: Goal,
    world: fn(&mut Rng) -> World,
}

const SCENARIOS: [Scenario; 15] = [
    Scenario {
        name: "steady",
        goal: GOAL,
        world: |rng| calm(rng, Load::Steady, 40 * MS),
    },
    Scenario {
        name: "idle",
        goal: GOAL,
        world: |rng| calm(rng, Load::Idle, 40 * MS),
    },
    Scenario {
        name: "on and off",
        goal: GOAL,
        world: |rng| calm(rng, Load::OnOff, 40 * MS),
    },
    Scenario {
        name: "loopback",
        goal: GOAL,
        world: |rng| calm(rng, Load::Steady, MS / 5),
    },
    Scenario {
        name: "delay 300 ms",
        goal: GOAL,
        world: |rng| calm(rng, Load::Steady, 300 * MS),
    },
    Scenario {
        name: "throttle",
        goal: GOAL,
        world: throttled,
    },
    Scenario {
        name: "stall",
        goal: GOAL,
        world: |rng| broken(rng, OutageKind::Stall),
    },
    Scenario {
        name: "cut",
        goal: GOAL,
        world: |rng| broken(rng, OutageKind::Cut),
    },
    Scenario {
        name: "full resync",
        goal: GOAL,
        world: |rng| {
            broken(
                rng,
                OutageKind::FullSync {
                    hides_offset: false,
                },
            )
        },
    },
    Scenario {
        name: "the same, 6.2",
        goal: HIDDEN,
        world: |rng| broken(rng, OutageKind::FullSync { hides_offset: true }),
    },
    Scenario {
        name: "replica stopped",
        goal: Goal { raw: 0.18, ..GOAL },
        world: stopped,
    },
    Scenario {
        name: "replica blocked",
        goal: Goal { raw: 0.18, ..GOAL },
        world: blocked,
    },
    Scenario {
        name: "burst",
        goal: GOAL,
        world: burst,
    },
    Scenario {
        name: "big transaction",
        goal: GOAL,
        world: transaction,
    },
    Scenario {
        name: "monitor cut off",
        goal: GOAL,
        world: isolated,
    },
];

fn calm(rng: &mut Rng, load: Load, delay: Nanos) -> World {
    World::new(rng, load, END, 1_000_000, World::shape(delay), Vec::new())
}

fn broken(rng: &mut Rng, kind: OutageKind) -> World {
    let outage = Outage::new(HIT + rng.i64(0..SEC), HEAL + rng.i64(0..SEC), kind);
    World::new(
        rng,
        Load::Steady,
        END,
        1_000_000,
        World::shape(40 * MS),
        vec![outage],
    )
}

fn stopped(rng: &mut Rng) -> World {
    let from = HIT + rng.i64(0..SEC);
    let outage = Outage::new(from, from + 15 * SEC, OutageKind::ReplicaStopped);
    World::new(
        rng,
        Load::Steady,
        END,
        1_000_000,
        World::shape(40 * MS),
        vec![outage],
    )
}

/// Long scripts: the replica answers nothing for one, three and six seconds.
fn blocked(rng: &mut Rng) -> World {
    let blocks = [(12, 1), (20, 3), (30, 6)].map(|(from, for_)| {
        let from = from * SEC + rng.i64(0..SEC);
        Outage::new(from, from + for_ * SEC, OutageKind::ReplicaStopped)
    });
    World::new(
        rng,
        Load::Steady,
        END,
        1_000_000,
        World::shape(40 * MS),
        blocks.to_vec(),
    )
}

/// Half of what is written fits through; then it drains at three times the rate of writing.
fn throttled(rng: &mut Rng) -> World {
    let turn = HIT + 18 * SEC;
    let outages = vec![
        Outage::new(HIT, turn, OutageKind::Throttle { rate: 3_000 }),
        Outage::new(turn, turn + 12 * SEC, OutageKind::Throttle { rate: 20_000 }),
    ];
    World::new(
        rng,
        Load::Steady,
        END,
        1_000_000,
        World::shape(40 * MS),
        outages,
    )
}

/// 16 MB within 50 ms over a link that passes 2 MB a second, among small writes.
fn burst(rng: &mut Rng) -> World {
    let at = HIT + rng.i64(0..SEC);
    let chunks = (0..16).map(|i| (at + i * 3 * MS, 1_000_000, true));
    World::of_writes(
        &among_small_writes(rng, chunks),
        1_000_000,
        SLOW,
        Vec::new(),
    )
}

/// The same as one transaction: it arrives piece by piece and is applied all at once.
fn transaction(rng: &mut Rng) -> World {
    let at = HIT + rng.i64(0..SEC);
    let chunks = (0..16).map(|i| (at, 1_000_000, i == 15));
    World::of_writes(
        &among_small_writes(rng, chunks),
        1_000_000,
        SLOW,
        Vec::new(),
    )
}

const SLOW: Shape = Shape {
    delay: 40 * MS,
    rate: 2_000_000,
};

fn among_small_writes(rng: &mut Rng, more: impl Iterator<Item = (Nanos, u64, bool)>) -> Vec<Write> {
    let mut before = 0;
    let small = Load::Steady
        .writes(rng, -5 * SEC, END, 0)
        .into_iter()
        .map(|write| {
            let size = write.offset - std::mem::replace(&mut before, write.offset);
            (write.at, size, true)
        });
    let mut sizes: Vec<_> = small.chain(more).collect();
    sizes.sort_by_key(|(at, _, _)| *at);
    let mut offset = 1_000_000;
    let write = |(at, size, applies)| {
        offset += size;
        Write {
            at,
            offset,
            applies,
        }
    };
    sizes.into_iter().map(write).collect()
}

fn isolated(rng: &mut Rng) -> World {
    let mut world = calm(rng, Load::Steady, 40 * MS);
    let from = HIT + rng.i64(0..SEC);
    world.cut_off.push((Server::Replica, from, from + 12 * SEC));
    world
}

/// What a run, or several, came to.
#[derive(Default)]
struct Score {
    /// Raw and settled errors, in seconds.
    raw: Vec<f64>,
    settled: Vec<f64>,
    /// Scrapes without an estimate.
    absent: u64,
    /// Scrapes whose interval does not hold the truth.
    outside: u64,
    /// How late each crossing of the threshold was seen, in seconds.
    delays: Vec<f64>,
    missed: u64,
    false_alarms: u64,
}

fn lag_at(world: &World, t: Nanos) -> Option<Nanos> {
    match world.truth(t) {
        Truth::Comparable { lag, .. } => Some(lag),
        Truth::Closed { .. } | Truth::None => None,
    }
}

/// The least and the greatest of what was true in the time before `t`.
fn recent(world: &World, t: Nanos, time: Nanos) -> (Nanos, Nanos) {
    let steps = (0..=time / (5 * MS)).filter_map(|i| lag_at(world, t - i * 5 * MS));
    steps.fold((Nanos::MAX, Nanos::MIN), |(least, most), lag| {
        (least.min(lag), most.max(lag))
    })
}

/// Whether the truth is above the threshold, and since when; and whether it was seen.
#[derive(Default)]
struct Crossing {
    since: Option<Nanos>,
    seen: bool,
}

impl Score {
    fn look(&mut self, look: &Look<'_>, crossing: &mut Crossing) {
        let Some(truth) = lag_at(look.world, look.now) else {
            return;
        };
        let Some(estimate) = look.seen.lag.estimate.map(Span::as_nanos) else {
            self.absent += 1;
            return;
        };
        let (least, most) = recent(look.world, look.now, SETTLED);
        self.raw.push((estimate - truth).abs() as f64 / 1e9);
        self.settled
            .push((estimate - most).max(least - estimate).max(0) as f64 / 1e9);
        let upper = look.seen.lag.upper.map_or(Nanos::MAX, Span::as_nanos);
        let lower = look.seen.lag.lower.map_or(0, Span::as_nanos);
        self.outside +=
            u64::from(upper < least || lower > recent(look.world, look.now, 1100 * MS).1);
        self.judge_threshold(look, truth, estimate, crossing);
    }

    fn judge_threshold(
        &mut self,
        look: &Look<'_>,
        truth: Nanos,
        estimate: Nanos,
        crossing: &mut Crossing,
    ) {
        let above = estimate >= THRESHOLD;
        if truth < THRESHOLD {
            self.missed += u64::from(crossing.since.is_some() && !crossing.seen);
            *crossing = Crossing::default();
            self.false_alarms +=
                u64::from(above && recent(look.world, look.now, SEC).1 < THRESHOLD - UNCERTAIN);
            return;
        }
        let since = *crossing.since.get_or_insert(look.now - (truth - THRESHOLD));
        if above && !std::mem::replace(&mut crossing.seen, true) {
            self.delays.push((look.now - since).max(0) as f64 / 1e9);
        }
    }

    fn add(&mut self, other: Self) {
        self.raw.extend(other.raw);
        self.settled.extend(other.settled);
        self.delays.extend(other.delays);
        self.absent += other.absent;
        self.outside += other.outside;
        self.missed += other.missed;
        self.false_alarms += other.false_alarms;
    }
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        values.iter().sum::<f64>() / values.len() as f64
    }
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn p99(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(0.0)
}

fn measure(scenario: &Scenario, seed: u64) -> Score {
    let mut score = Score::default();
    let mut crossing = Crossing::default();
    let world = (scenario.world)(&mut Rng::with_seed(seed));
    Driver::new(world, LABORATORY, seed).run(END, |look| {
        oracle::check(look);
        if look.now >= FROM {
            score.look(look, &mut crossing);
        }
    });
    score
}

fn print(name: &str, score: &Score, worst_raw: f64, worst_settled: f64) {
    println!(
        "{name:16} raw {:.4} (worst phase {worst_raw:.4}) p99 {:.3}   settled {:.4} ({worst_settled:.4}) p99 {:.3}   \
         5 s: {:.2}/{:.2} s, missed {}, false {}   absent {}, outside {}",
        mean(&score.raw),
        p99(&score.raw),
        mean(&score.settled),
        p99(&score.settled),
        mean(&score.delays),
        greatest(&score.delays),
        score.missed,
        score.false_alarms,
        score.absent,
        score.outside,
    );
}

/// `SIM_RUNS=16 SIM_SCENARIO=burst cargo test --release --test simulation accuracy -- --nocapture`
/// looks closer at one.
#[test]
fn the_estimate_is_within_the_promised_distance_of_the_truth() {
    let phases = std::env::var("SIM_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(PHASES);
    let only = std::env::var("SIM_SCENARIO").ok();
    let mut pooled = Score::default();
    for scenario in SCENARIOS
        .iter()
        .filter(|s| only.as_ref().is_none_or(|only| s.name == only))
    {
        let (mut all, mut worst_raw, mut worst_settled) = (Score::default(), 0.0_f64, 0.0_f64);
        for seed in 0..phases {
            let score = measure(scenario, seed);
            (worst_raw, worst_settled) = (
                worst_raw.max(mean(&score.raw)),
                worst_settled.max(mean(&score.settled)),
            );
            all.add(score);
        }
        print(scenario.name, &all, worst_raw, worst_settled);
        judge(scenario, &all);
        pooled.add(all);
    }
    print("pooled", &pooled, 0.0, 0.0);
}

fn judge(scenario: &Scenario, score: &Score) {
    let Scenario { name, goal, .. } = scenario;
    let (raw, settled) = (mean(&score.raw), mean(&score.settled));
    assert!(
        settled <= goal.settled && raw <= goal.raw,
        "{name}: settled {settled}, raw {raw}"
    );
    assert_eq!(
        (score.outside, score.absent),
        (0, 0),
        "{name}: the truth outside of the interval; no estimate"
    );
    assert_eq!(
        (score.missed, score.false_alarms),
        (0, 0),
        "{name}: missed and false alarms"
    );
    assert!(
        greatest(&score.delays) <= 0.8,
        "{name}: detected {} s late",
        greatest(&score.delays)
    );
}
