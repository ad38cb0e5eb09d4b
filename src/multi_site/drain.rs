//! Working off a queue: peek, apply, acknowledge.
//!
//! Nothing leaves the queue before the other site has it, so nothing is lost when this stops
//! between any two requests, and nothing has to be recovered: what was applied and not acknowledged
//! is applied again, which changes nothing. Other workers may run at the same time, the tutorial's,
//! too.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::active_active::{
    Acknowledged, ApplyLimits, ApplyOutcome, Batch, Envelope, Fate, QueueItem, Rejection, Reply,
    Request, Site, SiteError, Stamp,
};

/// Items that are worked off at once. Each batch takes one round trip to either site, so this over
/// the round trip is the highest rate: 12,500 a second where it takes 80 ms. Taking so many from
/// the queue keeps the server busy for some 2 ms.
const BATCH: usize = 1000;

/// A batch of more bytes makes the next one smaller: 16 MiB.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Two sites and the queue of the first one. [`LwwStore::drain`](super::LwwStore::drain) is the
/// same without a limit of the rate.
///
/// ```
/// # mod servers { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/two_servers.rs")); }
/// use std::time::Duration;
///
/// use redis_cross_dc_exporter::active_active::ApplyLimits;
/// use redis_cross_dc_exporter::multi_site::{Drain, RedisSite};
///
/// # fn main() { servers::run(|dc1, dc2| async move {
/// let dc1 = redis::Client::open(dc1)?.get_multiplexed_async_connection().await?;
/// let dc2 = redis::Client::open(dc2)?.get_multiplexed_async_connection().await?;
/// let within = Duration::from_secs(10);
/// let drain = Drain {
///     source: &RedisSite::new(dc1, within),
///     target: &RedisSite::new(dc2, within),
///     queue: "sync_queue",
///     limits: ApplyLimits::default(),
///     items_per_second: Some(2_000),
/// };
/// let report = drain.run(u64::MAX, |_| {}).await;
/// assert_eq!((report.taken, report.stopped), (0, None));
/// # Ok(()) }) }
/// ```
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

/// The oldest items of the queue.
struct Peeked {
    items: Batch,
    /// What the source's clock showed; unknown if it does not say.
    now: Option<Stamp>,
}

/// What became of a batch.
struct Round {
    /// What may be taken from the queue.
    acknowledged: Vec<Acknowledged>,
    stopped: Option<Stopped>,
}

impl DrainReport {
    /// Notes why it stops, unless there was a reason before.
    fn stop_at(&mut self, stopped: Stopped) {
        self.stopped.get_or_insert(stopped);
    }

    /// Adds what a later run did.
    pub fn add(&mut self, later: Self) {
        let Self {
            applied,
            same,
            older,
            ties,
            rejected,
            taken,
            stopped,
        } = later;
        self.applied += applied;
        self.same += same;
        self.older += older;
        self.ties += ties;
        self.taken += taken;
        for (reason, count) in rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
        self.stopped = stopped;
    }
}

impl<S: Site> Drain<'_, S> {
    /// Works off at most `limit` items, the oldest first. `progress` is called after each batch.
    /// Dropping the future at any point loses nothing.
    pub async fn run(&self, limit: u64, mut progress: impl FnMut(&DrainReport)) -> DrainReport {
        let mut report = DrainReport::default();
        let mut size = BATCH;
        let mut worked_off = 0;
        let started = self.source.elapsed();
        let mut peeked = None;
        while worked_off < limit && report.stopped.is_none() {
            let wanted = size.min(left(limit, worked_off));
            let batch = match peeked.take() {
                Some(batch) => Ok(batch),
                None => self.peek(wanted).await,
            };
            let batch = match batch {
                Ok(batch) if batch.items.is_empty() => break,
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
            size = next_size(size, batch.items.bytes());
            let round = self.apply_batch(&batch, &mut report).await;
            worked_off += round.acknowledged.len() as u64;
            report.stopped = round.stopped;
            let is_last = report.stopped.is_some() || worked_off >= limit;
            let next = (!is_last).then(|| size.min(left(limit, worked_off)));
            peeked = self
                .acknowledge(&round.acknowledged, next, &mut report)
                .await;
            progress(&report);
            self.hold_back(worked_off, started).await;
        }
        report
    }

    async fn peek(&self, count: usize) -> Result<Peeked, SiteError> {
        let replies = self.source.send(self.peek_requests(count)).await?;
        peeked(&mut replies.into_iter())
    }

    /// The oldest items, and the clock for the records of what is set aside.
    fn peek_requests(&self, count: usize) -> Vec<Request> {
        vec![Request::time(), Request::peek(self.queue.as_bytes(), count)]
    }

    /// Brings a batch to the target, and what that has newer back.
    async fn apply_batch(&self, batch: &Peeked, report: &mut DrainReport) -> Round {
        let items = &batch.items;
        match self.apply(items.newest(), report).await {
            Ok(applied) => {
                self.write_back(items.newest(), applied.newer).await;
                Round {
                    acknowledged: items.acknowledge(&applied.fates, batch.now),
                    stopped: applied.error.map(Stopped::Target),
                }
            }
            Err(error) => Round {
                acknowledged: items.acknowledge(&[], batch.now),
                stopped: Some(Stopped::Target(error)),
            },
        }
    }

    /// Takes what was worked off from the queue, and peeks at `next` items in the same
    /// round trip. Nothing comes back where that was not asked for, or failed: then the next peek
    /// says why. A server that does not know the script any more peeks first, at the same items
    /// again: that look does not count.
    async fn acknowledge(
        &self,
        done: &[Acknowledged],
        next: Option<usize>,
        report: &mut DrainReport,
    ) -> Option<Peeked> {
        let mut requests = Vec::new();
        if !done.is_empty() {
            requests.push(Request::acknowledge(self.queue, done));
        }
        if let Some(count) = next {
            requests.extend(self.peek_requests(count));
        }
        if requests.is_empty() {
            return None;
        }
        let mut sent = self.source.send(requests).await;
        if sent == Err(SiteError::TooLarge) && next.is_some() && !done.is_empty() {
            // The next items are too long for one reply. What was worked off may still be there.
            let request = Request::acknowledge(self.queue, done);
            sent = self.source.send(vec![request]).await;
        }
        let replies = match sent {
            Ok(replies) => replies,
            Err(error) => {
                report.stop_at(Stopped::Source(error));
                return None;
            }
        };
        let mut replies = replies.into_iter();
        if !done.is_empty() {
            let reply = replies.next().unwrap_or(Err(SiteError::Disconnected));
            match reply.and_then(Reply::number) {
                Ok(taken) => report.taken += taken,
                Err(error) => report.stop_at(Stopped::Source(error)),
            }
            for rejection in done.iter().filter_map(|done| done.rejection) {
                *report.rejected.entry(rejection.label()).or_default() += 1;
            }
        }
        next?;
        let peeked = peeked(&mut replies).ok()?;
        let is_again = |done: &Acknowledged| peeked.items.begins_with(&done.item);
        if done.iter().any(is_again) {
            return None; // seen before they were taken, or the same write once more
        }
        Some(peeked)
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
            let outcome = reply.and_then(Reply::apply);
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

/// How many items are left of the limit.
fn left(limit: u64, worked_off: u64) -> usize {
    usize::try_from(limit.saturating_sub(worked_off)).unwrap_or(usize::MAX)
}

/// The items in the replies to a peek.
fn peeked(
    replies: &mut impl Iterator<Item = Result<Reply, SiteError>>,
) -> Result<Peeked, SiteError> {
    let mut next = || replies.next().unwrap_or(Err(SiteError::Disconnected));
    let now = next().and_then(Reply::time).ok();
    let mut items = next()?.strings()?;
    items.reverse();
    Ok(Peeked {
        items: Batch::new(items),
        now,
    })
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
