//! The dead letters of a queue: kept in a bounded number, and sent again at a person's request.

use std::sync::Arc;

use super::ReceiverQueue;
use super::dead::{DeadLetter, MAX_DEAD_LETTERS, ReplayError};
use super::group::QueueEntry;
use crate::alert::GroupKey;
use crate::delivery::DeliveryFailure;
use crate::model::ClockAnchor;
use crate::notify::attempt::{Attempt, DeliveryId};
use crate::notify::incident::IncidentRef;

impl ReceiverQueue {
    /// The dead letters, oldest first.
    pub fn dead_letters(
        &self,
    ) -> impl DoubleEndedIterator<Item = &Arc<DeadLetter>> + ExactSizeIterator {
        self.letters.iter()
    }

    pub(in crate::notify) fn has_dead_letter(&self, id: &DeliveryId) -> bool {
        self.letters.iter().any(|letter| letter.id == *id)
    }

    /// Queues a dead letter again, under its old id.
    ///
    /// # Errors
    /// There is none, or it would report what is no longer true.
    pub fn replay(&mut self, id: &DeliveryId, now: ClockAnchor) -> Result<(), ReplayError> {
        let letter = self.replayable(id)?;
        self.letters.retain(|other| other.id != *id);
        self.unsaved.touch_letter(id.clone());
        self.sequence += 1;
        let notification = Arc::clone(&letter.notification);
        let mut entry = QueueEntry::new(id.clone(), self.sequence, notification, now);
        entry.anchor = letter.anchor;
        let key = letter.notification.group.clone();
        let group = self.groups.entry(key.clone()).or_default();
        if letter.resolves() {
            let incident = letter.incident.clone();
            group.remember(incident.unwrap_or(IncidentRef::Unnamed));
        }
        group.waiting.push_back(entry.after(self.revision));
        self.unsaved.touch(key);
        Ok(())
    }

    /// The dead letter with this id, if what it reports is still true.
    fn replayable(&self, id: &DeliveryId) -> Result<Arc<DeadLetter>, ReplayError> {
        let mut letters = self.letters.iter();
        let found = letters.find(|letter| letter.id == *id);
        let letter = found.ok_or(ReplayError::Unknown)?;
        if letter.over && !letter.resolves() {
            return Err(ReplayError::Over);
        }
        // A late resolve would end what began since; a late firing would undo what was sent since.
        match self.groups.get(&letter.notification.group) {
            Some(group) if !group.is_idle() => Err(ReplayError::Superseded),
            _ => Ok(Arc::clone(letter)),
        }
    }

    /// Keeps the notification of an attempt that was given up, as a dead letter.
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

    /// Notes the receiver's answer in the dead letter of this delivery, if there is one.
    pub fn note_answer(&mut self, id: &DeliveryId, answer: Option<&Arc<str>>) {
        if let Some(letter) = self.letters.back_mut()
            && letter.id == *id
        {
            Arc::make_mut(letter).answer = answer.cloned();
        }
    }

    /// Keeps `letter`, in the place of the oldest one where there are too many.
    pub(super) fn keep_letter(&mut self, letter: DeadLetter) {
        if self.letters.len() == MAX_DEAD_LETTERS
            && let Some(oldest) = self.letters.pop_front()
        {
            self.unsaved.touch_letter(oldest.id.clone());
        }
        self.unsaved.touch_letter(letter.id.clone());
        self.letters.push_back(Arc::new(letter));
    }

    /// The group has resolved: its firings are not to be replayed.
    pub(super) fn mark_letters_over(&mut self, key: &GroupKey) {
        for letter in &mut self.letters {
            if letter.notification.group == *key && !letter.over {
                Arc::make_mut(letter).over = true;
                self.unsaved.touch_letter(letter.id.clone());
            }
        }
    }
}
