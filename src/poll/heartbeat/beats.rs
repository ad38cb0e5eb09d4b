//! The numbers that were sent, and when. Pure: time is an argument.

use std::collections::VecDeque;

use crate::model::{RunId, Timestamp};

/// Records that are kept: a quarter of an hour at one heartbeat a second. Beyond it, older ones
/// become sparser.
const KEPT: usize = 1024;

/// Heartbeats of one master.
#[derive(Clone, Debug, Default)]
pub(super) struct Beats {
    /// The process that they were sent to.
    life: Option<RunId>,
    /// The last number that was sent.
    last: u64,
    /// Numbers and when each was sent, in order.
    sent: VecDeque<(u64, Timestamp)>,
}

/// What a number that came out of a replica tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It, or one before it, was sent then to this process.
    Known { sent: Timestamp, master: RunId },
    /// It was sent to an earlier process, or so long ago that nobody knows when.
    Forgotten,
    /// It was never sent.
    Invented,
}

impl Beats {
    /// The process `life` takes the heartbeats from now on. What was sent to another one tells
    /// nothing of this one.
    pub(super) fn begin(&mut self, life: RunId) {
        if self.life.as_ref() != Some(&life) {
            self.sent.clear();
            self.life = Some(life);
        }
    }

    /// The next number, which is sent after `now`.
    pub(super) fn send(&mut self, now: Timestamp) -> u64 {
        self.last += 1;
        self.sent.push_back((self.last, now));
        if self.sent.len() > KEPT {
            self.thin();
        }
        self.last
    }

    /// Forgets every other record of the older half. A number that is forgotten counts as the one
    /// before it: that is older, so what follows from it is weaker and still true.
    fn thin(&mut self) {
        let mut index = 0;
        self.sent.retain(|_| {
            index += 1;
            index > KEPT / 2 || index % 2 == 1
        });
    }

    /// What `number` tells.
    pub(super) fn arrived(&self, number: u64) -> Arrival {
        if number == 0 || number > self.last {
            return Arrival::Invented;
        }
        let upto = self.sent.partition_point(|(sent, _)| *sent <= number);
        match (
            upto.checked_sub(1).and_then(|index| self.sent.get(index)),
            &self.life,
        ) {
            (Some((_, sent)), Some(life)) => Arrival::Known {
                sent: *sent,
                master: life.clone(),
            },
            _ => Arrival::Forgotten,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(name: &str) -> RunId {
        RunId::parse(name).unwrap()
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_nanos(i64::try_from(second).unwrap() * 1_000_000_000)
    }

    fn sent(count: u64) -> Beats {
        let mut beats = Beats::default();
        beats.begin(life("m"));
        for second in 1..=count {
            assert_eq!(beats.send(at(second)), second);
        }
        beats
    }

    #[test]
    fn a_number_tells_when_it_was_sent() {
        let beats = sent(3);
        assert_eq!(
            beats.arrived(2),
            Arrival::Known {
                sent: at(2),
                master: life("m")
            }
        );
        assert_eq!(
            (beats.arrived(0), beats.arrived(4)),
            (Arrival::Invented, Arrival::Invented)
        );
    }

    #[test]
    fn another_process_ends_what_was_sent_to_the_one_before_and_the_same_does_not() {
        let mut beats = sent(3);
        beats.begin(life("m"));
        assert!(matches!(beats.arrived(3), Arrival::Known { .. }));
        beats.begin(life("n"));
        assert_eq!(beats.arrived(3), Arrival::Forgotten);
        assert_eq!(beats.send(at(9)), 4, "no number is used twice");
        assert_eq!(
            beats.arrived(4),
            Arrival::Known {
                sent: at(9),
                master: life("n")
            }
        );
        assert_eq!(beats.arrived(3), Arrival::Forgotten);
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_a_number_never_counts_as_a_later_one(count in 1..6000_u64, asked in 1..6000_u64) {
            let beats = sent(count);
            prop_assert!(beats.sent.len() <= KEPT);
            let number = asked.min(count);
            let Arrival::Known { sent, .. } = beats.arrived(number) else { panic!("the first is never forgotten") };
            prop_assert!(sent <= at(number));
            if count - number < 512 {
                prop_assert_eq!(sent, at(number));
            }
        }
    }
}
