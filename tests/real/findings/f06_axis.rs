//! F6: a chart's axis showed `64844 MiB` for 1.46 MiB: six decimals, clipped at the left.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{
    Direction, RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad, eventually,
};

use crate::exporter::Exporter;
use crate::stage::{LIMIT, entry};

/// Bytes behind that fall between two decimal steps of a binary unit.
const BEHIND: u64 = 1_300 * 1024;

/// The labels on the axes of a page's charts, from the top of each to its zero.
fn marks(page: &str) -> Vec<Vec<String>> {
    let charts = page.split("<svg class=\"chart").skip(1);
    let texts = |chart: &str| {
        let chart = chart.split("</svg>").next().unwrap_or_default();
        let marks = chart.split("<text class=\"tick y\"").skip(1);
        marks
            .filter_map(|mark| mark.split('>').nth(1)?.split('<').next())
            .filter(|text| *text != "UTC")
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    charts
        .map(texts)
        .filter(|marks| !marks.is_empty())
        .collect()
}

#[tokio::test]
async fn f06_an_axis_has_one_unit_and_no_tail_of_digits() {
    let master = RedisServer::builder().start().await.unwrap();
    let wan = WanProxy::start(None, master.addr(), WanConditions::default())
        .await
        .unwrap();
    let replica = RedisServer::builder()
        .replicaof(wan.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let pair = entry("orders", ("dc1", master.addr()), ("dc2", replica.addr()));
    let yaml = format!("poll: {{interval: 200ms, min_interval: 100ms}}\npairs:\n- {pair}\n");
    let exporter = Exporter::start(&yaml).await;
    wan.stall(Direction::Both);
    let load = WriteLoad {
        per_second: 200,
        value_bytes: 4096,
    };
    let writer = SteadyWriter::start(master.addr(), None, load);
    exporter
        .wait_for("orders", "1.3 MiB behind", LIMIT, |pair| {
            pair.lag_bytes.is_some_and(|bytes| bytes > BEHIND)
        })
        .await;
    drop(writer);
    let shown = || async {
        let all = marks(&exporter.get("/pairs/orders").await);
        let bytes = |marks: &&Vec<String>| marks.iter().any(|mark| mark.ends_with("iB"));
        let large = all.iter().filter(bytes).any(|marks| marks.len() > 2);
        if large {
            Ok(all)
        } else {
            Err(format!("{all:?}"))
        }
    };
    let all = eventually("a chart of bytes", Duration::from_secs(30), shown)
        .await
        .unwrap();
    for marks in &all {
        let units: Vec<_> = marks.iter().map(|mark| mark.split(' ').nth(1)).collect();
        assert!(units.iter().all(|unit| *unit == units[0]), "{marks:?}");
        assert!(marks.iter().all(|mark| mark.len() <= 9), "{marks:?}");
    }
}
