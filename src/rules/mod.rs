//! The rule file for Prometheus: the built-in alerts, as far as rules can express them, with the
//! thresholds of a configuration.
//!
//! For installations in which Prometheus and Alertmanager alert instead of the exporter; with both,
//! every alert is notified twice. `alerts/redis-cross-dc-exporter.rules.yml` is the output of this
//! room for the default thresholds; a test compares the two.

mod alert_rule;
mod exporter;
mod foresight;
mod inhibitor;
mod links;
mod lookup;
mod pairs;
mod selection;
mod servers;
mod sites;

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
    /// About active-active sites.
    Sites,
    /// About the exporter itself.
    Exporter,
}

/// The form in which the rules are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A rule file of Prometheus.
    Rules,
    /// A resource of the Prometheus Operator.
    PrometheusRule,
}

impl Group {
    /// Every group, in the order of the file.
    pub const ALL: [Self; 4] = [Self::Pairs, Self::Servers, Self::Sites, Self::Exporter];

    /// The group's name in the file.
    const fn name(self) -> &'static str {
        match self {
            Self::Pairs => "redis-cross-dc-pairs",
            Self::Servers => "redis-cross-dc-servers",
            Self::Sites => "redis-cross-dc-sites",
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
            Self::Sites => sites::rules(settings),
            Self::Exporter => exporter::rules(unreachable),
        }
    }
}

/// The rules for the thresholds of `settings`, as YAML for Prometheus (`promtool check rules`) or
/// for the Prometheus Operator.
pub fn rule_file(settings: &Settings, links: &Links, groups: &[Group], format: Format) -> String {
    let mut body = String::new();
    for group in groups {
        let name = group.name();
        let head = format!("  - name: {name}\n    interval: {EVALUATION_INTERVAL}\n    rules:\n");
        body += &head;
        for rule in group.rules(settings) {
            body += &rule.yaml(links);
        }
    }
    match format {
        Format::Rules => format!("{HEADER}groups:\n{body}"),
        Format::PrometheusRule => format!("{HEADER}{RESOURCE}{}", indented(&body)),
    }
}

/// The text with every line two columns further right.
fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}\n"));
    lines.collect()
}

/// The comment at the head of the file.
const HEADER: &str = "\
# Prometheus rules for redis-cross-dc-exporter; printed by `redis-cross-dc-exporter rules` for a configuration's thresholds.
# Use these or the exporter's own receivers, not both: you would be paged twice. See docs/prometheus-rules.md.
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
