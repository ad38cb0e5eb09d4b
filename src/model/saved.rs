//! The state besides the lag history that outlives the process: documents in named tables, whose
//! content only their own room understands.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ClockAnchor, Span, Timestamp, WallTime, closed_set};

closed_set! {
    /// A table of documents in the durable state. The label is its name on the disk.
    pub enum DocumentTable {
        /// Alerts that are pending, firing or recently resolved.
        Alerts => "alerts",
        /// What each receiver was last sent of each group of alerts.
        Groups => "groups",
        /// Each receiver's queue, by group: the notifications that wait, and the incidents that are
        /// open.
        Outbox => "outbox",
        /// Each receiver's back-off and circuit breaker.
        Receivers => "receivers",
        /// The notifications that were given up.
        DeadLetters => "dead_letters",
        /// Silences.
        Silences => "silences",
        /// The failovers of each entry.
        Failovers => "failovers",
        /// When each server gave full syncs.
        FullSyncs => "full_syncs",
        /// The health of each receiver.
        ReceiverFacts => "receiver_facts",
        /// What the charts of each pair show.
        Charts => "charts",
        /// The pairs whose master came back without its history.
        Losses => "losses",
        /// State changes of pairs and alerts, oldest first.
        Journal => "journal",
        /// The results of notifications, oldest first.
        Deliveries => "deliveries",
    }
}

/// One change of a document: the body to write under its key, or its deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The table that it belongs to.
    pub table: DocumentTable,
    /// Its key in the table.
    pub key: String,
    /// JSON; `None` deletes it. May hold secrets: never shown.
    pub body: Option<String>,
}

/// A document that was read, and how its instants are read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedDocument {
    /// Its key in the table.
    pub key: String,
    /// JSON.
    pub body: String,
    /// How its instants are read on the present clock.
    pub shift: ClockShift,
}

/// Documents by table, as they were read.
pub type SavedDocuments = BTreeMap<DocumentTable, Vec<SavedDocument>>;

/// How instants of an earlier run are read on the present clock: exactly in the same boot, by the
/// wall clocks otherwise.
///
/// Unlike the lag's, the instants of alerts prove nothing: where they cannot be placed they are
/// taken as of now, and the alert itself is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockShift {
    /// Added to an instant of the earlier clock.
    pub by: Span,
    /// How long ago the document's clock was last written; never negative.
    pub ago: Span,
    /// The present.
    pub now: ClockAnchor,
}

/// The key of a history's entry. Keys sort by the wall clock, so that the oldest entries come
/// first.
pub fn history_key(at: WallTime, sequence: u64) -> String {
    format!("{:020}-{sequence:016x}", at.as_nanos().max(0))
}

impl DocumentTable {
    /// Whether each save holds a part of it, so that what a save leaves out stays on the disk.
    pub const fn is_written_in_parts(self) -> bool {
        self.is_history() || matches!(self, Self::Charts)
    }

    /// Whether it is a history: entries are only added, and never changed.
    pub const fn is_history(self) -> bool {
        matches!(self, Self::Journal | Self::Deliveries)
    }
}

impl Document {
    /// A document that writes `body` under `key`.
    pub fn put(table: DocumentTable, key: impl Into<String>, body: String) -> Self {
        Self {
            table,
            key: key.into(),
            body: Some(body),
        }
    }

    /// A document that writes `record` under `key`.
    ///
    /// Every record of this program can be written as JSON, because none has a map with keys other
    /// than text. If one had, a debug build, and so every test, would panic; in a release build the
    /// body would be empty, and the next start would count and log it as unreadable.
    pub fn record(table: DocumentTable, key: impl Into<String>, record: &impl Serialize) -> Self {
        let body = serde_json::to_string(record);
        debug_assert!(body.is_ok(), "{}: {body:?}", table.label());
        Self::put(table, key, body.unwrap_or_default())
    }

    /// A document that deletes `key`.
    pub fn delete(table: DocumentTable, key: impl Into<String>) -> Self {
        Self {
            table,
            key: key.into(),
            body: None,
        }
    }

    /// The bytes that it takes.
    pub fn size(&self) -> usize {
        self.key.len() + self.body.as_ref().map_or(0, String::len)
    }
}

impl ClockShift {
    /// The instant of something that has happened: never one that is still to come.
    pub fn past(&self, at: Timestamp) -> Timestamp {
        (at + self.by).min(self.now.mono)
    }

    /// The instant of something that is to happen, not later than `at_most` from now: a clock that
    /// was wrong must not delay it for days.
    pub fn due(&self, at: Timestamp, at_most: Span) -> Timestamp {
        (at + self.by).min(self.now.mono + at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn shifted_instants_of_the_past_are_not_in_the_future_and_due_ones_not_far_away() {
        let now = ClockAnchor {
            mono: at(100),
            ..ClockAnchor::default()
        };
        let shift = ClockShift {
            by: Span::from_secs(40),
            ago: Span::ZERO,
            now,
        };
        assert_eq!(
            [10, 60, 70].map(|secs| shift.past(at(secs))),
            [at(50), at(100), at(100)]
        );
        assert_eq!(
            [10, 62, 9_000].map(|secs| shift.due(at(secs), Span::from_secs(5))),
            [at(50), at(102), at(105)]
        );
    }
}
