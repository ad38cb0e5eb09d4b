//! The servers and Sentinels of one entry, and the questions that an assessment has for them.
//! Nothing is changed.

use super::folder::OperationsFolder;
use super::hand::Hand;
use super::list::{self, NAME_HEAD};
use super::operator::{as_operator, timeout, use_operator};
use super::request::PrepareError;
use super::rights;
use super::sentinels::{self, SentinelHand};
use super::world::Hands;
use crate::app::{audit, probe};
use crate::clock;
use crate::config::{PairSettings, ServerSettings, Settings};
use crate::doctor::{AuditOptions, PromotionTraps, promotion_traps};
use crate::model::{PairName, ServerAddr, Span};
use crate::operation::{
    Intent, Limits, OperationKind, Party, SentinelIntent, SentinelView, ServerView, over_sentinels,
};
use crate::topology::Topology;

/// How long doctor measures the writes of the master: traps do not depend on it.
const MEASURE: Span = Span::from_secs(1);

/// Between the two questions that show whether a master's stream still arrives.
const SECOND_LOOK: Span = Span::from_secs(1);

/// Everything about one entry.
pub(super) struct Scene {
    pub(super) settings: Settings,
    pub(super) entry: PairSettings,
    /// What its Sentinels call the master.
    pub(super) sentinel_name: Option<String>,
    pub(super) id: String,
    pub(super) hands: Vec<Hand>,
    pub(super) views: Vec<ServerView>,
    sentinel_hands: Vec<SentinelHand>,
    pub(super) sentinel_views: Vec<SentinelView>,
}

/// The servers that have to permit commands, and for what.
pub(super) struct Performers<'a> {
    pub(super) old: &'a ServerView,
    pub(super) target: &'a ServerView,
    pub(super) followers: &'a [Party],
    pub(super) can_pause: bool,
    pub(super) sentinel: Option<&'a SentinelIntent>,
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

    /// Asks all servers once more, after some time.
    pub(super) async fn ask_again(&mut self) -> Vec<ServerView> {
        tokio::time::sleep(SECOND_LOOK.to_duration()).await;
        let mut views = Vec::with_capacity(self.hands.len());
        for hand in &mut self.hands {
            views.push(hand.view().await);
        }
        views
    }

    /// The master: the only server that says so; of several the configured one. Where none does,
    /// it is the silent one that the others follow, or else the configured one.
    pub(super) fn master(&self, may_be_silent: bool) -> ServerAddr {
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
        if may_be_silent {
            for silent in self.views.iter().filter(|view| view.said.is_err()) {
                if self.views.iter().any(|view| view.follows(&silent.addr)) {
                    return silent.addr.clone();
                }
            }
        }
        configured.clone()
    }

    /// The other servers.
    pub(super) fn all_but(&self, addr: &ServerAddr) -> Vec<ServerView> {
        let others = self.views.iter().filter(|view| view.addr != *addr);
        others.cloned().collect()
    }

    /// What the server at `addr` said.
    pub(super) fn view(&self, addr: &ServerAddr) -> Result<ServerView, PrepareError> {
        let found = self.views.iter().find(|view| view.addr == *addr);
        found
            .cloned()
            .ok_or_else(|| PrepareError::Usage(format!("{addr} is not in the pair")))
    }

    /// The commands that the plan needs and that are not permitted.
    pub(super) async fn missing_rights(
        &mut self,
        performers: &Performers<'_>,
    ) -> Vec<rights::MissingRight> {
        let sentinel = performers.sentinel;
        let mut missing = Vec::new();
        for hand in &mut self.hands {
            let addr = &hand.server().addr;
            let is_party = *addr == performers.old.addr || *addr == performers.target.addr;
            let mut followers = performers.followers.iter();
            let is_follower = followers.any(|follower| follower.addr == *addr);
            let mut changes = sentinel.iter().flat_map(|intent| &intent.priorities);
            let uses = rights::Uses {
                // Sentinels point the others to the new master.
                role: is_party || (is_follower && sentinel.is_none()),
                pause: performers.can_pause && is_party,
                priority: changes.any(|change| change.server == *addr),
            };
            missing.extend(rights::missing(hand, uses).await);
        }
        missing
    }

    /// How the operation goes over the Sentinels, if any of them answers.
    pub(super) fn sentinel_intent(
        &self,
        target: &ServerView,
        others: &[ServerView],
    ) -> Option<SentinelIntent> {
        let name = self.sentinel_name.as_deref()?;
        let answers = self.sentinel_views.iter().any(|view| view.said.is_ok());
        if !answers {
            return None;
        }
        over_sentinels(name, target, others)
    }

    /// The limits that fit what the Sentinels take for down.
    pub(super) fn limits(&self, wanted: Limits) -> Limits {
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
    pub(super) async fn clients(
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
    pub(super) async fn traps(
        &self,
        kind: OperationKind,
        pair: &PairName,
        target: &ServerAddr,
    ) -> Vec<PromotionTraps> {
        if !kind.changes_master() || !kind.reaches_target() {
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

    /// The connections, for the operation itself.
    pub(super) fn into_hands(self, intent: &Intent) -> Result<Hands, PrepareError> {
        let mut old = None;
        let mut target = None;
        let mut others = Vec::new();
        for hand in self.hands {
            let addr = &hand.server().addr;
            if *addr == intent.old.addr {
                old = Some(hand.for_reach(intent.kind.reaches_old()));
            } else if *addr == intent.target.addr {
                target = Some(hand.for_reach(intent.kind.reaches_target()));
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
