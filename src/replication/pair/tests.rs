//! What a pair's tracker derives from polls.

use super::*;
use crate::info::{Field, ReplicaConnState, ReplicationInfo};
use crate::model::Bytes;
use crate::replication::testing::{Scene, at, down, id, millis, observation, offset, upstream};
use crate::replication::{Bracket, Comparison, LagBytes, Split};

fn located(scene: &Scene) -> &Located {
    scene
        .tracker
        .facts()
        .located
        .as_ref()
        .expect("a located answer")
}

fn relation(scene: &Scene) -> Relation {
    scene.tracker.facts().relation
}

#[test]
fn an_answer_is_located_only_when_the_master_was_asked_after_it() {
    let mut scene = Scene::new();
    scene.master(0, 'a', 100).replica(20, 'a', 100);
    assert!(scene.tracker.facts().located.is_none());
    scene.master(25, 'a', 100);
    assert!(
        scene.tracker.facts().located.is_none(),
        "that was sent before the replica had answered"
    );
    scene.master(40, 'a', 100);
    assert!(located(&scene).is_caught_up());
}

#[test]
fn the_interval_and_the_bytes_reach_from_the_poll_before_to_the_poll_after() {
    let mut scene = Scene::new();
    scene
        .round(0, 100, 100)
        .master(1000, 'a', 300)
        .replica(1020, 'a', 100)
        .master(1040, 'a', 500);
    let found = located(&scene);
    assert_eq!(
        found.bracket,
        Bracket {
            lo: Some(at(40)),
            hi: Some(at(1010))
        }
    );
    assert_eq!(
        (found.at_sample.lower, found.at_sample.upper),
        (Some(millis(10)), Some(millis(990)))
    );
    let bytes = LagBytes {
        lower: Some(Bytes::new(200)),
        estimate: Some(Bytes::new(285)),
        upper: Some(Bytes::new(400)),
    };
    assert_eq!(found.bytes, bytes);
}

/// What the replica lacks may be on its way for as long as the link is up, and no longer.
#[test]
fn over_a_link_that_is_down_no_data_is_on_its_way() {
    let estimate = |link: UpstreamInfo| {
        let mut scene = Scene::new();
        scene
            .round(0, 100, 100)
            .master(1000, 'a', 300)
            .reports(1020, 'a', link, false)
            .master(1040, 'a', 500);
        located(&scene).at_sample.estimate.unwrap()
    };
    assert!(
        estimate(upstream(100)) < millis(80),
        "what links usually take"
    );
    assert!(
        estimate(down(100, 1)) > millis(400),
        "it may have gone missing at any time since the last poll"
    );
}

#[test]
fn polls_that_show_the_same_offset_are_counted() {
    let mut scene = Scene::new();
    scene
        .round(0, 100, 50)
        .round(1000, 200, 50)
        .round(2000, 300, 50);
    assert_eq!(
        (located(&scene).same_applied, located(&scene).same_received),
        (3, 3)
    );
    let received = UpstreamInfo {
        read_offset: Field::Value(offset(80)),
        ..upstream(50)
    };
    scene
        .master(3000, 'a', 400)
        .reports(3020, 'a', received, false)
        .master(3040, 'a', 400);
    assert_eq!(
        (located(&scene).same_applied, located(&scene).same_received),
        (4, 1),
        "a long transaction arrives"
    );
}

/// The bounds of the old history once showed 4.8 MB of certain lag for a replica that lacked
/// nothing.
#[test]
fn bytes_of_an_old_history_bound_nothing_in_a_new_one() {
    let mut scene = Scene::new();
    scene
        .round(0, 4_880_037, 4_880_037)
        .replica(1020, 'b', 14)
        .master(1040, 'b', 14);
    assert_eq!(located(&scene).bytes.lower, None);
    assert_eq!(located(&scene).bytes.estimate, Some(Bytes::new(0)));
}

#[test]
fn a_pinned_bracket_ends_with_its_history() {
    let mut scene = Scene::new();
    scene.round(0, 100, 100).round(1000, 200, 100);
    assert_eq!(located(&scene).bracket.hi, Some(at(1010)));
    // The offset falls under the same name, and comes to the position again.
    scene
        .master(2000, 'a', 60)
        .master(3000, 'a', 100)
        .replica(3020, 'a', 100)
        .master(3040, 'a', 100);
    assert_eq!(
        located(&scene).bracket,
        Bracket {
            lo: Some(at(3040)),
            hi: None
        }
    );
}

#[test]
fn a_hidden_offset_keeps_the_last_position_and_certifies_only_what_is_final() {
    let loading = |since| down(1, since);
    let mut scene = Scene::new();
    scene
        .round(0, 100, 100)
        .master(9000, 'a', 200)
        .reports(9020, 'a', loading(5), true)
        .master(9040, 'a', 200);
    assert_eq!(located(&scene).applied(), offset(100));
    assert_eq!(
        located(&scene).at_sample.lower,
        Some(Span::ZERO),
        "it continued to apply until its link was lost"
    );
    assert_eq!(located(&scene).bytes.lower, Some(Bytes::new(0)));

    let mut scene = Scene::new();
    scene
        .round(0, 100, 100)
        .master(3000, 'a', 200)
        .reports(3020, 'a', down(100, 2), false)
        .master(3040, 'a', 200);
    scene
        .reports(9020, 'a', loading(8), true)
        .master(9040, 'a', 200);
    assert_eq!(
        located(&scene).at_sample.lower,
        Some(at(9020) - at(3010)),
        "that offset was final"
    );

    scene
        .reports(19_020, 'a', loading(5), true)
        .master(19_040, 'a', 200);
    assert_eq!(
        located(&scene).at_sample.lower,
        Some(Span::ZERO),
        "the link was up in between, unseen"
    );
}

#[test]
fn a_replica_that_has_never_shown_a_position_is_never_synced() {
    let mut scene = Scene::new();
    scene
        .master(0, 'a', 100)
        .reports(20, 'e', down(0, 0), false)
        .master(40, 'a', 100);
    assert_eq!(relation(&scene), Relation::NeverSynced);
    assert!(scene.tracker.facts().located.is_none());
}

#[test]
fn an_answer_without_the_fields_is_incomplete() {
    let mut scene = Scene::new();
    let lacking = UpstreamInfo {
        applied_offset: Field::Malformed,
        ..upstream(0)
    };
    scene
        .master(0, 'a', 100)
        .reports(20, 'a', lacking, false)
        .master(40, 'a', 100);
    assert_eq!(relation(&scene), Relation::Incomplete);
}

#[test]
fn positions_relate_to_the_masters_histories() {
    let cases = [
        ('a', 100, Relation::Comparable),
        ('a', 300, Relation::Ahead),
        ('f', 100, Relation::NotComparable(Comparison::Foreign)),
        ('d', 50, Relation::Comparable),
        (
            'd',
            60,
            Relation::NotComparable(Comparison::Diverged {
                bytes: Bytes::new(10),
            }),
        ),
    ];
    for (letter, applied, expected) in cases {
        let mut scene = Scene::new();
        scene.continues = Some(('d', 51));
        scene
            .master(0, 'a', 200)
            .replica(20, letter, applied)
            .master(40, 'a', 200);
        assert_eq!(relation(&scene), expected, "{letter} {applied}");
    }
}

#[test]
fn two_masters_show_what_each_has_that_the_other_has_not() {
    let bytes = Bytes::new;
    let parted = |master, replica, master_was_promoted| {
        Some(Split {
            master: bytes(master),
            replica: bytes(replica),
            master_was_promoted,
        })
    };
    // What the master continued; who the replica is, and what it continued: a letter and the first
    // offset of its own.
    let cases = [
        (None, 'c', Some(('a', 401)), parted(100, 30, false)),
        (Some(('c', 401)), 'c', None, parted(100, 30, true)),
        (
            Some(('d', 401)),
            'c',
            Some(('d', 421)),
            parted(100, 30, false),
        ),
        (None, 'c', None, None),
        (Some(('d', 401)), 'c', Some(('e', 421)), None),
    ];
    for (continues, replid, continued, split) in cases {
        let mut scene = Scene::new();
        scene.continues = continues;
        scene.round(0, 500, 500);
        let mut info = ReplicationInfo {
            role: Field::Value(Role::Master),
            replid: Field::Value(id(replid)),
            master_offset: Field::Value(offset(430)),
            ..Default::default()
        };
        if let Some((before, first_unshared)) = continued {
            (info.replid2, info.second_offset) = (
                Field::Value(id(before)),
                Field::Value(offset(first_unshared)),
            );
        }
        scene.replica_answers(1000, &observation(info));
        assert_eq!(
            relation(&scene),
            Relation::IsMaster { split },
            "{continues:?} {replid} {continued:?}"
        );
    }
}

#[test]
fn applied_bytes_are_counted_over_reconnects_and_promotions_but_not_in_full_syncs() {
    let total = |scene: &Scene| scene.tracker.facts().applied_total;
    let mut scene = Scene::new();
    assert_eq!(total(&scene), None);
    scene.round(0, 100, 100).round(1000, 200, 150);
    assert_eq!(total(&scene), Some(50));
    scene
        .master(2000, 'a', 300)
        .reports(2020, 'a', down(170, 1), false)
        .master(2040, 'a', 300)
        .round(3000, 400, 400);
    assert_eq!(total(&scene), Some(300), "a cut and a partial resync");
    scene.continues = Some(('a', 451));
    scene
        .master(4000, 'b', 500)
        .replica(4020, 'b', 480)
        .master(4040, 'b', 500);
    assert_eq!(
        total(&scene),
        Some(380),
        "a promotion: both offsets count in one history"
    );
    let transfer = UpstreamInfo {
        sync_in_progress: Field::Value(true),
        ..down(480, 1)
    };
    scene
        .reports(5020, 'b', transfer, false)
        .master(5040, 'b', 900)
        .replica(6020, 'b', 900)
        .master(6040, 'b', 900);
    assert_eq!(
        total(&scene),
        Some(380),
        "the data set of a full sync is no stream"
    );
}

#[test]
fn a_stalled_link_that_is_given_up_has_been_out_since_it_stalled() {
    let mut scene = Scene::new();
    scene.round(0, 100, 100);
    for second in 1..60 {
        scene.round(second * 1000, 100 + u64::try_from(second).unwrap(), 100);
    }
    let since = located(&scene).point.expect("passed").at;
    scene.reports(60_020, 'a', down(100, 0), false);
    assert_eq!(scene.tracker.facts().link.down_since, Some(since));
    scene.replica(61_020, 'a', 160);
    assert_eq!(scene.tracker.facts().link.down_since, None);
}

#[test]
fn an_acked_offset_stays_until_a_full_sync_or_another_history() {
    let acked = |scene: &Scene| {
        scene
            .tracker
            .facts()
            .ack
            .located
            .map(|acked| acked.offset.get())
    };
    let mut scene = Scene::new();
    scene
        .round(0, 100, 100)
        .acks(ReplicaConnState::Online, Some(150))
        .master(1000, 'a', 200);
    assert_eq!(acked(&scene), Some(150));
    scene.ack = None;
    scene.master(2000, 'a', 300);
    assert_eq!(
        acked(&scene),
        Some(150),
        "the line is gone, the data is not"
    );
    scene
        .acks(ReplicaConnState::WaitBgsave, None)
        .master(3000, 'a', 300);
    assert_eq!(acked(&scene), None);
    scene
        .acks(ReplicaConnState::Online, Some(300))
        .master(4000, 'a', 300)
        .acks(ReplicaConnState::Online, None);
    scene.master(5000, 'b', 14);
    assert_eq!(acked(&scene), None, "an offset of the old history");
}

#[test]
fn the_replica_deserves_one_more_poll_at_the_first_doubt_and_when_its_acks_are_too_old() {
    let deserves = |scene: &Scene| scene.tracker.facts().deserves_replica_poll();
    let healthy = |acked: u64| {
        let mut scene = Scene::new();
        for second in 0..10 {
            let bytes = 1000 * (1 + u64::try_from(second).unwrap());
            scene.acks(ReplicaConnState::Online, Some(bytes.min(acked)));
            scene.round(second * 1000, bytes, bytes - 40);
        }
        scene
    };
    assert!(!deserves(&healthy(u64::MAX)), "as usual");
    let mut stuck = healthy(u64::MAX);
    stuck
        .acks(ReplicaConnState::Online, None)
        .round(10_000, 11_000, 9_970);
    assert!(deserves(&stuck), "a second behind, for the first time");
    stuck.round(10_250, 11_250, 9_970);
    assert!(!deserves(&stuck), "that it stands still is known now");
    assert!(
        deserves(&healthy(7_500)),
        "its last ACK is from three seconds ago"
    );
}

#[test]
fn a_ping_on_its_way_is_no_lag_and_one_that_never_arrives_is() {
    let mut scene = Scene::new();
    scene.round(0, 100, 100).round(1000, 114, 100);
    assert_eq!(
        (
            located(&scene).at_sample.lower,
            located(&scene).at_sample.estimate
        ),
        (Some(Span::ZERO), Some(Span::ZERO))
    );
    scene.round(2000, 114, 100);
    assert!(
        located(&scene).at_sample.estimate > Some(Span::from_secs(1)),
        "the link is dead"
    );
    let mut scene = Scene::new();
    scene.round(0, 100, 100).round(1000, 120, 100);
    assert_eq!(
        located(&scene).at_sample.lower,
        Some(millis(10)),
        "a DEL has at least 20 bytes"
    );
}

/// An exporter on a busy machine must not report its own delay as lag.
#[test]
fn a_replica_that_is_not_polled_is_not_silent() {
    let mut scene = Scene::new();
    scene
        .acks(ReplicaConnState::Online, Some(90))
        .round(0, 100, 90)
        .round(1000, 200, 200)
        .master(2500, 'a', 300);
    let seen = scene.assess(3100);
    assert!(
        !seen.stale && seen.lag.estimate < Some(millis(100)),
        "{:?}",
        seen.lag
    );
}
