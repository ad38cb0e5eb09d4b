//! One master's stream over time: histories that begin, continue after a promotion, and end.
//!
//! Offsets compare only inside one replication history. Redis names a history by `master_replid`;
//! after a promotion the new master names the old one in `master_replid2` and the first offset that
//! is no longer shared in `second_repl_offset`.

use std::collections::VecDeque;

use super::history::{Bracket, Footprint, HistoryLimits, Inserted, OffsetHistory, Point};
use super::server::{HistoryStart, ServerFacts};
use crate::info::{ReplicationInfo, Role};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, Span, Timestamp};

mod saved;

pub use saved::{DeltaRecord, EpochRecord, HistoryRecord};

/// Histories that are over and still answer questions.
const CLOSED_KEPT: usize = 2;

/// What a server that says `role:master` shows of its stream in one poll.
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
    /// The sample in `info`, an answer of a server of which `facts` are known, this answer
    /// included; `None` unless the server says that it is a master and names history and offset.
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
}

/// The history that a server continued at its promotion and the last offset of it that it shares:
/// `second_repl_offset - 1`.
pub(super) fn continued_history(
    info: &ReplicationInfo,
) -> Option<(ReplicationId, ReplicationOffset)> {
    let first_unshared = info.second_offset.value()?.get();
    Some((
        info.replid2.get()?.clone(),
        ReplicationOffset::new(first_unshared.checked_sub(1)?),
    ))
}

/// What a master's sample meant for its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterNews {
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
    /// The identity that the master gave last, and the one it continued: it has them without a
    /// backlog, too.
    named: Option<(ReplicationId, Option<ReplicationId>)>,
}

/// How a replica's position relates to the master's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// A position in the current history, or in the part of the last one that the current one
    /// continued.
    Current,
    /// A position in a history that is over, by its age (0 is the one that ended last).
    Closed(usize),
    /// It applied bytes of the old history that the promoted master does not have.
    Diverged {
        /// How many.
        bytes: Bytes,
    },
    /// A history that the master never named.
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
            named: None,
        }
    }

    /// Takes in what the master showed.
    pub fn observe(&mut self, sample: &MasterSample) -> MasterNews {
        if self.last_received.is_some_and(|last| sample.sent < last) {
            return MasterNews::Reordered;
        }
        self.last_received = Some(sample.received);
        self.named = Some((
            sample.replid.clone(),
            sample.continues.as_ref().map(|(id, _)| id.clone()),
        ));
        if !sample.backlog_active {
            self.close();
            return MasterNews::NoBacklog;
        }
        match &mut self.current {
            Some(epoch) if epoch.replid == sample.replid => {
                epoch.continues.clone_from(&sample.continues);
                match epoch
                    .history
                    .insert(sample.sent, sample.received, sample.offset)
                {
                    Inserted::Pushed | Inserted::Merged => MasterNews::Continued,
                    Inserted::Reordered => MasterNews::Reordered,
                    Inserted::Regress => self.restart(sample, MasterNews::Reset),
                }
            }
            Some(epoch)
                if sample
                    .continues
                    .as_ref()
                    .is_some_and(|(id, _)| *id == epoch.replid) =>
            {
                self.promote(sample)
            }
            _ => self.restart(sample, MasterNews::Reset),
        }
    }

    /// How a position of `replid` at `offset` relates to the stream.
    pub fn compare(&self, replid: &ReplicationId, offset: ReplicationOffset) -> Comparison {
        let Some(current) = &self.current else {
            return self
                .in_closed(replid)
                .unwrap_or_else(|| self.without_history(replid));
        };
        if current.replid == *replid {
            return Comparison::Current;
        }
        match &current.continues {
            Some((id, last_shared)) if id == replid && offset <= *last_shared => {
                Comparison::Current
            }
            Some((id, last_shared)) if id == replid => Comparison::Diverged {
                bytes: offset.since(*last_shared),
            },
            _ => self.in_closed(replid).unwrap_or(Comparison::Foreign),
        }
    }

    /// The interval that holds the instant at which the master went beyond `offset`; everything is
    /// open where the comparison allows no answer.
    pub fn bracket(&self, comparison: Comparison, offset: ReplicationOffset) -> Bracket {
        self.table(comparison)
            .map(|h| h.bracket(offset))
            .unwrap_or_default()
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
        self.current
            .as_ref()?
            .history
            .newest()
            .map(|(offset, _)| offset)
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

    /// What the current history takes; `None` while there is none.
    pub fn footprint(&self) -> Option<Footprint> {
        self.current.as_ref().map(|epoch| epoch.history.footprint())
    }

    /// Whether `sample` is that of a server that was promoted out of the current history.
    pub fn was_taken_over_in(&self, sample: &MasterSample) -> bool {
        sample
            .continues
            .as_ref()
            .is_some_and(|(id, _)| self.replid() == Some(id))
    }

    /// The history that the current one continued, and the last offset that both share.
    pub fn continues(&self) -> Option<&(ReplicationId, ReplicationOffset)> {
        self.current.as_ref()?.continues.as_ref()
    }

    /// The history that the master showed last with a backlog, how far it had come, and when it was
    /// last asked.
    pub fn last_shown(&self) -> Option<(&ReplicationId, ReplicationOffset, Timestamp)> {
        let epoch = self.current.as_ref().or_else(|| self.closed.front())?;
        let (offset, at) = epoch.history.newest()?;
        Some((&epoch.replid, offset, at))
    }

    /// An instant before which the master had not gone beyond `offset` of `replid`.
    pub fn passed_after(
        &self,
        replid: &ReplicationId,
        offset: ReplicationOffset,
    ) -> Option<Timestamp> {
        let mut epochs = self.current.iter().chain(&self.closed);
        let epoch = epochs.find(|epoch| epoch.replid == *replid)?;
        epoch.history.bracket(offset).lo
    }

    /// The current history's identity.
    pub fn replid(&self) -> Option<&ReplicationId> {
        self.current.as_ref().map(|epoch| &epoch.replid)
    }

    fn table(&self, comparison: Comparison) -> Option<&OffsetHistory> {
        match comparison {
            Comparison::Current => self.current.as_ref(),
            Comparison::Closed(age) => self.closed.get(age),
            Comparison::Diverged { .. } | Comparison::Foreign | Comparison::MasterUnknown => None,
        }
        .map(|epoch| &epoch.history)
    }

    /// Without a backlog there is nothing to place a position in; but whose position it is can be
    /// told.
    fn without_history(&self, replid: &ReplicationId) -> Comparison {
        match &self.named {
            Some((own, continued)) if own != replid && continued.as_ref() != Some(replid) => {
                Comparison::Foreign
            }
            _ => Comparison::MasterUnknown,
        }
    }

    fn in_closed(&self, replid: &ReplicationId) -> Option<Comparison> {
        self.closed
            .iter()
            .position(|epoch| epoch.replid == *replid)
            .map(Comparison::Closed)
    }

    fn close(&mut self) {
        if let Some(epoch) = self.current.take() {
            self.generation += 1;
            self.closed.push_front(epoch);
            self.closed.truncate(CLOSED_KEPT);
        }
    }

    /// Nothing of a new history was written while the server showed another one: that bounds all
    /// that its first replicas lack.
    fn restart(&mut self, sample: &MasterSample, news: MasterNews) -> MasterNews {
        self.close();
        let mut history = OffsetHistory::new(self.limits);
        if let Some(HistoryStart {
            after,
            offset,
            likely_after,
        }) = sample.beginning
        {
            history.begin(after, offset, likely_after);
        }
        self.open(sample, history);
        news
    }

    /// The new history shares everything up to the cut: what is known of it stays known. That the
    /// old master stood at the cut says nothing of what the new one wrote beyond it, but for as
    /// long as the new one was none.
    fn promote(&mut self, sample: &MasterSample) -> MasterNews {
        let mut shared = self
            .current
            .as_ref()
            .map_or_else(|| OffsetHistory::new(self.limits), |e| e.history.clone());
        self.close();
        if let Some((_, last_shared)) = &sample.continues {
            shared.truncate(
                *last_shared,
                sample.beginning.map(|beginning| beginning.after),
            );
        }
        self.open(sample, shared);
        MasterNews::Promoted
    }

    fn open(&mut self, sample: &MasterSample, mut history: OffsetHistory) {
        if history.insert(sample.sent, sample.received, sample.offset) == Inserted::Regress {
            // The new master shows less than it claims to share: trust nothing of the old table.
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

    fn history(samples: &[MasterSample]) -> (MasterHistory, MasterNews) {
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
        assert_eq!(news, MasterNews::Promoted);
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
    fn a_restarted_master_begins_anew_and_its_old_history_still_answers() {
        let (h, news) = history(&[sample('a', 100, 0), sample('a', 200, 1), sample('b', 14, 2)]);
        assert_eq!(news, MasterNews::Reset);
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
    fn what_a_new_history_lacks_is_no_older_than_it() {
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
            assert_eq!((news, h.newest()), (MasterNews::Reset, Some(offset(first))));
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
        assert_eq!(news, MasterNews::Reset);
        assert_eq!(h.newest(), Some(offset(50)));
    }

    #[test]
    fn without_a_backlog_the_offset_is_no_evidence() {
        let frozen = MasterSample {
            backlog_active: false,
            ..sample('a', 104, 1)
        };
        let (h, news) = history(&[sample('a', 104, 0), frozen]);
        assert_eq!(news, MasterNews::NoBacklog);
        assert_eq!(h.compare(&id('a'), offset(104)), Comparison::Closed(0));
        assert_eq!(h.newest(), None);
    }

    #[test]
    fn a_history_that_nobody_named_is_foreign() {
        let (h, _) = history(&[sample('a', 100, 0)]);
        assert_eq!(h.compare(&id('c'), offset(1)), Comparison::Foreign);
        assert_eq!(
            MasterHistory::new(HistoryLimits::default()).compare(&id('c'), offset(1)),
            Comparison::MasterUnknown
        );
    }

    #[test]
    fn a_master_without_a_backlog_still_knows_who_follows_somebody_else() {
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
        assert_eq!(news, MasterNews::Reordered);
        assert_eq!(h.newest(), Some(offset(300)));
    }
}
