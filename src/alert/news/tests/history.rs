//! Sentences about a master that came back without its history.

use super::*;
use crate::model::ReplicationId;
use crate::replication::{Applied, HistoryLoss, HistoryRemnant, ReplicaCopy};

/// A master that came back empty ten seconds ago, 40 s after it was last seen.
fn loss() -> HistoryLoss {
    let id = |letter: &str| ReplicationId::parse(&letter.repeat(40)).unwrap();
    HistoryLoss {
        from: id("a"),
        to: id("b"),
        seen_at: at(NOW - 10),
        last_answer: at(NOW - 50),
        written: Bytes::new(9_000),
        kept: HistoryRemnant::Nothing,
        keys_before: Some(1000),
        keys_now: Some(0),
        started_empty: true,
        applied: Some(Applied {
            bytes: Bytes::new(9_000),
            at: at(NOW - 50),
        }),
        copy: ReplicaCopy::Whole,
        streams_since: None,
    }
}

fn of_loss(loss: HistoryLoss) -> AlertSnapshot {
    let context = AlertContext {
        master: Some("127.1.0.10:17100".to_owned()),
        details: Some(Details::HistoryLost(Arc::new(loss))),
        ..AlertContext::default()
    };
    alert(Rule::HistoryLost, &PAIR, context)
}

#[test]
fn f04_a_lost_history_says_what_is_lost_who_has_it_and_how_to_keep_it() {
    let keep = "redis-cli -h 127.2.0.10 -p 17101 REPLICAOF NO ONE";
    let begin = "orders dc1 → dc2: master 127.1.0.10:17100 came back ";
    let says = |loss: HistoryLoss, expected: String| {
        let text = sentence_of(&of_loss(loss)).clone();
        assert_eq!(text, format!("{begin}{expected}"));
    };
    says(
        loss(),
        format!(
            "EMPTY at 06:44:18 UTC (0 of 1000 keys). Replica 127.2.0.10:17101 still has the data as \
             of 06:43:38 UTC; to keep it, run {keep} before a full sync is loaded."
        ),
    );
    let keys_now = Some(17);
    says(
        HistoryLoss { keys_now, ..loss() },
        format!(
            "EMPTY at 06:44:18 UTC (17 new keys, 1000 before): it lacks everything written before \
             06:43:38 UTC. Replica 127.2.0.10:17101 still has the data as of 06:43:38 UTC; to keep \
             it, run {keep} before a full sync is loaded."
        ),
    );
    let copy = ReplicaCopy::Replaced;
    says(
        HistoryLoss { copy, ..loss() },
        "EMPTY at 06:44:18 UTC (0 of 1000 keys). Replica 127.2.0.10:17101 was overwritten. Lost: \
         everything written before 06:43:38 UTC."
            .to_owned(),
    );
    let kept = HistoryRemnant::Until {
        lost: Bytes::new(3 << 20),
        since: Some(at(NOW - 3600)),
    };
    let copy = ReplicaCopy::BeingReplaced;
    says(
        HistoryLoss {
            kept,
            copy,
            keys_now: Some(800),
            ..loss()
        },
        format!(
            "with an older state at 06:44:18 UTC (800 of 1000 keys): it lacks the last 3.0 MiB of its \
             writes, all since 05:44:28 UTC. Replica 127.2.0.10:17101 still has the data as of \
             06:43:38 UTC; to keep it, run {keep} before the full sync under way is loaded."
        ),
    );
    let copy = ReplicaCopy::Promoted;
    let kept = HistoryRemnant::SomeDataSet;
    says(
        HistoryLoss {
            kept,
            copy,
            keys_now: Some(998),
            ..loss()
        },
        "with another replication history at 06:44:18 UTC (998 of 1000 keys): its last writes may be \
         missing. Replica 127.2.0.10:17101 was made a master and has the data as of 06:43:38 UTC."
            .to_owned(),
    );
}

#[test]
fn f04_its_end_says_what_was_lost() {
    let ended = |loss| {
        let mut alert = of_loss(loss);
        alert.resolved = Some((at(NOW), ResolveReason::Cleared));
        sentence_of(&alert).clone()
    };
    let streams_since = Some(at(NOW - 5));
    let copy = ReplicaCopy::Replaced;
    assert_eq!(
        ended(HistoryLoss {
            copy,
            streams_since,
            ..loss()
        }),
        "orders dc1 → dc2: resolved. The master came back EMPTY at 06:44:18 UTC (0 of 1000 keys). \
         Lost: everything written before 06:43:38 UTC. Streaming since 06:44:23 UTC."
    );
    let kept = HistoryRemnant::Until {
        lost: Bytes::ZERO,
        since: None,
    };
    assert_eq!(
        ended(HistoryLoss { kept, ..loss() }),
        "orders dc1 → dc2: resolved. The master has its whole replication history again since \
         06:44:28 UTC: nothing is lost."
    );
}
