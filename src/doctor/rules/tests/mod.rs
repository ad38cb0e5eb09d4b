//! Each rule on facts with which it finds something, and on facts with which it does not.

mod others;

use crate::doctor::acl::AclUsers;
use crate::doctor::audit::audit;
use crate::doctor::directive::Directive;
use crate::doctor::facts::{Gap, ServerFacts, Setting};
use crate::doctor::finding::FindingSeverity::{self, Advice, Critical, Warning};
use crate::doctor::report::EntryReport;
use crate::doctor::subject::{EntryAudit, SentinelAudit};
use crate::doctor::testing::{entry, options};
use crate::doctor::writes::WriteRate;
use crate::info::{Field, RememberedServer, Role, SentinelWatch, WatchSettings};
use crate::model::{Bytes, Datacenter, DoctorCheck, ServerAddr, Span, WallTime};

/// A change to an entry.
type Change = fn(&mut EntryAudit);

fn master(entry: &mut EntryAudit) -> &mut ServerFacts {
    entry.master.facts.as_mut().unwrap()
}

fn replica(entry: &mut EntryAudit) -> &mut ServerFacts {
    entry.replicas[0].facts.as_mut().unwrap()
}

fn set(facts: &mut ServerFacts, directive: Directive, value: &str) {
    let setting = Setting::known(directive, value.to_owned());
    facts.settings.insert(directive, setting);
}

fn report_after(change: impl FnOnce(&mut EntryAudit)) -> EntryReport {
    let mut entry = entry();
    change(&mut entry);
    audit(&entry, &[], options())
}

/// The findings that are not there without `change`, with their severity and server.
fn found(change: impl FnOnce(&mut EntryAudit)) -> Vec<(DoctorCheck, FindingSeverity, String)> {
    let before = report_after(|_| {});
    let after = report_after(change);
    let is_new = |check, what: &str| {
        let mut known = before.findings.iter();
        !known.any(|finding| finding.check == check && finding.what == what)
    };
    let mut new = Vec::new();
    for finding in after.findings {
        if is_new(finding.check, &finding.what) {
            new.push((finding.check, finding.severity, finding.server));
        }
    }
    new
}

const MASTER: &str = "10.1.0.1:6379";
const REPLICA: &str = "10.2.0.1:6379";

/// Checks that `change` gives exactly this finding.
fn finds(check: DoctorCheck, severity: FindingSeverity, server: &str, change: Change) {
    let expected = vec![(check, severity, server.to_owned())];
    assert_eq!(found(change), expected, "{check}");
}

/// Checks that `change` gives no finding.
fn finds_nothing(change: Change) {
    assert_eq!(found(change), Vec::new());
}

/// Checks that `change` leaves `check` without a result, for a reason that contains `why`.
fn leaves_open(check: DoctorCheck, why: &str, change: impl FnOnce(&mut EntryAudit)) {
    let report = report_after(change);
    let mut gaps = report.not_checked.iter();
    let is_open = gaps.any(|gap| gap.checks.contains(&check) && gap.why.contains(why));
    assert!(is_open, "{check}: {:#?}", report.not_checked);
}

#[test]
fn a_reference_pair_has_advice_only() {
    let report = report_after(|_| {});
    let checks: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.check, f.severity))
        .collect();
    assert_eq!(checks, [(DoctorCheck::D1, Advice)]);
    assert_eq!(report.not_checked, Vec::new());
}

#[test]
fn a1_a_promoted_replica_that_wants_replicas_refuses_writes() {
    finds(DoctorCheck::A1, Critical, REPLICA, |entry| {
        set(replica(entry), Directive::MinReplicasToWrite, "1");
    });
    finds_nothing(|entry| {
        set(replica(entry), Directive::MinReplicasToWrite, "1");
        replica(entry).observation.replication.connected_replicas = Field::Value(1);
    });
    finds_nothing(|entry| {
        set(replica(entry), Directive::MinReplicasToWrite, "1");
        set(replica(entry), Directive::MinReplicasMaxLag, "0");
    });
}

#[test]
fn a2_memory_that_is_too_small_is_worse_than_memory_that_differs() {
    let mib = |count: u64| Bytes::new(count * 1024 * 1024);
    // The master uses 100 MiB of 1 GiB.
    for (limit, severity) in [
        (Field::Value(mib(105)), Critical),
        (Field::Value(mib(500)), Warning),
        (Field::Value(mib(2048)), Advice),
        (Field::None, Advice),
    ] {
        let new = found(|entry| replica(entry).details.max_memory = limit.clone());
        let expected = vec![(DoctorCheck::A2, severity, REPLICA.to_owned())];
        assert_eq!(new, expected, "{limit:?}");
    }
    finds(DoctorCheck::A2, Warning, REPLICA, |entry| {
        replica(entry).details.eviction_policy = Field::Value("allkeys-lru".to_owned());
    });
    finds_nothing(|entry| {
        master(entry).details.max_memory = Field::None;
        replica(entry).details.max_memory = Field::None;
    });
}

#[test]
fn a3_data_in_a_database_that_the_replica_lacks_is_critical() {
    finds(DoctorCheck::A3, Warning, REPLICA, |entry| {
        set(replica(entry), Directive::Databases, "4");
    });
    finds(DoctorCheck::A3, Critical, REPLICA, |entry| {
        set(replica(entry), Directive::Databases, "4");
        let databases = [(0, 7), (9, 1)].into_iter().collect();
        master(entry).details.databases = Field::Value(databases);
    });
    finds_nothing(|entry| set(replica(entry), Directive::Databases, "32"));
}

#[test]
fn a4_a_disk_that_refuses_writes_stops_the_new_master() {
    finds(DoctorCheck::A4, Critical, REPLICA, |entry| {
        replica(entry).details.last_rdb_save_ok = Field::Value(false);
    });
    finds_nothing(|entry| {
        replica(entry).details.last_rdb_save_ok = Field::Value(false);
        set(replica(entry), Directive::StopWritesOnBgsaveError, "no");
    });
    finds(DoctorCheck::A4, Critical, REPLICA, |entry| {
        replica(entry).details.last_aof_write_ok = Field::Value(false);
        replica(entry).observation.persistence.aof_enabled = Field::Value(true);
        set(replica(entry), Directive::AofTimestampEnabled, "yes");
    });
    finds_nothing(|entry| replica(entry).details.last_aof_write_ok = Field::Value(false));
}

#[test]
fn a5_a_master_without_masterauth_cannot_follow_a_server_with_a_password() {
    finds(DoctorCheck::A5, Critical, MASTER, |entry| {
        set(master(entry), Directive::Masterauth, "");
    });
    finds_nothing(|entry| {
        set(master(entry), Directive::Masterauth, "");
        set(master(entry), Directive::Requirepass, "");
        let open = AclUsers::from_lines(["user default on nopass ~* &* +@all"]);
        master(entry).users = Ok(open.clone());
        replica(entry).users = Ok(open);
    });
    leaves_open(DoctorCheck::A5, "+acl|list", |entry| {
        set(master(entry), Directive::Masterauth, "");
        set(replica(entry), Directive::Requirepass, "");
        replica(entry).users = Err(Gap::because("denied"));
    });
}

#[test]
fn a6_users_are_compared_by_name_and_rules() {
    finds(DoctorCheck::A6, Warning, REPLICA, |entry| {
        let users = ["user default on #aa ~* &* +@all", "user app on #bb +@read"];
        master(entry).users = Ok(AclUsers::from_lines(users));
    });
    finds(DoctorCheck::A6, Warning, REPLICA, |entry| {
        master(entry).users = Ok(AclUsers::from_lines(["user default on #aa ~* &* +@read"]));
    });
    finds_nothing(|entry| {
        let users = ["user default on #aa ~* &* +@all", "user own on #bb +@read"];
        replica(entry).users = Ok(AclUsers::from_lines(users));
    });
    leaves_open(DoctorCheck::A6, "denied", |entry| {
        replica(entry).users = Err(Gap::because("denied"));
    });
}

#[test]
fn a7_a_replica_that_its_master_cannot_reach() {
    finds(DoctorCheck::A7, Critical, REPLICA, |entry| {
        set(replica(entry), Directive::Bind, "127.0.0.1 -::1");
    });
    finds(DoctorCheck::A7, Critical, REPLICA, |entry| {
        replica(entry).logged_in = false;
    });
    finds(DoctorCheck::A7, Critical, REPLICA, |entry| {
        set(replica(entry), Directive::Port, "0");
    });
    finds(DoctorCheck::A7, Critical, REPLICA, |entry| {
        set(master(entry), Directive::TlsReplication, "yes");
    });
    finds(DoctorCheck::A7, Warning, REPLICA, |entry| {
        set(master(entry), Directive::TlsReplication, "yes");
        set(replica(entry), Directive::TlsPort, "6380");
    });
    finds_nothing(|entry| {
        set(replica(entry), Directive::Bind, "127.0.0.1 10.2.0.1");
    });
    // Two servers on one machine reach each other.
    finds_nothing(|entry| {
        entry.master.addr = ServerAddr::new("127.0.0.1", 1);
        entry.replicas[0].addr = ServerAddr::new("127.0.0.1", 6379);
        set(replica(entry), Directive::Bind, "127.0.0.1");
        replica(entry).logged_in = false;
        master(entry).observation.replication.replicas[0].ip = "127.0.0.1".to_owned();
    });
}

#[test]
fn a9_programs_that_cannot_read_each_other() {
    let version = |facts: &mut ServerFacts, text: &str| {
        facts.observation.server.version = Field::Value(text.to_owned());
    };
    for (text, severity) in [
        ("6.2.5", Critical),
        ("7.2.0", Warning),
        ("7.0.14", Advice),
        ("9.9.9", Warning),
    ] {
        let new = found(|entry| version(replica(entry), text));
        let expected = vec![(DoctorCheck::A9, severity, REPLICA.to_owned())];
        assert_eq!(new, expected, "{text}");
    }
    finds(DoctorCheck::A9, Critical, REPLICA, |entry| {
        let modules = ["ReJSON".to_owned()].into_iter().collect();
        master(entry).details.modules = Field::Value(modules);
    });
    leaves_open(DoctorCheck::A9, "Modules", |entry| {
        replica(entry).details.modules = Field::Missing;
    });
}

#[test]
fn a10_clients_of_the_master_need_room() {
    finds(DoctorCheck::A10, Warning, REPLICA, |entry| {
        replica(entry).details.max_clients = Field::Value(119);
    });
    finds_nothing(|entry| replica(entry).details.max_clients = Field::Value(120));
    finds(DoctorCheck::A10, Warning, REPLICA, |entry| {
        replica(entry).details.max_clients = Field::Missing;
        set(replica(entry), Directive::Maxclients, "50");
    });
}

#[test]
fn a11_a_replica_that_takes_writes() {
    finds(DoctorCheck::A11, Critical, REPLICA, |entry| {
        let upstream = replica(entry).observation.replication.upstream.as_mut();
        upstream.unwrap().read_only = Field::Value(false);
    });
}

#[test]
fn a12_a_server_without_a_file() {
    finds(DoctorCheck::A12, Warning, MASTER, |entry| {
        master(entry).details.config_file = Field::None;
    });
}

#[test]
fn a14_only_the_certain_difference_of_the_clocks_counts() {
    let ahead = |entry: &mut EntryAudit, millis: i64| {
        let clock = replica(entry).clock.as_mut().unwrap();
        clock.wall = WallTime::from_nanos(clock.wall.as_nanos() + millis * 1_000_000);
    };
    // The round trips take 10 ms each.
    let severity = |millis| {
        found(|entry| ahead(entry, millis))
            .first()
            .map(|found| found.1)
    };
    assert_eq!(severity(0), None);
    assert_eq!(severity(1005), None);
    assert_eq!(severity(1025), Some(Warning));
    assert_eq!(severity(-1025), Some(Warning));
    assert_eq!(severity(-10_025), Some(Critical));
    leaves_open(DoctorCheck::A14, "+time", |entry| {
        master(entry).clock = Err(Gap::because("TIME is not permitted: give the user +time"));
    });
}

/// A master that writes this much a second.
fn writing(entry: &mut EntryAudit, per_second: f64) {
    let over = Span::from_secs(5);
    master(entry).write_rate = Ok(WriteRate::Measured { per_second, over });
}

#[test]
fn b1_the_backlog_has_to_hold_the_writes_of_an_interruption() {
    // 64 MiB last 600 s and a fifth more at 91 KiB/s, and 60 s at 1.07 MiB/s.
    assert_eq!(found(|entry| writing(entry, 93_000.0)), Vec::new());
    for (rate, severity) in [(94_000.0, Warning), (1_120_000.0, Critical)] {
        let new = found(|entry| writing(entry, rate));
        let on = |server: &str| (DoctorCheck::B1, severity, server.to_owned());
        assert_eq!(new, [on(MASTER), on(REPLICA)], "{rate}");
    }
    let report = report_after(|entry| writing(entry, 94_000.0));
    let finding = report
        .findings
        .iter()
        .find(|f| f.check == DoctorCheck::B1)
        .unwrap();
    assert!(
        finding
            .evidence
            .need
            .contains("less than an hour of history")
    );
    assert_eq!(
        finding.fix.commands[0],
        "CONFIG SET repl-backlog-size 134217728"
    );
    leaves_open(DoctorCheck::B1, "could not be measured", |entry| {
        master(entry).write_rate = Err(Gap::because("it could not be measured"));
    });
}

#[test]
fn b2_a_backlog_that_is_dropped_too_early() {
    finds(DoctorCheck::B2, Warning, REPLICA, |entry| {
        set(replica(entry), Directive::ReplBacklogTtl, "3600");
    });
    finds_nothing(|entry| set(replica(entry), Directive::ReplBacklogTtl, "14400"));
}

#[test]
fn b3_a_full_sync_that_is_cut_off() {
    let limit = |entry: &mut EntryAudit, value: &str| {
        set(master(entry), Directive::ClientOutputBufferLimit, value);
    };
    // 100 MiB take 0.8 s over 1 Gbit/s and 0.08 s over 10.
    for (value, severity) in [
        ("slave 67108864 0 0", Some(Critical)),
        ("slave 1610612736 0 0", None),
        ("slave 268435456 0 0", Some(Warning)),
        ("slave 0 67108864 1", None),
        ("slave 0 0 0", None),
    ] {
        let new = found(|entry| {
            writing(entry, 1_000_000_000.0);
            // Nothing but the limit is asked of this load.
            let backlog = Field::Value(Bytes::new(1 << 50));
            replica(entry).observation.replication.backlog.size = backlog;
            set(
                replica(entry),
                Directive::ClientOutputBufferLimit,
                "slave 0 0 0",
            );
            limit(entry, value);
        });
        let new: Vec<_> = new.into_iter().filter(|f| f.0 == DoctorCheck::B3).collect();
        assert_eq!(new.first().map(|found| found.1), severity, "{value}");
    }
    leaves_open(DoctorCheck::B3, "not understood", |entry| {
        limit(entry, "normal 0 0 0");
    });
}

#[test]
fn b4_a_timeout_below_three_pings_or_above_five_minutes() {
    for (timeout, period) in [("30", "10"), ("301", "10")] {
        let new = found(|entry| {
            set(replica(entry), Directive::ReplTimeout, timeout);
            set(replica(entry), Directive::ReplPingReplicaPeriod, period);
        });
        assert_eq!(new, [(DoctorCheck::B4, Warning, REPLICA.to_owned())]);
    }
    finds_nothing(|entry| set(replica(entry), Directive::ReplTimeout, "31"));
}

#[test]
fn b5_and_b6_are_advice() {
    finds(DoctorCheck::B5, Advice, MASTER, |entry| {
        set(master(entry), Directive::ReplDisklessSync, "no");
    });
    finds(DoctorCheck::B5, Advice, REPLICA, |entry| {
        set(replica(entry), Directive::ReplDisklessLoad, "swapdb");
        replica(entry).details.total_memory = Field::Value(Bytes::new(200_000_000));
    });
    finds_nothing(|entry| set(replica(entry), Directive::ReplDisklessLoad, "swapdb"));
    finds(DoctorCheck::B6, Advice, REPLICA, |entry| {
        set(replica(entry), Directive::ReplDisableTcpNodelay, "yes");
    });
}

#[test]
fn b8_a_fork_needs_memory() {
    finds(DoctorCheck::B8, Warning, MASTER, |entry| {
        master(entry).details.total_memory = Field::Value(Bytes::new(150_000_000));
    });
    finds_nothing(|entry| {
        master(entry).details.total_memory = Field::Value(Bytes::new(160_000_000));
    });
}

#[test]
fn c1_and_c2_a_server_that_keeps_nothing() {
    finds(DoctorCheck::C1, Critical, MASTER, |entry| {
        set(master(entry), Directive::Save, "");
    });
    finds(DoctorCheck::C2, Warning, REPLICA, |entry| {
        set(replica(entry), Directive::Save, "");
    });
    // The append-only file alone is known from INFO.
    let new = found(|entry| {
        set(master(entry), Directive::Save, "");
        set(master(entry), Directive::AofTimestampEnabled, "yes");
        master(entry).observation.persistence.aof_enabled = Field::Value(true);
    });
    assert_eq!(new, [(DoctorCheck::C3, Advice, MASTER.to_owned())]);
    leaves_open(DoctorCheck::C1, "+config|get", |entry| {
        master(entry)
            .settings
            .insert(Directive::Save, Setting::Denied);
    });
}

#[test]
fn c4_an_append_only_file_without_times() {
    finds(DoctorCheck::C4, Advice, REPLICA, |entry| {
        replica(entry).observation.persistence.aof_enabled = Field::Value(true);
    });
}

#[test]
fn c5_a_save_of_yesterday() {
    finds(DoctorCheck::C5, Warning, REPLICA, |entry| {
        replica(entry).details.last_save_unix = Field::Value(1_796_000_000 - 90_000);
    });
    finds_nothing(|entry| {
        replica(entry).details.last_save_unix = Field::Value(1_796_000_000 - 90_000);
        replica(entry).details.changes_since_save = Field::Value(0);
    });
}

#[test]
fn d1_says_what_was_chosen() {
    let sentence = |change: Change| {
        let report = report_after(change);
        let finding = report.findings.iter().find(|f| f.check == DoctorCheck::D1);
        finding.map(|finding| finding.what.clone()).unwrap()
    };
    assert!(sentence(|_| {}).contains("goes on taking writes, with 0 replicas in dc1"));
    let fenced = sentence(|entry| set(master(entry), Directive::MinReplicasToWrite, "1"));
    assert!(
        fenced.contains("stops taking writes, 11 s later"),
        "{fenced}"
    );
}

/// The same entry, found by two Sentinels, with a second replica beside the master.
fn watched(entry: &mut EntryAudit) {
    let mut local = entry.replicas[0].clone();
    local.addr = ServerAddr::new("10.1.0.2", 6379);
    local.dc = Datacenter::new("dc1");
    let facts = local.facts.as_mut().unwrap();
    facts
        .observation
        .replication
        .upstream
        .as_mut()
        .unwrap()
        .priority = Field::Value(50);
    let mut line = master(entry).observation.replication.replicas[0].clone();
    line.ip = "10.1.0.2".to_owned();
    master(entry).observation.replication.replicas.push(line);
    entry.replicas.push(local);
    for host in ["10.1.0.9", "10.2.0.9"] {
        let settings = WatchSettings {
            quorum: Some(2),
            down_after: Some(Span::from_secs(30)),
            failover_timeout: Some(Span::from_secs(180)),
            parallel_syncs: Some(1),
        };
        entry.sentinels.push(SentinelAudit {
            addr: ServerAddr::new(host, 26379),
            dc: Datacenter::new("dc1"),
            master_name: "mymaster".to_owned(),
            watch: Ok(SentinelWatch {
                settings,
                ..SentinelWatch::default()
            }),
            round_trip: Some(Span::from_millis(1)),
        });
    }
    entry.placement_risks = Some(Vec::new());
}

/// The findings of `change` to an entry with Sentinels.
fn found_when_watched(change: Change) -> Vec<(DoctorCheck, FindingSeverity, String)> {
    let mut before = entry();
    watched(&mut before);
    let known = audit(&before, &[], options()).findings;
    change(&mut before);
    let mut new = Vec::new();
    for finding in audit(&before, &[], options()).findings {
        if !known.contains(&finding) {
            new.push((finding.check, finding.severity, finding.server));
        }
    }
    new
}

fn watch(entry: &mut EntryAudit, index: usize) -> &mut SentinelWatch {
    entry.sentinels[index].watch.as_mut().unwrap()
}

fn priority(entry: &mut EntryAudit, index: usize, priority: u64) {
    let facts = entry.replicas[index].facts.as_mut().unwrap();
    let upstream = facts.observation.replication.upstream.as_mut();
    upstream.unwrap().priority = Field::Value(priority);
}

#[test]
fn d2_and_d3_what_sentinels_may_promote() {
    assert_eq!(found_when_watched(|_| {}), Vec::new());
    let preferred = found_when_watched(|entry| priority(entry, 0, 50));
    assert_eq!(preferred, [(DoctorCheck::D2, Warning, REPLICA.to_owned())]);
    let none = found_when_watched(|entry| {
        priority(entry, 0, 0);
        priority(entry, 1, 0);
    });
    assert_eq!(none, [(DoctorCheck::D2, Critical, REPLICA.to_owned())]);
    let hidden = found_when_watched(|entry| replica(entry).details.announced = Field::Value(false));
    assert_eq!(hidden, [(DoctorCheck::D3, Warning, REPLICA.to_owned())]);
    // Without Sentinels neither means anything.
    finds_nothing(|entry| {
        priority(entry, 0, 0);
        replica(entry).details.announced = Field::Value(false);
    });
}

#[test]
fn d4_the_master_knows_another_address() {
    finds(DoctorCheck::D4, Advice, REPLICA, |entry| {
        master(entry).observation.replication.replicas[0].port = Field::Value(7000);
    });
    finds(DoctorCheck::D4, Warning, REPLICA, |entry| {
        let line = master(entry).observation.replication.replicas[0].clone();
        master(entry).observation.replication.replicas.push(line);
    });
    finds(DoctorCheck::D4, Warning, REPLICA, |entry| {
        let mut line = master(entry).observation.replication.replicas[0].clone();
        line.port = Field::Value(0);
        master(entry).observation.replication.replicas.push(line);
    });
    finds_nothing(|entry| entry.replicas[0].addr = ServerAddr::new("redis.dc2.example", 6379));
    leaves_open(DoctorCheck::D4, "lists no replica", |entry| {
        master(entry).observation.replication.replicas.clear();
    });
}

#[test]
fn d5_connections_that_nobody_probes() {
    finds(DoctorCheck::D5, Warning, MASTER, |entry| {
        set(master(entry), Directive::TcpKeepalive, "0");
    });
}

#[test]
fn e_what_sentinels_do() {
    let placed = found_when_watched(|entry| {
        entry.placement_risks = Some(vec!["they can act on their own".to_owned()]);
    });
    assert_eq!(placed, [(DoctorCheck::E1, Warning, MASTER.to_owned())]);
    let late = found_when_watched(|entry| {
        for index in [0, 1] {
            watch(entry, index).settings.down_after = Some(Span::from_secs(61));
        }
    });
    let first = "10.1.0.9:26379".to_owned();
    let second = "10.2.0.9:26379".to_owned();
    assert_eq!(
        late,
        [
            (DoctorCheck::E2, Warning, first.clone()),
            (DoctorCheck::E2, Warning, second.clone())
        ]
    );
    let differing = found_when_watched(|entry| watch(entry, 1).settings.quorum = Some(1));
    assert_eq!(differing, [(DoctorCheck::E3, Warning, second)]);
    let phantom = found_when_watched(|entry| {
        watch(entry, 0).replicas.push(RememberedServer {
            name: "10.1.0.7:0".to_owned(),
            has_address: false,
            down_for: None,
        });
    });
    assert_eq!(phantom, [(DoctorCheck::E4, Warning, first.clone())]);
    let gone = |hours: i64| RememberedServer {
        name: "10.1.0.7:26379".to_owned(),
        has_address: true,
        down_for: Some(Span::from_secs(hours * 3600)),
    };
    let mut entry = entry();
    watched(&mut entry);
    watch(&mut entry, 0).sentinels = vec![gone(23)];
    let checks = |entry: &EntryAudit| audit(entry, &[], options()).findings.len();
    let before = checks(&entry);
    watch(&mut entry, 0).sentinels = vec![gone(25)];
    assert_eq!(checks(&entry), before + 1);
    let parallel = found_when_watched(|entry| watch(entry, 0).settings.parallel_syncs = Some(2));
    assert_eq!(parallel, [(DoctorCheck::E5, Advice, first)]);
}

#[test]
fn a_sentinel_that_is_silent_is_not_checked() {
    let report = report_after(|entry| {
        watched(entry);
        entry.sentinels[0].watch = Err("the Sentinel refused the connection".to_owned());
        entry.placement_risks = None;
    });
    let gap = |check| {
        let mut gaps = report.not_checked.iter();
        gaps.find(|gap| gap.checks.contains(&check)).unwrap()
    };
    assert_eq!(gap(DoctorCheck::E2).server, "10.1.0.9:26379");
    assert_eq!(gap(DoctorCheck::E2).checks.len(), 6);
    assert!(gap(DoctorCheck::E1).why.contains("not known"));
}

#[test]
fn f3_partial_resyncs_that_are_refused_day_after_day() {
    // It has been up for ten days.
    finds(DoctorCheck::F3, Warning, MASTER, |entry| {
        master(entry).observation.stats.sync_partial_err = Field::Value(11);
    });
    finds_nothing(|entry| {
        master(entry).observation.stats.sync_partial_err = Field::Value(10);
    });
}

#[test]
fn a_server_that_could_not_be_asked_is_not_checked_at_all() {
    let report = report_after(|entry| {
        entry.replicas[0].facts = Err("the server refused the connection".to_owned());
    });
    let gap = &report.not_checked[0];
    assert_eq!(
        (report.not_checked.len(), gap.server.as_str()),
        (1, REPLICA)
    );
    assert!(gap.checks.len() > 20 && gap.why.contains("refused the connection"));
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.server == MASTER)
    );
}

#[test]
fn a_fork_of_redis_is_not_judged() {
    leaves_open(DoctorCheck::A3, "which doctor does not know", |entry| {
        replica(entry).observation.server.engine = crate::info::Engine::Dragonfly;
    });
}

#[test]
fn after_a_failover_the_servers_roles_count() {
    let mut entry = entry();
    std::mem::swap(&mut entry.master, &mut entry.replicas[0]);
    let entry = entry.in_observed_roles();
    assert_eq!(entry.master.addr.to_string(), MASTER);
    assert_eq!(entry.master.role(), Some(Role::Master));
    // Two masters: nobody knows which.
    leaves_open(DoctorCheck::A1, "says that it is a master", |entry| {
        replica(entry).observation.replication.role = Field::Value(Role::Master);
    });
}
