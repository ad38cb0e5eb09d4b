//! Instants in reports.

use crate::report::utc_text;

/// An instant for people, with milliseconds.
pub(super) fn time_text(unix: f64) -> String {
    let whole = utc_text(unix);
    let millis = (unix.fract() * 1000.0).floor().clamp(0.0, 999.0);
    match whole.strip_suffix(" UTC") {
        Some(head) => format!("{head}.{millis:03.0} UTC"),
        None => whole,
    }
}
