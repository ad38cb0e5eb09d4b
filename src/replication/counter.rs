//! Counters that go on over restarts of the server, and the highest value of the last minute.

use crate::model::{RunId, Span, Timestamp};

/// A counter that only rises, made of a server's own counter, which starts again at a restart or a
/// `CONFIG RESETSTAT`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartProofCounter {
    total: Option<u64>,
    last: u64,
    /// The process that counted `last`.
    process: Option<RunId>,
}

impl RestartProofCounter {
    /// Records the server's `value` in the process `run_id`. The first value counts in full.
    pub fn observe(&mut self, value: u64, run_id: Option<&RunId>) {
        let is_other_process = match (&self.process, run_id) {
            (Some(before), Some(now)) => before != now,
            _ => false,
        };
        let restarted = is_other_process || value < self.last;
        let grown = if restarted { value } else { value - self.last };
        let total = self.total.unwrap_or(0);
        self.total = Some(total.saturating_add(grown));
        self.last = value;
        if let Some(run_id) = run_id {
            self.process = Some(run_id.clone());
        }
    }

    /// Goes on from the `value` of another server that answers at the same address now: what that
    /// one counted before is not added.
    pub fn begin_at(&mut self, value: u64, run_id: Option<&RunId>) {
        self.total.get_or_insert(0);
        self.last = value;
        self.process = run_id.cloned();
    }

    /// The total; `None` before the first value.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Everything that is saved to continue the count after a restart of this program: the total,
    /// the server's last value and the process that it belongs to.
    pub fn parts(&self) -> (Option<u64>, u64, Option<&RunId>) {
        (self.total, self.last, self.process.as_ref())
    }

    /// The counter with these [`Self::parts`].
    pub fn from_parts(total: Option<u64>, last: u64, process: Option<RunId>) -> Self {
        Self {
            total,
            last,
            process,
        }
    }
}

/// The highest value of the last minute, in one-second steps and constant memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteMax {
    /// The highest value of each second, by second modulo 60, with the second it belongs to.
    seconds: Box<[(i64, Span); 60]>,
}

impl Default for MinuteMax {
    fn default() -> Self {
        Self {
            seconds: Box::new([(i64::MIN, Span::ZERO); 60]),
        }
    }
}

impl MinuteMax {
    /// Records `value` at `now`.
    pub fn observe(&mut self, value: Span, now: Timestamp) {
        let second = now.as_nanos().div_euclid(1_000_000_000);
        let index = usize::try_from(second.rem_euclid(60)).unwrap_or(0);
        let Some((of_second, highest)) = self.seconds.get_mut(index) else {
            return; // there are 60 of them
        };
        if *of_second == second {
            *highest = value.max(*highest);
        } else {
            *of_second = second;
            *highest = value;
        }
    }

    /// The highest value of the 60 s before `now`; `None` when there was none.
    pub fn get(&self, now: Timestamp) -> Option<Span> {
        let second = now.as_nanos().div_euclid(1_000_000_000);
        let last_minute = second - 59..=second;
        let mut max = None;
        for (of_second, highest) in &*self.seconds {
            if last_minute.contains(of_second) {
                max = max.max(Some(*highest));
            }
        }
        max
    }

    /// When the highest value of the 60 s before `now` leaves them; `None` when there was none.
    pub fn falls_at(&self, now: Timestamp) -> Option<Timestamp> {
        let max = self.get(now)?;
        let second = now.as_nanos().div_euclid(1_000_000_000);
        let last_minute = second - 59..=second;
        let mut newest = None;
        for (of_second, highest) in &*self.seconds {
            if *highest == max && last_minute.contains(of_second) {
                newest = newest.max(Some(*of_second));
            }
        }
        let leaves = newest?.saturating_add(60).saturating_mul(1_000_000_000);
        Some(Timestamp::from_nanos(leaves))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_continues_over_restarts_and_resets() {
        let (a, b) = (RunId::parse("a"), RunId::parse("b"));
        let mut counter = RestartProofCounter::default();
        assert_eq!(counter.total(), None);
        for (value, life, total) in [(3, &a, 3), (5, &a, 5), (1, &a, 6), (1, &b, 7), (4, &b, 10)] {
            counter.observe(value, life.as_ref());
            assert_eq!(counter.total(), Some(total));
        }
    }

    #[test]
    fn what_another_server_counted_before_is_not_added() {
        let (a, b) = (RunId::parse("a"), RunId::parse("b"));
        let mut counter = RestartProofCounter::default();
        counter.observe(3, a.as_ref());
        counter.begin_at(900, b.as_ref());
        assert_eq!(counter.total(), Some(3));
        counter.observe(901, b.as_ref());
        assert_eq!(counter.total(), Some(4));
    }

    #[test]
    fn the_maximum_of_a_minute_forgets_older_values() {
        let at = |secs: i64| Timestamp::from_nanos(secs * 1_000_000_000);
        let mut max = MinuteMax::default();
        assert_eq!(max.get(at(0)), None);
        max.observe(Span::from_secs(9), at(0));
        max.observe(Span::from_secs(2), at(0));
        max.observe(Span::from_secs(4), at(30));
        assert_eq!(max.get(at(30)), Some(Span::from_secs(9)));
        assert_eq!(max.get(at(60)), Some(Span::from_secs(4)));
        assert_eq!(max.get(at(95)), None);
        assert_eq!(max.falls_at(at(30)), Some(at(60)), "9 leaves");
        assert_eq!(max.falls_at(at(60)), Some(at(90)), "4 leaves");
        assert_eq!(max.falls_at(at(95)), None);
    }
}
