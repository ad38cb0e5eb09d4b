//! The row of an alert.

use super::{Moment, NOT_KNOWN};
use crate::alert::Labels;
use crate::model::closed_set;
use crate::report::{
    AlertReport, ListedState, PairReport, amount_at_least_text, amount_text, seconds_text,
};
use crate::web::page::query::{pair_address, runbook_address};

/// The labels that name an alert's subject. Every other label comes from the configuration.
const SUBJECT_LABELS: [&str; 8] = [
    "pair",
    "name",
    "server",
    "receiver",
    "source_dc",
    "target_dc",
    "dc",
    "replica",
];

/// The labels that a silence of one alert matches, beside its name.
const MATCHED_LABELS: [&str; 5] = ["pair", "replica", "server", "name", "receiver"];

/// An alert that is pending, firing or recently resolved.
pub(in crate::web::page) struct AlertRow {
    pub(in crate::web::page) name: String,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) state: &'static str,
    pub(in crate::web::page) about: String,
    pub(in crate::web::page) address: Option<String>,
    pub(in crate::web::page) value: String,
    /// The threshold; of a resolved alert, how long it lasted.
    pub(in crate::web::page) limit: String,
    pub(in crate::web::page) since: Moment,
    pub(in crate::web::page) until: Option<Moment>,
    pub(in crate::web::page) reason: String,
    /// The runbook's address, with the pair or server that the alert is about.
    pub(in crate::web::page) runbook: String,
    /// Why receivers are not notified, where that is so.
    pub(in crate::web::page) suppressed: Option<String>,
    /// The matchers of a silence of it, one a line.
    pub(in crate::web::page) matchers: String,
}

impl AlertRow {
    pub(in crate::web::page) fn new(alert: &AlertReport) -> Self {
        let level = match alert.state {
            ListedState::Firing => alert.severity.label(),
            ListedState::Pending | ListedState::Resolved => alert.state.label(),
        };
        let state = if alert.recovering {
            "recovering"
        } else {
            alert.state.label()
        };
        Self {
            name: alert.alertname.clone(),
            level,
            state,
            about: alert_subject(&alert.labels),
            address: alert_address(alert),
            value: alert_value(alert),
            limit: limit(alert),
            since: Moment::from_unix(since(alert)),
            until: until(alert).map(Moment::from_unix),
            reason: alert.reason.clone().unwrap_or_default(),
            runbook: runbook_address(alert),
            suppressed: suppression(alert),
            matchers: matchers(alert),
        }
    }
}

/// The page of the pair that the alert is about.
fn alert_address(alert: &AlertReport) -> Option<String> {
    let pair = alert.labels.get("pair")?;
    let replica = alert.labels.get("replica")?;
    Some(pair_address(pair, replica))
}

closed_set! {
    /// What keeps receivers from being notified of an alert.
    pub(in crate::web::page) enum Suppressed {
        /// A silence.
        Silenced => "silenced",
        /// A maintenance window.
        Maintenance => "maintenance",
        /// An operation that is under way and causes it.
        Operation => "operation",
        /// An alert that is its cause.
        Inhibited => "inhibited",
        /// Too many outages.
        Flapping => "flapping",
    }
}

impl Suppressed {
    /// `None` where receivers are notified.
    pub(in crate::web::page) const fn from_alert(alert: &AlertReport) -> Option<Self> {
        if alert.silenced_by.is_some() {
            Some(Self::Silenced)
        } else if alert.maintenance.is_some() {
            Some(Self::Maintenance)
        } else if alert.operation.is_some() {
            Some(Self::Operation)
        } else if alert.caused_by.is_some() {
            Some(Self::Inhibited)
        } else if alert.flapping {
            Some(Self::Flapping)
        } else {
            None
        }
    }
}

/// Why receivers are not notified of the alert.
fn suppression(alert: &AlertReport) -> Option<String> {
    let words = match Suppressed::from_alert(alert)? {
        Suppressed::Silenced => "silenced".to_owned(),
        Suppressed::Maintenance => {
            let window = alert.maintenance.as_deref().unwrap_or(NOT_KNOWN);
            format!("maintenance: {window}")
        }
        Suppressed::Operation => {
            let operation = alert.operation.as_deref().unwrap_or(NOT_KNOWN);
            format!("caused by the operation {operation}")
        }
        Suppressed::Inhibited => match &alert.caused_by {
            Some(inhibitor) => format!("inhibited by {}", inhibitor.alertname),
            None => "inhibited".to_owned(),
        },
        Suppressed::Flapping => flapping(alert.outages),
    };
    Some(words)
}

/// `flapping, 3 outages so far`.
fn flapping(outages: Option<u32>) -> String {
    match outages {
        Some(1) => "flapping, 1 outage so far".to_owned(),
        Some(count) if count > 1 => format!("flapping, {count} outages so far"),
        _ => "flapping".to_owned(),
    }
}

/// The matchers by which this alert differs from others: its name and its subject, without the
/// labels that a configuration adds.
fn matchers(alert: &AlertReport) -> String {
    let mut lines = vec![format!("alertname={}", alert.alertname)];
    for name in MATCHED_LABELS {
        if let Some(value) = alert.labels.get(name) {
            lines.push(format!("{name}={value}"));
        }
    }
    lines.join("\n")
}

/// An alert's subject: first its name, then its place, then the other labels.
pub(in crate::web::page) fn alert_subject(labels: &Labels) -> String {
    let mut parts: Vec<String> = Vec::new();
    for name in ["pair", "name", "server", "receiver"] {
        if let Some(value) = labels.get(name) {
            parts.push(value.clone());
        }
    }
    if let (Some(from), Some(to)) = (labels.get("source_dc"), labels.get("target_dc")) {
        parts.push(format!("{from} → {to}"));
    }
    if let Some(dc) = labels.get("dc") {
        parts.push(dc.clone());
    }
    if let Some(replica) = labels.get("replica") {
        parts.push(format!("replica {replica}"));
    }
    for (name, value) in labels {
        if !SUBJECT_LABELS.contains(&name.as_str()) {
            parts.push(format!("{name}={value}"));
        }
    }
    parts.join(", ")
}

/// Whether an alert with these labels is about the pair or one of its servers.
pub(in crate::web::page) fn is_about(labels: &Labels, pair: &PairReport) -> bool {
    if let Some(server) = labels.get("server")
        && (*server == pair.master || *server == pair.replica)
    {
        return true;
    }
    let is_this_replica = match labels.get("replica") {
        Some(replica) => *replica == pair.replica,
        // An alert about the whole entry.
        None => true,
    };
    labels.get("pair") == Some(&pair.pair) && is_this_replica
}

/// The value now; of a resolved alert, the worst value.
fn alert_value(alert: &AlertReport) -> String {
    let text = |amount| amount_text(amount, alert.unit);
    if alert.state == ListedState::Resolved {
        return match alert.peak {
            Some(peak) => format!("up to {}", text(peak)),
            None => NOT_KNOWN.to_owned(),
        };
    }
    match (alert.value, alert.lower) {
        (Some(value), _) => text(value),
        (None, Some(lower)) => format!("at least {}", amount_at_least_text(lower, alert.unit)),
        (None, None) => NOT_KNOWN.to_owned(),
    }
}

/// When the fault began; of an alert without one, when its condition became true.
pub(in crate::web::page) fn since(alert: &AlertReport) -> f64 {
    let fault = alert.fault_since_timestamp;
    fault.unwrap_or(alert.started_timestamp)
}

/// When the fault ended, of a resolved alert.
fn until(alert: &AlertReport) -> Option<f64> {
    let resolved = alert.resolved_timestamp?;
    Some(alert.fault_until_timestamp.unwrap_or(resolved))
}

/// `warning from 10.0 s`; of a resolved alert `lasted 60.0 s`.
fn limit(alert: &AlertReport) -> String {
    if let Some(until) = until(alert) {
        return format!("lasted {}", seconds_text(until - since(alert)));
    }
    let threshold = amount_text(alert.threshold, alert.unit);
    format!("{} from {threshold}", alert.severity.label())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::AlertsReport;
    use crate::report::testing::{Scene, fleet};

    #[test]
    fn a_flapping_alert_shows_its_number_of_outages() {
        let (fleet, now) = fleet(Scene::MasterLost);
        let mut alert = AlertsReport::new(&fleet, now).alerts.remove(0);
        assert_eq!(AlertRow::new(&alert).suppressed, None);
        alert.flapping = true;
        let cases = [
            (None, "flapping"),
            (Some(0), "flapping"),
            (Some(1), "flapping, 1 outage so far"),
            (Some(3), "flapping, 3 outages so far"),
        ];
        for (outages, text) in cases {
            alert.outages = outages;
            assert_eq!(AlertRow::new(&alert).suppressed.as_deref(), Some(text));
        }
    }
}
