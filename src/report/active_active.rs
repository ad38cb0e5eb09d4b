//! Active-active sites in a report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::numbers::{UnixClock, seconds};
use crate::model::{Histogram, Timestamp};
use crate::monitor::{
    ActiveActiveSnapshot, ClockSnapshot, DirectionSnapshot, FleetSnapshot, SiteSnapshot,
};
use crate::sites::{
    CheckedClass, Counted, DirectionStatus, NoAge, ProbePath, ProbeRecord, SiteReading, SiteRisk,
};

/// Every entry of `active_active` that is monitored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActiveActiveReport {
    /// In the order of their names.
    pub entries: Vec<SitesReport>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SitesReport {
    /// Its name.
    pub name: String,
    /// Its sites, in the configuration's order.
    pub sites: Vec<SiteReport>,
    /// Every direction between two of them.
    pub directions: Vec<DirectionReport>,
    /// The clocks of every two of them.
    pub clocks: Vec<ClockReport>,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteReport {
    /// Where it is.
    pub dc: String,
    /// When it last answered; `null` before the first answer.
    pub answered_timestamp: Option<f64>,
    /// Why nothing newer is known of it; `null` while it answers.
    pub reason: Option<String>,
    /// Its queue; `null` where it has none or it is not known.
    pub queue: Option<QueueReport>,
    /// How often its clock was set while it was watched.
    pub clock_steps: u64,
    /// How its server may lose what waits, by its settings.
    pub risks: Vec<RiskReport>,
}

/// How a site may lose what waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskReport {
    /// Its name.
    pub risk: SiteRisk,
    /// In words, without a full stop.
    pub sentence: String,
}

/// The queue of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueReport {
    /// The site that it leads to.
    pub target_dc: String,
    /// Items that wait.
    pub length: u64,
    /// For how long the oldest one has waited, at least; `null` where that is not known.
    pub oldest_seconds: Option<f64>,
    /// Why it is not known; `null` where it is.
    pub oldest_reason: Option<NoAge>,
    /// Items that were set aside.
    pub rejected: u64,
    /// Whether writes were not queued, because the queue was full.
    pub overflow: bool,
}

/// One direction: what the source has and the target lacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectionReport {
    /// The site that has something.
    pub source_dc: String,
    /// The site that may lack it.
    pub target_dc: String,
    /// When keys were last looked at; `null` before the first time.
    pub looked_timestamp: Option<f64>,
    /// Why nothing newer is known; `null` while both sites answer.
    pub reason: Option<String>,
    /// Registers that differ for good.
    pub keys: CountReport,
    /// Counters that differ for good.
    pub counters: CountReport,
    /// Counters of which the target has less in a field of its own; `null` before a pass has ended
    /// without one.
    pub regressed_counters: Option<u64>,
    /// What differs for good, by how it differs.
    pub settled: BTreeMap<CheckedClass, u64>,
    /// Keys that wait for their second look; `null` where nothing is known.
    pub in_flight: Option<u64>,
    /// Age of the oldest version that the target lacks.
    pub unpropagated_seconds: Option<f64>,
    /// How far the source's versions are ahead of its clock.
    pub timestamp_ahead_seconds: Option<f64>,
    /// The pass under way.
    pub pass: PassReport,
    /// The last pass that has ended; `null` before.
    pub last_pass: Option<LastPassReport>,
    /// How long writes took, by the way that they take; a way without any is left out.
    #[serde(default)]
    pub writes: Vec<WritesReport>,
    /// Some of the keys that differ for good.
    pub examples: Vec<DifferingKeyReport>,
    /// Whether the sites are asked less, because they answer slowly.
    pub is_slow: bool,
}

/// How long writes took to the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WritesReport {
    /// The way that they take.
    pub path: ProbePath,
    /// Writes that have arrived or were given up.
    pub count: u64,
    /// How long the latest one took; `null` where it was given up, or none has arrived.
    pub latest_seconds: Option<f64>,
    /// When it had arrived.
    pub latest_timestamp: Option<f64>,
    /// Why the latest probe was not written; `null` where it was.
    pub reason: Option<String>,
}

/// How many keys of a kind differ for good; all `null` where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountReport {
    /// The number; `null` until a pass has looked at every key.
    pub counted: Option<u64>,
    /// At least these.
    pub lower: Option<u64>,
    /// At most these, with 95 % confidence until a pass has looked at every key.
    pub upper: Option<u64>,
}

/// How far a pass is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PassReport {
    /// When it began; `null` before the first look.
    pub began_timestamp: Option<f64>,
    /// Keys that were looked at.
    pub looked: u64,
    /// Keys that there are, by estimate.
    pub expected: Option<u64>,
}

/// A pass that has looked at every key.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastPassReport {
    /// When it ended.
    pub ended_timestamp: f64,
    /// How long it took.
    pub seconds: f64,
    /// Keys that were looked at.
    pub keys: u64,
    /// How many passes have ended.
    pub passes: u64,
}

/// A key that differs for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferingKeyReport {
    /// The key; bytes that are not UTF-8 are replaced.
    pub key: String,
    /// How it differs.
    pub class: CheckedClass,
}

/// The clocks of two sites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockReport {
    /// One site.
    pub source_dc: String,
    /// The other one.
    pub target_dc: String,
    /// By how much the second one's clock is ahead, by estimate; all `null` where one is not known.
    pub skew_seconds: Option<f64>,
    /// The same, at least.
    pub skew_lower_seconds: Option<f64>,
    /// The same, at most.
    pub skew_upper_seconds: Option<f64>,
}

impl ActiveActiveReport {
    /// The sites as of `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let clock = UnixClock::new(fleet.anchor);
        let entries = fleet.active_active.iter();
        Self {
            entries: entries
                .map(|entry| SitesReport::new(entry, clock, now))
                .collect(),
        }
    }
}

impl SitesReport {
    fn new(entry: &ActiveActiveSnapshot, clock: UnixClock, now: Timestamp) -> Self {
        let sites = entry.sites.iter();
        let directions = entry.directions.iter();
        Self {
            name: entry.name.to_string(),
            sites: sites
                .map(|site| SiteReport::new(site, clock, now))
                .collect(),
            directions: directions
                .map(|direction| DirectionReport::new(direction, clock, now))
                .collect(),
            clocks: entry.clocks.iter().map(ClockReport::new).collect(),
        }
    }
}

impl SiteReport {
    fn new(site: &SiteSnapshot, clock: UnixClock, now: Timestamp) -> Self {
        let reading = site.fresh(now);
        let queue = reading.and_then(|reading| reading.queue);
        Self {
            dc: site.dc.to_string(),
            answered_timestamp: site.reading.as_ref().map(|(at, _)| clock.unix(*at)),
            reason: site.why_unknown(now),
            queue: queue
                .zip(site.queue_to.as_ref())
                .map(|(queue, target)| QueueReport {
                    target_dc: target.to_string(),
                    length: queue.length,
                    oldest_seconds: seconds(queue.oldest.ok()),
                    oldest_reason: queue.oldest.err(),
                    rejected: queue.rejected,
                    overflow: queue.has_overflowed,
                }),
            clock_steps: site.clock_steps,
            risks: reading.map_or_else(Vec::new, risks),
        }
    }
}

fn risks(reading: &SiteReading) -> Vec<RiskReport> {
    let risks = reading.risks.iter().map(|risk| RiskReport {
        risk: *risk,
        sentence: risk.sentence().to_owned(),
    });
    risks.collect()
}

impl DirectionReport {
    fn new(direction: &DirectionSnapshot, clock: UnixClock, now: Timestamp) -> Self {
        let looked = direction.status.as_ref().map(|(at, _)| clock.unix(*at));
        let nothing = DirectionStatus::default();
        let fresh = direction.fresh(now);
        let status = fresh.unwrap_or(&nothing);
        let latest = direction.status.as_ref().map(|(_, status)| status);
        let last_pass = latest.and_then(|status| status.last_pass);
        let is_regression_known = status.regressed > 0 || status.counters.counted.is_some();
        let examples = status.examples.iter().map(|example| DifferingKeyReport {
            key: example.key.clone(),
            class: example.class,
        });
        Self {
            source_dc: direction.source.to_string(),
            target_dc: direction.target.to_string(),
            looked_timestamp: looked,
            reason: direction.why_unknown(now),
            keys: CountReport::new(fresh.map(|status| status.keys)),
            counters: CountReport::new(fresh.map(|status| status.counters)),
            regressed_counters: is_regression_known.then_some(status.regressed),
            settled: status.settled.clone(),
            in_flight: fresh.map(|status| status.in_flight),
            unpropagated_seconds: seconds(status.unpropagated),
            timestamp_ahead_seconds: seconds(status.ahead),
            pass: PassReport {
                began_timestamp: clock.unix_if_known(status.pass.began),
                looked: status.pass.looked,
                expected: status.pass.expected,
            },
            last_pass: last_pass.map(|pass| LastPassReport {
                ended_timestamp: clock.unix(pass.ended),
                seconds: pass.took.as_secs_f64(),
                keys: pass.keys,
                passes: pass.passes,
            }),
            writes: writes(&direction.probes, clock),
            examples: examples.collect(),
            is_slow: status.is_slow,
        }
    }
}

/// Every path of which something is known.
fn writes(probes: &ProbeRecord, clock: UnixClock) -> Vec<WritesReport> {
    let mut reports = Vec::new();
    for path in ProbePath::ALL {
        let count = probes.convergence.get(&path).map_or(0, Histogram::count);
        let latest = probes.latest.get(&path);
        let reason = probes.failures.get(&path);
        if count > 0 || reason.is_some() {
            reports.push(WritesReport {
                path,
                count,
                latest_seconds: latest.map(|(_, took)| took.as_secs_f64()),
                latest_timestamp: latest.map(|(at, _)| clock.unix(*at)),
                reason: reason.cloned(),
            });
        }
    }
    reports
}

impl CountReport {
    fn new(count: Option<Counted>) -> Self {
        let Some(count) = count else {
            return Self::default();
        };
        Self {
            counted: count.counted,
            lower: Some(count.seen),
            upper: count.upper,
        }
    }
}

impl ClockReport {
    fn new(clock: &ClockSnapshot) -> Self {
        Self {
            source_dc: clock.source.to_string(),
            target_dc: clock.target.to_string(),
            skew_seconds: clock.skew.map(|skew| skew.estimate.as_secs_f64()),
            skew_lower_seconds: clock.skew.map(|skew| skew.lower.as_secs_f64()),
            skew_upper_seconds: clock.skew.map(|skew| skew.upper.as_secs_f64()),
        }
    }
}
