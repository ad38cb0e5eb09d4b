//! The program is killed at random moments while servers come and go and receivers misbehave:
//! nothing is lost, nothing stays open, and what is sent twice has one id.

mod receivers;
mod verdict;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{RedisServer, WanConditions, WanProxy, eventually};
use redis_cross_dc_exporter::report::{AlertReport, DeliveriesReport, ListedState};

use crate::exporter::Exporter;
use crate::stage::{LIMIT, entry};
use receivers::Receivers;

/// How long the notification of a start or an end may take, however often the program is killed
/// in between: failed attempts wait for up to a minute.
const HEARD: Duration = Duration::from_mins(4);

/// The longest that the program lives.
const LONGEST_LIFE_MS: u64 = 1_500;

/// How many replicas there are, each in a separate datacenter.
const REPLICAS: usize = 3;

/// A master and its replicas, which the exporter reaches over lines that can be cut.
struct Scene {
    _servers: Vec<RedisServer>,
    lines: Vec<WanProxy>,
    pairs: Vec<String>,
}

impl Scene {
    async fn set() -> Self {
        let master = RedisServer::builder().start().await.unwrap();
        let (mut servers, mut lines, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..REPLICAS {
            let replica = RedisServer::builder()
                .replicaof(master.addr())
                .start()
                .await
                .unwrap();
            replica.wait_until_in_sync(LIMIT).await.unwrap();
            let line = WanProxy::start(None, replica.addr(), WanConditions::default())
                .await
                .unwrap();
            let dc = format!("dc{}", n + 2);
            pairs.push(entry(
                &format!("pair{n}"),
                ("dc1", master.addr()),
                (&dc, line.addr()),
            ));
            servers.push(replica);
            lines.push(line);
        }
        servers.push(master);
        Self {
            _servers: servers,
            lines,
            pairs,
        }
    }

    fn config(&self, receivers: &Receivers) -> String {
        let quick = "poll: {interval: 100ms, min_interval: 100ms, timeout: {local: 300ms, remote: 300ms}}\n\
                     alerts: {unreachable: {warning: 500ms, critical: 3s}, unknown: {warning: 700ms, critical: null}}\n";
        // Some episodes within ten minutes would make the alerts flap: they would not be told to
        // fire again, nor to be over until they were quiet for longer than an episode waits.
        let notify =
            "flapping: null, group_wait: 100ms, group_interval: 300ms, repeat_interval: 5s";
        format!(
            "{quick}pairs: [{}]\nnotify: {{{notify}, receivers: [{}]}}\n",
            self.pairs.join(", "),
            receivers.config()
        )
    }

    /// Cuts some lines, waits until everybody has heard, heals them, and waits until everybody
    /// knows that.
    async fn episode(&self, rng: &mut Rng, receivers: &Receivers) {
        let mut cut: Vec<_> = self.lines.iter().filter(|_| rng.bool()).collect();
        if cut.is_empty() {
            cut.push(&self.lines[rng.usize(..REPLICAS)]);
        }
        let since = receivers.count();
        for line in &cut {
            line.cut().await;
            receivers.rotate_key(rng);
        }
        let servers: Vec<_> = cut.iter().map(|line| line.addr().to_string()).collect();
        receivers
            .have_heard(&servers, "firing", &since, HEARD)
            .await;
        for line in &cut {
            line.heal().await.unwrap();
        }
        receivers
            .have_heard(&servers, "resolved", &since, HEARD)
            .await;
    }
}

/// How long the receivers get for what was sent before a kill.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// Kills the program this many times.
async fn crash(kills: usize, seed: u64) {
    eprintln!("replay: CRASH_SEED={seed} CRASH_KILLS={kills} make crash");
    let mut rng = Rng::with_seed(seed);
    let receivers = Receivers::start(&mut rng).await;
    let scene = Scene::set().await;
    let mut exporter = Exporter::start(&scene.config(&receivers)).await;
    let killed = AtomicUsize::new(0);
    let mut moments = Vec::new();
    let mut fate = rng.fork();
    let reaper = async {
        while killed.load(Ordering::Relaxed) < kills {
            tokio::time::sleep(Duration::from_millis(fate.u64(10..LONGEST_LIFE_MS))).await;
            exporter.kill();
            // What was sent before the kill is read before its moment is noted: the receivers run
            // in this thread, and a request may still lie in a socket.
            tokio::time::sleep(LAST_REQUESTS).await;
            moments.push(clock::now());
            exporter.relaunch();
            killed.fetch_add(1, Ordering::Relaxed);
        }
    };
    let story = async {
        let mut episodes = 0;
        while killed.load(Ordering::Relaxed) < kills {
            scene.episode(&mut rng, &receivers).await;
            episodes += 1;
        }
        episodes
    };
    let ((), episodes) = tokio::join!(reaper, story);
    receivers.become_good();
    exporter.until_ready().await;
    everything_is_sent(&exporter).await;
    receivers.are_quiet(HEARD).await;
    verdict::check(&receivers, &moments, episodes);
}

/// Waits until nothing fires and nothing waits to be sent: each datacenter is a separate group, and
/// what failed in one of them is tried again after up to a minute.
async fn everything_is_sent(exporter: &Exporter) {
    let sent = || async {
        let deliveries = exporter.get("/api/v1/deliveries").await;
        let deliveries: DeliveriesReport = serde_json::from_str(&deliveries).unwrap();
        let waiting = deliveries.waiting.len();
        let alerts = exporter.alerts().await.alerts;
        let is_open = |alert: &&AlertReport| alert.state != ListedState::Resolved;
        let open = alerts.iter().filter(is_open).count();
        if waiting + open == 0 {
            Ok(())
        } else {
            Err(format!(
                "{waiting} notifications wait, {open} alerts are open"
            ))
        }
    };
    eventually("everything to be sent", HEARD, sent)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn twenty_kills_lose_nothing_and_leave_nothing_open() {
    crash(20, 20).await;
}

/// `make crash`: `CRASH_SEED`, or a new one, and `CRASH_KILLS`.
#[tokio::test]
#[ignore = "ten minutes long: `make crash`"]
async fn many_kills_lose_nothing_and_leave_nothing_open() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("CRASH_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    crash(
        number("CRASH_KILLS").map_or(500, |kills| usize::try_from(kills).unwrap()),
        seed,
    )
    .await;
}
