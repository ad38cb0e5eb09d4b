//! What an operation is meant to do: written to its journal before anything is done.

use serde::{Deserialize, Serialize};

use super::addr_text;
use super::hook_names::HookNames;
use super::refusal::RefusalName;
use super::token::Token;
use super::unshared::Copied;
use super::view::{Said, ServerView};
use super::watch::SentinelIntent;
use crate::model::{ReplicationId, ServerAddr, Span, closed_set, serde_as_label};

closed_set! {
    /// What is done.
    pub enum OperationKind {
        /// A healthy master and one of its replicas change places.
        SwitchOver => "switch-over",
        /// A replica takes over from a master that is lost.
        Disaster => "disaster",
        /// A server that was a master becomes a replica of the one that took over.
        Rejoin => "rejoin",
        /// A master becomes a replica of one that cannot be reached from here, and a token says
        /// where its stream has ended.
        HandOver => "hand-over",
        /// A replica that has exactly what a token says becomes the master.
        TakeOver => "take-over",
    }
}

serde_as_label!(OperationKind);

impl OperationKind {
    /// Whether somebody has chosen its hour: what it causes is nobody's emergency.
    pub const fn is_planned(self) -> bool {
        !matches!(self, Self::Disaster)
    }

    /// Whether another server is the master afterwards.
    pub const fn changes_master(self) -> bool {
        !matches!(self, Self::Rejoin)
    }

    /// Whether the old master is asked and told anything.
    pub const fn reaches_old(self) -> bool {
        !matches!(self, Self::TakeOver)
    }

    /// Whether the target is asked and told anything.
    pub const fn reaches_target(self) -> bool {
        !matches!(self, Self::HandOver)
    }
}

/// One server of an operation, as it was when the plan was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Party {
    /// Where it listens, as the configuration has it: other servers follow it under this address.
    #[serde(with = "addr_text")]
    pub addr: ServerAddr,
    /// Its datacenter.
    pub dc: String,
    /// The run of its process; `None` where it did not answer.
    pub run_id: Option<String>,
    /// Its history; `None` where it did not answer.
    pub replid: Option<ReplicationId>,
}

/// How long and how much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest time for which writes may wait before the old master is given up to.
    pub max_pause: Span,
    /// How long the target may take to come close before writes are paused.
    pub drain: Span,
    /// How long the old master may take to follow the new one before that is opened.
    pub verify: Span,
    /// How long everything may take to settle afterwards.
    pub settle: Span,
    /// Whether the new master takes writes as soon as it is promoted.
    pub open_at_once: bool,
    /// How long a pause of writes lasts unless it is renewed: if the controller dies, writes go on
    /// by themselves after it.
    #[serde(default = "ordinary_lease")]
    pub lease: Span,
}

/// The intent of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The operation's name.
    pub id: String,
    /// What is done.
    pub kind: OperationKind,
    /// The pair.
    pub pair: String,
    /// The master that is replaced; of a rejoin the server that returns.
    pub old: Party,
    /// The server that becomes the master; of a rejoin the one that is.
    pub target: Party,
    /// The address under which the target followed the old master, which leads back to it.
    #[serde(with = "addr_text")]
    pub old_for_target: ServerAddr,
    /// The replicas that follow the target afterwards.
    pub followers: Vec<Party>,
    /// How long and how much.
    pub limits: Limits,
    /// Whether writes can be paused (`CLIENT PAUSE ... WRITE`, Redis 6.2).
    pub can_pause: bool,
    /// Bytes of writes that only the returning server has and that may be lost; `None` for none.
    pub discard: Option<u64>,
    /// The file that holds what is overwritten; `None` where nothing is, or it is given up.
    #[serde(default)]
    pub saved_in: Option<String>,
    /// The copy of the returning server that counts as saved; `None` where there is none.
    #[serde(default)]
    pub copied: Option<Copied>,
    /// What is done before and after it.
    #[serde(default)]
    pub hooks: HookNames,
    /// How it goes over the Sentinels; `None` where none watch the pair.
    #[serde(default)]
    pub sentinel: Option<SentinelIntent>,
    /// What the target of a take-over has to have; `None` for everything else.
    #[serde(default)]
    pub token: Option<Token>,
    /// The fingerprint of the plan.
    pub fingerprint: String,
    /// Refusals that a person has overridden, each with what they said.
    pub overridden: Vec<String>,
    /// What would be lost, as it was stated in the plan; for a disaster only.
    pub stated_loss: Option<String>,
}

impl Limits {
    /// The same under Sentinels that take a master for down after `down_after`: the Sentinels' own
    /// commands wait, too, so writes may wait for half of that, and so may a pause that a dead
    /// controller leaves.
    #[must_use]
    pub fn within(mut self, down_after: Span) -> Self {
        let half = down_after.mul_f64(0.5);
        self.max_pause = self.max_pause.min(half);
        self.lease = self.lease.min(half);
        self
    }
}

impl Intent {
    /// Whether the target's writes wait from before its promotion until the old master is proved to
    /// follow it. Sentinels promote it when they get to it, and `--open-at-once` does without.
    pub(super) fn holds_target(&self) -> bool {
        self.can_pause && self.sentinel.is_none() && !self.limits.open_at_once
    }

    /// Whether a person has stated how the old master is fenced, although it is alive.
    pub(super) fn states_fence(&self) -> bool {
        let name = RefusalName::MasterAlive.label();
        self.overridden.iter().any(|said| said.starts_with(name))
    }
}

impl Party {
    /// The server as it is now.
    pub fn from_view(view: &ServerView) -> Self {
        let said = view.said();
        Self {
            addr: view.addr.clone(),
            dc: view.dc.to_string(),
            run_id: said.map(|said| said.run_id.clone()),
            replid: said.map(|said| said.replid.clone()),
        }
    }

    /// Whether `said` comes from the same run of the process.
    pub fn is_same_run(&self, said: &Said) -> bool {
        self.run_id.as_ref() == Some(&said.run_id)
    }

    /// Its address and datacenter, for people.
    pub fn name(&self) -> String {
        format!("{} ({})", self.addr, self.dc)
    }
}

const fn ordinary_lease() -> Span {
    Span::from_secs(2)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pause: Span::from_secs(5),
            drain: Span::from_secs(60),
            verify: Span::from_secs(2),
            settle: Span::from_secs(60),
            open_at_once: false,
            lease: ordinary_lease(),
        }
    }
}
