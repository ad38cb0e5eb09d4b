//! What a chat and a webhook were sent, for the tests of messages.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{
    Answer, Received, RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad,
};
use redis_cross_dc_exporter::report::PairReport;
use serde_json::Value;

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, entry};

/// A steady trickle of writes.
pub(super) const LOAD: WriteLoad = WriteLoad {
    per_second: 100,
    value_bytes: 100,
};

/// Quick polls and low thresholds: a stall is notified after seconds.
const RULES: &str = "\
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}
alerts:
  link_down: {warning: 2s, critical: 6s}
  unreachable: {warning: 1s, critical: 3s}
";

/// A master in dc1, a replica in dc2, a link between them that can be stalled, an exporter and what
/// it sends.
pub(super) struct Scene {
    pub(super) exporter: Exporter,
    pub(super) chat: Receiver,
    pub(super) hook: Receiver,
    pub(super) link: WanProxy,
    pub(super) replica: RedisServer,
    pub(super) master: RedisServer,
    configuration: String,
}

impl Scene {
    /// Starts everything and waits until the pair streams.
    pub(super) async fn set() -> Self {
        let quiet = "repl-ping-replica-period 3600";
        let master = RedisServer::builder().config(quiet).start().await.unwrap();
        let link = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder().config(quiet).replicaof(link.addr());
        let replica = replica.start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let chat = Receiver::start([] as [Answer; 0]).await.unwrap();
        let hook = Receiver::start([] as [Answer; 0]).await.unwrap();
        let pair = entry("orders", ("dc1", master.addr()), ("dc2", replica.addr()));
        let receivers = format!(
            "{{name: chat, slack: {{webhook_url: '{}'}}}}, {{name: hook, webhook: {{url: '{}'}}}}",
            chat.url("/slack"),
            hook.url("/hook")
        );
        let configuration = format!(
            "{RULES}pairs: [{pair}]\nnotify: {{group_wait: 0s, group_interval: 100ms, \
             receivers: [{receivers}]}}\n"
        );
        let exporter = Exporter::start_admin(&configuration).await;
        let streams = |pair: &PairReport| pair.link_up && pair.lag_seconds.is_some();
        exporter
            .wait_for("orders", "the pair to stream", LIMIT, streams)
            .await;
        Self {
            exporter,
            chat,
            hook,
            link,
            replica,
            master,
            configuration,
        }
    }

    /// Its configuration, with the address at which people reach it.
    pub(super) fn configuration_with_url(&self) -> String {
        let url = format!("notify: {{external_url: '{}', ", self.exporter.url());
        self.configuration.replace("notify: {", &url)
    }

    /// Writes until it is dropped.
    pub(super) fn writer(&self) -> SteadyWriter {
        SteadyWriter::start(self.master.addr(), None, LOAD)
    }

    /// The chat's next message, past or future, that holds all of `words`.
    pub(super) async fn chat_says(&self, words: &[&str]) -> String {
        let fits = |request: &Received| {
            let text = preview(request);
            words.iter().all(|word| text.contains(word))
        };
        let found = self.chat.wait_for(&words.join(", "), LIMIT, fits).await;
        let found = found.unwrap_or_else(|error| panic!("{error}\n{}", self.chat_so_far()));
        preview(&found)
    }

    fn chat_so_far(&self) -> String {
        let texts: Vec<String> = self.chat.requests().iter().map(preview).collect();
        texts.join("\n")
    }

    /// The webhook's first alert of this name with this status.
    pub(super) async fn hook_says(&self, alertname: &str, status: &str) -> Value {
        let alert_of = |request: &Received| {
            let body = request.json().unwrap_or_default();
            let alerts = body["alerts"].as_array().cloned().unwrap_or_default();
            alerts.into_iter().find(|alert| {
                alert["status"] == status && alert["labels"]["alertname"] == alertname
            })
        };
        let what = format!("{alertname} {status}");
        let fits = |request: &Received| alert_of(request).is_some();
        let found = self.hook.wait_for(&what, LIMIT, fits).await.unwrap();
        alert_of(&found).unwrap()
    }
}

/// What a lock screen shows.
fn preview(request: &Received) -> String {
    let body = request.json().unwrap_or_default();
    let text = body["text"].as_str().unwrap_or_default();
    text.replace("&gt;", ">")
        .replace("&lt;", "<")
        .replace("&amp;", "&")
}

/// Seconds of the day of the first `HH:MM:SS` after `word` in `text`.
pub(super) fn time_after(text: &str, word: &str) -> f64 {
    let (_, rest) = text
        .split_once(word)
        .unwrap_or_else(|| panic!("{word:?} is not said in {text:?}"));
    let time = rest.get(..8).unwrap_or_default();
    let parts: Vec<f64> = time
        .split(':')
        .filter_map(|part| part.parse().ok())
        .collect();
    let [hours, minutes, seconds] = parts[..] else {
        panic!("no time of day after {word:?} in {text:?}");
    };
    hours * 3600.0 + minutes * 60.0 + seconds
}

/// The seconds of the UTC day now.
pub(super) fn time_of_day() -> f64 {
    redis_cross_dc_exporter::clock::wall_now().as_secs_f64() % 86_400.0
}

/// How far two times of day are apart.
pub(super) fn apart(one: f64, other: f64) -> f64 {
    let direct = (one - other).abs();
    direct.min(86_400.0 - direct)
}

/// Some seconds in which nothing happens.
pub(super) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
