//! The identity labels of everything that there can be an alert about.

use crate::alert::Labels;
use crate::model::{Datacenter, FleetShard, PairName};
use crate::topology::{Pair, Server};

/// The labels of alerts about a pair.
pub(super) fn pair_labels(pair: &Pair) -> Labels {
    labels([
        ("pair", pair.key.name.to_string()),
        ("source_dc", pair.source_dc.to_string()),
        ("target_dc", pair.target_dc.to_string()),
        ("replica", pair.key.replica.to_string()),
    ])
}

/// The labels of alerts about a server.
pub(super) fn server_labels(server: &Server) -> Labels {
    labels([
        ("dc", server.dc.to_string()),
        ("server", server.addr.to_string()),
    ])
}

/// The labels of alerts about an entry of the configuration.
pub(super) fn entry_labels(entry: &PairName) -> Labels {
    labels([("pair", entry.to_string())])
}

/// The labels of alerts about this exporter itself. Where several exporters share a fleet, the
/// shard distinguishes them: the same alert of two of them is not one alert.
pub(super) fn exporter_labels(shard: Option<FleetShard>) -> Labels {
    match shard {
        Some(shard) => labels([("shard", shard.to_string())]),
        None => Labels::default(),
    }
}

/// The labels of alerts about a receiver: those about the exporter, and the receiver's name.
pub(super) fn receiver_labels(receiver: &str, shard: Option<FleetShard>) -> Labels {
    let mut labels = exporter_labels(shard);
    labels.insert("receiver".to_owned(), receiver.to_owned());
    labels
}

/// The labels of alerts about the Sentinels of one datacenter that watch one entry.
pub(super) fn sentinel_labels(entry: &PairName, dc: &Datacenter) -> Labels {
    labels([("pair", entry.to_string()), ("dc", dc.to_string())])
}

/// The labels of alerts about a Redis Cluster.
pub(super) fn cluster_labels(cluster: &PairName) -> Labels {
    labels([("cluster", cluster.to_string())])
}

/// The labels of alerts about a direction between two active-active sites of an entry.
pub(super) fn sites_labels(entry: &PairName, source: &Datacenter, target: &Datacenter) -> Labels {
    labels([
        ("name", entry.to_string()),
        ("source_dc", source.to_string()),
        ("target_dc", target.to_string()),
    ])
}

fn labels<const N: usize>(labels: [(&str, String); N]) -> Labels {
    labels
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
