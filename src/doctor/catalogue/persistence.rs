//! Chapter C: what a restart of either side costs.

use super::super::rules::persistence;
use super::CheckRow;
use super::CheckScope::{Each, Master, Replica};

pub(super) const C1: CheckRow = CheckRow {
    title: "persistence of the master",
    looks_at: "`CONFIG GET save`, `INFO persistence`",
    versions: "5.0",
    finds: "critical: neither save nor appendonly",
    consequence: "A supervisor that restarts it brings back an empty master, and every replica copies that.",
    may_be_wrong: "a cache: ignore it",
    source: "redis.io, replication: safety when the master has persistence turned off; tried on 7.0.15",
    scope: Master,
    rule: persistence::master,
};

pub(super) const C2: CheckRow = CheckRow {
    title: "persistence of the replica",
    looks_at: "`CONFIG GET save`, `INFO persistence`",
    versions: "5.0",
    finds: "warning: neither save nor appendonly",
    consequence: "When it is the last copy, one restart loses everything.",
    may_be_wrong: "a cache: ignore it",
    source: "redis.conf, save and appendonly",
    scope: Replica,
    rule: persistence::replica,
};

pub(super) const C3: CheckRow = CheckRow {
    title: "an append-only master",
    looks_at: "`INFO persistence`",
    versions: "5.0",
    finds: "advice: appendonly yes",
    consequence: "Each of its restarts costs a full sync of every replica.",
    may_be_wrong: "-",
    source: "aof.c: the replication history is loaded from RDB files only (issue 9847 of redis)",
    scope: Master,
    rule: persistence::aof_history,
};

pub(super) const C4: CheckRow = CheckRow {
    title: "aof-timestamp-enabled",
    looks_at: "`CONFIG GET`",
    versions: "7.0",
    finds: "advice: no, with appendonly yes",
    consequence: "Writes that are lost with a server cannot be found in its file by time.",
    may_be_wrong: "older programs read the file",
    source: "redis.conf, aof-timestamp-enabled",
    scope: Each,
    rule: persistence::aof_timestamps,
};

pub(super) const C5: CheckRow = CheckRow {
    title: "the last save",
    looks_at: "`INFO persistence`, `CONFIG GET save`",
    versions: "5.0",
    finds: "warning: older than a day, with changes since, where there is no append-only file",
    consequence: "A restart goes back to that state.",
    may_be_wrong: "-",
    source: "redis.conf, save",
    scope: Each,
    rule: persistence::last_save,
};
