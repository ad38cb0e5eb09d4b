//! Failovers with Sentinels from their beginning to the old master's return: everything that the
//! exporter says tells one story.

use redis_cross_dc_exporter::lab::{
    RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad, eventually,
};

use super::{AGREES, DC1, DC2, QUORUM, Site, UP, configuration, entry, server, wait_for_series};
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::story::{LIMIT, Story};

const LOAD: WriteLoad = WriteLoad {
    per_second: 500,
    value_bytes: 200,
};

/// Three Sentinels in dc1 and two in dc2: a majority where the master is, and a quorum of all but
/// two.
const FIVE: [&str; 5] = [DC1, DC1, DC1, DC2, DC2];

async fn exporter_of(site: &Site) -> Exporter {
    let exporter = Exporter::start(&site.configuration("sessions", "master_name: mymaster")).await;
    exporter
        .wait_for("sessions", "a lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    exporter
}

fn story<'a>(exporter: &'a Exporter, site: &Site) -> Story<'a> {
    Story::of(
        exporter,
        "sessions",
        &[("m", site.master.addr()), ("r", site.replica.addr())],
    )
}

async fn ask(sentinel: &RedisServer, words: &[&str]) {
    let asked = || async {
        sentinel
            .command(words)
            .await
            .map_err(|error| error.to_string())
    };
    eventually(&words.join(" "), LIMIT, asked).await.unwrap();
}

#[tokio::test]
async fn a_master_of_five_sentinels_is_killed_and_comes_back() {
    let mut site = Site::set("mymaster", &FIVE, 3).await;
    let exporter = exporter_of(&site).await;
    let story = story(&exporter, &site);
    story.is("dc1>dc2 r streaming, 0").await;
    site.master.kill();
    story
        .is("dc2>dc1 m replica_unreachable, 1, Failover warning")
        .await;
    for sentinel in &site.sentinels {
        wait_for_series(&exporter, AGREES, sentinel.addr(), Some(1.0)).await;
    }
    site.all_name(site.replica.addr()).await;
    // On a busy machine they would take the new master for dead as well.
    for sentinel in &site.sentinels {
        let patient = [
            "SENTINEL",
            "SET",
            "mymaster",
            "down-after-milliseconds",
            "60000",
        ];
        sentinel.command(&patient).await.unwrap();
    }
    // Without a data set of its own it shows no history: what it had alone stays a bound.
    site.master.restart().await.unwrap();
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    let failover = story.failover("a failover", |_| true).await;
    assert!(
        failover.lost_bytes.is_some() || failover.last_known.is_some(),
        "{failover:?}"
    );
    story.paged_nobody();
    assert_eq!(
        story.changes("RedisCrossDcFailover", "fired"),
        1,
        "the story is told once"
    );
}

#[tokio::test]
async fn a_stopped_master_that_continues_is_a_second_master_for_seconds_without_a_page() {
    let mut site = Site::set("mymaster", &[DC1, DC1, DC2], 2).await;
    let exporter = exporter_of(&site).await;
    let (m, r) = (site.master.addr().clone(), site.replica.addr().clone());
    let story = Story::of(&exporter, "sessions", &[("m", &m), ("r", &r)]);
    let writer = SteadyWriter::start(&m, None, LOAD);
    exporter
        .wait_for("sessions", "writes", LIMIT, |pair| {
            pair.applied_bytes_total > Some(100_000)
        })
        .await;
    site.master.stop().unwrap();
    story
        .is("dc2>dc1 m replica_unreachable, 1, Failover warning")
        .await;
    site.all_name(&r).await;
    site.master.cont().unwrap();
    let diverged = exporter
        .wait_for("sessions", "two masters", LIMIT, |pair| {
            pair.diverged_bytes.is_some()
        })
        .await;
    assert!(
        diverged.reason.contains("are only on the pair's master"),
        "{}",
        diverged.reason
    );
    drop(writer);
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    let failover = story
        .failover("what was lost", |failover| failover.lost_bytes.is_some())
        .await;
    assert!(
        failover.lost_bytes >= diverged.diverged_bytes,
        "{failover:?} {diverged:?}"
    );
    assert_eq!(
        (
            story.changes("RedisCrossDcDiverged", "fired"),
            story.changes("RedisCrossDcDiverged", "resolved")
        ),
        (1, 1)
    );
    story.paged_nobody();
}

#[tokio::test]
async fn a_failover_by_command_loses_only_the_sentinels_writes_to_the_old_master() {
    let site = Site::set("mymaster", &[DC1, DC1, DC2], 2).await;
    let exporter = exporter_of(&site).await;
    let story = story(&exporter, &site);
    let connections = story.connections().await;
    ask(&site.sentinels[0], &["SENTINEL", "FAILOVER", "mymaster"]).await;
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    // Sentinel closes every client's connection to a server that it gives another role (`CLIENT
    // KILL TYPE normal`).
    let anew = story.connections().await - connections;
    assert!(
        anew <= 2.0,
        "{anew} connections, where each server's was closed once"
    );
    let failover = story
        .failover("what was lost", |failover| failover.lost_bytes.is_some())
        .await;
    // It is a master for up to eleven more seconds, in which Sentinels publish on it, and it pings
    // nobody.
    assert!(
        failover.lost_bytes.is_some_and(|lost| lost < 10_000),
        "{}",
        failover.reason
    );
    story.paged_nobody();
}

/// Sentinel finds a replica that reports to be a master, while the master is healthy, and demotes
/// it.
#[tokio::test]
async fn a_promotion_by_hand_is_two_masters_until_sentinel_undoes_it() {
    let site = Site::set("mymaster", &[DC1, DC1, DC2], 2).await;
    let exporter = exporter_of(&site).await;
    let story = story(&exporter, &site);
    site.replica
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    story.is("dc1>dc2 r diverged, 0, Diverged warning").await;
    story.is("dc1>dc2 r streaming, 0").await;
    story.paged_nobody();
}

/// Sentinels that are cut off report an old view; the exporter gets both, and uses the newer
/// one.
#[tokio::test]
async fn when_sentinels_disagree_the_newer_epoch_counts() {
    let mut site = Site::set("mymaster", &[DC1, DC1, DC2], 2).await;
    let lines = [0, 1, 2].map(|index: usize| site.sentinels[index].addr().clone());
    let mut proxies = Vec::new();
    for line in &lines {
        proxies.push(
            WanProxy::start(None, line, WanConditions::default())
                .await
                .unwrap(),
        );
    }
    let addresses: Vec<_> = proxies.iter().map(WanProxy::addr).collect();
    let yaml = configuration(&entry(
        "sessions",
        addresses.into_iter(),
        "master_name: mymaster",
    ));
    let exporter = Exporter::start(&yaml).await;
    exporter
        .wait_for("sessions", "a lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    let (m, r) = (site.master.addr().clone(), site.replica.addr().clone());
    let story = Story::of(&exporter, "sessions", &[("m", &m), ("r", &r)]);
    // One is stopped while the others fail over: when it continues it reports its old view, until
    // it gets the others'.
    site.sentinels[0].stop().unwrap();
    wait_for_series(&exporter, UP, proxies[0].addr(), Some(0.0)).await;
    ask(&site.sentinels[1], &["SENTINEL", "FAILOVER", "mymaster"]).await;
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    // The exporter is cut off from those with the new view, and reaches only the one without it.
    for proxy in &proxies[1..] {
        proxy.cut().await;
    }
    site.sentinels[0].cont().unwrap();
    wait_for_series(&exporter, UP, proxies[0].addr(), Some(1.0)).await;
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    wait_for_series(&exporter, AGREES, proxies[0].addr(), Some(1.0)).await;
    for proxy in &proxies[1..] {
        proxy.heal().await.unwrap();
    }
    for proxy in &proxies {
        wait_for_series(&exporter, AGREES, proxy.addr(), Some(1.0)).await;
    }
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    story.paged_nobody();
}

#[tokio::test]
async fn without_a_quorum_a_dead_master_stays_the_master_until_a_manual_failover() {
    let mut site = Site::set("mymaster", &FIVE, 3).await;
    let exporter = exporter_of(&site).await;
    let (m, r) = (site.master.addr().clone(), site.replica.addr().clone());
    let story = Story::of(&exporter, "sessions", &[("m", &m), ("r", &r)]);
    // All of dc1 is lost.
    site.sentinels[..3].iter_mut().for_each(RedisServer::kill);
    site.master.kill();
    wait_for_series(&exporter, QUORUM, site.sentinels[3].addr(), Some(0.0)).await;
    story
        .is("dc1>dc2 r master_unreachable, 0, SentinelQuorumLost warning")
        .await;
    let pair = exporter.pair("sessions").await;
    assert!(
        pair.lag_seconds.is_none() && pair.last_known.is_some(),
        "{pair:?}"
    );
    // Somebody promotes the replica by hand; the Sentinels that are left cannot undo it.
    site.replica
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    story
        .is("dc2>dc1 m replica_unreachable, 1, Failover warning, SentinelQuorumLost warning")
        .await;
}

#[tokio::test]
async fn a_master_removed_from_every_sentinel_loses_its_series_and_alerts() {
    let mut site = Site::set("mymaster", &[DC1, DC2], 2).await;
    let exporter = exporter_of(&site).await;
    let story = story(&exporter, &site);
    ask(&site.sentinels[0], &["SENTINEL", "FAILOVER", "mymaster"]).await;
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    for sentinel in &mut site.sentinels {
        ask(sentinel, &["SENTINEL", "REMOVE", "mymaster"]).await;
    }
    let gone = || async {
        let text = Scrape::of(&exporter).await.text().to_owned();
        let own = text
            .lines()
            .filter(|line| line.contains("pair=\"sessions\"") && !line.contains("sentinel_"));
        let left: Vec<_> = own.map(str::to_owned).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("\n"))
        }
    };
    eventually("its series to vanish", LIMIT, gone)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
    let alerts = exporter.alerts().await.alerts;
    let over = alerts
        .iter()
        .find(|alert| alert.alertname == "RedisCrossDcFailover")
        .expect("it is still listed");
    assert_eq!(over.resolve_reason.as_deref(), Some("removed"));
    assert!(exporter.pairs().await.pairs.is_empty());
}

/// A third server, near the master, is left alone by the failover and follows the new master.
#[tokio::test]
async fn the_replica_that_sentinel_reconfigures_keeps_its_counters() {
    let site = Site::set("mymaster", &[DC1, DC1, DC2], 2).await;
    let third = server(DC1)
        .replicaof(site.master.addr())
        .config("replica-priority 0")
        .start()
        .await
        .unwrap();
    let exporter = Exporter::start(&site.configuration("sessions", "master_name: mymaster")).await;
    let servers = [
        ("m", site.master.addr()),
        ("r", site.replica.addr()),
        ("t", third.addr()),
    ];
    let story = Story::of(&exporter, "sessions", &servers);
    story
        .is("dc1>dc1 t streaming, dc1>dc2 r streaming, 0")
        .await;
    ask(&site.sentinels[0], &["SENTINEL", "FAILOVER", "mymaster"]).await;
    story
        .is("dc2>dc1 m streaming, dc2>dc1 t streaming, 1, Failover warning")
        .await;
    story.paged_nobody();
}
