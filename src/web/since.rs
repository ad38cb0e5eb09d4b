//! The query parameter `since`: from when on a history is wanted.

use crate::model::{Span, Timestamp};
use crate::monitor::FleetSnapshot;

/// How far back without the parameter: as far as the finest points reach.
const USUAL: Span = Span::from_secs(900);

/// How long a history is kept; nobody gets more.
const LONGEST: Span = Span::from_secs(86_400);

/// Reads a Unix time in seconds (`1750000000.5`) or how long ago (`90s`, `15m`, `2h`, `1d`); `None`
/// when it is neither.
pub(super) fn since(text: &str, fleet: &FleetSnapshot, now: Timestamp) -> Option<Timestamp> {
    let Some(last) = text.chars().last() else {
        return Some(now - USUAL);
    };
    let ago = match seconds_of(last) {
        Some(seconds) => span(text.strip_suffix(last)?, seconds)?,
        None => Span::from_secs_f64(fleet.anchor.wall(now).as_secs_f64() - finite(text)?),
    };
    Some(now - ago.or_zero().min(LONGEST))
}

/// The seconds of a unit; `None` for any other letter.
const fn seconds_of(unit: char) -> Option<f64> {
    match unit {
        's' => Some(1.0),
        'm' => Some(60.0),
        'h' => Some(3600.0),
        'd' => Some(86_400.0),
        _ => None,
    }
}

fn span(number: &str, unit_seconds: f64) -> Option<Span> {
    let number = finite(number)?;
    if number < 0.0 {
        return None;
    }
    Some(Span::from_secs_f64(number * unit_seconds))
}

fn finite(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    if number.is_finite() {
        Some(number)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Scene, fleet};

    fn check(text: &str, expected: Option<f64>) {
        let (fleet, now) = fleet(Scene::Streaming);
        let ago = since(text, &fleet, now).map(|since| (now - since).as_secs_f64());
        let same = match (ago, expected) {
            (Some(ago), Some(expected)) => (ago - expected).abs() < 0.01,
            (ago, expected) => ago == expected,
        };
        assert!(same, "{text}: {ago:?}, not {expected:?}");
    }

    #[test]
    fn a_time_or_a_length_of_time_is_read() {
        let (fleet, now) = fleet(Scene::Streaming);
        let wall = fleet.anchor.wall(now).as_secs_f64();
        for (text, ago) in [
            ("", 900.0),
            ("90s", 90.0),
            ("15m", 900.0),
            ("2h", 7200.0),
            ("0.5d", 43_200.0),
            ("9d", 86_400.0),
        ] {
            check(text, Some(ago));
        }
        check(&format!("{}", wall - 60.0), Some(60.0));
        check(&format!("{}", wall + 60.0), Some(0.0));
        check("0", Some(86_400.0));
        for text in ["m", "-5m", "infs", "nan", "1e999", "yesterday", "5 m"] {
            check(text, None);
        }
    }
}
