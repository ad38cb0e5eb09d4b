//! The monitored servers in the form of Prometheus' HTTP service discovery, for exporters beside
//! this one: <https://prometheus.io/docs/prometheus/latest/http_sd/>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::ServerAddr;
use crate::monitor::{FleetSnapshot, PairSnapshot, ServerSnapshot};

/// One group of targets: a server, because each has labels of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// The server, `host:port`.
    pub targets: Vec<String>,
    /// Its labels. Those that begin with `__meta_` are there for relabelling only.
    pub labels: BTreeMap<String, String>,
}

/// What the pairs of a server say of it.
#[derive(Default)]
struct Membership<'a> {
    pairs: Vec<&'a str>,
    /// The configured labels that all of them have with the same value.
    labels: Option<BTreeMap<&'a str, &'a str>>,
}

impl TargetGroup {
    /// Every server that listens on a port, by address.
    pub fn all(fleet: &FleetSnapshot) -> Vec<Self> {
        let mut members: BTreeMap<&ServerAddr, Membership<'_>> = BTreeMap::new();
        for pair in &fleet.pairs {
            for addr in [&pair.meta.master, &pair.meta.key.replica] {
                members.entry(addr).or_default().add(pair);
            }
        }
        let none = Membership::default();
        let mut groups = Vec::new();
        for server in &fleet.servers {
            // A Unix socket cannot be the target of a scrape.
            if server.meta.addr.tcp().is_some() {
                let member = members.get(&server.meta.addr).unwrap_or(&none);
                groups.push(Self::new(server, member));
            }
        }
        groups
    }

    fn new(server: &ServerSnapshot, member: &Membership<'_>) -> Self {
        let meta = &server.meta;
        let mut labels = BTreeMap::new();
        for (name, value) in member.labels.iter().flatten() {
            labels.insert((*name).to_owned(), (*value).to_owned());
        }
        labels.insert("dc".to_owned(), meta.dc.to_string());
        labels.insert("pair".to_owned(), member.pairs.join(","));
        if let Some(role) = server.facts.role {
            labels.insert("role".to_owned(), role.label().to_owned());
        }
        let scheme = if meta.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        let url = format!("{scheme}://{}", meta.addr);
        labels.insert("__meta_redis_cross_dc_url".to_owned(), url);
        Self {
            targets: vec![meta.addr.to_string()],
            labels,
        }
    }
}

impl<'a> Membership<'a> {
    fn add(&mut self, pair: &'a PairSnapshot) {
        let name = pair.meta.key.name.as_str();
        // The pairs of one entry follow one another.
        if self.pairs.last() != Some(&name) {
            self.pairs.push(name);
        }
        let labels = &pair.meta.labels;
        if let Some(common) = &mut self.labels {
            common.retain(|name, value| labels.get(*name).map(String::as_str) == Some(value));
        } else {
            let all = labels.iter();
            let all = all.map(|(name, value)| (name.as_str(), value.as_str()));
            self.labels = Some(all.collect());
        }
    }
}
