//! Numbers of a report: seconds with a fraction, whole bytes, instants as Unix seconds.

use crate::model::{Bytes, ClockAnchor, Span, Timestamp};

pub(super) fn seconds(span: Option<Span>) -> Option<f64> {
    span.map(Span::as_secs_f64)
}

pub(super) fn bytes(count: Option<Bytes>) -> Option<u64> {
    count.map(Bytes::get)
}

/// Turns the instants of a snapshot into Unix seconds.
#[derive(Clone, Copy)]
pub(super) struct UnixClock(ClockAnchor);

impl UnixClock {
    pub(super) const fn new(anchor: ClockAnchor) -> Self {
        Self(anchor)
    }

    pub(super) fn unix(self, at: Timestamp) -> f64 {
        self.0.wall(at).as_secs_f64()
    }

    pub(super) fn unix_if_known(self, at: Option<Timestamp>) -> Option<f64> {
        Some(self.unix(at?))
    }
}
