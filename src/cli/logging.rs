//! Logs: one line an event, readable by itself, on standard error.

use tracing_logfmt::{EventsFormatter, FieldsFormatter};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use super::args::{Global, LogFormat, LogLevel};

/// Starts logging as the command line asks.
pub(super) fn start(global: &Global) {
    tracing_subscriber::registry().with(layer(global, std::io::stderr)).init();
}

/// What writes events to `writer`. Libraries speak up only when something is wrong.
fn layer<W>(global: &Global, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match global.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("redis_cross_dc_exporter", level);
    let layer = fmt::layer().with_writer(writer);
    match global.log_format {
        LogFormat::Logfmt => layer
            .fmt_fields(FieldsFormatter::default())
            .event_format(EventsFormatter::default())
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use clap::Parser as _;

    use super::super::args::Cli;
    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// One event about `pair`, in the given format.
    fn logged(format: &str, pair: &str) -> String {
        let global = Cli::try_parse_from(["exporter", "--log.format", format]).unwrap().global;
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::registry().with(layer(&global, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "redis_cross_dc_exporter::test", pair, reason = %pair, "{pair}");
        });
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_name_adds_a_line_a_field_or_a_command_to_the_log() {
        for name in ["a\nlevel=error msg=forged", "\u{1b}[2Jx\r", "x\" level=\"error", "<b>'\\{}", "\u{202e}é 😀\0"]
        {
            for format in ["logfmt", "json"] {
                let line = logged(format, name);
                assert!(line.ends_with('\n') && line.len() > 20, "{format}: {line:?}");
                assert!(!line.trim_end_matches('\n').contains(|c: char| c.is_control()), "{format}: {line:?}");
                // Its own, and one in each of the three quoted texts.
                let named = 3 * name.matches("level=").count();
                assert_eq!(line.matches("level=").count() + line.matches("\"level\":").count(), 1 + named, "{line}");
            }
            let json: serde_json::Value = serde_json::from_str(&logged("json", name)).unwrap();
            assert_eq!((&json["pair"], &json["message"]), (&name.into(), &name.into()));
        }
    }
}
