//! Which masters get heartbeats, how often, and at which replicas they are received. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::tree::timeout_of;
use crate::config::PollSettings;
use crate::model::{ServerAddr, Span};
use crate::topology::{Server, Topology};

/// The heartbeats of one master. They reach all of its replicas through one stream, so they are
/// sent once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeartbeatPlan {
    /// The master at the top.
    pub(super) top: Arc<Server>,
    /// How long it may take to answer.
    pub(super) timeout: Span,
    /// Time between two of them: the shortest that a pair asks for.
    pub(super) interval: Span,
    /// The replicas at which they are received, with how long each may take to answer.
    pub(super) replicas: BTreeMap<ServerAddr, (Arc<Server>, Span)>,
}

impl HeartbeatPlan {
    fn new(top: &Arc<Server>, settings: &PollSettings, interval: Span) -> Self {
        Self {
            top: Arc::clone(top),
            timeout: timeout_of(top, settings),
            interval,
            replicas: BTreeMap::new(),
        }
    }
}

/// The plans that the pairs of `topology` ask for, by master.
pub(super) fn plans(
    topology: &Topology,
    settings: &PollSettings,
) -> BTreeMap<ServerAddr, HeartbeatPlan> {
    let mut plans: BTreeMap<ServerAddr, HeartbeatPlan> = BTreeMap::new();
    for pair in &topology.pairs {
        let top = topology.servers.get(&pair.top);
        let replica = topology.servers.get(&pair.key.replica);
        let (Some(interval), Some(top), Some(replica)) = (pair.heartbeat, top, replica) else {
            continue;
        };
        let plan = plans
            .entry(pair.top.clone())
            .or_insert_with(|| HeartbeatPlan::new(top, settings, interval));
        plan.interval = plan.interval.min(interval);
        let timeout = timeout_of(replica, settings);
        let receives = (Arc::clone(replica), timeout);
        plan.replicas.insert(replica.addr.clone(), receives);
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HeartbeatSettings;
    use crate::config::testing::settings_of;

    /// The plans of pairs (master, replica, interval in ms; 0 is off), one line each.
    fn planned(pairs: &[(&str, &str, i64)]) -> Vec<String> {
        let names: Vec<String> = (0..pairs.len()).map(|i| format!("p{i}")).collect();
        let replicas: Vec<[&str; 1]> = pairs.iter().map(|(_, replica, _)| [*replica]).collect();
        let listed: Vec<_> = pairs
            .iter()
            .zip(&names)
            .zip(&replicas)
            .map(|(((m, _, _), name), r)| (name.as_str(), *m, &r[..]))
            .collect();
        let mut settings = settings_of(&listed);
        for (pair, (_, _, millis)) in settings.pairs.iter_mut().zip(pairs) {
            pair.heartbeat = HeartbeatSettings {
                enabled: *millis > 0,
                interval: Span::from_millis(*millis),
            };
        }
        let shown = |plan: &HeartbeatPlan| {
            let replicas: Vec<_> = plan.replicas.keys().map(ToString::to_string).collect();
            format!(
                "{} {} {}",
                plan.top.addr,
                plan.interval.as_nanos() / 1_000_000,
                replicas.join(" ")
            )
        };
        plans(&Topology::from_settings(&settings), &settings.poll)
            .values()
            .map(shown)
            .collect()
    }

    #[test]
    fn a_master_gets_heartbeats_once_for_all_of_its_replicas_at_the_shortest_interval() {
        assert_eq!(planned(&[("m:1", "r:1", 0)]), [] as [&str; 0]);
        assert_eq!(
            planned(&[("m:1", "r:1", 500), ("m:1", "r:2", 200), ("m:1", "r:3", 0)]),
            ["m:1 200 r:1 r:2"]
        );
        assert_eq!(
            planned(&[("a:1", "r:1", 500), ("b:1", "r:2", 200)]),
            ["a:1 500 r:1", "b:1 200 r:2"]
        );
    }

    #[test]
    fn the_leaf_of_a_chain_receives_the_heartbeats_of_the_top() {
        assert_eq!(
            planned(&[("m:1", "r:1", 0), ("r:1", "leaf:1", 500)]),
            ["m:1 500 leaf:1"]
        );
    }
}
