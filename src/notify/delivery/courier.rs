//! One attempt: secrets are read, the payload is made, the request is sent.

use std::sync::Arc;

use serde_json::Value;
use tracing::warn;

use crate::alert::AlertStatus;
use crate::config::{ReceiverKind, ReceiverSettings, SecretError, SecretSource};
use crate::http_client::HttpClient;
use crate::model::Secret;
use crate::notify::message::{Message, MessageContext};
use crate::notify::pagerduty::Incident;
use crate::notify::queue::{Attempt, Opening};
use crate::notify::retry::{AttemptResult, Protocol};
use crate::notify::{pagerduty, slack, webhook};

use super::flights::Gate;

/// A receiver's settings with what of the others concerns it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReceiverConfig {
    pub(super) settings: ReceiverSettings,
    /// The exporter's identity: part of every dedup key.
    pub(super) identity: String,
    pub(super) context: MessageContext,
}

/// How an attempt ended, and what a resolve will have to match if it was a trigger.
#[derive(Debug)]
pub(super) struct Sent {
    /// The rules for the answer.
    pub(super) protocol: Protocol,
    pub(super) result: AttemptResult,
    pub(super) opening: Option<Opening>,
}

/// A request that is ready to be sent.
struct Request {
    url: Secret,
    headers: Vec<(String, String)>,
    body: Value,
    opening: Opening,
}

impl ReceiverConfig {
    /// The rules for this receiver's answers.
    pub(super) fn protocol(&self) -> Protocol {
        match self.settings.kind {
            ReceiverKind::SlackWebhook { .. } => Protocol::Slack,
            ReceiverKind::PagerDuty { .. } => Protocol::PagerDuty,
            ReceiverKind::Webhook { .. } => Protocol::Webhook,
        }
    }
}

/// Makes `attempt` to deliver. The request leaves when `gate` lets it pass.
pub(super) async fn send(client: HttpClient, config: Arc<ReceiverConfig>, attempt: Attempt, gate: Gate) -> Sent {
    let protocol = config.protocol();
    let (result, opening) = match prepare_blocking(&config, &attempt).await {
        Err(problem) => {
            warn!(receiver = config.settings.name, problem, "a secret of this receiver cannot be read");
            (AttemptResult::SecretUnreadable, None)
        }
        Ok(request) => {
            let body = request.body.to_string().into_bytes();
            gate.pass(&request.opening).await;
            let answer = client.post_json(request.url.reveal(), &request.headers, body).await;
            (answer.map_or_else(AttemptResult::Failed, AttemptResult::Answered), Some(request.opening))
        }
    };
    Sent { protocol, result, opening }
}

/// Makes the request on a thread that may block: a secret's file may lie on a network.
async fn prepare_blocking(config: &Arc<ReceiverConfig>, attempt: &Attempt) -> Result<Request, String> {
    let (config, attempt) = (Arc::clone(config), attempt.clone());
    let prepared = tokio::task::spawn_blocking(move || prepare(&config, &attempt)).await;
    match prepared {
        Ok(request) => request.map_err(|error| error.to_string()),
        Err(_) => Err("the program is stopping".to_owned()),
    }
}

fn prepare(config: &ReceiverConfig, attempt: &Attempt) -> Result<Request, SecretError> {
    let message = || Message::new(&attempt.notification, &attempt.anchor, &config.context);
    match &config.settings.kind {
        ReceiverKind::SlackWebhook { url } => {
            let body = if attempt.plain { slack::plain(&message()) } else { slack::rich(&message()) };
            Ok(Request { url: url.read()?, headers: Vec::new(), body, opening: Opening::Plain })
        }
        ReceiverKind::PagerDuty { routing_key, url } => {
            let incident = incident(config, attempt, routing_key)?;
            let body = match attempt.notification.status {
                AlertStatus::Firing => {
                    pagerduty::trigger(&attempt.notification, &message(), &attempt.anchor, &config.context, &incident)
                }
                AlertStatus::Resolved => pagerduty::resolve(&incident),
            };
            let opening = Opening::Incident(incident);
            Ok(Request { url: Secret::new(url.clone()), headers: Vec::new(), body, opening })
        }
        ReceiverKind::Webhook { url, headers } => {
            let id = attempt.id.to_string();
            let mut all = vec![("webhook-id".to_owned(), id.clone()), ("idempotency-key".to_owned(), id)];
            for (name, value) in headers {
                all.push((name.clone(), value.read()?.reveal().to_owned()));
            }
            let body = webhook::body(&attempt.notification, &config.identity, &attempt.anchor, &config.context);
            Ok(Request { url: url.read()?, headers: all, body, opening: Opening::Plain })
        }
    }
}

/// The incident that `attempt` is about: for a resolve the one that was opened, whatever the key is today.
fn incident(config: &ReceiverConfig, attempt: &Attempt, routing_key: &SecretSource) -> Result<Incident, SecretError> {
    if let Some(Opening::Incident(incident)) = &attempt.opening {
        return Ok(incident.clone());
    }
    let dedup_key = pagerduty::dedup_key(&config.identity, &attempt.notification.group);
    Ok(Incident { routing_key: routing_key.read()?, dedup_key })
}
