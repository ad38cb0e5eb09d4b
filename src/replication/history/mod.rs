//! The offset history: when the master wrote what, as a table from offsets to time whose size is
//! bounded.
//!
//! A poll that was sent at `a`, answered at `b` and showed the offset `m` proves only this: at some
//! instant in `[a, b]` the master's offset was `m`. From many such polls follows, for every offset
//! `r`, an interval that certainly holds the instant `T(r)` at which the master went beyond `r`.
//! docs/lag.md has the derivation.

mod growth;
mod interpolate;
mod saved;

use crate::model::{Bytes, ReplicationOffset, Span, Timestamp};

pub use interpolate::Point;
pub use saved::Contradiction;

/// One plateau: the master showed `offset` in every poll from `first_seen` to `last_sent`. An idle
/// master is one record, however long it idles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plateau {
    /// What the master showed.
    pub offset: ReplicationOffset,
    /// When the first poll that showed the offset was answered.
    pub first_seen: Timestamp,
    /// When the last poll that showed the offset was sent.
    pub last_sent: Timestamp,
}

/// How much is remembered, and how finely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryLimits {
    /// At most this many records.
    pub capacity: usize,
    /// Records that may come before the table is thinned again.
    pub batch: usize,
    /// Neighbours closer than this are always merged.
    pub grain: Span,
    /// Neighbours closer than this part of their age are merged.
    pub epsilon: f64,
    /// Records that are older are dropped.
    pub horizon: Span,
}

impl Default for HistoryLimits {
    /// 48 hours to within 1 % of the age: about 1,250 records (30 KB) at one poll a second.
    fn default() -> Self {
        Self {
            capacity: 2048,
            batch: 64,
            grain: Span::from_millis(250),
            epsilon: 0.01,
            horizon: Span::from_secs(48 * 3600),
        }
    }
}

/// How large a table is, and how precise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// Records.
    pub records: usize,
    /// Memory of the records, unused capacity included.
    pub bytes: usize,
    /// How wide merging may make an old bracket, as a part of its age. It grows when a master
    /// writes so irregularly that the capacity does not suffice. A wider bracket is still correct.
    pub epsilon: f64,
}

/// What a sample meant for the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// A new plateau.
    Pushed,
    /// The newest plateau is longer now.
    Merged,
    /// The poll was sent before the newest sample was answered: it proves nothing new and changes
    /// nothing.
    Reordered,
    /// The offset is smaller than before, in a later poll: this is another history. Nothing was
    /// changed.
    Regress,
}

/// The interval that certainly holds `T(r)`, the instant at which the master went beyond an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bracket {
    /// `T(r)` is not before this; `None` when the history does not reach back so far.
    pub lo: Option<Timestamp>,
    /// `T(r)` is not after this; `None` when the master has not been seen beyond the offset.
    pub hi: Option<Timestamp>,
}

impl Bracket {
    /// The interval that both brackets prove together: at each end the tighter one.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self {
            lo: [self.lo, other.lo].into_iter().flatten().max(),
            hi: [self.hi, other.hi].into_iter().flatten().min(),
        }
    }

    /// The length of the interval; `None` while it is open.
    pub fn width(self) -> Option<Span> {
        Some(self.hi? - self.lo?)
    }
}

/// The table of one replication history.
#[derive(Clone, Debug)]
pub struct OffsetHistory {
    limits: HistoryLimits,
    plateaus: Vec<Plateau>,
    since_thinning: usize,
    last_received: Option<Timestamp>,
    epsilon_used: f64,
    /// When the master likely began to write what comes after the first record, where that is later
    /// than the record proves.
    likely_begun: Option<Timestamp>,
}

impl OffsetHistory {
    /// An empty table.
    pub fn new(limits: HistoryLimits) -> Self {
        Self {
            limits,
            plateaus: Vec::new(),
            since_thinning: 0,
            last_received: None,
            epsilon_used: limits.epsilon,
            likely_begun: None,
        }
    }

    /// Records in an empty table that the history began after the instant `after` and beyond
    /// `offset`, and likely not before `likely_after`.
    pub fn begin(&mut self, after: Timestamp, offset: ReplicationOffset, likely_after: Timestamp) {
        self.insert(after, after, offset);
        self.likely_begun = Some(likely_after);
    }

    /// Records a poll that was sent at `sent`, answered at `received` and showed `offset`.
    pub fn insert(
        &mut self,
        sent: Timestamp,
        received: Timestamp,
        offset: ReplicationOffset,
    ) -> Inserted {
        if let Some(last) = self.last_received
            && sent < last
        {
            return Inserted::Reordered;
        }
        if let Some(newest) = self.plateaus.last_mut() {
            if offset < newest.offset {
                return Inserted::Regress;
            }
            self.last_received = Some(received);
            if offset == newest.offset {
                newest.last_sent = newest.last_sent.max(sent);
                return Inserted::Merged;
            }
        }
        self.last_received = Some(received);
        self.push_newest(Plateau {
            offset,
            first_seen: received,
            last_sent: sent,
        });
        Inserted::Pushed
    }

    /// Adds a record after all others, and thins the table when enough were added.
    fn push_newest(&mut self, plateau: Plateau) {
        self.plateaus.push(plateau);
        self.since_thinning += 1;
        if self.since_thinning >= self.limits.batch || self.plateaus.len() >= self.limits.capacity {
            self.thin(plateau.first_seen);
        }
    }

    /// The interval that holds the instant at which the master went beyond `offset`.
    pub fn bracket(&self, offset: ReplicationOffset) -> Bracket {
        let next = self.plateaus.partition_point(|p| p.offset <= offset);
        let not_beyond = self.plateaus.get(..next).unwrap_or_default();
        let mut bracket = Bracket::default();
        if let Some(before) = not_beyond.last() {
            bracket.lo = Some(before.last_sent);
        }
        if let Some(after) = self.plateaus.get(next) {
            bracket.hi = Some(after.first_seen);
        }
        bracket
    }

    /// The likeliest instant inside `bracket` (which may be tighter than the table's own), and how
    /// sure it is. `None` where either end is open.
    pub fn point(&self, offset: ReplicationOffset, bracket: Bracket) -> Option<Point> {
        let next = self.plateaus.partition_point(|p| p.offset <= offset);
        let lo = bracket.lo?;
        let hi = bracket.hi?;
        let likely = match self.likely_begun {
            Some(begun) if next == 1 => begun.clamp(lo, hi.max(lo)),
            _ => lo,
        };
        interpolate::point(&self.plateaus, next, offset, likely, hi)
    }

    /// An offset that the master had certainly not passed at `instant`: what it showed in a later
    /// poll. `None` when there was no such poll.
    pub fn reached(&self, instant: Timestamp) -> Option<ReplicationOffset> {
        let later = self.plateaus.partition_point(|p| p.last_sent < instant);
        let plateau = self.plateaus.get(later)?;
        Some(plateau.offset)
    }

    /// Bytes that the master wrote in the last `window`, and over how long they were counted. A
    /// younger table counts from its beginning.
    pub fn written_within(&self, window: Span) -> Option<(Bytes, Span)> {
        let newest = self.plateaus.last()?;
        let from = newest.last_sent - window;
        let later = self.plateaus.partition_point(|p| p.first_seen <= from);
        let first = self.plateaus.get(later.saturating_sub(1))?;
        let since = first.last_sent.min(from).max(first.first_seen);
        let counted = newest.last_sent - since;
        if counted <= Span::ZERO {
            return None;
        }
        Some((newest.offset.since(first.offset), counted))
    }

    /// The newest offset and when it was last asked for.
    pub fn newest(&self) -> Option<(ReplicationOffset, Timestamp)> {
        let newest = self.plateaus.last()?;
        Some((newest.offset, newest.last_sent))
    }

    /// Forgets everything beyond `cut`, at which another history continued this one after the
    /// instant `after`, where that is known. What is known below the cut stays as tight as it was:
    /// that the old master had gone beyond the cut at some instant still bounds every offset below
    /// it.
    pub fn truncate(&mut self, cut: ReplicationOffset, after: Option<Timestamp>) {
        let keep = self.plateaus.partition_point(|p| p.offset <= cut);
        let beyond = self.plateaus.get(keep).copied();
        self.plateaus.truncate(keep);
        if let Some(at_cut) = self.plateaus.pop_if(|p| p.offset == cut) {
            self.end_with(at_cut, after);
            return;
        }
        if let (Some(below), Some(beyond)) = (self.plateaus.last(), beyond) {
            let passed = Plateau {
                offset: cut,
                first_seen: beyond.first_seen,
                last_sent: below.last_sent,
            };
            self.plateaus.push(passed);
        }
    }

    /// Adds the plateau at which another history continued this one after the instant `after`. How
    /// long the old master stood there bounds nothing in the other history, which may have gone on
    /// as soon as the old one had left the plateau before.
    fn end_with(&mut self, at_cut: Plateau, after: Option<Timestamp>) {
        let left_below = self.plateaus.last().map(|below| below.last_sent);
        let known_starts = [after, left_below].into_iter().flatten();
        if let Some(earliest_start) = known_starts.max() {
            self.plateaus.push(Plateau {
                last_sent: at_cut.last_sent.min(earliest_start),
                ..at_cut
            });
        }
    }

    /// How many records the table holds.
    pub fn len(&self) -> usize {
        self.plateaus.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.plateaus.is_empty()
    }

    /// How large the table is, and how precise.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            records: self.plateaus.len(),
            bytes: self.plateaus.capacity() * size_of::<Plateau>(),
            epsilon: self.epsilon_used,
        }
    }

    /// How wide merging may make an old bracket, as a part of its age: `limits.epsilon`, or more
    /// once memory forced it.
    pub fn epsilon_used(&self) -> f64 {
        self.epsilon_used
    }

    /// Drops old records and merges close ones, so that the table fits its capacity again.
    fn thin(&mut self, now: Timestamp) {
        self.since_thinning = 0;
        self.drop_before(now - self.limits.horizon);
        self.merge_close(now, self.limits.epsilon);
        let mut epsilon = self.limits.epsilon;
        while self.plateaus.len() > self.limits.capacity - self.limits.batch {
            epsilon *= 1.25;
            self.merge_close(now, epsilon);
        }
        self.epsilon_used = self.epsilon_used.max(epsilon);
        self.plateaus
            .shrink_to(self.plateaus.len() + self.limits.batch);
    }

    /// Drops the records before `horizon`, except the last of them and the newest three.
    fn drop_before(&mut self, horizon: Timestamp) {
        let after_first = self.plateaus.iter().skip(1);
        let old = after_first.take_while(|p| p.first_seen < horizon).count();
        let droppable = self.plateaus.len().saturating_sub(3);
        self.plateaus.drain(..old.min(droppable));
    }

    /// Drops every record whose absence widens no bracket beyond `max(grain, epsilon x age)`.
    #[expect(
        clippy::indexing_slicing,
        reason = "compacts in place: kept <= i < count, and kept > 0 where i > 0"
    )]
    fn merge_close(&mut self, now: Timestamp, epsilon: f64) {
        let count = self.plateaus.len();
        let mut kept = 0;
        for i in 0..count {
            let is_inside = i > 0 && i + 2 < count;
            let is_droppable = is_inside && {
                let next = self.plateaus[i + 1].first_seen;
                let allowed = self.limits.grain.max((now - next).mul_f64(epsilon));
                next - self.plateaus[kept - 1].last_sent <= allowed
            };
            if !is_droppable {
                self.plateaus[kept] = self.plateaus[i];
                kept += 1;
            }
        }
        self.plateaus.truncate(kept);
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn offset(bytes: u64) -> ReplicationOffset {
        ReplicationOffset::new(bytes)
    }

    fn history(samples: &[(i64, i64, u64)]) -> OffsetHistory {
        let mut history = OffsetHistory::new(HistoryLimits::default());
        for (sent, received, m) in samples {
            history.insert(at(*sent), at(*received), offset(*m));
        }
        history
    }

    #[test]
    fn recently_written_bytes_are_counted_from_the_nearest_record() {
        let history = history(&[
            (0, 10, 100),
            (1_000, 1_010, 200),
            (2_000, 2_010, 300),
            (9_000, 9_010, 300),
            (10_000, 10_010, 400),
        ]);
        let written = |millis| {
            let (bytes, counted) = history.written_within(Span::from_millis(millis))?;
            Some((bytes.get(), counted.as_nanos() / 1_000_000))
        };
        assert_eq!(written(5_000), Some((100, 5_000)), "from within a plateau");
        assert_eq!(
            written(8_500),
            Some((200, 8_990)),
            "from between two: the earlier"
        );
        assert_eq!(written(60_000), Some((300, 9_990)), "from the beginning");
        assert_eq!(
            OffsetHistory::new(HistoryLimits::default()).written_within(Span::ZERO),
            None
        );
    }

    fn check(history: &OffsetHistory, r: u64, lo: Option<i64>, hi: Option<i64>) {
        assert_eq!(
            history.bracket(offset(r)),
            Bracket {
                lo: lo.map(at),
                hi: hi.map(at)
            },
            "r = {r}"
        );
    }

    #[test]
    fn brackets_reach_from_the_last_poll_at_or_below_to_the_first_beyond() {
        let h = history(&[(0, 10, 100), (1000, 1010, 100), (2000, 2010, 150)]);
        check(&h, 99, None, Some(10));
        check(&h, 100, Some(1000), Some(2010));
        check(&h, 149, Some(1000), Some(2010));
        check(&h, 150, Some(2000), None);
        check(&h, 500, Some(2000), None);
    }

    #[test]
    fn the_offset_reached_at_an_instant_is_what_a_later_poll_showed() {
        let h = history(&[(0, 10, 100), (1000, 1010, 100), (2000, 2010, 150)]);
        for (millis, reached) in [
            (-5, Some(100)),
            (1000, Some(100)),
            (1001, Some(150)),
            (2001, None),
        ] {
            assert_eq!(h.reached(at(millis)), reached.map(offset), "{millis} ms");
        }
    }

    #[test]
    fn an_idle_master_is_one_record() {
        let mut h = history(&[(0, 10, 100)]);
        for i in 1..10_000 {
            assert_eq!(
                h.insert(at(i * 1000), at(i * 1000 + 10), offset(100)),
                Inserted::Merged
            );
        }
        assert_eq!(h.len(), 1);
    }

    #[test]
    fn overlapping_polls_change_nothing_and_a_step_back_is_reported() {
        let mut h = history(&[(0, 10, 100), (1000, 1010, 200)]);
        assert_eq!(
            h.insert(at(1005), at(1020), offset(50)),
            Inserted::Reordered
        );
        assert_eq!(h.insert(at(1020), at(1030), offset(50)), Inserted::Regress);
        assert_eq!(h.newest(), Some((offset(200), at(1000))));
    }

    /// A kilobyte a second, in commands of 100 bytes, and what was written in the last second.
    fn regular_until_then(last: u64) -> OffsetHistory {
        let mut samples: Vec<_> = (0..10)
            .map(|i| (i * 1000, i * 1000, u64::try_from(i).unwrap() * 1000))
            .collect();
        samples.push((10_000, 10_000, 9000 + last));
        history(&samples)
    }

    fn point(h: &OffsetHistory, r: u64) -> (i64, i64) {
        let point = h.point(offset(r), h.bracket(offset(r))).expect("passed");
        (
            point.at.as_nanos() / 1_000_000 - 9000,
            point.spread.as_nanos() / 1_000_000,
        )
    }

    #[test]
    fn a_regular_stream_is_linear_in_bytes() {
        let h = regular_until_then(1000);
        for (bytes, expected) in [(0, 0..150), (500, 500..600), (900, 900..1000)] {
            let (at, spread) = point(&h, 9000 + bytes);
            assert!(
                expected.contains(&at) && spread < 160,
                "{bytes}: {at} +- {spread}"
            );
        }
        assert_eq!(
            h.point(offset(10_000), h.bracket(offset(10_000))),
            None,
            "not passed yet"
        );
    }

    #[test]
    fn bytes_beyond_the_usual_came_at_once() {
        let h = regular_until_then(2_001_000);
        let (before, _) = point(&h, 9300);
        assert!(
            (250..400).contains(&before),
            "the usual 300 bytes, and then a transaction: {before}"
        );
        assert_eq!(
            point(&h, 1_009_900),
            (500, 200),
            "in the middle of it, at any time"
        );
        let (after, _) = point(&h, 9000 + 2_000_700);
        assert!(
            (600..750).contains(&after),
            "300 bytes before the end: {after}"
        );
    }

    /// The middle of an outage of the master is no time at which it wrote.
    #[test]
    fn a_history_likely_began_after_the_masters_outage() {
        let mut h = OffsetHistory::new(HistoryLimits::default());
        h.begin(at(0), offset(0), at(9000));
        h.insert(at(10_000), at(10_000), offset(14));
        check(&h, 0, Some(0), Some(10_000));
        assert_eq!(point(&h, 0), (500, 288));
        h.insert(at(11_000), at(11_000), offset(28));
        assert_eq!(point(&h, 14).0, 1500);
    }

    #[test]
    fn a_lone_command_was_written_at_any_time() {
        let h = history(&[(0, 10, 100), (9000, 9000, 100), (10_000, 10_000, 114)]);
        assert_eq!(point(&h, 100), (500, 288));
    }

    #[test]
    fn a_cut_keeps_what_is_known_below_it() {
        let mut h = history(&[(0, 10, 100), (1000, 1010, 200), (2000, 2010, 300)]);
        h.truncate(offset(250), None);
        check(&h, 200, Some(1000), Some(2010));
        check(&h, 249, Some(1000), Some(2010));
        check(&h, 250, Some(1000), None);
        h.insert(at(3000), at(3010), offset(260));
        check(&h, 250, Some(1000), Some(3010));
    }

    /// The old master, idle, still stood at the cut when its replica had long been promoted and
    /// written to.
    #[test]
    fn how_long_the_old_master_stood_at_the_cut_bounds_nothing_after_the_promotion() {
        for (after, lo) in [
            (Some(2000), Some(2000)),
            (Some(9000), Some(5000)),
            (Some(500), Some(1000)),
            (None, Some(1000)),
        ] {
            let mut h = history(&[(1000, 1010, 200), (1500, 1510, 250), (5000, 5010, 250)]);
            h.truncate(offset(250), after.map(at));
            h.insert(at(6000), at(6010), offset(300));
            check(&h, 200, Some(1000), Some(1510));
            check(&h, 250, lo, Some(6010));
        }
        let mut only = history(&[(1000, 1010, 250), (5000, 5010, 250)]);
        only.truncate(offset(250), None);
        assert!(only.is_empty());
    }
}
