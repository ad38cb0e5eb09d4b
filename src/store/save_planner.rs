//! Plans the next write of the lag history from what the file already holds.
//!
//! Writing whole histories of 48 hours every ten seconds would be too much. So each history has a
//! *snapshot* row, written now and then, and every commit has *delta* rows: what was added to each
//! history since the previous commit. A history is its snapshot with all later deltas on top. When
//! a snapshot is [`SNAPSHOT_EVERY`] commits old it is written again, and deltas that no snapshot
//! needs any more are deleted: about as much is then written, and kept, in snapshots as in deltas.
//!
//! Any row is a set of facts that stay true. So a snapshot that is late, or a delta that is
//! missing, costs precision and never makes a bound wrong, and the work of one commit can be
//! limited.

use std::collections::{HashMap, HashSet};

use crate::model::{
    ClockAnchor, Document, PairKey, ReplicationOffset, ServerAddr, Span, Timestamp,
};
use crate::replication::{
    DeltaRecord, HistoryRecord, MasterHistory, PairRecord, ServerRecord, ToSave,
};

/// Commits after which a whole snapshot is written again: ten minutes at one every ten seconds.
pub const SNAPSHOT_EVERY: u64 = 60;

/// Table records that go into the snapshot rows of one commit, at about ten bytes each, unless one
/// snapshot alone has more: 200 full histories, so that 10,000 have their turn within
/// [`SNAPSHOT_EVERY`] commits. It limits what the core copies at once.
const SNAPSHOT_BUDGET: usize = 250_000;

/// Histories of servers that are no longer watched are kept for this long: a pair may have been
/// removed from the configuration by mistake.
const KEPT_UNWATCHED: Span = Span::from_secs(48 * 3600);

/// What goes into one commit of the lag history.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The commit's number.
    pub commit: u64,
    /// Both clocks when it was planned.
    pub anchor: ClockAnchor,
    /// Whole histories.
    pub snapshots: Vec<(ServerAddr, HistoryRecord)>,
    /// What was added to the other histories since the last commit.
    pub deltas: Vec<(ServerAddr, DeltaRecord)>,
    /// Deltas up to and including this commit can be deleted.
    pub drop_deltas_to: u64,
    /// Histories that are no longer watched, or cannot be read, by their keys.
    pub forgotten: Vec<String>,
    /// Every pair.
    pub pairs: Vec<(PairKey, PairRecord)>,
    /// Every server.
    pub servers: Vec<(ServerAddr, ServerRecord)>,
}

/// Everything that goes into one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// Both clocks when it was planned.
    pub anchor: ClockAnchor,
    /// The lag history, when it is due.
    pub lag: Option<Batch>,
    /// Documents that changed.
    pub documents: Vec<Document>,
    /// Whether these are all documents: every other one in their tables is deleted.
    pub replaces_all: bool,
}

impl From<Batch> for Save {
    fn from(batch: Batch) -> Self {
        Self {
            anchor: batch.anchor,
            lag: Some(batch),
            documents: Vec::new(),
            replaces_all: false,
        }
    }
}

/// What one history has on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SavedPosition {
    generation: u64,
    /// The commit of its snapshot row.
    snapshot: u64,
    /// The newest record that was written: its offset, and when its last poll was sent.
    newest: Option<(ReplicationOffset, Timestamp)>,
    /// When anything of it was last written.
    saved_at: Timestamp,
    /// Whether the last commit contained it: an unwatched one has no deltas.
    watched: bool,
}

/// What the file holds. Plans what to write next.
#[derive(Debug, Default)]
pub struct SavePlanner {
    last_commit: u64,
    positions: HashMap<ServerAddr, SavedPosition>,
    /// Keys of snapshot rows that cannot be read.
    unreadable: Vec<String>,
}

/// The planner as it will be once a batch is on the disk.
#[derive(Debug)]
pub struct PendingCommit(SavePlanner);

/// A history whose snapshot is to be written.
struct DueSnapshot<'a> {
    /// The commit of its last snapshot; 0 without one.
    last: u64,
    server: &'a ServerAddr,
    history: &'a MasterHistory,
}

impl SavePlanner {
    /// Nothing is written yet, in a file whose last commit has this number.
    pub fn empty(last_commit: u64) -> Self {
        Self {
            last_commit,
            ..Self::default()
        }
    }

    /// Records a history that was read from the disk: its snapshot is of the commit `snapshot`, its
    /// last row of the instant `saved_at`.
    pub(super) fn note(
        &mut self,
        server: ServerAddr,
        history: &MasterHistory,
        snapshot: u64,
        saved_at: Timestamp,
    ) {
        let position = SavedPosition::new(history, snapshot, saved_at);
        self.positions.insert(server, position);
    }

    /// Records the key of a snapshot row that cannot be read: the next commit deletes it.
    pub(super) fn note_unreadable(&mut self, key: String) {
        self.unreadable.push(key);
    }

    /// What is to be written now, and the planner's state once that is done.
    pub fn plan(&self, state: ToSave<'_>, anchor: ClockAnchor) -> (Batch, PendingCommit) {
        let mut next = NextCommit::after(self, anchor.mono);
        for (server, history) in state.histories {
            next.add(server, history, self.positions.get(server));
        }
        next.take_snapshots();
        next.forget_expired();
        let batch = Batch {
            commit: next.commit,
            anchor,
            drop_deltas_to: oldest_snapshot(&next.positions).unwrap_or(next.commit),
            snapshots: next.snapshots,
            deltas: next.deltas,
            forgotten: next.forgotten,
            pairs: state.pairs,
            servers: state.servers,
        };
        let pending = PendingCommit(Self {
            last_commit: next.commit,
            positions: next.positions,
            unreadable: Vec::new(),
        });
        (batch, pending)
    }

    /// Records that the batch of this commit is on the disk.
    pub fn commit(&mut self, pending: PendingCommit) {
        *self = pending.0;
    }
}

/// A commit that is being planned.
struct NextCommit<'a> {
    commit: u64,
    now: Timestamp,
    /// The positions once the commit is on the disk.
    positions: HashMap<ServerAddr, SavedPosition>,
    /// Histories whose snapshots are due.
    due: Vec<DueSnapshot<'a>>,
    snapshots: Vec<(ServerAddr, HistoryRecord)>,
    deltas: Vec<(ServerAddr, DeltaRecord)>,
    forgotten: Vec<String>,
}

impl<'a> NextCommit<'a> {
    /// The commit after those of `planner`, so far without any watched history.
    fn after(planner: &SavePlanner, now: Timestamp) -> Self {
        let mut positions = planner.positions.clone();
        for position in positions.values_mut() {
            position.watched = false;
        }
        Self {
            commit: planner.last_commit + 1,
            now,
            positions,
            due: Vec::new(),
            snapshots: Vec::new(),
            deltas: Vec::new(),
            forgotten: planner.unreadable.clone(),
        }
    }

    /// Adds a watched history, `saved` up to this position: its delta and, if it is time for one, a
    /// snapshot.
    fn add(
        &mut self,
        server: &'a ServerAddr,
        history: &'a MasterHistory,
        saved: Option<&SavedPosition>,
    ) {
        let mut last = 0;
        if let Some(saved) = saved
            && saved.continues(history)
        {
            if let Some(delta) = saved.delta(history) {
                self.deltas.push((server.clone(), delta));
            }
            let position = SavedPosition::new(history, saved.snapshot, self.now);
            self.positions.insert(server.clone(), position);
            if self.commit.saturating_sub(saved.snapshot) < SNAPSHOT_EVERY {
                return;
            }
            last = saved.snapshot;
        }
        self.due.push(DueSnapshot {
            last,
            server,
            history,
        });
    }

    /// Takes the snapshots that are due, as many as one commit may hold. They replace deltas.
    fn take_snapshots(&mut self) {
        let mut servers = HashSet::new();
        for snapshot in within_budget(std::mem::take(&mut self.due)) {
            let DueSnapshot {
                server, history, ..
            } = snapshot;
            self.snapshots.push((server.clone(), history.record()));
            let position = SavedPosition::new(history, self.commit, self.now);
            self.positions.insert(server.clone(), position);
            servers.insert(server);
        }
        self.deltas.retain(|(server, _)| !servers.contains(server));
    }

    /// Deletes the histories that have not been watched for long.
    fn forget_expired(&mut self) {
        let now = self.now;
        let expired = self
            .positions
            .extract_if(|_, position| position.is_expired(now));
        self.forgotten
            .extend(expired.map(|(server, _)| server.to_string()));
    }
}

/// As many of `due` as one commit may hold, at least one: first those without a snapshot, then
/// those with the oldest.
fn within_budget(mut due: Vec<DueSnapshot<'_>>) -> Vec<DueSnapshot<'_>> {
    due.sort_by_key(|snapshot| snapshot.last);
    let mut records = 0;
    let mut count = 0;
    for snapshot in &due {
        records += snapshot.history.size();
        if count > 0 && records > SNAPSHOT_BUDGET {
            break;
        }
        count += 1;
    }
    due.truncate(count);
    due
}

/// The commit of the oldest snapshot of a watched history: older deltas are not needed.
fn oldest_snapshot(positions: &HashMap<ServerAddr, SavedPosition>) -> Option<u64> {
    let watched = positions.values().filter(|position| position.watched);
    watched.map(|position| position.snapshot).min()
}

impl SavedPosition {
    /// The position of a watched history that is written up to its end.
    fn new(history: &MasterHistory, snapshot: u64, now: Timestamp) -> Self {
        let ends = history.ends();
        Self {
            generation: history.generation(),
            snapshot,
            newest: ends.map(|(_, newest)| (newest.offset, newest.last_sent)),
            saved_at: now,
            watched: true,
        }
    }

    /// Whether `history` is the one that was written, so that a delta can go on its snapshot. One
    /// that began after the last commit is another one under the same name.
    fn continues(&self, history: &MasterHistory) -> bool {
        if !self.watched || self.generation != history.generation() {
            return false;
        }
        match history.ends() {
            Some((oldest, _)) => oldest.first_seen <= self.saved_at,
            None => true,
        }
    }

    /// What was added since; `None` when nothing was.
    fn delta(&self, history: &MasterHistory) -> Option<DeltaRecord> {
        let (_, newest) = history.ends()?;
        if self.newest == Some((newest.offset, newest.last_sent)) {
            return None;
        }
        let (offset, _) = self.newest.unwrap_or_default();
        history.delta(offset)
    }

    /// Whether it has been unwatched for so long that it is deleted.
    fn is_expired(&self, now: Timestamp) -> bool {
        !self.watched && now - self.saved_at > KEPT_UNWATCHED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WallTime;
    use crate::replication::{HistoryLimits, MasterSample};
    use crate::store::testing::{at, id};

    fn anchor(secs: i64) -> ClockAnchor {
        ClockAnchor {
            mono: at(secs),
            wall: WallTime::from_nanos(0),
        }
    }

    fn server(name: usize) -> ServerAddr {
        ServerAddr::new(&format!("m{name}"), 1)
    }

    /// Masters that each show a new offset a second.
    struct Fleet(Vec<(ServerAddr, MasterHistory)>);

    impl Fleet {
        fn new(count: usize) -> Self {
            Self(
                (0..count)
                    .map(|i| (server(i), MasterHistory::new(HistoryLimits::default())))
                    .collect(),
            )
        }

        fn polled(&mut self, letter: char, seconds: std::ops::Range<i64>) -> &mut Self {
            for (_, history) in &mut self.0 {
                for second in seconds.clone() {
                    history.observe(&MasterSample {
                        replid: id(letter),
                        continues: None,
                        offset: ReplicationOffset::new(u64::try_from(second).unwrap() * 100),
                        backlog_active: true,
                        sent: at(second),
                        received: at(second),
                        beginning: None,
                    });
                }
            }
            self
        }

        fn to_save(&self) -> ToSave<'_> {
            ToSave {
                histories: self
                    .0
                    .iter()
                    .map(|(addr, history)| (addr, history))
                    .collect(),
                ..ToSave::default()
            }
        }
    }

    fn commit(planner: &mut SavePlanner, fleet: &Fleet, secs: i64) -> Batch {
        let (batch, pending) = planner.plan(fleet.to_save(), anchor(secs));
        planner.commit(pending);
        batch
    }

    fn new_offsets(batch: &Batch) -> Vec<usize> {
        batch
            .deltas
            .iter()
            .map(|(_, delta)| delta.current.plateaus.len())
            .collect()
    }

    #[test]
    fn a_history_is_written_whole_once_and_then_as_deltas() {
        let (mut planner, mut fleet) = (SavePlanner::default(), Fleet::new(2));
        let first = commit(&mut planner, fleet.polled('a', 0..10), 10);
        assert_eq!(
            (first.snapshots.len(), first.deltas.len(), first.commit),
            (2, 0, 1)
        );
        let second = commit(&mut planner, fleet.polled('a', 10..20), 20);
        assert_eq!(
            (second.snapshots.len(), new_offsets(&second)),
            (0, vec![11, 11]),
            "the last one again: it is longer"
        );
        let idle = commit(&mut planner, &fleet, 30);
        assert_eq!((idle.snapshots.len(), idle.deltas.len()), (0, 0));
    }

    #[test]
    fn a_batch_that_was_not_committed_is_planned_again() {
        let (mut planner, mut fleet) = (SavePlanner::default(), Fleet::new(1));
        commit(&mut planner, fleet.polled('a', 0..10), 10);
        let (lost, _) = planner.plan(fleet.polled('a', 10..20).to_save(), anchor(20));
        let again = commit(&mut planner, fleet.polled('a', 20..30), 30);
        assert_eq!(
            (lost.commit, again.commit, new_offsets(&again)),
            (2, 2, vec![21])
        );
    }

    #[test]
    fn another_history_under_the_same_name_is_written_whole() {
        let (mut planner, mut fleet) = (SavePlanner::default(), Fleet::new(1));
        commit(&mut planner, fleet.polled('a', 0..10), 10);
        assert_eq!(
            commit(&mut planner, fleet.polled('b', 10..20), 20)
                .snapshots
                .len(),
            1,
            "the master started again"
        );
        let mut taken_out_and_in_again = Fleet::new(1);
        taken_out_and_in_again.polled('a', 20..21);
        taken_out_and_in_again.polled('b', 21..30);
        assert_eq!(
            commit(&mut planner, &taken_out_and_in_again, 30)
                .snapshots
                .len(),
            1
        );
        assert_eq!(commit(&mut planner, &Fleet::new(0), 40).snapshots.len(), 0);
        assert_eq!(
            commit(&mut planner, &taken_out_and_in_again, 50)
                .snapshots
                .len(),
            1,
            "its deltas may be gone"
        );
    }

    #[test]
    fn snapshots_take_turns_and_obsolete_deltas_are_deleted() {
        let (mut planner, mut fleet) = (SavePlanner::default(), Fleet::new(3));
        let mut rewritten = 0;
        for n in 1..=3 * i64::try_from(SNAPSHOT_EVERY).unwrap() {
            let batch = commit(
                &mut planner,
                fleet.polled('a', n * 10..n * 10 + 10),
                n * 10 + 10,
            );
            rewritten += batch.snapshots.len();
            assert!(
                batch.drop_deltas_to + SNAPSHOT_EVERY >= batch.commit - 1,
                "{} {}",
                batch.drop_deltas_to,
                batch.commit
            );
        }
        assert_eq!(rewritten, 3 * 3);
    }

    #[test]
    fn one_commit_copies_no_more_than_its_budget() {
        let mut planner = SavePlanner::default();
        let mut one = Fleet::new(1);
        one.polled('a', 0..2_000);
        let (_, history) = one.0.remove(0);
        let size = history.size();
        let mut fleet = Fleet((0..700).map(|i| (server(i), history.clone())).collect());
        let first = commit(&mut planner, &fleet, 2_000);
        assert!(
            first.snapshots.len() < 700 && first.snapshots.len() * size <= SNAPSHOT_BUDGET,
            "{}",
            first.snapshots.len()
        );
        let second = commit(&mut planner, fleet.polled('a', 2_000..2_010), 2_010);
        assert_eq!(
            second.snapshots.len() + first.snapshots.len(),
            700,
            "the others next time"
        );
        assert_eq!(
            second.deltas.len(),
            first.snapshots.len(),
            "without a snapshot there is no delta"
        );
    }

    #[test]
    fn unwatched_histories_are_kept_for_two_days() {
        let (mut planner, mut fleet) = (SavePlanner::default(), Fleet::new(1));
        commit(&mut planner, fleet.polled('a', 0..10), 10);
        let unwatched = Fleet::new(0);
        let forgotten = |secs| commit(&mut planner, &unwatched, secs).forgotten;
        assert_eq!(
            [47, 49, 50].map(|hours| hours * 3600).map(forgotten),
            [vec![], vec!["m0:1".to_owned()], vec![]]
        );
    }
}
