//! Registers in two sites: the last write wins.

mod builder;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_core::Serialize;
use serde_core::de::DeserializeOwned;

use super::drain::{Drain, DrainReport};
use super::health::Health;
use crate::active_active::{
    ApplyLimits, ApplyOutcome, Draft, Envelope, MAX_ENVELOPE, QueueItem, Rejection, Reply, Request,
    SetOutcome, Site, SiteError, Stored, Version,
};
pub use builder::LwwStoreBuilder;

/// Registers in two sites, of which this process writes to the local one. Cheap to clone.
///
/// A write goes to the local site together with an entry in its queue, atomically; then to the
/// remote site; then the entry is removed. What happens in between, be it a crash, a timeout or a
/// partition, leaves the entry in the queue, and [`Self::drain`] brings it over later. Any number
/// of processes, and clients of the tutorial's kind, may write to and drain the same queue.
///
/// ```
/// # mod servers { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/two_servers.rs")); }
/// use redis_cross_dc_exporter::multi_site::{LwwStore, Propagation};
///
/// # #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
/// # struct Profile { name: String }
/// # fn main() { servers::run(|dc1, dc2| async move {
/// // Any asynchronous connections of the redis crate.
/// let local = redis::Client::open(dc1)?.get_multiplexed_async_connection().await?;
/// let remote = redis::Client::open(dc2)?.get_multiplexed_async_connection().await?;
/// let store = LwwStore::builder("dc1").connect(local, remote)?;
///
/// let profile = Profile { name: "Ada".to_owned() };
/// let written = store.set("user:1", &profile).await?;
/// assert_eq!(written.propagation, Propagation::Done);
/// assert_eq!(store.get::<Profile>("user:1").await?.value, Some(profile));
///
/// store.delete("user:1").await?;
/// assert_eq!(store.get::<Profile>("user:1").await?.value, None);
///
/// // Now and then, in some process at each site: what a partition left in the queue.
/// let report = store.drain(10_000).await;
/// assert_eq!(report.stopped, None);
/// # Ok(()) }) }
/// ```
#[derive(Debug)]
pub struct LwwStore<S> {
    shared: Arc<Shared<S>>,
}

impl<S> Clone for LwwStore<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

#[derive(Debug)]
struct Shared<S> {
    dc: String,
    local: S,
    remote: S,
    queue: String,
    max_queue: u64,
    limits: ApplyLimits,
    local_health: Health,
    remote_health: Health,
}

/// Why a store did not do what was asked. Nothing was written, unless the site gave no answer
/// ([`SiteError::Timeout`], [`SiteError::Disconnected`]): then the write may have been done, and if
/// it was, it is in the queue as well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The local site does not serve; for a read, neither site does.
    Site(SiteError),
    /// What is stored under the key is no envelope, and is left alone.
    StoredMalformed,
    /// The value has no form in JSON, or what is stored is another type of value.
    Value(String),
    /// The value is longer than 1 MiB.
    TooLarge,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(inner) => write!(f, "the site does not serve: {inner}"),
            Self::StoredMalformed => f.write_str(
                "the key holds something that no active-active client wrote; it is left alone",
            ),
            Self::Value(inner) => write!(f, "the value does not fit: {inner}"),
            Self::TooLarge => f.write_str("the value is longer than 1 MiB"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<SiteError> for StoreError {
    fn from(error: SiteError) -> Self {
        Self::Site(error)
    }
}

/// A write that is done at the local site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// When it was written, by the local server's clock, and where.
    pub version: Version,
    /// How far the version is ahead of the local server's clock: more than a moment if somebody
    /// wrote this key with a clock that is ahead.
    pub ahead: Duration,
    /// Where it is by now.
    pub propagation: Propagation,
}

/// How far a write has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Propagation {
    /// Both sites have it.
    Done,
    /// The other site had a newer version, which both sites have now, or will have once the local
    /// site takes it.
    Superseded(Envelope),
    /// The local site has it; it waits in the queue for the other one.
    Queued(Waiting),
    /// The local site has it, but the queue is full: only a repair of the sites brings it to the
    /// other one (`active-active sync`).
    Overflow(Waiting),
}

/// What a write waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// The other site did not do it.
    Site(SiteError),
    /// The other site has failed several times; it is tried once a second.
    Backoff,
    /// The other site refused it: a drain will set it aside.
    Refused(Rejection),
}

/// Which site answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The near one.
    Local,
    /// The other one, since the near one does not serve. It may lack writes of the near one.
    Remote,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// The value; none where there is none or it was deleted.
    pub value: Option<T>,
    /// The version of the value or of the deletion.
    pub version: Option<Version>,
    /// Which site answered.
    pub from: Source,
}

impl<S: Site> LwwStore<S> {
    /// Writes a value, stamped with the local server's clock.
    ///
    /// # Errors
    /// [`StoreError`]: the local site has not written it, or did not say whether it has.
    pub async fn set<T>(&self, key: &str, value: &T) -> Result<Written, StoreError>
    where
        T: Serialize + Sync + ?Sized,
    {
        let draft = Draft::of_value(&self.shared.dc, value);
        self.write(
            key,
            draft.map_err(|error| StoreError::Value(error.to_string()))?,
        )
        .await
    }

    /// Writes a value that both sites remove at the same instant, `lives` after the write.
    ///
    /// A write that is older and arrives after that instant stays: an expiry leaves no tombstone.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub async fn set_expiring<T>(
        &self,
        key: &str,
        value: &T,
        lives: Duration,
    ) -> Result<Written, StoreError>
    where
        T: Serialize + Sync + ?Sized,
    {
        let draft = Draft::of_value(&self.shared.dc, value);
        let draft = draft.map_err(|error| StoreError::Value(error.to_string()))?;
        self.write(key, draft.living(milliseconds(lives))).await
    }

    /// Deletes a key, by a tombstone that keeps older writes from bringing it back. It expires
    /// after the time that the builder was given.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub async fn delete(&self, key: &str) -> Result<Written, StoreError> {
        let grace = milliseconds(self.shared.limits.tombstone_grace);
        self.write(key, Draft::of_deletion(&self.shared.dc).living(grace))
            .await
    }

    /// Reads a key from the local site, or from the remote one while the local one does not serve.
    /// A key that the local site does not have is an answer.
    ///
    /// # Errors
    /// [`StoreError`]: no site answered, or what is stored is no value of this type.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Read<T>, StoreError> {
        let shared = &*self.shared;
        let now = shared.local.elapsed();
        let mut failure = None;
        if shared.local_health.may_try(now) {
            let answer = shared.local.request(Request::get(key.as_bytes())).await;
            let served = !answer.as_ref().is_err_and(SiteError::is_temporary);
            shared.local_health.note(served, shared.local.elapsed());
            match answer {
                Err(error) if error.is_temporary() => failure = Some(error),
                answer => return read(answer?, Source::Local),
            }
        }
        match shared.remote.request(Request::get(key.as_bytes())).await {
            // The local site's error says more about what is wrong here.
            Err(error) => Err(failure.unwrap_or(error).into()),
            Ok(reply) => read(reply, Source::Remote),
        }
    }

    /// Brings what waits in the local queue to the other site, at most `limit` items, oldest first.
    /// To be called now and then by some process at each site.
    pub async fn drain(&self, limit: u64) -> DrainReport {
        let shared = &*self.shared;
        let drain = Drain {
            source: &shared.local,
            target: &shared.remote,
            queue: &shared.queue,
            limits: shared.limits,
            items_per_second: None,
        };
        drain.run(limit, |_| {}).await
    }

    async fn write(&self, key: &str, draft: Draft) -> Result<Written, StoreError> {
        if draft.max_length() > MAX_ENVELOPE {
            return Err(StoreError::TooLarge);
        }
        let shared = &*self.shared;
        let request = Request::set(key, &draft, &shared.queue, shared.max_queue);
        let outcome = match shared.local.request(request).await {
            // Where the key holds another type there is no envelope either.
            Err(SiteError::WrongType) => return Err(StoreError::StoredMalformed),
            reply => reply?.set()?,
        };
        let SetOutcome::Written {
            envelope,
            is_queued,
            now,
        } = outcome
        else {
            return Err(StoreError::StoredMalformed);
        };
        let ahead = envelope.version().stamp.seconds_after(now);
        Ok(Written {
            version: envelope.version().clone(),
            ahead: Duration::try_from_secs_f64(ahead).unwrap_or_default(),
            propagation: self.propagate(key, &envelope, is_queued).await,
        })
    }

    async fn propagate(&self, key: &str, envelope: &Envelope, is_queued: bool) -> Propagation {
        let arrival = match self.apply_at_remote(key, envelope).await {
            Ok(ApplyOutcome::Applied { .. } | ApplyOutcome::Same) => Ok(Propagation::Done),
            Ok(ApplyOutcome::Older { stored, .. }) => {
                let request = Request::apply(key.as_bytes(), &stored, self.shared.limits);
                // If that fails, the other site's own queue or a repair brings it.
                let _ = self.shared.local.request(request).await;
                Ok(Propagation::Superseded(stored))
            }
            Ok(ApplyOutcome::Future) => Err(Waiting::Refused(Rejection::Future)),
            Ok(ApplyOutcome::StoredMalformed) => Err(Waiting::Refused(Rejection::StoredMalformed)),
            Ok(ApplyOutcome::ExpiredTombstone) => {
                Err(Waiting::Refused(Rejection::ExpiredTombstone))
            }
            Err(Waiting::Site(SiteError::WrongType)) => Err(Waiting::Refused(Rejection::WrongType)),
            Err(waiting) => Err(waiting),
        };
        match arrival {
            Ok(propagation) => {
                if is_queued {
                    self.unqueue(key, envelope).await;
                }
                propagation
            }
            Err(waiting) if is_queued => Propagation::Queued(waiting),
            Err(waiting) => Propagation::Overflow(waiting),
        }
    }

    async fn apply_at_remote(
        &self,
        key: &str,
        envelope: &Envelope,
    ) -> Result<ApplyOutcome, Waiting> {
        let shared = &*self.shared;
        if !shared.remote_health.may_try(shared.remote.elapsed()) {
            return Err(Waiting::Backoff);
        }
        let request = Request::apply(key.as_bytes(), envelope, shared.limits);
        let reply = shared.remote.request(request).await;
        let served = !reply.as_ref().is_err_and(SiteError::is_temporary);
        shared.remote_health.note(served, shared.remote.elapsed());
        reply.and_then(Reply::apply).map_err(Waiting::Site)
    }

    /// Removes the entry of a write that has arrived. If that fails, a drain finds that the other
    /// site has it.
    async fn unqueue(&self, key: &str, envelope: &Envelope) {
        let item = QueueItem::text(key, envelope);
        let request = Request::remove(self.shared.queue.as_bytes(), &item);
        let _ = self.shared.local.request(request).await;
    }
}

fn read<T: DeserializeOwned>(reply: Reply, from: Source) -> Result<Read<T>, StoreError> {
    let Some(text) = reply.bytes()? else {
        return Ok(Read {
            value: None,
            version: None,
            from,
        });
    };
    let envelope = match Stored::from_text(text) {
        Stored::Envelope(envelope) => envelope,
        Stored::TooLarge => return Err(StoreError::TooLarge),
        _ => return Err(StoreError::StoredMalformed),
    };
    let value = if envelope.is_tombstone() {
        None
    } else {
        let value = serde_json::from_slice(envelope.value());
        Some(value.map_err(|error| StoreError::Value(error.to_string()))?)
    };
    Ok(Read {
        value,
        version: Some(envelope.version().clone()),
        from,
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
