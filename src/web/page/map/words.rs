//! A link in words: how many of its pairs are in the worst state, and which state that is.

use crate::replication::PairState;
use crate::report::{Level, LinkReport};

/// How many pairs [`state_words`] is about: `1 of 2 pairs`, or `2 pairs` for all of them.
pub(in crate::web::page) fn count_words(link: &LinkReport) -> String {
    match (link.in_state, link.pairs) {
        (1, 1) => "1 pair".to_owned(),
        (some, all) if some == all => format!("{all} pairs"),
        (some, all) => format!("{some} of {all} pairs"),
    }
}

/// The state of the worst pairs. A link in trouble is never called streaming: where the state is
/// fine, the level comes from an alert, and the alert's name tells what is wrong.
pub(in crate::web::page) fn state_words(link: &LinkReport) -> String {
    if link.state != PairState::Streaming {
        return link.state.label().replace('_', " ");
    }
    match (link.level, link.level_reason.as_deref()) {
        (Level::Ok, _) => "streaming".to_owned(),
        (_, Some("lag_unknown")) => "lag unknown".to_owned(),
        (_, Some(alert)) if alert.starts_with(PREFIX) => alert_words(alert),
        (level, _) => level.label().to_owned(),
    }
}

/// What all alerts' names begin with.
const PREFIX: &str = "RedisCrossDc";

/// An alert's name in words: `lag high` for `RedisCrossDcLagHigh`.
fn alert_words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.trim_start_matches(PREFIX).chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
