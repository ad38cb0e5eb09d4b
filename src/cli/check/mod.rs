//! `check`: the state of every pair on one screen, worst first, for an engineer in an incident. It
//! asks the running exporter, or else the servers; or servers of the command line, without any
//! file. Exit codes are those of Nagios.

mod details;
mod layout;
mod named;
mod rows;
mod seen;
mod source;
mod table;
mod watch;

use std::time::Duration;

use serde_json::Value;

use super::args::{CheckArgs, Global, OutputFormat};
use super::exit::Exit;
use super::exporter::{Exporter, LOGIN_REQUIRED};
use super::output::{complain, print_coloured, say};
use super::{block_on, load_settings};
use crate::app;
use crate::clock;
use crate::config::Settings;
use crate::http_client::{GetError, HttpTimeouts};
use crate::report::{Level, PairsReport};
use seen::Seen;
use source::Source;

/// A running exporter answers at once, also for a large fleet.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(5),
};

pub(super) fn check(global: &Global, args: &CheckArgs) -> Exit {
    if args.watch && args.output == OutputFormat::Json {
        complain("--watch shows a table: run check --output json again and again instead.");
        return Exit::Unknown;
    }
    // A usage error is 3 here: 64 would be no Nagios code, and 2 would be critical.
    let Ok(seen) = look(global, args) else {
        return Exit::Unknown;
    };
    if !args.watch {
        print(&seen, args.output);
        return exit_code(&seen);
    }
    watch::show(&seen);
    loop {
        std::thread::sleep(Duration::from_secs(args.every));
        match look(global, args) {
            Ok(seen) => watch::show(&seen),
            Err(_) => return Exit::Unknown,
        }
    }
}

/// What there is to see now. An error has been printed already.
fn look(global: &Global, args: &CheckArgs) -> Result<Seen, Exit> {
    let mut seen = if args.servers.is_empty() {
        // Made for each look: its connections end with the runtime, and a password may have
        // changed.
        let exporter = Exporter::new(global, &args.exporter, TIMEOUTS);
        let exporter = exporter.map_err(|sentence| refuse(&sentence))?;
        match block_on(ask_exporter(&exporter))? {
            Ok(seen) => seen,
            Err(why) => poll_servers(global, exporter.url, why)?,
        }
    } else {
        let settings = named::settings(args).map_err(|sentence| refuse(&sentence))?;
        poll(&settings, Source::Named)?
    };
    let Some(name) = &args.pair else {
        return Ok(seen);
    };
    seen.retain_pair(name);
    if seen.report.pairs.is_empty() {
        return Err(refuse(&format!(
            "There is no pair called {name:?}. Run check without --pair to see all of them."
        )));
    }
    Ok(seen)
}

fn refuse(sentence: &str) -> Exit {
    complain(sentence);
    Exit::Unknown
}

/// Queries the running exporter. This client may have no access to its alerts and deliveries; the
/// pairs are enough.
async fn ask_exporter(exporter: &Exporter) -> Result<Seen, String> {
    let Exporter { url, client } = exporter;
    let report = match client.get_json(&format!("{url}/api/v1/pairs")).await {
        Ok(report) => report,
        Err(GetError::Status(401)) => return Err(LOGIN_REQUIRED.to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let alerts = client.get_json(&format!("{url}/api/v1/alerts")).await;
    let deliveries = client.get_json(&format!("{url}/api/v1/deliveries")).await;
    Ok(Seen {
        report,
        source: Source::Exporter { url: url.clone() },
        alerts: alerts.ok(),
        deliveries: deliveries.ok(),
    })
}

/// Polls the servers itself, because no exporter answers.
fn poll_servers(global: &Global, url: String, why: String) -> Result<Seen, Exit> {
    let settings = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => {
            complain(&format!(
                "No exporter answers at {url} either ({why}): give --config.file or --exporter.url."
            ));
            return Err(exit);
        }
    };
    poll(&settings, Source::Servers { url, why })
}

/// Polls every server of `settings`, for an answer from this source.
fn poll(settings: &Settings, source: Source) -> Result<Seen, Exit> {
    let snapshot = match block_on(app::probe_once(settings))? {
        Ok(snapshot) => snapshot,
        Err(error) => {
            complain(&format!("Polling the servers failed: {error}"));
            return Err(Exit::Unknown);
        }
    };
    Ok(Seen {
        report: PairsReport::new(&snapshot, clock::now()),
        source,
        alerts: None,
        deliveries: None,
    })
}

/// The exit code for the worst pair.
fn exit_code(seen: &Seen) -> Exit {
    match seen.worst_level() {
        Some(Level::Ok) => Exit::Ok,
        Some(Level::Warning) => Exit::Failed,
        Some(Level::Critical) => Exit::Critical,
        Some(Level::Unknown) | None => Exit::Unknown,
    }
}

fn print(seen: &Seen, output: OutputFormat) {
    match output {
        OutputFormat::Table => print_coloured(&table::table(seen)),
        OutputFormat::Json => match json(&seen.report, &seen.source) {
            Ok(text) => say(&text),
            Err(error) => complain(&format!(
                "The report cannot be written as JSON: {error}. Please report it."
            )),
        },
    }
}

/// The exporter's own report, with who was asked in `source` and with the level of each pair that
/// follows from that.
fn json(report: &PairsReport, source: &Source) -> Result<String, serde_json::Error> {
    let mut whole = serde_json::to_value(report)?;
    if let Value::Object(fields) = &mut whole {
        fields.insert("source".to_owned(), serde_json::to_value(source)?);
    }
    let pairs = whole.get_mut("pairs").and_then(Value::as_array_mut);
    for (written, pair) in pairs.into_iter().flatten().zip(&report.pairs) {
        let level = source.level(pair);
        if level != pair.level()
            && let Value::Object(fields) = written
        {
            fields.insert("level".to_owned(), level.label().into());
            fields.insert("level_reason".to_owned(), "lag_unknown".into());
        }
    }
    serde_json::to_string_pretty(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{pair, report};

    #[test]
    fn json_has_the_level_of_each_pair_and_the_source() {
        let source = Source::Exporter {
            url: "http://127.0.0.1:1".to_owned(),
        };
        let text = json(&report([pair("orders")]), &source).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["pairs"][0]["level"], "ok");
        assert_eq!(value["source"]["asked"], "exporter");
        let read: PairsReport = serde_json::from_str(&text).unwrap();
        assert_eq!(read, report([pair("orders")]));
    }
}
