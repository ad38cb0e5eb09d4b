//! `check-config --connect`: logs in to every server, cluster node and Sentinel and tries there
//! what the exporter will do, so that a wrong password or a missing right is found before an
//! incident.
//!
//! Nothing is changed anywhere. A right that is missing leaves a denial in that server's ACL log.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::probe;
use crate::client::{Command, Connection, ReplyShape, Value};
use crate::config::{PairSettings, PollSettings, Settings};
use crate::info::{self, Observation};
use crate::model::{Bytes, Datacenter, PollError, PollFailure, ServerAddr, Span};
use crate::topology::{Discovered, ObservedMasters, Server, Topology};

/// Servers that are asked at the same time.
const AT_ONCE: usize = 50;

/// The shortest time that is allowed for a connection and for each request: a person waits, and an
/// answer matters more than its speed.
const SHORTEST_TIMEOUT: Span = Span::from_secs(2);

/// The longest answer: all masters of the largest Sentinels.
const MAX_REPLY: Bytes = Bytes::new(8 * 1024 * 1024);

/// A channel within the heartbeats' pattern that nobody subscribes to.
const CHANNEL: &str = "__redis_cross_dc_exporter:check-config";

/// Another one that nobody publishes to: what is published on a master reaches the subscribers of
/// its replicas, where it would be no answer to any question.
const QUIET_CHANNEL: &str = "__redis_cross_dc_exporter:check-config-quiet";

/// A master's name that no Sentinel knows: what counts is whether the question is allowed.
const NO_MASTER: &str = "redis-cross-dc-exporter-check-config";

/// What is wrong with an address of a cluster's node where a server outside clusters answers.
const NO_CLUSTER: &str = "it is no node of a cluster: CLUSTER NODES is refused with an error, or its \
     answer cannot be read; name it under pairs instead";

/// What is wrong with an address of a Sentinel where another program answers.
const NO_SENTINEL: &str = "it is no Sentinel: SENTINEL MASTERS is refused with an error; name the Sentinel's \
     port, 26379 unless it is configured otherwise";

/// What a server or Sentinel grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAccess {
    /// Its address.
    pub addr: ServerAddr,
    /// Its datacenter.
    pub dc: Datacenter,
    /// The user that logs in; absent means the default user.
    pub user: Option<String>,
    /// Whether it is asked as a Sentinel.
    pub is_sentinel: bool,
    /// What was granted, or why there was no login, as a sentence.
    pub outcome: Result<Access, String>,
}

/// What a login is good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// What answered: `redis 7.0.15, master`. Empty where INFO is denied.
    pub answered: String,
    /// The rights that the exporter will miss.
    pub missing: Vec<MissingRule>,
}

/// An ACL rule that the user does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingRule {
    /// As ACL SETUSER takes it.
    pub rule: &'static str,
    /// What the exporter cannot do without it, as a sentence.
    pub without: &'static str,
}

const INFO: MissingRule = MissingRule {
    rule: "+info",
    without: "nothing is known of the server",
};

const SET_NAME: MissingRule = MissingRule {
    rule: "+client|setname",
    without: "everything works, but each connection leaves a denial in the server's ACL log",
};

const PUBLISH: MissingRule = MissingRule {
    rule: "+publish resetchannels &__redis_cross_dc_exporter:*",
    without: "no heartbeats are sent while this server is the master",
};

const SUBSCRIBE: MissingRule = MissingRule {
    rule: "+subscribe resetchannels &__redis_cross_dc_exporter:*",
    without: "no heartbeats are received while this server is a replica",
};

const SENTINEL_SUBSCRIBE: MissingRule = MissingRule {
    rule: "+subscribe resetchannels &+* &-*",
    without: "a failover is seen by the next query, up to a second later",
};

/// The questions to a node of a cluster, and the rules that allow them.
const CLUSTER_QUESTIONS: [(&[&str], MissingRule); 3] = [
    (
        &["CLUSTER", "NODES"],
        MissingRule {
            rule: "+cluster|nodes",
            without: "this node's view of the cluster is not known, and without any view no pair is found",
        },
    ),
    (
        &["CLUSTER", "SHARDS"],
        MissingRule {
            rule: "+cluster|shards",
            without: "the endpoints that nodes prefer, such as host names, and their ports for TLS are not known",
        },
    ),
    (
        &["CLUSTER", "INFO"],
        MissingRule {
            rule: "+cluster|info",
            without: "whether the cluster serves queries is not known",
        },
    ),
];

/// The questions to a Sentinel, and the rules that allow them.
const SENTINEL_QUESTIONS: [(&[&str], MissingRule); 9] = [
    (
        &["SENTINEL", "MASTERS"],
        MissingRule {
            rule: "+sentinel|masters",
            without: "it finds no pairs",
        },
    ),
    (
        &["SENTINEL", "REPLICAS", NO_MASTER],
        MissingRule {
            rule: "+sentinel|replicas",
            without: "it finds no pairs",
        },
    ),
    (
        &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NO_MASTER],
        MissingRule {
            rule: "+sentinel|get-master-addr-by-name",
            without: "where clients are sent during a failover is not known",
        },
    ),
    (
        &["SENTINEL", "SENTINELS", NO_MASTER],
        MissingRule {
            rule: "+sentinel|sentinels",
            without: "where the other Sentinels are is not known",
        },
    ),
    (
        &["SENTINEL", "CKQUORUM", NO_MASTER],
        MissingRule {
            rule: "+sentinel|ckquorum",
            without: "whether a failover is possible is not known",
        },
    ),
    (
        &["INFO", "sentinel"],
        MissingRule {
            rule: "+info",
            without: "whether the Sentinel is in TILT is not known",
        },
    ),
    (&["CLIENT", "SETNAME", "redis-cross-dc-exporter"], SET_NAME),
    // Last, because a subscribed connection takes hardly any other command.
    (&["SUBSCRIBE", "+switch-master"], SENTINEL_SUBSCRIBE),
    (&["SUBSCRIBE", "-sdown"], SENTINEL_SUBSCRIBE),
];

/// Logs in to every server and Sentinel of `settings`, and to the servers that Sentinels and
/// cluster nodes report. The Sentinels come first, then the servers, each by address.
pub async fn try_access(settings: &Settings) -> Vec<ServerAccess> {
    let discovered = probe::discover(settings).await;
    let configured = settings.pairs.iter().cloned();
    let entries: Vec<_> = configured.chain(discovered.entries()).collect();
    let topology = Topology::observed(&entries, &settings.datacenters, &ObservedMasters::default());
    let nodes = cluster_nodes(settings, &discovered);
    let mut servers = topology.servers;
    for (addr, node) in &nodes {
        let known = servers.entry(addr.clone());
        known.or_insert_with(|| Arc::clone(node));
    }
    let heartbeats = with_heartbeats(&entries);
    let mut tasks = JoinSet::new();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    for server in servers.into_values() {
        let question = Question {
            timeout: timeout(&server, &settings.poll),
            heartbeat: heartbeats.get(&server.addr) == Some(&true),
            is_cluster_node: nodes.contains_key(&server.addr),
            is_sentinel: false,
            server,
        };
        tasks.spawn(question.ask(Arc::clone(&permits)));
    }
    for sentinel in settings.sentinels.iter().flat_map(|entry| &entry.sentinels) {
        let server = Topology::server(sentinel, &settings.datacenters);
        let question = Question {
            timeout: timeout(&server, &settings.poll),
            heartbeat: false,
            is_cluster_node: false,
            is_sentinel: true,
            server: Arc::new(server),
        };
        tasks.spawn(question.ask(Arc::clone(&permits)));
    }
    let mut found = tasks.join_all().await;
    found.sort_by(|a, b| (!a.is_sentinel, &a.addr).cmp(&(!b.is_sentinel, &b.addr)));
    // Entries may share their Sentinels.
    found.dedup();
    found
}

/// The configured nodes of clusters, and those that were learned from them.
fn cluster_nodes(
    settings: &Settings,
    discovered: &Discovered,
) -> BTreeMap<ServerAddr, Arc<Server>> {
    let learned = discovered.learned();
    let mut nodes = BTreeMap::new();
    for entry in &settings.clusters {
        let mut all = entry.nodes.clone();
        for source in learned.iter().filter(|source| source.entry == entry.name) {
            all.push(entry.servers.server(source.reporter.clone()));
        }
        for node in all {
            let server = Topology::server(&node, &settings.datacenters);
            nodes.insert(node.addr, Arc::new(server));
        }
    }
    nodes
}

/// Whether heartbeats are on for a server, by its address.
fn with_heartbeats(entries: &[PairSettings]) -> BTreeMap<ServerAddr, bool> {
    let mut heartbeats = BTreeMap::new();
    for entry in entries {
        for server in std::iter::once(&entry.master).chain(&entry.replicas) {
            let enabled = heartbeats.entry(server.addr.clone()).or_default();
            *enabled |= entry.heartbeat.enabled;
        }
    }
    heartbeats
}

fn timeout(server: &Server, poll: &PollSettings) -> Span {
    let configured = if server.local {
        poll.timeout_local
    } else {
        poll.timeout_remote
    };
    configured.max(SHORTEST_TIMEOUT)
}

/// How to ask one server or Sentinel.
struct Question {
    server: Arc<Server>,
    /// For the connection, and for each request.
    timeout: Span,
    /// Whether heartbeats will be sent or received there.
    heartbeat: bool,
    /// Whether it is asked for its view of a cluster.
    is_cluster_node: bool,
    is_sentinel: bool,
}

impl Question {
    async fn ask(self, permits: Arc<Semaphore>) -> ServerAccess {
        // Fails only when the semaphore is closed, which it never is.
        let _permit = permits.acquire().await;
        let outcome = if self.is_sentinel {
            self.ask_sentinel().await
        } else {
            self.ask_server().await
        };
        ServerAccess {
            addr: self.server.addr.clone(),
            dc: self.server.dc.clone(),
            user: self.server.credentials.username.clone(),
            is_sentinel: self.is_sentinel,
            outcome,
        }
    }

    async fn ask_server(&self) -> Result<Access, String> {
        let mut connection = self.connect("the server").await?;
        let mut access = Access::default();
        match self.within(connection.fetch_info()).await {
            Ok(reply) => {
                let observation = info::parse(&reply.text).map_err(|error| error.to_string())?;
                access.answered = description(&observation);
            }
            Err(PollError::Denied) => access.missing.push(INFO),
            Err(reason) => return Err(connection.explain(reason).sentence("the server")),
        }
        let mut questions = vec![(
            &["CLIENT", "SETNAME", "redis-cross-dc-exporter"][..],
            SET_NAME,
        )];
        if self.is_cluster_node {
            self.ask_as_node(&mut connection).await?;
            questions.extend(CLUSTER_QUESTIONS);
        }
        if self.heartbeat {
            questions.push((&["PUBLISH", CHANNEL, "0"], PUBLISH));
            // Last, because a subscribed connection takes hardly any other command.
            questions.push((&["SUBSCRIBE", QUIET_CHANNEL], SUBSCRIBE));
        }
        let denied = self.denied(&mut connection, &questions).await;
        let denied = denied.map_err(|failure| failure.sentence("the server"))?;
        access.missing.extend(denied);
        Ok(access)
    }

    /// Whether the server is a node of a cluster; a sentence if not.
    async fn ask_as_node(&self, connection: &mut Connection) -> Result<(), String> {
        let nodes = command(&["CLUSTER", "NODES"]);
        let asked = connection.request(&nodes, ReplyShape::Scalar, MAX_REPLY);
        match self.within(asked).await {
            // Whether the user may ask this is found out with everything else.
            Ok(_) | Err(PollError::Denied) => Ok(()),
            Err(PollError::Protocol) => Err(NO_CLUSTER.to_owned()),
            Err(reason) => Err(connection.explain(reason).sentence("the server")),
        }
    }

    async fn ask_sentinel(&self) -> Result<Access, String> {
        let mut connection = self.connect("the Sentinel").await?;
        let masters = command(&["SENTINEL", "MASTERS"]);
        let asked = connection.request(&masters, ReplyShape::Records, MAX_REPLY);
        match self.within(asked).await {
            // Whether the user may ask this is found out below, with everything else.
            Ok(_) | Err(PollError::Denied) => {}
            Err(PollError::Protocol) => return Err(NO_SENTINEL.to_owned()),
            Err(reason) => return Err(connection.explain(reason).sentence("the Sentinel")),
        }
        let denied = self.denied(&mut connection, &SENTINEL_QUESTIONS).await;
        let mut missing = denied.map_err(|failure| failure.sentence("the Sentinel"))?;
        // Two channels stand for one rule.
        missing.dedup();
        Ok(Access {
            answered: "Sentinel".to_owned(),
            missing,
        })
    }

    async fn connect(&self, whom: &str) -> Result<Connection, String> {
        let connected = Connection::connect(&self.server, self.timeout).await;
        connected.map_err(|failure| failure.sentence(whom))
    }

    /// Asks all questions at once; the rules of those that the user may not ask.
    async fn denied(
        &self,
        connection: &mut Connection,
        questions: &[(&[&str], MissingRule)],
    ) -> Result<Vec<MissingRule>, PollFailure> {
        let mut commands = Vec::new();
        for (words, _) in questions {
            commands.push(command(words));
        }
        let shape = if self.is_cluster_node {
            ReplyShape::Nested
        } else {
            ReplyShape::Records
        };
        let asked = connection.request_all(&commands, shape, MAX_REPLY);
        let replies = match self.within(asked).await {
            Ok(replies) => replies,
            Err(reason) => return Err(connection.explain(reason)),
        };
        let mut denied = Vec::new();
        for (reply, (_, rule)) in replies.into_iter().zip(questions) {
            if is_denied(reply) {
                denied.push(*rule);
            }
        }
        Ok(denied)
    }

    async fn within<T>(
        &self,
        request: impl Future<Output = Result<T, PollError>>,
    ) -> Result<T, PollError> {
        match tokio::time::timeout(self.timeout.to_duration(), request).await {
            Ok(result) => result,
            Err(_) => Err(PollError::Timeout),
        }
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new();
    command.arg(words);
    command
}

fn is_denied(reply: Value) -> bool {
    match reply.extract_error() {
        Ok(_) => false,
        Err(error) => error.code() == Some("NOPERM"),
    }
}

/// What answered, in a few words.
fn description(observation: &Observation) -> String {
    let engine = observation.server.engine.label();
    let mut text = match observation.server.version.get() {
        Some(version) => format!("{engine} {version}"),
        None => engine.to_owned(),
    };
    if let Some(role) = observation.replication.role.get() {
        text += &format!(", {}", role.label());
    }
    text
}
