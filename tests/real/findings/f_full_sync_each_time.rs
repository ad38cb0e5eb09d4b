//! Incident 5 of the trial: a full sync while the alert about an earlier one fired was notified to
//! nobody, and nothing said of how much it was, how fast, and until when.

use redis_cross_dc_exporter::lab::{Received, RedisServer, WanConditions, WanProxy};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairReport;

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, entry};

const PAIR: &str = "orders";

/// The data set: what the slow link carries in some eight seconds.
const KEYS: &str = "4000";
const VALUE_BYTES: &str = "10000";
const RATE: u64 = 5_000_000;

struct Scene {
    master: RedisServer,
    wan: WanProxy,
    exporter: Exporter,
    receiver: Receiver,
}

impl Scene {
    async fn set() -> (Self, RedisServer) {
        let master = RedisServer::builder()
            .allow_debug()
            .config("repl-backlog-size 16kb")
            .config("repl-diskless-sync no")
            .config("rdbcompression no")
            .start()
            .await
            .unwrap();
        let wan = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .replicaof(wan.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let populate = ["DEBUG", "POPULATE", KEYS, "big", VALUE_BYTES];
        master.command(&populate).await.unwrap();
        let receiver = Receiver::start([]).await.unwrap();
        let pair = entry(PAIR, ("dc1", master.addr()), ("dc2", replica.addr()));
        let hook = format!(
            "{{name: hook, match: {{alertname: RedisCrossDcFullSync}}, webhook: {{url: '{}'}}}}",
            receiver.url("/hook")
        );
        let exporter = Exporter::start(&format!(
            "poll: {{interval: 200ms, min_interval: 100ms}}\npairs: [{pair}]\n\
             notify: {{group_wait: 1s, group_interval: 100ms, receivers: [{hook}]}}\n"
        ))
        .await;
        let scene = Self {
            master,
            wan,
            exporter,
            receiver,
        };
        scene.is(PairState::Streaming).await;
        (scene, replica)
    }

    async fn is(&self, state: PairState) -> PairReport {
        let what = format!("the state {state}");
        self.exporter
            .wait_for(PAIR, &what, LIMIT, |pair| pair.state == state)
            .await
    }

    /// Cuts the link for longer than the backlog lasts, and lets a full sync begin.
    async fn force_full_sync(&self) {
        self.wan.cut().await;
        let beyond = ["SET", "beyond-the-backlog", &"x".repeat(200_000)];
        self.master.command(&beyond).await.unwrap();
        self.is(PairState::LinkDown).await;
        self.wan.set_rate(Some(RATE));
        self.wan.heal().await.unwrap();
    }

    async fn notified(&self, reason: &str) -> Received {
        let fits = |received: &Received| {
            received
                .json()
                .is_ok_and(|body| body["status"] == "firing" && body["reason"] == reason)
        };
        self.receiver.wait_for(reason, LIMIT, fits).await.unwrap()
    }
}

#[tokio::test]
async fn f_full_sync_is_notified_each_time_with_its_progress() {
    let (scene, replica) = Scene::set().await;
    for reason in ["first", "happened_again"] {
        scene.force_full_sync().await;
        let told = scene.notified(reason).await;
        let address = replica.addr().to_string();
        assert!(told.text().contains(&address), "{}", told.text());
        let what = "size, rate and the time that is left";
        scene
            .exporter
            .wait_for(PAIR, what, LIMIT, |pair| {
                let said = [" MiB of ", " read, ", " MiB/s, ~", " left"];
                said.iter().all(|words| pair.reason.contains(words))
            })
            .await;
        scene.wan.set_rate(None);
        scene.is(PairState::Streaming).await;
    }
}
