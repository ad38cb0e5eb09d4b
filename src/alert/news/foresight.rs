//! Sentences about what will break: a backlog that is too short for a cut, and an output buffer
//! that runs over.

use super::pair::{news, subject};
use super::sentence::Sentence;
use super::words::{Rounding, bytes, span};
use crate::alert::{AlertSnapshot, Details, OutputBufferFacts, Quantity};
use crate::model::{Bytes, Span};

/// How long the link may be cut before a full resync: `orders dc1 → dc2: a cut of ~4 min of the
/// link would end in a full resync.`
pub(super) fn short_backlog(alert: &AlertSnapshot) -> Sentence {
    let news = news(alert);
    let subject = subject(&news);
    let Some(Quantity::TimeLeft(lasts)) = alert.value.best() else {
        return Sentence::words(format!("{subject}: the backlog is short."));
    };
    if lasts == Span::ZERO {
        return Sentence::words(format!(
            "{subject}: the replica lacks more than its master's backlog holds. If the link \
             breaks or is down, a full resync follows."
        ));
    }
    let lasts = span(lasts, Rounding::Down);
    let line = Sentence::words(format!(
        "{subject}: a cut of the link of more than ~{lasts} would end in a full resync."
    ));
    line.and(worst_case(alert))
}

/// ` The backlog has 1.0 MiB left; at the fastest writes of the last 26 h that lasts 40 s.`
fn worst_case(alert: &AlertSnapshot) -> String {
    let Some(backlog) = alert.context.backlog else {
        return String::new();
    };
    let left = bytes(backlog.headroom, Rounding::Down);
    match (backlog.worst, backlog.history) {
        (Some(worst), Some(history)) => {
            let worst = span(worst, Rounding::Down);
            let history = span(history, Rounding::Nearest);
            format!(
                " The backlog has {left} left; at the fastest writes of the last {history} that lasts \
                 {worst}."
            )
        }
        _ => format!(" The backlog has {left} left."),
    }
}

/// The backlog lasts long enough again.
pub(super) fn backlog_is_long_enough(alert: &AlertSnapshot) -> Sentence {
    let subject = subject(&news(alert));
    let now = match alert.context.backlog.and_then(|backlog| backlog.lasts) {
        Some(lasts) => format!(" (~{} now)", span(lasts, Rounding::Down)),
        None => String::new(),
    };
    Sentence::words(format!(
        "{subject}: resolved. The backlog lasts long enough again{now}."
    ))
}

/// How full the output buffer is: `orders dc1 → dc2: the output buffer for the replica is 80 %
/// full.`
pub(super) fn full_buffer(alert: &AlertSnapshot) -> Sentence {
    let subject = subject(&news(alert));
    let Some(Quantity::Share(full)) = alert.value.best() else {
        return Sentence::words(format!(
            "{subject}: the master's output buffer for the replica is near its limit."
        ));
    };
    let Some(Details::OutputBuffer(buffer)) = &alert.context.details else {
        return Sentence::words(format!(
            "{subject}: the master's output buffer for the replica is {full} full."
        ));
    };
    let size = sizes(*buffer);
    let line = Sentence::words(format!(
        "{subject}: the master's output buffer for the replica is {full} full{size}."
    ));
    match buffer.disconnect_in {
        Some(Span::ZERO) => line.and(" The master is about to drop the link."),
        Some(left) => {
            let left = span(left, Rounding::Down);
            line.and(format!(
                " At this growth the master drops the link in ~{left}."
            ))
        }
        None => line,
    }
}

/// ` (205.0 MiB of 256.0 MiB)`.
fn sizes(buffer: OutputBufferFacts) -> String {
    let size = |size: Bytes| bytes(size, Rounding::Nearest);
    match buffer.limit {
        Some(limit) => format!(" ({} of {})", size(buffer.size), size(limit)),
        None => String::new(),
    }
}

/// The buffer is drained, or gone with its connection.
pub(super) fn buffer_is_drained(alert: &AlertSnapshot) -> Sentence {
    let subject = subject(&news(alert));
    Sentence::words(format!(
        "{subject}: resolved. The master's output buffer for the replica is no longer near its limit."
    ))
}
