//! Which pairs a rule is about. Pairs whose configuration overrides a rule get rules of their own.

use crate::config::{AlertSettings, MasterSelector, SentinelSettings, Settings};
use crate::metrics::catalogue::Metric;

/// A pair's identity: the labels that an alert keeps.
pub(super) const BY_PAIR: &str = "by (pair, source_dc, target_dc, replica)";
/// The same, where two series are matched.
pub(super) const ON_PAIR: &str = "on (pair, source_dc, target_dc, replica)";

/// Which pair it is, for every summary: the same words as in the exporter's own messages.
pub(super) const PAIR: &str =
    "{{ $labels.pair }} {{ $labels.source_dc }} → {{ $labels.target_dc }}";

/// The pairs that share thresholds.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// A matcher of `PromQL`; empty for every pair.
    matcher: String,
    /// Their thresholds.
    pub(super) alerts: AlertSettings,
}

/// An entry of the configuration with its own thresholds.
struct Override {
    /// A pattern for the names of its pairs.
    names: String,
    alerts: AlertSettings,
}

impl Selection {
    /// The metric's series of these pairs.
    pub(super) fn series(&self, metric: Metric) -> String {
        self.series_where(metric, "")
    }

    /// The largest value of each pair over all exporters.
    pub(super) fn max(&self, metric: Metric) -> String {
        format!("max {BY_PAIR} ({})", self.series(metric))
    }

    /// The smallest value of each pair over all exporters.
    pub(super) fn min(&self, metric: Metric) -> String {
        format!("min {BY_PAIR} ({})", self.series(metric))
    }

    /// As [`max`](Self::max), of the series that fit a further matcher.
    pub(super) fn max_where(&self, metric: Metric, matcher: &str) -> String {
        format!("max {BY_PAIR} ({})", self.series_where(metric, matcher))
    }

    /// As [`min`](Self::min), of the series that fit a further matcher.
    pub(super) fn min_where(&self, metric: Metric, matcher: &str) -> String {
        format!("min {BY_PAIR} ({})", self.series_where(metric, matcher))
    }

    fn series_where(&self, metric: Metric, matcher: &str) -> String {
        let name = metric.name;
        match (self.matcher.as_str(), matcher) {
            ("", "") => name.to_owned(),
            ("", one) | (one, "") => format!("{name}{{{one}}}"),
            (selected, further) => format!("{name}{{{selected},{further}}}"),
        }
    }
}

/// Which pairs have which thresholds: those of the global section first, then each set that some
/// entries override.
pub(super) fn selections(settings: &Settings) -> Vec<Selection> {
    let overrides = overrides(settings);
    let overridden: Vec<&str> = overrides.iter().map(|o| o.names.as_str()).collect();
    let mut selections = vec![Selection {
        matcher: matcher("!~", &overridden),
        alerts: settings.alerts.clone(),
    }];
    for (alerts, names) in by_thresholds(&overrides) {
        selections.push(Selection {
            matcher: matcher("=~", &names),
            alerts: alerts.clone(),
        });
    }
    selections
}

/// The names of the entries that share thresholds, for each set of thresholds.
fn by_thresholds(overrides: &[Override]) -> Vec<(&AlertSettings, Vec<&str>)> {
    let mut sets: Vec<(&AlertSettings, Vec<&str>)> = Vec::new();
    for Override { names, alerts } in overrides {
        match sets.iter_mut().find(|(set, _)| *set == alerts) {
            Some((_, same)) => same.push(names),
            None => sets.push((alerts, vec![names])),
        }
    }
    sets
}

/// The entries whose thresholds are not the global ones, sorted by the pattern of their names.
fn overrides(settings: &Settings) -> Vec<Override> {
    let mut overrides = Vec::new();
    for entry in &settings.pairs {
        overrides.push(Override {
            names: literal(entry.name.as_str()),
            alerts: entry.alerts.clone(),
        });
    }
    for entry in &settings.discovery.dns {
        overrides.push(Override {
            names: literal(entry.name.as_str()),
            alerts: entry.alerts.clone(),
        });
    }
    for entry in &settings.sentinels {
        overrides.push(Override {
            names: names_of(entry),
            alerts: entry.alerts.clone(),
        });
    }
    for entry in &settings.clusters {
        overrides.push(Override {
            names: format!("{}/slot-.+", literal(entry.name.as_str())),
            alerts: entry.alerts.clone(),
        });
    }
    overrides.retain(|entry| entry.alerts != settings.alerts);
    overrides.sort_by(|left, right| left.names.cmp(&right.names));
    overrides
}

/// A pattern for the names of the pairs that an entry's Sentinels find.
fn names_of(entry: &SentinelSettings) -> String {
    let name = literal(entry.name.as_str());
    match entry.masters {
        MasterSelector::Exact(_) => name,
        // Until a master is discovered, the pair has the entry's own name.
        MasterSelector::All | MasterSelector::Glob(_) => format!("{name}(/.+)?"),
    }
}

/// A matcher of pairs by patterns of their names; empty where there is none.
fn matcher(operator: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return String::new();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_only_itself() {
        let names = [literal("a.b"), literal("x|y\"")];
        assert_eq!(
            matcher("=~", &names.each_ref().map(String::as_str)),
            r#"pair=~"a\\.b|x\\|y\"""#
        );
        assert_eq!(matcher("!~", &[]), "");
    }
}
