//! The body for a Slack incoming webhook.
//!
//! Limits: 50 blocks, 150 characters in a header, 3,000 in a section, 40,000 in `text`
//! (<https://docs.slack.dev/reference/block-kit/blocks>); about 13,000 in all blocks together, by
//! experience. `text` is what notifications show, and what is left where blocks are not.

use serde_json::{Value, json};

use crate::alert::{AlertStatus, Rule};
use crate::config::Severity;

use crate::notify::facts::Fact;
use crate::notify::message::{DescribedAlert, Message, describe_reason};
use crate::notify::text::{slack_escape, slack_line};

const MAX_HEADER: usize = 150;
pub(super) const MAX_SECTION: usize = 3_000;
const MAX_TEXT: usize = 40_000;

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
    let mut lines = vec![message.in_short()];
    match message.alerts.as_slice() {
        [only] => lines.extend(shown_facts(only).map(fact_text)),
        several => lines.extend(several.iter().map(row)),
    }
    lines.extend(more(message));
    for advice in &message.advice {
        lines.push((*advice).to_owned());
    }
    for link in &message.links {
        lines.push(format!("{}: {}", link.name, link.url));
    }
    for command in &message.silence {
        lines.push(silence(command));
    }
    lines.extend(failed_template(message));
    lines.push(footer(message));
    json!({"text": slack_escape(&lines.join("\n"), MAX_TEXT)})
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

/// One alert of several in one line.
fn row(alert: &DescribedAlert) -> String {
    format!("• {} {}", alert.level(), alert.headline)
}

/// The facts that the headline does not contain.
fn shown_facts(alert: &DescribedAlert) -> impl Iterator<Item = &Fact> {
    let facts = alert.facts.iter();
    facts.filter(|fact| !is_in_headline(alert.rule, fact))
}

fn is_in_headline(rule: Rule, fact: &Fact) -> bool {
    match fact.key {
        "summary" | "value" | "threshold" | "peak" | "resolve_reason" => true,
        "state" => matches!(rule, Rule::Failover | Rule::FullSync),
        _ => false,
    }
}

fn fact_text(fact: &Fact) -> String {
    format!("{}: {}", fact.name, fact.text)
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

fn more(message: &Message) -> Option<String> {
    if message.more == 0 {
        return None;
    }
    Some(format!("and {} more", message.more))
}

fn failed_template(message: &Message) -> Option<String> {
    let why = message.failed_template.as_ref()?;
    Some(format!(
        "The template of this receiver failed, so these are the built-in words: {why}"
    ))
}

fn silence(command: &str) -> String {
    format!("Silence for two hours: `{command}`")
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

fn footer(message: &Message) -> String {
    format!(
        "{} · as of {} · sent by {}",
        describe_reason(message.reason),
        message.as_of_time,
        message.exporter
    )
}

fn colour(message: &Message) -> &'static str {
    match (message.status, message.severity) {
        (AlertStatus::Resolved, _) => "#2e7d32",
        (AlertStatus::Firing, Severity::Critical) => "#d32f2f",
        (AlertStatus::Firing, Severity::Warning) => "#f2a600",
    }
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
    use crate::alert::{AlertSnapshot, NotifyReason};
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
