//! What must outlive the process, in an embedded database: the lag history, and documents of the
//! alerts and their outbox.
//!
//! Pure: what is written when (`ledger`), how it looks in bytes (`rows`, `codec`), what old
//! instants mean now (`frame`). IO: the file (`database`, `place`) and the thread that alone
//! touches it (`worker`). **Invariant:** monitoring never waits for the disk, and goes on from
//! memory when there is none; nothing that was read is trusted without its checksum.

mod clock_mapping;
mod codec;
mod database;
mod error;
mod file;
mod rows;
mod save_planner;
mod status;
#[cfg(test)]
mod testing;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::clock;
use crate::model::{
    BootId, ClockAnchor, Document, Durable, Revision, SavedDocuments, Span, Timestamp,
};
use crate::replication::{SavedState, ToSave};
use worker::{Worker, WorkerEvent};

pub use clock_mapping::{BootClock, ClockRefusal, HORIZON, WALL_ERROR};
pub use codec::RowError;
pub use database::{
    CommitStats, Database, HISTORY_KEPT, HISTORY_READ, Loaded, MAX_HISTORY, Refusals, SCHEMA,
};
pub use error::{StoreError, StoreOperation};
pub use save_planner::{Batch, PendingCommit, SNAPSHOT_EVERY, Save, SavePlanner};
pub use status::StoreStatus;

/// How often the lag history is written. What came after the last time is lost when the process is
/// killed; it costs precision of the bounds, not their truth.
pub const SAVE_EVERY: Span = Span::from_secs(10);

/// Documents that nobody waits for are written this long after the ones before: a fleet whose
/// alerts flap must not keep the disk busy.
pub const DOCUMENTS_EVERY: Span = Span::from_secs(1);

/// A save that takes longer than this holds up nobody any more: what waits for it is done from
/// memory.
pub const STUCK_AFTER: Span = Span::from_secs(3);

/// Events that the thread has told and the core has not heard yet. There is at most one batch under
/// way.
const EVENTS: usize = 4;

/// Documents that are to be written.
#[derive(Debug, Default)]
pub struct DocumentChanges {
    /// What changed; everything there is, where that was asked for.
    pub documents: Vec<Document>,
    /// The last change that they contain.
    pub revision: Revision,
}

/// What there may be to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// No document changed.
    Nothing,
    /// Some changed; the next second will do.
    Soon,
    /// Somebody waits for it.
    Now,
}

/// What is to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveDue {
    /// The lag history is.
    pub lag: bool,
    /// All documents are, and not only those that changed.
    pub all: bool,
}

/// A save on its way to the disk.
#[derive(Debug)]
struct UnderWay {
    receipt: Option<PendingCommit>,
    revision: Revision,
    since: Timestamp,
}

/// The state's keeper, as the core sees it: hands a batch to the thread when the one before is
/// done, and never waits.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    batches: Option<SyncSender<Save>>,
    events: mpsc::Receiver<WorkerEvent>,
    status: watch::Receiver<StoreStatus>,
    /// What is on the disk; `None` while the file is not open.
    ledger: Option<SavePlanner>,
    under_way: Option<UnderWay>,
    next: Timestamp,
    next_documents: Timestamp,
    /// The last change of documents that is on the disk; `None` as long as the file has none of
    /// this life.
    durable: Option<Revision>,
    /// Whether the file's documents are of an earlier time than the memory's.
    anew: bool,
    /// Whether the documents of the last life have been read.
    was_read: bool,
    /// What was read too late for the start.
    late: Option<SavedDocuments>,
    told_stuck: bool,
}

impl Store {
    /// Begins to open the database in `folder`, in this boot of the machine.
    pub fn start(folder: PathBuf, boot: Option<BootId>) -> Self {
        let (batches, asked) = std::sync::mpsc::sync_channel(1);
        let (told, events) = mpsc::channel(EVENTS);
        let (sender, status) = watch::channel(StoreStatus::default());
        let worker = Worker {
            folder: folder.clone(),
            boot,
            clock: clock::anchor,
            batches: asked,
            events: told,
            status: sender,
            database: None,
            retry_at: Instant::now(),
            complaint: None,
        };
        // A thread of its own and not one of the runtime's: those are waited for when the program
        // ends, and a disk may hang.
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || worker.run());
        if let Err(error) = thread {
            error!(%error, "no thread can be had that keeps the state: it is lost when the program ends");
        }
        Self {
            folder,
            batches: Some(batches),
            events,
            status,
            ledger: None,
            under_way: None,
            next: Timestamp::default(),
            next_documents: Timestamp::default(),
            durable: None,
            anew: true,
            was_read: false,
            late: None,
            told_stuck: false,
        }
    }

    /// What was kept; empty when there is nothing, or it cannot be had within this time.
    pub async fn load(&mut self, within: Duration) -> (SavedState, SavedDocuments) {
        match tokio::time::timeout(within, self.events.recv()).await {
            Ok(Some(WorkerEvent::Opened(loaded, _))) => {
                let Loaded {
                    state,
                    ledger,
                    documents,
                    ..
                } = *loaded;
                (self.ledger, self.was_read) = (Some(ledger), true);
                (state, documents)
            }
            Ok(_) => Default::default(),
            Err(_) => {
                let waited = Span::from(within).to_string();
                warn!(
                    waited,
                    "the state was not read in time: monitoring begins without what was kept"
                );
                Default::default()
            }
        }
    }

    /// The documents of the last life, when they came too late for the start; once.
    pub fn take_late_documents(&mut self) -> Option<SavedDocuments> {
        self.late.take()
    }

    /// The folder of the database.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How keeping the state goes.
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.status.clone()
    }

    /// Waits until the thread has something to say, and takes it in.
    pub async fn next_event(&mut self) {
        match self.events.recv().await {
            Some(event) => self.hear(event),
            // The thread is gone; that is noticed with the next batch.
            None => std::future::pending().await,
        }
    }

    /// Which changes of the documents may be acted upon: those that are on the disk, or all of them
    /// where there is no disk to wait for.
    pub fn durable(&self, now: Timestamp) -> Durable {
        let stuck = self
            .under_way
            .as_ref()
            .is_some_and(|save| now - save.since >= STUCK_AFTER);
        match (self.ledger.is_some() && !stuck, self.durable) {
            (true, Some(revision)) => Durable::UpTo(revision),
            // The first save of this life may take its time; after that, all there is has been
            // written.
            (true, None) if self.was_read => Durable::UpTo(Revision::START),
            _ => Durable::Everything,
        }
    }

    /// When [`Self::due`] has something to do, if nothing else happens.
    pub fn next_wakeup(&self, urgency: Urgency) -> Option<Timestamp> {
        if let Some(save) = &self.under_way {
            return (urgency == Urgency::Now && !self.told_stuck).then(|| save.since + STUCK_AFTER);
        }
        (self.ledger.is_some() && urgency != Urgency::Nothing).then_some(self.next_documents)
    }

    /// What is to be handed over now: nothing when it is not time to, when the thread has something
    /// to do, and when there is no file.
    pub fn due(&mut self, now: Timestamp, urgency: Urgency) -> Option<SaveDue> {
        while let Ok(event) = self.events.try_recv() {
            self.hear(event);
        }
        self.notice_stuck(now, urgency);
        if self.under_way.is_some() || self.ledger.is_none() {
            return None;
        }
        let lag = now >= self.next;
        let documents = match urgency {
            Urgency::Now => true,
            Urgency::Soon => now >= self.next_documents,
            Urgency::Nothing => self.anew,
        };
        (lag || documents).then_some(SaveDue {
            lag,
            all: self.anew,
        })
    }

    /// Hands over what is due: the lag history if it is, and all documents or those that changed.
    pub fn save(&mut self, anchor: ClockAnchor, lag: Option<ToSave<'_>>, changes: DocumentChanges) {
        self.hand_over(anchor, lag, changes);
    }

    /// Writes all that there is to write a last time and closes the file, unless that takes longer
    /// than `within`.
    pub async fn finish(
        mut self,
        anchor: ClockAnchor,
        state: ToSave<'_>,
        documents: DocumentChanges,
        within: Duration,
    ) {
        let finished = tokio::time::timeout(within, async {
            self.settle().await;
            self.hand_over(anchor, Some(state), documents);
            self.settle().await;
            self.batches = None;
            while self.events.recv().await.is_some() {}
        });
        if finished.await.is_err() {
            warn!(
                "the state could not be written in time at the end: what came in the last seconds is lost"
            );
        }
    }

    /// Whether there is a file that the state is kept in.
    pub fn is_open(&self) -> bool {
        self.ledger.is_some()
    }

    /// Whether the next save has to hold all documents.
    pub fn wants_all(&self) -> bool {
        self.anew
    }

    /// Waits until nothing is under way.
    async fn settle(&mut self) {
        while self.under_way.is_some() {
            match self.events.recv().await {
                Some(event) => self.hear(event),
                None => self.under_way = None,
            }
        }
    }

    fn notice_stuck(&mut self, now: Timestamp, urgency: Urgency) {
        let stuck = self
            .under_way
            .as_ref()
            .is_some_and(|save| now - save.since >= STUCK_AFTER);
        if stuck && urgency == Urgency::Now && !self.told_stuck {
            self.told_stuck = true;
            warn!(
                "the disk takes too long: notifications are sent before they are kept, and a restart may send them again"
            );
        }
    }

    /// Whoever writes anyway writes everything that there is to write.
    fn hand_over(
        &mut self,
        anchor: ClockAnchor,
        state: Option<ToSave<'_>>,
        changes: DocumentChanges,
    ) {
        let Some((ledger, batches)) = self.ledger.as_ref().zip(self.batches.as_ref()) else {
            return;
        };
        let (lag, receipt) = state.map(|state| ledger.plan(state, anchor)).unzip();
        if lag.is_some() {
            self.next = anchor.mono + SAVE_EVERY;
        }
        self.next_documents = anchor.mono + DOCUMENTS_EVERY;
        let anew = std::mem::take(&mut self.anew);
        let DocumentChanges {
            documents,
            revision,
        } = changes;
        if batches
            .try_send(Save {
                anchor,
                lag,
                documents,
                anew,
            })
            .is_ok()
        {
            self.under_way = Some(UnderWay {
                receipt,
                revision,
                since: anchor.mono,
            });
        } else {
            // The thread has nothing under way, so the only reason is that it is gone.
            error!(error = %StoreError::Ended, "the state is kept no longer");
            self.ledger = None;
        }
    }

    fn hear(&mut self, event: WorkerEvent) {
        let done = self.under_way.take();
        match event {
            WorkerEvent::Saved => {
                if std::mem::take(&mut self.told_stuck) {
                    info!("the disk has caught up");
                }
                let Some(UnderWay {
                    receipt, revision, ..
                }) = done
                else {
                    return;
                };
                self.durable = Some(revision);
                if let Some((ledger, receipt)) = self.ledger.as_mut().zip(receipt) {
                    ledger.settle(receipt);
                }
            }
            WorkerEvent::Failed => (self.ledger, self.durable, self.anew) = (None, None, true),
            // It came too late for the monitor, which by now knows better: everything is written
            // anew. Only what the last life left undone is not known better.
            WorkerEvent::Opened(loaded, last_commit) => {
                if !std::mem::replace(&mut self.was_read, true) {
                    self.late = Some(loaded.documents);
                }
                (self.ledger, self.durable, self.anew) =
                    (Some(SavePlanner::empty(last_commit)), None, true);
            }
        }
    }
}

#[cfg(test)]
mod tests;
