//! Generic webhooks. The body is that of the receiver's template, or Alertmanager's, version 4
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>), so that tools for
//! Alertmanager understand it, with one key more: `reason`, why it is sent.

use std::sync::Arc;

use serde_json::{Value, json};

use super::own_body;
use super::protocol::{
    Delivery, Exchange, GroupProtocol, OutgoingRequest, ReceiverSecrets, SingleRequest,
};
use super::secrets::{read_headers, read_secret};
use super::signature;
use crate::alert::{AlertSnapshot, AlertStatus, Labels, Notification};
use crate::config::{SecretSource, TemplateSettings, WebhookSettings, signing_key};
use crate::http_client::HttpResponse;
use crate::model::{ClockAnchor, Secret, Span, Timestamp};
use crate::notify::context::MessageContext;
use crate::notify::facts;
use crate::notify::fields::set;
use crate::notify::links;
use crate::notify::message::advice_for;
use crate::notify::retry::AnswerRules;
use crate::notify::text::rfc3339;

/// How many alerts a body holds at most; the worst come first, the rest are counted in
/// `truncatedAlerts`.
pub const MAX_ALERTS: usize = 1_000;

/// How large a body is at most; the same happens to what does not fit. Common limits of HTTP
/// servers begin at 1 MB.
const MAX_BODY: usize = 1_000_000;

/// Seconds that the body of an answer may ask to wait: a day. More is no wait but another number.
const MAX_WAIT_IN_BODY: f64 = 86_400.0;

/// What Go writes for a time that is not set: an alert that still fires has no end.
const NO_END: &str = "0001-01-01T00:00:00Z";

impl ReceiverSecrets for WebhookSettings {
    fn secrets(&self) -> Vec<&SecretSource> {
        let mut secrets = vec![&self.url];
        secrets.extend(self.headers.values());
        secrets.extend(&self.secret);
        secrets
    }

    fn check(&self) -> Result<(), String> {
        match &self.secret {
            Some(secret) => read_signing_key(secret).map(drop),
            None => Ok(()),
        }
    }
}

impl GroupProtocol for WebhookSettings {
    fn answer_rules(&self) -> &'static dyn AnswerRules {
        &WebhookAnswers
    }

    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String> {
        let own = own_body::render(self, delivery)?;
        let body = match own.body {
            Some(body) => body,
            None => body_of(delivery).to_string(),
        };
        let url = read_secret(&self.url)?;
        let url = Secret::new(format!("{}{}", url.reveal(), own.path));
        let body = body.into_bytes();
        let mut headers = own_headers(delivery, self.secret.as_ref(), &body)?;
        headers.push(("content-type".to_owned(), self.content_type.clone()));
        headers.extend(read_headers(&self.headers)?);
        Ok(Box::new(SingleRequest(Some(OutgoingRequest {
            method: self.method,
            url,
            headers,
            body,
        }))))
    }
}

/// What the answers of a webhook mean: what HTTP says, and the wait that some services write into
/// the body of a 429: Discord as `retry_after`
/// (<https://discord.com/developers/docs/topics/rate-limits>), Telegram as `parameters.retry_after`
/// (<https://core.telegram.org/bots/api#responseparameters>), both in seconds.
#[derive(Clone, Copy, Debug)]
pub struct WebhookAnswers;

impl AnswerRules for WebhookAnswers {
    fn wait_in_body(&self, response: &HttpResponse) -> Option<Span> {
        let answer: Value = serde_json::from_str(&response.body).ok()?;
        let discords = answer.get("retry_after");
        let wait = discords.or_else(|| answer.pointer("/parameters/retry_after"))?;
        let seconds = wait.as_f64()?;
        if (0.0..=MAX_WAIT_IN_BODY).contains(&seconds) {
            Some(Span::from_secs_f64(seconds))
        } else {
            None
        }
    }
}

/// The body with title and summary, where the receiver has templates for them.
fn body_of(delivery: &Delivery<'_>) -> Value {
    let attempt = delivery.attempt;
    let mut body = body(
        &attempt.notification,
        delivery.identity,
        &attempt.anchor,
        delivery.context,
    );
    if delivery.context.template != TemplateSettings::default() {
        let message = delivery.message();
        set(&mut body, "title", message.title);
        set(&mut body, "summary", message.summary);
    }
    body
}

/// The headers by which the endpoint recognises a repeated attempt and, where there is a secret,
/// its sender.
fn own_headers(
    delivery: &Delivery<'_>,
    secret: Option<&SecretSource>,
    body: &[u8],
) -> Result<Vec<(String, String)>, String> {
    let id = delivery.attempt.id.to_string();
    let mut headers = vec![
        ("webhook-id".to_owned(), id.clone()),
        ("idempotency-key".to_owned(), id.clone()),
    ];
    if let Some(secret) = secret {
        let key = read_signing_key(secret)?;
        headers.extend(signature::headers(&key, &id, delivery.now, body));
    }
    Ok(headers)
}

fn read_signing_key(secret: &SecretSource) -> Result<Vec<u8>, String> {
    let secret = read_secret(secret)?;
    signing_key(secret.reveal()).map_err(|error| format!("webhook.secret: the value {error}"))
}

/// The body for `notification`; `identity` is the exporter's own, empty by default.
pub fn body(
    notification: &Notification,
    identity: &str,
    anchor: &ClockAnchor,
    context: &MessageContext,
) -> Value {
    let mut count = notification.alerts.len().min(MAX_ALERTS);
    loop {
        let body = body_with(notification, identity, anchor, context, count);
        if count <= 1 || body.to_string().len() <= MAX_BODY {
            return body;
        }
        count /= 2;
    }
}

fn body_with(
    notification: &Notification,
    identity: &str,
    anchor: &ClockAnchor,
    context: &MessageContext,
    count: usize,
) -> Value {
    let now = notification.decided_at;
    let mut alerts = Vec::new();
    for alert in notification.alerts.iter().take(count) {
        alerts.push(describe(alert, now, anchor, context));
    }
    let mut all_labels = Vec::new();
    let mut all_annotations = Vec::new();
    for alert in &notification.alerts {
        all_labels.push(labels(alert));
        all_annotations.push(annotations(alert, now, anchor, context));
    }
    json!({
        "version": "4",
        "groupKey": group_key(notification, identity),
        "truncatedAlerts": notification.alerts.len() - count,
        "status": notification.status.label(),
        "reason": notification.reason.label(),
        "receiver": &*notification.receiver,
        "groupLabels": &*notification.group.0,
        "commonLabels": common(all_labels),
        "commonAnnotations": common(all_annotations),
        "externalURL": context.external_url.as_deref().unwrap_or_default(),
        "alerts": alerts,
    })
}

/// The group's key, spelled as Alertmanager spells them, with the identity in the place of a
/// route's matchers.
fn group_key(notification: &Notification, identity: &str) -> String {
    let group = notification.group.text();
    if identity.is_empty() {
        return format!("{{}}:{{{group}}}");
    }
    let escaped = identity
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("{{}}/{{identity=\"{escaped}\"}}:{{{group}}}")
}

fn describe(
    alert: &Arc<AlertSnapshot>,
    now: Timestamp,
    anchor: &ClockAnchor,
    context: &MessageContext,
) -> Value {
    let end = match alert.resolved {
        Some((at, _)) => rfc3339(anchor.wall(at)),
        None => NO_END.to_owned(),
    };
    json!({
        "status": alert.status.label(),
        "labels": labels(alert),
        "annotations": annotations(alert, now, anchor, context),
        "startsAt": rfc3339(anchor.wall(alert.started_at)),
        "endsAt": end,
        "generatorURL": context.external_url.as_deref().unwrap_or_default(),
        "fingerprint": alert.fingerprint.to_string(),
    })
}

/// Facts that are labels, or annotations of another form.
const SKIPPED_FACTS: [&str; 6] = [
    "since",
    "replica",
    "server",
    "labels",
    "last_sample",
    "last_data",
];

/// The configured labels, overridden by the alert's own.
pub(super) fn labels(alert: &AlertSnapshot) -> Labels {
    let mut labels = Labels::clone(&alert.context.extra_labels);
    labels.extend(Labels::clone(&alert.identity.labels));
    labels.insert(
        "alertname".to_owned(),
        alert.identity.rule.alert_name().to_owned(),
    );
    labels.insert("severity".to_owned(), alert.severity.label().to_owned());
    labels
}

/// The facts under their keys as of `now`, the advice while it fires, links and times.
pub(super) fn annotations(
    alert: &Arc<AlertSnapshot>,
    now: Timestamp,
    anchor: &ClockAnchor,
    context: &MessageContext,
) -> Labels {
    let rule = alert.identity.rule;
    let mut annotations = Labels::new();
    for fact in facts::facts(alert, now, anchor) {
        if !SKIPPED_FACTS.contains(&fact.key) {
            annotations.insert(fact.key.to_owned(), fact.text.to_string());
        }
    }
    if alert.status == AlertStatus::Firing {
        annotations.insert("what_to_do".to_owned(), advice_for(rule).to_owned());
    }
    if let Some(url) = links::runbook(rule, context) {
        annotations.insert("runbook_url".to_owned(), url);
    }
    if let Some(url) = links::dashboard(&[alert], context, anchor) {
        annotations.insert("dashboard_url".to_owned(), url);
    }
    for (name, at) in known_times(alert) {
        annotations.insert(name.to_owned(), rfc3339(anchor.wall(at)));
    }
    annotations
}

/// The names of annotations that are times, and those times that are known.
fn known_times(alert: &AlertSnapshot) -> Vec<(&'static str, Timestamp)> {
    let known = &alert.context;
    let mut times = Vec::new();
    if let Some(at) = known.last_sample {
        times.push(("last_sample", at));
    }
    if let Some(at) = known.last_data {
        times.push(("last_data", at));
    }
    if let Some(since) = known.fault_since {
        times.push(("fault_since", since));
        if let Some((resolved_at, _)) = alert.resolved {
            times.push(("fault_until", known.fault_until.unwrap_or(resolved_at)));
        }
    }
    times
}

/// The names and values that all of `sets` have in common.
fn common(sets: Vec<Labels>) -> Labels {
    let mut sets = sets.into_iter();
    let Some(mut common) = sets.next() else {
        return Labels::new();
    };
    for set in sets {
        common.retain(|name, value| set.get(name) == Some(value));
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::NotifyReason;
    use crate::notify::testing::{
        anchor, context, golden, hostile_names, notification, pair_alert, resolved,
    };

    fn body_of(reason: NotifyReason, alerts: Vec<std::sync::Arc<AlertSnapshot>>) -> Value {
        body(&notification(reason, alerts), "", &anchor(), &context())
    }

    #[test]
    fn the_bodies_match_the_golden_files() {
        let alerts = vec![pair_alert("orders", 0), resolved(pair_alert("sessions", 1))];
        golden(
            "webhook_firing.json",
            &body_of(NotifyReason::PartlyResolved, alerts),
        );
        golden(
            "webhook_resolved.json",
            &body_of(
                NotifyReason::Resolved,
                vec![resolved(pair_alert("orders", 0))],
            ),
        );
    }

    #[test]
    fn a_body_has_alertmanagers_keys_and_the_reason() {
        let body = body_of(NotifyReason::First, vec![pair_alert("orders", 0)]);
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let top = "alerts commonAnnotations commonLabels externalURL groupKey groupLabels reason receiver status \
                   truncatedAlerts version";
        assert_eq!(keys(&body), top);
        let alert = "annotations endsAt fingerprint generatorURL labels startsAt status";
        assert_eq!(keys(&body["alerts"][0]), alert);
    }

    #[test]
    fn alerts_beyond_the_limit_are_counted_as_truncated() {
        let short = |n| {
            let mut alert = (*pair_alert("orders", n)).clone();
            alert.context = Arc::default();
            Arc::new(alert)
        };
        for (count, sent) in [(1_000, 1_000), (5_000, 1_000)] {
            let body = body_of(NotifyReason::First, (0..count).map(short).collect());
            assert_eq!(body["alerts"].as_array().unwrap().len(), sent);
            assert_eq!(body["truncatedAlerts"], count - sent);
        }
    }

    #[test]
    fn hostile_names_arrive_as_they_are_and_within_the_limit() {
        let mut left_out = 0;
        for name in hostile_names() {
            let body = body_of(
                NotifyReason::First,
                (0..60).map(|n| pair_alert(&name, n)).collect(),
            );
            let text = body.to_string();
            let again: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(again["alerts"][0]["labels"]["pair"], name.as_str());
            assert!(text.len() <= MAX_BODY);
            left_out += again["truncatedAlerts"].as_u64().unwrap();
        }
        assert!(left_out > 0, "no name was long enough to reach the limit");
    }

    #[test]
    fn an_identity_distinguishes_the_groups_of_two_exporters() {
        let notification = notification(NotifyReason::First, vec![pair_alert("orders", 0)]);
        let key = |identity: &str| {
            body(&notification, identity, &anchor(), &context())["groupKey"].clone()
        };
        let group = r#"{alertname="RedisCrossDcLagHigh",source_dc="dc1",target_dc="dc2"}"#;
        assert_eq!(key(""), format!("{{}}:{group}"));
        assert_eq!(key("e\"u"), format!(r#"{{}}/{{identity="e\"u"}}:{group}"#));
    }

    #[test]
    fn configured_labels_never_replace_an_alerts_own_labels() {
        let mut alert = (*pair_alert("orders", 0)).clone();
        let labels = crate::notify::testing::labels([
            ("pair", "fake"),
            ("severity", "none"),
            ("team", "payments"),
        ]);
        alert.context = std::sync::Arc::new(crate::alert::AlertContext {
            extra_labels: labels,
            ..Default::default()
        });
        let body = body_of(NotifyReason::First, vec![alert.into()]);
        let label = |name: &str| body["alerts"][0]["labels"][name].clone();
        assert_eq!(
            (label("pair"), label("severity"), label("team")),
            ("orders".into(), "critical".into(), "payments".into())
        );
    }
}
