//! How far an audit is.

use std::sync::Arc;

use crate::model::closed_set;

closed_set! {
    /// What is asked, in this order.
    pub enum AuditStage {
        /// The Sentinels of the configuration, for their masters.
        Discovery => "Sentinels for their masters",
        /// The servers.
        Servers => "servers",
        /// The Sentinels that watch a master, how they do.
        Sentinels => "Sentinels how they watch",
    }
}

/// Called with what is asked, how many of them have answered or failed, and all of them.
pub type Progress = Arc<dyn Fn(AuditStage, usize, usize) + Send + Sync>;
