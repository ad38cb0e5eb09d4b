//! What most tests play on: a master, a WAN, a replica behind it, a writer, a receiver and the
//! exporter.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{
    RedisServer, RedisServerBuilder, SteadyWriter, WanConditions, WanProxy, WriteLoad,
};
use redis_cross_dc_exporter::model::ServerAddr;

use super::sampler::Sampler;
use crate::exporter::Exporter;
use crate::receiver::Receiver;

/// The name of the only pair.
pub(super) const PAIR: &str = "orders";
/// How long the machine may take for what takes a moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// A few writes: enough that lag is seen to the hundredth of a second.
pub(super) const LIGHT: WriteLoad = WriteLoad {
    per_second: 100,
    value_bytes: 100,
};
/// `lag_seconds` pages at five seconds at once.
pub(super) const LAG_RULE: &str = "lag_seconds: {warning: 5s, critical: null, for: 0s}";

/// What to set up.
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) load: Option<WriteLoad>,
    /// The section `alerts`, without its braces.
    pub(super) alerts: String,
    pub(super) master: RedisServerBuilder,
    pub(super) replica: RedisServerBuilder,
}

impl Default for Plan {
    fn default() -> Self {
        let server = RedisServer::builder;
        let (delay, alerts) = (Duration::ZERO, LAG_RULE.to_owned());
        Self {
            delay,
            load: Some(LIGHT),
            alerts,
            master: server(),
            replica: server(),
        }
    }
}

/// All that was set up, and the recording of it. Fields are dropped in this order.
pub(super) struct Stage {
    pub(super) sampler: Sampler,
    pub(super) exporter: Exporter,
    /// Writes for as long as the stage exists.
    pub(super) _writer: Option<SteadyWriter>,
    pub(super) receiver: Receiver,
    pub(super) wan: WanProxy,
    pub(super) replica: RedisServer,
    pub(super) master: RedisServer,
}

impl Stage {
    /// Sets up what is planned and waits until the pair is healthy.
    pub(super) async fn start(plan: Plan) -> Self {
        let master = plan.master.start().await.unwrap();
        let conditions = WanConditions {
            delay: plan.delay,
            ..WanConditions::default()
        };
        let wan = WanProxy::start(None, master.addr(), conditions)
            .await
            .unwrap();
        let replica = plan.replica.replicaof(wan.addr()).start().await.unwrap();
        replica.wait_until_in_sync(PATIENCE).await.unwrap();
        let writer = plan
            .load
            .map(|load| SteadyWriter::start(master.addr(), master.password(), load));
        let receiver = Receiver::start([]).await.unwrap();
        let pairs = [(PAIR, master.addr(), replica.addr())];
        let exporter = Exporter::start(&config(&pairs, &plan.alerts, Some(&receiver))).await;
        let sampler = Sampler::start(exporter.url());
        let stage = Self {
            sampler,
            exporter,
            _writer: writer,
            receiver,
            wan,
            replica,
            master,
        };
        stage.healthy("the pair to be healthy").await;
        stage
    }

    /// Waits until the pair is healthy.
    pub(super) async fn healthy(&self, what: &str) {
        self.sampler
            .wait_for(PAIR, what, PATIENCE, super::sampler::Sample::is_healthy)
            .await;
    }

    /// Waits for the end of an alert.
    pub(super) async fn no_alert(&self, name: &str) {
        let what = format!("the end of {name}");
        self.sampler
            .wait_for(PAIR, &what, PATIENCE, |sample| !sample.has_alert(name))
            .await;
    }
}

/// A configuration of pairs `(name, master, replica)`, polled once a second, whose alerts go out at
/// once.
pub(super) fn config(
    pairs: &[(&str, &ServerAddr, &ServerAddr)],
    alerts: &str,
    receiver: Option<&Receiver>,
) -> String {
    // A server has one datacenter: the replica that is another one's master stays in its own.
    let master_dc = |addr: &ServerAddr| {
        if pairs.iter().any(|(_, _, replica)| *replica == addr) {
            "dc2"
        } else {
            "dc1"
        }
    };
    let pair = |(name, master, replica): &(&str, &ServerAddr, &ServerAddr)| {
        let master = format!("{{address: '{master}', dc: {}}}", master_dc(master));
        format!(
            "  - {{name: {name}, master: {master}, replicas: [{{address: '{replica}', dc: dc2}}]}}\n"
        )
    };
    let pairs: String = pairs.iter().map(pair).collect();
    let hook = |receiver: &Receiver| {
        format!(
            "{{name: hook, webhook: {{url: '{}'}}}}",
            receiver.url("/hook")
        )
    };
    let receivers = receiver.map(hook).unwrap_or_default();
    format!(
        "poll: {{interval: 1s}}\npairs:\n{pairs}alerts: {{{alerts}}}\nnotify: {{group_wait: 0s, group_interval: 1s, receivers: [{receivers}]}}\n"
    )
}

/// A number of a server's INFO.
pub(super) async fn number(server: &RedisServer, section: &str, field: &str) -> u64 {
    server
        .info_field(section, field)
        .await
        .unwrap()
        .and_then(|text| text.parse().ok())
        .unwrap()
}
