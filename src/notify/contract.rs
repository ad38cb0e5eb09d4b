//! The documented limits and types of receivers' requests, checked on bodies about arbitrary names
//! and numbers.

use std::sync::Arc;

use jiff::Timestamp as Instant;
use proptest::prelude::*;
use serde_json::Value;

use super::context::MessageContext;
use super::incident::PostedMessage;
use super::receivers::alertmanager::{FiringAlert, SentAlerts};
use super::receivers::pagerduty::{self, Incident};
use super::receivers::slack_bot;
use super::receivers::{msteams, slack, webhook};
use super::templates;
use super::testing::{anchor, context, notification, now, pair_alert, resolved, without_times};
use crate::alert::{Affected, AlertSnapshot, Notification, NotifyReason, TargetKind};
use crate::config::TemplateSettings;
use crate::model::{Secret, Span};
use crate::template::Template;

const REASONS: [NotifyReason; 8] = [
    NotifyReason::First,
    NotifyReason::Escalated,
    NotifyReason::Deescalated,
    NotifyReason::NewInGroup,
    NotifyReason::Flapping,
    NotifyReason::PartlyResolved,
    NotifyReason::Repeat,
    NotifyReason::Resolved,
];

/// Hostile text: markup, control characters, characters of two UTF-16 units, and long.
fn name() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("&".to_owned()),
        Just("<!channel>".to_owned()),
        Just("😀".to_owned()),
        Just("`'\"\\$(x)".to_owned()),
        any::<char>().prop_map(String::from),
        "[a-z]{1,8}",
    ];
    (prop::collection::vec(piece, 1..40), 1_usize..60)
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

pub(super) fn notifications() -> impl Strategy<Value = Notification> {
    let alert = (name(), any::<bool>());
    let parts = (
        prop::collection::vec(alert, 1..25),
        0..REASONS.len(),
        any::<usize>(),
        any::<usize>(),
        any::<u32>(),
    );
    parts.prop_map(|(alerts, reason, of, held, generation)| {
        let alert = |(n, (pair, over)): (usize, (String, bool))| {
            let alert = pair_alert(&pair, n);
            if over { resolved(alert) } else { alert }
        };
        let alerts: Vec<Arc<AlertSnapshot>> = alerts.into_iter().enumerate().map(alert).collect();
        let affected = Some(Affected {
            kind: TargetKind::Pair,
            firing: alerts.len(),
            of,
        });
        Notification {
            affected,
            held,
            generation,
            ..notification(REASONS[reason], alerts)
        }
    })
}

fn own(text: &str) -> TemplateSettings {
    let template = Some(Template::new(text).unwrap());
    TemplateSettings {
        title: template.clone(),
        summary: template,
    }
}

pub(super) fn links() -> impl Strategy<Value = MessageContext> {
    let words = prop_oneof![
        Just(TemplateSettings::default()),
        Just("{{ nope }}").prop_map(own),
        Just("{% for a in alerts %}{{ a.subject }}\n<!channel>{% endfor %}").prop_map(own),
        Just("{{ 'x<&' * 5000 }}").prop_map(own),
    ];
    let parts = (
        any::<bool>(),
        any::<bool>(),
        "[a-z]{1,4000}",
        any::<bool>(),
        words,
    );
    parts.prop_map(|(external, dashboard, path, test, template)| {
        let url = |wanted: bool| wanted.then(|| format!("https://x.example/{path}"));
        MessageContext {
            external_url: url(external),
            dashboard_url: url(dashboard),
            test,
            template,
            ..context()
        }
    })
}

pub(super) fn units(text: &Value) -> usize {
    text.as_str().unwrap().encode_utf16().count()
}

/// <https://docs.slack.dev/reference/block-kit/blocks>, and no markup but our own links.
fn keeps_slacks_limits(body: &Value) {
    let empty = Vec::new();
    let blocks = body["blocks"].as_array().unwrap_or(&empty).iter();
    let blocks: Vec<_> = blocks
        .chain(
            body["attachments"][0]["blocks"]
                .as_array()
                .unwrap_or(&empty),
        )
        .collect();
    assert!(blocks.len() <= 50 && units(&body["text"]) <= 40_000);
    let mut sum = 0;
    for block in blocks {
        let text = if block["type"] == "context" {
            &block["elements"][0]["text"]
        } else {
            &block["text"]["text"]
        };
        let limit = if block["type"] == "header" {
            150
        } else {
            3_000
        };
        assert!((1..=limit).contains(&units(text)), "{block}");
        sum += units(text);
        let text = without_times(text.as_str().unwrap());
        assert!(
            !text.contains("<!")
                && (text.starts_with("<https://x.example/") || !text.contains('<')),
            "{text}"
        );
    }
    assert!(sum <= 13_000, "{sum}");
}

/// <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>
fn keeps_pagerdutys_limits(event: &Value) {
    let payload = &event["payload"];
    assert!(event.to_string().len() <= 512_000 && units(&event["dedup_key"]) <= 255);
    assert!((1..=1_024).contains(&units(&payload["summary"])) && units(&payload["source"]) > 0);
    assert!(
        ["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap())
    );
    assert!(payload["custom_details"].is_object() && is_time(&payload["timestamp"]));
    for link in event["links"].as_array().into_iter().flatten() {
        assert!(link["href"].as_str().unwrap().starts_with("https://"));
    }
}

/// <https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>:
/// 28 KB; <https://adaptivecards.io/explorer/AdaptiveCard.html>: the types of a card.
fn keeps_teams_limits(body: &Value) {
    assert!(body.to_string().len() <= 28_000);
    assert_eq!(body["type"], "message");
    let attachment = &body["attachments"][0];
    assert_eq!(
        attachment["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    let card = &attachment["content"];
    assert_eq!(
        (&card["type"], &card["version"]),
        (&"AdaptiveCard".into(), &"1.4".into())
    );
    let elements = card["body"].as_array().unwrap();
    assert!(!elements.is_empty());
    for element in elements {
        let styles = ["good", "warning", "attention"];
        let block = match element["style"].as_str() {
            Some(style) => {
                assert!(
                    element["type"] == "Container" && styles.contains(&style),
                    "{element}"
                );
                &element["items"][0]
            }
            None => element,
        };
        assert_eq!(block["type"], "RichTextBlock");
        for run in block["inlines"].as_array().unwrap() {
            assert!(run["type"] == "TextRun" && units(&run["text"]) > 0, "{run}");
        }
    }
    let buttons = card["actions"].as_array().into_iter().flatten();
    assert!(buttons.clone().count() <= 6);
    for button in buttons {
        let is_link = button["url"].as_str().unwrap().starts_with("https://");
        assert!(button["type"] == "Action.OpenUrl" && is_link, "{button}");
    }
}

fn is_time(value: &Value) -> bool {
    value.as_str().unwrap().parse::<Instant>().is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn slack_takes_every_body(notification in notifications(), context in links()) {
        let message = templates::message(&notification, &anchor(), &context);
        let posted = PostedMessage { configured: "#c".into(), channel: "C".into(), ts: "1".into() };
        keeps_slacks_limits(&slack::rich(&message));
        keeps_slacks_limits(&slack::plain(&message));
        keeps_slacks_limits(&slack_bot::post(&message, false, "#c"));
        keeps_slacks_limits(&slack_bot::update(&message, false, &posted));
        if let Some(reply) = slack_bot::reply(&message, &posted) {
            prop_assert!((1..=3_000).contains(&units(&reply["text"])));
            prop_assert!(!reply["text"].as_str().unwrap().contains(['<', '>']));
        }
    }

    #[test]
    fn teams_takes_every_card(notification in notifications(), context in links()) {
        let message = templates::message(&notification, &anchor(), &context);
        keeps_teams_limits(&msteams::rich(&message));
        keeps_teams_limits(&msteams::plain(&message));
    }

    #[test]
    fn pagerduty_takes_every_event(notification in notifications(), context in links(), identity in name()) {
        let message = templates::message(&notification, &anchor(), &context);
        let dedup_key = pagerduty::dedup_key(&identity, &notification.group, notification.generation);
        let incident = Incident { routing_key: Secret::new("k"), dedup_key };
        keeps_pagerdutys_limits(&pagerduty::trigger(&notification, &message, &anchor(), &context, &incident));
    }

    #[test]
    fn the_webhook_body_has_alertmanagers_types(notification in notifications(), context in links()) {
        let body = webhook::body(&notification, "", &anchor(), &context);
        let alerts = body["alerts"].as_array().unwrap();
        prop_assert!(alerts.len() == 1 || body.to_string().len() <= 1_000_000);
        prop_assert_eq!(body["truncatedAlerts"].as_u64().unwrap(), (notification.alerts.len() - alerts.len()) as u64);
        for alert in alerts {
            prop_assert!(is_time(&alert["startsAt"]) && is_time(&alert["endsAt"]));
            prop_assert!(alert["labels"].as_object().unwrap().values().all(Value::is_string));
            prop_assert!(alert["annotations"].as_object().unwrap().values().all(Value::is_string));
        }
    }

    #[test]
    fn alertmanager_takes_every_alert(notification in notifications(), context in links(), interval in 1_i64..3_600) {
        let mut memory = SentAlerts::default();
        let firing: Vec<_> =
            notification.alerts.iter().map(|alert| FiringAlert { alert: Arc::clone(alert), suppressed: false }).collect();
        memory.update(now(), &firing, &[]);
        memory.update(now(), &firing[firing.len() / 2..], &notification.alerts);
        for alert in memory.bodies(&anchor(), Span::from_secs(interval), &context).iter().flat_map(|b| b.as_array().unwrap()) {
            let time = |key: &str| alert[key].as_str().unwrap().parse::<Instant>().unwrap();
            prop_assert!(time("startsAt") <= time("endsAt"));
            let labels = alert["labels"].as_object().unwrap();
            prop_assert!(labels.contains_key("alertname") && labels.values().all(|v| !v.as_str().unwrap().is_empty()));
            prop_assert!(labels.keys().all(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')));
        }
    }
}
