//! The metrics of the exporter itself: its alerts and receivers, its histograms, its own state.

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label, with};
use crate::alert::{AlertState, ListedAlert};
use crate::delivery::QueueState;
use crate::model::{ClockAnchor, FleetShard, Span, Timestamp};
use crate::monitor::{FleetSnapshot, ReceiverSnapshot};
use crate::store::{StoreOperation, StoreStatus};

/// The histograms over the fleet.
pub(super) fn add_histograms(families: &mut Families, snapshot: &FleetSnapshot) {
    add_lag_distribution(families, snapshot);
    add_latency(families, snapshot);
    for (dc, histogram) in &snapshot.lateness {
        let labels = SeriesLabels::new([label("dc", dc.as_str())]);
        families.add_histogram(&c::POLL_LATENESS, &labels, histogram);
    }
}

fn add_lag_distribution(families: &mut Families, snapshot: &FleetSnapshot) {
    for ((source, target), histogram) in &snapshot.lag_distribution {
        let labels = SeriesLabels::new([
            label("source_dc", source.as_str()),
            label("target_dc", target.as_str()),
        ]);
        families.add_histogram(&c::LAG_DISTRIBUTION, &labels, histogram);
    }
}

fn add_latency(families: &mut Families, snapshot: &FleetSnapshot) {
    for ((operation, dc), histogram) in &snapshot.latency {
        let labels = SeriesLabels::new([
            label("operation", operation.label()),
            label("dc", dc.as_str()),
        ]);
        families.add_histogram(&c::LATENCY, &labels, histogram);
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
    let mut labels = SeriesLabels::new([
        label("alertname", identity.rule.alert_name()),
        label("severity", listed.alert.severity.label()),
        label("state", state),
    ]);
    for (name, value) in &*identity.labels {
        labels.push(name, value);
    }
    families.add(&c::ALERTS, &labels, true);
}

/// All metrics of one receiver at `now`.
pub(super) fn add_receiver(
    families: &mut Families,
    receiver: &ReceiverSnapshot,
    anchor: ClockAnchor,
    now: Timestamp,
) {
    let labels = SeriesLabels::new([label("receiver", &receiver.name)]);
    add_notifications(families, &labels, receiver, anchor);
    add_queue(families, &labels, &receiver.queue, now);
}

/// What has become of a receiver's notifications.
fn add_notifications(
    families: &mut Families,
    labels: &SeriesLabels,
    receiver: &ReceiverSnapshot,
    anchor: ClockAnchor,
) {
    families.add(&c::NOTIFICATIONS, labels, receiver.attempts());
    for (reason, count) in &receiver.failed {
        let labels = with(labels, "reason", reason.label());
        families.add(&c::NOTIFICATIONS_FAILED, &labels, *count);
    }
    for (reason, count) in &receiver.suppressed {
        let labels = with(labels, "reason", reason.label());
        families.add(&c::NOTIFICATIONS_SUPPRESSED, &labels, *count);
    }
    families.add_histogram(&c::NOTIFICATION_LATENCY, labels, &receiver.latency);
    let last_success = receiver.last_success.map(|at| anchor.wall(at));
    families.add(&c::NOTIFICATION_LAST_SUCCESS, labels, last_success);
}

/// The notifications that wait for a receiver, and those that were given up.
fn add_queue(families: &mut Families, labels: &SeriesLabels, queue: &QueueState, now: Timestamp) {
    families.add(&c::OUTBOX_DEPTH, labels, queue.depth);
    let oldest = queue.oldest.map(|at| (now - at).or_zero());
    families.add(&c::OUTBOX_OLDEST, labels, oldest);
    let circuit_is_open = queue.circuit_until.is_some_and(|until| until > now);
    families.add(&c::CIRCUIT_OPEN, labels, circuit_is_open);
    families.add(&c::DEAD_LETTERS, labels, queue.dead);
}

/// The exporter's build, its own health and its last reload.
pub(super) fn add_exporter(families: &mut Families, snapshot: &FleetSnapshot) {
    add_build(families);
    let isolated_for = snapshot.isolation().lasts();
    let is_isolated = isolated_for.map(|lasts| lasts > Span::ZERO);
    families.add_unlabelled(&c::MONITOR_ISOLATED, is_isolated);
    let polls = snapshot.polls;
    families.add_unlabelled(&c::POLL_EVENTS_DROPPED, polls.dropped_events);
    families.add_unlabelled(&c::POLL_ROUNDS_MISSED, polls.missed_rounds);
    let load = snapshot.load;
    let effective_interval = load.and_then(|load| load.effective_interval);
    families.add_unlabelled(&c::EFFECTIVE_INTERVAL, effective_interval);
    let is_overloaded = load.map(|load| load.overloaded_since.is_some());
    families.add_unlabelled(&c::OVERLOADED, is_overloaded);
    if let Some(shard) = snapshot.shard {
        add_shard(families, shard);
    }
    let reload = &snapshot.reload;
    families.add_unlabelled(&c::RELOAD_SUCCESSFUL, reload.failure.is_none());
    families.add_unlabelled(&c::RELOAD_TIMESTAMP, reload.last_success);
}

fn add_shard(families: &mut Families, shard: FleetShard) {
    let index = shard.index().to_string();
    let count = shard.count().to_string();
    let labels = SeriesLabels::new([label("index", &index), label("count", &count)]);
    families.add(&c::SHARD_INFO, &labels, true);
}

fn add_build(families: &mut Families) {
    let labels = SeriesLabels::new([
        label("version", env!("CARGO_PKG_VERSION")),
        label("revision", env!("BUILD_REVISION")),
        label("rustc", env!("RUSTC_VERSION")),
    ]);
    families.add(&c::BUILD_INFO, &labels, true);
}

impl Families {
    /// Adds whether the web configuration's file, as it is now, is active.
    pub fn add_web_config(&mut self, is_active: bool) {
        self.add_unlabelled(&c::WEB_CONFIG_SUCCESSFUL, is_active);
    }

    /// Adds the number of the program's own tasks, where it is known.
    pub fn add_tasks(&mut self, alive: Option<usize>) {
        self.add_unlabelled(&c::TASKS, alive);
    }

    /// Adds the state file's.
    pub fn add_state_store(&mut self, status: StoreStatus) {
        self.add_unlabelled(&c::STATE_STORE_UP, status.up);
        for operation in StoreOperation::ALL {
            let labels = SeriesLabels::new([label("operation", operation.label())]);
            self.add(&c::STATE_STORE_ERRORS, &labels, status.errors(operation));
        }
        self.add_unlabelled(&c::STATE_STORE_LAST_COMMIT, status.last_commit);
        self.add_unlabelled(&c::STATE_STORE_WRITTEN, status.written);
    }
}
