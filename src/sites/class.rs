//! What a look at a key showed, as metrics and the API count it.

use crate::active_active::Difference;
use crate::model::{closed_set, serde_as_label};

closed_set! {
    /// What became of a key that was looked at.
    pub enum CheckedClass {
        /// The target has what the source has, or more.
        Equal => "equal",
        /// It differed at the first look and no longer, or not in the same version.
        InFlight => "in_flight",
        /// It is about to expire, or just has.
        Expiring => "expiring",
        /// The source has a newer version, for good.
        Newer => "newer",
        /// The target has nothing, for good.
        Missing => "missing",
        /// Two writes of one site in one instant, for good.
        Tie => "tie",
        /// One of the two is no envelope, or a field of the counter no count.
        Malformed => "malformed",
        /// One of the two is of another type: not compared.
        WrongType => "wrong_type",
        /// The source's version is too far ahead of the clocks.
        Future => "future",
        /// One of the two is longer than is read: not compared.
        TooLarge => "too_large",
        /// The target has less in a field of the counter, for good.
        Counter => "counter",
        /// The target has less in a field of its own: it has lost increments.
        RegressedCounter => "regressed_counter",
        /// It differed at the first look, and too many others wait for their second look.
        Unknown => "unknown",
    }
}
serde_as_label!(CheckedClass);

impl From<Difference> for CheckedClass {
    fn from(difference: Difference) -> Self {
        match difference {
            Difference::Newer => Self::Newer,
            Difference::Missing => Self::Missing,
            Difference::Tie => Self::Tie,
            Difference::Malformed => Self::Malformed,
            Difference::WrongType => Self::WrongType,
            Difference::Future => Self::Future,
            Difference::TooLarge => Self::TooLarge,
            Difference::Expiring => Self::Expiring,
        }
    }
}

impl CheckedClass {
    /// Whether this is about a version that has not reached the target.
    pub const fn is_unpropagated(self) -> bool {
        matches!(self, Self::Newer | Self::Missing)
    }
}
