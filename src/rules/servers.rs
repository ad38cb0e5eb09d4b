//! The rules about servers.

use super::alert_rule::{AlertRule, KEEP, duration, levels_of};
use crate::alert::Rule;
use crate::config::{CountRule, LevelRule, Settings, Severity};
use crate::metrics::catalogue::{
    CLUSTER_REACHABLE, CLUSTER_SLOTS_UNCOVERED, CLUSTER_STATE_OK, EXPORTER_FAULT, FULL_SYNCS,
    LAST_KNOWN_SECONDS, PAIR_INFO, POLLS, SENTINEL_QUORUM_OK, SERVER_UP,
};
use crate::model::Span;

/// A server's identity: the labels that an alert keeps.
const BY_SERVER: &str = "by (dc, server)";

/// A server that was sent no poll for this long is no longer polled.
const NOT_POLLED: Span = Span::from_secs(300);

/// All rules about servers.
pub(super) fn rules(settings: &Settings) -> Vec<AlertRule> {
    let alerts = &settings.alerts;
    [
        after(&alerts.unreachable, unreachable),
        after(&alerts.unreachable, exporter_fault),
        full_syncs(&alerts.full_sync),
        after(&alerts.sentinel_quorum, quorum_lost),
        after(&alerts.cluster_down, cluster_down),
        vec![polls_stopped()],
    ]
    .concat()
}

/// A rule for each level of seconds that is on: its alert is pending for that time.
pub(super) fn after(
    rule: &LevelRule<Span>,
    make: impl Fn(Severity, Span) -> AlertRule,
) -> Vec<AlertRule> {
    let mut alerts = Vec::new();
    for (severity, at) in levels_of(rule) {
        alerts.push(make(severity, at.max(rule.pending_for)));
    }
    alerts
}

fn full_syncs(rule: &CountRule) -> Vec<AlertRule> {
    let mut alerts = Vec::new();
    for (severity, at) in levels_of(&rule.levels) {
        let pending_for = rule.levels.pending_for;
        alerts.push(full_sync(severity, at, rule.window, pending_for));
    }
    alerts
}

/// The sentences about the pairs that need the server, and what a failover from it would lose.
fn part_in_pairs() -> String {
    let pairs = "on (pair, source_dc, target_dc, replica)";
    let as_master = format!(
        "max by (pair, replica) ({} and {pairs} {}{{master=%q}})",
        LAST_KNOWN_SECONDS.name, PAIR_INFO.name
    );
    let as_replica = format!("max by (pair) ({}{{replica=%q}})", PAIR_INFO.name);
    format!(
        "{{{{ range printf \"{as_master}\" $labels.server | query }}}} It is the master of {{{{ .Labels.pair }}}}: a failover \
         to {{{{ .Labels.replica }}}} now would lose at most the last {{{{ .Value | humanizeDuration }}}} of writes, as last \
         known.{{{{ end }}}}{{{{ range printf \"{as_replica}\" $labels.server | query }}}} It is a replica of \
         {{{{ .Labels.pair }}}}: while it is away, {{{{ .Labels.pair }}}} has no copy there that follows.{{{{ end }}}}"
    )
}

fn unreachable(severity: Severity, pending_for: Span) -> AlertRule {
    AlertRule {
        name: Rule::Unreachable.alert_name(),
        // The best of several exporters: a server that one of them reaches is up. Exporters without
        // access to the server do not count.
        expr: format!(
            "max {BY_SERVER} ({} unless on (job, instance, dc, server) {}) == 0",
            SERVER_UP.name, EXPORTER_FAULT.name
        ),
        pending_for,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{{{{ $labels.server }}}} in {{{{ $labels.dc }}}} has not answered any exporter for {}",
            duration(pending_for)
        ),
        description: format!(
            "No exporter gets an answer from it; redis_cross_dc_poll_errors_total has the reason.{}",
            part_in_pairs()
        ),
    }
}

fn exporter_fault(severity: Severity, pending_for: Span) -> AlertRule {
    AlertRule {
        name: Rule::ExporterFault.alert_name(),
        expr: format!("max by (dc, server, reason) ({}) == 1", EXPORTER_FAULT.name),
        pending_for,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: "The exporter has no access to {{ $labels.server }} in {{ $labels.dc }} ({{ $labels.reason }})"
            .to_owned(),
        description:
            "A secret or certificate file of the exporter cannot be used, its TLS settings or its DNS are wrong, or the \
                      server refuses its login. Nothing is known of the server; check says which it is."
                .to_owned(),
    }
}

/// `increase` extrapolates to the window's ends, so one full sync may read as 0.9 or 1.1.
fn full_sync(severity: Severity, at: u64, window: Span, pending_for: Span) -> AlertRule {
    let window = duration(window);
    AlertRule {
        name: Rule::FullSync.alert_name(),
        expr: format!("round(max {BY_SERVER} (increase({}[{window}]))) >= {at}", FULL_SYNCS.name),
        pending_for,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: format!(
            "{{{{ $labels.server }}}} in {{{{ $labels.dc }}}} served full syncs to replicas ({{{{ $value }}}} in {window})"
        ),
        description:
            "The master sends its whole data set. Until the replica has loaded it, it is of no use for a failover. Several in \
             a row are a loop: each breaks off before it ends."
                .to_owned(),
    }
}

fn quorum_lost(severity: Severity, pending_for: Span) -> AlertRule {
    AlertRule {
        name: Rule::SentinelQuorum.alert_name(),
        // One Sentinel that sees a quorum is enough.
        expr: format!("max by (pair, dc) ({}) == 0", SENTINEL_QUORUM_OK.name),
        pending_for,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: "The Sentinels of {{ $labels.pair }} in {{ $labels.dc }} see no quorum".to_owned(),
        description:
            "If the master of {{ $labels.pair }} fails now, no replica is promoted: too few Sentinels reach each other \
             to agree on a failure."
                .to_owned(),
    }
}

fn cluster_down(severity: Severity, pending_for: Span) -> AlertRule {
    AlertRule {
        name: Rule::ClusterDown.alert_name(),
        // Of several exporters the one that sees the most is believed.
        expr: format!(
            "max by (cluster) ({}) == 0 or max by (cluster) ({}) == 0 or min by (cluster) ({}) > 0",
            CLUSTER_REACHABLE.name, CLUSTER_STATE_OK.name, CLUSTER_SLOTS_UNCOVERED.name
        ),
        pending_for,
        keep_firing_for: KEEP,
        severity: Some(severity),
        labels: Vec::new(),
        summary: "Redis Cluster {{ $labels.cluster }} is out of reach or does not serve every slot".to_owned(),
        description:
            "No node of {{ $labels.cluster }} answers, or most of them serve no queries, or slots have no living master. \
             Clients get errors for the keys of those slots, by default for every key."
                .to_owned(),
    }
}

fn polls_stopped() -> AlertRule {
    AlertRule {
        name: "RedisCrossDcPollsStopped",
        expr: format!("max {BY_SERVER} (increase({}[{}])) == 0", POLLS.name, duration(NOT_POLLED)),
        pending_for: Span::from_secs(60),
        keep_firing_for: KEEP,
        severity: Some(Severity::Warning),
        labels: Vec::new(),
        summary: "{{ $labels.server }} in {{ $labels.dc }} is no longer polled".to_owned(),
        description:
            "The exporter answers Prometheus and has not polled this server for five minutes: everything that it \
             reports about the server is out of date."
                .to_owned(),
    }
}
