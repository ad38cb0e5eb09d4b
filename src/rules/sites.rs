//! The rules about active-active sites.

use super::alert_rule::{AlertRule, KEEP, levels_of};
use crate::alert::Rule;
use crate::config::{Settings, Severity};
use crate::metrics::catalogue::{
    CLOCK_SKEW_LOWER, CLOCK_SKEW_UPPER, COUNTER_DIVERGENCE, COUNTER_REGRESSED,
    DIVERGENT_KEYS_LOWER, QUEUE_LENGTH, QUEUE_OLDEST, QUEUE_OVERFLOW, QUEUE_REJECTED, SITES_UP,
    TIMESTAMP_AHEAD,
};
use crate::model::Span;

/// A direction's identity: the labels that an alert keeps.
const BY_SITES: &str = "by (name, source_dc, target_dc)";

/// Which direction it is, for every summary.
const SITES: &str = "{{ $labels.name }} {{ $labels.source_dc }} → {{ $labels.target_dc }}";

/// How old an item of a queue may become, in seconds: a warning, and critical.
const OLD: [u32; 2] = [300, 3600];

/// How long sites may differ, or be unknown.
const FIVE_MINUTES: Span = Span::from_secs(300);

/// All rules about active-active sites.
pub(super) fn rules(settings: &Settings) -> Vec<AlertRule> {
    let alerts = &settings.alerts;
    let mut rules = Vec::new();
    for (severity, at) in levels_of(&alerts.sync_queue) {
        rules.push(queue(severity, at, alerts.sync_queue.pending_for));
    }
    rules.push(diverged());
    for (severity, at) in levels_of(&alerts.clock_skew) {
        rules.push(skew(severity, at, alerts.clock_skew.pending_for));
    }
    rules.push(regressed());
    rules.push(unknown());
    rules
}

fn alert(rule: Rule, severity: Severity, expr: String) -> AlertRule {
    AlertRule {
        name: rule.alert_name(),
        expr,
        pending_for: Span::ZERO,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: String::new(),
        description: String::new(),
    }
}

/// The length, or the age of the oldest item; a warning also for items that were set aside and for
/// a queue that was full.
fn queue(severity: Severity, at: u64, pending_for: Span) -> AlertRule {
    let length = format!("max {BY_SITES} ({})", QUEUE_LENGTH.name);
    let oldest = format!("max {BY_SITES} ({})", QUEUE_OLDEST.name);
    let [warning_age, critical_age] = OLD;
    let conditions = match severity {
        Severity::Warning => format!(
            "{oldest} >= {warning_age} or max {BY_SITES} ({}) > 0 or max {BY_SITES} ({}) > 0",
            QUEUE_REJECTED.name, QUEUE_OVERFLOW.name
        ),
        Severity::Critical => format!("{oldest} >= {critical_age}"),
    };
    AlertRule {
        pending_for,
        summary: format!("{SITES}: the queue is long or old, or lost something"),
        description: format!(
            "{{{{ with printf \"max ({}{{name=%q,source_dc=%q}})\" $labels.name $labels.source_dc | query }}}}\
             {{{{ . | first | value }}}} items wait in the queue of {{{{ $labels.source_dc }}}}. {{{{ end }}}}\
             What waits is not at {{{{ $labels.target_dc }}}}; what was set aside or did not fit into the queue never comes there by itself.",
            QUEUE_LENGTH.name
        ),
        ..alert(
            Rule::SyncQueue,
            severity,
            format!("({length} >= {at}) or {conditions}"),
        )
    }
}

/// What was seen to differ for good, not an estimate.
fn diverged() -> AlertRule {
    AlertRule {
        pending_for: FIVE_MINUTES,
        summary: format!("{SITES}: {{{{ $value }}}} keys differ for good"),
        description:
            "{{ $labels.source_dc }} has versions that {{ $labels.target_dc }} lacks, and nothing brings them over by itself: clients \
             read other values there."
                .to_owned(),
        ..alert(
            Rule::SitesDiverged,
            Severity::Warning,
            format!(
                "max {BY_SITES} ({}) > 0 or max {BY_SITES} ({}) > 0",
                DIVERGENT_KEYS_LOWER.name, COUNTER_DIVERGENCE.name
            ),
        )
    }
}

/// The near end of the interval, whichever clock is ahead; or a version ahead of its server's
/// clock.
fn skew(severity: Severity, at: Span, pending_for: Span) -> AlertRule {
    let at = at.as_secs_f64();
    AlertRule {
        pending_for,
        summary: format!(
            "{SITES}: clocks are apart by at least {{{{ $value | humanizeDuration }}}}"
        ),
        description:
            "The clocks of the two servers differ, or somebody writes with a clock that is ahead of a server's: the later clock wins over the \
             later write."
                .to_owned(),
        ..alert(
            Rule::ClockSkew,
            severity,
            format!(
                "max {BY_SITES} ({}) >= {at} or max {BY_SITES} (-{}) >= {at} or max {BY_SITES} ({}) >= {at}",
                CLOCK_SKEW_LOWER.name, CLOCK_SKEW_UPPER.name, TIMESTAMP_AHEAD.name
            ),
        )
    }
}

fn regressed() -> AlertRule {
    AlertRule {
        summary: format!(
            "{SITES}: {{{{ $labels.target_dc }}}} has lost increments of {{{{ $value }}}} counters"
        ),
        description:
            "{{ $labels.target_dc }} has less in its own fields than {{ $labels.source_dc }} remembers: a failover or a restore has taken \
             increments back. What is counted there until the counters are merged may be lost, too."
                .to_owned(),
        ..alert(
            Rule::CounterRegressed,
            Severity::Warning,
            format!("max {BY_SITES} ({}) > 0", COUNTER_REGRESSED.name),
        )
    }
}

/// No exporter gets an answer of both sites.
fn unknown() -> AlertRule {
    AlertRule {
        pending_for: FIVE_MINUTES,
        summary: format!("{SITES}: it is unknown what differs"),
        description:
            "One of the sites does not answer the exporter, or the exporter lacks a right there. The sites may differ."
                .to_owned(),
        ..alert(
            Rule::SitesUnknown,
            Severity::Warning,
            format!("max {BY_SITES} ({}) == 0", SITES_UP.name),
        )
    }
}
