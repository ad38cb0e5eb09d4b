//! What all periodic tasks have in common: settings that may change, requests that may fail, and
//! reports of both.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::owed::OwedHere;
use crate::clock;
use crate::http_client::HttpClient;
use crate::model::{Span, Timestamp};
use crate::monitor::{DeliveryEvent, DeliveryEventKind, DeliveryFailure};
use crate::notify::delivery::{ReceiverConfig, Reporter};
use crate::notify::retry::{AttemptResult, Circumstances, Disposition, Protocol, Timing, judge};

/// One task's way to its receiver.
pub(super) struct Teller {
    receiver: Arc<str>,
    pub(super) client: HttpClient,
    timing: Timing,
    config: watch::Receiver<Arc<ReceiverConfig>>,
    owed: OwedHere,
    reporter: Reporter,
    /// Since when there is something new to tell.
    news: Option<Timestamp>,
    failures: u32,
    last_failure: Option<DeliveryFailure>,
    /// Nothing is sent before this.
    pub(super) due: Timestamp,
}

impl Teller {
    pub(super) fn new(
        receiver: Arc<str>,
        client: HttpClient,
        timing: Timing,
        config: watch::Receiver<Arc<ReceiverConfig>>,
        owed: OwedHere,
        events: mpsc::Sender<DeliveryEvent>,
    ) -> Self {
        let reporter = Reporter::new(Arc::clone(&receiver), events);
        let due = clock::now();
        Self {
            receiver,
            client,
            timing,
            config,
            owed,
            reporter,
            news: None,
            failures: 0,
            last_failure: None,
            due,
        }
    }

    /// The settings as they are now.
    pub(super) fn config(&self) -> Arc<ReceiverConfig> {
        Arc::clone(&self.config.borrow())
    }

    /// Waits for the next look. Returns whether there is one: not when the receiver is gone or the
    /// program ends.
    pub(super) async fn goes_on(&mut self, look: Span) -> bool {
        self.reporter.push();
        tokio::select! {
            changed = self.config.changed() => {
                // New settings may be what a failing receiver waited for.
                self.due = clock::now();
                changed.is_ok()
            }
            () = tokio::time::sleep(look.to_duration()) => true,
        }
    }

    /// There is something new: it is told at once, unless the receiver is being spared after a
    /// failure.
    pub(super) fn note_news(&mut self, now: Timestamp) {
        self.news.get_or_insert(now);
        self.owed.set(self.news);
        if self.failures == 0 {
            self.due = now;
        }
    }

    /// What was new is too old to be worth telling.
    pub(super) fn forget_news(&mut self) {
        self.news = None;
        self.owed.set(None);
    }

    /// Whether something new was not told yet.
    pub(super) const fn has_news(&self) -> bool {
        self.news.is_some()
    }

    /// Takes in how a request that began at `began` ended, and plans the next: after `interval`, or
    /// earlier where this one failed.
    pub(super) fn settle(&mut self, result: &AttemptResult, began: Timestamp, interval: Span) {
        self.failures = self.failures.saturating_add(1);
        let now = clock::anchor();
        let circumstances = Circumstances {
            protocol: Protocol::Webhook,
            attempt: self.failures,
            plain: true,
            jitter: fastrand::f64(),
            now,
        };
        let verdict = judge(&self.timing, &circumstances, result);
        match verdict.disposition {
            Disposition::Delivered => self.succeeded(began, now.mono, interval),
            Disposition::Retry { at, reason } => {
                self.failed(reason, result, at.max(verdict.hold_until.unwrap_or(at)));
            }
            // Nothing is final here: the next interval tries it again, as what refuses it may be a
            // proxy.
            Disposition::RetryPlain { reason } | Disposition::Dead { reason } => {
                self.failed(reason, result, now.mono + interval);
            }
        }
    }

    fn succeeded(&mut self, began: Timestamp, now: Timestamp, interval: Span) {
        if self.last_failure.take().is_some() {
            info!(
                receiver = &*self.receiver,
                "the receiver takes requests again"
            );
        }
        let latency = now - self.news.take().unwrap_or(began);
        self.failures = 0;
        self.due = began + interval;
        self.owed.set(None);
        self.reporter
            .report(DeliveryEventKind::Delivered { latency }, self.owed.state());
    }

    fn failed(&mut self, reason: DeliveryFailure, result: &AttemptResult, at: Timestamp) {
        let retry_in = (at - clock::now()).as_secs_f64();
        let (failure, answer) = (reason.label(), result.to_string());
        if self.last_failure.replace(reason) != Some(reason) {
            warn!(
                receiver = &*self.receiver,
                failure, answer, retry_in, "a periodic request failed, it is tried again"
            );
        }
        self.due = at;
        let kind = DeliveryEventKind::Failed {
            reason,
            dead: false,
        };
        self.reporter
            .report_answer(kind, self.owed.state(), Some(result.words().into()));
    }
}
