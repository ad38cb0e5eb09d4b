//! Requests to Slack's Web API by a bot, whose message about a group changes in place, and what its
//! answers mean (<https://docs.slack.dev/reference/methods/chat.postMessage>, `chat.update`).
//!
//! A group has one message. It is changed whenever there is something to say, which notifies
//! nobody; what a person has to hear of is said again in the message's thread, shown in the channel
//! too unless it is the end.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::alert::NotifyReason;

use super::message::Message;
use super::slack;
use super::text::slack_escape;

/// A message that was posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// The channel as configured when it was posted: a message in another channel than today's is
    /// not changed but ended.
    pub configured: String,
    /// The channel's ID, as Slack said it: a name is not enough to change a message.
    pub channel: String,
    /// The message's ID, as Slack said it.
    pub ts: String,
}

/// What an answer of the Web API says. Its status is 200 even when it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was done.
    Done,
    /// The layout is not acceptable.
    Layout,
    /// The message that was to be changed cannot be changed: it was deleted, or is too old.
    Fixed,
    /// Too many requests.
    Limited,
    /// Slack has trouble of its own.
    Trouble,
    /// The token is not good, or not for this.
    Denied,
    /// It will never be done.
    Refused,
    /// It is no answer of the Web API: a login page of a proxy perhaps.
    Nonsense,
}

/// Posts `message` to `channel`: the body for `chat.postMessage`.
pub fn post(message: &Message, plain: bool, channel: &str) -> Value {
    let mut body = if plain {
        slack::plain(message)
    } else {
        slack::rich(message)
    };
    body["channel"] = json!(channel);
    body["unfurl_links"] = json!(false);
    body["unfurl_media"] = json!(false);
    body
}

/// Changes what was posted: the body for `chat.update`.
pub fn update(message: &Message, plain: bool, posted: &Posted) -> Value {
    let mut body = if plain {
        slack::plain(message)
    } else {
        slack::rich(message)
    };
    if plain {
        // What is not named stays as it was.
        (body["blocks"], body["attachments"]) = (json!([]), json!([]));
    }
    body["channel"] = json!(posted.channel);
    body["ts"] = json!(posted.ts);
    body
}

/// Says shortly in the thread what changed, where a person has to hear of it: the body for
/// `chat.postMessage`.
pub fn reply(message: &Message, posted: &Posted) -> Option<Value> {
    let (begin, shown_in_channel) = match message.reason {
        NotifyReason::First | NotifyReason::Escalated | NotifyReason::Flapping => ("", true),
        NotifyReason::NewInGroup => ("New in this group. ", true),
        NotifyReason::HappenedAgain => ("Once more. ", true),
        NotifyReason::Repeat => ("Still so. ", true),
        NotifyReason::Resolved => ("", false),
        _ => return None,
    };
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

/// Where the answer to `chat.postMessage` says that the message is.
pub fn posted(answer: &str, configured: &str) -> Option<Posted> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let text = |key: &str| {
        answer[key]
            .as_str()
            .filter(|text| text.len() <= MAX_ID)
            .map(ToOwned::to_owned)
    };
    Some(Posted {
        configured: configured.to_owned(),
        channel: text("channel")?,
        ts: text("ts")?,
    })
}

/// The longest ID that is taken from an answer; real ones have some twenty characters, and they are
/// kept on the disk.
const MAX_ID: usize = 64;

/// What `answer`, a body, says.
pub fn said(answer: &str) -> Said {
    let Ok(answer) = serde_json::from_str::<Value>(answer) else {
        return Said::Nonsense;
    };
    match (answer["ok"].as_bool(), answer["error"].as_str()) {
        (Some(true), _) => Said::Done,
        (Some(false), Some(error)) => refusal(error),
        (Some(false), None) => Said::Trouble,
        (None, _) => Said::Nonsense,
    }
}

/// Slack's list of errors is open; what nobody knows is final, as most of those that are known.
fn refusal(error: &str) -> Said {
    match error {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Said::Limited,
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org"
        | "accesslimited" => Said::Trouble,
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
        | "ekm_access_denied" => Said::Denied,
        "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_attachments"
        | "too_many_attachments"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "invalid_payload" => Said::Layout,
        "message_not_found" | "cant_update_message" | "edit_window_closed" | "thread_not_found" => {
            Said::Fixed
        }
        _ => Said::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        anchor, context, golden, hostile_names, notification, pair_alert, resolved,
    };
    use super::*;

    fn message(reason: NotifyReason, pair: &str) -> Message {
        let alert = pair_alert(pair, 0);
        let alert = if reason == NotifyReason::Resolved {
            resolved(alert)
        } else {
            alert
        };
        Message::new(&notification(reason, vec![alert]), &anchor(), &context())
    }

    fn at() -> Posted {
        Posted {
            configured: "#redis".to_owned(),
            channel: "C024BE91L".to_owned(),
            ts: "1700000000.000200".to_owned(),
        }
    }

    #[test]
    fn the_bodies_are_as_agreed() {
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
    fn only_what_a_person_has_to_hear_of_is_said_again() {
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
    fn a_plain_update_takes_the_layout_away() {
        let body = update(&message(NotifyReason::First, "orders"), true, &at());
        assert_eq!(
            (&body["blocks"], &body["attachments"]),
            (&json!([]), &json!([]))
        );
        assert!(body["text"].as_str().unwrap().contains("orders"));
    }

    #[test]
    fn no_name_breaks_a_limit_or_calls_anybody() {
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
            (r#"{"ok":true,"ts":"1"}"#, Said::Done),
            (r#"{"ok":false,"error":"ratelimited"}"#, Said::Limited),
            (r#"{"ok":false,"error":"internal_error"}"#, Said::Trouble),
            (r#"{"ok":false}"#, Said::Trouble),
            (r#"{"ok":false,"error":"invalid_auth"}"#, Said::Denied),
            (r#"{"ok":false,"error":"invalid_blocks"}"#, Said::Layout),
            (r#"{"ok":false,"error":"message_not_found"}"#, Said::Fixed),
            (r#"{"ok":false,"error":"is_archived"}"#, Said::Refused),
            (r#"{"ok":false,"error":"made_up_tomorrow"}"#, Said::Refused),
            ("<html>please log in</html>", Said::Nonsense),
            ("ok", Said::Nonsense),
            ("[]", Said::Nonsense),
        ] {
            assert_eq!(said(body), expected, "{body}");
        }
    }

    #[test]
    fn a_posted_message_is_found_again() {
        let answer = r#"{"ok":true,"channel":"C024BE91L","ts":"1700000000.000200"}"#;
        assert_eq!(posted(answer, "#redis"), Some(at()));
        assert_eq!(posted(r#"{"ok":true}"#, "#redis"), None);
        let long = answer.replace("C024BE91L", &"C".repeat(65));
        assert_eq!(posted(&long, "#redis"), None);
    }
}
