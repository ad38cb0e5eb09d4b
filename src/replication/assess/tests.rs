//! The assessment of one pair after a few polls.

use super::super::lag::{LagBytes, LagInterval};
use super::super::state::{PairState, StateReason};
use crate::info::{Field, ReplicaConnState, Role, UpstreamInfo};
use crate::model::{Bytes, Span};
use crate::replication::NoMasterAnswer;
use crate::replication::testing::{Scene, at, down, id, millis, observation, upstream};

/// A replica that stands at 100 while its master writes on, `rounds` seconds long.
fn frozen(rounds: i64) -> Scene {
    let mut scene = Scene::new();
    scene.round(0, 100, 100);
    for second in 1..=rounds {
        scene.round(
            second * 1000,
            100 + 10 * u64::try_from(second).unwrap(),
            100,
        );
    }
    scene
}

fn check(scene: &Scene, now: i64, state: PairState, lag: (Option<i64>, Option<i64>, Option<i64>)) {
    let seen = scene.assess(now);
    let (lower, estimate, upper) = lag;
    let expected = [lower, estimate, upper].map(|m| m.map(millis));
    assert_eq!(
        (
            seen.state,
            [seen.lag.lower, seen.lag.estimate, seen.lag.upper]
        ),
        (state, expected)
    );
}

#[test]
fn a_caught_up_replica_has_no_lag_and_an_upper_bound_that_grows() {
    let mut scene = Scene::new();
    scene.round(0, 100, 100);
    check(
        &scene,
        50,
        PairState::Streaming,
        (Some(0), Some(0), Some(10)),
    );
    check(
        &scene,
        900,
        PairState::Streaming,
        (Some(0), Some(0), Some(860)),
    );
}

#[test]
fn a_frozen_replica_ages_with_the_clock_and_its_link_is_stalled() {
    let scene = frozen(2);
    let early = scene.assess(2050);
    let later = scene.assess(2550);
    assert_eq!(
        later
            .lag
            .estimate
            .zip(early.lag.estimate)
            .map(|(l, e)| l - e),
        Some(millis(500))
    );
    assert_eq!(early.state, PairState::Streaming, "not for long yet");
    assert_eq!(frozen(4).assess(4050).state, PairState::Stalled);
}

/// It would show the lag that it had before the silence, for as long as the master is not
/// asked.
#[test]
fn an_answer_after_a_silence_proves_nothing_until_the_master_was_asked_after_it() {
    let back = |acked: u64| {
        let mut scene = Scene::new();
        scene
            .acks(ReplicaConnState::Online, Some(acked))
            .round(0, 100, 100)
            .replica_fails(1000);
        scene
            .master(1020, 'a', 110)
            .replica_fails(2000)
            .master(2020, 'a', 200)
            .master(7990, 'a', 300);
        scene.replica(8000, 'a', 300);
        scene
    };
    let frozen = back(100).assess(8050);
    assert!(
        frozen.stale && frozen.lag.estimate.is_some_and(|lag| lag > millis(6000)),
        "{:?}",
        frozen.lag
    );
    let only_unanswered = back(300).assess(8050);
    assert!(
        only_unanswered
            .lag
            .upper
            .is_some_and(|lag| lag <= millis(100)),
        "{:?}",
        only_unanswered.lag
    );
    let mut placed = back(100);
    placed.master(8060, 'a', 300);
    check(
        &placed,
        8080,
        PairState::Streaming,
        (Some(0), Some(0), Some(20)),
    );
}

/// The server may have stood still for five seconds, or the network may have held its answer back:
/// only ACKs show which.
#[test]
fn a_late_answer_shows_nothing_about_the_moment_at_which_it_came() {
    let late = |acked: u64, takes: i64| {
        let mut scene = Scene::new();
        scene
            .acks(ReplicaConnState::Online, Some(acked))
            .round(0, 100, 100)
            .master(1000, 'a', 100);
        scene
            .master(1040, 'a', 300)
            .answers_late(1020, takes, upstream(100))
            .master(1030 + takes, 'a', 500);
        scene.assess(1050 + takes)
    };
    let in_time = late(100, 900);
    assert!(
        !in_time.stale && in_time.lag.lower == Some(Span::ZERO),
        "{in_time:?}"
    );
    let stood_still = late(100, 5000);
    assert!(
        stood_still.stale
            && stood_still
                .lag
                .estimate
                .is_some_and(|lag| lag > millis(4500)),
        "{stood_still:?}"
    );
    let held_back = late(500, 5000);
    assert!(
        held_back.stale && held_back.lag.estimate == Some(Span::ZERO),
        "{held_back:?}"
    );
}

#[test]
fn a_link_that_came_up_a_moment_ago_is_not_stalled() {
    let mut scene = Scene::new();
    scene.round(0, 100, 100);
    for second in 1..6 {
        let bytes = 100 + u64::try_from(second).unwrap();
        scene.master(second * 1000, 'a', bytes).reports(
            second * 1000 + 20,
            'a',
            down(100, second),
            false,
        );
        scene.master(second * 1000 + 40, 'a', bytes);
    }
    scene.replica(6020, 'a', 105);
    assert_eq!(scene.assess(6030).state, PairState::Streaming);
}

#[test]
fn an_unproven_lag_does_not_grow_between_polls() {
    let mut scene = Scene::new();
    scene.round(0, 100, 100).round(1000, 114, 100);
    assert!(
        scene
            .assess(1050)
            .lag
            .estimate
            .is_some_and(|lag| lag < millis(100))
    );
    assert_eq!(
        scene.assess(1900).lag.estimate,
        scene.assess(1050).lag.estimate
    );
}

#[test]
fn the_lower_bound_yields_while_a_replica_drains() {
    let mut scene = frozen(5);
    scene.round(6000, 200, 145);
    let sampled = scene.tracker.facts().located.as_ref().unwrap().at_sample;
    let later = scene.assess(6900).lag;
    assert!(
        later.estimate < sampled.estimate && later.lower <= later.estimate,
        "{later:?} {sampled:?}"
    );
}

#[test]
fn a_silent_master_leaves_the_lower_bound_only() {
    let mut scene = frozen(3);
    let before = scene.assess(3050);
    scene.master_fails(4000).master_fails(5000);
    let seen = scene.assess(5050);
    assert_eq!(seen.state, PairState::MasterUnreachable);
    assert_eq!(
        (seen.lag.lower, seen.lag.estimate, seen.lag.upper),
        (before.lag.lower, None, None)
    );
    assert_eq!(
        (seen.bytes.estimate, seen.bytes.upper, seen.backlog_headroom),
        (None, None, None)
    );
    assert!(seen.last_known.is_some());
}

#[test]
fn the_lag_of_a_silent_replica_follows_from_what_its_master_reports() {
    let silent = |acks: Option<Option<u64>>| {
        let mut scene = Scene::new();
        if let Some(offset) = acks {
            scene.acks(ReplicaConnState::Online, offset);
        }
        scene
            .round(0, 100, 100)
            .replica_fails(1000)
            .master(1020, 'a', 100)
            .replica_fails(2000);
        scene.master(2020, 'a', 200);
        scene.assess(2050)
    };
    let cases = [
        (None, None),
        (Some(Some(200)), Some(millis(0))),
        (Some(Some(100)), Some(millis(775))),
    ];
    for (acks, estimate) in cases {
        let seen = silent(acks);
        assert_eq!(
            (seen.state, seen.stale, seen.lag.lower),
            (PairState::ReplicaUnreachable, true, Some(Span::ZERO))
        );
        assert_eq!(
            seen.bytes.estimate.is_some(),
            estimate.is_some(),
            "{acks:?}"
        );
        let near = seen
            .lag
            .estimate
            .zip(estimate)
            .is_none_or(|(a, b)| (a - b).as_nanos().abs() < 300_000_000);
        assert!(
            near && seen.lag.estimate.is_some() == estimate.is_some(),
            "{acks:?} {:?}",
            seen.lag
        );
    }
}

#[test]
fn a_history_that_has_ended_gives_neither_zero_nor_bytes() {
    let mut caught_up = Scene::new();
    caught_up.round(0, 100, 100).master(1000, 'b', 14);
    check(
        &caught_up,
        1050,
        PairState::Unknown,
        (Some(0), None, Some(1010)),
    );
    caught_up
        .acks(ReplicaConnState::Online, Some(14))
        .replica_fails(1060)
        .master(1080, 'b', 14);
    check(
        &caught_up,
        1100,
        PairState::Unknown,
        (Some(0), None, Some(1060)),
    );
    let mut behind = frozen(3);
    behind.master(4000, 'b', 14);
    assert_eq!(behind.assess(4050).bytes, LagBytes::UNKNOWN);
    assert!(
        behind.assess(4050).lag.estimate > Some(Span::from_secs(3)),
        "its age is known"
    );
}

#[test]
fn the_link_decides_where_histories_agree() {
    let cases = [
        (upstream(100), false, PairState::Streaming),
        (down(100, 3), false, PairState::LinkDown),
        (
            UpstreamInfo {
                sync_in_progress: Field::Value(true),
                ..down(100, 3)
            },
            false,
            PairState::FullSync,
        ),
        (down(1, 3), true, PairState::FullSync),
        (
            UpstreamInfo {
                link: Field::Malformed,
                ..upstream(100)
            },
            false,
            PairState::Unknown,
        ),
        (
            UpstreamInfo {
                link: Field::Missing,
                ..upstream(1)
            },
            false,
            PairState::Unknown,
        ),
    ];
    for (says, loading, state) in cases {
        let mut scene = Scene::new();
        scene
            .round(0, 100, 100)
            .reports(1020, 'a', says.clone(), loading)
            .master(1040, 'a', 100);
        assert_eq!(scene.assess(1050).state, state, "{says:?}");
    }
}

#[test]
fn a_full_sync_that_is_being_prepared_is_seen_on_the_master() {
    let mut scene = Scene::new();
    scene
        .round(0, 100, 100)
        .acks(ReplicaConnState::WaitBgsave, None)
        .master(1000, 'a', 100);
    scene
        .reports(1020, 'a', down(100, 1), false)
        .master(1040, 'a', 100);
    assert_eq!(scene.assess(1050).state, PairState::FullSync);
}

#[test]
fn how_the_servers_relate_comes_before_the_link() {
    let mut foreign = Scene::new();
    foreign
        .master(0, 'a', 100)
        .replica(20, 'f', 100)
        .master(40, 'a', 100);
    assert_eq!(foreign.assess(50).state, PairState::WrongMaster);
    let mut promoted = Scene::new();
    let info = crate::info::ReplicationInfo {
        role: Field::Value(Role::Master),
        replid: Field::Value(id('c')),
        ..Default::default()
    };
    promoted
        .round(0, 100, 100)
        .replica_answers(1000, &observation(info));
    assert_eq!(promoted.assess(1050).state, PairState::Diverged);
    promoted.master.role = Some(Role::Replica);
    assert_eq!(promoted.assess(1050).reason, StateReason::RolesSwapped);
}

#[test]
fn a_master_that_is_a_replica_is_named_as_the_reason() {
    for (answer, reason) in [
        (NoMasterAnswer::Replica, StateReason::MasterIsReplica),
        (NoMasterAnswer::FollowsReplica, StateReason::NoMaster),
        (
            NoMasterAnswer::Incomplete,
            StateReason::IncompleteAnswer { who: Role::Master },
        ),
    ] {
        let mut scene = Scene::new();
        scene.round(0, 100, 100);
        scene.tracker.master_is_no_master(answer);
        assert_eq!(scene.assess(50).reason, reason);
        assert_eq!(scene.assess(2050).lag, LagInterval::UNKNOWN);
        assert_eq!(
            scene.assess(50).lag.estimate.is_some(),
            answer != NoMasterAnswer::Incomplete,
            "it may have handed over"
        );
    }
}

/// Half a second without a number at each failover would be half a second without an alert.
#[test]
fn a_master_that_hands_over_leaves_the_estimate_for_two_polls_and_no_bound() {
    let mut scene = frozen(3);
    let before = scene.assess(3050).lag;
    scene.tracker.master_is_no_master(NoMasterAnswer::Replica);
    let seen = scene.assess(3550);
    assert_eq!(
        (seen.state, seen.reason),
        (PairState::Unknown, StateReason::MasterIsReplica)
    );
    assert_eq!(
        seen.lag.estimate,
        before.estimate.map(|lag| lag + millis(500)),
        "it certainly stands still"
    );
    assert_eq!(
        (seen.lag.lower, seen.lag.upper, seen.bytes),
        (Some(Span::ZERO), None, LagBytes::UNKNOWN)
    );
    assert!(seen.sampled_at.is_some() && seen.deserves_replica_poll);
    assert_eq!(scene.assess(5060).lag, LagInterval::UNKNOWN);
    scene.continues = Some(('a', 131));
    scene.master(3600, 'b', 140);
    let after = scene.assess(3620);
    assert!(
        after.lag.upper.is_some() && after.lag.lower.is_some_and(|lag| lag > millis(1500)),
        "{:?}",
        after.lag
    );
    assert_eq!(
        after.state,
        PairState::Stalled,
        "its position is in the history that continues, and stands still"
    );
}

#[test]
fn headroom_is_what_the_backlog_has_left() {
    assert_eq!(
        frozen(3).assess(3050).backlog_headroom,
        Some(Bytes::new(970))
    );
    let mut gone = Scene::new();
    gone.round(0, 100, 100).round(1000, 5000, 100);
    assert_eq!(gone.assess(1050).backlog_headroom, Some(Bytes::new(0)));
}

#[test]
fn an_outage_is_as_old_as_the_server_reports() {
    let mut scene = Scene::new();
    scene
        .round(0, 100, 100)
        .master(9000, 'a', 200)
        .reports(9020, 'a', down(100, 5), false)
        .master(9040, 'a', 200);
    assert_eq!(scene.assess(9050).link_down_for, Some(at(9050) - at(4020)));
}
