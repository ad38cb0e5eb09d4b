//! Logs: one line an event, readable by itself, on standard error. What flaps does not flood it
//! ([`flood`]).

mod flood;
mod line;

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::args::{Global, LogFormat, LogLevel};
use crate::clock;
use flood::{Flood, Summary, Verdict};
use line::{Line, Subject};

/// How often it is looked whether what was held back is due.
const LOOK: Duration = Duration::from_secs(1);

/// The log. Cheap to clone.
#[derive(Clone)]
pub(super) struct Log {
    format: LogFormat,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    flood: Flood<Subject, Line>,
    sink: Box<dyn Write + Send>,
}

/// Starts logging as the command line asks.
pub(super) fn start(global: &Global) -> Log {
    let log = Log::new(global.log_format, Box::new(io::stderr()));
    tracing_subscriber::registry()
        .with(layer(&log, global.log_level))
        .init();
    log
}

/// What gives events to `log`. Libraries speak up only when something is wrong.
fn layer(log: &Log, level: LogLevel) -> impl Layer<Registry> {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("redis_cross_dc_exporter", level);
    log.clone().with_filter(filter)
}

impl Log {
    fn new(format: LogFormat, sink: Box<dyn Write + Send>) -> Self {
        Self {
            format,
            shared: Arc::new(Mutex::new(Shared {
                flood: Flood::default(),
                sink,
            })),
        }
    }

    /// Tells what was held back when it is due, for ever.
    pub(super) async fn follow(self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.tell(Flood::due);
        }
    }

    /// Tells everything that is still held back.
    pub(super) fn finish(&self) {
        self.tell(Flood::drain);
    }

    fn tell(
        &self,
        what: impl FnOnce(&mut Flood<Subject, Line>, crate::model::Timestamp) -> Vec<Summary<Line>>,
    ) {
        let anchor = clock::anchor();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for Summary {
            mut last,
            lines,
            at,
            over,
        } in what(&mut shared.flood, anchor.mono)
        {
            last.sum_up(lines, over, anchor.wall(at));
            shared.write(&last.render(self.format, anchor.wall));
        }
    }

    fn take(&self, line: Line) {
        let anchor = clock::anchor();
        let subject = line.subject();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = match subject {
            None => Verdict::Write(line),
            Some(subject) => match shared.flood.admit(subject.clone(), line, anchor.mono) {
                Verdict::NoRoom(line) => shared.flood.admit(subject.of_many(), line, anchor.mono),
                verdict => verdict,
            },
        };
        // Without room even for what many share, a line too many is better than one too few.
        if let Verdict::Write(line) | Verdict::NoRoom(line) = verdict {
            shared.write(&line.render(self.format, anchor.wall));
        }
    }
}

impl Shared {
    fn write(&mut self, line: &str) {
        // Nobody is left to tell that nobody reads the log.
        let _ = self.sink.write_all(line.as_bytes());
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.take(Line::of(event));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
