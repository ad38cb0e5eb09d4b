//! Another exporter (`redis_exporter`, as Debian ships it) beside ours: what its signals show of
//! the same pair.

use std::collections::VecDeque;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::http_client::{HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::{eventually, ports};
use redis_cross_dc_exporter::model::{ServerAddr, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::scraper::value_of;
use super::truth::seconds;

const PROGRAM: &str = "prometheus-redis-exporter";
/// It is scraped about once a second, and never in step with the servers' own 1 Hz.
const PERIOD: Duration = Duration::from_millis(1030);
/// How long it may take to start or to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// The window of the write rate by which bytes are divided, in seconds: that of `rate(...[1m])`.
const RATE_WINDOW: f64 = 60.0;

/// Its signals that people take for a lag in seconds.
pub(super) const SIGNALS: [&str; 3] = [
    "connected_slave_lag_seconds",
    "master_last_io_seconds_ago",
    "bytes / write rate",
];

/// Its values at one instant, which lies between `asked` and `answered`; a signal for each of
/// [`SIGNALS`].
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerReading {
    pub(super) asked: Timestamp,
    pub(super) answered: Timestamp,
    pub(super) signals: [Option<f64>; SIGNALS.len()],
}

/// The running exporter: one process for all takes. On drop it ends.
pub(super) struct Peer {
    child: Child,
    url: String,
    client: HttpClient,
}

impl Peer {
    /// Starts it; `None` when it is not installed.
    pub(super) async fn start() -> Option<Self> {
        let listen = format!("127.0.0.1:{}", ports::free().unwrap());
        let mut command = Command::new(PROGRAM);
        command.args(["--redis.addr=", &format!("--web.listen-address={listen}")]);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let client = HttpClient::for_exporter(HttpTimeouts {
            connect: LIMIT,
            total: LIMIT,
        })
        .unwrap();
        let peer = Self {
            child,
            url: format!("http://{listen}"),
            client,
        };
        let answers = || async {
            peer.client
                .get(&format!("{}/health", peer.url))
                .await
                .is_ok()
        };
        eventually(&format!("the start of {PROGRAM}"), LIMIT, answers)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Some(peer)
    }

    /// Watches a pair until the watch is dropped.
    pub(super) fn watch(self: &Arc<Self>, master: &ServerAddr, replica: &ServerAddr) -> PeerWatch {
        let readings = Arc::default();
        let task = tokio::spawn(watch(
            Arc::clone(self),
            [master.clone(), replica.clone()],
            Arc::clone(&readings),
        ));
        PeerWatch { readings, task }
    }

    /// Its metrics about `server`; empty when it does not answer.
    async fn scrape(&self, server: &ServerAddr) -> String {
        let answer = self
            .client
            .get(&format!("{}/scrape?target=redis://{server}", self.url))
            .await;
        answer.map(|answer| answer.body).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pair that is being watched. On drop it is not any more.
pub(super) struct PeerWatch {
    readings: Arc<Mutex<Vec<PeerReading>>>,
    task: JoinHandle<()>,
}

impl PeerWatch {
    /// What was read.
    pub(super) fn readings(self) -> Vec<PeerReading> {
        std::mem::take(&mut self.readings.lock().unwrap())
    }
}

impl Drop for PeerWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(
    peer: Arc<Peer>,
    [master, replica]: [ServerAddr; 2],
    readings: Arc<Mutex<Vec<PeerReading>>>,
) {
    let mut rate = Rate::default();
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = clock::now();
        let (of_master, of_replica) = tokio::join!(peer.scrape(&master), peer.scrape(&replica));
        let answered = clock::now();
        let written = value(&of_master, "redis_master_repl_offset");
        let applied = value(&of_replica, "redis_slave_repl_offset");
        let per_second = written.and_then(|written| rate.add(answered, written));
        let behind = written
            .zip(applied)
            .map(|(written, applied)| written - applied);
        let signals = [
            value(&of_master, "redis_connected_slave_lag_seconds"),
            // -1 means \"no link\".
            value(&of_replica, "redis_master_last_io_seconds_ago").filter(|age| *age >= 0.0),
            behind
                .zip(per_second)
                .map(|(bytes, rate)| bytes / rate)
                .filter(|lag| lag.is_finite()),
        ];
        readings.lock().unwrap().push(PeerReading {
            asked,
            answered,
            signals,
        });
    }
}

/// The value of the first series called `name`.
fn value(text: &str, name: &str) -> Option<f64> {
    let is_it = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    value_of(text.lines().find(is_it)?)
}

/// Bytes a second over the last minute, as `rate(...[1m])` makes it.
#[derive(Default)]
struct Rate(VecDeque<(Timestamp, f64)>);

impl Rate {
    fn add(&mut self, at: Timestamp, counter: f64) -> Option<f64> {
        if self.0.back().is_some_and(|(_, before)| counter < *before) {
            self.0.clear();
        }
        self.0.push_back((at, counter));
        while self
            .0
            .front()
            .is_some_and(|(oldest, _)| seconds(*oldest, at) > RATE_WINDOW)
        {
            self.0.pop_front();
        }
        let (since, before) = *self.0.front()?;
        let elapsed = seconds(since, at);
        (elapsed > 0.0).then(|| (counter - before) / elapsed)
    }
}

#[test]
fn the_other_exporters_series_are_found_by_their_whole_name() {
    let text = "# TYPE redis_x gauge\nredis_x_more 1\nredis_x{a=\"b c\"} 2\nredis_y 3\n";
    assert_eq!(
        [
            value(text, "redis_x"),
            value(text, "redis_y"),
            value(text, "redis_z")
        ],
        [Some(2.0), Some(3.0), None]
    );
    let at = |secs: i64| Timestamp::from_nanos(secs * 1_000_000_000);
    let mut rate = Rate::default();
    assert_eq!(
        [
            rate.add(at(0), 5.0),
            rate.add(at(10), 25.0),
            rate.add(at(20), 3.0)
        ],
        [None, Some(2.0), None]
    );
}
