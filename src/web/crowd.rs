//! The open connections and what each of them is doing: where there is no room, the least useful one gives way.
//!
//! A server that only counts connections is closed to everybody by whoever opens that many and says nothing. So a new
//! connection takes the place of the one that has been idle for longest, and where memory is short, those that do not
//! take their answers lose them. A connection whose request is being answered never gives way.

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
    /// Nothing, or its request's head is on the way.
    Idle { since: Instant },
    /// A request's answer is being made.
    Answering,
    /// The client has not taken what was written.
    Blocked { since: Instant },
}

impl Crowd {
    /// A place among at most `most`. Where there is none, the connection that has been idle for longest gives way, or
    /// one that has not taken its answer for `patience`; where all are at work, there is no place.
    pub(super) fn enter(&self, most: usize, patience: Duration) -> Option<Seat> {
        let mut members = self.members();
        if members.seated.len() >= most {
            let number = members.least_useful(patience)?;
            members.cut(number);
        }
        let (number, activity) = (members.next, Arc::new(Activity::default()));
        members.next += 1;
        members.seated.insert(number, Arc::clone(&activity));
        Some(Seat { number, crowd: self.clone(), activity })
    }

    /// Cuts every connection that has not taken what was written for `patience`, and says how many.
    pub(super) fn cut_blocked(&self, patience: Duration) -> usize {
        let mut members = self.members();
        let blocked = |(number, activity): (&u64, &Arc<Activity>)| activity.is_blocked_for(patience).then_some(*number);
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
    fn least_useful(&self, patience: Duration) -> Option<u64> {
        let rank = |(number, activity): (&u64, &Arc<Activity>)| match activity.doing() {
            Doing::Idle { since } => Some((0, since, *number)),
            Doing::Blocked { since } if since.elapsed() >= patience => Some((1, since, *number)),
            Doing::Blocked { .. } | Doing::Answering => None,
        };
        self.seated.iter().filter_map(rank).min().map(|(_, _, number)| number)
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
        Self { doing: Mutex::new(Doing::idle()), cut: Notify::new() }
    }
}

impl Doing {
    fn idle() -> Self {
        Self::Idle { since: Instant::now() }
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
        self.set(Doing::Blocked { since: Instant::now() });
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

    /// Begins to be idle, if it is still doing what ended: a client may send its next request before it reads.
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

    /// A connection that stays until it is cut.
    struct Guest {
        activity: Arc<Activity>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Guest {
        /// Enters, a moment after the one before.
        async fn enter(crowd: &Crowd, most: usize) -> Option<Self> {
            advance(Duration::from_millis(1)).await;
            let seat = crowd.enter(most, PATIENCE)?;
            Some(Self { activity: seat.activity(), task: tokio::spawn(seat.hold(pending())) })
        }

        async fn is_cut(&mut self) -> bool {
            timeout(Duration::from_millis(1), &mut self.task).await.is_ok()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_is_idle_for_longest_gives_way() {
        let crowd = Crowd::default();
        let mut first = Guest::enter(&crowd, 2).await.unwrap();
        let mut second = Guest::enter(&crowd, 2).await.unwrap();
        advance(Duration::from_millis(1)).await;
        drop(first.activity.answering());
        let mut third = Guest::enter(&crowd, 2).await.expect("the second one's place");
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
        assert!(Guest::enter(&crowd, 2).await.is_none());
        advance(PATIENCE).await;
        Guest::enter(&crowd, 2).await.expect("the place of the one that does not read");
        assert!(reading.is_cut().await && !answered.is_cut().await);
        drop(answering);
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
        let seat = crowd.enter(1, PATIENCE).unwrap();
        assert_eq!(crowd.len(), 1);
        seat.hold(async {}).await;
        assert_eq!(crowd.len(), 0);
    }
}
