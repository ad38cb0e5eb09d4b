//! Sentences about entries of the configuration: failovers, Sentinels and clusters.

use super::sentence::Sentence;
use super::words::{Clock, Rounding, span};
use super::{Ended, lasting, loss, stretch};
use crate::alert::{AlertSnapshot, Details, FailoverFacts, Quantity};

/// Another server became the master.
pub(super) fn failover(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let pair = alert.label("pair");
    let Some(Details::Failover(facts)) = &alert.context.details else {
        return Sentence::words(format!(
            "{pair}: failover, another server became the master."
        ));
    };
    let number = match alert.value.best() {
        Some(Quantity::Count(number)) => number,
        _ => 1,
    };
    let window = span(facts.window, Rounding::Nearest);
    let begin = if number > 1 {
        format!("{pair}: {number} failovers in the last {window}, the last: ")
    } else {
        format!("{pair}: failover, ")
    };
    let line = took_over(Sentence::words(begin), alert, facts, clock).and(".");
    match &facts.operation {
        None => line,
        Some(id) => line.and(format!(
            " Operation {id} did it: failover --status {id} has its report."
        )),
    }
}

/// Which server took over from which, when, and what was lost.
fn took_over(
    line: Sentence,
    alert: &AlertSnapshot,
    facts: &FailoverFacts,
    clock: Clock<'_>,
) -> Sentence {
    let FailoverFacts {
        from,
        from_dc,
        to,
        to_dc,
        at,
        lost,
        ..
    } = facts;
    let line = line.and(format!(
        "{to} ({to_dc}) took over from {from} ({from_dc}) at "
    ));
    let line = line.at(*at, clock).and("; ");
    let history_lost = alert.context.history_lost;
    line.and_line(loss::by(*lost, from, history_lost, clock))
}

/// No further failover within the window.
pub(super) fn no_more_failovers(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let pair = alert.label("pair");
    let Some(Details::Failover(facts)) = &alert.context.details else {
        return Sentence::words(format!("{pair}: resolved. No further failover."));
    };
    let window = span(facts.window, Rounding::Nearest);
    let line = format!("{pair}: resolved. No further failover in the last {window}; the last: ");
    took_over(Sentence::words(line), alert, facts, clock).and(".")
}

/// The Sentinels of a datacenter have no quorum.
pub(super) fn no_quorum(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let text = format!(
        "{}: no Sentinel quorum in {}",
        alert.label("pair"),
        alert.label("dc")
    );
    let line = lasting(Sentence::words(text), alert.context.fault_since, clock);
    let line = match &alert.context.reason {
        Some(reason) => line.and(format!(": {reason}")),
        None => line,
    };
    line.and(". No automatic failover until it is back.")
}

/// The quorum is back.
pub(super) fn quorum_is_back(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let text = format!(
        "{}: resolved. No Sentinel quorum in {} ",
        alert.label("pair"),
        alert.label("dc")
    );
    let line = stretch(Sentence::words(text), alert, ended, clock);
    line.and("; an automatic failover is possible again.")
}

/// A cluster is out of reach, or does not serve every slot.
pub(super) fn cluster_down(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let text = format!("Cluster {}: down", alert.label("cluster"));
    let line = lasting(Sentence::words(text), alert.context.fault_since, clock);
    match &alert.context.reason {
        Some(reason) => line.and(format!(": {reason}.")),
        None => line.and("."),
    }
}

/// The cluster serves every slot again.
pub(super) fn cluster_is_back(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let text = format!("Cluster {}: resolved. Down ", alert.label("cluster"));
    let line = stretch(Sentence::words(text), alert, ended, clock);
    line.and("; every slot is served again.")
}
