//! Doctor on a pair that Sentinels found.

use std::time::Duration;

use redis_cross_dc_exporter::doctor::FindingSeverity::{Advice, Critical, Warning};
use redis_cross_dc_exporter::doctor::{DoctorReport, FindingSeverity};
use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder, Reply, eventually};
use redis_cross_dc_exporter::model::{DoctorCheck, ServerAddr};

use super::{REFERENCE, report};
use crate::planted;
use crate::sentinel::{DC1, DC2, wait_until_it_knows};
use crate::stage::LIMIT;

/// Places the servers of both datacenters of one machine.
const SECTIONS: &str = "\
datacenters:
  - {name: dc1, match: [127.0.0.1], local: true}
  - {name: dc2, match: [127.0.0.2]}
";

fn reference_at(host: &'static str) -> RedisServerBuilder {
    let builder = RedisServer::builder().host(host);
    REFERENCE.iter().fold(builder, |b, line| b.config(line))
}

/// A master in dc1, its replica in dc2, and three Sentinels that watch them.
struct Site {
    master: RedisServer,
    replica: RedisServer,
    sentinels: Vec<RedisServer>,
}

impl Site {
    /// A replica with a further line, and Sentinels at `hosts`, the last one with further lines.
    async fn set(replica_line: &str, hosts: [&'static str; 3], lines: &[&str]) -> Self {
        let master = reference_at(DC1).start().await.unwrap();
        let replica = reference_at(DC2)
            .replicaof(master.addr())
            .config(replica_line)
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let mut sentinels = Vec::new();
        for (index, host) in hosts.into_iter().enumerate() {
            let mut builder = sentinel_of(host, master.addr());
            if index == 2 {
                builder = lines.iter().fold(builder, |b, line| b.config(line));
            }
            sentinels.push(builder.start().await.unwrap());
        }
        let site = Self {
            master,
            replica,
            sentinels,
        };
        for sentinel in &site.sentinels {
            wait_until_it_knows(sentinel, "mymaster", 1, 2).await;
        }
        site
    }

    fn configuration(&self) -> String {
        let addresses = self.sentinels.iter().map(|s| format!("'{}'", s.addr()));
        let addresses: Vec<_> = addresses.collect();
        let addresses = addresses.join(", ");
        format!(
            "{SECTIONS}sentinels: [{{name: sessions, master_name: mymaster, addresses: [{addresses}]}}]\n"
        )
    }

    async fn report(&self) -> DoctorReport {
        report(&self.configuration()).await
    }

    /// The last Sentinel, which has the lines.
    fn last(&self) -> &RedisServer {
        &self.sentinels[2]
    }
}

fn sentinel_of(host: &'static str, master: &ServerAddr) -> RedisServerBuilder {
    let builder = RedisServer::builder().host(host).sentinel();
    builder.watches("mymaster", master, 2)
}

/// All words of a reply, each with a space behind it.
fn flat(reply: &Reply) -> String {
    match reply {
        Reply::Array(items) => items.iter().map(flat).collect(),
        other => other.text().unwrap_or_default() + " ",
    }
}

/// Every finding but the choice of a fence (D1) and the drill that there never was (F1), with its
/// server.
fn found(report: &DoctorReport) -> Vec<(DoctorCheck, FindingSeverity, String)> {
    let mut found = Vec::new();
    for finding in &report.pairs[0].findings {
        if !matches!(finding.check, DoctorCheck::D1 | DoctorCheck::F1) {
            found.push((finding.check, finding.severity, finding.server.clone()));
        }
    }
    found
}

#[tokio::test]
async fn a_pair_that_sentinels_found_is_audited_with_them_and_their_settings() {
    let site = Site::set("replica-priority 200", [DC1, DC1, DC2], &[]).await;
    let report = site.report().await;
    assert_eq!(found(&report), [], "{report:#?}");
    assert_eq!(report.pairs[0].pair, "sessions");
    assert_eq!(report.summary.not_checked, 0, "{report:#?}");
    // One fault after another, each found alone, on the same servers.
    let last = site.last().addr().to_string();
    let cases = [
        ("down-after-milliseconds", "90000", "1000", DoctorCheck::E2),
        ("quorum", "3", "2", DoctorCheck::E3),
        ("failover-timeout", "7000", "6000", DoctorCheck::E3),
        ("parallel-syncs", "2", "1", DoctorCheck::E5),
    ];
    for (name, value, before, check) in cases {
        let set = ["SENTINEL", "SET", "mymaster", name, value];
        site.last().command(&set).await.unwrap();
        let report = site.report().await;
        let own = found(&report);
        assert!(own.iter().all(|found| found.2 == last), "{report:#?}");
        assert!(own.iter().any(|found| found.0 == check), "{report:#?}");
        // A failover that is late (E2) also differs (E3).
        let others = own.iter().filter(|found| found.0 != check);
        assert!(others.into_iter().all(|found| found.0 == DoctorCheck::E3));
        let back = ["SENTINEL", "SET", "mymaster", name, before];
        site.last().command(&back).await.unwrap();
    }
    assert_eq!(found(&site.report().await), []);
}

#[tokio::test]
async fn what_sentinels_could_not_do_is_found() {
    let site = Site::set("replica-priority 0", [DC2, DC1, DC2], &[]).await;
    let report = site.report().await;
    let checks: Vec<_> = found(&report).iter().map(|f| (f.0, f.1)).collect();
    let expected = [(DoctorCheck::D2, Critical), (DoctorCheck::E1, Warning)];
    assert_eq!(checks, expected, "{report:#?}");
    // What it foretells: nobody is there to be promoted.
    let failover = site
        .last()
        .command(&["SENTINEL", "FAILOVER", "mymaster"])
        .await;
    let refusal = format!("{failover:?}");
    assert!(refusal.contains("NOGOODSLAVE"), "{refusal}");
}

#[tokio::test]
async fn a_replica_that_is_not_announced_is_found() {
    let site = Site::set("replica-priority 200", [DC1, DC1, DC2], &[]).await;
    let hide = ["CONFIG", "SET", "replica-announced", "no"];
    if site.replica.command(&hide).await.is_err() {
        return; // before 6.2 there is no such directive, and D3 does not apply
    }
    let report = site.report().await;
    let replica = site.replica.addr().to_string();
    assert_eq!(found(&report), [(DoctorCheck::D3, Warning, replica)]);
}

#[tokio::test]
async fn scripts_and_names_that_differ_between_sentinels_are_found() {
    let script = "sentinel client-reconfig-script mymaster /bin/true";
    let site = Site::set("replica-priority 200", [DC1, DC1, DC2], &[script]).await;
    let last = site.last().addr().to_string();
    let mut report = site.report().await;
    for _ in 0..5 {
        // On a machine that is busy for a moment a round trip is too long for down-after: E2.
        if found(&report).len() == 1 {
            break;
        }
        report = site.report().await;
    }
    assert_eq!(
        found(&report),
        [(DoctorCheck::E6, Warning, last)],
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_sentinel_that_names_the_master_by_another_name_is_found() {
    let master = reference_at(DC1).start().await.unwrap();
    let replica = reference_at(DC2)
        .replicaof(master.addr())
        .config("replica-priority 200")
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let port = master.addr().port().unwrap();
    let by_name = ServerAddr::new("localhost", port);
    let mut sentinels = Vec::new();
    for (host, watched) in [(DC1, master.addr()), (DC1, master.addr()), (DC2, &by_name)] {
        let mut builder = RedisServer::builder().host(host).sentinel();
        if watched == &by_name {
            builder = builder
                .config("sentinel resolve-hostnames yes")
                .config("sentinel announce-hostnames yes");
        }
        let builder = builder.watches("mymaster", watched, 2);
        sentinels.push(builder.start().await.unwrap());
    }
    for sentinel in &sentinels {
        wait_until_it_knows(sentinel, "mymaster", 1, 2).await;
    }
    let site = Site {
        master,
        replica,
        sentinels,
    };
    let report = site.report().await;
    let findings = found(&report);
    let checks: Vec<_> = findings.iter().map(|f| (f.0, f.1)).collect();
    assert!(checks.contains(&(DoctorCheck::E7, Advice)), "{report:#?}");
}

#[tokio::test]
async fn a_reader_of_the_stream_stays_in_the_sentinels_memory() {
    let site = Site::set("replica-priority 200", [DC1, DC1, DC2], &[]).await;
    let mut reader = site.master.connect().await.unwrap();
    // It never says which port it listens on, as a tool that reads the stream.
    let reading = tokio::spawn(async move {
        let reply = reader.command(&["PSYNC", "?", "-1"]).await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        drop(reply);
    });
    let remembers = || async {
        let replicas = site
            .last()
            .command(&["SENTINEL", "REPLICAS", "mymaster"])
            .await;
        let replicas = flat(&replicas.map_err(|error| error.to_string())?);
        if replicas.contains(":0 ") {
            Ok(())
        } else {
            Err(replicas)
        }
    };
    eventually("a replica without a port", LIMIT, remembers)
        .await
        .unwrap();
    reading.abort();
    let report = site.report().await;
    let e4 = |report: &DoctorReport| {
        let own = found(report);
        own.iter()
            .filter(|found| found.0 == DoctorCheck::E4)
            .count()
    };
    assert!(e4(&report) > 0, "{report:#?}");
    // What it says to do takes it away, once the reader is gone.
    let gone = || async {
        let count = site
            .master
            .info_field("replication", "connected_slaves")
            .await;
        match count.map_err(|error| error.to_string())?.as_deref() {
            Some("1") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    eventually("the reader to be gone", LIMIT, gone)
        .await
        .unwrap();
    for sentinel in &site.sentinels {
        sentinel
            .command(&["SENTINEL", "RESET", "mymaster"])
            .await
            .unwrap();
    }
    for sentinel in &site.sentinels {
        wait_until_it_knows(sentinel, "mymaster", 1, 2).await;
    }
    assert_eq!(e4(&site.report().await), 0);
}

#[tokio::test]
async fn sentinels_that_cannot_log_in_are_found_on_either_server() {
    let login = format!("doctor on >{} ~* &* +@all", planted::REDIS);
    // Replication and two of the Sentinels use a user of their own.
    let internal = "internal on nopass ~* &* +@all";
    let users = |b: RedisServerBuilder| b.user(&login).user(internal);
    let master = users(reference_at(DC1)).start().await.unwrap();
    let replica = users(reference_at(DC2))
        .replicaof(master.addr())
        .config("masteruser internal")
        .config("masterauth any")
        .config("replica-priority 200")
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let mut sentinels = Vec::new();
    for host in [DC1, DC1, DC2] {
        let builder = sentinel_of(host, master.addr());
        sentinels.push(builder.start().await.unwrap());
    }
    for sentinel in &sentinels {
        wait_until_it_knows(sentinel, "mymaster", 1, 2).await;
    }
    let site = Site {
        master,
        replica,
        sentinels,
    };
    let credentials = format!(
        "redis: {{username: doctor, password: {}}}\n",
        planted::REDIS
    );
    let yaml = credentials + &site.configuration();
    let sees_down = async |sentinel: &RedisServer, what: &str| {
        let down = || async {
            let text = sentinel.command(&["SENTINEL", what, "mymaster"]).await;
            let text = flat(&text.map_err(|error| error.to_string())?);
            if text.contains("s_down") {
                Ok(())
            } else {
                Err(text)
            }
        };
        eventually("a server that is down for it", LIMIT, down)
            .await
            .unwrap();
    };
    let shut_out = async |server: &RedisServer| {
        let mut own = server.connect().await.unwrap();
        own.command(&["ACL", "SETUSER", "default", "off"])
            .await
            .unwrap();
        let kill = ["CLIENT", "KILL", "TYPE", "normal"];
        own.command(&kill).await.unwrap();
    };
    let ask = async || super::read(super::doctor(&yaml, &["--output", "json"]).await);
    // The replica lets nobody in any more: seen from the master's datacenter it is not reached.
    shut_out(&site.replica).await;
    for sentinel in &site.sentinels {
        sees_down(sentinel, "REPLICAS").await;
    }
    let report = ask().await;
    let a8 = (DoctorCheck::A8, Critical, site.replica.addr().to_string());
    assert!(found(&report).contains(&a8), "{report:#?}");
    // Nor does the master: for the Sentinels it is down, although it answers here.
    shut_out(&site.master).await;
    for sentinel in &site.sentinels {
        sees_down(sentinel, "MASTER").await;
    }
    let report = ask().await;
    for sentinel in &site.sentinels {
        let e6 = (DoctorCheck::E6, Warning, sentinel.addr().to_string());
        assert!(found(&report).contains(&e6), "{report:#?}");
    }
}

#[tokio::test]
async fn a_user_of_sentinels_that_may_not_fail_over_is_found_from_valkey_9_on() {
    let site = Site::set("replica-priority 200", [DC1, DC1, DC2], &[]).await;
    for server in [&site.master, &site.replica] {
        let fewer = ["ACL", "SETUSER", "default", "-failover"];
        server.command(&fewer).await.unwrap();
    }
    let valkey = site.master.info_field("server", "valkey_version").await;
    let major = valkey.unwrap().and_then(|version| {
        let (major, _) = version.split_once('.')?;
        major.parse::<u32>().ok()
    });
    let report = site.report().await;
    let e8 = found(&report);
    let e8 = e8.iter().filter(|found| found.0 == DoctorCheck::E8);
    let places: Vec<&str> = e8.map(|found| found.2.as_str()).collect();
    let master = site.master.addr().to_string();
    let replica = site.replica.addr().to_string();
    if major.is_some_and(|major| major >= 9) {
        assert_eq!(places, [master.as_str(), replica.as_str()], "{report:#?}");
        for server in [&site.master, &site.replica] {
            let repair = ["ACL", "SETUSER", "default", "+failover"];
            server.command(&repair).await.unwrap();
        }
        assert_eq!(found(&site.report().await), []);
    } else {
        assert_eq!(places, Vec::<&str>::new(), "only Valkey 9 asks for it");
        assert!(!super::open_checks(&report).contains(&DoctorCheck::E8));
    }
}
