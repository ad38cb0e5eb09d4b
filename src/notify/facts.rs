//! The facts about one alert, as named lines of text: messages and templates show them, webhooks
//! carry them as annotations.

use crate::alert::news::{self, Clock, Sentence};
use crate::alert::{
    AlertIdentity, AlertSnapshot, Labels, Measured, Quantity, ResolveReason, Rule, TargetKind,
};
use crate::model::{ClockAnchor, Timestamp};

/// One line about an alert, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The name for people: `Worst`.
    pub name: &'static str,
    /// The same in lower case with underscores, for machines.
    pub key: &'static str,
    /// The text, in one line.
    pub text: Sentence,
}

/// The keys of all facts.
pub const FACTS: [&str; 13] = [
    "summary",
    "value",
    "threshold",
    "peak",
    "since",
    "resolve_reason",
    "state",
    "master",
    "replica",
    "server",
    "last_data",
    "last_sample",
    "labels",
];

/// What an alert is about, in full: `orders: dc1 → dc2, replica redis2:6379`, or `redis1:6379 in
/// dc1`.
pub fn subject(identity: &AlertIdentity) -> String {
    let label = |name: &str| identity.labels.get(name);
    match (
        label("pair"),
        label("source_dc"),
        label("target_dc"),
        label("replica"),
    ) {
        (Some(pair), Some(source), Some(target), Some(replica)) => {
            format!("{pair}: {source} → {target}, replica {replica}")
        }
        _ => short_subject(identity),
    }
}

/// What an alert is about, without the direction, which the reader has seen already.
pub fn short_subject(identity: &AlertIdentity) -> String {
    let label = |name: &str| identity.labels.get(name);
    match (
        label("pair"),
        label("replica"),
        label("server"),
        label("dc"),
    ) {
        (Some(pair), Some(replica), ..) => format!("{pair}, replica {replica}"),
        (.., Some(server), Some(dc)) => format!("{server} in {dc}"),
        (Some(pair), .., Some(dc)) => format!("{pair}, seen from {dc}"),
        _ if identity.rule.target() == TargetKind::Monitor => "this exporter".to_owned(),
        _ => match (label("name"), label("source_dc"), label("target_dc")) {
            (Some(name), Some(source), Some(target)) => format!("{name}: {source} → {target}"),
            _ => label_list(&identity.labels),
        },
    }
}

/// A value with what is certain about it.
pub fn measured(value: &Measured) -> String {
    let estimate = value.estimate.map(quantity);
    let is_as_written = |bound: Option<Quantity>| bound.map(quantity) == estimate;
    if let Some(exact) = &estimate
        && is_as_written(value.lower)
        && is_as_written(value.upper)
    {
        return exact.clone();
    }
    let lower = value.lower.map(news::quantity_at_least);
    let upper = value.upper.map(news::quantity_at_most);
    match (estimate, lower, upper) {
        (Some(estimate), Some(lower), Some(upper)) => {
            format!("{estimate} (certainly {lower} to {upper})")
        }
        (Some(estimate), Some(lower), None) => format!("{estimate} (certainly at least {lower})"),
        (Some(estimate), None, Some(upper)) => format!("{estimate} (certainly at most {upper})"),
        (Some(estimate), None, None) => estimate,
        (None, Some(lower), Some(upper)) => format!("between {lower} and {upper}"),
        (None, Some(lower), None) => format!("at least {lower}"),
        (None, None, Some(upper)) => format!("at most {upper}"),
        (None, None, None) => "unknown".to_owned(),
    }
}

/// A quantity with its unit.
pub fn quantity(value: Quantity) -> String {
    news::quantity(value)
}

/// Why an alert resolved, as the end of a sentence.
pub fn resolve_reason(rule: Rule, reason: ResolveReason) -> &'static str {
    match (reason, rule) {
        (ResolveReason::Removed, _) => "it is no longer configured",
        (ResolveReason::Failover, _) => "another server is the master now",
        (ResolveReason::Cleared, Rule::LagSeconds | Rule::LagBytes) => "the replica caught up",
        (ResolveReason::Cleared, Rule::LinkDown) => "the link is up again",
        (ResolveReason::Cleared, Rule::Unreachable) => "the server answers again",
        (ResolveReason::Cleared, Rule::Unknown) => "the lag is known again",
        (ResolveReason::Cleared, Rule::SentinelQuorum) => "the quorum is back",
        (ResolveReason::Cleared, Rule::ClusterDown) => "every slot is served again",
        (ResolveReason::Cleared, Rule::FullSync) => "no further full sync within the window",
        (ResolveReason::Cleared, Rule::ReceiverFailing) => "the receiver takes notifications again",
        (ResolveReason::Cleared, Rule::MonitorIsolated) => "the servers can be reached again",
        (ResolveReason::Cleared, Rule::Diverged) => "the histories are one again",
        (ResolveReason::Cleared, Rule::HistoryLost) => {
            "the pair streams again, or the data is back"
        }
        (ResolveReason::Cleared, Rule::Failover) => "no further failover within the window",
        (ResolveReason::Cleared, Rule::ExporterFault) => "the exporter has access again",
        (ResolveReason::Cleared, Rule::ConfigReloadFailed) => "the new configuration is in force",
        (ResolveReason::Cleared, Rule::BacklogHeadroom) => "the backlog lasts long enough again",
        (ResolveReason::Cleared, Rule::OutputBuffer) => {
            "the output buffer is no longer near its limit"
        }
        (ResolveReason::Cleared, Rule::ExporterOverloaded) => "the exporter keeps its intervals",
        (ResolveReason::Cleared, Rule::SyncQueue) => "the queue is short and young again",
        (ResolveReason::Cleared, Rule::SitesDiverged) => "no key is known any more that differs",
        (ResolveReason::Cleared, Rule::ClockSkew) => "the clocks agree again",
        (ResolveReason::Cleared, Rule::CounterRegressed) => "no lost increments are known any more",
        (ResolveReason::Cleared, Rule::SitesUnknown) => "the sites answer again",
    }
}

/// Everything known about `alert` as of `now`, in the order in which it helps.
pub fn facts(alert: &AlertSnapshot, now: Timestamp, anchor: &ClockAnchor) -> Vec<Fact> {
    let clock = Clock { now, anchor };
    let mut list = FactList::default();
    list.push("Summary", "summary", news::headline(alert, now, anchor));
    list.push_value(alert);
    list.push("Since", "since", since(alert, clock));
    list.push_condition(alert);
    list.push_servers(alert);
    list.push_samples(alert, clock);
    let extra = &alert.context.extra_labels;
    if !extra.is_empty() {
        list.push_text("Labels", "labels", label_list(extra));
    }
    list.facts
}

/// The facts of an alert, collected in the order in which they are shown.
#[derive(Default)]
struct FactList {
    facts: Vec<Fact>,
}

impl FactList {
    fn push(&mut self, name: &'static str, key: &'static str, text: Sentence) {
        let text = text.in_one_line();
        self.facts.push(Fact { name, key, text });
    }

    fn push_text(&mut self, name: &'static str, key: &'static str, text: impl Into<String>) {
        self.push(name, key, Sentence::words(text));
    }

    /// The value, and what it is compared with.
    fn push_value(&mut self, alert: &AlertSnapshot) {
        self.push_text("Measured", "value", measured(&alert.value));
        let level = alert.severity.label();
        let threshold = format!("{} ({level})", quantity(alert.threshold));
        self.push_text("Threshold", "threshold", threshold);
        if let Some(peak) = alert.peak {
            self.push_text("Worst", "peak", quantity(peak));
        }
    }

    /// Why it resolved, and the state of the pair.
    fn push_condition(&mut self, alert: &AlertSnapshot) {
        if let Some((_, reason)) = alert.resolved {
            let why = resolve_reason(alert.identity.rule, reason);
            self.push_text("Resolved because", "resolve_reason", why);
        }
        let state = match (&alert.context.state, &alert.context.reason) {
            (Some(state), Some(reason)) => format!("{state}: {reason}"),
            (Some(state), None) => state.to_string(),
            (None, Some(reason)) => reason.clone(),
            (None, None) => return,
        };
        self.push_text("State", "state", state);
    }

    fn push_servers(&mut self, alert: &AlertSnapshot) {
        if let Some(master) = &alert.context.master {
            self.push_text("Master", "master", master);
        }
        if let Some(replica) = alert.identity.labels.get("replica") {
            self.push_text("Replica", "replica", replica);
        }
        if let Some(server) = alert.identity.labels.get("server") {
            self.push_text("Server", "server", server);
        }
    }

    /// How far the replica is, and when it last answered.
    fn push_samples(&mut self, alert: &AlertSnapshot, clock: Clock<'_>) {
        if let Some(at) = alert.context.last_data {
            self.push("Has every write up to", "last_data", ago(at, clock));
        }
        let rule = alert.identity.rule;
        match alert.context.last_sample {
            // The master that is named beside it is the new one, which answers.
            Some(at) if rule == Rule::Failover => {
                self.push("Last compared before it", "last_sample", ago(at, clock));
            }
            Some(at) => self.push("Last answer", "last_sample", ago(at, clock)),
            // Both servers answer; what they answer cannot be compared.
            None if matches!(rule, Rule::Diverged | Rule::HistoryLost) => {}
            None if rule.target() == TargetKind::Pair => {
                self.push_text("Last answer", "last_sample", "none known");
            }
            None => {}
        }
    }
}

/// When the fault began and ended, and how long it has lasted.
fn since(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let began = alert.context.fault_since.unwrap_or(alert.started_at);
    if let Some((at, _)) = alert.resolved {
        let ended = alert.context.fault_until.unwrap_or(at).max(began);
        let lasted = news::length(ended - began);
        Sentence::default()
            .from_to(began, ended, clock)
            .and(format!(" ({lasted})"))
    } else {
        let lasts = news::length(clock.now - began);
        Sentence::default()
            .at(began, clock)
            .and(format!(" ({lasts})"))
    }
}

fn ago(at: Timestamp, clock: Clock<'_>) -> Sentence {
    let ago = news::length(clock.now - at);
    Sentence::default()
        .at(at, clock)
        .and(format!(" ({ago} ago)"))
}

/// `dc=dc1, server=redis1:6379`.
fn label_list(labels: &Labels) -> String {
    let parts: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{anchor, now, pair_alert, resolved, server_alert};
    use super::*;
    use crate::alert::AlertContext;
    use crate::model::Span;

    fn check(estimate: Option<i64>, lower: Option<i64>, upper: Option<i64>, expected: &str) {
        let seconds =
            |bound: Option<i64>| bound.map(|secs| Quantity::Seconds(Span::from_secs(secs)));
        let value = Measured {
            estimate: seconds(estimate),
            lower: seconds(lower),
            upper: seconds(upper),
        };
        assert_eq!(measured(&value), expected);
    }

    #[test]
    fn a_value_shows_its_certain_bounds() {
        check(Some(20), Some(20), Some(20), "20 s");
        check(
            Some(20),
            Some(18),
            Some(21),
            "20 s (certainly 18 s to 21 s)",
        );
        check(Some(20), Some(18), None, "20 s (certainly at least 18 s)");
        check(Some(20), None, Some(21), "20 s (certainly at most 21 s)");
        check(Some(20), None, None, "20 s");
        check(None, Some(18), Some(21), "between 18 s and 21 s");
        check(None, Some(18), None, "at least 18 s");
        check(None, None, Some(21), "at most 21 s");
        check(None, None, None, "unknown");
    }

    fn shown(alert: &AlertSnapshot) -> Vec<String> {
        facts(alert, now(), &anchor())
            .into_iter()
            .map(|fact| format!("{}: {}", fact.name, fact.text))
            .collect()
    }

    #[test]
    fn every_fact_has_its_key_in_the_list() {
        let all = [
            pair_alert("orders", 0),
            resolved(pair_alert("orders", 0)),
            server_alert(),
        ];
        let keys: std::collections::BTreeSet<_> = all
            .iter()
            .flat_map(|alert| facts(alert, now(), &anchor()))
            .map(|fact| fact.key)
            .collect();
        assert_eq!(keys, FACTS.into());
    }

    /// The fact about the last answer in an alert of `rule` about a pair.
    fn last_answer(rule: Rule, last_sample: Option<Timestamp>) -> Option<String> {
        let mut alert = AlertSnapshot::clone(&pair_alert("orders", 0));
        alert.identity.rule = rule;
        let mut context = AlertContext::clone(&alert.context);
        context.last_sample = last_sample;
        alert.context = context.into();
        shown(&alert)
            .into_iter()
            .find(|line| line.starts_with("Last "))
    }

    #[test]
    fn a_last_answer_is_never_the_answer_of_another_server() {
        let two_minutes_ago = Some(now() - Span::from_secs(120));
        let of_failover = last_answer(Rule::Failover, two_minutes_ago);
        assert!(
            of_failover
                .as_ref()
                .is_some_and(|line| line.starts_with("Last compared before it: ")),
            "{of_failover:?}"
        );
        for rule in [Rule::Diverged, Rule::HistoryLost] {
            assert_eq!(last_answer(rule, None), None, "both servers answer");
        }
        let unknown = last_answer(Rule::Unknown, None);
        assert_eq!(unknown.as_deref(), Some("Last answer: none known"));
    }

    #[test]
    fn a_pair_alert_has_all_its_facts() {
        let expected = [
            "Summary: orders dc1 → dc2 2 min 10 s behind (stalled). If dc1 died now: the last 2 min \
             10 s of writes, 4.2 MiB, would be lost. Backlog has 11.0 MiB left, then a full resync.",
            "Measured: 2 min 10 s (certainly 2 min 8 s to 2 min 11 s)",
            "Threshold: 2 min (critical)",
            "Worst: 2 min 20 s",
            "Since: 22:09:10 UTC (4 min 10 s)",
            "State: stalled: no byte arrived for 130 s",
            "Master: redis1:6379",
            "Replica: redis2:6379",
            "Has every write up to: 22:11:10 UTC (2 min 10 s ago)",
            "Last answer: 22:13:19 UTC (0.5 s ago)",
            "Labels: team=payments",
        ];
        assert_eq!(shown(&pair_alert("orders", 0)), expected);
    }

    #[test]
    fn unknown_facts_are_left_out() {
        let mut alert = (*pair_alert("orders", 0)).clone();
        alert.context = std::sync::Arc::default();
        alert.peak = None;
        let names: Vec<_> = facts(&alert, now(), &anchor())
            .into_iter()
            .map(|fact| fact.name)
            .collect();
        assert_eq!(
            names,
            [
                "Summary",
                "Measured",
                "Threshold",
                "Since",
                "Replica",
                "Last answer"
            ]
        );
        assert!(shown(&alert).contains(&"Last answer: none known".to_owned()));
        assert!(
            !shown(&server_alert())
                .iter()
                .any(|line| line.starts_with("Last answer"))
        );
    }

    #[test]
    fn a_resolved_alert_has_an_end_and_a_reason() {
        let lines = shown(&resolved(pair_alert("orders", 0)));
        let since = "Since: 22:09:10 to 22:13:20 UTC (4 min 10 s)";
        assert!(lines.contains(&since.to_owned()), "{lines:?}");
        assert!(lines.contains(&"Resolved because: the replica caught up".to_owned()));
    }
}
