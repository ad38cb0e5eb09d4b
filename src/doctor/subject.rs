//! What a rule sees: one server of an entry, and the others.

use super::facts::{Gap, ServerAudit, ServerFacts};
use super::finding::Problem;
use crate::info::{Role, SentinelWatch};
use crate::model::{Datacenter, PairName, ServerAddr, Span, WallTime};

/// Everything that was collected of one entry: a master, its replicas and its Sentinels.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryAudit {
    /// The entry's name.
    pub name: PairName,
    /// The master, as the servers themselves say it.
    pub master: ServerAudit,
    /// The others.
    pub replicas: Vec<ServerAudit>,
    /// The Sentinels that watch the master; none where there are none, or none are configured.
    pub sentinels: Vec<SentinelAudit>,
    /// The risks of where these run, a sentence each; `None` where that is not known.
    pub placement_risks: Option<Vec<String>>,
    /// The datacenter that this program runs in, where the configuration says so.
    pub own_dc: Option<Datacenter>,
    /// When its last drill passed, in Unix seconds; `None` where this machine knows of none.
    pub last_drill: Result<Option<f64>, Gap>,
}

/// One Sentinel, and how it watches the entry's master.
#[derive(Clone, Debug, PartialEq)]
pub struct SentinelAudit {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Its datacenter.
    pub dc: Datacenter,
    /// What it calls the master.
    pub master_name: String,
    /// What it said, or why it said nothing, as a sentence without a full stop.
    pub watch: Result<SentinelWatch, String>,
    /// The shortest time in which it answered.
    pub round_trip: Option<Span>,
}

/// What the audit is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditOptions {
    /// The interruption that replication has to survive without a full sync.
    pub survive: Span,
    /// Now.
    pub now: WallTime,
}

/// A server whose facts a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// All of its entry.
    pub(super) entry: &'a EntryAudit,
    /// The server.
    pub(super) server: &'a ServerAudit,
    /// Its facts.
    pub(super) facts: &'a ServerFacts,
    /// What the audit is asked for.
    pub(super) options: AuditOptions,
}

/// What a rule found; nothing where all is well.
pub(super) type Verdict = Result<Vec<Problem>, Gap>;

/// The rule of a check: what is wrong with one server of an entry.
pub(super) type Rule = fn(&Subject<'_>) -> Verdict;

impl EntryAudit {
    /// The entry in the roles that its servers report: where one of them alone is a master, it is
    /// the master, whatever is configured; also when the configured one does not answer.
    #[must_use]
    pub fn in_observed_roles(mut self) -> Self {
        if self.master.role() == Some(Role::Master) {
            return self;
        }
        let is_master = |server: &&mut ServerAudit| server.role() == Some(Role::Master);
        let mut masters: Vec<_> = self.replicas.iter_mut().filter(is_master).collect();
        if let [only] = &mut masters[..] {
            std::mem::swap(&mut self.master, only);
        }
        self
    }

    /// Whether a Sentinel watches the master.
    pub fn has_sentinels(&self) -> bool {
        !self.sentinels.is_empty()
    }
}

impl<'a> Subject<'a> {
    /// The master's facts.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn master(&self) -> Result<&'a ServerFacts, Gap> {
        self.entry.master.facts()
    }

    /// `command` on this server, for the place of a measurement.
    pub(super) fn on_server(&self, command: &str) -> String {
        format!("{command} on {}", self.server.addr)
    }

    /// `command` on this server and on the master.
    pub(super) fn on_both(&self, command: &str) -> String {
        format!(
            "{command} on {} and {}",
            self.server.addr, self.entry.master.addr
        )
    }
}
