//! The transfer rate of a full sync, over its last seconds.

use crate::model::{Bytes, Span, Timestamp};

/// A rate is measured over at least this much, and at most twice as much.
const WINDOW: Span = Span::from_secs(5);

/// The shortest time over which a rate is computed.
const SHORTEST: Span = Span::from_millis(500);

/// The transfer of a full sync over the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TransferRate {
    /// When this window began, and what had been read by then.
    window: Option<(Timestamp, Bytes)>,
    /// The same of the window before.
    window_before: Option<(Timestamp, Bytes)>,
    /// What was read last.
    last: Option<Bytes>,
    /// Bytes a second.
    rate: Option<Bytes>,
}

impl TransferRate {
    /// Records how much was read by `at`; `None` outside of a transfer.
    pub(super) fn observe(&mut self, read: Option<Bytes>, at: Timestamp) {
        let Some(read) = read else {
            *self = Self::default();
            return;
        };
        if let Some(before) = self.last
            && read < before
        {
            *self = Self::default(); // another transfer
        }
        self.last = Some(read);
        let is_window_open = match self.window {
            Some((since, _)) => at - since < WINDOW,
            None => false,
        };
        if !is_window_open {
            self.window_before = self.window;
            self.window = Some((at, read));
        }
        self.rate = self.rate_at(read, at);
    }

    /// The rate over this window and the one before, where that is long enough.
    fn rate_at(&self, read: Bytes, at: Timestamp) -> Option<Bytes> {
        let (since, before) = self.window_before.or(self.window)?;
        let took = at - since;
        if took < SHORTEST {
            return None;
        }
        let bytes = read.get().saturating_sub(before.get());
        Some(per_second(bytes, took))
    }

    /// Bytes a second.
    pub(super) const fn rate(&self) -> Option<Bytes> {
        self.rate
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a quotient of two positives
fn per_second(bytes: u64, took: Span) -> Bytes {
    Bytes::new((bytes as f64 / took.as_secs_f64()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(reads: &[(i64, Option<u64>)]) -> Vec<Option<u64>> {
        let mut transfer = TransferRate::default();
        let rate = |(millis, read): &(i64, Option<u64>)| {
            let at = Timestamp::from_nanos(millis * 1_000_000);
            transfer.observe(read.map(Bytes::new), at);
            transfer.rate().map(Bytes::get)
        };
        reads.iter().map(rate).collect()
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let steady = rates(&[(0, Some(0)), (1_000, Some(600)), (2_000, Some(1_200))]);
        assert_eq!(steady, [None, Some(600), Some(600)]);
        let slower: Vec<_> = (0..=20)
            .map(|second| {
                let fast = second.min(5) * 1_000;
                let slow = (second - 5).max(0) * 100;
                (second * 1_000, u64::try_from(fast + slow).ok())
            })
            .collect();
        assert_eq!(rates(&slower).last(), Some(&Some(100)));
        let stuck: Vec<_> = (0..=15).map(|second| (second * 1_000, Some(7))).collect();
        assert_eq!(rates(&stuck).last(), Some(&Some(0)));
    }

    #[test]
    fn a_transfer_that_begins_again_has_its_own_rate() {
        let restarted = rates(&[
            (0, Some(0)),
            (1_000, Some(9_000)),
            (2_000, Some(10)),
            (3_000, Some(110)),
        ]);
        assert_eq!(restarted, [None, Some(9_000), None, Some(100)]);
        assert_eq!(
            rates(&[(0, Some(1)), (900, None), (1_000, Some(2))])[2],
            None
        );
    }
}
