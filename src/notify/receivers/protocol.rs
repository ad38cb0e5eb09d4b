//! The traits that each kind of receiver implements: its secrets, its requests and the meaning of
//! its answers.

use serde_json::Value;
use tracing::warn;

use crate::config::{SecretSource, WebhookMethod};
use crate::model::{Secret, WallTime};
use crate::notify::attempt::Attempt;
use crate::notify::context::MessageContext;
use crate::notify::incident::IncidentRef;
use crate::notify::message::Message;
use crate::notify::retry::{AnswerRules, AttemptResult};
use crate::notify::templates;
use crate::smtp::{Mail, MailServer};

/// The secrets of one kind of receiver.
pub(in crate::notify) trait ReceiverSecrets {
    /// The source of every secret that its requests need.
    fn secrets(&self) -> Vec<&SecretSource>;

    /// Checks secrets that can be read; the error is a sentence for the log.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The protocol of one kind of group receiver: its requests, and what its answers mean.
pub(in crate::notify) trait GroupProtocol: ReceiverSecrets {
    /// What the receiver's answers mean.
    fn answer_rules(&self) -> &'static dyn AnswerRules;

    /// Prepares the requests of one attempt. Blocks while it reads secrets from files; the error
    /// names the one that cannot be read.
    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String>;
}

/// The requests of one attempt, each of which may depend on the answer to the one before.
pub(in crate::notify) trait Exchange: Send {
    /// The next request, after `last` was the result of the one before; `None` when the attempt is
    /// over.
    fn next_request(&mut self, last: Option<&AttemptResult>) -> Option<Outgoing>;

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

/// What an attempt sends.
pub(in crate::notify) enum Outgoing {
    /// An HTTP request.
    Http(OutgoingRequest),
    /// A mail, and the server that takes it.
    Mail(Box<MailServer>, Mail),
}

impl From<OutgoingRequest> for Outgoing {
    fn from(request: OutgoingRequest) -> Self {
        Self::Http(request)
    }
}

/// An HTTP request that is ready to be sent.
pub(in crate::notify) struct OutgoingRequest {
    /// The method.
    pub(in crate::notify) method: WebhookMethod,
    /// The URL, which may hold a secret.
    pub(in crate::notify) url: Secret,
    /// Headers in addition to those that every request has.
    pub(in crate::notify) headers: Vec<(String, String)>,
    /// The body: JSON, unless the headers have another content type.
    pub(in crate::notify) body: Vec<u8>,
}

/// One attempt, and what its requests are made of.
pub(in crate::notify) struct Delivery<'a> {
    /// The notification, and the incidents that its receiver has open for the group.
    pub(in crate::notify) attempt: &'a Attempt,
    /// The receiver's name.
    pub(in crate::notify) receiver: &'a str,
    /// The exporter's identity, which is part of every deduplication key.
    pub(in crate::notify) identity: &'a str,
    /// Where messages come from and what they link to.
    pub(in crate::notify) context: &'a MessageContext,
    /// The time of the attempt.
    pub(in crate::notify) now: WallTime,
}

impl Delivery<'_> {
    /// The message for people. A template that fails is logged.
    pub(in crate::notify) fn message(&self) -> Message {
        let Attempt {
            notification,
            anchor,
            ..
        } = self.attempt;
        let message = templates::message(notification, anchor, self.context);
        if let Some(error) = &message.failed_template {
            warn!(
                receiver = self.receiver,
                error, "a template of this receiver failed: the built-in words are sent"
            );
        }
        message
    }
}

impl OutgoingRequest {
    /// A request of `body` to `url`, with POST and without further headers.
    pub(in crate::notify) fn new(url: Secret, body: &Value) -> Self {
        Self {
            method: WebhookMethod::Post,
            url,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

/// An exchange of a single request, or of none, after which the receiver has no named incident
/// open.
pub(in crate::notify) struct SingleRequest(pub(in crate::notify) Option<OutgoingRequest>);

impl Exchange for SingleRequest {
    fn next_request(&mut self, _: Option<&AttemptResult>) -> Option<Outgoing> {
        self.0.take().map(Outgoing::from)
    }
}
