//! Scores of a take: how far the signals were from the truth. Pure.

use redis_cross_dc_exporter::model::{Span, Timestamp};

use super::alarm::{Detection, Excursion, THRESHOLD, excursions};
use super::peer::SIGNALS;
use super::scraper::Sample;
use super::take::Take;
use super::truth::{Between, Record, instants, seconds};

/// A truth that is wider than this, in seconds, is too vague to score an estimate by. Its overlap
/// still counts.
const VAGUE: f64 = 0.25;
/// An estimate is settled when it is right for some instant of this last while.
const SETTLING: Span = Span::from_millis(300);
/// The grain of that while.
const STEP: Span = Span::from_millis(10);
/// What is promised of the instant at which the replica was asked held at some instant of this
/// while before its answer.
const ASKED_BEFORE: Span = Span::from_millis(250);
/// Bytes that are no writes: a PING or a SELECT in the stream.
const OTHER_BYTES: f64 = 1000.0;
/// Errors of one signal, in seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    /// At the scrape, beyond the probe's grain.
    pub(super) raw: Vec<f64>,
    /// Against the nearest truth of the last 0.3 s.
    pub(super) settled: Vec<f64>,
}

impl Errors {
    fn add(&mut self, other: Self) {
        self.raw.extend(other.raw);
        self.settled.extend(other.settled);
    }
}

/// The score of one take, or of several.
#[derive(Clone, Debug, Default)]
pub(super) struct Score {
    /// Samples whose truth is known.
    pub(super) samples: usize,
    /// Of these, the truth overlaps the interval that was shown.
    pub(super) overlapping: usize,
    /// Of these, it overlaps even if the lower bound is taken for the instant of the scrape.
    pub(super) overlapping_now: usize,
    /// Of these, the truth is too vague to score the estimate.
    pub(super) vague: usize,
    /// Estimates that are absent although one could be known.
    pub(super) absent: usize,
    /// Upper bounds that are absent although one could be known.
    pub(super) unbounded: usize,
    pub(super) errors: Errors,
    /// Half the width of the interval that was shown: what no estimate can be certain to be better
    /// than.
    pub(super) half_widths: Vec<f64>,
    /// The width of the truth: its grain.
    pub(super) grains: Vec<f64>,
    /// As the webhook reports.
    pub(super) hooks: Detection,
    /// As scrapes show it.
    pub(super) shown: Detection,
    /// Samples with bytes that are negative, outside their own interval, or more than can have
    /// lacked, or whose interval misses the truth.
    pub(super) wrong_bytes: usize,
    /// For each signal of the other exporter.
    pub(super) peer: [(Errors, Detection); SIGNALS.len()],
    /// The first few samples that should not be, as sentences.
    pub(super) complaints: Vec<String>,
}

/// Complaints kept of one take.
const COMPLAINTS: usize = 3;

impl Score {
    /// Scores `take`.
    pub(super) fn of(take: &Take) -> Self {
        let over = excursions(&take.record, take.began, take.ended);
        let mut score = Self {
            hooks: Detection::of(&take.record, &over, &take.hooks),
            ..Self::default()
        };
        for sample in &take.samples {
            score.judge(take, sample);
        }
        let alarms: Vec<Timestamp> = take
            .samples
            .iter()
            .filter(|s| is_alarm(s.lag))
            .map(|s| s.asked)
            .collect();
        score.shown = Detection::of(&take.record, &over, &alarms);
        for (index, scored) in score.peer.iter_mut().enumerate() {
            *scored = judge_peer(take, index, &over);
        }
        score
    }

    /// Adds another take's score.
    pub(super) fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.overlapping += other.overlapping;
        self.overlapping_now += other.overlapping_now;
        self.vague += other.vague;
        self.absent += other.absent;
        self.unbounded += other.unbounded;
        self.errors.add(other.errors);
        self.half_widths.extend(other.half_widths);
        self.grains.extend(other.grains);
        self.hooks.add(other.hooks);
        self.shown.add(other.shown);
        self.wrong_bytes += other.wrong_bytes;
        for (ours, theirs) in self.peer.iter_mut().zip(other.peer) {
            ours.0.add(theirs.0);
            ours.1.add(theirs.1);
        }
        self.complaints.extend(other.complaints);
    }

    fn judge(&mut self, take: &Take, sample: &Sample) {
        let Some(truth) = take.record.lag(sample.asked, sample.answered) else {
            return;
        };
        self.samples += 1;
        self.grains.push(truth.width());
        let within = overlap(&take.record, sample, truth);
        self.overlapping += usize::from(within);
        let lower_holds_now = sample.lower.is_none_or(|lower| lower <= truth.high);
        self.overlapping_now += usize::from(within && lower_holds_now);
        if !within {
            self.complain(take, sample, truth, "the truth is outside the interval");
        }
        if !take.is_excused(sample.asked) {
            self.absent += usize::from(sample.lag.is_none());
            self.unbounded += usize::from(sample.upper.is_none());
            if sample.lag.is_none() {
                self.complain(take, sample, truth, "there is no estimate");
            }
        }
        if let Some(upper) = sample.upper {
            self.half_widths
                .push((upper - sample.lower.unwrap_or(0.0)) / 2.0);
        }
        if let Some(why) = wrong_bytes(&take.record, sample) {
            self.wrong_bytes += 1;
            self.complain(take, sample, truth, why);
        }
        self.vague += usize::from(truth.width() > VAGUE);
        self.errors.add(errors(
            &take.record,
            sample.asked,
            sample.answered,
            sample.lag,
        ));
    }

    fn complain(&mut self, take: &Take, sample: &Sample, truth: Between, why: &str) {
        if self.complaints.len() < COMPLAINTS {
            let at = seconds(take.began, sample.asked);
            let Sample {
                lower,
                lag,
                upper,
                bytes,
                lower_bytes,
                upper_bytes,
                state,
                ..
            } = sample;
            self.complaints.push(format!(
                "{at:.2} s: {why}: truth [{:.3}, {:.3}] s, shown {lower:?} {lag:?} {upper:?} s, {lower_bytes:?} {bytes:?} {upper_bytes:?} B, {state}",
                truth.low, truth.high
            ));
        }
    }
}

fn is_alarm(lag: Option<f64>) -> bool {
    lag.is_some_and(|lag| lag >= THRESHOLD)
}

/// Whether the interval that was shown and the truth overlap: the upper bound at the instant of the
/// scrape, and the lower bound as it is promised, which is at the replica's last answer. An absent
/// bound promises nothing.
fn overlap(record: &Record, sample: &Sample, truth: Between) -> bool {
    let upper_holds = sample.upper.is_none_or(|upper| upper >= truth.low);
    let when_asked = sample
        .learned
        .and_then(|learned| extremes(learned, |at| record.lag(at, at)));
    let then = when_asked.map_or(truth.high, |then| then.high.max(truth.high));
    upper_holds && sample.lower.is_none_or(|lower| lower <= then)
}

/// Between the lowest and the highest that a value can have been when the replica was asked, which
/// answered at `learned`.
fn extremes(learned: Timestamp, value: impl Fn(Timestamp) -> Option<Between>) -> Option<Between> {
    let either = |a: Between, b: Between| Between {
        low: a.low.min(b.low),
        high: a.high.max(b.high),
    };
    instants(learned - ASKED_BEFORE, learned, STEP)
        .filter_map(value)
        .reduce(either)
}

/// What is wrong with the bytes of `sample`.
fn wrong_bytes(record: &Record, sample: &Sample) -> Option<&'static str> {
    let bytes = sample.bytes?;
    let (lower, upper) = (
        sample.lower_bytes.unwrap_or(0.0),
        sample.upper_bytes.unwrap_or(f64::MAX),
    );
    let learned = sample.learned?;
    let when_asked = extremes(learned, |at| record.bytes(at, at));
    // Nobody can know what it has applied since, so the most is what was written since then and
    // what it lacked then.
    let most = record.bytes(learned - ASKED_BEFORE, sample.answered);
    let outside =
        |truth: Between| upper + OTHER_BYTES < truth.low || lower - OTHER_BYTES > truth.high;
    let wrong = [
        (bytes < 0.0, "the bytes are negative"),
        (
            !(lower..=upper).contains(&bytes),
            "the bytes are outside their interval",
        ),
        (
            most.is_some_and(|truth| bytes > truth.high + OTHER_BYTES),
            "more bytes than it can have lacked",
        ),
        (
            when_asked.is_some_and(outside),
            "the true bytes are outside the interval",
        ),
    ];
    wrong
        .into_iter()
        .find(|(is_wrong, _)| *is_wrong)
        .map(|(_, why)| why)
}

/// The errors of one value; none where it or the truth is not known, or the truth is vague.
fn errors(record: &Record, asked: Timestamp, answered: Timestamp, value: Option<f64>) -> Errors {
    let sharp = |from: Timestamp, to: Timestamp| {
        record.lag(from, to).filter(|truth| truth.width() <= VAGUE)
    };
    let Some((truth, value)) = sharp(asked, answered).zip(value) else {
        return Errors::default();
    };
    let raw = truth.distance(value);
    let before = instants(asked - SETTLING, asked, STEP).filter_map(|at| sharp(at, at));
    let settled = before
        .map(|truth| truth.distance(value))
        .fold(raw, f64::min);
    Errors {
        raw: vec![raw],
        settled: vec![settled],
    }
}

fn judge_peer(take: &Take, index: usize, over: &[Excursion]) -> (Errors, Detection) {
    let mut found = Errors::default();
    for reading in &take.peer {
        found.add(errors(
            &take.record,
            reading.asked,
            reading.answered,
            reading.signals[index],
        ));
    }
    let alarms: Vec<Timestamp> = take
        .peer
        .iter()
        .filter(|reading| is_alarm(reading.signals[index]))
        .map(|reading| reading.answered)
        .collect();
    let detection = if take.peer.is_empty() {
        Detection::default()
    } else {
        Detection::of(&take.record, over, &alarms)
    };
    (found, detection)
}

/// The mean; 0 of nothing.
pub(super) fn mean(all: &[f64]) -> f64 {
    if all.is_empty() {
        0.0
    } else {
        all.iter().sum::<f64>() / all.len() as f64
    }
}

/// The value below which `share` of all are; 0 of nothing.
pub(super) fn quantile(all: &[f64], share: f64) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // a share of a length is an index
    let index = (share * sorted.len() as f64) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

/// The greatest; 0 of nothing.
pub(super) fn max(all: &[f64]) -> f64 {
    all.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// A replica that is stopped from 1 s on, and has caught up at 11 s at once. Batches of 10
    /// bytes each 20 ms.
    fn stall() -> Record {
        let mut record = Record::default();
        for sent in (0..20_000).step_by(20) {
            let number = record.sending(at(sent), 10);
            record.confirmed(number, at(sent + 1));
        }
        for asked in (0..19_975_i64).step_by(25) {
            let has = if (1000..11_000).contains(&asked) {
                51
            } else {
                asked / 20 + 1
            };
            record.read(
                at(asked),
                at(asked + 1),
                Some(usize::try_from(has).unwrap()),
            );
        }
        record
    }

    fn sample(millis: i64, lower: f64, lag: f64, upper: f64) -> Sample {
        Sample {
            asked: at(millis),
            answered: at(millis + 2),
            lag: Some(lag),
            lower: Some(lower),
            upper: Some(upper),
            bytes: None,
            lower_bytes: None,
            upper_bytes: None,
            learned: Some(at(millis - 200)),
            state: "streaming".to_owned(),
        }
    }

    fn take(samples: Vec<Sample>) -> Take {
        let (hooks, peer, excused) = (Vec::new(), Vec::new(), Vec::new());
        Take {
            record: stall(),
            samples,
            hooks,
            peer,
            excused,
            began: at(100),
            ended: at(19_000),
        }
    }

    fn check(sample: Sample, overlapping: bool, raw: f64, settled: f64) {
        let shown = format!("{sample:?}");
        let score = Score::of(&take(vec![sample]));
        assert_eq!(
            (score.samples, score.overlapping),
            (1, usize::from(overlapping)),
            "{shown}"
        );
        let near = |errors: &[f64], expected: f64| (errors[0] - expected).abs() < 0.012;
        assert!(
            near(&score.errors.raw, raw) && near(&score.errors.settled, settled),
            "{shown}: {:?}",
            score.errors
        );
    }

    #[test]
    fn an_estimate_is_scored_against_the_truth_of_the_scrape_and_of_the_last_moments() {
        // Since 1020 ms the oldest missing write is that of 1020 ms.
        check(sample(6020, 4.8, 5.0, 5.2), true, 0.0, 0.0);
        check(sample(6020, 4.7, 4.8, 5.2), true, 0.2, 0.0);
        check(sample(6020, 4.0, 4.0, 5.2), true, 1.0, 0.7);
        check(sample(6020, 0.0, 4.9, 4.95), false, 0.1, 0.0);
        check(sample(6020, 5.2, 5.2, 5.3), false, 0.2, 0.2);
    }

    #[test]
    fn after_a_heal_the_bounds_are_judged_by_their_promise() {
        // Healed at 11 s; the replica was last asked 200 ms before the scrape.
        check(sample(11_100, 9.8, 9.85, 10.2), true, 9.83, 0.0);
        let score = Score::of(&take(vec![sample(11_100, 9.8, 9.85, 10.2)]));
        assert_eq!((score.overlapping_now, score.shown.false_alarms), (0, 0));
        // At 11.6 s it was asked at 11.4 s, or a quarter of a second earlier.
        check(sample(11_600, 9.8, 9.85, 10.2), false, 9.83, 9.83);
    }

    #[test]
    fn alarms_without_a_reason_are_counted() {
        let score = Score::of(&take(vec![
            sample(3000, 0.0, 6.0, 7.0),
            sample(13_000, 0.0, 6.0, 7.0),
            sample(6500, 5.0, 5.4, 6.0),
        ]));
        assert_eq!(
            (
                score.shown.false_alarms,
                score.shown.missed,
                score.shown.crossings
            ),
            (2, 0, 1)
        );
        assert_eq!(
            (score.hooks.missed, score.hooks.crossings),
            (1, 1),
            "no webhook came"
        );
    }

    #[test]
    fn missing_values_are_counted_unless_they_could_not_be_known() {
        let absent = Sample {
            lag: None,
            upper: None,
            ..sample(6000, 0.0, 0.0, 0.0)
        };
        let score = Score::of(&take(vec![absent.clone()]));
        assert_eq!(
            (score.absent, score.unbounded, score.errors.raw.len()),
            (1, 1, 0)
        );
        let excused = vec![(at(5000), at(7000))];
        let score = Score::of(&Take {
            excused,
            ..take(vec![absent])
        });
        assert_eq!((score.absent, score.unbounded, score.samples), (0, 0, 1));
    }

    #[test]
    fn bytes_are_judged_by_their_interval_and_by_the_missing_bytes() {
        let bytes = |low: f64, bytes: f64, high: f64| Sample {
            bytes: Some(bytes),
            lower_bytes: Some(low),
            upper_bytes: Some(high),
            ..sample(6020, 4.8, 5.0, 5.2)
        };
        let count = |sample: Sample| Score::of(&take(vec![sample])).wrong_bytes;
        assert_eq!(count(bytes(2400.0, 2500.0, 2600.0)), 0);
        assert_eq!(count(bytes(0.0, -1.0, 1.0)), 1);
        assert_eq!(count(bytes(2600.0, 2500.0, 2700.0)), 1);
        assert_eq!(
            count(bytes(0.0, 4000.0, 4000.0)),
            1,
            "250 batches are 2500 bytes"
        );
        assert_eq!(
            count(bytes(0.0, 1000.0, 1000.0)),
            1,
            "at least 240 batches of 10 bytes lacked when it was asked"
        );
    }

    #[test]
    fn quantiles_maxima_and_means_are_computed() {
        let all: Vec<f64> = (0..200).map(f64::from).collect();
        assert!((quantile(&all, 0.99) - 198.0).abs() < 1e-9 && (max(&all) - 199.0).abs() < 1e-9);
        assert_eq!((mean(&[]), quantile(&[], 0.5), max(&[])), (0.0, 0.0, 0.0));
    }
}
