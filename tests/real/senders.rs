//! Slack bots, dead man's switches and `test-notify`: the program as people use it.

use redis_cross_dc_exporter::lab::{Answer, Received, Response, eventually};
use serde_json::Value;

use crate::command::{configuration, folder_with, nobody, run};
use crate::exporter::Exporter;
use crate::planted;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage, entry};

/// Slack's Web API: every call succeeds.
async fn slack() -> Receiver {
    let api = Receiver::start([]).await.unwrap();
    api.always(Answer::Respond(
        Response::new(200).body(r#"{"ok":true,"channel":"C1","ts":"17.1"}"#),
    ));
    api
}

fn quick(stage: &Stage, receivers: &str) -> String {
    format!(
        "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         alerts: {{unreachable: {{warning: 1s, critical: 3s}}}}\npairs: [{}]\n\
         notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{receivers}]}}\n",
        stage.entry("orders")
    )
}

#[tokio::test]
async fn a_bots_message_is_posted_changed_and_turns_green() {
    let mut stage = Stage::set().await;
    let api = slack().await;
    let token = planted::BOT_TOKEN;
    let bot = format!(
        "{{name: chat, slack: {{bot_token: {token}, channel: '#redis', api_url: '{}'}}}}",
        api.url("/api")
    );
    let _exporter = Exporter::start(&quick(&stage, &bot)).await;
    stage.replica.kill();
    let body = |received: &Received| -> Value { received.json().unwrap_or_default() };
    let about = |word: &'static str| {
        move |received: &Received| {
            body(received)["text"]
                .as_str()
                .is_some_and(|text| text.contains(word))
        }
    };
    let post = api
        .wait_for("a message", LIMIT, |r| r.path == "/api/chat.postMessage")
        .await
        .unwrap();
    assert_eq!(
        post.header("authorization"),
        Some(format!("Bearer {token}").as_str())
    );
    assert_eq!(body(&post)["channel"], "#redis");
    let critical = api
        .wait_for("the change to critical", LIMIT, |r| {
            r.path == "/api/chat.update" && about("[CRITICAL]")(r)
        })
        .await
        .unwrap();
    assert_eq!(
        (&body(&critical)["channel"], &body(&critical)["ts"]),
        (&"C1".into(), &"17.1".into())
    );
    stage.replica.restart().await.unwrap();
    let green = api
        .wait_for("the end in place", LIMIT, |r| {
            r.path == "/api/chat.update" && about("[RESOLVED]")(r)
        })
        .await
        .unwrap();
    assert_eq!(body(&green)["attachments"][0]["color"], "#2e7d32");
    let reply = |r: &Received| body(r)["thread_ts"] == "17.1" && about("[RESOLVED]")(r);
    assert_eq!(
        body(
            &api.wait_for("the end in the thread", LIMIT, reply)
                .await
                .unwrap()
        )["reply_broadcast"],
        false
    );
}

/// Waits until the switch was asked for this often.
async fn beats(switch: &Receiver, count: usize) {
    let enough = || async { switch.requests().len() >= count };
    eventually("beats", LIMIT, enough).await.unwrap();
}

#[tokio::test]
async fn a_stopped_exporter_sends_no_heartbeats_to_its_dead_mans_switch() {
    let stage = Stage::set().await;
    let (one, other) = (
        Receiver::start([]).await.unwrap(),
        Receiver::start([]).await.unwrap(),
    );
    let switch = |receiver: &Receiver| {
        let url = receiver.url(&format!("/ping/{}", planted::WEBHOOK));
        quick(
            &stage,
            &format!("{{name: deadman, heartbeat: {{url: '{url}', interval: 200ms}}}}"),
        )
    };
    let (stopped, _control) = (
        Exporter::start(&switch(&one)).await,
        Exporter::start(&switch(&other)).await,
    );
    beats(&one, 3).await;
    assert_eq!(one.requests()[0].method, "GET");
    stopped.signal("STOP");
    // A request that was on its way may still arrive; the other's heartbeats measure the time.
    beats(&other, other.requests().len() + 3).await;
    let count = one.requests().len();
    beats(&other, other.requests().len() + 10).await;
    assert_eq!(one.requests().len(), count, "it beats while it is stopped");
    stopped.signal("CONT");
    beats(&one, count + 3).await;
}

#[tokio::test]
async fn test_notify_shows_each_answer_and_no_secret() {
    let (hook, pager, api, deadman) = (
        Receiver::start([]).await.unwrap(),
        Receiver::start([]).await.unwrap(),
        slack().await,
        Receiver::start([]).await.unwrap(),
    );
    let refusing = Receiver::start([]).await.unwrap();
    refusing.always(Answer::Respond(Response::new(404).body("no_service")));
    let echo = Receiver::start([]).await.unwrap();
    echo.always(Answer::Respond(
        Response::new(400).body(&format!("unknown key {}", planted::ROUTING_KEY)),
    ));
    let receivers = [
        format!(
            "{{name: hook, min_severity: critical, match: {{pair: x}}, webhook: {{url: '{}', secret: '{}'}}}}",
            hook.url("/hook"),
            planted::SIGNING
        ),
        format!(
            "{{name: pager, pagerduty: {{routing_key: {}, url: '{}'}}}}",
            planted::ROUTING_KEY,
            pager.url("/v2/enqueue")
        ),
        format!(
            "{{name: bot, slack: {{bot_token: {}, channel: C, api_url: '{}'}}}}",
            planted::BOT_TOKEN,
            api.url("/api")
        ),
        format!(
            "{{name: deadman, heartbeat: {{url: '{}'}}}}",
            deadman.url(&format!("/{}", planted::WEBHOOK))
        ),
        format!(
            "{{name: refusing, slack: {{webhook_url: '{}'}}}}",
            refusing.url(&format!("/{}", planted::SLACK))
        ),
        format!(
            "{{name: echo, pagerduty: {{routing_key: {}, url: '{}'}}}}",
            planted::ROUTING_KEY,
            echo.url("/v2/enqueue")
        ),
    ];
    let pair = entry("orders", ("dc1", &nobody()), ("dc2", &nobody()));
    let yaml = format!(
        "{}notify: {{receivers: [{}]}}\n",
        configuration(&[pair]),
        receivers.join(", ")
    );
    let folder = folder_with(&yaml);
    let test = |receiver: &'static str| {
        let folder = folder.path();
        async move {
            run(
                folder,
                &["test-notify", "--config.file", "config.yml", receiver],
            )
            .await
        }
    };
    let taken = test("hook").await.ended_with(0).stdout;
    let expected = "hook\n  firing: taken: status 200: ok\n  resolved: taken: status 200: ok\n1 of 1 receivers took the test\n";
    assert_eq!(taken, expected);
    for (request, status) in hook.requests().iter().zip(["firing", "resolved"]) {
        let body = request.json().unwrap();
        assert_eq!(
            (&body["status"], &body["alerts"][0]["labels"]["test"]),
            (&status.into(), &"true".into()),
            "{body}"
        );
        assert!(
            request
                .header("webhook-signature")
                .is_some_and(|text| text.starts_with("v1,"))
        );
    }
    assert!(
        test("pager")
            .await
            .ended_with(0)
            .stdout
            .contains("firing: taken: status 202")
    );
    let actions: Vec<_> = pager
        .requests()
        .iter()
        .map(|r| r.json().unwrap()["event_action"].to_string())
        .collect();
    assert_eq!(actions, ["\"trigger\"", "\"resolve\""]);
    test("bot").await.ended_with(0);
    assert_eq!(
        api.requests()
            .iter()
            .map(|r| r.path.as_str())
            .collect::<Vec<_>>(),
        [
            "/api/chat.postMessage",
            "/api/chat.update",
            "/api/chat.postMessage",
        ]
    );
    assert!(
        test("deadman")
            .await
            .ended_with(0)
            .stdout
            .contains("heartbeat: taken: status 200")
    );
    let refused = test("refusing").await.ended_with(1).stdout;
    assert!(
        refused.contains("firing: NOT TAKEN: status 404") && refused.contains("no_service"),
        "{refused}"
    );
    assert!(
        test("echo")
            .await
            .ended_with(1)
            .stdout
            .contains("the answer repeats a secret and is not shown")
    );
    let unknown = test("nobody").await.ended_with(64);
    assert!(
        unknown
            .stderr
            .contains("there are: hook, pager, bot, deadman, refusing, echo"),
        "{unknown:?}"
    );
    let all = run(
        folder.path(),
        &["test-notify", "--config.file", "config.yml"],
    )
    .await
    .ended_with(1);
    assert!(all.stdout.contains(" receivers took the test"), "{all:?}");
}

#[tokio::test]
async fn a_receiver_without_its_secret_is_named_at_the_start() {
    let stage = Stage::set().await;
    let exporter = Exporter::start(&quick(
        &stage,
        "{name: pager, pagerduty: {routing_key_file: absent}}",
    ))
    .await;
    let said = || async {
        let log = exporter.log();
        log.lines().any(|line| {
            line.contains("receiver=pager")
                && line.contains("absent")
                && line.contains("level=warn")
        })
    };
    eventually("a word about the secret", LIMIT, said)
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", exporter.log()));
}
