//! Chapter E: the Sentinels that watch the master.

use super::super::rules::{rights, sentinels};
use super::CheckRow;
use super::CheckScope::{Each, Master};

pub(super) const E1: CheckRow = CheckRow {
    title: "where the Sentinels are",
    looks_at: "`SENTINEL SENTINELS`, datacenters of the configuration",
    versions: "5.0",
    finds: "warning: those of one datacenter can act on their own",
    consequence: "A cut between the datacenters leaves two masters, and the writes of one of them are lost.",
    may_be_wrong: "two datacenters only: no placement is good",
    source: "docs/topologies.md",
    scope: Master,
    rule: sentinels::sentinel_placement,
};

pub(super) const E2: CheckRow = CheckRow {
    title: "down-after-milliseconds",
    looks_at: "`SENTINEL MASTER`; round trips to Sentinels and servers",
    versions: "5.0",
    finds: "warning: above a minute, or less than five round trips",
    consequence: "A failover begins that late, or without need.",
    may_be_wrong: "the round trip between the servers is not as those from here suggest",
    source: "sentinel.conf, down-after-milliseconds",
    scope: Master,
    rule: sentinels::down_after,
};

pub(super) const E3: CheckRow = CheckRow {
    title: "settings that differ between Sentinels",
    looks_at: "`SENTINEL MASTER`",
    versions: "5.0",
    finds: "warning: quorum, down-after-milliseconds or failover-timeout differ",
    consequence: "Which Sentinel leads decides how a failover goes.",
    may_be_wrong: "-",
    source: "sentinel.conf: SENTINEL SET changes one Sentinel only",
    scope: Master,
    rule: sentinels::differing,
};

pub(super) const E4: CheckRow = CheckRow {
    title: "replicas and Sentinels that are gone",
    looks_at: "`SENTINEL REPLICAS`, `SENTINEL SENTINELS`",
    versions: "5.0",
    finds: "warning: down for a day, or without a port",
    consequence: "Sentinels that are gone still count for the majority, and a failover waits for replicas that are.",
    may_be_wrong: "a server is under repair",
    source: "sentinel.conf, SENTINEL RESET; issues 2132 and 14728 of redis",
    scope: Master,
    rule: sentinels::phantoms,
};

pub(super) const E5: CheckRow = CheckRow {
    title: "parallel-syncs",
    looks_at: "`SENTINEL MASTER`",
    versions: "5.0",
    finds: "advice: above 1",
    consequence: "After a failover several replicas serve nothing at once.",
    may_be_wrong: "-",
    source: "sentinel.conf, parallel-syncs",
    scope: Master,
    rule: sentinels::parallel_syncs,
};

pub(super) const E6: CheckRow = CheckRow {
    title: "passwords and scripts of Sentinels",
    looks_at: "`SENTINEL MASTER`",
    versions: "5.0",
    finds: "warning: a Sentinel takes for down a master that answers here; client-reconfig-script or notification-script differ",
    consequence: "That Sentinel takes part in no decision, or clients are not redirected after a failover.",
    may_be_wrong: "the network between that Sentinel and the master is broken; the password itself cannot be read",
    source: "sentinel.conf, auth-pass, auth-user and client-reconfig-script",
    scope: Master,
    rule: sentinels::logins,
};

pub(super) const E7: CheckRow = CheckRow {
    title: "the names that Sentinels use",
    looks_at: "`SENTINEL MASTER` of each",
    versions: "6.2",
    finds: "advice: they name the master differently (announce-hostnames, resolve-hostnames)",
    consequence: "Which Sentinel a client asks decides which address it gets, and a certificate may fit one of them only.",
    may_be_wrong: "both names lead to the same server everywhere",
    source: "sentinel.conf, resolve-hostnames and announce-hostnames",
    scope: Master,
    rule: sentinels::names,
};

pub(super) const E8: CheckRow = CheckRow {
    title: "rights of the Sentinels' user",
    looks_at: "`CLIENT LIST`, `ACL DRYRUN`",
    versions: "Valkey 9.0; with Sentinels",
    finds: "advice: the user that a Sentinel is logged in as may not call FAILOVER",
    consequence: "SENTINEL FAILOVER COORDINATED cannot switch without a loss of writes.",
    may_be_wrong: "coordinated failovers are not wanted",
    source: "valkey issues 1291 and 1292",
    scope: Each,
    rule: rights::sentinel_rights,
};
