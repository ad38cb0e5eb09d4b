//! What all periodic tasks share: settings that may change, the time of the next request, and the
//! reports of results.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::backlog::BacklogGuard;
use crate::clock;
use crate::delivery::{DeliveryEvent, DeliveryEventKind, DeliveryFailure};
use crate::http_client::HttpClient;
use crate::model::{Span, Timestamp};
use crate::notify::dispatch::Reporter;
use crate::notify::receivers::PeriodicConfig;
use crate::notify::retry::{AttemptResult, Circumstances, Disposition, HttpAnswers, Timing, judge};

/// How often a task reads the snapshot: less often than snapshots are published, because building
/// the requests of a large fleet costs time.
pub(super) const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// Decides when one task sends to its receiver, whose kind has the settings `S`.
pub(super) struct PeriodicSender<S> {
    receiver: Arc<str>,
    pub(super) client: HttpClient,
    timing: Timing,
    config: watch::Receiver<Arc<PeriodicConfig<S>>>,
    backlog: BacklogGuard,
    reporter: Reporter,
    /// Since when there has been a change to send.
    changed_at: Option<Timestamp>,
    failures: u32,
    last_failure: Option<DeliveryFailure>,
    /// Nothing is sent before this.
    pub(super) due: Timestamp,
}

impl<S> PeriodicSender<S> {
    pub(super) fn new(
        receiver: Arc<str>,
        client: HttpClient,
        timing: Timing,
        config: watch::Receiver<Arc<PeriodicConfig<S>>>,
        backlog: BacklogGuard,
        events: mpsc::Sender<DeliveryEvent>,
    ) -> Self {
        let reporter = Reporter::new(Arc::clone(&receiver), events);
        Self {
            receiver,
            client,
            timing,
            config,
            backlog,
            reporter,
            changed_at: None,
            failures: 0,
            last_failure: None,
            due: clock::now(),
        }
    }

    /// The settings as they are now.
    pub(super) fn config(&self) -> Arc<PeriodicConfig<S>> {
        Arc::clone(&self.config.borrow())
    }

    /// Waits for `span`, or for new settings. Returns `false` when the receiver was removed or the
    /// program ends.
    pub(super) async fn wait(&mut self, span: Span) -> bool {
        self.reporter.push();
        tokio::select! {
            changed = self.config.changed() => {
                // A failing receiver may have waited for these settings.
                self.due = clock::now();
                changed.is_ok()
            }
            () = tokio::time::sleep(span.to_duration()) => true,
        }
    }

    /// Notes a change, which is sent at once unless the receiver is failing.
    pub(super) fn note_change(&mut self, now: Timestamp) {
        self.changed_at.get_or_insert(now);
        self.backlog.set(self.changed_at);
        if self.failures == 0 {
            self.due = now;
        }
    }

    /// Forgets changes that are too old to be sent.
    pub(super) fn forget_changes(&mut self) {
        self.changed_at = None;
        self.backlog.set(None);
    }

    /// Whether a change was not sent yet.
    pub(super) const fn has_changes(&self) -> bool {
        self.changed_at.is_some()
    }

    /// Handles the result of a request that began at `began`, and schedules the next: after
    /// `interval`, or earlier if this one failed.
    pub(super) fn complete(&mut self, result: &AttemptResult, began: Timestamp, interval: Span) {
        self.failures = self.failures.saturating_add(1);
        let now = clock::anchor();
        let circumstances = Circumstances {
            rules: &HttpAnswers,
            attempt: self.failures,
            plain: true,
            to_the_rest: false,
            jitter: fastrand::f64(),
            now,
        };
        let verdict = judge(&self.timing, &circumstances, result);
        match verdict.disposition {
            Disposition::Delivered => self.succeeded(began, now.mono, interval),
            Disposition::Retry { at, reason } => {
                let held_until = verdict.hold_until.unwrap_or(at);
                self.failed(reason, result, at.max(held_until));
            }
            // Nothing is final here: the next interval tries again, because a proxy may have
            // refused it.
            Disposition::RetryPlain { reason } | Disposition::Dead { reason } => {
                self.failed(reason, result, now.mono + interval);
            }
        }
    }

    fn succeeded(&mut self, began: Timestamp, now: Timestamp, interval: Span) {
        if self.last_failure.take().is_some() {
            let receiver = &*self.receiver;
            info!(receiver, "the receiver accepts requests again");
        }
        let latency = now - self.changed_at.take().unwrap_or(began);
        self.failures = 0;
        self.due = began + interval;
        self.backlog.set(None);
        self.reporter.report(
            DeliveryEventKind::Delivered { latency },
            self.backlog.state(),
        );
    }

    fn failed(&mut self, reason: DeliveryFailure, result: &AttemptResult, at: Timestamp) {
        self.due = at;
        if self.last_failure != Some(reason) {
            let retry_in = (at - clock::now()).as_secs_f64();
            let answer = result.to_string();
            warn!(
                receiver = &*self.receiver,
                failure = reason.label(),
                answer,
                retry_in,
                "a periodic request failed, it is tried again"
            );
        }
        self.last_failure = Some(reason);
        let kind = DeliveryEventKind::Failed {
            reason,
            dead: false,
        };
        let answer = Some(result.text().into());
        self.reporter
            .report_answer(kind, self.backlog.state(), answer);
    }
}
