//! Which receivers were notified of an alert, or why none was: for `check` and `alerts`.

use crate::notify::outbox::MAX_RECENT;
use crate::report::{AlertReport, DeliveriesReport, DeliveryReport, utc_text, visible_text};

/// Which receivers were notified of the alert, or why none was. `deliveries` is `None` where that
/// is not known; `now` is a Unix time.
pub(super) fn notified(
    alert: &AlertReport,
    deliveries: Option<&DeliveriesReport>,
    now: f64,
) -> String {
    if let Some(silence) = &alert.silenced_by {
        return format!("silenced by {}", visible_text(silence));
    }
    if let Some(window) = &alert.maintenance {
        return format!(
            "silenced by the maintenance window {}",
            visible_text(window)
        );
    }
    if let Some(operation) = &alert.operation {
        return format!("caused by the operation {}", visible_text(operation));
    }
    if let Some(cause) = &alert.caused_by {
        return format!("inhibited by {}", visible_text(&cause.alertname));
    }
    let Some(deliveries) = deliveries else {
        return "who was notified is not known".to_owned();
    };
    let mut receivers = Vec::new();
    for (name, at) in receivers_of(alert, deliveries) {
        let at = clock_text(at, now);
        receivers.push(format!("{} {at}", visible_text(name)));
    }
    if !receivers.is_empty() {
        return format!("notified: {}", receivers.join(", "));
    }
    if reaches_back_to(alert.started_timestamp, deliveries) {
        "nobody was notified yet".to_owned()
    } else {
        "who was notified is no longer known".to_owned()
    }
}

/// Whether the exporter still shows every delivery since `began`: it keeps only the newest.
fn reaches_back_to(began: f64, deliveries: &DeliveriesReport) -> bool {
    let recent = &deliveries.recent;
    recent.len() < MAX_RECENT || recent.iter().any(|past| past.ended_timestamp <= began)
}

/// The receivers that accepted a notification of the alert since it began, and when each did so
/// first.
fn receivers_of<'a>(alert: &AlertReport, deliveries: &'a DeliveriesReport) -> Vec<(&'a str, f64)> {
    let mut first: Vec<(&str, f64)> = Vec::new();
    for delivery in &deliveries.recent {
        if !notifies_of(delivery, alert) {
            continue;
        }
        let receiver = &delivery.subject.receiver;
        let at = delivery.ended_timestamp;
        match first.iter_mut().find(|(name, _)| *name == *receiver) {
            Some((_, known)) => *known = known.min(at),
            None => first.push((receiver, at)),
        }
    }
    first.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(b.0)));
    first
}

/// Whether the delivery was accepted since the alert began, for a group that the alert is in.
fn notifies_of(delivery: &DeliveryReport, alert: &AlertReport) -> bool {
    let subject = &delivery.subject;
    let has_label = |(name, value): (&String, &String)| match name.as_str() {
        "alertname" => *value == alert.alertname,
        _ => alert.labels.get(name) == Some(value),
    };
    delivery.failure.is_none()
        && subject.status == "firing"
        && delivery.ended_timestamp >= alert.started_timestamp
        && subject.group.iter().all(has_label)
}

/// The time of day in UTC, with the date where it is not that of `now`.
pub(super) fn clock_text(at: f64, now: f64) -> String {
    let text = utc_text(at);
    let today = utc_text(now);
    match (text.split_once(' '), today.split_once(' ')) {
        (Some((date, time)), Some((today, _))) if date == today => time.to_owned(),
        _ => text,
    }
}
