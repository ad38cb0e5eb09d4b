//! Sends poll events to the monitor on a bounded channel, without ever making a poll wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::model::ServerAddr;
use crate::monitor::{PollEvent, PollEventKind};

/// Sends poll events to the monitor.
///
/// If the channel is full, the event is dropped and counted. Waiting would delay the polls, and a
/// late sample is worse than a missing one: a missing sample only widens the certified interval.
#[derive(Clone, Debug)]
pub(super) struct Reporter {
    events: mpsc::Sender<PollEvent>,
    dropped: Arc<AtomicU64>,
}

impl Reporter {
    pub(super) fn new(events: mpsc::Sender<PollEvent>, dropped: Arc<AtomicU64>) -> Self {
        Self { events, dropped }
    }

    /// Reports what happened to `server`.
    pub(super) fn report(&self, server: &ServerAddr, kind: PollEventKind) {
        let server = server.clone();
        let event = PollEvent { server, kind };
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_channel_costs_an_event_and_is_counted() {
        let (events, mut seen) = mpsc::channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let reporter = Reporter::new(events, Arc::clone(&dropped));
        let server = ServerAddr::new("a", 1);
        reporter.report(&server, PollEventKind::Skipped);
        reporter.report(&server, PollEventKind::Skipped);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert!(seen.try_recv().is_ok());
        assert!(seen.try_recv().is_err());
    }
}
