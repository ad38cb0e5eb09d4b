//! What is known about one alert, in words.

use crate::alert::{
    AlertIdentity, AlertSnapshot, Labels, Measured, Quantity, ResolveReason, TargetKind,
};
use crate::model::{ClockAnchor, Timestamp};

use super::text::{length, one_line, rfc3339};

/// One thing that is known, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is: `Peak`.
    pub name: &'static str,
    /// The same in lower case with underscores, for machines.
    pub key: &'static str,
    /// What is known, in one line.
    pub text: String,
}

/// The keys of all facts.
pub const FACTS: [&str; 11] = [
    "value",
    "threshold",
    "peak",
    "since",
    "resolve_reason",
    "state",
    "master",
    "replica",
    "server",
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

/// What an alert is about, where the direction has been said already.
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
        _ => list(&identity.labels),
    }
}

/// A value with what is certain about it.
pub fn measured(value: &Measured) -> String {
    let text = |bound: Option<Quantity>| bound.map(quantity);
    match (text(value.estimate), text(value.lower), text(value.upper)) {
        (Some(estimate), Some(lower), Some(upper)) if lower == upper && lower == estimate => {
            estimate
        }
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
    value.to_string()
}

/// Why an alert is over, as the end of a sentence.
pub fn resolve_reason(reason: ResolveReason) -> &'static str {
    match reason {
        ResolveReason::Cleared => "the value is below the clear threshold",
        ResolveReason::Removed => "its target or rule is no longer configured",
        ResolveReason::Failover => "another server is the master now",
    }
}

/// Everything known about `alert` as of `now`, in the order in which it helps.
pub fn facts(alert: &AlertSnapshot, now: Timestamp, anchor: &ClockAnchor) -> Vec<Fact> {
    let context = &alert.context;
    let time = |at: Timestamp| rfc3339(anchor.wall(at));
    let label = |name: &str| alert.identity.labels.get(name).cloned();
    let state = context.state.map(|state| match &context.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    });
    let sample = context
        .last_sample
        .map(|at| format!("{} ({} before)", time(at), length(now - at)));
    let about_pair = alert.identity.rule.target() == TargetKind::Pair;
    let known = [
        ("Value", "value", Some(measured(&alert.value))),
        (
            "Threshold",
            "threshold",
            Some(format!(
                "{} ({})",
                quantity(alert.threshold),
                alert.severity.label()
            )),
        ),
        ("Peak", "peak", alert.peak.map(quantity)),
        ("Since", "since", Some(since(alert, now, time))),
        (
            "Over because",
            "resolve_reason",
            alert
                .resolved
                .map(|(_, reason)| resolve_reason(reason).to_owned()),
        ),
        ("State", "state", state.or_else(|| context.reason.clone())),
        ("Master", "master", context.master.clone()),
        ("Replica", "replica", label("replica")),
        ("Server", "server", label("server")),
        (
            "Last good sample",
            "last_sample",
            sample.or_else(|| about_pair.then(|| "none known".to_owned())),
        ),
        (
            "Labels",
            "labels",
            (!context.extra_labels.is_empty()).then(|| list(&context.extra_labels)),
        ),
    ];
    known
        .into_iter()
        .filter_map(|(name, key, text)| {
            Some(Fact {
                name,
                key,
                text: one_line(&text?),
            })
        })
        .collect()
}

fn since(alert: &AlertSnapshot, now: Timestamp, time: impl Fn(Timestamp) -> String) -> String {
    let began = alert.started_at;
    match alert.resolved {
        Some((at, _)) => format!("{} to {} ({})", time(began), time(at), length(at - began)),
        None => format!("{} ({})", time(began), length(now - began)),
    }
}

fn list(labels: &Labels) -> String {
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
    fn a_value_says_what_is_certain_about_it() {
        check(Some(20), Some(20), Some(20), "20.0 s");
        check(
            Some(20),
            Some(18),
            Some(21),
            "20.0 s (certainly 18.0 s to 21.0 s)",
        );
        check(
            Some(20),
            Some(18),
            None,
            "20.0 s (certainly at least 18.0 s)",
        );
        check(
            Some(20),
            None,
            Some(21),
            "20.0 s (certainly at most 21.0 s)",
        );
        check(Some(20), None, None, "20.0 s");
        check(None, Some(18), Some(21), "between 18.0 s and 21.0 s");
        check(None, Some(18), None, "at least 18.0 s");
        check(None, None, Some(21), "at most 21.0 s");
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

    #[test]
    fn a_pairs_facts_are_complete() {
        let expected = [
            "Value: 2m 10s (certainly 2m 08s to 2m 11s)",
            "Threshold: 2m 00s (critical)",
            "Peak: 2m 20s",
            "Since: 2023-11-14T22:09:10.000Z (4m 10s)",
            "State: stalled: no byte arrived for 130 s",
            "Master: redis1:6379",
            "Replica: redis2:6379",
            "Last good sample: 2023-11-14T22:13:19.500Z (0.500 s before)",
            "Labels: team=payments",
        ];
        assert_eq!(shown(&pair_alert("orders", 0)), expected);
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let mut alert = (*pair_alert("orders", 0)).clone();
        alert.context = std::sync::Arc::default();
        alert.peak = None;
        let names: Vec<_> = facts(&alert, now(), &anchor())
            .into_iter()
            .map(|fact| fact.name)
            .collect();
        assert_eq!(
            names,
            ["Value", "Threshold", "Since", "Replica", "Last good sample"]
        );
        assert!(shown(&alert).contains(&"Last good sample: none known".to_owned()));
        assert!(
            !shown(&server_alert())
                .iter()
                .any(|line| line.starts_with("Last good"))
        );
    }

    #[test]
    fn a_resolved_alert_has_an_end_and_a_reason() {
        let lines = shown(&resolved(pair_alert("orders", 0)));
        assert!(lines.contains(
            &"Since: 2023-11-14T22:09:10.000Z to 2023-11-14T22:13:20.000Z (4m 10s)".to_owned()
        ));
        assert!(lines.contains(&"Over because: the value is below the clear threshold".to_owned()));
    }
}
