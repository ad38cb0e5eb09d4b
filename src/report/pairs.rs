//! Pairs in a report.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::alerts::{ListedState, listed_state};
use super::failovers::FailoversReport;
use super::level::write_pairs;
use super::sentinels::SentinelsReport;
use super::servers::{ExporterReport, ServerReport};
use super::words;
use crate::alert::{ListedAlert, Rule, TargetKind};
use crate::config::{LevelRule, LevelThreshold, Severity};
use crate::model::{Bytes, ServerAddr, Span, Timestamp};
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::replication::{Assessment, Diverged, LastKnown, PairState, ServerFacts};

/// Every pair and every server: the answer of `/api/v1/pairs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairsReport {
    /// Every pair, in the configuration's order; written with its level.
    #[serde(serialize_with = "write_pairs")]
    pub pairs: Vec<PairReport>,
    /// Every server, by address.
    pub servers: Vec<ServerReport>,
    /// The Sentinels, by the pairs that they watch. Absent from reports of older exporters.
    #[serde(default)]
    pub sentinels: Vec<SentinelsReport>,
    /// The failovers so far, by the entries' names. Absent from reports of older exporters.
    #[serde(default)]
    pub failovers: Vec<FailoversReport>,
    /// Who says so, and when.
    pub exporter: ExporterReport,
}

/// One pair. What is not known is `None`; `reason` says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairReport {
    /// The name of the configuration's entry.
    pub pair: String,
    /// The master's datacenter.
    pub source_dc: String,
    /// The replica's datacenter.
    pub target_dc: String,
    /// The configured master, `host:port`.
    pub master: String,
    /// The replica, `host:port`.
    pub replica: String,
    /// The configured labels.
    pub labels: BTreeMap<String, String>,
    /// The state.
    #[serde(with = "words::state")]
    pub state: PairState,
    /// Why it is in that state, as a sentence.
    pub reason: String,
    /// One line: the state and since when, and what would be lost if the master's datacenter failed
    /// now. Empty in reports of older exporters.
    #[serde(default)]
    pub summary: String,
    /// Whether the lag rests on the assumption that a silent replica applies nothing but what it
    /// ACKs.
    pub stale: bool,
    /// Age of the oldest write that the replica lacks; 0 when it lacks none. The best estimate.
    pub lag_seconds: Option<f64>,
    /// The lag is certainly at least this.
    pub lag_lower_seconds: Option<f64>,
    /// The lag is certainly at most this.
    pub lag_upper_seconds: Option<f64>,
    /// The highest estimate of the last minute.
    pub lag_max_seconds: Option<f64>,
    /// Bytes that the master has written and the replica has not applied. The best estimate.
    pub lag_bytes: Option<u64>,
    /// It was certainly at least this when the replica was last asked.
    pub lag_lower_bytes: Option<u64>,
    /// It was certainly at most this when the replica was last asked.
    pub lag_upper_bytes: Option<u64>,
    /// When the replica's position was last learned.
    pub sample_timestamp: Option<f64>,
    /// The last certified statement; stays when the master is lost: this much may be gone.
    pub last_known: Option<LastKnownReport>,
    /// Whether the state is `streaming`.
    pub link_up: bool,
    /// For how long the link has been down or stalled; `null` in every other state.
    pub link_down_seconds: Option<f64>,
    /// `master_last_io_seconds_ago` of the replica. `null`, like all that only the replica tells,
    /// while it is silent.
    pub last_io_seconds: Option<f64>,
    /// Age of the last ACK, as the master tells. `null`, like all that only the master tells, while
    /// it is silent.
    pub ack_age_seconds: Option<f64>,
    /// Bytes that the master has written and the replica has not ACKed.
    pub ack_lag_bytes: Option<u64>,
    /// Bytes that the replica has received and not yet applied.
    pub unapplied_bytes: Option<u64>,
    /// Unshared history, while diverged: the end of the older history, which a server that was
    /// promoted does not have.
    pub diverged_bytes: Option<u64>,
    /// What only the pair's master has, while both are masters. Absent from reports of older
    /// exporters.
    #[serde(default)]
    pub diverged_master_bytes: Option<u64>,
    /// What only the replica has, while diverged. Absent from reports of older exporters.
    #[serde(default)]
    pub diverged_replica_bytes: Option<u64>,
    /// How many bytes the master may write during a cut before the replica needs a full resync.
    pub backlog_headroom_bytes: Option<u64>,
    /// Bytes of the stream that the replica has applied since the exporter first saw it.
    pub applied_bytes_total: Option<u64>,
    /// The configured thresholds.
    pub thresholds: Thresholds,
    /// Alerts about the pair or one of its servers that are pending or firing.
    pub alerts: Vec<AlertBrief>,
}

/// The last certified statement about a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastKnownReport {
    /// The lag was at most this.
    pub lag_upper_seconds: f64,
    /// It was at most this in bytes.
    pub lag_upper_bytes: Option<u64>,
    /// When that was.
    pub timestamp: f64,
}

/// The thresholds of the rules that look at a pair, in seconds or bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// `lag_seconds`: warning on the estimate, critical on the lower bound.
    pub lag_seconds: Levels,
    /// `lag_bytes`, likewise.
    pub lag_bytes: Levels,
    /// `link_down`, in seconds.
    pub link_down: Levels,
    /// `unknown`, in seconds.
    pub unknown: Levels,
    /// `diverged`, in seconds.
    #[serde(default)]
    pub diverged: Levels,
    /// `failover`: how often in the rule's window.
    #[serde(default)]
    pub failover: Levels,
    /// `unreachable`, in seconds: of the pair's servers.
    #[serde(default)]
    pub unreachable: Levels,
    /// `full_sync`: how many within the rule's window, of the pair's servers.
    #[serde(default)]
    pub full_sync: Levels,
}

/// A rule's two levels; `null` is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The warning threshold.
    pub warning: Option<f64>,
    /// The critical threshold.
    pub critical: Option<f64>,
}

/// An alert in a pair's line; `/api/v1/alerts` has all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBrief {
    /// Its name.
    pub alertname: String,
    /// Its severity.
    #[serde(with = "words::severity")]
    pub severity: Severity,
    /// `pending` or `firing`.
    pub state: ListedState,
    /// Whether it fires although its value is clear: not yet for long enough.
    pub recovering: bool,
    /// Why, of an alert about a server or a failover: the pair's own reason need not say it.
    #[serde(default)]
    pub reason: Option<String>,
}

impl PairsReport {
    /// What is true of the fleet at `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let alerts = LiveAlerts::new(&fleet.alerts);
        Self {
            pairs: fleet
                .pairs
                .iter()
                .map(|pair| PairReport::new(fleet, pair, &alerts, now))
                .collect(),
            servers: fleet
                .servers
                .iter()
                .map(|server| ServerReport::new(fleet, server, now))
                .collect(),
            sentinels: SentinelsReport::new(fleet),
            failovers: FailoversReport::new(fleet),
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl PairReport {
    /// The pair at a place of the configuration's order, at `now`.
    pub fn at(fleet: &FleetSnapshot, place: usize, now: Timestamp) -> Option<Self> {
        let pair = fleet.pairs.get(place)?;
        Some(Self::new(fleet, pair, &LiveAlerts::new(&fleet.alerts), now))
    }

    fn new(
        fleet: &FleetSnapshot,
        pair: &PairSnapshot,
        alerts: &LiveAlerts<'_>,
        now: Timestamp,
    ) -> Self {
        let (meta, facts) = (&pair.meta, &pair.facts);
        let seen = pair.assess(now);
        let replica_talks = pair.replica.facts.answers(now, facts.interval);
        let link = replica_talks.then_some(&facts.link);
        let master_talks =
            direct_master(fleet, &meta.master).is_some_and(|m| m.answers(now, facts.interval));
        let ack = master_talks.then_some(&facts.ack);
        Self {
            pair: meta.key.name.to_string(),
            source_dc: meta.source_dc.to_string(),
            target_dc: meta.target_dc.to_string(),
            master: meta.master.to_string(),
            replica: meta.key.replica.to_string(),
            labels: (*meta.labels).clone(),
            state: seen.state,
            reason: reason_of(pair, &seen, now),
            summary: pair.line(&seen, now, &fleet.anchor).to_string(),
            stale: seen.stale,
            lag_seconds: seconds(seen.lag.estimate),
            lag_lower_seconds: seconds(seen.lag.lower),
            lag_upper_seconds: seconds(seen.lag.upper),
            lag_max_seconds: seconds(pair.lag_max.max(seen.lag.estimate)),
            lag_bytes: bytes(seen.bytes.estimate),
            lag_lower_bytes: bytes(seen.bytes.lower),
            lag_upper_bytes: bytes(seen.bytes.upper),
            sample_timestamp: seen
                .sampled_at
                .map(|at| fleet.anchor.wall(at).as_secs_f64()),
            last_known: seen
                .last_known
                .map(|known| LastKnownReport::new(fleet, known)),
            link_up: seen.state == PairState::Streaming,
            link_down_seconds: seconds(seen.link_down_for),
            last_io_seconds: seconds(link.and_then(|link| link.last_io)),
            ack_age_seconds: seconds(ack.and_then(|ack| ack.last).and_then(|last| last.age)),
            ack_lag_bytes: bytes(ack.and_then(|ack| ack.lag)),
            unapplied_bytes: bytes(link.and_then(|link| link.unapplied)),
            diverged_bytes: bytes(seen.diverged.map(Diverged::older)),
            diverged_master_bytes: bytes(seen.diverged.and_then(Diverged::master)),
            diverged_replica_bytes: bytes(seen.diverged.map(Diverged::replica)),
            backlog_headroom_bytes: bytes(seen.backlog_headroom),
            applied_bytes_total: facts.applied_total,
            thresholds: Thresholds::new(pair),
            alerts: alerts.about(pair),
        }
    }
}

/// Why the pair is in its state, after what is worse: a pair whose master lost its history may well
/// stream.
fn reason_of(pair: &PairSnapshot, seen: &Assessment, now: Timestamp) -> String {
    let loss = pair.facts.loss.as_ref();
    match loss.filter(|loss| !loss.is_over(now)) {
        Some(loss) => format!("{loss}; {}", seen.reason),
        None => seen.reason.to_string(),
    }
}

/// The facts of the master that a pair is configured with, which ACKs come from: in a chain it is
/// not the server that lag is measured against. Servers stand in the order of their addresses.
fn direct_master<'a>(fleet: &'a FleetSnapshot, addr: &ServerAddr) -> Option<&'a ServerFacts> {
    let index = fleet
        .servers
        .binary_search_by(|server| server.meta.addr.cmp(addr))
        .ok()?;
    fleet.servers.get(index).map(|server| &server.facts)
}

fn seconds(span: Option<Span>) -> Option<f64> {
    span.map(Span::as_secs_f64)
}

fn bytes(count: Option<Bytes>) -> Option<u64> {
    count.map(Bytes::get)
}

impl LastKnownReport {
    pub(super) fn new(fleet: &FleetSnapshot, known: LastKnown) -> Self {
        Self {
            lag_upper_seconds: known.upper.as_secs_f64(),
            lag_upper_bytes: bytes(known.upper_bytes),
            timestamp: fleet.anchor.wall(known.at).as_secs_f64(),
        }
    }
}

impl Thresholds {
    /// Whether a level of the rule is on.
    pub(super) fn has(&self, rule: Rule) -> bool {
        let levels = match rule {
            Rule::LagSeconds => self.lag_seconds,
            Rule::LagBytes => self.lag_bytes,
            Rule::LinkDown => self.link_down,
            Rule::Unknown => self.unknown,
            Rule::Diverged => self.diverged,
            Rule::Failover => self.failover,
            Rule::Unreachable => self.unreachable,
            Rule::FullSync => self.full_sync,
            _ => Levels::default(),
        };
        levels.warning.or(levels.critical).is_some()
    }

    fn new(pair: &PairSnapshot) -> Self {
        let rules = &pair.meta.alerts;
        let mut all = Self {
            unreachable: Levels::new(&rules.unreachable, Span::as_secs_f64),
            full_sync: Levels::new(&rules.full_sync.levels, |count| count as f64),
            ..Self::default()
        };
        for threshold in pair.thresholds() {
            let levels = match threshold.rule {
                Rule::LagSeconds => &mut all.lag_seconds,
                Rule::LagBytes => &mut all.lag_bytes,
                Rule::LinkDown => &mut all.link_down,
                Rule::Unknown => &mut all.unknown,
                Rule::Diverged => &mut all.diverged,
                Rule::Failover => &mut all.failover,
                _ => continue,
            };
            let is_critical = threshold.severity == Severity::Critical.label();
            *(if is_critical {
                &mut levels.critical
            } else {
                &mut levels.warning
            }) = Some(threshold.value);
        }
        all
    }
}

impl Levels {
    fn new<T: Copy>(rule: &LevelRule<T>, number: impl Fn(T) -> f64) -> Self {
        let at = |level: Option<LevelThreshold<T>>| level.map(|level| number(level.at));
        Self {
            warning: at(rule.warning),
            critical: at(rule.critical),
        }
    }
}

/// Alerts that are pending or firing, by what they are about.
struct LiveAlerts<'a> {
    pairs: BTreeMap<(&'a str, &'a str), Vec<AlertBrief>>,
    names: BTreeMap<&'a str, Vec<AlertBrief>>,
    servers: BTreeMap<&'a str, Vec<AlertBrief>>,
}

impl<'a> LiveAlerts<'a> {
    fn new(listed: &'a [ListedAlert]) -> Self {
        let mut live = Self {
            pairs: BTreeMap::new(),
            names: BTreeMap::new(),
            servers: BTreeMap::new(),
        };
        for alert in listed {
            let Some(brief) = AlertBrief::new(alert) else {
                continue;
            };
            let label = |name| alert.alert.identity.labels.get(name).map(String::as_str);
            if let (Some(pair), Some(replica)) = (label("pair"), label("replica")) {
                live.pairs.entry((pair, replica)).or_default().push(brief);
            } else if let Some(pair) = label("pair") {
                live.names.entry(pair).or_default().push(brief);
            } else if let Some(server) = label("server") {
                live.servers.entry(server).or_default().push(brief);
            }
        }
        live
    }

    fn about(&self, pair: &PairSnapshot) -> Vec<AlertBrief> {
        let key = &pair.meta.key;
        let replica = key.replica.to_string();
        let own = self.pairs.get(&(key.name.as_str(), replica.as_str()));
        // In a chain the lag is measured against the server at its top.
        let addresses = BTreeSet::from([&pair.meta.top, &pair.meta.master, &key.replica]);
        let of_servers = addresses
            .into_iter()
            .map(|addr| self.servers.get(addr.to_string().as_str()));
        let of_name = self.names.get(key.name.as_str());
        [own, of_name]
            .into_iter()
            .chain(of_servers)
            .flatten()
            .flatten()
            .cloned()
            .collect()
    }
}

impl AlertBrief {
    fn new(listed: &ListedAlert) -> Option<Self> {
        let (state, recovering) = listed_state(listed.state);
        let alert = &listed.alert;
        let rule = alert.identity.rule;
        (state != ListedState::Resolved).then(|| Self {
            alertname: rule.alert_name().to_owned(),
            severity: alert.severity,
            state,
            recovering,
            reason: match rule.target() {
                TargetKind::Pair => None,
                _ => alert.context.reason.clone(),
            },
        })
    }

    /// Whether it is an alert of this rule.
    pub(super) fn is_of(&self, rule: Rule) -> bool {
        self.alertname == rule.alert_name()
    }

    /// Whether it is an alert of this rule, if there is one.
    pub(super) fn is_of_any(&self, rule: Option<Rule>) -> bool {
        rule.is_some_and(|rule| self.is_of(rule))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::testing::{Scene, fleet};
    use super::*;

    fn json(scene: Scene) -> Value {
        let (fleet, now) = fleet(scene);
        serde_json::to_value(PairsReport::new(&fleet, now)).unwrap()
    }

    #[test]
    fn a_healthy_pair_has_its_lag_and_says_so() {
        let json = json(Scene::Streaming);
        let pair = &json["pairs"][0];
        assert_eq!(
            (&pair["state"], &pair["reason"]),
            (&"streaming".into(), &"the link is up".into())
        );
        assert_eq!(
            (&pair["lag_seconds"], &pair["lag_bytes"]),
            (&0.0.into(), &0.into())
        );
        assert!(pair["lag_upper_seconds"].as_f64().unwrap() > 0.0);
        assert_eq!(
            pair["thresholds"]["lag_seconds"],
            serde_json::json!({"warning": 30.0, "critical": 120.0})
        );
        assert_eq!(
            pair["thresholds"]["lag_bytes"],
            serde_json::json!({"warning": null, "critical": null})
        );
        assert_eq!(json["servers"][0]["up"], true);
    }

    #[test]
    fn what_is_not_known_is_null_and_never_a_number() {
        let json = json(Scene::NothingYet);
        let pair = json["pairs"][0].as_object().unwrap();
        let unknown = [
            "lag_seconds",
            "lag_lower_seconds",
            "lag_upper_seconds",
            "lag_max_seconds",
            "lag_bytes",
            "lag_lower_bytes",
            "lag_upper_bytes",
            "sample_timestamp",
            "last_known",
            "link_down_seconds",
            "last_io_seconds",
            "ack_age_seconds",
            "ack_lag_bytes",
            "unapplied_bytes",
            "diverged_bytes",
            "diverged_master_bytes",
            "diverged_replica_bytes",
            "backlog_headroom_bytes",
            "applied_bytes_total",
        ];
        for key in unknown {
            assert_eq!(
                pair.get(key),
                Some(&Value::Null),
                "{key} stands there, and is null"
            );
        }
        assert_eq!(pair["reason"], "the first polls are under way");
        assert_eq!(
            json["servers"][0]["up"],
            Value::Null,
            "a server that was not asked is neither up nor down"
        );
    }

    #[test]
    fn a_lost_master_leaves_a_lower_bound_and_the_last_certified_statement() {
        let json = json(Scene::MasterLost);
        let pair = &json["pairs"][0];
        assert_eq!(pair["state"], "master_unreachable");
        assert_eq!(
            (&pair["lag_seconds"], &pair["lag_upper_seconds"]),
            (&Value::Null, &Value::Null)
        );
        assert!(
            pair["lag_lower_seconds"].is_f64() && pair["last_known"]["lag_upper_seconds"].is_f64()
        );
        assert_eq!(
            pair["ack_lag_bytes"],
            Value::Null,
            "what only the master tells is not known while it is silent"
        );
        let alerts = pair["alerts"].as_array().unwrap();
        assert!(
            alerts.iter().any(
                |a| a["alertname"] == "RedisCrossDcServerUnreachable" && a["state"] == "firing"
            )
        );
        let master = json["servers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["up"] == false)
            .unwrap();
        assert_eq!(
            (&master["server"], &master["last_error"]),
            (&"m.example.com:6379".into(), &"timeout".into())
        );
    }

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        for scene in Scene::ALL {
            let (fleet, now) = fleet(scene);
            let report = PairsReport::new(&fleet, now);
            let text = serde_json::to_string(&report).unwrap();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert_eq!(serde_json::from_str::<PairsReport>(&text).unwrap(), report);
        }
    }

    #[test]
    fn a_state_of_a_later_version_reads_as_unknown() {
        let mut json = json(Scene::Streaming);
        json["pairs"][0]["state"] = "time_travelling".into();
        let report: PairsReport = serde_json::from_value(json).unwrap();
        assert_eq!(report.pairs[0].state, PairState::Unknown);
    }
}
