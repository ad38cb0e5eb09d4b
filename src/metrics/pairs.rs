//! The metrics of pairs, and of the entries of the configuration that they belong to.

use super::catalogue as c;
use super::families::Families;
use super::forecasts::add_forecast;
use super::labels::{SeriesLabels, label, with};
use super::switches::Exposition;
use crate::model::{ClockAnchor, Timestamp};
use crate::monitor::{EntryFailovers, PairSnapshot, Threshold};
use crate::replication::{Assessment, PairState};

/// All metrics of one pair at `now`.
pub(super) fn add_pair(
    families: &mut Families,
    pair: &PairSnapshot,
    exposition: &Exposition,
    anchor: ClockAnchor,
    now: Timestamp,
) {
    let labels = pair_labels(pair);
    let assessment = pair.assess(now);
    add_info(families, &labels, pair);
    add_lag(families, &labels, pair, &assessment);
    add_last_known(families, &labels, &assessment, anchor);
    add_state(families, &labels, assessment.state, exposition);
    add_link(families, &labels, pair, &assessment, now);
    add_divergence(families, &labels, &assessment);
    add_forecast(families, &labels, pair, &assessment, now);
    if let Some(loss) = &pair.facts.loss
        && !loss.is_over(now)
    {
        families.add(&c::HISTORY_LOST, &labels, true);
    }
    if exposition.shown.raw_signals {
        add_raw_signals(families, &labels, pair);
    }
    add_heartbeats(families, &labels, pair, now);
    add_thresholds(families, &labels, pair, exposition);
}

fn pair_labels(pair: &PairSnapshot) -> SeriesLabels {
    let meta = &pair.meta;
    SeriesLabels::new([
        label("pair", meta.key.name.as_str()),
        label("source_dc", meta.source_dc.as_str()),
        label("target_dc", meta.target_dc.as_str()),
        label("replica", &meta.key.replica.to_string()),
    ])
}

fn add_info(families: &mut Families, labels: &SeriesLabels, pair: &PairSnapshot) {
    let mut labels = with(labels, "master", &pair.meta.master.to_string());
    for (name, value) in &*pair.meta.labels {
        labels.push(name, value);
    }
    families.add(&c::PAIR_INFO, &labels, true);
}

fn add_lag(
    families: &mut Families,
    labels: &SeriesLabels,
    pair: &PairSnapshot,
    assessment: &Assessment,
) {
    add_lag_seconds(families, labels, pair, assessment);
    add_lag_bytes(families, labels, assessment);
    families.add(&c::REPLICATION_BYTES, labels, pair.facts.applied_total);
    let headroom = assessment.backlog_headroom;
    families.add(&c::BACKLOG_HEADROOM_BYTES, labels, headroom);
}

fn add_lag_seconds(
    families: &mut Families,
    labels: &SeriesLabels,
    pair: &PairSnapshot,
    assessment: &Assessment,
) {
    let lag = assessment.lag;
    families.add(&c::LAG_SECONDS, labels, lag.estimate);
    families.add(&c::LAG_LOWER_SECONDS, labels, lag.lower);
    families.add(&c::LAG_UPPER_SECONDS, labels, lag.upper);
    let highest = pair.lag_max.max(lag.estimate);
    families.add(&c::LAG_MAX_SECONDS, labels, highest);
}

fn add_lag_bytes(families: &mut Families, labels: &SeriesLabels, assessment: &Assessment) {
    let bytes = assessment.bytes;
    families.add(&c::LAG_BYTES, labels, bytes.estimate);
    families.add(&c::LAG_LOWER_BYTES, labels, bytes.lower);
    families.add(&c::LAG_UPPER_BYTES, labels, bytes.upper);
}

fn add_last_known(
    families: &mut Families,
    labels: &SeriesLabels,
    assessment: &Assessment,
    anchor: ClockAnchor,
) {
    let sampled_at = assessment.sampled_at.map(|at| anchor.wall(at));
    families.add(&c::LAG_SAMPLE_TIMESTAMP, labels, sampled_at);
    let Some(known) = assessment.last_known else {
        return;
    };
    families.add(&c::LAST_KNOWN_SECONDS, labels, known.upper);
    families.add(&c::LAST_KNOWN_BYTES, labels, known.upper_bytes);
    families.add(&c::LAST_KNOWN_TIMESTAMP, labels, anchor.wall(known.at));
}

fn add_state(
    families: &mut Families,
    labels: &SeriesLabels,
    current: PairState,
    exposition: &Exposition,
) {
    families.add(&c::LINK_UP, labels, current == PairState::Streaming);
    for state in PairState::ALL {
        if state == current || exposition.shows_all_states() {
            let labels = with(labels, "state", state.label());
            families.add(&c::LINK_STATE, &labels, state == current);
        }
    }
}

fn add_link(
    families: &mut Families,
    labels: &SeriesLabels,
    pair: &PairSnapshot,
    assessment: &Assessment,
    now: Timestamp,
) {
    let down_for = pair.link_down_for(assessment, now);
    families.add(&c::LINK_DOWN_SECONDS, labels, down_for);
    let link = &pair.facts.link;
    if let Some(at) = link.sync_progress_at
        && link.syncing
    {
        families.add(&c::SYNC_PROGRESS_AGE, labels, (now - at).or_zero());
    }
}

fn add_divergence(families: &mut Families, labels: &SeriesLabels, assessment: &Assessment) {
    let Some(diverged) = assessment.diverged else {
        return;
    };
    families.add(&c::DIVERGED_BYTES, labels, diverged.older());
    let sides = [
        ("master", diverged.master()),
        ("replica", Some(diverged.replica())),
    ];
    families.add_each(&c::DIVERGED_SIDE_BYTES, labels, "side", sides);
}

/// The raw signals, as the servers last reported them. The last report of a silent server is not
/// shown.
fn add_raw_signals(families: &mut Families, labels: &SeriesLabels, pair: &PairSnapshot) {
    if pair.replica.facts.is_up() {
        let link = &pair.facts.link;
        families.add(&c::LAST_IO_SECONDS, labels, link.last_io);
        families.add(&c::UNAPPLIED_BYTES, labels, link.unapplied);
    }
    if pair.master.facts.is_up() {
        let ack = &pair.facts.ack;
        if let Some(last) = ack.last {
            families.add(&c::ACK_AGE_SECONDS, labels, last.age);
        }
        families.add(&c::ACK_LAG_BYTES, labels, ack.lag);
    }
}

/// The most recent heartbeats; nothing for a pair without heartbeats.
fn add_heartbeats(
    families: &mut Families,
    labels: &SeriesLabels,
    pair: &PairSnapshot,
    now: Timestamp,
) {
    let Some(interval) = pair.meta.heartbeat else {
        return;
    };
    let heartbeats = &pair.facts.heartbeats;
    let delay = heartbeats.delay(interval, now);
    families.add(&c::HEARTBEATS, labels, heartbeats.arrived);
    families.add(&c::HEARTBEAT_UP, labels, delay.is_some());
    families.add(&c::HEARTBEAT_DELAY, labels, delay);
}

fn add_thresholds(
    families: &mut Families,
    labels: &SeriesLabels,
    pair: &PairSnapshot,
    exposition: &Exposition,
) {
    for threshold in exposition.thresholds_of_pair(pair) {
        let level = level_labels(&threshold).followed_by(labels);
        families.add_level(&c::ALERT_THRESHOLD, &level, threshold.value);
    }
}

/// The thresholds of every pair that has none of its own.
pub(super) fn add_default_thresholds(families: &mut Families, exposition: &Exposition) {
    for threshold in exposition.thresholds_of_all() {
        let level = level_labels(threshold);
        families.add_level(&c::ALERT_DEFAULT_THRESHOLD, &level, threshold.value);
    }
}

fn level_labels(threshold: &Threshold) -> SeriesLabels {
    SeriesLabels::new([
        label("rule", threshold.rule.label()),
        label("severity", threshold.severity),
    ])
}

/// The failovers of one entry of the configuration.
pub(super) fn add_failovers(families: &mut Families, failovers: &EntryFailovers) {
    let labels = SeriesLabels::new([label("pair", failovers.pair.as_str())]);
    families.add(&c::FAILOVERS, &labels, failovers.total);
    if let Some(last) = &failovers.last {
        families.add(&c::FAILOVER_LOST_BYTES, &labels, last.loss.exactly());
    }
}
