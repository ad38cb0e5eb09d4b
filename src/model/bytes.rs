//! Sizes in bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of bytes. Never negative; an unknown size is an absent value, not a special number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(u64);

impl Bytes {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// `count` bytes.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of bytes as a metric's value (exact below 2^53).
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

impl Bytes {
    /// The smallest size that is written as what it is, nearly, and is not smaller than this one:
    /// for people who read "at most".
    #[must_use]
    pub fn shown_at_most(self) -> Self {
        let unit = self.shown_unit();
        if unit == 1 {
            return self;
        }
        Self::from_tenths((u128::from(self.0) * 10).div_ceil(unit), unit)
    }

    /// The largest size that is written as what it is, nearly, and is not written as more than this
    /// one: for people who read "at least".
    #[must_use]
    pub fn shown_at_least(self) -> Self {
        let unit = self.shown_unit();
        if unit == 1 {
            return self;
        }
        Self::from_tenths(u128::from(self.0) * 10 / unit, unit)
    }

    fn from_tenths(tenths: u128, unit: u128) -> Self {
        let bytes = (tenths * unit).div_ceil(10);
        Self(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// How many bytes the unit of its text has.
    fn shown_unit(self) -> u128 {
        let mut unit = 1;
        while unit < 1 << 50 && u128::from(self.0) >= unit * 1024 {
            unit *= 1024;
        }
        unit
    }
}

impl fmt::Display for Bytes {
    /// For people: binary units, one decimal (`812 B`, `1.5 MiB`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = "KiB";
        for larger in ["MiB", "GiB", "TiB", "PiB"] {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = larger;
        }
        write!(f, "{value:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_stays_true_when_it_is_written() {
        let cases = [
            (812, "812 B", "812 B"),
            (1_025, "1.0 KiB", "1.1 KiB"),
            (1_536, "1.5 KiB", "1.5 KiB"),
            (1_048_575, "1023.9 KiB", "1.0 MiB"),
            (1_577_000, "1.5 MiB", "1.6 MiB"),
            (u64::MAX, "16383.9 PiB", "16384.0 PiB"),
        ];
        for (bytes, least, most) in cases {
            let size = Bytes::new(bytes);
            assert_eq!(size.shown_at_least().to_string(), least, "{bytes}");
            assert_eq!(size.shown_at_most().to_string(), most, "{bytes}");
        }
    }

    #[test]
    fn sizes_are_printed_in_binary_units() {
        let cases = [
            (0, "0 B"),
            (812, "812 B"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ];
        for (count, shown) in cases {
            assert_eq!(Bytes::new(count).to_string(), shown);
        }
    }
}
