//! Which alerts fire, when, and that each is over exactly once.

use fastrand::Rng;
use redis_cross_dc_exporter::alert::{AlertState, NotifyReason, Rule};
use redis_cross_dc_exporter::config::Severity;
use redis_cross_dc_exporter::model::Span;
use redis_cross_dc_exporter::replication::PairState;

use crate::driver::{Conditions, Driver, Look};
use crate::loads::Load;
use crate::oracle::{self, told};
use crate::seeds::{for_seeds, is_long};
use crate::states::with_outage;
use crate::world::{MS, Nanos, Outage, OutageKind, SEC, World};

const HIT: Nanos = 20 * SEC;

/// What one rule's alert did, in order; pending and recovering are left out.
#[derive(Default)]
struct Log {
    steps: Vec<(Nanos, Rule, AlertState, Severity)>,
}

impl Log {
    fn note(&mut self, look: &Look<'_>) {
        for listed in &*look.fleet.alerts {
            let rule = listed.alert.identity.rule;
            let state = if listed.state == AlertState::Recovering {
                AlertState::Firing
            } else {
                listed.state
            };
            if state == AlertState::Pending {
                continue;
            }
            let last = self.steps.iter().rev().find(|(_, of, _, _)| *of == rule);
            if last.is_none_or(|(_, _, was, severity)| {
                (*was, *severity) != (state, listed.alert.severity)
            }) {
                self.steps
                    .push((look.now, rule, state, listed.alert.severity));
            }
        }
    }

    /// When each step of the rule's alert was, in order, and that there were no other steps.
    fn times(&self, rule: Rule, expected: &[(AlertState, Severity)]) -> Vec<Nanos> {
        let mut steps: Vec<_> = self
            .steps
            .iter()
            .filter(|(_, of, _, _)| *of == rule)
            .copied()
            .collect();
        // A poll in the middle of the drain sees less lag: critical becomes warning, and then is
        // over.
        if let [
            ..,
            (_, _, Firing, Critical),
            (_, _, Firing, Warning),
            (_, _, Resolved, Warning),
        ] = steps[..]
        {
            steps.remove(steps.len() - 2);
            steps.iter_mut().last().expect("the resolve").3 = Critical;
        }
        let seen: Vec<_> = steps
            .iter()
            .map(|(_, _, state, severity)| (*state, *severity))
            .collect();
        assert_eq!(seen, expected, "{rule:?}: {:?}", self.steps);
        steps.iter().map(|(at, _, _, _)| *at).collect()
    }
}

use AlertState::{Firing, Resolved};
use Severity::{Critical, Warning};

const WHOLE_LIFE: [(AlertState, Severity); 3] =
    [(Firing, Warning), (Firing, Critical), (Resolved, Critical)];

/// Looks often enough that no step is missed.
const WATCHED: Conditions = Conditions {
    look_every: 50 * MS,
    ..Conditions::CALM
};

fn watch(world: World, seed: u64, until: Nanos, mut also: impl FnMut(&Look<'_>)) -> (Log, Driver) {
    let mut log = Log::default();
    let mut driver = Driver::new(world, WATCHED, seed);
    driver.run(until, |look| {
        oracle::check(look);
        log.note(look);
        also(look);
    });
    (log, driver)
}

fn assert_within(at: Nanos, from: Nanos, for_: Nanos, what: &str) {
    assert!(
        (from..=from + for_).contains(&at),
        "{what} at {:.3} s, not {:.3} s",
        at as f64 / 1e9,
        from as f64 / 1e9
    );
}

/// `link_down`: 10 s and 60 s; `lag_seconds`: 30 s and 120 s, each held for 10 s. Two polls of
/// grace.
#[test]
fn an_outage_fires_escalates_and_resolves_each_alert_once() {
    for_seeds(
        "an_outage_fires_escalates_and_resolves_each_alert_once",
        2,
        |seed| {
            for kind in [OutageKind::Cut, OutageKind::Stall] {
                let heal = HIT + 160 * SEC;
                let world = with_outage(
                    &mut Rng::with_seed(seed),
                    Load::Steady,
                    HIT,
                    heal,
                    heal + 40 * SEC,
                    kind,
                );
                let (log, driver) = watch(world, seed, heal + 40 * SEC, |_| {});
                let grace = 2 * SEC + 200 * MS;
                let early = 1100 * MS; // the server tells how long its link is down in whole seconds
                let link = log.times(Rule::LinkDown, &WHOLE_LIFE);
                assert_within(
                    link[0],
                    HIT + 10 * SEC - early,
                    grace + early,
                    "link warning",
                );
                assert_within(
                    link[1],
                    HIT + 60 * SEC - early,
                    grace + early,
                    "link critical",
                );
                assert_within(link[2], heal, grace, "link resolved");
                let lag = log.times(Rule::LagSeconds, &WHOLE_LIFE);
                assert_within(lag[0], HIT + 40 * SEC - early, grace + early, "lag warning");
                assert_within(
                    lag[1],
                    HIT + 130 * SEC - early,
                    grace + early,
                    "lag critical",
                );
                assert_within(lag[2], heal, grace, "lag resolved");
                assert!(
                    log.steps
                        .iter()
                        .all(|(_, rule, _, _)| matches!(rule, Rule::LinkDown | Rule::LagSeconds))
                );
                let said: Vec<_> = driver
                    .notifications
                    .iter()
                    .map(|n| (n.alerts[0].identity.rule, n.reason))
                    .collect();
                let reasons = [
                    NotifyReason::First,
                    NotifyReason::Escalated,
                    NotifyReason::Resolved,
                ];
                assert_eq!(
                    said,
                    reasons.map(|reason| (Rule::LinkDown, reason)),
                    "the link explains the lag"
                );
            }
        },
    );
}

/// The old data set is served to the end: its age fires the alert, whatever offset the replica
/// shows meanwhile.
#[test]
fn a_long_full_sync_is_lag() {
    for_seeds("a_long_full_sync_is_lag", 2, |seed| {
        for hides_offset in [false, true] {
            let heal = HIT + 160 * SEC;
            let kind = OutageKind::FullSync { hides_offset };
            let world = with_outage(
                &mut Rng::with_seed(seed),
                Load::Steady,
                HIT,
                heal,
                heal + 60 * SEC,
                kind,
            );
            let (log, _) = watch(world, seed, heal + 60 * SEC, |_| {});
            let lag = log.times(Rule::LagSeconds, &WHOLE_LIFE);
            assert_within(lag[0], HIT + 39 * SEC, 4 * SEC, "lag warning");
            // Critical is what is certain: a hidden offset is bounded by when the link went down,
            // in whole seconds.
            let uncertain = if hides_offset { 4 * SEC } else { SEC };
            assert_within(lag[1], HIT + 129 * SEC, 3 * SEC + uncertain, "lag critical");
            assert_within(lag[2], heal, 3 * SEC, "lag resolved");
        }
    });
}

/// The disaster that all of this is for: the replica lags, and then the master dies.
#[test]
fn a_master_that_dies_resolves_nothing() {
    for_seeds("a_master_that_dies_resolves_nothing", 2, |seed| {
        let (dies, end) = (HIT + 80 * SEC, HIT + 260 * SEC);
        let mut world = with_outage(
            &mut Rng::with_seed(seed),
            Load::Steady,
            HIT,
            end,
            end,
            OutageKind::Cut,
        );
        world.lives[0].until = dies;
        let (log, _) = watch(world, seed, end, |look| {
            if look.now > dies + 3 * SEC {
                assert_eq!(look.seen.state, PairState::MasterUnreachable);
                assert_eq!(
                    look.seen.lag.estimate,
                    None,
                    "{}",
                    told(look, "no estimate")
                );
                assert!(
                    look.seen.lag.lower > Some(Span::from_secs(70)),
                    "{}",
                    told(look, "the lower bound stays")
                );
            }
        });
        log.times(Rule::LagSeconds, &[(Firing, Warning)]);
        log.times(Rule::LinkDown, &[(Firing, Warning), (Firing, Critical)]);
        let unreachable = log.times(Rule::Unreachable, &[(Firing, Warning), (Firing, Critical)]);
        assert_within(
            unreachable[0],
            dies + 15 * SEC,
            2 * SEC,
            "unreachable warning",
        );
        assert_within(
            unreachable[1],
            dies + 60 * SEC,
            2 * SEC,
            "unreachable critical",
        );
        let unknown = log.times(Rule::Unknown, &[(Firing, Warning)]);
        assert_within(unknown[0], dies + 88 * SEC, 4 * SEC, "unknown warning");
    });
}

/// What happened before the monitor began is not known: only that it is at least so long.
#[test]
fn a_monitor_that_restarts_in_an_outage_claims_no_more_than_it_saw() {
    for_seeds(
        "a_monitor_that_restarts_in_an_outage_claims_no_more_than_it_saw",
        4,
        |seed| {
            let (restart, heal, end) = (HIT + 30 * SEC, HIT + 90 * SEC, HIT + 110 * SEC);
            let world = with_outage(
                &mut Rng::with_seed(seed),
                Load::Steady,
                HIT,
                heal,
                end,
                OutageKind::Cut,
            );
            let mut log = Log::default();
            let mut driver = Driver::new(world, WATCHED, seed);
            driver.run(restart, oracle::check);
            driver.restart_monitor();
            driver.run(end, |look| {
                oracle::check(look);
                log.note(look);
                let lag = look.seen.lag;
                if (restart + 3 * SEC..heal).contains(&look.now) {
                    assert_eq!(
                        (lag.estimate, lag.upper),
                        (None, None),
                        "{}",
                        told(look, "nobody saw it")
                    );
                    let watched = (look.now - restart - 3 * SEC).max(0);
                    assert!(
                        lag.lower >= Some(Span::from_nanos(watched)),
                        "{}",
                        told(look, "at least so long")
                    );
                }
            });
            log.times(Rule::LagSeconds, &[(Firing, Warning), (Resolved, Warning)]);
        },
    );
}

/// Some hours of an idle, healthy pair 40 ms away, or a whole day: never more than 0.1 s, and
/// nobody is woken.
#[test]
fn an_idle_day_has_no_alert() {
    for_seeds("an_idle_day_has_no_alert", 1, |seed| {
        let hours = if is_long() { 24 } else { 4 };
        let day = hours * 3600 * SEC;
        let world = World::new(
            &mut Rng::with_seed(seed),
            Load::Idle,
            day,
            1_000,
            World::shape(40 * MS),
            Vec::new(),
        );
        quiet(
            world,
            seed,
            day,
            Conditions {
                look_every: 10 * SEC,
                tick: SEC,
                ..Conditions::CALM
            },
        );
    });
}

/// Looked at more closely, for some minutes, with every kind of load.
#[test]
fn healthy_minutes_have_no_alert() {
    for_seeds("healthy_minutes_have_no_alert", 4, |seed| {
        for load in Load::ALL {
            let end = 120 * SEC;
            let world = World::new(
                &mut Rng::with_seed(seed),
                load,
                end,
                1_000,
                World::shape(40 * MS),
                Vec::<Outage>::new(),
            );
            let conditions = Conditions {
                look_every: 100 * MS,
                ..Conditions::CALM
            };
            if load == Load::Idle {
                quiet(world, seed, end, conditions);
            } else {
                Driver::new(world, conditions, seed).run(end, |look| {
                    oracle::check(look);
                    assert!(look.fleet.alerts.is_empty(), "{}", told(look, "an alert"));
                });
            }
        }
    });
}

fn quiet(world: World, seed: u64, end: Nanos, conditions: Conditions) {
    let mut looks = 0;
    Driver::new(world, conditions, seed).run(end, |look| {
        oracle::check(look);
        looks += 1;
        assert!(look.fleet.alerts.is_empty(), "{}", told(look, "an alert"));
        let small = look
            .seen
            .lag
            .estimate
            .is_none_or(|lag| lag <= Span::from_millis(100));
        assert!(small, "{}", told(look, "an idle pair lags"));
    });
    assert!(looks > 500);
}
