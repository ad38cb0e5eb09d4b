//! Facts of servers for tests: a pair on which nothing is to be found but advice.

use std::collections::BTreeMap;

use super::acl::AclUsers;
use super::audit::audit_all;
use super::commands::KnownCommands;
use super::directive::Directive;
use super::facts::{ClockReading, Gap, ServerAudit, ServerFacts, Setting};
use super::report::DoctorReport;
use super::rights::OperatorRights;
use super::site_subject::SitesAudit;
use super::subject::{AuditOptions, EntryAudit};
use super::writes::WriteRate;
use crate::info::{Field, parse, parse_details};
use crate::model::{Datacenter, PairName, ServerAddr, Span, Timestamp, WallTime};

/// Now, on the wall clock.
pub(super) const NOW: WallTime = WallTime::from_nanos(1_796_000_000_000_000_000);

/// A directive with a harmless value.
const SETTINGS: [(Directive, &str); 21] = [
    (Directive::AofTimestampEnabled, "no"),
    (Directive::Bind, "* -::*"),
    (
        Directive::ClientOutputBufferLimit,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ),
    (Directive::Databases, "16"),
    (Directive::Maxclients, "10000"),
    (Directive::MinReplicasMaxLag, "10"),
    (Directive::MinReplicasToWrite, "0"),
    (Directive::Port, "6379"),
    (Directive::ProtectedMode, "yes"),
    (Directive::ReplBacklogTtl, "0"),
    (Directive::ReplDisableTcpNodelay, "no"),
    (Directive::ReplDisklessLoad, "disabled"),
    (Directive::ReplDisklessSync, "yes"),
    (Directive::ReplPingReplicaPeriod, "10"),
    (Directive::ReplTimeout, "60"),
    (Directive::ReplicaIgnoreDiskWriteErrors, "no"),
    (Directive::Save, "3600 1"),
    (Directive::StopWritesOnBgsaveError, "yes"),
    (Directive::TcpKeepalive, "300"),
    (Directive::TlsPort, "0"),
    (Directive::TlsReplication, "no"),
];

/// What both sides say.
const INFO: &str = "redis_version:7.0.15\r\nconfig_file:/etc/redis/redis.conf\r\n\
    uptime_in_seconds:864000\r\nconnected_clients:100\r\nmaxclients:10000\r\n\
    used_memory:104857600\r\ntotal_system_memory:8589934592\r\nmaxmemory:1073741824\r\n\
    maxmemory_policy:noeviction\r\naof_enabled:0\r\nrdb_last_bgsave_status:ok\r\n\
    aof_last_write_status:ok\r\nrdb_last_save_time:1795999000\r\n\
    rdb_changes_since_last_save:7\r\nsync_full:1\r\nsync_partial_ok:0\r\nsync_partial_err:0\r\n\
    repl_backlog_active:1\r\nrepl_backlog_size:67108864\r\n# Modules\r\n# Keyspace\r\n\
    db0:keys=7,expires=0,avg_ttl=0\r\n";

const MASTER: &str = "role:master\r\nconnected_slaves:1\r\n\
    slave0:ip=10.2.0.1,port=6379,state=online,offset=1000,lag=0\r\nmaster_repl_offset:1000\r\n";

const REPLICA: &str = "role:slave\r\nmaster_host:10.1.0.1\r\nmaster_port:6379\r\n\
    master_link_status:up\r\nslave_repl_offset:1000\r\nslave_priority:100\r\nslave_read_only:1\r\n\
    replica_announced:1\r\nconnected_slaves:0\r\nmaster_repl_offset:1000\r\n";

fn facts_of(role: &str) -> ServerFacts {
    let text = format!("{INFO}{role}");
    let mut settings = BTreeMap::new();
    for (directive, value) in SETTINGS {
        settings.insert(directive, Setting::known(directive, value.to_owned()));
    }
    settings.insert(Directive::ReplCompression, Setting::Absent);
    for secret in [Directive::Masterauth, Directive::Requirepass] {
        settings.insert(secret, Setting::known(secret, "hunter2".to_owned()));
    }
    ServerFacts {
        observation: parse(&text).expect("a test's INFO"),
        details: parse_details(&text),
        settings,
        users: Ok(AclUsers::from_lines(["user default on #aa ~* &* +@all"])),
        clock: Ok(ClockReading {
            wall: NOW,
            sent: Timestamp::from_nanos(1_000_000_000),
            received: Timestamp::from_nanos(1_010_000_000),
        }),
        write_rate: Ok(WriteRate::Measured {
            per_second: 1024.0,
            over: Span::from_secs(5),
        }),
        commands: Ok(KnownCommands::default()),
        asked_for: BTreeMap::new(),
        operator: Ok(OperatorRights {
            user: "operator".to_owned(),
            is_configured: false,
            missing: None,
        }),
        sentinel_users: Err(Gap::NotApplicable),
        round_trip: Some(Span::from_millis(1)),
        logged_in: true,
    }
}

/// The facts of a replica of which nothing is to be said.
pub(super) fn facts() -> ServerFacts {
    facts_of(REPLICA)
}

fn server(host: &str, dc: &str, facts: ServerFacts) -> ServerAudit {
    ServerAudit {
        addr: ServerAddr::new(host, 6379),
        dc: Datacenter::new(dc),
        facts: Ok(facts),
    }
}

/// A pair of which nothing is to be said but advice: a master in dc1, a replica in dc2.
pub(super) fn entry() -> EntryAudit {
    EntryAudit {
        name: PairName::new("orders"),
        master: server("10.1.0.1", "dc1", facts_of(MASTER)),
        replicas: vec![server("10.2.0.1", "dc2", facts())],
        sentinels: Vec::new(),
        placement_risks: None,
        own_dc: Some(Datacenter::new("dc1")),
        last_drill: Ok(Some(NOW.as_secs_f64() - 86_400.0)),
    }
}

/// Two active-active sites with a queue, of which nothing is to be said.
pub(super) fn sites() -> SitesAudit {
    let mut sites = Vec::new();
    for (host, dc) in [("10.1.0.9", "dc1"), ("10.2.0.9", "dc2")] {
        let mut facts = facts_of(MASTER);
        facts.observation.persistence.aof_enabled = Field::Value(true);
        sites.push(server(host, dc, facts));
    }
    SitesAudit {
        name: PairName::new("profiles"),
        sites,
        queue: Some("sync_queue".to_owned()),
    }
}

pub(super) fn options() -> AuditOptions {
    AuditOptions {
        survive: Span::from_secs(600),
        now: NOW,
    }
}

/// The report on a pair of this name whose replica has `min-replicas-to-write 1`, and on whose
/// master CONFIG GET is not permitted.
pub(crate) fn report_of(name: &str) -> DoctorReport {
    let mut entry = entry();
    entry.name = PairName::new(name);
    if let Ok(replica) = &mut entry.replicas[0].facts {
        let setting = Setting::Known("1".to_owned());
        replica
            .settings
            .insert(Directive::MinReplicasToWrite, setting);
    }
    if let Ok(master) = &mut entry.master.facts {
        for setting in master.settings.values_mut() {
            *setting = Setting::Denied;
        }
    }
    audit_all(&[entry], &[], &[], options())
}
