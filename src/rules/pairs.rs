//! The rules about pairs. Pairs whose configuration overrides a rule get rules of their own.

use super::alert_rule::{AlertRule, KEEP, duration, levels_of};
use super::foresight::{backlog_headroom, output_buffer};
use super::lookup::{self, LookupUnit};
use super::selection::{self, BY_PAIR, ON_PAIR, PAIR, Selection};
use crate::alert::Rule;
use crate::config::{LevelRule, Settings, Severity};
use crate::metrics::catalogue::{
    DIVERGED_BYTES, FAILOVER_LOST_BYTES, FAILOVERS, HISTORY_LOST, LAG_BYTES, LAG_LOWER_BYTES,
    LAG_LOWER_SECONDS, LAG_SECONDS, LAG_UPPER_BYTES, LAG_UPPER_SECONDS,
};
use crate::metrics::catalogue::{LINK_DOWN_SECONDS, LINK_STATE, PAIR_INFO, SYNC_PROGRESS_AGE};
use crate::model::{Bytes, Span};
use crate::replication::PairState;

/// A shorter time than this ends before the next evaluation, so it is no time at all.
const EVALUATED_EVERY: Span = Span::from_secs(1);

/// A full sync that made progress this recently is still under way. Short, because the level's time
/// begins after it; no shorter than the time between two scrapes of the usual interval.
const SYNC_IN_PROGRESS: Span = Span::from_secs(30);

/// All rules about pairs.
pub(super) fn rules(settings: &Settings) -> Vec<AlertRule> {
    let mut rules = Vec::new();
    for selection in selection::selections(settings) {
        rules.extend(selection_rules(&selection));
    }
    rules.push(history_lost());
    rules
}

/// The rules of the pairs that share thresholds.
fn selection_rules(selection: &Selection) -> Vec<AlertRule> {
    let alerts = &selection.alerts;
    let failovers = &alerts.failover;
    let failover = |selection: &Selection, severity: Severity, at: u64| {
        failover(selection, severity, at, failovers.window)
    };
    [
        levels(selection, &alerts.lag_seconds, lag_seconds),
        levels(selection, &alerts.lag_bytes, lag_bytes),
        levels(selection, &alerts.link_down, link_down),
        levels(selection, &alerts.unknown, unknown),
        levels(selection, &alerts.diverged, diverged),
        levels(selection, &failovers.levels, failover),
        levels(selection, &alerts.backlog_headroom, backlog_headroom),
        levels(selection, &alerts.output_buffer, output_buffer),
    ]
    .concat()
}

/// A rule for each level that is on.
fn levels<T: Copy>(
    selection: &Selection,
    rule: &LevelRule<T>,
    make: impl Fn(&Selection, Severity, T) -> AlertRule,
) -> Vec<AlertRule> {
    let mut alerts = Vec::new();
    for (severity, level) in levels_of(rule) {
        let mut alert = make(selection, severity, level);
        // What a rule waits for by its nature (`unknown`) may be longer than the configured `for`.
        alert.pending_for = alert.pending_for.max(rule.pending_for);
        alert.keep_firing_for = alert.keep_firing_for.max(rule.keep_firing_for);
        alerts.push(alert);
    }
    alerts
}

/// A warning compares the largest estimate of all exporters, unless one of them has certified that
/// the lag is smaller. Critical compares the largest certified lower bound.
fn lag_seconds(selection: &Selection, severity: Severity, at: Span) -> AlertRule {
    let level = at.as_secs_f64();
    let expr = match severity {
        Severity::Warning => format!(
            "{} >= {level} unless {ON_PAIR} {} < {level}",
            selection.max(LAG_SECONDS),
            selection.min(LAG_UPPER_SECONDS)
        ),
        Severity::Critical => format!("{} >= {level}", selection.max(LAG_LOWER_SECONDS)),
    };
    let certainty = certainty(severity);
    let bytes = lookup::pair_value(LAG_BYTES, LookupUnit::Bytes, ", about {},", "");
    AlertRule {
        name: Rule::LagSeconds.alert_name(),
        expr,
        pending_for: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{PAIR}: replica {{{{ $labels.replica }}}} is {certainty} {{{{ $value | humanizeDuration }}}} behind"
        ),
        description: format!(
            "If the master in {{{{ $labels.source_dc }}}} were lost now, {certainty} the last \
             {{{{ $value | humanizeDuration }}}} of writes{bytes} would be lost."
        ),
    }
}

/// As [`lag_seconds`].
fn lag_bytes(selection: &Selection, severity: Severity, at: Bytes) -> AlertRule {
    let level = at.get();
    let expr = match severity {
        Severity::Warning => format!(
            "{} >= {level} unless {ON_PAIR} {} < {level}",
            selection.max(LAG_BYTES),
            selection.min(LAG_UPPER_BYTES)
        ),
        Severity::Critical => format!("{} >= {level}", selection.max(LAG_LOWER_BYTES)),
    };
    let certainty = certainty(severity);
    let seconds = lookup::pair_value(LAG_SECONDS, LookupUnit::Seconds, ", about the last {},", "");
    AlertRule {
        name: Rule::LagBytes.alert_name(),
        expr,
        pending_for: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{PAIR}: replica {{{{ $labels.replica }}}} lacks {certainty} {{{{ $value | humanize1024 }}}}B"
        ),
        description: format!(
            "If the master in {{{{ $labels.source_dc }}}} were lost now, {certainty} \
             {{{{ $value | humanize1024 }}}}B of writes{seconds} would be lost."
        ),
    }
}

/// How sure the value of a lag's alert is.
const fn certainty(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "about",
        Severity::Critical => "at least",
    }
}

fn link_down(selection: &Selection, severity: Severity, at: Span) -> AlertRule {
    AlertRule {
        name: Rule::LinkDown.alert_name(),
        expr: format!(
            "{} >= {}",
            selection.max(LINK_DOWN_SECONDS),
            at.as_secs_f64()
        ),
        pending_for: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{PAIR}: replication to {{{{ $labels.replica }}}} has been down or stalled for \
             {{{{ $value | humanizeDuration }}}}"
        ),
        description: format!("{}{}", lookup::loss(), lookup::backlog()),
    }
}

/// The lag has been absent for the time of the level. A full sync that makes progress does not
/// count, nor does the first one of a replica; one that is stuck does.
fn unknown(selection: &Selection, severity: Severity, at: Span) -> AlertRule {
    AlertRule {
        name: Rule::Unknown.alert_name(),
        expr: format!(
            "{} unless {ON_PAIR} {} unless {ON_PAIR} {} < {}",
            selection.max(PAIR_INFO),
            selection.max(LAG_SECONDS),
            selection.min(SYNC_PROGRESS_AGE),
            SYNC_IN_PROGRESS.as_secs_f64(),
        ),
        pending_for: at,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!("{PAIR}: the lag of replica {{{{ $labels.replica }}}} is unknown"),
        description: format!(
            "{} A failover to the replica now could lose any amount of writes: the exporter's page says why its lag \
             is unknown.",
            lookup::loss()
        ),
    }
}

/// It has no configurable level, so one rule is for all pairs.
fn history_lost() -> AlertRule {
    AlertRule {
        name: Rule::HistoryLost.alert_name(),
        expr: format!("max {BY_PAIR} ({}) == 1", HISTORY_LOST.name),
        pending_for: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(Severity::Critical),
        labels: Vec::new(),
        summary: format!("{PAIR}: the master came back without its data or its history"),
        description: "The replica's next full sync replaces its data with what the master has now. If it still has the \
                      data, run REPLICAOF NO ONE on {{ $labels.replica }} before the sync is loaded."
            .to_owned(),
    }
}

fn diverged(selection: &Selection, severity: Severity, at: Span) -> AlertRule {
    let is_diverged = format!("state=\"{}\"", PairState::Diverged.label());
    let lost = lookup::pair_value(
        DIVERGED_BYTES,
        LookupUnit::Bytes,
        "{} of the older of the two histories will be lost when one side is resynchronized.",
        "how much will be lost when one side is resynchronized is unknown.",
    );
    AlertRule {
        name: Rule::Diverged.alert_name(),
        expr: format!("{} == 1", selection.max_where(LINK_STATE, &is_diverged)),
        // The smallest level is "at once".
        pending_for: if at < EVALUATED_EVERY { Span::ZERO } else { at },
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{PAIR}: replica {{{{ $labels.replica }}}} and its master have different histories"
        ),
        description: format!(
            "Both accept writes, or the replica has writes that its master lacks: {lost}"
        ),
    }
}

/// `increase` extrapolates to the window's ends, so one failover may read as 0.9 or 1.1.
fn failover(selection: &Selection, severity: Severity, at: u64, window: Span) -> AlertRule {
    let window = duration(window);
    let lost = FAILOVER_LOST_BYTES.name;
    AlertRule {
        name: Rule::Failover.alert_name(),
        expr: format!(
            "round(max by (pair) (increase({}[{window}]))) >= {at}",
            selection.series(FAILOVERS)
        ),
        pending_for: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{{{{ $labels.pair }}}}: another server became the master ({{{{ $value }}}} in {window})"
        ),
        description: format!(
            "{{{{ with printf \"max by (pair) ({lost}{{pair=%q}})\" $labels.pair | query }}}}The last failover lost \
             {{{{ . | first | value | humanize1024 }}}}B of the old master's writes.{{{{ else }}}}What the last failover lost \
             is unknown until the old master answers.{{{{ end }}}}"
        ),
    }
}
