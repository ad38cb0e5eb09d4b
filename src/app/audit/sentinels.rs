//! What the Sentinels of an entry's master say of it.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::progress::AuditStage;
use super::{Collection, timeout};
use crate::client::SentinelConnection;
use crate::config::{SentinelSettings, Settings};
use crate::doctor::{EntryAudit, SentinelAudit};
use crate::info::SentinelWatch;
use crate::model::{PairName, PollFailure, Span};
use crate::topology::{Server, SourceHealth, Topology};

impl Collection<'_> {
    /// Adds what the Sentinels of each entry's master say, where it was found by Sentinels. They
    /// are asked at the same time, within a bound: one that is silent delays no entry but its own.
    pub(super) async fn ask_sentinels(&self, audits: &mut [EntryAudit]) {
        let permits = Arc::new(Semaphore::new(self.at_once));
        let mut tasks = JoinSet::new();
        for (index, audit) in audits.iter_mut().enumerate() {
            let Some((entry, master_name)) = self.watchers(&audit.name) else {
                continue;
            };
            audit.placement_risks = placement_risks(self.sources, &audit.name);
            for sentinel in &entry.sentinels {
                let server = Topology::server(sentinel, &self.settings.datacenters);
                let within = timeout(&server, &self.settings.poll);
                let master_name = master_name.clone();
                let permits = Arc::clone(&permits);
                tasks.spawn(async move {
                    let _permit = permits.acquire().await;
                    (index, ask_sentinel(server, master_name, within).await)
                });
            }
        }
        let all = tasks.len();
        while let Some(asked) = tasks.join_next().await {
            // A task that panicked has no result.
            if let Ok((index, sentinel)) = asked
                && let Some(audit) = audits.get_mut(index)
            {
                audit.sentinels.push(sentinel);
            }
            (self.progress)(AuditStage::Sentinels, all - tasks.len(), all);
        }
        for audit in audits {
            audit.sentinels.sort_by(|a, b| a.addr.cmp(&b.addr));
        }
    }

    /// The entry of `sentinels` whose master `pair` is, and what it is called there.
    fn watchers(&self, pair: &PairName) -> Option<(&SentinelSettings, String)> {
        let is_known = |health: &SourceHealth| health.pair() == Some(pair);
        if !self.sources.iter().any(is_known) {
            return None;
        }
        named_by(self.settings, pair)
    }
}

fn named_by<'a>(settings: &'a Settings, pair: &PairName) -> Option<(&'a SentinelSettings, String)> {
    for entry in &settings.sentinels {
        if let Some(name) = entry.master_of(pair) {
            return Some((entry, name.to_owned()));
        }
    }
    None
}

/// What the placement of the Sentinels of `pair` risks; `None` where it is not known.
fn placement_risks(sources: &[SourceHealth], pair: &PairName) -> Option<Vec<String>> {
    let mut risks = None;
    for health in sources {
        if let SourceHealth::Sentinels(group) = health
            && group.pair == *pair
            && group.placement_known
        {
            risks = Some(health.risks());
        }
    }
    risks
}

/// A Sentinel's answer, and how long it took.
struct Answer {
    watch: SentinelWatch,
    round_trip: Option<Span>,
}

async fn ask_sentinel(server: Server, master_name: String, within: Span) -> SentinelAudit {
    let limit = (within + within).to_duration();
    let answer = match tokio::time::timeout(limit, answer(&server, &master_name, within)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(failure)) => Err(failure.sentence("the Sentinel")),
        Err(_) => Err("the Sentinel did not answer in time".to_owned()),
    };
    let round_trip = answer.as_ref().ok().and_then(|answer| answer.round_trip);
    SentinelAudit {
        addr: server.addr,
        dc: server.dc,
        master_name,
        watch: answer.map(|answer| answer.watch),
        round_trip,
    }
}

async fn answer(server: &Server, master_name: &str, within: Span) -> Result<Answer, PollFailure> {
    let mut connection = SentinelConnection::connect(server, within).await?;
    match connection.watch(master_name).await {
        Ok(watch) => Ok(Answer {
            watch,
            round_trip: connection.round_trip(),
        }),
        Err(reason) => Err(connection.explain(reason)),
    }
}
