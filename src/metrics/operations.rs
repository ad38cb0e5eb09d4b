//! The metric of operations.

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label};
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
