//! The body for a Slack incoming webhook.
//!
//! Limits: 50 blocks, 150 characters in a header, 3,000 in a section, 40,000 in `text`
//! (<https://docs.slack.dev/reference/block-kit/blocks>); about 13,000 in all blocks together, by
//! experience. `text` is what notifications show, and what is left where blocks are not.

use serde_json::{Value, json};

use crate::alert::NotifyReason;
use crate::config::SlackMention;
use crate::notify::message::plain::{
    self, colour, failed_template, footer, more, row, shown_facts, silence,
};
use crate::notify::message::{DescribedAlert, Message};
use crate::notify::text::{slack_escape, slack_line};

const MAX_HEADER: usize = 150;
pub(super) const MAX_SECTION: usize = 3_000;

/// Slack's own limit is 40,000; people may be mentioned before it.
const MAX_TEXT: usize = 39_000;

/// What all alerts' sections may hold together: with the header, the summary, the advice, the
/// links, the command and the footer that makes less than 13,000 characters.
const MAX_ALERTS: usize = 6_000;
const MAX_SUMMARY: usize = 1_000;
const MAX_ADVICE: usize = 1_500;
const MAX_FOOTER: usize = 500;
const MAX_TEMPLATE_ERROR: usize = 400;
const MAX_LINKS: usize = 2_000;

/// A command with its escapes; a longer one is left out, as half of it would silence something
/// else.
const MAX_COMMAND: usize = 1_200;

/// The body with a layout, or as plain text.
pub(super) fn body(message: &Message, is_plain: bool) -> Value {
    if is_plain {
        plain(message)
    } else {
        rich(message)
    }
}

/// The body with blocks and a colour.
pub fn rich(message: &Message) -> Value {
    let header = plain_text(&slack_escape(&message.title, MAX_HEADER));
    json!({
        "text": slack_escape(&message.in_short(), MAX_SECTION),
        "blocks": [{"type": "header", "text": header}],
        "attachments": [{"color": colour(message), "blocks": details(message)}],
    })
}

/// The same text without any layout, for when Slack has refused the layout.
pub fn plain(message: &Message) -> Value {
    let lines = plain::lines(message);
    json!({"text": slack_escape(&lines.join("\n"), MAX_TEXT)})
}

/// Mentions `people` in `body`, which posts `message`, where the message is for them: a group that
/// is critical has news, or goes on. A message that is changed in place notifies nobody.
pub(super) fn mention(body: &mut Value, message: &Message, people: &[SlackMention]) {
    let is_critical = message.level() == CRITICAL;
    let is_news = !matches!(
        message.reason,
        NotifyReason::Deescalated | NotifyReason::PartlyResolved
    );
    if people.is_empty() || !is_critical || !is_news {
        return;
    }
    let mentions: Vec<String> = people.iter().map(mention_token).collect();
    let mentions = mentions.join(" ");
    if let Some(Value::Array(blocks)) = body.get_mut("blocks") {
        blocks.push(section(&mentions));
    } else if let Some(Value::String(text)) = body.get_mut("text") {
        text.insert_str(0, &format!("{mentions}\n"));
    }
}

/// The level of a group that is critical and fires.
const CRITICAL: &str = "CRITICAL";

/// The mention in Slack's syntax. IDs are letters and digits, so that nothing has to be escaped.
fn mention_token(mention: &SlackMention) -> String {
    match mention {
        SlackMention::Here => "<!here>".to_owned(),
        SlackMention::Channel => "<!channel>".to_owned(),
        SlackMention::Everyone => "<!everyone>".to_owned(),
        SlackMention::User(id) => format!("<@{id}>"),
        SlackMention::Group(id) => format!("<!subteam^{id}>"),
    }
}

/// The blocks below the header.
fn details(message: &Message) -> Vec<Value> {
    let mut texts = Vec::new();
    texts.extend(summary(message));
    texts.extend(alerts(message));
    if !message.advice.is_empty() {
        let advice = message.advice.join("\n");
        texts.push(slack_escape(&advice, MAX_ADVICE));
    }
    if let Some(failed) = failed_template(message) {
        texts.push(slack_escape(&failed, MAX_TEMPLATE_ERROR));
    }
    texts.extend(commands(message));
    texts.extend(links(message));
    let mut blocks = Vec::new();
    for text in &texts {
        // Slack refuses a section without text.
        if !text.is_empty() {
            blocks.push(section(text));
        }
    }
    let footer = slack_escape(&footer(message), MAX_FOOTER);
    blocks.push(json!({"type": "context", "elements": [markdown(&footer)]}));
    blocks
}

/// What the header has no room for: the sentences after its own, or all of them where it is cut.
fn summary(message: &Message) -> Option<String> {
    let Some(built_in) = &message.built_in else {
        return Some(slack_escape(&message.summary, MAX_SUMMARY));
    };
    let title_fits = utf16_len(&message.title) <= MAX_HEADER;
    let line = if title_fits {
        &message.after_title
    } else {
        built_in
    };
    if line.is_empty() {
        return None;
    }
    Some(slack_line(line, MAX_SUMMARY))
}

/// One alert's facts, or a line for each of several, in sections.
fn alerts(message: &Message) -> Vec<String> {
    if let [only] = message.alerts.as_slice() {
        return vec![describe(only, MAX_SECTION)];
    }
    let share = MAX_ALERTS / message.alerts.len().max(1);
    let mut rows = Vec::new();
    for alert in &message.alerts {
        rows.push(slack_escape(&row(alert), share));
    }
    rows.extend(more(message));
    in_sections(rows)
}

/// `rows`, one a line, in as few texts as the limit of a section allows.
fn in_sections(rows: Vec<String>) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for row in rows {
        match sections.last_mut() {
            Some(last) if utf16_len(last) + utf16_len(&row) < MAX_SECTION => {
                last.push('\n');
                last.push_str(&row);
            }
            _ => sections.push(row),
        }
    }
    sections
}

/// Slack counts characters as JavaScript does, in units of UTF-16.
fn utf16_len(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The alert's facts in at most `max` characters. They are in the order in which they help, so that
/// those that do not fit are left out from the end.
fn describe(alert: &DescribedAlert, max: usize) -> String {
    let mut text = String::new();
    for fact in shown_facts(alert) {
        let mut line = format!("{}: {}", fact.name, slack_line(&fact.text, max / 4));
        if !text.is_empty() {
            line.insert(0, '\n');
        }
        if utf16_len(&text) + utf16_len(&line) > max {
            break;
        }
        text.push_str(&line);
    }
    text
}

/// The commands that silence it, as far as there is room for whole ones.
fn commands(message: &Message) -> Option<String> {
    let mut text = String::new();
    for command in &message.silence {
        let line = slack_escape(&silence(command), usize::MAX);
        if text.len() + line.len() > MAX_COMMAND {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    none_if_empty(text)
}

fn none_if_empty(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

/// The links, as far as there is room. Their URLs are percent-encoded: nothing gets out of them.
fn links(message: &Message) -> Option<String> {
    let mut text = String::new();
    for link in &message.links {
        let link = format!("<{}|{}>", link.url, link.name);
        if text.len() + link.len() + 3 > MAX_LINKS {
            break;
        }
        if !text.is_empty() {
            text.push_str(" · ");
        }
        text.push_str(&link);
    }
    none_if_empty(text)
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": markdown(text)})
}

fn markdown(text: &str) -> Value {
    // Verbatim: host names and ports do not become links, and a label cannot notify a channel.
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn plain_text(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::AlertSnapshot;
    use crate::config::Severity;
    use crate::notify::testing::{
        anchor, context, golden, hostile_names, notification, pair_alert, resolved, without_times,
    };
    use std::sync::Arc;

    fn message(reason: NotifyReason, alerts: Vec<Arc<AlertSnapshot>>) -> Message {
        Message::new(&notification(reason, alerts), &anchor(), &context())
    }

    #[test]
    fn the_bodies_match_the_golden_files() {
        let firing = message(NotifyReason::First, vec![pair_alert("orders <&>", 0)]);
        golden("slack_firing.json", &rich(&firing));
        golden("slack_plain.json", &plain(&firing));
        let over = message(
            NotifyReason::Resolved,
            vec![resolved(pair_alert("orders", 0))],
        );
        golden("slack_resolved.json", &rich(&over));
    }

    /// Every text of every block.
    fn texts(body: &Value) -> Vec<(String, String)> {
        let blocks = body["blocks"].as_array().unwrap().iter();
        let blocks = blocks.chain(body["attachments"][0]["blocks"].as_array().unwrap());
        let texts = blocks.map(|block| {
            let holder = if block["type"] == "context" {
                &block["elements"][0]
            } else {
                &block["text"]
            };
            (
                block["type"].as_str().unwrap().to_owned(),
                holder["text"].as_str().unwrap().to_owned(),
            )
        });
        texts.collect()
    }

    #[test]
    fn no_name_breaks_a_limit() {
        for name in hostile_names() {
            for count in [1, 2, 10, 500] {
                let alerts = (0..count).map(|n| pair_alert(&name, n)).collect();
                let body = rich(&message(NotifyReason::First, alerts));
                let texts = texts(&body);
                assert!(texts.len() <= 50);
                let length = |text: &str| text.encode_utf16().count();
                for (kind, text) in &texts {
                    let limit = if kind == "header" { 150 } else { 3_000 };
                    assert!((1..=limit).contains(&length(text)), "{kind}: {text}");
                    let is_links =
                        text.starts_with("<https://redis-lag.example.com/") && !text.contains("<!");
                    let without_times = without_times(text);
                    assert!(is_links || !without_times.contains(['<', '>']), "{text}");
                }
                assert!(texts.iter().map(|(_, text)| length(text)).sum::<usize>() <= 13_000);
                assert!(length(body["text"].as_str().unwrap()) <= MAX_TEXT);
            }
        }
    }

    fn mentioned(message: &Message, is_plain: bool) -> Value {
        let people = ["here", "channel", "everyone", "U012AB3CD", "S0614TZR7"];
        let people: Vec<_> = people
            .iter()
            .filter_map(|text| SlackMention::parse(text))
            .collect();
        let mut posted = body(message, is_plain);
        mention(&mut posted, message, &people);
        posted
    }

    #[test]
    fn people_are_mentioned_while_it_is_critical_and_only_then() {
        const TOKENS: &str = "<!here> <!channel> <!everyone> <@U012AB3CD> <!subteam^S0614TZR7>";
        let critical = message(NotifyReason::First, vec![pair_alert("orders", 0)]);
        let rich = mentioned(&critical, false);
        assert_eq!(rich["blocks"][1]["text"]["text"], TOKENS);
        let plain = mentioned(&critical, true);
        let text = plain["text"].as_str().unwrap();
        assert!(
            text.starts_with(&format!("{TOKENS}\n[CRITICAL] orders")),
            "{text}"
        );
        let changed = |change: fn(&mut Message)| {
            let mut message = critical.clone();
            change(&mut message);
            message
        };
        let warning = changed(|message| message.severity = Severity::Warning);
        let calmer = changed(|message| message.reason = NotifyReason::PartlyResolved);
        let flapping = changed(|message| message.up_for_now = true);
        let over = message(
            NotifyReason::Resolved,
            vec![resolved(pair_alert("orders", 0))],
        );
        for quiet in [warning, calmer, flapping, over] {
            for is_plain in [false, true] {
                assert_eq!(mentioned(&quiet, is_plain), body(&quiet, is_plain));
            }
        }
    }

    #[test]
    fn plain_text_keeps_its_limit_and_mentions_nobody() {
        for name in hostile_names() {
            let alerts = (0..10).map(|n| pair_alert(&name, n)).collect();
            let body = plain(&message(NotifyReason::First, alerts));
            let text = body["text"].as_str().unwrap();
            assert!(text.encode_utf16().count() <= MAX_TEXT);
            assert!(!text.contains("<!channel>"));
        }
    }

    #[test]
    fn twenty_alerts_have_a_line_each_and_the_others_are_counted() {
        let alerts = (0..21).map(|n| pair_alert("orders", n)).collect();
        let texts = texts(&rich(&message(NotifyReason::First, alerts)));
        let lines: Vec<_> = texts.iter().flat_map(|(_, text)| text.lines()).collect();
        let rows = lines
            .iter()
            .filter(|line| line.starts_with("• CRITICAL orders dc1"));
        assert_eq!(rows.clone().count(), 20);
        assert!(
            rows.clone()
                .all(|line| line.ends_with("then a full resync.")),
            "{lines:?}"
        );
        assert!(lines.contains(&"and 1 more"));
    }
}
