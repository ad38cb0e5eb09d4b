//! What delivery came to, receiver by receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{DeliveryEvent, DeliveryEventKind, DeliveryFailure, QueueState, SuppressReason};
use super::snapshot::ReceiverSnapshot;
use crate::config::NotifySettings;
use crate::model::{Histogram, Timestamp};

/// Upper bounds of the delivery latency's buckets, in seconds: at once to an hour of retries.
const DELIVERY_BOUNDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0];

/// The receivers of one configuration, in its order. Every reason stands at zero from the start, so that the first
/// failure is an increase and not the birth of a series.
#[derive(Debug, Default)]
pub(super) struct Receivers(Vec<ReceiverSnapshot>);

impl Receivers {
    /// Changes the receivers; those whose name stays keep their counts.
    pub(super) fn reconfigure(&mut self, settings: &NotifySettings) {
        let mut old: BTreeMap<Arc<str>, ReceiverSnapshot> =
            self.0.drain(..).map(|r| (Arc::clone(&r.name), r)).collect();
        self.0 = settings
            .receivers
            .iter()
            .map(|receiver| old.remove(receiver.name.as_str()).unwrap_or_else(|| fresh(&receiver.name)))
            .collect();
    }

    /// Takes in what delivery has to say. Receivers that are no longer configured are ignored.
    pub(super) fn handle(&mut self, event: &DeliveryEvent, now: Timestamp) {
        let Some(receiver) = self.0.iter_mut().find(|r| r.name == event.receiver) else { return };
        receiver.queue = event.queue;
        match event.kind {
            DeliveryEventKind::Delivered { latency } => {
                receiver.delivered += 1;
                receiver.latency.observe(latency);
                receiver.last_success = Some(now);
            }
            DeliveryEventKind::Failed { reason, .. } => *receiver.failed.entry(reason).or_default() += 1,
            DeliveryEventKind::Suppressed { reason } => *receiver.suppressed.entry(reason).or_default() += 1,
            DeliveryEventKind::Queued => {}
        }
    }

    /// All receivers.
    pub(super) fn snapshot(&self) -> Vec<ReceiverSnapshot> {
        self.0.clone()
    }
}

fn fresh(name: &str) -> ReceiverSnapshot {
    ReceiverSnapshot {
        name: name.into(),
        delivered: 0,
        failed: DeliveryFailure::ALL.into_iter().map(|reason| (reason, 0)).collect(),
        suppressed: SuppressReason::ALL.into_iter().map(|reason| (reason, 0)).collect(),
        latency: Histogram::new(DELIVERY_BOUNDS),
        last_success: None,
        queue: QueueState::default(),
    }
}
