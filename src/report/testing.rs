//! Fleets for tests: a real monitor that processed captured INFO replies, in virtual time.

use std::collections::BTreeMap;

use super::{ExporterReport, ForecastReport, PairReport, PairsReport, Thresholds};
use crate::active_active::Stamp;
use crate::config::testing::{parsed, settings_of};
use crate::config::{DatacenterRule, HostPattern, Settings};
use crate::info::parse;
use crate::model::{
    ClockAnchor, Datacenter, PairName, PollError, ServerAddr, Span, Timestamp, WallTime,
};
use crate::monitor::{FleetSnapshot, Monitor, PollEvent, PollEventKind};
use crate::replication::PairState;
use crate::sites::{
    CheckedClass, ClockSample, Counted, DifferingKey, DirectionStatus, PassProgress, QueueReading,
    SiteEvent, SiteEventKind, SiteFault, SiteFaultReason, SiteReading, SiteRisk,
};
use crate::topology::Topology;

const MASTER: &str = "m.example.com:6379";
const REPLICA: &str = "r.example.com:6379";

const MASTER_REPLY: &str = include_str!("../../tests/fixtures/info/redis-7.4/master_info_all.txt");
const REPLICA_REPLY: &str =
    include_str!("../../tests/fixtures/info/redis-7.4/replica_info_all.txt");

/// What happened to a fleet of one pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Nobody has answered yet.
    NothingYet,
    /// Both servers answer and the replica has everything.
    Streaming,
    /// The same, and then the master does not answer for 20 seconds.
    MasterLost,
}

impl Scene {
    pub(crate) const ALL: [Self; 3] = [Self::NothingYet, Self::Streaming, Self::MasterLost];
}

/// A fleet and the instant at which a test reports on it.
pub(crate) fn fleet(scene: Scene) -> (FleetSnapshot, Timestamp) {
    fleet_named("orders", scene)
}

/// A fleet whose pair has that name and a label `note` of the same text.
pub(crate) fn fleet_named(name: &str, scene: Scene) -> (FleetSnapshot, Timestamp) {
    let mut settings = settings_of(&[(name, MASTER, &[REPLICA])]);
    settings.active_active = parsed(SITES).active_active;
    settings.pairs[0].labels = BTreeMap::from([("note".to_owned(), name.to_owned())]);
    settings.datacenters = [("dc1", "m.*"), ("dc2", "r.*")]
        .map(|(dc, glob)| place(dc, glob))
        .into();
    let mut story = Story::begin(&settings);
    match scene {
        Scene::NothingYet => {}
        Scene::Streaming => {
            story.healthy_rounds();
            story.sites_differ();
        }
        Scene::MasterLost => {
            story.healthy_rounds();
            let found = crate::doctor::testing::report_of(name);
            story.monitor.audit_ended(Ok(found), story.now);
            story.master_is_silent_for(20);
        }
    }
    (story.monitor.snapshot(anchor(story.now)), story.now)
}

/// Sites that applications write to side by side.
const SITES: &str = "active_active: [{name: profiles, sites: [{address: 'a:1', dc: dc1}, \
                     {address: 'b:1', dc: dc2}], sync_queue: q, keys: ['u:*'], monitor: true}]";

/// A healthy fleet after a pause of 42 seconds, in which only the master has answered since.
pub(crate) fn fleet_after_pause() -> (FleetSnapshot, Timestamp) {
    let mut story = Story::begin(&settings_of(&[("orders", MASTER, &[REPLICA])]));
    story.healthy_rounds();
    story.now += Span::from_secs(42);
    story.monitor.observe_running(story.now);
    story.answers(MASTER, MASTER_REPLY);
    (story.monitor.snapshot(anchor(story.now)), story.now)
}

/// A fleet of as many pairs, none of which was polled yet.
pub(crate) fn large_fleet(pairs: usize) -> (FleetSnapshot, Timestamp) {
    let replicas: Vec<_> = (0..pairs)
        .map(|n| format!("r{n}.example.com:6379"))
        .collect();
    let replicas: Vec<_> = replicas.iter().map(String::as_str).collect();
    let story = Story::begin(&settings_of(&[("many", MASTER, &replicas)]));
    (story.monitor.snapshot(anchor(story.now)), story.now)
}

fn place(name: &str, glob: &str) -> DatacenterRule {
    let patterns = vec![HostPattern::Glob(wildmatch::WildMatch::new(glob))];
    DatacenterRule {
        name: Datacenter::new(name),
        patterns,
        local: false,
    }
}

fn anchor(now: Timestamp) -> ClockAnchor {
    let wall = WallTime::from_nanos(1_750_000_000_000_000_000 + now.as_nanos());
    ClockAnchor { mono: now, wall }
}

struct Story {
    monitor: Monitor,
    now: Timestamp,
}

impl Story {
    fn begin(settings: &Settings) -> Self {
        let now = Timestamp::from_nanos(0) + Span::from_secs(100);
        Self {
            monitor: Monitor::new(settings, &Topology::from_settings(settings), anchor(now)),
            now,
        }
    }

    fn pass(&mut self, span: Span) {
        self.now += span;
        self.monitor.tick(self.now);
    }

    fn answers(&mut self, server: &str, reply: &str) {
        let sent = self.now;
        self.pass(Span::from_millis(2));
        let observation = Box::new(parse(reply).expect("a captured reply"));
        let kind = PollEventKind::Answered {
            sent,
            received: self.now,
            observation,
            late: Span::ZERO,
        };
        self.monitor.handle_poll(PollEvent {
            server: ServerAddr::parse(server).expect("an address"),
            kind,
        });
    }

    /// Two active-active sites answer: one key differs for good, and one direction is not known.
    fn sites_differ(&mut self) {
        let reading = SiteReading {
            clock: ClockSample {
                server: Stamp::new(1_700_000_000.0).expect("a stamp"),
                sent: self.now,
                received: self.now,
            },
            run_id: None,
            queue: Some(QueueReading {
                length: 7,
                rejected: 1,
                has_overflowed: false,
                oldest: Ok(Span::from_secs(12)),
            }),
            risks: vec![SiteRisk::EvictsAnyKey],
        };
        let status = DirectionStatus {
            keys: Counted {
                seen: 1,
                counted: None,
                upper: Some(30),
            },
            settled: [(CheckedClass::Newer, 1)].into(),
            unpropagated: Some(Span::from_secs(20)),
            pass: PassProgress {
                began: Some(self.now),
                looked: 100,
                expected: Some(1000),
            },
            examples: vec![DifferingKey {
                key: "u:<1>".to_owned(),
                class: CheckedClass::Newer,
            }],
            ..DirectionStatus::default()
        };
        let [dc1, dc2] = ["dc1", "dc2"].map(Datacenter::new);
        let kinds = [
            SiteEventKind::Reading {
                site: dc1.clone(),
                result: Ok(Box::new(reading)),
            },
            SiteEventKind::Compared {
                source: dc1.clone(),
                target: dc2.clone(),
                result: Ok(Box::new(status)),
            },
            SiteEventKind::Compared {
                source: dc2,
                target: dc1,
                result: Err(SiteFault {
                    reason: SiteFaultReason::Timeout,
                    why: "dc2 (b:1): no answer".to_owned(),
                }),
            },
        ];
        for kind in kinds {
            self.monitor.handle_sites(SiteEvent {
                entry: PairName::new("profiles"),
                at: self.now,
                kind,
            });
        }
    }

    /// Three rounds as polling does them: master, replica, master.
    fn healthy_rounds(&mut self) {
        for _ in 0..3 {
            self.answers(MASTER, MASTER_REPLY);
            self.answers(REPLICA, REPLICA_REPLY);
            self.answers(MASTER, MASTER_REPLY);
            self.pass(Span::from_millis(200));
        }
    }

    fn master_is_silent_for(&mut self, seconds: i64) {
        for _ in 0..seconds {
            let began = self.now;
            self.pass(Span::from_millis(900));
            let kind = PollEventKind::Failed {
                began,
                at: self.now,
                error: PollError::Timeout.into(),
                late: Span::ZERO,
            };
            self.monitor.handle_poll(PollEvent {
                server: ServerAddr::parse(MASTER).expect("an address"),
                kind,
            });
            self.answers(REPLICA, REPLICA_REPLY);
            self.pass(Span::from_millis(98));
        }
        self.pass(Span::from_millis(100));
    }
}

/// A pair that streams without lag, with no thresholds.
pub(crate) fn pair(name: &str) -> PairReport {
    PairReport {
        pair: name.to_owned(),
        source_dc: "dc1".to_owned(),
        target_dc: "dc2".to_owned(),
        master: MASTER.to_owned(),
        replica: REPLICA.to_owned(),
        labels: BTreeMap::new(),
        state: PairState::Streaming,
        reason: "the link is up".to_owned(),
        summary: String::new(),
        stale: false,
        lag_seconds: Some(0.0),
        lag_lower_seconds: Some(0.0),
        lag_upper_seconds: Some(0.01),
        lag_max_seconds: None,
        lag_bytes: Some(0),
        lag_lower_bytes: Some(0),
        lag_upper_bytes: Some(0),
        sample_timestamp: None,
        last_known: None,
        link_up: true,
        link_down_seconds: None,
        last_io_seconds: None,
        ack_age_seconds: None,
        ack_lag_bytes: None,
        unapplied_bytes: None,
        diverged_bytes: None,
        diverged_master_bytes: None,
        diverged_replica_bytes: None,
        backlog_headroom_bytes: None,
        forecast: ForecastReport::default(),
        applied_bytes_total: None,
        thresholds: Thresholds::default(),
        alerts: Vec::new(),
    }
}

/// A report of these pairs.
pub(crate) fn report<const N: usize>(pairs: [PairReport; N]) -> PairsReport {
    let exporter = ExporterReport {
        version: "0.0.0".to_owned(),
        ready: true,
        now_timestamp: 1_750_000_000.0,
        snapshot_timestamp: 1_750_000_000.0,
        stuck_seconds: None,
        reload_failed: None,
        reload_failed_timestamp: None,
        effective_interval_seconds: Some(1.0),
        overloaded_timestamp: None,
        overloaded: None,
    };
    PairsReport {
        pairs: pairs.into(),
        servers: Vec::new(),
        sentinels: Vec::new(),
        clusters: Vec::new(),
        discovery: crate::report::DiscoveryReport::default(),
        failovers: Vec::new(),
        lost_writes: Vec::new(),
        exporter,
    }
}
