//! One alerting rule, and how it is written.

use std::fmt::Write as _;

use super::links::Links;
use crate::config::{LevelRule, Severity};
use crate::model::Span;

/// How long an alert outlives its last sample: a missed scrape of one a minute, and a restart of
/// the exporter. Without it Prometheus calls a missing value a recovery.
pub(super) const KEEP: Span = Span::from_secs(120);

/// An alerting rule of Prometheus.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AlertRule {
    /// The alert's name: that of the built-in alert where there is one. Its runbook has the same
    /// name.
    pub(super) name: &'static str,
    /// The condition, in `PromQL`.
    pub(super) expr: String,
    /// How long the condition has to hold.
    pub(super) pending_for: Span,
    /// How long the alert goes on firing after the condition was last seen to hold.
    pub(super) keep_firing_for: Span,
    /// The label `severity`; `None` is "none", for what nobody is notified of.
    pub(super) severity: Option<Severity>,
    /// Labels beside the severity and those that the expression leaves.
    pub(super) labels: Vec<(&'static str, &'static str)>,
    /// One line for the list of alerts: what happened to what; a template of Prometheus.
    pub(super) summary: String,
    /// What would be lost, and who is affected; a template of Prometheus.
    pub(super) description: String,
}

impl AlertRule {
    /// The rule as an entry of a group's list.
    pub(super) fn yaml(&self, links: &Links) -> String {
        let mut text = String::new();
        let severity = self.severity.map_or("none", Severity::label);
        let mut line = |indent: usize, key: &str, value: &str| {
            // A String takes all that is written to it.
            let _ = writeln!(text, "{:indent$}{key}: {value}", "");
        };
        line(6, "- alert", self.name);
        line(8, "expr", &quoted(&self.expr));
        for (key, span) in [
            ("for", self.pending_for),
            ("keep_firing_for", self.keep_firing_for),
        ] {
            if span > Span::ZERO {
                line(8, key, &duration(span));
            }
        }
        text += "        labels:\n";
        let _ = writeln!(text, "          severity: {severity}");
        for (name, value) in &self.labels {
            let _ = writeln!(text, "          {name}: {value}");
        }
        text += "        annotations:\n";
        let annotations = [
            ("summary", self.summary.clone()),
            ("description", self.description.clone()),
            ("runbook_url", links.runbook(self.name)),
            ("dashboard_url", links.dashboard(self.is_about_a_pair())),
        ];
        for (key, value) in annotations {
            let _ = writeln!(text, "          {key}: {}", quoted(&value));
        }
        text
    }

    /// Whether the alert has a label `pair`.
    fn is_about_a_pair(&self) -> bool {
        self.expr.contains("by (pair")
    }
}

/// The levels of a rule that are on, with their severity.
pub(super) fn levels_of<T: Copy>(rule: &LevelRule<T>) -> Vec<(Severity, T)> {
    let levels = [
        (Severity::Warning, rule.warning),
        (Severity::Critical, rule.critical),
    ];
    let on = levels
        .into_iter()
        .filter_map(|(severity, level)| Some((severity, level?.at)));
    on.collect()
}

/// A scalar in single quotes, in which YAML changes nothing but a doubled quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A span as Prometheus writes durations: whole milliseconds, in the largest unit that fits.
pub(super) fn duration(span: Span) -> String {
    let millis = span.as_nanos() / 1_000_000;
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
        (1, "ms"),
    ];
    let (size, unit) = units
        .into_iter()
        .find(|(size, _)| millis % size == 0)
        .unwrap_or((1, "ms"));
    if millis == 0 {
        "0s".to_owned()
    } else {
        format!("{}{unit}", millis / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_what_prometheus_reads() {
        let cases = [
            (0, "0s"),
            (250, "250ms"),
            (1500, "1500ms"),
            (90_000, "90s"),
            (300_000, "5m"),
            (86_400_000, "1d"),
        ];
        for (millis, text) in cases {
            assert_eq!(duration(Span::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_quote_does_not_end_a_scalar() {
        assert_eq!(quoted("the pair's lag"), "'the pair''s lag'");
    }
}
