//! A message as HTML for mail. Every text is escaped, and nothing is loaded from elsewhere: neither
//! images nor styles.

use crate::notify::message::plain::{colour, failed_template, footer, more, row, shown_facts};
use crate::notify::message::{DescribedAlert, Message};
use crate::notify::text::cut;

const MAX_LINE: usize = 2_000;
const MAX_SUMMARY: usize = 8_000;

/// The URL of a link; a longer one is left out.
const MAX_URL: usize = 4_000;

/// `message` as a document.
pub(super) fn html(message: &Message) -> String {
    let mut body = String::new();
    body.push_str(&element("h2", &line(&message.title)));
    body.push_str(&element("p", &lines(&message.summary)));
    match message.alerts.as_slice() {
        [only] => body.push_str(&facts(only)),
        several => body.push_str(&rows(several)),
    }
    if let Some(more) = more(message) {
        body.push_str(&element("p", &line(&more)));
    }
    for advice in &message.advice {
        body.push_str(&element("p", &line(advice)));
    }
    if let Some(failed) = failed_template(message) {
        body.push_str(&element("p", &line(&failed)));
    }
    body.push_str(&links(message));
    for command in &message.silence {
        let command = element("code", &line(command));
        body.push_str(&element("p", &format!("Silence for two hours: {command}")));
    }
    body.push_str(&element("small", &line(&footer(message))));
    let colour = colour(message);
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head>\n\
         <body style=\"font-family: sans-serif\">\n\
         <div style=\"border-left: 6px solid {colour}; padding-left: 12px\">\n{body}</div>\n\
         </body></html>\n"
    )
}

fn facts(alert: &DescribedAlert) -> String {
    let mut table = String::new();
    for fact in shown_facts(alert) {
        let name = line(fact.name);
        let text = line(&fact.text.to_string());
        table.push_str(&format!("<tr><td><b>{name}</b></td><td>{text}</td></tr>\n"));
    }
    element("table", &table)
}

fn rows(alerts: &[DescribedAlert]) -> String {
    let mut list = String::new();
    for alert in alerts {
        list.push_str(&line(&row(alert)));
        list.push_str("<br>\n");
    }
    element("p", &list)
}

fn links(message: &Message) -> String {
    let mut text = String::new();
    for link in &message.links {
        if link.url.len() > MAX_URL {
            continue;
        }
        if !text.is_empty() {
            text.push_str(" · ");
        }
        let url = escape(&link.url);
        let name = escape(link.name);
        text.push_str(&format!("<a href=\"{url}\">{name}</a>"));
    }
    if text.is_empty() {
        return text;
    }
    element("p", &text)
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>\n")
}

/// `text` in one line, escaped.
fn line(text: &str) -> String {
    escape(&cut(text, MAX_LINE))
}

/// `text` with its line breaks, escaped.
fn lines(text: &str) -> String {
    escape(&cut(text, MAX_SUMMARY)).replace('\n', "<br>\n")
}

/// `text` as the content of an element or of an attribute in quotation marks.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
