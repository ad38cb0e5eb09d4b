//! Compact numbers: a non-negative number in two bytes, as precise as a chart needs it.

/// A non-negative number, or none, in two bytes: exact up to 2047, above that with a relative error
/// below 1/1024.
///
/// A floating-point number without a sign: six bits of exponent, ten of mantissa. Codes are ordered
/// as the numbers are, so the larger of two is found without decoding them. "None" is above them
/// all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CompactValue(u16);

/// Bits of the mantissa, without the implicit leading one of larger numbers.
const MANTISSA: u32 = 10;

impl CompactValue {
    /// No number.
    pub(super) const NONE: Self = Self(u16::MAX);

    /// The largest code's number at or below `value`: a lower bound stays one.
    pub(super) fn down(value: Option<u64>) -> Self {
        match value {
            Some(value) => Self::encode(value).0,
            None => Self::NONE,
        }
    }

    /// The smallest code's number at or above `value`: an upper bound stays one.
    pub(super) fn up(value: Option<u64>) -> Self {
        let Some(value) = value else {
            return Self::NONE;
        };
        let (below, is_exact) = Self::encode(value);
        // The next code is the next number, also across a power of two.
        if is_exact { below } else { Self(below.0 + 1) }
    }

    /// The code, as it is saved.
    pub(super) const fn code(self) -> u16 {
        self.0
    }

    /// The value with this code.
    pub(super) const fn from_code(code: u16) -> Self {
        Self(code)
    }

    /// The number that the code stands for.
    pub(super) fn get(self) -> Option<u64> {
        if self == Self::NONE {
            return None;
        }
        let exponent = u32::from(self.0 >> MANTISSA);
        let mantissa = u64::from(self.0 & ((1 << MANTISSA) - 1));
        let Some(shift) = exponent.checked_sub(1) else {
            return Some(mantissa);
        };
        let significand = mantissa | (1 << MANTISSA);
        Some(significand.checked_shl(shift).unwrap_or(u64::MAX))
    }

    /// The code at or below `value`, and whether it stands for exactly that.
    fn encode(value: u64) -> (Self, bool) {
        let bits = u64::BITS - value.leading_zeros();
        let Some(shift) = bits.checked_sub(MANTISSA + 1) else {
            return (Self(low_bits(value)), true);
        };
        let exponent = u64::from(shift + 1) << MANTISSA;
        let mantissa = (value >> shift) & ((1 << MANTISSA) - 1);
        let is_exact = value.trailing_zeros() >= shift;
        (Self(low_bits(exponent | mantissa)), is_exact)
    }
}

/// The lowest sixteen bits.
#[expect(clippy::cast_possible_truncation, reason = "truncation is its purpose")]
const fn low_bits(value: u64) -> u16 {
    value as u16
}

impl std::fmt::Debug for CompactValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_numbers_and_powers_of_two_are_exact() {
        for value in (0..2048).chain((11..64).map(|bit| 1 << bit)) {
            assert_eq!(
                (
                    CompactValue::down(Some(value)).get(),
                    CompactValue::up(Some(value)).get()
                ),
                (Some(value), Some(value))
            );
        }
        assert_eq!(
            (CompactValue::down(None).get(), CompactValue::up(None).get()),
            (None, None)
        );
    }

    proptest! {
        #[test]
        fn bounds_are_rounded_outwards_by_less_than_a_thousandth(value in any::<u64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let (down, up) = (CompactValue::down(Some(value)).get().unwrap(), CompactValue::up(Some(value)).get().unwrap());
            prop_assert!(down <= value && value <= up, "{down} {value} {up}");
            prop_assert!((value - down).max(up - value) <= value / 1024);
        }

        #[test]
        fn codes_are_ordered_as_numbers_are(a in any::<u64>(), b in any::<u64>(), shift in 0_u32..64) {
            let (small, large) = ((a >> shift).min(b), (a >> shift).max(b));
            prop_assert!(CompactValue::down(Some(small)) <= CompactValue::down(Some(large)));
            prop_assert!(CompactValue::up(Some(small)) <= CompactValue::up(Some(large)));
            prop_assert!(CompactValue::up(Some(large)) < CompactValue::NONE);
        }
    }
}
