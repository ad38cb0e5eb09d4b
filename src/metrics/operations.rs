//! The metrics of operations and drills.

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label};
use crate::model::PairName;
use crate::monitor::OperationSnapshot;

/// One series for each operation that is under way, or was recently.
pub(super) fn add(families: &mut Families, operations: &[OperationSnapshot]) {
    for operation in operations {
        let notice = &operation.notice;
        let labels = SeriesLabels::new([
            label("pair", &notice.pair),
            label("id", &notice.id),
            label("kind", notice.kind.label()),
            label("state", operation.phase.label()),
        ]);
        families.add(&c::OPERATION_INFO, &labels, 1_u64);
    }
}

/// When the last drill of each pair passed.
pub(super) fn add_drills(families: &mut Families, drills: &[(PairName, f64)]) {
    for (pair, passed) in drills {
        let labels = SeriesLabels::new([label("pair", pair.as_str())]);
        families.add(&c::DRILL_LAST_SUCCESS, &labels, *passed);
    }
}
