//! The history of one pair in a report, from its charts.

use serde::Serialize;

use super::numbers::{UnixClock, bytes, seconds};
use super::servers::ExporterReport;
use crate::chart::{ChartPoint, PastState};
use crate::model::Timestamp;
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::replication::PairState;

/// The history of one pair: the answer of `/api/v1/pairs/{pair}/history`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryReport {
    /// The name of the configuration's entry.
    pub pair: String,
    /// The replica, `host:port`.
    pub replica: String,
    /// How long a point is: 5, 60 or 300 seconds, the finest that reaches back far enough.
    pub step_seconds: f64,
    /// The instant from which points were requested.
    pub since_timestamp: f64,
    /// The points, oldest first, without a gap in time. The step of the last one has not ended yet.
    pub points: Vec<PointReport>,
    /// The states that it entered since then, oldest first; of a pair that changes often, the last
    /// fifty.
    pub changes: Vec<ChangeReport>,
    /// The exporter that made the report, and when.
    pub exporter: ExporterReport,
}

/// What was true of a pair during one step. What was not known is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PointReport {
    /// When the step began.
    pub timestamp: f64,
    /// The highest estimate of the lag.
    pub lag_seconds: Option<f64>,
    /// The lowest estimate of the lag.
    pub lag_min_seconds: Option<f64>,
    /// The lag was certainly at least this, all the time.
    pub lag_lower_seconds: Option<f64>,
    /// The lag was certainly at most this, all the time.
    pub lag_upper_seconds: Option<f64>,
    /// The highest estimate of the bytes behind.
    pub lag_bytes: Option<u64>,
    /// The state that most deserves attention; `null` when the pair was not observed.
    pub state: Option<PairState>,
}

/// A state that the pair entered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeReport {
    /// When.
    pub timestamp: f64,
    /// Which.
    pub state: PairState,
    /// Why, as a sentence.
    pub reason: String,
}

impl HistoryReport {
    /// The history of `pair` from `since` on, as known at `now`.
    pub fn new(
        fleet: &FleetSnapshot,
        pair: &PairSnapshot,
        since: Timestamp,
        now: Timestamp,
    ) -> Self {
        let chart = pair.chart_at(now);
        let tier = chart.tier(since, now);
        let clock = UnixClock::new(fleet.anchor);
        let mut points = Vec::new();
        for (begin, point) in tier.points() {
            if begin + tier.step() > since {
                points.push(PointReport::new(clock.unix(begin), point));
            }
        }
        let mut changes = Vec::new();
        for change in chart.changes() {
            if change.at >= since {
                changes.push(ChangeReport::new(clock.unix(change.at), change));
            }
        }
        Self {
            pair: pair.meta.key.name.to_string(),
            replica: pair.meta.key.replica.to_string(),
            step_seconds: tier.step().as_secs_f64(),
            since_timestamp: clock.unix(since),
            points,
            changes,
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl PointReport {
    fn new(timestamp: f64, point: ChartPoint) -> Self {
        Self {
            timestamp,
            lag_seconds: seconds(point.lag_max()),
            lag_min_seconds: seconds(point.lag_min()),
            lag_lower_seconds: seconds(point.lag_lower()),
            lag_upper_seconds: seconds(point.lag_upper()),
            lag_bytes: bytes(point.bytes_max()),
            state: point.state(),
        }
    }
}

impl ChangeReport {
    fn new(timestamp: f64, change: &PastState) -> Self {
        Self {
            timestamp,
            state: change.state,
            reason: change.reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, fleet};
    use super::*;
    use crate::model::Span;

    fn history(scene: Scene, ago: Span) -> HistoryReport {
        let (fleet, now) = fleet(scene);
        HistoryReport::new(&fleet, &fleet.pairs[0], now - ago, now)
    }

    #[test]
    fn a_lost_master_is_seen_in_the_points_and_in_the_changes() {
        let history = history(Scene::MasterLost, Span::from_secs(60));
        assert_eq!(
            (history.pair.as_str(), history.step_seconds),
            ("orders", 5.0)
        );
        let steps = history
            .points
            .windows(2)
            .all(|pair| (pair[1].timestamp - pair[0].timestamp - 5.0).abs() < 1e-6);
        assert!(steps && history.points.len() >= 4, "{history:?}");
        assert_eq!(
            history.points.last().unwrap().state,
            Some(PairState::MasterUnreachable)
        );
        let states: Vec<_> = history.changes.iter().map(|change| change.state).collect();
        assert_eq!(
            states,
            [PairState::Streaming, PairState::MasterUnreachable],
            "it did not enter a state while the first polls were under way"
        );
        assert!(
            history
                .points
                .iter()
                .all(|p| p.lag_min_seconds <= p.lag_seconds)
        );
    }

    #[test]
    fn only_the_requested_time_is_reported() {
        let history = history(Scene::MasterLost, Span::from_secs(7));
        assert!((2..=3).contains(&history.points.len()), "{history:?}");
        assert_eq!(history.changes, []);
    }

    #[test]
    fn what_was_not_known_is_null() {
        let json = serde_json::to_value(history(Scene::NothingYet, Span::from_secs(60))).unwrap();
        assert_eq!(
            json["points"],
            serde_json::json!([]),
            "nothing was observed yet"
        );
        let json = serde_json::to_value(history(Scene::MasterLost, Span::from_secs(60))).unwrap();
        let last = json["points"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["lag_seconds"], &last["state"]),
            (&serde_json::Value::Null, &"master_unreachable".into())
        );
    }
}
