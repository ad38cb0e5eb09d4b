//! `failover` and `failback`: the runbook of a disaster as guarded commands. Without `--execute`
//! they ask and change nothing.

mod drill;
mod exporters;
mod print;
mod request;
mod status;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::args::{ActionArgs, FailbackArgs, FailoverArgs, Global, OutputFormat};
use super::exit::Exit;
use super::exporter::Exporter;
use super::output::{complain, say};
use super::{block_on, load_settings};
use crate::app::operation::{
    ExporterDoor, Narrator, OperationRequest, OperationsFolder, PrepareError, Prepared, Run,
    copy_returning, execute, prepare, prepare_return, resume,
};
use crate::clock;
use crate::config::Settings;
use crate::operation::{
    Assessment, DeathEvidence, Ending, Goal, Loss, OperationReport, Outcome, Plan,
};
use crate::report::{utc_text, visible_line};
#[cfg(feature = "demo")]
pub(super) use drill::practise;
use print::{print_json, usage};

pub(super) fn failover(global: &Global, args: &FailoverArgs) -> Exit {
    let settings = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let folder = OperationsFolder::beside(&settings.state.path);
    if let Some(id) = &args.status {
        return status::status(&folder, id, args.action.output);
    }
    let further = args.resume.as_deref().map(|id| (id, Goal::Forward));
    let back = args.rollback.as_deref().map(|id| (id, Goal::Back));
    let exporter = match Exporter::new(global, &args.exporter, exporters::TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => return usage(&sentence),
    };
    if let Some((id, goal)) = further.or(back) {
        let door = door(&exporter);
        return go_on(&settings, &folder, (id, goal), &door, args.action.output);
    }
    let request = match request::of_failover(args) {
        Ok(request) => request,
        Err(sentence) => return usage(&sentence),
    };
    if args.drill {
        let work = drill::drill(&settings, &folder, &exporter, request, args);
        return match block_on(work) {
            Ok(exit) | Err(exit) => exit,
        };
    }
    let work = plan_and_do(&settings, &folder, &exporter, request, &args.action);
    match block_on(work) {
        Ok(exit) | Err(exit) => exit,
    }
}

pub(super) fn failback(global: &Global, args: &FailbackArgs) -> Exit {
    let settings = match load_settings(global) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let folder = OperationsFolder::beside(&settings.state.path);
    let request = match request::of_failback(args) {
        Ok(request) => request,
        Err(sentence) => return usage(&sentence),
    };
    let exporter = match Exporter::new(global, &args.exporter, exporters::TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => return usage(&sentence),
    };
    match block_on(bring_back(&settings, &folder, &exporter, request, args)) {
        Ok(exit) | Err(exit) => exit,
    }
}

/// Assesses a failover, and carries it out where that is asked for and nothing refuses it.
async fn plan_and_do(
    settings: &Settings,
    folder: &OperationsFolder,
    exporter: &Exporter,
    mut request: OperationRequest,
    action: &ActionArgs,
) -> Exit {
    request.exporters = exporters::ask(exporter, &settings.observers).await;
    match prepare(settings, folder, &request).await {
        Ok(prepared) => decide(prepared, folder, &door(exporter), action).await,
        Err(PrepareError::Usage(sentence)) => usage(&sentence),
    }
}

/// The returning server rejoins, and takes over unless that is not wanted.
async fn bring_back(
    settings: &Settings,
    folder: &OperationsFolder,
    exporter: &Exporter,
    mut request: OperationRequest,
    args: &FailbackArgs,
) -> Exit {
    request.saved_in.push(settings.recover.dir.clone());
    let copies = copy_folder(settings, args);
    request
        .saved_in
        .extend(copies.clone().filter(|dir| *dir != settings.recover.dir));
    request.exporters = exporters::ask(exporter, &settings.observers).await;
    let returning = settings.pairs.iter().find(|pair| pair.name == request.pair);
    let returning = returning.map(|pair| pair.master.addr.clone());
    match prepare_return(settings, folder, &request).await {
        Ok(Some(prepared)) => {
            // Boxed: so is its future.
            let ready = Box::pin(copy_first(
                settings,
                folder,
                &mut request,
                prepared,
                copies,
                args,
            ));
            let prepared = match ready.await {
                Ok(prepared) => prepared,
                Err(exit) => return exit,
            };
            let exit = decide(prepared, folder, &door(exporter), &args.action).await;
            if exit != Exit::Ok || args.only_rejoin {
                return exit;
            }
            // The plan that was agreed to was that of the rejoin.
            request.plan = None;
        }
        Ok(None) if args.only_rejoin => {
            say("Nothing to do: the returning server follows the master already. Nothing is open.");
            return Exit::Ok;
        }
        Ok(None) => {}
        Err(PrepareError::Usage(sentence)) => return usage(&sentence),
    }
    request.to = returning;
    // Boxed: two operations in one future are large.
    Box::pin(plan_and_do(
        settings,
        folder,
        exporter,
        request,
        &args.action,
    ))
    .await
}

/// Where a copy of the returning server goes; `None` where none is wanted.
fn copy_folder(settings: &Settings, args: &FailbackArgs) -> Option<PathBuf> {
    match args.copy.as_deref()? {
        "" => Some(settings.recover.dir.clone()),
        dir => Some(PathBuf::from(dir)),
    }
}

/// Copies the returning server where that is wanted and all that is in the way, and assesses it
/// again.
async fn copy_first(
    settings: &Settings,
    folder: &OperationsFolder,
    request: &mut OperationRequest,
    prepared: Prepared,
    copies: Option<PathBuf>,
    args: &FailbackArgs,
) -> Result<Prepared, Exit> {
    let Some(copies) = copies.filter(|_| args.action.execute && prepared.needs_only_a_copy())
    else {
        return Ok(prepared);
    };
    let mut lines = Lines::new(args.action.output);
    if let Err(sentence) = copy_returning(settings, &prepared, &copies, &mut lines).await {
        complain(&sentence);
        return Err(Exit::Failed);
    }
    // Its connections have the name of an operation: the next assessment would take it for another.
    drop(prepared);
    // The plan that was agreed to was that of the server before its copy, which may change its
    // history.
    request.plan = None;
    match prepare_return(settings, folder, request).await {
        Ok(Some(again)) => Ok(again),
        Ok(None) => {
            complain("The returning server has become a replica meanwhile: run this again.");
            Err(Exit::Failed)
        }
        Err(PrepareError::Usage(sentence)) => Err(usage(&sentence)),
    }
}

/// Where operations are reported.
fn door(exporter: &Exporter) -> ExporterDoor {
    ExporterDoor {
        url: exporter.url.clone(),
        client: exporter.client.clone(),
    }
}

/// Prints the assessment and the plan, and carries it out where that is asked for.
async fn decide(
    prepared: Prepared,
    folder: &OperationsFolder,
    exporter: &ExporterDoor,
    action: &ActionArgs,
) -> Exit {
    let is_refused = !prepared.assessment.refusals.is_empty();
    if is_refused || !action.execute {
        let outcome = if is_refused { "refused" } else { "safe" };
        print_plan(&prepared, outcome, action.output);
        return if is_refused {
            Exit::Refused
        } else {
            Exit::PlanIsSafe
        };
    }
    let mut lines = Lines::new(action.output);
    if action.output == OutputFormat::Table {
        say(text::heading(&prepared.intent).trim_end());
        for record in &prepared.assessment.overridden {
            say(&format!("overridden: {}", visible_line(record)));
        }
        for note in &prepared.assessment.notes {
            say(&format!("worth knowing: {}", visible_line(note)));
        }
    }
    // Boxed: an operation's future is large.
    let run = Box::pin(execute(prepared, folder, Some(exporter), &mut lines)).await;
    finish(&run, action.output)
}

/// Goes on with an operation, or takes it back.
fn go_on(
    settings: &Settings,
    folder: &OperationsFolder,
    (id, goal): (&str, Goal),
    exporter: &ExporterDoor,
    output: OutputFormat,
) -> Exit {
    let stored = if id.is_empty() {
        folder.newest_unfinished()
    } else {
        folder.read(id)
    };
    let stored = match stored {
        Ok(stored) => stored,
        Err(sentence) => return usage(&sentence),
    };
    if stored.is_finished() {
        let sentence = format!(
            "operation {} is finished: failover --status shows it",
            stored.intent.id
        );
        return usage(&sentence);
    }
    let mut lines = Lines::new(output);
    let work = resume(settings, folder, &stored, goal, Some(exporter), &mut lines);
    match block_on(work) {
        Ok(Ok(run)) => finish(&run, output),
        Ok(Err(sentence)) => usage(&sentence),
        Err(exit) => exit,
    }
}

/// What `--output json` prints of a plan.
#[derive(Serialize)]
struct PlanOutput<'a> {
    outcome: &'a str,
    intent: &'a crate::operation::Intent,
    plan: &'a Plan,
    assessment: &'a Assessment,
    evidence: &'a DeathEvidence,
    loss: Option<Loss>,
}

fn print_plan(prepared: &Prepared, outcome: &str, output: OutputFormat) {
    match output {
        OutputFormat::Table => say(text::plan(prepared).trim_end()),
        OutputFormat::Json => print_json(&PlanOutput {
            outcome,
            intent: &prepared.intent,
            plan: &prepared.plan,
            assessment: &prepared.assessment,
            evidence: &prepared.evidence,
            loss: prepared.loss,
        }),
    }
}

/// What `--output json` prints of a run.
#[derive(Serialize)]
struct RunOutput<'a> {
    ending: &'a Ending,
    report: Option<&'a OperationReport>,
}

/// Prints how a run ended; its last line says who is master and what is open.
fn finish(run: &Run, output: OutputFormat) -> Exit {
    match output {
        OutputFormat::Json => print_json(&RunOutput {
            ending: &run.ending,
            report: run.report.as_ref(),
        }),
        OutputFormat::Table => {
            if let Some(report) = &run.report {
                say(&text::figures(report));
            }
            if let Some(path) = &run.report_path {
                say(&format!("report: {}", path.display()));
            }
            say(&visible_line(&run.ending.last_line()));
        }
    }
    exit_of(run.ending.outcome)
}

fn exit_of(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Done => Exit::Ok,
        Outcome::AsBefore => Exit::Failed,
        Outcome::Refused => Exit::Refused,
        Outcome::Incomplete => Exit::Incomplete,
    }
}

/// Prints each step with its time: to standard error beside JSON, so that the output stays JSON.
struct Lines {
    output: OutputFormat,
}

impl Lines {
    const fn new(output: OutputFormat) -> Self {
        Self { output }
    }
}

impl Narrator for Lines {
    fn line(&mut self, text: &str) {
        let unix = clock::wall_now().as_secs_f64();
        let text = visible_line(&format!("{}  {text}", time_of_day(unix)));
        match self.output {
            OutputFormat::Table => say(&text),
            // The line is in the journal, too.
            OutputFormat::Json => drop(writeln!(io::stderr(), "{text}")),
        }
    }
}

/// `12:00:03.042`, UTC.
fn time_of_day(unix: f64) -> String {
    let whole = utc_text(unix);
    let clock = whole.split(' ').nth(1).unwrap_or("-");
    let millis = (unix.fract() * 1000.0).floor();
    format!("{clock}.{millis:03.0}")
}
