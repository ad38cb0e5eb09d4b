//! Values of a report as people read them, on the page and in `check`.

use super::alerts::ValueUnit;
use crate::model::{Bytes, Span, is_printable};

/// What stands where a value is not known.
const NOT_KNOWN: &str = "-";

/// Seconds for people: `0.012 s`, `4m 10s`.
pub fn seconds_text(seconds: f64) -> String {
    Span::from_secs_f64(seconds).to_string()
}

/// Bytes for people: `812 B`, `1.5 MiB`; a dash when they are not known.
pub fn bytes_text(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || NOT_KNOWN.to_owned(),
        |count| Bytes::new(count).to_string(),
    )
}

/// A value of an alert, in its unit.
pub fn amount_text(amount: f64, unit: ValueUnit) -> String {
    match unit {
        ValueUnit::Seconds => seconds_text(amount),
        // `as` saturates, and a number of bytes has no sign.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        ValueUnit::Bytes => Bytes::new(amount as u64).to_string(),
        ValueUnit::Count => format!("{amount:.0}"),
    }
}

/// A lag for people: the estimate with its certified interval (`0.012 s (0.000 s to 0.034 s)`), `at
/// least 12.0 s` where only a lower bound is known, a dash where nothing is.
///
/// "At least" is said of a lower bound above zero, and "at most" of a bare upper bound: `at least 0
/// s` says nothing.
pub fn lag_text(lower: Option<f64>, estimate: Option<f64>, upper: Option<f64>) -> String {
    let positive = lower.filter(|lower| *lower > 0.0);
    match (positive, estimate, upper) {
        (_, Some(estimate), Some(upper)) => {
            let lower = seconds_text(lower.unwrap_or(0.0));
            format!(
                "{} ({lower} to {})",
                seconds_text(estimate),
                seconds_text(upper)
            )
        }
        (_, Some(estimate), None) => seconds_text(estimate),
        (Some(lower), None, Some(upper)) => {
            format!("{} to {}", seconds_text(lower), seconds_text(upper))
        }
        (Some(lower), None, None) => format!("at least {}", seconds_text(lower)),
        (None, None, Some(upper)) => format!("at most {}", seconds_text(upper)),
        (None, None, None) => NOT_KNOWN.to_owned(),
    }
}

/// The most characters of a foreign text that are shown: more than an address or a sentence has.
const MAX_VISIBLE: usize = 400;

/// A text from outside as a terminal may show it: what a terminal would obey, or what turns the
/// order of letters around, is escaped (`\u{1b}`), and what is longer than 400 characters is cut.
pub fn visible_text(text: &str) -> String {
    match text.char_indices().nth(MAX_VISIBLE) {
        Some((end, _)) => visible_line(&text[..end]) + "…",
        None => visible_line(text),
    }
}

/// As [`visible_text`], of any length: for the program's own sentences, which only quote what is
/// foreign.
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
#[allow(clippy::cast_possible_truncation)] // `as` saturates, and what saturates is no date
pub fn utc_text(timestamp: f64) -> String {
    jiff::Timestamp::from_second(timestamp.floor() as i64).map_or_else(
        |_| NOT_KNOWN.to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_says_what_is_certain() {
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
            ((None, None, None), "-"),
        ];
        for ((lower, estimate, upper), text) in cases {
            assert_eq!(lag_text(lower, estimate, upper), text);
        }
    }

    #[test]
    fn a_terminal_is_shown_nothing_that_it_would_obey() {
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
    fn amounts_and_times_read_well() {
        assert_eq!(amount_text(1_572_864.0, ValueUnit::Bytes), "1.5 MiB");
        assert_eq!(amount_text(250.0, ValueUnit::Seconds), "4m 10s");
        assert_eq!(bytes_text(None), "-");
        assert_eq!(utc_text(1_750_000_000.9), "2025-06-15 15:06:40 UTC");
        assert_eq!(utc_text(f64::MAX), "-");
    }
}
