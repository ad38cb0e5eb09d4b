//! Predictions beside the truth, in virtual time: masters with different loads are polled, their
//! links are cut, and replicas drain what they missed.

use fastrand::Rng;
use redis_cross_dc_exporter::model::{Bytes, ReplicationId, ReplicationOffset, Span, Timestamp};
use redis_cross_dc_exporter::replication::{
    CatchUp, DrainSpeed, HistoryLimits, MasterHistory, MasterSample,
};

use crate::loads::{Load, Write};
use crate::seeds::for_seeds;
use crate::world::{MS, Nanos, SEC};

/// How long a master is watched; links are cut in the second half.
const DURATION: Nanos = 1200 * SEC;
/// The master goes on for so long.
const UNTIL: Nanos = 3 * DURATION;

/// What one load's cuts came to.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    cuts: usize,
    /// Cuts for which the worst estimate was longer than it really took.
    optimistic: usize,
    /// The same for the mean rate of the last minutes.
    optimistic_mean: usize,
}

fn offset_at(writes: &[Write], at: Nanos) -> u64 {
    let later = writes.partition_point(|write| write.at <= at);
    later.checked_sub(1).map_or(1, |last| writes[last].offset)
}

/// When the master had written `bytes` more than at `from`.
fn written_by(writes: &[Write], from: Nanos, bytes: u64) -> Option<Nanos> {
    let beyond = offset_at(writes, from) + bytes;
    let place = writes.partition_point(|write| write.offset <= beyond);
    writes.get(place).map(|write| write.at)
}

fn sample(writes: &[Write], at: Nanos) -> MasterSample {
    MasterSample {
        replid: ReplicationId::parse(&"a".repeat(40)).expect("an ID"),
        continues: None,
        offset: ReplicationOffset::new(offset_at(writes, at)),
        backlog_active: true,
        sent: Timestamp::from_nanos(at - 2 * MS),
        received: Timestamp::from_nanos(at + 2 * MS),
        beginning: None,
    }
}

/// Cuts the link again and again, with a backlog that holds about so many seconds of the mean.
fn score(load: Load, rng: &mut Rng, seconds: f64) -> Score {
    let writes = load.writes(rng, 0, UNTIL, 1);
    let mean = offset_at(&writes, DURATION) as f64 / (DURATION / SEC) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a positive number
    let backlog = (mean * seconds) as u64;
    let mut history = MasterHistory::new(HistoryLimits::default());
    let mut score = Score::default();
    let mut now = 0;
    while now < DURATION {
        now += SEC + rng.i64(-30 * MS..30 * MS);
        history.observe(&sample(&writes, now));
        if now < DURATION / 2 {
            continue;
        }
        let cut = now + rng.i64(5 * MS..900 * MS);
        let Some(ended) = written_by(&writes, cut, backlog) else {
            continue;
        };
        let truth = (ended - cut) as f64 / SEC as f64;
        let peaks = history.write_peaks();
        let worst = peaks.shortest_time_for(Bytes::new(backlog));
        score.cuts += 1;
        if worst.is_some_and(|worst| worst.as_secs_f64() > truth) {
            score.optimistic += 1;
        }
        score.optimistic_mean += usize::from(seconds > truth);
    }
    score
}

/// At most 2 % of thousands of cuts end in a full resync before the worst estimate says so; by the
/// mean it would be a third of them.
#[test]
fn the_worst_headroom_is_hardly_ever_too_long() {
    let mut all = Score::default();
    for_seeds("the_worst_headroom_is_hardly_ever_too_long", 4, |seed| {
        let mut rng = Rng::with_seed(seed);
        for load in [Load::Steady, Load::Bursts, Load::OnOff, Load::Transactions] {
            for seconds in [8.0, 60.0, 300.0] {
                let one = score(load, &mut rng, seconds);
                println!("{seed} {load:?} {seconds} s: {one:?}");
                all.cuts += one.cuts;
                all.optimistic += one.optimistic;
                all.optimistic_mean += one.optimistic_mean;
            }
        }
    });
    assert!(all.cuts > 1000, "{all:?}");
    assert!(all.optimistic * 50 <= all.cuts, "{all:?}");
    assert!(
        all.optimistic_mean * 10 > all.cuts,
        "the loads are too even to show anything: {all:?}"
    );
}

/// What was foreseen of the drains of one load.
#[derive(Clone, Copy, Debug, Default)]
struct DrainScore {
    /// Moments at which something was foreseen.
    moments: usize,
    /// With a single number.
    numbers: usize,
    /// Of those, within a quarter of the truth.
    close: usize,
    /// With the truth in the range.
    in_range: usize,
}

impl DrainScore {
    fn add(&mut self, foreseen: CatchUp, left: f64) {
        let Some(earliest) = foreseen.earliest else {
            return;
        };
        self.moments += 1;
        let latest = foreseen.latest.map_or(f64::MAX, Span::as_secs_f64);
        self.in_range += usize::from((earliest.as_secs_f64()..=latest).contains(&left));
        if let Ok(expected) = foreseen.expected {
            self.numbers += 1;
            let off = (expected.as_secs_f64() - left).abs();
            self.close += usize::from(off <= left * 0.25);
        }
    }
}

/// One moment of a drain, about a second after the one before.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Nanos,
    applied: f64,
    lacks: f64,
}

/// The moments of a drain of what a stall from `cut` on held back, and when the replica had
/// everything. `line` is in bytes a second; `None` where it takes too long.
fn drain(writes: &[Write], cut: Nanos, heal: Nanos, line: f64) -> Option<(Vec<Moment>, Nanos)> {
    const STEP: Nanos = 10 * MS;
    let mut applied = offset_at(writes, cut) as f64;
    let mut moments = Vec::new();
    let mut now = heal;
    while now < heal + 300 * SEC {
        now += STEP;
        let written = offset_at(writes, now) as f64;
        applied = written.min(applied + line * STEP as f64 / SEC as f64);
        if applied >= written {
            return Some((moments, now));
        }
        if (now - heal) % SEC == 0 {
            moments.push(Moment {
                at: now,
                applied,
                lacks: written - applied,
            });
        }
    }
    None
}

fn slope(earlier: Moment, later: Moment, value: impl Fn(Moment) -> f64) -> f64 {
    let passed = (later.at - earlier.at) as f64 / SEC as f64;
    (value(later) - value(earlier)) / passed
}

fn score_drain(load: Load, rng: &mut Rng, score: &mut DrainScore) {
    let cut = 60 * SEC + rng.i64(0..400 * SEC);
    let heal = cut + rng.i64(10 * SEC..90 * SEC);
    let until = heal + 400 * SEC;
    let writes = load.writes(rng, 0, until, 1);
    let mean = offset_at(&writes, heal) as f64 / (heal / SEC) as f64;
    let line = mean * (1.5 + 4.0 * rng.f64());
    let Some((moments, end)) = drain(&writes, cut, heal, line) else {
        return;
    };
    let mut history = MasterHistory::new(HistoryLimits::default());
    let mut polled = 0;
    for place in 2..moments.len() {
        let now = moments[place];
        while polled < now.at {
            polled += SEC;
            history.observe(&sample(&writes, polled));
        }
        let since = moments[place.saturating_sub(7)];
        let speed = DrainSpeed {
            applies: slope(since, now, |moment| moment.applied),
            shrinks: -slope(since, now, |moment| moment.lacks),
        };
        let left = (end - now.at) as f64 / SEC as f64;
        if speed.shrinks <= 0.0 || left < 2.0 {
            continue;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a positive number
        let lacks = Bytes::new(now.lacks as u64);
        let course = history.write_course();
        score.add(CatchUp::foresee(lacks, speed, &course), left);
    }
}

/// Of the numbers at least four of five are within a quarter of the truth, and where there is no
/// number the range says what may happen. The loads that are nothing but bursts get few numbers.
#[test]
fn a_drain_ends_when_it_is_foreseen_or_there_is_no_number() {
    let mut numbers = 0;
    let mut close = 0;
    for load in [Load::Steady, Load::Bursts, Load::OnOff, Load::Transactions] {
        let mut all = DrainScore::default();
        for_seeds(
            "a_drain_ends_when_it_is_foreseen_or_there_is_no_number",
            120,
            |seed| {
                let mut rng = Rng::with_seed(seed);
                score_drain(load, &mut rng, &mut all);
            },
        );
        println!("{load:?}: {all:?}");
        assert!(all.moments > 100, "{load:?}: {all:?}");
        assert!(all.close * 3 >= all.numbers * 2, "{load:?}: {all:?}");
        assert!(all.in_range * 4 >= all.moments * 3, "{load:?}: {all:?}");
        numbers += all.numbers;
        close += all.close;
        if load == Load::Steady {
            assert!(all.numbers * 10 >= all.moments * 9, "{load:?}: {all:?}");
        }
    }
    assert!(close * 5 >= numbers * 4, "{close} of {numbers}");
}
