//! Dead letters: notifications that were given up, kept so that a person can send them again.

use std::sync::Arc;

use crate::alert::{AlertStatus, Notification};
use crate::delivery::DeliveryFailure;
use crate::model::{ClockAnchor, Timestamp};
use crate::notify::attempt::DeliveryId;
use crate::notify::incident::IncidentRef;

/// Dead letters that are kept of one receiver, the newest: a receiver whose key is wrong makes one
/// for every group.
pub const MAX_DEAD_LETTERS: usize = 100;

/// A notification that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The delivery's id, which a replay keeps.
    pub id: DeliveryId,
    /// The notification.
    pub notification: Arc<Notification>,
    /// The two clocks when it was decided.
    pub anchor: ClockAnchor,
    /// Why it was given up.
    pub reason: DeliveryFailure,
    /// When it was given up.
    pub at: Timestamp,
    /// Attempts that were made.
    pub attempts: u32,
    /// For a resolve: the incident that it was to end.
    pub incident: Option<IncidentRef>,
    /// Whether the group has resolved since. A firing is not replayed then.
    pub over: bool,
    /// The receiver's answer, as bounded text without secrets.
    pub answer: Option<Arc<str>>,
}

impl DeadLetter {
    /// Whether it is a resolve.
    pub(super) fn resolves(&self) -> bool {
        self.notification.status == AlertStatus::Resolved
    }
}

/// Why a dead letter is not replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There is none with this id.
    #[error(
        "there is no dead letter with this id: it may have been sent again, or dropped for newer ones"
    )]
    Unknown,
    /// The group has resolved since.
    #[error("its group has resolved since: the receiver would never be notified of the end")]
    Over,
    /// The receiver has got, or will get, something newer.
    #[error(
        "the receiver has been notified of something newer about this group, or is about to be"
    )]
    Superseded,
    /// The receiver is no longer configured.
    #[error("its receiver is no longer configured")]
    NoReceiver,
}
