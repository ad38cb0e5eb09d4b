//! `RedisCrossDcInhibitor`: lets Alertmanager mute an effect while its cause is alerted.
//!
//! An inhibition rule compares labels of equal names. The alert of a server has `dc` and `server`,
//! that of a pair has four others, and neither tells which exporter is isolated, so no rule can
//! join them. This alert does: it has the labels of the alerts to mute, `cause` with the reason,
//! and `explains` with the highest severity that it mutes. It has no notifications.
//!
//! The causes are those of the built-in alerting (`monitor/inhibition.rs`).

use super::alert_rule::{AlertRule, KEEP, levels_of};
use super::selection::{BY_PAIR, ON_PAIR};
use crate::config::{LevelRule, Severity};
use crate::metrics::catalogue::{HISTORY_LOST, MONITOR_ISOLATED, PAIR_INFO, SERVER_UP};
use crate::model::Span;

/// The name of the alert.
const NAME: &str = "RedisCrossDcInhibitor";

/// A server of a pair does not answer: its alert inhibits those of the pair.
pub(super) fn pair_rules(unreachable: &LevelRule<Span>) -> Vec<AlertRule> {
    let mut rules = Vec::new();
    for (severity, pending_for) in levels(unreachable) {
        for (cause, label) in [
            ("master_unreachable", "master"),
            ("replica_unreachable", "replica"),
        ] {
            let servers = format!(
                "label_replace(max by (server) ({}) == 0, \"{label}\", \"$1\", \"server\", \"(.*)\")",
                SERVER_UP.name
            );
            rules.push(AlertRule {
                expr: format!("max {BY_PAIR} ({} and on ({label}) {servers})", PAIR_INFO.name),
                summary: format!(
                    "{{{{ $labels.pair }}}} {{{{ $labels.source_dc }}}} → {{{{ $labels.target_dc }}}}: its {label} does not answer"
                ),
                ..inhibitor(cause, severity, pending_for)
            });
        }
    }
    rules
}

/// Every exporter that gets no answer from a server is isolated, and gets none from the server's
/// whole datacenter: the alert of the isolation inhibits that of the server.
pub(super) fn server_rules(unreachable: &LevelRule<Span>) -> Vec<AlertRule> {
    let up = SERVER_UP.name;
    let isolated = format!("on (job, instance) ({} == 1)", MONITOR_ISOLATED.name);
    // A datacenter of which an isolated exporter sees a server is its own.
    let remote = format!("{up} == 0 and {isolated} unless on (job, instance, dc) ({up} == 1)");
    let of_others = format!("{up} unless {isolated}");
    let mut rules = Vec::new();
    for (severity, pending_for) in levels(unreachable) {
        rules.push(AlertRule {
            expr: format!("max by (dc, server) ({remote}) unless on (dc, server) ({of_others})"),
            summary:
                "{{ $labels.server }} in {{ $labels.dc }} answers no exporter, and each is isolated"
                    .to_owned(),
            ..inhibitor("isolated", severity, pending_for)
        });
    }
    rules
}

/// A master that came back without its history starts full syncs with its replicas: the alert of
/// the lost history inhibits that of the full syncs. It is always critical, and fires at once.
pub(super) fn full_sync_rule() -> AlertRule {
    let lost = format!(
        "{} and {ON_PAIR} {} == 1",
        PAIR_INFO.name, HISTORY_LOST.name
    );
    let server = format!("label_replace({lost}, \"server\", \"$1\", \"master\", \"(.*)\")");
    let dc = format!("label_replace({server}, \"dc\", \"$1\", \"source_dc\", \"(.*)\")");
    AlertRule {
        expr: format!("max by (dc, server) ({dc})"),
        summary: "{{ $labels.server }} in {{ $labels.dc }} came back without its history"
            .to_owned(),
        ..inhibitor("history_lost", Severity::Critical, Span::ZERO)
    }
}

/// The levels of `unreachable`, each with how long its alert is pending.
fn levels(unreachable: &LevelRule<Span>) -> Vec<(Severity, Span)> {
    let mut levels = levels_of(unreachable);
    for (_, pending_for) in &mut levels {
        *pending_for = (*pending_for).max(unreachable.pending_for);
    }
    levels
}

fn inhibitor(cause: &'static str, severity: Severity, pending_for: Span) -> AlertRule {
    AlertRule {
        name: NAME,
        expr: String::new(),
        pending_for,
        // As long as the alerts of the cause and of the effect.
        keep_firing_for: KEEP,
        severity: None,
        labels: vec![("cause", cause), ("explains", severity.label())],
        summary: String::new(),
        description: "Mutes the alerts that this explains, in Alertmanager's inhibit_rules. Notify nobody of it."
            .to_owned(),
    }
}
