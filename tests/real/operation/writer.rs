//! A client that writes numbers and knows exactly which of them were acknowledged, and when.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{Connection, Reply};
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::model::{Span, Timestamp};
use tokio::task::JoinHandle;

/// The list that holds the numbers.
pub(crate) const LIST: &str = "ids";

/// Between two writes: a thousand a second.
const PERIOD: Duration = Duration::from_millis(1);

/// How long a write may take: longer than any pause.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a writer knows when it ends.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The acknowledged numbers, each with the wall time (Unix seconds) of the acknowledgement.
    pub(crate) acked: Vec<(u64, f64)>,
    /// Numbers whose write was cut off: nobody knows whether they are there.
    pub(crate) in_doubt: Vec<u64>,
    /// The longest time that a write took that was acknowledged.
    pub(crate) longest: Span,
}

/// A writer at work.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    gap: Arc<Mutex<Gap>>,
    began: Timestamp,
    task: JoinHandle<Written>,
}

/// The longest time without an acknowledgement: what clients see of a change of masters, whatever
/// makes it.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    last: Option<Timestamp>,
    longest: Span,
}

impl Writer {
    /// Writes to whichever of `servers` is the master, one write after the other.
    pub(crate) fn start(servers: Vec<ServerAddr>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let gap = Arc::new(Mutex::new(Gap::default()));
        let work = write(
            servers,
            Arc::clone(&stop),
            Arc::clone(&count),
            Arc::clone(&gap),
        );
        Self {
            stop,
            count,
            gap,
            began: clock::now(),
            task: tokio::spawn(work),
        }
    }

    /// The longest time without an acknowledgement since this was last called.
    pub(crate) fn take_gap(&self) -> Span {
        let mut gap = self.gap.lock().unwrap();
        std::mem::replace(&mut gap.longest, Span::ZERO)
    }

    /// Acknowledged writes a second so far.
    pub(crate) fn per_second(&self) -> f64 {
        let count = u32::try_from(self.count()).unwrap();
        f64::from(count) / (clock::now() - self.began).as_secs_f64()
    }

    /// How many writes were acknowledged so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits for `more` acknowledged writes.
    pub(crate) async fn after(&self, more: u64) {
        let goal = self.count() + more;
        let reached = || async {
            if self.count() >= goal {
                Ok(())
            } else {
                Err(format!("{} of {goal}", self.count()))
            }
        };
        redis_cross_dc_exporter::lab::eventually("further writes", crate::stage::LIMIT, reached)
            .await
            .unwrap();
    }

    /// Ends after the write under way.
    pub(crate) async fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn write(
    servers: Vec<ServerAddr>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    gap: Arc<Mutex<Gap>>,
) -> Written {
    let mut written = Written::default();
    let mut number = 0;
    let mut place = 0;
    let mut connection: Option<Connection> = None;
    let mut beat = tokio::time::interval(PERIOD);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        let Some(open) = connection.as_mut() else {
            let server = &servers[place % servers.len()];
            place += 1;
            connection = Connection::open(server, None)
                .await
                .ok()
                .map(|open| open.within(PATIENCE));
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let sent = clock::now();
        let text = number.to_string();
        let command = vec!["RPUSH", LIST, text.as_str()];
        match open.commands(&[command]).await.as_deref() {
            Ok([Reply::Integer(_)]) => {
                written
                    .acked
                    .push((number, clock::wall_now().as_secs_f64()));
                let now = clock::now();
                written.longest = written.longest.max(now - sent);
                gap.lock().unwrap().acknowledged(now);
                count.fetch_add(1, Ordering::Relaxed);
                number += 1;
            }
            // READONLY and the like: certainly not carried out, so it is written again.
            Ok(_) => connection = None,
            Err(_) => {
                written.in_doubt.push(number);
                number += 1;
                connection = None;
            }
        }
        beat.tick().await;
    }
    written
}

impl Gap {
    fn acknowledged(&mut self, now: Timestamp) {
        if let Some(last) = self.last {
            self.longest = self.longest.max(now - last);
        }
        self.last = Some(now);
    }
}

impl Written {
    /// Checks that every acknowledged number is in `found` once, and that nothing is there twice.
    pub(crate) fn check_against(&self, found: &[u64]) {
        let mut sorted = found.to_vec();
        sorted.sort_unstable();
        let mut once = sorted.clone();
        once.dedup();
        assert_eq!(sorted.len(), once.len(), "numbers that were written twice");
        let lost = self.lost_from(found);
        assert!(
            lost.is_empty(),
            "{} acknowledged writes are lost: {lost:?}",
            lost.len()
        );
    }

    /// The acknowledged numbers that are not in `found`, with their times.
    pub(crate) fn lost_from(&self, found: &[u64]) -> Vec<(u64, f64)> {
        let found: std::collections::BTreeSet<_> = found.iter().copied().collect();
        let lost = self
            .acked
            .iter()
            .filter(|(number, _)| !found.contains(number));
        lost.copied().collect()
    }
}
