//! What the monitor holds of active-active sites: the latest answers, and what follows from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Monitor;
use crate::config::{ActiveActiveSettings, Settings};
use crate::model::{Datacenter, PairName, Span, Timestamp};
use crate::replication::Pause;
use crate::sites::{
    ClockSkew, ClockTracker, DirectionStatus, ProbeRecord, SiteEvent, SiteEventKind, SiteFault,
    SiteFaultReason, SiteReading,
};
use crate::topology::monitored_sites;

/// An answer that is older than this says nothing of now: several times as long as the sites are
/// asked apart.
pub const FRESH_FOR: Span = Span::from_secs(30);

/// One entry of `active_active` that is monitored.
#[derive(Clone, Debug)]
pub struct ActiveActiveSnapshot {
    /// The entry.
    pub name: PairName,
    /// Its sites, in the configuration's order.
    pub sites: Vec<SiteSnapshot>,
    /// Every direction between two of them.
    pub directions: Vec<DirectionSnapshot>,
    /// The clocks of every two sites.
    pub clocks: Vec<ClockSnapshot>,
    /// Since when it has been watched without a pause of this exporter.
    pub since: Timestamp,
}

/// One site.
#[derive(Clone, Debug)]
pub struct SiteSnapshot {
    /// Where it is.
    pub dc: Datacenter,
    /// The site that its queue leads to; `None` without a queue.
    pub queue_to: Option<Datacenter>,
    /// Its latest answer, and when that was.
    pub reading: Option<(Timestamp, Arc<SiteReading>)>,
    /// Why there is no newer one, as a sentence without its end; `None` while it answers.
    pub fault: Option<OngoingFault>,
    /// How often its clock was set while it was watched.
    pub clock_steps: u64,
}

/// One direction between two sites.
#[derive(Clone, Debug)]
pub struct DirectionSnapshot {
    /// The site that has something.
    pub source: Datacenter,
    /// The site that may lack it.
    pub target: Datacenter,
    /// What was known after the latest look, and when that was.
    pub status: Option<(Timestamp, Arc<DirectionStatus>)>,
    /// Why there is no newer one, as a sentence without its end; `None` while there is.
    pub fault: Option<OngoingFault>,
    /// How often the comparison failed, or the reading of the source's clock and queue, since the
    /// entry has been watched.
    pub faults: BTreeMap<SiteFaultReason, u64>,
    /// How long writes took.
    pub probes: Arc<ProbeRecord>,
}

/// The clocks of two sites.
#[derive(Clone, Debug)]
pub struct ClockSnapshot {
    /// One site.
    pub source: Datacenter,
    /// The other one, whose clock is ahead by the skew.
    pub target: Datacenter,
    /// `None` while one of the clocks is not known.
    pub skew: Option<ClockSkew>,
}

/// A fault that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OngoingFault {
    /// Since when.
    pub since: Timestamp,
    /// What, as a sentence without its end.
    pub why: Arc<str>,
}

impl SiteSnapshot {
    /// The latest answer, if that still says something of `now`.
    pub fn fresh(&self, now: Timestamp) -> Option<&SiteReading> {
        let (at, reading) = self.reading.as_ref()?;
        (now - *at <= FRESH_FOR).then_some(reading)
    }

    /// Why nothing newer is known at `now`, as a sentence without its end; `None` while it answers.
    pub fn why_unknown(&self, now: Timestamp) -> Option<String> {
        let not_yet = "the site was not asked yet";
        why_unknown(self.fault.as_ref(), self.fresh(now).is_some(), not_yet)
    }
}

impl DirectionSnapshot {
    fn count(&mut self, reason: SiteFaultReason) {
        *self.faults.entry(reason).or_default() += 1;
    }

    /// What was known after the latest look, if that still says something of `now`.
    pub fn fresh(&self, now: Timestamp) -> Option<&DirectionStatus> {
        let (at, status) = self.status.as_ref()?;
        (now - *at <= FRESH_FOR).then_some(status)
    }

    /// Why nothing newer is known at `now`, as a sentence without its end; `None` while both sites
    /// answer.
    pub fn why_unknown(&self, now: Timestamp) -> Option<String> {
        let not_yet = "the sites were not compared yet";
        why_unknown(self.fault.as_ref(), self.fresh(now).is_some(), not_yet)
    }
}

fn why_unknown(fault: Option<&OngoingFault>, is_fresh: bool, not_yet: &str) -> Option<String> {
    match fault {
        Some(fault) => Some(fault.why.to_string()),
        None if is_fresh => None,
        None => Some(not_yet.to_owned()),
    }
}

/// Every entry that is monitored.
#[derive(Debug, Default)]
pub(super) struct Sites {
    entries: BTreeMap<PairName, WatchedEntry>,
}

#[derive(Debug)]
struct WatchedEntry {
    settings: ActiveActiveSettings,
    clocks: BTreeMap<Datacenter, ClockTracker>,
    sites: Vec<SiteSnapshot>,
    directions: Vec<DirectionSnapshot>,
    since: Timestamp,
}

impl Sites {
    pub(super) fn new(settings: &Settings, now: Timestamp) -> Self {
        let mut sites = Self::default();
        sites.reconfigure(settings, now);
        sites
    }

    /// Entries that do not change keep what is known of them.
    pub(super) fn reconfigure(&mut self, settings: &Settings, now: Timestamp) {
        let mut old = std::mem::take(&mut self.entries);
        for entry in monitored_sites(settings) {
            let known = old.remove(&entry.name);
            let known = known.filter(|known| known.settings == *entry);
            let watched = known.unwrap_or_else(|| WatchedEntry::new(entry, now));
            self.entries.insert(entry.name.clone(), watched);
        }
    }

    /// Whether no entry is monitored.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The exporter was paused: that time counts towards no silence.
    pub(super) fn note_pause(&mut self, pause: Pause) {
        for entry in self.entries.values_mut() {
            entry.since = pause.until;
        }
    }

    pub(super) fn handle(&mut self, event: SiteEvent) {
        // News of an entry that is not watched any more says nothing.
        if let Some(entry) = self.entries.get_mut(&event.entry) {
            entry.handle(event.at, event.kind);
        }
    }

    pub(super) fn snapshot(&self, now: Timestamp) -> Arc<[ActiveActiveSnapshot]> {
        let entries = self.entries.values();
        entries.map(|entry| entry.snapshot(now)).collect()
    }
}

impl WatchedEntry {
    fn new(settings: &ActiveActiveSettings, now: Timestamp) -> Self {
        let dcs: Vec<Datacenter> = settings.sites.iter().filter_map(|s| s.dc.clone()).collect();
        let mut sites = Vec::new();
        let mut directions = Vec::new();
        for source in &dcs {
            let others = dcs.iter().filter(|other| *other != source);
            for target in others.clone() {
                directions.push(DirectionSnapshot {
                    source: source.clone(),
                    target: target.clone(),
                    status: None,
                    fault: None,
                    faults: BTreeMap::new(),
                    probes: Arc::default(),
                });
            }
            let queue = settings.sync_queue.as_ref();
            sites.push(SiteSnapshot {
                dc: source.clone(),
                // A queue is between two sites.
                queue_to: queue.and(others.clone().next()).cloned(),
                reading: None,
                fault: None,
                clock_steps: 0,
            });
        }
        Self {
            settings: settings.clone(),
            clocks: BTreeMap::new(),
            sites,
            directions,
            since: now,
        }
    }

    fn handle(&mut self, at: Timestamp, kind: SiteEventKind) {
        match kind {
            SiteEventKind::Reading { site, result } => self.read(&site, result, at),
            SiteEventKind::Compared {
                source,
                target,
                result,
            } => {
                if let Some(direction) = self.direction(&source, &target) {
                    match result {
                        Ok(status) => {
                            direction.status = Some((at, status.into()));
                            direction.fault = None;
                        }
                        Err(fault) => {
                            note_fault(&mut direction.fault, &fault.why, at);
                            direction.count(fault.reason);
                        }
                    }
                }
            }
            SiteEventKind::Probed {
                source,
                target,
                path,
                news,
            } => {
                if let Some(direction) = self.direction(&source, &target) {
                    Arc::make_mut(&mut direction.probes).take(path, news, at);
                }
            }
        }
    }

    fn direction(
        &mut self,
        source: &Datacenter,
        target: &Datacenter,
    ) -> Option<&mut DirectionSnapshot> {
        let mut directions = self.directions.iter_mut();
        directions.find(|known| known.source == *source && known.target == *target)
    }

    fn read(
        &mut self,
        dc: &Datacenter,
        result: Result<Box<SiteReading>, SiteFault>,
        at: Timestamp,
    ) {
        let Some(site) = self.sites.iter_mut().find(|site| site.dc == *dc) else {
            return;
        };
        match result {
            Ok(reading) => {
                let clock = self.clocks.entry(dc.clone()).or_default();
                clock.record(reading.clock);
                site.clock_steps = clock.steps();
                site.reading = Some((at, reading.into()));
                site.fault = None;
            }
            Err(fault) => {
                note_fault(&mut site.fault, &fault.why, at);
                let directions = self.directions.iter_mut();
                for direction in directions.filter(|direction| direction.source == *dc) {
                    direction.count(fault.reason);
                }
            }
        }
    }

    fn snapshot(&self, now: Timestamp) -> ActiveActiveSnapshot {
        ActiveActiveSnapshot {
            name: self.settings.name.clone(),
            sites: self.sites.clone(),
            directions: self.directions.clone(),
            clocks: self.skews(now),
            since: self.since,
        }
    }

    fn skews(&self, now: Timestamp) -> Vec<ClockSnapshot> {
        let offset = |dc: &Datacenter| self.clocks.get(dc)?.offset(now);
        let mut skews = Vec::new();
        for (place, source) in self.sites.iter().enumerate() {
            for target in self.sites.iter().skip(place + 1) {
                let both = offset(&source.dc).zip(offset(&target.dc));
                skews.push(ClockSnapshot {
                    source: source.dc.clone(),
                    target: target.dc.clone(),
                    skew: both.map(|(source, target)| ClockSkew::between(source, target)),
                });
            }
        }
        skews
    }
}

fn note_fault(fault: &mut Option<OngoingFault>, why: &str, at: Timestamp) {
    let since = fault.as_ref().map_or(at, |known| known.since);
    *fault = Some(OngoingFault {
        since,
        why: why.into(),
    });
}

impl Monitor {
    /// Handles news of active-active sites.
    pub fn handle_sites(&mut self, event: SiteEvent) {
        self.sites.handle(event);
    }
}
