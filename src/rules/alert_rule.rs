//! One alerting rule, and its form in a rule file.

use super::links::Links;
use crate::config::{LevelRule, Severity};
use crate::model::Span;

/// How long an alert outlives its last sample: over a missed scrape at one a minute, and over a
/// restart of the exporter. Without it Prometheus takes a missing value for a recovery.
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
    /// How long the alert keeps firing after the condition last held.
    pub(super) keep_firing_for: Span,
    /// The label `severity`; `None` is "none", for alerts without notifications.
    pub(super) severity: Option<Severity>,
    /// Labels in addition to the severity and those that the expression leaves.
    pub(super) labels: Vec<(&'static str, &'static str)>,
    /// A template of one line for the list of alerts: what happened to what.
    pub(super) summary: String,
    /// A template: what would be lost, and what is affected.
    pub(super) description: String,
}

impl AlertRule {
    /// The rule as an entry of a group's list.
    pub(super) fn yaml(&self, links: &Links) -> String {
        format!(
            "      - alert: {}\n        expr: {}\n{}        labels:\n{}        annotations:\n{}",
            self.name,
            quoted(&self.expr),
            self.times_yaml(),
            self.labels_yaml(),
            self.annotations_yaml(links)
        )
    }

    fn times_yaml(&self) -> String {
        let times = [
            ("for", self.pending_for),
            ("keep_firing_for", self.keep_firing_for),
        ];
        let mut yaml = String::new();
        for (key, time) in times {
            // Prometheus' default is 0.
            if time > Span::ZERO {
                yaml += &format!("        {key}: {}\n", duration(time));
            }
        }
        yaml
    }

    fn labels_yaml(&self) -> String {
        let severity = self.severity.map_or("none", Severity::label);
        let mut yaml = format!("          severity: {severity}\n");
        for (name, value) in &self.labels {
            yaml += &format!("          {name}: {value}\n");
        }
        yaml
    }

    fn annotations_yaml(&self, links: &Links) -> String {
        let runbook = links.runbook(self.name);
        let dashboard = links.dashboard(self.is_about_a_pair());
        let annotations = [
            ("summary", &self.summary),
            ("description", &self.description),
            ("runbook_url", &runbook),
            ("dashboard_url", &dashboard),
        ];
        let mut yaml = String::new();
        for (key, value) in annotations {
            yaml += &format!("          {key}: {}\n", quoted(value));
        }
        yaml
    }

    /// Whether the alert has a label `pair`.
    fn is_about_a_pair(&self) -> bool {
        self.expr.contains("by (pair")
    }
}

/// The levels of a rule that are on, with their severity.
pub(super) fn levels_of<T: Copy>(rule: &LevelRule<T>) -> Vec<(Severity, T)> {
    let mut levels = Vec::new();
    if let Some(level) = rule.warning {
        levels.push((Severity::Warning, level.at));
    }
    if let Some(level) = rule.critical {
        levels.push((Severity::Critical, level.at));
    }
    levels
}

/// A scalar in single quotes, in which YAML changes nothing but a doubled quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A span as Prometheus writes durations: whole milliseconds, in the largest unit without a rest.
pub(super) fn duration(span: Span) -> String {
    const UNITS: [(i64, &str); 4] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let millis = span.as_nanos() / 1_000_000;
    if millis == 0 {
        return "0s".to_owned();
    }
    for (size, unit) in UNITS {
        if millis % size == 0 {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
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
