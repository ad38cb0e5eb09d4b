//! `poll`: how often servers are polled, and how long they may take.

use super::heartbeat;
use crate::config::cursor::Section;
use crate::config::value::{in_range, span_text};
use crate::config::{HeartbeatSettings, PollSettings, fields};
use crate::model::Span;

/// The shortest period: below it, the poll itself would be the load.
const SHORTEST: Span = Span::from_millis(50);

pub(super) fn read(root: &Section<'_>) -> PollSettings {
    let section = root.section("poll");
    let unread = PollSettings {
        // One that is refused limits `min_interval` no further.
        interval: Span::from_secs(3600),
        min_interval: Span::ZERO,
        max_polls_per_second: 0,
        timeout_local: Span::ZERO,
        timeout_remote: Span::ZERO,
        refresh_on_scrape: false,
        output_buffers: false,
        heartbeat: HeartbeatSettings::default(),
    };
    let mut poll = fields::read(&section, unread);
    limit_min_interval(&section, &mut poll);
    let timeout = section.section("timeout");
    poll.timeout_local = timeout.span_or_default("local");
    poll.timeout_remote = timeout.span_or_default("remote");
    poll.heartbeat = heartbeat::read(&section, poll.heartbeat);
    poll
}

/// `min_interval` is at most `interval`: a default that is longer follows it, a given one is
/// refused.
fn limit_min_interval(section: &Section<'_>, poll: &mut PollSettings) {
    if let Some(cursor) = section.get("min_interval") {
        let range = SHORTEST..=poll.interval;
        if poll.min_interval >= SHORTEST {
            cursor.checked(in_range(poll.min_interval, &range, |span| span_text(*span)));
        }
    } else {
        poll.min_interval = poll.min_interval.min(poll.interval);
    }
}
