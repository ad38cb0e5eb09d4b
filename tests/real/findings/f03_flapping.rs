//! A link that breaks again and again: a healthy pair is shown healthy, nobody is paged after it
//! healed, and an outage that lasts is paged all the same.

use redis_cross_dc_exporter::lab::{RedisServer, WanConditions, WanProxy, eventually};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{AlertReport, Level, ListedState, PairReport};
use serde_json::Value;

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};

const LINK_DOWN: &str = "RedisCrossDcLinkDown";

/// A pair over a line that can be cut, an exporter, and a receiver of its link's alerts.
struct Scene {
    _stage: Stage,
    line: WanProxy,
    exporter: Exporter,
    hook: Receiver,
}

impl Scene {
    async fn set(critical: &str, notify: &str) -> Self {
        let master = RedisServer::builder().start().await.unwrap();
        let line = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let builder = RedisServer::builder().replicaof(line.addr());
        let replica = builder.start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let stage = Stage { master, replica };
        let hook = Receiver::start([]).await.unwrap();
        let yaml = format!(
            "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
             alerts: {{link_down: {{warning: 500ms, critical: {critical}, for: 0s}}, \
             full_sync: {{warning: null, critical: null}}}}\n\
             pairs: [{}]\n\
             notify: {{{notify}, receivers: [{{name: hook, match: {{alertname: {LINK_DOWN}}}, \
             webhook: {{url: '{}'}}}}]}}\n",
            stage.entry("orders"),
            hook.url("/hook"),
        );
        let exporter = Exporter::start(&yaml).await;
        let scene = Self {
            _stage: stage,
            line,
            exporter,
            hook,
        };
        scene.streams().await;
        scene
    }

    async fn streams(&self) {
        let streams = |pair: &PairReport| pair.state == PairState::Streaming;
        self.exporter
            .wait_for("orders", "the pair to stream", LIMIT, streams)
            .await;
    }

    /// The link is down until its alert fires, and heals.
    async fn outage(&self) {
        self.line.cut().await;
        let down = |pair: &PairReport| pair.state == PairState::LinkDown;
        self.exporter
            .wait_for("orders", "the link to be down", LIMIT, down)
            .await;
        self.alert("the alert to fire", |alert| {
            alert.state == ListedState::Firing
        })
        .await;
        self.line.heal().await.unwrap();
        self.streams().await;
    }

    /// Waits until the link's alert meets `reached`.
    async fn alert(&self, what: &str, reached: impl Fn(&AlertReport) -> bool) -> AlertReport {
        let probe = || async {
            let mut alerts = self.exporter.alerts().await.alerts;
            alerts.retain(|alert| alert.alertname == LINK_DOWN);
            let alert = alerts.pop().ok_or("no alert")?;
            if reached(&alert) {
                Ok(alert)
            } else {
                Err(format!("{alert:?}"))
            }
        };
        eventually(what, LIMIT, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// What was sent so far, in order.
    fn said(&self) -> Vec<Value> {
        let requests = self.hook.requests();
        requests
            .iter()
            .map(|request| request.json().unwrap())
            .collect()
    }
}

#[tokio::test]
async fn f03_a_healed_link_is_shown_healthy_and_an_outage_that_lasts_is_paged() {
    let notify = "group_wait: 0s, group_interval: 100ms, \
                  flapping: {changes: 2, window: 1h, stable_for: 1h}";
    let scene = Scene::set("20s", notify).await;
    let healthy = |pair: &PairReport| pair.level() == Level::Ok && pair.alerts.is_empty();
    for _ in 0..3 {
        scene.outage().await;
        scene
            .exporter
            .wait_for("orders", "the pair to be shown healthy", LIMIT, healthy)
            .await;
    }
    let alert = scene
        .alert("the end of the third outage", |alert| {
            alert.state == ListedState::Resolved
        })
        .await;
    assert!(alert.flapping, "{alert:?}");
    let said = scene.said();
    let reasons: Vec<_> = said.iter().map(|body| body["reason"].clone()).collect();
    assert_eq!(
        reasons,
        ["first", "resolved", "first", "flapping"],
        "{said:#?}"
    );
    let clear = &said[3]["alerts"][0];
    assert_eq!(clear["status"], "resolved", "{clear:#}");

    scene.line.cut().await;
    let critical = |received: &redis_cross_dc_exporter::lab::Received| {
        let body = received.json().unwrap_or_default();
        body["reason"] == "escalated" && body["commonLabels"]["severity"] == "critical"
    };
    scene
        .hook
        .wait_for("the page of an outage that lasts", LIMIT * 2, critical)
        .await
        .unwrap();
}

#[tokio::test]
async fn f03_short_outages_are_not_paged_after_they_healed() {
    let notify = "group_wait: 20s, group_interval: 100ms, \
                  flapping: {changes: 2, window: 1h, stable_for: 25s}";
    let scene = Scene::set("1h", notify).await;
    for _ in 0..3 {
        scene.outage().await;
    }
    let is_stable = |alert: &AlertReport| alert.state == ListedState::Resolved && !alert.flapping;
    let probe = || async {
        let alerts = scene.exporter.alerts().await.alerts;
        let mut alerts = alerts.iter().filter(|alert| alert.alertname == LINK_DOWN);
        alerts.all(is_stable)
    };
    eventually("the link to be stable", LIMIT * 3, probe)
        .await
        .unwrap();
    assert_eq!(scene.said(), Vec::<Value>::new());
}
