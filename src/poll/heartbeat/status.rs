//! The result of a task's attempts: reported each time, logged once, retried after a wait.

use std::time::Duration;

use super::super::backoff::Backoff;
use super::super::report::Reporter;
use crate::model::{HeartbeatError, ServerAddr, Span};
use crate::monitor::{HeartbeatEvent, PollEventKind};

/// The wait after an error that only an operator can mend ([`HeartbeatError::is_settled`]): long
/// enough not to fill the server's log.
const WAIT_FOR_OPERATOR: Span = Span::from_secs(30);

/// Whether heartbeats work at one server, for the publisher or subscriber that uses it.
pub(super) struct HeartbeatStatus {
    server: ServerAddr,
    reporter: Reporter,
    backoff: Backoff,
    /// The last error that was logged; `None` if heartbeats work.
    logged: Option<HeartbeatError>,
}

impl HeartbeatStatus {
    pub(super) fn new(server: ServerAddr, reporter: Reporter) -> Self {
        Self {
            server,
            reporter,
            backoff: Backoff::default(),
            logged: None,
        }
    }

    /// Reports what happened to heartbeats at the server.
    pub(super) fn report(&self, event: HeartbeatEvent) {
        self.reporter
            .report(&self.server, PollEventKind::Heartbeat(event));
    }

    /// Records that heartbeats work.
    pub(super) fn succeeded(&mut self) {
        self.backoff.reset();
        if self.logged.take().is_some() {
            tracing::info!(server = %self.server, "heartbeats work again");
        }
    }

    /// Reports and logs a failure. Returns how long to wait before the next attempt.
    pub(super) fn failed(&mut self, error: HeartbeatError) -> Duration {
        self.report(HeartbeatEvent::Failed { error });
        self.log(error);
        let wait = if error.is_settled() {
            WAIT_FOR_OPERATOR
        } else {
            self.backoff.after_failure(fastrand::f64())
        };
        wait.to_duration()
    }

    /// Logs an error, unless it was the last one to be logged.
    pub(super) fn log(&mut self, error: HeartbeatError) {
        if self.logged.replace(error) != Some(error) {
            tracing::warn!(server = %self.server, reason = %error, "no heartbeats: the server {}", error.sentence());
        }
    }
}
