//! A master that comes back without its history: what is lost, and which server still has it.
//!
//! Redis draws a new `master_replid` at every start. A master that loads an RDB file of 7.0 or
//! later names the history of the file in `master_replid2` (`loadDataFromDisk` in server.c) and
//! continues with its offset. One that loads an append-only file, one of an older generation, and
//! one that comes back empty begin at offset 0. A replica that asks such a master to continue gets
//! the master's whole data set instead, and drops its own.

use serde::{Deserialize, Serialize};

use super::epochs::MasterSample;
use crate::info::{Observation, ReplicationInfo, Role, UpstreamInfo};
use crate::model::{Bytes, ClockShift, ReplicationId, ReplicationOffset, RunId, Span, Timestamp};

/// How long a replica has to stream in the new history until the loss is no longer reported.
pub const LOSS_SHOWN_FOR: Span = Span::from_secs(600);

/// `uptime_in_seconds` is in whole seconds and the poll takes some time.
const UPTIME_GRAIN: Span = Span::from_secs(2);

/// A master with less than this part of its keys has come back without its data set.
const KEPT_PART: u64 = 10;

/// A master's PING in the stream: what lacks no more than this lacks no write.
const PING: Bytes = Bytes::new(14);

/// What a server showed of its history when it last answered as a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The history.
    pub replid: ReplicationId,
    /// How far it had come.
    pub offset: ReplicationOffset,
    /// The process that wrote it; `None` where the server does not name it.
    pub run_id: Option<RunId>,
    /// How many keys it had, if known.
    pub keys: Option<u64>,
    /// When the answer arrived.
    pub at: Timestamp,
}

/// What a master shows in an answer, besides its stream.
#[derive(Clone, Copy, Debug)]
pub struct MasterPoll<'a> {
    /// Its stream.
    pub sample: &'a MasterSample,
    /// The process.
    pub run_id: Option<&'a RunId>,
    /// For how long it has run.
    pub uptime: Option<Span>,
    /// How many keys it has.
    pub keys: Option<u64>,
    /// Whether the process certainly began with an empty data set
    /// ([`PersistenceInfo::started_empty`](crate::info::PersistenceInfo::started_empty)).
    pub started_empty: bool,
}

/// What a master still has of the history that it wrote before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryRemnant {
    /// All of it up to some offset: it came back with an older state.
    Until {
        /// Bytes of the stream beyond it.
        lost: Bytes,
        /// They were written after this, where that is known.
        since: Option<Timestamp>,
    },
    /// No data set at all, or next to nothing of it.
    Nothing,
    /// A data set in a new history, of unknown age.
    SomeDataSet,
    /// Unknown: the server does not report how many keys it has.
    Unknown,
}

/// What a replica still has of the history that its master lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaCopy {
    /// It has not answered since.
    Unseen,
    /// All that it had applied; its full sync has not begun.
    Whole,
    /// All that it had applied, until the full sync that is under way is loaded.
    BeingReplaced,
    /// Nothing: it has loaded what its master has.
    Replaced,
    /// All that it had applied: it is a master itself.
    Promoted,
    /// Nothing that its master does not have.
    NoMore,
}

/// What a replica had applied when it last showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Bytes of the lost history.
    pub bytes: Bytes,
    /// When it answered.
    pub at: Timestamp,
}

/// A pair whose master came back without its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLoss {
    /// The history that was lost.
    pub from: ReplicationId,
    /// The history that the master shows now.
    pub to: ReplicationId,
    /// When the first answer came that shows it.
    pub seen_at: Timestamp,
    /// When the master last answered before; what it wrote after that was not observed.
    pub last_answer: Timestamp,
    /// Bytes of the lost history that it had shown.
    pub written: Bytes,
    /// What it has of it.
    pub kept: HistoryRemnant,
    /// How many keys it had.
    pub keys_before: Option<u64>,
    /// How many it had when it came back.
    pub keys_now: Option<u64>,
    /// Whether it certainly came back empty, so that what it has now was written since.
    #[serde(default)]
    pub started_empty: bool,
    /// What the replica had applied of it; `None` where that was never seen.
    pub applied: Option<Applied>,
    /// What the replica has of it now.
    pub copy: ReplicaCopy,
    /// Since when the pair has streamed in the new history.
    pub streams_since: Option<Timestamp>,
}

impl Lineage {
    /// What `poll` shows, after `before`: a number of keys that is not reported again stays known
    /// for as long as the process is the same.
    pub fn from_poll(poll: MasterPoll<'_>, before: Option<&Self>) -> Self {
        let known_keys = match before {
            Some(before) if before.run_id.as_ref() == poll.run_id => before.keys,
            _ => None,
        };
        Self {
            replid: poll.sample.replid.clone(),
            offset: poll.sample.offset,
            run_id: poll.run_id.cloned(),
            keys: poll.keys.or(known_keys),
            at: poll.sample.received,
        }
    }

    /// What is left of this history, where `poll` shows that the same server has lost some of it;
    /// `None` where nothing is lost, or nothing shows a loss.
    ///
    /// * The history itself continues, or a new one shares all of it: nothing is lost.
    /// * A new one shares less of it and the process is new: the rest is lost. In the same process,
    ///   another server was promoted behind this address, which is a failover.
    /// * A new one shares nothing, in the same process: a master that freed its backlog
    ///   (`repl-backlog-ttl`) begins one and keeps its offset. With a smaller offset it has loaded
    ///   the data of another server.
    /// * A new one shares nothing, in a new process: the history began with that process, unless it
    ///   continues one that was never seen, and is further than this one was.
    /// * A process that ran already at the last answer is another server's, which answers at the
    ///   same address now: this one has not come back.
    pub fn lost_to(&self, poll: MasterPoll<'_>) -> Option<HistoryRemnant> {
        let sample = poll.sample;
        if self.is_other_process(poll) && !self.has_restarted(poll) {
            return None;
        }
        if sample.replid == self.replid {
            return self.lost_in_same_history(poll);
        }
        if let Some((continued, last_shared)) = &sample.continues
            && *continued == self.replid
        {
            return self.lost_beyond(*last_shared, poll);
        }
        let has_begun = self.is_other_process(poll) && sample.continues.is_none();
        let was_written = self.offset > ReplicationOffset::default();
        let is_lost = sample.offset < self.offset || has_begun && was_written;
        if !is_lost {
            return None;
        }
        Some(self.remnant_without_offsets(poll))
    }

    /// What is left where the same history continues: a new process with a smaller offset came back
    /// with an older state.
    fn lost_in_same_history(&self, poll: MasterPoll<'_>) -> Option<HistoryRemnant> {
        let is_behind = poll.sample.offset < self.offset;
        if self.is_other_process(poll) && is_behind {
            return Some(self.kept_until(poll.sample.offset));
        }
        None
    }

    /// What is left where a new history shares this one up to `last_shared`.
    fn lost_beyond(
        &self,
        last_shared: ReplicationOffset,
        poll: MasterPoll<'_>,
    ) -> Option<HistoryRemnant> {
        let lacks_writes = self.offset.since(last_shared) > PING;
        if lacks_writes && self.is_other_process(poll) {
            return Some(self.kept_until(last_shared));
        }
        None
    }

    fn kept_until(&self, kept: ReplicationOffset) -> HistoryRemnant {
        HistoryRemnant::Until {
            lost: self.offset.since(kept),
            since: None,
        }
    }

    /// Whether another process answers, where both are named.
    fn is_other_process(&self, poll: MasterPoll<'_>) -> bool {
        match (&self.run_id, poll.run_id) {
            (Some(before), Some(now)) => before != now,
            _ => false,
        }
    }

    /// Whether the process began after the last answer, by its uptime.
    fn has_restarted(&self, poll: MasterPoll<'_>) -> bool {
        let away = poll.sample.received - self.at;
        match poll.uptime {
            Some(uptime) => uptime <= away + UPTIME_GRAIN,
            None => true,
        }
    }

    /// What is left where no offset shows it: by what the server loaded at its start, or else by
    /// how many keys it has.
    fn remnant_without_offsets(&self, poll: MasterPoll<'_>) -> HistoryRemnant {
        if self.came_back_empty(poll) {
            return HistoryRemnant::Nothing;
        }
        match (self.keys, poll.keys) {
            (_, None) => HistoryRemnant::Unknown,
            (_, Some(0)) => HistoryRemnant::Nothing,
            (Some(before), Some(now)) if now < before / KEPT_PART => HistoryRemnant::Nothing,
            _ => HistoryRemnant::SomeDataSet,
        }
    }

    /// Whether the server began with an empty data set. A server that has as many keys as before
    /// did not: a managed service may restore its data by other means.
    fn came_back_empty(&self, poll: MasterPoll<'_>) -> bool {
        let has_fewer_keys = match (self.keys, poll.keys) {
            (Some(before), Some(now)) => now < before,
            _ => true,
        };
        poll.started_empty && has_fewer_keys
    }
}

impl HistoryLoss {
    /// The loss of the history `before`, of which the master still has `kept`, as `poll` shows it;
    /// nothing is known of the replica yet.
    pub fn new(before: &Lineage, kept: HistoryRemnant, poll: MasterPoll<'_>) -> Self {
        Self {
            from: before.replid.clone(),
            to: poll.sample.replid.clone(),
            seen_at: poll.sample.received,
            last_answer: before.at,
            written: before.offset.since(ReplicationOffset::default()),
            kept,
            keys_before: before.keys,
            keys_now: poll.keys,
            started_empty: kept == HistoryRemnant::Nothing && poll.started_empty,
            applied: None,
            copy: ReplicaCopy::Unseen,
            streams_since: None,
        }
    }

    /// Whether it need not be reported any more: the pair has streamed for long enough, or the
    /// master has all of its history again.
    pub fn is_over(&self, now: Timestamp) -> bool {
        if self.is_undone() {
            return true;
        }
        match self.streams_since {
            Some(since) => now - since >= LOSS_SHOWN_FOR,
            None => false,
        }
    }

    /// Whether the master has all of its history again: it was started with its data.
    pub fn is_undone(&self) -> bool {
        matches!(self.kept, HistoryRemnant::Until { lost, .. } if lost == Bytes::ZERO)
    }

    /// Whether all keys that the master had when it came back were written since its start.
    pub fn has_only_new_keys(&self) -> bool {
        self.started_empty && self.keys_now != Some(0)
    }

    /// Whether the replica has something that its master lost, as far as is known.
    pub fn replica_has_it(&self) -> bool {
        matches!(
            self.copy,
            ReplicaCopy::Unseen
                | ReplicaCopy::Whole
                | ReplicaCopy::BeingReplaced
                | ReplicaCopy::Promoted
        )
    }

    /// Moves its instants from an earlier process's clock to the present one.
    pub fn shift(&mut self, shift: &ClockShift) {
        self.seen_at = shift.past(self.seen_at);
        self.last_answer = shift.past(self.last_answer);
        if let Some(since) = &mut self.streams_since {
            *since = shift.past(*since);
        }
        if let Some(applied) = &mut self.applied {
            applied.at = shift.past(applied.at);
        }
        if let HistoryRemnant::Until {
            since: Some(since), ..
        } = &mut self.kept
        {
            *since = shift.past(*since);
        }
    }

    /// The same loss after the master came back once more: the history that was lost first counts.
    #[must_use]
    pub fn followed_by(&self, newer: Self) -> Self {
        Self {
            to: newer.to,
            kept: newer.kept,
            keys_now: newer.keys_now,
            started_empty: newer.started_empty,
            streams_since: None,
            ..self.clone()
        }
    }

    /// Records the master's answer: it may have been started again with its data. A master without
    /// a backlog draws another ID when its first replica connects (`createReplicationBacklog` in
    /// replication.c), so the new history is the one that it names now.
    pub fn master_answered(&mut self, sample: &MasterSample) {
        if sample.replid != self.from {
            self.to.clone_from(&sample.replid);
        }
        let Some((continued, last_shared)) = &sample.continues else {
            return;
        };
        if *continued != self.from {
            return;
        }
        let written = ReplicationOffset::new(self.written.get());
        let lost = written.since(*last_shared);
        let since = match self.kept {
            HistoryRemnant::Until { since, .. } => since,
            _ => None,
        };
        self.kept = HistoryRemnant::Until { lost, since };
    }

    /// Records the replica's answer. `being_sent` is whether its master prepares or sends a full
    /// sync.
    pub fn replica_answered(&mut self, seen: &Observation, being_sent: bool) {
        if self.copy == ReplicaCopy::Replaced {
            return; // data that it has dropped does not come back
        }
        let info = &seen.replication;
        let copy = match &info.upstream {
            Some(upstream) => self.copy_of_replica(seen, upstream, being_sent),
            None => self.copy_of_master(info),
        };
        if let Some(copy) = copy {
            self.copy = copy;
        }
    }

    /// What a replica has that has become a master; `None` where its answer does not show it.
    fn copy_of_master(&self, info: &ReplicationInfo) -> Option<ReplicaCopy> {
        let is_master = info.role.value() == Some(Role::Master);
        let has_lost_history =
            info.replid.get() == Some(&self.from) || info.replid2.get() == Some(&self.from);
        if is_master && has_lost_history {
            return Some(ReplicaCopy::Promoted);
        }
        None
    }

    /// What a replica has; `None` where its answer does not show it.
    fn copy_of_replica(
        &self,
        seen: &Observation,
        upstream: &UpstreamInfo,
        being_sent: bool,
    ) -> Option<ReplicaCopy> {
        let is_transferring = upstream.sync_in_progress.value() == Some(true);
        let is_loading = seen.persistence.loading.value() == Some(true);
        if is_transferring && is_loading {
            // Before it loads what it was sent, it drops what it has (`readSyncBulkPayload`).
            return Some(ReplicaCopy::Replaced);
        }
        let replid = seen.replication.replid.get()?;
        if *replid == self.to && upstream.is_up() {
            return Some(self.copy_after_sync());
        }
        if *replid != self.from {
            return None;
        }
        if is_transferring || being_sent {
            Some(ReplicaCopy::BeingReplaced)
        } else {
            Some(ReplicaCopy::Whole)
        }
    }

    /// What the replica has once it follows the new history. One that had applied nothing of what
    /// was lost was given the rest and dropped nothing.
    fn copy_after_sync(&self) -> ReplicaCopy {
        let HistoryRemnant::Until { lost, .. } = self.kept else {
            return ReplicaCopy::Replaced;
        };
        let kept = self.written.get().saturating_sub(lost.get());
        match self.applied {
            Some(applied) if applied.bytes.get() <= kept => ReplicaCopy::NoMore,
            _ => ReplicaCopy::Replaced,
        }
    }
}

mod words;

#[cfg(test)]
mod tests;
