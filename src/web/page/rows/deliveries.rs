//! The rows of receivers and of deliveries to them.

use super::{Moment, NOT_KNOWN, alert_subject};
use crate::report::{DeadLetterReport, DeliveryReport, Level, ReceiverReport, utc_text};

/// A receiver, and the state of deliveries to it.
pub(in crate::web::page) struct ReceiverRow {
    pub(in crate::web::page) name: String,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) waiting: String,
    pub(in crate::web::page) last: Option<Moment>,
    pub(in crate::web::page) given_up: u64,
    pub(in crate::web::page) closed_until: Option<Moment>,
    /// Since when deliveries fail, where they do.
    pub(in crate::web::page) failing_since: Option<Moment>,
    /// What is wrong; empty where nothing is.
    pub(in crate::web::page) trouble: String,
}

/// A notification that was delivered or given up.
pub(in crate::web::page) struct DeliveryRow {
    pub(in crate::web::page) id: String,
    pub(in crate::web::page) receiver: String,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) about: String,
    pub(in crate::web::page) status: String,
    pub(in crate::web::page) at: Moment,
    pub(in crate::web::page) attempts: u32,
    pub(in crate::web::page) outcome: String,
    /// Whether it can be sent again.
    pub(in crate::web::page) again: bool,
}

impl ReceiverRow {
    pub(in crate::web::page) fn new(receiver: &ReceiverReport) -> Self {
        let waiting = match receiver.oldest_timestamp {
            Some(at) => format!("{}, since {}", receiver.waiting, utc_text(at)),
            None => receiver.waiting.to_string(),
        };
        Self {
            name: receiver.receiver.clone(),
            level: level_label(&receiver.level),
            waiting,
            last: receiver.last_success_timestamp.map(Moment::from_unix),
            given_up: receiver.given_up,
            closed_until: receiver.circuit_open_until_timestamp.map(Moment::from_unix),
            failing_since: receiver.failing_since_timestamp.map(Moment::from_unix),
            trouble: receiver.trouble.clone().unwrap_or_default(),
        }
    }
}

/// The CSS class of a level; that of `unknown` for a level of a newer version.
fn level_label(name: &str) -> &'static str {
    for level in [Level::Ok, Level::Warning, Level::Critical] {
        if level.label() == name {
            return level.label();
        }
    }
    Level::Unknown.label()
}

impl DeliveryRow {
    pub(in crate::web::page) fn new(delivery: &DeliveryReport) -> Self {
        let subject = &delivery.subject;
        let severity = subject.severity.label();
        let (level, outcome) = match &delivery.failure {
            Some(failure) => (Level::Critical, given_up(failure, delivery)),
            None => (Level::Ok, "accepted".to_owned()),
        };
        Self {
            id: subject.id.clone(),
            receiver: subject.receiver.clone(),
            level: level.label(),
            about: about(delivery),
            status: format!("{} ({severity}), {}", subject.status, subject.reason),
            at: Moment::from_unix(delivery.ended_timestamp),
            attempts: subject.attempts,
            outcome,
            again: false,
        }
    }

    pub(in crate::web::page) fn from_dead_letter(letter: &DeadLetterReport) -> Self {
        let mut row = Self::new(&letter.delivery);
        row.again = !letter.over;
        if letter.over {
            row.outcome.push_str("; its alerts have resolved since");
        }
        row
    }
}

/// The name of the alerts, and the labels that they have in common.
fn about(delivery: &DeliveryReport) -> String {
    let mut labels = delivery.subject.group.clone();
    let name = match labels.remove("alertname") {
        Some(name) => name,
        None => NOT_KNOWN.to_owned(),
    };
    let rest = alert_subject(&labels);
    if rest.is_empty() {
        return name;
    }
    format!("{name}, {rest}")
}

/// Why a delivery was given up: the receiver's answer, where that is known.
fn given_up(failure: &str, delivery: &DeliveryReport) -> String {
    let why = delivery.answer.as_deref().unwrap_or(failure);
    format!("given up: {why}")
}
