//! The catalogue: what every check looks at, when it warns, and why that matters. docs/doctor.md is
//! made from it.

use crate::model::DoctorCheck;

/// What people read about a check.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckRow {
    /// What it is about.
    pub(super) title: &'static str,
    /// What follows from a finding, as one sentence.
    pub(super) consequence: &'static str,
    /// Where the rule comes from.
    pub(super) source: &'static str,
    /// The part that only the documentation shows.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "only the test of the documentation reads it")
    )]
    pub(super) docs: CheckDocs,
}

/// The rest of a check's row in docs/doctor.md.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "only the test of the documentation reads it")
)]
pub(super) struct CheckDocs {
    /// The commands that it needs.
    pub(super) looks_at: &'static str,
    /// The versions from which on it is made.
    pub(super) versions: &'static str,
    /// What is critical, a warning and advice.
    pub(super) rule: &'static str,
    /// When a finding may be wrong.
    pub(super) may_be_wrong: &'static str,
}

/// The row of `check`.
#[expect(clippy::too_many_lines, reason = "a table: one row a check")]
pub(super) const fn row(check: DoctorCheck) -> CheckRow {
    match check {
        DoctorCheck::A1 => CheckRow {
            title: "min-replicas-to-write of the replica",
            consequence: "Every write is refused with NOREPLICAS in the second after the promotion.",
            source: "redis.conf, min-replicas-to-write; tried on 7.0.15",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`, connected replicas of the replica",
                versions: "5.0",
                rule: "critical: it wants more replicas than follow it now",
                may_be_wrong: "it is a fence on purpose: then this is its price",
            },
        },
        DoctorCheck::A2 => CheckRow {
            title: "maxmemory and its policy",
            consequence: "The first write after a promotion evicts most keys, or is refused with OOM.",
            source: "redis.conf, replica-ignore-maxmemory; on 7.0.15, 24,976 of 30,000 keys were evicted at the first write",
            docs: CheckDocs {
                looks_at: "`INFO memory` of both",
                versions: "5.0",
                rule: "critical: less than the master's used_memory and a tenth; warning: less than the master's, or another policy; advice: more",
                may_be_wrong: "a container's limit is below maxmemory",
            },
        },
        DoctorCheck::A3 => CheckRow {
            title: "databases",
            consequence: "Writes to a database that it lacks land in another one, while link and offset look healthy.",
            source: "tried on 7.0.15: the key of db9 was in db0",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`, `INFO keyspace` of the master",
                versions: "5.0",
                rule: "critical: the master has data in a database that the replica lacks; warning: the replica has fewer",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::A4 => CheckRow {
            title: "failed writes to the replica's disk",
            consequence: "Every write is answered with MISCONF after a promotion; since 7.0 the replica may end itself before that.",
            source: "redis.conf, stop-writes-on-bgsave-error and replica-ignore-disk-write-errors",
            docs: CheckDocs {
                looks_at: "`INFO persistence`, `CONFIG GET`",
                versions: "5.0",
                rule: "critical: the last save or append failed and stops writes",
                may_be_wrong: "the failure is old and the disk is repaired: BGSAVE clears it",
            },
        },
        DoctorCheck::A5 => CheckRow {
            title: "masterauth of the master",
            consequence: "The old master can never follow the new one: its link stays down.",
            source: "redis.conf, masterauth; tried on 7.0.15",
            docs: CheckDocs {
                looks_at: "`CONFIG GET` of both (only whether it is set), `ACL LIST` of the replica",
                versions: "5.0",
                rule: "critical: the master has no masterauth and the replica asks for a password",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::A6 => CheckRow {
            title: "ACL users",
            consequence: "Applications cannot log in to the new master, or may do other things there.",
            source: "redis.conf, aclfile: users are not replicated",
            docs: CheckDocs {
                looks_at: "`ACL LIST` of both, compared by name and fingerprint",
                versions: "6.0",
                rule: "warning: a user of the master is missing or different",
                may_be_wrong: "rights are written in another order; between releases only names are compared",
            },
        },
        DoctorCheck::A7 => CheckRow {
            title: "ports, TLS and bind of the replica",
            consequence: "The old master cannot connect to the new one.",
            source: "redis.conf, bind, protected-mode and tls-replication",
            docs: CheckDocs {
                looks_at: "`CONFIG GET` of both",
                versions: "5.0",
                rule: "critical: no port of the kind that the master's link uses, loopback only, or protected mode without a password; warning: tls-replication differs",
                may_be_wrong: "a proxy is in front of it",
            },
        },
        DoctorCheck::A9 => CheckRow {
            title: "modules, program and version",
            consequence: "A full sync fails in one direction: the replica cannot follow, or the old master cannot come back.",
            source: "rdb.h, RDB_VERSION of each release",
            docs: CheckDocs {
                looks_at: "`INFO server`, `INFO modules` of both",
                versions: "6.0 for modules",
                rule: "critical: a module is missing, or the replica cannot read the master's RDB format; warning: another release; advice: another patch release",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::A10 => CheckRow {
            title: "maxclients",
            consequence: "Clients that move to the new master are refused.",
            source: "redis.conf, maxclients",
            docs: CheckDocs {
                looks_at: "`INFO clients` of both",
                versions: "5.0",
                rule: "warning: less than the master's clients and a fifth",
                may_be_wrong: "few of the clients move",
            },
        },
        DoctorCheck::A11 => CheckRow {
            title: "replica-read-only",
            consequence: "Its data may differ from the master's without any sign, and stays different after a promotion.",
            source: "redis.conf, replica-read-only",
            docs: CheckDocs {
                looks_at: "`INFO replication`",
                versions: "5.0",
                rule: "critical: no",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::A12 => CheckRow {
            title: "the configuration file",
            consequence: "A restart after a switch brings the old role back: two masters, or a full sync in the wrong direction.",
            source: "CONFIG REWRITE: \"The server is running without a config file\"",
            docs: CheckDocs {
                looks_at: "`INFO server`",
                versions: "5.0",
                rule: "warning: none",
                may_be_wrong: "an operator or orchestrator owns the roles",
            },
        },
        DoctorCheck::A14 => CheckRow {
            title: "the clocks",
            consequence: "Lifetimes of keys travel as absolute times: they end too early, or too late.",
            source: "PEXPIREAT in the replication stream",
            docs: CheckDocs {
                looks_at: "`TIME` of both, the round trips subtracted",
                versions: "5.0",
                rule: "warning: at least 1 s apart for certain; critical: 10 s",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::B1 => CheckRow {
            title: "repl-backlog-size",
            consequence: "An interruption that long ends with a full sync, during which the replica is of no use.",
            source: "redis.conf, repl-backlog-size",
            docs: CheckDocs {
                looks_at: "`INFO replication`; how much the master writes",
                versions: "5.0",
                rule: "warning: less than is written in `--survive` and a fifth; critical: less than in a minute",
                may_be_wrong: "the rate was measured at a quiet or a busy time: the finding says over how long",
            },
        },
        DoctorCheck::B2 => CheckRow {
            title: "repl-backlog-ttl",
            consequence: "What a lost master had that its replica lacks can then be neither proved nor recovered.",
            source: "redis.conf, repl-backlog-ttl; tried on 7.0.15",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`",
                versions: "5.0",
                rule: "warning: not 0 and less than `--survive` or 4 h",
                may_be_wrong: "the memory of a lone server matters more",
            },
        },
        DoctorCheck::B3 => CheckRow {
            title: "client-output-buffer-limit of replicas",
            consequence: "A full sync is cut off before its end and begins again, without end.",
            source: "redis.conf, client-output-buffer-limit; issues 4697 and 11534 of redis",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`, `INFO memory`; how much the master writes",
                versions: "5.0",
                rule: "critical: used up before the data went over 10 Gbit/s; warning: over 1 Gbit/s",
                may_be_wrong: "the line or the load of the sync is not as assumed; Redis 8 and Valkey 8 can buffer on the replica",
            },
        },
        DoctorCheck::B4 => CheckRow {
            title: "repl-timeout and repl-ping-replica-period",
            consequence: "Short stalls cut the link, or a dead one is noticed late.",
            source: "redis.conf, repl-timeout",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`",
                versions: "5.0",
                rule: "warning: not above three pings, or above 300 s",
                may_be_wrong: "the round trip is not compared: it is not known between the servers",
            },
        },
        DoctorCheck::B5 => CheckRow {
            title: "diskless replication",
            consequence: "A full sync takes longer, or ends the replica for want of memory.",
            source: "redis.conf, repl-diskless-sync and repl-diskless-load",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`, `INFO memory`",
                versions: "5.0; load 6.0",
                rule: "advice: repl-diskless-sync no; swapdb without the memory for two data sets",
                may_be_wrong: "the disk is fast and the line is slow",
            },
        },
        DoctorCheck::B6 => CheckRow {
            title: "repl-disable-tcp-nodelay",
            consequence: "Every write arrives up to 40 ms later.",
            source: "redis.conf, repl-disable-tcp-nodelay",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`",
                versions: "5.0",
                rule: "advice: yes",
                may_be_wrong: "wanted, for bandwidth",
            },
        },
        DoctorCheck::B8 => CheckRow {
            title: "room for a fork",
            consequence: "A full sync or a save fails, or the kernel ends the server.",
            source: "redis.io, administration: overcommit and copy on write",
            docs: CheckDocs {
                looks_at: "`INFO memory`",
                versions: "5.0",
                rule: "warning: used_memory and a half exceed the machine's memory",
                may_be_wrong: "a container has less than the machine: that is not seen",
            },
        },
        DoctorCheck::C1 => CheckRow {
            title: "persistence of the master",
            consequence: "A supervisor that restarts it brings back an empty master, and every replica copies that.",
            source: "redis.io, replication: safety when the master has persistence turned off; tried on 7.0.15",
            docs: CheckDocs {
                looks_at: "`CONFIG GET save`, `INFO persistence`",
                versions: "5.0",
                rule: "critical: neither save nor appendonly",
                may_be_wrong: "a cache: ignore it",
            },
        },
        DoctorCheck::C2 => CheckRow {
            title: "persistence of the replica",
            consequence: "When it is the last copy, one restart loses everything.",
            source: "redis.conf, save and appendonly",
            docs: CheckDocs {
                looks_at: "`CONFIG GET save`, `INFO persistence`",
                versions: "5.0",
                rule: "warning: neither save nor appendonly",
                may_be_wrong: "a cache: ignore it",
            },
        },
        DoctorCheck::C3 => CheckRow {
            title: "an append-only master",
            consequence: "Each of its restarts costs a full sync of every replica.",
            source: "aof.c: the replication history is loaded from RDB files only (issue 9847 of redis)",
            docs: CheckDocs {
                looks_at: "`INFO persistence`",
                versions: "5.0",
                rule: "advice: appendonly yes",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::C4 => CheckRow {
            title: "aof-timestamp-enabled",
            consequence: "Writes that are lost with a server cannot be found in its file by time.",
            source: "redis.conf, aof-timestamp-enabled",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`",
                versions: "7.0",
                rule: "advice: no, with appendonly yes",
                may_be_wrong: "older programs read the file",
            },
        },
        DoctorCheck::C5 => CheckRow {
            title: "the last save",
            consequence: "A restart goes back to that state.",
            source: "redis.conf, save",
            docs: CheckDocs {
                looks_at: "`INFO persistence`, `CONFIG GET save`",
                versions: "5.0",
                rule: "warning: older than a day, with changes since, where there is no append-only file",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::D1 => CheckRow {
            title: "the fence of an isolated master",
            consequence: "A master that is cut off either goes on taking writes that will be lost, or takes none.",
            source: "redis.conf, min-replicas-to-write",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`, datacenters of the configuration",
                versions: "5.0",
                rule: "advice: says what is chosen, and its price",
                may_be_wrong: "it is a choice",
            },
        },
        DoctorCheck::D2 => CheckRow {
            title: "replica-priority",
            consequence: "A disaster finds nobody to promote, or a small fault moves the datacenter.",
            source: "redis.conf, replica-priority",
            docs: CheckDocs {
                looks_at: "`INFO replication`",
                versions: "5.0; with Sentinels",
                rule: "critical: 0 on all; warning: a replica elsewhere is preferred to those beside the master",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::D3 => CheckRow {
            title: "replica-announced",
            consequence: "Sentinels never promote it.",
            source: "redis.conf, replica-announced",
            docs: CheckDocs {
                looks_at: "`INFO replication`",
                versions: "6.2; with Sentinels",
                rule: "warning: no",
                may_be_wrong: "it is a backup on purpose",
            },
        },
        DoctorCheck::D4 => CheckRow {
            title: "the replica's announced address",
            consequence: "Sentinels and FAILOVER would use an address that may lead nowhere.",
            source: "redis.conf, replica-announce-ip",
            docs: CheckDocs {
                looks_at: "`INFO replication` of the master",
                versions: "5.0",
                rule: "advice: not the configured one; warning: shared by two, or port 0",
                may_be_wrong: "a proxy or NAT is in front of it",
            },
        },
        DoctorCheck::D5 => CheckRow {
            title: "tcp-keepalive",
            consequence: "Connections of clients that vanished stay until maxclients is reached.",
            source: "redis.conf, tcp-keepalive",
            docs: CheckDocs {
                looks_at: "`CONFIG GET`",
                versions: "5.0",
                rule: "warning: 0",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::E1 => CheckRow {
            title: "where the Sentinels are",
            consequence: "A cut between the datacenters leaves two masters, and the writes of one of them are lost.",
            source: "docs/topologies.md",
            docs: CheckDocs {
                looks_at: "`SENTINEL SENTINELS`, datacenters of the configuration",
                versions: "5.0",
                rule: "warning: those of one datacenter can act on their own",
                may_be_wrong: "two datacenters only: no placement is good",
            },
        },
        DoctorCheck::E2 => CheckRow {
            title: "down-after-milliseconds",
            consequence: "A failover begins that late.",
            source: "sentinel.conf, down-after-milliseconds",
            docs: CheckDocs {
                looks_at: "`SENTINEL MASTER`",
                versions: "5.0",
                rule: "warning: above a minute",
                may_be_wrong: "the round trip is not compared: it is not known between the servers",
            },
        },
        DoctorCheck::E3 => CheckRow {
            title: "settings that differ between Sentinels",
            consequence: "Which Sentinel leads decides how a failover goes.",
            source: "sentinel.conf: SENTINEL SET changes one Sentinel only",
            docs: CheckDocs {
                looks_at: "`SENTINEL MASTER`",
                versions: "5.0",
                rule: "warning: quorum, down-after-milliseconds or failover-timeout differ",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::E4 => CheckRow {
            title: "replicas and Sentinels that are gone",
            consequence: "Sentinels that are gone still count for the majority, and a failover waits for replicas that are.",
            source: "sentinel.conf, SENTINEL RESET; issues 2132 and 14728 of redis",
            docs: CheckDocs {
                looks_at: "`SENTINEL REPLICAS`, `SENTINEL SENTINELS`",
                versions: "5.0",
                rule: "warning: down for a day, or without a port",
                may_be_wrong: "a server is under repair",
            },
        },
        DoctorCheck::E5 => CheckRow {
            title: "parallel-syncs",
            consequence: "After a failover several replicas serve nothing at once.",
            source: "sentinel.conf, parallel-syncs",
            docs: CheckDocs {
                looks_at: "`SENTINEL MASTER`",
                versions: "5.0",
                rule: "advice: above 1",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::F1 => CheckRow {
            title: "the last drill",
            consequence: "A recovery that was never practised takes longer than it has to.",
            source: "-",
            docs: CheckDocs {
                looks_at: "-",
                versions: "-",
                rule: "not checked: drills are not in this version",
                may_be_wrong: "-",
            },
        },
        DoctorCheck::F3 => CheckRow {
            title: "partial resyncs that are refused",
            consequence: "Each of them is a full sync, during which the replica is of no use.",
            source: "server.stat_sync_partial_err; issues 4697 and 15447 of redis",
            docs: CheckDocs {
                looks_at: "`INFO stats` of the master",
                versions: "5.0",
                rule: "warning: more than one a day since its start, and two at least",
                may_be_wrong: "counters begin with the server's start, or CONFIG RESETSTAT",
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HEAD: &str = "| check | looks at | from | finds | then | may be wrong when | source |\n\
                        |---|---|---|---|---|---|---|\n";

    fn table() -> String {
        let mut table = HEAD.to_owned();
        for check in DoctorCheck::ALL {
            let CheckRow {
                title,
                consequence,
                source,
                docs,
            } = row(check);
            let CheckDocs {
                looks_at,
                versions,
                rule,
                may_be_wrong,
            } = docs;
            table += &format!(
                "| **{check}** {title} | {looks_at} | {versions} | {rule} | {consequence} | \
                 {may_be_wrong} | {source} |\n"
            );
        }
        table
    }

    #[test]
    fn the_documentation_has_every_check() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once("## The checks\n\n").unwrap();
        let (intro, rest) = after.split_once("| check |").unwrap();
        let end = rest.find("\n\n").unwrap();
        let made = format!(
            "{before}## The checks\n\n{intro}{}{}",
            table().trim_end(),
            &rest[end..]
        );
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, made).unwrap();
            return;
        }
        assert_eq!(text, made, "run: make docs-update");
    }

    #[test]
    fn consequences_are_sentences() {
        for check in DoctorCheck::ALL {
            let row = row(check);
            assert!(row.consequence.ends_with('.'), "{check}");
            assert!(!row.title.is_empty() && !row.source.is_empty(), "{check}");
            assert!(!table().contains("\n\n"));
        }
    }
}
