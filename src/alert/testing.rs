//! For this room's tests: groups in simulated time, driven by nothing but their own wake-ups.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    AlertGroups, AlertKey, AlertSnapshot, AlertStatus, AlertTarget, DueNotifications, EvalContext,
    Labels, Measured, Notification, Quantity, Reading, ResolveReason, Rule, Suppression,
};
use crate::config::{
    HttpSettings, NotifySettings, PagerDutySettings, ReceiverKind, ReceiverSettings, RepageOn,
    Severity, TemplateSettings,
};
use crate::model::{Span, Timestamp};

pub(super) const GROUP_WAIT: i64 = 5;
pub(super) const GROUP_INTERVAL: i64 = 60;
pub(super) const REPEAT_INTERVAL: i64 = 3600;

pub(super) const fn at(secs: i64) -> Timestamp {
    Timestamp::from_nanos(secs * 1_000_000_000)
}

/// A receiver by `name`, or `name:critical` for one with that minimum severity.
pub(super) fn receiver(text: &str) -> ReceiverSettings {
    let (name, min_severity) = match text.split_once(':') {
        Some((name, _)) => (name, Severity::Critical),
        None => (text, Severity::Warning),
    };
    let kind = ReceiverKind::from(PagerDutySettings {
        routing_key: crate::config::SecretSource::File("key".into()),
        url: "http://pager.example.com".into(),
    });
    let (matchers, repage_on, http) = (
        BTreeMap::new(),
        RepageOn::default(),
        HttpSettings::default(),
    );
    let (name, fallback, template) = (name.into(), None, TemplateSettings::default());
    ReceiverSettings {
        name,
        min_severity,
        matchers,
        fallback,
        group_by: None,
        repage_on,
        kind,
        http,
        template,
    }
}

pub(super) fn settings(receivers: &[&str]) -> NotifySettings {
    NotifySettings {
        identity: String::new(),
        group_by: ["alertname", "source_dc", "target_dc", "dc"]
            .map(str::to_owned)
            .to_vec(),
        group_wait: Span::from_secs(GROUP_WAIT),
        group_interval: Span::from_secs(GROUP_INTERVAL),
        repeat_interval: Span::from_secs(REPEAT_INTERVAL),
        external_url: None,
        dashboard_url: None,
        flapping: None,
        maintenance: Vec::new(),
        receivers: receivers.iter().map(|text| receiver(text)).collect(),
    }
}

pub(super) fn key(pair: &str) -> AlertKey {
    let labels = [
        ("pair", pair),
        ("source_dc", "dc1"),
        ("target_dc", "dc2"),
        ("replica", "r:6379"),
    ];
    let labels: Labels = labels
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    AlertKey::new(Rule::LagSeconds, Arc::new(labels))
}

/// An alert that fires: a warning at its threshold of 30 s, a critical alert at 120 s.
pub(super) fn firing(pair: &str, severity: Severity) -> AlertSnapshot {
    let key = key(pair);
    let threshold = Span::from_secs(if severity == Severity::Critical {
        120
    } else {
        30
    });
    AlertSnapshot {
        identity: key.identity().clone(),
        fingerprint: key.fingerprint(),
        severity,
        status: AlertStatus::Firing,
        started_at: at(0),
        resolved: None,
        value: Measured::from(Reading::exact(threshold)),
        threshold: Quantity::Seconds(threshold),
        peak: None,
        context: Arc::default(),
        muted_by: None,
        recovering: false,
        series: None,
        decision: None,
    }
}

pub(super) fn resolved(alert: &AlertSnapshot, now: Timestamp) -> AlertSnapshot {
    let resolved = Some((now, ResolveReason::Cleared));
    AlertSnapshot {
        status: AlertStatus::Resolved,
        resolved,
        ..alert.clone()
    }
}

/// Groups, the alerts that are true now, and all notifications.
pub(super) struct Simulation {
    pub(super) groups: AlertGroups,
    pub(super) now: Timestamp,
    pub(super) alerts: BTreeMap<String, Arc<AlertSnapshot>>,
    pub(super) notifications: Vec<Notification>,
    pub(super) suppressed: Vec<(Arc<str>, Suppression)>,
    pub(super) targets: Vec<AlertTarget>,
}

impl Simulation {
    pub(super) fn new(settings: &NotifySettings) -> Self {
        Self {
            groups: AlertGroups::new(settings),
            now: at(0),
            alerts: BTreeMap::new(),
            notifications: Vec::new(),
            suppressed: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Lets time pass, waking the groups exactly when they ask for it.
    pub(super) fn advance(&mut self, to: Timestamp) {
        while let Some(wakeup) = self.groups.next_wakeup().filter(|wakeup| *wakeup <= to) {
            self.now = self.now.max(wakeup);
            self.check_due();
            let next = self.groups.next_wakeup();
            assert!(
                next.is_none_or(|next| next > self.now),
                "{next:?} was due and stayed so"
            );
        }
        self.now = to;
    }

    fn check_due(&mut self) {
        let alerts = &self.alerts;
        let current = |key: &AlertKey| {
            key.identity()
                .labels
                .get("pair")
                .and_then(|pair| alerts.get(pair))
                .cloned()
        };
        let outlook = EvalContext {
            current: &current,
            targets: &self.targets,
        };
        let due = self.groups.due(self.now, &outlook);
        self.notifications.extend(due.notifications);
        self.suppressed.extend(due.suppressed);
        assert_eq!(
            self.groups.due(self.now, &outlook),
            DueNotifications::default(),
            "nothing is notified twice"
        );
    }

    /// Makes an alert fire at a severity, or resolves it.
    pub(super) fn set(&mut self, pair: &str, severity: Option<Severity>) {
        let alert = match (severity, self.alerts.remove(pair)) {
            (Some(severity), _) => Arc::new(firing(pair, severity)),
            (None, Some(known)) => Arc::new(resolved(&known, self.now)),
            (None, None) => return,
        };
        self.groups.record(self.now, &alert);
        if severity.is_some() {
            self.alerts.insert(pair.to_owned(), alert);
        }
    }

    /// Records an alert as it is at an instant that `advance` has not come to.
    pub(super) fn record_at(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        self.groups.record(now, alert);
        let name = alert.label("pair").to_owned();
        self.alerts.insert(name, Arc::clone(alert));
    }

    /// Records an alert as it is.
    pub(super) fn record(&mut self, alert: &Arc<AlertSnapshot>) {
        self.groups.record(self.now, alert);
        let name = alert
            .identity
            .labels
            .get("pair")
            .cloned()
            .unwrap_or_else(|| alert.label("server").to_owned());
        self.alerts.insert(name, Arc::clone(alert));
    }

    pub(super) fn reconfigure(&mut self, settings: &NotifySettings) {
        let firing: Vec<_> = self.alerts.values().cloned().collect();
        self.groups.reconfigure(self.now, settings, &firing);
    }
}
