//! The rows of the journal: changes of pairs' states, of alerts and of operations. What happened to
//! many pairs at once is one row.

use std::sync::Arc;

use super::{AlertRow, Moment, NOT_KNOWN, is_about};
use crate::journal::{JournalEntry, JournalEvent};
use crate::monitor::FleetSnapshot;
use crate::replication::PairState;
use crate::report::{AlertReport, JournalEntryReport, Level, ListedState, PairReport};
use crate::web::page::query::pair_address;

/// Entries that say the same within so many seconds are one row.
const TOGETHER: f64 = 60.0;

/// Subjects that a row names.
const MOST_NAMED: usize = 20;

/// Entries of one kind as a row.
pub(in crate::web::page) struct JournalRow {
    /// Its first entry's number: it stays while newer entries join.
    pub(in crate::web::page) number: u64,
    /// When the latest of them was, in Unix seconds.
    timestamp: f64,
    pub(in crate::web::page) at: Moment,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) what: String,
    /// Whom it happened to, the latest first.
    pub(in crate::web::page) subjects: Vec<Subject>,
    /// How many are not named.
    pub(in crate::web::page) more: usize,
}

/// A pair or an alert that changed, and why.
pub(in crate::web::page) struct Subject {
    pub(in crate::web::page) about: String,
    pub(in crate::web::page) address: Option<String>,
    pub(in crate::web::page) reason: String,
}

impl JournalRow {
    /// The rows of these entries, which come latest first: at most so many.
    pub(in crate::web::page) fn grouped<'a>(
        fleet: &FleetSnapshot,
        latest_first: impl Iterator<Item = &'a Arc<JournalEntry>>,
        most_rows: usize,
    ) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        for entry in latest_first {
            let row = Self::new(fleet, entry);
            if let Some(same) = rows.iter_mut().rev().find(|other| other.takes(&row)) {
                same.join(row);
            } else if rows.len() < most_rows {
                rows.push(row);
            } else {
                break;
            }
        }
        rows
    }

    /// How many entries it stands for.
    pub(in crate::web::page) const fn count(&self) -> usize {
        self.subjects.len() + self.more
    }

    /// Whether an older row says the same of another subject.
    fn takes(&self, older: &Self) -> bool {
        self.what == older.what
            && self.level == older.level
            && self.timestamp - older.timestamp <= TOGETHER
    }

    fn join(&mut self, older: Self) {
        self.number = older.number;
        for subject in older.subjects {
            if self.subjects.len() < MOST_NAMED {
                self.subjects.push(subject);
            } else {
                self.more += 1;
            }
        }
    }

    fn new(fleet: &FleetSnapshot, entry: &JournalEntry) -> Self {
        let content = match JournalEntryReport::new(fleet, entry) {
            JournalEntryReport::State {
                timestamp,
                pair,
                replica,
                from,
                state,
                reason,
            } => {
                let subject = Subject {
                    address: Some(pair_address(&pair, &replica)),
                    about: format!("{pair}, replica {replica}"),
                    reason,
                };
                Content::of_state(timestamp, from, state, subject)
            }
            JournalEntryReport::Alert {
                timestamp,
                change,
                alert,
            } => Content::of_alert(timestamp, change, &alert),
            JournalEntryReport::Operation {
                timestamp,
                pair,
                operation,
                phase,
                reason,
            } => {
                let subject = Subject {
                    about: format!("{pair}, {operation}"),
                    address: None,
                    reason,
                };
                Content::of_operation(timestamp, &phase, subject)
            }
        };
        Self {
            number: entry.number,
            timestamp: content.timestamp,
            at: Moment::from_unix(content.timestamp),
            level: content.level,
            what: content.what,
            subjects: vec![content.subject],
            more: 0,
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

/// What the row of one entry says.
struct Content {
    timestamp: f64,
    level: &'static str,
    what: String,
    subject: Subject,
}

impl Content {
    fn of_state(
        timestamp: f64,
        from: Option<PairState>,
        state: PairState,
        subject: Subject,
    ) -> Self {
        let before = match from {
            Some(from) => from.label(),
            None => NOT_KNOWN,
        };
        Self {
            timestamp,
            level: Level::from_state(state).label(),
            what: format!("{before} → {}", state.label()),
            subject,
        }
    }

    fn of_alert(timestamp: f64, change: &str, alert: &AlertReport) -> Self {
        let level = match alert.state {
            ListedState::Resolved => Level::Ok.label(),
            ListedState::Firing | ListedState::Pending => alert.severity.label(),
        };
        let row = AlertRow::new(alert);
        Self {
            timestamp,
            level,
            what: format!("{} {change}", row.name),
            subject: Subject {
                about: row.about,
                address: row.address,
                reason: row.reason,
            },
        }
    }

    fn of_operation(timestamp: f64, phase: &str, subject: Subject) -> Self {
        let level = match phase {
            "lapsed" | "incomplete" => Level::Warning,
            _ => Level::Ok,
        };
        Self {
            timestamp,
            level: level.label(),
            what: format!("operation {phase}"),
            subject,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::RecordedChange;
    use crate::model::{PairKey, PairName, ServerAddr, Span};
    use crate::replication::PairState;
    use crate::report::testing::{Scene, fleet};

    /// Entries of as many pairs that stalled, a second apart, the latest first.
    fn stalled(pairs: u16, fleet: &FleetSnapshot) -> Vec<Arc<JournalEntry>> {
        let mut entries = Vec::new();
        for n in (0..pairs).rev() {
            let name = PairName::new(&format!("p{n}"));
            let change = RecordedChange {
                pair: PairKey::new(name, ServerAddr::new("r", 1)),
                from: PairState::Streaming,
                to: PairState::Stalled,
                reason: format!("reason {n}").as_str().into(),
            };
            entries.push(Arc::new(JournalEntry {
                number: u64::from(n),
                at: fleet.anchor.mono + Span::from_secs(i64::from(n)),
                event: JournalEvent::State(change),
            }));
        }
        entries
    }

    #[test]
    fn what_happens_to_many_pairs_at_once_is_one_row() {
        let (fleet, _) = fleet(Scene::Streaming);
        let entries = stalled(50, &fleet);
        let rows = JournalRow::grouped(&fleet, entries.iter(), 30);
        let [row] = rows.as_slice() else {
            panic!("{} rows", rows.len())
        };
        assert_eq!((row.count(), row.subjects.len()), (50, MOST_NAMED));
        assert_eq!((row.number, row.what.as_str()), (0, "streaming → stalled"));
        assert_eq!(row.subjects[0].about, "p49, replica r:1");
    }

    #[test]
    fn what_happens_later_is_another_row_and_rows_are_few() {
        let (fleet, _) = fleet(Scene::Streaming);
        let entries = stalled(200, &fleet);
        let count = |most| -> Vec<usize> {
            let rows = JournalRow::grouped(&fleet, entries.iter(), most);
            rows.iter().map(JournalRow::count).collect()
        };
        assert_eq!(count(30), [61, 61, 61, 17]);
        assert_eq!(count(2), [61, 61]);
    }
}
