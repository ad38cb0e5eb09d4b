//! Servers that hang, babble, flood and refuse: each is named for what it does, and none costs another one a thing.

use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::{ErrorReply, HostileServer, Misbehaviour, RedisServer, eventually, ports};
use redis_cross_dc_exporter::model::ServerAddr;
use tokio::time::{MissedTickBehavior, interval};

use crate::exporter::Exporter;
use crate::scrape::{Distribution, Scrape};
use crate::stage::{LIMIT, Stage, entry};

/// Fast rounds, so that ten seconds are a hundred of them; no faster ones in trouble, so that rates compare.
const POLL: &str = "poll: {interval: 100ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}";

/// Scrapes in a window of ten seconds.
const SCRAPES: u32 = 50;
const SCRAPE_EVERY: Duration = Duration::from_millis(200);

/// A bucket of the lateness histogram: no hostile server may make a poll of another one later than this.
const LATE: f64 = 0.25;

/// Nor may polls be later by this much on average: a tree that waits for a hung server each round is later by 25 ms.
const LATER: f64 = 0.01;

/// What the whole exporter may take: a flood is cut off, not collected.
const MEMORY: f64 = 200e6;

/// Every misbehaviour with the reason that it must be counted under.
fn misbehaviours() -> Vec<(Misbehaviour, &'static str)> {
    let error = Misbehaviour::Error;
    vec![
        (Misbehaviour::Hang, "timeout"),
        (Misbehaviour::Garbage, "protocol"),
        (Misbehaviour::EndlessLine, "too_large"),
        (Misbehaviour::HugeBulk, "too_large"),
        (Misbehaviour::Drip(Duration::from_millis(50)), "timeout"),
        (Misbehaviour::Reset, "reset"),
        (Misbehaviour::CloseOnCommand, "reset"),
        (Misbehaviour::Http, "protocol"),
        (error(ErrorReply::Loading), "loading"),
        (error(ErrorReply::NoAuth), "auth"),
        (error(ErrorReply::NoPerm), "denied"),
        (error(ErrorReply::MaxClients), "max_clients"),
    ]
}

/// One server that never gives a usable answer.
struct Foe {
    name: String,
    addr: ServerAddr,
    reason: &'static str,
    _server: Option<HostileServer>,
}

/// A server of every kind that there is.
async fn foes() -> Vec<Foe> {
    let mut foes = Vec::new();
    for (misbehaviour, reason) in misbehaviours() {
        let server = HostileServer::start(misbehaviour).await.unwrap();
        let (name, addr) = (format!("{misbehaviour:?}"), server.addr().clone());
        foes.push(Foe { name, addr, reason, _server: Some(server) });
    }
    let nowhere = [
        ("refused port", ServerAddr::new("127.0.0.1", ports::free().unwrap()), "refused"),
        // RFC 6761, section 6.4: this top-level domain never resolves.
        ("no such name", ServerAddr::new("nobody.invalid", ports::free().unwrap()), "dns"),
    ];
    foes.extend(nowhere.map(|(name, addr, reason)| Foe { name: name.to_owned(), addr, reason, _server: None }));
    foes
}

/// What was seen of the healthy servers, and of the exporter, in ten seconds.
struct Window {
    what: &'static str,
    polls_per_second: Vec<f64>,
    lateness: Vec<Distribution>,
    scrape: Duration,
    memory: f64,
}

impl Window {
    /// Looks for ten seconds at the servers of `dcs`, each the only one of its datacenter.
    async fn observe(what: &'static str, exporter: &Exporter, dcs: &[&str]) -> Self {
        let (began, before) = (Instant::now(), Scrape::of(exporter).await);
        let mut tick = interval(SCRAPE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut took, mut memory) = (Vec::new(), 0.0_f64);
        for _ in 0..SCRAPES {
            tick.tick().await;
            let began = Instant::now();
            let scrape = Scrape::of(exporter).await;
            took.push(began.elapsed());
            memory = memory.max(scrape.value("process_resident_memory_bytes", &[]).unwrap());
        }
        let (seconds, after) = (began.elapsed().as_secs_f64(), Scrape::of(exporter).await);
        took.sort_unstable();
        let polls = |scrape: &Scrape, dc| scrape.value("redis_cross_dc_polls_total", &[("dc", dc)]).unwrap();
        let lateness = |scrape: &Scrape, dc| scrape.distribution("redis_cross_dc_poll_lateness_seconds", &[("dc", dc)]);
        let window = Self {
            what,
            polls_per_second: dcs.iter().map(|dc| (polls(&after, dc) - polls(&before, dc)) / seconds).collect(),
            lateness: dcs.iter().map(|dc| &lateness(&after, dc) - &lateness(&before, dc)).collect(),
            scrape: took[took.len() / 2],
            memory,
        };
        window.print(dcs);
        window
    }

    fn print(&self, dcs: &[&str]) {
        for ((dc, rate), late) in dcs.iter().zip(&self.polls_per_second).zip(&self.lateness) {
            eprintln!(
                "{:<24} {dc:<8} {rate:5.1} polls/s, {:4} polls, lateness mean {:.2} ms, p99 <= {:5.1} ms, max <= {:.1} ms",
                self.what,
                late.count,
                late.mean() * 1e3,
                late.quantile(0.99) * 1e3,
                late.quantile(1.0) * 1e3,
            );
        }
        eprintln!("{:<24} scrape median {:.2?}, memory {:.0} MB", self.what, self.scrape, self.memory / 1e6);
    }

    /// Checks that polls went on as in the `quiet` window.
    fn is_as_on_time_as(&self, quiet: &Self) {
        for (rate, quiet_rate) in self.polls_per_second.iter().zip(&quiet.polls_per_second) {
            let change = rate / quiet_rate - 1.0;
            assert!(change.abs() <= 0.1, "{}: {rate} polls/s instead of {quiet_rate}", self.what);
        }
        for (late, quiet_late) in self.lateness.iter().zip(&quiet.lateness) {
            let (now, before) = (late.above(LATE), quiet_late.above(LATE));
            assert!(now <= before, "{}: {now} polls were later than {LATE} s, and {before} without", self.what);
            let (mean, quiet_mean) = (late.mean(), quiet_late.mean());
            assert!(mean <= quiet_mean + LATER, "{}: late by {mean} s, and {quiet_mean} s without", self.what);
        }
    }
}

/// A configuration with these entries of `pairs`.
fn configuration(pairs: &[String]) -> String {
    format!("{POLL}\npairs: [{}]\n", pairs.join(", "))
}

/// Gives `exporter` these pairs instead.
fn reconfigure(exporter: &Exporter, pairs: &[String]) {
    std::fs::write(exporter.config(), configuration(pairs)).unwrap();
    exporter.signal("HUP");
}

/// The reasons for which polls of `addr` failed.
fn reasons(scrape: &Scrape, addr: &ServerAddr) -> Vec<String> {
    let server = addr.to_string();
    scrape.label_values("redis_cross_dc_poll_errors_total", &[("server", &server)], "reason").into_iter().collect()
}

/// Waits until polls of each foe have failed for its reason, and checks that they never failed for another one.
async fn each_is_named(exporter: &Exporter, foes: &[&Foe]) {
    let all_failed = || async {
        let scrape = Scrape::of(exporter).await;
        let silent: Vec<_> = foes.iter().filter(|foe| reasons(&scrape, &foe.addr).is_empty()).collect();
        if silent.is_empty() { Ok(()) } else { Err(format!("no failed poll of {:?}", silent[0].name)) }
    };
    eventually("a failed poll of each foe", LIMIT, all_failed).await.unwrap();
    let scrape = Scrape::of(exporter).await;
    for foe in foes {
        assert_eq!(reasons(&scrape, &foe.addr), [foe.reason], "{}", foe.name);
    }
}

/// Checks the state of every pair whose name begins with `prefix`.
async fn states_are(exporter: &Exporter, prefix: &str, state: &str) {
    let pairs = exporter.pairs().await.pairs;
    for pair in pairs.iter().filter(|pair| pair.pair.starts_with(prefix)) {
        assert_eq!(pair.state.label(), state, "{pair:?}");
        assert_eq!(pair.lag_seconds, None, "{pair:?}");
    }
}

#[tokio::test]
async fn hostile_servers_are_named_and_cost_nobody_a_thing() {
    let (stage, lonely) = (Stage::set().await, RedisServer::builder().start().await.unwrap());
    let healthy = entry("healthy", ("calm1", stage.master.addr()), ("calm2", stage.replica.addr()));
    let exporter = Exporter::start(&configuration(std::slice::from_ref(&healthy))).await;
    let dcs = ["calm1", "calm2"];
    let quiet = Window::observe("without hostile servers", &exporter, &dcs).await;

    let (as_masters, as_replicas) = (foes().await, foes().await);
    let mut pairs = vec![healthy];
    for (index, (master, replica)) in as_masters.iter().zip(&as_replicas).enumerate() {
        let nobody = ServerAddr::new("127.0.0.1", ports::free().unwrap());
        let lost = entry(&format!("master-{index}"), ("hostile", &master.addr), ("hostile", &nobody));
        let mute = entry(&format!("replica-{index}"), ("hostile", lonely.addr()), ("hostile", &replica.addr));
        pairs.extend([lost, mute]);
    }
    reconfigure(&exporter, &pairs);
    let all: Vec<&Foe> = as_masters.iter().chain(&as_replicas).collect();
    each_is_named(&exporter, &all).await;
    let noisy = Window::observe("with 28 hostile servers", &exporter, &dcs).await;

    each_is_named(&exporter, &all).await;
    states_are(&exporter, "master-", "master_unreachable").await;
    states_are(&exporter, "replica-", "replica_unreachable").await;
    states_are_healthy(&exporter).await;
    noisy.is_as_on_time_as(&quiet);
    assert!(noisy.memory < MEMORY, "{} bytes resident", noisy.memory);
    let ratio = noisy.scrape.as_secs_f64() / quiet.scrape.as_secs_f64();
    eprintln!("scrapes take {ratio:.1} times as long, with 28 pairs more to tell of");
    assert!(ratio < 5.0, "scrapes take {ratio:.1} times as long");
}

async fn states_are_healthy(exporter: &Exporter) {
    let pair = exporter.pair("healthy").await;
    assert!(pair.link_up && pair.lag_seconds.is_some(), "{pair:?}");
}

#[tokio::test]
async fn replicas_that_hang_cost_the_others_of_their_master_nothing() {
    let stage = Stage::set().await;
    let mut frozen = RedisServer::builder().replicaof(stage.master.addr()).start().await.unwrap();
    frozen.wait_until_in_sync(LIMIT).await.unwrap();
    let healthy = entry("healthy", ("calm1", stage.master.addr()), ("calm2", stage.replica.addr()));
    let exporter = Exporter::start(&configuration(std::slice::from_ref(&healthy))).await;
    let dcs = ["calm1", "calm2"];
    let quiet = Window::observe("alone in the tree", &exporter, &dcs).await;

    // One never answers; the other hangs with a request outstanding on a connection that worked.
    let server = HostileServer::start(Misbehaviour::Hang).await.unwrap();
    let mute = entry("hung-mute", ("calm1", stage.master.addr()), ("hostile", server.addr()));
    let stopped = entry("hung-stopped", ("calm1", stage.master.addr()), ("hostile", frozen.addr()));
    reconfigure(&exporter, &[healthy, mute, stopped]);
    let known = || async {
        Scrape::of(&exporter).await.value("redis_cross_dc_link_up", &[("pair", "hung-stopped")]) == Some(1.0)
    };
    eventually("the streaming replica that is about to freeze", LIMIT, known).await.unwrap();
    frozen.stop().unwrap();
    let foe = |name: &str, addr: &ServerAddr| Foe {
        name: name.to_owned(),
        addr: addr.clone(),
        reason: "timeout",
        _server: None,
    };
    each_is_named(&exporter, &[&foe("mute", server.addr()), &foe("stopped", frozen.addr())]).await;
    let noisy = Window::observe("with two hung replicas", &exporter, &dcs).await;

    let hung = exporter.pairs().await.pairs.into_iter().filter(|pair| pair.pair.starts_with("hung-"));
    let states: Vec<_> = hung.map(|pair| pair.state.label()).collect();
    assert_eq!(states, ["replica_unreachable"; 2]);
    states_are_healthy(&exporter).await;
    noisy.is_as_on_time_as(&quiet);
}
