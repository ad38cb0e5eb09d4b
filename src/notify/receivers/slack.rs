//! The body for a Slack incoming webhook.
//!
//! Limits: 50 blocks, 150 characters in a header, 3,000 in a section, 40,000 in `text`
//! (<https://docs.slack.dev/reference/block-kit/blocks>); about 13,000 in all blocks together, by
//! experience. `text` is what notifications show, and what is left where blocks are not.

use serde_json::{Value, json};

use crate::alert::{AlertStatus, Rule};
use crate::config::Severity;

use crate::notify::facts::Fact;
use crate::notify::message::{DescribedAlert, Message, reason_words};
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

/// The body with blocks and a colour.
pub fn rich(message: &Message) -> Value {
    let header = plain_text(&slack_escape(&message.title, MAX_HEADER));
    json!({
        "text": slack_escape(&message.in_short(), MAX_SECTION),
        "blocks": [{"type": "header", "text": header}],
        "attachments": [{"color": colour(message), "blocks": details(message)}],
    })
}

/// The body without any layout, for when Slack refused the one with: the same words.
pub fn plain(message: &Message) -> Value {
    let mut parts = vec![message.in_short()];
    match message.alerts.as_slice() {
        [only] => parts.extend(shown_facts(only).map(fact_text)),
        several => parts.extend(several.iter().map(row)),
    }
    parts.extend(more(message));
    parts.extend(message.advice.iter().map(|&advice| advice.to_owned()));
    parts.extend(
        message
            .links
            .iter()
            .map(|link| format!("{}: {}", link.name, link.url)),
    );
    parts.extend(message.silence.iter().map(|command| silence(command)));
    parts.extend(failed_template(message));
    parts.push(footer(message));
    json!({"text": slack_escape(&parts.join("\n"), MAX_TEXT)})
}

fn details(message: &Message) -> Vec<Value> {
    let mut blocks = Vec::new();
    blocks.extend(summary(message).map(|text| section(&text)));
    blocks.extend(alerts(message).iter().map(|text| section(text)));
    if !message.advice.is_empty() {
        blocks.push(section(&slack_escape(
            &message.advice.join("\n"),
            MAX_ADVICE,
        )));
    }
    blocks.extend(
        failed_template(message).map(|text| section(&slack_escape(&text, MAX_TEMPLATE_ERROR))),
    );
    blocks.extend(commands(message).map(|text| section(&text)));
    blocks.extend(links(message).map(|text| section(&text)));
    blocks.push(json!({"type": "context", "elements": [markdown(&slack_escape(&footer(message), MAX_FOOTER))]}));
    blocks
}

/// What the header has no room for: the sentences after its own, or all of them where it is cut.
fn summary(message: &Message) -> Option<String> {
    let Some(news) = &message.news else {
        return Some(slack_escape(&message.summary, MAX_SUMMARY)).filter(|text| !text.is_empty());
    };
    let fits = message.title.encode_utf16().count() <= MAX_HEADER;
    let line = if fits { &message.more_news } else { news };
    (!line.is_empty()).then(|| slack_line(line, MAX_SUMMARY))
}

/// One alert's facts, or a line for each of several, in sections.
fn alerts(message: &Message) -> Vec<String> {
    if let [only] = message.alerts.as_slice() {
        return vec![describe(only, MAX_SECTION)]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
    }
    let share = MAX_ALERTS / message.alerts.len().max(1);
    let mut sections = vec![String::new()];
    let rows = message
        .alerts
        .iter()
        .map(|alert| slack_escape(&row(alert), share));
    for row in rows.chain(more(message)) {
        let length = |text: &str| text.encode_utf16().count();
        match sections.last_mut() {
            Some(last) if length(last) + length(&row) < MAX_SECTION => {
                if !last.is_empty() {
                    last.push('\n');
                }
                last.push_str(&row);
            }
            _ => sections.push(row),
        }
    }
    sections.retain(|text| !text.is_empty());
    sections
}

/// One alert of several in one line.
fn row(alert: &DescribedAlert) -> String {
    format!("• {} {}", alert.level(), alert.headline)
}

/// What the headline does not say.
fn shown_facts(alert: &DescribedAlert) -> impl Iterator<Item = &Fact> {
    const SAID: [&str; 5] = ["summary", "value", "threshold", "peak", "resolve_reason"];
    let is_all_said = matches!(alert.rule, Rule::Failover | Rule::FullSync);
    let facts = alert.facts.iter().filter(|fact| !SAID.contains(&fact.key));
    facts.filter(move |fact| !is_all_said || fact.key != "state")
}

fn fact_text(fact: &Fact) -> String {
    format!("{}: {}", fact.name, fact.text)
}

/// The alert's facts in at most `max` characters: facts that do not fit are left out from the end,
/// as they stand in the order in which they help.
fn describe(alert: &DescribedAlert, max: usize) -> String {
    let mut text = String::new();
    for fact in shown_facts(alert) {
        let between = if text.is_empty() { "" } else { "\n" };
        let line = format!(
            "{between}{}: {}",
            fact.name,
            slack_line(&fact.text, max / 4)
        );
        if text.encode_utf16().count() + line.encode_utf16().count() > max {
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
    (!text.is_empty()).then_some(text)
}

fn more(message: &Message) -> Option<String> {
    (message.more > 0).then(|| format!("and {} more", message.more))
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
        text = if text.is_empty() {
            link
        } else {
            format!("{text} · {link}")
        };
    }
    (!text.is_empty()).then_some(text)
}

fn footer(message: &Message) -> String {
    format!(
        "{} · as of {} · sent by {}",
        reason_words(message.reason),
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
    // Verbatim: host names and ports are no links, and a label cannot call a channel together.
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
    fn the_bodies_are_as_agreed() {
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
    fn plain_text_keeps_its_limit_and_calls_nobody() {
        for name in hostile_names() {
            let alerts = (0..10).map(|n| pair_alert(&name, n)).collect();
            let body = plain(&message(NotifyReason::First, alerts));
            let text = body["text"].as_str().unwrap();
            assert!(text.encode_utf16().count() <= MAX_TEXT);
            assert!(!text.contains("<!channel>"));
        }
    }

    #[test]
    fn twenty_alerts_are_twenty_lines_and_the_rest_is_counted() {
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
