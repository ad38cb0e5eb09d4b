//! Working off a queue: peek, apply, acknowledge.
//!
//! Nothing leaves the queue before the other site has it, so nothing is lost when this stops between any
//! two requests, and nothing has to be recovered: what was applied and not acknowledged is applied again,
//! which changes nothing. Other workers may run at the same time, the tutorial's, too.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::active_active::{
    ApplyLimits, ApplyOutcome, Batch, Envelope, Fate, QueueItem, Rejection, Request, Site,
    SiteError, Stamp,
};

/// Items that are worked off at once.
const BATCH: usize = 500;

/// A batch of more bytes makes the next one smaller: 16 MiB.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Two sites and the queue of the first one.
#[derive(Clone, Copy, Debug)]
pub struct Drain<'a, S> {
    /// Where the queue is.
    pub source: &'a S,
    /// Where its items go.
    pub target: &'a S,
    /// The queue's key.
    pub queue: &'a str,
    /// What the target accepts.
    pub limits: ApplyLimits,
    /// At most so many items a second; none without a limit.
    pub items_per_second: Option<u32>,
}

/// What a drain did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Versions that the target did not have.
    pub applied: u64,
    /// Versions that it had.
    pub same: u64,
    /// Versions that were older than the target's, which were written back to the source.
    pub older: u64,
    /// Versions that only their bytes ordered.
    pub ties: u64,
    /// Items that were set aside, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Items that were taken from the queue.
    pub taken: u64,
    /// Why it stopped before the queue was empty or the limit reached.
    pub stopped: Option<Stopped>,
}

/// Which site stopped a drain, and why. The queue keeps what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The site with the queue.
    Source(SiteError),
    /// The site that its items go to.
    Target(SiteError),
}

/// What became of a batch.
struct Round {
    /// How many items may be taken from the queue.
    settled: usize,
    stopped: Option<Stopped>,
}

impl<S: Site> Drain<'_, S> {
    /// Works off at most `limit` items, the oldest first. `progress` is called after each batch.
    /// Dropping the future at any point loses nothing.
    pub async fn run(&self, limit: u64, mut progress: impl FnMut(&DrainReport)) -> DrainReport {
        let mut report = DrainReport::default();
        let mut size = BATCH;
        let mut worked_off = 0;
        let started = self.source.elapsed();
        while worked_off < limit && report.stopped.is_none() {
            let left = usize::try_from(limit - worked_off).unwrap_or(usize::MAX);
            let batch = match self.peek(size.min(left)).await {
                Ok(batch) if batch.is_empty() => break,
                Ok(batch) => batch,
                Err(SiteError::TooLarge) if size > 1 => {
                    size /= 2;
                    continue;
                }
                Err(error) => {
                    report.stopped = Some(Stopped::Source(error));
                    break;
                }
            };
            size = next_size(size, batch.bytes());
            let round = self.work_off(&batch, &mut report).await;
            worked_off += round.settled as u64;
            report.stopped = round.stopped;
            progress(&report);
            self.hold_back(worked_off, started).await;
        }
        report
    }

    async fn peek(&self, count: usize) -> Result<Batch, SiteError> {
        let request = Request::peek(self.queue.as_bytes(), count);
        let mut items = self.source.request(request).await?.strings()?;
        items.reverse();
        Ok(Batch::new(items))
    }

    async fn work_off(&self, batch: &Batch, report: &mut DrainReport) -> Round {
        let mut stopped = None;
        let applied = self.apply(batch.newest(), report).await;
        let fates = match applied {
            Ok(applied) => {
                stopped = applied.error.map(Stopped::Target);
                self.write_back(batch.newest(), applied.newer).await;
                applied.fates
            }
            Err(error) => {
                stopped = stopped.or(Some(Stopped::Target(error)));
                Vec::new()
            }
        };
        let now = self.now().await;
        let acknowledged = batch.acknowledge(&fates, now);
        let settled = acknowledged.len();
        if settled > 0 {
            let request = Request::acknowledge(self.queue, &acknowledged);
            let taken = match self.source.request(request).await {
                Ok(reply) => reply.number(),
                Err(error) => Err(error),
            };
            match taken {
                Ok(taken) => report.taken += taken,
                Err(error) => stopped = stopped.or(Some(Stopped::Source(error))),
            }
            for rejection in acknowledged.iter().filter_map(|a| a.rejection) {
                *report.rejected.entry(rejection.label()).or_default() += 1;
            }
        }
        Round { settled, stopped }
    }

    /// The source's clock, for the records of what is set aside; unknown if it does not answer.
    async fn now(&self) -> Option<Stamp> {
        let reply = self.source.request(Request::time()).await.ok()?;
        reply.time().ok()
    }

    async fn apply(
        &self,
        items: &[QueueItem],
        report: &mut DrainReport,
    ) -> Result<Applied, SiteError> {
        let requests = items
            .iter()
            .map(|item| Request::apply(&item.key, &item.envelope, self.limits));
        let replies = self.target.send(requests.collect()).await?;
        let mut applied = Applied::default();
        for (place, reply) in replies.into_iter().enumerate() {
            let outcome = reply.and_then(crate::active_active::Reply::apply);
            applied.take(place, outcome, report);
        }
        Ok(applied)
    }

    /// Writes what the target has newer back to the source. If that fails the sites still differ in
    /// those keys, but nothing is lost: the target's own queue or a repair brings them.
    async fn write_back(&self, items: &[QueueItem], newer: Vec<(usize, Envelope)>) {
        let requests = newer.iter().filter_map(|(place, envelope)| {
            let item = items.get(*place)?;
            Some(Request::apply(&item.key, envelope, self.limits))
        });
        let requests: Vec<Request> = requests.collect();
        if !requests.is_empty() {
            let _ = self.source.send(requests).await;
        }
    }

    async fn hold_back(&self, worked_off: u64, started: Duration) {
        let Some(rate) = self.items_per_second.filter(|rate| *rate > 0) else {
            return;
        };
        let due = started + Duration::from_secs_f64(worked_off as f64 / f64::from(rate));
        if let Some(early) = due.checked_sub(self.source.elapsed()) {
            self.source.pause(early).await;
        }
    }
}

/// What the target made of the versions of a batch.
#[derive(Default)]
struct Applied {
    fates: Vec<Fate>,
    /// What the target has newer, with the place of its key.
    newer: Vec<(usize, Envelope)>,
    /// Why some are open.
    error: Option<SiteError>,
}

impl Applied {
    fn take(
        &mut self,
        place: usize,
        outcome: Result<ApplyOutcome, SiteError>,
        report: &mut DrainReport,
    ) {
        let fate = match outcome {
            Ok(ApplyOutcome::Applied { by_tie }) => {
                report.applied += 1;
                report.ties += u64::from(by_tie);
                Fate::Settled
            }
            Ok(ApplyOutcome::Same) => {
                report.same += 1;
                Fate::Settled
            }
            Ok(ApplyOutcome::Older { stored, by_tie }) => {
                report.older += 1;
                report.ties += u64::from(by_tie);
                self.newer.push((place, stored));
                Fate::Settled
            }
            Ok(ApplyOutcome::Future) => Fate::Rejected(Rejection::Future),
            Ok(ApplyOutcome::StoredMalformed) => Fate::Rejected(Rejection::StoredMalformed),
            Ok(ApplyOutcome::ExpiredTombstone) => Fate::Rejected(Rejection::ExpiredTombstone),
            Err(SiteError::WrongType) => Fate::Rejected(Rejection::WrongType),
            Err(error) => {
                self.error.get_or_insert(error);
                Fate::Open
            }
        };
        self.fates.push(fate);
    }
}

fn next_size(size: usize, bytes: usize) -> usize {
    if bytes > BATCH_BYTES {
        (size / 2).max(1)
    } else if bytes < BATCH_BYTES / 4 {
        (size * 2).min(BATCH)
    } else {
        size
    }
}
