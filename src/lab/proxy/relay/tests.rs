//! On paused time and in-memory streams, where delays and rates are exact.

use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

/// Larger than anything a test sends, so that only the relay holds bytes back.
const PIPE: usize = 16 * 1024 * 1024;

struct Bench {
    near: DuplexStream,
    far: DuplexStream,
    conditions: watch::Sender<WanConditions>,
    relay: JoinHandle<io::Result<()>>,
}

fn bench(conditions: WanConditions) -> Bench {
    let (near, reader) = duplex(PIPE);
    let (writer, far) = duplex(PIPE);
    let (conditions, current) = watch::channel(conditions);
    let lane = Lane::new(Arc::new(Flow::new(Direction::ToReplica)), current);
    let relay = tokio::spawn(relay(lane, reader, writer));
    Bench {
        near,
        far,
        conditions,
        relay,
    }
}

fn delay(millis: u64) -> WanConditions {
    WanConditions {
        delay: Duration::from_millis(millis),
        ..WanConditions::default()
    }
}

fn rate(per_second: u64) -> WanConditions {
    WanConditions {
        rate: Some(per_second),
        ..WanConditions::default()
    }
}

impl Bench {
    async fn send(&mut self, length: usize) {
        self.near.write_all(&vec![7; length]).await.unwrap();
    }

    /// Receives `length` bytes and returns how long that took, in milliseconds of paused time.
    async fn millis_for(&mut self, length: usize) -> u128 {
        let start = Instant::now();
        self.far.read_exact(&mut vec![0; length]).await.unwrap();
        start.elapsed().as_millis()
    }

    /// How many bytes arrive within `window`.
    async fn arrive_within(&mut self, window: Duration) -> usize {
        let deadline = Instant::now() + window;
        let (mut total, mut buffer) = (0, vec![0; CHUNK as usize]);
        while let Ok(read) = tokio::time::timeout_at(deadline, self.far.read(&mut buffer)).await {
            total += read.unwrap();
        }
        total
    }
}

fn assert_near(measured: u128, expected: u128) {
    assert!(
        measured >= expected && measured <= expected + 5,
        "{measured} ms instead of {expected} ms"
    );
}

#[tokio::test(start_paused = true)]
async fn every_byte_takes_the_delay_and_the_end_of_the_stream_too() {
    let mut bench = bench(delay(250));
    bench.send(100).await;
    assert_near(bench.millis_for(100).await, 250);
    bench.near.shutdown().await.unwrap();
    let start = Instant::now();
    assert_eq!(bench.far.read(&mut [0]).await.unwrap(), 0);
    assert_near(start.elapsed().as_millis(), 250);
    bench.relay.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_delay_does_not_limit_the_throughput() {
    let mut bench = bench(delay(250));
    for _ in 0..64 {
        bench.send(32 * 1024).await;
    }
    assert_near(bench.millis_for(64 * 32 * 1024).await, 250);
}

#[tokio::test(start_paused = true)]
async fn order_is_kept_when_the_delay_shrinks() {
    let mut bench = bench(delay(60_000));
    bench.near.write_all(b"first ").await.unwrap();
    tokio::task::yield_now().await;
    bench.conditions.send_replace(delay(10));
    bench.near.write_all(b"second").await.unwrap();
    let mut received = [0; 12];
    let start = Instant::now();
    bench.far.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"first second");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "the shorter delay applies to the bytes under way"
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_is_under_way() {
    let mut bench = bench(delay(60_000));
    let (sent, window) = (IN_FLIGHT + IN_FLIGHT / 2, Duration::from_millis(60_500));
    bench.send(sent).await;
    let arrived = bench.arrive_within(window).await;
    assert!(
        arrived <= IN_FLIGHT && arrived > IN_FLIGHT - CHUNK as usize,
        "{arrived} bytes in one delay"
    );
    assert_eq!(
        arrived + bench.arrive_within(window).await,
        sent,
        "the rest is taken in as the first leaves"
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_of_chunks_is_under_way() {
    let mut bench = bench(delay(60_000));
    for _ in 0..IN_FLIGHT_CHUNKS + 100 {
        bench.send(1).await;
        tokio::task::yield_now().await; // so that each byte is read by itself
    }
    let arrived = bench.arrive_within(Duration::from_millis(60_500)).await;
    assert!(arrived <= IN_FLIGHT_CHUNKS + 100, "{arrived}");
    assert!(arrived >= IN_FLIGHT_CHUNKS, "{arrived}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_and_a_new_one_applies_at_once() {
    let mut bench = bench(rate(10_000));
    bench.send(1_000_000).await;
    let slow = bench.arrive_within(Duration::from_secs(10)).await;
    assert!(
        (99_000..=101_000).contains(&slow),
        "{slow} bytes in 10 s at 10 kB/s"
    );
    bench.conditions.send_replace(rate(100_000));
    let fast = bench.arrive_within(Duration::from_secs(5)).await;
    assert!(
        (490_000..=510_000).contains(&fast),
        "{fast} bytes in 5 s at 100 kB/s"
    );
    bench.conditions.send_replace(rate(0));
    let trickle = bench.arrive_within(Duration::from_secs(200)).await;
    let on_its_way = piece_at(100_000);
    assert!(
        trickle <= 3 * 64 + on_its_way,
        "{trickle} bytes in 200 s at 1 B/s, in pieces of 64"
    );
    bench.conditions.send_replace(WanConditions::default());
    assert_near(bench.millis_for(1_000_000 - slow - fast - trickle).await, 0);
}

#[tokio::test(start_paused = true)]
async fn connections_share_the_rate() {
    let flow = Flow::new(Direction::ToMaster);
    let start = Instant::now();
    assert_eq!(
        flow.reserve(500, 1000, start),
        start + Duration::from_millis(500)
    );
    assert_eq!(
        flow.reserve(500, 1000, start),
        start + Duration::from_secs(1)
    );
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(
        flow.reserve(500, 1000, Instant::now()),
        start + Duration::from_millis(3500),
        "an idle line saves nothing up"
    );
    assert_eq!(
        flow.reserve(500, 500, Instant::now()),
        start + Duration::from_secs(4),
        "a new rate voids old promises"
    );
}

/// Each piece of a busy line began when its timer had fired: with small pieces that cost a third of
/// the rate.
#[tokio::test(start_paused = true)]
async fn a_late_timer_does_not_slow_a_busy_line() {
    let flow = Flow::new(Direction::ToReplica);
    let start = Instant::now();
    assert_eq!(
        flow.reserve(10, 1000, start),
        start + Duration::from_millis(10)
    );
    tokio::time::advance(Duration::from_millis(13)).await;
    assert_eq!(
        flow.reserve(10, 1000, start),
        start + Duration::from_millis(20)
    );
    // On a line without anything to send, the next piece begins when it is there.
    tokio::time::advance(Duration::from_secs(1)).await;
    let now = Instant::now();
    assert_eq!(flow.reserve(10, 1000, now), now + Duration::from_millis(10));
    // What waited behind a stall does not arrive all at once.
    tokio::time::advance(Duration::from_secs(9)).await;
    let due = flow.reserve(10, 1000, start);
    assert_eq!(
        due + LATEST_TIMER,
        Instant::now() + Duration::from_millis(10)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stall_stops_the_flow_and_stops_reading() {
    let stalled = |direction| WanConditions {
        stalled: Some(direction),
        ..WanConditions::default()
    };
    let mut bench = bench(stalled(Direction::Both));
    bench.send(1000).await;
    assert_eq!(bench.arrive_within(Duration::from_mins(1)).await, 0);
    bench.conditions.send_replace(stalled(Direction::ToMaster));
    assert_eq!(
        bench.millis_for(1000).await,
        0,
        "a stall of the other direction does not affect this one"
    );
    bench.conditions.send_replace(stalled(Direction::ToReplica));
    let too_much = vec![0; PIPE + 1];
    let sent = tokio::time::timeout(Duration::from_mins(1), bench.near.write_all(&too_much)).await;
    assert!(
        sent.is_err(),
        "the sender feels the back-pressure: nothing is read during a stall"
    );
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_gone_ends_the_relay() {
    let Bench {
        mut near,
        far,
        relay,
        ..
    } = bench(WanConditions::default());
    drop(far);
    near.write_all(b"lost").await.unwrap();
    assert_eq!(
        relay.await.unwrap().unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
}

#[test]
fn pieces_grow_with_the_rate() {
    assert_eq!(
        [1, 3_200, 3_250, 1_000_000].map(piece_at),
        [64, 64, 65, 20_000]
    );
}
