//! Carries an operation out: asks what is next, writes it down, does it, and hands the answer in.

use std::io;

use super::announce::ExporterDoor;
use super::folder::{JournalFile, OperationsFolder, PairLock, StoredOperation};
use super::hooks;
use super::narrator::Narrator;
use super::opening::{announce, begin_journal, entry, hands, lock, no_journal};
use super::request::Prepared;
use super::world::{Hands, update};
use crate::clock;
use crate::config::{HookSettings, Settings};
use crate::model::{ServerAddr, Span};
use crate::operation::{
    self, Act, Ending, Goal, HookStage, Measured, OperationKind, OperationReport, Order,
    OrderError, OrderResult, Outcome, Record, World,
};

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    /// How, and what is open.
    pub ending: Ending,
    /// The report; `None` where nothing was begun.
    pub report: Option<OperationReport>,
    /// Where the report for people is.
    pub report_path: Option<std::path::PathBuf>,
}

/// Carries a prepared operation out.
pub async fn execute(
    prepared: Prepared,
    folder: &OperationsFolder,
    exporter: Option<&ExporterDoor>,
    narrator: &mut dyn Narrator,
) -> Run {
    let Prepared {
        intent,
        plan,
        mut hands,
        hooks,
        last_answer,
        ..
    } = prepared;
    let lock = match lock(folder, &intent, &mut hands).await {
        Ok(lock) => lock,
        Err(sentence) => return refused(sentence),
    };
    let announcement = match announce(exporter, &intent, narrator).await {
        Ok(announcement) => announcement,
        Err(sentence) => return refused(sentence),
    };
    let journal = match begin_journal(folder, &intent, &plan) {
        Ok(journal) => journal,
        Err(error) => {
            let run = refused(no_journal(folder, &error));
            if let Some(announcement) = announcement {
                announcement.end(&run.ending).await;
            }
            return run;
        }
    };
    narrator.line(&format!("operation {} began", intent.id));
    let run = operation::Run::new(intent, clock::now());
    let mut executor = Executor {
        run,
        hands,
        hooks,
        journal,
        narrator,
        last_answer,
        _lock: lock,
    };
    let run = executor.carry_out().await;
    if let Some(announcement) = announcement {
        announcement.end(&run.ending).await;
    }
    run
}

/// Goes on with an operation that has not ended, or takes it back.
///
/// # Errors
/// A sentence for the user, where it cannot be gone on with.
pub async fn resume(
    settings: &Settings,
    folder: &OperationsFolder,
    operation: &StoredOperation,
    goal: Goal,
    exporter: Option<&ExporterDoor>,
    narrator: &mut dyn Narrator,
) -> Result<Run, String> {
    let intent = operation.intent.clone();
    let mut hands = hands(settings, &intent).await?;
    let lock = match lock(folder, &intent, &mut hands).await {
        Ok(lock) => lock,
        Err(sentence) => return Ok(refused(sentence)),
    };
    // Under the lock: whoever had it may have added lines since.
    let operation = folder.read(&intent.id)?;
    if operation.is_finished() {
        return Err(format!(
            "operation {} is finished: failover --status shows it",
            intent.id
        ));
    }
    let announcement = match announce(exporter, &intent, narrator).await {
        Ok(announcement) => announcement,
        Err(sentence) => return Ok(refused(sentence)),
    };
    let mut journal = operation
        .reopen()
        .map_err(|error| no_journal(folder, &error))?;
    let resumed = entry(Record::Resumed { goal });
    journal
        .append(resumed, true)
        .map_err(|error| no_journal(folder, &error))?;
    narrator.line(&format!("operation {} goes {goal}", intent.id));
    let run = operation::Run::resume(intent, goal, &operation.entries, clock::now());
    let mut executor = Executor {
        run,
        hands,
        hooks: settings.hooks.clone(),
        journal,
        narrator,
        last_answer: None,
        _lock: lock,
    };
    let run = executor.carry_out().await;
    if let Some(announcement) = announcement {
        announcement.end(&run.ending).await;
    }
    Ok(run)
}

fn refused(sentence: String) -> Run {
    Run {
        ending: Ending::new(Outcome::Refused, sentence),
        report: None,
        report_path: None,
    }
}

/// A journal that cannot be written ends the run: what it would do could not be resumed. Pauses end
/// by themselves.
fn without_journal(error: &io::Error) -> Ending {
    let sentence = format!("the journal cannot be written any more ({error})");
    let todo = "make room for it, then failover --resume or --rollback".to_owned();
    Ending::new(Outcome::Incomplete, sentence).with_open(vec![todo])
}

/// One run.
struct Executor<'a> {
    run: operation::Run,
    hands: Hands,
    hooks: HookSettings,
    journal: JournalFile,
    narrator: &'a mut dyn Narrator,
    /// When the old master last answered anybody, in Unix seconds.
    last_answer: Option<f64>,
    _lock: PairLock,
}

impl Executor<'_> {
    async fn carry_out(&mut self) -> Run {
        let mut world = self.hands.look(None, true).await;
        loop {
            let act = self.run.next(&world, clock::now());
            self.tell_news();
            match act {
                Act::Look { after, everyone } => {
                    if after > Span::ZERO {
                        tokio::time::sleep(after.to_duration()).await;
                    }
                    world = self.hands.look(Some(&world), everyone).await;
                }
                Act::Do { order, renewal } => match self.give(&order, renewal).await {
                    Ok(result) => update(&mut world, &order, &result),
                    Err(ending) => {
                        let sentence = format!("{}; {}", world.masters(), ending.sentence);
                        return self.finish(Ending { sentence, ..ending });
                    }
                },
                Act::Hooks { stage, master } => {
                    // Boxed: it is rarely needed, and large.
                    Box::pin(self.run_hooks(stage, master.as_ref())).await;
                    world = self.hands.look(Some(&world), false).await;
                }
                Act::End(ending) => return self.finish(ending),
            }
            self.follow_world(&world);
        }
    }

    /// Writes the order down, gives it, and notes what came of it.
    async fn give(&mut self, order: &Order, renewal: bool) -> Result<OrderResult, Ending> {
        if !renewal {
            let line = entry(Record::Will {
                order: order.clone(),
            });
            if let Err(error) = self.journal.append(line, order.changes_role()) {
                return Err(without_journal(&error));
            }
        }
        let Some(result) = self.hands.perform(order).await else {
            let sentence = format!(
                "{} is no server of this operation; please report it",
                order.server()
            );
            return Err(Ending::new(Outcome::Incomplete, sentence));
        };
        self.run.note(order, &result);
        if !renewal {
            self.record(order, &result);
        }
        Ok(result)
    }

    /// Runs the hooks of a stage, one after the other. One that fails beforehand is the last.
    async fn run_hooks(&mut self, stage: HookStage, master: Option<&ServerAddr>) {
        let mut failures = Vec::new();
        for hook in hooks::of_stage(&self.hooks, stage) {
            let began = clock::now();
            let ended = hooks::run(hook, stage, self.run.intent(), master).await;
            let seconds = (clock::now() - began).as_secs_f64();
            let failure = ended.err();
            let news = match &failure {
                None => format!("hook {stage} it: {} is done", hook.name),
                Some(why) => why.clone(),
            };
            self.narrator.line(&news);
            let record = Record::Hook {
                stage,
                name: hook.name.clone(),
                seconds,
                failure: failure.clone(),
            };
            if let Err(error) = self.journal.append(entry(record), false) {
                self.narrator
                    .line(&format!("the journal cannot be written: {error}"));
            }
            let is_last = failure.is_some() && stage == HookStage::Before;
            failures.extend(failure);
            if is_last {
                break;
            }
        }
        self.run.note_hooks(stage, failures);
    }

    fn record(&mut self, order: &Order, result: &OrderResult) {
        let failure = result.reply.as_ref().err().map(OrderError::sentence);
        let seconds = (result.received - result.sent).as_secs_f64();
        let what = match &failure {
            None => order.sentence(),
            Some(why) => format!(
                "{}: {}: {why}",
                order.server(),
                order.commands().join(" / ")
            ),
        };
        self.narrator.line(&what);
        let line = entry(Record::Did {
            order: order.clone(),
            seconds,
            failure,
        });
        // The order is out; what matters is that its line was on the disk before.
        if let Err(error) = self.journal.append(line, false) {
            self.narrator
                .line(&format!("the journal cannot be written: {error}"));
        }
    }

    fn tell_news(&mut self) {
        for what in self.run.take_news() {
            self.narrator.line(&what);
            if let Err(error) = self.journal.append(entry(Record::Proved { what }), false) {
                self.narrator
                    .line(&format!("the journal cannot be written: {error}"));
            }
        }
    }

    /// Shows the progress of a full sync, which may take long.
    fn follow_world(&mut self, world: &World) {
        if let Some(line) = self.run.progress_line(world, clock::now()) {
            self.narrator.line(&line);
        }
    }

    fn finish(&mut self, ending: Ending) -> Run {
        let line = entry(Record::Ended {
            ending: ending.clone(),
        });
        if let Err(error) = self.journal.append(line, true) {
            self.narrator
                .line(&format!("the journal cannot be written: {error}"));
        }
        let measured = self.measured();
        let report = OperationReport::new(self.run.intent(), &self.journal.entries, measured);
        let report_path = match self.journal.report(&report) {
            Ok(path) => Some(path),
            Err(error) => {
                self.narrator
                    .line(&format!("the report cannot be written: {error}"));
                None
            }
        };
        Run {
            ending,
            report: Some(report),
            report_path,
        }
    }

    fn measured(&self) -> Measured {
        let pause = self.run.pause().map(Span::as_secs_f64);
        let rto = match self.run.intent().kind {
            OperationKind::Disaster => self.since_last_answer(),
            OperationKind::SwitchOver => pause,
            // Of a switch-over in two halves no one place sees both ends.
            OperationKind::Rejoin | OperationKind::HandOver | OperationKind::TakeOver => None,
        };
        Measured {
            pause,
            rto,
            full_syncs: self.run.full_syncs_given(),
        }
    }

    /// From the old master's last answer to the new one's first write, in seconds.
    fn since_last_answer(&self) -> Option<f64> {
        let opened = clock::anchor().wall(self.run.opened_at()?);
        Some(opened.as_secs_f64() - self.last_answer?)
    }
}
