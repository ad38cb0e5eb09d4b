//! Replication: offsets become time, time becomes lag, and evidence becomes a state.
//!
//! Pure: no clock, no IO. docs/lag.md explains the method for a reader who runs Redis.

mod ack;
mod assess;
mod beat;
mod counter;
mod epochs;
mod gap;
mod history;
mod lag;
mod loss;
mod pair;
mod rtt;
mod saved;
mod server;
mod silent;
mod stall;
mod state;
#[cfg(test)]
pub(crate) mod testing;
mod trouble;

pub use ack::{Ack, ReplicaIdentity, ack_of};
pub use assess::{Assessment, Diverged, Evidence, assess};
pub use beat::{Beat, BeatFacts};
pub use counter::{MinuteMax, RestartProofCounter};
pub use epochs::{
    Comparison, EpochRecord, HistoryRecord, MasterHistory, MasterNews, MasterSample, TailRecord,
};
pub use gap::{Gap, Pause};
pub use history::{
    Bracket, Contradiction, Footprint, HistoryLimits, Inserted, OffsetHistory, Plateau, Point,
};
pub use lag::{LagBytes, LagInterval};
pub use loss::{Applied, HistoryLoss, Kept, LOSS_SHOWN_FOR, Lineage, MasterLook, ReplicaCopy};
pub use pair::{
    AckEvidence, Acked, Heard, LastKnown, LinkFacts, Located, LocatedRecord, LostRecord, PairFacts,
    PairRecord, PairTracker, Quiet, Relation, Split,
};
pub use rtt::MinRtt;
pub use saved::{SavedState, ServerRecord, ToSave};
pub use server::{Beginning, ServerFacts};
pub use stall::Stall;
pub use state::{PairState, StateReason, SyncProgress};
