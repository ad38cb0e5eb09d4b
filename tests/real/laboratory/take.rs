//! What one run of a scenario left behind: all that scores are made from.

use redis_cross_dc_exporter::model::Timestamp;

use super::peer::PeerReading;
use super::scraper::Sample;
use super::truth::Record;

/// One run of a scenario.
#[derive(Clone, Debug)]
pub(super) struct Take {
    pub(super) record: Record,
    pub(super) samples: Vec<Sample>,
    /// When the webhook reported that the lag's alert fires.
    pub(super) hooks: Vec<Timestamp>,
    /// The values of the other exporter.
    pub(super) peer: Vec<PeerReading>,
    /// From when to when no number can be known.
    pub(super) excused: Vec<(Timestamp, Timestamp)>,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
}

impl Take {
    /// Whether no number can be known at `at`.
    pub(super) fn is_excused(&self, at: Timestamp) -> bool {
        self.excused
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&at))
    }
}
