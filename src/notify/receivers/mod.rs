//! The kinds of receivers, one file each: their requests, their keys, and what their answers mean.
//!
//! **Invariant:** nothing here sends. A group receiver prepares an [`Exchange`], which names one
//! request after the other; `dispatch` sends them. The only IO is the read of secrets, which may
//! lie in files: [`GroupProtocol::prepare`] runs where it may block.

pub mod alertmanager;
mod config;
pub(super) mod dead_mans_switch;
pub mod pagerduty;
mod secrets;
pub mod signature;
pub mod slack;
pub mod slack_bot;
pub mod slack_webhook;
pub mod webhook;

use serde_json::Value;
use tracing::warn;

pub(super) use config::{GroupConfig, PeriodicConfig};
pub use secrets::check;
pub(super) use secrets::{blocking, client_for, read_headers, read_secret, readable_secrets};

use super::message::Message;
use super::queue::{Attempt, IncidentRef};
use super::retry::{AnswerRules, AttemptResult};
use crate::config::{GroupReceiver, PeriodicReceiver, ReceiverKind, SecretSource};
use crate::model::{Secret, WallTime};

/// Where the secrets of a receiver come from.
pub(super) trait ReceiverSecrets {
    /// The source of every secret that its requests need.
    fn secrets(&self) -> Vec<&SecretSource>;

    /// Says what is wrong with secrets that can be read.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// How one kind of group receiver is spoken to.
pub(super) trait GroupProtocol: ReceiverSecrets {
    /// What the receiver's answers mean.
    fn answer_rules(&self) -> &'static dyn AnswerRules;

    /// Prepares the requests of one attempt. Blocks while it reads secrets from files; the error
    /// says which one cannot be read.
    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String>;
}

/// The requests of one attempt, each of which may depend on the answer to the one before.
pub(super) trait Exchange: Send {
    /// The next request, after `last` was the result of the one before; `None` when the attempt is
    /// over.
    fn next_request(&mut self, last: Option<&AttemptResult>) -> Option<OutgoingRequest>;

    /// What the receiver has open after the requests so far, or may have open after the first one.
    fn incident(&self) -> IncidentRef {
        IncidentRef::Unnamed
    }

    /// Whether the receiver has [`Self::incident`] open for certain, even if the attempt as a whole
    /// fails.
    fn has_reached(&self) -> bool {
        false
    }
}

/// An HTTP request that is ready to be sent with POST.
pub(super) struct OutgoingRequest {
    /// The URL, which may hold a secret.
    pub(super) url: Secret,
    /// Headers besides those of the connection.
    pub(super) headers: Vec<(String, String)>,
    /// The body, JSON.
    pub(super) body: Vec<u8>,
}

/// One attempt, and what its requests are made of.
pub(super) struct Delivery<'a> {
    /// The notification and what its receiver knows of the group.
    pub(super) attempt: &'a Attempt,
    /// The receiver.
    pub(super) config: &'a GroupConfig,
    /// The time of the attempt.
    pub(super) now: WallTime,
}

impl Delivery<'_> {
    /// The message for people. A template that fails is logged.
    pub(super) fn message(&self) -> Message {
        let Attempt {
            notification,
            anchor,
            ..
        } = self.attempt;
        let message = Message::new(notification, anchor, &self.config.context);
        if let Some(error) = &message.failed_template {
            warn!(
                receiver = self.config.name,
                error, "a template of this receiver failed: the built-in words are sent"
            );
        }
        message
    }
}

impl OutgoingRequest {
    /// A request of `body` to `url` without further headers.
    pub(super) fn new(url: Secret, body: &Value) -> Self {
        Self {
            url,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

/// An exchange of a single request, or of none, by which the receiver learns no name.
pub(super) struct SingleRequest(pub(super) Option<OutgoingRequest>);

impl Exchange for SingleRequest {
    fn next_request(&mut self, _: Option<&AttemptResult>) -> Option<OutgoingRequest> {
        self.0.take()
    }
}

/// The protocol of a group receiver.
pub(super) fn protocol(receiver: &GroupReceiver) -> &dyn GroupProtocol {
    match receiver {
        GroupReceiver::SlackWebhook(webhook) => webhook,
        GroupReceiver::SlackBot(bot) => bot,
        GroupReceiver::PagerDuty(pagerduty) => pagerduty,
        GroupReceiver::Webhook(webhook) => webhook,
    }
}

/// The secrets of a receiver of any kind.
fn secrets_of(kind: &ReceiverKind) -> &dyn ReceiverSecrets {
    match kind {
        ReceiverKind::Group(GroupReceiver::SlackWebhook(webhook)) => webhook,
        ReceiverKind::Group(GroupReceiver::SlackBot(bot)) => bot,
        ReceiverKind::Group(GroupReceiver::PagerDuty(pagerduty)) => pagerduty,
        ReceiverKind::Group(GroupReceiver::Webhook(webhook)) => webhook,
        ReceiverKind::Periodic(PeriodicReceiver::Alertmanager(alertmanager)) => alertmanager,
        ReceiverKind::Periodic(PeriodicReceiver::DeadMansSwitch(switch)) => switch,
    }
}
