//! The rules about the exporter itself, and the alert that is always there.

use super::alert_rule::AlertRule;
use super::servers::after;
use crate::alert::Rule;
use crate::config::{LevelRule, Severity};
use crate::metrics::catalogue::{
    BUILD_INFO, DEAD_LETTERS, MONITOR_ISOLATED, NOTIFICATIONS_FAILED, OUTBOX_OLDEST, OVERLOADED,
    RELOAD_SUCCESSFUL, STATE_STORE_UP, WEB_CONFIG_SUCCESSFUL,
};
use crate::model::Span;

/// The name of the alert that the exporter is down, which its expression names.
const DOWN: &str = "RedisCrossDcExporterDown";

/// All rules about the exporter. It is isolated when no remote server answers: that is worth an
/// alert as soon as one server is.
pub(super) fn rules(unreachable: &LevelRule<Span>) -> Vec<AlertRule> {
    let others = vec![
        down(),
        receiver_failing(),
        reload_failed(),
        overloaded(),
        state_not_kept(),
        watchdog(),
    ];
    [after(unreachable, isolated), others].concat()
}

/// Whatever the scrape job is called: a target that showed the exporter's own metric within six
/// hours, or has this alert already, and cannot be scraped. Where no such target is known any more,
/// not one exporter: `or on ()` adds the second only when the first is empty.
fn down() -> AlertRule {
    let info = BUILD_INFO.name;
    let known =
        format!("last_over_time({info}[6h]) or last_over_time(ALERTS{{alertname=\"{DOWN}\"}}[6h])");
    AlertRule {
        name: DOWN,
        expr: format!("(up == 0 and on (job, instance) ({known})) or on () absent({info})"),
        pending_for: Span::from_secs(120),
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Critical),
        labels: Vec::new(),
        summary: "redis-cross-dc-exporter{{ if $labels.instance }} {{ $labels.instance }}{{ end }} cannot be scraped"
            .to_owned(),
        description: format!(
            "{{{{ with query \"count({info})\" }}}}{{{{ . | first | value }}}} other exporter(s) still run, as far as Prometheus \
             knows.{{{{ else }}}}The replication between the datacenters is not monitored: data loss would go \
             unnoticed.{{{{ end }}}} Alerts that the exporter sends itself may not be sent either."
        ),
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
        pending_for: Span::ZERO,
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Critical),
        labels: Vec::new(),
        summary: "Receiver {{ $labels.receiver }} refuses the exporter's notifications".to_owned(),
        description:
            "Notifications have waited for longer than a minute or were given up: people may not know of an alert that \
             fires."
                .to_owned(),
    }
}

fn reload_failed() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcConfigReloadFailed",
        expr: format!(
            "{} == 0 or {} == 0",
            RELOAD_SUCCESSFUL.name, WEB_CONFIG_SUCCESSFUL.name
        ),
        pending_for: Span::from_secs(60),
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Warning),
        labels: Vec::new(),
        summary: "{{ $labels.instance }} runs with its old configuration: the new one has an error"
            .to_owned(),
        description:
            "check-config names the error. At its next restart the exporter would not start."
                .to_owned(),
    }
}

fn overloaded() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcExporterOverloaded",
        expr: format!("{} == 1", OVERLOADED.name),
        pending_for: Span::from_secs(120),
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Warning),
        labels: Vec::new(),
        summary: "{{ $labels.instance }} cannot keep its polling intervals".to_owned(),
        description:
            "Its numbers stay true, but their bounds are wider than they need to be: give its machine more CPU, or poll \
             less often."
                .to_owned(),
    }
}

fn state_not_kept() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcStateNotKept",
        expr: format!("{} == 0", STATE_STORE_UP.name),
        // Longer than a restart beside another one that still holds the file.
        pending_for: Span::from_secs(600),
        keep_firing_for: Span::ZERO,
        severity: Some(Severity::Warning),
        labels: Vec::new(),
        summary: "{{ $labels.instance }} cannot write its state".to_owned(),
        description:
            "Monitoring continues from memory. A restart would forget when an outage began, which alerts are open and \
             what was not delivered yet."
                .to_owned(),
    }
}

/// As the built-in alert.
fn isolated(severity: Severity, pending_for: Span) -> AlertRule {
    AlertRule {
        name: Rule::MonitorIsolated.alert_name(),
        expr: format!("{} == 1", MONITOR_ISOLATED.name),
        pending_for,
        keep_firing_for: Span::ZERO,
        severity: Some(severity),
        labels: Vec::new(),
        summary: "{{ $labels.instance }} reaches no server outside its own datacenter".to_owned(),
        description:
            "Its own network is the likely cause. Until it is back, the replication to other datacenters is not watched \
             from there: their lag is unknown or as last known."
                .to_owned(),
    }
}

fn watchdog() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcWatchdog",
        expr: "vector(1)".to_owned(),
        pending_for: Span::ZERO,
        keep_firing_for: Span::ZERO,
        severity: None,
        labels: Vec::new(),
        summary: "Alerts are evaluated and delivered".to_owned(),
        description: "Fires always. Route it to a dead man's switch: its absence is the alarm."
            .to_owned(),
    }
}
