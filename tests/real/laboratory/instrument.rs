//! The instrument itself, without any exporter: it must measure what was done to a link and to a
//! replica.

use std::sync::Arc;
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{Direction, RedisServer, WanConditions, WanProxy, eventually};
use redis_cross_dc_exporter::model::{Span, Timestamp};

use super::truth::{Between, seconds};
use super::witness::{Load, NumberedWriter, Probe, Shared, WRITE_PERIOD};

const LIMIT: Duration = Duration::from_secs(30);
/// How much more than a period of writes a busy machine may take for one.
const SLACK: f64 = 0.15;

/// How much later a write may be confirmed while other tests run.
const BUSY: f64 = 0.5;

struct Bench {
    record: Shared,
    writer: NumberedWriter,
    _probe: Probe,
    link: WanProxy,
    replica: RedisServer,
    _master: RedisServer,
}

impl Bench {
    async fn start() -> Self {
        let master = RedisServer::builder().start().await.unwrap();
        let link = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .replicaof(link.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let record = Shared::default();
        let writer =
            NumberedWriter::start(master.addr(), Some(Load::default()), Arc::clone(&record));
        let probe = Probe::start(replica.addr(), Arc::clone(&record));
        let bench = Self {
            record,
            writer,
            _probe: probe,
            link,
            replica,
            _master: master,
        };
        bench.read_after(clock::now()).await;
        bench
    }

    /// The instrument's result for one instant, once there is one.
    async fn lag_at(&self, at: Timestamp) -> Between {
        let known = || async { self.record.lock().unwrap().lag(at, at) };
        eventually("the truth", LIMIT, known).await.unwrap()
    }

    /// Waits until the replica has a batch that is sent after `at`.
    async fn read_after(&self, at: Timestamp) {
        let written = self.record.lock().unwrap().newest_batch();
        let has = || async { self.record.lock().unwrap().newest_reading() > written };
        eventually(&format!("a batch after {at:?}"), LIMIT, has)
            .await
            .unwrap();
    }
}

/// `lag` is the age of what was written first after `lost`, at `at`.
fn is_age(lag: Between, lost: Timestamp, at: Timestamp) {
    let age = seconds(lost, at);
    println!("{age:.4} s after the loss: {lag:?}");
    assert!(lag.low <= age, "{lag:?} is more than {age} s");
    let first_write = WRITE_PERIOD.as_secs_f64() + SLACK;
    assert!(
        lag.high >= age - first_write,
        "{lag:?} is less than {age} s"
    );
    // Where the processor is shared with other tests, a write may be confirmed late: the truth is
    // vaguer, and no less true.
    assert!(
        lag.width() <= first_write + BUSY,
        "{lag:?} is not near {age} s"
    );
}

#[tokio::test]
async fn a_stall_is_measured_with_its_true_length() {
    let bench = Bench::start().await;
    let stalled = clock::now();
    bench.link.stall(Direction::Both);
    let at = stalled + Span::from_secs(5);
    let lag = bench.lag_at(at).await;
    is_age(lag, stalled, at);
    let healed = clock::now();
    bench.link.heal().await.unwrap();
    bench.read_after(healed).await;
    let later = clock::now();
    assert!(bench.lag_at(later).await.low < SLACK, "it has caught up");
}

#[tokio::test]
async fn a_stopped_replica_is_bounded_although_the_probe_hangs() {
    let mut bench = Bench::start().await;
    let (from, to) = super::stage::stop(&mut bench.replica, Duration::from_secs(3)).await;
    bench.record.lock().unwrap().froze(from, to);
    let at = to - Span::from_millis(1);
    bench.read_after(to).await;
    is_age(bench.lag_at(at).await, from, at);
}

#[tokio::test]
async fn an_idle_pair_has_no_lag() {
    let bench = Bench::start().await;
    bench.writer.pause().await;
    let paused = clock::now();
    let at = paused + Span::from_secs(2);
    assert_eq!(
        bench.lag_at(at).await,
        Between {
            low: 0.0,
            high: 0.0
        }
    );
}
