//! The rules about the exporter itself, and the alert that is always there.

use super::alert_rule::AlertRule;
use crate::alert::Rule;
use crate::config::Severity;
use crate::metrics::catalogue::{
    BUILD_INFO, DEAD_LETTERS, MONITOR_ISOLATED, NOTIFICATIONS_FAILED, OUTBOX_OLDEST,
    RELOAD_SUCCESSFUL,
};
use crate::metrics::catalogue::{
    POLL_EVENTS_DROPPED, POLL_ROUNDS_MISSED, STATE_STORE_UP, WEB_CONFIG_SUCCESSFUL,
};
use crate::model::Span;

/// All rules about the exporter.
pub(super) fn rules() -> Vec<AlertRule> {
    let isolated = [
        isolated(Severity::Warning, 15),
        isolated(Severity::Critical, 60),
    ];
    let others = [
        down(),
        receiver_failing(),
        reload_failed(),
        overloaded(),
        state_not_kept(),
        watchdog(),
    ];
    isolated.into_iter().chain(others).collect()
}

fn down() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcExporterDown",
        // Whatever the scrape job is called: a target that showed this metric within six hours and
        // cannot be scraped.
        expr: format!(
            "(up == 0 and on (job, instance) last_over_time({0}[6h])) or absent({0})",
            BUILD_INFO.name
        ),
        hold: Span::from_secs(120),
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Critical),
        summary: "redis-cross-dc-exporter cannot be scraped",
        description:
            "Nobody watches the replication between the datacenters{{ if $labels.instance }} \
                      ({{ $labels.instance }}){{ end }}."
                .to_owned(),
    }
}

fn receiver_failing() -> AlertRule {
    AlertRule {
        name: Rule::ReceiverFailing.alert_name(),
        expr: format!(
            "(max by (receiver) (increase({}[15m])) > 0 and on (receiver) max by (receiver) ({}) > 60) \
             or max by (receiver) (increase({}[15m])) > 0",
            NOTIFICATIONS_FAILED.name, OUTBOX_OLDEST.name, DEAD_LETTERS.name
        ),
        hold: Span::ZERO,
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Critical),
        summary: "{{ $labels.receiver }} does not take the exporter's alerts",
        description:
            "Alerts wait for longer than a minute or were given up. Somebody who should know has not been told."
                .to_owned(),
    }
}

fn reload_failed() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcConfigReloadFailed",
        expr: format!("{} == 0 or {} == 0", RELOAD_SUCCESSFUL.name, WEB_CONFIG_SUCCESSFUL.name),
        hold: Span::from_secs(60),
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Warning),
        summary: "{{ $labels.instance }} runs with its old configuration",
        description:
            "The new configuration has an error. check-config names it; at its next restart the exporter would \
                      not start."
                .to_owned(),
    }
}

fn overloaded() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcExporterOverloaded",
        // A missed round now and then is a busy moment of the machine.
        expr: format!(
            "increase({}[10m]) > 0 or increase({}[10m]) > 30",
            POLL_EVENTS_DROPPED.name, POLL_ROUNDS_MISSED.name
        ),
        hold: Span::from_secs(300),
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Warning),
        summary: "{{ $labels.instance }} is too slow for its polls",
        description: "Its numbers stay true, but their intervals are wider than they need to be."
            .to_owned(),
    }
}

fn state_not_kept() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcStateNotKept",
        expr: format!("{} == 0", STATE_STORE_UP.name),
        // Longer than a restart beside another one that still holds the file.
        hold: Span::from_secs(600),
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Warning),
        summary: "{{ $labels.instance }} cannot write its state",
        description:
            "Monitoring goes on from memory. A restart in the middle of an outage would forget since when it lasts."
                .to_owned(),
    }
}

/// As the built-in alert with its default levels.
fn isolated(severity: Severity, hold: i64) -> AlertRule {
    AlertRule {
        name: Rule::MonitorIsolated.alert_name(),
        expr: format!("{} == 1", MONITOR_ISOLATED.name),
        hold: Span::from_secs(hold),
        keep_firing_for: Span::ZERO,
        severity: Some(severity),
        summary: "{{ $labels.instance }} reaches no server outside its own datacenter",
        description:
            "Its own network is more likely to be at fault than all of them. What it says of other datacenters is \
                      what it last knew."
                .to_owned(),
    }
}

fn watchdog() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcWatchdog",
        expr: "vector(1)".to_owned(),
        hold: Span::ZERO,
        keep_firing_for: Span::ZERO,
        severity: None,
        summary: "Alerts are evaluated and delivered",
        description: "Fires always. Route it to a dead man's switch: its absence is the alarm."
            .to_owned(),
    }
}
