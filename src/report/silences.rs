//! Silences in a report, and the request that creates one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::servers::ExporterReport;
use crate::alert::{AlertStatus, MutedBy, NewSilence, SilenceRecord, SilenceState};
use crate::model::{Timestamp, WallTime};
use crate::monitor::FleetSnapshot;

/// Every silence and every open maintenance window: the answer of `/api/v1/silences`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilencesReport {
    /// Active ones first, then pending, then those that expired within a day.
    pub silences: Vec<SilenceReport>,
    /// The names of the maintenance windows that are open.
    pub maintenance: Vec<String>,
    /// The exporter that made the report, and when.
    pub exporter: ExporterReport,
}

/// One silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilenceReport {
    /// Its ID.
    pub id: String,
    /// `active`, `pending` or `expired`.
    pub state: String,
    /// Labels and the globs that all of them have to match.
    pub matchers: BTreeMap<String, String>,
    /// When it begins.
    pub starts_timestamp: f64,
    /// When it ends.
    pub ends_timestamp: f64,
    /// Who created it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// How many firing alerts it mutes now.
    pub alerts: usize,
}

/// The body of a request that creates a silence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// Labels and the globs (`*`, `?`) that all of them have to match.
    pub matchers: BTreeMap<String, String>,
    /// When it begins, in Unix seconds; without this, at once.
    #[serde(default)]
    pub starts_timestamp: Option<f64>,
    /// When it ends, in Unix seconds.
    #[serde(default)]
    pub ends_timestamp: Option<f64>,
    /// How long it lasts from its beginning, instead of an end.
    #[serde(default)]
    pub duration_seconds: Option<f64>,
    /// Who creates it.
    pub author: String,
    /// Why.
    pub comment: String,
}

/// The answer when a silence was created or expired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilenceMade {
    /// Its ID.
    pub id: String,
    /// A warning that it matches nothing that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl SilencesReport {
    /// The silences at `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let mut silences = Vec::new();
        for (state, record) in &*fleet.silences {
            silences.push(SilenceReport::new(fleet, *state, record));
        }
        Self {
            silences,
            maintenance: fleet.maintenance.iter().map(ToString::to_string).collect(),
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl SilenceReport {
    fn new(fleet: &FleetSnapshot, state: SilenceState, record: &SilenceRecord) -> Self {
        let this = MutedBy::Silence(record.id.clone());
        let mut muted = 0;
        for listed in &*fleet.alerts {
            let is_firing = listed.alert.status == AlertStatus::Firing;
            if is_firing && listed.alert.muted_by.as_ref() == Some(&this) {
                muted += 1;
            }
        }
        Self {
            id: record.id.to_string(),
            state: state.label().to_owned(),
            matchers: record.matchers.clone(),
            starts_timestamp: record.starts.as_secs_f64(),
            ends_timestamp: record.ends.as_secs_f64(),
            author: record.author.clone(),
            comment: record.comment.clone(),
            alerts: muted,
        }
    }
}

impl SilenceRequest {
    /// The silence that is asked for at `now`.
    ///
    /// # Errors
    /// A sentence, where the request has neither an end nor a duration, or both.
    pub fn into_new(self, now: WallTime) -> Result<NewSilence, String> {
        let starts = self.starts_timestamp.map(wall);
        Ok(NewSilence {
            starts,
            ends: self.ends(starts.unwrap_or(now))?,
            matchers: self.matchers,
            author: self.author,
            comment: self.comment,
        })
    }

    /// When a silence ends that begins at `starts`.
    fn ends(&self, starts: WallTime) -> Result<WallTime, String> {
        match (self.ends_timestamp, self.duration_seconds) {
            (Some(ends), None) => Ok(wall(ends)),
            (None, Some(lasts)) => Ok(wall(starts.as_secs_f64() + lasts)),
            _ => Err("give either ends_timestamp (Unix seconds) or duration_seconds".to_owned()),
        }
    }
}

/// An instant of the wall clock. What does not fit saturates.
#[allow(clippy::cast_possible_truncation)] // `as` saturates, which is the documented result
fn wall(seconds: f64) -> WallTime {
    WallTime::from_nanos((seconds * 1e9) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> Result<NewSilence, String> {
        let request: SilenceRequest =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        request.into_new(WallTime::from_nanos(1_000_000_000_000))
    }

    #[test]
    fn a_silence_lasts_from_now_or_from_its_beginning() {
        let rest = r#""matchers": {"pair": "a*"}, "author": "me", "comment": "c""#;
        let ends =
            |more: &str| request(&format!("{{{rest}, {more}}}")).map(|new| new.ends.as_secs_f64());
        assert_eq!(ends(r#""duration_seconds": 60"#), Ok(1060.0));
        assert_eq!(
            ends(r#""starts_timestamp": 2000, "duration_seconds": 60"#),
            Ok(2060.0)
        );
        assert_eq!(ends(r#""ends_timestamp": 5000.5"#), Ok(5000.5));
        let both = ends(r#""ends_timestamp": 5000, "duration_seconds": 60"#);
        assert_eq!(
            both,
            Err("give either ends_timestamp (Unix seconds) or duration_seconds".to_owned())
        );
        assert!(
            ends(r#""ends": 5000"#)
                .unwrap_err()
                .contains("unknown field `ends`")
        );
        assert_eq!(
            ends(r#""duration_seconds": 1e300"#).map(|ends| ends > 1e9),
            Ok(true)
        );
    }
}
