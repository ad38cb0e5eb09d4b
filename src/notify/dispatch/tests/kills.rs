//! Kills: after a restart from the saved documents nothing is lost and no incident stays open.

use super::*;
use crate::model::{Document, SavedDocument};

fn everything() -> SaveScope {
    SaveScope {
        all: true,
        anchor: clock::anchor(),
    }
}

/// The documents on the disk, as a program that starts at this moment reads them.
fn saved(documents: Vec<Document>) -> SavedDocuments {
    let shift = crate::model::ClockShift {
        now: clock::anchor(),
        ..Default::default()
    };
    let mut saved = SavedDocuments::new();
    for Document { table, key, body } in documents {
        saved.entry(table).or_default().push(SavedDocument {
            key,
            body: body.expect("all of it"),
            shift,
        });
    }
    saved
}

/// The program is killed with this much on the disk, and starts again.
fn restarted(rig: &mut Rig, receivers: Vec<ReceiverSettings>) -> Rig {
    let documents = saved(rig.dispatcher.take_unsaved(everything()));
    let mut rig = Rig::new(receivers, quick());
    assert_eq!(rig.dispatcher.restore(&documents, clock::now()), [""; 0]);
    rig
}

#[tokio::test]
async fn a_request_leaves_once_its_notification_and_its_incident_are_on_the_disk() {
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let mut rig = Rig::new(vec![hook(&server.url)], quick());
    let before = Durable::UpTo(rig.dispatcher.revision());
    rig.dispatcher.send(firing("a"));
    let decided = Durable::UpTo(rig.dispatcher.revision());
    rig.dispatcher.act(before);
    assert!(rig.dispatcher.waits_for_disk(before) && rig.dispatcher.in_flight.is_empty());
    rig.dispatcher.act(decided);
    rig.dispatcher.next_event().await;
    rig.dispatcher.act(decided);
    assert!(rig.dispatcher.waits_for_disk(decided), "it is at the gate");
    assert!(server.requests().is_empty());
    rig.dispatcher.act(Durable::UpTo(rig.dispatcher.revision()));
    rig.dispatcher.next_event().await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_attempt_interrupted_by_a_kill_is_repeated_under_its_id() {
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
async fn an_incident_that_may_be_open_after_a_kill_is_resolved_with_its_own_key() {
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
        rig.dispatcher.send(resolving("a"));
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
