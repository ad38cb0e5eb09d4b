//! The rules about pairs. Pairs whose configuration overrides a rule get rules of their own.

use std::collections::BTreeMap;

use super::alert_rule::{AlertRule, KEEP, duration};
use crate::alert::Rule;
use crate::config::{AlertSettings, CountRule, LevelRule, Settings, Severity};
use crate::metrics::catalogue::{
    DIVERGED_BYTES, FAILOVER_LOST_BYTES, FAILOVERS, LAG_BYTES, LAG_LOWER_BYTES, LAG_LOWER_SECONDS,
    LAG_SECONDS,
};
use crate::metrics::catalogue::{LINK_DOWN_SECONDS, LINK_STATE, Metric, PAIR_INFO};
use crate::model::{Bytes, Span};
use crate::replication::PairState;

/// A pair's identity: what is left on an alert.
const BY_PAIR: &str = "by (pair, source_dc, target_dc, replica)";
/// The same, where two series are matched.
const ON_PAIR: &str = "on (pair, source_dc, target_dc, replica)";

/// What is shorter than the time between two evaluations is "at once".
const EVALUATED_EVERY: Span = Span::from_secs(1);

/// Where it is, for every description: the same words as in the exporter's own messages.
const WHERE: &str = "{{ $labels.source_dc }} -> {{ $labels.target_dc }}, pair {{ $labels.pair }}, replica {{ $labels.replica }}";

/// All rules about pairs.
pub(super) fn rules(settings: &Settings) -> Vec<AlertRule> {
    let mut rules = Vec::new();
    for (selector, alerts) in selections(settings) {
        rules.extend(levels(&alerts.lag_seconds, |severity, level| {
            lag_seconds(&selector, severity, level)
        }));
        rules.extend(levels(&alerts.lag_bytes, |severity, level| {
            lag_bytes(&selector, severity, level)
        }));
        rules.extend(levels(&alerts.link_down, |severity, level| {
            link_down(&selector, severity, level)
        }));
        rules.extend(levels(&alerts.unknown, |severity, level| {
            unknown(&selector, severity, level)
        }));
        rules.extend(levels(&alerts.diverged, |severity, level| {
            diverged(&selector, severity, level)
        }));
        let CountRule {
            levels: counts,
            window,
        } = alerts.failover;
        rules.extend(levels(&counts, |severity, level| {
            failover(&selector, severity, level, window)
        }));
    }
    rules
}

/// Which pairs have which thresholds: those of the global section first, then each set that some
/// pairs override.
fn selections(settings: &Settings) -> Vec<(String, AlertSettings)> {
    let mut sets: Vec<(AlertSettings, Vec<String>)> = Vec::new();
    let overridden: BTreeMap<_, _> = settings
        .pairs
        .iter()
        .filter(|pair| pair.alerts != settings.alerts)
        .map(|pair| (pair.name.to_string(), pair.alerts.clone()))
        .collect();
    for (name, alerts) in &overridden {
        match sets.iter_mut().find(|(set, _)| set == alerts) {
            Some((_, names)) => names.push(name.clone()),
            None => sets.push((alerts.clone(), vec![name.clone()])),
        }
    }
    let others: Vec<String> = overridden.into_keys().collect();
    let mut selections = vec![(selector("!~", &others), settings.alerts.clone())];
    selections.extend(
        sets.into_iter()
            .map(|(alerts, names)| (selector("=~", &names), alerts)),
    );
    selections
}

/// A selector of pairs by name; nothing where there is no name to select by.
fn selector(operator: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    format!("pair{operator}\"{}\"", names.join("|"))
}

/// A name as a regular expression that fits only it, inside a `PromQL` string.
fn literal(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\\\\\"),
            '\n' => text.push_str("\\n"),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                text.push_str("\\\\");
                text.push(letter);
            }
            plain => text.push(plain),
        }
    }
    text
}

/// A rule for each level that is on.
fn levels<T: Copy>(rule: &LevelRule<T>, make: impl Fn(Severity, T) -> AlertRule) -> Vec<AlertRule> {
    let levels = [
        (Severity::Warning, rule.warning),
        (Severity::Critical, rule.critical),
    ];
    let on = levels
        .into_iter()
        .filter_map(|(severity, level)| level.map(|level| make(severity, level.at)));
    // What a rule waits for by its nature (`unknown`) may be longer than the configured `for`.
    on.map(|alert| AlertRule {
        hold: alert.hold.max(rule.hold),
        keep_firing_for: alert.keep_firing_for.max(rule.keep_firing_for),
        ..alert
    })
    .collect()
}

/// `max by (pair ...) (METRIC{...})`, so that two exporters make one alert.
fn worst(metric: Metric, selector: &str) -> String {
    let selector = if selector.is_empty() {
        String::new()
    } else {
        format!("{{{selector}}}")
    };
    format!("max {BY_PAIR} ({}{selector})", metric.name)
}

fn lag_seconds(selector: &str, severity: Severity, at: Span) -> AlertRule {
    let (metric, certainty) = match severity {
        Severity::Warning => (LAG_SECONDS, "about"),
        Severity::Critical => (LAG_LOWER_SECONDS, "certainly at least"),
    };
    AlertRule {
        name: Rule::LagSeconds.alert_name(),
        expr: format!("{} >= {}", worst(metric, selector), at.as_secs_f64()),
        hold: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "{{ $labels.pair }}: {{ $labels.replica }} is {{ $value | humanizeDuration }} behind",
        description: format!(
            "{WHERE}: the replica lacks writes that are {certainty} {{{{ $value | humanizeDuration }}}} old. If the master \
             were lost now, they would be lost."
        ),
    }
}

fn lag_bytes(selector: &str, severity: Severity, at: Bytes) -> AlertRule {
    let (metric, certainty) = match severity {
        Severity::Warning => (LAG_BYTES, "about"),
        Severity::Critical => (LAG_LOWER_BYTES, "certainly at least"),
    };
    AlertRule {
        name: Rule::LagBytes.alert_name(),
        expr: format!("{} >= {}", worst(metric, selector), at.get()),
        hold: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "{{ $labels.pair }}: {{ $labels.replica }} lacks {{ $value | humanize1024 }}B",
        description: format!(
            "{WHERE}: the replica lacks {certainty} {{{{ $value | humanize1024 }}}}B of its master's writes."
        ),
    }
}

fn link_down(selector: &str, severity: Severity, at: Span) -> AlertRule {
    AlertRule {
        name: Rule::LinkDown.alert_name(),
        expr: format!(
            "{} >= {}",
            worst(LINK_DOWN_SECONDS, selector),
            at.as_secs_f64()
        ),
        hold: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "{{ $labels.pair }}: no replication to {{ $labels.replica }} for {{ $value | humanizeDuration }}",
        description: format!(
            "{WHERE}: the link is down or stalled. Nothing is replicated; when the master's backlog overflows, a full \
             resync will be needed."
        ),
    }
}

/// The lag has been absent for as long as the level says. A full sync that makes progress is known
/// to be under way.
fn unknown(selector: &str, severity: Severity, at: Span) -> AlertRule {
    let syncing = if selector.is_empty() { "" } else { "," };
    let state = format!(
        "{}{{{selector}{syncing}state=\"{}\"}}",
        LINK_STATE.name,
        PairState::FullSync.label()
    );
    AlertRule {
        name: Rule::Unknown.alert_name(),
        expr: format!(
            "{} unless {ON_PAIR} {} unless {ON_PAIR} ({state} == 1)",
            worst(PAIR_INFO, selector),
            worst(LAG_SECONDS, selector),
        ),
        hold: at,
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "{{ $labels.pair }}: nobody can say how far {{ $labels.replica }} is behind",
        description: format!(
            "{WHERE}: there is nothing to compare; the pair's state says why. Not fit for a failover."
        ),
    }
}

fn diverged(selector: &str, severity: Severity, at: Span) -> AlertRule {
    let comma = if selector.is_empty() { "" } else { "," };
    let state = format!(
        "{}{{{selector}{comma}state=\"{}\"}}",
        LINK_STATE.name,
        PairState::Diverged.label()
    );
    AlertRule {
        name: Rule::Diverged.alert_name(),
        expr: format!("max {BY_PAIR} ({state}) == 1"),
        // The smallest level is "at once".
        hold: if at < EVALUATED_EVERY { Span::ZERO } else { at },
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "{{ $labels.pair }}: two histories, {{ $labels.replica }} and its master differ",
        description: format!(
            "{WHERE}: two servers accept writes, or the replica has writes that its master lacks. {} says how much \
             would be lost, where that is known.",
            DIVERGED_BYTES.name
        ),
    }
}

/// `increase` extrapolates to the window's ends, so one failover may read as 0.9 or 1.1.
fn failover(selector: &str, severity: Severity, at: u64, window: Span) -> AlertRule {
    let (braces, window) = (
        if selector.is_empty() {
            String::new()
        } else {
            format!("{{{selector}}}")
        },
        duration(window),
    );
    AlertRule {
        name: Rule::Failover.alert_name(),
        expr: format!(
            "round(max by (pair) (increase({}{braces}[{window}]))) >= {at}",
            FAILOVERS.name
        ),
        hold: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "{{ $labels.pair }}: another server became the master",
        description: format!(
            "{{{{ $value }}}} failovers of {{{{ $labels.pair }}}} in {window}. {} says what the last one lost, once that is \
             known.",
            FAILOVER_LOST_BYTES.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_only_itself() {
        assert_eq!(
            selector("=~", &["a.b".to_owned(), "x|y\"".to_owned()]),
            r#"pair=~"a\\.b|x\\|y\"""#
        );
        assert_eq!(selector("!~", &[]), "");
    }
}
