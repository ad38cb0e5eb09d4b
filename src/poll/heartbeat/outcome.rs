//! What came of a task's attempts: reported each time, said in the log once, tried again in good
//! time.

use std::time::Duration;

use super::super::backoff::Backoff;
use super::super::report::Reporter;
use crate::model::{HeartbeatError, ServerAddr, Span};
use crate::monitor::{HeartbeatEvent, PollEventKind};

/// How long to wait where only somebody's intervention helps: not so short that the server's logs
/// fill up.
const SETTLED: Span = Span::from_secs(30);

/// One server's part in heartbeats.
pub(super) struct Outcome {
    server: ServerAddr,
    reporter: Reporter,
    backoff: Backoff,
    /// What the log said last; `None` when all is well.
    said: Option<HeartbeatError>,
}

impl Outcome {
    pub(super) fn new(server: ServerAddr, reporter: Reporter) -> Self {
        Self {
            server,
            reporter,
            backoff: Backoff::default(),
            said: None,
        }
    }

    /// Reports what happened to heartbeats at the server.
    pub(super) fn report(&self, event: HeartbeatEvent) {
        self.reporter
            .report(&self.server, PollEventKind::Heartbeat(event));
    }

    /// It works.
    pub(super) fn well(&mut self) {
        self.backoff.reset();
        if self.said.take().is_some() {
            tracing::info!(server = %self.server, "heartbeats go on");
        }
    }

    /// It does not; returns how long to wait before the next attempt.
    pub(super) fn failed(&mut self, error: HeartbeatError) -> Duration {
        self.report(HeartbeatEvent::Failed { error });
        self.say(error);
        let wait = if error.is_settled() {
            SETTLED
        } else {
            self.backoff.after_failure(fastrand::f64())
        };
        wait.to_duration()
    }

    /// Says why in the log, unless that was the last thing said.
    pub(super) fn say(&mut self, error: HeartbeatError) {
        if self.said.replace(error) != Some(error) {
            tracing::warn!(server = %self.server, reason = %error, "no heartbeats: the server {}", error.sentence());
        }
    }
}
