//! The rules about what will break.

use super::alert_rule::{AlertRule, KEEP};
use super::lookup::{self, LookupUnit};
use super::selection::{ON_PAIR, PAIR, Selection};
use crate::alert::Rule;
use crate::config::Severity;
use crate::metrics::catalogue::{
    BACKLOG_HEADROOM_BYTES, BACKLOG_HEADROOM_SECONDS, OUTPUT_BUFFER_BYTES,
    OUTPUT_BUFFER_DISCONNECT_SECONDS, OUTPUT_BUFFER_LIMIT_BYTES,
};
use crate::model::{Share, Span, TimeLeft};

/// The smallest estimate of all exporters is at or below the level.
pub(super) fn backlog_headroom(
    selection: &Selection,
    severity: Severity,
    at: TimeLeft,
) -> AlertRule {
    let lasts = selection.min_where(BACKLOG_HEADROOM_SECONDS, "estimate=\"expected\"");
    let left = lookup::pair_value(
        BACKLOG_HEADROOM_BYTES,
        LookupUnit::Bytes,
        " The backlog has {} left.",
        "",
    );
    AlertRule {
        name: Rule::BacklogHeadroom.alert_name(),
        expr: format!("{lasts} <= {}", at.0.as_secs_f64()),
        pending_for: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{PAIR}: a cut of the link of more than {{{{ $value | humanizeDuration }}}} would end in a full resync"
        ),
        description: format!(
            "After that the master's backlog no longer holds what replica {{{{ $labels.replica }}}} lacks.{left}"
        ),
    }
}

/// The largest buffer as a part of the smallest limit.
pub(super) fn output_buffer(selection: &Selection, severity: Severity, at: Share) -> AlertRule {
    let size = selection.max(OUTPUT_BUFFER_BYTES);
    let limit = selection.min(OUTPUT_BUFFER_LIMIT_BYTES);
    let left = lookup::pair_value(
        OUTPUT_BUFFER_DISCONNECT_SECONDS,
        LookupUnit::Seconds,
        "At the present growth the master drops the link in {}.",
        "It does not grow at present.",
    );
    AlertRule {
        name: Rule::OutputBuffer.alert_name(),
        expr: format!("{size} / {ON_PAIR} {limit} >= {}", at.as_f64()),
        pending_for: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{PAIR}: the master's output buffer for replica {{{{ $labels.replica }}}} is \
             {{{{ $value | humanizePercentage }}}} full"
        ),
        description: left,
    }
}
