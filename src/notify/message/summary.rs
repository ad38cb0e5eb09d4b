//! The summary of a group: the alert that matters most, and how many there are.

use crate::alert::news::{Sentence, headline, plight};
use crate::alert::{AlertSnapshot, AlertStatus, Notification, NotifyReason, Rule};
use crate::model::{ClockAnchor, Timestamp};

/// The summary: of one alert its headline; of several the new one or the worst, and how many there
/// are.
pub(super) fn group_summary(notification: &Notification, anchor: &ClockAnchor) -> Sentence {
    let headline = |alert: &AlertSnapshot| headline(alert, notification.decided_at, anchor);
    let counts = AlertCounts::new(notification);
    let resolved = counts.resolved;
    let summary = match notification.alerts.as_slice() {
        [] => Sentence::words("Nothing fires."),
        [only] => headline(only),
        [first, ..] if is_up_for_now(notification) => Sentence::words(format!(
            "None of {resolved} alerts of this group fires now. "
        ))
        .and_line(headline(first)),
        [worst, ..] if counts.firing == 0 => Sentence::words(format!(
            "All {resolved} alerts of this group resolved. The worst: "
        ))
        .and_line(headline(worst).without_resolved()),
        [worst, ..] => match newest(notification) {
            Some(new) => newest_first(notification, counts, headline(new)),
            None => worst_last(notification, counts, headline(worst)),
        },
    };
    if notification.held == 0 {
        return summary;
    }
    summary.and(format!(
        " {} more firing, suppressed by silences or maintenance.",
        notification.held
    ))
}

/// Several alerts of which some fire, where one of them is why the group is notified.
fn newest_first(notification: &Notification, counts: AlertCounts, newest: Sentence) -> Sentence {
    let all = describe_counts(notification, counts);
    newest.and(format!(" In all: {all}."))
}

/// Several alerts of which some fire, where none is newer than the others.
fn worst_last(notification: &Notification, counts: AlertCounts, worst: Sentence) -> Sentence {
    let all = describe_counts(notification, counts);
    Sentence::words(format!("{all}. Worst: ")).and_line(worst)
}

/// `500 of 500 pairs dc1 → dc2 stalled or down, 3 resolved`.
fn describe_counts(notification: &Notification, counts: AlertCounts) -> String {
    let firing = how_many(notification, counts.firing);
    match counts.resolved {
        0 => firing,
        resolved => format!("{firing}, {resolved} resolved"),
    }
}

/// The alert that joined the group or escalated, if that is why the group is notified.
fn newest(notification: &Notification) -> Option<&AlertSnapshot> {
    let has_newest = matches!(
        notification.reason,
        NotifyReason::NewInGroup | NotifyReason::Escalated | NotifyReason::Flapping
    );
    if !has_newest {
        return None;
    }
    let candidates = match notification.news {
        0 => notification.alerts.len(),
        news => news,
    };
    let mut newest: Option<(Timestamp, &AlertSnapshot)> = None;
    for alert in notification.alerts.iter().take(candidates) {
        let Some(decision) = &alert.decision else {
            continue;
        };
        let is_newer = newest.is_none_or(|(at, _)| decision.at >= at);
        if alert.status == AlertStatus::Firing && is_newer {
            newest = Some((decision.at, alert));
        }
    }
    let (_, newest) = newest?;
    Some(newest)
}

/// `500 of 500 pairs dc1 → dc2 stalled or down`.
fn how_many(notification: &Notification, firing: usize) -> String {
    let place = match (direction(notification), notification.group.0.get("dc")) {
        (Some(direction), _) => format!(" {direction}"),
        (None, Some(dc)) => format!(" in {dc}"),
        (None, None) => String::new(),
    };
    let rule = common_rule(notification);
    let plight = match rule {
        Some(rule) => format!(" {}", plight(rule)),
        None => String::new(),
    };
    match (affected_of_all(notification), rule) {
        (Some(affected), _) => format!("{affected}{place}{plight}"),
        (None, Some(rule)) => {
            let noun = rule.target().noun(firing);
            format!("{firing} {noun}{place}{plight}")
        }
        (None, None) => format!("{firing} alerts{place} firing"),
    }
}

/// `dc1 → dc2`, where the group has a direction.
pub fn direction(notification: &Notification) -> Option<String> {
    let label = |name: &str| notification.group.0.get(name);
    Some(format!("{} → {}", label("source_dc")?, label("target_dc")?))
}

/// Whether nothing of the group fires now although the group is not resolved: it flaps.
pub(super) fn is_up_for_now(notification: &Notification) -> bool {
    notification.status == AlertStatus::Firing && AlertCounts::new(notification).firing == 0
}

/// The rule of all alerts that fire, if it is the same one.
fn common_rule(notification: &Notification) -> Option<Rule> {
    let mut common = None;
    for alert in &notification.alerts {
        if alert.status != AlertStatus::Firing {
            continue;
        }
        let rule = alert.identity.rule;
        if common.is_some_and(|common| common != rule) {
            return None;
        }
        common = Some(rule);
    }
    common
}

/// `500 of 500 pairs`: how many of how many targets are affected.
fn affected_of_all(notification: &Notification) -> Option<String> {
    let affected = notification.affected?;
    Some(format!(
        "{} of {} {}",
        affected.firing,
        affected.of,
        affected.kind.noun(affected.of)
    ))
}

/// How many alerts of a group fire, and how many have resolved.
#[derive(Clone, Copy)]
struct AlertCounts {
    firing: usize,
    resolved: usize,
}

impl AlertCounts {
    fn new(notification: &Notification) -> Self {
        let mut firing = 0;
        for alert in &notification.alerts {
            if alert.status == AlertStatus::Firing {
                firing += 1;
            }
        }
        Self {
            firing,
            resolved: notification.alerts.len() - firing,
        }
    }
}
