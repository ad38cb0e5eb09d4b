//! The thread that does the IO: it opens, reads and writes the file, and retries after a failure.
//! Nothing waits for it.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::clock_mapping::BootClock;
use super::database::{Database, Loaded};
use super::error::{StoreError, StoreOperation};
use super::file::{self, Opened};
use super::save_planner::Save;
use super::status::StoreStatus;
use crate::model::{BootId, ClockAnchor};

/// A file that could not be opened or written is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

/// What the thread reports to the core.
#[derive(Debug)]
pub(super) enum WorkerEvent {
    /// The file is open; this was in it, up to the commit with this number.
    Opened(Box<Loaded>, u64),
    /// The batch is on the disk.
    Saved,
    /// The file cannot be opened or written; another try follows.
    Failed,
}

/// The thread's state.
pub(super) struct Worker {
    pub(super) folder: PathBuf,
    pub(super) boot: Option<BootId>,
    /// Reads both clocks.
    pub(super) clock: fn() -> ClockAnchor,
    pub(super) batches: Receiver<Save>,
    pub(super) events: mpsc::Sender<WorkerEvent>,
    pub(super) status: watch::Sender<StoreStatus>,
    pub(super) database: Option<Database>,
    /// When to open the file, while it is not.
    pub(super) retry_at: Instant,
    /// The last warning, so that it is logged once.
    pub(super) complaint: Option<String>,
}

impl Worker {
    /// Runs until the core has dropped its end of the channel.
    pub(super) fn run(mut self) {
        while self.step().is_some() {}
        // The end of the events means that the file is closed.
        self.database = None;
    }

    /// Opens the file if it is time to, and carries out one request. `None` at the end.
    fn step(&mut self) -> Option<()> {
        if self.database.is_none() && Instant::now() >= self.retry_at {
            self.open()?;
        }
        // With the file open there is nothing to wake up for; any timeout does.
        let wait = if self.database.is_some() {
            RETRY
        } else {
            self.retry_at - Instant::now()
        };
        match self.batches.recv_timeout(wait) {
            Ok(save) => {
                let saved = self.save(&save);
                self.report(saved)
            }
            Err(RecvTimeoutError::Timeout) => Some(()),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// `None` once the core no longer receives events.
    fn report(&self, event: WorkerEvent) -> Option<()> {
        self.events.blocking_send(event).ok()
    }

    fn open(&mut self) -> Option<()> {
        let present = BootClock {
            boot: self.boot,
            anchor: (self.clock)(),
        };
        match file::open(&self.folder, present) {
            Ok(opened) => {
                let event = self.opened(opened);
                self.report(event)
            }
            Err(error) => {
                self.fail(StoreOperation::Open, &error);
                self.report(WorkerEvent::Failed)
            }
        }
    }

    fn opened(&mut self, opened: Opened) -> WorkerEvent {
        let Opened {
            database,
            loaded,
            set_aside,
        } = opened;
        if let Some((aside, why)) = set_aside {
            self.status
                .send_modify(|status| status.count(StoreOperation::Open, 1));
            let aside = aside.display();
            warn!(%aside, error = why, "the state was damaged: it is kept under another name, and a new one is begun");
        }
        self.report_loaded(&loaded);
        let last_commit = database.last_commit();
        self.database = Some(database);
        WorkerEvent::Opened(Box::new(loaded), last_commit)
    }

    /// Counts and logs what was read, and what of it is left out.
    fn report_loaded(&self, loaded: &Loaded) {
        // After a failure the store is up again only when something was written: a file on a full
        // disk can be opened.
        let is_up = self.complaint.is_none();
        let refused = loaded.refused.count;
        self.status.send_modify(|status| {
            status.up |= is_up;
            status.count(StoreOperation::Read, refused);
        });
        for refusal in &loaded.refused.first {
            warn!(error = refusal, "a part of the state is not taken");
        }
        if is_up {
            let folder = self.folder.display();
            let histories = loaded.state.histories.len();
            let pairs = loaded.state.pairs.len();
            info!(%folder, histories, pairs, refused, "the state was read");
        }
    }

    fn save(&mut self, save: &Save) -> WorkerEvent {
        let Some(database) = &mut self.database else {
            return WorkerEvent::Failed;
        };
        let path = self.folder.clone();
        match file::guarded(&path, || database.commit(save)) {
            Ok(written) => {
                let at = (self.clock)().wall;
                self.status.send_modify(|status| {
                    status.up = true;
                    status.last_commit = Some(at);
                    status.written += written.bytes;
                });
                if self.complaint.take().is_some() {
                    info!("the state is kept again");
                }
                WorkerEvent::Saved
            }
            Err(error) => {
                // After a failed write the database accepts no more of them: it is opened again.
                self.database = None;
                self.fail(StoreOperation::Write, &error);
                WorkerEvent::Failed
            }
        }
    }

    fn fail(&mut self, operation: StoreOperation, error: &StoreError) {
        self.retry_at = Instant::now() + RETRY;
        self.status.send_modify(|status| {
            status.up = false;
            status.count(operation, 1);
        });
        let complaint = error.to_string();
        if self.complaint.as_ref() != Some(&complaint) {
            warn!(
                error = complaint,
                "the state cannot be kept: monitoring goes on from memory, and it is tried again"
            );
            self.complaint = Some(complaint);
        }
    }
}
