//! A real Redis Cluster over two datacenters of one machine: dc1 is 127.1.0.0/16, dc2 127.2.0.0/16.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder, eventually};
use redis_cross_dc_exporter::model::ServerAddr;

/// How long nodes may take to find each other, or to fail over, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

pub(crate) const DC1: &str = "127.1.0.1";
pub(crate) const DC2: &str = "127.2.0.1";

/// The sections that place servers and poll quickly.
const SECTIONS: &str = "\
datacenters:
  - {name: dc1, match: [127.1.0.0/16], local: true}
  - {name: dc2, match: [127.2.0.0/16]}
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 1s, remote: 1s}}
";

/// The nodes of a cluster.
pub(crate) struct Site {
    /// The masters, by their slots.
    pub(crate) masters: Vec<RedisServer>,
    /// Their replicas: of all masters the first one, then of all of them the second, and so on.
    pub(crate) replicas: Vec<RedisServer>,
}

/// A node to start at `host`.
pub(crate) fn node(host: &'static str) -> RedisServerBuilder {
    RedisServer::builder()
        .host(host)
        .config("cluster-enabled yes")
        .config("cluster-config-file nodes.conf")
        .config("cluster-node-timeout 1500")
        .config("cluster-replica-validity-factor 0")
        .config(&format!("cluster-announce-ip {host}"))
}

/// Sends one command to `server`, which has to take it.
pub(crate) async fn order(server: &RedisServer, words: &[&str]) -> String {
    let reply = server.command(words).await;
    let reply = reply.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    reply.text().unwrap_or_default()
}

pub(crate) async fn id_of(server: &RedisServer) -> String {
    order(server, &["CLUSTER", "MYID"]).await
}

impl Site {
    /// Three masters, two of them in dc1, each with a replica in the other datacenter.
    pub(crate) async fn three_pairs() -> Self {
        Self::set(
            &[
                (DC1, &[0..=5460]),
                (DC1, &[5461..=10922]),
                (DC2, &[10923..=16383]),
            ],
            &[DC2, DC2, DC1],
            |builder| builder,
        )
        .await
    }

    /// Masters with these slots, and replicas of them in turn.
    pub(crate) async fn set(
        masters: &[(&'static str, &[RangeInclusive<u16>])],
        replicas: &[&'static str],
        tune: impl Fn(RedisServerBuilder) -> RedisServerBuilder,
    ) -> Self {
        let mut site = Self {
            masters: Vec::new(),
            replicas: Vec::new(),
        };
        for (number, (host, slots)) in masters.iter().enumerate() {
            let master = tune(node(host)).start().await.unwrap();
            let epoch = (number + 1).to_string();
            order(&master, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            let slots = slots.iter().cloned().flatten();
            let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
            let mut words = vec!["CLUSTER", "ADDSLOTS"];
            words.extend(slots.iter().map(String::as_str));
            order(&master, &words).await;
            site.masters.push(master);
        }
        for host in replicas {
            site.replicas.push(tune(node(host)).start().await.unwrap());
        }
        for other in site.nodes().skip(1) {
            meet(&site.masters[0], other.addr()).await;
        }
        let count = site.masters.len() + site.replicas.len();
        for node in site.nodes() {
            until_it_knows(node, count).await;
        }
        for (number, replica) in site.replicas.iter().enumerate() {
            let master = &site.masters[number % site.masters.len()];
            replicate(replica, master).await;
        }
        for replica in &site.replicas {
            replica.wait_until_in_sync(LIMIT).await.unwrap();
        }
        for replica in &site.replicas {
            let id = id_of(replica).await;
            let line = format!("{id} {}@", replica.addr());
            site.all_know(|nodes| {
                let mut lines = nodes.lines().filter(|seen| seen.starts_with(&line));
                lines.any(|seen| seen.contains("slave "))
            })
            .await;
        }
        for node in site.nodes() {
            until_ok(node).await;
        }
        site
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &RedisServer> {
        self.masters.iter().chain(&self.replicas)
    }

    /// Waits until CLUSTER NODES of every node fits.
    pub(crate) async fn all_know(&self, fits: impl Fn(&str) -> bool) {
        for node in self.nodes() {
            knows(node, &fits).await;
        }
    }
}

/// The configuration of an exporter that is given these nodes of a cluster called `c`.
pub(crate) fn configuration(named: &[&RedisServer], keys: &str) -> String {
    configuration_at(named.iter().map(|node| node.addr()), keys)
}

/// The same, of nodes that listen at these addresses.
pub(crate) fn configuration_at<'a>(
    nodes: impl Iterator<Item = &'a ServerAddr>,
    keys: &str,
) -> String {
    let addresses: Vec<_> = nodes.map(|addr| format!("'{addr}'")).collect();
    format!(
        "{SECTIONS}clusters: [{{name: c, addresses: [{}], {keys}}}]\n",
        addresses.join(", ")
    )
}

/// Waits until CLUSTER NODES of `node` fits.
pub(crate) async fn knows(node: &RedisServer, fits: impl Fn(&str) -> bool) {
    let probe = || async {
        let text = nodes_text(node).await;
        if fits(&text) { Ok(()) } else { Err(text) }
    };
    let what = format!("what {} knows of the nodes", node.addr());
    eventually(&what, LIMIT, probe).await.unwrap();
}

/// The answer of CLUSTER NODES; empty if there is none.
pub(crate) async fn nodes_text(node: &RedisServer) -> String {
    match node.command(&["CLUSTER", "NODES"]).await {
        Ok(reply) => reply.text().unwrap_or_default(),
        Err(_) => String::new(),
    }
}

pub(crate) async fn meet(node: &RedisServer, other: &ServerAddr) {
    let (host, port) = other.tcp().unwrap();
    order(node, &["CLUSTER", "MEET", host, &port.to_string()]).await;
}

/// Makes a node that knows its master a replica of it.
pub(crate) async fn replicate(replica: &RedisServer, master: &RedisServer) {
    let id = id_of(master).await;
    knows(replica, |nodes| nodes.contains(&id)).await;
    order(replica, &["CLUSTER", "REPLICATE", &id]).await;
}

/// Waits until a node knows `count` nodes, none of them in handshake.
pub(crate) async fn until_it_knows(node: &RedisServer, count: usize) {
    knows(node, |nodes| {
        nodes.lines().count() == count && !nodes.contains("handshake")
    })
    .await;
}

/// Waits until a node serves queries.
pub(crate) async fn until_ok(node: &RedisServer) {
    let ok = || async {
        let text = order(node, &["CLUSTER", "INFO"]).await;
        if text.contains("cluster_state:ok") {
            Ok(())
        } else {
            Err(text)
        }
    };
    let what = format!("cluster_state:ok of {}", node.addr());
    eventually(&what, LIMIT, ok).await.unwrap();
}

/// Moves `slots` between two masters, of which they hold no key, and lets every other master know.
pub(crate) async fn move_slots(
    site: &Site,
    direction: (&RedisServer, &RedisServer),
    slots: RangeInclusive<u16>,
) {
    let masters: Vec<_> = site.masters.iter().collect();
    move_slots_among(&masters, direction, slots).await;
}

/// The same in a cluster that has these masters.
pub(crate) async fn move_slots_among(
    masters: &[&RedisServer],
    (from, to): (&RedisServer, &RedisServer),
    slots: RangeInclusive<u16>,
) {
    // A message that the giver sent before, with an epoch that the new owner does not know yet,
    // would take the slots away from it again, and the giver would not have them either.
    until_epochs_agree(masters).await;
    let source = id_of(from).await;
    let target = id_of(to).await;
    let mut receiving = to.connect().await.unwrap();
    let mut giving = from.connect().await.unwrap();
    for slot in slots.clone() {
        let slot = slot.to_string();
        let importing = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source];
        receiving.command(&importing).await.unwrap();
        let migrating = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target];
        giving.command(&migrating).await.unwrap();
        let done = ["CLUSTER", "SETSLOT", &slot, "NODE", &target];
        receiving.command(&done).await.unwrap();
        giving.command(&done).await.unwrap();
    }
    // The others would learn it by gossip, later.
    for master in masters {
        for slot in slots.clone() {
            let slot = slot.to_string();
            order(master, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]).await;
        }
    }
    let line = format!("{target} ");
    let own = slots_in(&nodes_text(to).await, &line);
    for master in masters {
        knows(master, |nodes| slots_in(nodes, &line) == own).await;
    }
}

/// Waits until all `masters` know of each other the same epochs, and no two have the same.
async fn until_epochs_agree(masters: &[&RedisServer]) {
    let mut ids = Vec::new();
    for master in masters {
        ids.push(id_of(master).await);
    }
    let agree = || async {
        let mut views = Vec::new();
        for master in masters {
            views.push(epochs_in(&nodes_text(master).await, &ids));
        }
        let are_same = views.iter().all(|view| *view == views[0]);
        let different: BTreeSet<_> = views[0].values().collect();
        if are_same && different.len() == masters.len() {
            Ok(())
        } else {
            Err(format!("{views:?}"))
        }
    };
    eventually("all masters to know the same epochs", LIMIT, agree)
        .await
        .unwrap();
}

/// The configuration epochs of the nodes with these IDs.
fn epochs_in(nodes: &str, ids: &[String]) -> BTreeMap<String, String> {
    let mut epochs = BTreeMap::new();
    for line in nodes.lines() {
        let mut words = line.split(' ').map(str::to_owned);
        let Some(id) = words.next().filter(|id| ids.contains(id)) else {
            continue;
        };
        epochs.insert(id, words.nth(5).unwrap_or_default());
    }
    epochs
}

/// The slots of the node whose line begins with `start`.
fn slots_in(nodes: &str, start: &str) -> Vec<String> {
    let line = nodes.lines().find(|line| line.starts_with(start));
    let words = line.unwrap_or_default().split(' ').skip(8);
    words.map(str::to_owned).collect()
}
