//! The charts of a pair as a document, so that they survive a restart of the exporter.
//!
//! The points of a tier are written as base64, eleven bytes a point: its five numbers (big-endian
//! codes of `CompactValue`) and its state as an index into the document's own list of labels, so
//! that a version with other states can read it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::{ChartPoint, ChartTier, MAX_CHANGES, PairChart, PastState};
use crate::model::{ClockShift, Span, Timestamp};
use crate::replication::PairState;

/// Bytes of a point: five numbers of two bytes each, and the state.
const POINT_BYTES: usize = 11;

/// The state of a point during which the pair was not observed.
const NO_STATE: u8 = u8::MAX;

/// The most bytes that the document of one pair takes: 8.7 KB of points, and its changes.
pub const MAX_DOCUMENT: usize = 24 * 1024;

/// The longest reason of a change that is saved, in characters.
const MAX_REASON: usize = 120;

/// Why nothing is known of the time between two processes.
const ABSENT: &str = "the exporter did not run";

/// The charts of one pair.
#[derive(Debug, Serialize, Deserialize)]
struct ChartRecord {
    /// The labels of states that points refer to by index.
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
    /// The body of the chart's document, written at `now`.
    pub fn to_document_body(&self, now: Timestamp) -> String {
        let states = PairState::ALL.map(|state| state.label().to_owned());
        let mut tiers = Vec::new();
        for tier in &self.tiers {
            tiers.extend(TierRecord::new(tier));
        }
        let record = ChartRecord {
            states: states.into(),
            tiers,
            changes: self.changes.iter().map(ChangeRecord::new).collect(),
            at: now,
        };
        // Numbers and strings: serialising them cannot fail.
        serde_json::to_string(&record).unwrap_or_default()
    }

    /// The chart of an earlier process's document, followed by what this chart has recorded since.
    /// It keeps the steps and the phase of this chart.
    ///
    /// # Errors
    /// The document makes no sense, or its time cannot be placed on the present clock.
    pub fn restored(&self, body: &str, shift: &ClockShift) -> Result<Self, String> {
        let record: ChartRecord = serde_json::from_str(body).map_err(|why| why.to_string())?;
        if record.at + shift.by > shift.now.mono {
            return Err("nobody can say when it was".to_owned());
        }
        let mut chart = self.clone();
        chart.changes = record.past_changes(shift).into();
        for tier in &mut chart.tiers {
            *tier = record.restored_tier(tier, shift)?;
        }
        chart.record_absence(shift.past(record.at), ABSENT);
        chart.append(self);
        Ok(chart)
    }

    /// Adds what `newer` has recorded.
    fn append(&mut self, newer: &Self) {
        let [finest, ..] = &newer.tiers;
        for (at, point) in finest.points() {
            self.add(point, at);
        }
        for change in newer.changes() {
            self.record_state(change.clone());
        }
    }
}

impl ChartRecord {
    /// The saved points of the tier with the same step; none where there is no such tier.
    fn restored_tier(&self, tier: &ChartTier, shift: &ClockShift) -> Result<ChartTier, String> {
        let Some(saved) = self.tiers.iter().find(|saved| saved.step == tier.step()) else {
            return Ok(tier.with_points(self.at + shift.by, &[]));
        };
        let points = saved.decode_points(&self.states)?;
        Ok(tier.with_points(saved.begin + shift.by, &points))
    }

    fn past_changes(&self, shift: &ClockShift) -> Vec<PastState> {
        let too_many = self.changes.len().saturating_sub(MAX_CHANGES);
        let mut past = Vec::new();
        for change in self.changes.iter().skip(too_many) {
            past.push(PastState {
                at: shift.past(change.at),
                state: state_of_label(&change.state),
                reason: change.reason.as_str().into(),
            });
        }
        past
    }
}

impl TierRecord {
    /// `None` for a tier without points.
    fn new(tier: &ChartTier) -> Option<Self> {
        let (begin, _) = tier.points().next()?;
        let mut bytes = Vec::new();
        for (_, point) in tier.points() {
            let (numbers, state) = point.parts();
            for number in numbers {
                bytes.extend(number.to_be_bytes());
            }
            bytes.push(index_of_state(state));
        }
        Some(Self {
            step: tier.step(),
            begin,
            points: BASE64_STANDARD.encode(bytes),
        })
    }

    fn decode_points(&self, labels: &[String]) -> Result<Vec<ChartPoint>, String> {
        let bytes = BASE64_STANDARD
            .decode(&self.points)
            .map_err(|why| why.to_string())?;
        let (points, []) = bytes.as_chunks::<POINT_BYTES>() else {
            return Err("a part of a point is missing".to_owned());
        };
        let mut decoded = Vec::with_capacity(points.len());
        for point in points {
            decoded.push(decode_point(point, labels));
        }
        Ok(decoded)
    }
}

fn decode_point(bytes: &[u8; POINT_BYTES], labels: &[String]) -> ChartPoint {
    let [numbers @ .., state] = bytes;
    let (pairs, _) = numbers.as_chunks::<2>();
    let mut codes = [0; 5];
    for (code, pair) in codes.iter_mut().zip(pairs) {
        *code = u16::from_be_bytes(*pair);
    }
    let label = labels.get(usize::from(*state));
    let state = label.map(|label| state_of_label(label));
    ChartPoint::from_parts(codes, state)
}

/// The index of a state in the list of labels that is saved.
fn index_of_state(state: Option<PairState>) -> u8 {
    for (index, known) in (0_u8..).zip(PairState::ALL) {
        if state == Some(known) {
            return index;
        }
    }
    NO_STATE
}

/// The state with this label; unknown where this version has no such state.
fn state_of_label(label: &str) -> PairState {
    PairState::parse(label).unwrap_or(PairState::Unknown)
}

impl ChangeRecord {
    fn new(change: &PastState) -> Self {
        Self {
            at: change.at,
            state: change.state.label().to_owned(),
            reason: change.reason.chars().take(MAX_REASON).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::tests::point;
    use super::*;
    use crate::model::ClockAnchor;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// Records `seconds` points, one a second, from `begin` on.
    fn watched(chart: &mut PairChart, begin: i64, seconds: i64) {
        for second in begin..begin + seconds {
            let lag = second.unsigned_abs() % 977;
            chart.add(point(Some(lag), PairState::Streaming), at(second));
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
    fn a_chart_continues_after_a_restart_and_the_time_between_is_unknown() {
        let phase = Span::from_millis(1234);
        let mut before = PairChart::new(phase);
        watched(&mut before, 0, 2000);
        before.record_state(state(3, PairState::Streaming));
        let body = before.to_document_body(at(2000));
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
    fn every_tier_is_restored_as_it_was_saved() {
        let mut before = PairChart::new(Span::ZERO);
        watched(&mut before, 0, 90_000);
        let body = before.to_document_body(at(90_000));
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
            chart.record_state(PastState {
                at: at(1_000_000_000 + n),
                state: which[usize::try_from(n % 2).unwrap()],
                reason: "x".repeat(1000).as_str().into(),
            });
        }
        let size = chart.to_document_body(at(2_000_000_000)).len();
        assert!(size > MAX_DOCUMENT / 2 && size <= MAX_DOCUMENT, "{size}");
    }

    #[test]
    fn a_damaged_document_is_refused_and_other_labels_are_unknown() {
        let empty = PairChart::new(Span::ZERO);
        for body in ["", "[]", "{}"] {
            assert!(empty.restored(body, &shift(10, 0)).is_err(), "{body}");
        }
        let mut chart = PairChart::new(Span::ZERO);
        watched(&mut chart, 0, 10);
        let body = chart.to_document_body(at(10));
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
