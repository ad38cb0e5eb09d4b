//! Numbers, sizes and times as the sentences show them: short, and rounded so that a bound stays
//! true.

use jiff::Timestamp as Instant;

use crate::alert::Quantity;
use crate::model::{Bytes, ClockAnchor, Span, Timestamp, WallTime};

/// Which way a number is rounded: a bound must stay true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the nearest: an estimate.
    Nearest,
    /// Up: "at most".
    Up,
    /// Down: "at least".
    Down,
}

const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLI;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// From this age on a time of day needs its date.
const NEEDS_DATE: Span = Span::from_secs(20 * 3600);

/// A length of time: `24 ms`, `0.25 s`, `2.1 s`, `60 s`, `2 min 10 s`, `14 min`, `2 h 5 min`, `3
/// days`. Nothing negative.
pub(super) fn span(span: Span, rounding: Rounding) -> String {
    let nanos = span.or_zero().as_nanos();
    let step = match nanos {
        ..10_000_000 => MILLI,
        10_000_000..SECOND => 10 * MILLI,
        SECOND..10_000_000_000 => 100 * MILLI,
        10_000_000_000..600_000_000_000 => SECOND,
        600_000_000_000..172_800_000_000_000 => MINUTE,
        _ => HOUR,
    };
    let nanos = rounded(nanos, step, rounding);
    match nanos {
        0 => "0 s".to_owned(),
        ..10_000_000 => format!("{} ms", nanos / MILLI),
        10_000_000..10_000_000_000 => format!("{} s", decimal(nanos)),
        10_000_000_000..120_000_000_000 => format!("{} s", nanos / SECOND),
        120_000_000_000..7_200_000_000_000 => parts(nanos, (MINUTE, "min"), (SECOND, "s")),
        7_200_000_000_000..172_800_000_000_000 => parts(nanos, (HOUR, "h"), (MINUTE, "min")),
        _ => parts(nanos, (DAY, "days"), (HOUR, "h")),
    }
}

fn rounded(nanos: i64, step: i64, rounding: Rounding) -> i64 {
    let added = match rounding {
        Rounding::Nearest => step / 2,
        Rounding::Up => step - 1,
        Rounding::Down => 0,
    };
    nanos.saturating_add(added) / step * step
}

/// Seconds with at most two decimals, without zeros at the end.
fn decimal(nanos: i64) -> String {
    let text = format!("{}.{:02}", nanos / SECOND, nanos % SECOND / (10 * MILLI));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn parts(nanos: i64, large: (i64, &str), small: (i64, &str)) -> String {
    let (large_nanos, large_name) = large;
    let (small_nanos, small_name) = small;
    let count = nanos / large_nanos;
    let rest = nanos % large_nanos / small_nanos;
    if rest == 0 {
        return format!("{count} {large_name}");
    }
    format!("{count} {large_name} {rest} {small_name}")
}

/// A size in binary units: `335 B`, `1.0 MiB`, `240 MiB`.
#[allow(clippy::cast_precision_loss)] // three digits are shown
pub(super) fn bytes(bytes: Bytes, rounding: Rounding) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes.get() < 1024 {
        return format!("{} B", bytes.get());
    }
    let mut value = bytes.as_f64();
    let mut shown = value;
    let mut unit = "B";
    for larger in UNITS {
        value /= 1024.0;
        shown = rounded_size(value, rounding);
        unit = larger;
        if shown < 1024.0 {
            break;
        }
    }
    let decimals = usize::from(shown < 100.0);
    format!("{shown:.decimals$} {unit}")
}

/// To one decimal, or to none from 100 on.
fn rounded_size(value: f64, rounding: Rounding) -> f64 {
    let digits = if value < 99.95 { 10.0 } else { 1.0 };
    let scaled = value * digits;
    let rounded = match rounding {
        Rounding::Nearest => scaled.round(),
        Rounding::Up => scaled.ceil(),
        Rounding::Down => scaled.floor(),
    };
    rounded / digits
}

/// A rule's value or threshold.
pub fn quantity(quantity: Quantity) -> String {
    match quantity {
        Quantity::Seconds(length) => span(length, Rounding::Nearest),
        Quantity::Bytes(size) => bytes(size, Rounding::Nearest),
        Quantity::Count(count) => count.to_string(),
        Quantity::TimeLeft(length) => span(length, Rounding::Down),
        Quantity::Share(share) => share.to_string(),
    }
}

/// An upper bound, rounded up: "at most".
pub fn quantity_at_most(quantity: Quantity) -> String {
    bound(quantity, Rounding::Up)
}

/// A lower bound, rounded down: "at least".
pub fn quantity_at_least(quantity: Quantity) -> String {
    bound(quantity, Rounding::Down)
}

fn bound(bound: Quantity, rounding: Rounding) -> String {
    match bound {
        Quantity::Seconds(length) | Quantity::TimeLeft(length) => span(length, rounding),
        Quantity::Bytes(size) => bytes(size, rounding),
        Quantity::Count(_) | Quantity::Share(_) => quantity(bound),
    }
}

/// A length of time, to the nearest.
pub fn length(length: Span) -> String {
    span(length, Rounding::Nearest)
}

/// How many of something: `1 full sync`, `2 full syncs`.
pub(super) fn count(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}

/// Names in a sentence: `a`, `a and b`, `a, b and 3 more`.
pub(super) fn names(names: &[&str], more: usize) -> String {
    let rest = format!("{more} more");
    let mut all = names.to_vec();
    if more > 0 {
        all.push(&rest);
    }
    match all.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `now`, and the wall time of every instant.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    /// The moment that a sentence describes.
    pub now: Timestamp,
    /// The wall time of instants.
    pub anchor: &'a ClockAnchor,
}

impl Clock<'_> {
    /// The wall time of `at`.
    pub(super) fn wall(&self, at: Timestamp) -> WallTime {
        self.anchor.wall(at)
    }

    /// `12:04:31`, with the date where the day is not clear.
    pub(super) fn time(&self, at: Timestamp) -> String {
        let nanos = i128::from(self.anchor.wall(at).as_nanos());
        let instant = Instant::from_nanosecond(nanos).unwrap_or(Instant::MAX);
        let away = (self.now - at).max(at - self.now);
        let format = if away < NEEDS_DATE {
            "%H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        instant.strftime(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Rounding::{Down, Nearest, Up};
    use super::*;

    #[test]
    fn lengths_of_time_are_short_and_rounded() {
        let cases = [
            (0.0, Nearest, "0 s"),
            (-3.0, Nearest, "0 s"),
            (0.003, Nearest, "3 ms"),
            (0.0001, Up, "1 ms"),
            (0.0001, Down, "0 s"),
            (0.024, Nearest, "0.02 s"),
            (0.024, Up, "0.03 s"),
            (0.25, Down, "0.25 s"),
            (0.996, Up, "1 s"),
            (2.134, Nearest, "2.1 s"),
            (2.134, Up, "2.2 s"),
            (2.0, Nearest, "2 s"),
            (9.97, Nearest, "10 s"),
            (59.6, Nearest, "60 s"),
            (60.4, Up, "61 s"),
            (119.7, Nearest, "2 min"),
            (130.0, Nearest, "2 min 10 s"),
            (600.0, Nearest, "10 min"),
            (845.0, Nearest, "14 min"),
            (845.0, Up, "15 min"),
            (7_200.0, Nearest, "2 h"),
            (7_500.0, Nearest, "2 h 5 min"),
            (172_800.0, Nearest, "2 days"),
            (183_600.0, Nearest, "2 days 3 h"),
        ];
        for (secs, rounding, shown) in cases {
            let length = Span::from_secs_f64(secs);
            assert_eq!(span(length, rounding), shown, "{secs} {rounding:?}");
        }
        assert_eq!(span(Span::from_nanos(i64::MAX), Up), "106751 days 23 h");
    }

    #[test]
    fn sizes_are_short_and_rounded() {
        let cases = [
            (0, Nearest, "0 B"),
            (335, Up, "335 B"),
            (1_048_576, Nearest, "1.0 MiB"),
            (1_048_577, Up, "1.1 MiB"),
            (1_048_577, Down, "1.0 MiB"),
            (1_048_575, Nearest, "1.0 MiB"),
            (251_658_240, Nearest, "240 MiB"),
            (u64::MAX, Nearest, "16384 PiB"),
        ];
        for (size, rounding, shown) in cases {
            assert_eq!(
                bytes(Bytes::new(size), rounding),
                shown,
                "{size} {rounding:?}"
            );
        }
    }

    #[test]
    fn counts_and_lists_are_written_in_words() {
        assert_eq!(count(1, "full sync", "full syncs"), "1 full sync");
        assert_eq!(count(2, "full sync", "full syncs"), "2 full syncs");
        let cases: [(&[&str], usize, &str); 5] = [
            (&[], 0, ""),
            (&["a"], 0, "a"),
            (&["a", "b"], 0, "a and b"),
            (&["a", "b", "c"], 0, "a, b and c"),
            (&["a", "b"], 3, "a, b and 3 more"),
        ];
        for (all, more, text) in cases {
            assert_eq!(names(all, more), text);
        }
    }

    #[test]
    fn a_time_of_another_day_has_its_date() {
        let second = 1_000_000_000;
        let anchor = ClockAnchor {
            mono: Timestamp::from_nanos(200_000 * second),
            wall: WallTime::from_nanos(1_700_000_000 * second),
        };
        let clock = Clock {
            now: anchor.mono,
            anchor: &anchor,
        };
        assert_eq!(clock.time(anchor.mono), "22:13:20");
        let yesterday = anchor.mono - Span::from_secs(86_400);
        assert_eq!(clock.time(yesterday), "2023-11-13 22:13:20");
    }
}
