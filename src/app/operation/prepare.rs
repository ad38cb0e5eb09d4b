//! The assessment and the plan: asks everybody, changes nothing.

use std::path::PathBuf;

use super::folder::OperationsFolder;
use super::hand::Hand;
use super::list::{self, NAME_HEAD};
use super::operator::{as_operator, timeout, use_operator};
use super::rights;
use super::saved::SavedFiles;
use super::sentinels::{self, SentinelHand};
use super::time_text::time_text;
use super::vantage::{self, ExporterView};
use super::world::Hands;
use crate::app::{audit, probe};
use crate::clock;
use crate::config::{PairSettings, ServerSettings, Settings};
use crate::doctor::{AuditOptions, PromotionTraps, promotion_traps};
use crate::model::{Bytes, PairName, ServerAddr, Span};
use crate::operation::{
    Assessment, DeathEvidence, Discard, Intent, Limits, Loss, OperationKind, Outcome, Overrides,
    Party, Plan, Preflight, Refusal, RefusalName, SavedWrites, SentinelIntent, SentinelView,
    ServerView, TOO_SOON, Unshared, Witness, choose_target, fingerprint, over_sentinels,
};
use crate::topology::Topology;

/// How long doctor measures the writes of the master: traps do not depend on it.
const MEASURE: Span = Span::from_secs(1);

/// Between the two questions that show whether a master's stream still arrives.
const SECOND_LOOK: Span = Span::from_secs(1);

/// The first version that pauses writes alone.
const PAUSES_WRITES_SINCE: (u32, u32) = (6, 2);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct OperationRequest {
    /// The pair.
    pub pair: PairName,
    /// The replica that becomes the master; `None` where there is only one.
    pub to: Option<ServerAddr>,
    /// Whether the master is lost.
    pub disaster: bool,
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
    pub(super) hands: Hands,
}

/// Everything about one entry.
pub(super) struct Scene {
    settings: Settings,
    entry: PairSettings,
    /// What its Sentinels call the master.
    sentinel_name: Option<String>,
    id: String,
    pub(super) hands: Vec<Hand>,
    pub(super) views: Vec<ServerView>,
    sentinel_hands: Vec<SentinelHand>,
    sentinel_views: Vec<SentinelView>,
}

/// A failover: its assessment and its plan.
///
/// # Errors
/// [`PrepareError`] where the request does not fit the configuration.
pub async fn prepare(
    settings: &Settings,
    folder: &OperationsFolder,
    request: &OperationRequest,
) -> Result<Prepared, PrepareError> {
    let mut scene = Scene::ask(settings, &request.pair).await?;
    let kind = if request.disaster {
        OperationKind::Disaster
    } else {
        OperationKind::SwitchOver
    };
    let old = scene.master(request.disaster);
    let replicas = scene.all_but(&old);
    let chosen = choose_target(kind, &replicas, request.to.as_ref());
    let target = chosen.map_err(PrepareError::Usage)?.addr.clone();
    let witnesses = if request.disaster {
        let second = scene.ask_again().await;
        let hand = scene.hands.iter().find(|hand| hand.server().addr == old);
        let mut evidence = vantage::evidence(hand, &old, &scene.views, &second, &request.exporters);
        let sentinels = scene.sentinel_views.iter().map(Witness::sentinel);
        evidence.witnesses.extend(sentinels);
        evidence
    } else {
        DeathEvidence::default()
    };
    scene
        .prepare(folder, request, kind, &old, &target, witnesses)
        .await
}

/// The return of the configured master: what has to be done before it can take over again. `None`
/// where it follows the present master already.
///
/// # Errors
/// [`PrepareError`] where there is nothing to bring back.
pub async fn prepare_return(
    settings: &Settings,
    folder: &OperationsFolder,
    request: &OperationRequest,
) -> Result<Option<Prepared>, PrepareError> {
    let scene = Scene::ask(settings, &request.pair).await?;
    let returning = scene.entry.master.addr.clone();
    let others = scene.all_but(&returning);
    let masters: Vec<_> = others.iter().filter(|view| view.is_master()).collect();
    let master = match &masters[..] {
        [one] => one.addr.clone(),
        [] => {
            return Err(PrepareError::Usage(format!(
                "There is nothing to bring back: no other server of {} is a master. Run check to see who \
                 follows whom.",
                request.pair
            )));
        }
        _ => {
            return Err(PrepareError::Usage(format!(
                "Several servers of {} are masters beside {returning}: bring them back one by one by hand.",
                request.pair
            )));
        }
    };
    let view = scene.views.iter().find(|view| view.addr == returning);
    if view.is_some_and(|view| view.follows(&master)) {
        return Ok(None);
    }
    if let Some(other) = view.and_then(followed) {
        return Err(PrepareError::Usage(format!(
            "{returning} is a replica of {other}, and the master is {master}. If that is another name of \
             {master}, it is back already: write that name into the configuration. If not, make it a master \
             first: REPLICAOF NO ONE, before a sync replaces what only it has."
        )));
    }
    let evidence = DeathEvidence::default();
    let kind = OperationKind::Rejoin;
    let prepared = scene.prepare(folder, request, kind, &returning, &master, evidence);
    prepared.await.map(Some)
}

impl Scene {
    /// Finds the entry and asks its servers.
    pub(super) async fn ask(settings: &Settings, pair: &PairName) -> Result<Self, PrepareError> {
        let settings = as_operator(settings);
        let configured = settings
            .pairs
            .iter()
            .find(|entry| entry.name == *pair)
            .cloned();
        let mut sentinel_name = None;
        let mut sentinel_hands = Vec::new();
        let entry = if let Some(entry) = configured {
            entry
        } else {
            if let Some((name, hands)) = sentinels::hands(&settings, pair) {
                sentinel_name = Some(name);
                sentinel_hands = hands;
            }
            discovered_entry(&settings, pair).await?
        };
        let sentinel_views = sentinels::ask(&mut sentinel_hands).await;
        let id = OperationsFolder::new_id(clock::wall_now());
        let name = format!("{NAME_HEAD}{id}");
        let servers: Vec<&ServerSettings> = std::iter::once(&entry.master)
            .chain(&entry.replicas)
            .collect();
        let mut hands = Vec::with_capacity(servers.len());
        let mut views = Vec::with_capacity(servers.len());
        for server in servers {
            let server = Topology::server(server, &settings.datacenters);
            let timeout = timeout(&server, &settings);
            let mut hand = Hand::new(server, timeout, &name);
            views.push(hand.view().await);
            hands.push(hand);
        }
        Ok(Self {
            settings,
            entry,
            sentinel_name,
            id,
            hands,
            views,
            sentinel_hands,
            sentinel_views,
        })
    }

    async fn ask_again(&mut self) -> Vec<ServerView> {
        tokio::time::sleep(SECOND_LOOK.to_duration()).await;
        let mut views = Vec::with_capacity(self.hands.len());
        for hand in &mut self.hands {
            views.push(hand.view().await);
        }
        views
    }

    /// The master: the only server that says so; of several the configured one. Where none does,
    /// it is the silent one that the others follow, or else the configured one.
    pub(super) fn master(&self, is_disaster: bool) -> ServerAddr {
        let configured = &self.entry.master.addr;
        let masters: Vec<_> = self.views.iter().filter(|view| view.is_master()).collect();
        match &masters[..] {
            [one] => return one.addr.clone(),
            [] => {}
            _ => {
                let is_configured = masters.iter().any(|view| view.addr == *configured);
                let first = masters.first().filter(|_| !is_configured);
                return first.map_or_else(|| configured.clone(), |view| view.addr.clone());
            }
        }
        if is_disaster {
            for silent in self.views.iter().filter(|view| view.said.is_err()) {
                if self.views.iter().any(|view| view.follows(&silent.addr)) {
                    return silent.addr.clone();
                }
            }
        }
        configured.clone()
    }

    fn all_but(&self, addr: &ServerAddr) -> Vec<ServerView> {
        let others = self.views.iter().filter(|view| view.addr != *addr);
        others.cloned().collect()
    }

    fn view(&self, addr: &ServerAddr) -> Result<ServerView, PrepareError> {
        let found = self.views.iter().find(|view| view.addr == *addr);
        found
            .cloned()
            .ok_or_else(|| PrepareError::Usage(format!("{addr} is not in the pair")))
    }

    async fn prepare(
        mut self,
        folder: &OperationsFolder,
        request: &OperationRequest,
        kind: OperationKind,
        old: &ServerAddr,
        target: &ServerAddr,
        evidence: DeathEvidence,
    ) -> Result<Prepared, PrepareError> {
        let old = self.view(old)?;
        let target = self.view(target)?;
        let mut others = self.all_but(&old.addr);
        others.retain(|view| view.addr != target.addr);
        let exporter =
            vantage::knowledge(&request.exporters, &request.pair, &old.addr, &target.addr);
        let loss = match kind {
            OperationKind::Disaster => exporter.and_then(Loss::new),
            _ => None,
        };
        let followers = followers(kind, &old, &target, &others);
        let can_pause = pauses_writes(&old) && pauses_writes(&target);
        let sentinel = self.sentinel_intent(&target, &others);
        let mut missing = Vec::new();
        let clients = self.clients(&[&old, &target], &mut missing).await;
        let wanted = self.missing_rights(&old, &target, &followers, can_pause, sentinel.as_ref());
        missing.extend(wanted.await);
        let traps = self.traps(kind, &request.pair, &target.addr).await;
        let mut findings = Vec::new();
        for found in &traps {
            findings.extend(found.findings.iter().cloned());
        }
        let saved = match (kind, old.said()) {
            (OperationKind::Rejoin, Some(returning)) => {
                SavedFiles::find(&request.saved_in, &request.pair, returning).await
            }
            _ => SavedFiles::default(),
        };
        let preflight = Preflight {
            kind,
            pair: request.pair.as_str(),
            old: &old,
            target: &target,
            others: &others,
            sentinel_name: self.sentinel_name.as_deref(),
            sentinels: &self.sentinel_views,
            sentinels_seen: clients.sentinels,
            other_operations: &clients.operations,
            findings: &findings,
            missing_rights: &missing,
            evidence: &evidence,
            loss,
            recent: recent(folder, &request.pair, kind),
            max_loss: request.max_loss,
            max_loss_bytes: request.max_loss_bytes,
            overrides: &request.overrides,
            saved: &saved.usable,
        };
        let mut assessment = preflight.assess();
        assessment
            .notes
            .extend(left_alone(kind, &others, &followers));
        assessment.notes.extend(not_checked(&traps, &target.addr));
        let servers: Vec<_> = [&old, &target].into_iter().chain(&others).collect();
        let fingerprint = fingerprint(kind, request.pair.as_str(), &servers, &self.sentinel_views);
        assessment
            .refusals
            .extend(plan_changed(request.plan.as_deref(), &fingerprint));
        let held =
            saved_tail(&old, &target, &saved.usable).filter(|_| kind == OperationKind::Rejoin);
        if held.is_none() {
            assessment.notes.extend(saved.notes);
        }
        let given_up = request.overrides.discard.map(Discard::bytes);
        let given_up = given_up.filter(|_| kind == OperationKind::Rejoin);
        let stated = loss.map(|loss| loss.certified(time_text).join("; "));
        let intent = Intent {
            id: self.id.clone(),
            kind,
            pair: request.pair.to_string(),
            old: Party::of(&old),
            target: Party::of(&target),
            old_for_target: followed(&target).unwrap_or_else(|| old.addr.clone()),
            followers,
            limits: self.limits(request.limits),
            can_pause,
            discard: held.map(|(bytes, _)| bytes).or(given_up),
            saved_in: held.map(|(_, file)| file.file.display().to_string()),
            sentinel,
            fingerprint,
            overridden: assessment.overridden.clone(),
            stated_loss: stated,
        };
        Ok(Prepared {
            plan: Plan::new(&intent),
            hands: self.into_hands(&intent)?,
            intent,
            assessment,
            evidence,
            loss,
            last_answer: exporter.and_then(|knows| knows.master_last_answer),
        })
    }

    /// The commands that the plan needs and that are not permitted.
    async fn missing_rights(
        &mut self,
        old: &ServerView,
        target: &ServerView,
        followers: &[Party],
        can_pause: bool,
        sentinel: Option<&SentinelIntent>,
    ) -> Vec<rights::MissingRight> {
        let mut missing = Vec::new();
        for hand in &mut self.hands {
            let addr = &hand.server().addr;
            let is_party = *addr == old.addr || *addr == target.addr;
            let is_follower = followers.iter().any(|follower| follower.addr == *addr);
            let mut changes = sentinel.iter().flat_map(|intent| &intent.priorities);
            let uses = rights::Uses {
                // Sentinels point the others to the new master.
                role: is_party || (is_follower && sentinel.is_none()),
                pause: can_pause && is_party,
                priority: changes.any(|change| change.server == *addr),
            };
            missing.extend(rights::missing(hand, uses).await);
        }
        missing
    }

    /// How the operation goes over the Sentinels, if any of them answers.
    fn sentinel_intent(
        &self,
        target: &ServerView,
        others: &[ServerView],
    ) -> Option<SentinelIntent> {
        let name = self.sentinel_name.as_deref()?;
        let answers = self.sentinel_views.iter().any(|view| view.said.is_ok());
        answers.then(|| over_sentinels(name, target, others))
    }

    /// The limits that fit what the Sentinels take for down.
    fn limits(&self, wanted: Limits) -> Limits {
        let all = self.sentinel_views.iter();
        let smallest = all
            .filter_map(|view| view.said.as_ref().ok()?.down_after)
            .min();
        match smallest {
            Some(down_after) => wanted.within(down_after),
            None => wanted,
        }
    }

    /// Who else is connected to the servers that answer.
    async fn clients(
        &mut self,
        views: &[&ServerView],
        missing: &mut Vec<rights::MissingRight>,
    ) -> list::Clients {
        let mut found = list::Clients::default();
        for view in views.iter().filter(|view| view.said.is_ok()) {
            let hand = self
                .hands
                .iter_mut()
                .find(|hand| hand.server().addr == view.addr);
            let Some(hand) = hand else { continue };
            match list::clients(hand, &self.id).await {
                Ok(clients) => {
                    found.sentinels = found.sentinels.max(clients.sentinels);
                    found.operations.extend(clients.operations);
                }
                Err(words) => missing.push((view.addr.clone(), "CLIENT LIST".to_owned(), words)),
            }
        }
        found.operations.sort_unstable();
        found.operations.dedup();
        found
    }

    /// What a promotion of `target` would run into, and what of that could not be looked for.
    async fn traps(
        &self,
        kind: OperationKind,
        pair: &PairName,
        target: &ServerAddr,
    ) -> Vec<PromotionTraps> {
        if kind == OperationKind::Rejoin {
            return Vec::new();
        }
        let request = audit::AuditRequest {
            pair: Some(pair.clone()),
            measure: Some(MEASURE),
            ..audit::AuditRequest::default()
        };
        let progress: audit::Progress = std::sync::Arc::new(|_, _, _| {});
        let entries = audit::collect_facts(&self.settings, &request, progress).await;
        let options = AuditOptions {
            survive: self.settings.doctor.survive,
            now: clock::wall_now(),
        };
        let exceptions = &self.settings.doctor.ignore;
        let mut found = Vec::with_capacity(entries.len());
        for entry in &entries {
            found.push(promotion_traps(entry, target, exceptions, options));
        }
        found
    }

    fn into_hands(self, intent: &Intent) -> Result<Hands, PrepareError> {
        let mut old = None;
        let mut target = None;
        let mut others = Vec::new();
        for hand in self.hands {
            let addr = &hand.server().addr;
            if *addr == intent.old.addr {
                old = Some(hand);
            } else if *addr == intent.target.addr {
                target = Some(hand);
            } else {
                others.push(hand);
            }
        }
        let missing = || PrepareError::Usage("the pair has only one server".to_owned());
        Ok(Hands {
            old: old.ok_or_else(missing)?,
            target: target.ok_or_else(missing)?,
            others,
            sentinels: self.sentinel_hands,
        })
    }
}

/// The entry that a discovery source reports under this name, with the operator's login where there
/// is one.
pub(super) async fn discovered_entry(
    settings: &Settings,
    pair: &PairName,
) -> Result<PairSettings, PrepareError> {
    let discovered = probe::discover(settings).await;
    let mut entries = discovered.entries().into_iter();
    let found = entries.find(|entry| entry.name == *pair).map(|mut entry| {
        use_operator(settings, &mut entry);
        entry
    });
    found.ok_or_else(|| {
        let name = pair.as_str();
        PrepareError::Usage(format!(
            "There is no pair called {name:?}. Run check to see all of them."
        ))
    })
}

/// What only the returning server has, if one of the `saved` files holds all of it: how many bytes,
/// and which file.
fn saved_tail<'a>(
    old: &ServerView,
    master: &ServerView,
    saved: &'a [SavedWrites],
) -> Option<(u64, &'a SavedWrites)> {
    let old = old.said()?;
    let unshared = Unshared::between(old, master.said()?);
    let Unshared::Tail { bytes, .. } = unshared else {
        return None;
    };
    Some((bytes, unshared.saved_file(&old.replid, saved)?))
}

fn pauses_writes(view: &ServerView) -> bool {
    let version = view
        .said()
        .and_then(crate::operation::Said::version_numbers);
    version.is_some_and(|version| version >= PAUSES_WRITES_SINCE)
}

/// The address under which a replica follows its master.
fn followed(view: &ServerView) -> Option<ServerAddr> {
    view.said()?.upstream.as_ref()?.addr.clone()
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
            OperationKind::Rejoin => false,
        };
        if is_wanted && is_of_history && !other.is_master() {
            found.push(Party::of(other));
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
