//! The rule file for Prometheus: the built-in alerts, as far as a rule can say them, with the
//! thresholds of a configuration.
//!
//! For those who alert by Prometheus and Alertmanager instead of the exporter itself; whoever uses
//! both is told twice. `alerts/redis-cross-dc-exporter.rules.yml` is what this room prints for the
//! default thresholds; a test holds them together.

mod alert_rule;
mod exporter;
mod pairs;
mod servers;

use std::fmt::Write as _;

use crate::config::Settings;

/// How often Prometheus evaluates these rules: often enough for thresholds of seconds.
const EVALUATION_INTERVAL: &str = "15s";

/// The rule file for the thresholds of `settings`, as YAML that `promtool check rules` accepts.
/// `external_url` is where people reach the exporter, without a slash at its end: the links of the
/// annotations begin with it.
pub fn rule_file(settings: &Settings, external_url: &str) -> String {
    let groups = [
        ("redis-cross-dc-pairs", pairs::rules(settings)),
        ("redis-cross-dc-servers", servers::rules(settings)),
        ("redis-cross-dc-exporter", exporter::rules()),
    ];
    let mut file = String::from(HEADER);
    for (name, rules) in groups {
        // A String takes all that is written to it.
        let _ = writeln!(
            file,
            "  - name: {name}\n    interval: {EVALUATION_INTERVAL}\n    rules:"
        );
        file.extend(rules.iter().map(|rule| rule.yaml(external_url)));
    }
    file
}

/// What the reader has to know before the first rule.
const HEADER: &str = "\
# Prometheus rules for redis-cross-dc-exporter; printed by `redis-cross-dc-exporter rules` for a configuration's thresholds.
# Use these or the exporter's own receivers, not both: you would be paged twice. See docs/alerts.md.
#
# Warning looks at the estimate, critical at the certified lower bound. keep_firing_for (Prometheus 2.42 or newer) keeps an
# alert over missed scrapes: a missing value is no recovery. Each rule leaves only the labels that say what it is about, so
# that two exporters which watch the same pairs make one alert.
groups:
";

#[cfg(test)]
mod tests;
