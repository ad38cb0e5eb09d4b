//! The metric of lost writes.

use std::collections::BTreeMap;

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label};
use crate::lost_writes::CaptureStatus;

/// How many captures there are of each pair, deposed master and state.
pub(super) fn add(families: &mut Families, captures: &[CaptureStatus]) {
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for status in captures {
        let key = (
            status.pair.to_string(),
            status.deposed.to_string(),
            status.state,
        );
        *counts.entry(key).or_default() += 1;
    }
    for ((pair, server, state), count) in counts {
        let labels = SeriesLabels::new([
            label("pair", &pair),
            label("server", &server),
            label("state", state.label()),
        ]);
        families.add(&c::LOST_WRITES, &labels, count);
    }
}
