//! Random histories of groups and results: whatever happens, the receiver ends up with the true
//! state, and every notification ends exactly once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// One step of a random history.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A group changes: it begins to fire, changes while it fires, or resolves.
    Change { group: usize, resolve: bool },
    /// The attempt in flight ends, or else one is started.
    Act(Outcome),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Delivered,
    Refused,
    /// It failed, but the receiver may have acted on it.
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

/// A receiver that acts on what it gets, and counts of the notifications that were pushed and that
/// ended.
#[derive(Default)]
struct World {
    fires: BTreeMap<usize, bool>,
    in_flight: Option<Attempt>,
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
        match (step, self.in_flight.take()) {
            (Step::Change { group, resolve }, in_flight) => {
                self.in_flight = in_flight;
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
            .push(if resolve { resolving(n) } else { firing(n) }, anchor())
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
        self.in_flight = Some(attempt);
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

    /// The receiver acts on a message, unless it has seen the id before.
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

    /// From now on the receiver accepts everything.
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
    fn the_receiver_ends_up_with_the_true_state(steps in steps(false)) {
        let mut queue = queue();
        let mut world = World::default();
        for step in steps {
            world.step(&mut queue, step);
        }
        world.settle(&mut queue);
        for (n, fires) in &world.fires {
            prop_assert_eq!(world.open.contains(&group(*n)), *fires);
        }
        prop_assert_eq!(queue.groups.len(), world.open.len(), "only groups that fire are remembered");
    }

    #[test]
    fn each_notification_ends_exactly_once_although_some_are_given_up(steps in steps(true)) {
        let mut queue = queue();
        let mut world = World::default();
        for step in steps {
            // After a dead resolve the receiver still has the group open, and the next resolve may
            // not end it.
            world.unclear = (0..3).map(group).collect();
            world.step(&mut queue, step);
        }
        world.settle(&mut queue);
    }
}
