//! Reports delivery events to the monitor without waiting for it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::warn;

use crate::delivery::{DeliveryEvent, DeliveryEventKind, QueueState};

/// Events that are kept while the monitor takes none. Delivery must not wait for the monitor, so
/// that beyond this the oldest are dropped; then the counters are too low.
const MAX_BACKLOG: usize = 1_024;

/// Hands events to the monitor, in order, and never waits for it.
#[derive(Debug)]
pub(in crate::notify) struct Reporter {
    receiver: Arc<str>,
    events: mpsc::Sender<DeliveryEvent>,
    backlog: VecDeque<DeliveryEvent>,
}

impl Reporter {
    pub(in crate::notify) fn new(receiver: Arc<str>, events: mpsc::Sender<DeliveryEvent>) -> Self {
        Self {
            receiver,
            events,
            backlog: VecDeque::new(),
        }
    }

    /// Reports `kind`, at once or when the monitor has room.
    pub(in crate::notify) fn report(&mut self, kind: DeliveryEventKind, queue: QueueState) {
        self.report_answer(kind, queue, None);
    }

    /// As [`Self::report`], with the receiver's answer to a failed attempt.
    pub(in crate::notify) fn report_answer(
        &mut self,
        kind: DeliveryEventKind,
        queue: QueueState,
        answer: Option<Arc<str>>,
    ) {
        if self.backlog.len() == MAX_BACKLOG {
            warn!(
                receiver = &*self.receiver,
                "the monitor takes no delivery events: the oldest one is dropped"
            );
            self.backlog.pop_front();
        }
        self.backlog.push_back(DeliveryEvent {
            receiver: Arc::clone(&self.receiver),
            kind,
            queue,
            answer,
        });
        self.push();
    }

    /// Hands over what the monitor has room for.
    pub(in crate::notify) fn push(&mut self) {
        while !self.backlog.is_empty() {
            let Ok(permit) = self.events.try_reserve() else {
                return;
            };
            if let Some(event) = self.backlog.pop_front() {
                permit.send(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::SuppressReason;

    #[tokio::test]
    async fn events_arrive_in_order_and_the_oldest_are_dropped() {
        let (sender, mut events) = mpsc::channel(1);
        let mut reporter = Reporter::new("chat".into(), sender);
        for depth in 0..MAX_BACKLOG + 3 {
            let kind = DeliveryEventKind::Suppressed {
                reason: SuppressReason::Superseded,
            };
            reporter.report(
                kind,
                QueueState {
                    depth,
                    ..QueueState::default()
                },
            );
        }
        let mut depths = Vec::new();
        while let Ok(event) = events.try_recv() {
            depths.push(event.queue.depth);
            reporter.push();
        }
        // The first took the channel's only place, the two after it were the oldest of too many.
        assert_eq!(depths[..2], [0, 3]);
        assert_eq!(
            (depths.len(), depths.last()),
            (MAX_BACKLOG + 1, Some(&(MAX_BACKLOG + 2)))
        );
        assert!(reporter.backlog.is_empty());
    }
}
