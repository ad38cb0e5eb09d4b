//! Logs: one line an event, readable by itself, on standard error.

use tracing_logfmt::{EventsFormatter, FieldsFormatter};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::args::{Global, LogFormat, LogLevel};

/// Starts logging as the command line asks. Libraries speak up only when something is wrong.
pub(super) fn start(global: &Global) {
    let level = match global.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("redis_cross_dc_exporter", level);
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match global.log_format {
        LogFormat::Logfmt => layer
            .fmt_fields(FieldsFormatter::default())
            .event_format(EventsFormatter::default())
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(layer).init();
}
