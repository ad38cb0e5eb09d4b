//! What will break before it breaks: how long the link may be cut, when a replica has caught up,
//! when a master drops a replica because of its output buffer, when a full sync ends, and for how
//! long the writes of a deposed master stay provable.
//!
//! Each prediction is a value or the reason why there is none ([`NoForecast`]). docs/foresight.md
//! explains them and has their scores.

mod catch_up;
mod evidence;
mod headroom;

use super::assess::{Assessment, Evidence};
use super::no_forecast::NoForecast;
use super::output_buffer::OutputBuffer;
use super::state::{PairState, SyncProgress};
use crate::model::{Span, Timestamp};

pub use catch_up::CatchUp;
pub use evidence::{EvidenceEnd, EvidenceLeft, evidence_left};
pub use headroom::{Headroom, LONGEST_HEADROOM, Writes};

/// What is expected of a pair at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// How long the link may be cut before a full resync.
    pub headroom: Headroom,
    /// How long until the replica has everything.
    pub catch_up: CatchUp,
    /// The direct master's output buffer for the replica.
    pub output_buffer: Result<OutputBuffer, NoForecast>,
    /// The full sync that is under way.
    pub full_sync: Result<SyncForecast, NoForecast>,
    /// For how long the writes of a deposed master stay provable.
    pub evidence: Result<EvidenceLeft, NoForecast>,
}

/// A full sync that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncForecast {
    /// How far it is.
    pub progress: SyncProgress,
    /// How long until everything is transferred; the replica loads it after that.
    pub transferred_in: Result<Span, NoForecast>,
}

/// What is expected of a pair at `now`: `seen` is what is true of it then, `writes` what its master
/// has written.
pub fn forecast(
    evidence: Evidence<'_>,
    seen: &Assessment,
    writes: &Writes,
    now: Timestamp,
) -> Forecast {
    let pair = evidence.pair;
    Forecast {
        headroom: Headroom::new(pair.backlog_size, seen, writes, now),
        catch_up: CatchUp::new(&pair.forecast, seen, writes, now),
        output_buffer: pair.output_buffer(now),
        full_sync: full_sync(evidence, seen, now),
        evidence: evidence_left(evidence, now),
    }
}

/// The full sync that is under way.
fn full_sync(
    evidence: Evidence<'_>,
    seen: &Assessment,
    now: Timestamp,
) -> Result<SyncForecast, NoForecast> {
    let link = &evidence.pair.link;
    let is_shown = matches!(seen.state, PairState::FullSync | PairState::NeverSynced);
    if !is_shown || !link.syncing {
        return Err(NoForecast::NoFullSync);
    }
    let progress = link.sync_progress(now);
    let left = progress.left().ok_or(NoForecast::SizeUnknown);
    Ok(SyncForecast {
        progress,
        transferred_in: left,
    })
}
