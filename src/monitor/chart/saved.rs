//! The charts of a pair on the disk: what a restart would else forget.
//!
//! One document a pair. The points of a tier are written as bytes in base64, eleven a point: its
//! five numbers (`Rough`, big-endian) and its state as the place in the document's own list of
//! words, so that a version that knows other states reads it all the same.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::{ChartPoint, ChartTier, MAX_CHANGES, PairChart, PastState};
use crate::model::{ClockShift, Span, Timestamp};
use crate::replication::PairState;

/// Bytes of a point: five numbers of two bytes each, and the state.
const POINT: usize = 11;

/// The state of a point during which nobody looked.
const NO_STATE: u8 = u8::MAX;

/// The most that the document of one pair takes, in bytes: 8.7 KB of points, and its changes.
pub(in crate::monitor) const MAX_DOCUMENT: usize = 24 * 1024;

/// The longest reason that is kept of a change, in characters.
const MAX_REASON: usize = 120;

/// Why nothing is known of the time between two processes.
const ABSENT: &str = "the exporter did not run";

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The words that points name by their place.
    states: Vec<String>,
    tiers: Vec<TierRecord>,
    #[serde(default)]
    changes: Vec<ChangeRecord>,
    /// When it was written.
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct TierRecord {
    step: Span,
    /// When the first point begins.
    begin: Timestamp,
    points: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ChangeRecord {
    at: Timestamp,
    state: String,
    reason: String,
}

impl PairChart {
    /// The chart as a document's content, written at `now`.
    pub(in crate::monitor) fn body(&self, now: Timestamp) -> String {
        let words = PairState::ALL.map(|state| state.label().to_owned());
        let record = Record {
            states: words.into(),
            tiers: self.tiers.iter().filter_map(tier_record).collect(),
            changes: self.changes.iter().map(change_record).collect(),
            at: now,
        };
        // Nothing in it is anything that JSON could not say.
        serde_json::to_string(&record).unwrap_or_default()
    }

    /// The chart in a document, with the steps of this one, and then what this one has seen since.
    ///
    /// # Errors
    /// It makes no sense, or nobody can say when it was.
    pub(in crate::monitor) fn restored(
        &self,
        body: &str,
        shift: &ClockShift,
    ) -> Result<Self, String> {
        let record: Record = serde_json::from_str(body).map_err(|why| why.to_string())?;
        if record.at + shift.by > shift.now.mono {
            return Err("nobody can say when it was".to_owned());
        }
        let mut chart = self.clone();
        chart.changes = changes_of(&record, shift);
        for tier in &mut chart.tiers {
            let kept = record.tiers.iter().find(|kept| kept.step == tier.step());
            let points = kept.map(|kept| points_of(kept, &record.states));
            let begin = kept.map_or(record.at, |kept| kept.begin) + shift.by;
            *tier = tier.with(begin, &points.transpose()?.unwrap_or_default());
        }
        chart.note_absence(shift.past(record.at), ABSENT);
        chart.follow(self);
        Ok(chart)
    }

    /// Takes in what `newer` has seen.
    fn follow(&mut self, newer: &Self) {
        let [finest, ..] = &newer.tiers;
        for (at, point) in finest.points() {
            self.take_in(point, at);
        }
        for change in newer.changes() {
            self.note_state(change.clone());
        }
    }
}

fn tier_record(tier: &ChartTier) -> Option<TierRecord> {
    let (begin, _) = tier.points().next()?;
    let mut bytes = Vec::new();
    for (_, point) in tier.points() {
        let (numbers, state) = point.parts();
        bytes.extend(numbers.into_iter().flat_map(u16::to_be_bytes));
        bytes.push(state.map_or(NO_STATE, place));
    }
    Some(TierRecord {
        step: tier.step(),
        begin,
        points: BASE64_STANDARD.encode(bytes),
    })
}

/// The place of a state in the list of words that is written.
fn place(state: PairState) -> u8 {
    let place = PairState::ALL.iter().position(|known| *known == state);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(NO_STATE)
}

fn points_of(tier: &TierRecord, states: &[String]) -> Result<Vec<ChartPoint>, String> {
    let bytes = BASE64_STANDARD
        .decode(&tier.points)
        .map_err(|why| why.to_string())?;
    let (points, []) = bytes.as_chunks::<POINT>() else {
        return Err("a part of a point is missing".to_owned());
    };
    let point = |bytes: &[u8; POINT]| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let mut numbers = pairs.iter().copied().map(u16::from_be_bytes);
        let numbers = std::array::from_fn(|_| numbers.next().unwrap_or(u16::MAX));
        let state = rest.first().copied().map_or(usize::MAX, usize::from);
        let word = states.get(state);
        ChartPoint::from_parts(numbers, word.map(|word| known_state(word)))
    };
    Ok(points.iter().map(point).collect())
}

/// A state that this version does not know is unknown.
fn known_state(word: &str) -> PairState {
    let known = PairState::ALL
        .into_iter()
        .find(|state| state.label() == word);
    known.unwrap_or(PairState::Unknown)
}

fn change_record(change: &PastState) -> ChangeRecord {
    ChangeRecord {
        at: change.at,
        state: change.state.label().to_owned(),
        reason: change.reason.chars().take(MAX_REASON).collect(),
    }
}

fn changes_of(record: &Record, shift: &ClockShift) -> std::sync::Arc<[PastState]> {
    let kept = record.changes.len().saturating_sub(MAX_CHANGES);
    let changes = record.changes.iter().skip(kept);
    changes
        .map(|change| PastState {
            at: shift.past(change.at),
            state: known_state(&change.state),
            reason: change.reason.as_str().into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::point::tests::point;
    use super::*;
    use crate::model::ClockAnchor;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// A chart of as many seconds, ten looks each, from `begin` on.
    fn watched(chart: &mut PairChart, begin: i64, seconds: i64) {
        for second in begin..begin + seconds {
            let lag = second.unsigned_abs() % 977;
            chart.take_in(point(Some(lag), PairState::Streaming), at(second));
        }
    }

    fn shift(now: i64, by: i64) -> ClockShift {
        ClockShift {
            by: Span::from_secs(by),
            ago: Span::ZERO,
            now: ClockAnchor {
                mono: at(now),
                ..ClockAnchor::default()
            },
        }
    }

    fn seen(chart: &PairChart, ago: i64, now: i64) -> Vec<(Timestamp, ChartPoint)> {
        chart.tier(at(now - ago), at(now)).points().collect()
    }

    fn state(secs: i64, state: PairState) -> PastState {
        PastState {
            at: at(secs),
            state,
            reason: "why".into(),
        }
    }

    #[test]
    fn a_chart_goes_on_after_a_restart_and_the_time_between_is_unknown() {
        let phase = Span::from_millis(1234);
        let mut before = PairChart::new(phase);
        watched(&mut before, 0, 2000);
        before.note_state(state(3, PairState::Streaming));
        let body = before.body(at(2000));
        for by in [0, -1500, 100_000] {
            let mut after = PairChart::new(phase);
            watched(&mut after, 2060 + by, 20);
            let restored = after.restored(&body, &shift(2060 + by, by)).unwrap();
            let points = seen(&restored, 900, 2080 + by);
            let steady = points
                .windows(2)
                .all(|two| two[1].0 - two[0].0 == Span::from_secs(5));
            assert!(steady);
            let unknown = points.iter().filter(|(_, point)| point.state().is_none());
            assert!((10..=12).contains(&unknown.count()), "a minute of absence");
            let known = |from: i64, until: i64| {
                let inside = |time: Timestamp| time >= at(from + by) && time < at(until + by);
                points
                    .iter()
                    .filter(|(time, _)| inside(*time))
                    .all(|(_, point)| point.state() == Some(PairState::Streaming))
            };
            assert!(known(1200, 1990) && known(2065, 2080));
            let changes = restored.changes().to_vec();
            assert_eq!(
                (changes[0].at, changes[1].at, changes[1].state),
                (
                    at((3 + by).min(2060 + by)),
                    at(2000 + by),
                    PairState::Unknown
                )
            );
        }
    }

    #[test]
    fn what_was_read_is_what_was_written_in_every_tier() {
        let mut before = PairChart::new(Span::ZERO);
        watched(&mut before, 0, 90_000);
        let body = before.body(at(90_000));
        let after = PairChart::new(Span::ZERO)
            .restored(&body, &shift(90_000, 0))
            .unwrap();
        for ago in [900, 7200, 86_400] {
            assert_eq!(seen(&after, ago, 90_000), seen(&before, ago, 90_000));
        }
    }

    #[test]
    fn a_document_is_bounded() {
        let mut chart = PairChart::new(Span::ZERO);
        watched(&mut chart, 0, 90_000);
        for n in 0..200 {
            let which = [PairState::ReplicaUnreachable, PairState::MasterUnreachable];
            chart.note_state(PastState {
                at: at(1_000_000_000 + n),
                state: which[usize::try_from(n % 2).unwrap()],
                reason: "x".repeat(1000).as_str().into(),
            });
        }
        let size = chart.body(at(2_000_000_000)).len();
        assert!(size > MAX_DOCUMENT / 2 && size <= MAX_DOCUMENT, "{size}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_other_words_are_unknown() {
        let empty = PairChart::new(Span::ZERO);
        for body in ["", "[]", "{}"] {
            assert!(empty.restored(body, &shift(10, 0)).is_err(), "{body}");
        }
        let mut chart = PairChart::new(Span::ZERO);
        watched(&mut chart, 0, 10);
        let body = chart.body(at(10));
        assert!(empty.restored(&body, &shift(9, 0)).is_err(), "to come");
        let unplaced = shift(10, i64::MAX / 1_000_000_000);
        assert!(empty.restored(&body, &unplaced).is_err());
        let other = body.replace("\"streaming\"", "\"dreaming\"");
        let read = empty.restored(&other, &shift(10, 0)).unwrap();
        let points = seen(&read, 10, 10);
        assert!(
            points
                .iter()
                .all(|(_, point)| point.state() == Some(PairState::Unknown))
        );
    }
}
