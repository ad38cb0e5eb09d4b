//! Receivers whose settings change, or that are removed, while notifications are in their queues.

use super::*;

#[tokio::test]
async fn a_receiver_with_new_settings_keeps_its_queue() {
    let gone = TestServer::replying(vec![Reply::status(200), Reply::status(410)]).await;
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let mut rig = Rig::new(
        vec![hook(&gone.url)],
        Timing {
            gone: Span::from_secs(900),
            ..quick()
        },
    );
    rig.dispatcher.send(firing("open"));
    rig.kinds(1).await;
    rig.dispatcher.send(firing("waiting"));
    rig.kinds(1).await;
    rig.dispatcher.reload(&settings(vec![hook(&server.url)]));
    rig.during(server.wait_for(1)).await;
    rig.dispatcher.send(resolving("open"));
    let groups: Vec<_> = rig
        .during(server.wait_for(2))
        .await
        .iter()
        .map(|r| {
            r.json()["groupLabels"]["alertname"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(groups, ["waiting", "open"]);
}

#[tokio::test]
async fn a_removed_receiver_gets_only_the_resolves_of_its_incidents() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "first").unwrap();
    let server = TestServer::replying(vec![Reply::status(202)]).await;
    let mut rig = Rig::new(vec![pagerduty(&server.url, &key)], quick());
    rig.dispatcher.send(firing("a"));
    rig.kinds(1).await;
    std::fs::remove_file(&key).unwrap();
    rig.dispatcher.reload(&settings(Vec::new()));
    rig.dispatcher.send(firing("b"));
    rig.dispatcher
        .send(group_notification("a", NotifyReason::Repeat));
    rig.dispatcher.send(resolving("a"));
    let removed = DeliveryEventKind::Suppressed {
        reason: SuppressReason::Removed,
    };
    let kinds = rig.kinds(3).await;
    assert_eq!((kinds[0], kinds[1]), (removed, removed));
    let events: Vec<_> = server
        .requests()
        .iter()
        .map(|r| r.json()["event_action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(events, ["trigger", "resolve"]);
    assert_eq!(server.requests()[1].json()["routing_key"], "first");
    assert_eq!(
        rig.dispatcher.outbox.retired().count(),
        0,
        "no incident is left to resolve"
    );
}
