use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

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

fn over(n: usize) -> Arc<Notification> {
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

/// Starts what is due and gives it `verdict`; the attempt and the reasons of what was suppressed.
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
fn a_group_is_opened_and_closed() {
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
    assert_eq!(queue.push(over(0), anchor()), []);
    let (closed, _) = attempt(&mut queue, &DELIVERED);
    assert_eq!(
        (opened.notification, closed.notification),
        (firing(0), over(0))
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
fn an_undelivered_firing_gives_way_to_its_newer_state() {
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
        "the receiver still gets its rest"
    );
    let second = queue.start(now() + Span::from_secs(8), ALL).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(second.number, 2);
}

#[test]
fn a_firing_under_way_gives_way_when_it_fails() {
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
fn what_nobody_was_told_is_not_resolved() {
    let mut queue = queue();
    assert_eq!(
        queue.push(over(0), anchor()),
        [SuppressReason::NeverDelivered]
    );
    queue.push(firing(0), anchor());
    attempt(&mut queue, &retry(8));
    assert_eq!(
        queue.push(over(0), anchor()),
        [SuppressReason::NeverDelivered; 2]
    );
    check_empty(&queue);
}

#[test]
fn a_resolve_waits_for_the_firing_under_way() {
    let cases = [(DELIVERED, 1), (retry(0), 0), (dead(), 0)];
    for (verdict, resolves) in cases {
        let mut queue = queue();
        queue.push(firing(0), anchor());
        let first = start(&mut queue);
        assert_eq!(queue.push(over(0), anchor()), []);
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
    assert_eq!(queue.push(over(0), anchor()), [SuppressReason::Superseded]);
    assert_eq!(attempt(&mut queue, &DELIVERED).0.notification, over(0));
    check_empty(&queue);
}

#[test]
fn a_group_that_fires_again_is_resolved_first() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(&mut queue, &DELIVERED);
    queue.push(over(0), anchor());
    attempt(&mut queue, &retry(0));
    assert_eq!(queue.push(firing(0), anchor()), []);
    let order: Vec<_> = (0..2)
        .map(|_| attempt(&mut queue, &DELIVERED).0.notification.status)
        .collect();
    assert_eq!(order, [AlertStatus::Resolved, AlertStatus::Firing]);
}

#[test]
fn a_second_incident_that_nobody_saw_leaves_the_first_resolve() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(&mut queue, &DELIVERED);
    queue.push(over(0), anchor());
    queue.push(firing(0), anchor());
    assert_eq!(
        queue.push(over(0), anchor()),
        [SuppressReason::NeverDelivered; 2]
    );
    assert_eq!(
        attempt(&mut queue, &DELIVERED).0.notification.status,
        AlertStatus::Resolved
    );
    check_empty(&queue);
}

#[test]
fn a_resolve_is_not_sent_after_a_day() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    attempt(&mut queue, &DELIVERED);
    queue.push(over(0), anchor());
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
        "a firing lives as long as it fires"
    );
}

#[test]
fn a_resolve_behind_an_attempt_under_way_does_not_expire() {
    let mut queue = queue();
    queue.push(firing(0), anchor());
    let first = start(&mut queue);
    queue.push(over(0), anchor());
    assert_eq!(queue.expire(now() + DAY + DAY), []);
    end(&mut queue, &first, &DELIVERED);
    assert_eq!(queue.expire(now() + DAY + DAY), [SuppressReason::Expired]);
    check_empty(&queue);
}

#[test]
fn critical_goes_before_warning_and_then_in_turn() {
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
fn a_hold_stops_the_whole_receiver() {
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
fn new_settings_end_every_wait() {
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
fn a_full_queue_refuses_new_groups_but_no_resolve() {
    let mut queue = queue();
    for n in 0..MAX_GROUPS {
        assert_eq!(queue.push(firing(n), anchor()), []);
    }
    assert_eq!(
        queue.push(firing(MAX_GROUPS), anchor()),
        [SuppressReason::QueueFull]
    );
    let (told, _) = attempt(&mut queue, &DELIVERED);
    assert_eq!(
        queue.push(
            Arc::new(Notification {
                group: told.notification.group.clone(),
                ..(*over(0)).clone()
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
    queue.push(over(0), anchor());
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
fn plain_text_is_tried_at_once_with_the_same_id() {
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
fn what_resolved_in_a_superseded_message_is_still_told() {
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
    let told = start(&mut queue).notification;
    let pairs: Vec<_> = told
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
        told.reason,
        NotifyReason::First,
        "for the receiver it is news"
    );
}

#[test]
fn ids_are_fit_for_a_header_and_differ_between_runs() {
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

/// One step of a random history.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A group changes: it fires, fires on with news, or (when it fires) resolves.
    Change { group: usize, resolve: bool },
    /// The attempt under way ends, or else one is started.
    Act(Outcome),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Delivered,
    Refused,
    /// It failed, but the receiver acted on it, or not.
    Unclear {
        received: bool,
    },
    Dead,
}

fn steps(deadly: bool) -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Delivered),
        3 => Just(Outcome::Refused),
        2 => any::<bool>().prop_map(|received| Outcome::Unclear { received }),
        u32::from(deadly) => Just(Outcome::Dead),
    ];
    let step = prop_oneof![
        (0..3_usize, any::<bool>()).prop_map(|(group, resolve)| Step::Change { group, resolve }),
        outcome.prop_map(Step::Act),
    ];
    prop::collection::vec(step, 0..120)
}

/// A receiver that acts on what it gets, and a count of everything that goes in and comes out.
#[derive(Default)]
struct World {
    fires: BTreeMap<usize, bool>,
    under_way: Option<Attempt>,
    open: BTreeSet<GroupKey>,
    unclear: BTreeSet<GroupKey>,
    received: BTreeSet<DeliveryId>,
    ids: BTreeMap<DeliveryId, AlertStatus>,
    last: BTreeMap<GroupKey, (DeliveryId, bool)>,
    pushed: usize,
    ended: usize,
}

impl World {
    fn step(&mut self, queue: &mut ReceiverQueue, step: Step) {
        match (step, self.under_way.take()) {
            (Step::Change { group, resolve }, under_way) => {
                self.under_way = under_way;
                self.change(queue, group, resolve);
            }
            (Step::Act(outcome), Some(attempt)) => self.end(queue, &attempt, outcome),
            (Step::Act(_), None) => self.start(queue),
        }
    }

    fn change(&mut self, queue: &mut ReceiverQueue, n: usize, resolve: bool) {
        let fires = self.fires.entry(n).or_default();
        if resolve && !*fires {
            return;
        }
        *fires = !resolve;
        self.pushed += 1;
        if let Some((_, renewed)) = self.last.get_mut(&group(n)) {
            *renewed = true;
        }
        self.ended += queue
            .push(if resolve { over(n) } else { firing(n) }, anchor())
            .len();
    }

    fn start(&mut self, queue: &mut ReceiverQueue) {
        let Some(attempt) = queue.start(now(), ALL) else {
            return;
        };
        let status = attempt.notification.status;
        assert_eq!(
            *self.ids.entry(attempt.id.clone()).or_insert(status),
            status,
            "an id means one thing"
        );
        let key = attempt.notification.group.clone();
        if attempt.number > 1 {
            let (id, renewed) = &self.last[&key];
            assert!(*renewed || *id == attempt.id, "a retry keeps its id");
        }
        self.last.insert(key, (attempt.id.clone(), false));
        self.under_way = Some(attempt);
    }

    fn end(&mut self, queue: &mut ReceiverQueue, attempt: &Attempt, outcome: Outcome) {
        let verdict = match outcome {
            Outcome::Delivered => DELIVERED,
            Outcome::Refused => retry(0),
            Outcome::Unclear { .. } => RetryVerdict {
                maybe_received: true,
                ..retry(0)
            },
            Outcome::Dead => dead(),
        };
        match outcome {
            Outcome::Delivered | Outcome::Unclear { received: true } => self.receive(attempt),
            Outcome::Unclear { received: false } => {
                self.unclear.insert(attempt.notification.group.clone());
            }
            Outcome::Refused | Outcome::Dead => {}
        }
        let events = queue.on_result(attempt, Some(IncidentRef::Unnamed), &verdict, anchor());
        let ends = events.iter().filter(|event| {
            !matches!(
                event,
                DeliveryEventKind::Failed { dead: false, .. }
                    | DeliveryEventKind::PartlyDelivered
                    | DeliveryEventKind::Queued
            )
        });
        self.ended += ends.count();
    }

    /// What the receiver does with a message: one that it has seen already does nothing.
    fn receive(&mut self, attempt: &Attempt) {
        if !self.received.insert(attempt.id.clone()) {
            return;
        }
        let key = attempt.notification.group.clone();
        if attempt.notification.status == AlertStatus::Firing {
            self.open.insert(key);
        } else {
            let known = self.open.remove(&key);
            assert!(
                known || self.unclear.contains(&key),
                "a resolve for what was never opened"
            );
        }
    }

    /// From now on the receiver takes everything.
    fn settle(&mut self, queue: &mut ReceiverQueue) {
        for _ in 0..1_000 {
            self.step(queue, Step::Act(Outcome::Delivered));
        }
        assert_eq!(
            (queue.state().depth, self.ended),
            (0, self.pushed),
            "each notification ends exactly once"
        );
    }
}

proptest! {
    #[test]
    fn in_the_end_the_receiver_believes_what_is_true(steps in steps(false)) {
        let (mut queue, mut world) = (queue(), World::default());
        for step in steps {
            world.step(&mut queue, step);
        }
        world.settle(&mut queue);
        for (n, fires) in &world.fires {
            prop_assert_eq!(world.open.contains(&group(*n)), *fires);
        }
        prop_assert_eq!(queue.groups.len(), world.open.len(), "only what fires is remembered");
    }

    #[test]
    fn nothing_is_lost_where_some_die(steps in steps(true)) {
        let (mut queue, mut world) = (queue(), World::default());
        for step in steps {
            // A dead resolve leaves the receiver's belief behind, which the next resolve may not
            // end.
            world.unclear = (0..3).map(group).collect();
            world.step(&mut queue, step);
        }
        world.settle(&mut queue);
    }
}

#[test]
fn dead_letters_are_bounded_and_the_oldest_give_way() {
    let mut queue = queue();
    for n in 0..MAX_DEAD_LETTERS + 2 {
        queue.push(firing(n), anchor());
        attempt(&mut queue, &dead());
    }
    let kept: Vec<_> = queue
        .dead_letters()
        .map(|letter| letter.notification.group.clone())
        .collect();
    assert_eq!(
        (kept.len(), kept.first()),
        (MAX_DEAD_LETTERS, Some(&group(2)))
    );
    assert_eq!(queue.state().dead, MAX_DEAD_LETTERS as u64 + 2);
    let documents = queue.take_unsaved(false);
    let gone = documents
        .iter()
        .filter(|d| d.table == crate::model::DocumentTable::DeadLetters && d.body.is_none());
    assert_eq!(
        gone.count(),
        2,
        "the disk is told of those that never were there, too"
    );
}

#[test]
fn a_receiver_that_is_gone_is_asked_again_and_any_other_answer_closes_its_circuit() {
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
    let again = queue.start(until, ALL).expect("one attempt decides");
    end(&mut queue, &again, &retry(901));
    assert_eq!(queue.state().circuit_until, None);
}

#[test]
fn what_is_not_on_the_disk_waits_and_wakes_nobody() {
    let mut queue = queue();
    queue.set_revision(Revision::new(7));
    let [earlier, durable] = [6, 7].map(|number| Durable::UpTo(Revision::new(number)));
    queue.push(firing(0), anchor());
    assert_eq!(
        (
            queue.start(now(), earlier),
            queue.next_wakeup(earlier),
            queue.waits_for_disk(now(), earlier)
        ),
        (None, None, true)
    );
    assert!(queue.start(now(), durable).is_some());
    assert!(!queue.waits_for_disk(now(), earlier), "it is under way");
}

#[test]
fn a_clock_that_was_off_puts_nothing_off_for_days() {
    let mut old = queue();
    old.push(firing(0), anchor());
    let far = now() + Span::from_secs(10 * 86_400);
    attempt(
        &mut old,
        &RetryVerdict {
            circuit_until: Some(far),
            hold_until: Some(far),
            ..retry(10 * 86_400)
        },
    );
    let shift = crate::model::ClockShift {
        now: anchor(),
        ..Default::default()
    };
    let mut new = queue();
    for crate::model::Document { table, key, body } in old.take_unsaved(true) {
        let document = crate::model::SavedDocument {
            key,
            body: body.unwrap(),
            shift,
        };
        restore(table, &document, |_| &mut new).unwrap();
    }
    assert_eq!(new.next_wakeup(ALL), Some(now() + Span::from_secs(900)));
}
