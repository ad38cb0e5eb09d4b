//! The past of one pair: what its charts show.

use serde::Serialize;

use super::servers::ExporterReport;
use crate::chart::{ChartPoint, PastState};
use crate::model::{Span, Timestamp};
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::replication::PairState;

/// The past of one pair: the answer of `/api/v1/pairs/{pair}/history`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryReport {
    /// The name of the configuration's entry.
    pub pair: String,
    /// The replica, `host:port`.
    pub replica: String,
    /// How long a point is: 5, 60 or 300 seconds, the finest that reaches back far enough.
    pub step_seconds: f64,
    /// From when on points were asked for.
    pub since_timestamp: f64,
    /// The points, oldest first, without a gap in time. The last one is not over yet.
    pub points: Vec<PointReport>,
    /// The states that it came into since then, oldest first; of one that changes often, the last
    /// fifty.
    pub changes: Vec<ChangeReport>,
    /// Who says so, and when.
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
    /// The state that most deserves attention; `null` when nobody looked.
    pub state: Option<PairState>,
}

/// A state that the pair came into.
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
    /// The past of `pair` from `since` on, as known at `now`.
    pub fn new(
        fleet: &FleetSnapshot,
        pair: &PairSnapshot,
        since: Timestamp,
        now: Timestamp,
    ) -> Self {
        let tier = pair.chart.tier(since, now);
        let wall = |at: Timestamp| fleet.anchor.wall(at).as_secs_f64();
        let recent = |begin: Timestamp| begin + tier.step() > since;
        let points = tier.points().filter(|(begin, _)| recent(*begin));
        let changes = pair
            .chart
            .changes()
            .iter()
            .filter(|change| change.at >= since);
        Self {
            pair: pair.meta.key.name.to_string(),
            replica: pair.meta.key.replica.to_string(),
            step_seconds: tier.step().as_secs_f64(),
            since_timestamp: wall(since),
            points: points
                .map(|(begin, point)| PointReport::new(wall(begin), point))
                .collect(),
            changes: changes
                .map(|change| ChangeReport::new(wall(change.at), change))
                .collect(),
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl PointReport {
    fn new(timestamp: f64, point: ChartPoint) -> Self {
        let seconds = |span: Option<Span>| span.map(Span::as_secs_f64);
        Self {
            timestamp,
            lag_seconds: seconds(point.lag_max()),
            lag_min_seconds: seconds(point.lag_min()),
            lag_lower_seconds: seconds(point.lag_lower()),
            lag_upper_seconds: seconds(point.lag_upper()),
            lag_bytes: point.bytes_max().map(crate::model::Bytes::get),
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

    fn history(scene: Scene, ago: Span) -> HistoryReport {
        let (fleet, now) = fleet(scene);
        HistoryReport::new(&fleet, &fleet.pairs[0], now - ago, now)
    }

    #[test]
    fn a_lost_master_is_seen_in_the_points_and_told_by_the_changes() {
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
            "that the first polls were under way is no state that it came into"
        );
        assert!(
            history
                .points
                .iter()
                .all(|p| p.lag_min_seconds <= p.lag_seconds)
        );
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
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
            "nobody has looked yet"
        );
        let json = serde_json::to_value(history(Scene::MasterLost, Span::from_secs(60))).unwrap();
        let last = json["points"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["lag_seconds"], &last["state"]),
            (&serde_json::Value::Null, &"master_unreachable".into())
        );
    }
}
