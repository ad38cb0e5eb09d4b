//! What a store is built from.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike;

use super::{Health, LwwStore, Shared};
use crate::active_active::ApplyLimits;
use crate::multi_site::names::{BuildError, check_dc};
use crate::multi_site::redis_site::RedisSite;

/// Builds a [`LwwStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct LwwStoreBuilder {
    dc: String,
    queue: String,
    max_queue: u64,
    limits: ApplyLimits,
    local_timeout: Duration,
    remote_timeout: Duration,
}

impl LwwStore<()> {
    /// Begins a store that writes in the name of the datacenter `dc`. No two sites may have the
    /// same name.
    pub fn builder(dc: &str) -> LwwStoreBuilder {
        LwwStoreBuilder {
            dc: dc.to_owned(),
            queue: "sync_queue".to_owned(),
            max_queue: 1_000_000,
            limits: ApplyLimits::default(),
            local_timeout: Duration::from_millis(100),
            remote_timeout: Duration::from_secs(1),
        }
    }
}

impl LwwStoreBuilder {
    /// The key of the local site's queue; by default `sync_queue`.
    pub fn queue(mut self, key: &str) -> Self {
        key.clone_into(&mut self.queue);
        self
    }

    /// The longest queue, in items; by default a million, some 250 MB of small values. Beyond it
    /// writes are not queued, which is noted in the key `{QUEUE}:overflow`.
    pub const fn max_queue(mut self, items: u64) -> Self {
        self.max_queue = items;
        self
    }

    /// How far a version may be ahead of a site's clock to be accepted there; by default 60 s.
    pub const fn max_ahead(mut self, ahead: Duration) -> Self {
        self.limits.max_ahead = ahead;
        self
    }

    /// How long tombstones stay; by default ten days. It has to exceed the longest partition and
    /// the drain after it.
    pub const fn tombstone_grace(mut self, grace: Duration) -> Self {
        self.limits.tombstone_grace = grace;
        self
    }

    /// How long the local site may take to answer; by default 100 ms.
    pub const fn local_timeout(mut self, timeout: Duration) -> Self {
        self.local_timeout = timeout;
        self
    }

    /// How long the remote site may take to answer; by default 1 s.
    pub const fn remote_timeout(mut self, timeout: Duration) -> Self {
        self.remote_timeout = timeout;
        self
    }

    /// The store over connections of the `redis` crate.
    ///
    /// # Errors
    /// [`BuildError`] for a name that cannot be used.
    pub fn connect<C>(self, local: C, remote: C) -> Result<LwwStore<RedisSite<C>>, BuildError>
    where
        C: ConnectionLike + Clone + Send + Sync,
    {
        let local = RedisSite::new(local, self.local_timeout);
        let remote = RedisSite::new(remote, self.remote_timeout);
        self.build(local, remote)
    }

    /// The store over sites of any kind, whose timeouts are their own.
    ///
    /// # Errors
    /// [`BuildError`] for a name that cannot be used.
    pub fn build<S>(self, local: S, remote: S) -> Result<LwwStore<S>, BuildError> {
        check_dc(&self.dc)?;
        if self.queue.is_empty() {
            return Err(BuildError::NoQueue);
        }
        Ok(LwwStore {
            shared: Arc::new(Shared {
                dc: self.dc,
                local,
                remote,
                queue: self.queue,
                max_queue: self.max_queue,
                limits: self.limits,
                local_health: Health::default(),
                remote_health: Health::default(),
            }),
        })
    }
}
