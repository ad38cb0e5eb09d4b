//! The assessment: every refusal by its name, before anything is done.

mod sentinels;
mod two_sites;

use serde::{Deserialize, Serialize};

use crate::doctor::{Finding, FindingSeverity};
use crate::info::Role;
use crate::model::{Bytes, DoctorCheck, ServerAddr, Span};
use crate::operation::evidence::{DeathEvidence, Witness};
use crate::operation::intent::OperationKind;
use crate::operation::loss::Loss;
use crate::operation::overrides::{Discard, Overrides};
use crate::operation::refusal::{Refusal, RefusalName};
use crate::operation::token::Token;
use crate::operation::unshared::{Copied, SavedWrites, Unshared};
use crate::operation::view::{Said, ServerView};
use crate::operation::watch::SentinelView;
use sentinels::sentinel_would_undo;

/// The first version that pauses writes alone.
const PAUSES_WRITES_SINCE: (u32, u32) = (6, 2);

/// After a failover, another one within this time needs a decision.
pub const TOO_SOON: Span = Span::from_secs(3600);

/// Everything that the assessment looks at.
#[derive(Clone, Debug)]
pub struct Preflight<'a> {
    /// What is to be done.
    pub kind: OperationKind,
    /// The pair.
    pub pair: &'a str,
    /// The old master, or the returning server.
    pub old: &'a ServerView,
    /// The server that becomes, or is, the master.
    pub target: &'a ServerView,
    /// The other replicas.
    pub others: &'a [ServerView],
    /// What the Sentinels call the master, where they manage the pair.
    pub sentinel_name: Option<&'a str>,
    /// Those Sentinels.
    pub sentinels: &'a [SentinelView],
    /// Connections of Sentinels that the old master lists.
    pub sentinels_seen: usize,
    /// Names of operations whose connections the servers list.
    pub other_operations: &'a [String],
    /// What doctor found on the target.
    pub findings: &'a [Finding],
    /// Commands that are not permitted: where, which, and the server's words.
    pub missing_rights: &'a [(ServerAddr, String, String)],
    /// Whether the master is dead; for a disaster.
    pub evidence: &'a DeathEvidence,
    /// What would be lost; for a disaster.
    pub loss: Option<Loss>,
    /// The latest failover of the pair, and how long ago it ended.
    pub recent: Option<(String, Span)>,
    /// The most time that may be lost.
    pub max_loss: Span,
    /// The most bytes that may be lost.
    pub max_loss_bytes: Bytes,
    /// What was decided beforehand.
    pub overrides: &'a Overrides,
    /// Writes of the returning server that are in files already.
    pub saved: &'a [SavedWrites],
    /// A copy that holds everything that the returning server has.
    pub copied: Option<&'a Copied>,
    /// What the target has to have; of a take-over only.
    pub token: Option<&'a Token>,
}

/// What the assessment found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// Why it is refused; empty where the plan is safe.
    pub refusals: Vec<Refusal>,
    /// What would have refused it and was overridden.
    pub overridden: Vec<String>,
    /// What a person should know, a sentence each.
    pub notes: Vec<String>,
}

impl Preflight<'_> {
    /// Looks for every reason not to do it.
    pub fn assess(&self) -> Assessment {
        let mut found = Assessment::default();
        for refusal in self.general() {
            self.add(&mut found, refusal, None);
        }
        let specific = match self.kind {
            OperationKind::SwitchOver => self.switch_over(),
            OperationKind::Disaster => self.disaster(),
            OperationKind::Rejoin => self.rejoin(),
            OperationKind::HandOver => self.hand_over(),
            OperationKind::TakeOver => self.take_over(),
        };
        for refusal in specific {
            self.add(&mut found, refusal, None);
        }
        if self.kind.changes_master() && self.kind.reaches_target() {
            self.traps(&mut found);
        }
        found.notes.extend(self.of_two_sites());
        found
    }

    fn add(&self, found: &mut Assessment, refusal: Refusal, trap: Option<DoctorCheck>) {
        match self.overrides.allow(&refusal, trap) {
            Some(record) => found.overridden.push(record),
            None => found.refusals.push(refusal),
        }
    }

    /// What every kind of operation looks at.
    fn general(&self) -> Vec<Refusal> {
        let mut found = Vec::new();
        for server in [self.old, self.target] {
            found.extend(server.said().and_then(|said| engine(server, said)));
        }
        if let Some(name) = self.sentinel_name {
            found.extend(self.under_sentinels(name));
        } else if self.sentinels_seen > 0 {
            found.push(sentinel_would_undo(self.sentinels_seen, self.old));
        }
        if !self.other_operations.is_empty() {
            let names = self.other_operations.join(", ");
            found.push(Refusal::new(
                RefusalName::OperationInProgress,
                format!("a server lists a connection of another operation: {names}"),
                "two controllers would undo each other's steps",
                "wait until it has ended; on its machine: failover --status",
            ));
        }
        for (server, command, words) in self.missing_rights {
            found.push(Refusal::new(
                RefusalName::RightsMissing,
                format!("{server} does not permit {command}: {words}"),
                "the operation would stop half way",
                "give the operator's user the rights of docs/disaster-recovery.md",
            ));
        }
        for other in self.others.iter().filter(|other| other.is_master()) {
            found.push(Refusal::new(
                RefusalName::SecondMaster,
                format!("{} says that it is a master, too", other.addr),
                "it may have writes that nobody else has",
                "make it a replica by hand, once its writes are saved",
            ));
        }
        if let Some((id, ago)) = &self.recent {
            let refusal = Refusal::new(
                RefusalName::TooSoon,
                format!("the pair was failed over {ago} ago (operation {id})"),
                "if that did not help, another one may not help either",
                "find out why the last one was not enough",
            );
            found.push(refusal.overridden_by("--again"));
        }
        found
    }

    fn switch_over(&self) -> Vec<Refusal> {
        let mut found = Vec::new();
        let Some(old) = self.old.said() else {
            let why = self.old.said.as_ref().err().cloned().unwrap_or_default();
            found.push(Refusal::new(
                RefusalName::MasterSilent,
                format!("{} does not answer: {why}", self.old.addr),
                "nothing can be switched over without it, and what it has taken last may be lost",
                "if it is lost for good: failover --disaster",
            ));
            found.extend(self.target_fits(None));
            return found;
        };
        if old.role == Role::Replica {
            found.push(Refusal::new(
                RefusalName::NotAReplica,
                format!("{} is not a master itself", self.old.addr),
                "a switch-over changes the places of a master and its replica",
                "check shows who follows whom; an interrupted operation: failover --status",
            ));
            return found;
        }
        found.extend(self.target_fits(Some(old)));
        let target = self.target.said();
        found.extend(target.and_then(|target| self.fence(old, target)));
        found.extend(target.and_then(|target| version_skew(old, target)));
        found
    }

    /// Whether writes can be paused on both.
    fn fence(&self, old: &Said, target: &Said) -> Option<Refusal> {
        if pauses_writes(old) && pauses_writes(target) {
            return None;
        }
        let refusal = Refusal::new(
            RefusalName::FenceUnavailable,
            format!(
                "{} runs {} and {} runs {}: CLIENT PAUSE ... WRITE needs 6.2",
                self.old.addr, old.version, self.target.addr, target.version
            ),
            "writes get an error (READONLY) instead of waiting, and the link of the old master is \
             proved only after the new one is open",
            "upgrade both to Redis 6.2 or later",
        );
        Some(refusal.overridden_by("--unfenced"))
    }

    /// Whether the target is a replica with the master's data. Of a silent master nothing is known.
    fn target_fits(&self, old: Option<&Said>) -> Vec<Refusal> {
        let addr = &self.target.addr;
        let Ok(target) = &self.target.said else {
            let why = self.target.said.as_ref().err().cloned().unwrap_or_default();
            return vec![Refusal::new(
                RefusalName::TargetSilent,
                format!("{addr} does not answer: {why}"),
                "there is nothing to fail over to",
                "choose another replica with --to, or bring it back",
            )];
        };
        let Some(link) = &target.upstream else {
            return vec![self.target_is_master()];
        };
        let mut found = Vec::new();
        if link.applied <= 1 && !link.is_up && !self.has_synced(target) {
            found.push(never_synced(addr, target));
        }
        if link.syncing {
            found.push(Refusal::new(
                RefusalName::Syncing,
                format!("{addr} is receiving a full sync"),
                "its data are older than the sync that it receives, and are about to be replaced",
                "wait until the sync is complete",
            ));
        }
        if target.loading {
            found.push(Refusal::new(
                RefusalName::Loading,
                format!("{addr} is loading its data"),
                "it has only a part of them",
                "wait until it has loaded",
            ));
        }
        if let Some(old) = old {
            found.extend(self.of_one_history(old, target));
        }
        found
    }

    /// Whether another server has the target's history: then a full sync of it is complete, for the
    /// target took the history over with the data. Its offset is 0 or 1 until the master sends
    /// more.
    fn has_synced(&self, target: &Said) -> bool {
        let everyone = std::iter::once(self.old).chain(self.others);
        let mut said = everyone.filter_map(ServerView::said);
        said.any(|said| said.replid == target.replid)
    }

    fn of_one_history(&self, old: &Said, target: &Said) -> Option<Refusal> {
        let addr = &self.target.addr;
        let is_up = target.upstream.as_ref().is_some_and(|link| link.is_up);
        if old.replid != target.replid {
            return Some(Refusal::new(
                RefusalName::NotOfThisHistory,
                format!(
                    "{addr} has the history {}, the master {}",
                    target.replid, old.replid
                ),
                "its offsets say nothing about the master's writes",
                "choose a replica of this master with --to, or wait for its sync",
            ));
        }
        if is_up {
            return None;
        }
        Some(Refusal::new(
            RefusalName::LinkDown,
            format!("the link of {addr} to its master is down"),
            "it cannot become level with it",
            "repair the link: check says why it is down",
        ))
    }

    fn target_is_master(&self) -> Refusal {
        if self.old.is_master() {
            return Refusal::new(
                RefusalName::SecondMaster,
                format!(
                    "{} and {} are both masters",
                    self.old.addr, self.target.addr
                ),
                "each may have writes that the other lacks",
                &format!(
                    "failback --pair {} says what only the old one has, and brings it back",
                    self.pair
                ),
            );
        }
        Refusal::new(
            RefusalName::NotAReplica,
            format!("{} is a master already", self.target.addr),
            "there is nothing to promote",
            &format!(
                "to bring the other datacenter back: failback --pair {}",
                self.pair
            ),
        )
    }

    fn disaster(&self) -> Vec<Refusal> {
        let mut found = Vec::new();
        let heard: Vec<_> = self.evidence.alive();
        if !heard.is_empty() {
            let who = |witness: &&Witness| format!("{} ({})", witness.who, witness.what);
            let line: Vec<_> = heard.iter().map(who).collect();
            let refusal = Refusal::new(
                RefusalName::MasterAlive,
                format!("the master is heard by {}", line.join(", ")),
                "there would be two masters, and what the old one takes from now on would be lost",
                "a planned switch-over loses nothing: failover without --disaster",
            );
            found.push(refusal.overridden_by("--old-master-is-fenced HOW"));
        } else if !self.evidence.is_proof() {
            let refusal = Refusal::new(
                RefusalName::NoProof,
                format!(
                    "fewer than two vantage points see it dead: {}",
                    self.evidence.line()
                ),
                "it may live, and only this machine cannot reach it",
                "name exporters of other places as observers, or ask somebody there",
            );
            found.push(refusal.overridden_by("--accept-single-view"));
        }
        found.extend(self.target_fits(None));
        found.extend(self.ahead());
        found.extend(self.too_much());
        found
    }

    /// Whether another replica of the same history has more.
    fn ahead(&self) -> Option<Refusal> {
        let target = self.target.said()?;
        let mut furthest: Option<(&ServerView, u64)> = None;
        for other in self.others {
            let Some(said) = other.said() else { continue };
            let has_more = said.replid == target.replid && said.applied() > target.applied();
            if has_more && furthest.is_none_or(|(_, most)| said.applied() > most) {
                furthest = Some((other, said.applied()));
            }
        }
        let (other, applied) = furthest?;
        let bytes = applied - target.applied();
        let refusal = Refusal::new(
            RefusalName::AnotherIsAhead,
            format!(
                "{} has {bytes} bytes more than {}",
                other.name(),
                self.target.addr
            ),
            "writes that one replica has would be lost",
            &format!(
                "fail over to {0} first (--to {0}), then switch over to {1}: that loses nothing that \
                 any replica has",
                other.addr, self.target.addr
            ),
        );
        Some(refusal.overridden_by("--accept-behind"))
    }

    fn too_much(&self) -> Vec<Refusal> {
        let Some(loss) = self.loss else {
            let refusal = Refusal::new(
                RefusalName::UnknownLag,
                "no exporter has a certified bound of what the target lacks".to_owned(),
                "nobody can say how much would be lost",
                "run the exporter where it can poll both servers, and give its address with \
                 --exporter.url",
            );
            return vec![refusal.overridden_by("--accept-unknown-loss")];
        };
        let mut found = Vec::new();
        let upper = loss.upper();
        if upper > self.max_loss {
            let refusal = Refusal::new(
                RefusalName::MaxLoss,
                format!("the writes of up to {upper} would be lost"),
                "that is more than is allowed",
                "bring the old master back, or allow the loss",
            );
            found.push(refusal.overridden_by("--max-loss, with a larger limit"));
        }
        if let Some(bytes) = loss.bytes.map(Bytes::new)
            && bytes > self.max_loss_bytes
        {
            let refusal = Refusal::new(
                RefusalName::MaxLossBytes,
                format!("up to {bytes} of the stream would be lost"),
                "that is more than is allowed",
                "bring the old master back, or allow the loss",
            );
            found.push(refusal.overridden_by("--max-loss-bytes, with a larger limit"));
        }
        found
    }

    fn rejoin(&self) -> Vec<Refusal> {
        let (Some(old), Some(master)) = (self.old.said(), self.target.said()) else {
            let silent = if self.old.said.is_err() {
                self.old
            } else {
                self.target
            };
            let why = silent.said.as_ref().err().cloned().unwrap_or_default();
            return vec![Refusal::new(
                RefusalName::TargetSilent,
                format!("{} does not answer: {why}", silent.addr),
                "nothing can be brought back without it",
                "start it, with its data where it still has them",
            )];
        };
        if old.loading {
            return vec![Refusal::new(
                RefusalName::Loading,
                format!("{} is loading its data", self.old.addr),
                "what only it has cannot be measured yet",
                "wait until it has loaded",
            )];
        }
        let unshared = Unshared::between(old, master);
        let allowed = self.overrides.discard.map(Discard::bytes);
        let saved = unshared.saved_file(&old.replid, self.saved);
        let is_saved = saved.is_some() || self.copied.is_some();
        if is_saved || unshared.may_be_overwritten(allowed) {
            return Vec::new();
        }
        let value = unshared.discard_value().unwrap_or_default();
        let refusal = Refusal::new(
            RefusalName::UnsavedWrites,
            unshared.sentence(),
            "a rejoin overwrites them for good",
            &format!(
                "save them first, then run this again: lost-writes --pair {}; where that cannot have \
                 them, --copy takes an RDB copy of the whole server before it rejoins",
                self.pair
            ),
        );
        vec![refusal.overridden_by(format!("--copy, or --discard {value}"))]
    }

    /// What makes the target useless once it is promoted: chapter A of doctor.
    fn traps(&self, found: &mut Assessment) {
        for finding in self.findings {
            let check = finding.check;
            let is_target = finding.server == self.target.addr.to_string();
            if !check.is_promotion_trap() || !is_target {
                continue;
            }
            if finding.severity < FindingSeverity::Critical {
                found.notes.push(format!("{check}: {}", finding.what));
                continue;
            }
            let fix = &finding.fix;
            let mut remedy = fix.commands.join("; ");
            for part in [fix.lines.join("; "), fix.note.clone()] {
                if !part.is_empty() {
                    remedy = if remedy.is_empty() {
                        part
                    } else {
                        format!("{remedy}; {part}")
                    };
                }
            }
            let refusal = Refusal::new(
                RefusalName::PromotionTrap,
                format!("{check} on {}: {}", finding.server, finding.what),
                finding.consequence.trim_end_matches('.'),
                &format!("on {}: {remedy}", fix.server),
            );
            let refusal = refusal.overridden_by(format!("--accept {check}"));
            self.add(found, refusal, Some(check));
        }
    }
}

/// Whether a server pauses writes alone; one that does not say its version does not.
fn pauses_writes(said: &Said) -> bool {
    said.version_numbers()
        .is_some_and(|version| version >= PAUSES_WRITES_SINCE)
}

/// A replica that has applied nothing and whose history no server that answers has. Right after a
/// full sync it shows the same as before its first one; only its keys show the difference.
fn never_synced(addr: &ServerAddr, target: &Said) -> Refusal {
    match target.keys {
        Some(0) => Refusal::new(
            RefusalName::NeverSynced,
            format!("{addr} is empty, and its link to the master is down"),
            "an empty server would become the master",
            "choose another replica with --to, or wait until its sync is complete",
        ),
        keys => {
            let data = match keys {
                Some(keys) => format!("has {keys} keys"),
                None => "may have data".to_owned(),
            };
            Refusal::new(
                RefusalName::NeverSynced,
                format!(
                    "{addr} {data} and has applied nothing of a stream since they were loaded, and its \
                     link to the master is down"
                ),
                "they are the master's if a full sync has just ended, and older ones if it has only \
                 loaded a file of its own: INFO does not say which",
                &format!(
                    "look into the log of {addr}: \"Finished with success\" after its last start means that \
                     they are the master's; then promote it by hand: REPLICAOF NO ONE, CONFIG REWRITE"
                ),
            )
        }
    }
}

fn engine(server: &ServerView, said: &Said) -> Option<Refusal> {
    let addr = &server.addr;
    if said.is_cluster {
        return Some(Refusal::new(
            RefusalName::ClusterMode,
            format!("{addr} is a node of a Redis Cluster"),
            "REPLICAOF is refused there",
            "on the replica: CLUSTER FAILOVER",
        ));
    }
    if !said.engine.counts_bytes() {
        return Some(Refusal::new(
            RefusalName::UnsupportedEngine,
            format!("{addr} runs {}", said.engine),
            "its offsets are not bytes of one stream, so nothing can be proved",
            "follow the manual of that program",
        ));
    }
    if addr.tcp().is_none() {
        return Some(Refusal::new(
            RefusalName::UnsupportedEngine,
            format!("{addr} is a Unix socket"),
            "no other server can follow it under this address",
            "give its TCP address in the configuration",
        ));
    }
    None
}

fn version_skew(old: &Said, target: &Said) -> Option<Refusal> {
    let (Some(old_version), Some(new_version)) = (old.version_numbers(), target.version_numbers())
    else {
        return None;
    };
    if new_version >= old_version {
        return None;
    }
    let refusal = Refusal::new(
        RefusalName::VersionSkew,
        format!(
            "the target runs {}, the master {}",
            target.version, old.version
        ),
        "the old master may not be able to follow an older one, and clients lose commands",
        "upgrade the target first",
    );
    Some(refusal.overridden_by("--accept-version"))
}

/// The replica to promote: the one that was asked for; else the only one that answers, of a
/// disaster the one that has most.
///
/// # Errors
/// A sentence for the user.
pub fn choose_target<'a>(
    kind: OperationKind,
    replicas: &'a [ServerView],
    wanted: Option<&ServerAddr>,
) -> Result<&'a ServerView, String> {
    if let Some(wanted) = wanted {
        let found = replicas.iter().find(|replica| replica.addr == *wanted);
        return found.ok_or_else(|| {
            let names: Vec<_> = replicas
                .iter()
                .map(|replica| replica.addr.to_string())
                .collect();
            format!(
                "--to: {wanted} is no replica of this pair; it has {}",
                names.join(", ")
            )
        });
    }
    if let [only] = replicas {
        return Ok(only);
    }
    if kind == OperationKind::Disaster {
        let answering = replicas.iter().filter(|replica| replica.said.is_ok());
        let most = answering.max_by_key(|replica| replica.said().map(Said::applied));
        return most.ok_or_else(|| "none of the pair's replicas answers".to_owned());
    }
    let names: Vec<_> = replicas.iter().map(ServerView::name).collect();
    Err(format!(
        "the pair has several replicas: say with --to which of them becomes the master: {}",
        names.join(", ")
    ))
}
