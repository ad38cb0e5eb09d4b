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
    ToSave { pairs: vec![(pair_key(), pair_record())], ..ToSave::default() }
}

/// The present, as the thread reads it: what is saved must not be of the future.
fn now() -> ClockAnchor {
    clock::anchor()
}

/// Goes on until a batch was written or refused.
async fn saved(store: &mut Store) -> StoreStatus {
    let mut status = store.status();
    let before = *status.borrow_and_update();
    store.next = Timestamp::default();
    store.tick(now(), one_pair);
    assert!(store.under_way.is_some());
    tokio::time::timeout(LIMIT, status.wait_for(|status| *status != before)).await.unwrap().unwrap();
    let event = tokio::time::timeout(LIMIT, store.events.recv()).await.unwrap().unwrap();
    store.hear(&event);
    *status.borrow()
}

#[tokio::test]
async fn what_is_saved_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep/data");
    let mut first = start(&data);
    assert!(first.restored(LIMIT).await.pairs.is_empty());
    let status = saved(&mut first).await;
    assert!(status.up && status.written > 0 && status.last_commit > Some(WallTime::from_nanos(0)));
    // As good as a kill: nothing is written at the end.
    first.batches = None;
    while first.events.recv().await.is_some() {}
    let mut second = start(&data);
    let mut restored = second.restored(LIMIT).await;
    let record = restored.pairs.remove(&pair_key()).unwrap();
    assert_eq!(record.applied_total, pair_record().applied_total);
    second.finish(now(), ToSave::default(), LIMIT).await;
    assert!(start(&data).restored(LIMIT).await.pairs.is_empty(), "the end was written");
}

#[tokio::test]
async fn a_batch_is_handed_over_every_ten_seconds_and_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    store.restored(LIMIT).await;
    let begin = now();
    let later = |span: Span| ClockAnchor { mono: begin.mono + span, ..begin };
    store.tick(begin, one_pair);
    assert!(store.under_way.is_some());
    store.under_way = Some(store.under_way.take().unwrap());
    // Even when it is time: the one before is still under way, because nobody has heard that it is done.
    while store.events.is_empty() {
        tokio::task::yield_now().await;
    }
    let receipt = store.under_way.take();
    store.tick(later(SAVE_EVERY - Span::from_millis(1)), || panic!("it is not time yet"));
    store.under_way = receipt;
    store.tick(later(SAVE_EVERY), one_pair);
    assert!(store.under_way.is_some());
    store.tick(later(SAVE_EVERY + SAVE_EVERY), || panic!("one is under way"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "").unwrap();
    let mut store = start(&taken.join("data"));
    assert!(store.restored(LIMIT).await.pairs.is_empty());
    assert_eq!((store.status().borrow().up, store.status().borrow().errors(StoreOperation::Open)), (false, 1));
    store.tick(now(), || panic!("there is nobody to hand it to"));
    store.finish(now(), ToSave::default(), LIMIT).await;
}

#[tokio::test]
async fn a_damaged_file_is_counted_and_what_follows_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.redb"), vec![7; 100_000]).unwrap();
    let mut store = start(folder.path());
    store.restored(LIMIT).await;
    let status = saved(&mut store).await;
    assert_eq!((status.up, status.errors(StoreOperation::Open)), (true, 1));
    let names =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("state.redb.corrupt-")).count(), 1);
}

#[tokio::test]
async fn the_thread_that_is_gone_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    store.restored(LIMIT).await;
    let (nobody, _) = std::sync::mpsc::sync_channel(1);
    store.batches = Some(nobody);
    store.tick(now(), one_pair);
    assert!(store.ledger.is_none() && store.under_way.is_none());
    let far = ClockAnchor { mono: now().mono + (at(1_000) - at(0)), ..clock(0).anchor };
    store.tick(far, || panic!("there is nobody to hand it to"));
}

/// The events of a thread that never says anything; a batch waits for ever.
#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_up_neither_the_start_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = start(folder.path());
    let (told, events) = mpsc::channel(EVENTS);
    let (batches, asked) = std::sync::mpsc::sync_channel(1);
    (store.events, store.batches) = (events, Some(batches));
    assert!(store.restored(LIMIT).await.pairs.is_empty());
    store.tick(now(), || panic!("the file is not open"));
    told.send(Event::Opened(Box::default(), 41)).await.unwrap();
    store.tick(now(), one_pair);
    let batch = asked.try_recv().unwrap();
    assert_eq!((batch.commit, batch.pairs.len()), (42, 1), "it came late: what is known by now is written");
    store.finish(now(), one_pair(), LIMIT).await;
    assert!(asked.try_recv().is_err(), "one was under way all the time");
}
