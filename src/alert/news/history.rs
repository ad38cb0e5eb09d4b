//! Sentences about a master that came back without its replication history.

use super::sentence::Sentence;
use super::words::{Clock, Rounding, bytes};
use super::{Ended, pair};
use crate::alert::{AlertSnapshot, Details};
use crate::model::{Bytes, ServerAddr};
use crate::replication::{HistoryLoss, HistoryRemnant, ReplicaCopy};

/// What the master lost, what the replica still has, and how to keep it.
pub(super) fn lost(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let subject = pair::subject(&pair::news(alert));
    let Some(loss) = details(alert) else {
        let text = format!("{subject}: the master came back without its replication history.");
        return Sentence::words(text);
    };
    let master = match &alert.context.master {
        Some(address) => format!("master {address}"),
        None => "the master".to_owned(),
    };
    let line = Sentence::words(format!("{subject}: {master} came back "));
    what(line, loss, clock).and_line(copy(alert, loss, clock))
}

/// The end of the alert: what was lost, and since when the pair streams again.
pub(super) fn over(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let subject = pair::subject(&pair::news(alert));
    let line = Sentence::words(format!("{subject}: resolved. "));
    let Some(loss) = details(alert) else {
        return line.and("The pair streams again.");
    };
    if loss.is_undone() {
        let line = line.and("The master has its whole replication history again since ");
        return line.at(ended.at, clock).and(": nothing is lost.");
    }
    let line = what(line.and("The master came back "), loss, clock);
    let line = line.and_line(gone(loss, clock));
    match loss.streams_since {
        Some(since) => line.and(" Streaming since ").at(since, clock).and("."),
        None => line,
    }
}

fn details(alert: &AlertSnapshot) -> Option<&HistoryLoss> {
    match &alert.context.details {
        Some(Details::HistoryLost(loss)) => Some(loss),
        _ => None,
    }
}

/// How the master came back: `EMPTY at 06:53:02 UTC (0 of 1000 keys).`
fn what(line: Sentence, loss: &HistoryLoss, clock: Clock<'_>) -> Sentence {
    let came_back = |how: &str| {
        let line = line.and(format!("{how} at ")).at(loss.seen_at, clock);
        line.and(keys(loss))
    };
    match loss.kept {
        HistoryRemnant::Nothing if loss.keys_now == Some(0) => came_back("EMPTY").and("."),
        HistoryRemnant::Nothing if loss.has_only_new_keys() => {
            let line = came_back("EMPTY").and(": it lacks everything written before ");
            line.at(loss.last_answer, clock).and(".")
        }
        HistoryRemnant::Nothing => came_back("without its data").and("."),
        HistoryRemnant::Until { lost, since } => {
            let lacks = bytes(lost, Rounding::Nearest);
            let line = came_back("with an older state");
            let line = line.and(format!(": it lacks the last {lacks} of its writes"));
            let line = match since {
                Some(since) => line.and(", all since ").at(since, clock),
                None => line,
            };
            line.and(".")
        }
        HistoryRemnant::SomeDataSet | HistoryRemnant::Unknown => {
            came_back("with another replication history").and(": its last writes may be missing.")
        }
    }
}

fn keys(loss: &HistoryLoss) -> String {
    let are_new = loss.kept == HistoryRemnant::Nothing && loss.has_only_new_keys();
    match (loss.keys_now, loss.keys_before) {
        (Some(now), Some(before)) if are_new => format!(" ({now} new keys, {before} before)"),
        (Some(now), None) if are_new => format!(" ({now} new keys)"),
        (Some(now), Some(before)) => format!(" ({now} of {before} keys)"),
        (Some(now), None) => format!(" ({now} keys)"),
        (None, _) => String::new(),
    }
}

/// What the replica has, and the command that keeps it.
fn copy(alert: &AlertSnapshot, loss: &HistoryLoss, clock: Clock<'_>) -> Sentence {
    let replica = alert.label("replica");
    let keep = keep_command(replica);
    let has = |what: &str| {
        let line = Sentence::words(format!(" Replica {replica} {what} the data"));
        match loss.applied {
            Some(applied) => line.and(" as of ").at(applied.at, clock),
            None => line,
        }
    };
    let line = match loss.copy {
        ReplicaCopy::Replaced => {
            let line = Sentence::words(format!(" Replica {replica} was overwritten."));
            return line.and_line(gone(loss, clock));
        }
        ReplicaCopy::NoMore => {
            let line = Sentence::words(format!(" Replica {replica} lacked them, too."));
            return line.and_line(gone(loss, clock));
        }
        ReplicaCopy::Promoted => return has("was made a master and has").and("."),
        ReplicaCopy::BeingReplaced => {
            return has("still has").and(format!(
                "; to keep it, run {keep} before the full sync under way is loaded."
            ));
        }
        ReplicaCopy::Unseen => has("had"),
        ReplicaCopy::Whole => has("still has"),
    };
    line.and(format!(
        "; to keep it, run {keep} before a full sync is loaded."
    ))
}

/// The command that stops a replica from replacing its data.
fn keep_command(replica: &str) -> String {
    match ServerAddr::parse(replica) {
        Ok(addr) => format!("{} REPLICAOF NO ONE", addr.redis_cli()),
        Err(_) => format!("REPLICAOF NO ONE on {replica}"),
    }
}

/// The writes that neither server has any more.
fn gone(loss: &HistoryLoss, clock: Clock<'_>) -> Sentence {
    match loss.kept {
        HistoryRemnant::Nothing => {
            let line = Sentence::words(" Lost: everything written before ");
            line.at(loss.last_answer, clock).and(".")
        }
        HistoryRemnant::Until { lost, .. } if lost > Bytes::ZERO => {
            let gone = bytes(lost, Rounding::Nearest);
            Sentence::words(format!(" Lost: the last {gone} of writes."))
        }
        HistoryRemnant::Until { .. } => Sentence::words(" Nothing is lost."),
        HistoryRemnant::SomeDataSet | HistoryRemnant::Unknown => {
            Sentence::words(" Lost: what the master had written and not saved.")
        }
    }
}
