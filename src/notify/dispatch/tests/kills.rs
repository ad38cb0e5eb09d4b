//! What a kill leaves: nothing is lost and nothing stays open.

use super::*;
use crate::model::{Document, SavedDocument, SavedDocuments};

/// What is on the disk, as a program that starts at this moment reads it.
fn kept(documents: Vec<Document>) -> SavedDocuments {
    let shift = crate::model::ClockShift {
        now: clock::anchor(),
        ..Default::default()
    };
    let mut kept = SavedDocuments::new();
    for Document { table, key, body } in documents {
        kept.entry(table).or_default().push(SavedDocument {
            key,
            body: body.expect("all of it"),
            shift,
        });
    }
    kept
}

/// The program is killed with this much on the disk, and starts again.
fn restarted(rig: &mut Rig, receivers: Vec<ReceiverSettings>) -> Rig {
    let documents = kept(rig.dispatcher.take_unsaved(true));
    let mut rig = Rig::new(receivers, quick());
    rig.dispatcher.restore(&documents);
    rig
}

#[tokio::test]
async fn nothing_leaves_before_it_is_on_the_disk_nor_before_what_it_opens_is() {
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let mut rig = Rig::new(vec![hook(&server.url)], quick());
    let before = Durable::UpTo(rig.dispatcher.revision());
    rig.dispatcher.send(firing("a"));
    let decided = Durable::UpTo(rig.dispatcher.revision());
    rig.dispatcher.act(before);
    assert!(rig.dispatcher.waits_for_disk(before) && rig.dispatcher.in_flight.is_empty());
    rig.dispatcher.act(decided);
    rig.dispatcher.news().await;
    rig.dispatcher.act(decided);
    assert!(rig.dispatcher.waits_for_disk(decided), "it is at the gate");
    assert!(server.requests().is_empty());
    rig.dispatcher.act(Durable::UpTo(rig.dispatcher.revision()));
    rig.dispatcher.news().await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_attempt_that_a_kill_cut_short_is_repeated_under_its_id() {
    let (stuck, server) = (
        TestServer::replying(vec![Reply::Never]).await,
        TestServer::replying(vec![Reply::status(200)]).await,
    );
    let mut rig = Rig::new(vec![hook(&stuck.url)], quick());
    rig.dispatcher.send(firing("a"));
    let first = rig.during(stuck.wait_for(1)).await;
    let mut rig = restarted(&mut rig, vec![hook(&server.url)]);
    let again = rig.during(server.wait_for(1)).await;
    assert_eq!(
        first[0].headers["webhook-id"],
        again[0].headers["webhook-id"]
    );
}

#[tokio::test]
async fn what_may_have_been_opened_before_a_kill_is_ended_with_the_key_that_opened_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "first").unwrap();
    let (stuck, server) = (
        TestServer::replying(vec![Reply::Never]).await,
        TestServer::replying(vec![Reply::status(202)]).await,
    );
    for receivers in [vec![pagerduty(&server.url, &key)], Vec::new()] {
        let configured = !receivers.is_empty();
        let url = if configured { &stuck.url } else { &server.url };
        let mut rig = Rig::new(vec![pagerduty(url, &key)], quick());
        rig.dispatcher.send(firing("a"));
        if configured {
            rig.during(stuck.wait_for(1)).await;
        } else {
            rig.kinds(1).await;
        }
        let before = server.requests().len();
        let mut rig = restarted(&mut rig, receivers);
        std::fs::write(&key, "second").unwrap();
        rig.dispatcher.send(over("a"));
        rig.during(server.wait_for(before + 1)).await;
        let last = server.requests().pop().unwrap().json();
        assert_eq!(
            (&last["event_action"], &last["routing_key"]),
            (&"resolve".into(), &"first".into()),
            "{configured}"
        );
        std::fs::write(&key, "first").unwrap();
    }
}
