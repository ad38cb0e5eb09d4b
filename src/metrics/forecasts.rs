//! The metrics of what is expected of a pair. Each is absent where there is no prediction.

use super::catalogue as c;
use super::families::Families;
use super::labels::SeriesLabels;
use crate::model::Timestamp;
use crate::monitor::PairSnapshot;
use crate::replication::{Assessment, Forecast, Headroom, OutputBuffer};

/// What is expected of the pair at `now`, at which `seen` is true of it.
pub(super) fn add_forecast(
    families: &mut Families,
    labels: &SeriesLabels,
    pair: &PairSnapshot,
    seen: &Assessment,
    now: Timestamp,
) {
    let forecast = pair.forecast(seen, now);
    let Forecast {
        headroom,
        catch_up,
        output_buffer,
        full_sync,
        evidence,
    } = forecast;
    add_headroom(families, labels, headroom);
    families.add(&c::CATCH_UP_SECONDS, labels, catch_up.expected.ok());
    if let Ok(buffer) = output_buffer {
        add_output_buffer(families, labels, buffer);
    }
    if let Ok(sync) = full_sync {
        families.add(&c::SYNC_LEFT_SECONDS, labels, sync.transferred_in.ok());
    }
    let lasts = evidence.ok().map(|evidence| evidence.lasts);
    families.add(&c::EVIDENCE_EXPIRES_SECONDS, labels, lasts);
    let attempts = u64::from(pair.facts.link.attempts.count);
    families.add(&c::SYNC_ATTEMPTS, labels, above_zero(attempts));
    families.add(
        &c::LINK_FLAPS,
        labels,
        above_zero(pair.facts.forecast.flaps),
    );
}

fn add_headroom(families: &mut Families, labels: &SeriesLabels, headroom: Headroom) {
    let estimates = [
        ("expected", headroom.expected.ok()),
        ("worst", headroom.worst.ok()),
    ];
    families.add_each(&c::BACKLOG_HEADROOM_SECONDS, labels, "estimate", estimates);
}

fn add_output_buffer(families: &mut Families, labels: &SeriesLabels, buffer: OutputBuffer) {
    families.add(&c::OUTPUT_BUFFER_BYTES, labels, buffer.size);
    let limits = [("hard", buffer.hard), ("soft", buffer.soft)];
    families.add_each(&c::OUTPUT_BUFFER_LIMIT_BYTES, labels, "limit", limits);
    let left = buffer.disconnect_in.ok();
    families.add(&c::OUTPUT_BUFFER_DISCONNECT_SECONDS, labels, left);
}

/// A count, where anything was counted.
fn above_zero(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}
