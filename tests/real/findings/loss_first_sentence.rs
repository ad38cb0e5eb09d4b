//! The first sentence of a message names what would be lost now: by the writer's own numbers.

use redis_cross_dc_exporter::lab::{Direction, RedisServer};

use super::messages::{Scene, pass};

async fn number(server: &RedisServer, field: &str) -> u64 {
    let text = server.info_field("replication", field).await.unwrap();
    text.unwrap().parse().unwrap()
}

/// As messages write it.
fn kibibytes(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

#[tokio::test]
async fn loss_a_stall_names_the_bytes_and_seconds_that_would_be_lost() {
    let scene = Scene::set().await;
    scene.link.stall(Direction::Both);
    pass(1).await;
    for n in 0..50 {
        let (key, value) = (format!("k{n}"), "x".repeat(100));
        scene.master.command(&["SET", &key, &value]).await.unwrap();
    }
    let firing = scene.chat_says(&["[CRITICAL]", "stalled for"]).await;
    let written = number(&scene.master, "master_repl_offset").await;
    let had = number(&scene.replica, "slave_repl_offset").await;
    let lost = kibibytes(written - had);
    assert!(
        firing.starts_with("[CRITICAL] orders dc1 → dc2 stalled for "),
        "{firing}"
    );
    let first: String = firing.chars().take(110).collect();
    assert!(first.contains("If dc1 died now"), "{first}");
    assert!(
        firing.contains(&format!("of writes, {lost}, would be lost")),
        "{lost}: {firing}"
    );
    assert!(
        firing.contains("acklog"),
        "how long the backlog lasts: {firing}"
    );
    let alerts = scene.exporter.alerts().await.alerts;
    let link = alerts
        .iter()
        .find(|alert| alert.alertname == "RedisCrossDcLinkDown");
    assert!(
        link.is_some_and(|alert| alert.summary.contains(&lost)),
        "{alerts:#?}"
    );
    let pair = scene.exporter.pair("orders").await;
    assert!(pair.summary.contains(&lost), "{}", pair.summary);
}

#[tokio::test]
async fn loss_a_dead_master_names_its_pairs_and_the_loss_of_a_failover() {
    let mut scene = Scene::set().await;
    let writer = scene.writer();
    pass(2).await;
    scene.master.kill();
    let firing = scene.chat_says(&["[CRITICAL]", "Failing over"]).await;
    let begin = format!(
        "[CRITICAL] orders: master {} (dc1) has ",
        scene.master.addr()
    );
    assert!(firing.starts_with(&begin), "{firing}");
    // Whatever the last poll before the kill saw: nothing on its way, or some milliseconds of
    // writes.
    let loss = firing
        .split("Failing over to dc2 now loses ")
        .nth(1)
        .unwrap_or_default();
    let bounded = loss.starts_with("at most the last ") && loss.contains("(certain as of ");
    let had_all = loss.starts_with("nothing that was written by ");
    assert!(bounded || had_all, "{firing}");
    writer.stop().await;
}
