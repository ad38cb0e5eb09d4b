//! Sentences about active-active sites.

use super::sentence::Sentence;
use super::words::Clock;
use super::{Ended, lasting, stretch};
use crate::alert::{AlertSnapshot, Rule};

/// The entry and the direction, at the beginning of a sentence.
pub(super) fn subject(alert: &AlertSnapshot) -> String {
    let [name, source, target] = ["name", "source_dc", "target_dc"].map(|name| alert.label(name));
    format!("{name} {source} → {target}")
}

/// What is wrong.
pub(super) fn firing(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let subject = subject(alert);
    let what = match &alert.context.reason {
        Some(reason) => reason.as_str(),
        None => what(alert.identity.rule),
    };
    let line = Sentence::words(format!("{subject}: {what}"));
    if alert.identity.rule == Rule::SitesUnknown {
        return lasting(line.and(","), alert.context.fault_since, clock).and(".");
    }
    line.and(".")
}

/// The fault of a rule, where nothing better is known.
const fn what(rule: Rule) -> &'static str {
    match rule {
        Rule::SyncQueue => "too much waits in the queue",
        Rule::ClockSkew => "the clocks of the sites are apart",
        Rule::CounterRegressed => "a site has lost increments of counters",
        Rule::SitesUnknown => "nothing is known of what differs or waits",
        _ => "the sites differ for good",
    }
}

/// It is over.
pub(super) fn over(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let what = match alert.identity.rule {
        Rule::SyncQueue => "The queue is short and young again",
        Rule::ClockSkew => "The clocks agree again, and no version is ahead of them",
        Rule::CounterRegressed => "No counter is known any more of which increments are lost",
        Rule::SitesUnknown => "The sites answer again",
        _ => "No key is known any more that differs for good",
    };
    let subject = subject(alert);
    let line = Sentence::words(format!("{subject}: resolved. {what}; it was so "));
    stretch(line, alert, ended, clock).and(".")
}
