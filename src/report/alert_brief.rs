//! The open alerts of a pair, in short form, for the list of pairs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::alerts::{ListedState, listed_state};
use crate::alert::{ListedAlert, Rule, TargetKind};
use crate::config::Severity;
use crate::monitor::PairSnapshot;

/// An open alert of a pair, in short; `/api/v1/alerts` has all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBrief {
    /// Its name.
    pub alertname: String,
    /// Its severity.
    pub severity: Severity,
    /// `pending` or `firing`.
    pub state: ListedState,
    /// Whether it fires although its value is clear, because that has not lasted long enough.
    pub recovering: bool,
    /// Why, for an alert about a server or a failover: the pair's own reason may not mention it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The alerts that are pending or firing, by their targets.
#[derive(Default)]
pub(super) struct OpenAlerts<'a> {
    /// By the pair's name and its replica.
    pairs: BTreeMap<(&'a str, &'a str), Vec<AlertBrief>>,
    /// Of the entries of the configuration, by their names.
    entries: BTreeMap<&'a str, Vec<AlertBrief>>,
    servers: BTreeMap<&'a str, Vec<AlertBrief>>,
}

impl<'a> OpenAlerts<'a> {
    pub(super) fn new(listed: &'a [ListedAlert]) -> Self {
        let mut open = Self::default();
        for alert in listed {
            let Some(brief) = AlertBrief::new(alert) else {
                continue;
            };
            let labels = &alert.alert.identity.labels;
            let label = |name| labels.get(name).map(String::as_str);
            if let (Some(pair), Some(replica)) = (label("pair"), label("replica")) {
                open.pairs.entry((pair, replica)).or_default().push(brief);
            } else if let Some(pair) = label("pair") {
                open.entries.entry(pair).or_default().push(brief);
            } else if let Some(server) = label("server") {
                open.servers.entry(server).or_default().push(brief);
            }
        }
        open
    }

    /// The open alerts about a pair, its entry and its servers.
    pub(super) fn about(&self, pair: &PairSnapshot) -> Vec<AlertBrief> {
        let key = &pair.meta.key;
        let name = key.name.as_str();
        let replica = key.replica.to_string();
        let mut about = Vec::new();
        if let Some(own) = self.pairs.get(&(name, replica.as_str())) {
            about.extend_from_slice(own);
        }
        if let Some(entry) = self.entries.get(name) {
            about.extend_from_slice(entry);
        }
        // In a chain the lag is measured against the server at its top.
        let servers = BTreeSet::from([&pair.meta.top, &pair.meta.master, &key.replica]);
        for server in servers {
            if let Some(of_server) = self.servers.get(server.to_string().as_str()) {
                about.extend_from_slice(of_server);
            }
        }
        about
    }
}

impl AlertBrief {
    /// `None` when the alert is resolved.
    fn new(listed: &ListedAlert) -> Option<Self> {
        let (state, recovering) = listed_state(listed.state);
        if state == ListedState::Resolved {
            return None;
        }
        let alert = &listed.alert;
        let rule = alert.identity.rule;
        let reason = match rule.target() {
            TargetKind::Pair => None,
            _ => alert.context.reason.clone(),
        };
        Some(Self {
            alertname: rule.alert_name().to_owned(),
            severity: alert.severity,
            state,
            recovering,
            reason,
        })
    }

    /// Whether it is an alert of this rule.
    pub(super) fn is_of(&self, rule: Rule) -> bool {
        self.alertname == rule.alert_name()
    }

    /// Whether it is an alert of this rule; false without a rule.
    pub(super) fn is_of_any(&self, rule: Option<Rule>) -> bool {
        match rule {
            Some(rule) => self.is_of(rule),
            None => false,
        }
    }
}
