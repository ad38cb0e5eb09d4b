//! Slack's incoming webhooks
//! (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).

use super::protocol::{
    Delivery, Exchange, GroupProtocol, OutgoingRequest, ReceiverSecrets, SingleRequest,
};
use super::secrets::read_secret;
use super::slack;
use crate::config::{SecretSource, SlackWebhookSettings};
use crate::delivery::DeliveryFailure;
use crate::http_client::HttpResponse;
use crate::model::Span;
use crate::notify::retry::{AnswerMeaning, AnswerRules, Timing, meaning_of_status};

/// The errors of a body whose layout Slack does not accept.
const LAYOUT_ERRORS: [&str; 4] = [
    "invalid_payload",
    "invalid_blocks",
    "invalid_attachments",
    "no_text",
];

/// What the answers of an incoming webhook mean: success is the body `ok`, and errors have names.
#[derive(Clone, Copy, Debug)]
pub struct SlackWebhookAnswers;

impl AnswerRules for SlackWebhookAnswers {
    fn interpret(&self, response: &HttpResponse, plain: bool) -> AnswerMeaning {
        let body = response.body.trim();
        let refuses_layout = || LAYOUT_ERRORS.iter().any(|error| body.contains(error));
        match response.status {
            200..300 if body != "ok" => AnswerMeaning::Unconfirmed,
            400 if !plain && refuses_layout() => AnswerMeaning::LayoutRefused,
            410 if body == "channel_is_archived" => AnswerMeaning::Refused(DeliveryFailure::Client),
            status => meaning_of_status(status),
        }
    }

    fn pace(&self, timing: &Timing) -> Option<Span> {
        Some(timing.slack_pace)
    }
}

impl ReceiverSecrets for SlackWebhookSettings {
    fn secrets(&self) -> Vec<&SecretSource> {
        vec![&self.url]
    }
}

impl GroupProtocol for SlackWebhookSettings {
    fn answer_rules(&self) -> &'static dyn AnswerRules {
        &SlackWebhookAnswers
    }

    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String> {
        let message = delivery.message();
        let mut body = slack::body(&message, delivery.attempt.plain);
        slack::mention(&mut body, &message, &self.mention);
        let request = OutgoingRequest::new(read_secret(&self.url)?, &body);
        Ok(Box::new(SingleRequest(Some(request))))
    }
}
