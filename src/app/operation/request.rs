//! What is asked for, and what comes of it.

use std::path::PathBuf;

use super::vantage::ExporterView;
use super::world::Hands;
use crate::config::HookSettings;
use crate::model::{Bytes, PairName, ServerAddr, Span};
use crate::operation::{
    Assessment, DeathEvidence, Intent, Limits, Loss, Overrides, Plan, RefusalName, Wanted,
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct OperationRequest {
    /// The pair.
    pub pair: PairName,
    /// The replica that becomes the master; `None` where there is only one.
    pub to: Option<ServerAddr>,
    /// Which failover; of a return the switch-over that follows it.
    pub wanted: Wanted,
    /// How long and how much.
    pub limits: Limits,
    /// The most time that may be lost.
    pub max_loss: Span,
    /// The most bytes that may be lost.
    pub max_loss_bytes: Bytes,
    /// What was decided beforehand.
    pub overrides: Overrides,
    /// The fingerprint of the plan that was agreed to.
    pub plan: Option<String>,
    /// What exporters say; the local one first.
    pub exporters: Vec<ExporterView>,
    /// Folders with files of lost writes: what one of them holds as a whole may be overwritten.
    pub saved_in: Vec<PathBuf>,
}

/// Why there is no assessment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The request does not fit the configuration.
    #[error("{0}")]
    Usage(String),
}

/// An operation that can be carried out, or the reasons why not.
pub struct Prepared {
    /// What it is meant to do.
    pub intent: Intent,
    /// The steps.
    pub plan: Plan,
    /// Refusals, overrides and notes.
    pub assessment: Assessment,
    /// Whether the master is dead; for a disaster.
    pub evidence: DeathEvidence,
    /// What would be lost; for a disaster.
    pub loss: Option<Loss>,
    /// When the old master last answered an exporter, in Unix seconds.
    pub last_answer: Option<f64>,
    /// The memory that the returning server's data take, where it says so.
    pub(super) returning_memory: Option<Bytes>,
    pub(super) hands: Hands,
    /// What is done beside the servers.
    pub(super) hooks: HookSettings,
}

impl Prepared {
    /// Whether nothing is in the way but writes that only the returning server has: a copy of it
    /// would remove that.
    pub fn needs_only_a_copy(&self) -> bool {
        let refusals = &self.assessment.refusals;
        let mut names = refusals.iter().map(|refusal| refusal.name);
        !refusals.is_empty() && names.all(|name| name == RefusalName::UnsavedWrites)
    }
}
