//! Why an operation is refused: a closed set, each with what was seen, what would follow, what to
//! do and, where there is one, the flag that overrides it.

use serde::{Deserialize, Serialize};

use crate::model::{closed_set, serde_as_label};

closed_set! {
    /// The names of refusals.
    pub enum RefusalName {
        /// A node of a Redis Cluster.
        ClusterMode => "cluster-mode",
        /// A program whose offsets are not bytes of one stream, or which nobody can follow.
        UnsupportedEngine => "unsupported-engine",
        /// Another operation is under way.
        OperationInProgress => "operation-in-progress",
        /// The servers are not as they were when the plan was printed.
        PlanChanged => "plan-changed",
        /// The old master is silent, and no disaster was declared.
        MasterSilent => "master-silent",
        /// The target does not answer.
        TargetSilent => "target-silent",
        /// The target is no replica of the master.
        NotAReplica => "not-a-replica",
        /// Both are masters.
        SecondMaster => "second-master",
        /// The target's history is another one.
        NotOfThisHistory => "not-of-this-history",
        /// The target has less or more than the token says.
        TokenMismatch => "token-mismatch",
        /// The target has no data of the master.
        NeverSynced => "never-synced",
        /// The target is receiving a full sync.
        Syncing => "syncing",
        /// The target is loading its data.
        Loading => "loading",
        /// The link of the target is down although the master lives.
        LinkDown => "link-down",
        /// Nothing bounds what would be lost.
        UnknownLag => "unknown-lag",
        /// More time than allowed would be lost.
        MaxLoss => "max-loss",
        /// More bytes than allowed would be lost.
        MaxLossBytes => "max-loss-bytes",
        /// Another replica has more.
        AnotherIsAhead => "another-is-ahead",
        /// Somebody hears the master.
        MasterAlive => "master-alive",
        /// Too few see that the master is dead.
        NoProof => "no-proof",
        /// The Sentinels that manage the pair do what is asked for themselves, or cannot do it.
        SentinelManaged => "sentinel-managed",
        /// A Sentinel is in a state in which it would not do its part.
        SentinelBusy => "sentinel-busy",
        /// A replica does not say with which priority Sentinels choose it.
        UnknownPriority => "unknown-priority",
        /// Writes could wait for too short a time, or Sentinels would fail over.
        PauseTooLong => "pause-too-long",
        /// Sentinels that are not configured watch the master.
        SentinelWouldUndo => "sentinel-would-undo",
        /// Writes cannot be paused.
        FenceUnavailable => "fence-unavailable",
        /// A command that the plan needs is not permitted.
        RightsMissing => "rights-missing",
        /// The target would be useless once it is promoted.
        PromotionTrap => "promotion-trap",
        /// Writes that only the returning server has would be overwritten.
        UnsavedWrites => "unsaved-writes",
        /// The pair was failed over not long ago.
        TooSoon => "too-soon",
        /// The target runs an older version than the master.
        VersionSkew => "version-skew",
    }
}

serde_as_label!(RefusalName);

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its name.
    pub name: RefusalName,
    /// What was seen, as a sentence without a full stop.
    pub evidence: String,
    /// What would follow, as a sentence without a full stop.
    pub consequence: String,
    /// What removes the cause, as a sentence without a full stop, or as commands.
    pub remedy: String,
    /// The flag that overrides it; `None` where nothing does.
    pub flag: Option<String>,
}

impl Refusal {
    /// A refusal that nothing overrides.
    pub fn new(name: RefusalName, evidence: String, consequence: &str, remedy: &str) -> Self {
        Self {
            name,
            evidence,
            consequence: consequence.to_owned(),
            remedy: remedy.to_owned(),
            flag: None,
        }
    }

    /// The same with the flag that overrides it.
    #[must_use]
    pub fn overridden_by(mut self, flag: impl Into<String>) -> Self {
        self.flag = Some(flag.into());
        self
    }
}
