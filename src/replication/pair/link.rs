//! The replica's link to its master, as the replica reports it.

use super::super::state::SyncProgress;
use super::link_idle::LinkIdle;
use super::sync_attempts::SyncAttempts;
use super::sync_size::SyncSize;
use super::transfer_rate::TransferRate;
use crate::info::{LinkStatus, PersistenceInfo, UpstreamInfo};
use crate::model::{Bytes, Span, Timestamp};

/// A transfer that has made no progress for this long is reported as such.
const SYNC_STILL: Span = Span::from_secs(5);

/// The replica's link to its master, as the replica reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkFacts {
    /// `master_link_status`.
    pub status: Option<LinkStatus>,
    /// Since when it has not been up: by the replica's own clock where it reports that, otherwise
    /// since it was first seen down.
    pub down_since: Option<Timestamp>,
    /// A full sync is being transferred or prepared, or its data set is being loaded.
    pub syncing: bool,
    /// Bytes of the transfer that were read so far, and of how many where that is known.
    pub sync_read: Option<(Bytes, Option<Bytes>)>,
    /// Since when a full sync has been under way, by the polls.
    pub sync_since: Option<Timestamp>,
    /// When a full sync last made progress.
    pub sync_progress_at: Option<Timestamp>,
    /// How fast the full sync is transferred.
    rate: TransferRate,
    /// How large it will be, where it does not tell.
    size: SyncSize,
    /// The full syncs since the replica last streamed.
    pub attempts: SyncAttempts,
    /// `master_last_io_seconds_ago`.
    pub last_io: Option<Span>,
    /// Since when nothing has arrived, while the link is up.
    pub idle: Option<LinkIdle>,
    /// Received and not yet applied.
    pub unapplied: Option<Bytes>,
    /// When the last poll was sent that showed the link up.
    up_at: Option<Timestamp>,
    /// Whether the link was ever up, by the polls or by what the replica reports.
    was_up: bool,
}

/// What else is known when a replica reports its link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hints {
    /// Since when nothing has arrived, if the link was stalled.
    pub(super) stalled_since: Option<Timestamp>,
    /// The replica loads a data set.
    pub(super) loading: bool,
    /// The master prepares or sends a full sync.
    pub(super) being_sent: bool,
}

impl LinkFacts {
    /// Records what the replica reports in an answer to a poll.
    pub(super) fn observe(
        &mut self,
        upstream: &UpstreamInfo,
        hints: Hints,
        sent: Timestamp,
        received: Timestamp,
    ) {
        let stalled_since = if self.is_up() {
            hints.stalled_since
        } else {
            None
        };
        self.status = upstream.link.value();
        self.observe_outage(upstream, stalled_since, sent);
        self.observe_sync(upstream, hints, received);
        self.last_io = upstream.last_io.value();
        if self.is_up() {
            self.idle = LinkIdle::observe(self.idle, upstream, received);
            self.unapplied = unapplied_bytes(upstream);
        } else {
            self.idle = None;
            self.unapplied = None;
        }
    }

    fn is_up(&self) -> bool {
        self.status == Some(LinkStatus::Up)
    }

    /// Determines since when the link has been down. The replica counts in whole seconds and may
    /// report one too many, so a poll that showed the link up bounds it. A stalled link is given up
    /// after `repl-timeout`: then the outage began with the stall.
    fn observe_outage(
        &mut self,
        upstream: &UpstreamInfo,
        stalled_since: Option<Timestamp>,
        sent: Timestamp,
    ) {
        self.was_up |= self.is_up() || upstream.link_down_since.value().is_some();
        if self.status != Some(LinkStatus::Down) {
            self.down_since = None;
            if self.status.is_some() {
                self.up_at = Some(sent);
            }
            return;
        }
        let mut reported = None;
        if let Some(ago) = upstream.link_down_since.value() {
            reported = Some(sent - ago).max(self.up_at);
        }
        let known = [self.down_since, reported, stalled_since];
        let earliest = known.into_iter().flatten().min();
        self.down_since = Some(earliest.unwrap_or(sent));
    }

    fn observe_sync(&mut self, upstream: &UpstreamInfo, hints: Hints, received: Timestamp) {
        let is_transferring = upstream.sync_in_progress.value() == Some(true);
        self.syncing = !self.is_up() && (is_transferring || hints.loading || hints.being_sent);
        let read = if is_transferring {
            upstream.sync_read.value()
        } else {
            None
        };
        let has_progressed = hints.loading || read != self.bytes_read();
        if self.syncing && has_progressed {
            self.sync_progress_at = Some(received);
        }
        self.sync_read = read.map(|read| (read, upstream.sync_total.value()));
        self.rate.observe(read, received);
        self.size.observe(read);
        if self.is_up() {
            self.attempts.streams(received);
        } else {
            self.attempts.is_down(self.syncing, read, received);
        }
        if self.syncing {
            self.sync_since.get_or_insert(received);
        } else {
            self.sync_since = None;
        }
    }

    /// Records what the master tells of the data set that it writes.
    pub(super) fn master_saves(&mut self, master: &PersistenceInfo) {
        self.size.master_saves(master);
    }

    /// Bytes of the transfer that were read so far.
    pub(in crate::replication) fn bytes_read(&self) -> Option<Bytes> {
        let (read, _) = self.sync_read?;
        Some(read)
    }

    /// How many bytes the transfer has in all, where the replica reports it.
    fn bytes_in_all(&self) -> Option<Bytes> {
        let (_, total) = self.sync_read?;
        total
    }

    /// Since when the link has been down; `None` for a link that is not down or was never up: its
    /// first full sync is no outage.
    pub fn outage_since(&self) -> Option<Timestamp> {
        if self.was_up { self.down_since } else { None }
    }

    /// The progress of the full sync that is under way.
    pub fn sync_progress(&self, now: Timestamp) -> SyncProgress {
        SyncProgress {
            read: self.bytes_read(),
            total: self.bytes_in_all(),
            expected: self.size.expected(),
            rate: self.rate.rate(),
            still_for: self.sync_still_for(now),
            attempt: self.attempts.count,
        }
    }

    /// For how long a full sync that is being transferred has made no progress; `None` while it
    /// progresses, and where that is not reported: the master prepares it, or the replica loads it.
    fn sync_still_for(&self, now: Timestamp) -> Option<Span> {
        self.sync_read?;
        let still = now - self.sync_progress_at?;
        if still < SYNC_STILL {
            return None;
        }
        Some(still)
    }
}

/// Bytes that the replica has received and not yet applied.
fn unapplied_bytes(upstream: &UpstreamInfo) -> Option<Bytes> {
    let read = upstream.read_offset.value()?;
    let applied = upstream.applied_offset.value()?;
    Some(read.since(applied))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Field;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// What the replica reports: each poll's time, whether the link is up, and for how many seconds
    /// it is not.
    fn down_since(polls: &[(i64, bool, i64)]) -> Option<Timestamp> {
        let mut link = LinkFacts::default();
        for (millis, up, ago) in polls {
            let upstream = UpstreamInfo {
                link: Field::Value(if *up {
                    LinkStatus::Up
                } else {
                    LinkStatus::Down
                }),
                link_down_since: if *up {
                    Field::Missing
                } else {
                    Field::Value(Span::from_secs(*ago))
                },
                ..UpstreamInfo::default()
            };
            let hints = Hints {
                stalled_since: None,
                loading: false,
                being_sent: false,
            };
            link.observe(&upstream, hints, at(*millis), at(millis + 1));
        }
        link.down_since
    }

    #[test]
    fn the_replicas_whole_seconds_are_bounded_by_polls_that_showed_the_link_up() {
        assert_eq!(
            down_since(&[(10_000, false, 4)]),
            Some(at(6_000)),
            "nothing else is known"
        );
        assert_eq!(
            down_since(&[(9_000, true, 0), (9_250, false, 1)]),
            Some(at(9_000)),
            "it was up at 9 s"
        );
        assert_eq!(
            down_since(&[(5_000, true, 0), (9_000, false, 2), (9_900, false, 2)]),
            Some(at(7_000))
        );
        assert_eq!(down_since(&[(5_000, false, 2), (6_000, true, 0)]), None);
    }
}
