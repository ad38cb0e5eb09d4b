//! The rules on commands, rights, names, ways and round trips, and chapter A alone.

use super::*;
use crate::doctor::commands::KnownCommands;
use crate::doctor::rights::{OperatorRights, SentinelUsers};
use crate::doctor::testing::NOW;
use crate::doctor::writes::{WriteHistory, WritePeak};
use crate::doctor::{Finding, promotion_traps};

fn all_but(gone: &'static [&'static str]) -> KnownCommands {
    let answers = KnownCommands::asked().map(|name| !gone.contains(&name));
    KnownCommands::from_answers(answers)
}

#[test]
fn a8_the_way_back_is_seen_from_the_masters_side() {
    let elsewhere = |entry: &mut EntryAudit| entry.own_dc = Some(Datacenter::new("dc2"));
    leaves_open(DoctorCheck::A8, "nobody in dc1 was asked", elsewhere);
    leaves_open(DoctorCheck::A8, "under another address", |entry| {
        master(entry).observation.replication.replicas[0].port = Field::Value(7000);
    });
    let sees = |entry: &mut EntryAudit, down_for: Option<Span>| {
        entry.own_dc = None;
        watched(entry);
        for (index, name) in [(0, REPLICA), (1, "10.1.0.2:6379")] {
            watch(entry, index).replicas.push(RememberedServer {
                name: name.to_owned(),
                has_address: true,
                down_for: if index == 0 { down_for } else { None },
            });
        }
        // The second one is not beside the master: it is no witness.
        entry.sentinels[1].dc = Datacenter::new("dc2");
        watch(entry, 0).replicas.push(RememberedServer {
            name: "10.1.0.2:6379".to_owned(),
            has_address: true,
            down_for: None,
        });
    };
    let a8 = |report: &EntryReport| -> Vec<FindingSeverity> {
        let findings = report.findings.iter();
        let own = findings.filter(|f| f.check == DoctorCheck::A8);
        own.map(|f| f.severity).collect()
    };
    let is_open = |report: &EntryReport| {
        let mut gaps = report.not_checked.iter();
        gaps.any(|gap| gap.checks.contains(&DoctorCheck::A8))
    };
    let up = report_after(|entry| sees(entry, None));
    assert!(a8(&up).is_empty() && !is_open(&up), "{up:#?}");
    let down = report_after(|entry| sees(entry, Some(Span::from_secs(9))));
    assert_eq!(a8(&down), [Critical]);
    let blind = report_after(|entry| {
        sees(entry, Some(Span::from_secs(9)));
        watch(entry, 0).master.down_for = Some(Span::from_secs(9));
    });
    assert!(
        a8(&blind).is_empty() && is_open(&blind),
        "it sees nothing at all"
    );
}

#[test]
fn a13_commands_that_one_side_does_not_know() {
    finds(DoctorCheck::A13, Warning, MASTER, |entry| {
        master(entry).commands = Ok(all_but(&["config"]));
    });
    finds(DoctorCheck::A13, Critical, REPLICA, |entry| {
        replica(entry).commands = Ok(all_but(&["flushall"]));
    });
    finds(DoctorCheck::A13, Warning, REPLICA, |entry| {
        master(entry).commands = Ok(all_but(&["flushall"]));
    });
    finds_nothing(|entry| {
        master(entry).commands = Ok(all_but(&["flushall"]));
        replica(entry).commands = Ok(all_but(&["flushall"]));
    });
    leaves_open(DoctorCheck::A13, "+command", |entry| {
        replica(entry).commands = Err(Gap::because("denied: give the user +command"));
    });
}

#[test]
fn b1_a_history_counts_a_burst_once() {
    let peaks = |minute: u64, ten: u64| {
        let peak = |secs, bytes| WritePeak {
            window: Span::from_secs(secs),
            bytes: Bytes::new(bytes),
        };
        let peaks = [peak(60, minute), peak(600, ten)];
        let history = WriteHistory::new(Span::from_secs(7200), peaks).unwrap();
        Ok(WriteRate::History(history))
    };
    // 50 MiB in the busiest minute, and little else: 64 MiB hold it.
    let burst = 50 * 1024 * 1024;
    assert_eq!(
        found(|entry| master(entry).write_rate = peaks(burst, burst)),
        []
    );
    let steady = found(|entry| master(entry).write_rate = peaks(burst, 3 * burst));
    let on = |server: &str| (DoctorCheck::B1, Warning, server.to_owned());
    assert_eq!(steady, [on(MASTER), on(REPLICA)]);
    let report = report_after(|entry| master(entry).write_rate = peaks(burst, 3 * burst));
    let need = &report.findings[0].evidence.need;
    assert!(need.contains("the exporter's history of 2h 00m"), "{need}");
    assert!(!need.contains("less than an hour"), "{need}");
}

#[test]
fn b4_a_timeout_that_a_slow_line_needs_longer_than() {
    let line = |entry: &mut EntryAudit, millis: i64| {
        set(replica(entry), Directive::ReplTimeout, "4");
        set(replica(entry), Directive::ReplPingReplicaPeriod, "1");
        replica(entry).round_trip = Some(Span::from_millis(millis));
    };
    let slow = found(|entry| line(entry, 500));
    assert_eq!(slow, [(DoctorCheck::B4, Warning, REPLICA.to_owned())]);
    assert_eq!(found(|entry| line(entry, 100)), []);
    leaves_open(DoctorCheck::B4, "between 0.100 s and 0.600 s", |entry| {
        line(entry, 350);
        master(entry).round_trip = Some(Span::from_millis(250));
    });
}

#[test]
fn b7_a_directive_that_somebody_asks_for() {
    let ask = |facts: &mut ServerFacts, name: &str, setting: Setting| {
        facts.asked_for.insert(name.to_owned(), setting);
    };
    finds(DoctorCheck::B7, Advice, MASTER, |entry| {
        let absent = Setting::Absent;
        master(entry)
            .asked_for
            .insert("repl-compression".to_owned(), absent);
    });
    assert_eq!(
        found(|entry| ask(master(entry), "save", Setting::Known(String::new()))),
        []
    );
    // The other side has it and uses it.
    finds(DoctorCheck::B7, Advice, REPLICA, |entry| {
        set(master(entry), Directive::ReplCompression, "lz4");
    });
    finds_nothing(|entry| set(master(entry), Directive::ReplCompression, "no"));
    leaves_open(DoctorCheck::B7, "+config|get", |entry| {
        ask(master(entry), "save", Setting::Denied);
    });
}

#[test]
fn e2_a_sentinel_that_is_farther_away_than_it_waits() {
    let far = found_when_watched(|entry| {
        for index in [0, 1] {
            watch(entry, index).settings.down_after = Some(Span::from_secs(1));
        }
        replica(entry).round_trip = Some(Span::from_millis(250));
    });
    let on = |addr: &str| (DoctorCheck::E2, Warning, addr.to_owned());
    assert_eq!(far, [on("10.1.0.9:26379"), on("10.2.0.9:26379")]);
    let near = found_when_watched(|entry| {
        watch(entry, 0).settings.down_after = Some(Span::from_secs(30));
        replica(entry).round_trip = Some(Span::from_millis(250));
    });
    assert_eq!(near, []);
}

#[test]
fn e6_a_sentinel_that_cannot_log_in_or_calls_other_scripts() {
    let second = "10.2.0.9:26379".to_owned();
    let blind = found_when_watched(|entry| {
        watch(entry, 1).master.down_for = Some(Span::from_secs(60));
    });
    assert_eq!(blind, [(DoctorCheck::E6, Warning, second.clone())]);
    let scripts = found_when_watched(|entry| {
        watch(entry, 1).scripts = vec!["client-reconfig-script /a.sh".to_owned()];
    });
    assert_eq!(scripts, [(DoctorCheck::E6, Warning, second)]);
    // The master is down for this program, too.
    let down = found_when_watched(|entry| {
        watch(entry, 1).master.down_for = Some(Span::from_secs(60));
        entry.master.facts = Err("the server refused the connection".to_owned());
    });
    assert!(
        down.iter().all(|found| found.0 != DoctorCheck::E6),
        "{down:?}"
    );
}

#[test]
fn e7_sentinels_that_name_the_master_differently() {
    let new = found_when_watched(|entry| {
        "redis.dc1.example:6379".clone_into(&mut watch(entry, 1).master.name);
    });
    assert_eq!(
        new,
        [(DoctorCheck::E7, Advice, "10.2.0.9:26379".to_owned())]
    );
}

#[test]
fn e8_a_sentinel_whose_user_may_not_fail_over() {
    let users = |may: bool| Ok(SentinelUsers::from([("watcher".to_owned(), may)]));
    let mut entry = entry();
    watched(&mut entry);
    let count = |entry: &EntryAudit| {
        let findings = audit(entry, &[], options()).findings;
        findings
            .iter()
            .filter(|f| f.check == DoctorCheck::E8)
            .count()
    };
    master(&mut entry).sentinel_users = users(true);
    assert_eq!(count(&entry), 0);
    master(&mut entry).sentinel_users = users(false);
    assert_eq!(count(&entry), 1);
}

#[test]
fn f1_a_pair_whose_last_drill_is_long_ago() {
    let days_ago = |days: f64| Ok(Some(NOW.as_secs_f64() - days * 86_400.0));
    let advised = |last| {
        let found = found(|entry| entry.last_drill = last);
        found.iter().any(|(check, ..)| *check == DoctorCheck::F1)
    };
    assert!(!advised(days_ago(34.0)));
    assert!(advised(days_ago(36.0)));
    assert!(advised(Ok(None)), "there was none");
    leaves_open(DoctorCheck::F1, "cannot be read", |entry| {
        entry.last_drill = Err(Gap::because("the folder /s/drills cannot be read"));
    });
}

#[test]
fn f2_the_operator_needs_its_rights_on_both_sides() {
    let rights = |missing: Option<Vec<&'static str>>| {
        Ok(OperatorRights {
            user: "operator".to_owned(),
            is_configured: false,
            missing,
        })
    };
    finds(DoctorCheck::F2, Warning, REPLICA, |entry| {
        master(entry).operator = Ok(OperatorRights {
            user: "operator".to_owned(),
            is_configured: false,
            missing: Some(Vec::new()),
        });
    });
    finds(DoctorCheck::F2, Warning, REPLICA, |entry| {
        replica(entry).operator = Ok(OperatorRights {
            user: "operator".to_owned(),
            is_configured: true,
            missing: None,
        });
    });
    let lacking = found(|entry| {
        master(entry).operator = rights(Some(Vec::new()));
        replica(entry).operator = rights(Some(vec!["+replicaof"]));
    });
    assert_eq!(lacking, [(DoctorCheck::F2, Warning, REPLICA.to_owned())]);
    let both = found(|entry| {
        master(entry).operator = rights(Some(Vec::new()));
        replica(entry).operator = rights(Some(Vec::new()));
    });
    assert_eq!(both, []);
}

#[test]
fn a_failover_asks_for_chapter_a_of_one_replica() {
    let traps = |change: fn(&mut EntryAudit), target: &str| {
        let mut entry = entry();
        change(&mut entry);
        let target = ServerAddr::parse(target).unwrap();
        promotion_traps(&entry, &target, &[], options())
    };
    let clean = traps(|_| {}, REPLICA);
    assert_eq!(clean.findings, Vec::<Finding>::new());
    assert!(clean.not_checked.is_empty() && clean.ignored.is_empty());
    let trapped = traps(
        |entry| {
            set(replica(entry), Directive::MinReplicasToWrite, "1");
            set(replica(entry), Directive::TcpKeepalive, "0");
        },
        REPLICA,
    );
    let checks: Vec<_> = trapped.findings.iter().map(|f| f.check).collect();
    assert_eq!(checks, [DoctorCheck::A1], "nothing of other chapters");
    // In a disaster the master does not answer: what needs it is not checked, and the rest is.
    let alone = traps(
        |entry| {
            entry.master.facts = Err("the server did not answer in time".to_owned());
            set(replica(entry), Directive::MinReplicasToWrite, "1");
        },
        REPLICA,
    );
    assert_eq!(alone.findings.len(), 1);
    assert!(
        alone
            .not_checked
            .iter()
            .any(|gap| gap.checks.contains(&DoctorCheck::A2))
    );
    let stranger = traps(|_| {}, "10.9.9.9:1");
    assert!(stranger.findings.is_empty());
    assert_eq!(stranger.not_checked.len(), 1);
}
