//! Collects the series of one scrape as text, family by family.
//!
//! Prometheus' text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>) is written
//! at once, without structures in between: a series is a line, and its labels are text that all
//! series of a pair share.

use std::fmt::Write as _;

use super::catalogue::{ALL, Metric};
use super::labels::SeriesLabels;
use crate::model::{self, Bytes, Span, WallTime};

/// From here on an `f64` no longer has every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The families of one scrape. Only metrics that have a series appear.
#[derive(Debug)]
pub struct Families {
    /// The lines of each metric, at its place in [`ALL`].
    lines: Vec<String>,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            lines: vec![String::new(); ALL.len()],
        }
    }
}

/// A value as Prometheus has it: seconds, bytes, Unix seconds, counts, and 1 or 0 for yes or no.
/// `None` is unknown, and has no series.
pub(super) trait IntoSample {
    fn into_sample(self) -> Option<f64>;
}

impl<T: IntoSample> IntoSample for Option<T> {
    fn into_sample(self) -> Option<f64> {
        self?.into_sample()
    }
}

impl IntoSample for f64 {
    fn into_sample(self) -> Option<f64> {
        Some(self)
    }
}

impl IntoSample for bool {
    fn into_sample(self) -> Option<f64> {
        Some(f64::from(u8::from(self)))
    }
}

impl IntoSample for u64 {
    fn into_sample(self) -> Option<f64> {
        Some(self as f64)
    }
}

impl IntoSample for usize {
    fn into_sample(self) -> Option<f64> {
        Some(self as f64)
    }
}

impl IntoSample for Span {
    fn into_sample(self) -> Option<f64> {
        Some(self.as_secs_f64())
    }
}

impl IntoSample for Bytes {
    fn into_sample(self) -> Option<f64> {
        Some(self.as_f64())
    }
}

impl IntoSample for WallTime {
    fn into_sample(self) -> Option<f64> {
        Some(self.as_secs_f64())
    }
}

impl Families {
    /// Adds a series of a gauge or a counter, unless its value is unknown. A value that is not
    /// finite counts as unknown.
    pub(super) fn add(&mut self, metric: &Metric, labels: &SeriesLabels, value: impl IntoSample) {
        if let Some(value) = value.into_sample()
            && value.is_finite()
        {
            self.push(metric, "", labels.as_str(), value);
        }
    }

    /// Adds a series of a metric without labels.
    pub(super) fn add_unlabelled(&mut self, metric: &Metric, value: impl IntoSample) {
        self.add(metric, &SeriesLabels::default(), value);
    }

    /// Adds one series for each value of the label `name`.
    pub(super) fn add_each<'a, V: IntoSample>(
        &mut self,
        metric: &Metric,
        labels: &SeriesLabels,
        name: &str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) {
        for (label_value, value) in values {
            self.add(metric, &labels.with(name, label_value), value);
        }
    }

    /// Adds a series of a level that a value is compared with, which may be infinite: one that no
    /// value reaches.
    pub(super) fn add_level(&mut self, metric: &Metric, labels: &SeriesLabels, level: f64) {
        self.push(metric, "", labels.as_str(), level);
    }

    /// Adds a histogram.
    pub(super) fn add_histogram(
        &mut self,
        metric: &Metric,
        labels: &SeriesLabels,
        histogram: &model::Histogram,
    ) {
        let count = histogram.count() as f64;
        let last = (f64::INFINITY, histogram.count());
        let buckets = histogram.cumulative().chain([last]);
        let mut bound_text = String::new();
        for (bound, below) in buckets {
            bound_text.clear();
            push_value(&mut bound_text, bound);
            let labels = labels.with("le", &bound_text);
            self.push(metric, "_bucket", labels.as_str(), below as f64);
        }
        self.push(metric, "_sum", labels.as_str(), histogram.sum());
        self.push(metric, "_count", labels.as_str(), count);
    }

    /// Appends the families to `text`, in the order of their names.
    pub fn write_to(&self, text: &mut String) {
        let length: usize = self.lines.iter().map(String::len).sum();
        text.reserve(length + length / 16);
        for metric in Metric::by_name() {
            let lines = self.lines.get(metric.place).map(String::as_str);
            let lines = lines.unwrap_or_default();
            if !lines.is_empty() {
                push_header(text, &metric);
                text.push_str(lines);
            }
        }
    }

    /// The families as text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write_to(&mut text);
        text
    }

    /// Adds a line: the metric's name with `suffix`, the labels, the value.
    fn push(&mut self, metric: &Metric, suffix: &str, labels: &str, value: f64) {
        // Every metric is in the catalogue, and so has its place.
        let Some(line) = self.lines.get_mut(metric.place) else {
            return;
        };
        line.push_str(metric.name);
        line.push_str(suffix);
        if !labels.is_empty() {
            line.push('{');
            line.push_str(labels);
            line.push('}');
        }
        line.push(' ');
        push_value(line, value);
        line.push('\n');
    }
}

/// The two lines before the series of `metric`.
fn push_header(text: &mut String, metric: &Metric) {
    let Metric {
        name, kind, help, ..
    } = metric;
    // In a help text only these two are special.
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    let kind = kind.label();
    // Writing to a text never fails.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

/// A value as the format spells it.
fn push_value(text: &mut String, value: f64) {
    if value == f64::INFINITY {
        text.push_str("+Inf");
        return;
    }
    // Writing to a text never fails.
    let _ = match whole_number(value) {
        Some(whole) => write!(text, "{whole}"),
        None => write!(text, "{value}"),
    };
}

/// The whole number that `value` is; most are one, and cheaper to write as such.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole and in range"
)]
fn whole_number(value: f64) -> Option<u64> {
    let is_whole = (0.0..EXACT).contains(&value) && value.fract() == 0.0;
    is_whole.then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_as_prometheus_reads_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (1_700_000_000.125, "1700000000.125"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1e21, "1000000000000000000000"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in cases {
            let mut text = String::new();
            push_value(&mut text, value);
            assert_eq!(text, expected);
            assert_eq!(text.parse(), Ok(value), "{text}");
        }
    }
}
