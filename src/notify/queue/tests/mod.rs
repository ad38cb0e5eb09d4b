//! The queue of one receiver: what is sent, in which order, and what is dropped.

mod history;
mod saved;

use std::collections::BTreeSet;

use super::*;
use crate::alert::{AlertSnapshot, NotifyReason};
use crate::config::Severity;
use crate::delivery::DeliveryFailure;
use crate::model::Secret;
use crate::notify::incident::Incident;
use crate::notify::testing::{anchor, labels, notification, now, pair_alert, resolved};

const DAY: Span = Span::from_secs(24 * 3600);
const DELIVERED: RetryVerdict = RetryVerdict {
    disposition: Disposition::Delivered,
    hold_until: None,
    circuit_until: None,
    maybe_received: false,
    left: Vec::new(),
};
/// Everything is on the disk.
const ALL: Durable = Durable::Everything;

fn queue() -> ReceiverQueue {
    ReceiverQueue::new("chat".into(), 7, DAY)
}

fn group(n: usize) -> GroupKey {
    GroupKey(labels([("alertname", &*format!("group-{n}"))]))
}

fn firing(n: usize) -> Arc<Notification> {
    Arc::new(Notification {
        group: group(n),
        ..notification(NotifyReason::First, vec![pair_alert("orders", 0)])
    })
}

fn resolving(n: usize) -> Arc<Notification> {
    let alerts = vec![resolved(pair_alert("orders", 0))];
    Arc::new(Notification {
        group: group(n),
        ..notification(NotifyReason::Resolved, alerts)
    })
}

fn retry(secs: i64) -> RetryVerdict {
    let disposition = Disposition::Retry {
        at: now() + Span::from_secs(secs),
        reason: DeliveryFailure::Server,
    };
    RetryVerdict {
        disposition,
        ..DELIVERED
    }
}

fn dead() -> RetryVerdict {
    RetryVerdict {
        disposition: Disposition::Dead {
            reason: DeliveryFailure::Client,
        },
        ..DELIVERED
    }
}

fn start(queue: &mut ReceiverQueue) -> Attempt {
    queue.start(now(), ALL).expect("something is due")
}

/// Starts what is due and gives it `verdict`. Returns the attempt, and why notifications were
/// suppressed.
fn attempt(queue: &mut ReceiverQueue, verdict: &RetryVerdict) -> (Attempt, Vec<SuppressReason>) {
    let attempt = start(queue);
    let reasons = end(queue, &attempt, verdict);
    (attempt, reasons)
}

fn end(
    queue: &mut ReceiverQueue,
    attempt: &Attempt,
    verdict: &RetryVerdict,
) -> Vec<SuppressReason> {
    let events = queue.on_result(attempt, Some(IncidentRef::Unnamed), verdict, anchor());
    let reasons = events.into_iter().filter_map(|event| match event {
        DeliveryEventKind::Suppressed { reason } => Some(reason),
        _ => None,
    });
    reasons.collect()
}

/// Some recipients have it; `left` do not have it yet.
fn left_to(left: &[&str]) -> RetryVerdict {
    RetryVerdict {
        maybe_received: true,
        left: left.iter().map(|address| (*address).to_owned()).collect(),
        ..retry(0)
    }
}

fn check_empty(queue: &ReceiverQueue) {
    assert_eq!(
        queue.state(),
        QueueState {
            dead: queue.state().dead,
            ..QueueState::default()
        }
    );
    assert!(queue.groups.is_empty() && queue.next_wakeup(ALL).is_none());
}

#[test]
fn a_repetition_for_the_recipients_that_are_left_stays_one_until_it_is_delivered() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    let (first, _) = attempt(&mut queue, &left_to(&["a@b", "c@d"]));
    assert_eq!(first.left, None);
    for verdict in [retry(0), left_to(&["c@d"]), retry(0)] {
        attempt(&mut queue, &verdict);
    }
    let (last, _) = attempt(&mut queue, &DELIVERED);
    assert_eq!(last.left.as_deref(), Some(&["c@d".to_owned()][..]));
    assert_eq!(last.id, first.id);
    queue.push(resolving(0), anchor());
    let (over, _) = attempt(&mut queue, &DELIVERED);
    assert_eq!(over.left, None, "everybody is notified of the end");
    check_empty(&queue);
}

#[test]
fn what_replaces_a_partly_delivered_notification_goes_to_everybody() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(&mut queue, &left_to(&["a@b"]));
    assert_eq!(
        queue.push(resolving(0), anchor()),
        [SuppressReason::Superseded]
    );
    let (over, _) = attempt(&mut queue, &DELIVERED);
    assert_eq!(over.notification.status, AlertStatus::Resolved);
    assert_eq!(over.left, None);
    check_empty(&queue);
}

#[test]
fn a_firing_and_its_resolve_leave_an_empty_queue() {
    let mut queue = queue();
    assert_eq!(queue.push(firing(0), anchor()), []);
    assert_eq!(
        queue.state(),
        QueueState {
            depth: 1,
            oldest: Some(now()),
            ..QueueState::default()
        }
    );
    let (opened, _) = attempt(&mut queue, &DELIVERED);
    assert_eq!(queue.push(resolving(0), anchor()), []);
    let (closed, _) = attempt(&mut queue, &DELIVERED);
    assert_eq!(
        (opened.notification, closed.notification),
        (firing(0), resolving(0))
    );
    assert_ne!(opened.id, closed.id);
    assert_eq!(closed.incident, Some(IncidentRef::Unnamed));
    check_empty(&queue);
}

#[test]
fn a_retry_keeps_its_id_and_waits() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    let (first, _) = attempt(&mut queue, &retry(8));
    assert_eq!(queue.start(now(), ALL), None);
    assert_eq!(queue.next_wakeup(ALL), Some(now() + Span::from_secs(8)));
    let second = queue.start(now() + Span::from_secs(8), ALL).unwrap();
    assert_eq!((second.id, first.number, second.number), (first.id, 1, 2));
}

#[test]
fn an_undelivered_firing_is_superseded_by_a_newer_one() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    let (first, _) = attempt(&mut queue, &retry(8));
    assert_eq!(
        queue.push(firing(0), anchor()),
        [SuppressReason::Superseded]
    );
    assert_eq!(
        queue.next_wakeup(ALL),
        Some(now() + Span::from_secs(8)),
        "the backoff stays"
    );
    let second = queue.start(now() + Span::from_secs(8), ALL).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(second.number, 2);
}

#[test]
fn a_firing_in_flight_that_fails_is_superseded_by_a_newer_one() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    let first = start(&mut queue);
    assert_eq!(queue.push(firing(0), anchor()), []);
    assert_eq!(queue.start(now(), ALL), None, "one at a time");
    assert_eq!(
        end(&mut queue, &first, &retry(0)),
        [SuppressReason::Superseded]
    );
    assert_ne!(start(&mut queue).id, first.id);
}

#[test]
fn an_undelivered_firing_is_not_resolved() {
    let mut queue = queue();
    assert_eq!(
        queue.push(resolving(0), anchor()),
        [SuppressReason::NeverDelivered]
    );
    queue.push(firing(0), anchor());
    attempt(&mut queue, &retry(8));
    assert_eq!(
        queue.push(resolving(0), anchor()),
        [SuppressReason::NeverDelivered; 2]
    );
    check_empty(&queue);
}

#[test]
fn a_resolve_waits_for_the_firing_in_flight() {
    let cases = [(DELIVERED, 1), (retry(0), 0), (dead(), 0)];
    for (verdict, resolves) in cases {
        let mut queue = queue();
        queue.push(firing(0), anchor());
        let first = start(&mut queue);
        assert_eq!(queue.push(resolving(0), anchor()), []);
        end(&mut queue, &first, &verdict);
        assert_eq!(queue.state().depth, resolves, "{verdict:?}");
    }
}

#[test]
fn a_firing_that_may_have_arrived_is_resolved() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(
        &mut queue,
        &RetryVerdict {
            maybe_received: true,
            ..retry(0)
        },
    );
    assert_eq!(
        queue.push(resolving(0), anchor()),
        [SuppressReason::Superseded]
    );
    assert_eq!(attempt(&mut queue, &DELIVERED).0.notification, resolving(0));
    check_empty(&queue);
}

#[test]
fn a_group_that_fires_again_is_resolved_first() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(&mut queue, &DELIVERED);
    queue.push(resolving(0), anchor());
    attempt(&mut queue, &retry(0));
    assert_eq!(queue.push(firing(0), anchor()), []);
    let order: Vec<_> = (0..2)
        .map(|_| attempt(&mut queue, &DELIVERED).0.notification.status)
        .collect();
    assert_eq!(order, [AlertStatus::Resolved, AlertStatus::Firing]);
}

#[test]
fn an_unsent_second_firing_leaves_the_first_resolve_in_the_queue() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(&mut queue, &DELIVERED);
    queue.push(resolving(0), anchor());
    queue.push(firing(0), anchor());
    assert_eq!(
        queue.push(resolving(0), anchor()),
        [SuppressReason::NeverDelivered; 2]
    );
    assert_eq!(
        attempt(&mut queue, &DELIVERED).0.notification.status,
        AlertStatus::Resolved
    );
    check_empty(&queue);
}

#[test]
fn a_resolve_expires_after_a_day() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(&mut queue, &DELIVERED);
    queue.push(resolving(0), anchor());
    assert_eq!(queue.expire(now() + DAY), []);
    assert_eq!(
        queue.expire(now() + DAY + Span::from_secs(1)),
        [SuppressReason::Expired]
    );
    check_empty(&queue);
    queue.push(firing(0), anchor());
    assert_eq!(
        queue.expire(now() + DAY + DAY),
        [],
        "a firing does not expire"
    );
}

#[test]
fn a_resolve_behind_an_attempt_in_flight_does_not_expire() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    let first = start(&mut queue);
    queue.push(resolving(0), anchor());
    assert_eq!(queue.expire(now() + DAY + DAY), []);
    end(&mut queue, &first, &DELIVERED);
    assert_eq!(queue.expire(now() + DAY + DAY), [SuppressReason::Expired]);
    check_empty(&queue);
}

#[test]
fn critical_is_sent_before_warning_then_by_age() {
    let mut queue = queue();
    for (n, severity) in [
        Severity::Warning,
        Severity::Critical,
        Severity::Warning,
        Severity::Critical,
    ]
    .iter()
    .enumerate()
    {
        queue.push(
            Arc::new(Notification {
                severity: *severity,
                ..(*firing(n)).clone()
            }),
            anchor(),
        );
    }
    let order: Vec<_> = (0..4)
        .map(|_| attempt(&mut queue, &DELIVERED).0.notification.group.clone())
        .collect();
    assert_eq!(order, [group(1), group(3), group(0), group(2)]);
}

#[test]
fn a_hold_delays_every_group_of_the_receiver() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    queue.push(firing(1), anchor());
    let until = now() + Span::from_secs(30);
    attempt(
        &mut queue,
        &RetryVerdict {
            hold_until: Some(until),
            ..retry(3)
        },
    );
    assert_eq!(queue.start(now() + Span::from_secs(29), ALL), None);
    assert_eq!(queue.next_wakeup(ALL), Some(until));
    assert!(queue.start(until, ALL).is_some());
}

#[test]
fn new_settings_end_every_backoff() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(
        &mut queue,
        &RetryVerdict {
            hold_until: Some(now() + DAY),
            ..retry(900)
        },
    );
    queue.retry_now(now());
    assert!(queue.start(now(), ALL).is_some());
}

#[test]
fn a_full_queue_refuses_new_groups_but_accepts_resolves() {
    let mut queue = queue();
    for n in 0..MAX_GROUPS {
        assert_eq!(queue.push(firing(n), anchor()), []);
    }
    assert_eq!(
        queue.push(firing(MAX_GROUPS), anchor()),
        [SuppressReason::QueueFull]
    );
    let (accepted, _) = attempt(&mut queue, &DELIVERED);
    assert_eq!(
        queue.push(
            Arc::new(Notification {
                group: accepted.notification.group.clone(),
                ..(*resolving(0)).clone()
            }),
            anchor()
        ),
        []
    );
    assert_eq!(queue.state().depth, MAX_GROUPS);
}

fn incident(routing_key: &str) -> IncidentRef {
    IncidentRef::PagerDuty(Incident {
        routing_key: Secret::new(routing_key),
        dedup_key: "orders".to_owned(),
    })
}

#[test]
fn a_resolve_goes_to_every_key_that_opened_the_group() {
    let mut queue = queue();
    for key in ["old", "new", "new"] {
        queue.push(firing(0), anchor());
        let attempt = start(&mut queue);
        queue.on_result(&attempt, Some(incident(key)), &DELIVERED, anchor());
    }
    queue.push(resolving(0), anchor());
    let mut ids = BTreeSet::new();
    let mut events = Vec::new();
    for key in ["new", "old"] {
        let attempt = start(&mut queue);
        assert_eq!(attempt.incident, Some(incident(key)));
        events.extend(queue.on_result(&attempt, None, &DELIVERED, anchor()));
        ids.insert(attempt.id);
    }
    assert_eq!(ids.len(), 1);
    assert!(
        matches!(
            events[..],
            [
                DeliveryEventKind::PartlyDelivered,
                DeliveryEventKind::Delivered { .. }
            ]
        ),
        "each attempt is counted: {events:?}"
    );
    check_empty(&queue);
}

#[test]
fn plain_text_is_sent_at_once_under_the_same_id() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    let verdict = RetryVerdict {
        disposition: Disposition::RetryPlain {
            reason: DeliveryFailure::Client,
        },
        ..DELIVERED
    };
    let (first, _) = attempt(&mut queue, &verdict);
    let second = start(&mut queue);
    assert_eq!(
        (second.id, first.plain, second.plain),
        (first.id, false, true)
    );
}

#[test]
fn alerts_resolved_in_a_superseded_notification_are_still_reported() {
    let mut queue = queue();
    let with = |reason, alerts: Vec<Arc<AlertSnapshot>>| {
        Arc::new(Notification {
            group: group(0),
            ..notification(reason, alerts)
        })
    };
    queue.push(
        with(
            NotifyReason::First,
            vec![pair_alert("a", 0), resolved(pair_alert("b", 0))],
        ),
        anchor(),
    );
    queue.push(
        with(
            NotifyReason::NewInGroup,
            vec![pair_alert("a", 0), pair_alert("c", 0)],
        ),
        anchor(),
    );
    let merged = start(&mut queue).notification;
    let pairs: Vec<_> = merged
        .alerts
        .iter()
        .map(|alert| (&*alert.identity.labels["pair"], alert.status))
        .collect();
    assert_eq!(
        pairs,
        [
            ("a", AlertStatus::Firing),
            ("c", AlertStatus::Firing),
            ("b", AlertStatus::Resolved)
        ]
    );
    assert_eq!(
        merged.reason,
        NotifyReason::First,
        "the group is new to the receiver"
    );
}

#[test]
fn ids_are_valid_header_values_and_differ_between_runs() {
    let id = |run: u64| {
        let mut queue = ReceiverQueue::new("r\n\"ü".into(), run, DAY);
        queue.push(firing(0), anchor());
        start(&mut queue).id.to_string()
    };
    assert!(
        id(1)
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
    assert_ne!(id(1), id(2));
}

#[test]
fn a_receiver_that_is_gone_is_tried_again_and_any_other_answer_closes_its_circuit() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    let until = now() + Span::from_secs(900);
    attempt(
        &mut queue,
        &RetryVerdict {
            circuit_until: Some(until),
            ..retry(900)
        },
    );
    assert_eq!(
        (
            queue.state().circuit_until,
            queue.start(until - Span::from_secs(1), ALL)
        ),
        (Some(until), None)
    );
    let again = queue.start(until, ALL).expect("one attempt is due");
    end(&mut queue, &again, &retry(901));
    assert_eq!(queue.state().circuit_until, None);
}
