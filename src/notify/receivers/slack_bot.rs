//! A Slack bot, through Slack's Web API
//! (<https://docs.slack.dev/reference/methods/chat.postMessage>, `chat.update`).
//!
//! Each alert group has one message. It is edited at every notification, which alerts nobody;
//! changes that people must notice are repeated in the message's thread, and shown in the channel
//! too unless the group resolved.

use serde_json::{Value, json};

use super::protocol::{
    Delivery, Exchange, GroupProtocol, Outgoing, OutgoingRequest, ReceiverSecrets,
};
use super::secrets::read_secret;
use super::slack;
use crate::alert::{AlertStatus, NotifyReason};
use crate::config::{SecretSource, SlackBotSettings, SlackMention};
use crate::delivery::DeliveryFailure;
use crate::http_client::HttpResponse;
use crate::model::{Secret, Span};
use crate::notify::attempt::Attempt;
use crate::notify::fields::set;
use crate::notify::incident::{IncidentRef, PostedMessage};
use crate::notify::message::Message;
use crate::notify::retry::{AnswerMeaning, AnswerRules, AttemptResult, Timing, meaning_of_status};
use crate::notify::text::slack_escape;

/// The outcome that an answer of the Web API reports. The HTTP status is 200 even for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiOutcome {
    /// The call succeeded.
    Done,
    /// The layout is not acceptable.
    LayoutRefused,
    /// The message cannot be edited: it was deleted, or is too old.
    Uneditable,
    /// Too many requests.
    RateLimited,
    /// A failure on Slack's side.
    Unavailable,
    /// The token is invalid, or lacks a permission.
    Denied,
    /// Any other error; a repetition would fail, too.
    Refused,
    /// It is not an answer of the Web API; perhaps it is the login page of a proxy.
    Unknown,
}

/// What the answers of the Web API mean.
#[derive(Clone, Copy, Debug)]
pub struct SlackBotAnswers;

impl AnswerRules for SlackBotAnswers {
    fn interpret(&self, response: &HttpResponse, plain: bool) -> AnswerMeaning {
        if !(200..300).contains(&response.status) {
            return meaning_of_status(response.status);
        }
        match ApiOutcome::parse(&response.body) {
            ApiOutcome::Done => AnswerMeaning::Accepted,
            ApiOutcome::LayoutRefused if !plain => AnswerMeaning::LayoutRefused,
            ApiOutcome::LayoutRefused | ApiOutcome::Uneditable | ApiOutcome::Refused => {
                AnswerMeaning::Refused(DeliveryFailure::Client)
            }
            ApiOutcome::RateLimited => AnswerMeaning::RateLimited,
            ApiOutcome::Unavailable => AnswerMeaning::Unavailable(DeliveryFailure::Server),
            ApiOutcome::Denied => AnswerMeaning::Refused(DeliveryFailure::Auth),
            ApiOutcome::Unknown => AnswerMeaning::Unconfirmed,
        }
    }

    fn pace(&self, timing: &Timing) -> Option<Span> {
        Some(timing.slack_pace)
    }
}

impl ReceiverSecrets for SlackBotSettings {
    fn secrets(&self) -> Vec<&SecretSource> {
        vec![&self.token]
    }
}

impl GroupProtocol for SlackBotSettings {
    fn answer_rules(&self) -> &'static dyn AnswerRules {
        &SlackBotAnswers
    }

    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String> {
        Ok(Box::new(BotExchange {
            token: read_secret(&self.token)?,
            api_url: self.api_url.clone(),
            channel: self.channel.clone(),
            mention: self.mention.clone(),
            message: delivery.message(),
            plain: delivery.attempt.plain,
            posted: self.message_to_edit(delivery.attempt),
            last_call: None,
            has_reached: false,
        }))
    }
}

impl SlackBotSettings {
    /// The message that the attempt edits: for a resolve the one that reported the alert, else the
    /// group's message in the channel that is configured now.
    fn message_to_edit(&self, attempt: &Attempt) -> Option<PostedMessage> {
        if attempt.notification.status == AlertStatus::Resolved {
            let Some(IncidentRef::SlackMessage(posted)) = &attempt.incident else {
                return None;
            };
            return Some(posted.clone());
        }
        for open in &attempt.open_incidents {
            if let IncidentRef::SlackMessage(posted) = open
                && posted.configured == self.channel
            {
                return Some(posted.clone());
            }
        }
        None
    }
}

/// The calls of one attempt: a message is posted, or edited and replied to in its thread. A message
/// that cannot be edited, because somebody deleted it, is posted again.
struct BotExchange {
    token: Secret,
    api_url: String,
    channel: String,
    /// Who is mentioned where it is critical.
    mention: Vec<SlackMention>,
    message: Message,
    plain: bool,
    /// The message, as far as its place is known.
    posted: Option<PostedMessage>,
    last_call: Option<BotCall>,
    has_reached: bool,
}

#[derive(Clone, Copy, Debug)]
enum BotCall {
    Post,
    Edit,
    Reply,
}

impl Exchange for BotExchange {
    fn next_request(&mut self, last: Option<&AttemptResult>) -> Option<Outgoing> {
        let request = match self.last_call {
            None => Some(self.first_request()),
            Some(BotCall::Post) => {
                let body = last?.success_body()?;
                self.posted = posted(body, &self.channel);
                None
            }
            Some(BotCall::Edit) => {
                let body = last?.success_body()?;
                self.after_edit(ApiOutcome::parse(body))
            }
            Some(BotCall::Reply) => None,
        };
        request.map(Outgoing::from)
    }

    /// The place of a new message is in the answer. Without an answer it may have been posted all
    /// the same, so that its resolve has to be sent.
    fn incident(&self) -> IncidentRef {
        match &self.posted {
            Some(posted) => IncidentRef::SlackMessage(posted.clone()),
            None => IncidentRef::Unnamed,
        }
    }

    fn has_reached(&self) -> bool {
        self.has_reached
    }
}

impl BotExchange {
    fn first_request(&mut self) -> OutgoingRequest {
        match &self.posted {
            Some(posted) => {
                let body = update(&self.message, self.plain, posted);
                self.call(BotCall::Edit, &body)
            }
            None => self.post(),
        }
    }

    fn post(&mut self) -> OutgoingRequest {
        let mut body = post(&self.message, self.plain, &self.channel);
        slack::mention(&mut body, &self.message, &self.mention);
        self.call(BotCall::Post, &body)
    }

    fn after_edit(&mut self, outcome: ApiOutcome) -> Option<OutgoingRequest> {
        match outcome {
            ApiOutcome::Uneditable => {
                self.posted = None;
                Some(self.post())
            }
            ApiOutcome::Done => {
                self.has_reached = true;
                let mut body = reply(&self.message, self.posted.as_ref()?)?;
                slack::mention(&mut body, &self.message, &self.mention);
                Some(self.call(BotCall::Reply, &body))
            }
            _ => None,
        }
    }

    fn call(&mut self, call: BotCall, body: &Value) -> OutgoingRequest {
        self.last_call = Some(call);
        let method = match call {
            BotCall::Post | BotCall::Reply => "chat.postMessage",
            BotCall::Edit => "chat.update",
        };
        let url = Secret::new(format!("{}/{method}", self.api_url));
        let mut request = OutgoingRequest::new(url, body);
        let authorization = format!("Bearer {}", self.token.reveal());
        // Without the character set Slack answers with the warning missing_charset.
        let content_type = "application/json; charset=utf-8".to_owned();
        request.headers = vec![
            ("authorization".to_owned(), authorization),
            ("content-type".to_owned(), content_type),
        ];
        request
    }
}

/// Posts `message` to `channel`: the body for `chat.postMessage`.
pub fn post(message: &Message, plain: bool, channel: &str) -> Value {
    let mut body = slack::body(message, plain);
    set(&mut body, "channel", channel);
    set(&mut body, "unfurl_links", false);
    set(&mut body, "unfurl_media", false);
    body
}

/// Changes what was posted: the body for `chat.update`.
pub fn update(message: &Message, plain: bool, posted: &PostedMessage) -> Value {
    let mut body = slack::body(message, plain);
    if plain {
        // A field that is left out keeps its old value.
        set(&mut body, "blocks", Vec::<Value>::new());
        set(&mut body, "attachments", Vec::<Value>::new());
    }
    set(&mut body, "channel", posted.channel.as_str());
    set(&mut body, "ts", posted.ts.as_str());
    body
}

/// Posts in the thread what changed, if people must notice it: the body for `chat.postMessage`.
pub fn reply(message: &Message, posted: &PostedMessage) -> Option<Value> {
    let begin = match message.reason {
        NotifyReason::First
        | NotifyReason::Escalated
        | NotifyReason::Flapping
        | NotifyReason::Resolved => "",
        NotifyReason::NewInGroup => "New in this group. ",
        NotifyReason::HappenedAgain => "Once more. ",
        NotifyReason::Repeat => "Still so. ",
        NotifyReason::Deescalated | NotifyReason::PartlyResolved => return None,
    };
    let shown_in_channel = message.reason != NotifyReason::Resolved;
    let text = format!("{begin}{}", message.in_short());
    Some(json!({
        "channel": posted.channel,
        "thread_ts": posted.ts,
        "reply_broadcast": shown_in_channel,
        "text": slack_escape(&text, slack::MAX_SECTION),
        "unfurl_links": false,
        "unfurl_media": false,
    }))
}

/// The place of a message that was posted, from the answer to `chat.postMessage`.
pub fn posted(answer: &str, configured: &str) -> Option<PostedMessage> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    Some(PostedMessage {
        configured: configured.to_owned(),
        channel: bounded_id(answer.get("channel")?)?,
        ts: bounded_id(answer.get("ts")?)?,
    })
}

/// The longest ID that is taken from an answer; real ones have some twenty characters, and they are
/// kept on the disk.
const MAX_ID: usize = 64;

fn bounded_id(value: &Value) -> Option<String> {
    let id = value.as_str()?;
    if id.len() > MAX_ID {
        return None;
    }
    Some(id.to_owned())
}

impl ApiOutcome {
    /// The outcome that the body of an answer reports.
    pub fn parse(body: &str) -> Self {
        let Ok(answer) = serde_json::from_str::<Value>(body) else {
            return Self::Unknown;
        };
        let is_ok = answer.get("ok").and_then(Value::as_bool);
        let error = answer.get("error").and_then(Value::as_str);
        match (is_ok, error) {
            (Some(true), _) => Self::Done,
            (Some(false), Some(error)) => Self::from_error(error),
            (Some(false), None) => Self::Unavailable,
            (None, _) => Self::Unknown,
        }
    }

    /// Slack's list of errors is open. One that is not known here counts as final, as most of the
    /// known ones are.
    fn from_error(error: &str) -> Self {
        match error {
            "ratelimited" | "rate_limited" | "message_limit_exceeded" => Self::RateLimited,
            "internal_error"
            | "fatal_error"
            | "service_unavailable"
            | "request_timeout"
            | "team_added_to_org"
            | "accesslimited" => Self::Unavailable,
            "invalid_auth"
            | "not_authed"
            | "account_inactive"
            | "token_revoked"
            | "token_expired"
            | "missing_scope"
            | "no_permission"
            | "not_allowed_token_type"
            | "access_denied"
            | "org_login_required"
            | "two_factor_setup_required"
            | "ekm_access_denied" => Self::Denied,
            "invalid_blocks"
            | "invalid_blocks_format"
            | "invalid_attachments"
            | "too_many_attachments"
            | "msg_too_long"
            | "msg_blocks_too_long"
            | "no_text"
            | "invalid_payload" => Self::LayoutRefused,
            "message_not_found"
            | "cant_update_message"
            | "edit_window_closed"
            | "thread_not_found" => Self::Uneditable,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::testing::{
        anchor, context, golden, hostile_names, notification, pair_alert, resolved,
    };

    fn message(reason: NotifyReason, pair: &str) -> Message {
        let alert = pair_alert(pair, 0);
        let alert = if reason == NotifyReason::Resolved {
            resolved(alert)
        } else {
            alert
        };
        Message::new(&notification(reason, vec![alert]), &anchor(), &context())
    }

    fn at() -> PostedMessage {
        PostedMessage {
            configured: "#redis".to_owned(),
            channel: "C024BE91L".to_owned(),
            ts: "1700000000.000200".to_owned(),
        }
    }

    #[test]
    fn the_bodies_match_the_golden_files() {
        golden(
            "slack_bot_post.json",
            &post(&message(NotifyReason::First, "orders"), false, "#redis"),
        );
        golden(
            "slack_bot_update.json",
            &update(&message(NotifyReason::Resolved, "orders"), false, &at()),
        );
        golden(
            "slack_bot_reply.json",
            &reply(&message(NotifyReason::Resolved, "orders"), &at()).unwrap(),
        );
    }

    #[test]
    fn only_changes_that_people_must_notice_are_posted_in_the_thread() {
        let shown =
            |reason| Some(reply(&message(reason, "orders"), &at())?["reply_broadcast"].clone());
        for (reason, expected) in [
            (NotifyReason::First, Some(true)),
            (NotifyReason::Escalated, Some(true)),
            (NotifyReason::NewInGroup, Some(true)),
            (NotifyReason::Repeat, Some(true)),
            (NotifyReason::Deescalated, None),
            (NotifyReason::PartlyResolved, None),
            (NotifyReason::Resolved, Some(false)),
        ] {
            assert_eq!(shown(reason), expected.map(Value::from), "{reason:?}");
        }
    }

    #[test]
    fn a_plain_update_removes_the_layout() {
        let body = update(&message(NotifyReason::First, "orders"), true, &at());
        assert_eq!(
            (&body["blocks"], &body["attachments"]),
            (&json!([]), &json!([]))
        );
        assert!(body["text"].as_str().unwrap().contains("orders"));
    }

    #[test]
    fn no_name_breaks_a_limit_or_mentions_anybody() {
        for name in hostile_names() {
            let text = reply(&message(NotifyReason::First, &name), &at()).unwrap()["text"].clone();
            let text = text.as_str().unwrap();
            assert!(
                text.encode_utf16().count() <= slack::MAX_SECTION && !text.contains(['<', '>'])
            );
        }
    }

    #[test]
    fn answers_mean_what_slack_documents() {
        for (body, expected) in [
            (r#"{"ok":true,"ts":"1"}"#, ApiOutcome::Done),
            (
                r#"{"ok":false,"error":"ratelimited"}"#,
                ApiOutcome::RateLimited,
            ),
            (
                r#"{"ok":false,"error":"internal_error"}"#,
                ApiOutcome::Unavailable,
            ),
            (r#"{"ok":false}"#, ApiOutcome::Unavailable),
            (r#"{"ok":false,"error":"invalid_auth"}"#, ApiOutcome::Denied),
            (
                r#"{"ok":false,"error":"invalid_blocks"}"#,
                ApiOutcome::LayoutRefused,
            ),
            (
                r#"{"ok":false,"error":"message_not_found"}"#,
                ApiOutcome::Uneditable,
            ),
            (r#"{"ok":false,"error":"is_archived"}"#, ApiOutcome::Refused),
            (
                r#"{"ok":false,"error":"made_up_tomorrow"}"#,
                ApiOutcome::Refused,
            ),
            ("<html>please log in</html>", ApiOutcome::Unknown),
            ("ok", ApiOutcome::Unknown),
            ("[]", ApiOutcome::Unknown),
        ] {
            assert_eq!(ApiOutcome::parse(body), expected, "{body}");
        }
    }

    #[test]
    fn the_place_of_a_posted_message_is_read_from_the_answer() {
        let answer = r#"{"ok":true,"channel":"C024BE91L","ts":"1700000000.000200"}"#;
        assert_eq!(posted(answer, "#redis"), Some(at()));
        assert_eq!(posted(r#"{"ok":true}"#, "#redis"), None);
        let long = answer.replace("C024BE91L", &"C".repeat(65));
        assert_eq!(posted(&long, "#redis"), None);
    }
}
