//! The memory that answers hold together while clients take them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval};

use super::connection_table::ConnectionTable;

/// The bytes of memory that one permit of the semaphore stands for. An answer takes its permits in
/// one call, whose number is a `u32`: permits for single bytes would end at 4 GB.
const UNIT: usize = 1024;

/// How often clients that do not take their answers are evicted while another answer waits for
/// memory.
const EVICT_EVERY: Duration = Duration::from_millis(100);

/// The memory that answers share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct AnswerMemory {
    free: Arc<Semaphore>,
    units: u32,
    connections: ConnectionTable,
    patience: Duration,
}

/// An answer with its share of the memory.
struct HeldAnswer {
    bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for HeldAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AnswerMemory {
    /// Memory for `most` bytes. Where it is short, `connections` that have been blocked for
    /// `patience` are evicted.
    pub(super) fn new(most: usize, connections: ConnectionTable, patience: Duration) -> Self {
        let units = units_of(most).max(1);
        let permits = usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(permits)),
            units,
            connections,
            patience,
        }
    }

    /// Waits until there is memory for `bytes`, and keeps it until the last client has taken them
    /// or left. An answer larger than all of the memory waits until it is alone.
    pub(super) async fn hold(&self, bytes: Vec<u8>) -> Bytes {
        let share = units_of(bytes.capacity()).min(self.units);
        let share = Arc::clone(&self.free).acquire_many_owned(share);
        tokio::select! {
            biased;
            // The semaphore is never closed.
            share = share => Bytes::from_owner(HeldAnswer { bytes, _share: share.ok() }),
            never = self.keep_evicting() => match never {},
        }
    }

    /// Evicts clients that do not take their answers, at each interval. Never ends.
    async fn keep_evicting(&self) -> Infallible {
        let mut ticks = interval(EVICT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let cut = self.connections.evict_blocked(self.patience);
            if cut > 0 {
                tracing::warn!(
                    cut,
                    "closing HTTP connections: their clients do not take answers that fill the memory"
                );
            }
        }
    }
}

/// How many units hold so many bytes.
fn units_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::super::connection_table::TableLimits;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn memory(most: usize) -> (AnswerMemory, ConnectionTable) {
        let connections = ConnectionTable::default();
        let memory = AnswerMemory::new(most, connections.clone(), PATIENCE);
        (memory, connections)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_its_share_until_its_last_reader_is_gone() {
        let (memory, _connections) = memory(10 * UNIT);
        let first = memory.hold(vec![b'x'; 6 * UNIT]).await;
        let reader = first.slice(1..);
        drop(first);
        let second = memory.hold(vec![b'y'; 5 * UNIT]);
        assert!(
            timeout(PATIENCE * 100, second).await.is_err(),
            "eleven are too many"
        );
        drop(reader);
        assert_eq!(memory.hold(vec![b'y'; 5 * UNIT]).await.len(), 5 * UNIT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_larger_than_all_memory_is_held_alone() {
        let (memory, _connections) = memory(10 * UNIT);
        let large = memory.hold(vec![b'x'; 100 * UNIT]).await;
        assert!(timeout(PATIENCE, memory.hold(vec![b'x'; 1])).await.is_err());
        drop(large);
        assert_eq!(memory.hold(vec![b'x'; 1]).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_loses_its_answer_when_another_needs_the_memory() {
        let (memory, connections) = memory(10 * UNIT);
        let limits = TableLimits {
            connections: 9,
            min_age_before_eviction: PATIENCE,
            patience: PATIENCE,
        };
        let slot = connections.acquire(limits).unwrap();
        let stuck = memory.hold(vec![b'x'; 8 * UNIT]).await;
        slot.state().blocked();
        tokio::spawn(slot.run(async move {
            std::future::pending::<()>().await;
            drop(stuck);
        }));
        let began = Instant::now();
        memory.hold(vec![b'y'; 8 * UNIT]).await;
        let waited = began.elapsed();
        assert!(waited >= PATIENCE, "{waited:?}");
        assert!(waited < PATIENCE + EVICT_EVERY * 2, "{waited:?}");
    }
}
