//! The journal on the disk: who looks in the morning sees what happened in the night, also when the
//! program was started anew meanwhile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Happening, Journal, MAX_HAPPENINGS, NotedChange, What};
use crate::alert::{AlertSnapshot, Transition};
use crate::model::{
    ClockAnchor, ClockShift, Document, DocumentTable, PairKey, SavedDocument, ServerAddr,
    Timestamp, history_key,
};
use crate::replication::PairState;

/// A happening in the history.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    number: u64,
    at: Timestamp,
    what: WhatRecord,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WhatRecord {
    State {
        pair: String,
        replica: String,
        from: String,
        to: String,
        reason: Arc<str>,
    },
    Alert(Transition),
}

impl Journal {
    /// Whether something happened that the disk does not know of.
    pub(in crate::monitor) fn has_unsaved(&self) -> bool {
        self.after(self.written).len() > 0
    }

    /// What the disk has to be told: what happened since this was last asked. Nothing is told
    /// twice, also when everything else is written anew: wall clocks are corrected, so an entry
    /// would get a second key.
    pub(in crate::monitor) fn take_unsaved(&mut self, anchor: ClockAnchor) -> Vec<Document> {
        let documents = self
            .after(self.written)
            .map(|happening| document(happening, anchor))
            .collect();
        self.written = self.last;
        documents
    }

    /// Takes in what happened in earlier lives, before what is known already. Returns sentences
    /// about what makes no sense.
    pub(in crate::monitor) fn restore(&mut self, documents: &[SavedDocument]) -> Vec<String> {
        let (mut past, mut refused) = (Vec::new(), Vec::new());
        let room = MAX_HAPPENINGS - self.kept.len();
        for document in documents.iter().skip(documents.len().saturating_sub(room)) {
            match serde_json::from_str::<Record>(&document.body) {
                Ok(record) => past.extend(happening(record, &document.shift)),
                Err(why) => refused.push(format!("what happened before: {why}")),
            }
        }
        let kept = Arc::make_mut(&mut self.kept);
        let mut next = kept.front().map_or(self.last, |first| first.number - 1) + 1;
        for happening in past.into_iter().rev() {
            // Where a clock was set back, numbers of earlier lives are not below those of this one.
            next = happening.number.min(next.saturating_sub(1));
            kept.push_front(Arc::new(Happening {
                number: next,
                ..happening
            }));
        }
        refused
    }
}

fn document(happening: &Happening, anchor: ClockAnchor) -> Document {
    let what = match &happening.what {
        What::State(NotedChange {
            pair,
            from,
            to,
            reason,
        }) => WhatRecord::State {
            pair: pair.saved_name(),
            replica: pair.replica.to_string(),
            from: from.label().to_owned(),
            to: to.label().to_owned(),
            reason: Arc::clone(reason),
        },
        What::Alert(transition) => WhatRecord::Alert(transition.clone()),
    };
    let Happening { number, at, .. } = *happening;
    Document::record(
        DocumentTable::Journal,
        history_key(anchor.wall(at), number),
        &Record { number, at, what },
    )
}

/// `None` for a state that this version does not know.
fn happening(record: Record, shift: &ClockShift) -> Option<Happening> {
    let what = match record.what {
        WhatRecord::State {
            pair,
            replica,
            from,
            to,
            reason,
        } => What::State(NotedChange {
            pair: PairKey::from_saved(&pair, ServerAddr::parse(&replica).ok()?),
            from: state(&from)?,
            to: state(&to)?,
            reason,
        }),
        WhatRecord::Alert(Transition { change, alert }) => {
            let mut alert = AlertSnapshot::clone(&alert);
            alert.shift(shift);
            What::Alert(Transition {
                change,
                alert: Arc::new(alert),
            })
        }
    };
    Some(Happening {
        number: record.number,
        at: shift.past(record.at),
        what,
    })
}

fn state(label: &str) -> Option<PairState> {
    PairState::ALL
        .into_iter()
        .find(|state| state.label() == label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PairName, Span, WallTime};

    const fn anchor(secs: i64) -> ClockAnchor {
        let wall = WallTime::from_nanos((1_700_000_000 + secs) * 1_000_000_000);
        ClockAnchor {
            mono: Timestamp::from_nanos(secs * 1_000_000_000),
            wall,
        }
    }

    fn change(reason: &str) -> What {
        let pair = PairKey::new(PairName::new("orders"), ServerAddr::new("r", 1));
        What::State(NotedChange {
            pair,
            from: PairState::Streaming,
            to: PairState::Stalled,
            reason: reason.into(),
        })
    }

    fn reasons(journal: &Journal) -> Vec<(u64, String, Timestamp)> {
        let told = |happening: &Arc<Happening>| match &happening.what {
            What::State(change) => (happening.number, change.reason.to_string(), happening.at),
            What::Alert(_) => unreachable!("no alert was noted"),
        };
        journal.after(0).map(told).collect()
    }

    fn saved(documents: Vec<Document>, now: i64, by: i64) -> Vec<SavedDocument> {
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
        documents.into_iter().map(saved).collect()
    }

    #[test]
    fn what_happened_is_written_once() {
        let mut journal = Journal::begin(anchor(0).wall);
        assert!(!journal.has_unsaved());
        journal.note(change("a"), anchor(1).mono);
        assert!(journal.has_unsaved());
        assert_eq!(journal.take_unsaved(anchor(1)).len(), 1);
        journal.note(change("b"), anchor(2).mono);
        assert_eq!(journal.take_unsaved(anchor(2)).len(), 1);
        assert_eq!(
            (journal.take_unsaved(anchor(2)).len(), journal.has_unsaved()),
            (0, false)
        );
    }

    #[test]
    fn the_past_stands_before_the_present_on_the_present_clock() {
        let mut first = Journal::begin(anchor(0).wall);
        for (reason, second) in [("a", 1), ("b", 2)] {
            first.note(change(reason), anchor(second).mono);
        }
        let documents = saved(first.take_unsaved(anchor(2)), 60, -1);
        let numbers: Vec<_> = reasons(&first)
            .into_iter()
            .map(|(number, ..)| number)
            .collect();
        let mut second = Journal::begin(anchor(60).wall);
        second.note(change("c"), anchor(61).mono);
        assert_eq!(second.restore(&documents), [""; 0]);
        let told = reasons(&second);
        let words: Vec<_> = told
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
        // Who has seen the first life's last is told of what is new, and of nothing else.
        let missed: Vec<_> = second
            .after(numbers[1])
            .map(|happening| happening.number)
            .collect();
        assert_eq!(missed, [told[2].0]);
        assert_eq!(
            second.take_unsaved(anchor(61)).len(),
            1,
            "the past is written already"
        );
    }

    #[test]
    fn numbers_rise_also_when_the_clock_was_set_back() {
        let mut first = Journal::begin(anchor(100).wall);
        for reason in ["a", "b", "c"] {
            first.note(change(reason), anchor(1).mono);
        }
        let documents = saved(first.take_unsaved(anchor(100)), 0, 0);
        let mut second = Journal::begin(anchor(0).wall);
        assert_eq!(second.restore(&documents), [""; 0]);
        second.note(change("d"), anchor(1).mono);
        let numbers: Vec<_> = reasons(&second)
            .into_iter()
            .map(|(number, ..)| number)
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert_eq!(numbers.last(), Some(&second.last()));
    }

    #[test]
    fn no_more_is_taken_in_than_is_kept_and_nonsense_is_said() {
        let mut first = Journal::begin(anchor(0).wall);
        let mut documents = Vec::new();
        for _ in 0..MAX_HAPPENINGS + 5 {
            first.note(change("a"), anchor(1).mono);
            documents.extend(first.take_unsaved(anchor(1)));
        }
        let mut documents = saved(documents, 60, 0);
        "{}".clone_into(&mut documents.last_mut().unwrap().body);
        let mut second = Journal::begin(anchor(60).wall);
        second.note(change("b"), anchor(61).mono);
        assert_eq!(second.restore(&documents).len(), 1);
        assert_eq!(second.after(0).len(), MAX_HAPPENINGS - 1);
    }
}
