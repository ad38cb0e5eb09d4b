//! The actions that the monitor asks its caller to carry out: it does no IO itself.

use crate::alert::{Notification, Transition};
use crate::journal::RecordedChange;
use crate::model::{PairKey, ServerAddr, Span, Timestamp};
use crate::replication::{PairState, Pause, StateReason};
use crate::topology::TreeId;

/// Something that the caller of the monitor has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Notify a receiver.
    Notify(Notification),
    /// Log that a pair's state changed.
    StateChanged(StateChange),
    /// Log that an alert began, changed its severity or ended.
    AlertChanged(Transition),
    /// Log that this program did not run for some time.
    Paused(Pause),
    /// Poll a server, and the roots of its tree, at `poll.min_interval` for some time.
    BoostPolling {
        /// The tree that is polled.
        tree: TreeId,
        /// The server in it.
        server: ServerAddr,
        /// The end of the boost.
        until: Timestamp,
        /// Whether its master reports that it is connected again: the next connection need not be
        /// delayed.
        is_back: bool,
    },
    /// The delay of the link to a replica: its poll may follow its master's by that much.
    LinkDelay {
        /// The tree that is polled.
        tree: TreeId,
        /// The replica in it.
        replica: ServerAddr,
        /// One way.
        delay: Span,
    },
}

/// A pair's state changed.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// The pair.
    pub pair: PairKey,
    /// Its state before; `None` for the first state that is known of it.
    pub from: Option<PairState>,
    /// Its state from now on.
    pub to: PairState,
    /// The reason for the new state.
    pub reason: StateReason,
}

impl StateChange {
    /// The change as the journal records it; `None` for the first state that is known of a pair.
    pub(super) fn to_record(&self) -> Option<RecordedChange> {
        Some(RecordedChange {
            pair: self.pair.clone(),
            from: self.from?,
            to: self.to,
            reason: self.reason.to_string().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PairName;

    #[test]
    fn the_first_state_of_a_pair_is_not_recorded() {
        let first = StateChange {
            pair: PairKey::new(PairName::new("orders"), ServerAddr::new("r", 1)),
            from: None,
            to: PairState::Streaming,
            reason: StateReason::Streaming,
        };
        assert_eq!(first.to_record(), None);
        let change = StateChange {
            from: Some(PairState::Stalled),
            ..first
        };
        let record = change.to_record().unwrap();
        assert_eq!(record.from, PairState::Stalled);
        assert_eq!(record.to, PairState::Streaming);
    }
}
