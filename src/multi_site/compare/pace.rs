//! How fast a comparison goes: pure.

use std::time::Duration;

use crate::active_active::Direction;

/// Names that SCAN is asked for at once on the way back, where no values are read: the server is
/// busy for some 3 ms with them.
pub(super) const PAGE_OF_NAMES: usize = 2000;

/// What a page costs at least, in keys: SCAN goes through as many however few of them match.
const LEAST_COST: u64 = 400;

/// So many names on the way back cost as much as one key with its value.
const NAMES_PER_KEY: u64 = 8;

/// A page that takes so many times as long as the fastest one is late.
const LATE_FACTOR: u32 = 4;

/// A page that takes less is never late: schedulers alone make such differences.
const NEVER_LATE: Duration = Duration::from_millis(10);

/// How fast a comparison goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// At most so many keys a second; none without a limit.
    pub keys_per_second: Option<u32>,
    /// How long after the first look a difference has to last to be settled.
    pub settle: Duration,
}

/// Keeps a comparison to its pace.
pub(super) struct Pacer {
    pace: Pace,
    started: Duration,
    /// What the servers were asked for, in keys.
    cost: u64,
    there: PageTimes,
    back: PageTimes,
}

/// How fast the pages of one direction came.
struct PageTimes {
    fastest: Option<Duration>,
    was_late: bool,
}

impl PageTimes {
    const fn new() -> Self {
        Self {
            fastest: None,
            was_late: false,
        }
    }

    /// Whether the server or the link has become slow: this page came late, and the one before it.
    /// A single one is as often this program's own lateness, or a fork of the server.
    fn is_slow(&mut self, took: Duration) -> bool {
        let fastest = self.fastest.map_or(took, |fastest| fastest.min(took));
        self.fastest = Some(fastest);
        let is_late = took > (fastest * LATE_FACTOR).max(NEVER_LATE);
        let is_slow = is_late && self.was_late;
        self.was_late = is_late;
        is_slow
    }
}

impl Pacer {
    pub(super) const fn new(pace: Pace, now: Duration) -> Self {
        Self {
            pace,
            started: now,
            cost: 0,
            there: PageTimes::new(),
            back: PageTimes::new(),
        }
    }

    /// A page of a direction's source has come after so long, and so many of its keys are to be
    /// compared. A server or a link that has become slow is asked half as much.
    pub(super) fn note_page(&mut self, direction: Direction, keys: usize, took: Duration) {
        let keys = keys as u64;
        let cost = match direction {
            Direction::FirstToSecond => keys.max(LEAST_COST),
            Direction::SecondToFirst => keys.max(PAGE_OF_NAMES as u64) / NAMES_PER_KEY,
        };
        let times = match direction {
            Direction::FirstToSecond => &mut self.there,
            Direction::SecondToFirst => &mut self.back,
        };
        let factor = if times.is_slow(took) { 2 } else { 1 };
        self.cost += factor * cost;
    }

    /// How long to rest before the next page; none where it is due.
    pub(super) fn early(&self, now: Duration) -> Option<Duration> {
        let rate = self.pace.keys_per_second.filter(|rate| *rate > 0)?;
        let due = self.started + Duration::from_secs_f64(self.cost as f64 / f64::from(rate));
        due.checked_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: Direction = Direction::FirstToSecond;
    const BACK: Direction = Direction::SecondToFirst;

    fn pacer() -> Pacer {
        let pace = Pace {
            keys_per_second: Some(1000),
            settle: Duration::from_secs(1),
        };
        Pacer::new(pace, Duration::ZERO)
    }

    fn rest(pacer: &Pacer) -> Duration {
        pacer.early(Duration::ZERO).unwrap_or_default()
    }

    #[test]
    fn pages_cost_what_they_have_and_at_least_what_scan_goes_through() {
        let fast = Duration::from_millis(1);
        let mut pacer = pacer();
        pacer.note_page(THERE, 1000, fast);
        assert_eq!(rest(&pacer), Duration::from_secs(1));
        pacer.note_page(THERE, 3, fast);
        assert_eq!(rest(&pacer), Duration::from_millis(1400));
        pacer.note_page(BACK, 2000, fast);
        assert_eq!(rest(&pacer), Duration::from_millis(1650));
        pacer.note_page(BACK, 0, fast);
        assert_eq!(rest(&pacer), Duration::from_millis(1900));
        assert_eq!(pacer.early(Duration::from_secs(2)), None);
    }

    #[test]
    fn pages_that_keep_coming_late_cost_twice_as_much() {
        let mut pacer = pacer();
        pacer.note_page(THERE, 1000, Duration::from_millis(80));
        // The pages of the other direction have times of their own.
        pacer.note_page(BACK, 2000, Duration::from_millis(1));
        let mut before = rest(&pacer);
        let mut cost_of = |milliseconds| {
            pacer.note_page(THERE, 1000, Duration::from_millis(milliseconds));
            let cost = rest(&pacer).saturating_sub(before);
            before += cost;
            cost.as_secs()
        };
        assert_eq!(cost_of(320), 1, "four times the fastest is not late");
        assert_eq!(cost_of(321), 1, "one late page is nothing");
        assert_eq!(cost_of(321), 2);
        assert_eq!(cost_of(500), 2);
        assert_eq!(cost_of(80), 1);
        assert_eq!(cost_of(500), 1);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let pace = Pace {
            keys_per_second: None,
            settle: Duration::ZERO,
        };
        let mut pacer = Pacer::new(pace, Duration::ZERO);
        pacer.note_page(THERE, 1_000_000, Duration::ZERO);
        assert_eq!(pacer.early(Duration::ZERO), None);
    }
}
