//! The rows of the page's tables: values of a report as text for people.

mod active_active;
mod alerts;
mod clusters;
mod deliveries;
mod discovery;
mod doctor;
mod journal;
mod pairs;
mod servers;
mod silences;

pub(super) use active_active::{DirectionRow, direction_rows};
pub(super) use alerts::{AlertRow, Suppressed, alert_subject, is_about, since as alert_since};
pub(super) use clusters::ClusterRow;
pub(super) use deliveries::{DeliveryRow, ReceiverRow};
pub(super) use discovery::DiscoveryRow;
pub(super) use doctor::DoctorView;
pub(super) use journal::JournalRow;
pub(super) use pairs::{PairRow, lag_bytes, reason};
pub(super) use servers::{FailoverRow, SentinelRow, ServerRow};
pub(super) use silences::SilenceRow;

use crate::report::utc_text;

/// The text for a value that is not known.
pub(super) const NOT_KNOWN: &str = "-";

/// An instant: in UTC for people, and in RFC 3339 for the script, which adds the reader's local
/// time.
pub(super) struct Moment {
    /// RFC 3339.
    pub(super) machine: String,
    /// Date and time in UTC.
    pub(super) text: String,
    /// The time of day in UTC.
    pub(super) clock: String,
}

impl Moment {
    /// The instant of a Unix time in seconds.
    pub(super) fn from_unix(timestamp: f64) -> Self {
        let text = utc_text(timestamp);
        let machine = match text.strip_suffix(" UTC") {
            Some(date) => format!("{}Z", date.replace(' ', "T")),
            None => String::new(),
        };
        Self {
            machine,
            clock: text.get(11..).unwrap_or(NOT_KNOWN).to_owned(),
            text,
        }
    }
}

/// The text, or a dash.
pub(super) fn text_or_dash(text: Option<&str>) -> String {
    text.unwrap_or(NOT_KNOWN).to_owned()
}
