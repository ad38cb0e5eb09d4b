//! One attempt: secrets are read, the payload is made, the request is sent.

mod bot;

use std::sync::Arc;

use serde_json::Value;
use tracing::warn;

use crate::alert::AlertStatus;
use crate::clock;
use crate::config::{
    HttpSettings, NotifySettings, ReceiverKind, ReceiverSettings, SecretSource, TemplateSettings,
    read_small_file, signing_key,
};
use crate::http_client::{HttpClient, HttpRoute};
use crate::model::{Secret, Span};
use crate::notify::message::{Message, MessageContext};
use crate::notify::pagerduty::Incident;
use crate::notify::queue::{Attempt, Opening};
use crate::notify::retry::{AttemptResult, Protocol};
use crate::notify::{pagerduty, signature, slack, webhook};

use super::flights::Gate;

/// The largest file of certificate authorities; the system's own have some 200 KiB.
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// A receiver's settings with what of the others concerns it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::notify) struct ReceiverConfig {
    pub(in crate::notify) settings: ReceiverSettings,
    /// The exporter's identity: part of every dedup key.
    pub(in crate::notify) identity: String,
    pub(in crate::notify) context: MessageContext,
    /// How long groups wait, and how long an alert explains others after its end.
    pub(in crate::notify) group_wait: Span,
}

/// How an attempt ended, and what a resolve will have to match if it was a trigger.
#[derive(Debug)]
pub(in crate::notify) struct Sent {
    /// The rules for the answer.
    pub(in crate::notify) protocol: Protocol,
    pub(in crate::notify) result: AttemptResult,
    pub(in crate::notify) opening: Option<Opening>,
    /// Whether the receiver knows what `opening` says although the attempt as a whole failed.
    pub(in crate::notify) reached: bool,
}

/// What is to be sent, and by whom.
struct Errand {
    client: HttpClient,
    request: Request,
    opening: Opening,
    /// What is sent once the first was taken.
    then: Vec<Request>,
}

/// A request that is ready to be sent.
struct Request {
    url: Secret,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl ReceiverConfig {
    /// One receiver's; what `settings` say of where messages come from goes before what `context`
    /// says.
    pub(in crate::notify) fn of(
        settings: &NotifySettings,
        receiver: &ReceiverSettings,
        context: &MessageContext,
    ) -> Self {
        let mut context = context.clone();
        if !settings.identity.is_empty() {
            context.exporter.clone_from(&settings.identity);
        }
        context.external_url = settings.external_url.clone().or(context.external_url);
        context.template.clone_from(&receiver.template);
        context.dashboard_url = settings.dashboard_url.clone().or(context.dashboard_url);
        Self {
            settings: receiver.clone(),
            identity: settings.identity.clone(),
            context,
            group_wait: settings.group_wait,
        }
    }

    /// The rules for this receiver's answers.
    pub(in crate::notify) fn protocol(&self) -> Protocol {
        match self.settings.kind {
            ReceiverKind::SlackWebhook { .. } => Protocol::Slack,
            ReceiverKind::SlackBot { .. } => Protocol::SlackBot,
            ReceiverKind::PagerDuty { .. } => Protocol::PagerDuty,
            ReceiverKind::Webhook { .. }
            | ReceiverKind::Alertmanager { .. }
            | ReceiverKind::Heartbeat { .. } => Protocol::Webhook,
        }
    }
}

/// Makes `attempt` to deliver. The request leaves when `gate` lets it pass.
pub(in crate::notify) async fn send(
    client: HttpClient,
    config: Arc<ReceiverConfig>,
    attempt: Attempt,
    gate: Gate,
) -> Sent {
    let protocol = config.protocol();
    let (result, opening, reached) =
        if matches!(config.settings.kind, ReceiverKind::SlackBot { .. }) {
            bot::send(&client, &config, &attempt, gate).await
        } else {
            carry_out(&client, &config, &attempt, gate).await
        };
    Sent {
        protocol,
        result,
        opening,
        reached,
    }
}

/// How it ended, what was opened, and whether that is certain.
type Outcome = (AttemptResult, Option<Opening>, bool);

async fn carry_out(
    client: &HttpClient,
    config: &Arc<ReceiverConfig>,
    attempt: &Attempt,
    gate: Gate,
) -> Outcome {
    let (client, of, subject) = (client.clone(), Arc::clone(config), attempt.clone());
    let prepared = blocking(config, move || {
        let (request, opening) = prepare(&of, &subject)?;
        let then = ends_of_older(&of, &subject, &opening);
        Ok(Errand {
            client: on_its_way(&client, &of.settings.http)?,
            request,
            opening,
            then,
        })
    });
    match prepared.await {
        Err(result) => (result, None, false),
        Ok(Errand {
            client,
            request,
            opening,
            then,
        }) => {
            gate.pass(&opening).await;
            let first = post(&client, request).await;
            if then.is_empty() || !is_accepted(&first) {
                return (first, Some(opening), false);
            }
            let mut last = first;
            for request in then {
                last = post(&client, request).await;
                if !is_accepted(&last) {
                    break;
                }
            }
            (last, Some(opening), true)
        }
    }
}

fn is_accepted(result: &AttemptResult) -> bool {
    matches!(result, AttemptResult::Answered(response) if (200..300).contains(&response.status))
}

/// Runs `work` on a thread that may block: a secret's file may lie on a network. What goes wrong is
/// logged.
pub(in crate::notify) async fn blocking<T: Send + 'static>(
    config: &ReceiverConfig,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, AttemptResult> {
    let done = tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err("the program is stopping".to_owned()));
    done.map_err(|problem| {
        warn!(
            receiver = config.settings.name,
            problem, "a secret of this receiver cannot be read"
        );
        AttemptResult::SecretUnreadable
    })
}

async fn post(client: &HttpClient, request: Request) -> AttemptResult {
    let Request { url, headers, body } = request;
    let answer = client.post_json(url.reveal(), &headers, body).await;
    answer.map_or_else(AttemptResult::Failed, AttemptResult::Answered)
}

/// The client for a receiver's own way. Files are read anew, so that rotation needs no restart.
pub(in crate::notify) fn on_its_way(
    client: &HttpClient,
    http: &HttpSettings,
) -> Result<HttpClient, String> {
    let named = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        format!("{}: {error}", path.display())
    };
    let authorities = http.ca_file.as_deref();
    let authorities = authorities
        .map(|path| read_small_file(path, MAX_CA_BYTES).map_err(|error| named(path, &error)));
    let proxy = http.proxy.as_ref().map(read).transpose()?;
    client
        .via(&HttpRoute {
            authorities: authorities.transpose()?,
            proxy,
        })
        .map_err(|error| error.to_string())
}

/// The secret of `source`, as it is now.
pub(in crate::notify) fn read(source: &SecretSource) -> Result<Secret, String> {
    source.read().map_err(|error| error.to_string())
}

/// The values of configured headers, as they are now.
pub(in crate::notify) fn read_headers<'a>(
    headers: impl IntoIterator<Item = (&'a String, &'a SecretSource)>,
) -> Result<Vec<(String, String)>, String> {
    headers
        .into_iter()
        .map(|(name, value)| Ok((name.clone(), read(value)?.reveal().to_owned())))
        .collect()
}

fn prepare(config: &ReceiverConfig, attempt: &Attempt) -> Result<(Request, Opening), String> {
    let message = || {
        let message = Message::new(&attempt.notification, &attempt.anchor, &config.context);
        if let Some(error) = &message.failed_template {
            warn!(
                receiver = config.settings.name,
                error, "a template of this receiver failed: the built-in words are sent"
            );
        }
        message
    };
    let plain = |url, body: Value| {
        (
            Request {
                url,
                headers: Vec::new(),
                body: bytes(&body),
            },
            Opening::Plain,
        )
    };
    match &config.settings.kind {
        ReceiverKind::SlackWebhook { url } => {
            let body = if attempt.plain {
                slack::plain(&message())
            } else {
                slack::rich(&message())
            };
            Ok(plain(read(url)?, body))
        }
        ReceiverKind::PagerDuty { routing_key, url } => {
            let incident = incident(config, attempt, routing_key)?;
            let body = match attempt.notification.status {
                AlertStatus::Firing => pagerduty::trigger(
                    &attempt.notification,
                    &message(),
                    &attempt.anchor,
                    &config.context,
                    &incident,
                ),
                AlertStatus::Resolved => pagerduty::resolve(&incident),
            };
            let (request, _) = plain(Secret::new(url.clone()), body);
            Ok((request, Opening::Incident(incident)))
        }
        ReceiverKind::Webhook {
            url,
            headers,
            secret,
        } => {
            let mut body = webhook::body(
                &attempt.notification,
                &config.identity,
                &attempt.anchor,
                &config.context,
            );
            if config.context.template != TemplateSettings::default() {
                let message = message();
                (body["title"], body["summary"]) =
                    (Value::String(message.title), Value::String(message.summary));
            }
            let (mut request, opening) = plain(read(url)?, body);
            request.headers = webhook_headers(attempt, secret.as_ref(), &request.body)?;
            request.headers.extend(read_headers(headers)?);
            Ok((request, opening))
        }
        ReceiverKind::SlackBot { .. }
        | ReceiverKind::Alertmanager { .. }
        | ReceiverKind::Heartbeat { .. } => Err(
            "this kind of receiver is not told of groups in this way; please report it".to_owned(),
        ),
    }
}

/// What is wrong with secrets and files of receivers as they are now: the receiver and a sentence,
/// for the log. A secret may appear later, so nothing here is final; and no receiver is asked
/// anything, as the only honest question would be noise.
///
/// Blocks for the length of some small files' reads.
pub fn check(settings: &NotifySettings) -> Vec<(String, String)> {
    let problem =
        |receiver: &ReceiverSettings| Some((receiver.name.clone(), unusable(receiver).err()?));
    settings.receivers.iter().filter_map(problem).collect()
}

fn unusable(receiver: &ReceiverSettings) -> Result<(), String> {
    for source in sources(receiver) {
        read(source)?;
    }
    if let ReceiverKind::Webhook {
        secret: Some(secret),
        ..
    } = &receiver.kind
    {
        signing_key(read(secret)?.reveal())
            .map_err(|error| format!("webhook.secret: the value {error}"))?;
    }
    if let Some(path) = &receiver.http.ca_file {
        read_small_file(path, MAX_CA_BYTES)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Where the secrets of a receiver come from.
fn sources(receiver: &ReceiverSettings) -> Vec<&SecretSource> {
    let of_kind: Vec<&SecretSource> = match &receiver.kind {
        ReceiverKind::SlackWebhook { url } => vec![url],
        ReceiverKind::SlackBot { token, .. } => vec![token],
        ReceiverKind::PagerDuty { routing_key, .. } => vec![routing_key],
        ReceiverKind::Webhook {
            url,
            headers,
            secret,
        } => headers
            .values()
            .chain([url])
            .chain(secret.as_ref())
            .collect(),
        ReceiverKind::Alertmanager { headers, .. } => headers.values().collect(),
        ReceiverKind::Heartbeat { url, headers, .. } => headers.values().chain([url]).collect(),
    };
    of_kind
        .into_iter()
        .chain(receiver.http.proxy.as_ref())
        .collect()
}

/// The secrets of a receiver, as far as they can be read: what must not be shown.
pub(in crate::notify) fn secrets_of(receiver: &ReceiverSettings) -> Vec<Secret> {
    sources(receiver)
        .into_iter()
        .filter_map(|source| source.read().ok())
        .collect()
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// The headers by which a receiver knows an attempt that it has seen, and, where there is a secret,
/// its sender.
fn webhook_headers(
    attempt: &Attempt,
    secret: Option<&SecretSource>,
    body: &[u8],
) -> Result<Vec<(String, String)>, String> {
    let id = attempt.id.to_string();
    let mut headers = vec![
        ("webhook-id".to_owned(), id.clone()),
        ("idempotency-key".to_owned(), id.clone()),
    ];
    if let Some(secret) = secret {
        let key = signing_key(read(secret)?.reveal())
            .map_err(|error| format!("webhook.secret: the value {error}"))?;
        headers.extend(signature::headers(&key, &id, clock::wall_now(), body));
    }
    Ok(headers)
}

/// The ends of the incidents that the one in `opening` follows. The new page goes first, so that
/// there is always one.
fn ends_of_older(config: &ReceiverConfig, attempt: &Attempt, opening: &Opening) -> Vec<Request> {
    let (ReceiverKind::PagerDuty { url, .. }, Opening::Incident(new)) =
        (&config.settings.kind, opening)
    else {
        return Vec::new();
    };
    let older = attempt.opened.iter().filter_map(|opening| match opening {
        Opening::Incident(old) if new.follows(old) => Some(old),
        _ => None,
    });
    let end = |old| bytes(&pagerduty::resolve(old));
    older
        .map(|old| Request {
            url: Secret::new(url.clone()),
            headers: Vec::new(),
            body: end(old),
        })
        .collect()
}

/// The incident that `attempt` is about: for a resolve the one that was opened, whatever the key is
/// today.
fn incident(
    config: &ReceiverConfig,
    attempt: &Attempt,
    routing_key: &SecretSource,
) -> Result<Incident, String> {
    if let (AlertStatus::Resolved, Some(Opening::Incident(incident))) =
        (attempt.notification.status, &attempt.opening)
    {
        return Ok(incident.clone());
    }
    let dedup_key = pagerduty::dedup_key(
        &config.identity,
        &attempt.notification.group,
        attempt.notification.generation,
    );
    Ok(Incident {
        routing_key: read(routing_key)?,
        dedup_key,
    })
}
