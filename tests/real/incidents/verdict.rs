//! What a program can see of a false word: pages that nobody asked for or that stay open, and
//! sentences that no truth can be behind.

use super::message::{Kind, Service};
use super::transcript::Transcript;

/// Words that no message may have: numbers of a fault that is none, and the program's own words.
const NEVER: [&str; 10] = [
    " 0.000 s;",
    "for 0.000 s",
    "for 0 s",
    "NaN",
    "null",
    "None",
    "clear threshold",
    "reason: first",
    "1 full syncs",
    "so often of late",
];

/// Whether somebody has to be paged in an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// Nobody.
    Nobody,
    /// So many incidents are opened, and all are resolved at the end.
    Incidents(usize),
}

/// What is wrong in the transcript.
pub(super) fn complaints(transcript: &Transcript, pages: Pages) -> Vec<String> {
    let mut wrong = Vec::new();
    for (_, message) in transcript.messages() {
        for words in NEVER.iter().filter(|words| message.text.contains(**words)) {
            wrong.push(format!("a message says {words:?}: {}", message.text));
        }
    }
    wrong.extend(incidents(transcript, pages));
    let chat = transcript
        .messages()
        .filter(|(_, message)| message.receiver == Service::Slack)
        .last();
    match chat {
        None => wrong.push("the chat was never notified".to_owned()),
        Some((_, last)) if last.kind == Kind::Firing => {
            wrong.push(format!(
                "the chat's last message is no resolve: {}",
                last.text
            ));
        }
        Some(_) => {}
    }
    wrong
}

/// What is wrong about the incidents that were opened.
fn incidents(transcript: &Transcript, pages: Pages) -> Vec<String> {
    let mut opened: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (_, message) in transcript.messages() {
        let Some(key) = message.key.as_deref() else {
            continue;
        };
        match message.kind {
            Kind::Firing if !open.contains(&key) => {
                opened.push(key);
                open.push(key);
            }
            Kind::Firing => {}
            Kind::Resolved => open.retain(|known| *known != key),
        }
    }
    let mut wrong: Vec<_> = open
        .iter()
        .map(|key| format!("the incident {key} stays open"))
        .collect();
    let expected = match pages {
        Pages::Nobody => 0,
        Pages::Incidents(count) => count,
    };
    if opened.len() != expected {
        wrong.push(format!(
            "{} incidents were opened and not {expected}: {opened:?}",
            opened.len()
        ));
    }
    wrong
}
