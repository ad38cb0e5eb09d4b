//! Which pairs a rule is about. Pairs whose configuration overrides a rule get rules of their own.

use crate::config::{AlertSettings, MasterSelector, SentinelSettings, Settings};
use crate::metrics::catalogue::Metric;

/// A pair's identity: what is left on an alert.
pub(super) const BY_PAIR: &str = "by (pair, source_dc, target_dc, replica)";
/// The same, where two series are matched.
pub(super) const ON_PAIR: &str = "on (pair, source_dc, target_dc, replica)";

/// The pairs that share thresholds.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// A matcher of `PromQL`; empty for every pair.
    matcher: String,
    /// Their thresholds.
    pub(super) alerts: AlertSettings,
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

    fn series_where(&self, metric: Metric, matcher: &str) -> String {
        let matchers: Vec<&str> = [self.matcher.as_str(), matcher]
            .into_iter()
            .filter(|matcher| !matcher.is_empty())
            .collect();
        if matchers.is_empty() {
            metric.name.to_owned()
        } else {
            format!("{}{{{}}}", metric.name, matchers.join(","))
        }
    }
}

/// Which pairs have which thresholds: those of the global section first, then each set that some
/// entries override.
pub(super) fn selections(settings: &Settings) -> Vec<Selection> {
    let overridden = overridden(settings);
    let mut sets: Vec<(AlertSettings, Vec<String>)> = Vec::new();
    for (names, alerts) in &overridden {
        match sets.iter_mut().find(|(set, _)| set == alerts) {
            Some((_, same)) => same.push(names.clone()),
            None => sets.push((alerts.clone(), vec![names.clone()])),
        }
    }
    let others: Vec<String> = overridden.into_iter().map(|(names, _)| names).collect();
    let mut selections = vec![Selection {
        matcher: matcher("!~", &others),
        alerts: settings.alerts.clone(),
    }];
    selections.extend(sets.into_iter().map(|(alerts, names)| Selection {
        matcher: matcher("=~", &names),
        alerts,
    }));
    selections
}

/// The entries whose thresholds are not the global ones, with a pattern for the names of their
/// pairs, sorted by it.
fn overridden(settings: &Settings) -> Vec<(String, AlertSettings)> {
    let pairs = settings
        .pairs
        .iter()
        .map(|entry| (literal(entry.name.as_str()), entry.alerts.clone()));
    let sentinels = settings
        .sentinels
        .iter()
        .map(|entry| (names_of(entry), entry.alerts.clone()));
    let mut overridden: Vec<_> = pairs
        .chain(sentinels)
        .filter(|(_, alerts)| *alerts != settings.alerts)
        .collect();
    overridden.sort_by(|(left, _), (right, _)| left.cmp(right));
    overridden
}

/// A pattern for the names of the pairs that an entry's Sentinels find.
fn names_of(entry: &SentinelSettings) -> String {
    let name = literal(entry.name.as_str());
    match entry.masters {
        MasterSelector::Exact(_) => name,
        // One that knows no master yet has the entry's own name.
        MasterSelector::All | MasterSelector::Glob(_) => format!("{name}(/.+)?"),
    }
}

/// A matcher of pairs by patterns of their names; empty where there is none.
fn matcher(operator: &str, names: &[String]) -> String {
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
        assert_eq!(matcher("=~", &names), r#"pair=~"a\\.b|x\\|y\"""#);
        assert_eq!(matcher("!~", &[]), "");
    }
}
