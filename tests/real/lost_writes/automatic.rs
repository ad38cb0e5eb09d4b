//! The running exporter captures by itself: before Sentinel makes the old master a replica, once,
//! and shows the file until a person has dealt with it.

use std::sync::Arc;

use redis_cross_dc_exporter::lab::{RedisServer, eventually};
use redis_cross_dc_exporter::lost_writes::CaptureState;
use redis_cross_dc_exporter::report::LostWritesReport;

use super::{RecordingWriter, TwoMasters, commands, ids, ids_on, plain, replay, send};
use crate::command::run;
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::sentinel::{DC1, DC2, wait_until_it_knows};
use crate::stage::LIMIT;

const RECOVER: &str = "recover: {capture: on, dir: lost}\n";

/// Waits until the exporter's report of lost writes fits.
async fn wait_for_capture(
    exporter: &Exporter,
    what: &str,
    fits: impl Fn(&[LostWritesReport]) -> bool,
) -> Vec<LostWritesReport> {
    let seen = || async {
        let captures = exporter.pairs().await.lost_writes;
        if fits(&captures) {
            Ok(())
        } else {
            Err(format!("{captures:?}"))
        }
    };
    eventually(what, LIMIT, seen)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
    exporter.pairs().await.lost_writes
}

/// Waits until `server` has this role. A question that finds no answer is asked again: with a
/// server's demotion a Sentinel closes the connections of all its clients.
async fn wait_for_role(server: &RedisServer, role: &str) {
    let has_it = || async {
        match server.info_field("replication", "role").await {
            Ok(Some(now)) if now == role => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    eventually("the role", LIMIT, has_it).await.unwrap();
}

fn is_saved(captures: &[LostWritesReport]) -> bool {
    captures
        .iter()
        .any(|capture| capture.state == CaptureState::Saved)
}

/// A master in dc1, a replica in dc2 and three Sentinels.
struct Watched {
    master: RedisServer,
    replica: RedisServer,
    sentinels: Vec<RedisServer>,
}

impl Watched {
    async fn start() -> Self {
        // The writer is as fast as it can be, some 300 kB of stream a second: with the default
        // backlog of 1 MiB the beginning would be gone after three seconds, which is what a busy
        // machine may take to notice the master's return. What this tests is the time that Sentinel
        // leaves.
        let server = |host| {
            let builder = RedisServer::builder().host(host);
            builder.config("repl-backlog-size 64mb")
        };
        let master = server(DC1).start().await.unwrap();
        let replica = server(DC2).replicaof(master.addr()).start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let mut sentinels = Vec::new();
        for host in [DC1, DC1, DC2] {
            let sentinel =
                RedisServer::builder()
                    .host(host)
                    .sentinel()
                    .watches("mymaster", master.addr(), 2);
            sentinels.push(sentinel.start().await.unwrap());
        }
        for sentinel in &sentinels {
            wait_until_it_knows(sentinel, "mymaster", 1, 2).await;
        }
        Self {
            master,
            replica,
            sentinels,
        }
    }

    fn configuration(&self) -> String {
        let addresses = self
            .sentinels
            .iter()
            .map(|sentinel| format!("'{}'", sentinel.addr()));
        format!(
            "{RECOVER}datacenters:\n  - {{name: dc1, match: [{DC1}], local: true}}\n  - {{name: dc2, match: [{DC2}]}}\n\
             poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 1s, remote: 1s}}}}\n\
             sentinels: [{{name: orders, master_name: mymaster, addresses: [{}]}}]\n",
            addresses.collect::<Vec<_>>().join(", ")
        )
    }
}

#[tokio::test]
async fn the_running_exporter_captures_before_sentinel_demotes() {
    let mut site = Watched::start().await;
    let exporter = Exporter::start(&site.configuration()).await;
    exporter
        .wait_for("orders", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    let writer = RecordingWriter::start(&site.master).await;
    writer.wait_for(300).await;
    // The master freezes, another one takes over, and it goes on with its clients: they write until
    // Sentinel makes it a replica.
    site.master.stop().unwrap();
    wait_for_role(&site.replica, "master").await;
    site.master.cont().unwrap();
    wait_for_capture(&exporter, "the capture", is_saved).await;
    wait_for_role(&site.master, "slave").await;
    let acknowledged = writer.stop().await;
    exporter
        .wait_for("orders", "the old master as a replica", LIMIT, |pair| {
            pair.link_up && pair.replica == site.master.addr().to_string()
        })
        .await;
    let captures = wait_for_capture(&exporter, "the conflicts", |captures| {
        captures
            .iter()
            .any(|capture| capture.reason.contains("none of them changed"))
    })
    .await;
    assert_eq!(captures.len(), 1, "{captures:?}");
    let file = std::path::PathBuf::from(captures[0].file.clone().unwrap());
    let in_file = ids(&commands(&file).await);
    let on_new = ids_on(&site.replica).await;
    let lost: std::collections::BTreeSet<u64> = acknowledged.difference(&on_new).copied().collect();
    assert!(lost.len() > 100, "{}", lost.len());
    let not_captured: Vec<_> = lost.difference(&in_file).collect();
    assert!(
        not_captured.is_empty(),
        "{not_captured:?} of {}",
        lost.len()
    );
    let in_flight: Vec<_> = in_file.difference(&lost).collect();
    assert!(in_flight.len() <= 1, "{in_flight:?}");

    // Every surface names the file.
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let folder = exporter.config().parent().unwrap().to_owned();
    let metric = Scrape::of(&exporter).await.value(
        "redis_cross_dc_lost_writes",
        &[("state", "saved"), ("pair", "orders")],
    );
    assert_eq!(metric, Some(1.0));
    assert!(exporter.get("/").await.contains(&name));
    let url = exporter.url();
    let checked = run(
        &folder,
        &[
            "check",
            "--config.file",
            "config.yml",
            "--exporter.url",
            url,
        ],
    )
    .await;
    assert!(checked.stdout.contains(&name), "{checked:?}");
    assert!(
        exporter
            .log()
            .contains("the writes that only the deposed master has are saved")
    );
    // Sentinels remember no reader.
    for sentinel in &site.sentinels {
        let listed = sentinel
            .command(&["SENTINEL", "REPLICAS", "mymaster"])
            .await
            .unwrap();
        let text = format!("{listed:?}");
        assert!(!text.contains(":0\""), "{text}");
        let redis_cross_dc_exporter::lab::Reply::Array(replicas) = listed else {
            panic!("{text}")
        };
        assert_eq!(replicas.len(), 1, "{text}");
    }
    replay(&site.replica, &file).await;
    let now = ids_on(&site.replica).await;
    assert_eq!(acknowledged.difference(&now).count(), 0);
}

#[tokio::test]
async fn a_divergence_is_captured_once_and_shown_over_restarts_until_it_is_marked() {
    let servers = TwoMasters::in_sync(plain(), plain()).await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let yaml = format!("{RECOVER}{}", servers.configuration());
    let exporter = Exporter::start_in(Arc::clone(&folder), &yaml).await;
    exporter
        .wait_for("orders", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    servers.promote().await;
    send(&servers.old, &["SET lost 1"]).await;
    let captures = wait_for_capture(&exporter, "the capture", is_saved).await;
    let file = captures[0].file.clone().unwrap();
    let alert = || async {
        let alerts = exporter.alerts().await.alerts;
        let mut texts = alerts
            .into_iter()
            .filter(|alert| alert.alertname == "RedisCrossDcDiverged");
        texts.any(|alert| alert.summary.contains(&file))
    };
    eventually("the alert to name the file", LIMIT, alert)
        .await
        .unwrap();
    drop(exporter);

    let written = std::fs::metadata(&file).unwrap().modified().unwrap();
    let exporter = Exporter::start_in(Arc::clone(&folder), &yaml).await;
    let captures = wait_for_capture(&exporter, "the file from before", is_saved).await;
    assert_eq!(captures[0].file.as_deref(), Some(&*file));
    let done = run(folder.path(), &["lost-writes", "--done", &file]).await;
    done.ended_with(0);
    wait_for_capture(&exporter, "nothing to do", <[LostWritesReport]>::is_empty).await;
    assert_eq!(
        std::fs::metadata(&file).unwrap().modified().unwrap(),
        written
    );
}

#[tokio::test]
async fn what_cannot_be_captured_is_said_and_nothing_is_captured_where_it_is_off() {
    let small = || plain().config("repl-backlog-size 16kb");
    let servers = TwoMasters::in_sync(small(), small()).await;
    let on = Exporter::start(&format!("{RECOVER}{}", servers.configuration())).await;
    let off = Exporter::start(&servers.configuration()).await;
    for exporter in [&on, &off] {
        exporter
            .wait_for("orders", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
            .await;
    }
    let value = "x".repeat(1000);
    let mut lines = vec!["MULTI".to_owned()];
    lines.extend((0..60).map(|number| format!("SET k{number} {value}")));
    lines.push("EXEC".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    servers.promote().await;
    send(&servers.old, &lines).await;
    let captures = wait_for_capture(&on, "the reason", |captures| {
        captures
            .iter()
            .any(|capture| capture.state == CaptureState::Gone)
    })
    .await;
    assert!(
        captures[0]
            .reason
            .contains("its backlog no longer holds the beginning"),
        "{captures:?}"
    );
    let gone = Scrape::of(&on)
        .await
        .value("redis_cross_dc_lost_writes", &[("state", "gone")]);
    assert_eq!(gone, Some(1.0));
    off.wait_for("orders", "two masters", LIMIT, |pair| {
        pair.diverged_bytes.is_some()
    })
    .await;
    assert_eq!(off.pairs().await.lost_writes, []);
    for exporter in [&on, &off] {
        assert!(!exporter.config().parent().unwrap().join("lost").exists());
    }
}
