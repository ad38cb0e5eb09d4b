//! What a silence would mute, shown before it is created: a misspelt matcher must not look like a
//! working one.

use std::collections::{BTreeMap, BTreeSet};

use crate::alert::{AlertIdentity, AlertState, ListedAlert, Matchers, Rule, TargetKind};
use crate::config::suggestion;
use crate::monitor::{FleetSnapshot, PairSnapshot};

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
        let all = Matchers::new(matchers);
        let about = AboutTargets::new(matchers);
        let pairs = fleet.pairs.iter().filter(|pair| about.pair(pair));
        let servers = fleet.servers.iter().filter(|server| {
            let dc = server.meta.dc.to_string();
            let addr = server.meta.addr.to_string();
            about.has(TargetKind::Server, &[("dc", &dc), ("server", &addr)])
        });
        let fits_now = |listed: &&ListedAlert| {
            listed.state != AlertState::Resolved && all.fit(|name| listed.alert.label(name))
        };
        let alerts = fleet.alerts.iter().filter(fits_now);
        let described = alerts.map(|listed| describe(&listed.alert.identity));
        Self {
            unknown_labels,
            alerts: described.collect(),
            pairs: pairs.count(),
            servers: servers.count(),
            others: about.others(fleet),
        }
    }

    /// Whether nothing fits now, and no known target could have an alert that fits later.
    pub fn is_nothing(&self) -> bool {
        self.alerts.is_empty() && self.pairs == 0 && self.servers == 0 && !self.others
    }

    /// What fits, in words; a warning where nothing does.
    pub fn words(&self) -> String {
        if self.is_nothing() {
            return "Nothing fits: no alert now, and no pair or server that could have one. \
                    Check the spelling."
                .to_owned();
        }
        let now = match self.alerts.len() {
            0 => "no alert now".to_owned(),
            1 => "1 alert now".to_owned(),
            count => format!("{count} alerts now"),
        };
        let mut targets = Vec::new();
        if self.pairs > 0 {
            targets.push(counted(self.pairs, "pair"));
        }
        if self.servers > 0 {
            targets.push(counted(self.servers, "server"));
        }
        if targets.is_empty() {
            return format!("Fits {now}.");
        }
        format!("Fits {now}, and later ones of {}.", targets.join(" and "))
    }
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
struct AboutTargets {
    labels: Matchers,
    names: Matchers,
    own_name: bool,
}

impl AboutTargets {
    fn new(matchers: &BTreeMap<String, String>) -> Self {
        let mut labels = matchers.clone();
        let name = labels.remove("alertname");
        labels.remove("severity");
        let own_name = name.is_some();
        let names = name.map(|glob| ("alertname".to_owned(), glob));
        Self {
            labels: Matchers::new(&labels),
            names: Matchers::new(&names.into_iter().collect()),
            own_name,
        }
    }

    /// Whether some rule about this kind of target has a name that fits.
    fn has_rule(&self, kind: TargetKind) -> bool {
        Rule::ALL
            .into_iter()
            .filter(|rule| rule.target() == kind)
            .any(|rule| self.names.fit(|_| rule.alert_name()))
    }

    /// Whether a target with these labels fits.
    fn has(&self, kind: TargetKind, labels: &[(&str, &str)]) -> bool {
        let label = |name: &str| {
            let found = labels.iter().find(|(own, _)| *own == name);
            found.map_or("", |(_, value)| value)
        };
        self.has_rule(kind) && self.labels.fit(label)
    }

    fn pair(&self, pair: &PairSnapshot) -> bool {
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
        labels.extend(configured(pair));
        self.has(TargetKind::Pair, &labels)
    }

    fn others(&self, fleet: &FleetSnapshot) -> bool {
        let entry = fleet.pairs.iter().any(|pair| {
            let mut labels = vec![("pair", pair.meta.key.name.as_str())];
            labels.extend(configured(pair));
            self.has(TargetKind::Tree, &labels) || self.has(TargetKind::Sentinels, &labels)
        });
        let receiver = |name: &str| self.has(TargetKind::Receiver, &[("receiver", name)]);
        let receiver = fleet.receivers.iter().any(|one| receiver(&one.name));
        let monitor = self.own_name && self.has(TargetKind::Monitor, &[]);
        entry || receiver || monitor
    }
}

fn configured(pair: &PairSnapshot) -> impl Iterator<Item = (&str, &str)> {
    let labels = pair.meta.labels.iter();
    labels.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// One sentence about each name that no alert has as a label.
fn unknown_labels<'a>(
    fleet: &FleetSnapshot,
    names: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let configured = fleet.pairs.iter().flat_map(configured);
    let known: BTreeSet<&str> = configured.map(|(name, _)| name).chain(OWN_LABELS).collect();
    let unknown = names.filter(|name| !known.contains(name.as_str()));
    let sentence = |name: &String| {
        let near = suggestion(name, known.iter().copied());
        let near = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
        let all: Vec<&str> = known.iter().copied().collect();
        format!(
            "{name:?} is not a label of any alert{near}; they are {}",
            all.join(", ")
        )
    };
    unknown.map(sentence).collect()
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
    fn what_fits_now_and_later_is_counted() {
        let server = would_silence(&[("server", "m.example.com:*")]);
        assert_eq!(
            (server.alerts.len(), server.servers, server.pairs),
            (1, 1, 0)
        );
        assert_eq!(
            server.words(),
            "Fits 1 alert now, and later ones of 1 server."
        );
        let pair = would_silence(&[("pair", "ord*")]);
        assert_eq!((pair.alerts.len(), pair.pairs), (0, 1));
        assert_eq!(pair.words(), "Fits no alert now, and later ones of 1 pair.");
        assert_eq!(
            would_silence(&[("note", "orders")]).pairs,
            1,
            "a configured label"
        );
    }

    #[test]
    fn a_name_that_nothing_has_is_a_warning() {
        let nothing = would_silence(&[("pair", "nosuchpair")]);
        assert!(nothing.is_nothing() && nothing.words().starts_with("Nothing fits"));
        let other_kind = would_silence(&[("alertname", "RedisCrossDcLinkDown"), ("server", "*")]);
        assert_eq!(other_kind.servers, 0, "no rule about servers has that name");
    }

    #[test]
    fn a_label_that_no_alert_has_is_named_with_what_was_meant() {
        let wrong = would_silence(&[("piar", "orders")]);
        assert_eq!(wrong.unknown_labels.len(), 1);
        let sentence = &wrong.unknown_labels[0];
        assert!(
            sentence.starts_with("\"piar\" is not a label of any alert (did you mean pair?)"),
            "{sentence}"
        );
    }

    #[test]
    fn an_alert_by_its_name_alone_has_its_targets() {
        let all = would_silence(&[("alertname", "RedisCrossDcFullSync")]);
        assert_eq!((all.servers, all.pairs), (2, 0));
        let receivers = would_silence(&[("alertname", "RedisCrossDcMonitorIsolated")]);
        assert!(receivers.others && !receivers.is_nothing());
    }
}
