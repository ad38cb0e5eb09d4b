//! What a queue keeps on the disk: dead letters, notifications that wait for the disk, and a
//! restart.

use super::*;
use crate::model::{ClockShift, Document, DocumentTable, SavedDocument};

#[test]
fn dead_letters_are_bounded_and_the_oldest_are_dropped() {
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
        .filter(|d| d.table == DocumentTable::DeadLetters && d.body.is_none());
    assert_eq!(
        gone.count(),
        2,
        "those that were never written are deleted, too"
    );
}

#[test]
fn a_notification_that_is_not_on_the_disk_waits_without_a_wakeup() {
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
    assert!(!queue.waits_for_disk(now(), earlier), "it is in flight");
}

#[test]
fn a_wrong_clock_before_a_restart_delays_nothing_for_days() {
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
    let shift = ClockShift {
        now: anchor(),
        ..ClockShift::default()
    };
    let mut new = queue();
    for Document { table, key, body } in old.take_unsaved(true) {
        let document = SavedDocument {
            key,
            body: body.unwrap(),
            shift,
        };
        restore(table, &document, |_| &mut new).unwrap();
    }
    assert_eq!(new.next_wakeup(ALL), Some(now() + Span::from_secs(900)));
}
