//! What the direct master reports of the replica: its ACKs, placed in the history, and the syncs
//! that it was given.

use super::facts::{AckArrival, AckEvidence, Acked};
use super::located::ANYWHERE;
use super::{PairTracker, WHOLE_SECONDS};
use crate::info::{Field, Observation};
use crate::model::{Bytes, ReplicationOffset, Span, Timestamp};
use crate::replication::ack::Ack;
use crate::replication::epochs::{Comparison, MasterHistory};
use crate::replication::history::Point;

impl PairTracker {
    /// Records what the direct master's answer to a poll shows of the replica and of its backlog.
    pub fn direct_master_answered(
        &mut self,
        ack: Option<Ack>,
        seen: &Observation,
        sent: Timestamp,
        received: Timestamp,
    ) {
        let master = &seen.replication;
        let syncs = [&seen.stats.sync_full, &seen.stats.sync_partial_ok].map(Field::value);
        let has_synced = self.has_counted_syncs(syncs);
        let synced = has_synced || is_full_sync(ack);
        self.count_flap(has_synced, ack, seen);
        let known = &self.facts.ack;
        let arrival = ack_arrival(ack, known, sent, received);
        self.facts.ack = AckEvidence {
            last: ack,
            seen: known.seen || ack.is_some(),
            arrival: arrival.or(known.arrival),
            lag: unacked_bytes(ack, master.master_offset.value()),
            synced_since: known.synced_since || synced,
            asked_at: Some(sent),
            located: known.located,
        };
        self.syncs = syncs;
        self.facts.backlog_size = master.backlog.size.value();
        self.facts.link.master_saves(&seen.persistence);
    }

    /// Whether the master has counted a sync since its previous answer.
    fn has_counted_syncs(&self, now: [Option<u64>; 2]) -> bool {
        let [full_before, partial_before] = self.syncs;
        let [full, partial] = now;
        has_changed(full_before, full) || has_changed(partial_before, partial)
    }

    /// Places the ACKed offset in the history. One that is ahead of the history waits for the
    /// master's next answer.
    pub(super) fn locate_ack(&mut self, history: &MasterHistory) {
        self.facts.ack.located = match self.acked_offset() {
            Some(offset) if history.newest() >= Some(offset) => {
                Some(self.locate_acked(offset, history))
            }
            _ => None,
        };
    }

    /// The newest offset that the replica has ACKed. It stays ACKed when the master's line for the
    /// replica is gone: the replica still has that data, unless it is synced with other data.
    fn acked_offset(&self) -> Option<ReplicationOffset> {
        let ack = &self.facts.ack;
        if ack.shows_full_sync() {
            return None;
        }
        let known = match &ack.located {
            Some(acked) if !ack.synced_since => Some(acked.offset),
            _ => None,
        };
        let last = ack.last.and_then(|last| last.offset);
        last.max(known)
    }

    /// The ACKed `offset` in the history. What was known of this offset before stays known, even
    /// where the history has forgotten it meanwhile.
    fn locate_acked(&self, offset: ReplicationOffset, history: &MasterHistory) -> Acked {
        let generation = history.generation();
        let mut acked = Acked {
            offset,
            bracket: history.bracket(Comparison::Current, offset),
            point: None,
            lag: None,
            generation,
        };
        if let Some(known) = self.facts.ack.located
            && known.offset == offset
            && known.generation == generation
        {
            acked.bracket = acked.bracket.intersect(known.bracket);
            acked.lag = known.lag;
            if acked.bracket == known.bracket {
                acked.point = known.point;
            }
        }
        if acked.point.is_none() {
            acked.point = history.point(Comparison::Current, offset, acked.bracket);
        }
        if acked.lag.is_none() {
            acked.lag = self.lag_of_ack(&acked);
        }
        acked
    }

    /// The lag that the replica had when the ACK arrived; zero where the master has not been seen
    /// beyond the position.
    fn lag_of_ack(&self, acked: &Acked) -> Option<Span> {
        let Some(point) = acked.point else {
            acked.bracket.lo?;
            return Some(Span::ZERO);
        };
        let arrival = self.facts.ack.arrival?;
        Some(self.lag_at_ack(point, arrival))
    }

    /// The lag of a replica whose ACK arrived in that interval, and whose position the master
    /// passed at `point`.
    fn lag_at_ack(&self, point: Point, arrival: AckArrival) -> Span {
        let width = arrival.before - arrival.after;
        let middle = arrival.after + width.half();
        let arrival_spread = width.as_secs_f64() * ANYWHERE;
        let spread = point.spread.as_secs_f64().hypot(arrival_spread);
        let computed = (middle - point.at).or_zero();
        let judgement = self.usual.judge(computed, Span::from_secs_f64(spread));
        judgement.estimate
    }
}

fn has_changed(before: Option<u64>, now: Option<u64>) -> bool {
    before.is_some() && before != now
}

fn is_full_sync(ack: Option<Ack>) -> bool {
    match ack {
        Some(ack) => ack.is_full_sync(),
        None => false,
    }
}

/// The bytes that the master has written and the replica has not ACKed.
fn unacked_bytes(ack: Option<Ack>, written: Option<ReplicationOffset>) -> Option<Bytes> {
    let acked = ack?.offset?;
    Some(written?.since(acked))
}

/// When the newest ACK arrived, by the master's answer to a poll that was sent and answered at
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
    let is_new = known.has_acked_less_than(offset);
    let mut by_offset = None;
    if let Some(asked_before) = known.asked_at
        && is_new
    {
        by_offset = Some(AckArrival {
            after: asked_before,
            before: received,
        });
    }
    let by_age = ack.age.map(|age| AckArrival {
        after: sent - age - WHOLE_SECONDS,
        before: received.min(received - age + WHOLE_SECONDS),
    });
    let newest = match (by_offset, by_age) {
        (Some(by_offset), Some(by_age)) => by_offset.intersect(by_age),
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

impl AckEvidence {
    /// The age of the last ACK in the master's last answer.
    pub fn age(&self) -> Option<Span> {
        self.last?.age
    }

    /// Whether the master's last answer showed a full sync of the replica.
    pub(super) fn shows_full_sync(&self) -> bool {
        is_full_sync(self.last)
    }

    /// Whether the master's last answer showed an ACKed offset below `offset`.
    fn has_acked_less_than(&self, offset: ReplicationOffset) -> bool {
        match self.last {
            Some(Ack {
                offset: Some(before),
                ..
            }) => before < offset,
            _ => false,
        }
    }
}

impl AckArrival {
    /// The interval that two proofs of the same arrival give together.
    fn intersect(self, other: Self) -> Self {
        Self {
            after: self.after.max(other.after),
            before: self.before.min(other.before),
        }
    }
}
