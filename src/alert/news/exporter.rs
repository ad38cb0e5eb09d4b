//! Sentences about the exporter itself: its receivers, its access and its network.

use super::sentence::Sentence;
use super::words::{Clock, count};
use super::{Ended, lasting, server, stretch};
use crate::alert::{AlertSnapshot, Details};

/// A receiver accepts no notifications.
pub(super) fn receiver_fails(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let name = alert.label("receiver");
    let line = Sentence::words(format!("Receiver {name} failing"));
    let line = lasting(line, alert.context.fault_since, clock);
    let Some(reason) = &alert.context.reason else {
        return line.and(".");
    };
    // The sentence begins with the name already.
    match reason.strip_prefix(name) {
        Some(rest) => line.and(format!(": it{rest}.")),
        None => line.and(format!(": {reason}.")),
    }
}

/// This exporter has no access to a server: a fault of its own, or the server refuses it.
pub(super) fn no_access(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let text = format!("{}: no access", server::subject(alert));
    let line = lasting(Sentence::words(text), alert.context.fault_since, clock);
    line.and(because(alert))
        .and(" Nothing is known of the server meanwhile.")
}

/// It has access again.
pub(super) fn access_is_back(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let text = format!(
        "{}: resolved. The exporter had no access ",
        server::subject(alert)
    );
    stretch(Sentence::words(text), alert, ended, clock).and(".")
}

/// The new configuration is refused.
pub(super) fn reload_failed(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let line = Sentence::words("This exporter has run with its old configuration");
    lasting(line, alert.context.fault_since, clock).and(because(alert))
}

/// A new configuration is accepted again.
pub(super) fn reloaded(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let line = Sentence::words("This exporter: resolved. The new configuration was refused ");
    stretch(line, alert, ended, clock).and(".")
}

/// This exporter's machine is too small or too busy.
pub(super) fn overloaded(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let line = Sentence::words("This exporter has not kept its polling intervals");
    let line = lasting(line, alert.context.fault_since, clock);
    line.and(because(alert))
        .and(" What it reports stays true, with wider bounds and later.")
}

/// It keeps its intervals again.
pub(super) fn keeps_its_intervals(
    alert: &AlertSnapshot,
    ended: Ended,
    clock: Clock<'_>,
) -> Sentence {
    let line = Sentence::words("This exporter: resolved. It did not keep its polling intervals ");
    stretch(line, alert, ended, clock).and(".")
}

/// The alert's reason as the end of a sentence.
fn because(alert: &AlertSnapshot) -> String {
    match &alert.context.reason {
        Some(reason) => format!(": {}.", reason.trim_end_matches('.')),
        None => ".".to_owned(),
    }
}

/// A receiver accepts notifications again.
pub(super) fn receiver_works(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let text = format!("Receiver {}: resolved. Failing ", alert.label("receiver"));
    stretch(Sentence::words(text), alert, ended, clock).and(".")
}

/// No server of another datacenter answers this exporter.
pub(super) fn isolated(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let text = format!("This exporter reaches none of {}", servers(alert));
    let line = lasting(Sentence::words(text), alert.context.fault_since, clock);
    line.and(
        ". Probably its own network has failed, not the servers: nothing is known of them until \
         it is back.",
    )
}

fn servers(alert: &AlertSnapshot) -> String {
    let number = match alert.context.details {
        Some(Details::Isolated { servers }) => u64::try_from(servers).unwrap_or(u64::MAX),
        _ => return "the servers outside its datacenter".to_owned(),
    };
    let servers = count(number, "server", "servers");
    format!("the {servers} outside its datacenter")
}

/// It reaches them again.
pub(super) fn connected(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let text = format!(
        "This exporter: resolved. It reached none of {} ",
        servers(alert)
    );
    stretch(Sentence::words(text), alert, ended, clock).and(".")
}
