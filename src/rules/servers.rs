//! The rules about servers.

use super::alert_rule::{AlertRule, KEEP, duration};
use crate::alert::Rule;
use crate::config::{CountRule, Settings, Severity};
use crate::metrics::catalogue::{FULL_SYNCS, POLLS, SENTINEL_QUORUM_OK, SERVER_UP};
use crate::model::Span;

/// A server's identity: what is left on an alert.
const BY_SERVER: &str = "by (dc, server)";

/// A server that was not asked even in vain for this long is not polled any more.
const NOT_POLLED: Span = Span::from_secs(300);

/// All rules about servers.
pub(super) fn rules(settings: &Settings) -> Vec<AlertRule> {
    let levels = &settings.alerts.unreachable;
    let unreachable = [
        (Severity::Warning, levels.warning),
        (Severity::Critical, levels.critical),
    ]
    .into_iter()
    .filter_map(|(severity, level)| Some(unreachable(severity, level?.at.max(levels.hold))));
    let CountRule { levels, window } = settings.alerts.full_sync;
    let full_syncs = [
        (Severity::Warning, levels.warning),
        (Severity::Critical, levels.critical),
    ]
    .into_iter()
    .filter_map(|(severity, level)| Some(full_sync(severity, level?.at, window, levels.hold)));
    let levels = &settings.alerts.sentinel_quorum;
    let quorums = [
        (Severity::Warning, levels.warning),
        (Severity::Critical, levels.critical),
    ]
    .into_iter()
    .filter_map(|(severity, level)| Some(quorum_lost(severity, level?.at.max(levels.hold))));
    unreachable
        .chain(full_syncs)
        .chain(quorums)
        .chain([polls_stopped()])
        .collect()
}

fn unreachable(severity: Severity, hold: Span) -> AlertRule {
    AlertRule {
        name: Rule::Unreachable.alert_name(),
        // The best of several exporters: a server that one of them reaches is up.
        expr: format!("max {BY_SERVER} ({}) == 0", SERVER_UP.name),
        hold,
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "{{ $labels.server }} in {{ $labels.dc }} does not answer",
        description: "No exporter gets an answer from the server. redis_cross_dc_poll_errors_total has the reason."
            .to_owned(),
    }
}

/// `increase` extrapolates to the window's ends, so one full sync may read as 0.9 or 1.1.
fn full_sync(severity: Severity, at: u64, window: Span, hold: Span) -> AlertRule {
    let window = duration(window);
    AlertRule {
        name: Rule::FullSync.alert_name(),
        expr: format!("round(max {BY_SERVER} (increase({}[{window}]))) >= {at}", FULL_SYNCS.name),
        hold,
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "{{ $labels.server }} gave {{ $value }} full syncs within a short time",
        description:
            "The master in {{ $labels.dc }} had to send its whole data set. Several in a row are a loop: each is \
                      cut before it ends."
                .to_owned(),
    }
}

fn quorum_lost(severity: Severity, hold: Span) -> AlertRule {
    AlertRule {
        name: Rule::SentinelQuorum.alert_name(),
        // One Sentinel that sees a quorum is enough.
        expr: format!("max by (pair, dc) ({}) == 0", SENTINEL_QUORUM_OK.name),
        hold,
        keep_firing_for: KEEP,
        severity: Some(severity),
        summary: "The Sentinels of {{ $labels.pair }} in {{ $labels.dc }} see no quorum",
        description:
            "Too few Sentinels reach each other to agree on a failure and to promote a replica: if the master \
                      fails now, nothing is failed over."
                .to_owned(),
    }
}

fn polls_stopped() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcPollsStopped",
        expr: format!("max {BY_SERVER} (increase({}[{}])) == 0", POLLS.name, duration(NOT_POLLED)),
        hold: Span::from_secs(60),
        keep_firing_for: KEEP,
        severity: Some(Severity::Warning),
        summary: "{{ $labels.server }} is not polled any more",
        description:
            "The exporter answers Prometheus and has not asked this server for five minutes, not even in vain."
                .to_owned(),
    }
}
