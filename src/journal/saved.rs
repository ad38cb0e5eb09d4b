//! The journal as documents, so that what happened before a restart stays visible.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Journal, JournalEntry, JournalEvent, MAX_ENTRIES, RecordedChange, RecordedOperation};
use crate::alert::{AlertSnapshot, Transition};
use crate::model::{
    ClockAnchor, ClockShift, Document, DocumentTable, PairKey, PairName, Persisted, SaveScope,
    SavedDocuments, ServerAddr, Timestamp, documents_of, history_key, restore_each,
};
use crate::replication::PairState;

/// An entry as it is saved.
#[derive(Debug, Serialize, Deserialize)]
struct EntryRecord {
    number: u64,
    at: Timestamp,
    #[serde(rename = "what")]
    event: EventRecord,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventRecord {
    State {
        pair: String,
        replica: String,
        from: String,
        to: String,
        reason: Arc<str>,
    },
    Alert(Transition),
    Operation {
        pair: String,
        id: Arc<str>,
        phase: Arc<str>,
        what: Arc<str>,
    },
}

impl Persisted for Journal {
    fn has_unsaved(&self) -> bool {
        self.last > self.last_saved
    }

    /// The entries since the last call, even if everything is asked for: an entry must not be saved
    /// twice, for its key follows the wall clock, which may have been corrected meanwhile.
    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document> {
        let unsaved = self.after(self.last_saved);
        let documents = unsaved.map(|entry| document(entry, scope.anchor)).collect();
        self.last_saved = self.last;
        documents
    }

    /// Entries of earlier processes come before those of this one.
    fn restore(&mut self, documents: &SavedDocuments, _: Timestamp) -> Vec<String> {
        let documents = documents_of(documents, DocumentTable::Journal);
        let room = MAX_ENTRIES - self.entries.len();
        let too_many = documents.len().saturating_sub(room);
        let newest = documents.get(too_many..).unwrap_or_default();
        let mut past = Vec::new();
        let refused = restore_each(newest, "what happened before", |record, document| {
            past.extend(entry_from_record(record, &document.shift));
            Ok(())
        });
        self.prepend(past);
        refused
    }
}

impl Journal {
    /// Puts older entries, oldest first, before those that are there. Where the wall clock was set
    /// back, their numbers may not be below the present ones; then they are renumbered.
    fn prepend(&mut self, past: Vec<JournalEntry>) {
        let entries = Arc::make_mut(&mut self.entries);
        let mut above = match entries.front() {
            Some(first) => first.number,
            None => self.last + 1,
        };
        for entry in past.into_iter().rev() {
            above = entry.number.min(above.saturating_sub(1));
            entries.push_front(Arc::new(JournalEntry {
                number: above,
                ..entry
            }));
        }
    }
}

fn document(entry: &JournalEntry, anchor: ClockAnchor) -> Document {
    let record = EntryRecord {
        number: entry.number,
        at: entry.at,
        event: EventRecord::new(&entry.event),
    };
    let key = history_key(anchor.wall(entry.at), entry.number);
    Document::record(DocumentTable::Journal, key, &record)
}

/// `None` for an event that this version cannot read.
fn entry_from_record(record: EntryRecord, shift: &ClockShift) -> Option<JournalEntry> {
    Some(JournalEntry {
        number: record.number,
        at: shift.past(record.at),
        event: record.event.into_event(shift)?,
    })
}

impl EventRecord {
    fn new(event: &JournalEvent) -> Self {
        match event {
            JournalEvent::State(change) => Self::State {
                pair: change.pair.saved_name(),
                replica: change.pair.replica.to_string(),
                from: change.from.label().to_owned(),
                to: change.to.label().to_owned(),
                reason: Arc::clone(&change.reason),
            },
            JournalEvent::Alert(transition) => Self::Alert(transition.clone()),
            JournalEvent::Operation(operation) => Self::Operation {
                pair: operation.pair.to_string(),
                id: Arc::clone(&operation.id),
                phase: Arc::clone(&operation.phase),
                what: Arc::clone(&operation.what),
            },
        }
    }

    /// The event on the present clock; `None` for a state that this version does not know.
    fn into_event(self, shift: &ClockShift) -> Option<JournalEvent> {
        match self {
            Self::State {
                pair,
                replica,
                from,
                to,
                reason,
            } => {
                let replica = ServerAddr::parse(&replica).ok()?;
                Some(JournalEvent::State(RecordedChange {
                    pair: PairKey::from_saved(&pair, replica),
                    from: PairState::parse(&from)?,
                    to: PairState::parse(&to)?,
                    reason,
                }))
            }
            Self::Alert(Transition { change, alert }) => {
                let mut alert = AlertSnapshot::clone(&alert);
                alert.shift(shift);
                let alert = Arc::new(alert);
                Some(JournalEvent::Alert(Transition { change, alert }))
            }
            Self::Operation {
                pair,
                id,
                phase,
                what,
            } => Some(JournalEvent::Operation(RecordedOperation {
                pair: PairName::new(&pair),
                id,
                phase,
                what,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SavedDocument, Span, WallTime};

    const fn anchor(secs: i64) -> ClockAnchor {
        let wall = WallTime::from_nanos((1_700_000_000 + secs) * 1_000_000_000);
        ClockAnchor {
            mono: Timestamp::from_nanos(secs * 1_000_000_000),
            wall,
        }
    }

    const fn at_second(secs: i64) -> SaveScope {
        SaveScope {
            all: false,
            anchor: anchor(secs),
        }
    }

    fn change(reason: &str) -> JournalEvent {
        let pair = PairKey::new(PairName::new("orders"), ServerAddr::new("r", 1));
        JournalEvent::State(RecordedChange {
            pair,
            from: PairState::Streaming,
            to: PairState::Stalled,
            reason: reason.into(),
        })
    }

    fn reasons(journal: &Journal) -> Vec<(u64, String, Timestamp)> {
        let shown = |entry: &Arc<JournalEntry>| match &entry.event {
            JournalEvent::State(change) => (entry.number, change.reason.to_string(), entry.at),
            JournalEvent::Operation(operation) => {
                (entry.number, operation.what.to_string(), entry.at)
            }
            JournalEvent::Alert(_) => unreachable!("no alert was recorded"),
        };
        journal.after(0).map(shown).collect()
    }

    fn saved(documents: Vec<Document>, now: i64, by: i64) -> SavedDocuments {
        let shift = ClockShift {
            by: Span::from_secs(by),
            ago: Span::ZERO,
            now: anchor(now),
        };
        let saved = |Document { key, body, .. }: Document| SavedDocument {
            key,
            body: body.unwrap(),
            shift,
        };
        [(
            DocumentTable::Journal,
            documents.into_iter().map(saved).collect(),
        )]
        .into()
    }

    #[test]
    fn each_entry_is_written_once() {
        let mut journal = Journal::new(anchor(0).wall);
        assert!(!journal.has_unsaved());
        journal.record(change("a"), anchor(1).mono);
        assert!(journal.has_unsaved());
        assert_eq!(journal.take_unsaved(at_second(1)).len(), 1);
        journal.record(change("b"), anchor(2).mono);
        assert_eq!(journal.take_unsaved(at_second(2)).len(), 1);
        assert_eq!(
            (
                journal.take_unsaved(at_second(2)).len(),
                journal.has_unsaved()
            ),
            (0, false)
        );
    }

    #[test]
    fn restored_entries_come_first_and_on_the_present_clock() {
        let mut first = Journal::new(anchor(0).wall);
        first.record(change("a"), anchor(1).mono);
        let operation = RecordedOperation {
            pair: PairName::new("orders"),
            id: "x".into(),
            phase: "done".into(),
            what: "b".into(),
        };
        first.record(JournalEvent::Operation(operation), anchor(2).mono);
        let documents = saved(first.take_unsaved(at_second(2)), 60, -1);
        let numbers: Vec<_> = reasons(&first)
            .into_iter()
            .map(|(number, ..)| number)
            .collect();
        let mut second = Journal::new(anchor(60).wall);
        second.record(change("c"), anchor(61).mono);
        assert_eq!(second.restore(&documents, Timestamp::default()), [""; 0]);
        let restored = reasons(&second);
        let words: Vec<_> = restored
            .iter()
            .map(|(_, reason, at)| (reason.as_str(), *at))
            .collect();
        assert_eq!(
            words,
            [
                ("a", anchor(0).mono),
                ("b", anchor(1).mono),
                ("c", anchor(61).mono)
            ]
        );
        // A reader that has seen the last entry of the first process gets only the new one.
        let missed: Vec<_> = second.after(numbers[1]).map(|entry| entry.number).collect();
        assert_eq!(missed, [restored[2].0]);
        assert_eq!(
            second.take_unsaved(at_second(61)).len(),
            1,
            "the past is written already"
        );
    }

    #[test]
    fn numbers_rise_also_when_the_clock_was_set_back() {
        let mut first = Journal::new(anchor(100).wall);
        for reason in ["a", "b", "c"] {
            first.record(change(reason), anchor(1).mono);
        }
        let documents = saved(first.take_unsaved(at_second(100)), 0, 0);
        let mut second = Journal::new(anchor(0).wall);
        assert_eq!(second.restore(&documents, Timestamp::default()), [""; 0]);
        second.record(change("d"), anchor(1).mono);
        let numbers: Vec<_> = reasons(&second)
            .into_iter()
            .map(|(number, ..)| number)
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert_eq!(numbers.last(), Some(&second.last()));
    }

    #[test]
    fn no_more_is_restored_than_is_kept_and_damaged_entries_are_reported() {
        let mut first = Journal::new(anchor(0).wall);
        let mut documents = Vec::new();
        for _ in 0..MAX_ENTRIES + 5 {
            first.record(change("a"), anchor(1).mono);
            documents.extend(first.take_unsaved(at_second(1)));
        }
        let mut documents = saved(documents, 60, 0);
        let journal = documents.get_mut(&DocumentTable::Journal).unwrap();
        "{}".clone_into(&mut journal.last_mut().unwrap().body);
        let mut second = Journal::new(anchor(60).wall);
        second.record(change("b"), anchor(61).mono);
        assert_eq!(second.restore(&documents, Timestamp::default()).len(), 1);
        assert_eq!(second.after(0).len(), MAX_ENTRIES - 1);
    }
}
