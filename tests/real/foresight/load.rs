//! Writers whose rate varies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis_cross_dc_exporter::lab::Connection;
use redis_cross_dc_exporter::model::ServerAddr;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a writer writes.
const TICK: Duration = Duration::from_millis(40);
/// Bytes of one value.
const VALUE: usize = 1000;

/// How the rate of a writer goes over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Always the same.
    Steady,
    /// A fifth of the rate, and for 1 to 3 s out of some ten four times the rate.
    Bursty,
    /// Twice the rate for 4 s, nothing for 4 s.
    OnOff,
}

impl Pattern {
    pub(super) const ALL: [Self; 3] = [Self::Steady, Self::Bursty, Self::OnOff];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Bursty => "bursty",
            Self::OnOff => "on-off",
        }
    }
}

/// Writes until it is dropped.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Writes to `master` about `rate` bytes a second, as `pattern` says.
    pub(super) fn start(master: &ServerAddr, pattern: Pattern, rate: f64) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let task = tokio::spawn(write(master.clone(), pattern, rate, Arc::clone(&stop)));
        Self { stop, task }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

async fn write(master: ServerAddr, pattern: Pattern, rate: f64, stop: Arc<AtomicBool>) {
    let mut connection = Connection::open(&master, None).await.unwrap();
    let value = "x".repeat(VALUE);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let start = Instant::now();
    let mut burst = Burst::default();
    let mut owed = 0.0;
    let mut key = 0_u64;
    let mut last = start;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let now = Instant::now();
        let factor = match pattern {
            Pattern::Steady => 1.0,
            Pattern::Bursty => burst.factor(now),
            Pattern::OnOff => {
                let is_on = ((now - start).as_secs() / 4).is_multiple_of(2);
                if is_on { 2.0 } else { 0.0 }
            }
        };
        owed += rate * factor * (now - last).as_secs_f64();
        last = now;
        let mut writes = Vec::new();
        while owed >= VALUE as f64 {
            owed -= VALUE as f64;
            key = (key + 1) % 500;
            writes.push(vec!["SET".to_owned(), format!("k:{key}"), value.clone()]);
        }
        let writes: Vec<Vec<&str>> = writes
            .iter()
            .map(|words| words.iter().map(String::as_str).collect())
            .collect();
        for words in &writes {
            connection.command(words).await.unwrap();
        }
    }
}

/// When the bursts of a bursty writer are.
#[derive(Default)]
struct Burst {
    /// When the present burst ends, and when the next one begins.
    times: Option<(Instant, Instant)>,
}

impl Burst {
    fn factor(&mut self, now: Instant) -> f64 {
        let (mut until, mut next) = self.times.unwrap_or((now, now));
        if now >= next {
            until = now + Duration::from_secs_f64(1.0 + 2.0 * fastrand::f64());
            next = until + Duration::from_secs_f64(4.0 + 8.0 * fastrand::f64());
        }
        self.times = Some((until, next));
        if now < until { 4.0 } else { 0.2 }
    }
}
