//! How a queue keeps dead letters and sends them again.

use std::sync::Arc;

use super::ReceiverQueue;
use super::dead::{DeadLetter, MAX_DEAD_LETTERS, ReplayError};
use super::group::QueueEntry;
use crate::alert::{AlertStatus, GroupKey};
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

    /// Queues a dead letter again, under its old id.
    ///
    /// # Errors
    /// There is none, or it would report what is no longer true.
    pub fn replay(&mut self, id: &DeliveryId, now: ClockAnchor) -> Result<(), ReplayError> {
        let mut letters = self.letters.iter();
        let found = letters.find(|letter| letter.id == *id);
        let letter = Arc::clone(found.ok_or(ReplayError::Unknown)?);
        let key = letter.notification.group.clone();
        let resolves = letter.notification.status == AlertStatus::Resolved;
        if letter.over && !resolves {
            return Err(ReplayError::Over);
        }
        // A late resolve would end what began since; a late firing would undo what was sent since.
        if self.groups.get(&key).is_some_and(|group| !group.is_idle()) {
            return Err(ReplayError::Superseded);
        }
        self.letters.retain(|letter| letter.id != *id);
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

    /// Keeps the notification of an attempt that was given up. The oldest dead letter gives way.
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

    /// The group has resolved: its firings are not to be replayed.
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
