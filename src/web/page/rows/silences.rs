//! The row of a silence.

use super::Moment;
use crate::alert::{SilenceRecord, SilenceState};

/// A silence that is active, pending or expired.
pub(in crate::web::page) struct SilenceRow {
    pub(in crate::web::page) id: String,
    pub(in crate::web::page) state: &'static str,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) matchers: String,
    pub(in crate::web::page) from: Moment,
    pub(in crate::web::page) until: Moment,
    pub(in crate::web::page) author: String,
    pub(in crate::web::page) comment: String,
    /// Whether it can be ended.
    pub(in crate::web::page) open: bool,
}

impl SilenceRow {
    pub(in crate::web::page) fn new((state, record): &(SilenceState, SilenceRecord)) -> Self {
        let mut matchers = Vec::new();
        for (name, glob) in &record.matchers {
            matchers.push(format!("{name}={glob}"));
        }
        let level = match state {
            SilenceState::Active => "silenced",
            SilenceState::Pending => "scheduled",
            SilenceState::Expired => "resolved",
        };
        Self {
            id: record.id.to_string(),
            state: state.label(),
            level,
            matchers: matchers.join(", "),
            from: Moment::from_unix(record.starts.as_secs_f64()),
            until: Moment::from_unix(record.ends.as_secs_f64()),
            author: record.author.clone(),
            comment: record.comment.clone(),
            open: *state != SilenceState::Expired,
        }
    }
}
