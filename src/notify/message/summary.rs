//! The summary of a group: the alert that matters, and how many there are.

use crate::alert::news::{Sentence, headline, plight};
use crate::alert::{AlertSnapshot, AlertStatus, Notification, NotifyReason, Rule};
use crate::model::ClockAnchor;

/// The summary: of one alert its headline; of several the new one or the worst, and how many there
/// are.
pub(super) fn group_summary(notification: &Notification, anchor: &ClockAnchor) -> Sentence {
    let said = |alert: &AlertSnapshot| headline(alert, notification.decided_at, anchor);
    let (firing, resolved) = count(notification);
    let line = match notification.alerts.as_slice() {
        [] => Sentence::words("Nothing fires."),
        [only] => said(only),
        [first, ..] if is_up_for_now(notification) => Sentence::words(format!(
            "None of {resolved} alerts of this group fires now. "
        ))
        .and_line(said(first)),
        [worst, ..] if firing == 0 => Sentence::words(format!(
            "All {resolved} alerts of this group resolved. The worst: "
        ))
        .and_line(said(worst).without_resolved()),
        [worst, ..] => several(notification, (firing, resolved), said(worst), said),
    };
    if notification.held == 0 {
        return line;
    }
    line.and(format!(
        " {} more firing, suppressed by silences or maintenance.",
        notification.held
    ))
}

/// Several alerts of which some fire: the new one first where there is one, else how many and the
/// worst.
fn several(
    notification: &Notification,
    (firing, resolved): (usize, usize),
    worst: Sentence,
    said: impl Fn(&AlertSnapshot) -> Sentence,
) -> Sentence {
    let how_many = how_many(notification, firing);
    let resolved = if resolved > 0 {
        format!(", {resolved} resolved")
    } else {
        String::new()
    };
    match newest(notification) {
        Some(new) => said(new).and(format!(" In all: {how_many}{resolved}.")),
        None => Sentence::words(format!("{how_many}{resolved}. Worst: ")).and_line(worst),
    }
}

/// The alert that joined the group or escalated, if that is why the group is notified.
fn newest(notification: &Notification) -> Option<&AlertSnapshot> {
    if !matches!(
        notification.reason,
        NotifyReason::NewInGroup | NotifyReason::Escalated | NotifyReason::Flapping
    ) {
        return None;
    }
    let candidates = if notification.news == 0 {
        notification.alerts.len()
    } else {
        notification.news
    };
    let alerts = notification.alerts.iter().take(candidates);
    let firing = alerts.filter(|alert| alert.status == AlertStatus::Firing);
    let decided = firing.filter_map(|alert| Some((alert.decision?.at, alert)));
    let (_, newest) = decided.max_by_key(|(at, _)| *at)?;
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
    match (of_how_many(notification), rule) {
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

/// Whether nothing of the group fires now, and what was notified is not over: it flaps.
pub(super) fn is_up_for_now(notification: &Notification) -> bool {
    notification.status == AlertStatus::Firing && count(notification).0 == 0
}

/// The rule of all alerts that fire, if it is the same one.
fn common_rule(notification: &Notification) -> Option<Rule> {
    let alerts = notification.alerts.iter();
    let firing = alerts.filter(|alert| alert.status == AlertStatus::Firing);
    let mut rules = firing.map(|alert| alert.identity.rule);
    let first = rules.next()?;
    rules.all(|rule| rule == first).then_some(first)
}

/// `500 of 500 pairs`: how much of what could break is broken.
fn of_how_many(notification: &Notification) -> Option<String> {
    let affected = notification.affected?;
    Some(format!(
        "{} of {} {}",
        affected.firing,
        affected.of,
        affected.kind.noun(affected.of)
    ))
}

/// How many alerts fire, and how many are over.
fn count(notification: &Notification) -> (usize, usize) {
    let alerts = notification.alerts.iter();
    let firing = alerts
        .filter(|alert| alert.status == AlertStatus::Firing)
        .count();
    (firing, notification.alerts.len() - firing)
}
