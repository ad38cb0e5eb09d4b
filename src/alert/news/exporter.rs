//! The exporter itself: its receivers and its network.

use super::line::Line;
use super::words::{Clock, count};
use super::{Ended, lasting, stretch};
use crate::alert::{AlertSnapshot, Details};

/// A receiver takes no notifications.
pub(super) fn receiver_fails(alert: &AlertSnapshot, clock: Clock<'_>) -> Line {
    let text = format!("Receiver {} failing", alert.label("receiver"));
    let line = lasting(Line::words(text), alert.context.fault_since, clock);
    let reason = alert.context.reason.as_ref();
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    line.and(format!("{reason}."))
}

/// A receiver takes notifications again.
pub(super) fn receiver_works(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Line {
    let text = format!("Receiver {}: resolved. Failing ", alert.label("receiver"));
    stretch(Line::words(text), alert, ended, clock).and(".")
}

/// No server of another datacenter answers this exporter.
pub(super) fn isolated(alert: &AlertSnapshot, clock: Clock<'_>) -> Line {
    let text = format!("This exporter reaches none of {}", servers(alert));
    let line = lasting(Line::words(text), alert.context.fault_since, clock);
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
pub(super) fn connected(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Line {
    let text = format!(
        "This exporter: resolved. It reached none of {} ",
        servers(alert)
    );
    stretch(Line::words(text), alert, ended, clock).and(".")
}
