//! From when on a history is wanted.

use crate::model::{Span, Timestamp};
use crate::monitor::FleetSnapshot;

/// Without a wish, what the finest points reach back to.
const USUAL: Span = Span::from_secs(900);

/// The furthest that anything is kept. Who asks for more gets that.
const LONGEST: Span = Span::from_secs(86_400);

/// Reads a Unix time in seconds (`1750000000.5`) or how long ago (`90s`, `15m`, `2h`, `1d`); `None`
/// when it is neither.
pub(super) fn since(text: &str, fleet: &FleetSnapshot, now: Timestamp) -> Option<Timestamp> {
    let ago = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        _ if text.is_empty() => USUAL,
        Some(number) => span(number, &text[number.len()..])?,
        None => Span::from_secs_f64(fleet.anchor.wall(now).as_secs_f64() - finite(text)?),
    };
    Some(now - ago.or_zero().min(LONGEST))
}

fn span(number: &str, unit: &str) -> Option<Span> {
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => 86_400.0,
    };
    Some(Span::from_secs_f64(
        finite(number).filter(|number| *number >= 0.0)? * seconds,
    ))
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
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
