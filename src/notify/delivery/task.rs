//! The task of one receiver: takes notifications, makes attempts, reports.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::alert::Notification;
use crate::clock;
use crate::http_client::HttpClient;
use crate::model::Timestamp;
use crate::monitor::{DeliveryEventKind, SuppressReason};
use crate::notify::queue::{Attempt, ReceiverQueue};
use crate::notify::retry::{Circumstances, Timing, judge};

use super::courier::{self, ReceiverConfig, Sent};
use super::outcome;
use super::reporter::Reporter;

/// The longest sleep: timers stand still while the machine does, the clock that says what is due does not.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// How many groups are named when something is left at the end.
const MAX_NAMED: usize = 10;

type Flight = Pin<Box<dyn Future<Output = (Attempt, Sent)> + Send>>;

/// Everything that a receiver's task owns.
pub(super) struct ReceiverTask {
    pub(super) queue: ReceiverQueue,
    pub(super) config: watch::Receiver<Arc<ReceiverConfig>>,
    pub(super) inbox: mpsc::Receiver<Notification>,
    /// Notifications that found the inbox full, not yet reported.
    pub(super) overflow: Arc<AtomicU64>,
    pub(super) stop: oneshot::Receiver<Timestamp>,
    pub(super) client: HttpClient,
    pub(super) timing: Timing,
    pub(super) reporter: Reporter,
    pub(super) receiver: Arc<str>,
    pub(super) flight: Option<Flight>,
    /// Set while draining: nothing is done after this.
    pub(super) deadline: Option<Timestamp>,
}

impl ReceiverTask {
    /// Delivers until it is told to stop, and what is due then until its deadline.
    pub(super) async fn run(mut self) {
        while !self.is_finished() {
            self.start_due();
            self.step().await;
        }
        self.reporter.push();
        self.log_left();
    }

    fn is_finished(&self) -> bool {
        let Some(deadline) = self.deadline else { return false };
        let nothing_due = self.queue.next_wakeup().is_none_or(|at| at > deadline);
        clock::now() >= deadline || (self.flight.is_none() && nothing_due)
    }

    fn start_due(&mut self) {
        let now = clock::now();
        let expired = self.queue.expire(now);
        self.suppressed(expired);
        if self.flight.is_none()
            && let Some(attempt) = self.queue.start(now)
        {
            let config = Arc::clone(&self.config.borrow());
            self.flight = Some(Box::pin(courier::send(self.client.clone(), config, attempt)));
        }
    }

    /// Waits for one thing to happen, and deals with it.
    async fn step(&mut self) {
        let sleep = self.sleep();
        tokio::select! {
            // In this order: the stop comes before the end of the inbox, and a result before new work.
            biased;
            Ok(deadline) = &mut self.stop, if self.deadline.is_none() => self.drain(deadline),
            (attempt, sent) = landed(&mut self.flight) => self.landed(&attempt, sent),
            notification = self.inbox.recv(), if self.deadline.is_none() => match notification {
                Some(notification) => self.take(notification),
                // The dispatcher is gone without a word: nothing more will come.
                None => self.deadline = Some(clock::now()),
            },
            Ok(()) = self.config.changed() => self.queue.retry_now(clock::now()),
            () = self.reporter.catch_up(), if self.reporter.is_behind() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }

    /// How long until something is due without anything happening.
    fn sleep(&self) -> Duration {
        let wakeup = [self.queue.next_wakeup(), self.deadline].into_iter().flatten().min();
        wakeup.map_or(MAX_SLEEP, |at| (at - clock::now()).to_duration().min(MAX_SLEEP))
    }

    /// Takes in what was sent before the stop, and sets the end.
    fn drain(&mut self, deadline: Timestamp) {
        self.inbox.close();
        while let Ok(notification) = self.inbox.try_recv() {
            self.take(notification);
        }
        self.deadline = Some(deadline);
    }

    fn take(&mut self, notification: Notification) {
        let overflow = self.overflow.swap(0, Ordering::Relaxed);
        for _ in 0..overflow {
            self.suppressed(vec![SuppressReason::QueueFull]);
        }
        let suppressed = self.queue.push(Arc::new(notification), clock::anchor());
        if suppressed.is_empty() {
            self.reporter.report(DeliveryEventKind::Queued, self.queue.state());
        }
        self.suppressed(suppressed);
    }

    fn suppressed(&mut self, reasons: Vec<SuppressReason>) {
        for reason in reasons {
            info!(receiver = &*self.receiver, reason = reason.label(), "a notification is not sent");
            self.reporter.report(DeliveryEventKind::Suppressed { reason }, self.queue.state());
        }
    }

    fn landed(&mut self, attempt: &Attempt, sent: Sent) {
        self.flight = None;
        let circumstances = Circumstances {
            protocol: sent.protocol,
            attempt: attempt.number,
            plain: attempt.plain,
            jitter: fastrand::f64(),
            now: clock::anchor(),
        };
        let mut verdict = judge(&self.timing, &circumstances, &sent.result);
        verdict.maybe_received |= sent.reached;
        let now = circumstances.now.mono;
        outcome::log(&self.receiver, attempt, &sent.result, &verdict.disposition, now);
        let events = self.queue.on_result(attempt, sent.opening, &verdict, now);
        for event in events {
            self.reporter.report(event, self.queue.state());
        }
    }

    fn log_left(&self) {
        let depth = self.queue.state().depth;
        if depth > 0 {
            let named: Vec<_> = self
                .queue
                .undelivered()
                .take(MAX_NAMED)
                .map(|n| format!("{} ({})", n.group.text(), n.status.label()))
                .collect();
            warn!(
                receiver = &*self.receiver,
                left = depth,
                groups = named.join("; "),
                "stopped with notifications undelivered"
            );
        }
    }
}

/// The end of the attempt under way; never, when there is none.
async fn landed(flight: &mut Option<Flight>) -> (Attempt, Sent) {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}
