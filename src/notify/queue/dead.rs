//! Dead letters: what a receiver refused for good. Unsaved, shown, and sent again when somebody asks
//! for it.

use std::sync::Arc;

use crate::alert::{AlertStatus, GroupKey, Notification};
use crate::delivery::DeliveryFailure;
use crate::model::{ClockAnchor, Timestamp};

use super::group::QueueEntry;
use super::{Attempt, DeliveryId, IncidentRef, ReceiverQueue};

/// Dead letters that are kept of one receiver, the newest: a receiver whose key is wrong makes one
/// for every group.
pub const MAX_DEAD_LETTERS: usize = 100;

/// A notification that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Its name, which it keeps when it is sent again.
    pub id: DeliveryId,
    /// What it says.
    pub notification: Arc<Notification>,
    /// The two clocks when it was decided.
    pub anchor: ClockAnchor,
    /// Why it was given up.
    pub reason: DeliveryFailure,
    /// When.
    pub at: Timestamp,
    /// How many times it was tried.
    pub attempts: u32,
    /// For a resolve: what it was to end.
    pub incident: Option<IncidentRef>,
    /// Whether the group has resolved since: a firing is news no longer.
    pub over: bool,
    /// What the receiver answered, in words that may be shown.
    pub answer: Option<Arc<str>>,
}

/// Why a dead letter is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There is none with this id.
    #[error(
        "there is no dead letter with this id: it may have been sent again, or given way to newer ones"
    )]
    Unknown,
    /// The group has resolved since.
    #[error("it says that something fires that is over: nobody would ever end it")]
    Over,
    /// The receiver knows, or will know, something newer.
    #[error("the receiver has been told something newer about this group, or is about to be")]
    Superseded,
    /// The receiver is no longer configured.
    #[error("its receiver is no longer configured")]
    NoReceiver,
}

impl ReceiverQueue {
    /// The dead letters, oldest first.
    pub fn dead_letters(
        &self,
    ) -> impl DoubleEndedIterator<Item = &Arc<DeadLetter>> + ExactSizeIterator {
        self.letters.iter()
    }

    /// Sends a dead letter again, under its old id.
    ///
    /// # Errors
    /// There is none, or it would say what is no longer true.
    pub fn replay(&mut self, id: &DeliveryId, now: ClockAnchor) -> Result<(), ReplayError> {
        let index = self
            .letters
            .iter()
            .position(|letter| letter.id == *id)
            .ok_or(ReplayError::Unknown)?;
        let letter = Arc::clone(&self.letters[index]);
        let key = letter.notification.group.clone();
        let resolves = letter.notification.status == AlertStatus::Resolved;
        if letter.over && !resolves {
            return Err(ReplayError::Over);
        }
        let known = self.groups.get(&key);
        // A resolve that comes late would end what began since; a firing that comes late would undo
        // what was told since.
        if known.is_some_and(|group| !group.is_idle()) {
            return Err(ReplayError::Superseded);
        }
        self.letters.remove(index);
        self.unsaved.touch_letter(id.clone());
        self.sequence += 1;
        let entry = QueueEntry::new(
            id.clone(),
            self.sequence,
            Arc::clone(&letter.notification),
            now,
        )
        .after(self.revision);
        let group = self.groups.entry(key.clone()).or_default();
        if resolves {
            group.remember(letter.incident.clone().unwrap_or(IncidentRef::Unnamed));
        }
        group.waiting.push_back(QueueEntry {
            anchor: letter.anchor,
            ..entry
        });
        self.unsaved.touch(key);
        Ok(())
    }

    /// Keeps what was given up; the oldest gives way.
    pub(super) fn bury(&mut self, attempt: &Attempt, reason: DeliveryFailure, now: ClockAnchor) {
        self.dead += 1;
        self.unsaved.touch_receiver();
        let letter = DeadLetter {
            id: attempt.id.clone(),
            notification: Arc::clone(&attempt.notification),
            anchor: attempt.anchor,
            reason,
            at: now.mono,
            attempts: attempt.number,
            incident: attempt.incident.clone(),
            over: false,
            answer: None,
        };
        self.keep_letter(letter);
    }

    /// Notes what the receiver answered, where it was the end of this notification.
    pub fn note_answer(&mut self, id: &DeliveryId, answer: Option<&Arc<str>>) {
        if let Some(letter) = self.letters.back_mut().filter(|letter| letter.id == *id) {
            Arc::make_mut(letter).answer = answer.cloned();
        }
    }

    pub(super) fn keep_letter(&mut self, letter: DeadLetter) {
        if self.letters.len() == MAX_DEAD_LETTERS
            && let Some(oldest) = self.letters.pop_front()
        {
            self.unsaved.touch_letter(oldest.id.clone());
        }
        self.unsaved.touch_letter(letter.id.clone());
        self.letters.push_back(Arc::new(letter));
    }

    /// The group has resolved: what says that it fires is not to be sent again.
    pub(super) fn mark_letters_over(&mut self, key: &GroupKey) {
        for letter in self
            .letters
            .iter_mut()
            .filter(|letter| letter.notification.group == *key && !letter.over)
        {
            Arc::make_mut(letter).over = true;
            self.unsaved.touch_letter(letter.id.clone());
        }
    }
}
