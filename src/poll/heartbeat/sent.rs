//! The heartbeats that were sent, and when. Pure: time is an argument.

use std::collections::VecDeque;

use crate::model::{RunId, Timestamp};

/// Records that are kept: a quarter of an hour at one heartbeat a second. Beyond that, older
/// records become sparser.
const KEPT: usize = 1024;

/// The heartbeats that were sent to one master.
#[derive(Clone, Debug, Default)]
pub(super) struct SentHeartbeats {
    /// The process that they were sent to.
    run_id: Option<RunId>,
    /// The last number that was sent.
    last: u64,
    /// Numbers and when each was sent, in order.
    sent: VecDeque<(u64, Timestamp)>,
}

/// What a number that arrived at a replica proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It, or one before it, was sent to this process at this instant.
    Known { sent: Timestamp, master: RunId },
    /// It was sent to an earlier process, or so long ago that its instant is no longer known.
    Forgotten,
    /// It was never sent.
    Invented,
}

impl SentHeartbeats {
    /// The process with this run ID gets the heartbeats from now on. Those that another process got
    /// prove nothing about it.
    pub(super) fn begin(&mut self, run_id: RunId) {
        if self.run_id.as_ref() != Some(&run_id) {
            self.sent.clear();
            self.run_id = Some(run_id);
        }
    }

    /// The next number, which is sent after `now`.
    pub(super) fn send(&mut self, now: Timestamp) -> u64 {
        self.last += 1;
        self.sent.push_back((self.last, now));
        if self.sent.len() > KEPT {
            self.thin_out();
        }
        self.last
    }

    /// Drops every other record of the older half. A number without a record counts as the one
    /// before it: that was sent earlier, so what follows from it is weaker and still true.
    fn thin_out(&mut self) {
        let mut index = 0;
        self.sent.retain(|_| {
            index += 1;
            index > KEPT / 2 || index % 2 == 1
        });
    }

    /// What the arrival of `number` proves.
    pub(super) fn arrival(&self, number: u64) -> Arrival {
        if number == 0 || number > self.last {
            return Arrival::Invented;
        }
        match (self.sent_at(number), &self.run_id) {
            (Some(sent), Some(run_id)) => Arrival::Known {
                sent,
                master: run_id.clone(),
            },
            _ => Arrival::Forgotten,
        }
    }

    /// When `number`, or the last recorded one before it, was sent.
    fn sent_at(&self, number: u64) -> Option<Timestamp> {
        let up_to_number = self.sent.partition_point(|(sent, _)| *sent <= number);
        let (_, sent) = self.sent.get(up_to_number.checked_sub(1)?)?;
        Some(*sent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run_id(name: &str) -> RunId {
        RunId::parse(name).unwrap()
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_nanos(i64::try_from(second).unwrap() * 1_000_000_000)
    }

    fn sent(count: u64) -> SentHeartbeats {
        let mut heartbeats = SentHeartbeats::default();
        heartbeats.begin(run_id("m"));
        for second in 1..=count {
            assert_eq!(heartbeats.send(at(second)), second);
        }
        heartbeats
    }

    #[test]
    fn an_arrival_proves_when_its_number_was_sent() {
        let heartbeats = sent(3);
        assert_eq!(
            heartbeats.arrival(2),
            Arrival::Known {
                sent: at(2),
                master: run_id("m")
            }
        );
        assert_eq!(
            (heartbeats.arrival(0), heartbeats.arrival(4)),
            (Arrival::Invented, Arrival::Invented)
        );
    }

    #[test]
    fn heartbeats_to_an_earlier_process_are_forgotten() {
        let mut heartbeats = sent(3);
        heartbeats.begin(run_id("m"));
        assert!(matches!(heartbeats.arrival(3), Arrival::Known { .. }));
        heartbeats.begin(run_id("n"));
        assert_eq!(heartbeats.arrival(3), Arrival::Forgotten);
        assert_eq!(heartbeats.send(at(9)), 4, "no number is used twice");
        assert_eq!(
            heartbeats.arrival(4),
            Arrival::Known {
                sent: at(9),
                master: run_id("n")
            }
        );
        assert_eq!(heartbeats.arrival(3), Arrival::Forgotten);
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_a_number_never_counts_as_a_later_one(count in 1..6000_u64, asked in 1..6000_u64) {
            let heartbeats = sent(count);
            prop_assert!(heartbeats.sent.len() <= KEPT);
            let number = asked.min(count);
            let Arrival::Known { sent, .. } = heartbeats.arrival(number) else { panic!("the first is never forgotten") };
            prop_assert!(sent <= at(number));
            if count - number < 512 {
                prop_assert_eq!(sent, at(number));
            }
        }
    }
}
