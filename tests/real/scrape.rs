//! One scrape of /metrics, taken apart.

use std::collections::BTreeSet;
use std::ops::Sub;

use crate::exporter::Exporter;

/// The values of /metrics at one moment.
pub(crate) struct Scrape(String);

/// How many values a histogram has counted, and where they fell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Distribution {
    /// Each upper bound with the values at or below it.
    buckets: Vec<(f64, f64)>,
    sum: f64,
    pub(crate) count: f64,
}

impl Scrape {
    /// Scrapes `exporter`.
    pub(crate) async fn of(exporter: &Exporter) -> Self {
        Self(exporter.get("/metrics").await)
    }

    /// What somebody else has scraped.
    pub(crate) fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The scrape as it came.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The sum of the series called `name` that have all of `labels`; `None` when there is none.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values: Vec<f64> = self.series(name, labels).map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The values of the label `wanted` on the series called `name` that have all of `labels`.
    pub(crate) fn label_values(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        wanted: &str,
    ) -> BTreeSet<String> {
        let start = format!("{wanted}=\"");
        let value = |head: &str| Some(head.split_once(&start)?.1.split_once('"')?.0.to_owned());
        self.series(name, labels)
            .filter_map(|(head, _)| value(head))
            .collect()
    }

    /// The histogram `name` of these labels; empty when it is not there.
    pub(crate) fn distribution(&self, name: &str, labels: &[(&str, &str)]) -> Distribution {
        let of = |suffix: &str| {
            self.value(&format!("{name}_{suffix}"), labels)
                .unwrap_or(0.0)
        };
        let bucket = |(head, count): (&str, f64)| {
            let bound = head.split_once("le=\"")?.1.split_once('"')?.0;
            Some((bound.parse().ok()?, count))
        };
        let buckets = self
            .series(&format!("{name}_bucket"), labels)
            .filter_map(bucket)
            .collect();
        Distribution {
            buckets,
            sum: of("sum"),
            count: of("count"),
        }
    }

    /// Every metric family by name, as the `# TYPE` lines declare them.
    pub(crate) fn families(&self) -> BTreeSet<&str> {
        self.0
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect()
    }

    fn series<'a>(
        &'a self,
        name: &str,
        labels: &[(&str, &str)],
    ) -> impl Iterator<Item = (&'a str, f64)> {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        let name = name.to_owned();
        self.0.lines().filter_map(move |line| {
            let (head, value) = line.rsplit_once(' ')?;
            let rest = head.strip_prefix(name.as_str())?;
            let fits = (rest.is_empty() || rest.starts_with('{'))
                && labels.iter().all(|label| has(rest, label));
            fits.then_some(())?;
            Some((head, value.parse().ok()?))
        })
    }
}

/// Whether `label` is among the labels, and not at the end of another one's name.
fn has(labels: &str, label: &str) -> bool {
    labels
        .match_indices(label)
        .any(|(at, _)| labels[..at].ends_with(['{', ',']))
}

impl Distribution {
    /// The mean in seconds; 0 of nothing.
    pub(crate) fn mean(&self) -> f64 {
        if self.count > 0.0 {
            self.sum / self.count
        } else {
            0.0
        }
    }

    /// The smallest bucket bound that `share` of the values are at or below.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let enough = |(_, below): &&(f64, f64)| *below >= share * self.count;
        self.buckets
            .iter()
            .find(enough)
            .map_or(f64::INFINITY, |(bound, _)| *bound)
    }

    /// How many values were above `bound`, which is the bound of a bucket.
    pub(crate) fn above(&self, bound: f64) -> f64 {
        let bucket = self.buckets.iter().find(|(b, _)| (b - bound).abs() < 1e-9);
        self.count - bucket.expect("the bound of a bucket").1
    }
}

impl Sub<&Distribution> for &Distribution {
    type Output = Distribution;

    /// What was counted since `earlier`.
    fn sub(self, earlier: &Distribution) -> Distribution {
        let before = |index: usize| earlier.buckets.get(index).map_or(0.0, |(_, count)| *count);
        let buckets = self
            .buckets
            .iter()
            .enumerate()
            .map(|(i, (bound, count))| (*bound, count - before(i)))
            .collect();
        Distribution {
            buckets,
            sum: self.sum - earlier.sum,
            count: self.count - earlier.count,
        }
    }
}
