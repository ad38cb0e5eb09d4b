//! How much a history grew in windows of one length.

use super::{OffsetHistory, Plateau};
use crate::model::{Bytes, ReplicationOffset, Span, Timestamp};

/// An offset that a master had certainly reached at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replication) struct Reached {
    pub(in crate::replication) offset: ReplicationOffset,
    /// The time around the instant in which it is not known when what was written; zero where the
    /// master stood at the offset.
    pub(in crate::replication) gap: Span,
}

/// How much a history grew in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replication) struct Growth {
    /// At most this much.
    pub(in crate::replication) bytes: Bytes,
    /// When the window ended.
    pub(in crate::replication) at: Timestamp,
    /// The longer of the times, at its beginning and at its end, in which it is not known when what
    /// was written.
    pub(in crate::replication) gap: Span,
}

impl OffsetHistory {
    /// The offset that the master had certainly reached at `instant`; `None` before the first poll.
    pub(in crate::replication) fn reached_by(&self, instant: Timestamp) -> Option<Reached> {
        let later = self.plateaus.partition_point(|p| p.first_seen <= instant);
        let plateau = self.plateaus.get(later.checked_sub(1)?)?;
        Some(Reached {
            offset: plateau.offset,
            gap: gap_at(plateau, self.plateaus.get(later), instant),
        })
    }

    /// The offset that the master likely had at `instant`: between two polls as if it had written
    /// evenly. `None` before the first poll; after the newest, what that showed.
    pub(in crate::replication) fn likely_at(
        &self,
        instant: Timestamp,
    ) -> Option<ReplicationOffset> {
        let later = self.plateaus.partition_point(|p| p.first_seen <= instant);
        let before = self.plateaus.get(later.checked_sub(1)?)?;
        let Some(after) = self.plateaus.get(later) else {
            return Some(before.offset);
        };
        let passed = (instant - before.last_sent).or_zero();
        let gap = after.first_seen - before.last_sent;
        if passed == Span::ZERO || gap <= Span::ZERO {
            return Some(before.offset);
        }
        let part = passed.as_secs_f64() / gap.as_secs_f64();
        let written = after.offset.since(before.offset).as_f64() * part;
        // `as` saturates, and the part has no sign.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let written = written as u64;
        Some(ReplicationOffset::new(
            before.offset.get().saturating_add(written),
        ))
    }

    /// What the first poll showed.
    pub(in crate::replication) fn first_offset(&self) -> Option<ReplicationOffset> {
        Some(self.plateaus.first()?.offset)
    }

    /// When the first poll was answered.
    pub(in crate::replication) fn begins(&self) -> Option<Timestamp> {
        let first = self.plateaus.first()?;
        Some(first.first_seen)
    }

    /// The growth within every window of that length that ends where the offset changed.
    pub(in crate::replication) fn growth_within(
        &self,
        length: Span,
    ) -> impl Iterator<Item = Growth> {
        let mut windows = Windows {
            plateaus: &self.plateaus,
            end: 0,
            begin: 0,
            length,
        };
        std::iter::from_fn(move || windows.next_window())
    }
}

/// The time between two plateaus, at an instant after the beginning of the first of them; zero
/// where that one still lasts.
fn gap_at(plateau: &Plateau, next: Option<&Plateau>, instant: Timestamp) -> Span {
    match next {
        Some(next) if instant > plateau.last_sent => next.first_seen - plateau.last_sent,
        _ => Span::ZERO,
    }
}

/// Windows of one length over all plateaus, in order.
struct Windows<'a> {
    plateaus: &'a [Plateau],
    /// The plateau at which the last window ended.
    end: usize,
    /// The last plateau that had certainly begun when it began.
    begin: usize,
    length: Span,
}

impl Windows<'_> {
    fn next_window(&mut self) -> Option<Growth> {
        loop {
            let before = self.plateaus.get(self.end)?;
            self.end += 1;
            let newest = self.plateaus.get(self.end)?;
            let begins = before.last_sent - self.length;
            while let Some(next) = self.plateaus.get(self.begin + 1)
                && next.first_seen <= begins
            {
                self.begin += 1;
            }
            let oldest = self.plateaus.get(self.begin)?;
            if oldest.first_seen <= begins {
                let at_end = newest.first_seen - before.last_sent;
                let at_begin = gap_at(oldest, self.plateaus.get(self.begin + 1), begins);
                return Some(Growth {
                    bytes: newest.offset.since(oldest.offset),
                    at: newest.first_seen,
                    gap: at_end.max(at_begin),
                });
            }
        }
    }
}
