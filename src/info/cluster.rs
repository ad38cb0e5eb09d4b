//! Parses what a node of a Redis Cluster answers: which nodes it knows (CLUSTER NODES), where
//! clients should connect to them (CLUSTER SHARDS), and whether the cluster serves (CLUSTER INFO).
//!
//! What a node reports of the others is gossip: who exists, who is whose replica and which slots
//! each master serves. Offsets and links are polled from the nodes themselves; the copies in these
//! answers are not read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::{PollError, ServerAddr};

/// Slots of a cluster, all of which must be served by some master.
pub const CLUSTER_SLOTS: usize = 16_384;

/// The most nodes that are read of one answer: what Redis recommends as the size of the largest
/// clusters.
pub const MAX_CLUSTER_NODES: usize = 1000;

/// The longest ID of a node. Redis makes them of 40 hexadecimal digits.
const MAX_NODE_ID: usize = 40;

/// A node's ID, which it keeps for as long as it belongs to a cluster, also at other addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(Arc<str>);

/// Slots that follow one another, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotRange {
    /// The lowest slot.
    pub first: u16,
    /// The highest slot, at least `first`.
    pub last: u16,
}

/// A node as one node of the cluster knows it: a line of CLUSTER NODES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its ID.
    pub id: NodeId,
    /// Where it listens; `None` if that is not known.
    pub addr: Option<ServerAddr>,
    /// What is known of its state.
    pub flags: NodeFlags,
    /// The master that it replicates from; `None` for a master.
    pub master: Option<NodeId>,
    /// Incremented whenever the node takes over slots: of two nodes that claim a slot, the one with
    /// the higher epoch has it. A replica has its master's.
    pub config_epoch: u64,
    /// The slots that it serves, ascending. Empty for a replica.
    pub slots: Vec<SlotRange>,
}

/// A node's flags, as one node of the cluster sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeFlags {
    /// `myself`: the node that answers.
    pub is_myself: bool,
    /// `fail?`: this node does not reach it; or `fail`: a majority of the masters agrees that it is
    /// down.
    pub is_down: bool,
    /// `handshake`: it is not yet known whether it belongs to the cluster.
    pub is_in_handshake: bool,
}

/// Where clients should connect to a node: an entry of CLUSTER SHARDS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// The node.
    pub id: NodeId,
    /// The host that it prefers, which may be a name; `None` for the one that was asked.
    host: Option<String>,
    /// The port for plain text.
    port: Option<u16>,
    /// The port for TLS.
    tls_port: Option<u16>,
}

impl NodeId {
    /// Reads a node's ID: letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric();
        if text.is_empty() || text.len() > MAX_NODE_ID || !text.bytes().all(is_legal) {
            return None;
        }
        Some(Self(text.into()))
    }

    /// The ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SlotRange {
    /// How many slots it has.
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// `0-5460`, or `7` alone.
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        };
        let is_legal = range.first <= range.last && usize::from(range.last) < CLUSTER_SLOTS;
        is_legal.then_some(range)
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl ClusterNode {
    /// Whether it is a master with slots: one that has a vote, and replicas of interest.
    pub fn serves(&self) -> bool {
        self.master.is_none() && !self.slots.is_empty()
    }

    /// Reads a line of CLUSTER NODES: `ID IP:PORT@BUS-PORT[,HOSTNAME] FLAGS MASTER PING PONG EPOCH
    /// LINK [SLOTS ...]`. `asked` is the host at which the node that answers was asked.
    fn parse(line: &str, asked: Option<&str>) -> Option<Self> {
        let mut words = line.split(' ');
        let id = NodeId::parse(words.next()?)?;
        let place = words.next()?;
        let flags = words.next()?;
        let master = words.next()?;
        let mut words = words.skip(2);
        let config_epoch = words.next()?.parse().ok()?;
        let _link = words.next()?;
        let mut slots = Vec::new();
        for word in words.filter(|word| !word.is_empty()) {
            // A slot on its way: `[93->-ID]` or `[93-<-ID]`. It belongs to its present owner.
            if !word.starts_with('[') {
                slots.push(SlotRange::parse(word)?);
            }
        }
        slots.sort_unstable();
        let has = |flag| flags.split(',').any(|seen| seen == flag);
        let asked = asked.filter(|_| has("myself"));
        Some(Self {
            id,
            addr: if has("noaddr") {
                None
            } else {
                parse_place(place, asked)
            },
            flags: NodeFlags {
                is_myself: has("myself"),
                is_down: has("fail") || has("fail?"),
                is_in_handshake: has("handshake"),
            },
            master: if master == "-" {
                None
            } else {
                Some(NodeId::parse(master)?)
            },
            config_epoch,
            slots,
        })
    }
}

/// `IP:PORT@BUS-PORT`, with `,HOSTNAME` and more behind it in later versions, or `IP:PORT` in very
/// old ones. A node that has met no other one does not know its own IP: then `asked` is the host.
fn parse_place(place: &str, asked: Option<&str>) -> Option<ServerAddr> {
    let mut parts = place.split(',');
    let address = parts.next()?;
    let hostname = parts
        .next()
        .filter(|name| !name.is_empty() && !name.contains('='));
    let before_bus_port = address.split('@').next()?;
    let (ip, port) = before_bus_port.rsplit_once(':')?;
    let host = if ip.is_empty() {
        hostname.or(asked)?
    } else {
        ip
    };
    addr(host, port.parse().ok()?)
}

/// The address of `host`, which may be an IPv6 address with or without brackets, and `port`.
fn addr(host: &str, port: u16) -> Option<ServerAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let text = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    ServerAddr::parse(&text).ok()
}

/// Reads the answer of CLUSTER NODES. `asked` is the host at which the node was asked.
///
/// # Errors
/// [`PollError::TooLarge`] for more than [`MAX_CLUSTER_NODES`] lines. [`PollError::Protocol`] for a
/// line that cannot be read, whose node would seem to be gone; and unless exactly one of the nodes
/// is the one that answers.
pub fn parse_cluster_nodes(
    text: &str,
    asked: Option<&str>,
) -> Result<BTreeMap<NodeId, ClusterNode>, PollError> {
    let mut nodes = BTreeMap::new();
    let mut answering = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        if nodes.len() == MAX_CLUSTER_NODES {
            return Err(PollError::TooLarge);
        }
        let node = ClusterNode::parse(line, asked).ok_or(PollError::Protocol)?;
        answering += usize::from(node.flags.is_myself);
        nodes.insert(node.id.clone(), node);
    }
    if answering == 1 {
        Ok(nodes)
    } else {
        Err(PollError::Protocol)
    }
}

/// Whether the node serves queries by its CLUSTER INFO (`cluster_state`). `None` where the text
/// does not have it.
pub fn is_cluster_ok(info: &str) -> Option<bool> {
    let mut lines = info.lines();
    let state = lines.find_map(|line| line.trim_end().strip_prefix("cluster_state:"))?;
    match state {
        "ok" => Some(true),
        "fail" => Some(false),
        _ => None,
    }
}

impl NodeEndpoint {
    /// Reads the names and values of a node in CLUSTER SHARDS; `None` without an ID.
    pub fn new(fields: &BTreeMap<String, String>) -> Option<Self> {
        let port = |name| fields.get(name)?.parse().ok().filter(|port| *port > 0);
        // `?` is a name that is preferred and not known; then the IP is better than nothing.
        let preferred = fields.get("endpoint").filter(|host| *host != "?");
        let host = preferred.or_else(|| fields.get("ip"));
        Some(Self {
            id: NodeId::parse(fields.get("id")?)?,
            host: host.filter(|host| !host.is_empty()).cloned(),
            port: port("port"),
            tls_port: port("tls-port"),
        })
    }

    /// The address for clients that speak TLS or do not; `None` if the node listens to no such
    /// clients, or its host is not known.
    pub fn addr(&self, tls: bool) -> Option<ServerAddr> {
        let port = if tls { self.tls_port } else { self.port };
        addr(self.host.as_deref()?, port?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn captured(name: &str) -> String {
        let folder = env!("CARGO_MANIFEST_DIR");
        std::fs::read_to_string(format!("{folder}/tests/fixtures/info/cluster/{name}.txt")).unwrap()
    }

    /// The nodes as `PORT[*][!] [MASTER'S PORT] EPOCH SLOTS`, by port; `*` is the node that
    /// answers, `!` one that is down.
    fn shown(text: &str) -> Vec<String> {
        let nodes = parse_cluster_nodes(text, None).unwrap();
        let port = |id: &NodeId| nodes[id].addr.as_ref().unwrap().port().unwrap();
        let mut lines = Vec::new();
        for node in nodes.values() {
            let mut line = port(&node.id).to_string();
            if node.flags.is_myself {
                line += "*";
            }
            if node.flags.is_down {
                line += "!";
            }
            if let Some(master) = &node.master {
                line += &format!(" of {}", port(master));
            }
            line += &format!(" @{}", node.config_epoch);
            for range in &node.slots {
                line += &format!(" {range}");
            }
            lines.push(line);
        }
        lines.sort();
        lines
    }

    #[test]
    fn captured_nodes_are_read_before_during_and_after_a_failover() {
        let healthy = [
            "37201 @1 0-5460",
            "37202* @2 5461-10922",
            "37203 @3 10923-16383",
            "37204 of 37201 @1",
            "37205 of 37202 @2",
            "37206 of 37203 @3",
        ];
        assert_eq!(shown(&captured("ok.cluster_nodes")), healthy);
        assert_eq!(
            shown(&captured("pfail.cluster_nodes")),
            healthy,
            "a suspicion alone changes nothing"
        );
        assert_eq!(
            shown(&captured("failed_over.cluster_nodes")),
            [
                "37201! @1",
                "37202* @2 5461-10922",
                "37203 @3 10923-16383",
                "37204 @7 0-5460",
                "37205 of 37202 @2",
                "37206 of 37203 @3",
            ]
        );
    }

    #[test]
    fn the_state_is_read_from_cluster_info() {
        assert_eq!(is_cluster_ok(&captured("ok.cluster_info")), Some(true));
        assert_eq!(is_cluster_ok("cluster_state:fail\r\n"), Some(false));
        assert_eq!(is_cluster_ok("redis_version:7.0.15\r\n"), None);
    }

    /// The address and the slots of the only node of a view.
    fn check(line: &str, expected: &str) {
        let nodes = parse_cluster_nodes(line, Some("asked")).unwrap();
        let node = nodes.values().next().unwrap();
        let mut text = match &node.addr {
            Some(addr) => addr.to_string(),
            None => "-".to_owned(),
        };
        for range in &node.slots {
            text += &format!(" {range}");
        }
        assert_eq!(text, expected, "{line}");
    }

    #[test]
    fn addresses_and_slots_have_many_forms() {
        check(
            "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 5 7-9",
            "10.0.0.1:1 5 7-9",
        );
        check("a :1@2 myself,master - 0 0 0 connected", "asked:1");
        check("a :1@2,b.dc2 myself,master - 0 0 0 connected", "b.dc2:1");
        check(
            "a 10.0.0.1:1@2,b.dc2 myself,slave b 0 0 1 connected",
            "10.0.0.1:1",
        );
        check(
            "a 10.0.0.1:1@2,,tls-port=7,shard-id=x myself,master - 0 0 1 connected",
            "10.0.0.1:1",
        );
        check("a 10.0.0.1:1 myself,master - 0 0 1 connected", "10.0.0.1:1");
        check(
            "a 2001:db8::1:6379@16379 myself,master - 0 0 1 connected",
            "[2001:db8::1]:6379",
        );
        check("a 10.0.0.1:0@2 myself,master - 0 0 1 connected", "-");
        check("a :0@0 myself,master,noaddr - 0 0 1 disconnected", "-");
        check(
            "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-2 [3->-b] [4-<-b]",
            "10.0.0.1:1 0-2",
        );
    }

    /// Lines in the forms of the servers' own material: the documentation of CLUSTER NODES
    /// (redis.io), and tests/assets/divergent-shard-1.conf and -3.conf of Valkey, whose nodes
    /// listen for TLS alone.
    #[test]
    fn the_forms_of_the_servers_own_tests_are_read() {
        let documented = "\
            07c3 127.0.0.1:30004@31004,hostname4 slave e7d1 0 1426238317239 4 connected\n\
            67ed 127.0.0.1:30002@31002,hostname2 master - 0 1426238316232 2 connected 5461-10922\n\
            292f 127.0.0.1:30003@31003,hostname3 master - 0 1426238318243 3 connected 10923-16383\n\
            6ec2 127.0.0.1:30005@31005,hostname5 slave 67ed 0 1426238316232 5 connected\n\
            824f 127.0.0.1:30006@31006,hostname6 slave 292f 0 1426238317741 6 connected\n\
            e7d1 127.0.0.1:30001@31001,hostname1 myself,master - 0 0 1 connected 0-5460\n";
        assert_eq!(
            shown(documented),
            [
                "30001* @1 0-5460",
                "30002 @2 5461-10922",
                "30003 @3 10923-16383",
                "30004 of 30001 @4",
                "30005 of 30002 @5",
                "30006 of 30003 @6",
            ]
        );
        check(
            "43ee 10.125.153.181:0@28007,,tls-port=18007,shard-id=f915 myself,master - 0 1749488968682 13 connected 5461-16383",
            "- 5461-16383",
        );
        let with_a_replica = "\
            43ee 127.0.0.1:6379@16379,,tls-port=0,shard-id=f915 master - 0 1749488968682 13 connected 0-16383\n\
            8d89 127.0.0.1:6380@16380,,tls-port=0,shard-id=a915 myself,slave,nofailover 43ee 0 1749488968682 13 connected\n";
        assert_eq!(
            shown(with_a_replica),
            ["6379 @13 0-16383", "6380* of 6379 @13"]
        );
        let saved = format!("{with_a_replica}vars currentEpoch 13 lastVoteEpoch 9\n");
        assert!(
            parse_cluster_nodes(&saved, None).is_err(),
            "a line of nodes.conf that is in no answer"
        );
    }

    #[test]
    fn an_answer_that_cannot_be_read_whole_is_refused() {
        let good = "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 0-5\n";
        assert!(parse_cluster_nodes(good, None).is_ok());
        for bad in [
            "",
            "b 10.0.0.1:1@2 master - 0 0 1 connected 0-5\n",
            "a 10.0.0.1:1@2 myself,master - 0 0 x connected\n",
            "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 9-5\n",
            "a 10.0.0.1:1@2 myself,master - 0 0 1 connected 16384\n",
            "a-b 10.0.0.1:1@2 myself,master - 0 0 1 connected\n",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 10.0.0.1:1@2 myself,master - 0 0 1 connected\n",
            "a 10.0.0.1:1@2 myself,master\n",
        ] {
            let refused = parse_cluster_nodes(bad, None);
            assert_eq!(refused.err(), Some(PollError::Protocol), "{bad:?}");
        }
        let twice = good.to_owned() + &good.replace("a 10", "b 10");
        assert!(parse_cluster_nodes(&twice, None).is_err());
    }

    #[test]
    fn the_number_of_nodes_is_bounded() {
        let lines = |count: usize| {
            let mut text = "me 10.0.0.1:1@2 myself,master - 0 0 1 connected\n".to_owned();
            for n in 1..count {
                text += &format!("n{n} 10.0.0.1:1@2 slave me 0 0 1 connected\n");
            }
            text
        };
        let most = parse_cluster_nodes(&lines(MAX_CLUSTER_NODES), None);
        assert_eq!(most.map(|nodes| nodes.len()), Ok(MAX_CLUSTER_NODES));
        let more = parse_cluster_nodes(&lines(MAX_CLUSTER_NODES + 1), None);
        assert_eq!(more.err(), Some(PollError::TooLarge));
    }

    #[test]
    fn an_endpoint_is_the_preferred_host_with_the_port_of_the_protocol() {
        let endpoint = |fields: &[(&str, &str)], tls| {
            let mut all = BTreeMap::from([("id".to_owned(), "a".to_owned())]);
            for (name, value) in fields {
                all.insert((*name).to_owned(), (*value).to_owned());
            }
            let addr = NodeEndpoint::new(&all).unwrap().addr(tls);
            addr.map_or_else(|| "-".to_owned(), |addr| addr.to_string())
        };
        let both = [
            ("endpoint", "b.dc2"),
            ("ip", "10.0.0.1"),
            ("port", "1"),
            ("tls-port", "2"),
        ];
        assert_eq!(
            (endpoint(&both, false), endpoint(&both, true)),
            ("b.dc2:1".into(), "b.dc2:2".into())
        );
        assert_eq!(endpoint(&both[..3], true), "-", "it does not speak TLS");
        let unknown = [("endpoint", "?"), ("ip", "10.0.0.1"), ("port", "1")];
        assert_eq!(endpoint(&unknown, false), "10.0.0.1:1");
        assert_eq!(
            endpoint(&[("endpoint", ""), ("ip", ""), ("port", "1")], false),
            "-"
        );
        assert_eq!(NodeEndpoint::new(&BTreeMap::new()), None);
    }

    proptest! {
        #[test]
        fn nothing_that_a_node_says_makes_it_panic(text in ".{0,300}", line in "[a-f0-9]{0,4} [^ ]{0,20} [a-z,]{0,12} [-a-f0-9]{0,3} 0 0 [0-9]{0,3} connected( [-0-9\\[\\]<>]{0,12}){0,4}") {
            let _ = (parse_cluster_nodes(&text, None), parse_cluster_nodes(&line, Some("h")), is_cluster_ok(&text));
        }
    }
}
