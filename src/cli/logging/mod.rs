//! The log on standard error: one self-contained line for each event. Lines about something that
//! flaps are rate-limited and summarised ([`flood`]).

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

struct LogState {
    flood: Flood<LogSubject, LogLine>,
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

    fn write_summaries(
        &self,
        what: impl FnOnce(
            &mut Flood<LogSubject, LogLine>,
            crate::model::Timestamp,
        ) -> Vec<Summary<LogLine>>,
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

    fn log(&self, line: LogLine) {
        let anchor = clock::anchor();
        let subject = line.subject();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = match subject {
            None => Admission::Write(line),
            Some(subject) => match shared.flood.admit(subject.clone(), line, anchor.mono) {
                Admission::NoRoom(line) => {
                    shared
                        .flood
                        .admit(subject.without_name(), line, anchor.mono)
                }
                verdict => verdict,
            },
        };
        // Without room even for the shared subject, one line too many is better than a lost one.
        if let Admission::Write(line) | Admission::NoRoom(line) = verdict {
            shared.write(&line.render(self.format, anchor.wall));
        }
    }
}

impl LogState {
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
