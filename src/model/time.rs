//! Time: a monotonic clock for every measurement, and a wall clock for times that people read.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant on the monitor's monotonic clock (`CLOCK_BOOTTIME`), in nanoseconds since boot.
///
/// Every measurement uses this clock: the wall clock may jump, and `std::time::Instant` stops while
/// a machine sleeps, so a bound that outlives a suspend would silently become wrong.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A signed length of time in nanoseconds: the difference of two [`Timestamp`]s.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(i64);

/// An instant on the wall clock, in nanoseconds since the Unix epoch. Shown to people, never used
/// to measure.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(i64);

/// The same moment on both clocks: how a [`Timestamp`] is turned into a [`WallTime`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAnchor {
    /// The moment on the monotonic clock.
    pub mono: Timestamp,
    /// The same moment on the wall clock.
    pub wall: WallTime,
}

/// One boot of a machine's kernel: as long as it is the same, instants on its monotonic clock
/// compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(u128);

impl BootId {
    /// The boot whose ID has these bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The ID as one number.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Reads a UUID, as `/proc/sys/kernel/random/boot_id` gives it.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(&digits, 16).ok().map(Self)
    }
}

impl Timestamp {
    /// An instant `nanos` nanoseconds after boot.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }
}

impl Span {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// A span of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// A span of `secs` whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// A span of `secs` seconds. Values out of range are clamped; NaN becomes zero.
    #[allow(clippy::cast_possible_truncation)] // `as` saturates, which is the documented result
    pub fn from_secs_f64(secs: f64) -> Self {
        Self((secs * 1e9) as i64)
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Seconds, with the fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The span, or zero when it is negative.
    #[must_use]
    pub fn or_zero(self) -> Self {
        self.max(Self::ZERO)
    }

    /// The shortest span that is written exactly as it is and is not shorter than this one: for
    /// people who read "at most".
    #[must_use]
    pub fn shown_at_most(self) -> Self {
        let step = self.shown_step();
        match self.0.rem_euclid(step) {
            0 => self,
            over => Self(self.0.saturating_add(step - over)),
        }
    }

    /// The longest span that is written exactly as it is and is not longer than this one: for
    /// people who read "at least".
    #[must_use]
    pub fn shown_at_least(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(self.shown_step())))
    }

    /// The smallest difference that its text shows, in nanoseconds.
    fn shown_step(self) -> i64 {
        const MILLI: i64 = 1_000_000;
        const SECOND: i64 = 1_000 * MILLI;
        let magnitude = self.0.saturating_abs();
        match magnitude / SECOND {
            ..10 => MILLI,
            10..120 => 100 * MILLI,
            120..7_200 => SECOND,
            _ => 60 * SECOND,
        }
    }

    /// The span times `factor`.
    #[must_use]
    pub fn mul_f64(self, factor: f64) -> Self {
        Self::from_secs_f64(self.as_secs_f64() * factor)
    }

    /// Half the span.
    #[must_use]
    pub const fn half(self) -> Self {
        Self(self.0 / 2)
    }

    /// The span as a [`Duration`]; a negative span becomes zero.
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl WallTime {
    /// An instant `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch, with the fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl ClockAnchor {
    /// The wall time of `at`, as far as the two clocks agreed when the anchor was taken.
    pub fn wall(&self, at: Timestamp) -> WallTime {
        WallTime(self.wall.0.saturating_add((at - self.mono).0))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Sub for Timestamp {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl AddAssign<Span> for Timestamp {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Span {
    /// For people: three significant parts at most (`0.250 s`, `12.3 s`, `4m 10s`, `2h 03m`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.as_secs_f64();
        let magnitude = secs.abs();
        if magnitude < 10.0 {
            return write!(f, "{secs:.3} s");
        }
        if magnitude < 120.0 {
            return write!(f, "{secs:.1} s");
        }
        let whole = self.0.abs() / 1_000_000_000;
        let sign = if self.0 < 0 { "-" } else { "" };
        if whole < 7200 {
            write!(f, "{sign}{}m {:02}s", whole / 60, whole % 60)
        } else {
            write!(f, "{sign}{}h {:02}m", whole / 3600, whole % 3600 / 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let late = Timestamp::from_nanos(i64::MAX);
        assert_eq!(late + Span::from_secs(1), late);
        assert_eq!(Span::from_secs(i64::MAX), Span::from_nanos(i64::MAX));
        assert_eq!(Span::from_secs_f64(f64::NAN), Span::ZERO);
    }

    #[test]
    fn a_bound_stays_true_when_it_is_written() {
        let cases = [
            (0, "0.000 s", "0.000 s"),
            (1, "0.000 s", "0.001 s"),
            (18_000_000, "0.018 s", "0.018 s"),
            (9_999_600_000, "9.999 s", "10.0 s"),
            (12_340_000_000, "12.3 s", "12.4 s"),
            (119_950_000_000, "119.9 s", "2m 00s"),
            (130_999_999_999, "2m 10s", "2m 11s"),
            (7_199_500_000_000, "119m 59s", "2h 00m"),
            (7_259_000_000_000, "2h 00m", "2h 01m"),
        ];
        for (nanos, least, most) in cases {
            let span = Span::from_nanos(nanos);
            assert_eq!(span.shown_at_least().to_string(), least, "{nanos}");
            assert_eq!(span.shown_at_most().to_string(), most, "{nanos}");
        }
        let longest = Span::from_nanos(i64::MAX);
        assert_eq!(longest.shown_at_most(), longest);
    }

    #[test]
    fn an_anchor_converts_in_both_directions() {
        let anchor = ClockAnchor {
            mono: Timestamp::from_nanos(100),
            wall: WallTime::from_nanos(5_000),
        };
        assert_eq!(
            anchor.wall(Timestamp::from_nanos(150)),
            WallTime::from_nanos(5_050)
        );
        assert_eq!(
            anchor.wall(Timestamp::from_nanos(50)),
            WallTime::from_nanos(4_950)
        );
    }

    #[test]
    fn a_boot_is_named_by_a_uuid() {
        let id = BootId::parse("0f5c8f2e-9a1b-4c3d-8e7f-0123456789ab\n").unwrap();
        assert_eq!(id.bits(), 0x0f5c_8f2e_9a1b_4c3d_8e7f_0123_4567_89ab);
        assert_eq!(BootId::from_bits(id.bits()), id);
        for text in [
            "",
            "0f5c8f2e",
            "zf5c8f2e-9a1b-4c3d-8e7f-0123456789ab",
            "+f5c8f2e-9a1b-4c3d-8e7f-0123456789ab",
        ] {
            assert_eq!(BootId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn spans_are_printed_in_a_fitting_unit() {
        let cases = [
            (0.25, "0.250 s"),
            (12.34, "12.3 s"),
            (250.0, "4m 10s"),
            (7_380.0, "2h 03m"),
            (-3.0, "-3.000 s"),
        ];
        for (secs, shown) in cases {
            assert_eq!(Span::from_secs_f64(secs).to_string(), shown);
        }
    }
}
