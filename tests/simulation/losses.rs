//! `RedisCrossDcHistoryLost` fires if the master lost its history, and only then.

use fastrand::Rng;
use redis_cross_dc_exporter::alert::{AlertState, Rule};
use redis_cross_dc_exporter::config::Severity;
use redis_cross_dc_exporter::replication::ReplicaCopy;

use crate::driver::{Conditions, Driver, Look};
use crate::random;
use crate::seeds::for_seeds;
use crate::states::{HEAL, HIT, OldMaster, promoted, restarted};
use crate::world::{Nanos, SEC, World};

/// When the master of [`restarted`] is back.
const BACK: Nanos = HIT + 6 * SEC;

/// How long a pair has to stream until its loss is over.
const SHOWN_FOR: Nanos = 600 * SEC;

/// What the alert did, in order, and what was known of the replica's data.
#[derive(Default)]
struct Log {
    steps: Vec<(Nanos, AlertState, Severity)>,
    copies: Vec<ReplicaCopy>,
}

impl Log {
    fn note(&mut self, look: &Look<'_>) {
        if let Some(loss) = &look.pair.facts.loss {
            let copy = loss.copy;
            if self.copies.last() != Some(&copy) {
                self.copies.push(copy);
            }
        }
        let mut alerts = look.fleet.alerts.iter();
        let Some(listed) = alerts.find(|listed| listed.alert.identity.rule == Rule::HistoryLost)
        else {
            return;
        };
        let is_new = self
            .steps
            .last()
            .is_none_or(|(_, state, _)| *state != listed.state);
        if is_new {
            let severity = listed.alert.severity;
            self.steps.push((look.now, listed.state, severity));
        }
    }

    fn states(&self) -> Vec<(AlertState, Severity)> {
        let steps = self.steps.iter();
        steps
            .map(|(_, state, severity)| (*state, *severity))
            .collect()
    }
}

fn run(world: World, conditions: Conditions, seed: u64, until: Nanos) -> Log {
    let mut log = Log::default();
    Driver::new(world, conditions, seed).run(until, |look| log.note(look));
    log
}

#[test]
fn a_master_that_comes_back_empty_is_critical_until_the_pair_has_streamed() {
    for_seeds(
        "a_master_that_comes_back_empty_is_critical_until_the_pair_has_streamed",
        4,
        |seed| {
            let world = restarted(&mut Rng::with_seed(seed), false);
            let log = run(world, Conditions::CALM, seed, HEAL + SHOWN_FOR + 10 * SEC);
            let expected = [
                (AlertState::Firing, Severity::Critical),
                (AlertState::Resolved, Severity::Critical),
            ];
            assert_eq!(log.states(), expected, "{:?}", log.steps);
            let fired = log.steps[0].0;
            assert!((BACK..BACK + 3 * SEC).contains(&fired), "{:?}", log.steps);
            let over = log.steps[1].0;
            let from = HEAL + SHOWN_FOR;
            assert!((from..from + 5 * SEC).contains(&over), "{:?}", log.steps);
            assert_eq!(log.copies.last(), Some(&ReplicaCopy::Replaced));
            assert!(
                log.copies.contains(&ReplicaCopy::BeingReplaced),
                "{:?}",
                log.copies
            );
        },
    );
}

#[test]
fn a_master_that_comes_back_with_its_history_has_lost_nothing() {
    for_seeds(
        "a_master_that_comes_back_with_its_history_has_lost_nothing",
        4,
        |seed| {
            let world = restarted(&mut Rng::with_seed(seed), true);
            let log = run(world, Conditions::CALM, seed, HEAL + 20 * SEC);
            assert_eq!(log.states(), []);
        },
    );
}

#[test]
fn failovers_and_link_faults_lose_no_history() {
    for_seeds("failovers_and_link_faults_lose_no_history", 12, |seed| {
        let mut rng = Rng::with_seed(seed);
        for old_master in [OldMaster::Lives, OldMaster::Follows] {
            let world = promoted(&mut rng, old_master);
            let log = run(world, Conditions::CALM, seed, HEAL + 20 * SEC);
            assert_eq!(log.states(), []);
        }
        let world = random::world(&mut rng);
        let conditions = random::conditions(&mut rng);
        let log = run(world, conditions, seed, random::DURATION);
        assert_eq!(log.states(), []);
    });
}
