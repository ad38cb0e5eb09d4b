//! What a master buffers for one replica, and when that buffer runs over: the master then drops the
//! connection, and a full resync follows if the backlog does not reach back far enough.

use super::no_forecast::NoForecast;
use super::trend::Trend;
use crate::info::OutputBufferLimit;
use crate::model::{Bytes, Share, Span, Timestamp};

/// An answer that is older than this many polling intervals is not shown as the present.
const SHOWN_FOR: f64 = 5.0;

/// What a master's answers show of its output buffer for one replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BufferFacts {
    /// The size in the last answer, or why it is not known.
    size: Result<Bytes, NoForecast>,
    /// The limits in force, or why they are not known.
    limit: Result<OutputBufferLimit, NoForecast>,
    /// When the last answer was received.
    at: Option<Timestamp>,
    /// Since when the size has been above the soft limit.
    above_soft: Option<Timestamp>,
    trend: Trend,
}

impl Default for BufferFacts {
    fn default() -> Self {
        Self {
            size: Err(NoForecast::NotAsked),
            limit: Err(NoForecast::NotAsked),
            at: None,
            above_soft: None,
            trend: Trend::default(),
        }
    }
}

/// One answer of a master about its output buffer for one replica.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BufferSample {
    /// `omem` of the replica's connection.
    pub(super) size: Result<Bytes, NoForecast>,
    /// The limits in force.
    pub(super) limit: Result<OutputBufferLimit, NoForecast>,
    /// When the answer was received.
    pub(super) at: Timestamp,
}

/// An output buffer and its limits at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputBuffer {
    /// What the master buffers.
    pub size: Bytes,
    /// At this size it drops the connection; `None` where there is no such limit, or where that is
    /// not known.
    pub hard: Option<Bytes>,
    /// At this size it drops the connection after a while; as `hard`.
    pub soft: Option<Bytes>,
    /// The size as a part of the smaller limit.
    pub full: Result<Share, NoForecast>,
    /// How long until the master drops the connection at the present growth.
    pub disconnect_in: Result<Span, NoForecast>,
}

impl OutputBuffer {
    /// The smaller of its limits.
    pub fn limit(&self) -> Option<Bytes> {
        [self.hard, self.soft].into_iter().flatten().min()
    }
}

impl BufferFacts {
    /// Records an answer.
    pub(super) fn observe(&mut self, sample: BufferSample, interval: Span) {
        self.at = Some(sample.at);
        self.size = sample.size;
        self.limit = sample.limit;
        let Ok(size) = sample.size else {
            self.trend.clear();
            self.above_soft = None;
            return;
        };
        self.trend.observe(sample.at, size, interval);
        match sample.limit {
            Ok(limit) if limit.soft > Bytes::ZERO && size >= limit.soft => {
                self.above_soft.get_or_insert(sample.at);
            }
            _ => self.above_soft = None,
        }
    }

    /// The buffer at `now`; the master is asked each `interval`.
    pub(super) fn at(&self, interval: Span, now: Timestamp) -> Result<OutputBuffer, NoForecast> {
        let size = self.size?;
        let at = self.at.ok_or(NoForecast::NotAnswered)?;
        if now - at > interval.mul_f64(SHOWN_FOR) {
            return Err(NoForecast::NotAnswered);
        }
        let limit = self.limit.ok();
        let hard = limit.and_then(|limit| above_zero(limit.hard));
        let soft = limit.and_then(|limit| above_zero(limit.soft));
        let smaller = [hard, soft].into_iter().flatten().min();
        let no_limit = self.limit.err().unwrap_or(NoForecast::NoLimit);
        Ok(OutputBuffer {
            size,
            hard,
            soft,
            full: match smaller {
                Some(limit) => Ok(Share::from_parts(size, limit)),
                None => Err(no_limit),
            },
            disconnect_in: match self.limit {
                Ok(limit) if smaller.is_some() => self.disconnect_in(size, limit, at, now),
                _ => Err(no_limit),
            },
        })
    }

    /// How long until a limit is reached, by the growth of the last answers.
    fn disconnect_in(
        &self,
        size: Bytes,
        limit: OutputBufferLimit,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Span, NoForecast> {
        let growth = self.trend.per_second().filter(|growth| *growth > 0.0);
        let fills = |limit: Bytes| {
            let missing = limit.get().saturating_sub(size.get());
            Some(Span::from_secs_f64(missing as f64 / growth?))
        };
        let mut ends = Vec::with_capacity(2);
        if limit.hard > Bytes::ZERO {
            ends.extend(fills(limit.hard).map(|lasts| at + lasts));
        }
        if let Some(since) = self.above_soft {
            ends.push(since + limit.soft_for);
        } else if limit.soft > Bytes::ZERO {
            ends.extend(fills(limit.soft).map(|lasts| at + lasts + limit.soft_for));
        }
        let first = ends.into_iter().min().ok_or(NoForecast::NotGrowing)?;
        Ok((first - now).or_zero())
    }
}

fn above_zero(limit: Bytes) -> Option<Bytes> {
    (limit > Bytes::ZERO).then_some(limit)
}

/// The limits that a master applies: since 7.0 a hard limit below the size of the backlog counts as
/// that size, because both share their memory (`checkClientOutputBufferLimits`, networking.c).
pub(super) fn effective_limit(
    limit: OutputBufferLimit,
    backlog: Option<Bytes>,
    shares_memory: bool,
) -> OutputBufferLimit {
    let is_limited = limit.hard > Bytes::ZERO;
    let floor = match backlog {
        Some(backlog) if shares_memory && is_limited => backlog,
        _ => Bytes::ZERO,
    };
    OutputBufferLimit {
        hard: limit.hard.max(floor),
        ..limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Span = Span::from_secs(1);

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// A buffer with these sizes, one a second, as it is at the last of them.
    fn buffer(sizes: &[u64], limit: (u64, u64, i64)) -> OutputBuffer {
        let (hard, soft, soft_for) = limit;
        let limit = OutputBufferLimit {
            hard: Bytes::new(hard),
            soft: Bytes::new(soft),
            soft_for: Span::from_secs(soft_for),
        };
        let mut facts = BufferFacts::default();
        let mut now = at(0);
        for size in sizes {
            now += SECOND;
            let sample = BufferSample {
                size: Ok(Bytes::new(*size)),
                limit: Ok(limit),
                at: now,
            };
            facts.observe(sample, SECOND);
        }
        facts.at(SECOND, now).unwrap()
    }

    fn seconds(buffer: OutputBuffer) -> Result<f64, NoForecast> {
        buffer.disconnect_in.map(Span::as_secs_f64)
    }

    #[test]
    fn the_limit_that_is_reached_first_decides() {
        let hard = buffer(&[0, 10, 20, 30], (100, 0, 0));
        assert_eq!(seconds(hard), Ok(7.0));
        assert_eq!(
            hard.full,
            Ok(Share::from_parts(Bytes::new(30), Bytes::new(100)))
        );
        let soft = buffer(&[0, 10, 20, 30], (1000, 50, 60));
        assert_eq!(
            seconds(soft),
            Ok(62.0),
            "2 s to the limit, and 60 s above it"
        );
        assert_eq!(
            soft.full,
            Ok(Share::from_parts(Bytes::new(30), Bytes::new(50)))
        );
        let above = buffer(&[60, 60, 60, 60], (1000, 50, 60));
        assert_eq!(
            seconds(above),
            Ok(57.0),
            "above the soft limit it need not grow"
        );
    }

    #[test]
    fn without_growth_or_limit_there_is_no_end_and_the_reason_is_known() {
        assert_eq!(
            seconds(buffer(&[30, 20, 10, 0], (100, 50, 60))),
            Err(NoForecast::NotGrowing)
        );
        assert_eq!(
            seconds(buffer(&[0, 9, 20, 30], (0, 0, 0))),
            Err(NoForecast::NoLimit)
        );
        let unknown = BufferFacts::default();
        assert_eq!(unknown.at(SECOND, at(1)).err(), Some(NoForecast::NotAsked));
        let mut old = BufferFacts::default();
        let sample = BufferSample {
            size: Ok(Bytes::new(1)),
            limit: Err(NoForecast::Denied),
            at: at(1),
        };
        old.observe(sample, SECOND);
        assert_eq!(
            old.at(SECOND, at(2)).map(|b| b.full),
            Ok(Err(NoForecast::Denied))
        );
        assert_eq!(old.at(SECOND, at(60)).err(), Some(NoForecast::NotAnswered));
    }

    #[test]
    fn a_hard_limit_below_the_backlog_counts_as_the_backlog_since_7_0() {
        let limit = |hard| OutputBufferLimit {
            hard: Bytes::new(hard),
            soft: Bytes::ZERO,
            soft_for: Span::ZERO,
        };
        let backlog = Some(Bytes::new(100));
        assert_eq!(effective_limit(limit(10), backlog, true), limit(100));
        assert_eq!(effective_limit(limit(10), backlog, false), limit(10));
        assert_eq!(
            effective_limit(limit(0), backlog, true),
            limit(0),
            "no limit stays none"
        );
        assert_eq!(effective_limit(limit(200), backlog, true), limit(200));
    }
}
