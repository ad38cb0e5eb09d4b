//! Captures by itself: watches the snapshots for a deposed master that still has writes of its own,
//! and saves them before it becomes a replica. Sentinel leaves some ten seconds for that.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::board::{Board, CaptureEnd, CaptureKey};
use super::{CaptureOptions, CaptureTarget, Captured, capture, stored_files};
use crate::clock;
use crate::config::{Credentials, PollSettings, RecoverSettings, Settings};
use crate::lost_writes::{CannotBeHad, CaptureState, CaptureStatus, LostWritesHeader};
use crate::model::{Bytes, Span};
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::replication::Relation;

/// How often the folder is looked at: a file that is gone, or that a person has marked, is no
/// longer shown.
const RESCAN_EVERY: Duration = Duration::from_secs(5);

/// How often waits are over, beside the snapshots.
const TICK: Duration = Duration::from_millis(500);

/// Captures at the same time; further ones wait.
const AT_ONCE: usize = 16;

/// Events that wait for the core. Each replaces the one before, and one that finds no room is sent
/// again with the next.
pub const CAPTURE_QUEUE: usize = 16;

/// For how long a deposed master is read after the first save: longer than Sentinel lets it be one.
const FOLLOW: Span = Span::from_secs(30);

/// The shortest time for a connection and for each answer.
const SHORTEST_TIMEOUT: Span = Span::from_secs(2);

/// What is known of captures now: replaces what was known before.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureEvent {
    /// Every capture and every file that waits for a person.
    pub statuses: Vec<CaptureStatus>,
}

/// What of the settings matters.
#[derive(Clone, Debug, PartialEq)]
struct CaptureSettings {
    recover: RecoverSettings,
    operator: Option<Credentials>,
    poll: PollSettings,
}

impl CaptureSettings {
    fn new(settings: &Settings) -> Self {
        Self {
            recover: settings.recover.clone(),
            operator: settings.operator.clone(),
            poll: settings.poll,
        }
    }

    /// For the servers of `target`.
    fn options(&self, target: &CaptureTarget) -> CaptureOptions {
        let configured = if target.deposed.local && target.promoted.local {
            self.poll.timeout_local
        } else {
            self.poll.timeout_remote
        };
        CaptureOptions {
            folder: Some(self.recover.dir.clone()),
            max_bytes: self.recover.max_bytes,
            timeout: configured.max(SHORTEST_TIMEOUT),
            follow: Some(FOLLOW),
            unfenced: true,
        }
    }
}

/// The task that captures. Dropping it ends every capture.
#[derive(Debug)]
pub struct AutomaticCapture {
    settings: watch::Sender<CaptureSettings>,
    _task: JoinSet<()>,
}

impl AutomaticCapture {
    /// Starts to watch; what happens is sent to `events`. Must be called within a tokio runtime.
    pub fn start(
        settings: &Settings,
        snapshots: watch::Receiver<Arc<FleetSnapshot>>,
        events: mpsc::Sender<CaptureEvent>,
    ) -> Self {
        let (sender, receiver) = watch::channel(CaptureSettings::new(settings));
        let supervisor = Supervisor {
            settings: receiver,
            snapshots,
            events,
            board: Board::default(),
            files: Vec::new(),
            captures: JoinSet::new(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            sent: None,
        };
        let mut task = JoinSet::new();
        task.spawn(supervisor.run());
        Self {
            settings: sender,
            _task: task,
        }
    }

    /// Applies other settings.
    pub fn reload(&self, settings: &Settings) {
        self.settings.send_replace(CaptureSettings::new(settings));
    }
}

struct Supervisor {
    settings: watch::Receiver<CaptureSettings>,
    snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    events: mpsc::Sender<CaptureEvent>,
    board: Board,
    /// The files that wait for a person.
    files: Vec<CaptureStatus>,
    captures: JoinSet<(CaptureKey, CaptureEnd)>,
    permits: Arc<Semaphore>,
    /// What the core has received.
    sent: Option<CaptureEvent>,
}

impl Supervisor {
    /// Runs until the core is gone.
    async fn run(mut self) {
        let (saved, mut new_files) = mpsc::channel(AT_ONCE);
        let mut rescan = tokio::time::interval(RESCAN_EVERY);
        let mut tick = tokio::time::interval(TICK);
        rescan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Where captures are off, no snapshot has to wake this task: the next settings do.
            let is_on = self.settings.borrow().recover.capture;
            tokio::select! {
                changed = self.snapshots.changed(), if is_on => match changed {
                    Ok(()) => self.look(&saved),
                    Err(_) => return,
                },
                changed = self.settings.changed() => if changed.is_err() {
                    return;
                },
                Some(ended) = self.captures.join_next() => self.ended(ended).await,
                // A file is there, and more may follow.
                Some(()) = new_files.recv() => self.scan().await,
                _ = rescan.tick() => {
                    self.board.tidy(clock::now());
                    self.scan().await;
                }
                _ = tick.tick(), if is_on => self.board.tidy(clock::now()),
            }
            self.report();
        }
    }

    /// Begins what has to begin.
    fn look(&mut self, saved: &mpsc::Sender<()>) {
        let fleet = Arc::clone(&self.snapshots.borrow_and_update());
        let settings = self.settings.borrow().clone();
        if !settings.recover.capture {
            return;
        }
        for pair in &fleet.pairs {
            let Some((target, unshared)) = deposed_master(pair) else {
                continue;
            };
            let key = CaptureKey {
                pair: target.pair.clone(),
                deposed: target.deposed.addr.clone(),
            };
            if self.board.see(&key, unshared, clock::now()) {
                self.begin(key, &target, &settings, saved.clone());
            }
        }
    }

    fn begin(
        &mut self,
        key: CaptureKey,
        target: &CaptureTarget,
        settings: &CaptureSettings,
        saved: mpsc::Sender<()>,
    ) {
        let options = settings.options(target);
        let target = match &settings.operator {
            Some(operator) => target.with_login(operator),
            None => target.clone(),
        };
        let permits = Arc::clone(&self.permits);
        self.captures.spawn(async move {
            let _permit = permits.acquire().await;
            let begun = clock::now();
            let first_saved = OnceLock::new();
            let there = |_: &LostWritesHeader, _: &Path| {
                first_saved.get_or_init(clock::now);
                // A full queue has the same news in it.
                let _ = saved.try_send(());
            };
            let end = match capture(&target, &options, there).await {
                Ok(Captured::Nothing) => CaptureEnd::Nothing,
                Ok(Captured::Tail(tail)) => {
                    log_saved(&target, &tail.header, tail.file.as_deref());
                    CaptureEnd::Saved {
                        length: Bytes::new(tail.header.stream_bytes),
                        took: first_saved.get().map_or(Span::ZERO, |at| *at - begun),
                    }
                }
                Err(why) => {
                    log_failed(&target, &why);
                    CaptureEnd::Failed(why)
                }
            };
            (key, end)
        });
    }

    async fn ended(&mut self, ended: Result<(CaptureKey, CaptureEnd), tokio::task::JoinError>) {
        match ended {
            Ok((key, end)) => self.board.end(&key, end, clock::now()),
            Err(error) => {
                warn!(%error, "a capture of lost writes ended; this is a bug: please report it");
            }
        }
        self.scan().await;
    }

    /// Looks at the folder.
    async fn scan(&mut self) {
        let folder = self.settings.borrow().recover.dir.clone();
        match stored_files(&folder).await {
            Ok(files) => {
                self.files.clear();
                for file in files {
                    if file.header.done.is_none() {
                        self.files
                            .extend(CaptureStatus::from_file(&file.header, file.path));
                    }
                }
            }
            // What was there is shown until it can be read again.
            Err(error) => {
                warn!(path = %folder.display(), %error, "the folder of lost writes cannot be read");
            }
        }
    }

    fn has_file(&self, status: &CaptureStatus) -> bool {
        let mut files = self.files.iter();
        files.any(|file| file.pair == status.pair && file.deposed == status.deposed)
    }

    /// Sends what has changed. A queue that is full takes it the next time.
    fn report(&mut self) {
        let mut statuses = self.board.statuses(&clock::anchor());
        // Its file is there already: more is read.
        statuses.retain(|status| status.state != CaptureState::Running || !self.has_file(status));
        statuses.extend(self.files.iter().cloned());
        let event = CaptureEvent { statuses };
        if self.sent.as_ref() == Some(&event) {
            return;
        }
        if self.events.try_send(event.clone()).is_ok() {
            self.sent = Some(event);
        }
    }
}

/// The server of a pair that was deposed and has something alone, and how much; both servers
/// answer.
fn deposed_master(pair: &PairSnapshot) -> Option<(CaptureTarget, Bytes)> {
    let Relation::IsMaster { split: Some(split) } = pair.facts.relation else {
        return None;
    };
    let answer = pair.master.facts.is_up() && pair.replica.facts.is_up();
    if !answer || split.older() == Bytes::ZERO {
        return None;
    }
    let master = Arc::clone(&pair.master.meta);
    let replica = Arc::clone(&pair.replica.meta);
    let (deposed, promoted) = if split.master_was_promoted {
        (replica, master)
    } else {
        (master, replica)
    };
    let target = CaptureTarget {
        pair: pair.meta.key.name.clone(),
        deposed,
        promoted,
    };
    Some((target, split.older()))
}

fn log_saved(target: &CaptureTarget, header: &LostWritesHeader, file: Option<&Path>) {
    let file = file.map_or_else(|| "none".to_owned(), |file| file.display().to_string());
    let news = if header.is_complete {
        "the writes that only the deposed master has are saved"
    } else {
        "only a part of the writes that only the deposed master has is saved"
    };
    info!(
        pair = %target.pair,
        server = %target.deposed.addr,
        file,
        what = header.summary(),
        "{news}"
    );
}

fn log_failed(target: &CaptureTarget, why: &CannotBeHad) {
    warn!(
        pair = %target.pair,
        server = %target.deposed.addr,
        reason = why.label(),
        "the writes that only the deposed master has are not saved: {why}"
    );
}
