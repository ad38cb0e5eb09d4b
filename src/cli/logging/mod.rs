//! The log on standard error: one self-contained line for each event. Lines about something that
//! flaps are rate-limited and summarised ([`flood`]).

mod flood;
mod line;

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::args::{Global, LogFormat, LogLevel};
use crate::clock;
use crate::model::Timestamp;
use flood::{Admission, Flood, Summary};
use line::{LogLine, LogSubject};

/// How often summaries of suppressed lines are checked for being due.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1);

/// The log. Cheap to clone.
#[derive(Clone)]
pub(super) struct Log {
    format: LogFormat,
    shared: Arc<Mutex<LogState>>,
}

type LogFlood = Flood<LogSubject, LogLine>;

struct LogState {
    flood: LogFlood,
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

/// The layer that passes events to `log`. Libraries log warnings and errors only.
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
            shared: Arc::new(Mutex::new(LogState {
                flood: Flood::default(),
                sink,
            })),
        }
    }

    /// Writes summaries of suppressed lines as they become due. Never returns.
    pub(super) async fn follow(self) {
        let mut ticks = interval(SUMMARY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.write_summaries(Flood::due);
        }
    }

    /// Writes summaries of all lines that are still suppressed.
    pub(super) fn finish(&self) {
        self.write_summaries(Flood::drain);
    }

    /// Writes the summaries that `take` removes from the flood control.
    fn write_summaries(&self, take: fn(&mut LogFlood, Timestamp) -> Vec<Summary<LogLine>>) {
        let anchor = clock::anchor();
        let mut shared = self.lock();
        for summary in take(&mut shared.flood, anchor.mono) {
            let mut line = summary.last;
            line.sum_up(summary.lines, summary.over, anchor.wall(summary.at));
            shared.write(&line.render(self.format, anchor.wall));
        }
    }

    fn log(&self, line: LogLine) {
        let anchor = clock::anchor();
        let mut shared = self.lock();
        if let Some(line) = shared.admit(line, anchor.mono) {
            shared.write(&line.render(self.format, anchor.wall));
        }
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogState {
    /// The line, if it is to be written; `None` if it is suppressed.
    fn admit(&mut self, line: LogLine, now: Timestamp) -> Option<LogLine> {
        let Some(subject) = line.subject() else {
            return Some(line);
        };
        let shared_subject = subject.without_name();
        let mut admission = self.flood.admit(subject, line, now);
        if let Admission::NoRoom(line) = admission {
            admission = self.flood.admit(shared_subject, line, now);
        }
        match admission {
            // Without room even for the shared subject, a line too many is better than a lost one.
            Admission::Write(line) | Admission::NoRoom(line) => Some(line),
            Admission::Suppressed => None,
        }
    }

    fn write(&mut self, line: &str) {
        // There is nowhere to report that the log cannot be written.
        let _ = self.sink.write_all(line.as_bytes());
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.log(LogLine::from_event(event));
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
