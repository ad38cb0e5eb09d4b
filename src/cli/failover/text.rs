//! The assessment and the plan, for people: the news first.

use crate::app::operation::Prepared;
use crate::cli::doctor::wrapped;
use crate::operation::{Intent, OperationKind, OperationReport, Refusal};
use crate::report::utc_text;

/// What is to be done, in one line.
pub(super) fn heading(intent: &Intent) -> String {
    let old = intent.old.name();
    let target = intent.target.name();
    let pair = &intent.pair;
    match intent.kind {
        OperationKind::SwitchOver => {
            format!("{pair}: planned switch-over from {old} to {target}\n")
        }
        OperationKind::Disaster => format!("{pair}: failover from the lost {old} to {target}\n"),
        OperationKind::Rejoin => format!("{pair}: {old} returns as a replica of {target}\n"),
        OperationKind::HandOver => {
            format!("{pair}: {old} is handed over to {target}, where a token promotes it\n")
        }
        OperationKind::TakeOver => format!("{pair}: {target} takes over from {old}, by a token\n"),
    }
}

/// The verdict, every refusal, the evidence, the loss and the plan.
pub(super) fn plan(prepared: &Prepared) -> String {
    let intent = &prepared.intent;
    let assessment = &prepared.assessment;
    let mut text = heading(intent);
    for refusal in &assessment.refusals {
        text += &refusal_text(refusal);
    }
    for record in &assessment.overridden {
        text += &wrapped(0, "overridden: ", record);
    }
    if !prepared.evidence.witnesses.is_empty() {
        text += "\nwho sees the master:\n";
        for witness in &prepared.evidence.witnesses {
            let line = format!("{}: {}", witness.who, witness.what);
            text += &wrapped(2, &format!("{:<8}", witness.verdict.label()), &line);
        }
    }
    if let Some(loss) = &prepared.loss {
        text += "\nwhat would be lost:\n";
        for sentence in loss.sentences(utc_text) {
            text += &wrapped(2, "- ", &sentence);
        }
    }
    if !assessment.notes.is_empty() {
        text += "\nworth knowing:\n";
        for note in &assessment.notes {
            text += &wrapped(2, "- ", note);
        }
    }
    if assessment.refusals.is_empty() {
        text += &plan_text(prepared);
    }
    text += "\n";
    text + &last_line(prepared)
}

fn plan_text(prepared: &Prepared) -> String {
    let mut text = format!("\nplan {}:\n", prepared.plan.fingerprint);
    for (index, step) in prepared.plan.steps.iter().enumerate() {
        text += &wrapped(2, &format!("{}. ", index + 1), step);
    }
    text
}

fn refusal_text(refusal: &Refusal) -> String {
    let mut text = wrapped(
        0,
        "",
        &format!("refused: {}: {}", refusal.name, refusal.evidence),
    );
    text += &wrapped(2, "so: ", &refusal.consequence);
    text += &wrapped(2, "do: ", &refusal.remedy);
    if let Some(flag) = &refusal.flag {
        text += &wrapped(2, "or: ", flag);
    }
    text
}

fn last_line(prepared: &Prepared) -> String {
    let count = prepared.assessment.refusals.len();
    let fingerprint = &prepared.plan.fingerprint;
    match count {
        0 => format!("Safe. Nothing was done; to do it: --execute --plan {fingerprint}\n"),
        1 => "Refused for one reason. Nothing was done.\n".to_owned(),
        _ => format!("Refused for {count} reasons. Nothing was done.\n"),
    }
}

/// The figures of a run, in one line.
pub(super) fn figures(report: &OperationReport) -> String {
    let time = |seconds: Option<f64>| match seconds {
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        Some(seconds) => format!("{seconds:.3} s"),
        None => "-".to_owned(),
    };
    let syncs = report
        .full_syncs
        .map_or("-".to_owned(), |count| count.to_string());
    format!(
        "writes waited {}, RTO {}, full syncs caused {syncs}, lost: {}",
        time(report.pause_seconds),
        time(report.rto_seconds),
        report.rpo
    )
}
