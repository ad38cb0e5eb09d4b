//! How long this program's own tasks wait for the processor: time in which it could not have read an
//! answer, and which no server has to answer for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::runtime::Handle;

use crate::clock;
use crate::model::{Span, Timestamp};

/// How often the delay is measured: several times within the shortest timeout that makes sense.
const TICK: Span = Span::from_millis(10);

/// A timer ticks in whole milliseconds, and a task that is woken does not run at once: this much is
/// no delay.
const ORDINARY: Span = Span::from_millis(3);

/// The time that a task of this program has waited for its turn, in all, since the meter was started.
/// A suspended machine and a stopped process count as well.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnDelay {
    state: Arc<State>,
}

/// Both in nanoseconds.
#[derive(Debug, Default)]
struct State {
    /// The delay in all ticks that have ended.
    total: AtomicI64,
    /// When the current tick began; zero before the first one.
    tick_began: AtomicI64,
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
        delay.begin_tick(clock::now());
        tokio::time::sleep(TICK.to_duration()).await;
        delay.end_tick(clock::now());
    }
}

impl OwnDelay {
    /// The delay so far, up to `now`. What the current tick is late by already belongs to it: after a
    /// pause, other tasks may run before the meter's does.
    pub(super) fn total(&self, now: Timestamp) -> Span {
        let total = Span::from_nanos(self.state.total.load(Ordering::SeqCst));
        let began = self.state.tick_began.load(Ordering::SeqCst);
        if began == 0 {
            return total;
        }
        total + late(Timestamp::from_nanos(began), now)
    }

    pub(super) fn begin_tick(&self, now: Timestamp) {
        let began = now.as_nanos();
        self.state.tick_began.store(began, Ordering::SeqCst);
    }

    pub(super) fn end_tick(&self, now: Timestamp) {
        let began = Timestamp::from_nanos(self.state.tick_began.load(Ordering::SeqCst));
        let late = late(began, now).as_nanos();
        // In this order, a reader in between counts the delay twice and waits longer; in the other
        // one it would blame a server.
        self.state.total.fetch_add(late, Ordering::SeqCst);
        self.state.tick_began.store(0, Ordering::SeqCst);
    }
}

/// By how much a tick that began at `began` is too long at `now`.
fn late(began: Timestamp, now: Timestamp) -> Span {
    (now - began - TICK - ORDINARY).or_zero()
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
        for tick in 0..10 {
            delay.begin_tick(at(tick * 12));
            delay.end_tick(at(tick * 12 + 12));
        }
        assert_eq!(delay.total(at(120)), Span::ZERO);
    }

    #[test]
    fn a_late_tick_counts_while_it_lasts_and_once_it_has_ended() {
        let delay = OwnDelay::default();
        delay.begin_tick(at(0));
        assert_eq!(delay.total(at(500)), Span::from_millis(487));
        delay.end_tick(at(500));
        assert_eq!(delay.total(at(500)), Span::from_millis(487));
        delay.begin_tick(at(500));
        assert_eq!(delay.total(at(510)), Span::from_millis(487));
        assert_eq!(delay.total(at(613)), Span::from_millis(587));
    }

    #[tokio::test]
    async fn a_blocked_runtime_is_measured() {
        let meter = DelayMeter::start(&Handle::current());
        tokio::time::sleep(Span::from_millis(30).to_duration()).await;
        let before = meter.delay().total(clock::now());
        std::thread::sleep(Span::from_millis(300).to_duration());
        let blocked = meter.delay().total(clock::now()) - before;
        assert!(blocked >= Span::from_millis(250), "{blocked:?}");
    }
}
