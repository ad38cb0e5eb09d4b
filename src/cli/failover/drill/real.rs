//! The drill on the pair itself: a planned switch-over there and back.

use super::super::{exporters, print_plan};
use super::{DrillsFolder, Lines, begun, door, finish, refusals, usage};
use crate::app::operation::{
    OperationRequest, OperationsFolder, PrepareError, Prepared, Run, execute, prepare,
};
use crate::cli::args::ActionArgs;
use crate::cli::exit::Exit;
use crate::cli::exporter::Exporter;
use crate::config::Settings;
use crate::operation::{DrillKind, DrillPart, DrillReport, Outcome};

/// A drill on the pair itself.
pub(super) struct RealDrill<'a> {
    pub(super) settings: &'a Settings,
    pub(super) folder: &'a OperationsFolder,
    pub(super) exporter: &'a Exporter,
    pub(super) action: &'a ActionArgs,
}

impl RealDrill<'_> {
    /// Without `--execute` it prints the plan of the way there.
    pub(super) async fn run(&self, drills: &DrillsFolder, mut request: OperationRequest) -> Exit {
        let output = self.action.output;
        if self.action.execute && request.plan.is_none() {
            return usage(
                "A drill on the pair itself needs the fingerprint of the plan that you have read: --plan.",
            );
        }
        let there = match self.prepare(&mut request).await {
            Ok(there) => there,
            Err(PrepareError::Usage(sentence)) => return usage(&sentence),
        };
        let is_refused = !there.assessment.refusals.is_empty();
        if is_refused || !self.action.execute {
            let outcome = if is_refused { "refused" } else { "safe" };
            print_plan(&there, outcome, output);
            return if is_refused {
                Exit::Refused
            } else {
                Exit::PlanIsSafe
            };
        }
        let home = there.intent.old.addr.clone();
        let mut report = begun(&there.intent.pair, DrillKind::Real);
        let outcome = self.part(&mut report, "switch-over", there).await;
        if outcome != Outcome::Done {
            return end(drills, &mut report, outcome, output);
        }
        // The way back is another plan.
        request.plan = None;
        request.to = Some(home.clone());
        let outcome = match self.prepare(&mut request).await {
            Ok(back) => match refusals(&back) {
                None => self.part(&mut report, "the way back", back).await,
                Some(why) => {
                    report.fail(format!(
                        "{home} is not the master again, and the way back is refused: {why}"
                    ));
                    Outcome::Incomplete
                }
            },
            Err(PrepareError::Usage(sentence)) => {
                report.fail(format!("{home} is not the master again: {sentence}"));
                Outcome::Incomplete
            }
        };
        // Its end says that everything is as before: that is, with the other one as the master.
        let outcome = match outcome {
            Outcome::Done => Outcome::Done,
            _ => Outcome::Incomplete,
        };
        end(drills, &mut report, outcome, output)
    }

    async fn prepare(&self, request: &mut OperationRequest) -> Result<Prepared, PrepareError> {
        request.exporters = exporters::ask(self.exporter, &self.settings.observers).await;
        prepare(self.settings, self.folder, request).await
    }

    /// Carries one switch-over out and notes what it measured.
    async fn part(&self, report: &mut DrillReport, name: &str, prepared: Prepared) -> Outcome {
        let began = crate::clock::now();
        let mut lines = Lines::new(self.action.output);
        let door = door(self.exporter);
        let run: Run = Box::pin(execute(prepared, self.folder, Some(&door), &mut lines)).await;
        let outcome = run.ending.outcome;
        let pause = run.report.as_ref().and_then(|report| report.pause_seconds);
        report.parts.push(DrillPart {
            name: name.to_owned(),
            outcome: Some(outcome),
            sentence: run.ending.last_line(),
            seconds: (crate::clock::now() - began).as_secs_f64(),
            write_pause_seconds: pause,
            ..DrillPart::default()
        });
        if outcome != Outcome::Done {
            report.fail(run.ending.last_line());
        }
        outcome
    }
}

fn end(
    drills: &DrillsFolder,
    report: &mut DrillReport,
    outcome: Outcome,
    output: crate::cli::args::OutputFormat,
) -> Exit {
    report.ended = crate::clock::wall_now().as_secs_f64();
    let exit = finish(drills, report, output);
    match outcome {
        Outcome::Done => exit,
        Outcome::AsBefore => Exit::Failed,
        Outcome::Refused => Exit::Refused,
        Outcome::Incomplete => Exit::Incomplete,
    }
}
