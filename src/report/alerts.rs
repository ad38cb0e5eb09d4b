//! Alerts in a report: each with its state, its value and why it is or is not notified.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::numbers::UnixClock;
use super::servers::ExporterReport;
use crate::alert::news::headline;
use crate::alert::{
    AlertKey, AlertSnapshot, AlertState, AlertStatus, Decision, Labels, ListedAlert, MutedBy,
    Quantity, Transition,
};
use crate::config::Severity;
use crate::model::{Timestamp, closed_set, serde_as_label};
use crate::monitor::FleetSnapshot;

/// Every alert that is pending, firing or recently resolved: the answer of `/api/v1/alerts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertsReport {
    /// Firing first, then pending, then resolved; critical before warning; the oldest first.
    pub alerts: Vec<AlertReport>,
    /// The exporter that made the report, and when.
    pub exporter: ExporterReport,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertReport {
    /// Its name.
    pub alertname: String,
    /// Its severity now, or the last one it had.
    pub severity: Severity,
    /// One line: what happened to which target and since when, and what would be lost now. Empty in
    /// reports of older exporters.
    #[serde(default)]
    pub summary: String,
    /// Its state.
    pub state: ListedState,
    /// Whether it fires although its value is clear: not yet for long enough.
    pub recovering: bool,
    /// Its identity's labels and the pair's configured ones.
    pub labels: Labels,
    /// The value at the last evaluation that had data: the best estimate.
    pub value: Option<f64>,
    /// The value was certainly at least this.
    pub lower: Option<f64>,
    /// The value was certainly at most this.
    pub upper: Option<f64>,
    /// The unit of `value`, `lower`, `upper`, `threshold` and `peak`.
    pub unit: ValueUnit,
    /// The threshold of its severity.
    pub threshold: f64,
    /// The highest estimate (or lower bound, where there is no estimate) since it started.
    pub peak: Option<f64>,
    /// When its condition began to hold.
    pub started_timestamp: f64,
    /// When it resolved.
    pub resolved_timestamp: Option<f64>,
    /// When the fault began, which is before the alert did. Absent from reports of older exporters.
    #[serde(default)]
    pub fault_since_timestamp: Option<f64>,
    /// When the fault ended.
    #[serde(default)]
    pub fault_until_timestamp: Option<f64>,
    /// The replica has every write up to this moment.
    #[serde(default)]
    pub last_data_timestamp: Option<f64>,
    /// Why it resolved: `cleared` or `removed`.
    pub resolve_reason: Option<String>,
    /// When the last good sample behind it was taken.
    pub last_sample_timestamp: Option<f64>,
    /// A stable hash of name and identity labels, in 16 hexadecimal digits.
    pub fingerprint: String,
    /// One sentence: why the pair or server is in its state.
    pub reason: Option<String>,
    /// The pair's master, `host:port`.
    pub master: Option<String>,
    /// The silence that mutes its notifications.
    pub silenced_by: Option<String>,
    /// The maintenance window that mutes its notifications.
    pub maintenance: Option<String>,
    /// The operation that is under way and causes it.
    #[serde(default)]
    pub operation: Option<String>,
    /// The alert that inhibits it: receivers that are notified of that one are not notified of this
    /// one.
    pub caused_by: Option<InhibitorReport>,
    /// Whether it recently had so many outages that short ones are not notified until it is stable.
    pub flapping: bool,
    /// While it flaps: how many outages of the series have ended.
    #[serde(default)]
    pub outages: Option<u32>,
    /// Its last change; `null` while it is pending.
    pub decision: Option<DecisionReport>,
}

/// An alert that inhibits another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InhibitorReport {
    /// Its name.
    pub alertname: String,
    /// Its identity's labels.
    pub labels: Labels,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// The last change of an alert, and the value that caused it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionReport {
    /// `fired`, `escalated`, `deescalated`, `settled` or `resolved`; of an older version
    /// `flapping`.
    pub change: String,
    /// When.
    pub timestamp: f64,
    /// The estimate at that moment.
    pub value: Option<f64>,
    /// The value was certainly at least this.
    pub lower: Option<f64>,
    /// The value was certainly at most this.
    pub upper: Option<f64>,
}

closed_set! {
    /// The state of an alert in a list, in the order of attention.
    pub enum ListedState {
        /// It fires, even if its value is clear by now (`recovering`).
        Firing => "firing",
        /// A condition holds, but not yet for long enough.
        Pending => "pending",
        /// It has ended.
        Resolved => "resolved",
    }
}
serde_as_label!(ListedState);

closed_set! {
    /// The unit of an alert's values.
    pub enum ValueUnit {
        /// Seconds.
        Seconds => "seconds",
        /// Bytes.
        Bytes => "bytes",
        /// How many times something happened.
        Count => "count",
        /// A part of a limit: 0.5 is half of it.
        Ratio => "ratio",
    }
}
serde_as_label!(ValueUnit);

impl AlertsReport {
    /// The alerts at `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let mut alerts = Vec::with_capacity(fleet.alerts.len());
        for listed in &*fleet.alerts {
            alerts.push(AlertReport::new(fleet, listed, now));
        }
        alerts.sort_by(AlertReport::compare_attention);
        Self {
            alerts,
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl AlertReport {
    /// Orders the alert first that most deserves attention.
    fn compare_attention(&self, other: &Self) -> Ordering {
        let by_state = self.state.cmp(&other.state);
        by_state
            .then_with(|| other.severity.cmp(&self.severity))
            .then_with(|| self.started_timestamp.total_cmp(&other.started_timestamp))
            .then_with(|| self.fingerprint.cmp(&other.fingerprint))
    }

    fn new(fleet: &FleetSnapshot, listed: &ListedAlert, now: Timestamp) -> Self {
        let caused_by = listed.inhibited_by.as_ref().map(InhibitorReport::new);
        Self {
            caused_by,
            ..Self::from_snapshot(fleet, &listed.alert, listed.state, now)
        }
    }

    /// The alert as it was right after a change.
    pub(super) fn from_transition(
        fleet: &FleetSnapshot,
        transition: &Transition,
        at: Timestamp,
    ) -> Self {
        let state = if transition.alert.status == AlertStatus::Resolved {
            AlertState::Resolved
        } else {
            AlertState::Firing
        };
        Self::from_snapshot(fleet, &transition.alert, state, at)
    }

    fn from_snapshot(
        fleet: &FleetSnapshot,
        alert: &AlertSnapshot,
        state: AlertState,
        now: Timestamp,
    ) -> Self {
        let clock = UnixClock::new(fleet.anchor);
        let (state, recovering) = listed_state(state);
        let context = &alert.context;
        let decision = alert.decision;
        let muted_by = alert.muted_by.as_ref();
        Self {
            alertname: alert.identity.rule.alert_name().to_owned(),
            severity: alert.severity,
            summary: headline(alert, now, &fleet.anchor).to_string(),
            state,
            recovering,
            labels: all_labels(alert),
            value: number(alert.value.estimate),
            lower: number(alert.value.lower),
            upper: number(alert.value.upper),
            unit: ValueUnit::new(alert.threshold),
            threshold: alert.threshold.as_f64(),
            peak: number(alert.peak),
            started_timestamp: clock.unix(alert.started_at),
            resolved_timestamp: clock.unix_if_known(resolved_at(alert)),
            fault_since_timestamp: clock.unix_if_known(context.fault_since),
            fault_until_timestamp: clock.unix_if_known(fault_until(alert)),
            last_data_timestamp: clock.unix_if_known(context.last_data),
            resolve_reason: alert.resolved.map(|(_, reason)| reason.label().to_owned()),
            last_sample_timestamp: clock.unix_if_known(context.last_sample),
            fingerprint: alert.fingerprint.to_string(),
            reason: context.reason.clone(),
            master: context.master.clone(),
            silenced_by: muted_by.and_then(silence),
            maintenance: muted_by.and_then(window),
            operation: muted_by.and_then(operation),
            caused_by: None,
            flapping: alert.series.is_some(),
            outages: alert.series.map(|series| series.outages),
            decision: decision.map(|decision| DecisionReport::new(decision, clock)),
        }
    }
}

fn number(quantity: Option<Quantity>) -> Option<f64> {
    quantity.map(Quantity::as_f64)
}

fn resolved_at(alert: &AlertSnapshot) -> Option<Timestamp> {
    let (at, _) = alert.resolved?;
    Some(at)
}

/// When a fault with a known beginning ended: with its alert, unless another instant is known.
fn fault_until(alert: &AlertSnapshot) -> Option<Timestamp> {
    alert.context.fault_since?;
    alert.context.fault_until.or(resolved_at(alert))
}

fn silence(muted_by: &MutedBy) -> Option<String> {
    match muted_by {
        MutedBy::Silence(id) => Some(id.to_string()),
        MutedBy::Maintenance(_) | MutedBy::Operation(_) => None,
    }
}

fn window(muted_by: &MutedBy) -> Option<String> {
    match muted_by {
        MutedBy::Maintenance(window) => Some(window.to_string()),
        MutedBy::Silence(_) | MutedBy::Operation(_) => None,
    }
}

fn operation(muted_by: &MutedBy) -> Option<String> {
    match muted_by {
        MutedBy::Operation(id) => Some(id.to_string()),
        MutedBy::Silence(_) | MutedBy::Maintenance(_) => None,
    }
}

impl DecisionReport {
    fn new(decision: Decision, clock: UnixClock) -> Self {
        Self {
            change: decision.change.label().to_owned(),
            timestamp: clock.unix(decision.at),
            value: number(decision.value.estimate),
            lower: number(decision.value.lower),
            upper: number(decision.value.upper),
        }
    }
}

impl InhibitorReport {
    fn new(key: &AlertKey) -> Self {
        Self {
            alertname: key.identity().rule.alert_name().to_owned(),
            labels: (*key.identity().labels).clone(),
            fingerprint: key.fingerprint().to_string(),
        }
    }
}

impl ValueUnit {
    const fn new(quantity: Quantity) -> Self {
        match quantity {
            Quantity::Seconds(_) | Quantity::TimeLeft(_) => Self::Seconds,
            Quantity::Bytes(_) => Self::Bytes,
            Quantity::Count(_) => Self::Count,
            Quantity::Share(_) => Self::Ratio,
        }
    }
}

/// The configured labels and those of the identity, which take precedence.
fn all_labels(alert: &AlertSnapshot) -> Labels {
    let mut labels = (*alert.context.extra_labels).clone();
    for (name, value) in &*alert.identity.labels {
        labels.insert(name.clone(), value.clone());
    }
    labels
}

/// The listed state, and whether the alert is recovering. A recovering alert still fires: no
/// receiver was notified otherwise.
pub(super) const fn listed_state(state: AlertState) -> (ListedState, bool) {
    match state {
        AlertState::Pending => (ListedState::Pending, false),
        AlertState::Firing => (ListedState::Firing, false),
        AlertState::Recovering => (ListedState::Firing, true),
        AlertState::Resolved => (ListedState::Resolved, false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, fleet};
    use super::*;

    #[test]
    fn a_recovering_alert_still_fires() {
        let words = [
            AlertState::Pending,
            AlertState::Firing,
            AlertState::Recovering,
            AlertState::Resolved,
        ]
        .map(listed_state)
        .map(|(state, recovering)| (state.label(), recovering));
        assert_eq!(
            words,
            [
                ("pending", false),
                ("firing", false),
                ("firing", true),
                ("resolved", false)
            ]
        );
    }

    #[test]
    fn a_firing_alert_is_reported_with_target_beginning_and_reason() {
        let (fleet, now) = fleet(Scene::MasterLost);
        let report = AlertsReport::new(&fleet, now);
        let alert = &report.alerts[0];
        assert_eq!(
            (alert.alertname.as_str(), alert.state),
            ("RedisCrossDcServerUnreachable", ListedState::Firing)
        );
        assert_eq!((alert.unit, alert.threshold), (ValueUnit::Seconds, 15.0));
        assert!(alert.value.unwrap() >= 15.0 && alert.peak.unwrap() >= 15.0);
        assert_eq!(alert.labels["server"], "m.example.com:6379");
        assert!(alert.started_timestamp > 1.7e9 && alert.resolved_timestamp.is_none());
        assert!(
            alert
                .reason
                .as_deref()
                .unwrap()
                .contains("gave no answer in time")
        );
        let states: Vec<_> = report.alerts.iter().map(|a| a.state).collect();
        assert!(states.is_sorted(), "firing first: {states:?}");
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<AlertsReport>(&text).unwrap(), report);
    }
}
