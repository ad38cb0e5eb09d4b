//! Sentinels that cannot be reached, restart, or are too few.

use redis_cross_dc_exporter::lab::{RedisServer, WanConditions, WanProxy, eventually, ports};
use redis_cross_dc_exporter::model::ServerAddr;

use super::{
    AGREES, DC1, DC2, LIMIT, QUORUM, Site, UP, configuration, entry, wait_for_series,
    wait_until_it_knows,
};
use crate::exporter::Exporter;
use crate::scrape::Scrape;

#[tokio::test]
async fn a_sentinel_behind_a_cut_hides_no_pair_and_is_used_again() {
    let site = Site::set("m", &[DC1, DC1, DC2], 2).await;
    let proxy = WanProxy::start(None, site.sentinels[2].addr(), WanConditions::default())
        .await
        .unwrap();
    let addresses = [
        site.sentinels[0].addr(),
        site.sentinels[1].addr(),
        proxy.addr(),
    ];
    let exporter = Exporter::start(&configuration(&entry(
        "p",
        addresses.into_iter(),
        "master_name: m",
    )))
    .await;
    exporter
        .wait_for("p", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    wait_for_series(&exporter, UP, proxy.addr(), Some(1.0)).await;
    proxy.cut().await;
    wait_for_series(&exporter, UP, proxy.addr(), Some(0.0)).await;
    wait_for_series(&exporter, QUORUM, proxy.addr(), None).await;
    wait_for_series(&exporter, AGREES, proxy.addr(), None).await;
    wait_for_series(&exporter, QUORUM, site.sentinels[0].addr(), Some(1.0)).await;
    assert!(exporter.pair("p").await.link_up);
    proxy.heal().await.unwrap();
    wait_for_series(&exporter, UP, proxy.addr(), Some(1.0)).await;
    wait_for_series(&exporter, AGREES, proxy.addr(), Some(1.0)).await;
}

#[tokio::test]
async fn pairs_stay_while_all_sentinels_restart() {
    let mut site = Site::set("m", &[DC1, DC2], 2).await;
    let exporter = Exporter::start(&site.configuration("p", "master_name: m")).await;
    exporter
        .wait_for("p", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    site.sentinels.iter_mut().for_each(RedisServer::kill);
    for sentinel in &site.sentinels {
        wait_for_series(&exporter, UP, sentinel.addr(), Some(0.0)).await;
    }
    assert!(exporter.pair("p").await.link_up, "the servers still answer");
    for sentinel in &mut site.sentinels {
        sentinel.restart().await.unwrap();
    }
    for sentinel in &site.sentinels {
        wait_for_series(&exporter, UP, sentinel.addr(), Some(1.0)).await;
        assert!(exporter.pair("p").await.link_up);
    }
}

#[tokio::test]
async fn a_lost_quorum_is_shown_notified_and_resolved() {
    let mut site = Site::set("m", &[DC1, DC2, DC2], 2).await;
    let exporter = Exporter::start(&site.configuration("p", "master_name: m")).await;
    wait_for_series(&exporter, QUORUM, site.sentinels[0].addr(), Some(1.0)).await;
    site.sentinels[1].kill();
    site.sentinels[2].kill();
    wait_for_series(&exporter, QUORUM, site.sentinels[0].addr(), Some(0.0)).await;
    let alert = |state: &'static str| {
        let exporter = &exporter;
        move || async move {
            let labels = [
                ("alertname", "RedisCrossDcSentinelQuorumLost"),
                ("pair", "p"),
                ("dc", "dc1"),
                ("state", state),
            ];
            Scrape::of(exporter)
                .await
                .value("redis_cross_dc_alerts", &labels)
                .is_some()
        }
    };
    eventually("the alert", LIMIT, alert("firing"))
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
    let reason = exporter
        .alerts()
        .await
        .alerts
        .into_iter()
        .find_map(|alert| alert.reason);
    assert!(
        reason
            .as_deref()
            .is_some_and(|reason| reason.contains("NOQUORUM")),
        "{reason:?}"
    );
    let page = exporter.get("/").await;
    assert!(page.contains("it sees no quorum"), "{page}");
    for index in [1, 2] {
        site.sentinels[index].restart().await.unwrap();
    }
    wait_until_it_knows(&site.sentinels[0], "m", 1, 2).await;
    let over = || async { !alert("firing")().await };
    eventually("the end of the alert", LIMIT, over)
        .await
        .unwrap();
}

#[tokio::test]
async fn it_is_ready_although_no_sentinel_answers() {
    let addr = ServerAddr::new("127.0.0.1", ports::free().unwrap());
    let exporter = Exporter::start(&configuration(&entry("p", [&addr].into_iter(), ""))).await;
    wait_for_series(&exporter, UP, &addr, Some(0.0)).await;
    let report = exporter.pairs().await;
    assert!(report.exporter.ready && report.pairs.is_empty());
    assert_eq!(
        (
            report.sentinels[0].pair.as_str(),
            report.sentinels[0].master.clone()
        ),
        ("p", None)
    );
}
