//! The rule file for Prometheus: the built-in alerts, as far as a rule can say them, with the
//! thresholds of a configuration.
//!
//! For those who alert by Prometheus and Alertmanager instead of the exporter itself; whoever uses
//! both is told twice. `alerts/redis-cross-dc-exporter.rules.yml` is what this room prints for the
//! default thresholds; a test holds them together.

mod alert_rule;
mod exporter;
mod inhibitor;
mod links;
mod lookup;
mod pairs;
mod selection;
mod servers;

use std::fmt::Write as _;

use crate::config::Settings;
use alert_rule::AlertRule;
pub use links::Links;

/// How often Prometheus evaluates these rules: often enough for thresholds of seconds.
const EVALUATION_INTERVAL: &str = "15s";

/// A group of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// About pairs.
    Pairs,
    /// About servers and Sentinels.
    Servers,
    /// About the exporter itself.
    Exporter,
}

/// What the rules are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A rule file of Prometheus.
    Rules,
    /// A resource of the Prometheus Operator.
    PrometheusRule,
}

impl Group {
    /// Every group, in the order of the file.
    pub const ALL: [Self; 3] = [Self::Pairs, Self::Servers, Self::Exporter];

    /// Its name in the file.
    const fn name(self) -> &'static str {
        match self {
            Self::Pairs => "redis-cross-dc-pairs",
            Self::Servers => "redis-cross-dc-servers",
            Self::Exporter => "redis-cross-dc-exporter",
        }
    }

    fn rules(self, settings: &Settings) -> Vec<AlertRule> {
        let unreachable = &settings.alerts.unreachable;
        match self {
            Self::Pairs => [pairs::rules(settings), inhibitor::pair_rules(unreachable)].concat(),
            Self::Servers => [
                servers::rules(settings),
                inhibitor::server_rules(unreachable),
                vec![inhibitor::full_sync_rule()],
            ]
            .concat(),
            Self::Exporter => exporter::rules(unreachable),
        }
    }
}

/// The rules for the thresholds of `settings`, as YAML that `promtool check rules` accepts, or that
/// the Prometheus Operator does.
pub fn rule_file(settings: &Settings, links: &Links, groups: &[Group], format: Format) -> String {
    let mut body = String::new();
    for group in groups {
        // A String takes all that is written to it.
        let _ = writeln!(
            body,
            "  - name: {}\n    interval: {EVALUATION_INTERVAL}\n    rules:",
            group.name()
        );
        let rules = group.rules(settings);
        body.extend(rules.iter().map(|rule| rule.yaml(links)));
    }
    match format {
        Format::Rules => format!("{HEADER}groups:\n{body}"),
        Format::PrometheusRule => format!("{HEADER}{RESOURCE}{}", indented(&body)),
    }
}

/// Every line two columns to the right.
fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}\n"));
    lines.collect()
}

/// What the reader has to know before the first rule.
const HEADER: &str = "\
# Prometheus rules for redis-cross-dc-exporter; printed by `redis-cross-dc-exporter rules` for a configuration's thresholds.
# Use these or the exporter's own receivers, not both: you would be paged twice. See docs/alerts.md.
#
# Warning looks at the estimate, critical at the certified lower bound. keep_firing_for (Prometheus 2.42 or newer) keeps an
# alert over missed scrapes: a missing value is no recovery. Each rule leaves only the labels that say what it is about, so
# that two exporters which watch the same pairs make one alert. Notify nobody of RedisCrossDcInhibitor: it is there for
# Alertmanager's inhibit_rules, see alerts/alertmanager.example.yml.
";

/// The head of the resource.
const RESOURCE: &str = "\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: redis-cross-dc-exporter
spec:
  groups:
";

#[cfg(test)]
mod tests;
