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
pub(super) struct Crowd(Arc<Mutex<Members>>);

#[derive(Debug, Default)]
struct Members {
    next: u64,
    seated: BTreeMap<u64, Arc<Activity>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    crowd: Crowd,
    activity: Arc<Activity>,
}

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    doing: Mutex<Doing>,
    cut: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
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
pub(super) struct House {
    /// Connections at once.
    pub(super) most: usize,
    /// How long a connection may be idle before its place is wanted.
    pub(super) welcome: Duration,
    /// How long one may leave its answer where it is.
    pub(super) patience: Duration,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All are at work.
    Busy,
    /// Some have only just come: one of them may have to give way after so long.
    For(Duration),
}

impl Crowd {
    /// A place in `house`. Where there is none, the connection that has been idle for longest gives
    /// way, or one that has not taken its answer for too long.
    ///
    /// # Errors
    /// [`Full`] when nobody has to give way.
    pub(super) fn enter(&self, house: House) -> Result<Seat, Full> {
        let mut members = self.members();
        if members.seated.len() >= house.most {
            let number = members.least_useful(house)?;
            members.cut(number);
        }
        let (number, activity) = (members.next, Arc::new(Activity::default()));
        members.next += 1;
        members.seated.insert(number, Arc::clone(&activity));
        Ok(Seat {
            number,
            crowd: self.clone(),
            activity,
        })
    }

    /// Cuts every connection that has not taken what was written for `patience`, and says how many.
    pub(super) fn cut_blocked(&self, patience: Duration) -> usize {
        let mut members = self.members();
        let blocked = |(number, activity): (&u64, &Arc<Activity>)| {
            activity.is_blocked_for(patience).then_some(*number)
        };
        let numbers: Vec<u64> = members.seated.iter().filter_map(blocked).collect();
        for number in &numbers {
            members.cut(*number);
        }
        numbers.len()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members().seated.len()
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // Every change is complete before anything could panic, so a poisoned state is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn least_useful(&self, house: House) -> Result<u64, Full> {
        let activities = || {
            self.seated
                .iter()
                .map(|(number, activity)| (*number, activity.doing()))
        };
        let rank = |(number, doing)| match doing {
            Doing::Idle { since } if since.elapsed() >= house.welcome => Some((0, since, number)),
            Doing::Blocked { since } if since.elapsed() >= house.patience => {
                Some((1, since, number))
            }
            Doing::Arrived | Doing::Idle { .. } | Doing::Blocked { .. } | Doing::Answering => None,
        };
        let left = |(_, doing)| match doing {
            Doing::Arrived => Some(house.welcome),
            Doing::Idle { since } => Some(house.welcome.saturating_sub(since.elapsed())),
            Doing::Blocked { .. } | Doing::Answering => None,
        };
        let least = activities()
            .filter_map(rank)
            .min()
            .map(|(_, _, number)| number);
        least.ok_or_else(|| {
            activities()
                .filter_map(left)
                .min()
                .map_or(Full::Busy, Full::For)
        })
    }

    /// Its place is free at once; its connection ends as soon as its task runs.
    fn cut(&mut self, number: u64) {
        if let Some(activity) = self.seated.remove(&number) {
            activity.cut.notify_one();
        }
    }
}

impl Seat {
    /// What whoever sits here tells of itself.
    pub(super) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }

    /// Does `work` unless the place is taken away before it ends.
    pub(super) async fn hold(self, work: impl Future<Output = ()>) {
        self.activity.end(|doing| doing == Doing::Arrived);
        tokio::select! {
            () = self.activity.cut.notified() => tracing::debug!("an HTTP connection gave way to another one"),
            () = work => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.members().seated.remove(&self.number);
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            doing: Mutex::new(Doing::Arrived),
            cut: Notify::new(),
        }
    }
}

impl Doing {
    fn idle() -> Self {
        Self::Idle {
            since: Instant::now(),
        }
    }
}

impl Activity {
    /// A request has come, and its answer is being made until what is returned is dropped.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.set(Doing::Answering);
        Answering(Arc::clone(self))
    }

    /// The client does not take what is written.
    pub(super) fn blocked(&self) {
        self.set(Doing::Blocked {
            since: Instant::now(),
        });
    }

    /// The client has taken everything.
    pub(super) fn taken(&self) {
        self.end(|doing| matches!(doing, Doing::Blocked { .. }));
    }

    fn doing(&self) -> Doing {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, doing: Doing) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    /// Begins to be idle, if it is still doing what ended: a client may send its next request
    /// before it reads.
    fn end(&self, ended: impl FnOnce(Doing) -> bool) {
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        if ended(*doing) {
            *doing = Doing::idle();
        }
    }

    fn is_blocked_for(&self, patience: Duration) -> bool {
        matches!(self.doing(), Doing::Blocked { since } if since.elapsed() >= patience)
    }
}

/// Stands for an answer that is being made.
#[derive(Debug)]
pub(super) struct Answering(Arc<Activity>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.end(|doing| doing == Doing::Answering);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{advance, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);
    const WELCOME: Duration = Duration::from_millis(100);

    const fn house(most: usize) -> House {
        House {
            most,
            welcome: WELCOME,
            patience: PATIENCE,
        }
    }

    /// A connection that stays until it is cut.
    struct Guest {
        activity: Arc<Activity>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Guest {
        /// Enters, so long after the one before that this one may have to give way.
        async fn enter(crowd: &Crowd, most: usize) -> Result<Self, Full> {
            let guest = Self::rush_in(crowd, most).await;
            advance(WELCOME).await;
            guest
        }

        /// Enters, and has its first turn.
        async fn rush_in(crowd: &Crowd, most: usize) -> Result<Self, Full> {
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
        let crowd = Crowd::default();
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
        let crowd = Crowd::default();
        let mut answered = Guest::enter(&crowd, 2).await.unwrap();
        let mut reading = Guest::enter(&crowd, 2).await.unwrap();
        let answering = answered.activity.answering();
        reading.activity.blocked();
        assert_eq!(Guest::enter(&crowd, 2).await.err(), Some(Full::Busy));
        advance(PATIENCE).await;
        Guest::enter(&crowd, 2)
            .await
            .expect("the place of the one that does not read");
        assert!(reading.is_cut().await && !answered.is_cut().await);
        drop(answering);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_only_just_come_stays_for_a_while() {
        let crowd = Crowd::default();
        let waiting = crowd.enter(house(2)).unwrap();
        let mut first = Guest::rush_in(&crowd, 2).await.unwrap();
        advance(WELCOME / 2).await;
        assert_eq!(crowd.enter(house(2)).err(), Some(Full::For(WELCOME / 2)));
        advance(WELCOME / 2).await;
        Guest::rush_in(&crowd, 2)
            .await
            .expect("the first one's place");
        assert!(first.is_cut().await);
        advance(WELCOME * 10).await;
        Guest::rush_in(&crowd, 2)
            .await
            .expect("the place of the second");
        assert_eq!(
            waiting.activity.doing(),
            Doing::Arrived,
            "who had no turn to read does not give way"
        );
        assert_eq!(crowd.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_one_gives_way_before_a_blocked_one() {
        let crowd = Crowd::default();
        let mut blocked = Guest::enter(&crowd, 2).await.unwrap();
        blocked.activity.blocked();
        advance(PATIENCE * 10).await;
        let mut idle = Guest::enter(&crowd, 2).await.unwrap();
        Guest::enter(&crowd, 2).await.expect("the idle one's place");
        assert!(idle.is_cut().await && !blocked.is_cut().await);
    }

    #[tokio::test(start_paused = true)]
    async fn only_those_who_do_not_read_are_cut_for_memory() {
        let crowd = Crowd::default();
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
        let crowd = Crowd::default();
        let seat = crowd.enter(house(1)).unwrap();
        assert_eq!(crowd.len(), 1);
        seat.hold(async {}).await;
        assert_eq!(crowd.len(), 0);
    }
}
