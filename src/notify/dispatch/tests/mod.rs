//! The dispatcher against a real HTTP server that misbehaves.

mod answers;
mod bot;
mod incidents;
mod kills;
mod reload;
mod secrets;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;
use crate::alert::{GroupKey, NotifyReason};
use crate::config::{
    GroupReceiver, HttpSettings, PagerDutySettings, ReceiverKind, ReceiverSettings, RepageOn,
    SecretSource, Severity, SlackWebhookSettings, TemplateSettings, WebhookSettings,
};
use crate::delivery::{DeliveryEventKind, DeliveryFailure, SuppressReason};
use crate::http_client::testing::{PATIENCE, Reply, Request, TestServer};
use crate::model::{Secret, Span};
use crate::notify::testing::{context, labels, notification, pair_alert, resolved};

/// The product's rules in milliseconds instead of seconds.
fn quick() -> Timing {
    Timing {
        attempt: Span::from_secs(10),
        connect: Span::from_secs(5),
        first_backoff: Span::from_millis(2),
        max_backoff: Span::from_millis(10),
        max_retry_after: Span::from_millis(120),
        gone: Span::from_millis(120),
        slack_pace: Span::ZERO,
        ..Timing::default()
    }
}

/// A dispatcher with a disk on which everything is durable at once, and the events so far.
struct Rig {
    dispatcher: Dispatcher,
    events: VecDeque<DeliveryEvent>,
}

impl Rig {
    fn new(receivers: Vec<ReceiverSettings>, timing: Timing) -> Self {
        let dispatcher = Dispatcher::new(&settings(receivers), context(), timing).unwrap();
        Self {
            dispatcher,
            events: VecDeque::new(),
        }
    }

    /// Starts what is due and waits for one event, or a moment.
    async fn step(&mut self) {
        self.dispatcher.act(Durable::Everything);
        self.events.extend(self.dispatcher.take_events());
        let wait = self
            .dispatcher
            .next_wakeup(Durable::Everything)
            .map_or(Duration::from_millis(20), |at| {
                (at - clock::now()).to_duration()
            });
        // Not until the next wakeup: a request that is in flight may end earlier.
        tokio::select! {
            () = self.dispatcher.next_event() => {}
            () = tokio::time::sleep(wait.min(Duration::from_millis(20))) => {}
        }
        self.events.extend(self.dispatcher.take_events());
    }

    /// Runs the dispatcher until `done` completes.
    async fn during<T>(&mut self, done: impl Future<Output = T>) -> T {
        let mut done = std::pin::pin!(done);
        loop {
            tokio::select! {
                biased;
                result = &mut done => return result,
                () = self.step() => {}
            }
        }
    }

    /// The next `count` events that end an attempt: neither about the queue alone, nor about one
    /// request of a notification that needs several.
    async fn kinds(&mut self, count: usize) -> Vec<DeliveryEventKind> {
        let mut kinds = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while kinds.len() < count {
            assert!(Instant::now() < deadline, "an event");
            while kinds.len() < count
                && let Some(event) = self.events.pop_front()
            {
                match event.kind {
                    DeliveryEventKind::Queued | DeliveryEventKind::PartlyDelivered => {}
                    kind => kinds.push(kind),
                }
            }
            if kinds.len() < count {
                self.step().await;
            }
        }
        kinds
    }

    /// The reasons of the next `failures` events, which must be failures followed by a delivery.
    async fn failures_before_delivery(&mut self, failures: usize) -> Vec<DeliveryFailure> {
        let kinds = self.kinds(failures + 1).await;
        assert!(
            matches!(kinds[failures], DeliveryEventKind::Delivered { .. }),
            "{kinds:?}"
        );
        let reasons = kinds[..failures].iter().map(|kind| match kind {
            DeliveryEventKind::Failed {
                reason,
                dead: false,
            } => *reason,
            other => panic!("{other:?}"),
        });
        reasons.collect()
    }
}

fn settings(receivers: Vec<ReceiverSettings>) -> NotifySettings {
    NotifySettings {
        group_wait: Span::ZERO,
        group_interval: Span::ZERO,
        repeat_interval: Span::ZERO,
        receivers,
        ..crate::config::testing::settings_of(&[]).notify
    }
}

fn receiver(name: &str, kind: ReceiverKind) -> ReceiverSettings {
    ReceiverSettings {
        name: name.to_owned(),
        min_severity: Severity::Warning,
        matchers: BTreeMap::new(),
        fallback: None,
        group_by: None,
        repage_on: RepageOn::default(),
        kind,
        http: HttpSettings::default(),
        template: TemplateSettings::default(),
    }
}

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text))
}

fn hook(url: &str) -> ReceiverSettings {
    let headers = BTreeMap::from([("authorization".to_owned(), inline("Bearer hunter2"))]);
    receiver(
        "chat",
        ReceiverKind::from(WebhookSettings {
            headers,
            ..WebhookSettings::to(inline(url))
        }),
    )
}

fn slack(url: &str) -> ReceiverSettings {
    let kind = ReceiverKind::from(SlackWebhookSettings::to(inline(url)));
    receiver("chat", kind)
}

fn pagerduty(url: &str, key: &Path) -> ReceiverSettings {
    receiver(
        "chat",
        ReceiverKind::from(PagerDutySettings {
            routing_key: SecretSource::File(key.to_owned()),
            url: url.to_owned(),
        }),
    )
}

fn group_notification(group: &str, reason: NotifyReason) -> Notification {
    let alert = pair_alert("orders", 0);
    let alert = if reason == NotifyReason::Resolved {
        resolved(alert)
    } else {
        alert
    };
    let group = GroupKey(labels([("alertname", group)]));
    Notification {
        group,
        decided_at: clock::now(),
        ..notification(reason, vec![alert])
    }
}

fn firing(group: &str) -> Notification {
    group_notification(group, NotifyReason::First)
}

fn resolving(group: &str) -> Notification {
    group_notification(group, NotifyReason::Resolved)
}
