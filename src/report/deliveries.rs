//! Deliveries in a report: what waits, what was taken, what was given up.

use serde::{Deserialize, Serialize};

use super::level::Level;
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
    /// What waits or is under way.
    pub waiting: Vec<WaitingReport>,
    /// What was taken or given up lately, newest first.
    pub recent: Vec<DeliveryReport>,
    /// What was given up and may be sent again, newest first.
    pub dead_letters: Vec<DeadLetterReport>,
    /// Who says so, and when.
    pub exporter: ExporterReport,
}

/// One receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiverReport {
    /// Its name.
    pub receiver: String,
    /// Notifications that wait or are under way.
    pub waiting: usize,
    /// When the oldest of them was decided.
    pub oldest_timestamp: Option<f64>,
    /// When it last took one.
    pub last_success_timestamp: Option<f64>,
    /// Notifications given up since the start.
    pub given_up: u64,
    /// Until when nothing is sent to it, because it said that it is gone; `null` while it is not.
    pub circuit_open_until_timestamp: Option<f64>,
    /// How ill it is: the level of its alert, `warning` while it fails and has no alert yet.
    #[serde(default)]
    pub level: String,
    /// Since when it fails; `null` while it does not.
    #[serde(default)]
    pub failing_since_timestamp: Option<f64>,
    /// What is wrong, as a sentence, with what it answered last.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// What a notification is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubjectReport {
    /// Its name, the same on every attempt.
    pub id: String,
    /// To whom.
    pub receiver: String,
    /// The labels of its group.
    pub group: Labels,
    /// `firing` or `resolved`.
    pub status: String,
    /// The group's severity.
    pub severity: Severity,
    /// Why it is sent.
    pub reason: String,
    /// When it was decided.
    pub decided_timestamp: f64,
    /// How many times it was tried.
    pub attempts: u32,
}

/// A notification that waits or is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitingReport {
    /// What it is about.
    #[serde(flatten)]
    pub subject: SubjectReport,
    /// When it is tried next, at the earliest; `null` while it is under way.
    pub next_attempt_timestamp: Option<f64>,
}

/// A notification of which nothing more is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// What it is about.
    #[serde(flatten)]
    pub subject: SubjectReport,
    /// When it came to its end.
    pub ended_timestamp: f64,
    /// Why it was given up, in the words of the metric's `reason`; `null` when the receiver took
    /// it.
    pub failure: Option<String>,
    /// What the receiver answered then: `HTTP 404 Not Found`.
    #[serde(default)]
    pub answer: Option<String>,
}

/// A notification that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterReport {
    /// What became of it.
    #[serde(flatten)]
    pub delivery: DeliveryReport,
    /// Whether what it says is over: it is not sent again then.
    pub over: bool,
}

/// A dead letter that is sent again: the answer of `/api/v1/deliveries/{id}/replay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// Its name.
    pub id: String,
    /// To whom.
    pub receiver: String,
}

impl DeliveriesReport {
    /// The deliveries at `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let wall = |at: Timestamp| fleet.anchor.wall(at).as_secs_f64();
        let deliveries = &fleet.deliveries;
        let dead = deliveries.dead_letters.iter();
        Self {
            receivers: fleet
                .receivers
                .iter()
                .map(|receiver| ReceiverReport::new(receiver, &fleet.alerts, &wall))
                .collect(),
            waiting: deliveries
                .waiting
                .iter()
                .map(|waiting| WaitingReport::new(waiting, &wall))
                .collect(),
            recent: deliveries
                .recent
                .iter()
                .map(|past| DeliveryReport::new(past, &wall))
                .collect(),
            dead_letters: dead
                .map(|letter| DeadLetterReport {
                    delivery: DeliveryReport::new(&letter.delivery, &wall),
                    over: letter.over,
                })
                .collect(),
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl ReceiverReport {
    fn new(
        receiver: &ReceiverSnapshot,
        alerts: &[ListedAlert],
        wall: &impl Fn(Timestamp) -> f64,
    ) -> Self {
        Self {
            level: level_of(receiver, alerts).label().to_owned(),
            failing_since_timestamp: receiver.failing_since.map(wall),
            trouble: receiver.trouble.as_deref().map(str::to_owned),
            receiver: receiver.name.to_string(),
            waiting: receiver.queue.depth,
            oldest_timestamp: receiver.queue.oldest.map(wall),
            last_success_timestamp: receiver.last_success.map(wall),
            given_up: receiver.queue.dead,
            circuit_open_until_timestamp: receiver.queue.circuit_until.map(wall),
        }
    }
}

/// The level of the receiver's alert; a warning while it fails and the alert does not fire yet.
fn level_of(receiver: &ReceiverSnapshot, alerts: &[ListedAlert]) -> Level {
    let is_its_own = |listed: &&ListedAlert| {
        listed.alert.identity.rule == Rule::ReceiverFailing
            && listed.alert.label("receiver") == &*receiver.name
            && matches!(listed.state, AlertState::Firing | AlertState::Recovering)
    };
    if let Some(firing) = alerts.iter().find(is_its_own) {
        return Level::from(firing.alert.severity);
    }
    let rests = receiver.queue.circuit_until.is_some();
    if rests || receiver.failing_since.is_some() {
        Level::Warning
    } else {
        Level::Ok
    }
}

impl SubjectReport {
    fn new(subject: &DeliverySubject, wall: &impl Fn(Timestamp) -> f64) -> Self {
        let DeliverySubject {
            id,
            receiver,
            group,
            status,
            severity,
            reason,
            decided_at,
            attempts,
        } = subject;
        Self {
            id: id.clone(),
            receiver: receiver.to_string(),
            group: Labels::clone(&group.0),
            status: status.label().to_owned(),
            severity: *severity,
            reason: reason.label().to_owned(),
            decided_timestamp: wall(*decided_at),
            attempts: *attempts,
        }
    }
}

impl WaitingReport {
    fn new(waiting: &WaitingDelivery, wall: &impl Fn(Timestamp) -> f64) -> Self {
        let subject = SubjectReport::new(&waiting.subject, wall);
        Self {
            subject,
            next_attempt_timestamp: waiting.next_attempt.map(wall),
        }
    }
}

impl DeliveryReport {
    fn new(past: &PastDelivery, wall: &impl Fn(Timestamp) -> f64) -> Self {
        let subject = SubjectReport::new(&past.subject, wall);
        let failure = past.failure.map(|failure| failure.label().to_owned());
        Self {
            subject,
            ended_timestamp: wall(past.at),
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
    fn what_waits_what_was_taken_and_what_was_refused_is_told_with_times() {
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
