//! Messages in a form that no receiver has yet: title, summary, described alerts, advice and links.
//! Each receiver renders them in its own format and within its own limits.

mod advice;
pub(in crate::notify) mod plain;
mod summary;
#[cfg(test)]
mod tests;

use crate::alert::news::{Clock, Sentence, headline};
use crate::alert::{AlertSnapshot, AlertStatus, Notification, NotifyReason, Rule};
use crate::config::Severity;
use crate::model::{ClockAnchor, Timestamp};

use super::context::MessageContext;
use super::facts::{self, Fact};
use super::links::{self, Link};
use super::text::{one_line, rfc3339};
use advice::TEST_ADVICE;
use summary::{group_summary, is_up_for_now};

pub use advice::advice_for;
pub use summary::direction;

/// Alerts of a group that are described; the others are counted.
pub const MAX_DESCRIBED: usize = 20;

/// The longest sentence of a title, in UTF-16 code units: a longer one is cut at its first clause.
/// Slack's headers hold 150.
const MAX_TITLE: usize = 135;

/// The beginning of every text of a test.
const TEST_MARK: &str = "[TEST] ";

/// A message, independent of any receiver's format and limits but for the number of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Firing or resolved.
    pub status: AlertStatus,
    /// The group's severity.
    pub severity: Severity,
    /// Whether it flaps and nothing of it fires at this moment.
    pub up_for_now: bool,
    /// Why it is sent.
    pub reason: NotifyReason,
    /// The level and the first sentence.
    pub title: String,
    /// What happened and what would be lost: a few sentences.
    pub summary: String,
    /// The built-in summary, with its instants; `None` where a template of the receiver replaces
    /// it.
    pub built_in: Option<Sentence>,
    /// What follows the title's sentence in the built-in summary.
    pub after_title: Sentence,
    /// The level and all of the built-in summary.
    one_line: String,
    /// The worst alerts, at most [`MAX_DESCRIBED`].
    pub alerts: Vec<DescribedAlert>,
    /// How many alerts are not described.
    pub more: usize,
    /// What to do: a sentence for each rule that fires.
    pub advice: Vec<&'static str>,
    /// Links to runbooks, the dashboard and the silence form.
    pub links: Vec<Link>,
    /// Commands that silence it while it fires.
    pub silence: Vec<String>,
    /// Why a template of the receiver could not be used.
    pub failed_template: Option<String>,
    /// When it was decided, in UTC: all facts are as of this moment.
    pub as_of: String,
    /// The same for people: `22:13:20 UTC`.
    pub as_of_time: String,
    /// Who sends it.
    pub exporter: String,
}

/// The description of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedAlert {
    /// Firing or resolved.
    pub status: AlertStatus,
    /// Its severity.
    pub severity: Severity,
    /// Its rule.
    pub rule: Rule,
    /// Whether it flaps and is clear at this moment.
    pub up_for_now: bool,
    /// What it is about: `orders: dc1 → dc2, replica redis2:6379`.
    pub subject: String,
    /// What happened and what would be lost.
    pub headline: String,
    /// Value, threshold, times, addresses: only what is known.
    pub facts: Vec<Fact>,
}

impl Message {
    /// The built-in message for `notification`; `anchor` gives the wall time of its instants.
    pub fn new(
        notification: &Notification,
        anchor: &ClockAnchor,
        context: &MessageContext,
    ) -> Self {
        let level = level_of(notification);
        let summary = group_summary(notification, anchor);
        let without_level = summary.clone().without_resolved();
        let (first, after_title) = without_level.first_sentence(MAX_TITLE);
        let mut alerts = Vec::new();
        for alert in notification.alerts.iter().take(MAX_DESCRIBED) {
            alerts.push(DescribedAlert::new(alert, notification.decided_at, anchor));
        }
        Self {
            status: notification.status,
            severity: notification.severity,
            up_for_now: is_up_for_now(notification),
            reason: notification.reason,
            title: marked(context, &one_line(&format!("[{level}] {first}"))),
            summary: marked(context, &one_line(&summary.to_string())),
            built_in: Some(summary),
            after_title,
            one_line: marked(context, &one_line(&format!("[{level}] {without_level}"))),
            more: notification.alerts.len() - alerts.len(),
            alerts,
            advice: advice_of(notification, context),
            links: links::links(notification, context, anchor),
            silence: silence_of(notification, context),
            as_of: rfc3339(anchor.wall(notification.decided_at)),
            as_of_time: time_of(notification.decided_at, anchor),
            exporter: one_line(&context.exporter),
            failed_template: None,
        }
    }

    /// The level in capitals: `CRITICAL`, `WARNING`, `RESOLVED` or `FLAPPING`.
    pub fn level(&self) -> &'static str {
        if self.up_for_now {
            FLAPPING
        } else {
            level(self.status, self.severity)
        }
    }

    /// All of it in one line, with its level: what a lock screen shows.
    pub fn in_short(&self) -> String {
        if self.built_in.is_some() {
            return self.one_line.clone();
        }
        format!("{}\n{}", self.title, self.summary)
    }
}

/// Why a message is sent, for people.
pub const fn describe_reason(reason: NotifyReason) -> &'static str {
    match reason {
        NotifyReason::First => "new",
        NotifyReason::Escalated => "escalated to critical",
        NotifyReason::Deescalated => "no longer critical",
        NotifyReason::NewInGroup => "more alerts in this group",
        NotifyReason::HappenedAgain => "happened again",
        NotifyReason::Flapping => "flapping",
        NotifyReason::PartlyResolved => "partly resolved",
        NotifyReason::Repeat => "still firing (reminder)",
        NotifyReason::Resolved => "resolved",
    }
}

/// `text`, marked if it is a test's.
pub(super) fn marked(context: &MessageContext, text: &str) -> String {
    if context.test {
        format!("{TEST_MARK}{text}")
    } else {
        text.to_owned()
    }
}

/// `text` without its mark.
pub(super) fn unmarked<'a>(context: &MessageContext, text: &'a str) -> &'a str {
    if !context.test {
        return text;
    }
    text.strip_prefix(TEST_MARK).unwrap_or(text)
}

fn advice_of(notification: &Notification, context: &MessageContext) -> Vec<&'static str> {
    if context.test {
        vec![TEST_ADVICE]
    } else {
        advice::advice(notification)
    }
}

/// The commands that silence the alerts; none for a test, which nobody has to silence.
fn silence_of(notification: &Notification, context: &MessageContext) -> Vec<String> {
    if context.test {
        Vec::new()
    } else {
        links::silence_commands(notification, context)
    }
}

impl DescribedAlert {
    /// Describes `alert` as of `now`.
    fn new(alert: &AlertSnapshot, now: Timestamp, anchor: &ClockAnchor) -> Self {
        Self {
            status: alert.status,
            severity: alert.severity,
            rule: alert.identity.rule,
            up_for_now: alert.is_clear_for_now(),
            subject: one_line(&facts::subject(&alert.identity)),
            headline: headline(alert, now, anchor).to_string(),
            facts: facts::facts(alert, now, anchor),
        }
    }

    /// The level in capitals: `CRITICAL`, `WARNING`, `RESOLVED` or `FLAPPING`.
    pub fn level(&self) -> &'static str {
        if self.up_for_now {
            FLAPPING
        } else {
            level(self.status, self.severity)
        }
    }
}

/// The level of what flaps and is clear at this moment.
const FLAPPING: &str = "FLAPPING";

fn level_of(notification: &Notification) -> &'static str {
    if is_up_for_now(notification) {
        FLAPPING
    } else {
        level(notification.status, notification.severity)
    }
}

fn level(status: AlertStatus, severity: Severity) -> &'static str {
    match (status, severity) {
        (AlertStatus::Resolved, _) => "RESOLVED",
        (AlertStatus::Firing, Severity::Critical) => "CRITICAL",
        (AlertStatus::Firing, Severity::Warning) => "WARNING",
    }
}

fn time_of(at: Timestamp, anchor: &ClockAnchor) -> String {
    let clock = Clock { now: at, anchor };
    Sentence::default().at(at, clock).to_string()
}
