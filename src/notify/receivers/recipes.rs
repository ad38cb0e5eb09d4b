//! The recipes of docs/receivers.md as they stand there: the bodies that they give about arbitrary
//! names, against what the services document, and what follows from the services' answers.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::own_body::{OwnRequest, render};
use super::protocol::{Delivery, GroupProtocol};
use crate::alert::{AlertStatus, Notification, NotifyReason};
use crate::config::testing::receivers_of;
use crate::config::{GroupReceiver, ReceiverKind, WebhookSettings};
use crate::delivery::DeliveryFailure;
use crate::http_client::HttpResponse;
use crate::model::{Span, WallTime};
use crate::notify::attempt::{Attempt, DeliveryId};
use crate::notify::context::MessageContext;
use crate::notify::contract::{links, notifications, units};
use crate::notify::retry::{AttemptResult, Circumstances, Disposition, Timing, judge};
use crate::notify::testing::{anchor, context, notification, pair_alert, resolved};

/// The webhook of the recipe called `name`.
fn recipe(name: &str) -> WebhookSettings {
    webhook_below(&format!("#### {name}"))
}

/// The webhook in the first configuration below `heading`.
fn webhook_below(heading: &str) -> WebhookSettings {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/receivers.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once(&format!("\n{heading}\n")).expect(heading);
    let (_, rest) = section.split_once("```yaml\n").expect(heading);
    let (yaml, _) = rest.split_once("```").expect(heading);
    let receiver = receivers_of(yaml).remove(0);
    match receiver.kind {
        ReceiverKind::Group(GroupReceiver::Webhook(webhook)) => webhook,
        other => panic!("{heading}: {other:?}"),
    }
}

fn attempt(notification: Notification) -> Attempt {
    Attempt {
        id: DeliveryId::parse("msg_1_2_3").unwrap(),
        notification: Arc::new(notification),
        anchor: anchor(),
        number: 1,
        plain: false,
        left: None,
        incident: None,
        open_incidents: Vec::new(),
    }
}

fn request(name: &str, notification: Notification, context: &MessageContext) -> OwnRequest {
    let attempt = attempt(notification);
    let delivery = Delivery {
        attempt: &attempt,
        receiver: "tested",
        identity: "eu/\"1\"",
        context,
        now: WallTime::from_nanos(0),
    };
    render(&recipe(name), &delivery).expect(name)
}

/// The body, which is not the one that is sent when a template fails.
fn body(name: &str, notification: Notification, context: &MessageContext) -> Value {
    let request = request(name, notification, context);
    let body: Value = serde_json::from_str(&request.body.expect(name)).expect(name);
    let is_fallback = body.as_object().expect(name).len() == 1 && body.get("text").is_some();
    assert!(!is_fallback, "{name}: {body}");
    body
}

/// Characters as the strictest counts them.
fn within(value: &Value, most: usize) {
    assert!((1..=most).contains(&units(value)), "{most}: {value}");
}

/// <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>: 256
/// characters of a title, 4,096 of a description, 6,000 in all.
fn discords(body: &Value) {
    assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
    let embeds = body["embeds"].as_array().unwrap();
    assert_eq!(embeds.len(), 1, "of at most 10");
    within(&embeds[0]["title"], 256);
    within(&embeds[0]["description"], 4_096);
    assert!(units(&embeds[0]["title"]) + units(&embeds[0]["description"]) <= 6_000);
    assert!(embeds[0]["color"].as_u64().unwrap() <= 0xff_ff_ff);
}

/// <https://core.telegram.org/bots/api#sendmessage>: 1 to 4,096 characters.
fn telegrams(body: &Value) {
    within(&body["text"], 4_096);
    assert!(body["chat_id"].is_string() && body.get("parse_mode").is_none());
    assert_eq!(body["link_preview_options"]["is_disabled"], true);
}

/// <https://developers.google.com/workspace/chat/create-messages>: 32,000 bytes; a thread's key has
/// up to 4,000 characters (the reference of `spaces.messages`). `<users/all>` would mention people.
fn google_chats(body: &Value) {
    assert!(body.to_string().len() <= 32_000);
    within(&body["thread"]["threadKey"], 4_000);
    assert!(!body["text"].as_str().unwrap().contains('<') && units(&body["text"]) > 0);
}

/// <https://developers.mattermost.com/integrate/reference/message-attachments/>; a post has up to
/// 16,383 characters.
fn mattermosts(body: &Value) {
    let attachment = &body["attachments"][0];
    let mut sum = 0;
    for key in ["fallback", "title", "text"] {
        let text = attachment[key].as_str().unwrap();
        assert!(!text.is_empty() && !text.contains('@'), "{key}: {text}");
        sum += units(&attachment[key]);
    }
    assert!(sum <= 16_383, "{sum}");
    let colour = attachment["color"].as_str().unwrap();
    assert!(colour.len() == 7 && colour.starts_with('#'), "{colour}");
}

/// <https://docs.ntfy.sh/publish/#limitations>: 4,096 bytes of a message, beyond which it becomes
/// an attachment; priorities are 1 to 5.
fn ntfys(body: &Value) {
    assert_eq!(body["topic"], "redis");
    assert!((1..=4_096).contains(&body["message"].as_str().unwrap().len()));
    within(&body["title"], 250);
    assert!((1..=5).contains(&body["priority"].as_u64().unwrap()));
    assert!(body["tags"][0].is_string());
}

/// <https://docs.opsgenie.com/docs/alert-api#create-alert> and "Close Alert"; Jira Service
/// Management's integration events are the same.
fn opsgenies(body: &Value) {
    within(&body["source"], 100);
    if let Some(note) = body.get("note") {
        within(note, 25_000);
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        return;
    }
    within(&body["message"], 130);
    within(&body["alias"], 512);
    within(&body["description"], 15_000);
    assert!(["P1", "P3"].contains(&body["priority"].as_str().unwrap()));
    let tags = body["tags"].as_array().unwrap();
    assert!(tags.len() <= 20);
    for tag in tags {
        within(tag, 50);
    }
}

/// Checks a body.
type Check = fn(&Value);

const RECIPES: [(&str, Check); 7] = [
    ("Discord", discords),
    ("Telegram", telegrams),
    ("Google Chat", google_chats),
    ("Mattermost", mattermosts),
    ("ntfy", ntfys),
    ("Jira Service Management", opsgenies),
    ("Opsgenie", opsgenies),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_recipe_keeps_the_limits_of_its_service(notification in notifications(), context in links()) {
        for (name, keeps_limits) in RECIPES {
            keeps_limits(&body(name, notification.clone(), &context));
        }
    }
}

fn firing() -> Notification {
    notification(NotifyReason::First, vec![pair_alert("orders", 0)])
}

fn ended() -> Notification {
    notification(
        NotifyReason::Resolved,
        vec![resolved(pair_alert("orders", 0))],
    )
}

#[test]
fn a_recipe_says_what_happened_and_that_it_is_over() {
    for (name, _) in RECIPES {
        let first = body(name, firing(), &context()).to_string();
        assert!(
            first.contains("[CRITICAL] orders dc1 → dc2"),
            "{name}: {first}"
        );
        let end = body(name, ended(), &context()).to_string();
        assert!(
            end.contains("resolved") || end.contains("[RESOLVED]"),
            "{name}: {end}"
        );
        assert_ne!(first, end, "{name}");
    }
}

#[test]
fn the_example_of_a_body_of_your_own_is_accepted() {
    let example = webhook_below("### A body of your own");
    assert!(example.body.is_some() && example.path.is_some() && !example.is_json());
}

#[test]
fn an_alert_of_opsgenie_is_closed_under_the_alias_that_it_was_created_with() {
    for name in ["Opsgenie", "Jira Service Management"] {
        assert_eq!(request(name, firing(), &context()).path, "");
        let alias = body(name, firing(), &context())["alias"].clone();
        let path = request(name, ended(), &context()).path;
        let encoded = crate::model::percent_encode(alias.as_str().unwrap());
        let close = format!("/{encoded}/close?identifierType=alias");
        assert_eq!(path, close, "{name}");
    }
    let chat = request("Google Chat", firing(), &context());
    assert_eq!(
        chat.path,
        "&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
    );
    let key = body("Google Chat", firing(), &context())["thread"].clone();
    assert_eq!(body("Google Chat", ended(), &context())["thread"], key);
    assert_eq!(ended().status, AlertStatus::Resolved);
}

/// `delivered`, `dead` or `retry`, with the seconds that are waited at least and why.
fn outcome(name: &str, answer: HttpResponse) -> (&'static str, f64, Option<DeliveryFailure>) {
    let circumstances = Circumstances {
        rules: recipe(name).answer_rules(),
        attempt: 1,
        plain: false,
        to_the_rest: false,
        jitter: 0.0,
        now: anchor(),
    };
    let result = AttemptResult::Answered(answer);
    let verdict = judge(&Timing::default(), &circumstances, &result);
    match verdict.disposition {
        Disposition::Delivered => ("delivered", 0.0, None),
        Disposition::Dead { reason } => ("dead", 0.0, Some(reason)),
        Disposition::Retry { at, reason } => {
            if reason == DeliveryFailure::RateLimited {
                assert_eq!(verdict.hold_until, Some(at), "nothing is sent meanwhile");
            }
            let millis = (at - anchor().mono).as_secs_f64() * 1_000.0;
            ("retry", millis.round() / 1_000.0, Some(reason))
        }
        Disposition::RetryPlain { reason } => ("plain", 0.0, Some(reason)),
    }
}

#[test]
fn the_answers_of_the_services_have_their_consequences() {
    use DeliveryFailure as F;
    let limited = Some(F::RateLimited);
    let cases = [
        ("Discord", 204, "", "delivered", 0.0, None),
        // https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit
        (
            "Discord",
            429,
            r#"{"message": "You are being rate limited.", "retry_after": 64.57, "global": false}"#,
            "retry",
            64.57,
            limited,
        ),
        (
            "Discord",
            404,
            r#"{"message": "Unknown Webhook", "code": 10015}"#,
            "dead",
            0.0,
            Some(F::Client),
        ),
        (
            "Telegram",
            200,
            r#"{"ok":true,"result":{"message_id":7}}"#,
            "delivered",
            0.0,
            None,
        ),
        // https://core.telegram.org/bots/api#making-requests
        (
            "Telegram",
            429,
            r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 5","parameters":{"retry_after":5}}"#,
            "retry",
            5.0,
            limited,
        ),
        (
            "Telegram",
            401,
            r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#,
            "dead",
            0.0,
            Some(F::Auth),
        ),
        (
            "Google Chat",
            200,
            r#"{"name": "spaces/A/messages/B"}"#,
            "delivered",
            0.0,
            None,
        ),
        (
            "Google Chat",
            429,
            r#"{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}"#,
            "retry",
            0.0,
            limited,
        ),
        ("Mattermost", 200, "ok", "delivered", 0.0, None),
        (
            "Mattermost",
            400,
            r#"{"id":"web.incoming_webhook.parse.app_error"}"#,
            "dead",
            0.0,
            Some(F::Client),
        ),
        (
            "ntfy",
            200,
            r#"{"id":"x","event":"message","topic":"redis"}"#,
            "delivered",
            0.0,
            None,
        ),
        (
            "ntfy",
            429,
            r#"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#,
            "retry",
            0.0,
            limited,
        ),
        (
            "Opsgenie",
            202,
            r#"{"result": "Request will be processed", "took": 0.3, "requestId": "x"}"#,
            "delivered",
            0.0,
            None,
        ),
        (
            "Opsgenie",
            422,
            r#"{"message": "Request body is not processable."}"#,
            "dead",
            0.0,
            Some(F::Client),
        ),
        (
            "Jira Service Management",
            503,
            "",
            "retry",
            0.0,
            Some(F::Server),
        ),
    ];
    for (name, status, text, word, wait, reason) in cases {
        let answer = HttpResponse {
            status,
            body: text.to_owned(),
            complete: true,
            ..HttpResponse::default()
        };
        assert_eq!(
            outcome(name, answer),
            (word, wait, reason),
            "{name} {status}"
        );
    }
}

#[test]
fn a_header_precedes_the_body_and_no_wait_is_too_long() {
    let answer = |header: Option<&str>, body: &str| HttpResponse {
        status: 429,
        retry_after: header.map(str::to_owned),
        body: body.to_owned(),
        complete: true,
        ..HttpResponse::default()
    };
    let wait = |answer| outcome("Discord", answer).1;
    assert!((wait(answer(Some("7"), r#"{"retry_after": 64.57}"#)) - 7.0).abs() < 1e-9);
    let longest = Timing::default().max_retry_after;
    assert_eq!(longest, Span::from_secs(600));
    assert!((wait(answer(None, r#"{"retry_after": 5000}"#)) - 600.0).abs() < 1e-9);
    for nonsense in [
        "",
        "[]",
        r#"{"retry_after": -1}"#,
        r#"{"retry_after": 1e300}"#,
        r#"{"retry_after": "x"}"#,
    ] {
        assert!(wait(answer(None, nonsense)).abs() < 1e-9, "{nonsense}");
    }
}
