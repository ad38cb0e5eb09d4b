//! What is expected of a pair, in a report: each prediction, or the reason why there is none.

use serde::{Deserialize, Serialize};

use crate::model::{Share, Timestamp};
use crate::monitor::PairSnapshot;
use crate::replication::{
    Assessment, CatchUp, EvidenceEnd, EvidenceLeft, Forecast, Headroom, NoForecast, OutputBuffer,
    SyncForecast,
};
use crate::report::numbers::{bytes, seconds};
use crate::report::text::{bytes_text, seconds_text};

/// What is expected of a pair. Where a prediction is `null`, its `reason` says why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForecastReport {
    /// How long the link may be cut before a full resync.
    pub backlog_headroom: HeadroomReport,
    /// How long until the replica has everything.
    pub catch_up: CatchUpReport,
    /// The master's output buffer for the replica.
    pub output_buffer: OutputBufferReport,
    /// The full sync that is under way.
    pub full_sync: FullSyncReport,
    /// For how long the writes of a deposed master stay provable.
    pub evidence: EvidenceReport,
    /// How often the link was lost and back between two polls of the master.
    pub link_flaps: u64,
}

/// How long the link may be cut before a full resync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadroomReport {
    /// By the writes of the last minutes.
    pub expected_seconds: Option<f64>,
    /// By the fastest writes of the history that is kept.
    pub worst_seconds: Option<f64>,
    /// How long that history is.
    pub history_seconds: Option<f64>,
    /// Why one of them is not known.
    pub reason: Option<String>,
}

/// How long until the replica has everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CatchUpReport {
    /// The likeliest time, where it is within a quarter of both ends of the range.
    pub seconds: Option<f64>,
    /// It will hardly be sooner: nine of ten replays of the last minutes end later.
    pub earliest_seconds: Option<f64>,
    /// It will hardly be later: nine of ten replays of the last minutes end sooner.
    pub latest_seconds: Option<f64>,
    /// Why there is no single time.
    pub reason: Option<String>,
}

/// A master's output buffer for a replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputBufferReport {
    /// What is buffered, as the limits count it.
    pub bytes: Option<u64>,
    /// At this size the master drops the link.
    pub hard_limit_bytes: Option<u64>,
    /// At this size it does so after a while.
    pub soft_limit_bytes: Option<u64>,
    /// The size as a part of the smaller limit.
    pub full_ratio: Option<f64>,
    /// How long until the master drops the link at the present growth.
    pub disconnect_seconds: Option<f64>,
    /// Why one of them is not known.
    pub reason: Option<String>,
}

/// A full sync that is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FullSyncReport {
    /// What was transferred.
    pub read_bytes: Option<u64>,
    /// Of how much.
    pub total_bytes: Option<u64>,
    /// Whether `total_bytes` is an estimate, by the part of its keys that the master has sent.
    pub total_is_estimate: bool,
    /// The rate of the last seconds.
    pub bytes_per_second: Option<u64>,
    /// How long until everything is transferred; the replica loads it after that.
    pub transfer_seconds: Option<f64>,
    /// How many full syncs have begun since the replica last streamed for a minute.
    pub attempts: u32,
    /// Why the time is not known.
    pub reason: Option<String>,
}

/// For how long the writes of a deposed master stay provable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceReport {
    /// Zero when it is too late.
    pub seconds: Option<f64>,
    /// What ends it: `backlog` (newer writes), `ttl` (`repl-backlog-ttl`), or `assumed_ttl` (its
    /// default, because it is not asked for).
    pub ended_by: Option<String>,
    /// Why that is not known.
    pub reason: Option<String>,
}

impl ForecastReport {
    /// What is expected of the pair at `now`, at which `seen` is true of it.
    pub(super) fn new(pair: &PairSnapshot, seen: &Assessment, now: Timestamp) -> Self {
        let Forecast {
            headroom,
            catch_up,
            output_buffer,
            full_sync,
            evidence,
        } = pair.forecast(seen, now);
        Self {
            backlog_headroom: HeadroomReport::new(headroom),
            catch_up: CatchUpReport::new(catch_up),
            output_buffer: OutputBufferReport::new(output_buffer),
            full_sync: FullSyncReport::new(full_sync, pair.facts.link.attempts.count),
            evidence: EvidenceReport::new(evidence),
            link_flaps: pair.facts.forecast.flaps,
        }
    }

    /// The predictions that there are, each as a name and a sentence's end.
    pub fn known(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("Backlog lasts", self.backlog_headroom.text()),
            ("Catches up in", self.catch_up.text()),
            ("Output buffer", self.output_buffer.text()),
            ("Full sync", self.full_sync.text()),
            ("Writes provable for", self.evidence.text()),
        ];
        let mut known = Vec::new();
        for (name, text) in all {
            known.extend(text.map(|text| (name, text)));
        }
        known
    }
}

/// The first of these reasons, as a sentence.
fn reason(reasons: &[Option<NoForecast>]) -> Option<String> {
    let first = reasons.iter().flatten().next()?;
    Some(first.sentence().to_owned())
}

/// `~5 min 0 s`.
fn about(seconds: f64) -> String {
    format!("~{}", seconds_text(seconds))
}

impl HeadroomReport {
    fn new(headroom: Headroom) -> Self {
        Self {
            expected_seconds: seconds(headroom.expected.ok()),
            worst_seconds: seconds(headroom.worst.ok()),
            history_seconds: seconds(headroom.history),
            reason: reason(&[headroom.expected.err(), headroom.worst.err()]),
        }
    }

    /// `~5 min (1 min 10 s at the fastest writes of the last 26 h)`.
    fn text(&self) -> Option<String> {
        let expected = self.expected_seconds.map(about);
        let worst = self.worst_seconds.map(|worst| {
            let history = self.history_seconds.map(seconds_text).unwrap_or_default();
            format!(
                "{} at the fastest writes of the last {history}",
                seconds_text(worst)
            )
        });
        match (expected, worst) {
            (Some(expected), Some(worst)) => Some(format!("{expected} ({worst})")),
            (one, other) => one.or(other),
        }
    }
}

impl CatchUpReport {
    fn new(catch_up: CatchUp) -> Self {
        Self {
            seconds: seconds(catch_up.expected.ok()),
            earliest_seconds: seconds(catch_up.earliest),
            latest_seconds: seconds(catch_up.latest),
            reason: reason(&[catch_up.expected.err()]),
        }
    }

    /// `~40 s (35 s to 47 s)`, or only the range and why there is no single time.
    fn text(&self) -> Option<String> {
        let expected = self.seconds.map(about);
        match (expected, self.range(), &self.reason) {
            (Some(expected), Some(range), _) => Some(format!("{expected} ({range})")),
            (None, Some(range), Some(reason)) => Some(format!("{range}: {reason}")),
            // An older exporter has no range.
            (expected, range, _) => expected.or(range),
        }
    }

    fn range(&self) -> Option<String> {
        let earliest = seconds_text(self.earliest_seconds?);
        let range = match self.latest_seconds.map(seconds_text) {
            Some(latest) => format!("{earliest} to {latest}"),
            None => format!("{earliest} or much later"),
        };
        Some(range)
    }
}

impl OutputBufferReport {
    fn new(buffer: Result<OutputBuffer, NoForecast>) -> Self {
        let buffer = match buffer {
            Ok(buffer) => buffer,
            Err(why) => {
                return Self {
                    reason: reason(&[Some(why)]),
                    ..Self::default()
                };
            }
        };
        Self {
            bytes: Some(buffer.size.get()),
            hard_limit_bytes: bytes(buffer.hard),
            soft_limit_bytes: bytes(buffer.soft),
            full_ratio: buffer.full.ok().map(Share::as_f64),
            disconnect_seconds: seconds(buffer.disconnect_in.ok()),
            reason: reason(&[buffer.full.err(), buffer.disconnect_in.err()]),
        }
    }

    /// `12.0 MiB, 19 % of its limit; the master drops the link in ~20 s`.
    fn text(&self) -> Option<String> {
        let mut text = bytes_text(Some(self.bytes?));
        if let Some(full) = self.full_ratio {
            text += &format!(", {:.0} % of its limit", full * 100.0);
        }
        if let Some(left) = self.disconnect_seconds {
            text += &format!("; the master drops the link in {}", about(left));
        }
        Some(text)
    }
}

impl FullSyncReport {
    fn new(sync: Result<SyncForecast, NoForecast>, attempts: u32) -> Self {
        let sync = match sync {
            Ok(sync) => sync,
            Err(why) => {
                return Self {
                    reason: reason(&[Some(why)]),
                    attempts,
                    ..Self::default()
                };
            }
        };
        let progress = sync.progress;
        Self {
            read_bytes: bytes(progress.read),
            total_bytes: bytes(progress.total.or(progress.expected)),
            total_is_estimate: progress.total.is_none() && progress.expected.is_some(),
            bytes_per_second: bytes(progress.rate),
            transfer_seconds: seconds(sync.transferred_in.ok()),
            attempts,
            reason: reason(&[sync.transferred_in.err()]),
        }
    }

    /// `transferred in ~28 s`, and which attempt it is.
    fn text(&self) -> Option<String> {
        let left = self.transfer_seconds.map(about);
        let left = left.map(|left| format!("transferred in {left}"));
        let attempts = (self.attempts > 1)
            .then(|| format!("attempt {} since the replica last streamed", self.attempts));
        match (left, attempts) {
            (Some(left), Some(attempts)) => Some(format!("{left}, {attempts}")),
            (one, other) => one.or(other),
        }
    }
}

impl EvidenceReport {
    fn new(evidence: Result<EvidenceLeft, NoForecast>) -> Self {
        let left = evidence.ok();
        Self {
            seconds: seconds(left.map(|left| left.lasts)),
            ended_by: left.map(|left| left.end.label().to_owned()),
            reason: reason(&[evidence.err()]),
        }
    }

    /// `48 min, until newer writes push them out of the backlog`.
    fn text(&self) -> Option<String> {
        let seconds = seconds_text(self.seconds?);
        let end = EvidenceEnd::parse(self.ended_by.as_deref()?)?;
        Some(format!("{seconds}, until {}", end.sentence()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bytes, Span};
    use crate::report::testing::{Scene, fleet};

    #[test]
    fn what_is_not_known_has_a_reason() {
        let (fleet, now) = fleet(Scene::NothingYet);
        let pair = &fleet.pairs[0];
        let report = ForecastReport::new(pair, &pair.assess(now), now);
        assert_eq!(report.known(), []);
        let reasons = [
            report.backlog_headroom.reason,
            report.catch_up.reason,
            report.output_buffer.reason,
            report.full_sync.reason,
            report.evidence.reason,
        ];
        assert!(reasons.iter().all(Option::is_some), "{reasons:?}");
    }

    #[test]
    fn predictions_read_as_ends_of_sentences() {
        let secs = Span::from_secs;
        let headroom = Headroom {
            bytes: Ok(Bytes::new(1 << 20)),
            expected: Ok(secs(300)),
            worst: Ok(secs(40)),
            history: Some(secs(7200)),
        };
        let text = HeadroomReport::new(headroom).text().unwrap();
        assert!(
            text.starts_with('~') && text.contains("at the fastest writes of the last"),
            "{text}"
        );
        let buffer = OutputBuffer {
            size: Bytes::new(12 << 20),
            hard: Some(Bytes::new(256 << 20)),
            soft: Some(Bytes::new(64 << 20)),
            full: Ok(Share::from_parts(Bytes::new(12), Bytes::new(64))),
            disconnect_in: Err(NoForecast::NotGrowing),
        };
        let report = OutputBufferReport::new(Ok(buffer));
        assert_eq!(report.text().unwrap(), "12.0 MiB, 19 % of its limit");
        assert_eq!(
            report.reason.as_deref(),
            Some(NoForecast::NotGrowing.sentence())
        );
        let mut catch_up = CatchUp {
            expected: Ok(secs(40)),
            earliest: Some(secs(36)),
            latest: Some(secs(44)),
        };
        let text = |catch_up| CatchUpReport::new(catch_up).text().unwrap();
        assert_eq!(text(catch_up), "~40.0 s (36.0 s to 44.0 s)");
        catch_up.expected = Err(NoForecast::Uneven);
        assert_eq!(
            text(catch_up),
            "36.0 s to 44.0 s: the master writes too unevenly for one number"
        );
        catch_up.latest = None;
        assert!(text(catch_up).starts_with("36.0 s or much later: "));
        let evidence = EvidenceReport::new(Ok(EvidenceLeft {
            lasts: secs(60),
            end: EvidenceEnd::Backlog,
        }));
        assert!(
            evidence
                .text()
                .unwrap()
                .ends_with("until newer writes push them out of its backlog")
        );
    }
}
