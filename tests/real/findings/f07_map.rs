//! F7: the map and the links beside it counted all pairs where one was broken, and forgot the
//! unknown one in what may be lost.

use redis_cross_dc_exporter::lab::{RedisServer, WanConditions, WanProxy, eventually};
use redis_cross_dc_exporter::report::PairReport;

use crate::exporter::Exporter;
use crate::stage::{LIMIT, entry};

/// Two pairs from dc1 to dc2, of which one can be troubled.
struct Two {
    master: RedisServer,
    wan: WanProxy,
    exporter: Exporter,
    _others: [RedisServer; 3],
}

impl Two {
    async fn start() -> Self {
        let master = RedisServer::builder().start().await.unwrap();
        let other = RedisServer::builder().start().await.unwrap();
        let wan = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .replicaof(wan.addr())
            .start()
            .await
            .unwrap();
        let calm = RedisServer::builder()
            .replicaof(other.addr())
            .start()
            .await
            .unwrap();
        for server in [&replica, &calm] {
            server.wait_until_in_sync(LIMIT).await.unwrap();
        }
        let orders = entry("orders", ("dc1", master.addr()), ("dc2", replica.addr()));
        let carts = entry("carts", ("dc1", other.addr()), ("dc2", calm.addr()));
        let yaml = format!(
            "poll: {{interval: 200ms, min_interval: 100ms}}\n\
             alerts: {{link_down: {{warning: 1s, critical: 3s}}, unreachable: {{warning: 1s, critical: 3s}}}}\n\
             pairs:\n- {orders}\n- {carts}\n"
        );
        let exporter = Exporter::start(&yaml).await;
        Self {
            master,
            wan,
            exporter,
            _others: [other, replica, calm],
        }
    }

    /// Waits until both are in sync and something is certain of both.
    async fn are_calm(&self) {
        for name in ["orders", "carts"] {
            let calm = |pair: &PairReport| pair.link_up && pair.last_known.is_some();
            self.exporter
                .wait_for(name, "a certified lag", LIMIT, calm)
                .await;
        }
    }

    /// Waits until the overview has all of these texts.
    async fn shows(&self, texts: &[&str]) -> String {
        let probe = || async {
            let page = self.exporter.get("/").await;
            if texts.iter().all(|text| page.contains(text)) {
                Ok(page)
            } else {
                Err(page)
            }
        };
        eventually(&format!("{texts:?} on the page"), LIMIT, probe)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn f07_one_of_two_pairs_is_one_of_two() {
    let two = Two::start().await;
    two.are_calm().await;
    two.wan.cut().await;
    let page = two.shows(&[", 1 of 2 pairs link down\""]).await;
    assert!(page.contains(">1 of 2 pairs</tspan>"), "on the map: {page}");
    two.wan.heal().await.unwrap();
    two.shows(&["ok, 2 pairs streaming"]).await;
}

#[tokio::test]
async fn f07_an_unknown_pair_counts_in_what_may_be_lost() {
    let mut two = Two::start().await;
    two.are_calm().await;
    two.master.kill();
    let page = two.shows(&["1 of 2 pairs master unreachable"]).await;
    for column in ["Worst lag", "Data at risk"] {
        let cell = page
            .split(&format!("data-label=\"{column}\""))
            .nth(1)
            .and_then(|rest| rest.split("</td>").next())
            .unwrap_or_default();
        assert!(cell.contains("last known: at most "), "{column}: {cell}");
        assert!(cell.contains("1 of 2 unknown"), "{column}: {cell}");
    }
}
