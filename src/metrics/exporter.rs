//! The metrics of the exporter itself: its alerts and receivers, its histograms, its own state.

use prometheus::proto::MetricFamily;

use super::catalogue as c;
use super::families::{Families, label};
use crate::alert::{AlertState, ListedAlert};
use crate::model::{ClockAnchor, Span, Timestamp};
use crate::monitor::{FleetSnapshot, ReceiverSnapshot};
use crate::store::{StoreOperation, StoreStatus};

/// The histograms over the fleet.
pub(super) fn add_histograms(families: &mut Families, snapshot: &FleetSnapshot) {
    for ((source, target), histogram) in &snapshot.lag_distribution {
        let labels = vec![
            label("source_dc", source.as_str()),
            label("target_dc", target.as_str()),
        ];
        families.add_histogram(&c::LAG_DISTRIBUTION, labels, histogram);
    }
    for ((operation, dc), histogram) in &snapshot.latency {
        let labels = vec![
            label("operation", operation.label()),
            label("dc", dc.as_str()),
        ];
        families.add_histogram(&c::LATENCY, labels, histogram);
    }
    for (dc, histogram) in &snapshot.lateness {
        let labels = vec![label("dc", dc.as_str())];
        families.add_histogram(&c::POLL_LATENESS, labels, histogram);
    }
}

/// One alert, if it is pending or firing.
pub(super) fn add_alert(families: &mut Families, listed: &ListedAlert) {
    let state = match listed.state {
        AlertState::Pending => "pending",
        AlertState::Firing | AlertState::Recovering => "firing",
        AlertState::Resolved => return,
    };
    let identity = &listed.alert.identity;
    let mut labels = vec![
        label("alertname", identity.rule.alert_name()),
        label("severity", listed.alert.severity.label()),
        label("state", state),
    ];
    let target = identity.labels.iter();
    labels.extend(target.map(|(name, value)| label(name, value)));
    families.add(&c::ALERTS, &labels, true);
}

/// All metrics of one receiver at `now`.
pub(super) fn add_receiver(
    families: &mut Families,
    receiver: &ReceiverSnapshot,
    anchor: ClockAnchor,
    now: Timestamp,
) {
    let labels = vec![label("receiver", &receiver.name)];
    families.add(&c::NOTIFICATIONS, &labels, receiver.attempts());
    let failed = receiver.failed.iter();
    let failed = failed.map(|(reason, count)| (reason.label(), *count));
    families.add_each(&c::NOTIFICATIONS_FAILED, &labels, "reason", failed);
    let suppressed = receiver.suppressed.iter();
    let suppressed = suppressed.map(|(reason, count)| (reason.label(), *count));
    families.add_each(&c::NOTIFICATIONS_SUPPRESSED, &labels, "reason", suppressed);
    families.add_histogram(&c::NOTIFICATION_LATENCY, labels.clone(), &receiver.latency);
    let last_success = receiver.last_success.map(|at| anchor.wall(at));
    families.add(&c::NOTIFICATION_LAST_SUCCESS, &labels, last_success);
    let queue = &receiver.queue;
    families.add(&c::OUTBOX_DEPTH, &labels, queue.depth);
    let oldest = queue.oldest.map(|at| (now - at).or_zero());
    families.add(&c::OUTBOX_OLDEST, &labels, oldest);
    let is_open = queue.circuit_until.is_some_and(|until| until > now);
    families.add(&c::CIRCUIT_OPEN, &labels, is_open);
    families.add(&c::DEAD_LETTERS, &labels, queue.dead);
}

/// What the snapshot says of the exporter.
pub(super) fn add_exporter(families: &mut Families, snapshot: &FleetSnapshot) {
    let build = vec![
        label("version", env!("CARGO_PKG_VERSION")),
        label("revision", env!("BUILD_REVISION")),
        label("rustc", env!("RUSTC_VERSION")),
    ];
    families.add(&c::BUILD_INFO, &build, true);
    let isolated_for = snapshot.isolation().lasts();
    let is_isolated = isolated_for.map(|lasts| lasts > Span::ZERO);
    families.add_unlabelled(&c::MONITOR_ISOLATED, is_isolated);
    let losses = snapshot.losses;
    families.add_unlabelled(&c::POLL_EVENTS_DROPPED, losses.dropped_events);
    families.add_unlabelled(&c::POLL_ROUNDS_MISSED, losses.missed_rounds);
    let reload = &snapshot.reload;
    families.add_unlabelled(&c::RELOAD_SUCCESSFUL, reload.failure.is_none());
    families.add_unlabelled(&c::RELOAD_TIMESTAMP, reload.last_success);
}

/// The family about the web configuration: whether its file, as it is now, is in force.
pub fn web_config(is_in_force: bool) -> Vec<MetricFamily> {
    let mut families = Families::default();
    families.add_unlabelled(&c::WEB_CONFIG_SUCCESSFUL, is_in_force);
    families.into_proto()
}

/// The family about the program's own tasks; empty where their number is not known.
pub fn tasks(alive: Option<usize>) -> Vec<MetricFamily> {
    let mut families = Families::default();
    families.add_unlabelled(&c::TASKS, alive);
    families.into_proto()
}

/// The families about the state file.
pub fn state_store(status: StoreStatus) -> Vec<MetricFamily> {
    let mut families = Families::default();
    families.add_unlabelled(&c::STATE_STORE_UP, status.up);
    for operation in StoreOperation::ALL {
        let labels = vec![label("operation", operation.label())];
        families.add(&c::STATE_STORE_ERRORS, &labels, status.errors(operation));
    }
    families.add_unlabelled(&c::STATE_STORE_LAST_COMMIT, status.last_commit);
    families.add_unlabelled(&c::STATE_STORE_WRITTEN, status.written);
    families.into_proto()
}
