//! One server's task against a fake server that keeps to a script.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::client::testing::{FakeServer, Script, bulk};
use crate::config::Credentials;
use crate::model::{Datacenter, ReplicationOffset, ServerAddr};
use crate::monitor::PollEvent;

/// How long a test waits for what must happen. Far above what it takes, so that a slow machine
/// fails no test.
const PATIENCE: Duration = Duration::from_secs(20);

/// A timeout that no test outlives.
const LONG: i64 = 60_000;

struct Rig {
    commands: mpsc::Sender<PollCommand>,
    feedback: (mpsc::Sender<PollFeedback>, mpsc::Receiver<PollFeedback>),
    events: mpsc::Receiver<PollEvent>,
    own_delay: OwnDelay,
}

impl Rig {
    fn new(addr: ServerAddr) -> Self {
        Self::with_silence(addr, MIN_SILENCE)
    }

    fn with_silence(addr: ServerAddr, min_silence: Span) -> Self {
        let server = Server {
            addr,
            dc: Datacenter::unknown(),
            local: true,
            credentials: Credentials::default(),
            tls: None,
        };
        let (commands, received) = mpsc::channel(1);
        let (events, seen) = mpsc::channel(64);
        let reporter = Reporter::new(events, Arc::default());
        let own_delay = OwnDelay::default();
        let mut task = ServerTask::new(Arc::new(server), received, reporter, own_delay.clone());
        task.min_silence = min_silence;
        tokio::spawn(task.run());
        Self {
            commands,
            feedback: mpsc::channel(64),
            events: seen,
            own_delay,
        }
    }

    /// A poll without time limits.
    async fn order(&self) {
        self.order_within(LONG, LONG).await;
    }

    async fn order_within(&self, patience: i64, timeout: i64) {
        self.send(patience, timeout, false).await;
    }

    /// A poll after the master has reported the server connected again.
    async fn order_as_back(&self) {
        self.send(LONG, LONG, true).await;
    }

    async fn send(&self, patience: i64, timeout: i64, is_back: bool) {
        let [patience, timeout] = [patience, timeout].map(Span::from_millis);
        let order = PollOrder {
            planned: clock::now(),
            patience,
            timeout,
            is_back,
        };
        let reply_to = ReplyTo {
            tree: self.feedback.0.clone(),
            server: 3,
        };
        self.commands
            .send(PollCommand { order, reply_to })
            .await
            .unwrap();
    }

    async fn event(&mut self) -> PollEventKind {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("a running task")
            .kind
    }

    async fn feedback(&mut self) -> PollFeedback {
        tokio::time::timeout(PATIENCE, self.feedback.1.recv())
            .await
            .expect("feedback in time")
            .expect("a running task")
    }

    /// The names of the next events, failures with their reason.
    async fn expect(&mut self, names: &[&str]) {
        for expected in names {
            assert_eq!(name_of(&self.event().await), *expected, "of {names:?}");
        }
    }

    /// Orders one poll after the other until one connects; all others must fail like `failure`.
    async fn failures_until_connected(&mut self, failure: &str) -> usize {
        let began = std::time::Instant::now();
        let mut failures = 0;
        loop {
            assert!(
                began.elapsed() < PATIENCE,
                "no connection after {failures} failures"
            );
            self.order().await;
            let event = name_of(&self.event().await);
            if event == "connected" {
                return failures;
            }
            assert_eq!(event, failure);
            self.feedback().await;
            failures += 1;
        }
    }

    fn is_quiet(&mut self) -> bool {
        self.events.try_recv().is_err()
    }
}

fn name_of(kind: &PollEventKind) -> String {
    match kind {
        PollEventKind::Connected { .. } => "connected".into(),
        PollEventKind::Answered { .. } => "answered".into(),
        PollEventKind::Failed { error, .. } => format!("failed: {}", error.reason),
        PollEventKind::Overdue { .. } => "overdue".into(),
        PollEventKind::Skipped => "skipped".into(),
        PollEventKind::Heartbeat(_) => "heartbeat".into(),
        PollEventKind::OutputBuffers(_) => "output buffers".into(),
    }
}

async fn fake() -> FakeServer {
    FakeServer::listen(Script::version("7.0.15")).await
}

/// One poll of a server that answers INFO so.
async fn check(answer: &'static str, expected: &[&str]) {
    let server = FakeServer::listen(Script::version("7.0.15").answer("INFO", answer)).await;
    let mut rig = Rig::new(server.addr());
    rig.order().await;
    rig.expect(expected).await;
    assert_eq!(rig.feedback().await, PollFeedback::GaveUp { server: 3 });
}

#[tokio::test]
async fn a_poll_connects_once_and_is_answered() {
    let server = fake().await;
    let mut rig = Rig::new(server.addr());
    let began = clock::now();
    rig.order().await;
    rig.expect(&["connected"]).await;
    let PollEventKind::Answered {
        sent,
        received,
        late,
        observation,
    } = rig.event().await
    else {
        panic!("no answer")
    };
    assert!(
        began <= sent
            && sent <= received
            && received <= clock::now()
            && late < clock::now() - began
    );
    assert_eq!(
        observation.replication.master_offset.value(),
        Some(ReplicationOffset::new(42))
    );
    assert_eq!(
        rig.feedback().await,
        PollFeedback::Answered {
            server: 3,
            sent,
            received
        }
    );
    rig.order().await;
    rig.expect(&["answered"]).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_answer_after_the_timeout_is_reported_and_the_connection_kept() {
    let server = fake().await;
    let mut rig = Rig::new(server.addr());
    rig.order().await;
    rig.expect(&["connected", "answered"]).await;
    server.freeze();
    rig.order_within(20, 100).await;
    rig.expect(&["overdue", "failed: timeout"]).await;
    // Each further poll fails once; the request stays the one that it was.
    rig.order_within(20, 100).await;
    rig.order_within(20, 100).await;
    rig.expect(&["failed: timeout", "failed: timeout"]).await;
    let before = clock::now();
    server.thaw();
    let PollEventKind::Answered { sent, received, .. } = rig.event().await else {
        panic!("no late answer")
    };
    assert!(
        sent < before && received >= before,
        "the evidence spans the whole wait"
    );
    rig.order().await;
    rig.expect(&["answered"]).await;
    assert_eq!(server.connections(), 1);
    assert!(rig.is_quiet());
}

#[tokio::test]
async fn time_in_which_this_program_could_not_read_is_not_the_servers() {
    let server = fake().await;
    let mut rig = Rig::new(server.addr());
    rig.order().await;
    rig.expect(&["connected", "answered"]).await;
    server.freeze();
    // A tick of the meter that does not end: from now on this program is late.
    rig.own_delay.begin_tick(clock::now());
    rig.order_within(20, 100).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(rig.is_quiet(), "neither overdue nor timed out");
    server.thaw();
    rig.expect(&["answered"]).await;
    server.freeze();
    rig.order_within(20, 100).await;
    rig.own_delay.end_tick(clock::now());
    rig.expect(&["overdue", "failed: timeout"]).await;
}

#[tokio::test]
async fn a_connection_that_this_program_is_too_slow_to_make_is_no_failure() {
    let server = fake().await;
    server.freeze();
    let mut rig = Rig::new(server.addr());
    rig.own_delay.begin_tick(clock::now());
    rig.order_within(20, 100).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(rig.is_quiet(), "neither overdue nor timed out");
    server.thaw();
    rig.expect(&["connected", "answered"]).await;
}

#[tokio::test]
async fn a_poll_while_one_is_outstanding_is_skipped() {
    let server = fake().await;
    let mut rig = Rig::new(server.addr());
    rig.order().await;
    rig.expect(&["connected", "answered"]).await;
    server.freeze();
    rig.order_within(20, LONG).await;
    rig.expect(&["overdue"]).await;
    rig.order().await;
    rig.expect(&["skipped"]).await;
    server.thaw();
    rig.expect(&["answered"]).await;
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|r| *r == "INFO server replication stats persistence keyspace")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_replaced() {
    let server = fake().await;
    let mut rig = Rig::with_silence(server.addr(), Span::from_millis(200));
    rig.order().await;
    rig.expect(&["connected", "answered"]).await;
    assert!(matches!(
        rig.feedback().await,
        PollFeedback::Answered { .. }
    ));
    server.freeze();
    rig.order_within(10, 20).await;
    rig.expect(&["overdue", "failed: timeout"]).await;
    assert_eq!(rig.feedback().await, PollFeedback::GaveUp { server: 3 });
    server.thaw();
    rig.order().await;
    rig.expect(&["connected", "answered"]).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_whose_answer_arrives_too_slowly_is_replaced() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = ServerAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
    let dripping = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        assert!(
            stream.read(&mut [0; 1024]).await.unwrap() > 0,
            "the connection's name"
        );
        stream.write_all(b"+OK\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "INFO");
        stream.write_all(b"$1000000\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let silence = Span::from_millis(200);
    let mut rig = Rig::with_silence(addr, silence);
    rig.order_within(10, 20).await;
    let began = std::time::Instant::now();
    rig.expect(&["connected", "overdue", "failed: timeout"])
        .await;
    assert_eq!(rig.feedback().await, PollFeedback::GaveUp { server: 3 });
    assert!(
        began.elapsed() >= silence.mul_f64(SILENCE_FACTOR).to_duration(),
        "not while it could be an answer"
    );
    tokio::time::timeout(PATIENCE, dripping)
        .await
        .expect("its connection is closed")
        .unwrap();
}

#[tokio::test]
async fn a_refused_connection_fails_each_poll_and_is_not_tried_each_time() {
    let server = fake().await;
    let addr = server.addr();
    drop(server);
    let mut rig = Rig::new(addr);
    for _ in 0..3 {
        rig.order().await;
        rig.expect(&["failed: refused"]).await;
        assert_eq!(rig.feedback().await, PollFeedback::GaveUp { server: 3 });
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_polled_again() {
    let server = fake().await;
    server.freeze();
    let mut rig = Rig::new(server.addr());
    rig.order_within(LONG, 50).await;
    rig.expect(&["failed: timeout"]).await;
    rig.feedback().await;
    server.thaw();
    let failures = rig.failures_until_connected("failed: timeout").await;
    assert!(
        failures > 0,
        "no connection is tried before the backoff ends"
    );
    rig.expect(&["answered"]).await;
}

/// Its master reports it online again, so the wait for the next attempt, which may be seconds,
/// ends; once.
#[tokio::test]
async fn a_server_that_its_master_reports_connected_is_polled_without_backoff() {
    let server = fake().await;
    server.freeze();
    let mut rig = Rig::new(server.addr());
    let began = std::time::Instant::now();
    // The wait is 1.6 s at least after the sixth failed attempt.
    for attempt in 0..6 {
        let before = server.connections();
        while server.connections() == before {
            assert!(began.elapsed() < PATIENCE, "attempt {attempt}");
            rig.order_within(LONG, 20).await;
            rig.expect(&["failed: timeout"]).await;
            rig.feedback().await;
        }
    }
    server.thaw();
    rig.order().await;
    rig.expect(&["failed: timeout"]).await;
    rig.order_as_back().await;
    rig.expect(&["connected", "answered"]).await;
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_poll() {
    let server = fake().await;
    let mut rig = Rig::new(server.addr());
    rig.order().await;
    rig.expect(&["connected", "answered"]).await;
    server.kick();
    rig.order().await;
    rig.expect(&["connected", "answered"]).await;
}

#[tokio::test]
async fn a_server_that_closes_every_connection_is_tried_twice_a_poll() {
    check("", &["connected", "connected", "failed: reset"]).await;
}

#[tokio::test]
async fn other_protocols_are_distinguished() {
    check(
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        &["connected", "failed: protocol"],
    )
    .await;
    check(
        "$99999999999\r\nendless",
        &["connected", "failed: too_large"],
    )
    .await;
    check(
        "-NOAUTH Authentication required.\r\n",
        &["connected", "failed: auth"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_now_requires_a_login_gets_one_on_a_new_connection() {
    let server = FakeServer::listen(
        Script::version("7.0.15").answer("INFO", "-NOAUTH Authentication required.\r\n"),
    )
    .await;
    let mut rig = Rig::new(server.addr());
    rig.order().await;
    rig.expect(&["connected", "failed: auth"]).await;
    rig.feedback().await;
    assert!(rig.failures_until_connected("failed: auth").await > 0);
    rig.expect(&["failed: auth"]).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_endless_reply_is_cut_off() {
    let server = FakeServer::listen(Script::new(|request| {
        if request.starts_with("INFO") {
            format!("+{}", "a".repeat(100_000))
        } else {
            "+OK\r\n".into()
        }
    }))
    .await;
    let mut rig = Rig::new(server.addr());
    rig.order().await;
    rig.expect(&["connected", "failed: too_large"]).await;
}

#[tokio::test]
async fn an_error_reply_keeps_the_connection() {
    for (answer, expected) in [
        (
            "-LOADING Redis is loading the dataset in memory\r\n",
            "failed: loading",
        ),
        ("-BUSY Redis is busy running a script.\r\n", "failed: busy"),
        (
            "-NOPERM no permissions to run the 'info' command\r\n",
            "failed: denied",
        ),
    ] {
        let server = FakeServer::listen(Script::version("7.0.15").answer("INFO", answer)).await;
        let mut rig = Rig::new(server.addr());
        rig.order().await;
        rig.expect(&["connected", expected]).await;
        rig.order().await;
        rig.expect(&[expected]).await;
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_text_without_replication_is_a_parse_failure() {
    let server = FakeServer::listen(Script::new(|request| {
        if request.starts_with("INFO") {
            bulk("redis_version:7.0.15\r\n")
        } else {
            "+OK\r\n".into()
        }
    }))
    .await;
    let mut rig = Rig::new(server.addr());
    rig.order().await;
    rig.expect(&["connected", "failed: parse"]).await;
}

#[tokio::test]
async fn the_task_ends_with_its_senders_although_an_answer_is_due() {
    let server = fake().await;
    let mut rig = Rig::new(server.addr());
    server.freeze();
    rig.order().await;
    drop(rig.commands);
    let end = tokio::time::timeout(PATIENCE, rig.events.recv())
        .await
        .expect("the task ends");
    assert!(end.is_none(), "the channel has no sender any more");
}
