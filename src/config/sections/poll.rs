//! `poll`: how often and how patiently.

use std::ops::RangeInclusive;

use super::heartbeat;
use crate::config::cursor::Section;
use crate::config::schema::{POLL, TIMEOUT};
use crate::config::{HeartbeatSettings, PollSettings};
use crate::model::Span;

/// From what a server does not notice to what still finds an outage the same hour.
const INTERVAL: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(3600);

/// The shortest period: below it, the poll itself would be the load.
const SHORTEST: Span = Span::from_millis(50);

const TIMEOUTS: RangeInclusive<Span> = Span::from_millis(10)..=Span::from_secs(60);

const POLLS_PER_SECOND: RangeInclusive<u32> = 1..=1_000_000;

pub(super) fn read(root: &Section<'_>) -> PollSettings {
    let section = root.section("poll", &POLL);
    let timeout = section.section("timeout", &TIMEOUT);
    let interval = section.span("interval", Span::from_secs(1), &INTERVAL);
    let polls = section.get("max_polls_per_second");
    PollSettings {
        interval,
        min_interval: section.span(
            "min_interval",
            Span::from_millis(250).min(interval),
            &(SHORTEST..=interval),
        ),
        max_polls_per_second: polls
            .and_then(|cursor| cursor.whole_number(&POLLS_PER_SECOND))
            .unwrap_or(30_000),
        timeout_local: timeout.span("local", Span::from_millis(500), &TIMEOUTS),
        timeout_remote: timeout.span("remote", Span::from_secs(2), &TIMEOUTS),
        heartbeat: heartbeat::read(&section, HeartbeatSettings::default()),
        refresh_on_scrape: section
            .get("refresh_on_scrape")
            .and_then(|cursor| cursor.flag())
            .unwrap_or(false),
    }
}
