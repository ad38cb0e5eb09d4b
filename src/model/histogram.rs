//! A histogram with fixed buckets, as Prometheus defines it.

use super::Span;

/// Upper bounds of buckets for the lag between datacenters, in seconds: 1 ms to 10 min.
pub const LAG_BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0, 600.0,
];

/// How many values fell into each bucket. Values are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The upper bound of each bucket, inclusive.
    bounds: &'static [f64],
    /// How many values each bucket has, those of lower buckets not included.
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    /// An empty histogram with buckets up to and including each of `bounds`, in rising order.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            sum: 0.0,
            count: 0,
        }
    }

    /// Counts `value`.
    pub fn observe(&mut self, value: Span) {
        let seconds = value.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        // A value above the last bound is in no bucket.
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
        self.count += 1;
    }

    /// Each upper bound with the number of values at or below it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut total = 0;
        let buckets = self.bounds.iter().zip(&self.counts);
        buckets.map(move |(bound, count)| {
            total += count;
            (*bound, total)
        })
    }

    /// The sum of all values, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The number of all values, those above the last bound included.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_below_it_and_large_ones_only_count() {
        let mut histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [50, 100, 101, 5000] {
            histogram.observe(Span::from_millis(millis));
        }
        assert_eq!(
            histogram.cumulative().collect::<Vec<_>>(),
            [(0.1, 2), (1.0, 3)]
        );
        assert_eq!(histogram.count(), 4);
        assert!((histogram.sum() - 5.251).abs() < 1e-9);
    }
}
