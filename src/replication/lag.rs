//! Lag as an interval: what is certain, and the best estimate inside it.

use crate::model::{Bytes, Span};

/// Seconds of lag: the age of the oldest write that the replica lacks, and the interval that
/// certainly holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LagInterval {
    /// It is at least this.
    pub lower: Option<Span>,
    /// The best estimate; `None` when only bounds are known.
    pub estimate: Option<Span>,
    /// It is at most this; `None` when nothing bounds it.
    pub upper: Option<Span>,
}

/// Bytes of lag: what the master has written and the replica has not applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LagBytes {
    /// It was at least this when the replica was last asked.
    pub lower: Option<Bytes>,
    /// The best estimate; `None` when only bounds are known.
    pub estimate: Option<Bytes>,
    /// It was at most this when the replica was last asked.
    pub upper: Option<Bytes>,
}

impl LagInterval {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        lower: None,
        estimate: None,
        upper: None,
    };

    /// The interval with `0 <= lower <= estimate <= upper`. The bounds are certain, so it is the
    /// estimate that is moved between them.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        for value in [&mut self.lower, &mut self.estimate, &mut self.upper] {
            *value = value.map(Span::or_zero);
        }
        if let Some(upper) = self.upper {
            self.lower = self.lower.map(|lower| lower.min(upper));
            self.estimate = self.estimate.map(|estimate| estimate.min(upper));
        }
        if let Some(lower) = self.lower {
            self.estimate = self.estimate.map(|estimate| estimate.max(lower));
        }
        self
    }
}

impl LagBytes {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        lower: None,
        estimate: None,
        upper: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_ordered_interval_is_in_order(l in proptest::option::of(-9_i64..9), e in proptest::option::of(-9_i64..9), u in proptest::option::of(-9_i64..9)) {
            let span = |s: Option<i64>| s.map(Span::from_nanos);
            let i = LagInterval { lower: span(l), estimate: span(e), upper: span(u) }.ordered();
            let known: Vec<_> = [i.lower, i.estimate, i.upper].into_iter().flatten().collect();
            prop_assert!(known.windows(2).all(|w| w[0] <= w[1]));
            prop_assert!(known.iter().all(|s| *s >= Span::ZERO));
            prop_assert_eq!((i.lower.is_some(), i.estimate.is_some(), i.upper.is_some()), (l.is_some(), e.is_some(), u.is_some()));
        }
    }
}
