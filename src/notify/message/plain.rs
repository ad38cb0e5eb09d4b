//! A message as lines of plain text, and the parts of it that richer layouts have in common with
//! them.

use super::{DescribedAlert, Message, describe_reason};
use crate::alert::{AlertStatus, Rule};
use crate::config::Severity;
use crate::notify::facts::Fact;

/// All of `message` as text, for receivers without a layout.
pub(in crate::notify) fn lines(message: &Message) -> Vec<String> {
    let mut lines = vec![message.in_short()];
    match message.alerts.as_slice() {
        [only] => lines.extend(shown_facts(only).map(fact_text)),
        several => lines.extend(several.iter().map(row)),
    }
    lines.extend(more(message));
    for advice in &message.advice {
        lines.push((*advice).to_owned());
    }
    for link in &message.links {
        lines.push(format!("{}: {}", link.name, link.url));
    }
    for command in &message.silence {
        lines.push(silence(command));
    }
    lines.extend(failed_template(message));
    lines.push(footer(message));
    lines
}

/// One alert of several in one line.
pub(in crate::notify) fn row(alert: &DescribedAlert) -> String {
    format!("• {} {}", alert.level(), alert.headline)
}

/// The facts that the headline does not contain.
pub(in crate::notify) fn shown_facts(alert: &DescribedAlert) -> impl Iterator<Item = &Fact> {
    let facts = alert.facts.iter();
    facts.filter(|fact| !is_in_headline(alert.rule, fact))
}

fn is_in_headline(rule: Rule, fact: &Fact) -> bool {
    match fact.key {
        "summary" | "value" | "threshold" | "peak" | "resolve_reason" => true,
        "state" => matches!(rule, Rule::Failover | Rule::FullSync),
        _ => false,
    }
}

fn fact_text(fact: &Fact) -> String {
    format!("{}: {}", fact.name, fact.text)
}

/// How many alerts are not described, if any.
pub(in crate::notify) fn more(message: &Message) -> Option<String> {
    and_more(message.more)
}

/// That there are `count` more alerts, if there are any.
pub(in crate::notify) fn and_more(count: usize) -> Option<String> {
    if count == 0 {
        return None;
    }
    Some(format!("and {count} more"))
}

/// Why the words are the built-in ones although the receiver has a template.
pub(in crate::notify) fn failed_template(message: &Message) -> Option<String> {
    let why = message.failed_template.as_ref()?;
    Some(format!(
        "The template of this receiver failed, so these are the built-in words: {why}"
    ))
}

/// A command that silences, with its words.
pub(in crate::notify) fn silence(command: &str) -> String {
    format!("Silence for two hours: `{command}`")
}

/// Why it is sent, as of when, and by whom.
pub(in crate::notify) fn footer(message: &Message) -> String {
    format!(
        "{} · as of {} · sent by {}",
        describe_reason(message.reason),
        message.as_of_time,
        message.exporter
    )
}

/// The colour of a message, for layouts that have one.
pub(in crate::notify) fn colour(message: &Message) -> &'static str {
    match (message.status, message.severity) {
        (AlertStatus::Resolved, _) => "#2e7d32",
        (AlertStatus::Firing, Severity::Critical) => "#d32f2f",
        (AlertStatus::Firing, Severity::Warning) => "#f2a600",
    }
}
