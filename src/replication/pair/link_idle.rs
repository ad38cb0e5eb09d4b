//! How long nothing has arrived from the master, by the replica's own count.

use super::WHOLE_SECONDS;
use crate::info::UpstreamInfo;
use crate::model::{ReplicationOffset, Timestamp};

/// What `master_last_io_seconds_ago` proves while the link is up.
///
/// The field is the difference of two clock readings in whole seconds, so `n` means that the last
/// byte arrived more than `n - 1` and less than `n + 1` seconds before the answer. It says nothing
/// about lag: on a healthy idle link nothing arrives until the master's next PING
/// (`repl-ping-replica-period`, 10 s by default).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkIdle {
    /// The last byte arrived before this instant.
    pub since: Timestamp,
    /// Bytes received until then.
    read: ReplicationOffset,
}

impl LinkIdle {
    /// What an answer that came at `received` proves, together with the answers before it as long
    /// as nothing arrived in between.
    pub(super) fn observe(
        before: Option<Self>,
        upstream: &UpstreamInfo,
        received: Timestamp,
    ) -> Option<Self> {
        let last_io = upstream.last_io.value()?;
        let applied = upstream.applied_offset.value();
        let read = upstream.read_offset.value().or(applied)?;
        let mut since = received.min(received - last_io + WHOLE_SECONDS);
        if let Some(before) = before
            && before.read == read
        {
            since = since.min(before.since);
        }
        Some(Self { since, read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Field;
    use crate::model::Span;
    use crate::replication::testing::{at, offset, upstream};

    /// What answers prove: when each came, what had been received, and `last_io`.
    fn since(answers: &[(i64, u64, i64)]) -> Option<Timestamp> {
        let mut idle = None;
        for (millis, read, last_io) in answers {
            let reported = UpstreamInfo {
                last_io: Field::Value(Span::from_secs(*last_io)),
                read_offset: Field::Value(offset(*read)),
                ..upstream(*read)
            };
            idle = LinkIdle::observe(idle, &reported, at(*millis));
        }
        idle.map(|idle| idle.since)
    }

    #[test]
    fn whole_seconds_prove_a_second_less() {
        assert_eq!(since(&[(50_000, 7, 42)]), Some(at(9_000)));
        assert_eq!(since(&[(50_000, 7, 0)]), Some(at(50_000)));
    }

    #[test]
    fn answers_without_a_byte_in_between_prove_more_together() {
        assert_eq!(since(&[(50_000, 7, 42), (51_900, 7, 43)]), Some(at(9_000)));
        assert_eq!(since(&[(50_000, 7, 42), (51_900, 8, 0)]), Some(at(51_900)));
    }

    #[test]
    fn an_answer_without_the_field_proves_nothing() {
        assert_eq!(LinkIdle::observe(None, &upstream(7), at(0)), None);
    }
}
