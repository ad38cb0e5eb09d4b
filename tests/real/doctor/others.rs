//! Faults that need more than a line of redis.conf.

use std::time::Duration;

use redis_cross_dc_exporter::doctor::DoctorReport;
use redis_cross_dc_exporter::doctor::FindingSeverity::{Advice, Critical, Warning};
use redis_cross_dc_exporter::lab::{
    RedisServer, Reply, SteadyWriter, WanConditions, WanProxy, WriteLoad, eventually,
};
use redis_cross_dc_exporter::model::DoctorCheck;

use super::machine::Machine;
use super::{Pair, expect_one, found, reference, report};
use crate::command::configuration;
use crate::stage::{LIMIT, entry};

#[tokio::test]
async fn b3_a_buffer_that_a_full_sync_fills() {
    let limit = "client-output-buffer-limit replica 1mb 0 0";
    let pair = Pair::start(reference().config(limit).allow_debug(), reference()).await;
    let populate = ["DEBUG", "POPULATE", "600", "key", "100000"];
    pair.master.command(&populate).await.unwrap();
    let load = WriteLoad {
        per_second: 40,
        value_bytes: 100_000,
    };
    let writer = SteadyWriter::start(pair.master.addr(), None, load);
    let has_begun = || async {
        match writer.written() {
            0..20 => Err(format!("{:?}", writer.last_error())),
            _ => Ok(()),
        }
    };
    eventually("the writes", LIMIT, has_begun).await.unwrap();
    let master = pair.master.addr().to_string();
    let b3 = |report: &DoctorReport| {
        let own = super::serious(report).into_iter();
        let mut own = own.filter(|f| f.check == DoctorCheck::B3 && f.server == master);
        own.next().cloned()
    };
    let report = pair.report().await;
    let finding = b3(&report).unwrap_or_else(|| panic!("{report:#?}"));
    // Its repair: a limit for what is written meanwhile.
    assert!(finding.fix.commands[0].starts_with("CONFIG SET client-output-buffer-limit"));
    let wide = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "replica 1gb 512mb 60",
    ];
    pair.master.command(&wide).await.unwrap();
    let report = pair.report().await;
    assert_eq!(b3(&report), None, "{report:#?}");
}

#[tokio::test]
async fn b4_a_line_that_is_too_slow_for_the_timeout() {
    let line = |seconds: &str| {
        reference()
            .config(&format!("repl-timeout {seconds}"))
            .config("repl-ping-replica-period 1")
    };
    let pair = Pair::start(reference(), line("4")).await;
    assert_eq!(found(&pair.report().await), [], "the line is short");
    let slow = WanConditions {
        delay: Duration::from_millis(300),
        ..WanConditions::default()
    };
    let wan = WanProxy::start(None, pair.replica.addr(), slow)
        .await
        .unwrap();
    let far = entry("orders", ("dc1", pair.master.addr()), ("dc2", wan.addr()));
    let report = report(&configuration(&[far])).await;
    expect_one(&report, DoctorCheck::B4, Warning, wan.addr());
}

#[tokio::test]
async fn b8_a_machine_that_is_too_small_for_a_fork() {
    // Four megabytes; a server uses one, and two with some data.
    let machine = Machine::new(Some(1024));
    let master = machine
        .run(reference().allow_debug())
        .start()
        .await
        .unwrap();
    let replica = reference().replicaof(master.addr()).start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let pair = Pair { master, replica };
    let populate = ["DEBUG", "POPULATE", "40", "key", "100000"];
    pair.master.command(&populate).await.unwrap();
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::B8, Warning, pair.master.addr());
}

#[tokio::test]
async fn c4_an_append_only_file_without_times() {
    let pair = Pair::start(reference(), reference().config("appendonly yes")).await;
    let has_times = pair
        .replica
        .command(&["CONFIG", "GET", "aof-timestamp-enabled"])
        .await;
    let is_known = !matches!(
        has_times.unwrap(),
        Reply::Array(words) if words.is_empty()
    );
    let c4 = async || {
        let report = pair.report().await;
        let findings = report.pairs[0].findings.iter();
        findings.filter(|f| f.check == DoctorCheck::C4).count()
    };
    assert_eq!(c4().await, usize::from(is_known), "from 7.0 on");
    if is_known {
        let repair = ["CONFIG", "SET", "aof-timestamp-enabled", "yes"];
        pair.replica.command(&repair).await.unwrap();
        assert_eq!(c4().await, 0);
    }
}

#[tokio::test]
async fn f2_the_operator_needs_its_rights_on_both_sides() {
    let rights = "operator on nopass -@all +info +client|setname +client|list +client|pause \
                  +client|unpause +replicaof +multi +exec +config|get +config|rewrite +psync +replconf";
    let with = |rules: &str| reference().user(rules);
    let pair = Pair::start(with(rights), with(rights)).await;
    let version = pair.master.info_field("server", "redis_version").await;
    let has_dryrun = version
        .unwrap()
        .is_some_and(|version| !version.starts_with('6'));
    if !has_dryrun {
        let report = pair.report().await;
        assert!(
            super::open_checks(&report).contains(&DoctorCheck::F2),
            "{report:#?}"
        );
        return;
    }
    assert_eq!(found(&pair.report().await), []);
    for server in [&pair.master, &pair.replica] {
        let fewer = ["ACL", "SETUSER", "operator", "-replicaof", "-client|pause"];
        server.command(&fewer).await.unwrap();
    }
    let report = pair.report().await;
    let both = [(DoctorCheck::F2, Warning), (DoctorCheck::F2, Warning)];
    assert_eq!(found(&report), both, "{report:#?}");
    let fix = &super::serious(&report)[0].fix.commands;
    assert_eq!(fix, &["ACL SETUSER operator +client|pause +replicaof"]);
    // The repair works on both.
    for finding in super::serious(&report) {
        let server = if finding.server == pair.master.addr().to_string() {
            &pair.master
        } else {
            &pair.replica
        };
        let words: Vec<&str> = finding.fix.commands[0].split(' ').collect();
        server.command(&words).await.unwrap();
    }
    assert_eq!(found(&pair.report().await), []);
}

/// Asks `master` for a partial resync that it has to refuse, and leaves.
async fn ask_for_another_history(master: &RedisServer) {
    let before = master
        .info_field("stats", "sync_partial_err")
        .await
        .unwrap();
    let mut connection = master.connect().await.unwrap();
    let other = "0123456789012345678901234567890123456789";
    // What follows is a full sync, which nobody reads.
    drop(connection.command(&["PSYNC", other, "1"]).await);
    drop(connection);
    let counted = || async {
        let now = master.info_field("stats", "sync_partial_err").await;
        let now = now.map_err(|error| error.to_string())?;
        if now == before {
            Err(format!("{now:?}"))
        } else {
            Ok(())
        }
    };
    eventually("the refusal", LIMIT, counted).await.unwrap();
}

#[tokio::test]
async fn f3_partial_resyncs_that_are_refused_again_and_again() {
    let pair = Pair::start(reference(), reference()).await;
    ask_for_another_history(&pair.master).await;
    let alone = || async {
        let count = pair
            .master
            .info_field("replication", "connected_slaves")
            .await;
        match count.map_err(|error| error.to_string())?.as_deref() {
            Some("1") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    eventually("the readers to be gone", LIMIT, alone)
        .await
        .unwrap();
    assert_eq!(found(&pair.report().await), [], "once is no pattern");
    for _ in 0..2 {
        ask_for_another_history(&pair.master).await;
    }
    eventually("the readers to be gone", LIMIT, alone)
        .await
        .unwrap();
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::F3, Warning, pair.master.addr());
}

#[tokio::test]
async fn d4_a_replica_that_announces_another_address() {
    let announcing = reference().config("replica-announce-port 7");
    let pair = Pair::start(reference(), announcing).await;
    let report = pair.report().await;
    assert_eq!(found(&report), []);
    let findings = report.pairs[0].findings.iter();
    let own: Vec<_> = findings.filter(|f| f.check == DoctorCheck::D4).collect();
    assert_eq!(own.len(), 1, "{report:#?}");
    assert!(own[0].severity == Advice && own[0].what.contains(":7"));
    assert_ne!(own[0].severity, Critical);
}
