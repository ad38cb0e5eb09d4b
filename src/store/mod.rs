//! The durable state, in an embedded database: the lag history, and documents of the alerts and
//! their outbox.
//!
//! Pure: what is written when (`save_planner`), its encoding (`rows`, `codec`), what old instants
//! mean now (`clock_mapping`). IO: the file (`database`, `file`) and the only thread that uses it
//! (`worker`). **Invariant:** monitoring never waits for the disk, and continues from memory when
//! there is none; nothing that was read is trusted without its checksum.

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

/// How often the lag history is written. What is newer is lost when the process is killed; that
/// makes bounds less precise, but not wrong.
pub const SAVE_EVERY: Span = Span::from_secs(10);

/// Documents that are not urgent are written this long after the ones before: a fleet whose alerts
/// flap must not keep the disk busy.
pub const DOCUMENTS_EVERY: Span = Span::from_secs(1);

/// A save that takes longer than this is no longer waited for: notifications are sent from memory.
pub const STUCK_AFTER: Span = Span::from_secs(3);

/// Events of the thread that the core has not received yet. At most one batch is under way.
const EVENTS: usize = 4;

/// Documents that are to be written.
#[derive(Debug, Default)]
pub struct DocumentChanges {
    /// Those that changed, or all of them where [`SaveDue::all`] requires that.
    pub documents: Vec<Document>,
    /// The last change that they contain.
    pub revision: Revision,
}

/// How soon changed documents have to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// No document changed.
    Nothing,
    /// Some changed; within [`DOCUMENTS_EVERY`] is soon enough.
    Soon,
    /// A notification waits for it.
    Now,
}

/// What the next save has to contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveDue {
    /// Whether the lag history is.
    pub lag: bool,
    /// Whether all documents are, and not only those that changed.
    pub all: bool,
}

/// The durable state as the core sees it: hands a batch to the thread when the one before is done,
/// and never waits.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// The channel to the thread; `None` once the file is to be closed.
    batches: Option<SyncSender<Save>>,
    events: mpsc::Receiver<WorkerEvent>,
    status: watch::Receiver<StoreStatus>,
    file: FileState,
    last_run: LastRun,
    next_lag: Timestamp,
    next_documents: Timestamp,
}

/// The file, as far as its thread has reported.
#[derive(Debug)]
enum FileState {
    /// It is being opened, or it could not be opened or written, or its thread has ended. Nothing
    /// waits for it.
    Closed,
    /// It is open.
    Open(OpenFile),
}

/// An open file, and what is in it.
#[derive(Debug)]
struct OpenFile {
    planner: SavePlanner,
    documents: SavedRevision,
    under_way: Option<UnderWay>,
}

/// Which of this run's documents the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SavedRevision {
    /// None: those that it has are of an earlier time, so the next save replaces them all.
    Outdated,
    /// None, but the save that replaces them all is under way.
    BeingReplaced,
    /// All changes up to this one.
    UpTo(Revision),
}

/// A save on its way to the disk.
#[derive(Debug)]
struct UnderWay {
    /// What the planner notes once the lag history is written.
    commit: Option<PendingCommit>,
    revision: Revision,
    since: Timestamp,
    /// Whether it was logged that it takes too long.
    is_reported: bool,
}

/// The documents of the last run.
#[derive(Debug)]
enum LastRun {
    /// They have not been read.
    Unread,
    /// They were read too late for the start, and wait for the core.
    ReadLate(SavedDocuments),
    /// The core has them. What the file holds later is this run's.
    Taken,
}

impl UnderWay {
    fn is_stuck(&self, now: Timestamp) -> bool {
        now - self.since >= STUCK_AFTER
    }
}

impl FileState {
    /// An open file whose documents are of an earlier time.
    fn opened(planner: SavePlanner) -> Self {
        Self::Open(OpenFile {
            planner,
            documents: SavedRevision::Outdated,
            under_way: None,
        })
    }

    const fn under_way(&self) -> Option<&UnderWay> {
        match self {
            Self::Open(file) => file.under_way.as_ref(),
            Self::Closed => None,
        }
    }
}

impl OpenFile {
    fn is_stuck(&self, now: Timestamp) -> bool {
        match &self.under_way {
            Some(save) => save.is_stuck(now),
            None => false,
        }
    }

    /// The lag history as the next save contains it, and what to commit once that is written.
    fn plan(
        &self,
        lag: Option<ToSave<'_>>,
        anchor: ClockAnchor,
    ) -> (Option<Batch>, Option<PendingCommit>) {
        match lag {
            Some(state) => {
                let (batch, commit) = self.planner.plan(state, anchor);
                (Some(batch), Some(commit))
            }
            None => (None, None),
        }
    }
}

impl Store {
    /// Begins to open the database in `folder`, in this boot of the machine.
    pub fn start(folder: PathBuf, boot: Option<BootId>) -> Self {
        let (batches, received_batches) = std::sync::mpsc::sync_channel(1);
        let (sent_events, events) = mpsc::channel(EVENTS);
        let (sent_status, status) = watch::channel(StoreStatus::default());
        let worker = Worker {
            folder: folder.clone(),
            boot,
            clock: clock::anchor,
            batches: received_batches,
            events: sent_events,
            status: sent_status,
            database: None,
            retry_at: Instant::now(),
            complaint: None,
        };
        // Not one of the runtime's threads: the runtime waits for those when the program ends, and
        // a disk may hang.
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || worker.run());
        if let Err(error) = thread {
            error!(%error, "no thread can be started for the state: it is lost when the program ends");
        }
        Self {
            folder,
            batches: Some(batches),
            events,
            status,
            file: FileState::Closed,
            last_run: LastRun::Unread,
            next_lag: Timestamp::default(),
            next_documents: Timestamp::default(),
        }
    }

    /// What the last run left; empty when there is nothing, or it cannot be read within this time.
    pub async fn load(&mut self, within: Duration) -> (SavedState, SavedDocuments) {
        match tokio::time::timeout(within, self.events.recv()).await {
            Ok(Some(WorkerEvent::Opened(loaded, _))) => {
                self.file = FileState::opened(loaded.planner);
                self.last_run = LastRun::Taken;
                (loaded.state, loaded.documents)
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

    /// The documents of the last run, if they were read too late for the start; once.
    pub fn take_late_documents(&mut self) -> Option<SavedDocuments> {
        if !matches!(self.last_run, LastRun::ReadLate(_)) {
            return None;
        }
        match std::mem::replace(&mut self.last_run, LastRun::Taken) {
            LastRun::ReadLate(documents) => Some(documents),
            LastRun::Unread | LastRun::Taken => None,
        }
    }

    /// The folder of the database.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The current status, and every later one.
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.status.clone()
    }

    /// Waits for the thread's next event, and handles it.
    pub async fn next_event(&mut self) {
        match self.events.recv().await {
            Some(event) => self.handle_event(event),
            // The thread is gone; that is noticed with the next batch.
            None => std::future::pending().await,
        }
    }

    /// Which changes of the documents may be acted upon: those that are on the disk, or all of them
    /// where there is no disk to wait for.
    pub fn durable(&self, now: Timestamp) -> Durable {
        let FileState::Open(file) = &self.file else {
            return Durable::Everything;
        };
        if file.is_stuck(now) {
            return Durable::Everything;
        }
        match file.documents {
            SavedRevision::UpTo(revision) => Durable::UpTo(revision),
            // The first save of this run may take its time; after that, everything was written.
            SavedRevision::Outdated | SavedRevision::BeingReplaced => {
                Durable::UpTo(Revision::START)
            }
        }
    }

    /// When [`Self::due`] has something to do, if nothing else happens.
    pub fn next_wakeup(&self, urgency: Urgency) -> Option<Timestamp> {
        let FileState::Open(file) = &self.file else {
            return None;
        };
        match (&file.under_way, urgency) {
            (Some(save), Urgency::Now) if !save.is_reported => Some(save.since + STUCK_AFTER),
            (Some(_), _) | (None, Urgency::Nothing) => None,
            (None, Urgency::Soon | Urgency::Now) => Some(self.next_documents),
        }
    }

    /// What the next save has to contain; `None` when none is due yet, while one is under way, and
    /// without a file.
    pub fn due(&mut self, now: Timestamp, urgency: Urgency) -> Option<SaveDue> {
        while let Ok(event) = self.events.try_recv() {
            self.handle_event(event);
        }
        if urgency == Urgency::Now {
            self.report_stuck(now);
        }
        let FileState::Open(file) = &self.file else {
            return None;
        };
        if file.under_way.is_some() {
            return None;
        }
        let all = file.documents == SavedRevision::Outdated;
        let lag = now >= self.next_lag;
        let documents = match urgency {
            Urgency::Now => true,
            Urgency::Soon => now >= self.next_documents,
            Urgency::Nothing => all,
        };
        if lag || documents {
            Some(SaveDue { lag, all })
        } else {
            None
        }
    }

    /// Warns once that the save under way takes too long.
    fn report_stuck(&mut self, now: Timestamp) {
        let FileState::Open(file) = &mut self.file else {
            return;
        };
        if let Some(save) = &mut file.under_way
            && save.is_stuck(now)
            && !save.is_reported
        {
            save.is_reported = true;
            warn!(
                "the disk takes too long: notifications are sent before they are kept, and a restart may send them again"
            );
        }
    }

    /// Hands over what is due: the lag history if it is, and all documents or those that changed.
    /// Does nothing without a file.
    pub fn save(&mut self, anchor: ClockAnchor, lag: Option<ToSave<'_>>, changes: DocumentChanges) {
        let FileState::Open(file) = &mut self.file else {
            return;
        };
        let Some(batches) = &self.batches else {
            return;
        };
        if lag.is_some() {
            self.next_lag = anchor.mono + SAVE_EVERY;
        }
        let (lag, commit) = file.plan(lag, anchor);
        self.next_documents = anchor.mono + DOCUMENTS_EVERY;
        let replaces_all = file.documents == SavedRevision::Outdated;
        if replaces_all {
            file.documents = SavedRevision::BeingReplaced;
        }
        let save = Save {
            anchor,
            lag,
            documents: changes.documents,
            replaces_all,
        };
        if batches.try_send(save).is_ok() {
            file.under_way = Some(UnderWay {
                commit,
                revision: changes.revision,
                since: anchor.mono,
                is_reported: false,
            });
        } else {
            // The thread has nothing under way, so the only reason is that it is gone.
            error!(error = %StoreError::Ended, "the state is kept no longer");
            self.file = FileState::Closed;
        }
    }

    /// Writes everything a last time and closes the file, unless that takes longer than `within`.
    pub async fn finish(
        mut self,
        anchor: ClockAnchor,
        state: ToSave<'_>,
        documents: DocumentChanges,
        within: Duration,
    ) {
        let finished = tokio::time::timeout(within, async {
            self.wait_until_saved().await;
            self.save(anchor, Some(state), documents);
            self.wait_until_saved().await;
            self.batches = None;
            // The thread ends, and with it its events, once the file is closed.
            while self.events.recv().await.is_some() {}
        });
        if finished.await.is_err() {
            warn!(
                "the state could not be written in time at the end: what came in the last seconds is lost"
            );
        }
    }

    /// Whether there is a file that the state is kept in.
    pub const fn is_open(&self) -> bool {
        matches!(self.file, FileState::Open(_))
    }

    /// Whether the next save has to hold all documents.
    pub fn wants_all(&self) -> bool {
        match &self.file {
            FileState::Open(file) => file.documents == SavedRevision::Outdated,
            FileState::Closed => true,
        }
    }

    /// Waits until no save is under way.
    async fn wait_until_saved(&mut self) {
        while self.file.under_way().is_some() {
            match self.events.recv().await {
                Some(event) => self.handle_event(event),
                None => self.file = FileState::Closed,
            }
        }
    }

    fn handle_event(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Saved => self.note_saved(),
            WorkerEvent::Failed => self.file = FileState::Closed,
            // It is too late to restore the state, for the monitor has newer state by now:
            // everything is written again. Only the documents of the last run are still needed.
            WorkerEvent::Opened(loaded, last_commit) => {
                if matches!(self.last_run, LastRun::Unread) {
                    self.last_run = LastRun::ReadLate(loaded.documents);
                }
                self.file = FileState::opened(SavePlanner::empty(last_commit));
            }
        }
    }

    fn note_saved(&mut self) {
        let FileState::Open(file) = &mut self.file else {
            return;
        };
        let Some(save) = file.under_way.take() else {
            return;
        };
        if save.is_reported {
            info!("the disk has caught up");
        }
        file.documents = SavedRevision::UpTo(save.revision);
        if let Some(commit) = save.commit {
            file.planner.commit(commit);
        }
    }
}

#[cfg(test)]
mod tests;
