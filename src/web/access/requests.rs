//! The limit on requests: a token bucket, as in Prometheus' toolkit.

use std::sync::{Mutex, PoisonError};

use crate::config::RateLimit;
use crate::model::{Span, Timestamp};

/// Counts requests against a [`RateLimit`].
#[derive(Debug)]
pub(super) struct RequestLimit {
    limit: RateLimit,
    /// When the bucket is full again.
    full_at: Mutex<Timestamp>,
}

impl RequestLimit {
    /// A full bucket.
    pub(super) const fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            full_at: Mutex::new(Timestamp::from_nanos(i64::MIN)),
        }
    }

    /// Whether no request is ever answered.
    pub(super) const fn admits_none(&self) -> bool {
        self.limit.burst == 0
    }

    /// Whether a request at `now` is answered; it then counts.
    pub(super) fn admits(&self, now: Timestamp) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*full_at).max(now) + self.limit.interval;
        if after - now > self.capacity() {
            return false;
        }
        *full_at = after;
        true
    }

    /// Until the next request is answered, when this is asked at `now`.
    pub(super) fn retry_after(&self, now: Timestamp) -> Span {
        let full_at = *self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let after = full_at.max(now) + self.limit.interval;
        (after - now - self.capacity()).or_zero()
    }

    /// How long an empty bucket takes to fill.
    fn capacity(&self) -> Span {
        let RateLimit { interval, burst } = self.limit;
        Span::from_nanos(interval.as_nanos().saturating_mul(i64::from(burst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(0) + Span::from_millis(millis)
    }

    fn limit(interval: i64, burst: u32) -> RequestLimit {
        RequestLimit::new(RateLimit {
            interval: Span::from_millis(interval),
            burst,
        })
    }

    #[test]
    fn a_burst_is_answered_and_then_one_request_an_interval() {
        let limit = limit(1000, 3);
        let cases = [
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (999, false),
            (1000, true),
            (1000, false),
            (1500, false),
            (2000, true),
            // Full again, and no fuller.
            (60_000, true),
            (60_000, true),
            (60_000, true),
            (60_000, false),
        ];
        for (index, (millis, admitted)) in cases.into_iter().enumerate() {
            assert_eq!(limit.admits(at(millis)), admitted, "{index}: {millis}");
        }
        assert_eq!(limit.retry_after(at(60_200)), Span::from_millis(800));
    }

    #[test]
    fn a_bucket_that_holds_nothing_lets_nobody_through() {
        let limit = limit(1000, 0);
        for millis in [0, 1000, 1_000_000] {
            assert!(!limit.admits(at(millis)));
        }
    }

    #[test]
    fn the_largest_limits_do_not_overflow() {
        let limit = RequestLimit::new(RateLimit {
            interval: Span::from_secs(86_400),
            burst: 1_000_000_000,
        });
        assert!((0..1000).all(|second| limit.admits(at(second * 1000))));
    }
}
