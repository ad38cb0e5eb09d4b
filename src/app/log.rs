//! The log lines of the running program: one line an event, with identifiers as fields.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use tracing::{info, warn};

use crate::alert::{AlertChange, Notification, Transition};
use crate::config::{ListenAddress, NotifySettings, Settings};
use crate::doctor::DoctorReport;
use crate::model::PairName;
use crate::monitor::{Promotion, StateChange};
use crate::notify;
use crate::replication::{PairState, Pause, StateReason};
use crate::report::ReloadReport;
use crate::topology::{DiscoveryChange, SourceHealth, SourceSubject, Topology};

/// Warns of an address that other machines reach, where no web configuration asks for a password:
/// the page shows more than the metrics of other exporters do.
pub(super) fn check_access(bound: &[SocketAddr], has_web_config: bool) {
    if has_web_config {
        return;
    }
    let mut bound = bound.iter();
    if let Some(listen) = bound.find(|addr| !addr.ip().is_loopback()) {
        warn!(
            %listen,
            "whoever reaches this address can read servers, alerts and silences without a password: \
             set one with --web.config.file, or listen on this machine only with \
             --web.listen-address=127.0.0.1:{}",
            listen.port()
        );
    }
}

pub(super) fn started(listen: &[SocketAddr], topology: &Topology, settings: &Settings) {
    let listen: Vec<_> = listen.iter().map(SocketAddr::to_string).collect();
    let listen = listen.join(",");
    info!(
        version = env!("CARGO_PKG_VERSION"),
        %listen,
        pairs = topology.pairs.len(),
        servers = topology.servers.len(),
        receivers = settings.notify.receivers.len(),
        "started"
    );
    if let Some(shard) = settings.shard {
        info!(%shard, "this exporter watches one shard of the fleet, counted from 0");
    }
    if settings.notify.receivers.is_empty() {
        warn!(
            "no receiver is configured under notify.receivers: alerts are shown, but nobody is notified"
        );
    }
    warnings(settings);
}

/// Warns of receivers that cannot be notified now because their secrets or files are not usable. In
/// the background, as files may be on a network.
pub(super) fn check_receivers(settings: &NotifySettings) {
    let settings = settings.clone();
    tokio::task::spawn_blocking(move || {
        for (receiver, problem) in notify::check(&settings) {
            warn!(
                receiver,
                problem, "the receiver cannot be notified as long as this lasts"
            );
        }
    });
}

fn warnings(settings: &Settings) {
    for warning in settings.warnings() {
        warn!("{warning}");
    }
}

pub(super) fn reloaded(report: &ReloadReport, settings: &Settings) {
    info!(
        pairs_added = report.pairs_added,
        pairs_removed = report.pairs_removed,
        pairs_kept = report.pairs_kept,
        trees_restarted = report.trees_restarted,
        receivers = report.receivers,
        "the configuration was reloaded"
    );
    warnings(settings);
}

/// An audit of `doctor` has ended.
pub(super) fn audited(outcome: &Result<DoctorReport, String>) {
    match outcome {
        Ok(report) => info!(
            critical = report.summary.critical,
            warnings = report.summary.warning,
            not_checked = report.summary.not_checked,
            "the audit for disaster recovery has ended"
        ),
        Err(error) => warn!(error, "the audit for disaster recovery has no report"),
    }
}

/// `reporters` is how the source's kind calls its reporters.
pub(super) fn discovered(reporters: &str, change: &DiscoveryChange) {
    match change {
        DiscoveryChange::Found { pair, master } => {
            info!(%pair, %master, "{reporters} know a master");
        }
        DiscoveryChange::Switched { pair, from, to } => {
            warn!(%pair, %from, %to, "{reporters} name another master: a failover");
        }
        DiscoveryChange::Replicas { pair } => {
            info!(%pair, "{reporters} know other replicas than before");
        }
        DiscoveryChange::Labels { pair } => {
            info!(%pair, "{reporters} assign other slots to the shard");
        }
        DiscoveryChange::Renamed { from, to } => {
            info!(pair = %to, %from, "the master's pairs have another name");
        }
        DiscoveryChange::Entries {
            added,
            removed,
            changed,
        } => {
            info!(
                added,
                removed, changed, "{reporters} list other pairs than before"
            );
        }
        DiscoveryChange::Gone { pair } => {
            info!(%pair, "{reporters} that answer no longer know the master");
        }
    }
}

/// A process that was stopped, or a machine that was suspended.
pub(super) fn paused(pause: &Pause) {
    let paused = pause.length().to_string();
    warn!(
        paused,
        "the exporter was paused: nothing was measured meanwhile, and the pause does not count as silence of any server"
    );
}

pub(super) fn took_over(promotion: &Promotion) {
    let Promotion { pair, from, to } = promotion;
    warn!(%pair, %from, %to, "another server took over from the master: a failover");
}

pub(super) fn placement_risk(pair: &PairName, risk: &str) {
    warn!(%pair, "{risk}");
}

/// Logs what has become wrong with pair files and DNS names since the troubles that are `known`,
/// and which are over. Returns those of now.
pub(super) fn source_troubles(
    sources: &[SourceHealth],
    known: &BTreeMap<SourceSubject, String>,
) -> BTreeMap<SourceSubject, String> {
    let mut troubles = BTreeMap::new();
    for source in sources {
        for (subject, trouble) in source.troubles() {
            if known.get(&subject) != Some(&trouble) {
                source_trouble(&subject, &trouble);
            }
            troubles.insert(subject, trouble);
        }
    }
    for subject in known.keys() {
        if !troubles.contains_key(subject) {
            source_mended(subject);
        }
    }
    troubles
}

fn source_trouble(subject: &SourceSubject, trouble: &str) {
    match subject {
        SourceSubject::File(path) => warn!(file = %path.display(), "{trouble}"),
        SourceSubject::Name { pair, name } => warn!(%pair, name, "{trouble}"),
        SourceSubject::Pair(pair) => warn!(%pair, "{trouble}"),
    }
}

fn source_mended(subject: &SourceSubject) {
    match subject {
        SourceSubject::File(path) => {
            info!(file = %path.display(), "the pair file is in force, or gone");
        }
        SourceSubject::Name { pair, name } => info!(%pair, name, "the DNS name is resolved again"),
        SourceSubject::Pair(pair) => info!(%pair, "the master is known"),
    }
}

/// The database is opened once: a reload does not move it.
pub(super) fn state_folder(in_use: &Path, settings: &Settings) {
    if in_use != settings.state.path {
        let in_use = in_use.display();
        let wanted = settings.state.path.display();
        warn!(%in_use, %wanted, "state.path was changed: that takes effect at the next start");
    }
}

/// The address is bound once: a reload does not move it.
pub(super) fn listen_address(in_use: &ListenAddress, settings: &Settings) {
    let wanted = &settings.listen_address;
    if in_use != wanted {
        warn!(%in_use, %wanted, "web.listen_address was changed: that takes effect at the next start");
    }
}

pub(super) fn state_changed(change: &StateChange) {
    let pair = change.pair.name.as_str();
    let replica = change.pair.replica.to_string();
    let reason = &change.reason;
    let from = change.from.map_or("none", PairState::label);
    let to = change.to.label();
    let no_access = matches!(reason, StateReason::NoAccess { .. });
    if matches!(change.to, PairState::Streaming | PairState::Unknown) && !no_access {
        info!(pair, replica, from, to, %reason, "the pair's state changed");
    } else {
        warn!(pair, replica, from, to, %reason, "the pair's state changed");
    }
}

pub(super) fn alert_changed(transition: &Transition) {
    let alert = &transition.alert;
    let alertname = alert.identity.rule.alert_name();
    let severity = alert.severity.label();
    let label = |name: &str| alert.identity.labels.get(name).map(String::as_str);
    let pair = label("pair");
    let replica = label("replica");
    let server = label("server");
    let source_dc = label("source_dc");
    let target_dc = label("target_dc");
    let dc = label("dc");
    let value = alert.value.best().map(|value| value.to_string());
    let fingerprint = alert.fingerprint.to_string();
    let change = transition.change.label();
    // The fields are the same on every line; a label that the alert does not have is left out of
    // it.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                alertname,
                severity,
                change,
                pair,
                replica,
                server,
                source_dc,
                target_dc,
                dc,
                value,
                fingerprint,
                "an alert changed"
            )
        };
    }
    match transition.change {
        AlertChange::Fired { .. } | AlertChange::Escalated | AlertChange::Flapping => {
            line!(warn);
        }
        AlertChange::Deescalated | AlertChange::Settled | AlertChange::Resolved { .. } => {
            line!(info);
        }
    }
}

pub(super) fn notification(notification: &Notification) {
    info!(
        receiver = &*notification.receiver,
        group = notification.group.text(),
        status = notification.status.label(),
        reason = notification.reason.label(),
        severity = notification.severity.label(),
        alerts = notification.alerts.len(),
        "a notification is due"
    );
}
