//! One master's stream over time: histories that begin, continue after a promotion, and end.
//!
//! Offsets can be compared only inside one replication history. Redis names a history by
//! `master_replid`; after a promotion the new master names the old one in `master_replid2` and the
//! first offset that is no longer shared in `second_repl_offset`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::history::{Bracket, Footprint, HistoryLimits, Inserted, OffsetHistory, Point};
use super::server::{HistoryStart, ServerFacts};
use super::write_course::WriteCourse;
use super::write_peaks::{PeakTable, WritePeaks};
use crate::info::{ReplicationInfo, Role};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, Span, Timestamp};

mod saved;

pub use saved::{DeltaRecord, EpochRecord, HistoryRecord};

/// How many histories that have ended are kept: a replica's position may still be in one of them.
const CLOSED_KEPT: usize = 2;

/// What a server with `role:master` shows of its stream in one poll.
#[derive(Clone, Debug, PartialEq)]
pub struct MasterSample {
    /// `master_replid`.
    pub replid: ReplicationId,
    /// The history that it continued, and the last offset that it shares with it.
    pub continues: Option<(ReplicationId, ReplicationOffset)>,
    /// `master_repl_offset`.
    pub offset: ReplicationOffset,
    /// `repl_backlog_active`: without a backlog the offset stands still although data is written.
    pub backlog_active: bool,
    /// When the poll was sent.
    pub sent: Timestamp,
    /// When it was answered.
    pub received: Timestamp,
    /// From where on this history can have been written, where the server was seen with another one
    /// before.
    pub beginning: Option<HistoryStart>,
}

impl MasterSample {
    /// The sample in `info`. `facts` is what is known of the server, with this answer included.
    /// `None` unless the server reports that it is a master and names its history and offset.
    pub fn from_info(
        info: &ReplicationInfo,
        facts: &ServerFacts,
        sent: Timestamp,
        received: Timestamp,
    ) -> Option<Self> {
        if info.role.value() != Some(Role::Master) {
            return None;
        }
        Some(Self {
            replid: info.replid.get()?.clone(),
            continues: continued_history(info),
            offset: info.master_offset.value()?,
            backlog_active: info.backlog.active.value()?,
            sent,
            received,
            beginning: facts.beginning,
        })
    }

    /// Whether the server has continued the history `replid`.
    fn continues_history(&self, replid: &ReplicationId) -> bool {
        match &self.continues {
            Some((continued, _)) => continued == replid,
            None => false,
        }
    }
}

/// The history that a server continued at its promotion and the last offset of it that it shares:
/// `second_repl_offset - 1`.
pub(super) fn continued_history(
    info: &ReplicationInfo,
) -> Option<(ReplicationId, ReplicationOffset)> {
    let replid = info.replid2.get()?.clone();
    let first_unshared = info.second_offset.value()?.get();
    let last_shared = ReplicationOffset::new(first_unshared.checked_sub(1)?);
    Some((replid, last_shared))
}

/// What a master's sample meant for its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryChange {
    /// The history continued.
    Continued,
    /// The reply came out of order and changed nothing.
    Reordered,
    /// Another history continues where the last one was cut: a promotion, or a restart that kept
    /// its data.
    Promoted,
    /// Another history began from nothing: a restart, a restore, or an expired backlog.
    Reset,
    /// The master keeps no backlog, so its offset is no evidence; the history is closed.
    NoBacklog,
}

#[derive(Clone, Debug)]
struct Epoch {
    replid: ReplicationId,
    /// The history it continued and the last shared offset.
    continues: Option<(ReplicationId, ReplicationOffset)>,
    history: OffsetHistory,
}

/// Everything that is known of one master's stream.
#[derive(Clone, Debug)]
pub struct MasterHistory {
    limits: HistoryLimits,
    current: Option<Epoch>,
    closed: VecDeque<Epoch>,
    last_received: Option<Timestamp>,
    generation: u64,
    /// The identities in the master's last answer: it has them without a backlog, too.
    reported: Option<ReportedIds>,
    /// The most that was written in windows of every length, whichever history it went to.
    peaks: WritePeaks,
}

/// The identities of the histories that a master reports.
#[derive(Clone, Debug)]
struct ReportedIds {
    own: ReplicationId,
    /// The one it continued.
    continued: Option<ReplicationId>,
}

impl ReportedIds {
    fn new(own: &ReplicationId, continues: Option<&(ReplicationId, ReplicationOffset)>) -> Self {
        Self {
            own: own.clone(),
            continued: continues.map(|(replid, _)| replid.clone()),
        }
    }

    fn contains(&self, replid: &ReplicationId) -> bool {
        self.own == *replid || self.continued.as_ref() == Some(replid)
    }
}

impl Epoch {
    /// Adds a sample of this same history.
    fn insert(&mut self, sample: &MasterSample) -> Inserted {
        self.continues.clone_from(&sample.continues);
        self.history
            .insert(sample.sent, sample.received, sample.offset)
    }
}

/// How a replica's position relates to the master's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// A position in the current history, or in the part of the last one that the current one
    /// continued.
    Current,
    /// A position in a history that has ended, by its age (0 is the one that ended last).
    Closed(usize),
    /// It applied bytes of the old history that the promoted master does not have.
    Diverged {
        /// How many.
        bytes: Bytes,
    },
    /// A position in a history that the master never named.
    Foreign,
    /// The master's own history is not known (yet, or because it keeps no backlog).
    MasterUnknown,
}

impl MasterHistory {
    /// Nothing known yet.
    pub fn new(limits: HistoryLimits) -> Self {
        Self {
            limits,
            current: None,
            closed: VecDeque::new(),
            last_received: None,
            generation: 0,
            reported: None,
            peaks: WritePeaks::default(),
        }
    }

    /// Records what the master showed.
    pub fn observe(&mut self, sample: &MasterSample) -> HistoryChange {
        if let Some(last) = self.last_received
            && sample.sent < last
        {
            return HistoryChange::Reordered;
        }
        let previous = self.last_received.replace(sample.received);
        self.reported = Some(ReportedIds::new(&sample.replid, sample.continues.as_ref()));
        if !sample.backlog_active {
            self.close();
            return HistoryChange::NoBacklog;
        }
        match &mut self.current {
            Some(epoch) if epoch.replid == sample.replid => match epoch.insert(sample) {
                Inserted::Pushed => {
                    self.observe_writes(previous, sample.received);
                    HistoryChange::Continued
                }
                Inserted::Merged => HistoryChange::Continued,
                Inserted::Reordered => HistoryChange::Reordered,
                Inserted::Regress => self.restart(sample),
            },
            Some(epoch) if sample.continues_history(&epoch.replid) => self.promote(sample),
            _ => self.restart(sample),
        }
    }

    /// Counts what was written between two polls of the current history.
    fn observe_writes(&mut self, previous: Option<Timestamp>, received: Timestamp) {
        let (Some(epoch), Some(previous)) = (&self.current, previous) else {
            return;
        };
        if !self.peaks.has_begun() {
            // From before a restart of the exporter.
            self.peaks.restore(&epoch.history);
        }
        self.peaks.observe(&epoch.history, previous, received);
    }

    /// The most that was written in windows of every length.
    pub fn write_peaks(&self) -> Arc<PeakTable> {
        self.peaks.table()
    }

    /// How much was written in each two seconds of the last minutes.
    pub fn write_course(&self) -> WriteCourse {
        let current = self.current.as_ref();
        let course = current.map(|epoch| WriteCourse::new(&epoch.history));
        course.unwrap_or_default()
    }

    /// How a position of `replid` at `offset` relates to the stream.
    pub fn compare(&self, replid: &ReplicationId, offset: ReplicationOffset) -> Comparison {
        let Some(current) = &self.current else {
            return match self.in_closed(replid) {
                Some(closed) => closed,
                None => self.compare_without_history(replid),
            };
        };
        if current.replid == *replid {
            return Comparison::Current;
        }
        if let Some((continued, last_shared)) = &current.continues
            && continued == replid
        {
            if offset <= *last_shared {
                return Comparison::Current;
            }
            let bytes = offset.since(*last_shared);
            return Comparison::Diverged { bytes };
        }
        self.in_closed(replid).unwrap_or(Comparison::Foreign)
    }

    /// The interval that holds the instant at which the master went beyond `offset`; everything is
    /// open where the comparison allows no answer.
    pub fn bracket(&self, comparison: Comparison, offset: ReplicationOffset) -> Bracket {
        match self.table(comparison) {
            Some(table) => table.bracket(offset),
            None => Bracket::default(),
        }
    }

    /// The likeliest instant inside `bracket`, and how sure it is.
    pub fn point(
        &self,
        comparison: Comparison,
        offset: ReplicationOffset,
        bracket: Bracket,
    ) -> Option<Point> {
        self.table(comparison)?.point(offset, bracket)
    }

    /// The newest offset of the current history.
    pub fn newest(&self) -> Option<ReplicationOffset> {
        let (offset, _) = self.current.as_ref()?.history.newest()?;
        Some(offset)
    }

    /// A number that changes whenever the current history begins, ends or is continued by another
    /// one. A replid would not do: a master may begin a new history under the old one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// An offset of the current history that the master had certainly not passed at `instant`;
    /// `None` when it was not asked since.
    pub fn reached(&self, instant: Timestamp) -> Option<ReplicationOffset> {
        self.current.as_ref()?.history.reached(instant)
    }

    /// Bytes that the current history grew by in the last `window`, and over how long they were
    /// counted.
    pub fn written_within(&self, window: Span) -> Option<(Bytes, Span)> {
        self.current.as_ref()?.history.written_within(window)
    }

    /// The size and precision of the current history; `None` while there is none.
    pub fn footprint(&self) -> Option<Footprint> {
        let epoch = self.current.as_ref()?;
        Some(epoch.history.footprint())
    }

    /// Whether `sample` is that of a server that was promoted out of the current history.
    pub fn was_taken_over_in(&self, sample: &MasterSample) -> bool {
        match self.replid() {
            Some(replid) => sample.continues_history(replid),
            None => false,
        }
    }

    /// The history that the current one continued, and the last offset that both share.
    pub fn continues(&self) -> Option<&(ReplicationId, ReplicationOffset)> {
        self.current.as_ref()?.continues.as_ref()
    }

    /// The history that the master showed last with a backlog, how far it had come, and when it was
    /// last asked.
    pub fn last_shown(&self) -> Option<(&ReplicationId, ReplicationOffset, Timestamp)> {
        let epoch = self.epochs().next()?;
        let (offset, at) = epoch.history.newest()?;
        Some((&epoch.replid, offset, at))
    }

    /// An instant before which the master had not gone beyond `offset` of `replid`.
    pub fn passed_after(
        &self,
        replid: &ReplicationId,
        offset: ReplicationOffset,
    ) -> Option<Timestamp> {
        let epoch = self.epochs().find(|epoch| epoch.replid == *replid)?;
        epoch.history.bracket(offset).lo
    }

    /// The current history's identity.
    pub fn replid(&self) -> Option<&ReplicationId> {
        let epoch = self.current.as_ref()?;
        Some(&epoch.replid)
    }

    /// Every known history, the newest first.
    fn epochs(&self) -> impl Iterator<Item = &Epoch> {
        self.current.iter().chain(&self.closed)
    }

    fn table(&self, comparison: Comparison) -> Option<&OffsetHistory> {
        let epoch = match comparison {
            Comparison::Current => self.current.as_ref()?,
            Comparison::Closed(age) => self.closed.get(age)?,
            Comparison::Diverged { .. } | Comparison::Foreign | Comparison::MasterUnknown => {
                return None;
            }
        };
        Some(&epoch.history)
    }

    /// Without a backlog there is nothing to place a position in, but the identities show whether
    /// the position is of another master.
    fn compare_without_history(&self, replid: &ReplicationId) -> Comparison {
        match &self.reported {
            Some(ids) if !ids.contains(replid) => Comparison::Foreign,
            _ => Comparison::MasterUnknown,
        }
    }

    fn in_closed(&self, replid: &ReplicationId) -> Option<Comparison> {
        let mut closed = self.closed.iter();
        let age = closed.position(|epoch| epoch.replid == *replid)?;
        Some(Comparison::Closed(age))
    }

    fn close(&mut self) {
        if let Some(epoch) = self.current.take() {
            self.generation += 1;
            self.closed.push_front(epoch);
            self.closed.truncate(CLOSED_KEPT);
        }
    }

    /// Begins a history that shares nothing with the one before. Nothing of it was written while
    /// the server showed another one: that bounds all that its first replicas lack.
    fn restart(&mut self, sample: &MasterSample) -> HistoryChange {
        self.close();
        let mut history = OffsetHistory::new(self.limits);
        if let Some(start) = sample.beginning {
            history.begin(start.after, start.offset, start.likely_after);
        }
        self.open(sample, history);
        HistoryChange::Reset
    }

    /// Begins a history that continues the current one. Both share everything up to the cut: what
    /// is known of that stays known. That the old master stood at the cut proves nothing about what
    /// the new one wrote beyond it, except while the new one was no master yet.
    fn promote(&mut self, sample: &MasterSample) -> HistoryChange {
        let mut shared = match &self.current {
            Some(epoch) => epoch.history.clone(),
            None => OffsetHistory::new(self.limits),
        };
        self.close();
        if let Some((_, last_shared)) = &sample.continues {
            let promoted_after = sample.beginning.map(|start| start.after);
            shared.truncate(*last_shared, promoted_after);
        }
        self.open(sample, shared);
        HistoryChange::Promoted
    }

    fn open(&mut self, sample: &MasterSample, mut history: OffsetHistory) {
        if history.insert(sample.sent, sample.received, sample.offset) == Inserted::Regress {
            // The new master has less than it claims to share: nothing of the old table can be
            // trusted.
            history = OffsetHistory::new(self.limits);
            history.insert(sample.sent, sample.received, sample.offset);
        }
        self.generation += 1;
        self.current = Some(Epoch {
            replid: sample.replid.clone(),
            continues: sample.continues.clone(),
            history,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn id(c: char) -> ReplicationId {
        ReplicationId::parse(&c.to_string().repeat(40)).unwrap()
    }

    fn offset(bytes: u64) -> ReplicationOffset {
        ReplicationOffset::new(bytes)
    }

    pub(super) fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    pub(super) fn sample(c: char, bytes: u64, secs: i64) -> MasterSample {
        MasterSample {
            replid: id(c),
            continues: None,
            offset: offset(bytes),
            backlog_active: true,
            sent: at(secs),
            received: at(secs),
            beginning: None,
        }
    }

    fn promoted(c: char, from: char, last_shared: u64, bytes: u64, secs: i64) -> MasterSample {
        MasterSample {
            continues: Some((id(from), offset(last_shared))),
            ..sample(c, bytes, secs)
        }
    }

    fn history(samples: &[MasterSample]) -> (MasterHistory, HistoryChange) {
        let mut history = MasterHistory::new(HistoryLimits::default());
        let news = samples.iter().map(|s| history.observe(s)).last().unwrap();
        (history, news)
    }

    #[test]
    fn a_promotion_keeps_what_both_histories_share() {
        let (h, news) = history(&[
            sample('a', 100, 0),
            sample('a', 200, 1),
            sample('a', 300, 2),
            promoted('b', 'a', 250, 260, 3),
        ]);
        assert_eq!(news, HistoryChange::Promoted);
        assert_eq!(h.compare(&id('a'), offset(250)), Comparison::Current);
        assert_eq!(
            h.compare(&id('a'), offset(290)),
            Comparison::Diverged {
                bytes: Bytes::new(40)
            }
        );
        assert_eq!(h.compare(&id('b'), offset(260)), Comparison::Current);
        assert_eq!(
            h.bracket(Comparison::Current, offset(100)),
            Bracket {
                lo: Some(at(0)),
                hi: Some(at(1))
            }
        );
    }

    #[test]
    fn a_restarted_master_begins_a_history_and_the_old_one_still_answers() {
        let (h, news) = history(&[sample('a', 100, 0), sample('a', 200, 1), sample('b', 14, 2)]);
        assert_eq!(news, HistoryChange::Reset);
        assert_eq!(h.compare(&id('a'), offset(150)), Comparison::Closed(0));
        assert_eq!(
            h.bracket(Comparison::Closed(0), offset(100)),
            Bracket {
                lo: Some(at(0)),
                hi: Some(at(1))
            }
        );
        assert_eq!(
            h.bracket(Comparison::Closed(0), offset(200)).hi,
            None,
            "the end of a closed history is not 0 lag"
        );
    }

    /// After an expired backlog, a replica that lacked anything at the first poll of the new
    /// history had no upper bound.
    #[test]
    fn what_a_replica_lacks_of_a_new_history_is_no_older_than_the_history() {
        let beginning = |secs, bytes| {
            Some(HistoryStart {
                after: at(secs),
                offset: offset(bytes),
                likely_after: at(secs),
            })
        };
        let bracket = |begins, first| {
            let (h, news) = history(&[
                sample('a', 900, 0),
                MasterSample {
                    beginning: begins,
                    ..sample('b', first, 9)
                },
            ]);
            assert_eq!(
                (news, h.newest()),
                (HistoryChange::Reset, Some(offset(first)))
            );
            h.bracket(Comparison::Current, offset(950))
        };
        assert_eq!(
            bracket(None, 990),
            Bracket {
                lo: None,
                hi: Some(at(9))
            }
        );
        assert_eq!(
            bracket(beginning(8, 900), 990),
            Bracket {
                lo: Some(at(8)),
                hi: Some(at(9))
            }
        );
        assert_eq!(
            bracket(beginning(8, 950), 950),
            Bracket {
                lo: Some(at(9)),
                hi: None
            },
            "nothing was written"
        );
        assert_eq!(
            bracket(beginning(8, 999), 990),
            Bracket {
                lo: None,
                hi: Some(at(9))
            },
            "it contradicts itself"
        );
    }

    #[test]
    fn a_smaller_offset_in_the_same_history_is_a_reset() {
        let (h, news) = history(&[sample('a', 100, 0), sample('a', 50, 1)]);
        assert_eq!(news, HistoryChange::Reset);
        assert_eq!(h.newest(), Some(offset(50)));
    }

    #[test]
    fn without_a_backlog_the_offset_is_no_evidence() {
        let frozen = MasterSample {
            backlog_active: false,
            ..sample('a', 104, 1)
        };
        let (h, news) = history(&[sample('a', 104, 0), frozen]);
        assert_eq!(news, HistoryChange::NoBacklog);
        assert_eq!(h.compare(&id('a'), offset(104)), Comparison::Closed(0));
        assert_eq!(h.newest(), None);
    }

    #[test]
    fn a_history_that_the_master_never_named_is_foreign() {
        let (h, _) = history(&[sample('a', 100, 0)]);
        assert_eq!(h.compare(&id('c'), offset(1)), Comparison::Foreign);
        assert_eq!(
            MasterHistory::new(HistoryLimits::default()).compare(&id('c'), offset(1)),
            Comparison::MasterUnknown
        );
    }

    #[test]
    fn without_a_backlog_a_replica_of_another_master_is_still_recognised() {
        let (h, _) = history(&[MasterSample {
            backlog_active: false,
            ..promoted('b', 'a', 50, 50, 0)
        }]);
        assert_eq!(h.compare(&id('c'), offset(1)), Comparison::Foreign);
        assert_eq!(h.compare(&id('b'), offset(1)), Comparison::MasterUnknown);
        assert_eq!(h.compare(&id('a'), offset(1)), Comparison::MasterUnknown);
    }

    #[test]
    fn only_two_closed_histories_are_kept() {
        let (h, _) = history(&[
            sample('a', 1, 0),
            sample('b', 1, 1),
            sample('c', 1, 2),
            sample('d', 1, 3),
        ]);
        assert_eq!(h.compare(&id('c'), offset(1)), Comparison::Closed(0));
        assert_eq!(h.compare(&id('b'), offset(1)), Comparison::Closed(1));
        assert_eq!(h.compare(&id('a'), offset(1)), Comparison::Foreign);
    }

    #[test]
    fn a_late_reply_never_resets_the_history() {
        let mut late = sample('a', 100, 1);
        late.sent = at(0);
        let (h, news) = history(&[sample('a', 100, 0), sample('a', 300, 2), late]);
        assert_eq!(news, HistoryChange::Reordered);
        assert_eq!(h.newest(), Some(offset(300)));
    }
}
