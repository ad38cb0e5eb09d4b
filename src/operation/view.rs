//! What each server of an operation said, as far as decisions need it.

use serde::{Deserialize, Serialize};

use super::watch::SentinelView;
use crate::info::{
    Engine, Field, Observation, ReplicaConnState, ReplicaLine, Role, ServerDetails, ServerMode,
};
use crate::model::{Bytes, Datacenter, ReplicationId, ReplicationOffset, ServerAddr, Span};

/// One server and its last answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerView {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Its datacenter.
    pub dc: Datacenter,
    /// What it said, or why it said nothing, as a sentence without a full stop.
    pub said: Result<Said, String>,
}

/// An answer to INFO.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The program.
    pub engine: Engine,
    /// Whether it is a node of a Redis Cluster.
    pub is_cluster: bool,
    /// The Redis version that it is compatible with, as it reports it.
    pub version: String,
    /// The run of the process.
    pub run_id: String,
    /// Its role.
    pub role: Role,
    /// The history that its stream belongs to.
    pub replid: ReplicationId,
    /// The history that it continued when it was promoted.
    pub replid2: Option<ReplicationId>,
    /// The first offset that it does not share with `replid2`.
    pub second_offset: Option<u64>,
    /// The end of its own stream, in bytes.
    pub offset: u64,
    /// The first offset that its backlog still has; `None` where it has no backlog.
    pub backlog_from: Option<u64>,
    /// Whether it loads a data set.
    pub loading: bool,
    /// How far that is; `None` where it does not say so, or loads nothing.
    pub load: Option<Load>,
    /// The number of its keys.
    pub keys: Option<u64>,
    /// The memory that it uses.
    pub memory: Option<Bytes>,
    /// `sync_full`: how many full syncs it gave.
    pub full_syncs: u64,
    /// Whether CONFIG REWRITE can keep its role over a restart; `None` where that is not known.
    pub has_config_file: Option<bool>,
    /// Its priority among the replicas that Sentinels choose from; `None` for a master, or where it
    /// does not say so.
    pub priority: Option<u64>,
    /// The link to its master; present where it is a replica.
    pub upstream: Option<UpstreamView>,
    /// Its replicas.
    pub replicas: Vec<ListedReplica>,
}

/// A replica as its master lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedReplica {
    /// Its address, as it announces it; `None` where it announces no port.
    pub addr: Option<ServerAddr>,
    /// Whether it receives the stream, rather than a full sync.
    pub is_online: bool,
    /// The end of what it has acknowledged, which it does once a second; `None` where it has not.
    pub acked: Option<u64>,
}

/// How far a server has come with loading a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// What it has loaded.
    pub read: Bytes,
    /// Of how much; `None` where it does not know that.
    pub total: Option<Bytes>,
    /// What the rest takes, as it estimates it.
    pub left: Option<Span>,
}

/// The link of a replica to its master, as the replica reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamView {
    /// The master, as it is configured on the replica.
    pub addr: Option<ServerAddr>,
    /// Whether the link is up.
    pub is_up: bool,
    /// Whether a full sync is being transferred.
    pub syncing: bool,
    /// Bytes of it that have arrived.
    pub sync_read: Option<Bytes>,
    /// All bytes of it; `None` for a diskless sync.
    pub sync_total: Option<Bytes>,
    /// The end of what it has applied.
    pub applied: u64,
    /// Since when nothing was received.
    pub last_io: Option<Span>,
}

/// All servers of an operation, asked one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The master that is to be replaced, or that returns.
    pub old: ServerView,
    /// The server that is, or becomes, the master.
    pub target: ServerView,
    /// The old master again, asked after the target: with `old` a bracket around the target's
    /// answer. `None` after an order, because it was not asked again.
    pub old_again: Option<ServerView>,
    /// The other replicas of the entry.
    pub others: Vec<ServerView>,
    /// The Sentinels that watch the master, where any do.
    pub sentinels: Vec<SentinelView>,
}

/// Two servers at one offset, proved by a bracket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EqualOffsets {
    /// The history.
    pub replid: ReplicationId,
    /// The offset, in bytes.
    pub offset: u64,
}

impl ServerView {
    /// Its answer, if it gave one.
    pub fn said(&self) -> Option<&Said> {
        self.said.as_ref().ok()
    }

    /// Its role; `None` while it is silent.
    pub fn role(&self) -> Option<Role> {
        Some(self.said()?.role)
    }

    /// Whether it says that it is a master.
    pub fn is_master(&self) -> bool {
        self.role() == Some(Role::Master)
    }

    /// Whether it follows `master`, whatever the state of the link.
    pub fn follows(&self, master: &ServerAddr) -> bool {
        let upstream = self.said().and_then(|said| said.upstream.as_ref());
        upstream.is_some_and(|upstream| upstream.addr.as_ref() == Some(master))
    }

    /// The address under which it follows its master; `None` for a master, and while it is silent.
    pub fn followed(&self) -> Option<ServerAddr> {
        self.said()?.upstream.as_ref()?.addr.clone()
    }

    /// Whether its link to its master is up.
    pub fn is_linked(&self) -> bool {
        let upstream = self.said().and_then(|said| said.upstream.as_ref());
        upstream.is_some_and(|upstream| upstream.is_up)
    }

    /// Its address and datacenter, for people.
    pub fn name(&self) -> String {
        format!("{} ({})", self.addr, self.dc)
    }
}

impl Said {
    /// What an operation needs of an answer to INFO.
    ///
    /// # Errors
    /// What is missing or unusable, as a sentence without a full stop.
    pub fn read(observation: &Observation, details: &ServerDetails) -> Result<Self, String> {
        let replication = &observation.replication;
        let offset = required(&replication.master_offset, "master_repl_offset")?.get();
        let role = *required(&replication.role, "role")?;
        let upstream = match &replication.upstream {
            Some(upstream) if role == Role::Replica => Some(UpstreamView {
                addr: upstream_addr(upstream.host.get(), upstream.port.value()),
                is_up: upstream.is_up(),
                syncing: upstream.sync_in_progress == Field::Value(true),
                sync_read: upstream.sync_read.value(),
                sync_total: upstream.sync_total.value(),
                applied: required(&upstream.applied_offset, "slave_repl_offset")?.get(),
                last_io: upstream.last_io.value(),
            }),
            _ => None,
        };
        let priority = replication.upstream.as_ref();
        let priority = priority.and_then(|link| link.priority.value());
        let backlog = &replication.backlog;
        let is_backlog_active = backlog.active == Field::Value(true);
        let first_byte = backlog.first_byte.value().map(ReplicationOffset::get);
        Ok(Self {
            engine: observation.server.engine,
            is_cluster: observation.server.mode == Field::Value(ServerMode::Cluster),
            version: required(&details.redis_version, "redis_version")?.clone(),
            run_id: required(&observation.server.run_id, "run_id")?
                .as_str()
                .to_owned(),
            role,
            replid: required(&replication.replid, "master_replid")?.clone(),
            replid2: replication.replid2.get().cloned(),
            second_offset: replication
                .second_offset
                .value()
                .map(ReplicationOffset::get),
            offset,
            backlog_from: first_byte.filter(|_| is_backlog_active),
            loading: observation.persistence.is_loading(),
            load: load(observation, details),
            keys: observation.keys.value(),
            memory: details.used_memory.value(),
            full_syncs: *required(&observation.stats.sync_full, "sync_full")?,
            has_config_file: match details.config_file {
                Field::Value(_) => Some(true),
                Field::None => Some(false),
                Field::Missing | Field::Malformed => None,
            },
            priority,
            upstream,
            replicas: replication.replicas.iter().map(listed).collect(),
        })
    }

    /// The replica at `addr` in its list. It is listed under the address that it announces: where
    /// none has this one, and only one is listed, it is that one.
    pub fn listed(&self, addr: &ServerAddr) -> Option<&ListedReplica> {
        let mut replicas = self.replicas.iter();
        let same = replicas.find(|replica| replica.addr.as_ref() == Some(addr));
        match &self.replicas[..] {
            [only] => same.or(Some(only)),
            _ => same,
        }
    }

    /// The end of what it has applied of its master's stream; of a master the end of its own.
    pub fn applied(&self) -> u64 {
        match &self.upstream {
            Some(upstream) => upstream.applied,
            None => self.offset,
        }
    }

    /// Whether it receives or loads a full sync, so that its data are about to be replaced.
    pub fn is_being_replaced(&self) -> bool {
        let syncing = self.upstream.as_ref().is_some_and(|link| link.syncing);
        syncing || self.loading
    }

    /// The version's major and minor number.
    pub fn version_numbers(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some((major, minor))
    }
}

impl World {
    /// The offset at which the target is level with the old master: the old master did not move
    /// between two answers, and the target, asked in between, had applied all of it. `None` where
    /// that is not proved.
    pub fn equal_offsets(&self) -> Option<EqualOffsets> {
        let before = self.old.said()?;
        let target = self.target.said()?;
        let after = self.old_again.as_ref()?.said()?;
        let upstream = target.upstream.as_ref()?;
        let one_history = before.replid == target.replid && before.replid == after.replid;
        let one_place = before.offset == after.offset && upstream.applied == before.offset;
        if one_history && one_place && upstream.is_up {
            return Some(EqualOffsets {
                replid: before.replid.clone(),
                offset: before.offset,
            });
        }
        None
    }

    /// Who is master now, as the start of a sentence.
    pub fn masters(&self) -> String {
        let servers = [&self.target, &self.old].into_iter().chain(&self.others);
        let masters = servers.filter(|server| server.is_master());
        let names: Vec<_> = masters.map(ServerView::name).collect();
        match &names[..] {
            [] => "no server that answers is a master".to_owned(),
            [one] => format!("{one} is the master"),
            several => format!(
                "{} are masters, each with writes of its own",
                several.join(" and ")
            ),
        }
    }
}

fn load(observation: &Observation, details: &ServerDetails) -> Option<Load> {
    if !observation.persistence.is_loading() {
        return None;
    }
    Some(Load {
        read: details.loaded.value()?,
        total: details.load_total.value(),
        left: details.load_left.value(),
    })
}

fn listed(line: &ReplicaLine) -> ListedReplica {
    let port = line.port.value().filter(|port| *port > 0);
    ListedReplica {
        addr: port.map(|port| ServerAddr::new(&line.ip, port)),
        is_online: line.state == ReplicaConnState::Online,
        acked: line.offset.value().map(ReplicationOffset::get),
    }
}

fn upstream_addr(host: Option<&String>, port: Option<u16>) -> Option<ServerAddr> {
    Some(ServerAddr::new(host?, port?))
}

fn required<'a, T>(field: &'a Field<T>, name: &str) -> Result<&'a T, String> {
    match field {
        Field::Value(value) => Ok(value),
        Field::Missing | Field::None => Err(format!("its INFO does not have {name}")),
        Field::Malformed => Err(format!("its INFO has a {name} that is not understood")),
    }
}
