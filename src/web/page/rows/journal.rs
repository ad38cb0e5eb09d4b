//! The row of a journal entry: a change of a pair's state, of an alert, or of an operation.

use super::{AlertRow, Moment, NOT_KNOWN, is_about};
use crate::journal::{JournalEntry, JournalEvent};
use crate::monitor::FleetSnapshot;
use crate::report::{JournalEntryReport, Level, ListedState, PairReport};
use crate::web::page::query::pair_address;

/// A journal entry as a row.
pub(in crate::web::page) struct JournalRow {
    pub(in crate::web::page) at: Moment,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) what: String,
    pub(in crate::web::page) about: String,
    pub(in crate::web::page) address: Option<String>,
    pub(in crate::web::page) reason: String,
}

impl JournalRow {
    pub(in crate::web::page) fn new(fleet: &FleetSnapshot, entry: &JournalEntry) -> Self {
        match JournalEntryReport::new(fleet, entry) {
            JournalEntryReport::State {
                timestamp,
                pair,
                replica,
                from,
                state,
                reason,
            } => {
                let before = match from {
                    Some(from) => from.label(),
                    None => NOT_KNOWN,
                };
                Self {
                    at: Moment::from_unix(timestamp),
                    level: Level::from_state(state).label(),
                    what: format!("{before} → {}", state.label()),
                    address: Some(pair_address(&pair, &replica)),
                    about: format!("{pair}, replica {replica}"),
                    reason,
                }
            }
            JournalEntryReport::Alert {
                timestamp,
                change,
                alert,
            } => {
                let level = match alert.state {
                    ListedState::Resolved => Level::Ok.label(),
                    ListedState::Firing | ListedState::Pending => alert.severity.label(),
                };
                let row = AlertRow::new(&alert);
                Self {
                    at: Moment::from_unix(timestamp),
                    level,
                    what: format!("{} {change}", row.name),
                    about: row.about,
                    address: row.address,
                    reason: row.reason,
                }
            }
            JournalEntryReport::Operation {
                timestamp,
                pair,
                operation,
                phase,
                reason,
            } => {
                let level = match phase.as_str() {
                    "lapsed" | "incomplete" => Level::Warning,
                    _ => Level::Ok,
                };
                Self {
                    at: Moment::from_unix(timestamp),
                    level: level.label(),
                    what: format!("operation {phase}"),
                    about: format!("{pair}, {operation}"),
                    address: None,
                    reason,
                }
            }
        }
    }

    /// Whether the entry is a change of an alert about the pair or one of its servers. The pair's
    /// states have their own table.
    pub(in crate::web::page) fn is_alert_about(entry: &JournalEntry, pair: &PairReport) -> bool {
        let JournalEvent::Alert(transition) = &entry.event else {
            return false;
        };
        is_about(&transition.alert.identity.labels, pair)
    }
}
