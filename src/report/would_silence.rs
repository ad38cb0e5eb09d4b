//! What a silence would mute, shown before it is created, so that a misspelt matcher is noticed.

use std::collections::{BTreeMap, BTreeSet};

use crate::alert::{AlertIdentity, AlertState, Matchers, Rule, TargetKind};
use crate::config::suggestion;
use crate::monitor::{FleetSnapshot, PairSnapshot, ServerSnapshot};
use crate::topology::SourceHealth;

/// The labels that alerts have by themselves; a configuration adds others to its pairs.
const OWN_LABELS: [&str; 9] = [
    "alertname",
    "severity",
    "pair",
    "replica",
    "source_dc",
    "target_dc",
    "server",
    "dc",
    "receiver",
];

/// The alerts and targets that matchers fit now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WouldSilence {
    /// One sentence about each label that no alert has.
    pub unknown_labels: Vec<String>,
    /// Alerts that are pending or firing and fit: their names and the labels of their identity.
    pub alerts: Vec<(String, Vec<(String, String)>)>,
    /// Pairs whose alerts would fit.
    pub pairs: usize,
    /// Servers whose alerts would fit.
    pub servers: usize,
    /// Whether alerts about something else would fit: entries, Sentinels, receivers, the exporter.
    pub others: bool,
}

impl WouldSilence {
    /// Applies `matchers` to the fleet.
    pub fn new(fleet: &FleetSnapshot, matchers: &BTreeMap<String, String>) -> Self {
        let unknown_labels = unknown_labels(fleet, matchers.keys());
        if matchers.is_empty() || !unknown_labels.is_empty() {
            return Self {
                unknown_labels,
                ..Self::default()
            };
        }
        let targets = TargetMatchers::new(matchers);
        let pairs = fleet.pairs.iter().filter(|pair| targets.fit_pair(pair));
        let servers = fleet.servers.iter();
        let servers = servers.filter(|server| targets.fit_server(server));
        Self {
            unknown_labels,
            alerts: open_alerts(fleet, &Matchers::new(matchers)),
            pairs: pairs.count(),
            servers: servers.count(),
            others: targets.fit_others(fleet),
        }
    }

    /// Whether nothing fits now, and no known target can have an alert that fits later.
    pub fn is_nothing(&self) -> bool {
        self.alerts.is_empty() && self.pairs == 0 && self.servers == 0 && !self.others
    }

    /// What fits, in words; a warning where nothing does.
    pub fn words(&self) -> String {
        if self.is_nothing() {
            return "Nothing matches: no alert now, and no pair or server that could have one. \
                    Check the spelling."
                .to_owned();
        }
        let now = match self.alerts.len() {
            0 => "no alert now".to_owned(),
            count => counted(count, "alert") + " now",
        };
        let mut targets = Vec::new();
        if self.pairs > 0 {
            targets.push(counted(self.pairs, "pair"));
        }
        if self.servers > 0 {
            targets.push(counted(self.servers, "server"));
        }
        if targets.is_empty() {
            return format!("Matches {now}.");
        }
        format!(
            "Matches {now}, and later ones of {}.",
            targets.join(" and ")
        )
    }
}

/// The pending and firing alerts that all `matchers` fit.
fn open_alerts(fleet: &FleetSnapshot, matchers: &Matchers) -> Vec<(String, Vec<(String, String)>)> {
    let mut alerts = Vec::new();
    for listed in &*fleet.alerts {
        let is_open = listed.state != AlertState::Resolved;
        if is_open && matchers.fit(|name| listed.alert.label(name)) {
            alerts.push(describe(&listed.alert.identity));
        }
    }
    alerts
}

/// An alert's name and its identity labels.
fn describe(identity: &AlertIdentity) -> (String, Vec<(String, String)>) {
    let mut labels = Vec::new();
    for (name, value) in identity.labels.iter() {
        labels.push((name.clone(), value.clone()));
    }
    (identity.rule.alert_name().to_owned(), labels)
}

fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// Matchers, applied to the targets of alerts.
struct TargetMatchers {
    labels: Matchers,
    names: Matchers,
    has_name: bool,
}

impl TargetMatchers {
    fn new(matchers: &BTreeMap<String, String>) -> Self {
        let mut labels = matchers.clone();
        labels.remove("severity");
        let mut names = BTreeMap::new();
        if let Some(glob) = labels.remove("alertname") {
            names.insert("alertname".to_owned(), glob);
        }
        Self {
            labels: Matchers::new(&labels),
            names: Matchers::new(&names),
            has_name: !names.is_empty(),
        }
    }

    /// Whether some rule about this kind of target has a name that fits.
    fn fit_rule(&self, kind: TargetKind) -> bool {
        let mut rules = Rule::ALL.into_iter();
        rules.any(|rule| rule.target() == kind && self.names.fit(|_| rule.alert_name()))
    }

    /// Whether a target with these labels fits.
    fn fit(&self, kind: TargetKind, labels: &[(&str, &str)]) -> bool {
        let label = |name: &str| match labels.iter().find(|(own, _)| *own == name) {
            Some((_, value)) => value,
            None => "",
        };
        self.fit_rule(kind) && self.labels.fit(label)
    }

    fn fit_server(&self, server: &ServerSnapshot) -> bool {
        let dc = server.meta.dc.to_string();
        let addr = server.meta.addr.to_string();
        self.fit(TargetKind::Server, &[("dc", &dc), ("server", &addr)])
    }

    fn fit_pair(&self, pair: &PairSnapshot) -> bool {
        let meta = &pair.meta;
        let source = meta.source_dc.to_string();
        let target = meta.target_dc.to_string();
        let replica = meta.key.replica.to_string();
        let mut labels: Vec<(&str, &str)> = vec![
            ("pair", meta.key.name.as_str()),
            ("replica", &replica),
            ("source_dc", &source),
            ("target_dc", &target),
        ];
        labels.extend(configured_labels(pair));
        self.fit(TargetKind::Pair, &labels)
    }

    /// Whether the pair's entry or its Sentinels fit.
    fn fit_entry(&self, pair: &PairSnapshot) -> bool {
        let mut labels = vec![("pair", pair.meta.key.name.as_str())];
        labels.extend(configured_labels(pair));
        self.fit(TargetKind::Tree, &labels) || self.fit(TargetKind::Sentinels, &labels)
    }

    /// Whether a cluster fits: by its name alone, as its alerts have no other label.
    fn fit_clusters(&self, fleet: &FleetSnapshot) -> bool {
        let mut sources = fleet.sources.iter();
        sources.any(|source| match source {
            SourceHealth::Cluster(group) => {
                self.fit(TargetKind::Cluster, &[("cluster", group.name.as_str())])
            }
            SourceHealth::Sentinels(_) | SourceHealth::Names(_) | SourceHealth::Files(_) => false,
        })
    }

    fn fit_receiver(&self, receiver: &str) -> bool {
        self.fit(TargetKind::Receiver, &[("receiver", receiver)])
    }

    /// Whether an entry, Sentinels, a cluster, a receiver or the exporter itself fit.
    fn fit_others(&self, fleet: &FleetSnapshot) -> bool {
        let mut pairs = fleet.pairs.iter();
        if pairs.any(|pair| self.fit_entry(pair)) {
            return true;
        }
        if self.fit_clusters(fleet) {
            return true;
        }
        let mut receivers = fleet.receivers.iter();
        if receivers.any(|receiver| self.fit_receiver(&receiver.name)) {
            return true;
        }
        self.has_name && self.fit(TargetKind::Monitor, &[])
    }
}

fn configured_labels(pair: &PairSnapshot) -> impl Iterator<Item = (&str, &str)> {
    let labels = pair.meta.labels.iter();
    labels.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// One sentence about each name that no alert has as a label.
fn unknown_labels<'a>(
    fleet: &FleetSnapshot,
    names: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let mut known = BTreeSet::from(OWN_LABELS);
    for pair in &fleet.pairs {
        known.extend(configured_labels(pair).map(|(name, _)| name));
    }
    let mut sentences = Vec::new();
    for name in names {
        if !known.contains(name.as_str()) {
            sentences.push(unknown_label(name, &known));
        }
    }
    sentences
}

fn unknown_label(name: &str, known: &BTreeSet<&str>) -> String {
    let known: Vec<&str> = known.iter().copied().collect();
    let near = match suggestion(name, known.iter().copied()) {
        Some(near) => format!(" (did you mean {near}?)"),
        None => String::new(),
    };
    let all = known.join(", ");
    format!("{name:?} is not a label of any alert{near}; they are {all}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, fleet};
    use super::*;

    fn would_silence(matchers: &[(&str, &str)]) -> WouldSilence {
        let matchers = matchers
            .iter()
            .map(|(label, glob)| ((*label).to_owned(), (*glob).to_owned()));
        WouldSilence::new(&fleet(Scene::MasterLost).0, &matchers.collect())
    }

    #[test]
    fn alerts_and_targets_that_fit_are_counted() {
        let server = would_silence(&[("server", "m.example.com:*")]);
        assert_eq!(
            (server.alerts.len(), server.servers, server.pairs),
            (1, 1, 0)
        );
        assert_eq!(
            server.words(),
            "Matches 1 alert now, and later ones of 1 server."
        );
        let pair = would_silence(&[("pair", "ord*")]);
        assert_eq!((pair.alerts.len(), pair.pairs), (0, 1));
        assert_eq!(
            pair.words(),
            "Matches no alert now, and later ones of 1 pair."
        );
        assert_eq!(
            would_silence(&[("note", "orders")]).pairs,
            1,
            "a configured label"
        );
    }

    #[test]
    fn matchers_that_fit_nothing_give_a_warning() {
        let nothing = would_silence(&[("pair", "nosuchpair")]);
        assert!(nothing.is_nothing() && nothing.words().starts_with("Nothing matches"));
        let other_kind = would_silence(&[("alertname", "RedisCrossDcLinkDown"), ("server", "*")]);
        assert_eq!(other_kind.servers, 0, "no rule about servers has that name");
    }

    #[test]
    fn a_label_that_no_alert_has_is_named_with_a_suggestion() {
        let wrong = would_silence(&[("piar", "orders")]);
        assert_eq!(wrong.unknown_labels.len(), 1);
        let sentence = &wrong.unknown_labels[0];
        assert!(
            sentence.starts_with("\"piar\" is not a label of any alert (did you mean pair?)"),
            "{sentence}"
        );
    }

    #[test]
    fn an_alert_name_alone_fits_the_targets_of_its_rule() {
        let all = would_silence(&[("alertname", "RedisCrossDcFullSync")]);
        assert_eq!((all.servers, all.pairs), (2, 0));
        let receivers = would_silence(&[("alertname", "RedisCrossDcMonitorIsolated")]);
        assert!(receivers.others && !receivers.is_nothing());
    }
}
