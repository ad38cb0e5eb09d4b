//! What the direct master says of the replica: its ACKs, placed in the history, and the syncs that
//! it was given.

use super::facts::{AckArrival, AckEvidence, Acked};
use super::located::ANYWHERE;
use super::{PairTracker, WHOLE_SECONDS};
use crate::info::{Field, Observation};
use crate::model::{ReplicationOffset, Span, Timestamp};
use crate::replication::ack::Ack;
use crate::replication::epochs::{Comparison, MasterHistory};
use crate::replication::history::Point;

impl PairTracker {
    /// Takes in what the direct master's answer to a poll says of the replica and of its backlog.
    pub fn direct_master_answered(
        &mut self,
        ack: Option<Ack>,
        seen: &Observation,
        sent: Timestamp,
        received: Timestamp,
    ) {
        let master = &seen.replication;
        let lag = ack.and_then(|ack| Some(master.master_offset.value()?.since(ack.offset?)));
        let syncs = [&seen.stats.sync_full, &seen.stats.sync_partial_ok].map(Field::value);
        let synced = self.has_counted_syncs(syncs) || is_full_sync(ack);
        let known = &self.facts.ack;
        let arrival = ack_arrival(ack, known, sent, received);
        self.facts.ack = AckEvidence {
            last: ack,
            seen: known.seen || ack.is_some(),
            arrival: arrival.or(known.arrival),
            lag,
            synced_since: known.synced_since || synced,
            asked_at: Some(sent),
            located: known.located,
        };
        self.syncs = syncs;
        self.facts.backlog_size = master.backlog.size.value();
    }

    /// Whether the master has counted a sync since its answer before.
    fn has_counted_syncs(&self, now: [Option<u64>; 2]) -> bool {
        let mut counters = self.syncs.iter().zip(now);
        counters.any(|(before, now)| before.is_some() && *before != now)
    }

    /// Places the ACKed offset in the history. One that is ahead of the history waits for the
    /// master's next answer. An offset stays ACKed when the master's line for the replica is gone:
    /// the replica does not unlearn it, unless it is synced with other data.
    pub(super) fn locate_ack(&mut self, history: &MasterHistory) {
        let offset = self.acked_offset();
        let is_written = |offset: &ReplicationOffset| history.newest() >= Some(*offset);
        self.facts.ack.located = offset
            .filter(is_written)
            .map(|offset| self.locate_acked(offset, history));
    }

    fn acked_offset(&self) -> Option<ReplicationOffset> {
        let ack = &self.facts.ack;
        if is_full_sync(ack.last) {
            return None;
        }
        let known = match &ack.located {
            Some(acked) if !ack.synced_since => Some(acked.offset),
            _ => None,
        };
        let last = ack.last.and_then(|last| last.offset);
        last.max(known)
    }

    /// The ACKed `offset` in the history. What was known of this offset before stays known: the
    /// table forgets, the tracker does not.
    fn locate_acked(&self, offset: ReplicationOffset, history: &MasterHistory) -> Acked {
        let generation = history.generation();
        let ack = &self.facts.ack;
        let known = ack
            .located
            .filter(|known| known.offset == offset && known.generation == generation);
        let mut bracket = history.bracket(Comparison::Current, offset);
        if let Some(known) = known {
            bracket = bracket.intersect(known.bracket);
        }
        let unchanged = known.filter(|known| known.bracket == bracket);
        let point = unchanged
            .and_then(|known| known.point)
            .or_else(|| history.point(Comparison::Current, offset, bracket));
        let lag = match (known.and_then(|known| known.lag), point, ack.arrival) {
            (Some(lag), _, _) => Some(lag),
            (None, Some(point), Some(arrival)) => Some(self.lag_at_ack(point, arrival)),
            (None, Some(_), None) => None,
            (None, None, _) => bracket.lo.map(|_| Span::ZERO),
        };
        Acked {
            offset,
            bracket,
            point,
            lag,
            generation,
        }
    }

    /// The lag of a replica whose ACK arrived in that interval, and whose position the master passed
    /// at `point`.
    fn lag_at_ack(&self, point: Point, arrival: AckArrival) -> Span {
        let width = arrival.before - arrival.after;
        let middle = arrival.after + width.half();
        let spread = point
            .spread
            .as_secs_f64()
            .hypot(width.as_secs_f64() * ANYWHERE);
        let computed = (middle - point.at).or_zero();
        let judgement = self.usual.judge(computed, Span::from_secs_f64(spread));
        judgement.estimate
    }
}

fn is_full_sync(ack: Option<Ack>) -> bool {
    ack.is_some_and(|ack| ack.is_full_sync())
}

/// When the newest ACK arrived, by the master's answer to a poll that was sent and received at
/// these instants; `None` before the first ACK.
fn ack_arrival(
    ack: Option<Ack>,
    known: &AckEvidence,
    sent: Timestamp,
    received: Timestamp,
) -> Option<AckArrival> {
    let ack = ack?;
    // Before the first ACK the master shows the offset 0 and counts the age from the connection.
    let offset = ack.offset?;
    let offset_before = known.last.and_then(|last| last.offset);
    let is_new = offset_before.is_some_and(|before| before < offset);
    let by_offset = known.asked_at.filter(|_| is_new).map(|after| AckArrival {
        after,
        before: received,
    });
    let by_age = ack.age.map(|age| AckArrival {
        after: sent - age - WHOLE_SECONDS,
        before: received.min(received - age + WHOLE_SECONDS),
    });
    let newest = match (by_offset, by_age) {
        (Some(by_offset), Some(by_age)) => AckArrival {
            after: by_offset.after.max(by_age.after),
            before: by_offset.before.min(by_age.before),
        },
        (by_offset, by_age) => by_offset.or(by_age)?,
    };
    // The master reports the same ACK again and again: what is known of its arrival stays known.
    match known.arrival {
        Some(same) if !is_new && newest.after <= same.before => Some(AckArrival {
            after: same.after.max(newest.after).min(same.before),
            before: same.before,
        }),
        _ => Some(newest),
    }
}
