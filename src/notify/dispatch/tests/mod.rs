//! Delivery against a real HTTP server that misbehaves.

mod bot;
mod incidents;
mod kills;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;
use crate::alert::{GroupKey, NotifyReason};
use crate::config::{
    GroupReceiver, HttpSettings, PagerDutySettings, ReceiverKind, ReceiverSettings, RepageOn,
    SecretSource, Severity, SlackWebhookSettings, TemplateSettings, WebhookSettings,
};
use crate::delivery::{DeliveryEventKind, DeliveryFailure, SuppressReason};
use crate::http_client::testing::{PATIENCE, Reply, Request, TestServer};
use crate::model::{Secret, Span};
use crate::notify::testing::{context, labels, notification, pair_alert, resolved};

/// The product's rules in milliseconds instead of seconds.
fn quick() -> Timing {
    Timing {
        attempt: Span::from_secs(10),
        connect: Span::from_secs(5),
        first_backoff: Span::from_millis(2),
        max_backoff: Span::from_millis(10),
        max_retry_after: Span::from_millis(120),
        gone: Span::from_millis(120),
        slack_pace: Span::ZERO,
        ..Timing::default()
    }
}

/// A dispatcher whose disk takes everything at once, and the events that it had.
struct Rig {
    dispatcher: Dispatcher,
    events: VecDeque<DeliveryEvent>,
}

impl Rig {
    fn new(receivers: Vec<ReceiverSettings>, timing: Timing) -> Self {
        let dispatcher = Dispatcher::new(&settings(receivers), context(), timing).unwrap();
        Self {
            dispatcher,
            events: VecDeque::new(),
        }
    }

    /// Lets one thing happen.
    async fn step(&mut self) {
        self.dispatcher.act(Durable::Everything);
        self.events.extend(self.dispatcher.take_events());
        let wait = self
            .dispatcher
            .next_wakeup(Durable::Everything)
            .map_or(Duration::from_millis(20), |at| {
                (at - clock::now()).to_duration()
            });
        // What is started now must not wait for what is due.
        tokio::select! {
            () = self.dispatcher.news() => {}
            () = tokio::time::sleep(wait.min(Duration::from_millis(20))) => {}
        }
        self.events.extend(self.dispatcher.take_events());
    }

    /// Goes on until `done` is.
    async fn during<T>(&mut self, done: impl Future<Output = T>) -> T {
        let mut done = std::pin::pin!(done);
        loop {
            tokio::select! {
                biased;
                result = &mut done => return result,
                () = self.step() => {}
            }
        }
    }

    /// The next `count` events that end an attempt: neither about the queue alone, nor about one
    /// request of a notification that needs several.
    async fn kinds(&mut self, count: usize) -> Vec<DeliveryEventKind> {
        let mut kinds = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while kinds.len() < count {
            assert!(Instant::now() < deadline, "an event");
            while kinds.len() < count
                && let Some(event) = self.events.pop_front()
            {
                match event.kind {
                    DeliveryEventKind::Queued | DeliveryEventKind::PartlyDelivered => {}
                    kind => kinds.push(kind),
                }
            }
            if kinds.len() < count {
                self.step().await;
            }
        }
        kinds
    }

    /// The reasons of the next `failures` events, which the delivery follows.
    async fn failures_before_delivery(&mut self, failures: usize) -> Vec<DeliveryFailure> {
        let kinds = self.kinds(failures + 1).await;
        assert!(
            matches!(kinds[failures], DeliveryEventKind::Delivered { .. }),
            "{kinds:?}"
        );
        let reasons = kinds[..failures].iter().map(|kind| match kind {
            DeliveryEventKind::Failed {
                reason,
                dead: false,
            } => *reason,
            other => panic!("{other:?}"),
        });
        reasons.collect()
    }
}

fn settings(receivers: Vec<ReceiverSettings>) -> NotifySettings {
    let zero = Span::ZERO;
    let (group_wait, group_interval, repeat_interval) = (zero, zero, zero);
    let defaults = crate::config::testing::settings_of(&[]).notify;
    NotifySettings {
        group_wait,
        group_interval,
        repeat_interval,
        receivers,
        ..defaults
    }
}

fn receiver(name: &str, kind: ReceiverKind) -> ReceiverSettings {
    let (name, min_severity, matchers) = (name.to_owned(), Severity::Warning, BTreeMap::new());
    let (fallback, repage_on, http) = (None, RepageOn::default(), HttpSettings::default());
    let template = TemplateSettings::default();
    ReceiverSettings {
        name,
        min_severity,
        matchers,
        fallback,
        group_by: None,
        repage_on,
        kind,
        http,
        template,
    }
}

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text))
}

fn hook(url: &str) -> ReceiverSettings {
    let headers = BTreeMap::from([("authorization".to_owned(), inline("Bearer hunter2"))]);
    receiver(
        "chat",
        ReceiverKind::from(WebhookSettings {
            url: inline(url),
            headers,
            secret: None,
        }),
    )
}

fn slack(url: &str) -> ReceiverSettings {
    let kind = ReceiverKind::from(SlackWebhookSettings { url: inline(url) });
    receiver("chat", kind)
}

fn pagerduty(url: &str, key: &Path) -> ReceiverSettings {
    receiver(
        "chat",
        ReceiverKind::from(PagerDutySettings {
            routing_key: SecretSource::File(key.to_owned()),
            url: url.to_owned(),
        }),
    )
}

fn told(group: &str, reason: NotifyReason) -> Notification {
    let alert = pair_alert("orders", 0);
    let alert = if reason == NotifyReason::Resolved {
        resolved(alert)
    } else {
        alert
    };
    let group = GroupKey(labels([("alertname", group)]));
    Notification {
        group,
        decided_at: clock::now(),
        ..notification(reason, vec![alert])
    }
}

fn firing(group: &str) -> Notification {
    told(group, NotifyReason::First)
}

fn over(group: &str) -> Notification {
    told(group, NotifyReason::Resolved)
}

#[tokio::test]
async fn a_firing_and_its_resolve_are_delivered() {
    let server = TestServer::replying(vec![Reply::body(200, "ok")]).await;
    let mut rig = Rig::new(vec![slack(&server.url)], quick());
    rig.dispatcher.send(firing("a"));
    rig.during(server.wait_for(1)).await;
    rig.dispatcher.send(over("a"));
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

/// What the receiver does before it takes the notification, and the failures that are reported for
/// it.
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
async fn silence_and_dripping_end_at_the_timeout() {
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
async fn retry_after_is_waited_for_up_to_its_cap() {
    let requests = check_failures(
        vec![Reply::header(429, "Retry-After: 3600")],
        quick(),
        &[DeliveryFailure::RateLimited],
    )
    .await;
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(120));
}

#[tokio::test]
async fn gone_opens_the_circuit_for_every_group() {
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
async fn a_final_refusal_is_final_and_stops_nothing_else() {
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
    rig.dispatcher.send(over("a"));
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
async fn a_stuck_receiver_holds_up_nobody() {
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
async fn a_reload_hands_the_queue_to_the_changed_receiver() {
    let gone = TestServer::replying(vec![Reply::status(200), Reply::status(410)]).await;
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let mut rig = Rig::new(
        vec![hook(&gone.url)],
        Timing {
            gone: Span::from_secs(900),
            ..quick()
        },
    );
    rig.dispatcher.send(firing("told"));
    rig.kinds(1).await;
    rig.dispatcher.send(firing("waiting"));
    rig.kinds(1).await;
    rig.dispatcher.reload(&settings(vec![hook(&server.url)]));
    rig.during(server.wait_for(1)).await;
    rig.dispatcher.send(over("told"));
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
    assert_eq!(groups, ["waiting", "told"]);
}

#[tokio::test]
async fn a_removed_receiver_hears_of_no_trouble_and_of_the_end_of_its_incidents() {
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
    rig.dispatcher.send(told("a", NotifyReason::Repeat));
    rig.dispatcher.send(over("a"));
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
        "nothing is left to end"
    );
}

#[tokio::test]
async fn it_is_idle_when_nothing_is_under_way_and_nothing_due_in_time() {
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
async fn troubles() {
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
    rig.dispatcher.log_left(false);
}

#[tokio::test]
async fn logs_tell_the_outcome_and_no_secret() {
    // A place that logs for the first time in another test, at the very moment in which the
    // subscriber is made, would be silent for good: so it has logged before.
    troubles().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    troubles().await;
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
async fn a_body_that_never_ends_does_not_undo_a_delivery() {
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

#[tokio::test]
async fn a_file_of_authorities_that_is_none_sends_nothing() {
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
fn what_cannot_be_read_is_said_before_it_is_needed() {
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
async fn a_secret_that_is_none_sends_nothing_and_is_tried_again() {
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
async fn a_proxy_of_its_own_is_used() {
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
        "the proxy is told where it goes"
    );
}
