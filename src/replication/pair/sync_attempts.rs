//! How often a full sync of the replica has begun since it last streamed: syncs that are cut off
//! again and again never end by themselves.

use crate::model::{Bytes, Span, Timestamp};

/// A replica that has streamed for this long has left the loop: an output buffer that runs over
/// ends the link sooner after a full sync.
const OUT_AFTER: Span = Span::from_secs(60);

/// The full syncs of one replica since it last streamed. They are counted by what the replica
/// shows, so that a restart of its master does not end the count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncAttempts {
    /// How many have begun.
    pub count: u32,
    /// When the first of them was seen.
    pub since: Option<Timestamp>,
    is_syncing: bool,
    /// The most that was read of the present one.
    read: Option<Bytes>,
    /// Since when the link is up.
    up_since: Option<Timestamp>,
}

impl SyncAttempts {
    /// Records that the link is up.
    pub(super) fn streams(&mut self, now: Timestamp) {
        let since = *self.up_since.get_or_insert(now);
        self.is_syncing = false;
        self.read = None;
        if now - since >= OUT_AFTER {
            self.count = 0;
            self.since = None;
        }
    }

    /// Records that the link is down, and what was read of a full sync if one is under way.
    pub(super) fn is_down(&mut self, is_syncing: bool, read: Option<Bytes>, now: Timestamp) {
        self.up_since = None;
        let has_begun_again = read.is_some() && read < self.read;
        if is_syncing && (!self.is_syncing || has_begun_again) {
            self.count = self.count.saturating_add(1);
            self.since.get_or_insert(now);
            self.read = None;
        }
        self.is_syncing = is_syncing;
        self.read = read.max(self.read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the polls of a replica show, one each ten seconds: its link is up, it is syncing and
    /// has read so much, or neither.
    enum Poll {
        Up,
        Syncing(Option<u64>),
        Down,
    }

    fn count(polls: &[Poll]) -> u32 {
        let mut attempts = SyncAttempts::default();
        let mut now = Timestamp::from_nanos(0);
        for poll in polls {
            now += Span::from_secs(10);
            match poll {
                Poll::Up => attempts.streams(now),
                Poll::Syncing(read) => attempts.is_down(true, read.map(Bytes::new), now),
                Poll::Down => attempts.is_down(false, None, now),
            }
        }
        attempts.count
    }

    #[test]
    fn syncs_that_are_cut_off_are_counted_until_the_replica_streams_for_a_minute() {
        use Poll::{Down, Syncing, Up};
        assert_eq!(
            count(&[Up, Down, Syncing(None), Syncing(Some(5)), Syncing(Some(9))]),
            1
        );
        let cut = [
            Syncing(Some(9)),
            Down,
            Syncing(None),
            Syncing(Some(2)),
            Syncing(Some(1)),
        ];
        assert_eq!(count(&cut), 3, "the last one began again between two polls");
        let brief = [Syncing(Some(9)), Up, Up, Syncing(None)];
        assert_eq!(count(&brief), 2, "it streamed for a moment only");
        let ended = [Syncing(Some(9)), Up, Up, Up, Up, Up, Up, Up, Syncing(None)];
        assert_eq!(count(&ended), 1);
    }
}
