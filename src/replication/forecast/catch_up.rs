//! How long until a replica that is behind has everything.
//!
//! What it applies a second is what its line and its processor allow, and changes little. What its
//! master writes meanwhile is the question: a burst may come, or not. So the last minutes of the
//! master are replayed from every moment that resembles the present one, and each replay ends when
//! the replica would have caught up. Where the replays agree there is a number; where they do not,
//! there is only the range in which they end.

use super::super::assess::Assessment;
use super::super::drain::{BEHIND_FROM, DrainSpeed};
use super::super::no_forecast::NoForecast;
use super::super::pair::ForecastFacts;
use super::super::state::PairState;
use super::super::write_course::{SLOT, WriteCourse};
use super::Writes;
use crate::model::{Bytes, Span, Timestamp};

/// With a shorter course (30 s) nothing can be said of the minutes to come.
const FEWEST_SLOTS: usize = 15;

/// By this many slots (6 s) a moment is compared with the present one.
const ALIKE: usize = 3;

/// At least this many replays, and half of all if that is more: fewer often agree by chance.
const FEWEST_REPLAYS: usize = 8;

/// The part of the replays before the range, and behind it.
const OUTSIDE: f64 = 0.1;

/// The range is wider by this on either side: that much is not known of the replica's own speed.
const UNSURE: f64 = 0.05;

/// One number stands for the range only where it is within this part of both of its ends.
const CLOSE: f64 = 0.25;

/// How long until a replica has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// The likeliest time, where it is as good as certain to within a quarter.
    pub expected: Result<Span, NoForecast>,
    /// It will hardly be sooner.
    pub earliest: Option<Span>,
    /// It will hardly be later; `None` where that is not known.
    pub latest: Option<Span>,
}

impl CatchUp {
    /// What is expected at `now` of a pair of which `seen` is true then.
    pub(super) fn new(
        facts: &ForecastFacts,
        seen: &Assessment,
        writes: &Writes,
        now: Timestamp,
    ) -> Self {
        let from_sample = lacking(seen).and_then(|lacks| {
            let speed = facts.drain.speed().ok_or(NoForecast::NotDraining)?;
            let course = writes.course.as_deref().ok_or(NoForecast::ShortHistory)?;
            Ok(Self::foresee(lacks, speed, course))
        });
        let since_sample = seen.sampled_at.map_or(Span::ZERO, |at| now - at);
        match from_sample {
            Ok(from_sample) => from_sample.after(since_sample),
            Err(why) => Self::unknown(why),
        }
    }

    /// How long a replica that lacks so much and catches up so fast takes, where its master goes on
    /// as it did in `course`.
    pub fn foresee(lacks: Bytes, speed: DrainSpeed, course: &WriteCourse) -> Self {
        let slots: Vec<f64> = course.slots().iter().map(|bytes| bytes.as_f64()).collect();
        let Some(Moments { starts, is_new }) = moments_alike(&slots) else {
            return Self::unknown(NoForecast::ShortHistory);
        };
        let replay = Replay::new(&slots, speed.applies);
        let mut replays = Vec::with_capacity(starts.len());
        for start in starts {
            replays.push(replay.end(start, lacks));
        }
        // Those that never end come last.
        replays.sort_by_key(|end| end.unwrap_or(NEVER));
        let as_before = Self::from_replays(&replays);
        if is_new {
            as_before.or_as_now(Span::from_secs_f64(lacks.as_f64() / speed.shrinks))
        } else {
            as_before
        }
    }

    fn from_replays(replays: &[Option<Span>]) -> Self {
        let at = |part: f64| {
            // `as` saturates, and neither has a sign.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let place = (replays.len() as f64 * part) as usize;
            replays.get(place).copied().flatten()
        };
        let earliest = at(OUTSIDE).map(|end| end.mul_f64(1.0 - UNSURE));
        let latest = at(1.0 - OUTSIDE).map(|end| end.mul_f64(1.0 + UNSURE));
        let expected = at(0.5).ok_or(NoForecast::Outpaced);
        Self {
            expected: expected.and_then(|expected| agreed(earliest, expected, latest)),
            earliest,
            latest,
        }
    }

    /// The same where the load of the last seconds is a new one: it may stay, and then everything
    /// is there after `now`, or go back to what it was.
    fn or_as_now(self, now: Span) -> Self {
        let soonest = now.mul_f64(1.0 - UNSURE);
        let earliest = self.earliest.map_or(soonest, |before| before.min(soonest));
        let latest = self
            .latest
            .map(|before| before.max(now.mul_f64(1.0 + UNSURE)));
        Self {
            expected: agreed(Some(earliest), now, latest),
            earliest: Some(earliest),
            latest,
        }
    }

    fn unknown(why: NoForecast) -> Self {
        Self {
            expected: Err(why),
            earliest: None,
            latest: None,
        }
    }

    /// The same when so much of the time has passed.
    fn after(self, passed: Span) -> Self {
        let left = |end: Span| (end - passed).or_zero();
        Self {
            expected: self.expected.map(left),
            earliest: self.earliest.map(left),
            latest: self.latest.map(left),
        }
    }
}

/// What the replica lacks, while it streams and is behind.
fn lacking(seen: &Assessment) -> Result<Bytes, NoForecast> {
    if seen.state != PairState::Streaming || seen.stale {
        return Err(NoForecast::NotStreaming);
    }
    let (Some(lag), Some(bytes)) = (seen.lag.estimate, seen.bytes.estimate) else {
        return Err(NoForecast::LagUnknown);
    };
    if lag < BEHIND_FROM || bytes == Bytes::ZERO {
        return Err(NoForecast::CaughtUp);
    }
    Ok(bytes)
}

/// The likeliest end, unless an end of the range is farther from it than a quarter.
fn agreed(
    earliest: Option<Span>,
    expected: Span,
    latest: Option<Span>,
) -> Result<Span, NoForecast> {
    let is_close = |end: Option<Span>| {
        let end = end?.as_secs_f64();
        Some((expected.as_secs_f64() - end).abs() <= end * CLOSE)
    };
    if is_close(earliest) == Some(true) && is_close(latest) == Some(true) {
        Ok(expected)
    } else {
        Err(NoForecast::Uneven)
    }
}

/// The moments of a course from which it may go on as it will go on now.
struct Moments {
    /// The slots at which they begin.
    starts: Vec<usize>,
    /// Whether the load of the last seconds was never seen before: it has ended, or one began. Then
    /// these are all moments.
    is_new: bool,
}

/// The half of all moments before which about as much was written as before the present one; `None`
/// where there are too few.
fn moments_alike(slots: &[f64]) -> Option<Moments> {
    if slots.len() < FEWEST_SLOTS {
        return None;
    }
    let (present, mut before) = windows(slots, ALIKE)?;
    let is_new = is_new_load(slots);
    if !is_new {
        // The newest first among equals.
        before.reverse();
        let unlike = |(written, _): &(f64, usize)| (written - present).abs();
        before.sort_by(|a, b| unlike(a).total_cmp(&unlike(b)));
        before.truncate(FEWEST_REPLAYS.max(before.len() / 2));
    }
    let starts = before.into_iter().map(|(_, start)| start).collect();
    Some(Moments { starts, is_new })
}

/// What was written in the last `length` slots, and in every other window of that length, each with
/// the slot behind it. Windows that share slots with the last one resemble it without meaning
/// anything: they are left out. `None` where no other is left.
fn windows(slots: &[f64], length: usize) -> Option<(f64, Vec<(f64, usize)>)> {
    let mut sums = Vec::with_capacity(slots.len());
    for (first, window) in slots.windows(length).enumerate() {
        sums.push((window.iter().sum::<f64>(), first + length));
    }
    let (present, _) = sums.pop()?;
    let others = slots.len().checked_sub(2 * length)? + 1;
    sums.truncate(others);
    Some((present, sums))
}

/// Whether less than half of the least was written lately, or more than twice the most, that any
/// window as long has seen. Of each length is the double one tried, too: the longer a load has
/// ended, the longer are the windows that have seen nothing like it.
fn is_new_load(slots: &[f64]) -> bool {
    let mut length = ALIKE;
    while let Some((present, before)) = windows(slots, length) {
        let sums = before.iter().map(|(written, _)| *written);
        let least = sums.clone().fold(f64::MAX, f64::min);
        let most = sums.fold(0.0, f64::max);
        if present < least / 2.0 || present > most * 2.0 {
            return true;
        }
        length *= 2;
    }
    false
}

/// Behind every other end.
const NEVER: Span = Span::from_nanos(i64::MAX);

fn span_of(seconds: f64) -> Option<Span> {
    seconds.is_finite().then(|| Span::from_secs_f64(seconds))
}

/// The writes of a course, and what a replica applies meanwhile, again and again.
struct Replay<'a> {
    slots: &'a [f64],
    /// What the replica applies in a slot.
    applies: f64,
    /// How much closer it comes in the whole course; not above zero where it does not.
    gains: f64,
}

impl<'a> Replay<'a> {
    fn new(slots: &'a [f64], bytes_per_second: f64) -> Self {
        let applies = bytes_per_second * SLOT.as_secs_f64();
        let written: f64 = slots.iter().sum();
        Self {
            slots,
            applies,
            gains: applies * slots.len() as f64 - written,
        }
    }

    /// How long it takes from `start` until nothing is lacking; `None` where that never ends.
    fn end(&self, start: usize, lacks: Bytes) -> Option<Span> {
        let mut lacks = lacks.as_f64();
        let mut passed = 0.0;
        // It may end in the first round even where the whole course brings it no closer. Rounds
        // that certainly do not end it need not be gone through.
        if let Some(end) = self.round(start, &mut lacks) {
            return span_of(end * SLOT.as_secs_f64());
        }
        if self.gains <= 0.0 {
            return None;
        }
        let length = self.slots.len() as f64;
        passed += length;
        let skipped = ((lacks / self.gains).floor() - 1.0).max(0.0);
        lacks -= skipped * self.gains;
        passed += skipped * length;
        for _ in 0..LAST_ROUNDS {
            if let Some(end) = self.round(start, &mut lacks) {
                return span_of((passed + end) * SLOT.as_secs_f64());
            }
            passed += length;
        }
        None
    }

    /// Goes once through the course from `start`, and returns after how many slots nothing was
    /// lacking.
    fn round(&self, start: usize, lacks: &mut f64) -> Option<f64> {
        let from_start = self.slots.iter().skip(start);
        let again = self.slots.iter().take(start);
        let mut passed = 0.0;
        for written in from_start.chain(again) {
            let closer = self.applies - written;
            if closer >= *lacks {
                return Some(passed + *lacks / closer);
            }
            *lacks -= closer;
            passed += 1.0;
        }
        None
    }
}

/// After the rounds that were skipped less than two are left; one more for what is rounded.
const LAST_ROUNDS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReplicationOffset;
    use crate::replication::history::{HistoryLimits, OffsetHistory};

    /// The course of a master that wrote so many bytes in each second, polled after each.
    fn course(per_second: impl IntoIterator<Item = u64>) -> WriteCourse {
        let mut history = OffsetHistory::new(HistoryLimits::default());
        let mut offset = 0;
        for (second, written) in (0_i64..).zip(per_second) {
            let at = Timestamp::from_nanos(second * 1_000_000_000);
            offset += written;
            history.insert(at, at, ReplicationOffset::new(offset));
        }
        WriteCourse::new(&history)
    }

    fn foresee(lacks: u64, applies: f64, course: &WriteCourse) -> CatchUp {
        let speed = DrainSpeed {
            applies,
            shrinks: applies / 2.0,
        };
        CatchUp::foresee(Bytes::new(lacks), speed, course)
    }

    fn about(span: Option<Span>, seconds: f64) -> bool {
        span.is_some_and(|span| (span.as_secs_f64() / seconds - 1.0).abs() < 0.02)
    }

    #[test]
    fn a_steady_load_makes_one_number() {
        let steady = course(std::iter::repeat_n(100, 200));
        let seen = foresee(12_000, 300.0, &steady);
        assert!(about(seen.expected.ok(), 60.0), "{seen:?}");
        assert!(about(seen.earliest, 57.0), "{seen:?}");
        assert!(about(seen.latest, 63.0), "{seen:?}");
        // Longer than all that is known of the load.
        let long = foresee(1_200_000, 300.0, &steady);
        assert!(about(long.expected.ok(), 6000.0), "{long:?}");
    }

    /// A quiet load with a burst each half minute that stops the replica for five seconds.
    fn bursts(seconds: u64) -> impl Iterator<Item = u64> {
        (0..seconds).map(|second| if second % 30 < 5 { 300 } else { 20 })
    }

    #[test]
    fn bursts_leave_a_range_unless_the_drain_is_much_longer() {
        // The last burst was a while ago: the next one may come at any time.
        let uneven = course(bursts(290));
        // 12 s without a burst, 17 s with one.
        let short = foresee(3400, 300.0, &uneven);
        assert_eq!(short.expected, Err(NoForecast::Uneven), "{short:?}");
        let earliest = short.earliest.unwrap().as_secs_f64();
        let latest = short.latest.unwrap().as_secs_f64();
        assert!((10.5..=13.0).contains(&earliest), "{short:?}");
        assert!((16.0..=19.0).contains(&latest), "{short:?}");
        let long = foresee(70_000, 300.0, &uneven);
        assert!(about(long.expected.ok(), 300.0), "{long:?}");
    }

    #[test]
    fn a_replica_that_is_outpaced_has_no_end() {
        let heavy = course((0..280).map(|second| if second % 40 < 35 { 500 } else { 0 }));
        let seen = foresee(1_000_000, 300.0, &heavy);
        assert_eq!(seen, CatchUp::unknown(NoForecast::Outpaced));
    }

    #[test]
    fn a_load_that_is_new_may_stay_or_go() {
        let check = |before: u64, now: u64, seconds: usize, range: [f64; 2]| {
            let course =
                course(std::iter::repeat_n(before, 150).chain(std::iter::repeat_n(now, seconds)));
            let speed = DrainSpeed {
                applies: 300.0,
                shrinks: 300.0 - now as f64,
            };
            let seen = CatchUp::foresee(Bytes::new(1500), speed, &course);
            assert_eq!(seen.expected, Err(NoForecast::Uneven), "{seen:?}");
            let earliest = seen.earliest.unwrap().as_secs_f64();
            let latest = seen.latest.unwrap().as_secs_f64();
            assert!((earliest / range[0] - 1.0).abs() < 0.06, "{seen:?}");
            assert!((latest / range[1] - 1.0).abs() < 0.06, "{seen:?}");
        };
        // 5 s without writes, 15 s with those of before.
        for since in [10, 20, 30, 60] {
            check(200, 0, since, [5.0, 15.0]);
        }
        check(10, 150, 10, [5.2, 10.0]);
        // With a line that is much faster than the load it is no matter.
        let ended = course(std::iter::repeat_n(20, 150).chain(std::iter::repeat_n(0, 10)));
        let speed = DrainSpeed {
            applies: 300.0,
            shrinks: 300.0,
        };
        let seen = CatchUp::foresee(Bytes::new(1500), speed, &ended);
        assert!(about(seen.expected.ok(), 5.0), "{seen:?}");
    }

    #[test]
    fn a_short_history_says_nothing() {
        let short = course(std::iter::repeat_n(100, 29));
        let seen = foresee(1000, 300.0, &short);
        assert_eq!(seen, CatchUp::unknown(NoForecast::ShortHistory));
        let none = foresee(1000, 300.0, &WriteCourse::default());
        assert_eq!(none.expected, Err(NoForecast::ShortHistory));
    }

    #[test]
    fn time_that_has_passed_is_not_left() {
        let seen = CatchUp {
            expected: Ok(Span::from_secs(10)),
            earliest: Some(Span::from_secs(8)),
            latest: Some(Span::from_secs(12)),
        };
        let later = seen.after(Span::from_secs(9));
        assert_eq!(later.expected, Ok(Span::from_secs(1)));
        assert_eq!(later.earliest, Some(Span::ZERO));
        assert_eq!(later.latest, Some(Span::from_secs(3)));
    }
}
