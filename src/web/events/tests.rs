use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{MAX_ENTRIES, frame};
use crate::report::testing::{Scene, large_fleet};
use crate::web::Limits;
use crate::web::testing::{PATIENCE, Running, small_limits};

/// A stream that is being read.
struct Stream {
    socket: TcpStream,
    read: String,
}

impl Stream {
    async fn open(server: &Running, headers: &str) -> Self {
        let mut socket = server.connect().await;
        let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Self {
            socket,
            read: String::new(),
        }
    }

    /// Reads until `text` has come; whether it came before the end.
    async fn reads(&mut self, text: &str) -> bool {
        let read = async {
            while !self.read.contains(text) {
                let mut bytes = [0; 4096];
                match self.socket.read(&mut bytes).await {
                    Ok(0) | Err(_) => return false,
                    Ok(n) => self.read.push_str(&String::from_utf8_lossy(&bytes[..n])),
                }
            }
            true
        };
        timeout(PATIENCE, read)
            .await
            .unwrap_or_else(|_| panic!("{text} did not come: {}", self.read))
    }

    async fn is_refused(&mut self) -> bool {
        assert!(self.reads("\r\n").await);
        self.read.starts_with("HTTP/1.1 503")
    }

    /// The data of the first event of that name.
    fn data(&self, event: &str) -> serde_json::Value {
        let after = self
            .read
            .split(&format!("event: {event}\n"))
            .nth(1)
            .expect("the event");
        let line = after
            .split("data: ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        serde_json::from_str(line).unwrap()
    }
}

#[tokio::test]
async fn a_client_receives_the_snapshot_and_later_events() {
    let server = Running::start(small_limits()).await;
    let mut stream = Stream::open(&server, "").await;
    assert!(stream.reads("\"streaming\":1").await);
    assert!(
        stream.read.contains("content-type: text/event-stream")
            && stream.read.contains("retry: 3000")
    );
    assert!(
        !stream.read.contains("event: state"),
        "what was before is no news"
    );
    server.show(Scene::MasterLost);
    assert!(stream.reads("event: alert").await);
    assert!(
        stream
            .reads("\"state\":\"master_unreachable\",\"level_reason\":")
            .await
    );
    assert_eq!(stream.data("state")["state"], "master_unreachable");
    assert_eq!(
        stream.data("alert")["alert"]["alertname"],
        "RedisCrossDcServerUnreachable"
    );
}

#[tokio::test]
async fn a_stream_without_events_sends_comments() {
    let server = Running::start(small_limits()).await;
    let mut stream = Stream::open(&server, "").await;
    assert!(stream.reads(": nothing new\n\n").await);
    assert_eq!(stream.read.matches("event: snapshot").count(), 1);
}

#[tokio::test]
async fn a_client_that_reconnects_receives_the_events_it_missed() {
    let server = Running::start(small_limits()).await;
    server.show(Scene::MasterLost);
    let numbers = server
        .snapshots
        .borrow()
        .journal
        .after(0)
        .map(|happening| happening.number)
        .collect::<Vec<_>>();
    let [first, second] = numbers[..] else {
        panic!("{numbers:?}")
    };
    let mut stream = Stream::open(&server, &format!("last-event-id: {first}\r\n")).await;
    assert!(stream.reads(&format!("id: {second}\n")).await);
    let has = |number| stream.read.contains(&format!("id: {number}\n"));
    assert!(!has(first), "{}", stream.read);
}

#[tokio::test]
async fn the_number_of_streams_is_limited_and_a_closed_one_frees_its_place() {
    let server = Running::start(Limits {
        listeners: 1,
        ..small_limits()
    })
    .await;
    let mut first = Stream::open(&server, "").await;
    assert!(first.reads("event: snapshot").await);
    let refused = server.get("/api/v1/events").await;
    assert_eq!(refused.status, 503);
    assert!(
        refused.json()["error"]
            .as_str()
            .unwrap()
            .starts_with("too many live streams are open")
    );
    drop(first);
    let mut second = Stream::open(&server, "").await;
    while second.is_refused().await {
        second = Stream::open(&server, "").await;
    }
    assert!(second.reads("event: snapshot").await);
}

#[tokio::test]
async fn a_stream_is_never_evicted_and_a_drain_ends_it_in_order() {
    let server = Running::start(Limits {
        connections: 2,
        ..small_limits()
    })
    .await;
    let mut stream = Stream::open(&server, "").await;
    assert!(stream.reads("event: snapshot").await);
    for _ in 0..5 {
        drop(server.idle_connection().await);
    }
    server.show(Scene::MasterLost);
    assert!(stream.reads("event: alert").await, "{}", stream.read);
    let ended = server.stop();
    assert!(!stream.reads("never").await);
    assert!(
        stream.read.ends_with("0\r\n\r\n"),
        "the last chunk: {}",
        stream.read
    );
    assert_eq!(timeout(PATIENCE, ended).await.unwrap().unwrap().cut, 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let limits = Limits {
        listeners: 1,
        send_buffer: 4096,
        response: Duration::from_hours(1),
        ..small_limits()
    };
    let server = Running::start(limits).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stuck = socket.connect(server.addr).await.unwrap();
    stuck
        .write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let (large, now) = large_fleet(500);
    let deadline = std::time::Instant::now() + PATIENCE * 3;
    let mut beat = 0;
    // Each snapshot is some 10 KB, and each is news.
    while Stream::open(&server, "").await.is_refused().await {
        beat += 1;
        let mut fleet = large.clone();
        fleet.anchor.mono = now + crate::model::Span::from_secs(beat);
        server.snapshots.send_replace(Arc::new(fleet));
        assert!(std::time::Instant::now() < deadline, "it is never dropped");
    }
}

#[test]
fn too_many_entries_are_cut_to_the_latest() {
    let (mut fleet, now) = crate::report::testing::fleet(Scene::MasterLost);
    let happening = fleet.journal.after(0).next().unwrap().clone();
    let nth = |n| happening.number - 1 + n;
    for _ in 0..300 {
        fleet.journal.record(happening.event.clone(), now);
    }
    let told = frame(&fleet, 0, ": nothing new\n\n").unwrap();
    let text = std::str::from_utf8(&told.bytes).unwrap();
    assert_eq!(
        (text.matches("event: ").count(), told.last),
        (MAX_ENTRIES, nth(302))
    );
    let has = |number| text.contains(&format!("id: {number}\n"));
    assert!(has(nth(302)) && !has(nth(252)), "the last ones");
    assert_eq!(
        frame(&fleet, u64::MAX, "").unwrap().last,
        nth(302),
        "a number of a run whose clock was ahead"
    );
}
