//! The tasks against fake servers, and the whole of it on the poller's channel.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::report::Reporter;
use super::sent::SentHeartbeats;
use super::*;
use crate::client::ChannelMessage;
use crate::client::testing::{FakeServer, Script, bulk};
use crate::clock;
use crate::config::HeartbeatSettings;
use crate::config::testing::settings_of;
use crate::model::Timestamp;
use crate::monitor::{HeartbeatEvent, PollEvent, PollEventKind};
use crate::topology::Server;

/// How long a test waits for what must happen. Far above what it takes, so that a slow machine
/// fails no test.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pair's heartbeats on fake servers.
struct Rig {
    heartbeats: Heartbeats,
    events: mpsc::Receiver<PollEvent>,
    reporter: Reporter,
}

fn topology(master: &FakeServer, replica: &FakeServer, interval: Option<Span>) -> Topology {
    let [master, replica] = [master, replica].map(|server| server.addr().to_string());
    let mut settings = settings_of(&[("p", &master, &[&replica])]);
    let enabled = interval.is_some();
    settings.pairs[0].heartbeat = HeartbeatSettings {
        enabled,
        interval: interval.unwrap_or(Span::from_secs(1)),
    };
    Topology::from_settings(&settings)
}

impl Rig {
    fn start(master: &FakeServer, replica: &FakeServer) -> Self {
        let (events, seen) = mpsc::channel(64);
        let reporter = Reporter::new(events, Arc::default());
        let mut rig = Self {
            heartbeats: Heartbeats::default(),
            events: seen,
            reporter,
        };
        rig.reload(&topology(master, replica, Some(Span::from_millis(20))));
        rig
    }

    fn reload(&mut self, topology: &Topology) {
        self.heartbeats.reload(
            topology,
            &settings_of(&[]).poll,
            &self.reporter,
            &Handle::current(),
        );
    }

    /// The first event about `server`.
    async fn event(&mut self, server: &FakeServer) -> HeartbeatEvent {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("running tasks");
                let PollEventKind::Heartbeat(kind) = event.kind else {
                    panic!("no poll was ordered")
                };
                if event.server == server.addr() {
                    return kind;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("an event in time")
    }

    /// The label of the first failure at `server`.
    async fn failure(&mut self, server: &FakeServer) -> &'static str {
        match self.event(server).await {
            HeartbeatEvent::Failed { error } => error.label(),
            other => panic!("{other:?}"),
        }
    }
}

/// A master, or with `run_id` a replica that confirms a subscription and lets the first numbers out
/// at once.
fn server(run_id: &'static str, lets_out: &'static str) -> Script {
    let plain = Script::version("7.0.15");
    Script::new(
        move |request| match request.split(' ').collect::<Vec<_>>()[..] {
            ["SUBSCRIBE", channel] => {
                let head = |kind: &str| format!("*3\r\n{}{}", bulk(kind), bulk(channel));
                let numbers = lets_out.split(' ').filter(|number| !number.is_empty());
                let messages: String = numbers
                    .map(|number| head("message") + &bulk(number))
                    .collect();
                head("subscribe") + ":1\r\n" + &messages
            }
            ["PUBLISH", ..] => ":0\r\n".into(),
            ["INFO", ..] => edited(&plain.ask(request), &"ab".repeat(20), run_id),
            _ => plain.ask(request),
        },
    )
}

/// A bulk string with `field` in it spelt otherwise; any other answer as it is.
fn edited(answer: &str, field: &str, instead: &str) -> String {
    let body = answer
        .strip_prefix('$')
        .and_then(|rest| rest.split_once("\r\n")?.1.strip_suffix("\r\n"));
    body.map_or_else(
        || answer.to_owned(),
        |body| bulk(&body.replace(field, instead)),
    )
}

/// Waits until the fake was asked something that begins so, `count` times.
async fn asked(server: &FakeServer, start: &str, count: usize) -> Vec<String> {
    let enough = async {
        loop {
            let found: Vec<_> = server
                .requests()
                .into_iter()
                .filter(|request| request.starts_with(start))
                .collect();
            if found.len() >= count {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, enough)
        .await
        .expect("requests in time")
}

#[tokio::test]
async fn numbers_are_published_on_the_channel_that_the_replica_subscriber_uses() {
    let master = FakeServer::listen(server("m", "")).await;
    let replica = FakeServer::listen(server("r", "")).await;
    let _rig = Rig::start(&master, &replica);
    let sent = asked(&master, "PUBLISH", 3).await;
    let subscribed = asked(&replica, "SUBSCRIBE", 1).await;
    let channel = subscribed[0].strip_prefix("SUBSCRIBE ").unwrap();
    assert!(
        channel.len() == CHANNEL.len() + 32 && channel.starts_with(CHANNEL),
        "{channel}"
    );
    assert_eq!(
        sent[..3],
        [1, 2, 3].map(|number| format!("PUBLISH {channel} {number}"))
    );
    assert!(
        replica
            .requests()
            .iter()
            .all(|request| !request.starts_with("PUBLISH"))
    );
    assert_eq!((master.connections(), replica.connections()), (1, 1));
}

#[tokio::test]
async fn a_server_that_cannot_prove_anything_gets_no_heartbeats_and_a_reason() {
    let cases: [(&'static str, &'static str, &str); 5] = [
        (
            "redis_mode:standalone",
            "redis_mode:cluster",
            "cluster_mode",
        ),
        (
            "redis_mode:standalone",
            "redis_mode:sentinel",
            "unsupported",
        ),
        (
            "redis_version:7.0.15",
            "redis_version:7.0.15\r\ndragonfly_version:df-v1",
            "unsupported",
        ),
        ("run_id:m", "x:y", "no_run_id"),
        ("role:master", "role:slave", "not_master"),
    ];
    for (field, instead, reason) in cases {
        let plain = server("m", "");
        let strange = Script::new(move |request| edited(&plain.ask(request), field, instead));
        let master = FakeServer::listen(strange).await;
        let replica = FakeServer::listen(server("r", "")).await;
        let mut rig = Rig::start(&master, &replica);
        assert_eq!(rig.failure(&master).await, reason);
        assert!(
            master
                .requests()
                .iter()
                .all(|request| !request.starts_with("PUBLISH")),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_missing_permission_is_distinguished_from_a_missing_server() {
    let denied = "-NOPERM this user has no permissions\r\n";
    let master = FakeServer::listen(server("m", "").answer("PUBLISH", denied)).await;
    let replica = FakeServer::listen(server("r", "").answer("SUBSCRIBE", denied)).await;
    let mut rig = Rig::start(&master, &replica);
    assert_eq!(rig.failure(&master).await, "denied");
    let mut rig = Rig::start(&FakeServer::listen(server("m", "")).await, &replica);
    assert_eq!(rig.failure(&replica).await, "denied");
    let gone = FakeServer::listen(server("r", "")).await;
    let mut rig = Rig::start(&FakeServer::listen(server("m", "")).await, &gone);
    asked(&gone, "SUBSCRIBE", 1).await;
    gone.kick();
    assert_eq!(rig.failure(&gone).await, "reset");
    asked(&gone, "SUBSCRIBE", 2).await;
}

#[tokio::test]
async fn a_connection_closed_in_between_is_opened_again_without_a_failure() {
    let master = FakeServer::listen(server("m", "")).await;
    let replica = FakeServer::listen(server("r", "")).await;
    let mut rig = Rig::start(&master, &replica);
    asked(&replica, "SUBSCRIBE", 1).await;
    let before = asked(&master, "PUBLISH", 2).await.len();
    master.kick();
    asked(&master, "PUBLISH", before + 3).await;
    assert_eq!(master.connections(), 2);
    assert!(rig.events.try_recv().is_err(), "nothing to report");
}

#[tokio::test]
async fn a_reload_keeps_what_stays_and_ends_what_is_switched_off() {
    let master = FakeServer::listen(server("m", "")).await;
    let replica = FakeServer::listen(server("r", "")).await;
    let mut rig = Rig::start(&master, &replica);
    asked(&master, "PUBLISH", 2).await;
    asked(&replica, "SUBSCRIBE", 1).await;
    rig.reload(&topology(&master, &replica, Some(Span::from_millis(20))));
    asked(&master, "PUBLISH", 10).await;
    assert_eq!((master.connections(), replica.connections()), (1, 1));
    rig.reload(&topology(&master, &replica, Some(Span::from_millis(10))));
    asked(&replica, "SUBSCRIBE", 2).await;
    rig.reload(&topology(&master, &replica, None));
    let Rig {
        mut events,
        reporter,
        heartbeats,
    } = rig;
    drop((reporter, heartbeats));
    let ended = async { while events.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("every task drops its sender");
}

/// A subscriber on the replica `r` of the master `m`, which was sent three numbers, at 1, 2 and 3
/// s.
fn subscriber() -> (Subscriber, mpsc::Receiver<PollEvent>) {
    let (events, seen) = mpsc::channel(64);
    let (top, addr) = (ServerAddr::new("m", 1), ServerAddr::new("r", 1));
    let mut sent = SentHeartbeats::default();
    sent.begin(run_id("m"));
    for second in 1..=3 {
        sent.send(Timestamp::from_nanos(second * 1_000_000_000));
    }
    let server = Server {
        addr: addr.clone(),
        dc: crate::model::Datacenter::unknown(),
        local: true,
        credentials: crate::config::Credentials::default(),
        tls: None,
    };
    let status = HeartbeatStatus::new(addr, Reporter::new(events, Arc::default()));
    let (timeout, interval, sent) = (
        Span::from_secs(1),
        Span::from_secs(1),
        Arc::new(Mutex::new(sent)),
    );
    let subscriber = Subscriber {
        server: Arc::new(server),
        top,
        timeout,
        interval,
        channel: "c".into(),
        sent,
        status,
    };
    (subscriber, seen)
}

fn run_id(name: &str) -> RunId {
    RunId::parse(name).unwrap()
}

/// What the replica's process `replica` lets out, and what comes of it.
fn check(replica: &str, payloads: &[&str], expected: &str) {
    let (mut subscriber, mut events) = subscriber();
    let (mut said, mut last) = (Vec::new(), 0);
    for payload in payloads {
        let message = ChannelMessage {
            channel: "ch".to_owned(),
            payload: (*payload).to_owned(),
            received: clock::now(),
        };
        match subscriber.on_message(&message, &run_id(replica), last) {
            Ok(number) => last = number,
            Err(error) => said.push(format!("ended: {error}")),
        }
        while let Ok(PollEvent {
            kind: PollEventKind::Heartbeat(event),
            ..
        }) = events.try_recv()
        {
            said.push(match event {
                HeartbeatEvent::Arrived { beat, .. } => {
                    format!("{} s", beat.sent.as_nanos() / 1_000_000_000)
                }
                HeartbeatEvent::Repeated { .. } => "repeated".to_owned(),
                HeartbeatEvent::Failed { error } => format!("failed: {error}"),
            });
        }
    }
    assert_eq!(said.join(", "), expected, "{payloads:?}");
}

#[test]
fn numbers_prove_when_they_were_sent_and_forged_ones_are_refused() {
    check("r", &["1", "2", "3"], "1 s, 2 s, 3 s");
    check("r", &["3"], "3 s");
    check("r", &["2", "2", "3"], "2 s, repeated, 3 s");
    check("r", &["3", "1"], "3 s, repeated");
    for invented in ["0", "4", "18446744073709551616", "-1", "1.0", "", "one"] {
        check("r", &[invented], "ended: protocol");
    }
    check("m", &["1"], "ended: same_server");
}
