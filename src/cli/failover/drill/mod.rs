//! `failover --drill`: practises the recovery, on servers of its own or, with `--real`, on the
//! pair: there and back.

mod real;
#[cfg(feature = "demo")]
mod stage;
#[cfg(feature = "demo")]
mod throwaway;
#[cfg(feature = "demo")]
mod writer;

use serde::Serialize;

use super::print::{print_json, usage};
use super::{Lines, door};
use crate::app::operation::{
    DrillsFolder, Narrator, OperationRequest, OperationsFolder, PrepareError, Prepared,
};
use crate::cli::args::{FailoverArgs, OutputFormat};
use crate::cli::exit::Exit;
use crate::cli::exporter::Exporter;
use crate::cli::output::{complain, say};
use crate::clock;
use crate::config::Settings;
#[cfg(feature = "demo")]
use crate::model::PairName;
#[cfg(feature = "demo")]
use crate::operation::Limits;
use crate::operation::{DrillKind, DrillReport};
use crate::report::visible_line;

/// Carries a drill out.
pub(super) async fn drill(
    settings: &Settings,
    folder: &OperationsFolder,
    exporter: &Exporter,
    request: OperationRequest,
    args: &FailoverArgs,
) -> Exit {
    let drills = DrillsFolder::beside(&settings.state.path);
    let output = args.action.output;
    if args.real {
        let real = real::RealDrill {
            settings,
            folder,
            exporter,
            action: &args.action,
        };
        // On the heap: it would make the future of every drill several times as large.
        return Box::pin(real.run(&drills, request)).await;
    }
    let mut lines = Lines::new(output);
    match throwaway(settings, &request, &mut lines).await {
        Ok(report) => finish(&drills, &report, output),
        Err(PrepareError::Usage(sentence)) => usage(&sentence),
    }
}

/// Practises the recovery on throwaway copies of `pair`, and keeps no report: for the demo.
///
/// # Errors
/// A sentence for the user.
#[cfg(feature = "demo")]
pub(in crate::cli) async fn practise(
    settings: &Settings,
    pair: &PairName,
    narrator: &mut dyn Narrator,
) -> Result<DrillReport, String> {
    let request = OperationRequest {
        pair: pair.clone(),
        ..throwaway::request(Limits::default(), None)
    };
    let report = throwaway(settings, &request, narrator).await;
    report.map_err(|error| error.to_string())
}

#[cfg(feature = "demo")]
async fn throwaway(
    settings: &Settings,
    request: &OperationRequest,
    narrator: &mut dyn Narrator,
) -> Result<DrillReport, PrepareError> {
    // Boxed: several operations in one future are large.
    Box::pin(throwaway::drill(settings, request, narrator)).await
}

#[cfg(not(feature = "demo"))]
async fn throwaway(
    _: &Settings,
    _: &OperationRequest,
    _: &mut dyn Narrator,
) -> Result<DrillReport, PrepareError> {
    Err(PrepareError::Usage(
        "This program was built without the laboratory that drills on throwaway servers need (cargo feature \
         demo; images are built so). Use the release's binary, or --drill --real."
            .to_owned(),
    ))
}

/// A report without parts, of a drill that begins now.
fn begun(pair: &str, kind: DrillKind) -> DrillReport {
    let began = clock::wall_now();
    DrillReport {
        id: OperationsFolder::new_id(began),
        pair: pair.to_owned(),
        kind,
        passed: true,
        problems: Vec::new(),
        began: began.as_secs_f64(),
        ended: began.as_secs_f64(),
        notes: Vec::new(),
        parts: Vec::new(),
    }
}

/// What `--output json` prints.
#[derive(Serialize)]
struct DrillOutput<'a> {
    report: &'a DrillReport,
}

/// Keeps the report and prints it: 0 where the drill has passed.
fn finish(drills: &DrillsFolder, report: &DrillReport, output: OutputFormat) -> Exit {
    let kept = drills.keep(report);
    match output {
        OutputFormat::Json => print_json(&DrillOutput { report }),
        OutputFormat::Table => {
            say(report.markdown(crate::report::utc_text).trim_end());
            if let Ok(path) = &kept {
                say(&format!("report: {}", path.display()));
            }
            say(&visible_line(&report.last_line()));
        }
    }
    if let Err(error) = &kept {
        complain(&format!(
            "The report cannot be kept in {}: {error}. Make that folder writable (state.path in the \
             configuration); without the report doctor does not count this drill.",
            drills.path().display()
        ));
    }
    if report.passed && kept.is_ok() {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

/// Every reason not to do it, in one line.
fn refusals(prepared: &Prepared) -> Option<String> {
    let mut lines = Vec::new();
    for refusal in &prepared.assessment.refusals {
        lines.push(format!("{}: {}", refusal.name, refusal.evidence));
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}
