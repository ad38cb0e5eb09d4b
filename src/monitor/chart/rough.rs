//! A number in two bytes: what a chart needs of it.

/// A number that is not negative, or none, in two bytes: exact below 1024, above with a relative
/// error below 1/1024.
///
/// A floating-point number without a sign: six bits of exponent, ten of mantissa. Codes are ordered
/// as the numbers are, so the larger of two is found without decoding them. "None" is above them
/// all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rough(u16);

/// Bits of the mantissa, the leading one of a larger number not counted.
const MANTISSA: u32 = 10;

impl Rough {
    /// No number.
    pub(super) const NONE: Self = Self(u16::MAX);

    /// The largest code's number at or below `value`: a lower bound stays one.
    pub(super) fn down(value: Option<u64>) -> Self {
        value.map_or(Self::NONE, |value| Self::encode(value).0)
    }

    /// The smallest code's number at or above `value`: an upper bound stays one.
    pub(super) fn up(value: Option<u64>) -> Self {
        let Some((code, exact)) = value.map(Self::encode) else {
            return Self::NONE;
        };
        // The next code is the next number, also across a power of two.
        if exact { code } else { Self(code.0 + 1) }
    }

    /// The two bytes.
    pub(super) const fn code(self) -> u16 {
        self.0
    }

    /// What the two bytes stand for.
    pub(super) const fn from_code(code: u16) -> Self {
        Self(code)
    }

    /// The number that the code stands for.
    pub(super) fn get(self) -> Option<u64> {
        if self == Self::NONE {
            return None;
        }
        let (exponent, mantissa) = (
            u32::from(self.0 >> MANTISSA),
            u64::from(self.0 & ((1 << MANTISSA) - 1)),
        );
        match exponent.checked_sub(1) {
            None => Some(mantissa),
            Some(shift) => Some(
                (mantissa | (1 << MANTISSA))
                    .checked_shl(shift)
                    .unwrap_or(u64::MAX),
            ),
        }
    }

    /// The code at or below `value`, and whether it is exactly that.
    fn encode(value: u64) -> (Self, bool) {
        let bits = u64::BITS - value.leading_zeros();
        let Some(shift) = bits.checked_sub(MANTISSA + 1) else {
            return (Self(low(value)), true);
        };
        let exponent = u64::from(shift + 1) << MANTISSA;
        let code = low(exponent | ((value >> shift) & ((1 << MANTISSA) - 1)));
        (Self(code), value.trailing_zeros() >= shift)
    }
}

/// The lowest sixteen bits.
#[allow(clippy::cast_possible_truncation)] // that is what it is for
const fn low(value: u64) -> u16 {
    value as u16
}

impl std::fmt::Debug for Rough {
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
                (Rough::down(Some(value)).get(), Rough::up(Some(value)).get()),
                (Some(value), Some(value))
            );
        }
        assert_eq!(
            (Rough::down(None).get(), Rough::up(None).get()),
            (None, None)
        );
    }

    proptest! {
        #[test]
        fn bounds_are_rounded_outwards_by_less_than_a_thousandth(value in any::<u64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let (down, up) = (Rough::down(Some(value)).get().unwrap(), Rough::up(Some(value)).get().unwrap());
            prop_assert!(down <= value && value <= up, "{down} {value} {up}");
            prop_assert!((value - down).max(up - value) <= value / 1024);
        }

        #[test]
        fn codes_are_ordered_as_numbers_are(a in any::<u64>(), b in any::<u64>(), shift in 0_u32..64) {
            let (small, large) = ((a >> shift).min(b), (a >> shift).max(b));
            prop_assert!(Rough::down(Some(small)) <= Rough::down(Some(large)));
            prop_assert!(Rough::up(Some(small)) <= Rough::up(Some(large)));
            prop_assert!(Rough::up(Some(large)) < Rough::NONE);
        }
    }
}
