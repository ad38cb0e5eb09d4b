//! How servers and links are laid out.

use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder, WanConditions, WanProxy};
use redis_cross_dc_exporter::model::ServerAddr;

use super::stage::{PAIR, PATIENCE};
use crate::cluster::{DC1, DC2, Site};

/// How servers and links are laid out. The link that is broken is always the one that the scored
/// data comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// master <- link <- replica
    Pair,
    /// The same, and the exporter reaches the replica through a proxy, so under another port than
    /// the replica's own.
    Mapped,
    /// master <- link <- other <- replica
    Chain,
    /// master <- link <- replica, master <- other
    Fork,
    /// A Redis Cluster of three shards. The first has every key of the writer: master <- replica,
    /// master <- other. Nodes announce their own addresses to each other, so there is no link.
    Cluster,
}

/// The servers of a take, and what is between them.
pub(super) struct Layout {
    /// The link to the scored replica, or to the middle of the chain; nothing goes through it in a
    /// cluster.
    pub(super) link: WanProxy,
    /// Between the exporter and the replica, where the shape has it.
    pub(super) mapped: Option<WanProxy>,
    pub(super) replica: RedisServer,
    pub(super) other: Option<RedisServer>,
    pub(super) master: RedisServer,
    /// The nodes of the other shards of a cluster: the masters first.
    pub(super) others: Vec<RedisServer>,
}

impl Layout {
    /// Starts the servers, which are in sync when this returns.
    pub(super) async fn start(
        shape: Shape,
        (master, replica): (RedisServerBuilder, RedisServerBuilder),
        conditions: WanConditions,
    ) -> Self {
        if shape == Shape::Cluster {
            return Self::cluster(conditions).await;
        }
        let master = master.start().await.unwrap();
        let link = WanProxy::start(None, master.addr(), conditions);
        let link = link.await.unwrap();
        let other = match shape {
            Shape::Chain => Some(in_sync(RedisServer::builder().replicaof(link.addr())).await),
            Shape::Fork => Some(in_sync(RedisServer::builder().replicaof(master.addr())).await),
            Shape::Pair | Shape::Mapped | Shape::Cluster => None,
        };
        let source = match &other {
            Some(middle) if shape == Shape::Chain => middle.addr(),
            _ => link.addr(),
        };
        let replica = in_sync(replica.replicaof(source)).await;
        let mapped = match shape {
            Shape::Mapped => {
                let proxy = WanProxy::start(None, replica.addr(), WanConditions::default());
                Some(proxy.await.unwrap())
            }
            _ => None,
        };
        Self {
            link,
            mapped,
            replica,
            other,
            master,
            others: Vec::new(),
        }
    }

    /// The other shards have slots that no key of the writer has.
    async fn cluster(conditions: WanConditions) -> Self {
        let masters: [(&'static str, &[_]); 3] = [
            (DC1, &[0..=16379, 16381..=16381, 16383..=16383]),
            (DC1, &[16380..=16380]),
            (DC2, &[16382..=16382]),
        ];
        let site = Site::set(&masters, &[DC2, DC2, DC1, DC1], |builder| builder).await;
        let mut masters = site.masters.into_iter();
        let mut replicas = site.replicas.into_iter();
        let master = masters.next().expect("the first shard's master");
        let replica = replicas.next().expect("its first replica");
        let link = WanProxy::start(None, master.addr(), conditions);
        let mut others: Vec<_> = masters.collect();
        others.extend(replicas.by_ref().take(2));
        Self {
            link: link.await.unwrap(),
            mapped: None,
            replica,
            other: replicas.next(),
            master,
            others,
        }
    }

    /// Where the exporter finds the scored replica.
    pub(super) fn watched(&self) -> &ServerAddr {
        match &self.mapped {
            Some(proxy) => proxy.addr(),
            None => self.replica.addr(),
        }
    }

    /// What the exporter calls the scored pair.
    pub(super) fn pair(&self) -> String {
        if self.others.is_empty() {
            PAIR.to_owned()
        } else {
            format!("{PAIR}/slot-0")
        }
    }

    /// What the configuration names.
    pub(super) fn entries(&self, shape: Shape) -> String {
        let entry = |name: &str, master: &ServerAddr, dc: &str, replicas: &[&ServerAddr]| {
            let mut named = Vec::new();
            for addr in replicas {
                named.push(format!("{{address: '{addr}', dc: dc2}}"));
            }
            format!(
                "  - {{name: {name}, master: {{address: '{master}', dc: {dc}}}, replicas: [{}]}}\n",
                named.join(", ")
            )
        };
        let master = self.master.addr();
        let replica = self.watched();
        match (shape, &self.other) {
            (Shape::Cluster, _) => {
                let node = self.others[0].addr();
                format!("clusters: [{{name: {PAIR}, addresses: ['{node}']}}]\n")
            }
            (Shape::Chain, Some(middle)) => {
                let upper = entry("middle", master, "dc1", &[middle.addr()]);
                let lower = entry(PAIR, middle.addr(), "dc2", &[replica]);
                format!("pairs:\n{upper}{lower}")
            }
            (Shape::Fork, Some(other)) => {
                let fork = entry(PAIR, master, "dc1", &[replica, other.addr()]);
                format!("pairs:\n{fork}")
            }
            _ => format!("pairs:\n{}", entry(PAIR, master, "dc1", &[replica])),
        }
    }
}

async fn in_sync(builder: RedisServerBuilder) -> RedisServer {
    let server = builder.start().await.unwrap();
    server.wait_until_in_sync(PATIENCE).await.unwrap();
    server
}
