//! How long this program's own tasks wait for the processor: time in which it could not have read
//! an answer, and which no server has to answer for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::clock;
use crate::model::{Span, Timestamp};

/// How often the delay is measured while polls are in progress: several times within the shortest
/// timeout that makes sense.
const TICK: Span = Span::from_millis(10);

/// The same between polls, when only long delays matter: they make the program miss rounds. Each
/// tick wakes a sleeping thread, which costs a small fleet more than its polls.
const IDLE_TICK: Span = Span::from_millis(250);

/// A timer ticks in whole milliseconds, and a task that is woken does not run at once: this much is
/// no delay.
const ORDINARY: Span = Span::from_millis(3);

/// The time that a task of this program has waited for its turn, in all, since the meter was
/// started. A suspended machine and a stopped process count as well.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnDelay {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The delay in all ticks that have ended, in nanoseconds.
    total: AtomicI64,
    /// When the current tick should end, in nanoseconds; zero between two ticks.
    tick_ends: AtomicI64,
    /// Polls in progress.
    polls: AtomicUsize,
    /// Notified when the first of them begins, and when the last of them ends: another tick begins.
    begins_or_ends: Notify,
}

/// The delay since a poll began. While there is one, the meter ticks fast.
#[derive(Debug)]
pub(super) struct DelaySince {
    delay: OwnDelay,
    /// The delay until then, in all.
    before: Span,
}

/// Measures until it is dropped.
#[derive(Debug)]
pub(super) struct DelayMeter {
    delay: OwnDelay,
    task: tokio::task::JoinHandle<()>,
}

impl DelayMeter {
    /// Starts to measure the delay of tasks on `runtime`.
    pub(super) fn start(runtime: &Handle) -> Self {
        let delay = OwnDelay::default();
        let task = runtime.spawn(measure(delay.clone()));
        Self { delay, task }
    }

    pub(super) fn delay(&self) -> &OwnDelay {
        &self.delay
    }
}

impl Drop for DelayMeter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn measure(delay: OwnDelay) {
    loop {
        let length = delay.begin_tick(clock::now());
        tokio::select! {
            () = tokio::time::sleep(length.to_duration()) => {}
            () = delay.state.begins_or_ends.notified() => {}
        }
        delay.end_tick(clock::now());
    }
}

impl OwnDelay {
    /// The delay so far, up to `now`. What the current tick is late by already belongs to it: after
    /// a pause, other tasks may run before the meter's does.
    pub(super) fn total(&self, now: Timestamp) -> Span {
        let total = Span::from_nanos(self.state.total.load(Ordering::SeqCst));
        total + self.late(now)
    }

    /// Begins to count for a poll that begins at `now`.
    pub(super) fn count_from(&self, now: Timestamp) -> DelaySince {
        let before = self.total(now);
        if self.state.polls.fetch_add(1, Ordering::SeqCst) == 0 {
            // The meter's task runs later: from now on it is late as in a short tick.
            let ends = (now + TICK).as_nanos();
            self.state.tick_ends.fetch_min(ends, Ordering::SeqCst);
            self.state.begins_or_ends.notify_one();
        }
        DelaySince {
            delay: self.clone(),
            before,
        }
    }

    /// Begins a tick, and returns how long it should be.
    pub(super) fn begin_tick(&self, now: Timestamp) -> Span {
        let is_idle = self.state.polls.load(Ordering::SeqCst) == 0;
        let length = if is_idle { IDLE_TICK } else { TICK };
        let ends = (now + length).as_nanos();
        self.state.tick_ends.store(ends, Ordering::SeqCst);
        length
    }

    pub(super) fn end_tick(&self, now: Timestamp) {
        // In this order, a reader in between counts the delay twice and waits longer; in the other
        // one it would blame a server.
        let late = self.late(now).as_nanos();
        self.state.total.fetch_add(late, Ordering::SeqCst);
        self.state.tick_ends.store(0, Ordering::SeqCst);
    }

    /// By how much the current tick is too long at `now`.
    fn late(&self, now: Timestamp) -> Span {
        match self.state.tick_ends.load(Ordering::SeqCst) {
            0 => Span::ZERO,
            ends => (now - Timestamp::from_nanos(ends) - ORDINARY).or_zero(),
        }
    }
}

impl DelaySince {
    /// The delay since then, up to `now`.
    pub(super) fn until(&self, now: Timestamp) -> Span {
        (self.delay.total(now) - self.before).or_zero()
    }
}

impl Drop for DelaySince {
    fn drop(&mut self) {
        let state = &self.delay.state;
        if state.polls.fetch_sub(1, Ordering::SeqCst) == 1 {
            state.begins_or_ends.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::default() + Span::from_secs(1000) + Span::from_millis(millis)
    }

    #[test]
    fn ticks_in_time_are_no_delay() {
        let delay = OwnDelay::default();
        assert_eq!(delay.total(at(0)), Span::ZERO);
        let poll = delay.count_from(at(0));
        for tick in 0..10 {
            delay.begin_tick(at(tick * 12));
            delay.end_tick(at(tick * 12 + 12));
        }
        assert_eq!(poll.until(at(120)), Span::ZERO);
    }

    #[test]
    fn a_late_tick_counts_while_it_lasts_and_once_it_has_ended() {
        let delay = OwnDelay::default();
        let poll = delay.count_from(at(0));
        delay.begin_tick(at(0));
        assert_eq!(delay.total(at(500)), Span::from_millis(487));
        delay.end_tick(at(500));
        assert_eq!(delay.total(at(500)), Span::from_millis(487));
        delay.begin_tick(at(500));
        assert_eq!(delay.total(at(510)), Span::from_millis(487));
        assert_eq!(poll.until(at(613)), Span::from_millis(587));
    }

    #[test]
    fn ticks_are_long_between_polls_and_a_poll_ends_a_long_one() {
        let delay = OwnDelay::default();
        assert_eq!(delay.begin_tick(at(0)), IDLE_TICK);
        assert_eq!(delay.total(at(250)), Span::ZERO);
        let first = delay.count_from(at(100));
        let second = delay.count_from(at(105));
        assert_eq!(
            first.until(at(150)),
            Span::from_millis(37),
            "before the meter runs"
        );
        delay.end_tick(at(150));
        assert_eq!(delay.begin_tick(at(150)), TICK);
        drop(first);
        delay.end_tick(at(160));
        assert_eq!(second.until(at(160)), Span::from_millis(37));
        assert_eq!(delay.begin_tick(at(160)), TICK);
        drop(second);
        delay.end_tick(at(170));
        assert_eq!(delay.begin_tick(at(170)), IDLE_TICK);
    }

    #[tokio::test]
    async fn a_blocked_runtime_is_measured() {
        let meter = DelayMeter::start(&Handle::current());
        tokio::time::sleep(Span::from_millis(30).to_duration()).await;
        let poll = meter.delay().count_from(clock::now());
        let before = meter.delay().total(clock::now());
        std::thread::sleep(Span::from_millis(300).to_duration());
        let blocked = meter.delay().total(clock::now()) - before;
        assert!(blocked >= Span::from_millis(250), "{blocked:?}");
        tokio::time::sleep(Span::from_millis(30).to_duration()).await;
        let counted = poll.until(clock::now());
        assert!(counted >= Span::from_millis(250), "{counted:?}");
    }

    #[tokio::test]
    async fn a_long_delay_between_polls_is_measured() {
        let meter = DelayMeter::start(&Handle::current());
        tokio::time::sleep(Span::from_millis(30).to_duration()).await;
        let before = meter.delay().total(clock::now());
        std::thread::sleep(Span::from_millis(600).to_duration());
        let blocked = meter.delay().total(clock::now()) - before;
        assert!(blocked >= Span::from_millis(250), "{blocked:?}");
    }
}
