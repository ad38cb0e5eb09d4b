//! The alerts about active-active sites, from the events of the tasks on.

use std::sync::Arc;

use crate::active_active::Stamp;
use crate::alert::{AlertState, Rule};
use crate::config::Severity;
use crate::config::testing::parsed;
use crate::model::{ClockAnchor, Datacenter, PairName, Span, Timestamp, WallTime};
use crate::monitor::{FRESH_FOR, Monitor};
use crate::sites::{
    CheckedClass, ClockSample, Counted, DirectionStatus, NoAge, QueueReading, SiteEvent,
    SiteEventKind, SiteFault, SiteFaultReason, SiteReading,
};
use crate::topology::Topology;

/// An entry of two sites with a queue.
const CONFIG: &str = "active_active: [{name: profiles, sites: [{address: 'a:1', dc: dc1}, \
                      {address: 'b:1', dc: dc2}], sync_queue: q, keys: ['u:*'], monitor: true}]";

struct Story {
    monitor: Monitor,
    now: Timestamp,
}

fn empty() -> QueueReading {
    QueueReading {
        length: 0,
        rejected: 0,
        has_overflowed: false,
        oldest: Ok(Span::ZERO),
    }
}

fn counted(seen: u64) -> DirectionStatus {
    DirectionStatus {
        keys: Counted {
            seen,
            counted: Some(seen),
            upper: Some(seen),
        },
        counters: Counted {
            seen: 0,
            counted: Some(0),
            upper: Some(0),
        },
        settled: [(CheckedClass::Newer, seen)].into(),
        unpropagated: Some(Span::ZERO),
        ahead: Some(Span::ZERO),
        ..DirectionStatus::default()
    }
}

impl Story {
    fn begin() -> Self {
        let settings = parsed(CONFIG);
        let now = Timestamp::from_nanos(0) + Span::from_secs(1000);
        let anchor = ClockAnchor {
            mono: now,
            wall: WallTime::from_nanos(1_750_000_000_000_000_000),
        };
        let topology = Topology::from_settings(&settings);
        Self {
            monitor: Monitor::new(&settings, &topology, anchor),
            now,
        }
    }

    fn tell(&mut self, kind: SiteEventKind) {
        self.monitor.handle_sites(SiteEvent {
            entry: PairName::new("profiles"),
            at: self.now,
            kind,
        });
    }

    /// dc1's clock is `ahead` of dc2's.
    fn read(&mut self, dc: &str, queue: QueueReading, ahead: f64) {
        let now = self.now.as_nanos() as f64 / 1e9;
        let ahead = if dc == "dc1" { ahead } else { 0.0 };
        let reading = SiteReading {
            clock: ClockSample {
                server: Stamp::new(1_700_000_000.0 + now + ahead).unwrap(),
                sent: self.now,
                received: self.now,
            },
            run_id: None,
            queue: Some(queue),
            risks: Vec::new(),
        };
        self.tell(SiteEventKind::Reading {
            site: Datacenter::new(dc),
            result: Ok(Box::new(reading)),
        });
    }

    fn compared(&mut self, source: &str, target: &str, result: Result<DirectionStatus, SiteFault>) {
        self.tell(SiteEventKind::Compared {
            source: Datacenter::new(source),
            target: Datacenter::new(target),
            result: result.map(Box::new),
        });
    }

    /// Everything is as it should be, but for what dc1 has and says.
    fn pass(&mut self, seconds: i64, queue: QueueReading, status: &DirectionStatus, ahead: f64) {
        for _ in 0..seconds {
            self.now += Span::from_secs(1);
            self.read("dc1", queue, ahead);
            self.read("dc2", empty(), ahead);
            self.compared("dc1", "dc2", Ok(status.clone()));
            self.compared("dc2", "dc1", Ok(counted(0)));
            self.monitor.tick(self.now);
        }
    }

    /// The alerts that fire, each with its target's datacenter and severity.
    fn firing(&self) -> Vec<(Rule, String, Severity)> {
        let anchor = ClockAnchor {
            mono: self.now,
            wall: WallTime::from_nanos(1_750_000_000_000_000_000),
        };
        let snapshot = self.monitor.snapshot(anchor);
        let alerts = snapshot.alerts.iter();
        let firing = alerts.filter(|listed| listed.state == AlertState::Firing);
        let all = firing.map(|listed| {
            let identity = &listed.alert.identity;
            let target = identity.labels["target_dc"].clone();
            (identity.rule, target, listed.alert.severity)
        });
        all.collect()
    }

    fn reason(&self) -> String {
        let anchor = ClockAnchor {
            mono: self.now,
            wall: WallTime::from_nanos(1_750_000_000_000_000_000),
        };
        let snapshot = self.monitor.snapshot(anchor);
        let alert = Arc::clone(&snapshot.alerts[0].alert);
        alert.context.reason.clone().unwrap_or_default()
    }
}

fn one(rule: Rule, severity: Severity) -> Vec<(Rule, String, Severity)> {
    vec![(rule, "dc2".to_owned(), severity)]
}

#[test]
fn sites_that_agree_have_no_alert() {
    let mut story = Story::begin();
    story.pass(400, empty(), &counted(0), 0.0);
    assert_eq!(story.firing(), []);
}

#[test]
fn a_difference_is_a_warning_after_five_minutes_and_ends_with_its_repair() {
    let mut story = Story::begin();
    story.pass(290, empty(), &counted(3), 0.0);
    assert_eq!(story.firing(), []);
    story.pass(20, empty(), &counted(3), 0.0);
    assert_eq!(story.firing(), one(Rule::SitesDiverged, Severity::Warning));
    assert_eq!(
        story.reason(),
        "dc1 has versions that dc2 lacks for good: 3 newer"
    );
    story.pass(2, empty(), &counted(0), 0.0);
    assert_eq!(story.firing(), []);
}

#[test]
fn a_queue_is_an_alert_by_its_length_its_age_and_what_it_lost() {
    let queue = |length, seconds| QueueReading {
        length,
        oldest: Ok(Span::from_secs(seconds)),
        ..empty()
    };
    let rejected = QueueReading {
        rejected: 2,
        ..empty()
    };
    let full = QueueReading {
        has_overflowed: true,
        ..empty()
    };
    let unreadable = QueueReading {
        length: 999,
        oldest: Err(NoAge::Unreadable),
        ..empty()
    };
    let cases = [
        (queue(999, 299), None),
        (queue(1000, 0), Some(Severity::Warning)),
        (queue(100_000, 0), Some(Severity::Critical)),
        (queue(1, 300), Some(Severity::Warning)),
        (queue(1, 3600), Some(Severity::Critical)),
        (rejected, Some(Severity::Warning)),
        (full, Some(Severity::Warning)),
        (unreadable, None),
    ];
    for (queue, expected) in cases {
        let mut story = Story::begin();
        story.pass(2, queue, &counted(0), 0.0);
        let expected = expected.map_or_else(Vec::new, |severity| one(Rule::SyncQueue, severity));
        assert_eq!(story.firing(), expected, "{queue:?}");
        story.pass(2, empty(), &counted(0), 0.0);
        assert_eq!(story.firing(), [], "{queue:?}");
    }
    let mut story = Story::begin();
    story.pass(2, rejected, &counted(0), 0.0);
    assert_eq!(
        story.reason(),
        "0 items wait in the queue of dc1; 2 were set aside"
    );
}

#[test]
fn clocks_that_are_certainly_apart_and_stamps_ahead_are_alerts() {
    for (ahead, expected) in [
        (0.4, None),
        (0.6, Some(Severity::Warning)),
        (-0.6, Some(Severity::Warning)),
        (6.0, Some(Severity::Critical)),
    ] {
        let mut story = Story::begin();
        story.pass(3, empty(), &counted(0), ahead);
        let expected = expected.map_or_else(Vec::new, |severity| one(Rule::ClockSkew, severity));
        assert_eq!(story.firing(), expected, "{ahead}");
    }
    let mut story = Story::begin();
    let fast = DirectionStatus {
        ahead: Some(Span::from_secs(2)),
        ..counted(0)
    };
    story.pass(3, empty(), &fast, 0.0);
    assert_eq!(story.firing(), one(Rule::ClockSkew, Severity::Warning));
    assert_eq!(
        story.reason(),
        "versions at dc1 are up to 2.000 s ahead of its server's clock"
    );
}

#[test]
fn lost_increments_are_a_warning_at_once() {
    let mut story = Story::begin();
    let regressed = DirectionStatus {
        regressed: 4,
        ..counted(0)
    };
    story.pass(1, empty(), &regressed, 0.0);
    assert_eq!(
        story.firing(),
        one(Rule::CounterRegressed, Severity::Warning)
    );
    assert!(
        story
            .reason()
            .contains("dc2 has less in its own field of 4 counters")
    );
}

fn no_answer() -> SiteFault {
    SiteFault {
        reason: SiteFaultReason::Timeout,
        why: "dc2 (b:1): no answer".to_owned(),
    }
}

/// A failed comparison counts for its direction, a site that cannot be read for all from it.
#[test]
fn failures_are_counted_by_reason() {
    let mut story = Story::begin();
    story.pass(2, empty(), &counted(0), 0.0);
    story.compared("dc1", "dc2", Err(no_answer()));
    story.compared("dc1", "dc2", Err(no_answer()));
    let denied = SiteFault {
        reason: SiteFaultReason::Denied,
        why: "dc2 (b:1): the user lacks a right".to_owned(),
    };
    story.tell(SiteEventKind::Reading {
        site: Datacenter::new("dc2"),
        result: Err(denied),
    });
    let anchor = ClockAnchor {
        mono: story.now,
        wall: WallTime::from_nanos(0),
    };
    let snapshot = story.monitor.snapshot(anchor);
    let [there, back] = &snapshot.active_active[0].directions[..] else {
        panic!("{snapshot:?}")
    };
    assert_eq!(there.faults, [(SiteFaultReason::Timeout, 2)].into());
    assert_eq!(back.faults, [(SiteFaultReason::Denied, 1)].into());
}

#[test]
fn sites_of_which_nothing_is_learned_are_a_warning_and_change_no_other_alert() {
    let mut story = Story::begin();
    story.pass(310, empty(), &counted(3), 0.0);
    assert_eq!(story.firing(), one(Rule::SitesDiverged, Severity::Warning));
    for _ in 0..299 {
        story.now += Span::from_secs(1);
        story.compared("dc1", "dc2", Err(no_answer()));
        story.monitor.tick(story.now);
    }
    let rules = |story: &Story| -> Vec<Rule> {
        story.firing().into_iter().map(|(rule, ..)| rule).collect()
    };
    assert_eq!(rules(&story), [Rule::SitesDiverged], "no recovery");
    for _ in 0..2 {
        story.now += Span::from_secs(1);
        story.monitor.tick(story.now);
    }
    let mut found = rules(&story);
    found.sort();
    // Both directions.
    assert_eq!(
        found,
        [Rule::SitesDiverged, Rule::SitesUnknown, Rule::SitesUnknown]
    );
    story.pass(2, empty(), &counted(0), 0.0);
    assert_eq!(story.firing(), []);
}

/// What was known half a minute ago is not shown as if it were known now.
#[test]
fn old_news_says_nothing_of_now() {
    let mut story = Story::begin();
    story.pass(2, empty(), &counted(3), 0.0);
    let anchor = ClockAnchor {
        mono: story.now,
        wall: WallTime::from_nanos(0),
    };
    let snapshot = story.monitor.snapshot(anchor);
    let entry = &snapshot.active_active[0];
    let later = story.now + FRESH_FOR + Span::from_millis(1);
    assert!(entry.directions[0].fresh(story.now).is_some());
    assert!(entry.directions[0].fresh(later).is_none());
    assert!(entry.sites[0].fresh(later).is_none());
    assert!(entry.directions[0].why_unknown(later).is_some());
}
