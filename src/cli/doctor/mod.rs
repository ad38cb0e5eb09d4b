//! `doctor`: the audit of every pair for disaster recovery. It asks, and changes nothing.

mod exporter;
mod lines;
mod markdown;
mod progress;
mod table;

use std::collections::BTreeMap;

use super::args::{DoctorArgs, DoctorFormat, Global};
use super::exit::Exit;
use super::output::{complain, print_coloured, say};
use super::{block_on, load_settings};
use crate::app::{self, AuditRequest};
use crate::clock;
use crate::config::{Settings, parse_duration};
use crate::doctor::{AuditOptions, AuditSummary, DoctorReport, EntryAudit, SitesAudit, audit_all};
use crate::model::{PairName, Span};
pub(super) use lines::wrapped;
use progress::progress;

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
    let survive = wanted.survive;
    let collect = collect(global, args, &settings, wanted.request);
    let found = match block_on(collect) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    if found.entries.is_empty() && found.sites.is_empty() {
        return no_pair(args.pair.as_deref());
    }
    let report = judge(&settings, &found, survive);
    print(&report, args.output);
    exit_code(report.summary)
}

/// Asks the running exporter for its history, then every server.
async fn collect(
    global: &Global,
    args: &DoctorArgs,
    settings: &Settings,
    mut request: AuditRequest,
) -> Found {
    request.histories = exporter::histories(global, &args.exporter).await;
    Found {
        entries: app::collect_facts(settings, &request, progress()).await,
        sites: app::collect_sites(settings, &request, progress()).await,
    }
}

/// What was collected.
struct Found {
    entries: Vec<EntryAudit>,
    sites: Vec<SitesAudit>,
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
            measure: Some(duration("--measure", &args.measure, MEASURE)?),
            directives: directives(&args.directives)?,
            histories: BTreeMap::new(),
        };
        Ok(Self { request, survive })
    }
}

/// The most directives that can be asked for.
const MAX_DIRECTIVES: usize = 16;

/// The longest name of one.
const MAX_DIRECTIVE: usize = 64;

/// The names after `--directive`, checked: `CONFIG GET` takes patterns, too, and a pattern would
/// ask for secrets.
fn directives(names: &[String]) -> Result<Vec<String>, String> {
    if names.len() > MAX_DIRECTIVES {
        return Err(format!("--directive: allowed: at most {MAX_DIRECTIVES}"));
    }
    for name in names {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > MAX_DIRECTIVE || !name.chars().all(is_plain) {
            return Err(format!(
                "--directive: {name:?} is not a directive's name; write it like repl-compression"
            ));
        }
    }
    Ok(names.to_vec())
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

fn judge(settings: &Settings, found: &Found, survive: Span) -> DoctorReport {
    let now = clock::wall_now();
    let options = AuditOptions { survive, now };
    audit_all(
        &found.entries,
        &found.sites,
        &settings.doctor.ignore,
        options,
    )
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
    fn a_directive_is_a_name_and_no_pattern() {
        let check = |name: &str| directives(&[name.to_owned()]);
        assert_eq!(check("repl-compression").unwrap(), ["repl-compression"]);
        for name in ["*", "masterauth*", "", "Save", "a b", &"x".repeat(65)] {
            assert!(check(name).is_err(), "{name}");
        }
        assert!(directives(&vec!["save".to_owned(); 17]).is_err());
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
