//! The true lag, measured beside the exporter: numbered writes on the master, read directly on the
//! replica.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{Connection, RedisServer};
use redis_cross_dc_exporter::model::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// The period of numbered writes: the grain of the truth.
const WRITE_PERIOD: Duration = Duration::from_millis(20);
/// The period of reads on the replica.
const READ_PERIOD: Duration = Duration::from_millis(20);
/// The key of the numbered writes, where there is one measurement.
const KEY: &str = "truth";

/// A measurement under way.
pub(super) struct Truth {
    log: Arc<Mutex<Log>>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Log {
    /// When write `i` was sent and confirmed.
    writes: Vec<(Timestamp, Option<Timestamp>)>,
    /// When the replica was asked, when it had answered, and the last write that it had.
    reads: Vec<(Timestamp, Timestamp, usize)>,
}

impl Truth {
    pub(super) async fn start(master: &RedisServer, replica: &RedisServer) -> Self {
        Self::with_key(master, replica, KEY).await
    }

    /// Numbers its writes in a separate key; ends by itself when the master takes no writes any
    /// more.
    pub(super) async fn with_key(
        master: &RedisServer,
        replica: &RedisServer,
        key: &'static str,
    ) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        let writing = tokio::spawn(write(
            master.connect().await.unwrap(),
            key,
            Arc::clone(&log),
        ));
        let mut reader = replica.connect().await.unwrap();
        // A node of a cluster redirects whoever does not say this; other servers refuse it.
        let _ = reader.command(&["READONLY"]).await;
        let reading = tokio::spawn(read(reader, key, Arc::clone(&log)));
        Self {
            log,
            tasks: [writing, reading],
        }
    }

    /// The lowest and the highest lag in seconds that the pair can have had at some instant in
    /// `[from, to]`: the age of the oldest write that the replica lacked. `None` when nothing was
    /// read before and after.
    ///
    /// What the replica had only grows, so it had at least what it showed before `from`, and at
    /// most what it showed after `to`.
    pub(super) fn lag(&self, from: Timestamp, to: Timestamp) -> Option<(f64, f64)> {
        let log = self.log.lock().unwrap();
        let before = log
            .reads
            .iter()
            .rev()
            .find(|(_, answered, _)| *answered <= from)?
            .2;
        let after = log.reads.iter().find(|(asked, ..)| *asked >= to)?.2;
        // It had write `after`, so at the latest it lacked what came with the next one, confirmed
        // at some time.
        let lower = log
            .writes
            .get(after + 1)
            .and_then(|(_, confirmed)| *confirmed)
            .map(|at| from - at);
        let (sent, _) = log.writes[before];
        Some((
            lower.map_or(0.0, |span| span.as_secs_f64().max(0.0)),
            (to - sent).as_secs_f64().max(0.0),
        ))
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn write(mut master: Connection, key: &str, log: Arc<Mutex<Log>>) {
    let mut tick = interval(WRITE_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_usize.. {
        tick.tick().await;
        log.lock().unwrap().writes.push((clock::now(), None));
        let Ok(_) = master.command(&["SET", key, &number.to_string()]).await else {
            return;
        };
        log.lock().unwrap().writes[number].1 = Some(clock::now());
    }
}

async fn read(mut replica: Connection, key: &str, log: Arc<Mutex<Log>>) {
    let mut tick = interval(READ_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = clock::now();
        // One that loads its data set answers with an error.
        let Ok(reply) = replica.command(&["GET", key]).await else {
            continue;
        };
        if let Some(number) = reply.text().and_then(|text| text.parse().ok()) {
            log.lock()
                .unwrap()
                .reads
                .push((asked, clock::now(), number));
        }
    }
}
