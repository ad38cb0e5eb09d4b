//! Microsoft Teams: an adaptive card for the webhook of a workflow
//! (<https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook>).
//!
//! Limit: 28 KB of a message. All texts are runs of `RichTextBlock`, which have no Markdown
//! (<https://adaptivecards.io/explorer/TextRun.html>): a name cannot become a link or a heading.

use serde_json::{Value, json};

use super::protocol::{
    Delivery, Exchange, GroupProtocol, OutgoingRequest, ReceiverSecrets, SingleRequest,
};
use super::secrets::read_secret;
use crate::alert::AlertStatus;
use crate::config::{MsTeamsSettings, SecretSource, Severity};
use crate::delivery::DeliveryFailure;
use crate::http_client::HttpResponse;
use crate::notify::fields::set;
use crate::notify::message::plain::{self, and_more, failed_template, footer, row, shown_facts};
use crate::notify::message::{DescribedAlert, Message};
use crate::notify::retry::{AnswerMeaning, AnswerRules, meaning_of_status};
use crate::notify::text::cut;

/// The whole body in bytes. Teams says 28 KB, and not whether that is 28,672 bytes.
const MAX_BODY: usize = 28_000;

const MAX_TITLE: usize = 500;
const MAX_SUMMARY: usize = 1_500;
const MAX_LINE: usize = 400;
const MAX_ADVICE: usize = 1_500;

/// A command; a longer one is left out, as half of it would silence something else.
const MAX_COMMAND: usize = 1_000;

/// Lines of one text; a template of the receiver may give any number.
const MAX_LINES: usize = 60;

/// The text of a card without a layout.
const MAX_TEXT: usize = 6_000;

/// The URL behind a button; a longer one is left out.
const MAX_URL: usize = 2_000;

/// Buttons that Teams shows; further ones are left out.
const MAX_BUTTONS: usize = 6;

/// What the answers of a workflow mean. It answers 202 before it runs.
#[derive(Clone, Copy, Debug)]
pub struct MsTeamsAnswers;

impl AnswerRules for MsTeamsAnswers {
    fn interpret(&self, response: &HttpResponse, plain: bool) -> AnswerMeaning {
        match response.status {
            400 | 413 if !plain => AnswerMeaning::LayoutRefused,
            413 => AnswerMeaning::Refused(DeliveryFailure::Client),
            status => meaning_of_status(status),
        }
    }
}

impl ReceiverSecrets for MsTeamsSettings {
    fn secrets(&self) -> Vec<&SecretSource> {
        vec![&self.url]
    }
}

impl GroupProtocol for MsTeamsSettings {
    fn answer_rules(&self) -> &'static dyn AnswerRules {
        &MsTeamsAnswers
    }

    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String> {
        let message = delivery.message();
        let body = if delivery.attempt.plain {
            plain(&message)
        } else {
            rich(&message)
        };
        let request = OutgoingRequest::new(read_secret(&self.url)?, &body);
        Ok(Box::new(SingleRequest(Some(request))))
    }
}

/// The body with a layout. It describes as many alerts as fit.
pub fn rich(message: &Message) -> Value {
    let all = message.alerts.len();
    for described in [all, all.min(5), all.min(1)] {
        let body = post(message, &body_of(message, described));
        if body.to_string().len() <= MAX_BODY {
            return body;
        }
    }
    plain(message)
}

/// The same text without a layout, for when Teams has refused the layout.
pub fn plain(message: &Message) -> Value {
    let text = plain::lines(message).join("\n");
    let lines = lines_of(&text, MAX_TEXT);
    json!({
        "type": "message",
        "attachments": [attachment(&json!({
            "$schema": SCHEMA,
            "type": "AdaptiveCard",
            "version": VERSION,
            "body": lines,
        }))],
    })
}

const SCHEMA: &str = "http://adaptivecards.io/schemas/adaptive-card.json";

/// The newest version that Teams shows on every device.
const VERSION: &str = "1.4";

fn post(message: &Message, body: &[Value]) -> Value {
    json!({
        "type": "message",
        "attachments": [attachment(&json!({
            "$schema": SCHEMA,
            "type": "AdaptiveCard",
            "version": VERSION,
            "fallbackText": cut(&message.title, MAX_TITLE),
            "msteams": {"width": "Full"},
            "body": body,
            "actions": buttons(message),
        }))],
    })
}

fn attachment(card: &Value) -> Value {
    json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card,
    })
}

/// The elements of the card, with `described` of the alerts.
fn body_of(message: &Message, described: usize) -> Vec<Value> {
    let mut title = run(&cut(&message.title, MAX_TITLE));
    set_style(&mut title, &[("weight", "Bolder"), ("size", "Medium")]);
    let mut elements = vec![json!({
        "type": "Container",
        "style": style(message),
        "bleed": true,
        "items": [block(&[title])],
    })];
    elements.extend(lines_of(&message.summary, MAX_SUMMARY));
    elements.extend(alerts(message, described));
    elements.extend(lines_of(&message.advice.join("\n"), MAX_ADVICE));
    if let Some(failed) = failed_template(message) {
        elements.push(block(&[run(&cut(&failed, MAX_LINE))]));
    }
    elements.extend(commands(message));
    let mut last = run(&cut(&footer(message), MAX_LINE));
    set_style(&mut last, &[("size", "Small")]);
    elements.push(block(&[last]));
    elements
}

/// One alert's facts, or a line for each of several.
fn alerts(message: &Message, described: usize) -> Vec<Value> {
    if let [only] = message.alerts.as_slice() {
        return facts(only);
    }
    let mut elements = Vec::new();
    for alert in message.alerts.iter().take(described) {
        elements.push(block(&[run(&cut(&row(alert), MAX_LINE))]));
    }
    let left_out = message.alerts.len().saturating_sub(described);
    if let Some(more) = and_more(message.more + left_out) {
        elements.push(block(&[run(&more)]));
    }
    elements
}

/// The facts that the title does not contain, each a line with its name in bold.
fn facts(alert: &DescribedAlert) -> Vec<Value> {
    let mut lines = Vec::new();
    for fact in shown_facts(alert) {
        let mut name = run(&format!("{}: ", fact.name));
        set_style(&mut name, &[("weight", "Bolder")]);
        let text = run(&cut(&fact.text.to_string(), MAX_LINE));
        lines.push(block(&[name, text]));
    }
    lines
}

/// The commands that silence it, as far as there is room for whole ones.
fn commands(message: &Message) -> Vec<Value> {
    let mut left = MAX_COMMAND;
    let mut elements = Vec::new();
    for command in &message.silence {
        let Some(rest) = left.checked_sub(command.len()) else {
            break;
        };
        left = rest;
        let mut code = run(command);
        set_style(&mut code, &[("fontType", "Monospace")]);
        elements.push(block(&[run("Silence for two hours: "), code]));
    }
    elements
}

fn buttons(message: &Message) -> Vec<Value> {
    let mut buttons = Vec::new();
    let fitting = message
        .links
        .iter()
        .filter(|link| link.url.len() <= MAX_URL);
    for link in fitting.take(MAX_BUTTONS) {
        buttons.push(json!({"type": "Action.OpenUrl", "title": link.name, "url": link.url}));
    }
    buttons
}

/// The colour behind the title.
fn style(message: &Message) -> &'static str {
    match (message.status, message.severity) {
        (AlertStatus::Resolved, _) => "good",
        (AlertStatus::Firing, Severity::Critical) => "attention",
        (AlertStatus::Firing, Severity::Warning) => "warning",
    }
}

/// `text` in at most `max` characters, a block for each line.
fn lines_of(text: &str, max: usize) -> Vec<Value> {
    let mut blocks = Vec::new();
    let text = cut(text, max);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    for line in lines.take(MAX_LINES) {
        blocks.push(block(&[run(line)]));
    }
    blocks
}

/// A line of text runs.
fn block(runs: &[Value]) -> Value {
    json!({"type": "RichTextBlock", "inlines": runs})
}

fn run(text: &str) -> Value {
    json!({"type": "TextRun", "text": text})
}

fn set_style(run: &mut Value, style: &[(&str, &str)]) {
    for (name, value) in style {
        set(run, name, *value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{AlertSnapshot, NotifyReason};
    use crate::notify::testing::{
        anchor, context, golden, hostile_names, notification, pair_alert, resolved,
    };
    use std::sync::Arc;

    fn message(reason: NotifyReason, alerts: Vec<Arc<AlertSnapshot>>) -> Message {
        Message::new(&notification(reason, alerts), &anchor(), &context())
    }

    #[test]
    fn the_bodies_match_the_golden_files() {
        let firing = message(NotifyReason::First, vec![pair_alert("orders [x](y)", 0)]);
        golden("msteams_firing.json", &rich(&firing));
        golden("msteams_plain.json", &plain(&firing));
        let several = vec![pair_alert("orders", 0), pair_alert("sessions", 1)];
        golden(
            "msteams_several.json",
            &rich(&message(NotifyReason::Repeat, several)),
        );
        let over = vec![resolved(pair_alert("orders", 0))];
        golden(
            "msteams_resolved.json",
            &rich(&message(NotifyReason::Resolved, over)),
        );
    }

    #[test]
    fn no_name_breaks_a_limit() {
        for name in hostile_names() {
            for count in [1, 2, 20, 500] {
                let alerts = (0..count).map(|n| pair_alert(&name, n)).collect();
                let message = message(NotifyReason::First, alerts);
                for body in [rich(&message), plain(&message)] {
                    assert!(body.to_string().len() <= MAX_BODY, "{count} {name}");
                }
            }
        }
    }

    #[test]
    fn a_card_that_is_refused_is_sent_without_its_layout() {
        let meaning = |status, plain| {
            let response = HttpResponse {
                status,
                ..HttpResponse::default()
            };
            MsTeamsAnswers.interpret(&response, plain)
        };
        let refused = AnswerMeaning::Refused(DeliveryFailure::Client);
        for (status, rich, plain) in [
            (202, AnswerMeaning::Accepted, AnswerMeaning::Accepted),
            (400, AnswerMeaning::LayoutRefused, refused),
            (413, AnswerMeaning::LayoutRefused, refused),
            (404, refused, refused),
            (429, AnswerMeaning::RateLimited, AnswerMeaning::RateLimited),
        ] {
            assert_eq!(
                (meaning(status, false), meaning(status, true)),
                (rich, plain),
                "{status}"
            );
        }
    }
}
