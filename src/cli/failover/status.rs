//! `failover --status`: what the journals say. No server is asked.

use serde::Serialize;

use super::print::{print_json, usage};
use crate::app::operation::{OperationsFolder, StoredOperation};
use crate::cli::args::OutputFormat;
use crate::cli::exit::Exit;
use crate::cli::output::{complain, say};
use crate::operation::{Measured, OperationReport, Outcome};
use crate::report::{utc_text, visible_line};

/// One operation in the list.
#[derive(Serialize)]
struct Line {
    id: String,
    pair: String,
    kind: &'static str,
    outcome: &'static str,
    open: Vec<String>,
    sentence: String,
}

/// Shows one operation in full, or lists all of them.
pub(super) fn status(folder: &OperationsFolder, id: &str, output: OutputFormat) -> Exit {
    if !id.is_empty() {
        return match folder.read(id) {
            Ok(operation) => show(&operation, output),
            Err(sentence) => usage(&sentence),
        };
    }
    let (operations, unreadable) = folder.list();
    for sentence in &unreadable {
        complain(sentence);
    }
    let lines: Vec<Line> = operations.iter().map(line).collect();
    match output {
        OutputFormat::Json => print_json(&lines),
        OutputFormat::Table if lines.is_empty() => {
            say(&format!("No operations in {}.", folder.path().display()));
        }
        OutputFormat::Table => lines.iter().for_each(print_line),
    }
    // What an old operation left is settled by a newer one of the same pair.
    let mut pairs = std::collections::BTreeSet::new();
    let mut newest = lines.iter().filter(|line| pairs.insert(line.pair.clone()));
    let is_open = newest.any(|line| !line.open.is_empty());
    if is_open || !unreadable.is_empty() {
        return Exit::Incomplete;
    }
    Exit::Ok
}

fn show(operation: &StoredOperation, output: OutputFormat) -> Exit {
    let report = stored_report(operation);
    match output {
        OutputFormat::Json => print_json(&report),
        OutputFormat::Table => say(report.markdown(utc_text).trim_end()),
    }
    let line = line(operation);
    if line.open.is_empty() {
        Exit::Ok
    } else {
        Exit::Incomplete
    }
}

/// The report as the last run wrote it, with what only that run measured; where it did not come to
/// that, what the journal holds.
fn stored_report(operation: &StoredOperation) -> OperationReport {
    let written = std::fs::read_to_string(operation.path.join("report.json"));
    let written = written
        .ok()
        .and_then(|text| serde_json::from_str::<OperationReport>(&text).ok());
    let measured = written.map_or_else(Measured::default, |report| Measured {
        pause: report.pause_seconds,
        rto: report.rto_seconds,
        full_syncs: report.full_syncs,
    });
    OperationReport::new(&operation.intent, &operation.entries, measured)
}

fn line(operation: &StoredOperation) -> Line {
    let intent = &operation.intent;
    let (outcome, open, sentence) = match operation.ending() {
        Some(ending) => (
            ending.outcome.label(),
            ending.open.clone(),
            ending.sentence.clone(),
        ),
        None => (
            "interrupted",
            vec![format!(
                "failover --resume {0} or --rollback {0}",
                intent.id
            )],
            "its last run did not end".to_owned(),
        ),
    };
    let is_incomplete = operation
        .ending()
        .is_some_and(|end| end.outcome == Outcome::Incomplete);
    let open = if is_incomplete && open.is_empty() {
        vec![format!("failover --resume {}", intent.id)]
    } else {
        open
    };
    Line {
        id: intent.id.clone(),
        pair: intent.pair.clone(),
        kind: intent.kind.label(),
        outcome,
        open,
        sentence,
    }
}

fn print_line(line: &Line) {
    let Line {
        id,
        pair,
        kind,
        outcome,
        open,
        sentence,
    } = line;
    say(&visible_line(&format!(
        "{id}  {pair}  {kind}  {outcome}: {sentence}"
    )));
    for todo in open {
        say(&visible_line(&format!("    open: {todo}")));
    }
}
