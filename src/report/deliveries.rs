//! Deliveries in a report: those that wait, that were accepted, and that were given up.

use serde::{Deserialize, Serialize};

use super::level::Level;
use super::numbers::UnixClock;
use super::servers::ExporterReport;
use crate::alert::{AlertState, Labels, ListedAlert, Rule};
use crate::config::Severity;
use crate::delivery::{DeliverySubject, PastDelivery, WaitingDelivery};
use crate::model::Timestamp;
use crate::monitor::{FleetSnapshot, ReceiverSnapshot};

/// Everything about deliveries: the answer of `/api/v1/deliveries`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveriesReport {
    /// The receivers, in the configuration's order.
    pub receivers: Vec<ReceiverReport>,
    /// Notifications that wait or are being sent.
    pub waiting: Vec<WaitingReport>,
    /// Notifications that were recently accepted or given up, newest first.
    pub recent: Vec<DeliveryReport>,
    /// Notifications that were given up and may be sent again, newest first.
    pub dead_letters: Vec<DeadLetterReport>,
    /// The exporter that made the report, and when.
    pub exporter: ExporterReport,
}

/// One receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiverReport {
    /// Its name.
    pub receiver: String,
    /// Notifications that wait or are being sent.
    pub waiting: usize,
    /// When it was decided to send the oldest of them.
    pub oldest_timestamp: Option<f64>,
    /// When it last accepted one.
    pub last_success_timestamp: Option<f64>,
    /// Notifications given up since the start.
    pub given_up: u64,
    /// Until when nothing is sent to it, because it answered that it is gone; `null` otherwise.
    pub circuit_open_until_timestamp: Option<f64>,
    /// The level of its alert; `warning` while it fails and the alert does not fire yet.
    #[serde(default)]
    pub level: String,
    /// Since when deliveries to it have failed; `null` while they do not.
    #[serde(default)]
    pub failing_since_timestamp: Option<f64>,
    /// What is wrong, as a sentence, with its last answer.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// What a notification is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubjectReport {
    /// Its ID, the same on every attempt.
    pub id: String,
    /// The receiver.
    pub receiver: String,
    /// The labels of its group.
    pub group: Labels,
    /// `firing` or `resolved`.
    pub status: String,
    /// The group's severity.
    pub severity: Severity,
    /// Why it is sent.
    pub reason: String,
    /// When it was decided to send it.
    pub decided_timestamp: f64,
    /// How many times it was tried.
    pub attempts: u32,
}

/// A notification that waits or is being sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitingReport {
    /// What it is about.
    #[serde(flatten)]
    pub subject: SubjectReport,
    /// The earliest instant of the next attempt; `null` during an attempt.
    pub next_attempt_timestamp: Option<f64>,
}

/// A notification that was accepted or given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// What it is about.
    #[serde(flatten)]
    pub subject: SubjectReport,
    /// When it was accepted or given up.
    pub ended_timestamp: f64,
    /// Why it was given up, as the metric's `reason`; `null` when the receiver accepted it.
    pub failure: Option<String>,
    /// The receiver's answer: `HTTP 404 Not Found`.
    #[serde(default)]
    pub answer: Option<String>,
}

/// A notification that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterReport {
    /// How its delivery ended.
    #[serde(flatten)]
    pub delivery: DeliveryReport,
    /// Whether its alerts have resolved since: then it is not sent again.
    pub over: bool,
}

/// A dead letter that is sent again: the answer of `/api/v1/deliveries/{id}/replay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// Its ID.
    pub id: String,
    /// The receiver.
    pub receiver: String,
}

impl DeliveriesReport {
    /// The deliveries at `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let clock = UnixClock::new(fleet.anchor);
        let deliveries = &fleet.deliveries;
        let mut report = Self {
            receivers: Vec::new(),
            waiting: Vec::new(),
            recent: Vec::new(),
            dead_letters: Vec::new(),
            exporter: ExporterReport::new(fleet, now),
        };
        for receiver in &fleet.receivers {
            let receiver = ReceiverReport::new(receiver, &fleet.alerts, clock);
            report.receivers.push(receiver);
        }
        for waiting in &deliveries.waiting {
            report.waiting.push(WaitingReport::new(waiting, clock));
        }
        for past in &deliveries.recent {
            report.recent.push(DeliveryReport::new(past, clock));
        }
        for letter in &deliveries.dead_letters {
            report.dead_letters.push(DeadLetterReport {
                delivery: DeliveryReport::new(&letter.delivery, clock),
                over: letter.over,
            });
        }
        report
    }
}

impl ReceiverReport {
    fn new(receiver: &ReceiverSnapshot, alerts: &[ListedAlert], clock: UnixClock) -> Self {
        let queue = &receiver.queue;
        Self {
            level: level_of(receiver, alerts).label().to_owned(),
            failing_since_timestamp: clock.unix_if_known(receiver.failing_since),
            trouble: receiver.trouble.as_deref().map(str::to_owned),
            receiver: receiver.name.to_string(),
            waiting: queue.depth,
            oldest_timestamp: clock.unix_if_known(queue.oldest),
            last_success_timestamp: clock.unix_if_known(receiver.last_success),
            given_up: queue.dead,
            circuit_open_until_timestamp: clock.unix_if_known(queue.circuit_until),
        }
    }
}

/// The level of the receiver's alert; a warning while it fails and the alert does not fire yet.
fn level_of(receiver: &ReceiverSnapshot, alerts: &[ListedAlert]) -> Level {
    for listed in alerts {
        if is_firing_for(listed, &receiver.name) {
            return Level::from(listed.alert.severity);
        }
    }
    let is_circuit_open = receiver.queue.circuit_until.is_some();
    if is_circuit_open || receiver.failing_since.is_some() {
        Level::Warning
    } else {
        Level::Ok
    }
}

/// Whether it is the alert about this receiver, and fires.
fn is_firing_for(listed: &ListedAlert, receiver: &str) -> bool {
    listed.alert.identity.rule == Rule::ReceiverFailing
        && listed.alert.label("receiver") == receiver
        && matches!(listed.state, AlertState::Firing | AlertState::Recovering)
}

impl SubjectReport {
    fn new(subject: &DeliverySubject, clock: UnixClock) -> Self {
        Self {
            id: subject.id.clone(),
            receiver: subject.receiver.to_string(),
            group: Labels::clone(&subject.group.0),
            status: subject.status.label().to_owned(),
            severity: subject.severity,
            reason: subject.reason.label().to_owned(),
            decided_timestamp: clock.unix(subject.decided_at),
            attempts: subject.attempts,
        }
    }
}

impl WaitingReport {
    fn new(waiting: &WaitingDelivery, clock: UnixClock) -> Self {
        Self {
            subject: SubjectReport::new(&waiting.subject, clock),
            next_attempt_timestamp: clock.unix_if_known(waiting.next_attempt),
        }
    }
}

impl DeliveryReport {
    fn new(past: &PastDelivery, clock: UnixClock) -> Self {
        let failure = past.failure.map(|failure| failure.label().to_owned());
        Self {
            subject: SubjectReport::new(&past.subject, clock),
            ended_timestamp: clock.unix(past.at),
            failure,
            answer: past.answer.as_deref().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::alert::{AlertStatus, GroupKey, NotifyReason};
    use crate::delivery::{DeadDelivery, Deliveries, DeliveryFailure};
    use crate::model::{Span, Timestamp};
    use crate::report::testing::{Scene, fleet};

    fn past(at: Timestamp, failure: Option<DeliveryFailure>) -> PastDelivery {
        let subject = DeliverySubject {
            id: "msg_1".to_owned(),
            receiver: "oncall".into(),
            group: GroupKey(Arc::new(Labels::from([(
                "alertname".to_owned(),
                "X".to_owned(),
            )]))),
            status: AlertStatus::Firing,
            severity: Severity::Critical,
            reason: NotifyReason::First,
            decided_at: at - Span::from_secs(3),
            attempts: 2,
        };
        PastDelivery {
            subject,
            at,
            failure,
            answer: failure.map(|_| "HTTP 403 Forbidden".into()),
        }
    }

    #[test]
    fn waiting_accepted_and_refused_notifications_are_reported_with_times() {
        let (mut fleet, now) = fleet(Scene::Streaming);
        let next_attempt = Some(now + Span::from_secs(5));
        let waiting = WaitingDelivery {
            subject: past(now, None).subject,
            next_attempt,
        };
        let refused = past(now, Some(DeliveryFailure::Auth));
        fleet.deliveries = Arc::new(Deliveries {
            waiting: vec![waiting],
            recent: vec![Arc::new(refused.clone()), Arc::new(past(now, None))],
            dead_letters: vec![DeadDelivery {
                delivery: refused,
                over: true,
            }],
        });
        let report = DeliveriesReport::new(&fleet, now);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            json["waiting"][0]["next_attempt_timestamp"],
            fleet.anchor.wall(now).as_secs_f64() + 5.0
        );
        assert_eq!(json["recent"][0]["failure"], "auth_error");
        assert_eq!(json["recent"][0]["answer"], "HTTP 403 Forbidden");
        assert_eq!(json["recent"][1]["failure"], serde_json::Value::Null);
        let letter = &json["dead_letters"][0];
        assert_eq!(
            (&letter["id"], &letter["over"], &letter["status"]),
            (&"msg_1".into(), &true.into(), &"firing".into())
        );
        assert_eq!(
            serde_json::from_value::<DeliveriesReport>(json).unwrap(),
            report
        );
    }
}
