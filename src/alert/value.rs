//! Values that rules watch, with their units and bounds.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Share, Span, TimeLeft};

/// A value that a rule watches, with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// A length of time.
    Seconds(Span),
    /// A size.
    Bytes(Bytes),
    /// How many times something happened.
    Count(u64),
    /// A length of time until something breaks: the less, the worse.
    TimeLeft(Span),
    /// A part of a limit.
    Share(Share),
}

/// A value with its certified interval, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The best estimate; `None` when only a bound is known.
    pub estimate: Option<Quantity>,
    /// The value is certainly at least this.
    pub lower: Option<Quantity>,
    /// The value is certainly at most this; `None` when nothing bounds it.
    pub upper: Option<Quantity>,
}

impl Measured {
    /// The estimate, or the lower bound where there is none.
    pub fn best(&self) -> Option<Quantity> {
        self.estimate.or(self.lower)
    }
}

impl Quantity {
    /// The bare number: seconds, bytes or a count.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Seconds(span) | Self::TimeLeft(span) => span.as_secs_f64(),
            Self::Bytes(bytes) => bytes.as_f64(),
            Self::Count(count) => count as f64,
            Self::Share(share) => share.as_f64(),
        }
    }

    /// A number that is greater the worse the value is, to compare values of one rule.
    pub fn badness(self) -> f64 {
        match self {
            Self::TimeLeft(span) => -span.as_secs_f64(),
            other => other.as_f64(),
        }
    }

    /// Whether the value is worse the smaller it is.
    pub const fn is_worse_when_small(self) -> bool {
        matches!(self, Self::TimeLeft(_))
    }
}

impl From<TimeLeft> for Quantity {
    fn from(left: TimeLeft) -> Self {
        Self::TimeLeft(left.0)
    }
}

impl From<Share> for Quantity {
    fn from(share: Share) -> Self {
        Self::Share(share)
    }
}

impl From<Span> for Quantity {
    fn from(span: Span) -> Self {
        Self::Seconds(span)
    }
}

impl From<Bytes> for Quantity {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<u64> for Quantity {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(span) | Self::TimeLeft(span) => span.fmt(f),
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}
