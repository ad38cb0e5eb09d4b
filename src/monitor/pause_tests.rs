//! The exporter was stopped, or its machine suspended: that is not reported as a fault of servers
//! or receivers.

use super::restart_tests::{Stage, YAML, anchor};
use super::*;
use crate::alert::{AlertState, Rule};
use crate::model::{PollError, ServerAddr};
use crate::replication::{PairState, StateReason};

impl Stage {
    /// The process does not run for so long.
    fn pause(&mut self, seconds: i64) -> &mut Self {
        self.second += seconds;
        self
    }

    fn reasons(&self) -> Vec<StateReason> {
        let now = anchor(self.second);
        let fleet = self.monitor.snapshot(now);
        let reasons = fleet.pairs.iter();
        reasons.map(|pair| pair.assess(now.mono).reason).collect()
    }

    /// A poll that was under way when the process was stopped ends in a timeout.
    fn slept_through(&mut self, server: &str, seconds: i64) {
        let at = anchor(self.second).mono;
        self.monitor.handle_poll(PollEvent {
            server: ServerAddr::parse(server).unwrap(),
            kind: PollEventKind::Failed {
                began: at - Span::from_secs(seconds),
                at,
                late: Span::ZERO,
                error: PollError::Timeout.into(),
            },
        });
    }
}

fn seconds(count: i64) -> Span {
    Span::from_secs(count)
}

#[test]
fn after_a_pause_everything_is_unknown_until_the_next_answers() {
    let mut stage = Stage::new();
    stage.until(100).logged.clear();
    let before = stage.reasons();
    stage.pause(60).polls = false;
    for server in ["m:1", "r:1", "n:1", "s:1"] {
        stage.slept_through(server, 61);
    }
    stage.until(161);
    let for_ = seconds(60);
    let paused = stage.reasons();
    assert!(
        paused.iter().all(
            |why| matches!(why, StateReason::ExporterPaused { for_: known } if *known >= for_)
        ),
        "{paused:?}"
    );
    let now = anchor(161);
    let fleet = stage.monitor.snapshot(now);
    assert!(
        fleet
            .servers
            .iter()
            .all(|server| server.facts.up().is_none())
    );
    assert!(fleet.isolation().lasts().is_none());
    stage.polls = true;
    stage.until(200);
    assert_eq!(stage.reasons(), before);
    assert_eq!(
        stage.logged,
        ["161 60.0 s"],
        "that it was paused, and no more"
    );
}

#[test]
fn a_pause_does_not_count_as_silence() {
    let mut stage = Stage::new();
    stage.until(10).silent = vec!["r"];
    // Unreachable is a warning at 15 s.
    stage.until(20).pause(600).until(625);
    assert_eq!(stage.states(Rule::Unreachable), []);
    stage.until(627);
    assert_eq!(stage.states(Rule::Unreachable), [AlertState::Firing]);
}

#[test]
fn a_pause_does_not_prolong_how_long_a_pair_was_unknown() {
    let mut stage = Stage::new();
    stage.until(50).pause(600).until(680);
    assert_eq!(stage.states(Rule::Unknown), [], "80 s of 90");
    stage.until(700);
    assert_eq!(stage.states(Rule::Unknown), [AlertState::Firing; 2]);
}

#[test]
fn a_short_delay_is_no_pause() {
    let mut stage = Stage::new();
    stage.until(10).logged.clear();
    let late = anchor(11).mono + Span::from_millis(50);
    assert_eq!(stage.monitor.tick(late), []);
}

/// Readers are faster than the core when the process goes on.
#[test]
fn a_snapshot_from_before_a_pause_shows_the_pause() {
    let mut stage = Stage::new();
    stage.until(30);
    let known = Arc::new(stage.monitor.snapshot(anchor(30)));
    let seen_at = |second: i64| FleetSnapshot::seen_at(&known, anchor(second).mono);
    assert!(Arc::ptr_eq(&seen_at(31), &known));
    let later = seen_at(90);
    for pair in &later.pairs {
        let seen = pair.assess(anchor(90).mono);
        let for_ = seconds(60);
        assert_eq!(seen.reason, StateReason::ExporterPaused { for_ });
        assert_eq!(seen.state, PairState::Unknown);
    }
    assert!(
        later
            .servers
            .iter()
            .all(|server| server.facts.up().is_none())
    );
}

#[test]
fn a_restart_is_no_pause() {
    let mut stage = Stage::new();
    stage.until(30).restart(500, YAML).logged.clear();
    stage.until(560);
    assert_eq!(stage.logged.iter().find(|line| line.contains("8m")), None);
}
