//! Keeps writes out while a reader is attached that the server counts as a replica.
//!
//! A master with `min-replicas-to-write` that refuses writes because its replicas are gone takes
//! them again while somebody reads its stream (`refreshGoodSlavesCount` in replication.c counts any
//! client that is online). CLIENT PAUSE holds them back instead: it changes no configuration and
//! ends by itself, also when this program dies.

use std::time::{Duration, Instant};

use super::session::{ServerFacts, Session};
use crate::lost_writes::CannotBeHad;

/// For how long writes are held back at once: less than half of any sane down-after of Sentinels,
/// whose messages wait, too.
const LEASE: &str = "2000";

/// [`LEASE`] as a duration.
const LEASE_LENGTH: Duration = Duration::from_secs(2);

/// How often the pause is renewed.
const RENEWED_EVERY: Duration = Duration::from_millis(500);

/// A fence, or that none is needed.
pub(super) struct Fence {
    /// When the pause was last renewed; `None` without one.
    paused: Option<Instant>,
    /// Whether writes may get through while the reader is attached.
    pub(super) is_open: bool,
}

impl Fence {
    /// Closes the fence of a server whose `min-replicas-to-write` a reader would satisfy.
    ///
    /// `or_open` reads without a fence where there can be none: evidence that dies within seconds
    /// is worth more than the few writes of that moment, and those are read, too.
    pub(super) async fn close(
        session: &mut Session,
        facts: &ServerFacts,
        or_open: bool,
    ) -> Result<Self, CannotBeHad> {
        let mut fence = Self {
            paused: None,
            is_open: false,
        };
        let Some(good) = facts.details.good_replicas.value() else {
            return Ok(fence); // it asks for no replicas
        };
        if let Some(wanted) = session.parameter("min-replicas-to-write").await
            && let Ok(wanted) = wanted.parse::<u64>()
            && (wanted > good + 1 || wanted <= good)
        {
            return Ok(fence); // one more changes nothing
        }
        if fence.pause(session).await {
            return Ok(fence);
        }
        if !or_open {
            return Err(CannotBeHad::WouldOpenFence);
        }
        fence.is_open = true;
        Ok(fence)
    }

    async fn pause(&mut self, session: &mut Session) -> bool {
        let at = Instant::now();
        let paused = session.request(&["CLIENT", "PAUSE", LEASE, "WRITE"]).await;
        self.paused = paused.is_ok().then_some(at);
        self.paused.is_some()
    }

    /// Renews the pause where it is time. A server that refuses it now, or that waited for longer
    /// than the pause lasts, lets writes through.
    pub(super) async fn renew(&mut self, session: &mut Session) {
        let Some(at) = self.paused else { return };
        if at.elapsed() < RENEWED_EVERY {
            return;
        }
        let is_renewed = self.pause(session).await;
        self.is_open |= !is_renewed || at.elapsed() >= LEASE_LENGTH;
    }

    /// Lets writes go on. If the answer is lost, the pause ends by itself.
    pub(super) async fn release(self, session: &mut Session) {
        if self.paused.is_some() {
            // Without this right or an answer, it ends within two seconds.
            let _ = session.request(&["CLIENT", "UNPAUSE"]).await;
        }
    }
}
