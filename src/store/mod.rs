//! What must outlive the process, in an embedded database: the lag history.
//!
//! Pure: what is written when (`ledger`), how it looks in bytes (`rows`, `codec`), what old instants mean now (`frame`).
//! IO: the file (`database`, `place`) and the thread that alone touches it (`worker`). **Invariant:** monitoring never
//! waits for the disk, and goes on from memory when there is none; nothing that was read is trusted without its checksum.

mod codec;
mod database;
mod error;
mod frame;
mod ledger;
mod place;
mod rows;
mod status;
#[cfg(test)]
mod testing;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tracing::{error, warn};

use crate::clock;
use crate::model::{BootId, ClockAnchor, Span, Timestamp};
use crate::replication::{SavedState, ToSave};
use worker::{Event, Worker};

pub use codec::RowError;
pub use database::{Database, Loaded, Refusals, SCHEMA, Written};
pub use error::{StoreError, StoreOperation};
pub use frame::{Clock, ClockRefusal, HORIZON, WALL_ERROR};
pub use ledger::{BASE_EVERY, Batch, Ledger, Receipt};
pub use status::StoreStatus;

/// How often the state is written. What came after the last time is lost when the process is killed; it costs precision
/// of the bounds, not their truth.
pub const SAVE_EVERY: Span = Span::from_secs(10);

/// Events that the thread has told and the core has not heard yet. There is at most one batch under way.
const EVENTS: usize = 4;

/// The state's keeper, as the core sees it: hands a batch to the thread when the one before is done, and never waits.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    batches: Option<SyncSender<Batch>>,
    events: mpsc::Receiver<Event>,
    status: watch::Receiver<StoreStatus>,
    /// What is on the disk; `None` while the file is not open.
    ledger: Option<Ledger>,
    under_way: Option<Receipt>,
    next: Timestamp,
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
        // A thread of its own and not one of the runtime's: those are waited for when the program ends, and a disk may hang.
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || worker.run());
        if let Err(error) = thread {
            error!(%error, "no thread can be had that keeps the state: it is lost when the program ends");
        }
        let (batches, next) = (Some(batches), Timestamp::default());
        Self { folder, batches, events, status, ledger: None, under_way: None, next }
    }

    /// What was kept; empty when there is nothing, or it cannot be had within this time.
    pub async fn restored(&mut self, within: Duration) -> SavedState {
        match tokio::time::timeout(within, self.events.recv()).await {
            Ok(Some(Event::Opened(loaded, _))) => {
                let Loaded { state, ledger, .. } = *loaded;
                self.ledger = Some(ledger);
                state
            }
            Ok(_) => SavedState::default(),
            Err(_) => {
                let waited = Span::from(within).to_string();
                warn!(waited, "the state was not read in time: monitoring begins without what was kept");
                SavedState::default()
            }
        }
    }

    /// The folder of the database.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How keeping the state goes.
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.status.clone()
    }

    /// Hands `state` over to be written, if it is time to and the thread has nothing to do.
    pub fn tick<'a>(&mut self, anchor: ClockAnchor, state: impl FnOnce() -> ToSave<'a>) {
        while let Ok(event) = self.events.try_recv() {
            self.hear(&event);
        }
        if anchor.mono >= self.next && self.under_way.is_none() && self.ledger.is_some() {
            self.next = anchor.mono + SAVE_EVERY;
            self.hand_over(anchor, state());
        }
    }

    /// Writes `state` a last time and closes the file, unless that takes longer than `within`.
    pub async fn finish(mut self, anchor: ClockAnchor, state: ToSave<'_>, within: Duration) {
        let finished = tokio::time::timeout(within, async {
            self.settle().await;
            self.hand_over(anchor, state);
            self.settle().await;
            self.batches = None;
            while self.events.recv().await.is_some() {}
        });
        if finished.await.is_err() {
            warn!("the state could not be written in time at the end: what came in the last seconds is lost");
        }
    }

    /// Waits until nothing is under way.
    async fn settle(&mut self) {
        while self.under_way.is_some() {
            match self.events.recv().await {
                Some(event) => self.hear(&event),
                None => self.under_way = None,
            }
        }
    }

    fn hand_over(&mut self, anchor: ClockAnchor, state: ToSave<'_>) {
        let Some((ledger, batches)) = self.ledger.as_ref().zip(self.batches.as_ref()) else { return };
        let (batch, receipt) = ledger.plan(state, anchor);
        if batches.try_send(batch).is_ok() {
            self.under_way = Some(receipt);
        } else {
            // The thread has nothing under way, so the only reason is that it is gone.
            error!(error = %StoreError::Ended, "the state is kept no longer");
            self.ledger = None;
        }
    }

    fn hear(&mut self, event: &Event) {
        let receipt = self.under_way.take();
        match event {
            Event::Saved => {
                if let Some((ledger, receipt)) = self.ledger.as_mut().zip(receipt) {
                    ledger.settle(receipt);
                }
            }
            Event::Failed => self.ledger = None,
            // It came too late for the monitor, which by now knows better: everything is written anew.
            Event::Opened(_, last_commit) => self.ledger = Some(Ledger::empty(*last_commit)),
        }
    }
}

#[cfg(test)]
mod tests;
