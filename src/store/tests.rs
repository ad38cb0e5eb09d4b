//! The keeper with its thread, on a real folder.

use std::path::Path;

use super::testing::{at, clock, pair_key, pair_record};
use super::*;
use crate::model::{BootId, WallTime};

const LIMIT: Duration = Duration::from_secs(20);

fn start(folder: &Path) -> Store {
    Store::start(folder.to_owned(), Some(BootId::from_bits(1)))
}

fn one_pair<'a>() -> ToSave<'a> {
    ToSave {
        pairs: vec![(pair_key(), pair_record())],
        ..ToSave::default()
    }
}

/// The present, as the thread reads it: what is saved must not be of the future.
fn now() -> ClockAnchor {
    clock::anchor()
}

/// Hands over what is due, documents that changed included.
fn tick(store: &mut Store, anchor: ClockAnchor) {
    if let Some(due) = store.due(anchor.mono, Urgency::Nothing) {
        store.save(anchor, due.lag.then(one_pair), DocumentChanges::default());
    }
}

/// Goes on until a batch was written or refused.
async fn saved(store: &mut Store) -> StoreStatus {
    let mut status = store.status();
    let before = *status.borrow_and_update();
    store.next_lag = Timestamp::default();
    tick(store, now());
    assert!(store.file.under_way().is_some());
    tokio::time::timeout(LIMIT, status.wait_for(|status| *status != before))
        .await
        .unwrap()
        .unwrap();
    let event = tokio::time::timeout(LIMIT, store.events.recv())
        .await
        .unwrap()
        .unwrap();
    store.handle_event(event);
    *status.borrow()
}

#[tokio::test]
async fn saved_state_is_restored_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep/data");
    let mut first = start(&data);
    assert!(first.load(LIMIT).await.0.pairs.is_empty());
    let status = saved(&mut first).await;
    assert!(status.up && status.written > 0 && status.last_commit > Some(WallTime::from_nanos(0)));
    // As good as a kill: nothing is written at the end.
    first.batches = None;
    while first.events.recv().await.is_some() {}
    let mut second = start(&data);
    let mut restored = second.load(LIMIT).await.0;
    let record = restored.pairs.remove(&pair_key()).unwrap();
    assert_eq!(record.applied_total, pair_record().applied_total);
    second
        .finish(now(), ToSave::default(), DocumentChanges::default(), LIMIT)
        .await;
    assert!(
        start(&data).load(LIMIT).await.0.pairs.is_empty(),
        "the end was written"
    );
}

#[tokio::test]
async fn a_batch_is_handed_over_every_ten_seconds_and_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    store.load(LIMIT).await;
    let (sent_events, events) = mpsc::channel(EVENTS);
    let (batches, received_batches) = std::sync::mpsc::sync_channel(1);
    store.events = events;
    store.batches = Some(batches);
    let begin = now();
    let later = |span: Span| ClockAnchor {
        mono: begin.mono + span,
        ..begin
    };
    tick(&mut store, begin);
    assert!(received_batches.try_recv().unwrap().lag.is_some());
    assert_eq!(
        store.due(later(SAVE_EVERY + SAVE_EVERY).mono, Urgency::Now),
        None,
        "one is under way"
    );
    sent_events.send(WorkerEvent::Saved).await.unwrap();
    let too_early = later(SAVE_EVERY - Span::from_millis(1)).mono;
    assert_eq!(store.due(too_early, Urgency::Nothing), None);
    tick(&mut store, later(SAVE_EVERY));
    assert!(received_batches.try_recv().unwrap().lag.is_some());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_does_not_stop_the_core() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "").unwrap();
    let mut store = start(&taken.join("data"));
    assert!(store.load(LIMIT).await.0.pairs.is_empty());
    assert_eq!(
        (
            store.status().borrow().up,
            store.status().borrow().errors(StoreOperation::Open)
        ),
        (false, 1)
    );
    assert_eq!(
        store.due(now().mono, Urgency::Now),
        None,
        "there is no thread to hand it to"
    );
    store
        .finish(now(), ToSave::default(), DocumentChanges::default(), LIMIT)
        .await;
}

#[tokio::test]
async fn a_damaged_file_is_counted_and_later_state_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.redb"), vec![7; 100_000]).unwrap();
    let mut store = start(folder.path());
    store.load(LIMIT).await;
    let status = saved(&mut store).await;
    assert_eq!((status.up, status.errors(StoreOperation::Open)), (true, 1));
    let names = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        names
            .filter(|name| name.starts_with("state.redb.corrupt-"))
            .count(),
        1
    );
}

#[tokio::test]
async fn the_end_of_the_thread_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    store.load(LIMIT).await;
    let (unreceived, _) = std::sync::mpsc::sync_channel(1);
    store.batches = Some(unreceived);
    tick(&mut store, now());
    assert!(!store.is_open());
    let far = ClockAnchor {
        mono: now().mono + (at(1_000) - at(0)),
        ..clock(0).anchor
    };
    assert_eq!(
        store.due(far.mono, Urgency::Now),
        None,
        "there is no thread to hand it to"
    );
}

/// The events of a thread that never reports anything; a batch waits without end.
#[tokio::test(start_paused = true)]
async fn a_hanging_disk_delays_neither_start_nor_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    let (reports, events) = mpsc::channel(EVENTS);
    let (batches, asked) = std::sync::mpsc::sync_channel(1);
    (store.events, store.batches) = (events, Some(batches));
    assert!(store.load(LIMIT).await.0.pairs.is_empty());
    assert_eq!(
        store.due(now().mono, Urgency::Now),
        None,
        "the file is not open"
    );
    reports
        .send(WorkerEvent::Opened(Box::default(), 41))
        .await
        .unwrap();
    tick(&mut store, now());
    let batch = asked.try_recv().unwrap().lag.unwrap();
    assert_eq!(
        (batch.commit, batch.pairs.len()),
        (42, 1),
        "it came late: what is known by now is written"
    );
    store
        .finish(now(), one_pair(), DocumentChanges::default(), LIMIT)
        .await;
    assert!(asked.try_recv().is_err(), "one was under way all the time");
}

fn up_to(revision: u64) -> Durable {
    Durable::UpTo(Revision::new(revision))
}

fn one_document(revision: u64) -> DocumentChanges {
    let document = Document::put(
        crate::model::DocumentTable::Alerts,
        "a",
        revision.to_string(),
    );
    DocumentChanges {
        documents: vec![document],
        revision: Revision::new(revision),
    }
}

/// Goes on until a save of these documents was written or refused.
async fn documents_saved(store: &mut Store, changes: DocumentChanges) {
    let due = tokio::time::timeout(LIMIT, async {
        loop {
            match store.due(now().mono, Urgency::Now) {
                Some(due) => return due,
                None => store.next_event().await,
            }
        }
    });
    due.await.expect("it is taken at once");
    store.save(now(), None, changes);
    while store.file.under_way().is_some() {
        tokio::time::timeout(LIMIT, store.next_event())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn urgent_documents_are_written_at_once_and_then_durable() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    store.load(LIMIT).await;
    assert_eq!(
        (
            store.durable(now().mono),
            store.due(now().mono, Urgency::Now).unwrap().all
        ),
        (up_to(0), true)
    );
    documents_saved(&mut store, one_document(7)).await;
    assert_eq!(
        (store.durable(now().mono), store.wants_all()),
        (up_to(7), false)
    );
    let soon = store.next_wakeup(Urgency::Soon).unwrap();
    assert!(soon > now().mono && store.due(soon, Urgency::Soon).is_some());
    assert_eq!(store.next_wakeup(Urgency::Nothing), None);
}

#[tokio::test]
async fn without_a_file_everything_is_durable_and_a_late_one_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    let (reports, events) = mpsc::channel(EVENTS);
    let (batches, asked) = std::sync::mpsc::sync_channel(1);
    (store.events, store.batches) = (events, Some(batches));
    assert!(store.load(Duration::ZERO).await.1.is_empty());
    assert_eq!(
        (store.durable(now().mono), store.take_late_documents()),
        (Durable::Everything, None)
    );
    let documents = SavedDocuments::from([(crate::model::DocumentTable::Alerts, Vec::new())]);
    let loaded = || {
        Box::new(Loaded {
            documents: documents.clone(),
            ..Loaded::default()
        })
    };
    reports
        .send(WorkerEvent::Opened(loaded(), 41))
        .await
        .unwrap();
    store.next_event().await;
    assert_eq!(
        (store.take_late_documents(), store.durable(now().mono)),
        (Some(documents.clone()), up_to(0))
    );
    assert!(
        store.due(now().mono, Urgency::Nothing).unwrap().all,
        "it is of an earlier time"
    );
    store.save(now(), None, one_document(9));
    assert!(asked.try_recv().unwrap().replaces_all);
    reports.send(WorkerEvent::Saved).await.unwrap();
    store.next_event().await;
    assert_eq!(
        (store.durable(now().mono), store.wants_all()),
        (up_to(9), false)
    );
    store.save(now(), None, one_document(10));
    reports.send(WorkerEvent::Failed).await.unwrap();
    store.next_event().await;
    assert_eq!(
        (store.durable(now().mono), store.is_open()),
        (Durable::Everything, false),
        "from memory"
    );
    reports
        .send(WorkerEvent::Opened(loaded(), 41))
        .await
        .unwrap();
    store.next_event().await;
    assert_eq!(
        (store.take_late_documents(), store.wants_all()),
        (None, true),
        "the state in memory is newer"
    );
}

#[tokio::test]
async fn a_stuck_disk_delays_no_notification() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    store.load(LIMIT).await;
    let (batches, _stuck) = std::sync::mpsc::sync_channel(1);
    store.batches = Some(batches);
    let begin = now();
    store.save(begin, None, one_document(3));
    let after = begin.mono + STUCK_AFTER;
    assert_eq!(store.durable(begin.mono), up_to(0));
    assert_eq!(store.next_wakeup(Urgency::Now), Some(after));
    assert_eq!(store.due(after, Urgency::Now), None);
    assert_eq!(store.durable(after), Durable::Everything);
    assert!(store.file.under_way().is_some_and(|save| save.is_reported));
}
