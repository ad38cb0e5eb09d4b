//! PagerDuty's incidents when a group pages again: the older one is resolved once the new trigger
//! is accepted.

use super::*;

/// The actions and keys that `PagerDuty` was sent.
fn events(server: &TestServer) -> Vec<String> {
    let event = |request: &Request| {
        let body = request.json();
        let key = body["dedup_key"]
            .as_str()
            .unwrap()
            .rsplit_once('"')
            .unwrap()
            .1
            .to_owned();
        format!("{}{key}", body["event_action"].as_str().unwrap())
    };
    server.requests().iter().map(event).collect()
}

fn again(generation: u32) -> Notification {
    Notification {
        generation,
        ..group_notification("a", NotifyReason::Escalated)
    }
}

#[tokio::test]
async fn an_accepted_trigger_resolves_the_incident_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "k").unwrap();
    // The second incident's first trigger fails, then the resolve of the first incident does.
    let replies = [202, 500, 202, 500, 202].map(Reply::status);
    let server = TestServer::replying(replies.into()).await;
    let mut rig = Rig::new(vec![pagerduty(&server.url, &key)], quick());
    rig.dispatcher.send(firing("a"));
    rig.failures_before_delivery(0).await;
    rig.dispatcher.send(again(1));
    rig.failures_before_delivery(2).await;
    rig.dispatcher.send(Notification {
        generation: 1,
        ..resolving("a")
    });
    rig.failures_before_delivery(0).await;
    let expected = [
        "trigger",
        "trigger~1",
        "trigger~1",
        "resolve",
        "trigger~1",
        "resolve",
        "resolve~1",
    ];
    assert_eq!(events(&server), expected);
}

#[tokio::test]
async fn a_resolve_during_the_retries_of_a_trigger_leaves_no_incident_open() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "k").unwrap();
    let replies = [202, 202, 500, 202].map(Reply::status);
    let server = TestServer::replying(replies.into()).await;
    let slow = Timing {
        first_backoff: Span::from_secs(3600),
        max_backoff: Span::from_secs(3600),
        ..quick()
    };
    let mut rig = Rig::new(vec![pagerduty(&server.url, &key)], slow);
    rig.dispatcher.send(firing("a"));
    rig.failures_before_delivery(0).await;
    rig.dispatcher.send(again(1));
    rig.kinds(1).await;
    rig.dispatcher.send(Notification {
        generation: 1,
        ..resolving("a")
    });
    // New settings end the wait.
    rig.dispatcher.reload(&NotifySettings {
        identity: "x".to_owned(),
        ..settings(vec![pagerduty(&server.url, &key)])
    });
    rig.during(server.wait_for(5)).await;
    let ended: std::collections::BTreeSet<_> = events(&server)[3..].iter().cloned().collect();
    assert_eq!(ended, ["resolve".to_owned(), "resolve~1".to_owned()].into());
}
