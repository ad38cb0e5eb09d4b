//! The true lag as an interval, from numbered writes and from what the replica showed of them.
//! Pure.
//!
//! Every write of a take is made by one writer and belongs to a numbered batch; the number is
//! written last. So a replica that shows the number `n` has all of batch `n` and not all of batch
//! `n + 1`, and the oldest write that it lacks was made between the instant at which batch `n + 1`
//! was sent and the instant at which it was confirmed. What the replica has only grows, so between
//! two readings it is bounded by both. No clock but the laboratory's own is used.

use redis_cross_dc_exporter::model::{Span, Timestamp};

/// The lowest and the highest that a value can have been.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Between {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Between {
    pub(crate) fn width(self) -> f64 {
        self.high - self.low
    }

    /// How far `value` is from the nearest possible one.
    pub(crate) fn distance(self, value: f64) -> f64 {
        (self.low - value).max(value - self.high).max(0.0)
    }
}

/// A batch of writes.
#[derive(Clone, Copy, Debug)]
struct Batch {
    sent: Timestamp,
    /// `None` when the answer never came: then it may have been executed at any time since, or
    /// never.
    confirmed: Option<Timestamp>,
    /// Bytes of the stream up to and with this batch.
    bytes_to_here: u64,
}

/// At some instant from `asked` to `answered`, the replica had batch `number` and not all of the
/// next.
#[derive(Clone, Copy, Debug)]
struct Reading {
    asked: Timestamp,
    answered: Timestamp,
    number: usize,
}

/// A time in which the replica certainly applied nothing: it was stopped, blocked or dead.
#[derive(Clone, Copy, Debug)]
struct Freeze {
    from: Timestamp,
    to: Timestamp,
}

/// What was written and what was read, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Batch `n` is at `n - 1`; number 0 is a replica that has nothing.
    batches: Vec<Batch>,
    readings: Vec<Reading>,
    freezes: Vec<Freeze>,
}

impl Record {
    /// A batch of `bytes` is about to be sent. Returns its number.
    pub(crate) fn sending(&mut self, at: Timestamp, bytes: u64) -> usize {
        let before = self.batches.last().map_or(0, |batch| batch.bytes_to_here);
        self.batches.push(Batch {
            sent: at,
            confirmed: None,
            bytes_to_here: before + bytes,
        });
        self.batches.len()
    }

    /// The master has confirmed the batch `number`.
    pub(crate) fn confirmed(&mut self, number: usize, at: Timestamp) {
        self.batches[number - 1].confirmed = Some(at);
    }

    /// The replica has shown `number`. `None` is a replica that shows no data set at all, because
    /// it came back empty or loads another one: it has nothing newer than before.
    ///
    /// Panics when the replica has less than before: then these numbers prove nothing about its
    /// lag.
    pub(crate) fn read(&mut self, asked: Timestamp, answered: Timestamp, number: Option<usize>) {
        let before = self.newest_reading();
        let number = number.unwrap_or(before);
        assert!(
            number >= before,
            "the replica stepped back from batch {before} to {number}"
        );
        self.readings.push(Reading {
            asked,
            answered,
            number,
        });
    }

    /// The replica certainly applied nothing from `from` to `to`.
    pub(crate) fn froze(&mut self, from: Timestamp, to: Timestamp) {
        self.freezes.push(Freeze { from, to });
    }

    /// The newest batch that the replica has shown.
    pub(crate) fn newest_reading(&self) -> usize {
        self.readings.last().map_or(0, |reading| reading.number)
    }

    /// The newest batch that was sent.
    pub(crate) fn newest_batch(&self) -> usize {
        self.batches.len()
    }

    /// What the lag in seconds can have been at some instant from `from` to `to`: the age of the
    /// oldest write that the replica lacked. `None` where nothing was read before or after.
    pub(crate) fn lag(&self, from: Timestamp, to: Timestamp) -> Option<Between> {
        let (least, most) = self.had(from, to)?;
        let certain = self.batches[most.min(self.batches.len())..]
            .iter()
            .find_map(|batch| batch.confirmed);
        let possible = self.batches.get(least).map(|batch| batch.sent);
        let age = |now: Timestamp, since: Option<Timestamp>| {
            since.map_or(0.0, |since| seconds(since, now).max(0.0))
        };
        Some(Between {
            low: age(from, certain),
            high: age(to, possible),
        })
    }

    /// What the lag in bytes can have been at some instant from `from` to `to`. `None` also where a
    /// batch is in doubt.
    pub(crate) fn bytes(&self, from: Timestamp, to: Timestamp) -> Option<Between> {
        let (least, most) = self.had(from, to)?;
        let confirmed = self
            .batches
            .partition_point(|batch| batch.confirmed.is_some_and(|at| at <= from));
        let sent = self.sent_by(to);
        let doubtful = self.batches[..confirmed.max(least)]
            .iter()
            .any(|batch| batch.confirmed.is_none());
        // Of the batch after the last complete one it may have a part.
        let part = (most + 1).min(sent);
        let low = self.bytes_to(confirmed).saturating_sub(self.bytes_to(part));
        let high = self.bytes_to(sent).saturating_sub(self.bytes_to(least));
        (!doubtful).then_some(Between {
            low: low as f64,
            high: high as f64,
        })
    }

    /// The least and the most batches that the replica can have had at some instant from `from` to
    /// `to`.
    fn had(&self, from: Timestamp, to: Timestamp) -> Option<(usize, usize)> {
        let answered = self
            .readings
            .partition_point(|reading| reading.answered <= from);
        let before = self.readings[..answered].last()?;
        let not_asked = self.readings.partition_point(|reading| reading.asked < to);
        let after = self.readings.get(not_asked).map(|reading| reading.number);
        let frozen = self
            .freezes
            .iter()
            .find(|freeze| freeze.from <= from && to <= freeze.to);
        // What was not yet sent when it froze, it cannot have got since.
        let frozen = frozen.map(|freeze| self.sent_by(freeze.from));
        let most = [after, frozen].into_iter().flatten().min()?;
        Some((before.number, most.max(before.number)))
    }

    /// How many batches had been sent at `at`.
    fn sent_by(&self, at: Timestamp) -> usize {
        self.batches.partition_point(|batch| batch.sent <= at)
    }

    fn bytes_to(&self, number: usize) -> u64 {
        number
            .checked_sub(1)
            .map_or(0, |index| self.batches[index].bytes_to_here)
    }
}

/// Seconds from `from` to `to`; negative when `to` is earlier.
pub(crate) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to - from).as_secs_f64()
}

/// The instants from `from` to `to`, `step` apart.
pub(crate) fn instants(
    from: Timestamp,
    to: Timestamp,
    step: Span,
) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(Some(from), move |at| Some(*at + step)).take_while(move |at| *at <= to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// Batches of 100 bytes each 20 ms, confirmed 1 ms after they were sent, the first at 0.
    fn written(count: usize) -> Record {
        let mut record = Record::default();
        for index in 0..count {
            let sent = i64::try_from(index).unwrap() * 20;
            let number = record.sending(at(sent), 100);
            record.confirmed(number, at(sent + 1));
        }
        record
    }

    fn check(record: &Record, millis: i64, low: f64, high: f64) {
        let lag = record.lag(at(millis), at(millis)).unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(
            near(lag.low, low) && near(lag.high, high),
            "at {millis} ms: {lag:?} instead of [{low}, {high}]"
        );
    }

    #[test]
    fn the_lag_of_a_stopped_replica_grows_to_the_millisecond() {
        let mut record = written(500);
        for asked in [2000, 2025, 9000] {
            record.read(at(asked), at(asked + 2), Some(100));
        }
        // It lacks batch 101, sent at 2000 ms and confirmed at 2001 ms.
        check(&record, 7000, 4.999, 5.0);
        check(&record, 2010, 0.009, 0.010);
    }

    #[test]
    fn between_two_readings_both_bound_it() {
        let mut record = written(500);
        record.read(at(5000), at(5001), Some(100));
        record.read(at(5030), at(5031), Some(200));
        check(&record, 5010, 1.009, 3.01);
        assert_eq!(
            record.lag(at(5000), at(5000)),
            None,
            "nothing was answered before"
        );
        assert_eq!(
            record.lag(at(5040), at(5040)),
            None,
            "nothing was asked after"
        );
    }

    #[test]
    fn a_caught_up_replica_has_no_lag_however_long_nothing_is_written() {
        let mut record = written(10);
        record.read(at(300), at(301), Some(10));
        record.read(at(90_000), at(90_001), Some(10));
        check(&record, 60_000, 0.0, 0.0);
    }

    #[test]
    fn a_replica_that_shows_no_data_set_has_nothing_newer() {
        let mut record = written(500);
        record.read(at(2000), at(2001), Some(100));
        record.read(at(4000), at(4001), None);
        record.read(at(6000), at(6001), Some(300));
        check(&record, 3000, 0.999, 1.0);
        assert_eq!(record.newest_reading(), 300);
    }

    #[test]
    fn a_frozen_replica_has_no_later_writes() {
        let mut record = written(500);
        record.read(at(1990), at(1991), Some(99));
        // Asked while it is stopped, answered when it goes on, and then it has caught up at once.
        record.read(at(2016), at(9001), Some(450));
        record.read(at(9010), at(9011), Some(451));
        check(&record, 8000, 0.0, 8.0 - 1.980);
        record.froze(at(2010), at(8999));
        // It lacks batch 100 (sent at 1980 ms) or, as 101 was sent before 2010 ms, batch 102
        // (confirmed at 2021 ms).
        check(&record, 8000, 8.0 - 2.021, 8.0 - 1.980);
        check(&record, 8999, 8.999 - 2.021, 8.999 - 1.980);
    }

    #[test]
    fn a_write_that_may_not_have_happened_bounds_from_above_only() {
        let mut record = written(100);
        record.sending(at(2000), 100);
        let after = record.sending(at(3000), 100);
        record.confirmed(after, at(3001));
        record.read(at(1999), at(1999), Some(100));
        record.read(at(5000), at(5001), Some(100));
        check(&record, 4000, 0.999, 2.0);
        check(&record, 2500, 0.0, 0.5);
    }

    #[test]
    fn bytes_are_the_difference_of_written_and_received() {
        let mut record = written(500);
        record.read(at(5000), at(5001), Some(100));
        record.read(at(5030), at(5031), Some(102));
        // Batch 251 is sent at 5000 ms: at 5010 ms there are 251 batches, and 100 to 102 and a part
        // are on the replica.
        let bytes = record.bytes(at(5010), at(5010)).unwrap();
        assert_eq!(
            bytes,
            Between {
                low: 14_800.0,
                high: 15_100.0
            }
        );
    }

    #[test]
    #[should_panic(expected = "stepped back from batch 7 to 6")]
    fn a_replica_that_steps_back_is_no_evidence() {
        let mut record = written(10);
        record.read(at(1), at(2), Some(7));
        record.read(at(3), at(4), Some(6));
    }
}
