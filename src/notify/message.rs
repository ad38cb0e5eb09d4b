//! What is said, before it is known to whom: the same words for every receiver.

use crate::alert::{AlertSnapshot, AlertStatus, Notification, NotifyReason, Rule};
use crate::config::{Severity, TemplateSettings};
use crate::model::ClockAnchor;

use super::facts::{self, Fact};
use super::links::{self, Link};
use super::text::{length, one_line, rfc3339};
use super::words;

/// How many alerts of a group are described; the others are counted.
pub const MAX_DESCRIBED: usize = 10;

/// What to do about a test.
const TEST_ADVICE: &str = "Nothing is wrong: somebody ran test-notify to see whether messages arrive. The firing and its end \
                           follow each other at once.";

/// Where the message comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageContext {
    /// Which exporter sends it: its identity or host name.
    pub exporter: String,
    /// Where people reach that exporter's pages, if that is known.
    pub external_url: Option<String>,
    /// The dashboard that messages link to, if there is one.
    pub dashboard_url: Option<String>,
    /// The receiver's own words, if it has any.
    pub template: TemplateSettings,
    /// Whether nothing is wrong and a person only wants to see a message arrive.
    pub test: bool,
}

/// A message, free of any receiver's format and of any limit but the number of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Firing or resolved.
    pub status: AlertStatus,
    /// The group's severity.
    pub severity: Severity,
    /// Why it is sent.
    pub reason: NotifyReason,
    /// One line: level, alert, direction, and what or how many.
    pub title: String,
    /// One or two sentences: the worst of it.
    pub summary: String,
    /// The worst alerts, at most [`MAX_DESCRIBED`].
    pub alerts: Vec<DescribedAlert>,
    /// How many alerts are not described.
    pub more: usize,
    /// What to do: a sentence for each rule that fires.
    pub advice: Vec<&'static str>,
    /// Where to go on: runbooks, the dashboard.
    pub links: Vec<Link>,
    /// The command that silences it, while it fires.
    pub silence: Option<String>,
    /// Why the receiver's own words are not there, though there should be some.
    pub failed_template: Option<String>,
    /// When it was decided, in UTC: everything is told as of this moment.
    pub as_of: String,
    /// Who sends it.
    pub exporter: String,
}

/// What is said about one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedAlert {
    /// Firing or resolved.
    pub status: AlertStatus,
    /// Its severity.
    pub severity: Severity,
    /// What it is about: `orders: dc1 → dc2, replica redis2:6379`.
    pub subject: String,
    /// Value, threshold, times, addresses: only what is known.
    pub facts: Vec<Fact>,
}

impl Message {
    /// The message for `notification`; `anchor` tells the wall time of its instants.
    pub fn new(
        notification: &Notification,
        anchor: &ClockAnchor,
        context: &MessageContext,
    ) -> Self {
        let describe = |alert: &AlertSnapshot| DescribedAlert {
            status: alert.status,
            severity: alert.severity,
            subject: one_line(&facts::subject(&alert.identity)),
            facts: facts::facts(alert, notification.decided_at, anchor),
        };
        let alerts: Vec<_> = notification
            .alerts
            .iter()
            .take(MAX_DESCRIBED)
            .map(|alert| describe(alert))
            .collect();
        let mut message = Self {
            status: notification.status,
            severity: notification.severity,
            reason: notification.reason,
            title: one_line(&title(notification)),
            summary: one_line(&summary(notification)),
            more: notification.alerts.len() - alerts.len(),
            alerts,
            advice: if context.test {
                vec![TEST_ADVICE]
            } else {
                advice(notification)
            },
            links: links::links(notification, context, anchor),
            silence: links::silence_command(notification).filter(|_| !context.test),
            as_of: rfc3339(anchor.wall(notification.decided_at)),
            exporter: one_line(&context.exporter),
            failed_template: None,
        };
        words::apply(&context.template, notification, &mut message);
        message.title = marked(context, &message.title);
        message.summary = marked(context, &message.summary);
        message
    }

    /// The level in capitals: `CRITICAL`, `WARNING` or `RESOLVED`.
    pub fn level(&self) -> &'static str {
        level(self.status, self.severity)
    }
}

/// `text`, marked where it is about nothing.
fn marked(context: &MessageContext, text: &str) -> String {
    if context.test {
        format!("[TEST] {text}")
    } else {
        text.to_owned()
    }
}

impl DescribedAlert {
    /// The level in capitals: `CRITICAL`, `WARNING` or `RESOLVED`.
    pub fn level(&self) -> &'static str {
        level(self.status, self.severity)
    }
}

/// `dc1 → dc2`, where the group has a direction.
pub fn direction(notification: &Notification) -> Option<String> {
    let label = |name: &str| notification.group.0.get(name);
    Some(format!("{} → {}", label("source_dc")?, label("target_dc")?))
}

fn level(status: AlertStatus, severity: Severity) -> &'static str {
    match (status, severity) {
        (AlertStatus::Resolved, _) => "RESOLVED",
        (AlertStatus::Firing, Severity::Critical) => "CRITICAL",
        (AlertStatus::Firing, Severity::Warning) => "WARNING",
    }
}

fn title(notification: &Notification) -> String {
    let level = level(notification.status, notification.severity);
    let first = notification.alerts.first();
    let name = notification.group.0.get("alertname").map(String::as_str);
    let name = name
        .or_else(|| first.map(|alert| alert.identity.rule.alert_name()))
        .unwrap_or("alerts");
    let direction = direction(notification)
        .map(|text| format!(" {text}"))
        .unwrap_or_default();
    let what = match (notification.alerts.as_slice(), count(notification)) {
        ([only], _) => facts::short_subject(&only.identity),
        (_, (0, resolved)) => format!("{resolved} resolved"),
        (_, (firing, 0)) => of_how_many(notification).unwrap_or_else(|| format!("{firing} firing")),
        (_, (firing, resolved)) => {
            let firing = of_how_many(notification).unwrap_or_else(|| format!("{firing} firing"));
            format!("{firing}, {resolved} resolved")
        }
    };
    format!("[{level}] {name}{direction}: {what}")
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
    let firing = notification
        .alerts
        .iter()
        .filter(|alert| alert.status == AlertStatus::Firing)
        .count();
    (firing, notification.alerts.len() - firing)
}

fn summary(notification: &Notification) -> String {
    let worst = notification
        .alerts
        .first()
        .map(|worst| sentence(worst))
        .unwrap_or_default();
    let direction = direction(notification)
        .map(|text| format!(" {text}"))
        .unwrap_or_default();
    let affected = of_how_many(notification).map(|text| format!("{text}{direction}"));
    let mut sentences = match (count(notification), affected) {
        ((firing, resolved), _) if firing + resolved <= 1 => worst,
        ((0, resolved), _) => format!("All {resolved} alerts of this group are over. {worst}"),
        ((_, 0), Some(affected)) => format!("{affected}. The worst: {worst}"),
        ((firing, 0), None) => format!("{firing} alerts fire. The worst: {worst}"),
        ((_, resolved), Some(affected)) => {
            format!("{affected}; {resolved} resolved. The worst: {worst}")
        }
        ((firing, resolved), None) => {
            format!("{firing} fire, {resolved} resolved. The worst: {worst}")
        }
    };
    if notification.reason == NotifyReason::Flapping {
        sentences.push_str(
            " It begins and ends again and again: no more is told of that until it is stable.",
        );
    }
    if notification.held > 0 {
        let held = format!(
            " {} more fire and are kept quiet by silences or maintenance.",
            notification.held
        );
        sentences.push_str(&held);
    }
    sentences
}

/// One sentence about one alert.
fn sentence(alert: &AlertSnapshot) -> String {
    let subject = facts::subject(&alert.identity);
    if let Some((at, reason)) = alert.resolved {
        let lasted = length(at - alert.started_at);
        return format!(
            "{subject}: over after {lasted}, {}.",
            facts::resolve_reason(reason)
        );
    }
    let (measured, threshold) = (
        facts::measured(&alert.value),
        facts::quantity(alert.threshold),
    );
    format!(
        "{subject}: {} {measured}; {} from {threshold}.",
        phrase(alert.identity.rule),
        alert.severity.label()
    )
}

/// What a rule's value is, up to the value.
fn phrase(rule: Rule) -> &'static str {
    match rule {
        Rule::LagSeconds | Rule::LagBytes => "the replication lag is",
        Rule::LinkDown => "the link has been down or stalled for",
        Rule::Unreachable => "the server has not answered for",
        Rule::Unknown => "nothing certain is known of the lag, for",
        Rule::SentinelQuorum => "its Sentinels have had no quorum for",
        Rule::FullSync => "full syncs within the rule's window:",
        Rule::ReceiverFailing => "it has not taken its notifications for",
        Rule::MonitorIsolated => "no server of another datacenter has answered for",
        Rule::Diverged => "two servers have had histories of their own for",
        Rule::Failover => "another server became the master, so often of late:",
    }
}

/// The advice for the rules that fire, each once.
fn advice(notification: &Notification) -> Vec<&'static str> {
    let firing = notification
        .alerts
        .iter()
        .filter(|alert| alert.status == AlertStatus::Firing);
    let mut rules: Vec<_> = firing.map(|alert| alert.identity.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules.into_iter().map(advice_for).collect()
}

/// What to do first when `rule` fires.
pub fn advice_for(rule: Rule) -> &'static str {
    match rule {
        Rule::LagSeconds => {
            "Do not fail over now: the replica lacks that much. Compare the master's write rate with the bandwidth \
             between the datacenters, then look at the replica for slow commands, CPU and disk."
        }
        Rule::LagBytes => {
            "Do not fail over now: the replica lacks that much. Compare the master's write rate with the bandwidth, \
             and the replica's output buffer on the master with its limit: beyond it the master cuts the link."
        }
        Rule::LinkDown => {
            "Check the network between master and replica, and the replica's log. If the link stays down for longer \
             than the master's backlog lasts, a full resync follows."
        }
        Rule::Unreachable => {
            "Check that the server runs, and the network path from this exporter to it. If others reach it, the path \
             is at fault."
        }
        Rule::Unknown => {
            "Take the replica as unsafe to fail over to until it is known again. The state and its reason say what is \
             missing; check that this exporter reaches both servers."
        }
        Rule::SentinelQuorum => {
            "Nothing will be failed over by itself until this is over. Check that the Sentinels run and reach each other \
             across the datacenters."
        }
        Rule::FullSync => {
            "Each full sync sends the whole data set. Several in a row are a loop: raise the master's replica output buffer \
             limit and its backlog, or repl-timeout, before the next one is cut as well."
        }
        Rule::ReceiverFailing => {
            "Somebody who should be told of alerts is not. Run test-notify for the receiver: it prints the answer; then check \
             its URL, key and network path."
        }
        Rule::MonitorIsolated => {
            "It is probably the exporter's own network: look at the datacenters from elsewhere before you act. Until then \
             nothing is known of any remote server."
        }
        Rule::Diverged => {
            "Find out which of the two clients write to, and stop writes to the other. What only the one that gives way has \
             is lost when it follows the other: the state says how much that is. Copy it first if it is worth something."
        }
        Rule::Failover => {
            "Check that clients write to the new master and that the old one has come back as its replica. What is not in \
             the new master's history is lost unless it is copied from the old one before that follows."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        anchor, context, notification, pair_alert, resolved, server_alert,
    };
    use super::*;
    use crate::alert::{Affected, TargetKind};

    fn message(notification: &Notification) -> Message {
        Message::new(notification, &anchor(), &context())
    }

    #[test]
    fn one_alert_is_named_and_its_numbers_told() {
        let message = message(&notification(
            NotifyReason::First,
            vec![pair_alert("orders", 0)],
        ));
        assert_eq!(
            message.title,
            "[CRITICAL] RedisCrossDcLagHigh dc1 → dc2: orders, replica redis2:6379"
        );
        assert_eq!(
            message.summary,
            "orders: dc1 → dc2, replica redis2:6379: the replication lag is 2m 10s (certainly 2m 08s to 2m 11s); \
             critical from 2m 00s."
        );
        assert_eq!(message.as_of, "2023-11-14T22:13:20.000Z");
        assert_eq!(
            (message.alerts.len(), message.more, message.advice.len()),
            (1, 0, 1)
        );
    }

    #[test]
    fn a_large_group_names_ten_and_counts_the_rest() {
        let alerts = (0..500).map(|n| pair_alert("orders", n)).collect();
        let message = message(&notification(NotifyReason::First, alerts));
        assert_eq!(
            message.title,
            "[CRITICAL] RedisCrossDcLagHigh dc1 → dc2: 500 firing"
        );
        assert!(
            message
                .summary
                .starts_with("500 alerts fire. The worst: orders")
        );
        assert_eq!(
            (message.alerts.len(), message.more, message.advice.len()),
            (10, 490, 1)
        );
    }

    fn cut_link(firing: usize, resolved_too: usize, of: usize) -> Notification {
        let over = (firing..firing + resolved_too).map(|n| resolved(pair_alert("orders", n)));
        let alerts = (0..firing)
            .map(|n| pair_alert("orders", n))
            .chain(over)
            .collect();
        let affected = Some(Affected {
            kind: TargetKind::Pair,
            firing,
            of,
        });
        Notification {
            affected,
            ..notification(NotifyReason::First, alerts)
        }
    }

    #[test]
    fn how_much_of_it_all_is_broken_is_said_first() {
        let all = message(&cut_link(500, 0, 500));
        assert_eq!(
            all.title,
            "[CRITICAL] RedisCrossDcLagHigh dc1 → dc2: 500 of 500 pairs"
        );
        assert!(
            all.summary
                .starts_with("500 of 500 pairs dc1 → dc2. The worst: orders"),
            "{}",
            all.summary
        );
        let part = message(&cut_link(300, 200, 501));
        assert_eq!(
            part.title,
            "[CRITICAL] RedisCrossDcLagHigh dc1 → dc2: 300 of 501 pairs, 200 resolved"
        );
        assert!(
            part.summary
                .starts_with("300 of 501 pairs dc1 → dc2; 200 resolved. The worst: orders")
        );
        assert_eq!(
            message(&cut_link(0, 3, 3)).title,
            "[RESOLVED] RedisCrossDcLagHigh dc1 → dc2: 3 resolved"
        );
    }

    #[test]
    fn what_is_kept_quiet_and_what_flaps_is_said() {
        let told = Notification {
            held: 7,
            reason: NotifyReason::Flapping,
            ..cut_link(1, 0, 9)
        };
        let end = " It begins and ends again and again: no more is told of that until it is stable. \
                   7 more fire and are kept quiet by silences or maintenance.";
        assert!(
            message(&told).summary.ends_with(end),
            "{}",
            message(&told).summary
        );
    }

    #[test]
    fn a_part_that_resolves_is_counted() {
        let alerts = vec![pair_alert("orders", 0), resolved(pair_alert("orders", 1))];
        let message = message(&notification(NotifyReason::PartlyResolved, alerts));
        assert_eq!(
            message.title,
            "[CRITICAL] RedisCrossDcLagHigh dc1 → dc2: 1 firing, 1 resolved"
        );
        assert_eq!(message.alerts[1].level(), "RESOLVED");
    }

    #[test]
    fn a_resolve_says_how_long_it_lasted_and_gives_no_advice() {
        let message = message(&notification(
            NotifyReason::Resolved,
            vec![resolved(pair_alert("orders", 0))],
        ));
        assert_eq!(
            message.title,
            "[RESOLVED] RedisCrossDcLagHigh dc1 → dc2: orders, replica redis2:6379"
        );
        assert_eq!(
            message.summary,
            "orders: dc1 → dc2, replica redis2:6379: over after 4m 10s, the value is below the clear threshold."
        );
        assert!(message.advice.is_empty());
    }

    #[test]
    fn a_server_has_no_direction() {
        let message = message(&notification(NotifyReason::First, vec![server_alert()]));
        assert_eq!(
            message.title,
            "[CRITICAL] RedisCrossDcServerUnreachable: redis1:6379 in dc1"
        );
    }

    #[test]
    fn no_name_breaks_the_line() {
        let message = message(&notification(
            NotifyReason::First,
            vec![pair_alert("or\nders\u{7}", 0)],
        ));
        for line in [&message.title, &message.summary, &message.alerts[0].subject] {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}
