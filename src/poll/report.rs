//! Sends poll events to the monitor on a bounded channel, without ever making a poll wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::model::{ServerAddr, Span};
use crate::monitor::{PollEvent, PollEventKind};

/// Events that wait to be sent together at most: as many as the monitor handles at once.
const LARGEST_BATCH: usize = 256;

/// For how long the first of them waits: longer than a round in one datacenter, and than the time
/// between two snapshots, so that the monitor is woken and publishes once for all of them.
const BATCH: Span = Span::from_millis(25);

/// Sends poll events to the monitor.
///
/// If the channel is full, the event is dropped and counted. Waiting would delay the polls, and a
/// late sample is worse than a missing one: a missing sample only widens the certified interval.
///
/// With [`BatchSender`], events wait for those that follow closely, and are sent together: each
/// time that the monitor is woken costs as much as several events. When a poll was sent and
/// answered is a part of its event, so the wait makes nothing less precise.
#[derive(Clone, Debug)]
pub(super) struct Reporter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    events: mpsc::Sender<PollEvent>,
    dropped: Arc<AtomicU64>,
    /// `None` where every event is sent at once.
    batches: Option<Batches>,
}

#[derive(Debug)]
struct Batches {
    /// The events that wait, in their order.
    waiting: Mutex<Vec<PollEvent>>,
    /// Notified when the first of them begins to wait.
    begun: Arc<Notify>,
}

/// The task that sends batches. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct BatchSender(JoinHandle<()>);

impl Drop for BatchSender {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reporter {
    /// One that sends every event at once.
    #[cfg(test)]
    pub(super) fn new(events: mpsc::Sender<PollEvent>, dropped: Arc<AtomicU64>) -> Self {
        Self(Arc::new(Shared {
            events,
            dropped,
            batches: None,
        }))
    }

    /// One that sends events together, and the task that does so, on `runtime`.
    pub(super) fn with_batches(
        events: mpsc::Sender<PollEvent>,
        dropped: Arc<AtomicU64>,
        runtime: &Handle,
    ) -> (Self, BatchSender) {
        let begun = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            events,
            dropped,
            batches: Some(Batches {
                waiting: Mutex::default(),
                begun: Arc::clone(&begun),
            }),
        });
        let task = runtime.spawn(send_batches(Arc::downgrade(&shared), begun));
        (Self(shared), BatchSender(task))
    }

    /// Reports what happened to `server`.
    pub(super) fn report(&self, server: &ServerAddr, kind: PollEventKind) {
        let server = server.clone();
        let event = PollEvent { server, kind };
        match &self.0.batches {
            None => self.0.send(event),
            Some(batches) => self.0.keep(batches, event),
        }
    }

    /// Sends what waits, so that the monitor has every event from before.
    pub(super) fn flush(&self) {
        self.0.flush();
    }
}

impl Shared {
    fn send(&self, event: PollEvent) {
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn keep(&self, batches: &Batches, event: PollEvent) {
        let mut waiting = batches.lock();
        if waiting.is_empty() {
            batches.begun.notify_one();
        }
        waiting.push(event);
        if waiting.len() >= LARGEST_BATCH {
            self.send_all(&mut waiting);
        }
    }

    fn flush(&self) {
        if let Some(batches) = &self.batches {
            self.send_all(&mut batches.lock());
        }
    }

    fn send_all(&self, waiting: &mut Vec<PollEvent>) {
        for event in waiting.drain(..) {
            self.send(event);
        }
    }
}

impl Batches {
    fn lock(&self) -> MutexGuard<'_, Vec<PollEvent>> {
        // Every change is complete before anything could panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what waits once its first event has waited for [`BATCH`], until no reporter is left.
async fn send_batches(shared: Weak<Shared>, begun: Arc<Notify>) {
    loop {
        begun.notified().await;
        tokio::time::sleep(BATCH.to_duration()).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerAddr {
        ServerAddr::new(name, 1)
    }

    #[test]
    fn a_full_channel_costs_an_event_and_is_counted() {
        let (events, mut seen) = mpsc::channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let reporter = Reporter::new(events, Arc::clone(&dropped));
        reporter.report(&server("a"), PollEventKind::Skipped);
        reporter.report(&server("a"), PollEventKind::Skipped);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert!(seen.try_recv().is_ok());
        assert!(seen.try_recv().is_err());
    }

    #[tokio::test]
    async fn events_arrive_in_order_and_without_a_further_one() {
        let (events, mut seen) = mpsc::channel(100);
        let (reporter, _task) = Reporter::with_batches(events, Arc::default(), &Handle::current());
        let names = ["a", "b", "c", "d"];
        for name in names {
            reporter.report(&server(name), PollEventKind::Skipped);
        }
        for name in names {
            assert_eq!(seen.recv().await.unwrap().server, server(name));
        }
        drop(reporter);
        assert!(seen.recv().await.is_none(), "no sender is left");
    }

    #[tokio::test]
    async fn what_waits_is_sent_when_it_has_to_be_or_is_too_much() {
        let (events, mut seen) = mpsc::channel(2 * LARGEST_BATCH);
        let dropped = Arc::default();
        let (reporter, task) = Reporter::with_batches(events, dropped, &Handle::current());
        drop(task);
        for _ in 0..4 {
            reporter.report(&server("a"), PollEventKind::Skipped);
        }
        reporter.flush();
        assert_eq!(seen.len(), 4);
        while seen.try_recv().is_ok() {}
        for _ in 0..=LARGEST_BATCH {
            reporter.report(&server("a"), PollEventKind::Skipped);
        }
        assert!(seen.len() >= LARGEST_BATCH);
    }
}
