//! `heartbeat`: under `poll` for every pair, on a pair over it key by key.

use std::ops::RangeInclusive;

use crate::config::HeartbeatSettings;
use crate::config::cursor::Section;
use crate::config::schema::HEARTBEAT;
use crate::model::Span;

/// From what a master hardly notices to what still moves an idle master's offset the same hour.
const INTERVAL: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(3600);

/// What `heartbeat` in `section` says; `outer` where it says nothing.
pub(super) fn read(section: &Section<'_>, outer: HeartbeatSettings) -> HeartbeatSettings {
    let heartbeat = section.section("heartbeat", &HEARTBEAT);
    HeartbeatSettings {
        enabled: heartbeat
            .get("enabled")
            .and_then(|cursor| cursor.flag())
            .unwrap_or(outer.enabled),
        interval: heartbeat.span("interval", outer.interval, &INTERVAL),
    }
}
