//! The table of open connections, and which of them is evicted when it is full.
//!
//! A server that only counts connections can be shut to everybody by one client that opens that
//! many and sends nothing. So a new connection takes the slot of the one that has been idle for
//! longest, and where memory is short, clients that do not take their answers are disconnected.
//!
//! Never evicted are a connection that is being answered, and one that is younger than
//! `min_age_before_eviction`: a burst of 1,000 connects once evicted a scrape whose request had
//! arrived but not been read.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The open connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionTable(Arc<Mutex<Slots>>);

#[derive(Debug, Default)]
struct Slots {
    next: u64,
    occupied: BTreeMap<u64, Arc<ConnectionState>>,
}

/// A connection's slot, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    table: ConnectionTable,
    state: Arc<ConnectionState>,
}

/// The phase of a connection, and the signal that it is evicted.
#[derive(Debug)]
pub(super) struct ConnectionState {
    phase: Mutex<Phase>,
    evicted: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Accepted; its task has not run yet.
    Accepted,
    /// No request, or a head that is not complete.
    Idle { since: Instant },
    /// The answer to a request is being made.
    Answering,
    /// The client has not taken what was written.
    Blocked { since: Instant },
}

/// How many connections there may be, and when one is evicted for another.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableLimits {
    /// Connections at once.
    pub(super) connections: usize,
    /// How long a connection may be idle before it is evicted for a new one.
    pub(super) min_age_before_eviction: Duration,
    /// How long a client may take nothing of its answer before it is evicted.
    pub(super) patience: Duration,
}

impl TableLimits {
    /// For how much longer a connection that is idle since then may not be evicted; `None` when it
    /// may be.
    fn too_young_for(&self, idle_since: Instant) -> Option<Duration> {
        let age = idle_since.elapsed();
        match self.min_age_before_eviction.checked_sub(age) {
            Some(left) if !left.is_zero() => Some(left),
            _ => None,
        }
    }
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// Every connection is being answered.
    AllBusy,
    /// Some connections are too young: after so long, one of them may be evicted.
    RetryAfter(Duration),
}

impl ConnectionTable {
    /// A slot for a new connection. Where the table is full, the connection that has been idle for
    /// longest is evicted, else the one that has been blocked for longest.
    ///
    /// # Errors
    /// [`NoSlot`] when nothing may be evicted.
    pub(super) fn acquire(&self, limits: TableLimits) -> Result<Slot, NoSlot> {
        let mut slots = self.slots();
        if slots.occupied.len() >= limits.connections {
            let number = slots.eviction_candidate(limits)?;
            slots.evict(number);
        }
        let number = slots.next;
        let state = Arc::new(ConnectionState::default());
        slots.next += 1;
        slots.occupied.insert(number, Arc::clone(&state));
        Ok(Slot {
            number,
            table: self.clone(),
            state,
        })
    }

    /// Evicts every connection that has been blocked for `patience`, and returns how many.
    pub(super) fn evict_blocked(&self, patience: Duration) -> usize {
        let mut slots = self.slots();
        let mut blocked = Vec::new();
        for (number, state) in &slots.occupied {
            if state.is_blocked_for(patience) {
                blocked.push(*number);
            }
        }
        for number in &blocked {
            slots.evict(*number);
        }
        blocked.len()
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.slots().occupied.len()
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Every change is complete before anything could panic, so a poisoned state is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    /// The connection that is idle for longest, else the one that is blocked for longest.
    fn eviction_candidate(&self, limits: TableLimits) -> Result<u64, NoSlot> {
        let mut idle: Option<(Instant, u64)> = None;
        let mut blocked: Option<(Instant, u64)> = None;
        let mut retry_after: Option<Duration> = None;
        for (number, state) in &self.occupied {
            match state.phase() {
                Phase::Answering => {}
                Phase::Accepted => {
                    retry_after = Some(earlier(retry_after, limits.min_age_before_eviction));
                }
                Phase::Idle { since } => match limits.too_young_for(since) {
                    Some(left) => retry_after = Some(earlier(retry_after, left)),
                    None => idle = Some(earlier(idle, (since, *number))),
                },
                Phase::Blocked { since } if since.elapsed() < limits.patience => {}
                Phase::Blocked { since } => {
                    blocked = Some(earlier(blocked, (since, *number)));
                }
            }
        }
        match (idle.or(blocked), retry_after) {
            (Some((_, number)), _) => Ok(number),
            (None, Some(left)) => Err(NoSlot::RetryAfter(left)),
            (None, None) => Err(NoSlot::AllBusy),
        }
    }

    /// Frees the slot at once; the connection ends as soon as its task runs.
    fn evict(&mut self, number: u64) {
        if let Some(state) = self.occupied.remove(&number) {
            state.evicted.notify_one();
        }
    }
}

/// The smaller of what was found so far and `candidate`.
fn earlier<T: Ord>(found: Option<T>, candidate: T) -> T {
    match found {
        Some(found) => found.min(candidate),
        None => candidate,
    }
}

impl Slot {
    /// The state in which the connection reports its phases.
    pub(super) fn state(&self) -> Arc<ConnectionState> {
        Arc::clone(&self.state)
    }

    /// Runs the connection's `work` until it ends or the slot is taken away.
    pub(super) async fn run(self, work: impl Future<Output = ()>) {
        self.state.end(|phase| phase == Phase::Accepted);
        tokio::select! {
            () = self.state.evicted.notified() => tracing::debug!("an HTTP connection was evicted for another one"),
            () = work => {}
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.table.slots().occupied.remove(&self.number);
    }
}

impl Default for ConnectionState {
    fn default() -> Self {
        Self {
            phase: Mutex::new(Phase::Accepted),
            evicted: Notify::new(),
        }
    }
}

impl ConnectionState {
    /// A request has arrived; its answer is being made until the guard is dropped.
    pub(super) fn answering(self: &Arc<Self>) -> AnswerGuard {
        *self.lock() = Phase::Answering;
        AnswerGuard(Arc::clone(self))
    }

    /// The client does not take what is written.
    pub(super) fn blocked(&self) {
        *self.lock() = Phase::Blocked {
            since: Instant::now(),
        };
    }

    /// The client has taken everything.
    pub(super) fn unblocked(&self) {
        self.end(|phase| matches!(phase, Phase::Blocked { .. }));
    }

    fn phase(&self) -> Phase {
        *self.lock()
    }

    /// Becomes idle, if it is still in the phase that ended: a client may send its next request
    /// before it reads.
    fn end(&self, ended: impl FnOnce(Phase) -> bool) {
        let mut phase = self.lock();
        if ended(*phase) {
            *phase = Phase::Idle {
                since: Instant::now(),
            };
        }
    }

    fn is_blocked_for(&self, patience: Duration) -> bool {
        match self.phase() {
            Phase::Blocked { since } => since.elapsed() >= patience,
            Phase::Accepted | Phase::Idle { .. } | Phase::Answering => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is being made.
#[derive(Debug)]
pub(super) struct AnswerGuard(Arc<ConnectionState>);

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        self.0.end(|phase| phase == Phase::Answering);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{advance, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);
    const MIN_AGE: Duration = Duration::from_millis(100);

    const fn limits(connections: usize) -> TableLimits {
        TableLimits {
            connections,
            min_age_before_eviction: MIN_AGE,
            patience: PATIENCE,
        }
    }

    /// A connection that stays until it is evicted.
    struct Conn {
        state: Arc<ConnectionState>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Conn {
        /// One that is old enough to be evicted.
        async fn open(table: &ConnectionTable, most: usize) -> Result<Self, NoSlot> {
            let conn = Self::open_young(table, most).await;
            advance(MIN_AGE).await;
            conn
        }

        /// One whose task has just run for the first time.
        async fn open_young(table: &ConnectionTable, most: usize) -> Result<Self, NoSlot> {
            let slot = table.acquire(limits(most))?;
            let conn = Self {
                state: slot.state(),
                task: tokio::spawn(slot.run(pending())),
            };
            tokio::task::yield_now().await;
            Ok(conn)
        }

        async fn is_evicted(&mut self) -> bool {
            timeout(Duration::from_millis(1), &mut self.task)
                .await
                .is_ok()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_is_idle_for_longest_is_evicted() {
        let table = ConnectionTable::default();
        let mut first = Conn::open(&table, 2).await.unwrap();
        let mut second = Conn::open(&table, 2).await.unwrap();
        advance(Duration::from_millis(1)).await;
        drop(first.state.answering());
        let mut third = Conn::open(&table, 2).await.expect("the second one's slot");
        assert!(second.is_evicted().await);
        assert!(!first.is_evicted().await);
        assert!(!third.is_evicted().await);
        assert_eq!(table.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_answered_or_has_just_begun_to_read_is_never_evicted() {
        let table = ConnectionTable::default();
        let mut answered = Conn::open(&table, 2).await.unwrap();
        let mut reading = Conn::open(&table, 2).await.unwrap();
        let answering = answered.state.answering();
        reading.state.blocked();
        assert_eq!(Conn::open(&table, 2).await.err(), Some(NoSlot::AllBusy));
        advance(PATIENCE).await;
        Conn::open(&table, 2)
            .await
            .expect("the slot of the one that does not read");
        assert!(reading.is_evicted().await);
        assert!(!answered.is_evicted().await);
        drop(answering);
    }

    #[tokio::test(start_paused = true)]
    async fn a_young_connection_is_not_evicted() {
        let table = ConnectionTable::default();
        let accepted = table.acquire(limits(2)).unwrap();
        let mut first = Conn::open_young(&table, 2).await.unwrap();
        advance(MIN_AGE / 2).await;
        let refused = table.acquire(limits(2)).err();
        assert_eq!(refused, Some(NoSlot::RetryAfter(MIN_AGE / 2)));
        advance(MIN_AGE / 2).await;
        Conn::open_young(&table, 2)
            .await
            .expect("the first one's slot");
        assert!(first.is_evicted().await);
        advance(MIN_AGE * 10).await;
        Conn::open_young(&table, 2)
            .await
            .expect("the slot of the second");
        assert_eq!(
            accepted.state.phase(),
            Phase::Accepted,
            "a connection whose task has not run is not evicted"
        );
        assert_eq!(table.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_evicted_before_a_blocked_one() {
        let table = ConnectionTable::default();
        let mut blocked = Conn::open(&table, 2).await.unwrap();
        blocked.state.blocked();
        advance(PATIENCE * 10).await;
        let mut idle = Conn::open(&table, 2).await.unwrap();
        Conn::open(&table, 2).await.expect("the idle one's slot");
        assert!(idle.is_evicted().await);
        assert!(!blocked.is_evicted().await);
    }

    #[tokio::test(start_paused = true)]
    async fn only_clients_that_do_not_read_are_evicted_for_memory() {
        let table = ConnectionTable::default();
        let mut blocked = Conn::open(&table, 9).await.unwrap();
        let mut idle = Conn::open(&table, 9).await.unwrap();
        let mut again = Conn::open(&table, 9).await.unwrap();
        blocked.state.blocked();
        again.state.blocked();
        advance(PATIENCE).await;
        again.state.unblocked();
        assert_eq!(table.evict_blocked(PATIENCE), 1);
        assert!(blocked.is_evicted().await);
        assert!(!idle.is_evicted().await);
        assert!(!again.is_evicted().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_frees_its_slot() {
        let table = ConnectionTable::default();
        let slot = table.acquire(limits(1)).unwrap();
        assert_eq!(table.len(), 1);
        slot.run(async {}).await;
        assert_eq!(table.len(), 0);
    }
}
