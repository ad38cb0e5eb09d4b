//! The rows of servers that do not answer, of failovers and of Sentinels.

use super::{Moment, NOT_KNOWN, text_or_dash};
use crate::report::{
    FailoverReport, FailoversReport, Level, SentinelReport, SentinelsReport, ServerReport,
    at_least_bytes_text, bytes_text, seconds_text,
};

/// A server that does not answer.
pub(in crate::web::page) struct ServerRow {
    pub(in crate::web::page) server: String,
    pub(in crate::web::page) dc: String,
    pub(in crate::web::page) silent_for: String,
    pub(in crate::web::page) last_answer: Option<Moment>,
    pub(in crate::web::page) reason: String,
}

/// The last failover of an entry.
pub(in crate::web::page) struct FailoverRow {
    pub(in crate::web::page) pair: String,
    pub(in crate::web::page) at: Moment,
    pub(in crate::web::page) from: String,
    pub(in crate::web::page) to: String,
    pub(in crate::web::page) total: u64,
    pub(in crate::web::page) lost: String,
    pub(in crate::web::page) reason: String,
}

/// The Sentinels of a pair.
pub(in crate::web::page) struct SentinelRow {
    pub(in crate::web::page) pair: String,
    pub(in crate::web::page) master: String,
    pub(in crate::web::page) answering: String,
    pub(in crate::web::page) seeing_quorum: String,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) trouble: String,
}

impl ServerRow {
    pub(in crate::web::page) fn new(server: &ServerReport) -> Self {
        let silent_for = match server.unreachable_seconds {
            Some(seconds) => seconds_text(seconds),
            None => NOT_KNOWN.to_owned(),
        };
        Self {
            server: server.server.clone(),
            dc: server.dc.clone(),
            silent_for,
            last_answer: server.last_answer_timestamp.map(Moment::from_unix),
            reason: text_or_dash(server.reason.as_deref()),
        }
    }
}

impl FailoverRow {
    pub(in crate::web::page) fn new((entry, latest): (&FailoversReport, &FailoverReport)) -> Self {
        let lost = match (latest.lost_bytes, latest.lost_at_least_bytes) {
            (None, Some(least)) if least > 0 => format!("at least {}", at_least_bytes_text(least)),
            (known, _) => bytes_text(known),
        };
        Self {
            pair: entry.pair.clone(),
            at: Moment::from_unix(latest.timestamp),
            from: format!("{} ({})", latest.from, latest.from_dc),
            to: format!("{} ({})", latest.to, latest.to_dc),
            total: entry.total,
            lost,
            reason: latest.reason.clone(),
        }
    }
}

impl SentinelRow {
    pub(in crate::web::page) fn new(group: &SentinelsReport) -> Self {
        let problems = problems(group);
        let level = if problems.is_empty() {
            Level::Ok
        } else {
            Level::Warning
        };
        let trouble = if problems.is_empty() {
            NOT_KNOWN.to_owned()
        } else {
            problems.join("; ")
        };
        Self {
            pair: group.pair.clone(),
            master: text_or_dash(group.master.as_deref()),
            answering: count_of(group, |sentinel| sentinel.up),
            seeing_quorum: count_of(group, |sentinel| sentinel.quorum_ok),
            level: level.label(),
            trouble,
        }
    }
}

/// What is wrong with single Sentinels, and the risks of them all.
fn problems(group: &SentinelsReport) -> Vec<String> {
    let mut problems = Vec::new();
    for sentinel in &group.sentinels {
        if let Some(trouble) = sentinel.trouble() {
            problems.push(format!("{}: {trouble}", sentinel.server));
        }
    }
    problems.extend(group.risks.iter().cloned());
    problems
}

/// `2 of 3`.
fn count_of(group: &SentinelsReport, is: fn(&SentinelReport) -> Option<bool>) -> String {
    let all = group.sentinels.iter();
    let count = all.filter(|sentinel| is(sentinel) == Some(true)).count();
    format!("{count} of {}", group.sentinels.len())
}
