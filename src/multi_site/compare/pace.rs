//! How fast a comparison goes: pure.

use std::time::Duration;

use crate::active_active::Direction;

/// Names that SCAN is asked for at once on the way back, where no values are read: the server is busy for some
/// 3 ms with them.
pub(super) const PAGE_OF_NAMES: usize = 2000;

/// What a page costs at least, in keys: SCAN goes through as many however few of them match.
const LEAST_COST: u64 = 400;

/// So many names on the way back cost as much as one key with its value.
const NAMES_PER_KEY: u64 = 8;

/// From so many times its least duration on a page counts as slow.
const SLOW_FACTOR: u32 = 4;

/// A page that takes less is never slow: schedulers alone make such differences.
const NEVER_SLOW: Duration = Duration::from_millis(10);

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
    /// The shortest time in which a page of each direction came.
    least: [Option<Duration>; 2],
}

impl Pacer {
    pub(super) const fn new(pace: Pace, now: Duration) -> Self {
        Self {
            pace,
            started: now,
            cost: 0,
            least: [None; 2],
        }
    }

    /// A page of a direction's source has come, with so many keys, after so long. A server or a link
    /// that has become slow is asked half as much.
    pub(super) fn note_page(&mut self, direction: Direction, keys: usize, took: Duration) {
        let keys = keys as u64;
        let cost = match direction {
            Direction::FirstToSecond => keys.max(LEAST_COST),
            Direction::SecondToFirst => keys.max(PAGE_OF_NAMES as u64) / NAMES_PER_KEY,
        };
        self.cost += if self.is_slow(direction, took) {
            2 * cost
        } else {
            cost
        };
    }

    /// Whether a page that took so long was slow, compared with the fastest one.
    fn is_slow(&mut self, direction: Direction, took: Duration) -> bool {
        let [there, back] = &mut self.least;
        let least = match direction {
            Direction::FirstToSecond => there,
            Direction::SecondToFirst => back,
        };
        let fastest = least.map_or(took, |least| least.min(took));
        *least = Some(fastest);
        took > (fastest * SLOW_FACTOR).max(NEVER_SLOW)
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
    fn a_slow_page_costs_twice_as_much() {
        let mut pacer = pacer();
        pacer.note_page(THERE, 1000, Duration::from_millis(80));
        // A page of the other direction has a time of its own.
        pacer.note_page(BACK, 2000, Duration::from_millis(1));
        let before = rest(&pacer);
        pacer.note_page(THERE, 1000, Duration::from_millis(320));
        assert_eq!(rest(&pacer), before + Duration::from_secs(1));
        pacer.note_page(THERE, 1000, Duration::from_millis(321));
        assert_eq!(rest(&pacer), before + Duration::from_secs(3));
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
