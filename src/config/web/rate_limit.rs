//! `rate_limit`: how many requests are answered.

use std::ops::RangeInclusive;

use crate::config::cursor::Section;
use crate::config::schema::{Key, Keys};
use crate::model::Span;

/// The largest burst: at the smallest interval it is a second's worth.
const MAX_BURST: u32 = 1_000_000_000;

/// The longest interval: one request a day.
const MAX_INTERVAL: Span = Span::from_secs(24 * 60 * 60);

const BURST: RangeInclusive<u32> = 0..=MAX_BURST;

pub(super) static RATE_LIMIT: Keys =
    Keys::new(&[Key::text("interval"), Key::number("burst", BURST)]);

/// The units of Go's `time.ParseDuration`, in nanoseconds.
const UNITS: [(&str, f64); 7] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A token bucket: it holds `burst` requests at most and gains one each `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Between two requests in the long run: 1 ns to 1 day.
    pub interval: Span,
    /// Requests at once, up to a thousand million. With 0 none is ever answered, as in the toolkit.
    pub burst: u32,
}

/// The limit; `None` where there is none, or where it is refused.
pub(super) fn read(root: &Section<'_>) -> Option<RateLimit> {
    let section = root.section("rate_limit");
    let burst = match section.get("burst") {
        Some(cursor) if !cursor.is_null() => cursor.whole_number(&BURST)?,
        _ => 0,
    };
    let interval = section.get("interval")?;
    let interval = match interval.word() {
        Some(text) => interval.checked(parse_interval(text))?,
        None if interval.is_null() => Span::ZERO,
        // Refuses every number but 0, which is without a unit.
        None => interval.span(&(Span::ZERO..=Span::ZERO))?,
    };
    if interval == Span::ZERO {
        return None;
    }
    Some(RateLimit { interval, burst })
}

/// A duration as Go reads it, such as `1s`, `1.5s` or `1m30s`; shorter than a nanosecond but not
/// nothing is one nanosecond.
fn parse_interval(text: &str) -> Result<Span, &'static str> {
    const NONE: &str = "is not a duration; write it like 100ms, 1.5s or 1m";
    if matches!(text, "" | "0") {
        return Ok(Span::ZERO);
    }
    let mut nanos = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let tail = unit.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.');
        let number = rest
            .strip_suffix(unit)
            .and_then(|text| text.parse::<f64>().ok());
        let unit = unit.strip_suffix(tail).unwrap_or_default();
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (Some(number), Some((_, factor))) = (number, known) else {
            return Err(NONE);
        };
        nanos += number * factor;
        rest = tail;
    }
    if nanos > MAX_INTERVAL.as_secs_f64() * 1e9 {
        return Err("is longer than a day");
    }
    let shortest = i64::from(nanos > 0.0);
    // In range, by the check above.
    #[allow(clippy::cast_possible_truncation)]
    let nanos = nanos.round() as i64;
    Ok(Span::from_nanos(nanos.max(shortest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_as_go_reads_them() {
        let cases = [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1s", Some(1_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5s", Some(500_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("2h", Some(7_200_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("3us", Some(3_000)),
            ("3µs", Some(3_000)),
            ("7ns", Some(7)),
            ("0.1ns", Some(1)),
            ("123456789ns", Some(123_456_789)),
            ("24h", Some(86_400_000_000_000)),
            ("24h1s", None),
            ("1", None),
            ("1d", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1 s", None),
        ];
        for (text, nanos) in cases {
            let read = parse_interval(text).ok();
            assert_eq!(read.map(Span::as_nanos), nanos, "{text}");
        }
    }
}
