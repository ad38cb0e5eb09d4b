//! What answers may hold in memory together while clients take them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval};

use super::connection_table::ConnectionTable;

/// How finely memory is counted: a semaphore counts no further than 2^32.
const UNIT: usize = 1024;

/// How often clients that do not take their answers are looked for while another answer waits for
/// memory.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The memory that answers share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    left: Arc<Semaphore>,
    units: u32,
    crowd: ConnectionTable,
    patience: Duration,
}

/// An answer with its share of the memory.
struct Held {
    bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Memory {
    /// Memory for `most` bytes. Where it is short, those of `crowd` that have not taken theirs for
    /// `patience` lose it.
    pub(super) fn new(most: usize, crowd: ConnectionTable, patience: Duration) -> Self {
        let units = u32::try_from(most.div_ceil(UNIT))
            .unwrap_or(u32::MAX)
            .max(1);
        let left = Arc::new(Semaphore::new(
            usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS),
        ));
        Self {
            left,
            units,
            crowd,
            patience,
        }
    }

    /// Gives `bytes` their share until the last client has taken them or gone. An answer larger
    /// than all of the memory is held alone.
    pub(super) async fn hold(&self, bytes: Vec<u8>) -> Bytes {
        let share = u32::try_from(bytes.capacity().div_ceil(UNIT))
            .unwrap_or(u32::MAX)
            .min(self.units);
        let share = Arc::clone(&self.left).acquire_many_owned(share);
        tokio::select! {
            biased;
            // The semaphore is never closed.
            share = share => Bytes::from_owner(Held { bytes, _share: share.ok() }),
            never = self.relieve() => match never {},
        }
    }

    /// Cuts whoever does not take its answer, again and again.
    async fn relieve(&self) -> std::convert::Infallible {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let cut = self.crowd.cut_blocked(self.patience);
            if cut > 0 {
                tracing::warn!(
                    cut,
                    "closing HTTP connections: their clients do not take answers that fill the memory"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::super::connection_table::TableLimits;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn memory(most: usize) -> (Memory, ConnectionTable) {
        let crowd = ConnectionTable::default();
        (Memory::new(most, crowd.clone(), PATIENCE), crowd)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_its_share_until_its_last_reader_is_gone() {
        let (memory, _crowd) = memory(10 * UNIT);
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
        let (memory, _crowd) = memory(10 * UNIT);
        let large = memory.hold(vec![b'x'; 100 * UNIT]).await;
        assert!(timeout(PATIENCE, memory.hold(vec![b'x'; 1])).await.is_err());
        drop(large);
        assert_eq!(memory.hold(vec![b'x'; 1]).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_loses_its_answer_when_another_needs_the_memory() {
        let (memory, crowd) = memory(10 * UNIT);
        let house = TableLimits {
            most: 9,
            min_age_before_eviction: PATIENCE,
            patience: PATIENCE,
        };
        let (seat, stuck) = (
            crowd.enter(house).unwrap(),
            memory.hold(vec![b'x'; 8 * UNIT]).await,
        );
        seat.activity().blocked();
        tokio::spawn(seat.hold(async move {
            std::future::pending::<()>().await;
            drop(stuck);
        }));
        let began = Instant::now();
        memory.hold(vec![b'y'; 8 * UNIT]).await;
        assert!(
            began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE + LOOK_EVERY * 2,
            "{:?}",
            began.elapsed()
        );
    }
}
