//! At the moment of recovery the effects of what is over go on for a second: nobody is told of them
//! before `group_wait` has passed, Alertmanager neither.

use redis_cross_dc_exporter::lab::{Received, RedisServer, WanConditions, WanProxy, eventually};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{ListedState, PairReport};

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};

const LINK_DOWN: &str = "RedisCrossDcLinkDown";
const UNREACHABLE: &str = "RedisCrossDcServerUnreachable";

/// The alert's state, if it is listed.
async fn state_of(exporter: &Exporter, name: &str) -> Option<ListedState> {
    let alerts = exporter.alerts().await.alerts;
    let alert = alerts.into_iter().find(|alert| alert.alertname == name)?;
    Some(alert.state)
}

async fn wait_until(exporter: &Exporter, name: &str, state: ListedState) {
    let reached = || async { state_of(exporter, name).await == Some(state) };
    eventually(&format!("{name} to be {state:?}"), LIMIT, reached)
        .await
        .unwrap();
}

fn mention(receiver: &Receiver, name: &str) -> usize {
    let requests = receiver.requests();
    requests
        .iter()
        .filter(|request| request.text().contains(name))
        .count()
}

#[tokio::test]
async fn f13_an_effect_is_sent_only_group_wait_after_its_cause_ended() {
    let master = RedisServer::builder().start().await.unwrap();
    let line = WanProxy::start(None, master.addr(), WanConditions::default())
        .await
        .unwrap();
    let builder = RedisServer::builder().replicaof(line.addr());
    let replica = builder.start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let mut stage = Stage { master, replica };
    let (am, hook) = (
        Receiver::start([]).await.unwrap(),
        Receiver::start([]).await.unwrap(),
    );
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         alerts: {{unreachable: {{warning: null, critical: 1s}}, \
         link_down: {{warning: null, critical: 1s, for: 0s}}, \
         full_sync: {{warning: null, critical: null}}}}\n\
         pairs: [{}]\n\
         notify: {{group_wait: 20s, receivers: [\
         {{name: am, alertmanager: {{urls: ['{}'], interval: 1s}}}}, \
         {{name: hook, webhook: {{url: '{}'}}}}]}}\n",
        stage.entry("orders"),
        am.url(""),
        hook.url("/hook"),
    );
    let exporter = Exporter::start(&yaml).await;
    let streams = |pair: &PairReport| pair.state == PairState::Streaming;
    exporter
        .wait_for("orders", "the pair to stream", LIMIT, streams)
        .await;

    // The master is away, and when it is back its replica does not reach it yet.
    stage.master.kill();
    wait_until(&exporter, UNREACHABLE, ListedState::Firing).await;
    let told = |received: &Received| received.text().contains(UNREACHABLE);
    am.wait_for("the cause at Alertmanager", LIMIT, told)
        .await
        .unwrap();
    hook.wait_for("the cause", LIMIT, told).await.unwrap();
    line.cut().await;
    stage.master.restart().await.unwrap();
    wait_until(&exporter, LINK_DOWN, ListedState::Firing).await;
    wait_until(&exporter, UNREACHABLE, ListedState::Resolved).await;

    // Alertmanager gets the current state each second.
    let heard = am.requests().len();
    let three_more = || async { am.requests().len() >= heard + 3 };
    eventually("three more requests", LIMIT, three_more)
        .await
        .unwrap();
    assert_eq!(
        mention(&am, LINK_DOWN),
        0,
        "the effect leaked to Alertmanager"
    );
    assert_eq!(mention(&hook, LINK_DOWN), 0, "the effect leaked");

    // It does not end, so it is no mere effect.
    let effect = |received: &Received| received.text().contains(LINK_DOWN);
    am.wait_for("what stays true, at Alertmanager", LIMIT * 2, effect)
        .await
        .unwrap();
    hook.wait_for("what stays true", LIMIT * 2, effect)
        .await
        .unwrap();
}
