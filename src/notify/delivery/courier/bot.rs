//! A Slack bot's attempt: a message is posted, or changed and answered in its thread.

use std::sync::Arc;

use serde_json::Value;

use super::super::flights::Gate;
use super::{
    AttemptResult, Outcome, ReceiverConfig, Request, blocking, bytes, on_its_way, post, read,
};
use crate::alert::AlertStatus;
use crate::config::ReceiverKind;
use crate::http_client::HttpClient;
use crate::model::Secret;
use crate::notify::message::Message;
use crate::notify::queue::{Attempt, Opening};
use crate::notify::slack_bot::{self, Posted, Said, said};

/// A bot that is ready to speak.
struct Bot {
    client: HttpClient,
    token: Secret,
    api_url: String,
    channel: String,
}

/// Says it, and where it now stands.
pub(super) async fn send(
    client: &HttpClient,
    config: &Arc<ReceiverConfig>,
    attempt: &Attempt,
    gate: Gate,
) -> Outcome {
    let (client, of) = (client.clone(), Arc::clone(config));
    let bot = match blocking(config, move || Bot::ready(&client, &of)).await {
        Ok(bot) => bot,
        Err(result) => return (result, None, false),
    };
    let message = Message::new(&attempt.notification, &attempt.anchor, &config.context);
    let posted = bot.to_change(attempt);
    // Where a message will stand is known when it stands there.
    gate.pass(&posted.clone().map_or(Opening::Plain, Opening::Message))
        .await;
    match posted {
        Some(posted) => bot.change(&message, attempt.plain, posted).await,
        None => bot.post(&message, attempt.plain).await,
    }
}

impl Bot {
    fn ready(client: &HttpClient, config: &ReceiverConfig) -> Result<Self, String> {
        let ReceiverKind::SlackBot {
            token,
            channel,
            api_url,
        } = &config.settings.kind
        else {
            return Err("this receiver is no Slack bot; please report it".to_owned());
        };
        let client = on_its_way(client, &config.settings.http)?;
        Ok(Self {
            client,
            token: read(token)?,
            api_url: api_url.clone(),
            channel: channel.clone(),
        })
    }

    /// The message that changes: an end goes where the beginning went, everything else where the
    /// settings say today.
    fn to_change(&self, attempt: &Attempt) -> Option<Posted> {
        if attempt.notification.status == AlertStatus::Resolved {
            let Some(Opening::Message(posted)) = &attempt.opening else {
                return None;
            };
            return Some(posted.clone());
        }
        attempt.opened.iter().find_map(|opening| match opening {
            Opening::Message(posted) if posted.configured == self.channel => Some(posted.clone()),
            _ => None,
        })
    }

    async fn post(&self, message: &Message, plain: bool) -> Outcome {
        let result = self
            .call(
                "chat.postMessage",
                &slack_bot::post(message, plain, &self.channel),
            )
            .await;
        let posted = answer(&result).and_then(|body| slack_bot::posted(body, &self.channel));
        // Without an answer nobody knows where it stands, but it may stand there: its end has to be
        // told.
        (
            result,
            Some(posted.map_or(Opening::Plain, Opening::Message)),
            false,
        )
    }

    /// Changes the message, then says in its thread what a person has to hear of. A message that
    /// cannot be changed, as somebody deleted it, is posted anew.
    async fn change(&self, message: &Message, plain: bool, posted: Posted) -> Outcome {
        let result = self
            .call("chat.update", &slack_bot::update(message, plain, &posted))
            .await;
        match answer(&result).map(said) {
            Some(Said::Fixed) => return self.post(message, plain).await,
            Some(Said::Done) => {}
            _ => return (result, Some(Opening::Message(posted)), false),
        }
        let result = match slack_bot::reply(message, &posted) {
            Some(reply) => self.call("chat.postMessage", &reply).await,
            None => result,
        };
        (result, Some(Opening::Message(posted)), true)
    }

    async fn call(&self, method: &str, body: &Value) -> AttemptResult {
        let url = Secret::new(format!("{}/{method}", self.api_url));
        // Without the character set Slack answers with the warning missing_charset.
        let headers = vec![
            (
                "authorization".to_owned(),
                format!("Bearer {}", self.token.reveal()),
            ),
            (
                "content-type".to_owned(),
                "application/json; charset=utf-8".to_owned(),
            ),
        ];
        post(
            &self.client,
            Request {
                url,
                headers,
                body: bytes(body),
            },
        )
        .await
    }
}

fn answer(result: &AttemptResult) -> Option<&str> {
    match result {
        AttemptResult::Answered(response) if (200..300).contains(&response.status) => {
            Some(&response.body)
        }
        _ => None,
    }
}
