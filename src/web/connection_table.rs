//! The open connections and what each of them is doing: where there is no room, the least useful
//! one gives way.
//!
//! A server that only counts connections is closed to everybody by whoever opens that many and says
//! nothing. So a new connection takes the place of the one that has been idle for longest, and
//! where memory is short, those that do not take their answers lose them. A connection whose
//! request is being answered never gives way, nor does one that has only just come: a thousand that
//! come within some milliseconds once closed a scrape whose request was already here, but not read
//! yet.

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

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    crowd: ConnectionTable,
    activity: Arc<ConnectionState>,
}

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct ConnectionState {
    doing: Mutex<Phase>,
    cut: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It waits for its first turn to read.
    Arrived,
    /// Nothing, or its request's head is on the way.
    Idle { since: Instant },
    /// A request's answer is being made.
    Answering,
    /// The client has not taken what was written.
    Blocked { since: Instant },
}

/// How many may be in, and who must give way when.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableLimits {
    /// Connections at once.
    pub(super) most: usize,
    /// How long a connection may be idle before its place is wanted.
    pub(super) min_age_before_eviction: Duration,
    /// How long one may leave its answer where it is.
    pub(super) patience: Duration,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// All are at work.
    AllBusy,
    /// Some have only just come: one of them may have to give way after so long.
    RetryAfter(Duration),
}

impl ConnectionTable {
    /// A place in `house`. Where there is none, the connection that has been idle for longest gives
    /// way, or one that has not taken its answer for too long.
    ///
    /// # Errors
    /// [`NoSlot`] when nobody has to give way.
    pub(super) fn enter(&self, house: TableLimits) -> Result<Slot, NoSlot> {
        let mut members = self.members();
        if members.occupied.len() >= house.most {
            let number = members.eviction_candidate(house)?;
            members.cut(number);
        }
        let (number, activity) = (members.next, Arc::new(ConnectionState::default()));
        members.next += 1;
        members.occupied.insert(number, Arc::clone(&activity));
        Ok(Slot {
            number,
            crowd: self.clone(),
            activity,
        })
    }

    /// Cuts every connection that has not taken what was written for `patience`, and says how many.
    pub(super) fn cut_blocked(&self, patience: Duration) -> usize {
        let mut members = self.members();
        let blocked = |(number, activity): (&u64, &Arc<ConnectionState>)| {
            activity.is_blocked_for(patience).then_some(*number)
        };
        let numbers: Vec<u64> = members.occupied.iter().filter_map(blocked).collect();
        for number in &numbers {
            members.cut(*number);
        }
        numbers.len()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members().occupied.len()
    }

    fn members(&self) -> MutexGuard<'_, Slots> {
        // Every change is complete before anything could panic, so a poisoned state is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn eviction_candidate(&self, house: TableLimits) -> Result<u64, NoSlot> {
        let activities = || {
            self.occupied
                .iter()
                .map(|(number, activity)| (*number, activity.doing()))
        };
        let rank = |(number, doing)| match doing {
            Phase::Idle { since } if since.elapsed() >= house.min_age_before_eviction => {
                Some((0, since, number))
            }
            Phase::Blocked { since } if since.elapsed() >= house.patience => {
                Some((1, since, number))
            }
            Phase::Arrived | Phase::Idle { .. } | Phase::Blocked { .. } | Phase::Answering => None,
        };
        let left = |(_, doing)| match doing {
            Phase::Arrived => Some(house.min_age_before_eviction),
            Phase::Idle { since } => Some(
                house
                    .min_age_before_eviction
                    .saturating_sub(since.elapsed()),
            ),
            Phase::Blocked { .. } | Phase::Answering => None,
        };
        let least = activities()
            .filter_map(rank)
            .min()
            .map(|(_, _, number)| number);
        least.ok_or_else(|| {
            activities()
                .filter_map(left)
                .min()
                .map_or(NoSlot::AllBusy, NoSlot::RetryAfter)
        })
    }

    /// Its place is free at once; its connection ends as soon as its task runs.
    fn cut(&mut self, number: u64) {
        if let Some(activity) = self.occupied.remove(&number) {
            activity.cut.notify_one();
        }
    }
}

impl Slot {
    /// What whoever sits here tells of itself.
    pub(super) fn activity(&self) -> Arc<ConnectionState> {
        Arc::clone(&self.activity)
    }

    /// Does `work` unless the place is taken away before it ends.
    pub(super) async fn hold(self, work: impl Future<Output = ()>) {
        self.activity.end(|doing| doing == Phase::Arrived);
        tokio::select! {
            () = self.activity.cut.notified() => tracing::debug!("an HTTP connection gave way to another one"),
            () = work => {}
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.crowd.members().occupied.remove(&self.number);
    }
}

impl Default for ConnectionState {
    fn default() -> Self {
        Self {
            doing: Mutex::new(Phase::Arrived),
            cut: Notify::new(),
        }
    }
}

impl Phase {
    fn idle() -> Self {
        Self::Idle {
            since: Instant::now(),
        }
    }
}

impl ConnectionState {
    /// A request has come, and its answer is being made until what is returned is dropped.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.set(Phase::Answering);
        Answering(Arc::clone(self))
    }

    /// The client does not take what is written.
    pub(super) fn blocked(&self) {
        self.set(Phase::Blocked {
            since: Instant::now(),
        });
    }

    /// The client has taken everything.
    pub(super) fn taken(&self) {
        self.end(|doing| matches!(doing, Phase::Blocked { .. }));
    }

    fn doing(&self) -> Phase {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, doing: Phase) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    /// Begins to be idle, if it is still doing what ended: a client may send its next request
    /// before it reads.
    fn end(&self, ended: impl FnOnce(Phase) -> bool) {
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        if ended(*doing) {
            *doing = Phase::idle();
        }
    }

    fn is_blocked_for(&self, patience: Duration) -> bool {
        matches!(self.doing(), Phase::Blocked { since } if since.elapsed() >= patience)
    }
}

/// Stands for an answer that is being made.
#[derive(Debug)]
pub(super) struct Answering(Arc<ConnectionState>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.end(|doing| doing == Phase::Answering);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{advance, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);
    const MIN_AGE: Duration = Duration::from_millis(100);

    const fn house(most: usize) -> TableLimits {
        TableLimits {
            most,
            min_age_before_eviction: MIN_AGE,
            patience: PATIENCE,
        }
    }

    /// A connection that stays until it is cut.
    struct Guest {
        activity: Arc<ConnectionState>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Guest {
        /// Enters, so long after the one before that this one may have to give way.
        async fn enter(crowd: &ConnectionTable, most: usize) -> Result<Self, NoSlot> {
            let guest = Self::rush_in(crowd, most).await;
            advance(MIN_AGE).await;
            guest
        }

        /// Enters, and has its first turn.
        async fn rush_in(crowd: &ConnectionTable, most: usize) -> Result<Self, NoSlot> {
            let seat = crowd.enter(house(most))?;
            let guest = Self {
                activity: seat.activity(),
                task: tokio::spawn(seat.hold(pending())),
            };
            tokio::task::yield_now().await;
            Ok(guest)
        }

        async fn is_cut(&mut self) -> bool {
            timeout(Duration::from_millis(1), &mut self.task)
                .await
                .is_ok()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_is_idle_for_longest_gives_way() {
        let crowd = ConnectionTable::default();
        let mut first = Guest::enter(&crowd, 2).await.unwrap();
        let mut second = Guest::enter(&crowd, 2).await.unwrap();
        advance(Duration::from_millis(1)).await;
        drop(first.activity.answering());
        let mut third = Guest::enter(&crowd, 2)
            .await
            .expect("the second one's place");
        assert!(second.is_cut().await && !first.is_cut().await && !third.is_cut().await);
        assert_eq!(crowd.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_answered_or_has_just_begun_to_read_never_gives_way() {
        let crowd = ConnectionTable::default();
        let mut answered = Guest::enter(&crowd, 2).await.unwrap();
        let mut reading = Guest::enter(&crowd, 2).await.unwrap();
        let answering = answered.activity.answering();
        reading.activity.blocked();
        assert_eq!(Guest::enter(&crowd, 2).await.err(), Some(NoSlot::AllBusy));
        advance(PATIENCE).await;
        Guest::enter(&crowd, 2)
            .await
            .expect("the place of the one that does not read");
        assert!(reading.is_cut().await && !answered.is_cut().await);
        drop(answering);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_only_just_come_stays_for_a_while() {
        let crowd = ConnectionTable::default();
        let waiting = crowd.enter(house(2)).unwrap();
        let mut first = Guest::rush_in(&crowd, 2).await.unwrap();
        advance(MIN_AGE / 2).await;
        assert_eq!(
            crowd.enter(house(2)).err(),
            Some(NoSlot::RetryAfter(MIN_AGE / 2))
        );
        advance(MIN_AGE / 2).await;
        Guest::rush_in(&crowd, 2)
            .await
            .expect("the first one's place");
        assert!(first.is_cut().await);
        advance(MIN_AGE * 10).await;
        Guest::rush_in(&crowd, 2)
            .await
            .expect("the place of the second");
        assert_eq!(
            waiting.activity.doing(),
            Phase::Arrived,
            "who had no turn to read does not give way"
        );
        assert_eq!(crowd.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_one_gives_way_before_a_blocked_one() {
        let crowd = ConnectionTable::default();
        let mut blocked = Guest::enter(&crowd, 2).await.unwrap();
        blocked.activity.blocked();
        advance(PATIENCE * 10).await;
        let mut idle = Guest::enter(&crowd, 2).await.unwrap();
        Guest::enter(&crowd, 2).await.expect("the idle one's place");
        assert!(idle.is_cut().await && !blocked.is_cut().await);
    }

    #[tokio::test(start_paused = true)]
    async fn only_those_who_do_not_read_are_cut_for_memory() {
        let crowd = ConnectionTable::default();
        let mut blocked = Guest::enter(&crowd, 9).await.unwrap();
        let mut idle = Guest::enter(&crowd, 9).await.unwrap();
        let mut again = Guest::enter(&crowd, 9).await.unwrap();
        blocked.activity.blocked();
        again.activity.blocked();
        advance(PATIENCE).await;
        again.activity.taken();
        assert_eq!(crowd.cut_blocked(PATIENCE), 1);
        assert!(blocked.is_cut().await && !idle.is_cut().await && !again.is_cut().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_leaves_its_place() {
        let crowd = ConnectionTable::default();
        let seat = crowd.enter(house(1)).unwrap();
        assert_eq!(crowd.len(), 1);
        seat.hold(async {}).await;
        assert_eq!(crowd.len(), 0);
    }
}
