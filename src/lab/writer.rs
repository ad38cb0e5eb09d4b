//! A steady writer: the load whose replication is measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::resp::encode;
use super::{Connection, LabError, Reply};
use crate::model::{Secret, ServerAddr};

/// How often the writer sends what is due: often enough that the stream has no steps a lag
/// measurement could see.
const TICK: Duration = Duration::from_millis(10);
/// The pause before it connects again after a failure.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// How long one batch may take before the connection counts as dead.
const BATCH_LIMIT: Duration = Duration::from_secs(2);
/// The keys are numbered from 0 and used again after this many, so that a long run does not fill
/// the memory.
const KEYS: u64 = 10_000;
/// Writes that may be overdue: after an interruption the writer goes on at its rate and does not
/// catch up.
const MAX_OVERDUE: Duration = Duration::from_millis(100);

/// How much a writer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteLoad {
    /// SET commands per second.
    pub per_second: u32,
    /// The length of each value in bytes.
    pub value_bytes: usize,
}

/// A running writer. On drop it stops.
#[derive(Debug)]
pub struct SteadyWriter {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Shared {
    fn last_error(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl SteadyWriter {
    /// Writes to `master` until it is stopped. It connects again when the connection breaks or a
    /// write is refused, for as long as it takes.
    pub fn start(master: &ServerAddr, password: Option<&Secret>, load: WriteLoad) -> Self {
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = watch::channel(false);
        let task = Task {
            master: master.clone(),
            password: password.cloned(),
            load,
            value: vec![b'x'; load.value_bytes],
            next_key: 0,
            shared: Arc::clone(&shared),
            stopped,
        };
        Self {
            shared,
            stop,
            task: tokio::spawn(task.run()),
        }
    }

    /// How many writes the master has confirmed.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Why the last write failed; `None` when none has failed since the last success.
    pub fn last_error(&self) -> Option<String> {
        self.shared.last_error().clone()
    }

    /// Stops after the batch under way and returns how many writes the master has confirmed.
    pub async fn stop(mut self) -> u64 {
        // Both fail only if the task has ended already, as it does with the runtime.
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
        self.written()
    }
}

impl Drop for SteadyWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    master: ServerAddr,
    password: Option<Secret>,
    load: WriteLoad,
    value: Vec<u8>,
    next_key: u64,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
}

impl Task {
    async fn run(mut self) {
        while !*self.stopped.borrow() {
            if let Err(error) = self.write_on_one_connection().await {
                self.set_last_error(Some(error.to_string()));
                let mut stopped = self.stopped.clone();
                tokio::select! {
                    () = sleep(RECONNECT_PAUSE) => {}
                    _ = stopped.changed() => {}
                }
            }
        }
    }

    /// Writes until it is stopped (`Ok`) or something fails.
    async fn write_on_one_connection(&mut self) -> Result<(), LabError> {
        let connection = Connection::open(&self.master, self.password.as_ref()).await?;
        let mut connection = connection.within(BATCH_LIMIT);
        let mut pace = Pace::new(self.load.per_second, Instant::now());
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if *self.stopped.borrow() {
                return Ok(());
            }
            let due = pace.due(Instant::now());
            if due > 0 {
                self.write(&mut connection, due).await?;
            }
        }
    }

    /// Sends `count` writes at once and reads their replies.
    async fn write(&mut self, connection: &mut Connection, count: u32) -> Result<(), LabError> {
        let batch = self.next_batch(count);
        for reply in connection.exchange(&batch, count as usize).await? {
            if let Reply::Error(reply) = reply {
                return Err(LabError::CommandRefused {
                    server: self.master.to_string(),
                    command: "SET".to_owned(),
                    reply,
                });
            }
            self.shared.written.fetch_add(1, Ordering::Relaxed);
        }
        self.set_last_error(None);
        Ok(())
    }

    /// The next `count` writes, encoded.
    fn next_batch(&mut self, count: u32) -> Vec<u8> {
        let mut batch = Vec::new();
        for _ in 0..count {
            let key = format!("lab:{}", self.next_key % KEYS);
            self.next_key += 1;
            batch.extend(encode(&[b"SET", key.as_bytes(), &self.value]));
        }
        batch
    }

    /// Sets what [`SteadyWriter::last_error`] returns.
    fn set_last_error(&self, error: Option<String>) {
        *self.shared.last_error() = error;
    }
}

/// How many writes are due: whole ones, with the fraction carried over.
struct Pace {
    per_second: f64,
    last: Instant,
    /// The part of a write that was due at `last`.
    fraction: f64,
}

impl Pace {
    fn new(per_second: u32, now: Instant) -> Self {
        Self {
            per_second: f64::from(per_second),
            last: now,
            fraction: 0.0,
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative, at most u32::MAX / 10 + 1
    fn due(&mut self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.last).min(MAX_OVERDUE);
        self.last = now;
        let due = self.fraction + elapsed.as_secs_f64() * self.per_second;
        self.fraction = due.fract();
        due as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{RedisServer, eventually};

    const LIMIT: Duration = Duration::from_secs(30);
    const LOAD: WriteLoad = WriteLoad {
        per_second: 500,
        value_bytes: 100,
    };

    async fn more_than(writer: &SteadyWriter, count: u64) {
        let enough = || async {
            if writer.written() > count {
                Ok(())
            } else {
                Err(format!("{}, {:?}", writer.written(), writer.last_error()))
            }
        };
        eventually("further writes", LIMIT, enough).await.unwrap();
    }

    #[tokio::test]
    async fn writes_arrive_with_their_size_and_end_with_stop() {
        let master = RedisServer::builder().password("pw").start().await.unwrap();
        let writer = SteadyWriter::start(master.addr(), master.password(), LOAD);
        more_than(&writer, 20).await;
        let written = writer.stop().await;
        let length = master.command(&["STRLEN", "lab:20"]).await.unwrap();
        assert_eq!(length, Reply::Integer(100));
        let keys = master.command(&["DBSIZE"]).await.unwrap();
        assert_eq!(keys, Reply::Integer(i64::try_from(written).unwrap()));
    }

    #[tokio::test]
    async fn it_goes_on_when_its_master_comes_back() {
        let mut master = RedisServer::builder().start().await.unwrap();
        let writer = SteadyWriter::start(master.addr(), None, LOAD);
        more_than(&writer, 0).await;
        master.kill();
        let error = eventually("the writer's error", LIMIT, || async {
            writer.last_error()
        })
        .await
        .unwrap();
        assert!(error.contains(&master.addr().to_string()), "{error}");
        let before = writer.written();
        master.restart().await.unwrap();
        more_than(&writer, before).await;
        assert_eq!(writer.last_error(), None);
    }

    #[tokio::test]
    async fn a_refused_write_is_not_counted_and_tried_again() {
        let nobody = RedisServer::builder().start().await.unwrap();
        let replica = RedisServer::builder()
            .replicaof(nobody.addr())
            .start()
            .await
            .unwrap();
        let writer = SteadyWriter::start(replica.addr(), None, LOAD);
        let error = eventually("the refusal", LIMIT, || async { writer.last_error() })
            .await
            .unwrap();
        assert!(error.contains("READONLY"), "{error}");
        assert_eq!(writer.written(), 0);
        replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
        more_than(&writer, 0).await;
    }

    #[test]
    fn the_pace_is_exact_over_time_and_never_catches_up() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(333, start);
        let total: u32 = (1..=100).map(|tick| pace.due(at(tick * 10))).sum();
        assert!((332..=333).contains(&total), "{total}");
        let burst = pace.due(at(61_000));
        assert!(
            burst <= 34,
            "a minute's interruption makes a burst of {burst}"
        );
    }
}
