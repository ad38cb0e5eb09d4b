//! Asks active-active sites: what waits in their queues, what their clocks show, and which keys
//! differ. Off by default, entry by entry (`active_active[].monitor`): it reads keys, and needs the
//! rights for that.
//!
//! One task a site reads its queue and clock, one task for every two sites compares them. Each has
//! its own connections, so no site waits for another. They only read, at a bounded pace, and never
//! with KEYS. What writes is `probe` alone, off by default once more. What they learn goes to the
//! core as [`SiteEvent`]s on a bounded channel; what it means is decided in the room
//! [`sites`](crate::sites), which is pure.

mod compare;
mod probe;
mod reading;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock;
use crate::config::{ActiveActiveSettings, Settings};
use crate::model::{PairName, Span};
use crate::sites::{SiteEvent, SiteEventKind};
use crate::topology::{Server, Topology, monitored_sites};
use compare::ComparedSites;
use probe::{KeysUnderWay, Probe, watch_keys};
use reading::ReadSite;

/// A good capacity for the channel of events. A task that finds it full waits, and asks its sites
/// again only afterwards.
pub const SITE_QUEUE: usize = 256;

/// How long a site may take to answer at least: a batch of large values comes over a WAN.
const SHORTEST_TIMEOUT: Span = Span::from_secs(5);

/// All sites that are asked. Dropping it ends every task and closes every connection.
#[derive(Debug)]
pub struct SiteWatch {
    running: BTreeMap<PairName, (EntryPlan, JoinSet<()>)>,
    events: mpsc::Sender<SiteEvent>,
}

/// How to ask the sites of one entry. Its tasks continue over a reload if it stays equal.
#[derive(Clone, Debug, PartialEq)]
struct EntryPlan {
    entry: ActiveActiveSettings,
    sites: Vec<Arc<Server>>,
    within: Span,
    /// What sets the probes of exporters apart.
    identity: String,
}

/// Sends the events of one entry.
#[derive(Clone)]
struct SiteReporter {
    entry: PairName,
    events: mpsc::Sender<SiteEvent>,
}

impl fmt::Debug for SiteReporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SiteReporter").field(&self.entry).finish()
    }
}

impl SiteReporter {
    /// Reports what is so now; waits while the core is busy.
    async fn report(&self, kind: SiteEventKind) {
        let event = SiteEvent {
            entry: self.entry.clone(),
            at: clock::now(),
            kind,
        };
        // Fails only once nobody wants to know any more.
        let _ = self.events.send(event).await;
    }
}

impl SiteWatch {
    /// Starts to ask the sites of `settings` that are to be monitored. Must be called within a
    /// tokio runtime.
    pub fn start(settings: &Settings, events: mpsc::Sender<SiteEvent>) -> Self {
        let mut watch = Self {
            running: BTreeMap::new(),
            events,
        };
        watch.reload(settings);
        watch
    }

    /// Applies other settings. The tasks of entries that do not change go on.
    pub fn reload(&mut self, settings: &Settings) {
        let plans = plans(settings);
        self.running
            .retain(|name, (plan, _)| plans.get(name) == Some(plan));
        for (name, plan) in plans {
            if !self.running.contains_key(&name) {
                let tasks = self.spawn(&plan);
                self.running.insert(name, (plan, tasks));
            }
        }
    }

    fn spawn(&self, plan: &EntryPlan) -> JoinSet<()> {
        let reporter = SiteReporter {
            entry: plan.entry.name.clone(),
            events: self.events.clone(),
        };
        let mut tasks = JoinSet::new();
        for (place, site) in plan.sites.iter().enumerate() {
            let task = ReadSite::new(plan, site);
            tasks.spawn(task.run(reporter.clone()));
            for other in plan.sites.iter().skip(place + 1) {
                let there = watch_keys_of(&mut tasks, plan, [site, other], &reporter);
                let back = watch_keys_of(&mut tasks, plan, [other, site], &reporter);
                let task = ComparedSites::new(plan, [site, other], [there, back]);
                tasks.spawn(task.run(reporter.clone()));
            }
            for other in plan.sites.iter().filter(|other| other.dc != site.dc) {
                for probe in Probe::all(plan, site, other) {
                    tasks.spawn(probe.run(reporter.clone()));
                }
            }
        }
        tasks
    }

    /// Ends every task and waits until all connections are closed.
    pub async fn stop(&mut self) {
        for (_, tasks) in self.running.values_mut() {
            tasks.shutdown().await;
        }
    }
}

/// Starts to wait for keys that are under way from the first of these sites to the second, one at a
/// time.
fn watch_keys_of(
    tasks: &mut JoinSet<()>,
    plan: &EntryPlan,
    direction: [&Arc<Server>; 2],
    reporter: &SiteReporter,
) -> KeysUnderWay {
    let (sender, keys) = mpsc::channel(1);
    let direction = direction.map(Arc::clone);
    tasks.spawn(watch_keys(direction, plan.within, keys, reporter.clone()));
    sender
}

/// The entries that this exporter monitors.
fn plans(settings: &Settings) -> BTreeMap<PairName, EntryPlan> {
    let mut plans = BTreeMap::new();
    for entry in monitored_sites(settings) {
        let servers = entry.sites.iter();
        let servers = servers.map(|site| Arc::new(Topology::server(site, &settings.datacenters)));
        let plan = EntryPlan {
            sites: servers.collect(),
            within: settings.poll.timeout_remote.max(SHORTEST_TIMEOUT),
            identity: settings.notify.identity.clone(),
            entry: entry.clone(),
        };
        plans.insert(entry.name.clone(), plan);
    }
    plans
}

/// Logs what is wrong with a site, each sentence once.
#[derive(Debug, Default)]
struct FailureLog {
    logged: Option<String>,
}

impl FailureLog {
    fn failed(&mut self, entry: &PairName, why: &str) {
        if self.logged.as_deref() != Some(why) {
            tracing::warn!(pair = %entry, "active-active: {why}");
            self.logged = Some(why.to_owned());
        }
    }

    fn succeeded(&mut self, entry: &PairName) {
        if self.logged.take().is_some() {
            tracing::info!(pair = %entry, "active-active: the sites answer again");
        }
    }
}
