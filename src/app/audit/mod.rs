//! `doctor`: asks every server of the configuration for the facts of an audit, each of them once,
//! and returns them by entry. The command does so when a person calls it, the exporter by itself
//! where `doctor.every` or a person asks for it (`runs`).

mod progress;
mod reply;
mod rights;
mod runs;
mod sentinels;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::operation::DrillsFolder;
use super::probe;
use crate::config::{
    ActiveActiveSettings, DatacenterRule, PairSettings, PollSettings, ServerSettings, Settings,
};
use crate::doctor::{EntryAudit, Gap, ServerAudit, SitesAudit, WriteHistory};
use crate::model::{Datacenter, PairName, ServerAddr, Span};
use crate::topology::{ObservedMasters, Server, SourceHealth, Topology, owned_sites};

pub use progress::{AuditStage, Progress};
pub(super) use runs::{AuditPlan, AuditRuns};

/// Servers that are asked at the same time by the command: a person waits.
const AT_ONCE: usize = 50;

/// The shortest time that is allowed for a connection and for each request: a person waits, and an
/// answer matters more than its speed.
const SHORTEST_TIMEOUT: Span = Span::from_secs(2);

/// The user that failovers log in as where none is configured but this one, the name in the
/// documents, exists.
const OPERATOR: &str = "operator";

/// What to ask. The default asks every server, and measures and compares no writes: enough for the
/// traps of a promotion.
#[derive(Clone, Debug, Default)]
pub struct AuditRequest {
    /// Only the entries of this name.
    pub pair: Option<PairName>,
    /// How long the writes of a master are measured that has no history in `histories`; not at all
    /// where there is no value.
    pub measure: Option<Span>,
    /// Directives that somebody asks for: whether each server has them.
    pub directives: Vec<String>,
    /// What an exporter has seen masters write.
    pub histories: BTreeMap<ServerAddr, WriteHistory>,
}

/// Asks all servers of `settings`, and those that discovery sources report. Changes nothing on
/// them.
pub async fn collect_facts(
    settings: &Settings,
    request: &AuditRequest,
    progress: Progress,
) -> Vec<EntryAudit> {
    let reporters = settings.sentinels.iter().map(|entry| entry.sentinels.len());
    let nodes = settings.clusters.iter().map(|entry| entry.nodes.len());
    let reporters: usize = reporters.chain(nodes).sum();
    progress(AuditStage::Discovery, 0, reporters);
    let discovered = probe::discover(settings).await;
    progress(AuditStage::Discovery, reporters, reporters);
    let configured = settings.pairs.iter().cloned();
    let mut entries: Vec<_> = configured.chain(discovered.entries()).collect();
    if let Some(name) = &request.pair {
        entries.retain(|entry| entry.name == *name);
    }
    let collection = Collection {
        settings,
        entries: &entries,
        sources: &discovered.health(),
        request: Arc::new(request.clone()),
        at_once: AT_ONCE,
        progress,
    };
    collection.collect().await
}

/// Asks the active-active sites of `settings` that this exporter owns. Changes nothing on them.
pub async fn collect_sites(
    settings: &Settings,
    request: &AuditRequest,
    progress: Progress,
) -> Vec<SitesAudit> {
    ask_sites(settings, request, AT_ONCE, progress).await
}

async fn ask_sites(
    settings: &Settings,
    request: &AuditRequest,
    at_once: usize,
    progress: Progress,
) -> Vec<SitesAudit> {
    let wanted = request.pair.as_ref();
    let is_wanted =
        |entry: &&ActiveActiveSettings| wanted.is_none_or(|wanted| *wanted == entry.name);
    let entries: Vec<_> = owned_sites(settings).filter(is_wanted).collect();
    let sites = entries.iter().flat_map(|entry| &entry.sites);
    let servers = sites.map(|site| Arc::new(Topology::server(site, &settings.datacenters)));
    let questions = Questions {
        settings,
        // Nothing replicates from a site, so how much it writes does not matter.
        request: Arc::new(AuditRequest::default()),
        at_once,
        progress,
    };
    let audits = questions.ask(servers.collect()).await;
    let audit = |entry: &ActiveActiveSettings| SitesAudit {
        name: entry.name.clone(),
        sites: entry.sites.iter().map(|site| audits.of(site)).collect(),
        queue: entry.sync_queue.clone(),
    };
    entries.into_iter().map(audit).collect()
}

/// Everything that one audit is made of.
struct Collection<'a> {
    settings: &'a Settings,
    /// The entries to audit.
    entries: &'a [PairSettings],
    /// The discovery sources that some of them come from.
    sources: &'a [SourceHealth],
    request: Arc<AuditRequest>,
    /// Servers that are asked at the same time.
    at_once: usize,
    progress: Progress,
}

impl Collection<'_> {
    async fn collect(self) -> Vec<EntryAudit> {
        let audits = self.ask_servers().await;
        let drills = self.drills().await;
        let mut collected = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            collected.push(EntryAudit {
                name: entry.name.clone(),
                master: audits.of(&entry.master),
                replicas: entry.replicas.iter().map(|r| audits.of(r)).collect(),
                sentinels: Vec::new(),
                placement_risks: None,
                own_dc: self.own_dc(),
                last_drill: last_drill(&drills, &entry.name),
            });
        }
        self.ask_sentinels(&mut collected).await;
        let in_roles = collected.into_iter().map(EntryAudit::in_observed_roles);
        in_roles.collect()
    }

    /// When the last drill of each pair passed.
    async fn drills(&self) -> Result<Vec<(PairName, f64)>, Gap> {
        let folder = DrillsFolder::beside(&self.settings.state.path);
        let path = folder.path().display().to_string();
        let read = tokio::task::spawn_blocking(move || folder.last_passed()).await;
        // The only other error is a panic, which the log has.
        let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        read.map_err(|error| Gap::because(format!("the folder {path} cannot be read: {error}")))
    }

    /// The datacenter that this program runs in.
    fn own_dc(&self) -> Option<Datacenter> {
        let mut rules = self.settings.datacenters.iter();
        let own = rules.find(|rule| rule.local)?;
        Some(own.name.clone())
    }

    async fn ask_servers(&self) -> Audits {
        let settings = self.settings;
        let roles = ObservedMasters::default();
        let topology = Topology::observed(self.entries, &settings.datacenters, &roles);
        let questions = Questions {
            settings,
            request: Arc::clone(&self.request),
            at_once: self.at_once,
            progress: Arc::clone(&self.progress),
        };
        questions
            .ask(topology.servers.into_values().collect())
            .await
    }
}

/// How servers are asked.
struct Questions<'a> {
    settings: &'a Settings,
    request: Arc<AuditRequest>,
    /// Servers that are asked at the same time.
    at_once: usize,
    progress: Progress,
}

impl Questions<'_> {
    async fn ask(self, servers: Vec<Arc<Server>>) -> Audits {
        let settings = self.settings;
        let permits = Arc::new(Semaphore::new(self.at_once));
        let all = servers.len();
        // Measuring the writes alone takes seconds.
        (self.progress)(AuditStage::Servers, 0, all);
        let mut tasks = JoinSet::new();
        for server in servers {
            let question = server::Question {
                timeout: timeout(&server, &settings.poll),
                server,
                request: Arc::clone(&self.request),
                has_sentinels: !settings.sentinels.is_empty(),
                operator_user: self.operator_user(),
                permits: Arc::clone(&permits),
            };
            tasks.spawn(question.ask());
        }
        let mut by_addr = BTreeMap::new();
        while let Some(audit) = tasks.join_next().await {
            // A task that panicked has no result; its server counts as not asked.
            if let Ok(audit) = audit {
                by_addr.insert(audit.addr.clone(), audit);
            }
            (self.progress)(AuditStage::Servers, all - tasks.len(), all);
        }
        Audits {
            by_addr,
            rules: settings.datacenters.clone(),
        }
    }

    /// The user that failovers log in as, where the configuration has a login for them.
    fn operator_user(&self) -> Option<String> {
        let login = self.settings.operator.as_ref()?;
        let user = login.username.as_deref().unwrap_or("default");
        Some(user.to_owned())
    }
}

/// What the servers said, by address.
struct Audits {
    by_addr: BTreeMap<ServerAddr, ServerAudit>,
    rules: Vec<DatacenterRule>,
}

impl Audits {
    /// What the server of these settings said.
    fn of(&self, settings: &ServerSettings) -> ServerAudit {
        if let Some(audit) = self.by_addr.get(&settings.addr) {
            return audit.clone();
        }
        // A task that ended without a result; it does not happen unless it panicked.
        let server = Topology::server(settings, &self.rules);
        ServerAudit {
            addr: server.addr,
            dc: server.dc,
            facts: Err("it was not asked: run doctor again".to_owned()),
        }
    }
}

fn timeout(server: &Server, poll: &PollSettings) -> Span {
    let configured = if server.local {
        poll.timeout_local
    } else {
        poll.timeout_remote
    };
    configured.max(SHORTEST_TIMEOUT)
}

fn last_drill(
    drills: &Result<Vec<(PairName, f64)>, Gap>,
    pair: &PairName,
) -> Result<Option<f64>, Gap> {
    let drills = drills.as_ref().map_err(Clone::clone)?;
    let found = drills.iter().find(|(name, _)| name == pair);
    Ok(found.map(|(_, passed)| *passed))
}
