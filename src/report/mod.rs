//! Reports on the fleet: what JSON, the page and `check` show, in one form that is written as JSON
//! and read back by `check`.
//!
//! Pure: a function of a [`FleetSnapshot`](crate::monitor::FleetSnapshot) and `now`. A value that
//! is not known is `None`, which is `null` in JSON; no number means "unknown".
//! Seconds are numbers with a fraction, `*_timestamp` are Unix seconds, `*_bytes` are whole bytes.

mod active_active;
mod alert_brief;
mod alerts;
mod clusters;
mod deliveries;
mod discovery;
mod doctor;
mod failovers;
mod history;
mod last_known;
mod level;
mod links;
mod live;
mod lost_writes;
mod numbers;
mod operations;
mod pairs;
mod reload;
mod sentinels;
mod servers;
mod silences;
mod targets;
mod text;
mod thresholds;
mod would_silence;

#[cfg(test)]
pub(crate) mod testing;

pub use active_active::{
    ActiveActiveReport, ClockReport, CountReport, DifferingKeyReport, DirectionReport,
    LastPassReport, PassReport, QueueReport, RiskReport, SiteReport, SitesReport, WritesReport,
};
pub use alert_brief::AlertBrief;
pub use alerts::{
    AlertReport, AlertsReport, DecisionReport, InhibitorReport, ListedState, ValueUnit,
};
pub use clusters::{ClusterNodeReport, ClusterReport};
pub use deliveries::{
    DeadLetterReport, DeliveriesReport, DeliveryReport, ReceiverReport, ReplayReport,
    SubjectReport, WaitingReport,
};
pub use discovery::{DiscoveryReport, NamesReport, PairFileReport, ResolvedNameReport};
pub use doctor::{DoctorBegan, DoctorStatusReport, MasterWritesReport, WritePeakReport};
pub use failovers::{FailoverReport, FailoversReport};
pub use history::{ChangeReport, HistoryReport, PointReport};
pub use last_known::LastKnownReport;
pub use level::{Level, LevelReason};
pub use links::{LinkReport, Summary};
pub use live::{JournalEntryReport, LivePair, LiveReport};
pub use lost_writes::LostWritesReport;
pub use operations::{OperationNoted, OperationStatus, OperationsReport};
pub use pairs::{
    CatchUpReport, EvidenceReport, ForecastReport, FullSyncReport, HeadroomReport,
    OutputBufferReport, PairReport, PairsReport,
};
pub use reload::ReloadReport;
pub use sentinels::{SentinelReport, SentinelsReport};
pub use servers::{ExporterReport, ServerReport, stuck_for};
pub use silences::{SilenceMade, SilenceReport, SilenceRequest, SilencesReport};
pub use targets::TargetGroup;
pub use text::{
    amount_at_least_text, amount_text, at_least_bytes_text, at_least_text, at_most_bytes_text,
    at_most_text, bytes_text, lag_text, seconds_text, utc_text, visible_line, visible_text,
};
pub use thresholds::{Levels, Thresholds};
pub use would_silence::WouldSilence;
