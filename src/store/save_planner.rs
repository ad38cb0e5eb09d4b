//! What has been written, and so what is to be written next.
//!
//! A history of 48 hours is more than anybody wants to write every ten seconds, so each has a
//! *base* row, written now and then, and every commit has rows of *tails*: what came to each
//! history since the commit before. A history is its base with all later tails on top. When a base
//! is [`SNAPSHOT_EVERY`] commits old it is written anew, and tails that no base needs any more are
//! deleted: about the same is then written to bases as to tails, and kept in both.
//!
//! Any row is a set of facts that stay true. So a base that is late, or a tail that is missing,
//! costs precision and never makes a bound wrong, and the work of one commit can be limited.

use std::collections::HashMap;

use crate::model::{
    ClockAnchor, Document, PairKey, ReplicationOffset, ServerAddr, Span, Timestamp,
};
use crate::replication::{
    DeltaRecord, HistoryRecord, MasterHistory, PairRecord, Plateau, ServerRecord, ToSave,
};

/// Commits after which a base is written anew: ten minutes at one every ten seconds.
pub const SNAPSHOT_EVERY: u64 = 60;

/// Table records that go into the base rows of one commit, at about ten bytes each, unless one base
/// alone has more: 200 full histories, so that 10,000 have their turn within [`SNAPSHOT_EVERY`]
/// commits. It limits what the core copies at once.
const BASE_BUDGET: usize = 250_000;

/// Histories of servers that are no longer watched are kept for this long: somebody may have taken
/// a pair out by mistake.
const KEPT_UNWATCHED: Span = Span::from_secs(48 * 3600);

/// What goes into one commit of the lag history.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The commit's number.
    pub commit: u64,
    /// Both clocks when it was made up.
    pub anchor: ClockAnchor,
    /// Whole histories.
    pub bases: Vec<(ServerAddr, HistoryRecord)>,
    /// What came to the other histories.
    pub tails: Vec<(ServerAddr, DeltaRecord)>,
    /// Tails of this commit and of earlier ones are needed no more.
    pub drop_tails_to: u64,
    /// Histories that nobody watches any more, or nobody can read, by their keys.
    pub forgotten: Vec<String>,
    /// Every pair.
    pub pairs: Vec<(PairKey, PairRecord)>,
    /// Every server.
    pub servers: Vec<(ServerAddr, ServerRecord)>,
}

/// Everything that goes into one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// Both clocks when it was made up.
    pub anchor: ClockAnchor,
    /// The lag history, when it is its turn.
    pub lag: Option<Batch>,
    /// Documents that changed.
    pub documents: Vec<Document>,
    /// Whether the documents are all there is: what else stands in their tables goes.
    pub anew: bool,
}

impl From<Batch> for Save {
    fn from(batch: Batch) -> Self {
        Self {
            anchor: batch.anchor,
            lag: Some(batch),
            documents: Vec::new(),
            anew: false,
        }
    }
}

/// What one history has on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SavedPosition {
    generation: u64,
    /// The commit of its base row.
    base: u64,
    /// The newest record that was written: its offset and when it was last asked for.
    newest: Option<(ReplicationOffset, Timestamp)>,
    /// When anything of it was last written.
    saved_at: Timestamp,
    /// Whether the last commit knew it: an unwatched one has no tails.
    watched: bool,
}

/// What has been written.
#[derive(Debug, Default)]
pub struct SavePlanner {
    last_commit: u64,
    marks: HashMap<ServerAddr, SavedPosition>,
    /// Keys of base rows that mean nothing any more.
    worthless: Vec<String>,
}

/// What the ledger will know once a batch is on the disk.
#[derive(Debug)]
pub struct PendingCommit(SavePlanner);

impl SavePlanner {
    /// Nothing is written yet, in a file whose last commit has this number.
    pub fn empty(last_commit: u64) -> Self {
        Self {
            last_commit,
            ..Self::default()
        }
    }

    /// Notes a history that was read from the disk: its base is of the commit `base`, its last row
    /// of the instant `saved_at`.
    pub(super) fn note(
        &mut self,
        server: ServerAddr,
        history: &MasterHistory,
        base: u64,
        saved_at: Timestamp,
    ) {
        self.marks.insert(
            server,
            SavedPosition {
                watched: true,
                ..SavedPosition::of(history, base, saved_at)
            },
        );
    }

    /// Notes the key of a base row that means nothing any more.
    pub(super) fn note_worthless(&mut self, key: String) {
        self.worthless.push(key);
    }

    /// What is to be written now, and what is known once it is.
    pub fn plan(&self, state: ToSave<'_>, anchor: ClockAnchor) -> (Batch, PendingCommit) {
        let now = anchor.mono;
        let commit = self.last_commit + 1;
        let mut marks: HashMap<_, _> = self
            .marks
            .iter()
            .map(|(server, mark)| {
                (
                    server.clone(),
                    SavedPosition {
                        watched: false,
                        ..*mark
                    },
                )
            })
            .collect();
        let (mut bases, mut tails) = (Vec::new(), Vec::new());
        let mut due = Vec::new();
        for (server, history) in state.histories {
            match self
                .marks
                .get(server)
                .filter(|mark| mark.continues(history))
            {
                Some(mark) => {
                    tails.extend(mark.tail(history).map(|tail| (server.clone(), tail)));
                    marks.insert(server.clone(), SavedPosition::of(history, mark.base, now));
                    if commit - mark.base.min(commit) >= SNAPSHOT_EVERY {
                        due.push((mark.base, server, history));
                    }
                }
                None => due.push((0, server, history)),
            }
        }
        // Those without a base first, then the oldest.
        due.sort_by_key(|(base, _, _)| *base);
        let mut budget = BASE_BUDGET;
        for (_, server, history) in due {
            if !bases.is_empty() && history.size() > budget {
                break;
            }
            budget = budget.saturating_sub(history.size());
            bases.push((server.clone(), history.record()));
            marks.insert(server.clone(), SavedPosition::of(history, commit, now));
        }
        tails.retain(|(server, _)| marks.get(server).is_none_or(|mark| mark.base != commit));
        let gone = marks
            .iter()
            .filter(|(_, mark)| mark.is_forgotten(now))
            .map(|(server, _)| server.to_string());
        let forgotten = self.worthless.iter().cloned().chain(gone).collect();
        marks.retain(|_, mark| !mark.is_forgotten(now));
        let watched = marks.values().filter(|mark| mark.watched);
        let drop_tails_to = watched.map(|mark| mark.base).min().unwrap_or(commit);
        let (pairs, servers) = (state.pairs, state.servers);
        let batch = Batch {
            commit,
            anchor,
            bases,
            tails,
            drop_tails_to,
            forgotten,
            pairs,
            servers,
        };
        (
            batch,
            PendingCommit(Self {
                last_commit: commit,
                marks,
                worthless: Vec::new(),
            }),
        )
    }

    /// The batch of this receipt is on the disk.
    pub fn settle(&mut self, receipt: PendingCommit) {
        *self = receipt.0;
    }
}

impl SavedPosition {
    fn of(history: &MasterHistory, base: u64, now: Timestamp) -> Self {
        let newest = history
            .ends()
            .map(|(_, newest)| (newest.offset, newest.last_sent));
        Self {
            generation: history.generation(),
            base,
            newest,
            saved_at: now,
            watched: true,
        }
    }

    /// Whether the history is the one that was written, so that a tail can go on its base.
    fn continues(&self, history: &MasterHistory) -> bool {
        // One that began after the last commit is another one under the same name.
        let began = |(oldest, _): (Plateau, Plateau)| oldest.first_seen;
        self.watched
            && self.generation == history.generation()
            && history
                .ends()
                .map(began)
                .is_none_or(|began| began <= self.saved_at)
    }

    /// What came since; `None` when nothing did.
    fn tail(&self, history: &MasterHistory) -> Option<DeltaRecord> {
        let (_, newest) = history.ends()?;
        let (offset, last_sent) = self.newest.unwrap_or_default();
        let grown =
            newest.offset != offset || newest.last_sent != last_sent || self.newest.is_none();
        grown.then(|| history.tail(offset)).flatten()
    }

    fn is_forgotten(&self, now: Timestamp) -> bool {
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

    fn commit(ledger: &mut SavePlanner, fleet: &Fleet, secs: i64) -> Batch {
        let (batch, receipt) = ledger.plan(fleet.to_save(), anchor(secs));
        ledger.settle(receipt);
        batch
    }

    fn new_offsets(batch: &Batch) -> Vec<usize> {
        batch
            .tails
            .iter()
            .map(|(_, tail)| tail.current.plateaus.len())
            .collect()
    }

    #[test]
    fn a_history_is_written_whole_once_and_then_only_what_came() {
        let (mut ledger, mut fleet) = (SavePlanner::default(), Fleet::new(2));
        let first = commit(&mut ledger, fleet.polled('a', 0..10), 10);
        assert_eq!(
            (first.bases.len(), first.tails.len(), first.commit),
            (2, 0, 1)
        );
        let second = commit(&mut ledger, fleet.polled('a', 10..20), 20);
        assert_eq!(
            (second.bases.len(), new_offsets(&second)),
            (0, vec![11, 11]),
            "the last one again: it is longer"
        );
        let idle = commit(&mut ledger, &fleet, 30);
        assert_eq!((idle.bases.len(), idle.tails.len()), (0, 0));
    }

    #[test]
    fn what_was_not_written_comes_again() {
        let (mut ledger, mut fleet) = (SavePlanner::default(), Fleet::new(1));
        commit(&mut ledger, fleet.polled('a', 0..10), 10);
        let (lost, _) = ledger.plan(fleet.polled('a', 10..20).to_save(), anchor(20));
        let again = commit(&mut ledger, fleet.polled('a', 20..30), 30);
        assert_eq!(
            (lost.commit, again.commit, new_offsets(&again)),
            (2, 2, vec![21])
        );
    }

    #[test]
    fn another_history_under_the_same_name_is_written_whole() {
        let (mut ledger, mut fleet) = (SavePlanner::default(), Fleet::new(1));
        commit(&mut ledger, fleet.polled('a', 0..10), 10);
        assert_eq!(
            commit(&mut ledger, fleet.polled('b', 10..20), 20)
                .bases
                .len(),
            1,
            "the master began anew"
        );
        let mut taken_out_and_in_again = Fleet::new(1);
        taken_out_and_in_again.polled('a', 20..21);
        taken_out_and_in_again.polled('b', 21..30);
        assert_eq!(
            commit(&mut ledger, &taken_out_and_in_again, 30).bases.len(),
            1
        );
        assert_eq!(commit(&mut ledger, &Fleet::new(0), 40).bases.len(), 0);
        assert_eq!(
            commit(&mut ledger, &taken_out_and_in_again, 50).bases.len(),
            1,
            "its tails may be gone"
        );
    }

    #[test]
    fn bases_have_their_turn_and_tails_that_nobody_needs_go() {
        let (mut ledger, mut fleet) = (SavePlanner::default(), Fleet::new(3));
        let mut rewritten = 0;
        for n in 1..=3 * i64::try_from(SNAPSHOT_EVERY).unwrap() {
            let batch = commit(
                &mut ledger,
                fleet.polled('a', n * 10..n * 10 + 10),
                n * 10 + 10,
            );
            rewritten += batch.bases.len();
            assert!(
                batch.drop_tails_to + SNAPSHOT_EVERY >= batch.commit - 1,
                "{} {}",
                batch.drop_tails_to,
                batch.commit
            );
        }
        assert_eq!(rewritten, 3 * 3);
    }

    #[test]
    fn one_commit_copies_no_more_than_its_budget() {
        let (mut ledger, mut fleet) = (SavePlanner::default(), Fleet::new(700));
        fleet.polled('a', 0..2_000);
        let size = fleet.0[0].1.size();
        let first = commit(&mut ledger, &fleet, 2_000);
        assert!(
            first.bases.len() < 700 && first.bases.len() * size <= BASE_BUDGET,
            "{}",
            first.bases.len()
        );
        let second = commit(&mut ledger, fleet.polled('a', 2_000..2_010), 2_010);
        assert_eq!(
            second.bases.len() + first.bases.len(),
            700,
            "the others next time"
        );
        assert_eq!(
            second.tails.len(),
            first.bases.len(),
            "without a base there is no tail"
        );
    }

    #[test]
    fn what_nobody_watches_is_kept_for_two_days() {
        let (mut ledger, mut fleet) = (SavePlanner::default(), Fleet::new(1));
        commit(&mut ledger, fleet.polled('a', 0..10), 10);
        let nobody = Fleet::new(0);
        let forgotten = |secs| commit(&mut ledger, &nobody, secs).forgotten;
        assert_eq!(
            [47, 49, 50].map(|hours| hours * 3600).map(forgotten),
            [vec![], vec!["m0:1".to_owned()], vec![]]
        );
    }
}
