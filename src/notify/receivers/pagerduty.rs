//! `PagerDuty`, Events API v2
//! (<https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>).
//!
//! Limits: `dedup_key` 255 characters, `summary` 1,024, the whole body 512 KB.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::protocol::{
    Delivery, Exchange, GroupProtocol, Outgoing, OutgoingRequest, ReceiverSecrets, SingleRequest,
};
use super::secrets::read_secret;
use crate::alert::{AlertStatus, GroupKey, Notification};
use crate::config::{PagerDutySettings, SecretSource};
use crate::model::{ClockAnchor, Secret, Span, stable_hash};
use crate::notify::attempt::Attempt;
use crate::notify::context::MessageContext;
use crate::notify::fields::set;
pub use crate::notify::incident::Incident;
use crate::notify::incident::IncidentRef;
use crate::notify::message::{DescribedAlert, Message, direction};
use crate::notify::retry::{AnswerRules, AttemptResult, Timing};
use crate::notify::text::{cut, one_line, rfc3339};

const MAX_DEDUP_KEY: usize = 255;
const MAX_SUMMARY: usize = 1_024;
const MAX_BODY: usize = 512_000;

/// Room for names that have no documented limit.
const MAX_NAME: usize = 255;

/// A link that is longer is left out: half a URL leads nowhere. Nobody documents a limit; browsers'
/// begin at 2,000.
const MAX_URL: usize = 2_000;

/// What the answers of the Events API mean: what their status says, but its rate limits last
/// longer.
#[derive(Clone, Copy, Debug)]
pub struct PagerDutyAnswers;

impl AnswerRules for PagerDutyAnswers {
    fn max_backoff_when_limited(&self, timing: &Timing) -> Span {
        timing.max_backoff_pagerduty_limited
    }
}

impl ReceiverSecrets for PagerDutySettings {
    fn secrets(&self) -> Vec<&SecretSource> {
        vec![&self.routing_key]
    }
}

impl GroupProtocol for PagerDutySettings {
    fn answer_rules(&self) -> &'static dyn AnswerRules {
        &PagerDutyAnswers
    }

    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String> {
        let attempt = delivery.attempt;
        let incident = incident(self, delivery)?;
        let body = match attempt.notification.status {
            AlertStatus::Firing => trigger(
                &attempt.notification,
                &delivery.message(),
                &attempt.anchor,
                delivery.context,
                &incident,
            ),
            AlertStatus::Resolved => resolve(&incident),
        };
        let exchange = IncidentExchange::new(&self.url, &body, incident, attempt);
        Ok(Box::new(exchange))
    }
}

/// The incident that `delivery` is about: for a resolve the one that was opened, even if the
/// routing key has changed since.
fn incident(settings: &PagerDutySettings, delivery: &Delivery<'_>) -> Result<Incident, String> {
    let Attempt {
        notification,
        incident,
        ..
    } = delivery.attempt;
    if notification.status == AlertStatus::Resolved
        && let Some(IncidentRef::PagerDuty(opened)) = incident
    {
        return Ok(opened.clone());
    }
    let identity = delivery.identity;
    Ok(Incident {
        routing_key: read_secret(&settings.routing_key)?,
        dedup_key: dedup_key(identity, &notification.group, notification.generation),
    })
}

/// A `PagerDuty` service that was removed from the configuration while it had incidents open.
/// Nothing but their resolves is sent there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RetiredPagerDuty {
    /// The URL that events are posted to.
    pub(super) url: String,
}

impl ReceiverSecrets for RetiredPagerDuty {
    fn secrets(&self) -> Vec<&SecretSource> {
        Vec::new()
    }
}

impl GroupProtocol for RetiredPagerDuty {
    fn answer_rules(&self) -> &'static dyn AnswerRules {
        &PagerDutyAnswers
    }

    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String> {
        let attempt = delivery.attempt;
        if attempt.notification.status == AlertStatus::Resolved
            && let Some(IncidentRef::PagerDuty(incident)) = &attempt.incident
        {
            let body = resolve(incident);
            let exchange = IncidentExchange::new(&self.url, &body, incident.clone(), attempt);
            return Ok(Box::new(exchange));
        }
        Ok(Box::new(SingleRequest(None)))
    }
}

/// An event about one incident, followed by the resolves of the older incidents that it replaces.
/// The event is sent first, so that there is always an open incident.
struct IncidentExchange {
    incident: Incident,
    event: Option<OutgoingRequest>,
    resolves: VecDeque<OutgoingRequest>,
    has_reached: bool,
}

impl IncidentExchange {
    fn new(url: &str, event: &Value, incident: Incident, attempt: &Attempt) -> Self {
        let request = |body: &Value| OutgoingRequest::new(Secret::new(url), body);
        let mut resolves = VecDeque::new();
        for open in &attempt.open_incidents {
            if let IncidentRef::PagerDuty(older) = open
                && incident.follows(older)
            {
                resolves.push_back(request(&resolve(older)));
            }
        }
        Self {
            incident,
            event: Some(request(event)),
            resolves,
            has_reached: false,
        }
    }
}

impl Exchange for IncidentExchange {
    fn next_request(&mut self, last: Option<&AttemptResult>) -> Option<Outgoing> {
        if let Some(event) = self.event.take() {
            return Some(event.into());
        }
        if !last.is_some_and(AttemptResult::is_success) {
            return None;
        }
        let resolve = self.resolves.pop_front()?;
        self.has_reached = true;
        Some(resolve.into())
    }

    fn incident(&self) -> IncidentRef {
        IncidentRef::PagerDuty(self.incident.clone())
    }

    fn has_reached(&self) -> bool {
        self.has_reached
    }
}

/// Room at a key's end for the mark of a generation: `~` and ten digits.
const GENERATION: usize = 11;

/// The key of `group`'s incident: the same on every exporter with this `identity`, and over
/// restarts. A key that would be too long ends in a hash of itself. Each generation but the first
/// has a key of its own, which makes a new incident.
pub fn dedup_key(identity: &str, group: &GroupKey, generation: u32) -> String {
    let key = group_key(identity, group);
    if generation == 0 {
        key
    } else {
        format!("{key}~{generation}")
    }
}

fn group_key(identity: &str, group: &GroupKey) -> String {
    const ROOM: usize = MAX_DEDUP_KEY - GENERATION;
    let escaped = identity.replace('\\', "\\\\").replace('/', "\\/");
    let key = format!("redis-cross-dc/{escaped}/{}", group.text());
    if key.len() <= ROOM {
        return key;
    }
    // Counted in bytes, because it is not documented what is; a hash takes 16, its mark one.
    let hash = stable_hash([key.as_str()]);
    let mut shortened = key;
    shortened.truncate(shortened.floor_char_boundary(ROOM - 17));
    format!("{shortened}#{hash:016x}")
}

/// The event that opens or updates `incident`.
pub fn trigger(
    notification: &Notification,
    message: &Message,
    anchor: &ClockAnchor,
    context: &MessageContext,
    incident: &Incident,
) -> Value {
    let all = message.alerts.len();
    for described in [all, all.min(3), 1] {
        let event = event(notification, message, anchor, context, incident, described);
        if event.to_string().len() <= MAX_BODY {
            return event;
        }
    }
    event(notification, message, anchor, context, incident, 0)
}

/// The event that ends `incident`.
pub fn resolve(incident: &Incident) -> Value {
    json!({
        "routing_key": incident.routing_key.reveal(),
        "event_action": "resolve",
        "dedup_key": incident.dedup_key,
    })
}

fn event(
    notification: &Notification,
    message: &Message,
    anchor: &ClockAnchor,
    context: &MessageContext,
    incident: &Incident,
    described: usize,
) -> Value {
    let mut event = json!({
        "routing_key": incident.routing_key.reveal(),
        "event_action": "trigger",
        "dedup_key": incident.dedup_key,
        "client": "redis-cross-dc-exporter",
        "payload": payload(notification, message, anchor, described),
    });
    if let Some(url) = &context.external_url {
        set(&mut event, "client_url", cut(url, MAX_URL));
    }
    let links = links(message);
    if !links.is_empty() {
        set(&mut event, "links", links);
    }
    event
}

/// What happened: the part of an event that people and `PagerDuty`'s rules read.
fn payload(
    notification: &Notification,
    message: &Message,
    anchor: &ClockAnchor,
    described: usize,
) -> Value {
    let worst = notification.alerts.first();
    let label = |name: &str| Some(cut(worst?.identity.labels.get(name)?, MAX_NAME));
    let began = worst.map_or(notification.decided_at, |alert| alert.started_at);
    let server = label("replica").or(label("server"));
    let source = server.unwrap_or_else(|| cut(&message.exporter, MAX_NAME));
    let mut payload = json!({
        "summary": cut(&summary(message), MAX_SUMMARY),
        "source": source,
        "severity": message.severity.label(),
        "timestamp": rfc3339(anchor.wall(began)),
        "custom_details": details(message, described),
    });
    if let Some(component) = label("pair").or(label("server")) {
        set(&mut payload, "component", component);
    }
    if let Some(place) = direction(notification).or(label("dc")) {
        set(&mut payload, "group", cut(&place, MAX_NAME));
    }
    if let Some(alert) = worst {
        set(&mut payload, "class", alert.identity.rule.alert_name());
    }
    payload
}

fn links(message: &Message) -> Vec<Value> {
    let mut links = Vec::new();
    for link in &message.links {
        if link.url.len() <= MAX_URL {
            links.push(json!({"href": link.url, "text": link.name}));
        }
    }
    links
}

fn summary(message: &Message) -> String {
    if message.built_in.is_some() {
        return one_line(&message.in_short());
    }
    format!("[{}] {}", message.level(), one_line(&message.summary))
}

/// The details, with the first `described` alerts; the others are counted.
fn details(message: &Message, described: usize) -> Value {
    let described_alerts = message.alerts.iter().take(described);
    let alerts: Vec<_> = described_alerts.map(describe).collect();
    let more = message.more + message.alerts.len() - alerts.len();
    let mut details = json!({
        "title": cut(&message.title, MAX_SUMMARY),
        "reason": message.reason.label(),
        "alerts": alerts,
        "more": more,
        "what_to_do": message.advice,
        "as_of": message.as_of,
        "exporter": cut(&message.exporter, MAX_NAME),
    });
    if !message.silence.is_empty() {
        set(&mut details, "silence", message.silence.join("\n"));
    }
    if let Some(why) = &message.failed_template {
        set(&mut details, "failed_template", why.as_str());
    }
    details
}

fn describe(alert: &DescribedAlert) -> Value {
    let mut described = Map::new();
    described.insert("subject".to_owned(), json!(alert.subject));
    described.insert("level".to_owned(), json!(alert.level()));
    for fact in &alert.facts {
        described.insert(fact.key.to_owned(), json!(fact.text.to_string()));
    }
    Value::Object(described)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::NotifyReason;
    use crate::notify::testing::{
        anchor, context, golden, hostile_names, labels, notification, pair_alert,
    };

    fn incident() -> Incident {
        let group = notification(NotifyReason::First, vec![pair_alert("orders", 0)]).group;
        Incident {
            routing_key: Secret::new("0123456789abcdef0123456789abcdef"),
            dedup_key: dedup_key("eu", &group, 0),
        }
    }

    fn trigger_for(pair: &str, count: usize) -> Value {
        let notification = notification(
            NotifyReason::First,
            (0..count).map(|n| pair_alert(pair, n)).collect(),
        );
        let message = Message::new(&notification, &anchor(), &context());
        trigger(&notification, &message, &anchor(), &context(), &incident())
    }

    #[test]
    fn the_events_match_the_golden_files() {
        golden("pagerduty_trigger.json", &trigger_for("orders", 2));
        golden("pagerduty_resolve.json", &resolve(&incident()));
    }

    /// Both are optional in PagerDuty's schema, and null is not.
    #[test]
    fn unknown_fields_are_left_out_of_an_event() {
        let alert = std::sync::Arc::new(crate::alert::AlertSnapshot {
            identity: crate::alert::AlertIdentity {
                rule: crate::alert::Rule::ReceiverFailing,
                labels: labels([("receiver", "hook")]),
            },
            ..(*pair_alert("orders", 0)).clone()
        });
        let notification = notification(NotifyReason::First, vec![alert]);
        let message = Message::new(&notification, &anchor(), &context());
        let event = trigger(&notification, &message, &anchor(), &context(), &incident());
        let payload = event["payload"].as_object().unwrap();
        assert!(
            !payload.contains_key("component") && !payload.contains_key("group"),
            "{event}"
        );
        assert_eq!(payload["class"], "RedisCrossDcReceiverFailing");
    }

    fn key(identity: &str, pair: &str) -> String {
        dedup_key(identity, &GroupKey(labels([("pair", pair)])), 0)
    }

    #[test]
    fn keys_differ_by_identity_and_by_group() {
        assert_eq!(key("", "orders"), r#"redis-cross-dc//pair="orders""#);
        assert_ne!(key("a", "orders"), key("b", "orders"));
        assert_ne!(key("", "orders"), key("", "sessions"));
    }

    #[test]
    fn long_keys_keep_the_limit_and_still_differ() {
        let room = MAX_DEDUP_KEY - GENERATION - key("", "").len();
        let fits = key("", &"x".repeat(room));
        assert_eq!((fits.len(), fits.contains('#')), (244, false));
        let last = dedup_key(
            "",
            &GroupKey(labels([("pair", &"x".repeat(room))])),
            u32::MAX,
        );
        assert_eq!(last.len(), 255);
        let (one, other) = (
            key("", &"😀".repeat(room)),
            key("", &format!("{}!", "😀".repeat(room))),
        );
        assert!(one.len() <= 255 && other.len() <= 255);
        assert_ne!(one, other);
    }

    #[test]
    fn a_generation_follows_earlier_ones_of_its_group_and_service() {
        let incident = |key: &str, pair: &str, generation| Incident {
            routing_key: Secret::new(key),
            dedup_key: dedup_key("", &GroupKey(labels([("pair", pair)])), generation),
        };
        let new = incident("k", "orders~3", 2);
        for (other, follows) in [
            (incident("k", "orders~3", 0), true),
            (incident("k", "orders~3", 1), true),
            (incident("k", "orders~3", 2), false),
            (incident("k", "orders~3", 3), false),
            (incident("k", "orders", 0), false),
            (incident("other", "orders~3", 0), false),
        ] {
            assert_eq!(new.follows(&other), follows, "{other:?}");
        }
    }

    #[test]
    fn no_name_breaks_a_limit() {
        for name in hostile_names() {
            let event = trigger_for(&name, 20);
            assert!(
                event["payload"]["summary"]
                    .as_str()
                    .unwrap()
                    .encode_utf16()
                    .count()
                    <= 1_024
            );
            assert!(event.to_string().len() <= 512_000);
            assert_eq!(
                event["payload"]["custom_details"]["alerts"]
                    .as_array()
                    .unwrap()
                    .len(),
                20
            );
        }
    }

    #[test]
    fn a_body_that_is_too_large_describes_fewer_alerts_and_is_still_sent() {
        for (size, described) in [(60_000, 3), (200_000, 1), (600_000, 0)] {
            let event = trigger_for(&"x".repeat(size), 20);
            let details = &event["payload"]["custom_details"];
            assert!(event.to_string().len() <= 512_000);
            assert_eq!(
                details["alerts"].as_array().unwrap().len(),
                described,
                "{size}"
            );
            assert_eq!(details["more"], 20 - described);
        }
    }
}
