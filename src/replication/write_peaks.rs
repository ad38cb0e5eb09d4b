//! The most that a master has written in any window of a length, over the history that is kept.
//!
//! A cut of the link becomes a full resync when the master writes more than its backlog holds. How
//! soon that can be is a question about the worst minutes of the past and not about the average: a
//! nightly batch fills in a minute what lasts for hours during the day.

use std::array;
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use super::history::OffsetHistory;
use crate::model::{Bytes, Span, Timestamp};

/// How many lengths of windows there are up to the double of one. An answer is too short by up to
/// the distance of two of them, 19 %.
const STEPS_TO_DOUBLE: f64 = 4.0;

/// The lengths of windows: 1 s to 26 h.
const WINDOWS: usize = 67;

/// Windows are kept in groups by their end, so that old ones can be forgotten.
const GROUP: Span = Span::from_secs(6 * 3600);

/// How many groups are kept: 42 to 48 hours, as long as offsets are.
const GROUPS: i64 = 8;

/// A window tells nothing unless it is this many times the time between two polls: what was written
/// between them may have been written at any moment.
const GAPS: f64 = 2.0;

/// What of the time that was seen counts: the next burst may be a bit faster than those before.
const MARGIN: f64 = 0.9;

/// The most that a master has written in windows of each length.
#[derive(Clone, Debug, Default)]
pub(super) struct WritePeaks {
    groups: VecDeque<Group>,
    /// When the first window began.
    begun: Option<Timestamp>,
    /// The longest time between two polls since then.
    longest_gap: Span,
    known: Arc<PeakTable>,
}

/// The windows that ended within one span of [`GROUP`].
#[derive(Clone, Debug)]
struct Group {
    /// The end's time, in whole [`GROUP`]s.
    number: i64,
    most: [u64; WINDOWS],
}

/// W(t): for each length of a window, no window of it saw more bytes written than these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeakTable {
    /// Zero for a length of which nothing is known, or in which nothing was written.
    most: [u64; WINDOWS],
    since: Option<Timestamp>,
    /// The end of the history when the table was made.
    until: Option<Timestamp>,
}

impl Default for PeakTable {
    fn default() -> Self {
        Self {
            most: [0; WINDOWS],
            since: None,
            until: None,
        }
    }
}

impl WritePeaks {
    /// The table as it is now. Cheap: it is shared until it changes.
    pub(super) fn table(&self) -> Arc<PeakTable> {
        Arc::clone(&self.known)
    }

    /// Whether anything was observed or restored.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Records a poll that was answered at `received`, after one that was answered at `previous`;
    /// `history` holds both.
    pub(super) fn observe(
        &mut self,
        history: &OffsetHistory,
        previous: Timestamp,
        received: Timestamp,
    ) {
        let Some((newest, _)) = history.newest() else {
            return;
        };
        let begun = *self.begun.get_or_insert(previous);
        let gap = received - previous;
        self.longest_gap = self.longest_gap.max(gap);
        let mut is_more = self.known.since.is_none();
        for (place, length) in lengths().enumerate() {
            if length < gap.mul_f64(GAPS) {
                continue;
            }
            // Every window of this length that ended between the two polls began after this.
            let Some(before) = history.reached_by(previous - length) else {
                // It began before the history did: it saw all that the history has.
                let is_fine = received - begun >= self.longest_gap.mul_f64(GAPS);
                if let Some(first) = history.first_offset().filter(|_| is_fine) {
                    is_more |= self.record(place, newest.since(first), received);
                }
                break;
            };
            if length < before.gap.mul_f64(GAPS) {
                continue;
            }
            is_more |= self.record(place, newest.since(before.offset), received);
        }
        is_more |= self.forget_old(received);
        if is_more {
            self.publish(received);
        }
    }

    /// Records every window of a history from before a restart of the exporter.
    pub(super) fn restore(&mut self, history: &OffsetHistory) {
        let Some((_, end)) = history.newest() else {
            return;
        };
        for (place, length) in lengths().enumerate() {
            for grown in history.growth_within(length) {
                if length >= grown.gap.mul_f64(GAPS) {
                    self.record(place, grown.bytes, grown.at);
                }
            }
        }
        self.begun = earliest(self.begun, history.begins());
        self.forget_old(end);
        self.publish(end);
    }

    /// Records how much was written at most in a window. Returns whether that is more than was
    /// known.
    fn record(&mut self, place: usize, written: Bytes, at: Timestamp) -> bool {
        let number = at.as_nanos().div_euclid(GROUP.as_nanos());
        let group = self.groups.partition_point(|group| group.number < number);
        let is_there = self
            .groups
            .get(group)
            .is_some_and(|group| group.number == number);
        if !is_there {
            let most = [0; WINDOWS];
            self.groups.insert(group, Group { number, most });
        }
        if let Some(group) = self.groups.get_mut(group)
            && let Some(most) = group.most.get_mut(place)
        {
            *most = (*most).max(written.get());
        }
        self.known.most.get(place) < Some(&written.get())
    }

    /// Forgets windows that ended too long ago. Returns whether there were any.
    fn forget_old(&mut self, now: Timestamp) -> bool {
        let oldest = now.as_nanos().div_euclid(GROUP.as_nanos()) - GROUPS + 1;
        let mut has_changed = false;
        while self
            .groups
            .pop_front_if(|group| group.number < oldest)
            .is_some()
        {
            self.begun = Some(Timestamp::from_nanos(oldest * GROUP.as_nanos()));
            has_changed = true;
        }
        has_changed
    }

    fn publish(&mut self, now: Timestamp) {
        let mut most = [0; WINDOWS];
        for group in &self.groups {
            for (all, one) in most.iter_mut().zip(&group.most) {
                *all = (*all).max(*one);
            }
        }
        // A longer window contains a shorter one: where both are known, it saw no less.
        let mut highest = 0;
        for one in most.iter_mut().filter(|one| **one > 0) {
            highest = highest.max(*one);
            *one = highest;
        }
        self.known = Arc::new(PeakTable {
            most,
            since: self.begun,
            until: Some(now),
        });
    }
}

impl PeakTable {
    /// Since when writes were watched; `None` before the second poll.
    pub const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// In less than this, and a tenth more, no window of the history saw `bytes` written; `None`
    /// where nothing was written at all.
    ///
    /// More than the longest window saw takes several of them: W(a + b) is at most W(a) + W(b).
    pub fn shortest_time_for(&self, bytes: Bytes) -> Option<Span> {
        let mut longest = None;
        for (length, most) in self.known() {
            longest = Some((length, most));
        }
        let (length, most) = longest?;
        let whole = bytes.get().saturating_sub(1) / most;
        let rest = bytes.get() - whole * most;
        let seen = if whole == 0 {
            let longest = self.longest_below(rest);
            longest.unwrap_or_else(|| self.evenly(rest))
        } else {
            // `as` rounds beyond 2^53, where the span saturates anyway.
            let whole = length.mul_f64(whole as f64);
            whole + self.longest_below(rest).unwrap_or(Span::ZERO)
        };
        Some(seen.mul_f64(MARGIN))
    }

    /// The most bytes that were written within any window of this length. Of the lengths that are
    /// known it is the shortest of at least this one that says so: up to 19 % too long. `None`
    /// where the history is shorter, or nothing was written.
    pub fn most_within(&self, length: Span) -> Option<Bytes> {
        let (_, most) = self.known().find(|(known, _)| *known >= length)?;
        Some(Bytes::new(most))
    }

    /// The longest window that saw less than `bytes`; `None` where the shortest saw as much.
    fn longest_below(&self, bytes: u64) -> Option<Span> {
        let mut below = None;
        for (length, most) in self.known() {
            if most >= bytes {
                break;
            }
            below = Some(length);
        }
        below
    }

    /// How long `bytes` take that the shortest window saw written. How evenly it was written within
    /// that window is not known.
    fn evenly(&self, bytes: u64) -> Span {
        match self.known().next() {
            Some((length, most)) => length.mul_f64(bytes as f64 / most as f64),
            None => Span::ZERO,
        }
    }

    /// The lengths in which something was written, and how much at most. None is longer than the
    /// history was: of a longer one the rest is not known.
    fn known(&self) -> impl Iterator<Item = (Span, u64)> {
        let history = match (self.since, self.until) {
            (Some(since), Some(until)) => until - since,
            _ => Span::ZERO,
        };
        let written = lengths().zip(self.most).filter(|(_, most)| *most > 0);
        written.map(move |(length, most)| (length.min(history), most))
    }
}

/// The lengths of the windows, the shortest first. Each poll of a master goes through them, and
/// they are powers of two, which take longer than all else that is done with one.
static LENGTHS: LazyLock<[Span; WINDOWS]> = LazyLock::new(|| {
    array::from_fn(|place| Span::from_secs_f64((place as f64 / STEPS_TO_DOUBLE).exp2()))
});

fn lengths() -> impl Iterator<Item = Span> {
    LENGTHS.iter().copied()
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ReplicationOffset;
    use crate::replication::history::HistoryLimits;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// The peaks of a master that is polled at these instants (milliseconds) and shows these
    /// offsets.
    fn watch(polls: &[(i64, u64)]) -> (OffsetHistory, WritePeaks) {
        let mut history = OffsetHistory::new(HistoryLimits::default());
        let mut peaks = WritePeaks::default();
        let mut previous = None;
        for (millis, offset) in polls {
            let now = at(*millis);
            history.insert(now, now, ReplicationOffset::new(*offset));
            if let Some(previous) = previous {
                peaks.observe(&history, previous, now);
            }
            previous = Some(now);
        }
        (history, peaks)
    }

    fn seconds(table: &PeakTable, bytes: u64) -> Option<f64> {
        let time = table.shortest_time_for(Bytes::new(bytes))?;
        Some(time.as_secs_f64())
    }

    #[test]
    fn a_burst_decides_and_not_the_average() {
        // 10 bytes a second for ten minutes, and 1000 a second for 20 s of them.
        let mut offset = 0;
        let mut polls = Vec::new();
        for second in 0..600 {
            let is_burst = (300..320).contains(&second);
            offset += if is_burst { 1000 } else { 10 };
            polls.push((second * 1000, offset));
        }
        let (_, peaks) = watch(&polls);
        let table = peaks.table();
        let burst = seconds(&table, 15_000).unwrap();
        assert!(
            (9.9..=15.0).contains(&burst),
            "{burst} s for 15 s of a burst"
        );
        let beyond = seconds(&table, 21_000).unwrap();
        assert!(
            (55.0..=120.0).contains(&beyond),
            "{beyond} s: the burst and 100 s of the rest"
        );
        let average = 21_000.0 / (offset as f64 / 600.0);
        assert!(beyond < average / 3.0, "the average says {average} s");
    }

    /// Also of what is old: the history merges polls to within 1 % of their age, the peaks do not.
    #[test]
    fn the_most_of_a_minute_stays_that_of_a_minute() {
        let day = 86_400_i64;
        let polls: Vec<_> = (0..day)
            .map(|second| (second * 1000, second.unsigned_abs() * 100))
            .collect();
        let table = watch(&polls).1.table();
        let most = |secs| table.most_within(Span::from_secs(secs)).map(Bytes::get);
        let minute = most(60).unwrap();
        assert!((6000..=7200).contains(&minute), "{minute}");
        let hours = most(6 * 3600).unwrap();
        assert!((2_160_000..=2_650_000).contains(&hours), "{hours}");
        assert_eq!(most(2 * day), None, "the history is shorter");
        assert_eq!(PeakTable::default().most_within(Span::from_secs(1)), None);
    }

    #[test]
    fn without_writes_nothing_is_known_and_more_than_ever_takes_several_windows() {
        assert_eq!(seconds(&watch(&[]).1.table(), 1), None);
        let idle: Vec<_> = (0..99).map(|second| (second * 1000, 7)).collect();
        assert_eq!(seconds(&watch(&idle).1.table(), 1), None);
        let steady: Vec<_> = (0..99_i64)
            .map(|second| (second * 1000, second.unsigned_abs() * 100))
            .collect();
        let table = watch(&steady).1.table();
        let hour = seconds(&table, 360_000).unwrap();
        assert!((2700.0..=3600.0).contains(&hour), "{hour} s");
        assert_eq!(table.since(), Some(at(0)));
    }

    #[test]
    fn what_was_written_during_a_gap_tells_nothing_of_shorter_windows() {
        let polls = [(0, 0), (1000, 10), (601_000, 60_000), (602_000, 60_010)];
        let table = watch(&polls).1.table();
        assert_eq!(
            seconds(&table, 60_000),
            None,
            "no window is twice as long and known"
        );
    }

    #[test]
    fn windows_of_two_days_ago_are_forgotten() {
        let hour = 3_600_000;
        let mut polls = vec![
            (0, 0),
            (1000, 0),
            (5000, 0),
            (6000, 900_000),
            (7000, 900_000),
        ];
        polls.extend((1..60_i64).map(|hours| (hours * hour, 900_000 + hours.unsigned_abs())));
        let (_, peaks) = watch(&polls);
        let since = peaks.table().since().unwrap();
        assert!(since >= at(6 * hour), "{since:?}");
        assert!(peaks.groups.len() <= usize::try_from(GROUPS).unwrap());
    }

    #[test]
    fn after_a_restart_the_kept_history_says_nearly_the_same() {
        let mut offset = 0;
        let mut polls = Vec::new();
        for second in 0..3000_i64 {
            offset += if second % 300 < 30 { 500 } else { 20 };
            polls.push((second * 1000, offset));
        }
        let (history, before) = watch(&polls);
        let mut after = WritePeaks::default();
        after.restore(&history);
        for bytes in [5_000, 14_000, 100_000] {
            let before = seconds(&before.table(), bytes).unwrap();
            let after = seconds(&after.table(), bytes).unwrap();
            assert!(
                (before * 0.7..=before * 1.45).contains(&after),
                "{bytes}: {before} s, {after} s"
            );
        }
    }

    proptest! {
        #[test]
        fn no_window_of_the_truth_saw_more(steps in proptest::collection::vec((0_u64..2000, 200_i64..1500), 30..120)) {
            let mut offset = 0;
            let mut now = 0;
            let mut polls = Vec::new();
            for (grown, passed) in &steps {
                now += passed;
                offset += grown;
                polls.push((now, offset));
            }
            let table = watch(&polls).1.table();
            // Of every two polls: what was written from after the first one until the second.
            for (i, from) in polls.iter().enumerate() {
                for to in &polls[i + 1..] {
                    let written = to.1 - from.1;
                    let passed = (to.0 - from.0) as f64 / 1000.0;
                    if written == 0 || passed < 4.0 {
                        continue;
                    }
                    let claimed = seconds(&table, written).unwrap();
                    prop_assert!(claimed <= passed, "{claimed} s for what took {passed} s");
                }
            }
        }
    }
}
