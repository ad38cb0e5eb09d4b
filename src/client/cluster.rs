//! A connection to a node of a Redis Cluster, for the nodes that it knows and the slots of each.
//!
//! Commands: <https://redis.io/docs/latest/commands/cluster-nodes/> and its neighbours. A query
//! takes one round trip. CLUSTER NODES has everything but the endpoints that nodes prefer and their
//! ports for TLS; those are in CLUSTER SHARDS, which servers before 7.0 do not have.

use std::collections::BTreeMap;

use redis::Value;

use super::connection::Connection;
use super::error;
use super::framing::ReplyShape;
use super::values::{command, pairs, text};
use crate::info::{NodeEndpoint, is_cluster_ok, parse_cluster_nodes};
use crate::model::{Bytes, PollError, PollFailure, Span};
use crate::topology::{ClusterView, Server};

/// The longest answer to one query: a thousand nodes, with every slot on its own and the endpoints.
const REPLY: Bytes = Bytes::new(8 * 1024 * 1024);

/// A connection to a node of a cluster that is ready for queries. Dropping it closes it.
pub struct ClusterConnection {
    connection: Connection,
    /// The host at which the node was asked.
    host: Option<String>,
    /// Whether it speaks TLS.
    tls: bool,
}

impl ClusterConnection {
    /// Connects to the node `server` and logs in.
    ///
    /// # Errors
    /// As [`Connection::connect`].
    pub async fn connect(server: &Server, within: Span) -> Result<Self, PollFailure> {
        Ok(Self {
            connection: Connection::connect(server, within).await?,
            host: server.addr.host().map(str::to_owned),
            tls: server.tls.is_some(),
        })
    }

    /// The failure behind `reason`, with the detail that this connection has of it.
    pub fn explain(&self, reason: PollError) -> PollFailure {
        self.connection.explain(reason)
    }

    /// Queries which nodes this one knows, without a limit in time.
    ///
    /// # Errors
    /// Why there is no answer; [`PollError::Protocol`] for a server that is not in cluster mode,
    /// and for an answer that cannot be read.
    pub async fn query(&mut self) -> Result<ClusterView, PollError> {
        let commands = ["NODES", "INFO", "SHARDS"].map(|word| command(&["CLUSTER", word]));
        let replies = self
            .connection
            .request_all(&commands, ReplyShape::Nested, REPLY)
            .await?;
        let [nodes, info, shards] = replies.try_into().map_err(|_| PollError::Protocol)?;
        let nodes = nodes
            .extract_error()
            .map_err(|error| error::reason_of(&error))?;
        let nodes = text(nodes).ok_or(PollError::Protocol)?;
        let nodes = parse_cluster_nodes(&nodes, self.host.as_deref())?;
        let mut view = ClusterView {
            nodes,
            // Unknown where the user may not call it; that does not prevent discovery.
            is_ok: text(info).and_then(|info| is_cluster_ok(&info)),
        };
        for endpoint in endpoints(shards) {
            if let Some(node) = view.nodes.get_mut(&endpoint.id)
                && let Some(addr) = endpoint.addr(self.tls)
            {
                node.addr = Some(addr);
            }
        }
        Ok(view)
    }

    /// Whether the connection can take another query.
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }
}

/// The endpoints in the answer of CLUSTER SHARDS. Empty where it is denied or not known (before
/// 7.0); then the addresses in CLUSTER NODES are all there is.
fn endpoints(shards: Value) -> Vec<NodeEndpoint> {
    let Value::Array(shards) = shards else {
        return Vec::new();
    };
    let mut endpoints = Vec::new();
    for shard in shards {
        for node in nodes_of(shard) {
            let fields = fields(node);
            endpoints.extend(NodeEndpoint::new(&fields));
        }
    }
    endpoints
}

/// The nodes of a shard: the value of its field `nodes`.
fn nodes_of(shard: Value) -> Vec<Value> {
    let Value::Array(words) = shard else {
        return Vec::new();
    };
    for (name, value) in pairs(words).unwrap_or_default() {
        if let Value::Array(nodes) = value
            && text(name).as_deref() == Some("nodes")
        {
            return nodes;
        }
    }
    Vec::new()
}

/// Names and values of a record; those that are nil are left out.
fn fields(record: Value) -> BTreeMap<String, String> {
    let Value::Array(words) = record else {
        return BTreeMap::new();
    };
    let mut fields = BTreeMap::new();
    for (name, value) in pairs(words).unwrap_or_default() {
        if let (Some(name), Some(value)) = (text(name), text(value)) {
            fields.insert(name, value);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::client::testing::{FakeServer, Script, bulk};

    const LINES: &str = "aa 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-16383\n\
                         bb 10.0.0.2:6379@16379 slave aa 0 0 1 connected\n";

    fn list(items: &[String]) -> String {
        format!("*{}\r\n{}", items.len(), items.concat())
    }

    fn words(words: &[&str]) -> String {
        list(&words.iter().map(|word| bulk(word)).collect::<Vec<_>>())
    }

    /// A node that answers CLUSTER SHARDS with `shards`.
    fn node(shards: String) -> Script {
        let plain = Script::version("7.0.15");
        Script::new(move |request| match request {
            "CLUSTER NODES" => bulk(LINES),
            "CLUSTER INFO" => bulk("cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"),
            "CLUSTER SHARDS" => shards.clone(),
            _ => plain.ask(request),
        })
    }

    /// The addresses of the nodes that this one knows.
    async fn addresses(script: Script) -> Result<Vec<String>, PollError> {
        let (near, far) = duplex(64 * 1024);
        let _server = FakeServer::over(far, script);
        let mut connection = ClusterConnection {
            connection: Connection::over(Box::new(near), None).await.unwrap(),
            host: None,
            tls: false,
        };
        let view = connection.query().await?;
        assert_eq!(view.is_ok, Some(true));
        let mut addresses = Vec::new();
        for node in view.nodes.values() {
            addresses.push(node.addr.as_ref().unwrap().to_string());
        }
        Ok(addresses)
    }

    #[tokio::test]
    async fn a_node_before_7_0_has_addresses_only() {
        let unknown = "-ERR Unknown subcommand or wrong number of arguments for 'SHARDS'\r\n";
        let found = addresses(node(unknown.to_owned())).await;
        assert_eq!(found.unwrap(), ["10.0.0.1:6379", "10.0.0.2:6379"]);
    }

    #[tokio::test]
    async fn the_preferred_endpoint_counts() {
        let named = words(&[
            "id", "bb", "port", "7001", "tls-port", "7002", "ip", "10.0.0.2", "endpoint", "b.dc2",
        ]);
        let nil = list(&[bulk("id"), bulk("aa"), bulk("endpoint"), "$-1\r\n".into()]);
        let slots = list(&[":0\r\n".into(), ":16383\r\n".into()]);
        let shard = list(&[bulk("slots"), slots, bulk("nodes"), list(&[nil, named])]);
        let found = addresses(node(list(&[shard]))).await;
        assert_eq!(found.unwrap(), ["10.0.0.1:6379", "b.dc2:7001"]);
    }

    #[tokio::test]
    async fn a_server_outside_a_cluster_is_no_node() {
        let plain = Script::version("7.0.15");
        let alone = Script::new(move |request| {
            if request.starts_with("CLUSTER") {
                "-ERR This instance has cluster support disabled\r\n".to_owned()
            } else {
                plain.ask(request)
            }
        });
        assert_eq!(addresses(alone).await, Err(PollError::Protocol));
    }
}
