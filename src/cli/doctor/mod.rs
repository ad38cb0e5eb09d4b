//! `doctor`: the audit of every pair for disaster recovery. It asks, and changes nothing.

mod lines;
mod markdown;
mod table;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use super::args::{DoctorArgs, DoctorFormat, Global};
use super::exit::Exit;
use super::output::{complain, print_coloured, say};
use super::{block_on, load_settings};
use crate::app::{self, AuditRequest, Progress};
use crate::clock;
use crate::config::{Settings, parse_duration};
use crate::doctor::{AuditOptions, AuditSummary, DoctorReport, EntryAudit, audit};
use crate::model::{PairName, Span};
pub(super) use lines::wrapped;

/// The interruptions that can be asked for; the configuration has the same range.
const SURVIVE: (Span, Span) = (Span::from_secs(1), Span::from_secs(30 * 24 * 3600));

/// How long writes can be measured.
const MEASURE: (Span, Span) = (Span::from_secs(1), Span::from_secs(3600));

pub(super) fn doctor(global: &Global, args: &DoctorArgs) -> Exit {
    let settings = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let wanted = match Wanted::new(&settings, args) {
        Ok(wanted) => wanted,
        Err(sentence) => {
            complain(&sentence);
            return Exit::Usage;
        }
    };
    let collect = app::collect_facts(&settings, &wanted.request, progress());
    let entries = match block_on(collect) {
        Ok(entries) => entries,
        Err(exit) => return exit,
    };
    if entries.is_empty() {
        return no_pair(args.pair.as_deref());
    }
    let report = judge(&settings, &entries, wanted.survive);
    print(&report, args.output);
    exit_code(report.summary)
}

/// The arguments, checked.
struct Wanted {
    request: AuditRequest,
    survive: Span,
}

impl Wanted {
    fn new(settings: &Settings, args: &DoctorArgs) -> Result<Self, String> {
        let survive = match &args.survive {
            Some(text) => duration("--survive", text, SURVIVE)?,
            None => settings.doctor.survive,
        };
        let request = AuditRequest {
            pair: args.pair.as_deref().map(PairName::new),
            measure: duration("--measure", &args.measure, MEASURE)?,
        };
        Ok(Self { request, survive })
    }
}

fn duration(flag: &str, text: &str, range: (Span, Span)) -> Result<Span, String> {
    let span = parse_duration(text).map_err(|error| format!("{flag}: {text:?} {error}"))?;
    if span < range.0 || span > range.1 {
        return Err(format!(
            "{flag}: {text:?} is out of range; allowed: {} to {}",
            range.0, range.1
        ));
    }
    Ok(span)
}

fn no_pair(name: Option<&str>) -> Exit {
    let Some(name) = name else {
        complain("There is nothing to audit: no Sentinel reported a master. Run check to see why.");
        return Exit::Failed;
    };
    complain(&format!(
        "There is no pair called {name:?}. Run doctor without --pair to audit all of them."
    ));
    Exit::Usage
}

fn judge(settings: &Settings, entries: &[EntryAudit], survive: Span) -> DoctorReport {
    let now = clock::wall_now();
    let options = AuditOptions { survive, now };
    let exceptions = &settings.doctor.ignore;
    let audits = entries
        .iter()
        .map(|entry| audit(entry, exceptions, options));
    DoctorReport::new(audits.collect(), now.as_secs_f64(), survive.as_secs_f64())
}

/// Shows on a terminal how far the questions are. Standard output has the result alone.
fn progress() -> Progress {
    if !io::stderr().is_terminal() {
        return Arc::new(|_, _| {});
    }
    Arc::new(|done, all| {
        let end = if done == all { "\r\x1b[K" } else { "" };
        // A terminal that is gone needs no progress.
        let _ = write!(io::stderr(), "\rasked {done} of {all} servers{end}");
    })
}

/// What was not checked is not clean.
fn exit_code(summary: AuditSummary) -> Exit {
    if summary.critical > 0 {
        Exit::FoundCritical
    } else if summary.warning > 0 {
        Exit::FoundWarnings
    } else if summary.not_checked > 0 {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

fn print(report: &DoctorReport, format: DoctorFormat) {
    match format {
        DoctorFormat::Table => print_coloured(&table::table(report)),
        DoctorFormat::Markdown => say(markdown::markdown(report).trim_end()),
        DoctorFormat::Json => match serde_json::to_string_pretty(report) {
            Ok(text) => say(&text),
            Err(error) => complain(&format!(
                "The report cannot be written as JSON: {error}. Please report it."
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_not_clean() {
        let exit = |critical, warning, not_checked| {
            exit_code(AuditSummary {
                critical,
                warning,
                advice: 1,
                not_checked,
                ignored: 1,
            })
        };
        assert_eq!(exit(0, 0, 0), Exit::Ok);
        assert_eq!(exit(0, 0, 1), Exit::Failed);
        assert_eq!(exit(0, 1, 1), Exit::FoundWarnings);
        assert_eq!(exit(1, 1, 0), Exit::FoundCritical);
    }

    #[test]
    fn durations_have_their_range() {
        assert_eq!(duration("--measure", "5s", MEASURE), Ok(Span::from_secs(5)));
        for text in ["0s", "2h", "5", "x"] {
            let error = duration("--measure", text, MEASURE).unwrap_err();
            assert!(error.starts_with("--measure: "), "{error}");
        }
    }
}
