//! Chapter F: practice, and what the history shows.

use super::super::rules::{rights, setup};
use super::CheckRow;
use super::CheckScope::{Each, Master};

pub(super) const F1: CheckRow = CheckRow {
    title: "the last drill",
    looks_at: "the reports of `failover --drill` beside the state database",
    versions: "all",
    finds: "advice: none has passed in 35 days, as far as this machine knows",
    consequence: "A recovery that was never practised takes longer than it has to.",
    may_be_wrong: "it was practised on another machine, or by hand",
    source: "docs/disaster-recovery.md",
    scope: Master,
    rule: setup::drill,
};

pub(super) const F2: CheckRow = CheckRow {
    title: "rights of the operator",
    looks_at: "`ACL DRYRUN` of each command of failovers and `lost-writes`, for the user of `operator.username`; where no `operator` is configured, for one called `operator`",
    versions: "7.0; where one of the servers has that user, or it is configured",
    finds: "warning: a command is not permitted, or the user is missing",
    consequence: "A failover stops half way, when it is needed most.",
    may_be_wrong: "failovers are done as another user",
    source: "redis.conf, aclfile",
    scope: Each,
    rule: rights::operator_rights,
};

pub(super) const F3: CheckRow = CheckRow {
    title: "partial resyncs that are refused",
    looks_at: "`INFO stats` of the master",
    versions: "5.0",
    finds: "warning: more than one a day since its start, and two at least",
    consequence: "Each of them is a full sync, during which the replica is of no use.",
    may_be_wrong: "counters begin with the server's start, or CONFIG RESETSTAT",
    source: "server.stat_sync_partial_err; issues 4697 and 15447 of redis",
    scope: Master,
    rule: setup::refused_resyncs,
};
