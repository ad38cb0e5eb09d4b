//! Collects the series of one scrape into families, one for each metric.

use std::collections::BTreeMap;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Series, MetricFamily, MetricType,
};

use super::catalogue::{Kind, Metric};
use crate::model::{self, Bytes, Span, WallTime};

/// The labels of a series.
pub(super) type SeriesLabels = Vec<LabelPair>;

/// The families of one scrape. Only metrics that have a series appear.
#[derive(Default)]
pub(super) struct Families(BTreeMap<&'static str, Family>);

/// One metric and its series.
struct Family {
    metric: Metric,
    series: Vec<Series>,
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
            self.push(metric, series(metric.kind, labels, value));
        }
    }

    /// Adds a series of a metric without labels.
    pub(super) fn add_unlabelled(&mut self, metric: &Metric, value: impl IntoSample) {
        self.add(metric, &SeriesLabels::new(), value);
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
            self.add(metric, &with(labels, name, label_value), value);
        }
    }

    /// Adds a histogram.
    pub(super) fn add_histogram(
        &mut self,
        metric: &Metric,
        labels: SeriesLabels,
        histogram: &model::Histogram,
    ) {
        let mut series = Series::from_label(labels);
        series.set_histogram(histogram_data(histogram));
        self.push(metric, series);
    }

    fn push(&mut self, metric: &Metric, series: Series) {
        let family = self.0.entry(metric.name).or_insert_with(|| Family {
            metric: *metric,
            series: Vec::new(),
        });
        family.series.push(series);
    }

    /// The families, sorted by name.
    pub(super) fn into_proto(self) -> Vec<MetricFamily> {
        self.0.into_values().map(Family::into_proto).collect()
    }
}

impl Family {
    fn into_proto(self) -> MetricFamily {
        let kind = match self.metric.kind {
            Kind::Gauge => MetricType::GAUGE,
            Kind::Counter => MetricType::COUNTER,
            Kind::Histogram => MetricType::HISTOGRAM,
        };
        let mut family = MetricFamily::default();
        family.set_name(self.metric.name.to_owned());
        family.set_help(self.metric.help.to_owned());
        family.set_field_type(kind);
        family.set_metric(self.series);
        family
    }
}

/// A series of a gauge or a counter.
fn series(kind: Kind, labels: &SeriesLabels, value: f64) -> Series {
    let mut series = Series::from_label(labels.clone());
    match kind {
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            series.set_counter(counter);
        }
        Kind::Gauge | Kind::Histogram => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            series.set_gauge(gauge);
        }
    }
    series
}

/// A histogram with its buckets in Prometheus' form.
fn histogram_data(histogram: &model::Histogram) -> Histogram {
    let mut buckets = Vec::new();
    for (bound, count) in histogram.cumulative() {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        buckets.push(bucket);
    }
    let mut data = Histogram::default();
    data.set_bucket(buckets);
    data.set_sample_sum(histogram.sum());
    data.set_sample_count(histogram.count());
    data
}

/// One label.
pub(super) fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// `labels` and one more.
pub(super) fn with(labels: &SeriesLabels, name: &str, value: &str) -> SeriesLabels {
    let mut all = labels.clone();
    all.push(label(name, value));
    all
}
