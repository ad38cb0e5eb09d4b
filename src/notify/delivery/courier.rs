//! One attempt: secrets are read, the payload is made, the request is sent.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use serde_json::Value;
use tracing::warn;

use crate::alert::AlertStatus;
use crate::config::{ReceiverKind, ReceiverSettings, SecretSource};
use crate::http_client::HttpClient;
use crate::model::Secret;
use crate::notify::message::{Message, MessageContext};
use crate::notify::pagerduty::Incident;
use crate::notify::queue::{Attempt, Opening};
use crate::notify::retry::{AttemptResult, Protocol};
use crate::notify::{pagerduty, slack, webhook};

/// More than any secret has: whoever names a device or a log by mistake gets an error, not a full memory.
const MAX_SECRET: u64 = 64 * 1024;

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

/// Makes `attempt` to deliver.
pub(super) async fn send(client: HttpClient, config: Arc<ReceiverConfig>, attempt: Attempt) -> (Attempt, Sent) {
    let protocol = config.protocol();
    let (result, opening) = match prepare_blocking(&config, &attempt).await {
        Err(problem) => {
            warn!(receiver = config.settings.name, problem, "a secret of this receiver cannot be read");
            (AttemptResult::SecretUnreadable, None)
        }
        Ok(request) => {
            let body = request.body.to_string().into_bytes();
            let answer = client.post_json(request.url.reveal(), &request.headers, body).await;
            (answer.map_or_else(AttemptResult::Failed, AttemptResult::Answered), Some(request.opening))
        }
    };
    (attempt, Sent { protocol, result, opening })
}

/// Makes the request on a thread that may block: a secret's file may lie on a network.
async fn prepare_blocking(config: &Arc<ReceiverConfig>, attempt: &Attempt) -> Result<Request, String> {
    let (config, attempt) = (Arc::clone(config), attempt.clone());
    let prepared = tokio::task::spawn_blocking(move || prepare(&config, &attempt)).await;
    prepared.unwrap_or_else(|_| Err("the program is stopping".to_owned()))
}

fn prepare(config: &ReceiverConfig, attempt: &Attempt) -> Result<Request, String> {
    let message = || Message::new(&attempt.notification, &attempt.anchor, &config.context);
    match &config.settings.kind {
        ReceiverKind::SlackWebhook { url } => {
            let body = if attempt.plain { slack::plain(&message()) } else { slack::rich(&message()) };
            Ok(Request { url: read_secret(url)?, headers: Vec::new(), body, opening: Opening::Plain })
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
                all.push((name.clone(), read_secret(value)?.reveal().to_owned()));
            }
            let body = webhook::body(&attempt.notification, &config.identity, &attempt.anchor, &config.context);
            Ok(Request { url: read_secret(url)?, headers: all, body, opening: Opening::Plain })
        }
    }
}

/// The incident that `attempt` is about: for a resolve the one that was opened, whatever the key is today.
fn incident(config: &ReceiverConfig, attempt: &Attempt, routing_key: &SecretSource) -> Result<Incident, String> {
    if let Some(Opening::Incident(incident)) = &attempt.opening {
        return Ok(incident.clone());
    }
    let dedup_key = pagerduty::dedup_key(&config.identity, &attempt.notification.group);
    Ok(Incident { routing_key: read_secret(routing_key)?, dedup_key })
}

/// The secret that `source` holds now.
fn read_secret(source: &SecretSource) -> Result<Secret, String> {
    let path = match source {
        SecretSource::Inline(secret) => return Ok(secret.clone()),
        SecretSource::File(path) => path,
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_SECRET + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(_) if text.len() as u64 > MAX_SECRET => Err(format!("{}: larger than 64 KiB", path.display())),
        Ok(_) if text.trim().is_empty() => Err(format!("{}: the file is empty", path.display())),
        Ok(_) => Ok(Secret::new(text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_is_read_without_the_space_around_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let source = SecretSource::File(path.clone());
        let read_as = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_secret(&source)
        };
        assert_eq!(read_as(" hunter2\n"), Ok(Secret::new("hunter2")));
        assert!(read_as(" \n").unwrap_err().ends_with("the file is empty"));
        assert!(read_as(&"x".repeat(70_000)).unwrap_err().ends_with("larger than 64 KiB"));
        std::fs::remove_file(&path).unwrap();
        assert!(read_secret(&source).unwrap_err().contains("secret: No such file"));
    }
}
