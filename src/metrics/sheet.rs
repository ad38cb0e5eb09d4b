//! A scrape in the making: families by metric, each series with its labels.

use std::collections::BTreeMap;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Series, MetricFamily, MetricType,
};

use super::catalogue::{Kind, Metric};
use crate::model;

/// Label pairs that several series share.
pub(super) type Labels = Vec<LabelPair>;

/// The families of one scrape. Only metrics that have a series appear.
#[derive(Default)]
pub(super) struct Sheet {
    families: BTreeMap<&'static str, (Metric, Vec<Series>)>,
}

impl Sheet {
    /// Adds a gauge or counter, unless its value is unknown. What is not a finite number is
    /// unknown, too.
    pub(super) fn value(&mut self, metric: &Metric, labels: &Labels, value: Option<f64>) {
        let Some(value) = value.filter(|v| v.is_finite()) else {
            return;
        };
        let mut series = Series::from_label(labels.clone());
        match metric.kind {
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
        self.push(metric, series);
    }

    /// Adds a gauge of one of several states: 1 for the one that holds, 0 for the others.
    pub(super) fn state_set<'a>(
        &mut self,
        metric: &Metric,
        labels: &Labels,
        label: &str,
        states: impl IntoIterator<Item = (&'a str, bool)>,
    ) {
        for (state, holds) in states {
            self.value(
                metric,
                &with(labels, label, state),
                Some(f64::from(u8::from(holds))),
            );
        }
    }

    /// Adds a histogram.
    pub(super) fn histogram(
        &mut self,
        metric: &Metric,
        labels: &Labels,
        histogram: &model::Histogram,
    ) {
        let bucket = |(bound, count): (f64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut data = Histogram::default();
        data.set_bucket(histogram.cumulative().map(bucket).collect());
        data.set_sample_sum(histogram.sum());
        data.set_sample_count(histogram.count());
        let mut series = Series::from_label(labels.clone());
        series.set_histogram(data);
        self.push(metric, series);
    }

    fn push(&mut self, metric: &Metric, series: Series) {
        self.families
            .entry(metric.name)
            .or_insert_with(|| (*metric, Vec::new()))
            .1
            .push(series);
    }

    /// The families, sorted by name.
    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        let family = |(metric, series): (Metric, Vec<Series>)| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(match metric.kind {
                Kind::Gauge => MetricType::GAUGE,
                Kind::Counter => MetricType::COUNTER,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family.set_metric(series);
            family
        };
        self.families.into_values().map(family).collect()
    }
}

/// One label.
pub(super) fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// `labels` and one more.
pub(super) fn with(labels: &Labels, name: &str, value: &str) -> Labels {
    labels.iter().cloned().chain([label(name, value)]).collect()
}
