use std::collections::BTreeMap;

use super::*;
use crate::config::{
    HttpSettings, PagerDutySettings, RepageOn, SecretSource, SlackWebhookSettings,
    TemplateSettings, WebhookMethod, WebhookSettings,
};
use crate::http_client::testing::{Reply, Request, TestServer};
use crate::model::Secret;
use crate::template::Template;

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text))
}

fn receiver(kind: ReceiverKind) -> ReceiverSettings {
    ReceiverSettings {
        name: "tested".to_owned(),
        min_severity: Severity::Warning,
        matchers: BTreeMap::new(),
        fallback: None,
        group_by: None,
        repage_on: RepageOn::default(),
        kind,
        http: HttpSettings::default(),
        template: TemplateSettings::default(),
    }
}

/// The steps of a test as `firing true: status 200: ok`.
async fn test(kind: ReceiverKind) -> Vec<String> {
    let settings = crate::config::testing::settings_of(&[]).notify;
    let context = MessageContext::default();
    let steps = test_receiver(&settings, &receiver(kind), &context, &Timing::default())
        .await
        .unwrap();
    steps
        .into_iter()
        .map(|step| format!("{} {}: {}", step.what, step.accepted, step.answer))
        .collect()
}

#[tokio::test]
async fn a_test_marks_its_firing_and_its_resolve_and_shows_each_answer() {
    let server = TestServer::replying(vec![Reply::body(200, "ok")]).await;
    let steps = test(ReceiverKind::from(SlackWebhookSettings::to(inline(
        &server.url,
    ))))
    .await;
    assert_eq!(
        steps,
        [
            "firing true: status 200: ok",
            "resolved true: status 200: ok"
        ]
    );
    for (request, level) in server.requests().iter().zip(["CRITICAL", "RESOLVED"]) {
        let body = request.json();
        assert!(
            body["text"]
                .as_str()
                .unwrap()
                .starts_with(&format!("[TEST] [{level}] ")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_test_resolves_its_incident_with_the_same_key() {
    let server = TestServer::replying(vec![Reply::status(202)]).await;
    let kind = ReceiverKind::from(PagerDutySettings {
        routing_key: inline("key"),
        url: server.url.clone(),
    });
    assert_eq!(
        test(kind).await,
        ["firing true: status 202", "resolved true: status 202"]
    );
    let bodies: Vec<_> = server.requests().iter().map(Request::json).collect();
    assert_eq!(
        (&bodies[0]["event_action"], &bodies[1]["event_action"]),
        (&"trigger".into(), &"resolve".into())
    );
    assert_eq!(bodies[0]["dedup_key"], bodies[1]["dedup_key"]);
    assert!(
        bodies[0]["payload"]["summary"]
            .as_str()
            .unwrap()
            .contains("[TEST]")
    );
}

#[tokio::test]
async fn a_test_resolves_a_firing_that_may_have_arrived_and_no_refused_one() {
    let refusing = TestServer::replying(vec![Reply::body(403, "invalid_token")]).await;
    let steps = test(ReceiverKind::from(SlackWebhookSettings::to(inline(
        &refusing.url,
    ))))
    .await;
    assert_eq!(
        steps,
        ["firing false: status 403 (auth_error; a real one would be given up): invalid_token"]
    );
    let closing = TestServer::replying(vec![Reply::Close, Reply::body(200, "ok")]).await;
    let steps = test(ReceiverKind::from(SlackWebhookSettings::to(inline(
        &closing.url,
    ))))
    .await;
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!(
        steps[0].contains("false: the connection broke") && steps[1].starts_with("resolved true"),
        "{steps:?}"
    );
}

#[tokio::test]
async fn a_refused_layout_is_tried_as_plain_text() {
    let replies = vec![Reply::body(400, "invalid_blocks"), Reply::body(200, "ok")];
    let server = TestServer::replying(replies).await;
    let steps = test(ReceiverKind::from(SlackWebhookSettings::to(inline(
        &server.url,
    ))))
    .await;
    assert_eq!(steps[1], "firing as plain text true: status 200: ok");
    assert_eq!(steps[2], "resolved true: status 200: ok");
}

#[tokio::test]
async fn a_test_of_a_cluster_sends_both_to_every_member() {
    let one = TestServer::replying(vec![Reply::status(200)]).await;
    let other = TestServer::replying(vec![Reply::status(500)]).await;
    let urls = vec![one.url.clone(), other.url.clone()];
    let kind = ReceiverKind::from(AlertmanagerSettings {
        urls,
        interval: Span::from_secs(60),
        headers: BTreeMap::new(),
    });
    let steps = test(kind).await;
    let accepted: Vec<_> = steps.iter().map(|step| step.contains(" true: ")).collect();
    assert_eq!(accepted, [true, false, true, false], "{steps:?}");
    let ends: Vec<_> = one
        .requests()
        .iter()
        .map(|request| request.json()[0]["endsAt"].to_string())
        .collect();
    assert!(ends[0] > ends[1], "{ends:?}");
    assert_eq!(one.requests()[0].json()[0]["labels"]["test"], "true");
}

#[tokio::test]
async fn a_test_of_a_dead_mans_switch_requests_it_once() {
    let server = TestServer::replying(vec![Reply::body(200, "OK")]).await;
    let kind = ReceiverKind::from(DeadMansSwitchSettings {
        url: inline(&server.url),
        interval: Span::from_secs(60),
        headers: BTreeMap::new(),
    });
    assert_eq!(test(kind).await, ["heartbeat true: status 200: OK"]);
}

#[tokio::test]
async fn an_answer_that_repeats_a_secret_is_not_shown() {
    let server = TestServer::replying(vec![Reply::body(404, "no such hook: hunter2")]).await;
    let headers = BTreeMap::from([("x-token".to_owned(), inline("hunter2"))]);
    let steps = test(ReceiverKind::from(WebhookSettings {
        headers,
        ..WebhookSettings::to(inline(&server.url))
    }))
    .await;
    let expected = "firing false: status 404 (client_error; a real one would be given up): the answer repeats a secret \
                    and is not shown";
    assert_eq!(steps, [expected]);
}

fn template(text: &str) -> Template {
    Template::new(text).unwrap()
}

#[tokio::test]
async fn a_webhooks_own_request_is_sent_as_it_is_configured() {
    let server = TestServer::replying(vec![Reply::status(204)]).await;
    let steps = test(ReceiverKind::from(WebhookSettings {
        method: WebhookMethod::Put,
        content_type: "text/plain; charset=utf-8".to_owned(),
        path: Some(template("/{{ status }}?by={{ receiver | percent_encode }}")),
        body: Some(template("{{ title }}\n{{ id }}")),
        secret: Some(inline("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ..WebhookSettings::to(inline(&server.url))
    }))
    .await;
    assert_eq!(
        steps,
        ["firing true: status 204", "resolved true: status 204"]
    );
    for (request, status) in server.requests().iter().zip(["firing", "resolved"]) {
        let line = format!("PUT /services/hunter2/{status}?by=tested HTTP/1.1");
        assert_eq!(request.line, line);
        assert_eq!(request.headers["content-type"], "text/plain; charset=utf-8");
        assert!(request.headers["webhook-signature"].starts_with("v1,"));
        let (title, id) = request.body.split_once('\n').unwrap();
        assert!(title.starts_with("[TEST] ["), "{title}");
        assert_eq!(request.headers["webhook-id"], id);
    }
}

#[tokio::test]
async fn a_body_whose_template_fails_is_sent_in_the_built_in_words() {
    for broken in ["{{ nope }}", "{\"text\": {{ title }}}"] {
        let server = TestServer::replying(vec![Reply::status(200)]).await;
        test(ReceiverKind::from(WebhookSettings {
            body: Some(template(broken)),
            ..WebhookSettings::to(inline(&server.url))
        }))
        .await;
        let body = server.requests()[0].json();
        let text = body["text"].as_str().unwrap();
        assert!(text.starts_with("[TEST] [CRITICAL] test-notify"), "{text}");
        test(ReceiverKind::from(WebhookSettings {
            body: Some(template("{{ nope }}")),
            content_type: "text/plain".to_owned(),
            ..WebhookSettings::to(inline(&server.url))
        }))
        .await;
        assert_eq!(
            server.requests()[2].body,
            text,
            "as it is where it is no JSON"
        );
    }
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let steps = test(ReceiverKind::from(WebhookSettings {
        path: Some(template(".evil.example")),
        ..WebhookSettings::to(inline(&server.url))
    }))
    .await;
    assert!(
        server.requests().is_empty() && steps[0].contains("false"),
        "{steps:?}"
    );
}

#[tokio::test]
async fn a_long_answer_is_cut() {
    let server = TestServer::replying(vec![Reply::body(404, &"x".repeat(100_000))]).await;
    let steps = test(ReceiverKind::from(WebhookSettings::to(inline(&server.url)))).await;
    assert!(
        steps[0].ends_with("xx…") && steps[0].chars().count() < 300,
        "{steps:?}"
    );
}
