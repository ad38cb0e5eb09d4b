//! The most that a master wrote within any window of a length, as the table shows it.

use super::OffsetHistory;
use crate::model::{Bytes, Span};

impl OffsetHistory {
    /// How long the master was polled: from the first record to the newest poll.
    pub fn length(&self) -> Option<Span> {
        let first = self.plateaus.first()?;
        let newest = self.plateaus.last()?;
        Some((newest.last_sent - first.first_seen).or_zero())
    }

    /// The most bytes that the master can have written within any `window` of the table: at the wider
    /// end of what the polls prove, so at most a poll's distance too long at either side. `None`
    /// while the table has fewer than two records or is shorter than `window`.
    pub fn most_written_within(&self, window: Span) -> Option<Bytes> {
        if self.length()? < window {
            return None;
        }
        let mut most = Bytes::ZERO;
        let mut last = 0;
        for (index, plateau) in self.plateaus.iter().enumerate() {
            // A window that begins just before the next record was seen may begin at this offset.
            let Some(next) = self.plateaus.get(index + 1) else {
                break;
            };
            let end = next.first_seen + window;
            while self.plateaus.get(last).is_some_and(|p| p.last_sent < end) {
                last += 1;
            }
            // The record that was still shown at the end of the window bounds what was reached by
            // then; after the newest poll nothing is known.
            let reached = self.plateaus.get(last).or(self.plateaus.last())?;
            most = most.max(reached.offset.since(plateau.offset));
        }
        Some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::super::HistoryLimits;
    use super::*;
    use crate::model::{ReplicationOffset, Timestamp};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// A table of polls, each at a second and with an offset.
    fn table(polls: &[(i64, u64)]) -> OffsetHistory {
        let mut history = OffsetHistory::new(HistoryLimits::default());
        for (second, offset) in polls {
            let offset = ReplicationOffset::new(*offset);
            history.insert(at(*second), at(*second), offset);
        }
        history
    }

    #[test]
    fn a_burst_is_found_wherever_it_was() {
        let mut polls = Vec::new();
        let mut offset = 0;
        for second in 0..600 {
            offset += if (200..210).contains(&second) {
                1000
            } else {
                1
            };
            polls.push((second, offset));
        }
        let history = table(&polls);
        assert_eq!(history.length(), Some(Span::from_secs(599)));
        let most = |secs| history.most_written_within(Span::from_secs(secs)).unwrap();
        let burst = most(60).get();
        assert!((10_000..=10_060).contains(&burst), "{burst}");
        // Old polls were merged to within 1 % of their age, which is 4 s here.
        let part = most(5).get();
        assert!((5000..=10_000).contains(&part), "{part}");
        assert_eq!(history.most_written_within(Span::from_secs(600)), None);
    }

    #[test]
    fn an_idle_master_writes_nothing() {
        let history = table(&[(0, 7), (100, 7), (200, 7)]);
        let most = history.most_written_within(Span::from_secs(60));
        assert_eq!(most, Some(Bytes::ZERO));
        assert_eq!(table(&[]).most_written_within(Span::from_secs(1)), None);
    }

    /// No window that the polls themselves span holds more than the peak says.
    #[test]
    fn no_window_between_two_polls_holds_more() {
        for seed in 1_u64..50 {
            let mut state = seed;
            let mut random = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state >> 33
            };
            let mut polls = Vec::new();
            let mut offset = 0;
            for second in 0..300 {
                if random() % 3 == 0 {
                    offset += random() % 10_000;
                }
                polls.push((second, offset));
            }
            let history = table(&polls);
            for window in [1, 7, 60] {
                let span = Span::from_secs(window);
                let most = history.most_written_within(span).unwrap().get();
                for (from, first) in &polls {
                    for (until, second) in &polls {
                        if (0..=window).contains(&(until - from)) {
                            assert!(second - first <= most, "seed {seed}, window {window}");
                        }
                    }
                }
            }
        }
    }
}
