//! A threshold of five seconds: when the truth crossed it, and when a signal did.

use redis_cross_dc_exporter::lab::Received;
use redis_cross_dc_exporter::model::{Span, Timestamp};

use super::scraper::Subject;
use super::truth::{Record, instants, seconds};

/// The threshold in seconds.
pub(super) const THRESHOLD: f64 = 5.0;
/// The grain of crossings.
const STEP: Span = Span::from_millis(5);
/// An excursion above the threshold that is shorter need not be noticed: no poll may have fallen
/// into it.
const SHORTEST: f64 = 0.5;
/// A signal may be ahead of the truth by one poll: when the oldest missing write was made is not
/// known any better.
const EARLY: Span = Span::from_secs(1);
/// A signal may lag behind the end of an excursion by one poll.
const LATE: Span = Span::from_secs(1);

/// A time in which the true lag was above the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Excursion {
    /// The lag was below the threshold at the first instant and above it at the second.
    pub(super) crossed: (Timestamp, Timestamp),
    /// It was certainly below again.
    pub(super) ended: Timestamp,
}

impl Excursion {
    /// How long after the crossing `at` is, in seconds; negative when it is before.
    pub(super) fn delay(&self, at: Timestamp) -> f64 {
        let (before, after) = self.crossed;
        seconds(after, at).max(0.0) + seconds(before, at).min(0.0)
    }

    /// Whether a signal at `at` is about this excursion.
    fn covers(&self, at: Timestamp) -> bool {
        (self.crossed.0 - EARLY..=self.ended + LATE).contains(&at)
    }

    /// Whether it has to be noticed.
    fn is_long(&self) -> bool {
        seconds(self.crossed.1, self.ended) >= SHORTEST
    }
}

/// The excursions from `from` to `to`.
pub(super) fn excursions(record: &Record, from: Timestamp, to: Timestamp) -> Vec<Excursion> {
    let mut found = Vec::new();
    let mut below = from;
    let mut above = None;
    for at in instants(from, to, STEP) {
        let Some(lag) = record.lag(at, at) else {
            continue;
        };
        if lag.low >= THRESHOLD && above.is_none() {
            above = Some(at);
        }
        if lag.high < THRESHOLD {
            found.extend(above.take().map(|above| Excursion {
                crossed: (below, above),
                ended: at,
            }));
            below = at;
        }
    }
    found.extend(above.map(|above| Excursion {
        crossed: (below, above),
        ended: to,
    }));
    found.retain(Excursion::is_long);
    found
}

/// Whether the truth may have been above the threshold near `at`: not a whole poll before it, and
/// not long after it.
fn was_near(record: &Record, at: Timestamp) -> bool {
    let possibly = |at: Timestamp| {
        record
            .lag(at, at)
            .is_none_or(|truth| truth.high >= THRESHOLD)
    };
    instants(at - LATE, at + EARLY, STEP).any(possibly)
}

/// What a signal made of the excursions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Detection {
    /// Excursions.
    pub(super) crossings: usize,
    /// Excursions that were never noticed.
    pub(super) missed: usize,
    /// Signals while the truth was not near the threshold.
    pub(super) false_alarms: usize,
    /// Seconds from each crossing to the first signal.
    pub(super) delays: Vec<f64>,
}

impl Detection {
    /// Compares `alarms`, the instants at which a signal was \"above\", with the truth and its
    /// excursions.
    pub(super) fn of(record: &Record, excursions: &[Excursion], alarms: &[Timestamp]) -> Self {
        let first = |excursion: &Excursion| {
            alarms
                .iter()
                .find(|at| excursion.covers(**at))
                .map(|at| excursion.delay(*at))
        };
        let delays: Vec<f64> = excursions.iter().filter_map(first).collect();
        Self {
            crossings: excursions.len(),
            missed: excursions.len() - delays.len(),
            false_alarms: alarms.iter().filter(|at| !was_near(record, **at)).count(),
            delays,
        }
    }

    /// Adds what was found in another take.
    pub(super) fn add(&mut self, other: Self) {
        self.crossings += other.crossings;
        self.missed += other.missed;
        self.false_alarms += other.false_alarms;
        self.delays.extend(other.delays);
    }
}

/// When a webhook reported that the alert of `subject` fires.
pub(super) fn hooks(requests: &[Received], subject: &Subject) -> Vec<Timestamp> {
    let is_about = |alert: &serde_json::Value| {
        alert["status"] == "firing"
            && alert["labels"]["alertname"] == "RedisCrossDcLagHigh"
            && alert["labels"]["pair"] == subject.pair.as_str()
            && alert["labels"]["replica"] == subject.replica.as_str()
    };
    let says_so = |request: &&Received| {
        let body = request.json().expect("a webhook is JSON");
        body["alerts"]
            .as_array()
            .is_some_and(|alerts| alerts.iter().any(is_about))
    };
    requests
        .iter()
        .filter(says_so)
        .map(|request| request.at)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// Batches each 20 ms; the replica is stopped from 1000 ms to `healed`, and is read each 25
    /// ms.
    fn stalled_until(healed: i64) -> Record {
        let mut record = Record::default();
        for sent in (0..20_000).step_by(20) {
            let number = record.sending(at(sent), 10);
            record.confirmed(number, at(sent + 1));
        }
        for asked in (0..20_000_i64).step_by(25) {
            let has = if asked < 1000 || asked >= healed {
                asked / 20
            } else {
                1000 / 20
            };
            record.read(
                at(asked),
                at(asked + 1),
                Some(usize::try_from(has).unwrap()),
            );
        }
        record
    }

    fn the_only(record: &Record) -> Excursion {
        let all = excursions(record, at(100), at(19_000));
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }

    #[test]
    fn a_crossing_is_found_within_the_grain() {
        let excursion = the_only(&stalled_until(12_000));
        // Batch 51 is sent at 1000 ms and is five seconds old at 6000 ms.
        assert!(
            seconds(at(5994), excursion.crossed.0) >= 0.0
                && seconds(excursion.crossed.1, at(6007)) >= 0.0,
            "{excursion:?}"
        );
        assert!(
            excursion.ended >= at(12_000) && excursion.ended <= at(12_030),
            "{excursion:?}"
        );
        assert!(excursions(&stalled_until(5900), at(100), at(19_000)).is_empty());
        assert!(
            excursions(&stalled_until(6300), at(100), at(19_000)).is_empty(),
            "too short to count"
        );
    }

    fn check(alarms: &[i64], missed: usize, false_alarms: usize, delay: Option<f64>) {
        let record = stalled_until(12_000);
        let alarms: Vec<Timestamp> = alarms.iter().map(|millis| at(*millis)).collect();
        let found = Detection::of(&record, &[the_only(&record)], &alarms);
        assert_eq!(
            (found.missed, found.false_alarms),
            (missed, false_alarms),
            "{alarms:?}"
        );
        let near = |a: &f64, b: f64| (*a - b).abs() <= 0.011;
        assert!(
            found
                .delays
                .first()
                .zip(delay)
                .is_none_or(|(a, b)| near(a, b)),
            "{alarms:?}: {found:?}"
        );
        assert_eq!(
            found.delays.is_empty(),
            delay.is_none(),
            "{alarms:?}: {found:?}"
        );
    }

    #[test]
    fn alarms_are_on_time_late_early_missed_or_false() {
        check(&[6000, 6100, 12_500], 0, 0, Some(0.0));
        check(&[6500], 0, 0, Some(0.5));
        check(&[5700], 0, 0, Some(-0.3));
        check(&[], 1, 0, None);
        check(&[3000, 4900, 6000], 0, 2, Some(0.0));
        check(&[13_500], 1, 1, None);
    }
}
