//! The values of a report as text for people, on the page and in `check`.

use super::alerts::ValueUnit;
use crate::model::{Bytes, Span, is_printable};

/// The text for a value that is not known.
const NOT_KNOWN: &str = "-";

/// Seconds for people: `0.012 s`, `4m 10s`.
pub fn seconds_text(seconds: f64) -> String {
    Span::from_secs_f64(seconds).to_string()
}

/// Seconds of an upper bound, rounded up.
pub fn at_most_text(seconds: f64) -> String {
    nearest(seconds).shown_at_most().to_string()
}

/// Seconds of a lower bound, rounded down.
pub fn at_least_text(seconds: f64) -> String {
    nearest(seconds).shown_at_least().to_string()
}

/// Seconds to the nearest nanosecond: 0.011 s of JSON are not 0.010999999 s.
#[allow(clippy::cast_possible_truncation)] // saturates
fn nearest(seconds: f64) -> Span {
    Span::from_nanos((seconds * 1e9).round() as i64)
}

/// Bytes of an upper bound, rounded up; a dash when they are not known.
pub fn at_most_bytes_text(bytes: Option<u64>) -> String {
    bytes_text(bytes.map(|count| Bytes::new(count).shown_at_most().get()))
}

/// Bytes of a lower bound, rounded down.
pub fn at_least_bytes_text(bytes: u64) -> String {
    Bytes::new(bytes).shown_at_least().to_string()
}

/// Bytes for people: `812 B`, `1.5 MiB`; a dash when they are not known.
pub fn bytes_text(bytes: Option<u64>) -> String {
    match bytes {
        Some(count) => Bytes::new(count).to_string(),
        None => NOT_KNOWN.to_owned(),
    }
}

/// A value of an alert, in its unit.
pub fn amount_text(amount: f64, unit: ValueUnit) -> String {
    match unit {
        ValueUnit::Seconds => seconds_text(amount),
        // `as` saturates, and a number of bytes has no sign.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        ValueUnit::Bytes => Bytes::new(amount as u64).to_string(),
        ValueUnit::Count => format!("{amount:.0}"),
        ValueUnit::Ratio => format!("{:.0} %", amount * 100.0),
    }
}

/// A lower bound of a value of an alert, in its unit, rounded down.
pub fn amount_at_least_text(amount: f64, unit: ValueUnit) -> String {
    match unit {
        ValueUnit::Seconds => at_least_text(amount),
        // `as` saturates, and a number of bytes has no sign.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        ValueUnit::Bytes => at_least_bytes_text(amount as u64),
        ValueUnit::Count => amount_text(amount.floor(), unit),
        ValueUnit::Ratio => format!("{:.0} %", (amount * 100.0).floor()),
    }
}

/// A lag for people: the estimate with its certified interval (`0.012 s (0.000 s to 0.034 s)`), `at
/// least 12.0 s` where only a lower bound is known, a dash where nothing is.
///
/// A lower bound is shown only where it is above zero, because `at least 0 s` tells nothing.
pub fn lag_text(lower: Option<f64>, estimate: Option<f64>, upper: Option<f64>) -> String {
    let Some(estimate) = estimate else {
        return bounds_text(lower, upper);
    };
    let estimate = seconds_text(estimate);
    let Some(upper) = upper else {
        return estimate;
    };
    let lower = at_least_text(lower.unwrap_or(0.0));
    let upper = at_most_text(upper);
    format!("{estimate} ({lower} to {upper})")
}

/// A lag without an estimate: what its bounds are.
fn bounds_text(lower: Option<f64>, upper: Option<f64>) -> String {
    let positive = lower.filter(|lower| *lower > 0.0);
    let lower = positive.map(at_least_text);
    let upper = upper.map(at_most_text);
    match (lower, upper) {
        (Some(lower), Some(upper)) => format!("{lower} to {upper}"),
        (Some(lower), None) => format!("at least {lower}"),
        (None, Some(upper)) => format!("at most {upper}"),
        (None, None) => NOT_KNOWN.to_owned(),
    }
}

/// The most characters of a foreign text that are shown: more than an address or a sentence has.
const MAX_VISIBLE: usize = 400;

/// A text from outside as a terminal may show it: control characters, and characters that change
/// the direction of writing, are escaped (`\u{1b}`), and everything beyond 400 characters is cut.
pub fn visible_text(text: &str) -> String {
    match text.char_indices().nth(MAX_VISIBLE) {
        Some((end, _)) => visible_line(&text[..end]) + "…",
        None => visible_line(text),
    }
}

/// As [`visible_text`], of any length: for the program's own sentences, which only quote texts from
/// outside.
pub fn visible_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// A Unix time in UTC to the second; a dash when it is beyond the calendar's years.
#[allow(clippy::cast_possible_truncation)] // `as` saturates, and a saturated time is no date
pub fn utc_text(timestamp: f64) -> String {
    match jiff::Timestamp::from_second(timestamp.floor() as i64) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => NOT_KNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_shown_with_its_certain_bounds() {
        let cases = [
            (
                (Some(0.0), Some(0.012), Some(0.034)),
                "0.012 s (0.000 s to 0.034 s)",
            ),
            (
                (None, Some(0.012), Some(0.034)),
                "0.012 s (0.000 s to 0.034 s)",
            ),
            ((Some(0.0), Some(0.5), None), "0.500 s"),
            ((Some(12.0), None, None), "at least 12.0 s"),
            ((Some(12.0), None, Some(300.0)), "12.0 s to 5m 00s"),
            ((Some(0.0), None, None), "-"),
            ((Some(0.0), None, Some(2.0)), "at most 2.000 s"),
            ((Some(0.0), None, Some(0.0004)), "at most 0.001 s"),
            ((Some(12.06), None, Some(130.2)), "12.0 s to 2m 11s"),
            (
                (Some(0.011), Some(0.011), Some(0.011)),
                "0.011 s (0.011 s to 0.011 s)",
            ),
            ((None, None, None), "-"),
        ];
        for ((lower, estimate, upper), text) in cases {
            assert_eq!(lag_text(lower, estimate, upper), text);
        }
    }

    #[test]
    fn a_lower_bound_of_a_value_is_rounded_down() {
        let cases = [
            (30.96, ValueUnit::Seconds, "30.9 s"),
            (2_047.0, ValueUnit::Bytes, "1.9 KiB"),
            (3.0, ValueUnit::Count, "3"),
            (0.899, ValueUnit::Ratio, "89 %"),
        ];
        for (amount, unit, text) in cases {
            assert_eq!(amount_at_least_text(amount, unit), text);
        }
    }

    #[test]
    fn control_characters_are_never_shown_to_a_terminal() {
        let cases = [
            ("orders \"é\" 'x' \\ 😀 注文", "orders \"é\" 'x' \\ 😀 注文"),
            ("\u{1b}[2J\u{9b}31m", "\\u{1b}[2J\\u{9b}31m"),
            ("a\nb\r\t\0", "a\\u{a}b\\u{d}\\u{9}\\u{0}"),
            (
                "\u{202e}redro\u{2066}\u{200b}",
                "\\u{202e}redro\\u{2066}\\u{200b}",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(visible_text(text), expected);
        }
        assert_eq!(
            visible_text(&"é".repeat(10_240)).chars().count(),
            MAX_VISIBLE + 1
        );
    }

    #[test]
    fn amounts_and_times_are_shown_for_people() {
        assert_eq!(amount_text(1_572_864.0, ValueUnit::Bytes), "1.5 MiB");
        assert_eq!(amount_text(250.0, ValueUnit::Seconds), "4m 10s");
        assert_eq!(bytes_text(None), "-");
        assert_eq!(utc_text(1_750_000_000.9), "2025-06-15 15:06:40 UTC");
        assert_eq!(utc_text(f64::MAX), "-");
    }
}
