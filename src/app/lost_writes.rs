//! `lost-writes`: asks the servers of an entry which of them was deposed.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::probe;
use crate::capture::{CaptureTarget, ask};
use crate::config::{PairSettings, PollSettings, Settings};
use crate::lost_writes::{AskedServer, DeposedServer, deposed_servers};
use crate::model::{PairName, ServerAddr, Span};
use crate::topology::{Server, Topology};

/// The shortest time that is allowed for a connection and for each request: a person waits, and an
/// answer matters more than its speed.
const SHORTEST_TIMEOUT: Span = Span::from_secs(2);

/// The servers of an entry, and which of them were deposed.
#[derive(Clone, Debug)]
pub struct EntryTails {
    /// The entry's name.
    pub pair: PairName,
    servers: Vec<Arc<Server>>,
    /// What each of them answered.
    pub asked: Vec<AskedServer>,
    /// Those that may have been deposed; empty where none was promoted.
    pub deposed: Vec<DeposedServer>,
}

impl EntryTails {
    /// How to capture the writes of a deposed server.
    pub fn target(&self, deposed: &DeposedServer) -> Option<CaptureTarget> {
        let find = |addr: &ServerAddr| self.servers.iter().find(|server| server.addr == *addr);
        Some(CaptureTarget {
            pair: self.pair.clone(),
            deposed: Arc::clone(find(&deposed.addr)?),
            promoted: Arc::clone(find(&deposed.promoted.addr)?),
        })
    }

    /// How long a connection to a server, and an answer, may take.
    pub fn timeout(&self, settings: &Settings) -> Span {
        let timeouts = self
            .servers
            .iter()
            .map(|server| timeout(server, &settings.poll));
        timeouts.max().unwrap_or(SHORTEST_TIMEOUT)
    }
}

/// Asks the servers of the entry called `pair`, as the operator; `None` where there is no such
/// entry.
pub async fn find_deposed(settings: &Settings, pair: &PairName) -> Option<EntryTails> {
    let entry = entry(settings, pair).await?;
    let mut servers = Vec::new();
    for server in std::iter::once(&entry.master).chain(&entry.replicas) {
        let mut server = Topology::server(server, &settings.datacenters);
        if let Some(operator) = &settings.operator {
            server.credentials = operator.clone();
        }
        servers.push(Arc::new(server));
    }
    let asked = ask_all(&servers, &settings.poll).await;
    Some(EntryTails {
        pair: entry.name,
        deposed: deposed_servers(&asked),
        servers,
        asked,
    })
}

/// The entry of this name, configured or found by a discovery source.
async fn entry(settings: &Settings, pair: &PairName) -> Option<PairSettings> {
    if let Some(entry) = settings.pairs.iter().find(|entry| entry.name == *pair) {
        return Some(entry.clone());
    }
    if !settings.has_sources() {
        return None;
    }
    let found = probe::discover(settings).await.entries();
    found.into_iter().find(|entry| entry.name == *pair)
}

async fn ask_all(servers: &[Arc<Server>], poll: &PollSettings) -> Vec<AskedServer> {
    let mut tasks = JoinSet::new();
    for (index, server) in servers.iter().enumerate() {
        let server = Arc::clone(server);
        let within = timeout(&server, poll);
        tasks.spawn(async move { (index, ask(&server, within).await) });
    }
    let mut asked = tasks.join_all().await;
    asked.sort_by_key(|(index, _)| *index);
    asked.into_iter().map(|(_, asked)| asked).collect()
}

fn timeout(server: &Server, poll: &PollSettings) -> Span {
    let configured = if server.local {
        poll.timeout_local
    } else {
        poll.timeout_remote
    };
    configured.max(SHORTEST_TIMEOUT)
}
