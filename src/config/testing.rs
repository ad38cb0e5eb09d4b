//! Settings for the tests of other rooms: what a configuration with nothing but names and addresses
//! comes to.

use std::path::Path;

use super::{
    AlertSettings, ClusterSettings, Environment, Format, PairSettings, ReceiverSettings,
    SentinelSettings, ServerSettings, Settings, parse,
};
use crate::model::{PairName, ServerAddr};

/// Settings with the contract's defaults and the given pairs: name, master, replicas. Names may be
/// such that no configuration could have them.
pub(crate) fn settings_of(pairs: &[(&str, &str, &[&str])]) -> Settings {
    let mut settings =
        parsed("pairs: [{name: p, master: {address: 'm:1'}, replicas: [{address: 'r:1'}]}]");
    let example = settings.pairs.remove(0);
    settings.pairs = pairs
        .iter()
        .map(|(name, master, replicas)| pair(&example, name, master, replicas))
        .collect();
    settings
}

/// An entry of `sentinels` that watches every master.
pub(crate) fn sentinels_of(name: &str, addresses: &[String]) -> SentinelSettings {
    parsed(&format!(
        "sentinels: [{{name: {name}, addresses: {addresses:?}}}]"
    ))
    .sentinels
    .remove(0)
}

/// The receivers of `sections`, which are YAML without pairs.
pub(crate) fn receivers_of(sections: &str) -> Vec<ReceiverSettings> {
    let pair = "pairs: [{name: p, master: {address: 'm:1'}, replicas: [{address: 'r:1'}]}]";
    parsed(&format!("{pair}\n{sections}")).notify.receivers
}

/// An entry of `clusters`.
pub(crate) fn clusters_of(name: &str, addresses: &[String]) -> ClusterSettings {
    parsed(&format!(
        "clusters: [{{name: {name}, addresses: {addresses:?}}}]"
    ))
    .clusters
    .remove(0)
}

/// The contract's default rules.
pub(crate) fn default_alerts() -> AlertSettings {
    settings_of(&[]).alerts
}

/// The settings of a configuration.
pub(crate) fn parsed(yaml: &str) -> Settings {
    parse(yaml, Format::Yaml, Path::new("."), &Environment::default())
        .expect("a test's configuration")
}

fn pair(example: &PairSettings, name: &str, master: &str, replicas: &[&str]) -> PairSettings {
    let server = |addr| ServerSettings {
        addr: ServerAddr::parse(addr).expect("a test's address"),
        ..example.master.clone()
    };
    PairSettings {
        name: PairName::new(name),
        master: server(master),
        replicas: replicas.iter().map(|addr| server(addr)).collect(),
        ..example.clone()
    }
}
