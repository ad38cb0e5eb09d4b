//! What holds at every instant, whatever happens to servers and links.

use std::collections::HashMap;

use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairReport;

/// Larger than anything a test writes: an offset that was taken for a difference, or one that
/// wrapped around.
const ABSURD_BYTES: u64 = 1 << 40;
/// Longer than any test: an instant that was taken for a span.
const ABSURD_SECONDS: f64 = 600.0;

/// What does not hold of `pair`, as sentences.
pub(super) fn of_pair(pair: &PairReport) -> Vec<String> {
    let seconds = [
        pair.lag_seconds,
        pair.lag_lower_seconds,
        pair.lag_upper_seconds,
        pair.lag_max_seconds,
    ];
    let known = pair.last_known.as_ref();
    let spans = seconds.into_iter().chain([
        known.map(|known| known.lag_upper_seconds),
        pair.link_down_seconds,
    ]);
    let bytes = [
        pair.lag_bytes,
        pair.lag_lower_bytes,
        pair.lag_upper_bytes,
        pair.diverged_bytes,
        pair.ack_lag_bytes,
    ];
    let mute = matches!(
        pair.state,
        PairState::NeverSynced | PairState::WrongMaster | PairState::Diverged
    );
    let broken = [
        (
            spans
                .flatten()
                .any(|span| !(0.0..ABSURD_SECONDS).contains(&span)),
            "a span is negative or absurd",
        ),
        (
            bytes
                .into_iter()
                .flatten()
                .any(|count| count > ABSURD_BYTES),
            "a count of bytes is absurd",
        ),
        (
            !ordered(seconds[1], seconds[0], seconds[2]),
            "lower, estimate and upper are not in order",
        ),
        (
            !ordered(bytes[1], bytes[0], bytes[2]),
            "lower, estimate and upper bytes are not in order",
        ),
        (
            pair.link_up != (pair.state == PairState::Streaming),
            "link_up is not the state streaming",
        ),
        (
            mute && seconds[..3].iter().any(Option::is_some),
            "a lag is shown where nothing compares",
        ),
        (
            pair.state == PairState::MasterUnreachable && pair.lag_seconds.is_some(),
            "a lag is shown of a lost master",
        ),
        (pair.reason.is_empty(), "there is no reason"),
    ];
    broken
        .into_iter()
        .filter(|(is_broken, _)| *is_broken)
        .map(|(_, what)| format!("{what}: {pair:?}"))
        .collect()
}

fn ordered<T: PartialOrd + Copy>(lower: Option<T>, estimate: Option<T>, upper: Option<T>) -> bool {
    let known: Vec<T> = [lower, estimate, upper].into_iter().flatten().collect();
    known.windows(2).all(|two| two[0] <= two[1])
}

/// Compares each scrape with the one before.
#[derive(Default)]
pub(super) struct MetricsWatch {
    counters: HashMap<String, f64>,
}

impl MetricsWatch {
    /// What does not hold of the scrape `text`, as sentences.
    pub(super) fn check(&mut self, text: &str) -> Vec<String> {
        let samples: Vec<(&str, f64)> = text.lines().filter_map(sample).collect();
        let mut broken = Vec::new();
        if samples.len() < 20 {
            broken.push(format!("a scrape has hardly any sample: {text}"));
        }
        let mut states: HashMap<String, f64> = HashMap::new();
        for (series, value) in samples {
            if !value.is_finite() || value < 0.0 {
                broken.push(format!("{series} is {value}"));
            }
            if let Some(labels) = series.strip_prefix("redis_cross_dc_link_state{") {
                *states.entry(without_label(labels, "state")).or_default() += value;
            }
            if is_counter(series)
                && let Some(before) = self.counters.insert(series.to_owned(), value)
                && value < before
            {
                broken.push(format!(
                    "the counter {series} fell from {before} to {value}"
                ));
            }
        }
        let not_one = states
            .into_iter()
            .filter(|(_, ones)| (*ones - 1.0).abs() > f64::EPSILON);
        broken.extend(not_one.map(|(pair, ones)| format!("{ones} link states are 1 of {pair}")));
        broken
    }
}

/// The series and the value of a line of the text format; `None` for comments.
pub(super) fn sample(line: &str) -> Option<(&str, f64)> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    Some((series, value.parse().unwrap_or(f64::NAN)))
}

fn is_counter(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or(series);
    ["_total", "_bucket", "_count", "_sum"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// The labels but the one called `name`.
fn without_label(labels: &str, name: &str) -> String {
    let others = labels
        .split(',')
        .filter(|label| !label.starts_with(&format!("{name}=")));
    others
        .map(|label| label.trim_end_matches('}'))
        .collect::<Vec<_>>()
        .join(",")
}

#[test]
fn a_broken_scrape_is_noticed() {
    let filler = "x 1\n".repeat(20);
    let mut watch = MetricsWatch::default();
    let state = |one: u8, two: u8| {
        let line = |state: &str, value| {
            format!("redis_cross_dc_link_state{{pair=\"p\",state=\"{state}\"}} {value}\n")
        };
        format!("{filler}{}{}", line("streaming", one), line("unknown", two))
    };
    assert!(watch.check(&state(1, 0)).is_empty());
    assert_eq!(watch.check(&state(1, 1)).len(), 1);
    assert_eq!(watch.check(&state(0, 0)).len(), 1);
    assert!(watch.check(&format!("{filler}a_total 5\n")).is_empty());
    assert_eq!(
        watch.check(&format!("{filler}a_total 4\n")),
        ["the counter a_total fell from 5 to 4"]
    );
    for value in ["-1", "NaN", "+Inf"] {
        assert_eq!(
            watch.check(&format!("{filler}g {value}\n")).len(),
            1,
            "{value}"
        );
    }
}
