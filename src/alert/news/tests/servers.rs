//! Sentences about servers: those that do not answer, and those that give full syncs.

use super::*;
use crate::replication::SyncProgress;

#[test]
fn a_silent_master_has_its_pairs_and_the_cost_of_a_failover() {
    let own = vec![service(ServiceRole::Master, "orders", last_known())];
    let firing = alert(
        Rule::Unreachable,
        &SERVER,
        silent(own, Some(PollError::Refused)),
    );
    assert_eq!(
        sentence_of(&firing),
        "orders: master 127.1.0.10:17100 (dc1) has refused connections for 65 s (since 06:43:23 \
         UTC). Failing over to dc2 now loses at most the last 0.02 s of writes, 335 B (certain as \
         of 06:43:22 UTC)."
    );
    let caught_up = AtRisk {
        lag: Bounds {
            upper: Some(Span::ZERO),
            ..Bounds::default()
        },
        ..last_known()
    };
    let own = vec![service(ServiceRole::Master, "orders", caught_up)];
    let firing = alert(Rule::Unreachable, &SERVER, silent(own, None));
    let end = "Failing over to dc2 now loses nothing that was written by 06:43:22 UTC.";
    assert!(
        sentence_of(&firing).ends_with(end),
        "{}",
        sentence_of(&firing)
    );
    let names = ["a", "b", "c", "d", "e"];
    let many = names.map(|name| service(ServiceRole::Master, name, last_known()));
    let firing = alert(Rule::Unreachable, &SERVER, silent(many.into(), None));
    assert!(
        sentence_of(&firing)
            .starts_with("a, b, c and 2 more: master 127.1.0.10:17100 (dc1) has not answ"),
        "{}",
        sentence_of(&firing)
    );
    let stranger = alert(Rule::Unreachable, &SERVER, silent(Vec::new(), None));
    assert_eq!(
        sentence_of(&stranger),
        "127.1.0.10:17100 (dc1) has not answered for 65 s (since 06:43:23 UTC)."
    );
}

#[test]
fn a_silent_replica_has_the_possible_loss_and_a_returned_server_whether_it_restarted() {
    let own = vec![service(ServiceRole::Replica, "orders", risk(60, 1_048_576))];
    let context = silent(own, None);
    let firing = alert(Rule::Unreachable, &SERVER, context.clone());
    assert_eq!(
        sentence_of(&firing),
        "orders: replica 127.1.0.10:17100 (dc1) has not answered for 65 s (since 06:43:23 UTC). If \
         dc2 died now: the last 60 s of writes, 1.0 MiB, would be lost."
    );
    let back = |same_since| {
        let context = AlertContext {
            fault_until: Some(at(NOW)),
            same_since: Some(at(same_since)),
            ..context.clone()
        };
        sentence_of(&as_resolved(
            alert(Rule::Unreachable, &SERVER, context),
            ResolveReason::Cleared,
        ))
    };
    assert_eq!(
        back(5),
        "orders: replica 127.1.0.10:17100 (dc1): resolved. No answer 06:43:23 to 06:44:28 UTC (65 \
         s); it is the same process: nothing of its data is lost."
    );
    assert!(back(NOW).ends_with("it is another process: it was restarted."));
}

#[test]
fn full_syncs_are_counted_in_the_sentence() {
    let window = Span::from_secs(600);
    let context = AlertContext {
        services: vec![service(ServiceRole::Master, "orders", last_known())],
        details: Some(Details::FullSyncs { window }),
        ..AlertContext::default()
    };
    let mut firing = alert(Rule::FullSync, &SERVER, context);
    firing.value = Measured::from(Reading::exact(1_u64));
    let begin = "orders: master 127.1.0.10:17100 (dc1)";
    let expected = format!("{begin} gave 1 full sync in the last 10 min.");
    assert_eq!(sentence_of(&firing), expected);
    firing.value = Measured::from(Reading::exact(2_u64));
    assert!(sentence_of(&firing).ends_with("gave 2 full syncs in the last 10 min."));
    let expected = format!("{begin}: resolved. No further full sync in the last 10 min.");
    assert_eq!(
        sentence_of(&as_resolved(firing, ResolveReason::Cleared)),
        expected
    );
}

#[test]
fn a_full_sync_in_progress_has_its_progress() {
    let mut to_replica = service(ServiceRole::Master, "orders", AtRisk::default());
    to_replica.sync = Some(SyncProgress {
        read: Some(Bytes::new(70 << 20)),
        total: Some(Bytes::new(240 << 20)),
        rate: Some(Bytes::new(6 << 20)),
        ..SyncProgress::default()
    });
    let context = AlertContext {
        services: vec![to_replica],
        ..AlertContext::default()
    };
    let server = [("dc", "dc1"), ("server", "127.1.0.10:17100")];
    let mut alert = alert(Rule::FullSync, &server, context);
    alert.value = Measured::from(Reading::exact(2_u64));
    assert_eq!(
        sentence_of(&alert).clone(),
        "orders: full sync to 127.2.0.10:17101: 70.0 MiB of 240.0 MiB read, 6.0 MiB/s, ~29 s left. \
         orders: master 127.1.0.10:17100 (dc1) gave 2 full syncs."
    );
}
