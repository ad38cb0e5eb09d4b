//! Replication: turns polled offsets into lag in seconds and bytes, and what is known of a pair
//! into its state.
//!
//! Pure: no clock, no IO. docs/lag.md explains the method for people who run Redis.

mod ack;
mod assess;
mod counter;
mod drain;
mod epochs;
mod failed_polls;
mod forecast;
mod gap;
mod heartbeat;
mod history;
mod lag;
mod loss;
mod no_forecast;
mod output_buffer;
mod pair;
mod rtt;
mod saved;
mod server;
mod split;
mod stall;
mod state;
#[cfg(test)]
pub(crate) mod testing;
mod trend;
mod write_course;
mod write_peaks;

pub use ack::{Ack, ReplicaIdentity, find_ack};
pub use assess::{Assessment, Diverged, Evidence, assess};
pub use counter::{MinuteMax, RestartProofCounter};
pub use drain::DrainSpeed;
pub use epochs::{
    Comparison, DeltaRecord, EpochRecord, HistoryChange, HistoryRecord, MasterHistory, MasterSample,
};
pub use forecast::{
    CatchUp, EvidenceEnd, EvidenceLeft, Forecast, Headroom, LONGEST_HEADROOM, SyncForecast, Writes,
    evidence_left, forecast,
};
pub use gap::{Gap, Pause};
pub use heartbeat::{HeartbeatFacts, ReceivedHeartbeat};
pub use history::{
    Bracket, Contradiction, Footprint, HistoryLimits, Inserted, OffsetHistory, Plateau, Point,
};
pub use lag::{LagBytes, LagInterval};
pub use loss::{
    Applied, HistoryLoss, HistoryRemnant, LOSS_SHOWN_FOR, Lineage, MasterPoll, ReplicaCopy,
};
pub use no_forecast::NoForecast;
pub use output_buffer::{BufferSample, OutputBuffer};
pub use pair::{
    AckArrival, AckEvidence, Acked, BufferAnswer, ForecastFacts, LastKnown, LinkFacts, LinkIdle,
    LinkLossRecord, Located, LocatedRecord, NoMasterAnswer, PairFacts, PairRecord, PairTracker,
    Relation,
};
pub use rtt::MinRtt;
pub use saved::{SavedState, ServerRecord, ToSave};
pub use server::{BacklogFacts, HistoryStart, ServerFacts};
pub use split::Split;
pub use stall::Stall;
pub use state::{PairState, StateReason, SyncProgress};
pub use write_course::WriteCourse;
pub use write_peaks::PeakTable;
