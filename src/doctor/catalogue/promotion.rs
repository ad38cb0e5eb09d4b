//! Chapter A: what makes a replica useless in the second after its promotion.

use super::super::rules::{commands, memory, promotion, reachable, way_back};
use super::CheckRow;
use super::CheckScope::{Each, Replica};

pub(super) const A1: CheckRow = CheckRow {
    title: "min-replicas-to-write of the replica",
    looks_at: "`CONFIG GET`, connected replicas of the replica",
    versions: "5.0",
    finds: "critical: it wants more replicas than follow it now",
    consequence: "Every write is refused with NOREPLICAS in the second after the promotion.",
    may_be_wrong: "it is a fence on purpose: then this is its price",
    source: "redis.conf, min-replicas-to-write; tried on 7.0.15",
    scope: Replica,
    rule: promotion::min_replicas,
};

pub(super) const A2: CheckRow = CheckRow {
    title: "maxmemory and its policy",
    looks_at: "`INFO memory` of both",
    versions: "5.0",
    finds: "critical: less than the master's used_memory and a tenth; warning: less than the master's, or another policy; advice: more",
    consequence: "The first write after a promotion evicts keys until the rest fits, or is refused with OOM.",
    may_be_wrong: "a container's limit is below maxmemory",
    source: "redis.conf, replica-ignore-maxmemory; on 7.0.15, 24,976 of 30,000 keys were evicted at the first write",
    scope: Replica,
    rule: memory::memory,
};

pub(super) const A3: CheckRow = CheckRow {
    title: "databases",
    looks_at: "`CONFIG GET`, `INFO keyspace` of the master",
    versions: "5.0",
    finds: "critical: the master has data in a database that the replica lacks; warning: the replica has fewer",
    consequence: "Writes to a database that it lacks land in another one, while link and offset look healthy.",
    may_be_wrong: "-",
    source: "tried on 7.0.15: the key of db9 was in db0",
    scope: Replica,
    rule: promotion::databases,
};

pub(super) const A4: CheckRow = CheckRow {
    title: "failed writes to the replica's disk",
    looks_at: "`INFO persistence`, `CONFIG GET`",
    versions: "5.0",
    finds: "critical: the last save or append failed and stops writes",
    consequence: "Every write is answered with MISCONF after a promotion; since 7.0 the replica may end itself before that.",
    may_be_wrong: "the failure is old and the disk is repaired: BGSAVE clears it",
    source: "redis.conf, stop-writes-on-bgsave-error and replica-ignore-disk-write-errors",
    scope: Replica,
    rule: promotion::disk,
};

pub(super) const A5: CheckRow = CheckRow {
    title: "masterauth of the master",
    looks_at: "`CONFIG GET` of both (only whether it is set), `ACL LIST` of the replica",
    versions: "5.0",
    finds: "critical: the master has no masterauth and the replica asks for a password",
    consequence: "The old master can never follow the new one: its link stays down.",
    may_be_wrong: "-",
    source: "redis.conf, masterauth; tried on 7.0.15",
    scope: Replica,
    rule: promotion::reverse_login,
};

pub(super) const A6: CheckRow = CheckRow {
    title: "ACL users",
    looks_at: "`ACL LIST` of both, compared by name and fingerprint",
    versions: "6.0",
    finds: "warning: a user of the master is missing or different",
    consequence: "Applications cannot log in to the new master, or may do other things there.",
    may_be_wrong: "rights are written in another order; between releases only names are compared",
    source: "redis.conf, aclfile: users are not replicated",
    scope: Replica,
    rule: promotion::users,
};

pub(super) const A7: CheckRow = CheckRow {
    title: "ports, TLS and bind of the replica",
    looks_at: "`CONFIG GET` of both",
    versions: "5.0",
    finds: "critical: no port of the kind that the master's link uses, loopback only, or protected mode without a password; warning: tls-replication differs",
    consequence: "The old master cannot connect to the new one.",
    may_be_wrong: "a proxy is in front of it",
    source: "redis.conf, bind, protected-mode and tls-replication",
    scope: Replica,
    rule: reachable::listening,
};

pub(super) const A8: CheckRow = CheckRow {
    title: "the way back to the replica",
    looks_at: "what Sentinels in the master's datacenter see of the replica's announced address; this program's own connection, where it runs there",
    versions: "5.0",
    finds: "critical: refused or silent from there; not checked: nobody there was asked",
    consequence: "The old master can never follow the new one: its link stays down, and failing back means copying everything.",
    may_be_wrong: "the fault passes: run it again",
    source: "redis.conf, replica-announce-ip; a stuck FAILOVER was tried on 7.0.15",
    scope: Replica,
    rule: way_back::reverse_way,
};

pub(super) const A9: CheckRow = CheckRow {
    title: "modules, program and version",
    looks_at: "`INFO server`, `INFO modules` of both",
    versions: "6.0 for modules",
    finds: "critical: a module is missing, or the replica cannot read the master's RDB format; warning: another release; advice: another patch release",
    consequence: "A full sync fails in one direction: the replica cannot follow, or the old master cannot come back.",
    may_be_wrong: "-",
    source: "rdb.h, RDB_VERSION of each release",
    scope: Replica,
    rule: reachable::programs,
};

pub(super) const A10: CheckRow = CheckRow {
    title: "maxclients",
    looks_at: "`INFO clients` of both",
    versions: "5.0",
    finds: "warning: less than the master's clients and a fifth",
    consequence: "Clients that move to the new master are refused.",
    may_be_wrong: "few of the clients move",
    source: "redis.conf, maxclients",
    scope: Replica,
    rule: promotion::max_clients,
};

pub(super) const A11: CheckRow = CheckRow {
    title: "replica-read-only",
    looks_at: "`INFO replication`",
    versions: "5.0",
    finds: "critical: no",
    consequence: "Its data may differ from the master's without any sign, and stays different after a promotion.",
    may_be_wrong: "-",
    source: "redis.conf, replica-read-only",
    scope: Replica,
    rule: promotion::read_only,
};

pub(super) const A12: CheckRow = CheckRow {
    title: "the configuration file",
    looks_at: "`INFO server`",
    versions: "5.0",
    finds: "warning: none",
    consequence: "A restart after a switch brings the old role back: two masters, or a full sync in the wrong direction.",
    may_be_wrong: "an operator or orchestrator owns the roles",
    source: "CONFIG REWRITE: \"The server is running without a config file\"",
    scope: Each,
    rule: promotion::config_file,
};

pub(super) const A13: CheckRow = CheckRow {
    title: "renamed and disabled commands",
    looks_at: "`COMMAND` of both",
    versions: "5.0",
    finds: "critical: the master has a command that writes and that the replica lacks under this name, with the same program and version; warning: what a failover needs is missing, or the replica has a writing command that the master lacks",
    consequence: "A write that the replica does not know is skipped there without any sign on link or offset, and a failover stops half way.",
    may_be_wrong: "nobody calls the command; a managed service has its own failover",
    source: "redis.conf, rename-command",
    scope: Each,
    rule: commands::commands,
};

pub(super) const A14: CheckRow = CheckRow {
    title: "the clocks",
    looks_at: "`TIME` of both, the round trips subtracted",
    versions: "5.0",
    finds: "warning: at least 1 s apart for certain; critical: 10 s",
    consequence: "Lifetimes of keys travel as absolute times: they end too early, or too late.",
    may_be_wrong: "-",
    source: "PEXPIREAT in the replication stream",
    scope: Replica,
    rule: reachable::clocks,
};
