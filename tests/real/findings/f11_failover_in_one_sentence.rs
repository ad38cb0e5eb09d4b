//! F11: a failover is one sentence, and the better statement about its loss stays when the old
//! master comes back empty.

use redis_cross_dc_exporter::lab::eventually;

use super::messages::{Scene, pass};
use crate::failover::replicaof;
use crate::stage::LIMIT;

#[tokio::test]
async fn f11_the_more_precise_loss_is_kept() {
    let mut scene = Scene::set().await;
    let writer = scene.writer();
    pass(2).await;
    scene.master.kill();
    writer.stop().await;
    scene.chat_says(&["master", "Failing over"]).await;
    replicaof(&scene.replica, None).await;
    let told = scene.chat_says(&["orders: failover, "]).await;
    let [old, new] = [scene.master.addr(), scene.replica.addr()].map(ToString::to_string);
    let begin = format!("[WARNING] orders: failover, {new} (dc2) took over from {old} (dc1) at ");
    assert!(told.starts_with(&begin), "{told}");
    let loss = told.split("; ").nth(1).unwrap_or_default().to_owned();
    // Whatever the last poll before the kill saw: nothing on its way, or some milliseconds of
    // writes.
    let bounds = ["at most the last ", "nothing lost that was written by "];
    assert!(bounds.iter().any(|bound| loss.starts_with(bound)), "{told}");
    pass(5).await;
    // It has no files: it comes back empty and follows no master.
    scene.master.restart().await.unwrap();
    let answers = || async {
        let servers = scene.exporter.pairs().await.servers;
        let is_up = servers
            .iter()
            .any(|server| server.server == old && server.up == Some(true));
        is_up.then_some(()).ok_or(format!("{servers:?}"))
    };
    eventually("the old master to answer", LIMIT, answers)
        .await
        .unwrap();
    pass(2).await;
    let alerts = scene.exporter.alerts().await.alerts;
    let failover = alerts
        .iter()
        .find(|alert| alert.alertname == "RedisCrossDcFailover");
    let summary = &failover.expect("the alert").summary;
    assert!(
        summary.contains(loss.trim_end_matches(['.', ' '])),
        "first {loss:?}, then {summary:?}"
    );
    let reason = failover
        .and_then(|alert| alert.reason.as_deref())
        .unwrap_or_default();
    assert!(!reason.contains("nobody saw how much"), "{reason}");
}
