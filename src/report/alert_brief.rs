//! The open alerts of a pair, in short.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::alerts::{ListedState, listed_state};
use crate::alert::{ListedAlert, Rule, TargetKind};
use crate::config::Severity;
use crate::monitor::PairSnapshot;

/// An alert in a pair's line; `/api/v1/alerts` has all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBrief {
    /// Its name.
    pub alertname: String,
    /// Its severity.
    pub severity: Severity,
    /// `pending` or `firing`.
    pub state: ListedState,
    /// Whether it fires although its value is clear: not yet for long enough.
    pub recovering: bool,
    /// Why, of an alert about a server or a failover: the pair's own reason need not say it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Alerts that are pending or firing, by what they are about.
pub(super) struct OpenAlerts<'a> {
    pairs: BTreeMap<(&'a str, &'a str), Vec<AlertBrief>>,
    names: BTreeMap<&'a str, Vec<AlertBrief>>,
    servers: BTreeMap<&'a str, Vec<AlertBrief>>,
}

impl<'a> OpenAlerts<'a> {
    pub(super) fn new(listed: &'a [ListedAlert]) -> Self {
        let mut live = Self {
            pairs: BTreeMap::new(),
            names: BTreeMap::new(),
            servers: BTreeMap::new(),
        };
        for alert in listed {
            let Some(brief) = AlertBrief::new(alert) else {
                continue;
            };
            let label = |name| alert.alert.identity.labels.get(name).map(String::as_str);
            if let (Some(pair), Some(replica)) = (label("pair"), label("replica")) {
                live.pairs.entry((pair, replica)).or_default().push(brief);
            } else if let Some(pair) = label("pair") {
                live.names.entry(pair).or_default().push(brief);
            } else if let Some(server) = label("server") {
                live.servers.entry(server).or_default().push(brief);
            }
        }
        live
    }

    pub(super) fn about(&self, pair: &PairSnapshot) -> Vec<AlertBrief> {
        let key = &pair.meta.key;
        let replica = key.replica.to_string();
        let own = self.pairs.get(&(key.name.as_str(), replica.as_str()));
        // In a chain the lag is measured against the server at its top.
        let addresses = BTreeSet::from([&pair.meta.top, &pair.meta.master, &key.replica]);
        let of_servers = addresses
            .into_iter()
            .map(|addr| self.servers.get(addr.to_string().as_str()));
        let of_name = self.names.get(key.name.as_str());
        [own, of_name]
            .into_iter()
            .chain(of_servers)
            .flatten()
            .flatten()
            .cloned()
            .collect()
    }
}

impl AlertBrief {
    fn new(listed: &ListedAlert) -> Option<Self> {
        let (state, recovering) = listed_state(listed.state);
        let alert = &listed.alert;
        let rule = alert.identity.rule;
        (state != ListedState::Resolved).then(|| Self {
            alertname: rule.alert_name().to_owned(),
            severity: alert.severity,
            state,
            recovering,
            reason: match rule.target() {
                TargetKind::Pair => None,
                _ => alert.context.reason.clone(),
            },
        })
    }

    /// Whether it is an alert of this rule.
    pub(super) fn is_of(&self, rule: Rule) -> bool {
        self.alertname == rule.alert_name()
    }

    /// Whether it is an alert of this rule, if there is one.
    pub(super) fn is_of_any(&self, rule: Option<Rule>) -> bool {
        rule.is_some_and(|rule| self.is_of(rule))
    }
}
