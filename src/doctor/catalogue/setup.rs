//! Chapter D: how the pair is set up.

use super::super::rules::setup;
use super::CheckRow;
use super::CheckScope::{Each, Master, Replica};

pub(super) const D1: CheckRow = CheckRow {
    title: "the fence of an isolated master",
    looks_at: "`CONFIG GET`, datacenters of the configuration",
    versions: "5.0",
    finds: "advice: says what is chosen, and its price",
    consequence: "A master that is cut off either goes on taking writes that will be lost, or takes none.",
    may_be_wrong: "it is a choice",
    source: "redis.conf, min-replicas-to-write",
    scope: Master,
    rule: setup::self_fence,
};

pub(super) const D2: CheckRow = CheckRow {
    title: "replica-priority",
    looks_at: "`INFO replication`",
    versions: "5.0; with Sentinels",
    finds: "critical: 0 on all; warning: a replica elsewhere is preferred to those beside the master",
    consequence: "A disaster finds nobody to promote, or a small fault moves the datacenter.",
    may_be_wrong: "-",
    source: "redis.conf, replica-priority",
    scope: Master,
    rule: setup::priorities,
};

pub(super) const D3: CheckRow = CheckRow {
    title: "replica-announced",
    looks_at: "`INFO replication`",
    versions: "6.2; with Sentinels",
    finds: "warning: no",
    consequence: "Sentinels never promote it.",
    may_be_wrong: "it is a backup on purpose",
    source: "redis.conf, replica-announced",
    scope: Replica,
    rule: setup::announced,
};

pub(super) const D4: CheckRow = CheckRow {
    title: "the replica's announced address",
    looks_at: "`INFO replication` of the master",
    versions: "5.0",
    finds: "advice: not the configured one; warning: shared by two, or port 0",
    consequence: "Sentinels and FAILOVER would use an address that may lead nowhere.",
    may_be_wrong: "a proxy or NAT is in front of it",
    source: "redis.conf, replica-announce-ip",
    scope: Replica,
    rule: setup::announced_address,
};

pub(super) const D5: CheckRow = CheckRow {
    title: "tcp-keepalive",
    looks_at: "`CONFIG GET`",
    versions: "5.0",
    finds: "warning: 0",
    consequence: "Connections of clients that vanished stay until maxclients is reached.",
    may_be_wrong: "-",
    source: "redis.conf, tcp-keepalive",
    scope: Each,
    rule: setup::keepalive,
};
