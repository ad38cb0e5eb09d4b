//! The report of an operation: what was done when, how long writes waited, what was lost.

use serde::{Deserialize, Serialize};

use super::ending::{Ending, Outcome};
use super::intent::{Intent, OperationKind};
use super::journal::{Entry, Record};
use super::unshared::UNKNOWN_BYTES;

/// The report of one operation, over all of its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationReport {
    /// The operation's name.
    pub id: String,
    /// What was done.
    pub kind: OperationKind,
    /// The pair.
    pub pair: String,
    /// The master before, as `host:port (dc)`.
    pub old: String,
    /// The master afterwards, if all went well.
    pub target: String,
    /// The fingerprint of the plan.
    pub fingerprint: String,
    /// When it began, in Unix seconds.
    pub began: f64,
    /// When its last run ended; `null` while it has not.
    pub ended: Option<f64>,
    /// How; `null` while it has not.
    pub outcome: Option<Outcome>,
    /// How it ended and who is master.
    pub sentence: String,
    /// What is open.
    pub open: Vec<String>,
    /// For how long writes waited, in seconds: from the order to pause to the answer of the one
    /// that let a master take them. `null` where one run did not do both.
    pub pause_seconds: Option<f64>,
    /// From the old master's last answer to the new master's first write, in seconds; `null` where
    /// it is not known.
    pub rto_seconds: Option<f64>,
    /// What was lost, as a sentence.
    pub rpo: String,
    /// Full syncs that the new master gave; `null` where they were not counted.
    pub full_syncs: Option<u64>,
    /// Refusals that were overridden.
    pub overridden: Vec<String>,
    /// Every order and every proof.
    pub steps: Vec<StepReport>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// When it was complete, in Unix seconds.
    pub at: f64,
    /// How long it took, in seconds; `null` for what was only proved.
    pub seconds: Option<f64>,
    /// What.
    pub what: String,
    /// The server and the commands; empty for what was only proved.
    pub commands: String,
    /// Why it failed; `null` where it did not.
    pub failure: Option<String>,
}

/// What only the run that did it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// For how long writes waited, in seconds.
    pub pause: Option<f64>,
    /// From the old master's last answer to the new one's first write.
    pub rto: Option<f64>,
    /// Full syncs that the new master gave.
    pub full_syncs: Option<u64>,
}

impl OperationReport {
    /// The report of what a journal holds.
    pub fn new(intent: &Intent, entries: &[Entry], measured: Measured) -> Self {
        let mut steps = Vec::new();
        let mut ended = None;
        let mut ending: Option<&Ending> = None;
        for entry in entries {
            match &entry.record {
                Record::Did {
                    order,
                    seconds,
                    failure,
                } => steps.push(StepReport {
                    at: entry.at,
                    seconds: Some(*seconds),
                    what: order.sentence(),
                    commands: format!("{}: {}", order.server(), order.commands().join(" / ")),
                    failure: failure.clone(),
                }),
                Record::Hook {
                    stage,
                    name,
                    seconds,
                    failure,
                } => steps.push(StepReport {
                    at: entry.at,
                    seconds: Some(*seconds),
                    what: format!("hook {stage}: {name}"),
                    commands: String::new(),
                    failure: failure.clone(),
                }),
                Record::Proved { what } => steps.push(StepReport {
                    at: entry.at,
                    seconds: None,
                    what: what.clone(),
                    commands: String::new(),
                    failure: None,
                }),
                Record::Ended { ending: end } => {
                    ended = Some(entry.at);
                    ending = Some(end);
                }
                Record::Began { .. } | Record::Will { .. } => {}
                Record::Resumed { .. } => {
                    ended = None;
                    ending = None;
                }
            }
        }
        Self {
            id: intent.id.clone(),
            kind: intent.kind,
            pair: intent.pair.clone(),
            old: intent.old.name(),
            target: intent.target.name(),
            fingerprint: intent.fingerprint.clone(),
            began: entries.first().map_or(0.0, |entry| entry.at),
            ended,
            outcome: ending.map(|ending| ending.outcome),
            sentence: match ending {
                Some(ending) => ending.sentence.clone(),
                None => "it was interrupted: failover --resume or --rollback".to_owned(),
            },
            open: ending.map(|ending| ending.open.clone()).unwrap_or_default(),
            pause_seconds: measured.pause,
            rto_seconds: measured.rto,
            rpo: rpo(intent, ending),
            full_syncs: measured.full_syncs,
            overridden: intent.overridden.clone(),
            steps,
        }
    }

    /// The report in Markdown. `time` writes an instant for people.
    pub fn markdown(&self, time: impl Fn(f64) -> String) -> String {
        let mut text = format!("# {} of {}: {}\n\n", self.kind, self.pair, self.id);
        let outcome = self.outcome.map_or("interrupted", Outcome::label);
        text += &format!("**{outcome}**: {}.\n\n", self.sentence);
        text += &format!("* from {} to {}\n", self.old, self.target);
        text += &format!("* began {}, plan {}\n", time(self.began), self.fingerprint);
        text += &format!("* writes waited: {}\n", seconds_or_dash(self.pause_seconds));
        text += &format!("* RTO: {}\n", seconds_or_dash(self.rto_seconds));
        text += &format!("* RPO: {}\n", self.rpo);
        let syncs = self
            .full_syncs
            .map_or("-".to_owned(), |count| count.to_string());
        text += &format!("* full syncs caused: {syncs}\n");
        for record in &self.overridden {
            text += &format!("* overridden: {record}\n");
        }
        for open in &self.open {
            text += &format!("* open: {open}\n");
        }
        text += "\n| time | took | step | commands | failure |\n|---|---|---|---|---|\n";
        for step in &self.steps {
            let took = seconds_or_dash(step.seconds);
            let failure = step.failure.clone().unwrap_or_default();
            text += &format!(
                "| {} | {took} | {} | {} | {failure} |\n",
                time(step.at),
                step.what,
                step.commands
            );
        }
        text
    }
}

/// What was lost.
fn rpo(intent: &Intent, ending: Option<&Ending>) -> String {
    let outcome = ending.map(|ending| ending.outcome);
    if let Some(Outcome::AsBefore | Outcome::Refused) = outcome {
        return "nothing: everything is as before".to_owned();
    }
    match (&intent.stated_loss, intent.kind) {
        (Some(stated), _) => stated.clone(),
        (None, OperationKind::Disaster) => "not known: no exporter certified it".to_owned(),
        (None, OperationKind::Rejoin) if intent.copied.is_some() => {
            let copy = intent
                .copied
                .as_ref()
                .map(|copy| copy.file.display().to_string());
            let file = copy.unwrap_or_default();
            format!("nothing: {file} is a copy of the returning server")
        }
        (None, OperationKind::Rejoin) if intent.saved_in.is_some() => {
            let file = intent.saved_in.as_deref().unwrap_or_default();
            format!("nothing: what only the returning server had is in {file}")
        }
        (None, OperationKind::Rejoin) => match intent.discard {
            None => "nothing".to_owned(),
            Some(UNKNOWN_BYTES) => {
                "what only the returning server had, not known how much".to_owned()
            }
            Some(bytes) => format!("{bytes} bytes that only the returning server had"),
        },
        (None, OperationKind::SwitchOver | OperationKind::TakeOver)
            if outcome == Some(Outcome::Done) =>
        {
            "nothing: the new master had everything before it was promoted".to_owned()
        }
        (None, OperationKind::HandOver) if outcome == Some(Outcome::Done) => {
            "nothing, if the replica is promoted by the token".to_owned()
        }
        (None, OperationKind::SwitchOver | OperationKind::TakeOver | OperationKind::HandOver) => {
            "see the steps".to_owned()
        }
    }
}

fn seconds_or_dash(seconds: Option<f64>) -> String {
    seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.3} s"))
}
