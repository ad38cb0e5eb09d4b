//! `heartbeat`: in `poll` for every pair; in a pair it overrides that key by key.

use crate::config::HeartbeatSettings;
use crate::config::cursor::Section;
use crate::config::fields;

/// The `heartbeat` of `section`; keys that it does not have come from `outer`.
pub(super) fn read(section: &Section<'_>, outer: HeartbeatSettings) -> HeartbeatSettings {
    fields::read_over(&section.section("heartbeat"), outer)
}
