use super::*;
use crate::info::{Field, PersistenceInfo};
use crate::replication::testing::{at, down, id, observation, offset, upstream};

const OLD: &str = "1111";
const NEW: &str = "2222";

fn process(name: &str) -> Option<RunId> {
    RunId::parse(name)
}

fn sample(letter: char, bytes: u64, continues: Option<(char, u64)>) -> MasterSample {
    MasterSample {
        replid: id(letter),
        continues: continues.map(|(letter, last)| (id(letter), offset(last))),
        offset: offset(bytes),
        backlog_active: false,
        sent: at(20_000),
        received: at(20_010),
        beginning: None,
    }
}

/// A master that had written 1,000 bytes and had 100 keys ten seconds before.
fn before() -> Lineage {
    Lineage {
        replid: id('a'),
        offset: offset(1000),
        run_id: process(OLD),
        keys: Some(100),
        at: at(10_000),
    }
}

struct TestPoll {
    sample: MasterSample,
    life: &'static str,
    uptime: i64,
    keys: Option<u64>,
    started_empty: bool,
}

impl TestPoll {
    fn lost(&self) -> Option<HistoryRemnant> {
        let run_id = process(self.life);
        before().lost_to(MasterPoll {
            sample: &self.sample,
            run_id: run_id.as_ref(),
            uptime: Some(Span::from_secs(self.uptime)),
            keys: self.keys,
            started_empty: self.started_empty,
        })
    }
}

fn lost_in(
    sample: MasterSample,
    life: &'static str,
    uptime: i64,
    keys: Option<u64>,
) -> Option<HistoryRemnant> {
    TestPoll {
        sample,
        life,
        uptime,
        keys,
        started_empty: false,
    }
    .lost()
}

#[expect(clippy::unnecessary_wraps, reason = "as what it is compared with")]
fn until(lost: u64) -> Option<HistoryRemnant> {
    Some(HistoryRemnant::Until {
        lost: Bytes::new(lost),
        since: None,
    })
}

#[test]
fn a_master_whose_history_continues_has_lost_nothing() {
    let goes_on = sample('a', 1200, None);
    assert_eq!(lost_in(goes_on, OLD, 500, Some(90)), None);
    let with_its_file = sample('b', 1000, Some(('a', 1000)));
    assert_eq!(
        lost_in(with_its_file, NEW, 3, Some(100)),
        None,
        "shutdown save"
    );
    let but_a_ping = sample('b', 986, Some(('a', 986)));
    assert_eq!(lost_in(but_a_ping, NEW, 3, Some(100)), None);
    let further = sample('b', 1300, Some(('a', 1014)));
    assert_eq!(lost_in(further, NEW, 3, Some(100)), None);
}

#[test]
fn a_backlog_that_was_freed_begins_a_history_and_loses_nothing() {
    assert_eq!(lost_in(sample('b', 1000, None), OLD, 500, Some(100)), None);
    assert_eq!(lost_in(sample('b', 1100, None), OLD, 500, Some(100)), None);
    let of_another = sample('b', 400, None);
    assert_eq!(
        lost_in(of_another, OLD, 500, Some(100)),
        Some(HistoryRemnant::SomeDataSet),
        "it took in the data of another server"
    );
}

#[test]
fn a_promoted_server_is_a_failover_and_not_a_loss() {
    let promoted = sample('b', 950, Some(('a', 900)));
    assert_eq!(lost_in(promoted.clone(), OLD, 500, Some(100)), None);
    assert_eq!(
        lost_in(promoted, NEW, 9000, Some(100)),
        None,
        "behind one address: it has run for longer than the old one has been away"
    );
}

/// A load balancer, or an address that was moved to a server with other data.
#[test]
fn a_server_that_ran_already_has_not_come_back_without_its_history() {
    for other in [
        sample('b', 400, None),
        sample('b', 5000, None),
        sample('a', 600, None),
    ] {
        assert_eq!(
            lost_in(other.clone(), NEW, 9000, Some(3)),
            None,
            "{other:?}"
        );
        assert!(
            lost_in(other, NEW, 5, Some(3)).is_some(),
            "it has restarted"
        );
    }
}

#[test]
fn an_older_file_has_lost_what_came_after_it() {
    let older = sample('b', 700, Some(('a', 700)));
    assert_eq!(lost_in(older, NEW, 5, Some(80)), until(300));
    assert_eq!(
        lost_in(sample('a', 600, None), NEW, 5, Some(80)),
        until(400)
    );
}

#[test]
fn an_empty_master_has_lost_everything_whatever_it_has_written_since() {
    for (written, keys) in [(0, 0), (14, 0), (900, 7), (5000, 9)] {
        assert_eq!(
            lost_in(sample('b', written, None), NEW, 5, Some(keys)),
            Some(HistoryRemnant::Nothing),
            "{written} bytes, {keys} keys"
        );
    }
}

/// Clients that write at once may bring back a good part of the keys before the first poll.
#[test]
fn a_master_that_loaded_nothing_has_lost_everything_however_many_keys_it_has_by_now() {
    let lost = |keys| {
        let poll = TestPoll {
            sample: sample('b', 900, None),
            life: NEW,
            uptime: 5,
            keys,
            started_empty: true,
        };
        poll.lost()
    };
    assert_eq!(lost(Some(17)), Some(HistoryRemnant::Nothing));
    assert_eq!(lost(Some(99)), Some(HistoryRemnant::Nothing));
    assert_eq!(lost(None), Some(HistoryRemnant::Nothing));
    assert_eq!(
        lost(Some(100)),
        Some(HistoryRemnant::SomeDataSet),
        "as many as before: something may have brought them back"
    );
}

#[test]
fn a_data_set_in_a_new_history_may_be_of_any_age() {
    let append_only = sample('b', 0, None);
    assert_eq!(
        lost_in(append_only.clone(), NEW, 5, Some(100)),
        Some(HistoryRemnant::SomeDataSet)
    );
    assert_eq!(
        lost_in(append_only, NEW, 5, None),
        Some(HistoryRemnant::Unknown)
    );
}

#[test]
fn a_history_that_continues_an_unseen_one_is_no_evidence() {
    let restarted_twice = sample('c', 1100, Some(('b', 1050)));
    assert_eq!(lost_in(restarted_twice, NEW, 5, Some(100)), None);
    let older = sample('c', 900, Some(('b', 850)));
    assert_eq!(
        lost_in(older, NEW, 5, Some(100)),
        Some(HistoryRemnant::SomeDataSet)
    );
}

#[test]
fn without_a_process_id_only_a_smaller_offset_is_evidence() {
    let lost = |bytes| {
        before().lost_to(MasterPoll {
            sample: &sample('b', bytes, None),
            run_id: None,
            uptime: None,
            keys: Some(0),
            started_empty: false,
        })
    };
    assert_eq!(lost(1000), None);
    assert_eq!(lost(999), Some(HistoryRemnant::Nothing));
}

fn loss() -> HistoryLoss {
    let empty = sample('b', 0, None);
    let run_id = process(NEW);
    let poll = MasterPoll {
        sample: &empty,
        run_id: run_id.as_ref(),
        uptime: None,
        keys: Some(0),
        started_empty: true,
    };
    HistoryLoss::new(&before(), HistoryRemnant::Nothing, poll)
}

fn replica(letter: char, upstream: UpstreamInfo, loading: bool) -> Observation {
    let mut seen = observation(crate::info::ReplicationInfo {
        role: Field::Value(Role::Replica),
        replid: Field::Value(id(letter)),
        upstream: Some(upstream),
        ..Default::default()
    });
    seen.persistence = PersistenceInfo {
        loading: Field::Value(loading),
        ..Default::default()
    };
    seen
}

#[test]
fn the_replicas_copy_is_there_until_it_loads_another() {
    let mut loss = loss();
    let mut copy = |seen: Observation, being_sent| {
        loss.replica_answered(&seen, being_sent);
        (loss.copy, loss.replica_has_it())
    };
    let transfer = UpstreamInfo {
        sync_in_progress: Field::Value(true),
        ..down(1000, 3)
    };
    let cut = || replica('a', down(1000, 2), false);
    assert_eq!(copy(cut(), false), (ReplicaCopy::Whole, true));
    assert_eq!(copy(cut(), true), (ReplicaCopy::BeingReplaced, true));
    let sent = replica('a', transfer.clone(), false);
    assert_eq!(copy(sent, true), (ReplicaCopy::BeingReplaced, true));
    assert_eq!(
        copy(cut(), false),
        (ReplicaCopy::Whole, true),
        "the transfer was cut"
    );
    let own_file = replica('a', down(1, 2), true);
    assert_eq!(
        copy(own_file, false),
        (ReplicaCopy::Whole, true),
        "it loads its own file"
    );
    let loads = replica('a', transfer, true);
    assert_eq!(copy(loads, true), (ReplicaCopy::Replaced, false));
    assert_eq!(
        copy(cut(), false),
        (ReplicaCopy::Replaced, false),
        "gone is gone"
    );
}

#[test]
fn a_replica_that_synced_before_its_next_poll_has_the_new_history_already() {
    let mut loss = loss();
    loss.replica_answered(&replica('b', upstream(14), false), false);
    assert_eq!(loss.copy, ReplicaCopy::Replaced);
}

#[test]
fn a_history_that_begins_with_the_first_replica_is_the_new_one() {
    let mut loss = loss();
    loss.master_answered(&sample('e', 0, None));
    loss.replica_answered(&replica('e', upstream(14), false), false);
    assert_eq!(loss.copy, ReplicaCopy::Replaced);
}

#[test]
fn a_promoted_replica_has_everything() {
    let mut loss = loss();
    let mut promoted = observation(crate::info::ReplicationInfo {
        role: Field::Value(Role::Master),
        replid: Field::Value(id('d')),
        replid2: Field::Value(id('c')),
        ..Default::default()
    });
    loss.replica_answered(&promoted, false);
    assert_eq!(loss.copy, ReplicaCopy::Unseen, "out of another history");
    promoted.replication.replid2 = Field::Value(id('a'));
    loss.replica_answered(&promoted, false);
    assert_eq!(loss.copy, ReplicaCopy::Promoted);
}

#[test]
fn a_replica_that_was_behind_the_file_loses_nothing() {
    for (applied, copy) in [(700, ReplicaCopy::NoMore), (701, ReplicaCopy::Replaced)] {
        let mut loss = HistoryLoss {
            kept: until(300).unwrap(),
            applied: Some(Applied {
                bytes: Bytes::new(applied),
                at: at(9000),
            }),
            ..loss()
        };
        loss.replica_answered(&replica('b', upstream(700), false), false);
        assert_eq!(loss.copy, copy);
    }
}

#[test]
fn a_master_that_is_started_again_with_its_data_undoes_the_loss() {
    let mut loss = loss();
    loss.master_answered(&sample('b', 20, None));
    assert!(!loss.is_over(at(30_000)));
    loss.master_answered(&sample('c', 900, Some(('a', 900))));
    assert_eq!((loss.kept, loss.is_undone()), (until(100).unwrap(), false));
    loss.master_answered(&sample('d', 1000, Some(('a', 1000))));
    assert!(loss.is_over(at(30_000)));
}

#[test]
fn a_loss_ends_once_the_pair_has_streamed_for_long_enough() {
    let streams_since = Some(at(0));
    let loss = HistoryLoss {
        streams_since,
        ..loss()
    };
    assert!(!loss.is_over(at(599_999)) && loss.is_over(at(600_000)));
}

#[test]
fn the_first_loss_counts_when_the_master_fails_once_more() {
    let first = HistoryLoss {
        copy: ReplicaCopy::Whole,
        ..loss()
    };
    let again = HistoryLoss {
        from: id('b'),
        to: id('c'),
        written: Bytes::new(20),
        ..loss()
    };
    let both = first.followed_by(again);
    assert_eq!((both.from, both.to), (id('a'), id('c')));
    assert_eq!(
        (both.written, both.copy),
        (Bytes::new(1000), ReplicaCopy::Whole)
    );
}

#[test]
fn the_sentence_names_what_is_lost_and_which_server_has_it() {
    let says = |kept, copy, expected: &str| {
        let loss = HistoryLoss {
            kept,
            copy,
            ..loss()
        };
        assert_eq!(loss.to_string(), expected);
    };
    says(
        HistoryRemnant::Nothing,
        ReplicaCopy::Replaced,
        "the master came back without its data (0 of 100 keys); the replica has replaced its data with what the master \
         has now",
    );
    says(
        until(2048).unwrap(),
        ReplicaCopy::Whole,
        "the master came back with an older state (0 of 100 keys): the last 2.0 KiB of its stream are missing; the \
         replica still has everything that it had applied, until a full sync replaces it",
    );
    says(
        until(0).unwrap(),
        ReplicaCopy::Whole,
        "the master has its whole replication history again",
    );
}
