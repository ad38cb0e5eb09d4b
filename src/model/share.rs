//! A part of a whole.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Bytes;

/// A part of a whole, in thousandths; more than 1000 is more than the whole.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Share(u32);

impl Share {
    /// So many thousandths.
    pub const fn from_thousandths(thousandths: u32) -> Self {
        Self(thousandths)
    }

    /// Thousandths.
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// What `part` is of `whole`, rounded down; everything is more than nothing.
    pub fn from_parts(part: Bytes, whole: Bytes) -> Self {
        if whole == Bytes::ZERO {
            return Self(u32::MAX);
        }
        let thousandths = u128::from(part.get()) * 1000 / u128::from(whole.get());
        Self(u32::try_from(thousandths).unwrap_or(u32::MAX))
    }

    /// The part as a number: 0.5 is half.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl fmt::Display for Share {
    /// In percent: `50 %`, `99.5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 / 10;
        match self.0 % 10 {
            0 => write!(f, "{whole} %"),
            tenth => write!(f, "{whole}.{tenth} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_shown_in_percent() {
        let share =
            |part, whole| Share::from_parts(Bytes::new(part), Bytes::new(whole)).to_string();
        assert_eq!(share(1, 2), "50 %");
        assert_eq!(share(1999, 2000), "99.9 %");
        assert_eq!(share(3, 2), "150 %");
        assert!(Share::from_parts(Bytes::new(1), Bytes::ZERO) > Share::from_thousandths(1000));
    }
}
