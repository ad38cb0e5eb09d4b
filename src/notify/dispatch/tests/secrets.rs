//! Secrets, certificate authorities and proxies of receivers, which are read at each attempt.

use super::*;

#[tokio::test]
async fn a_resolve_uses_the_routing_key_that_opened_the_incident() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "first\n").unwrap();
    let server = TestServer::replying(vec![Reply::status(202)]).await;
    let mut rig = Rig::new(vec![pagerduty(&server.url, &key)], quick());
    rig.dispatcher.send(firing("a"));
    rig.kinds(1).await;
    std::fs::write(&key, "second\n").unwrap();
    rig.dispatcher.send(firing("b"));
    rig.kinds(1).await;
    rig.dispatcher.send(resolving("a"));
    rig.kinds(1).await;
    let sent = server
        .requests()
        .iter()
        .map(Request::json)
        .collect::<Vec<_>>();
    let keys: Vec<_> = sent
        .iter()
        .map(|event| event["routing_key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["first", "second", "first"]);
    assert_eq!(sent[0]["dedup_key"], sent[2]["dedup_key"]);
}

#[tokio::test]
async fn a_secret_that_appears_later_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let server = TestServer::replying(vec![Reply::status(202)]).await;
    let mut rig = Rig::new(vec![pagerduty(&server.url, &key)], quick());
    rig.dispatcher.send(firing("a"));
    let failed = DeliveryEventKind::Failed {
        reason: DeliveryFailure::Secret,
        dead: false,
    };
    assert_eq!(rig.kinds(1).await, [failed]);
    std::fs::write(&key, "first").unwrap();
    assert_eq!(
        rig.during(server.wait_for(1)).await[0].json()["routing_key"],
        "first"
    );
}

#[tokio::test]
async fn an_invalid_ca_file_sends_nothing() {
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    for content in ["", "no PEM", &"x".repeat(1024 * 1024 + 1)] {
        std::fs::write(&file, content).unwrap();
        let mut trusting = hook(&server.url);
        trusting.http.ca_file = Some(file.clone());
        let mut rig = Rig::new(vec![trusting], quick());
        rig.dispatcher.send(firing("a"));
        assert_eq!(
            rig.kinds(1).await,
            [DeliveryEventKind::Failed {
                reason: DeliveryFailure::Secret,
                dead: false
            }]
        );
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn unreadable_files_are_reported_by_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let mut trusting = hook("http://127.0.0.1:1/");
    trusting.http.ca_file = Some(absent.clone());
    let receivers = vec![
        hook("http://127.0.0.1:1/"),
        pagerduty("http://127.0.0.1:1/", &absent),
        trusting,
    ];
    let problems = crate::notify::check(&settings(receivers));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems
            .iter()
            .all(|(_, problem)| problem.contains("absent")),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_signed_webhook_keeps_its_id_and_signs_each_attempt() {
    let server = TestServer::replying(vec![Reply::status(500), Reply::status(200)]).await;
    let mut signed = hook(&server.url);
    let ReceiverKind::Group(GroupReceiver::Webhook(webhook)) = &mut signed.kind else {
        unreachable!()
    };
    webhook.secret = Some(inline("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    let mut rig = Rig::new(vec![signed], quick());
    rig.dispatcher.send(firing("a"));
    rig.failures_before_delivery(1).await;
    let requests = server.requests();
    let key = crate::config::signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    assert_eq!(
        requests[0].headers["webhook-id"],
        requests[1].headers["webhook-id"]
    );
    for request in &requests {
        let seconds: i64 = request.headers["webhook-timestamp"].parse().unwrap();
        let at = crate::model::WallTime::from_nanos(seconds * 1_000_000_000);
        let expected = crate::notify::receivers::signature::headers(
            &key,
            &request.headers["webhook-id"],
            at,
            request.body.as_bytes(),
        );
        assert_eq!(request.headers["webhook-signature"], expected[1].1);
    }
}

#[tokio::test]
async fn an_invalid_signing_secret_sends_nothing_and_is_tried_again() {
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let mut signed = hook(&server.url);
    let ReceiverKind::Group(GroupReceiver::Webhook(webhook)) = &mut signed.kind else {
        unreachable!()
    };
    webhook.secret = Some(inline("hunter2"));
    let mut rig = Rig::new(vec![signed], quick());
    rig.dispatcher.send(firing("a"));
    assert_eq!(
        rig.kinds(1).await,
        [DeliveryEventKind::Failed {
            reason: DeliveryFailure::Secret,
            dead: false
        }]
    );
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_receivers_own_proxy_is_used() {
    let (proxy, server) = (
        TestServer::replying(vec![Reply::status(200)]).await,
        TestServer::replying(vec![Reply::status(200)]).await,
    );
    let mut proxied = hook(&server.url);
    proxied.http.proxy = Some(inline(&proxy.url));
    let mut rig = Rig::new(vec![proxied], quick());
    rig.dispatcher.send(firing("a"));
    rig.failures_before_delivery(0).await;
    assert_eq!((proxy.requests().len(), server.requests().len()), (1, 0));
    assert!(
        proxy.requests()[0].line.contains(&server.url),
        "the proxy gets the full URL"
    );
}
