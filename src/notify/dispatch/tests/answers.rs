//! How receivers' answers, and failures of the network, end attempts: delivered, retried or given
//! up.

use super::*;

#[tokio::test]
async fn a_firing_and_its_resolve_are_delivered() {
    let server = TestServer::replying(vec![Reply::body(200, "ok")]).await;
    let mut rig = Rig::new(vec![slack(&server.url)], quick());
    rig.dispatcher.send(firing("a"));
    rig.during(server.wait_for(1)).await;
    rig.dispatcher.send(resolving("a"));
    let kinds = rig.kinds(2).await;
    assert!(kinds.iter().all(
        |kind| matches!(kind, DeliveryEventKind::Delivered { latency } if *latency >= Span::ZERO)
    ));
    let texts: Vec<_> = server
        .requests()
        .iter()
        .map(|r| r.json()["text"].as_str().unwrap()[..10].to_owned())
        .collect();
    assert_eq!(texts, ["[CRITICAL]", "[RESOLVED]"]);
}

/// Sends a notification to a receiver that answers with `replies` and then accepts it, and checks
/// the failures that are reported. Returns the requests.
async fn check_failures(
    replies: Vec<Reply>,
    timing: Timing,
    failures: &[DeliveryFailure],
) -> Vec<Request> {
    let replies = replies.into_iter().chain([Reply::status(200)]).collect();
    let server = TestServer::replying(replies).await;
    let mut rig = Rig::new(vec![hook(&server.url)], timing);
    rig.dispatcher.send(firing("a"));
    assert_eq!(rig.failures_before_delivery(failures.len()).await, failures);
    let requests = server.requests();
    assert_eq!(requests.len(), failures.len() + 1);
    let ids: std::collections::BTreeSet<_> = requests
        .iter()
        .map(|request| &request.headers["webhook-id"])
        .collect();
    assert_eq!(ids.len(), 1, "the id stays the same");
    assert_eq!(
        requests[0].headers["idempotency-key"],
        requests[0].headers["webhook-id"]
    );
    assert_eq!(requests[0].headers["authorization"], "Bearer hunter2");
    requests
}

#[tokio::test]
async fn a_server_error_is_retried_with_the_same_id() {
    check_failures(
        vec![Reply::status(500), Reply::status(502)],
        quick(),
        &[DeliveryFailure::Server; 2],
    )
    .await;
}

#[tokio::test]
async fn a_broken_connection_is_retried() {
    check_failures(vec![Reply::Close], quick(), &[DeliveryFailure::Connect]).await;
}

#[tokio::test]
async fn a_silent_or_dripping_server_ends_at_the_timeout() {
    let timing = Timing {
        attempt: Span::from_millis(400),
        ..quick()
    };
    check_failures(
        vec![Reply::Never, Reply::Drip],
        timing,
        &[DeliveryFailure::Timeout; 2],
    )
    .await;
}

#[tokio::test]
async fn retry_after_delays_the_retry_up_to_its_cap() {
    let requests = check_failures(
        vec![Reply::header(429, "Retry-After: 3600")],
        quick(),
        &[DeliveryFailure::RateLimited],
    )
    .await;
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(120));
}

#[tokio::test]
async fn an_answer_of_gone_stops_every_group() {
    let server = TestServer::replying(vec![Reply::status(410), Reply::status(200)]).await;
    let mut rig = Rig::new(vec![hook(&server.url)], quick());
    rig.dispatcher.send(firing("a"));
    rig.during(server.wait_for(1)).await;
    rig.dispatcher.send(firing("b"));
    rig.kinds(3).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_final_refusal_is_not_retried_and_delays_no_other_group() {
    let cases = [
        (400, DeliveryFailure::Client),
        (302, DeliveryFailure::Redirect),
        (403, DeliveryFailure::Auth),
    ];
    for (status, reason) in cases {
        let server = TestServer::replying(vec![Reply::status(status), Reply::status(200)]).await;
        let mut rig = Rig::new(vec![hook(&server.url)], quick());
        rig.dispatcher.send(firing("a"));
        assert_eq!(
            rig.kinds(1).await,
            [DeliveryEventKind::Failed { reason, dead: true }]
        );
        rig.dispatcher.send(firing("b"));
        assert!(matches!(
            rig.kinds(1).await[0],
            DeliveryEventKind::Delivered { .. }
        ));
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn slack_gets_plain_text_when_it_refuses_blocks() {
    let server = TestServer::replying(vec![
        Reply::body(400, "invalid_payload"),
        Reply::body(200, "ok"),
    ])
    .await;
    let mut rig = Rig::new(vec![slack(&server.url)], quick());
    rig.dispatcher.send(firing("a"));
    assert_eq!(
        rig.failures_before_delivery(1).await,
        [DeliveryFailure::Client]
    );
    let requests = server.requests();
    assert!(
        requests[0].json().get("blocks").is_some() && requests[1].json().get("blocks").is_none()
    );
}

#[tokio::test]
async fn a_stuck_receiver_delays_no_other() {
    let stuck = TestServer::replying(vec![Reply::Never]).await;
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let other = ReceiverSettings {
        name: "other".to_owned(),
        ..hook(&server.url)
    };
    let mut rig = Rig::new(vec![hook(&stuck.url), other], quick());
    rig.dispatcher.send(firing("a"));
    rig.during(stuck.wait_for(1)).await;
    rig.dispatcher.send(Notification {
        receiver: "other".into(),
        ..firing("a")
    });
    rig.during(server.wait_for(1)).await;
}

#[tokio::test]
async fn a_dispatcher_is_idle_when_nothing_is_in_flight_or_due_in_time() {
    let server = TestServer::replying(vec![Reply::status(503), Reply::status(200)]).await;
    let timing = Timing {
        first_backoff: Span::from_secs(900),
        max_backoff: Span::from_secs(900),
        ..quick()
    };
    let mut rig = Rig::new(vec![hook(&server.url)], timing);
    let idle = |rig: &Rig, secs| {
        rig.dispatcher
            .is_idle_until(clock::now() + Span::from_secs(secs))
    };
    assert!(idle(&rig, 3600));
    rig.dispatcher.send(firing("a"));
    assert!(!idle(&rig, 0));
    rig.kinds(1).await;
    assert!(idle(&rig, 0) && !idle(&rig, 3600));
}

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Attempts that fail, succeed and are refused.
async fn attempts_of_every_outcome() {
    let replies = [
        Reply::body(500, "hunter2"),
        Reply::Close,
        Reply::body(200, "hunter2"),
        Reply::body(404, "hunter2"),
    ];
    let server = TestServer::replying(replies.into()).await;
    let mut rig = Rig::new(vec![hook(&server.url)], quick());
    rig.dispatcher.send(firing("a"));
    rig.failures_before_delivery(2).await;
    rig.dispatcher.send(firing("b"));
    rig.kinds(1).await;
    rig.dispatcher.log_undelivered(false);
}

#[tokio::test]
async fn logs_contain_the_outcome_and_no_secret() {
    // A log statement that first runs in another test, while the subscriber is being set, would
    // stay disabled forever: so all of them run before.
    attempts_of_every_outcome().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    attempts_of_every_outcome().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let outcomes = [
        "status 500",
        "the connection broke",
        "notification delivered",
        "refused for good",
        "receiver=\"chat\"",
    ];
    for outcome in outcomes {
        assert!(text.contains(outcome), "{outcome}: {text}");
    }
    assert!(
        !text.contains("hunter2") && !text.contains("127.0.0.1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_fail_the_delivery() {
    let timing = Timing {
        attempt: Span::from_millis(400),
        ..quick()
    };
    let server = TestServer::replying(vec![Reply::DripBody]).await;
    let mut rig = Rig::new(vec![hook(&server.url)], timing);
    rig.dispatcher.send(firing("a"));
    assert!(matches!(
        rig.kinds(1).await[0],
        DeliveryEventKind::Delivered { .. }
    ));
}
