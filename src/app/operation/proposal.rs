//! From the answers of everybody to an assessment, an intent and a plan.

use super::folder::OperationsFolder;
use super::list;
use super::request::{OperationRequest, PrepareError, Prepared};
use super::rights::MissingRight;
use super::saved::SavedFiles;
use super::scene::{Performers, Scene};
use super::time_text::time_text;
use super::{hooks, vantage};
use crate::clock;
use crate::doctor::{Finding, PromotionTraps};
use crate::model::{PairName, ServerAddr, Span};
use crate::operation::{
    Assessment, Copied, DeathEvidence, Discard, ExporterKnows, HookNames, Intent, Loss,
    OperationKind, Outcome, Party, Plan, Preflight, Refusal, RefusalName, SavedWrites,
    SentinelIntent, ServerView, TOO_SOON, Unshared, fingerprint,
};

/// The first version that pauses writes alone.
const PAUSES_WRITES_SINCE: (u32, u32) = (6, 2);

/// Who does what in an operation.
pub(super) struct Cast {
    kind: OperationKind,
    /// The master that is replaced, or that returns.
    old: ServerView,
    /// The server that becomes, or is, the master.
    target: ServerView,
    others: Vec<ServerView>,
    /// Those of the others that follow the target afterwards.
    followers: Vec<Party>,
    can_pause: bool,
    sentinel: Option<SentinelIntent>,
}

/// What was found out for one operation.
struct Inquiry {
    evidence: DeathEvidence,
    /// What an exporter certified of the pair.
    exporter: Option<ExporterKnows>,
    /// What would be lost; of a disaster only.
    loss: Option<Loss>,
    clients: list::Clients,
    missing_rights: Vec<MissingRight>,
    traps: Vec<PromotionTraps>,
    saved: SavedFiles,
}

/// What of a returning server is saved.
struct Saved<'a> {
    /// How many bytes, and in which file.
    tail: Option<(u64, &'a SavedWrites)>,
    /// A copy of all of it.
    copy: Option<&'a Copied>,
}

impl Cast {
    /// The servers at `old` and `target`, and what the others do.
    pub(super) fn new(
        scene: &Scene,
        kind: OperationKind,
        old: &ServerAddr,
        target: &ServerAddr,
    ) -> Result<Self, PrepareError> {
        let old = scene.view(old)?;
        let target = scene.view(target)?;
        let mut others = scene.all_but(&old.addr);
        others.retain(|view| view.addr != target.addr);
        Ok(Self {
            kind,
            followers: followers(kind, &old, &target, &others),
            can_pause: can_pause(kind, &old, &target),
            sentinel: scene.sentinel_intent(&target, &others),
            old,
            target,
            others,
        })
    }

    fn is_rejoin(&self) -> bool {
        self.kind == OperationKind::Rejoin
    }
}

/// Asks what is still to be asked, and makes the assessment, the intent and the plan of it.
pub(super) async fn propose(
    mut scene: Scene,
    folder: &OperationsFolder,
    request: &OperationRequest,
    cast: Cast,
    evidence: DeathEvidence,
) -> Result<Prepared, PrepareError> {
    let inquiry = inquire(&mut scene, request, &cast, evidence).await;
    let saved = saved(&cast, &inquiry.saved);
    let mut assessment = assess(&scene, folder, request, &cast, &inquiry, saved.copy);
    let hooks = scene.settings.hooks.clone();
    let fingerprint = fingerprint_of(&scene, request, &cast, &hooks::names(&hooks));
    let changed = plan_changed(request.plan.as_deref(), &fingerprint);
    assessment.refusals.extend(changed);
    if saved.tail.is_none() && saved.copy.is_none() {
        assessment.notes.extend(inquiry.saved.notes.iter().cloned());
    }
    let given_up = request.overrides.discard.map(Discard::bytes);
    let given_up = given_up.filter(|_| cast.is_rejoin());
    let stated = inquiry
        .loss
        .map(|loss| loss.certified(time_text).join("; "));
    let intent = Intent {
        id: scene.id.clone(),
        kind: cast.kind,
        pair: request.pair.to_string(),
        old: Party::from_view(&cast.old),
        target: Party::from_view(&cast.target),
        old_for_target: cast
            .target
            .followed()
            .unwrap_or_else(|| cast.old.addr.clone()),
        followers: cast.followers,
        limits: scene.limits(request.limits),
        can_pause: cast.can_pause,
        discard: saved.tail.map(|(bytes, _)| bytes).or(given_up),
        saved_in: saved.tail.map(|(_, file)| file.file.display().to_string()),
        copied: saved.copy.cloned(),
        hooks: hooks::names(&hooks),
        sentinel: cast.sentinel,
        token: request.wanted.token().cloned(),
        fingerprint,
        overridden: assessment.overridden.clone(),
        stated_loss: stated,
    };
    Ok(Prepared {
        plan: Plan::new(&intent),
        hands: scene.into_hands(&intent)?,
        intent,
        assessment,
        evidence: inquiry.evidence,
        loss: inquiry.loss,
        last_answer: inquiry.exporter.and_then(|knows| knows.master_last_answer),
        returning_memory: cast.old.said().and_then(|said| said.memory),
        hooks,
    })
}

/// Asks the servers who else is there and what they permit, doctor for traps, and the disk for what
/// is saved.
async fn inquire(
    scene: &mut Scene,
    request: &OperationRequest,
    cast: &Cast,
    evidence: DeathEvidence,
) -> Inquiry {
    let old = &cast.old;
    let target = &cast.target;
    let exporter = vantage::knowledge(&request.exporters, &request.pair, &old.addr, &target.addr);
    let loss = match cast.kind {
        OperationKind::Disaster => exporter.and_then(Loss::new),
        _ => None,
    };
    let mut missing_rights = Vec::new();
    let clients = scene.clients(&[old, target], &mut missing_rights).await;
    let performers = Performers {
        old,
        target,
        followers: &cast.followers,
        can_pause: cast.can_pause,
        sentinel: cast.sentinel.as_ref(),
    };
    missing_rights.extend(scene.missing_rights(&performers).await);
    let saved = match old.said() {
        Some(returning) if cast.is_rejoin() => {
            SavedFiles::find(&request.saved_in, &request.pair, returning).await
        }
        _ => SavedFiles::default(),
    };
    Inquiry {
        evidence,
        exporter,
        loss,
        clients,
        missing_rights,
        traps: scene.traps(cast.kind, &request.pair, &target.addr).await,
        saved,
    }
}

fn assess(
    scene: &Scene,
    folder: &OperationsFolder,
    request: &OperationRequest,
    cast: &Cast,
    inquiry: &Inquiry,
    copied: Option<&Copied>,
) -> Assessment {
    let findings: Vec<Finding> = inquiry
        .traps
        .iter()
        .flat_map(|found| found.findings.iter().cloned())
        .collect();
    let preflight = Preflight {
        kind: cast.kind,
        pair: request.pair.as_str(),
        old: &cast.old,
        target: &cast.target,
        others: &cast.others,
        sentinel_name: scene.sentinel_name.as_deref(),
        sentinels: &scene.sentinel_views,
        sentinels_seen: inquiry.clients.sentinels,
        other_operations: &inquiry.clients.operations,
        findings: &findings,
        missing_rights: &inquiry.missing_rights,
        evidence: &inquiry.evidence,
        loss: inquiry.loss,
        recent: recent(folder, &request.pair, cast.kind),
        max_loss: request.max_loss,
        max_loss_bytes: request.max_loss_bytes,
        overrides: &request.overrides,
        saved: &inquiry.saved.usable,
        copied,
        token: request.wanted.token(),
    };
    let mut assessment = preflight.assess();
    let alone = left_alone(cast.kind, &cast.others, &cast.followers);
    assessment.notes.extend(alone);
    let not_checked = not_checked(&inquiry.traps, &cast.target.addr);
    assessment.notes.extend(not_checked);
    assessment
}

fn fingerprint_of(
    scene: &Scene,
    request: &OperationRequest,
    cast: &Cast,
    hooks: &HookNames,
) -> String {
    let mut servers = vec![&cast.old, &cast.target];
    servers.extend(&cast.others);
    let pair = request.pair.as_str();
    fingerprint(cast.kind, pair, &servers, &scene.sentinel_views, hooks)
}

/// What of the returning server is saved.
fn saved<'a>(cast: &Cast, files: &'a SavedFiles) -> Saved<'a> {
    let nothing = Saved {
        tail: None,
        copy: None,
    };
    let (Some(old), Some(master)) = (cast.old.said(), cast.target.said()) else {
        return nothing;
    };
    if !cast.is_rejoin() {
        return nothing;
    }
    let unshared = Unshared::between(old, master);
    let tail = match unshared {
        Unshared::Tail { bytes, .. } => {
            let file = unshared.saved_file(&old.replid, &files.usable);
            file.map(|file| (bytes, file))
        }
        _ => None,
    };
    let is_needed = tail.is_none() && !unshared.may_be_overwritten(None);
    let copy = files
        .copies
        .iter()
        .find(|copy| is_needed && copy.holds(old));
    Saved { tail, copy }
}

/// Whether the writes of the servers that have to be paused can be.
fn can_pause(kind: OperationKind, old: &ServerView, target: &ServerView) -> bool {
    match kind {
        OperationKind::HandOver => pauses_writes(old),
        OperationKind::TakeOver => false,
        OperationKind::SwitchOver | OperationKind::Disaster | OperationKind::Rejoin => {
            pauses_writes(old) && pauses_writes(target)
        }
    }
}

fn pauses_writes(view: &ServerView) -> bool {
    let version = view
        .said()
        .and_then(crate::operation::Said::version_numbers);
    version.is_some_and(|version| version >= PAUSES_WRITES_SINCE)
}

/// Who is pointed to the new master: after a disaster every replica; in a planned switch-over those
/// beside the target. Replicas in the old datacenter go on following the old master, so that one
/// stream crosses the link.
fn followers(
    kind: OperationKind,
    old: &ServerView,
    target: &ServerView,
    others: &[ServerView],
) -> Vec<Party> {
    let history = target.said().map(|said| &said.replid);
    let mut found = Vec::new();
    for other in others {
        let is_of_history = other.said().map(|said| &said.replid) == history;
        let is_beside = other.dc == target.dc;
        let is_wanted = match kind {
            OperationKind::Disaster => true,
            OperationKind::SwitchOver => is_beside || old.dc == target.dc,
            OperationKind::TakeOver => is_beside,
            OperationKind::Rejoin | OperationKind::HandOver => false,
        };
        if is_wanted && is_of_history && !other.is_master() {
            found.push(Party::from_view(other));
        }
    }
    found
}

/// The latest failover of the pair, for a disaster: two in a short time need a decision.
fn recent(
    folder: &OperationsFolder,
    pair: &PairName,
    kind: OperationKind,
) -> Option<(String, Span)> {
    if kind != OperationKind::Disaster {
        return None;
    }
    let now = clock::wall_now().as_secs_f64();
    let (operations, _) = folder.list();
    for operation in operations {
        let is_same = operation.intent.pair == pair.as_str();
        let outcome = operation.ending().map(|ending| ending.outcome);
        let has_changed = matches!(outcome, Some(Outcome::Done | Outcome::Incomplete));
        let ago = Span::from_secs_f64(now - operation.last_at()).or_zero();
        if is_same && has_changed && operation.intent.kind == kind && ago < TOO_SOON {
            return Some((operation.intent.id.clone(), ago));
        }
    }
    None
}

fn plan_changed(agreed: Option<&str>, now: &str) -> Option<Refusal> {
    let agreed = agreed?;
    if agreed == now {
        return None;
    }
    Some(Refusal::new(
        RefusalName::PlanChanged,
        format!("the plan {agreed} was agreed to, and the servers make the plan {now} today"),
        "something else would be done than what was agreed to",
        "read the new plan, and give its fingerprint",
    ))
}

/// A sentence about the promotion traps on the target that could not be looked for.
fn not_checked(traps: &[PromotionTraps], target: &ServerAddr) -> Vec<String> {
    let mut sentences = Vec::new();
    for missing in traps.iter().flat_map(|found| &found.not_checked) {
        if missing.server != target.to_string() {
            continue;
        }
        let checks: Vec<_> = missing.checks.iter().map(|check| check.label()).collect();
        let checks = checks.join(", ");
        let why = &missing.why;
        sentences.push(format!(
            "these promotion traps were not looked for on {target}: {checks} ({why})"
        ));
    }
    sentences
}

/// A sentence about each replica that is not pointed to the new master although a disaster took its
/// own.
fn left_alone(kind: OperationKind, others: &[ServerView], followers: &[Party]) -> Vec<String> {
    if kind != OperationKind::Disaster {
        return Vec::new();
    }
    let mut sentences = Vec::new();
    for other in others {
        if followers.iter().any(|follower| follower.addr == other.addr) {
            continue;
        }
        let why = match &other.said {
            Ok(_) => "has another history",
            Err(_) => "does not answer",
        };
        sentences.push(format!(
            "{} {why}, so it is left as it is: point it to the new master by hand (REPLICAOF)",
            other.addr
        ));
    }
    sentences
}
