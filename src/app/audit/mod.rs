//! `doctor`: asks every server of the configuration for the facts of an audit, each of them once,
//! and returns them by entry.

mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::probe;
use crate::client::SentinelConnection;
use crate::config::{PairSettings, PollSettings, SentinelSettings, ServerSettings, Settings};
use crate::doctor::{EntryAudit, SentinelAudit, ServerAudit};
use crate::model::{PairName, ServerAddr, Span};
use crate::topology::{Discovered, ObservedMasters, Server, SourceHealth, Topology};

/// Servers that are asked at the same time.
const AT_ONCE: usize = 50;

/// The shortest time that is allowed for a connection and for each request: a person waits, and an
/// answer matters more than its speed.
const SHORTEST_TIMEOUT: Span = Span::from_secs(2);

/// What to ask.
#[derive(Clone, Debug)]
pub struct AuditRequest {
    /// Only the entries of this name.
    pub pair: Option<PairName>,
    /// How long each master's writes are measured.
    pub measure: Span,
}

/// How far it is: servers that have answered or failed, and all of them.
pub type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// Asks all servers of `settings`, and those that Sentinels report. Changes nothing on them.
pub async fn collect_facts(
    settings: &Settings,
    request: &AuditRequest,
    progress: Progress,
) -> Vec<EntryAudit> {
    let discovered = probe::discover(settings).await;
    let configured = settings.pairs.iter().cloned();
    let mut entries: Vec<_> = configured.chain(discovered.entries()).collect();
    if let Some(name) = &request.pair {
        entries.retain(|entry| entry.name == *name);
    }
    let audits = ask_servers(settings, &entries, request.measure, progress).await;
    let mut collected = Vec::with_capacity(entries.len());
    for entry in &entries {
        collected.push(EntryAudit {
            name: entry.name.clone(),
            master: audits.of(&entry.master),
            replicas: entry.replicas.iter().map(|r| audits.of(r)).collect(),
            sentinels: Vec::new(),
            placement_risks: None,
        });
    }
    ask_sentinels(settings, &discovered, &mut collected).await;
    collected
        .into_iter()
        .map(EntryAudit::in_observed_roles)
        .collect()
}

/// What the servers said, by address.
struct Audits {
    by_addr: BTreeMap<ServerAddr, ServerAudit>,
    rules: Vec<crate::config::DatacenterRule>,
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

async fn ask_servers(
    settings: &Settings,
    entries: &[PairSettings],
    measure: Span,
    progress: Progress,
) -> Audits {
    let topology = Topology::observed(entries, &settings.datacenters, &ObservedMasters::default());
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let done = Arc::new(AtomicUsize::new(0));
    let all = topology.servers.len();
    let mut tasks = JoinSet::new();
    for server in topology.servers.into_values() {
        let question = server::Question {
            timeout: timeout(&server, &settings.poll),
            server,
            measure,
            permits: Arc::clone(&permits),
        };
        let done = Arc::clone(&done);
        let progress = Arc::clone(&progress);
        tasks.spawn(async move {
            let audit = question.ask().await;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, all);
            audit
        });
    }
    let audits = tasks.join_all().await;
    let by_addr = audits.into_iter().map(|audit| (audit.addr.clone(), audit));
    Audits {
        by_addr: by_addr.collect(),
        rules: settings.datacenters.clone(),
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

/// Adds what the Sentinels of each entry's master say, where it was found by Sentinels. All of them
/// are asked at the same time, within a bound: one that is silent delays no entry but its own.
async fn ask_sentinels(settings: &Settings, discovered: &Discovered, audits: &mut [EntryAudit]) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (index, audit) in audits.iter_mut().enumerate() {
        let Some((entry, master_name)) = watchers(settings, discovered, &audit.name) else {
            continue;
        };
        audit.placement_risks = placement_risks(discovered, &audit.name);
        for sentinel in &entry.sentinels {
            let server = Topology::server(sentinel, &settings.datacenters);
            let within = timeout(&server, &settings.poll);
            let master_name = master_name.clone();
            let permits = Arc::clone(&permits);
            tasks.spawn(async move {
                let _permit = permits.acquire().await;
                (index, ask_sentinel(server, master_name, within).await)
            });
        }
    }
    for (index, sentinel) in tasks.join_all().await {
        if let Some(audit) = audits.get_mut(index) {
            audit.sentinels.push(sentinel);
        }
    }
    for audit in audits {
        audit.sentinels.sort_by(|a, b| a.addr.cmp(&b.addr));
    }
}

/// What the placement of the Sentinels of `pair` risks; `None` where it is not known.
fn placement_risks(discovered: &Discovered, pair: &PairName) -> Option<Vec<String>> {
    let mut risks = None;
    for health in discovered.health() {
        let SourceHealth::Sentinels(group) = &health;
        if group.pair == *pair && group.placement_known {
            risks = Some(health.risks());
        }
    }
    risks
}

/// The entry of `sentinels` whose master `pair` is, and what it is called there.
fn watchers<'a>(
    settings: &'a Settings,
    discovered: &Discovered,
    pair: &PairName,
) -> Option<(&'a SentinelSettings, String)> {
    let is_known = |health: &SourceHealth| health.pair() == pair;
    if !discovered.health().iter().any(is_known) {
        return None;
    }
    for entry in &settings.sentinels {
        if let Some(name) = entry.master_of(pair) {
            return Some((entry, name.to_owned()));
        }
    }
    None
}

async fn ask_sentinel(server: Server, master_name: String, within: Span) -> SentinelAudit {
    let watch = tokio::time::timeout((within + within).to_duration(), async {
        let mut connection = SentinelConnection::connect(&server, within).await?;
        let watch = connection.watch(&master_name).await;
        watch.map_err(|reason| connection.explain(reason))
    });
    let watch = match watch.await {
        Ok(Ok(watch)) => Ok(watch),
        Ok(Err(failure)) => Err(failure.sentence("the Sentinel")),
        Err(_) => Err("the Sentinel did not answer in time".to_owned()),
    };
    SentinelAudit {
        addr: server.addr,
        dc: server.dc,
        master_name,
        watch,
    }
}
