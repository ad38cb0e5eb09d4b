//! One sentence about an alert or a pair for the person who is paged: what happened to which pair,
//! since when, and what would be lost now. Notifications, the page, `check` and the API share it.
//!
//! One file per family of rules. A sentence begins with the pair or server and the fact, because a
//! lock screen shows only its first hundred characters.

mod exporter;
mod foresight;
mod history;
mod loss;
mod pair;
mod sentence;
mod server;
mod sites;
mod tree;
mod words;

pub use pair::{PairNews, pair_line};
pub use sentence::{Piece, Sentence};
pub use words::{Clock, length, quantity, quantity_at_least, quantity_at_most};

use super::{AlertSnapshot, FlapSeries, ResolveReason, Rule};
use crate::model::{ClockAnchor, Timestamp};
use words::Rounding;

/// The sentence about one alert as of `now`.
pub fn headline(alert: &AlertSnapshot, now: Timestamp, anchor: &ClockAnchor) -> Sentence {
    let clock = Clock { now, anchor };
    let line = match (alert.resolved, alert.series) {
        (Some((at, _)), Some(series)) => clear_for_now(alert, series, at),
        (Some((at, reason)), None) => resolved(alert, Ended { at, reason }, clock),
        (None, None) => firing(alert, clock),
        (None, Some(_)) => firing(alert, clock)
            .and(" Flapping: short outages are not notified until it is stable."),
    };
    line.in_one_line()
}

/// `orders dc1 → dc2 flapping: fired 3 times in 9 min 30 s, clear now.`
fn clear_for_now(alert: &AlertSnapshot, series: FlapSeries, at: Timestamp) -> Sentence {
    let subject = subject(alert);
    let times = series.outages;
    let within = words::span(at - series.since, Rounding::Nearest);
    let stable = words::span(series.stable_for, Rounding::Nearest);
    Sentence::words(format!(
        "{subject} flapping: fired {times} times in {within}, clear now. Short outages are not \
         notified until it has been stable for {stable}."
    ))
}

/// The condition of a rule's targets, to follow their number: `3 of 5 pairs dc1 → dc2 stalled or
/// down`.
pub const fn plight(rule: Rule) -> &'static str {
    match rule {
        Rule::LagSeconds | Rule::LagBytes => "behind",
        Rule::LinkDown => "stalled or down",
        Rule::Unreachable => "not answering",
        Rule::Unknown => "of unknown lag",
        Rule::SentinelQuorum => "without quorum",
        Rule::ClusterDown => "down",
        Rule::FullSync => "giving full syncs",
        Rule::ReceiverFailing => "failing",
        Rule::MonitorIsolated => "cut off",
        Rule::Diverged => "diverged",
        Rule::Failover => "failed over",
        Rule::HistoryLost => "without their history",
        Rule::ExporterFault => "out of the exporter's reach",
        Rule::ConfigReloadFailed => "with an old configuration",
        Rule::ExporterOverloaded => "overloaded",
        Rule::BacklogHeadroom => "with a short backlog",
        Rule::OutputBuffer => "with a full output buffer",
        Rule::SyncQueue => "with a long queue",
        Rule::SitesDiverged => "that differ for good",
        Rule::ClockSkew => "with clocks apart",
        Rule::CounterRegressed => "with lost increments",
        Rule::SitesUnknown => "of which nothing is known",
    }
}

/// When and why an alert resolved.
#[derive(Clone, Copy, Debug)]
struct Ended {
    at: Timestamp,
    reason: ResolveReason,
}

fn firing(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    match alert.identity.rule {
        Rule::LagSeconds | Rule::LagBytes => pair::behind(alert, clock),
        Rule::LinkDown => pair::link_down(alert, clock),
        Rule::Unknown => pair::unknown(alert, clock),
        Rule::Diverged => pair::diverged(alert, clock),
        Rule::Unreachable => server::silent(alert, clock),
        Rule::FullSync => server::full_syncs(alert),
        Rule::Failover => tree::failover(alert, clock),
        Rule::HistoryLost => history::lost(alert, clock),
        Rule::SentinelQuorum => tree::no_quorum(alert, clock),
        Rule::ClusterDown => tree::cluster_down(alert, clock),
        Rule::ReceiverFailing => exporter::receiver_fails(alert, clock),
        Rule::MonitorIsolated => exporter::isolated(alert, clock),
        Rule::ExporterFault => exporter::no_access(alert, clock),
        Rule::ConfigReloadFailed => exporter::reload_failed(alert, clock),
        Rule::ExporterOverloaded => exporter::overloaded(alert, clock),
        Rule::BacklogHeadroom => foresight::short_backlog(alert),
        Rule::OutputBuffer => foresight::full_buffer(alert),
        Rule::SyncQueue
        | Rule::SitesDiverged
        | Rule::ClockSkew
        | Rule::CounterRegressed
        | Rule::SitesUnknown => sites::firing(alert, clock),
    }
}

fn resolved(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    if ended.reason == ResolveReason::Removed {
        let line = Sentence::words(format!("{}: closed, no longer configured", subject(alert)));
        return lasted(line, alert, clock).and(".");
    }
    match alert.identity.rule {
        Rule::Diverged => pair::no_longer_diverged(alert, ended, clock),
        rule if ended.reason == ResolveReason::Failover && rule != Rule::Failover => {
            pair::turned(alert, clock)
        }
        Rule::LagSeconds | Rule::LagBytes => pair::caught_up(alert, ended, clock),
        Rule::LinkDown => pair::link_is_back(alert, ended, clock),
        Rule::Unknown => pair::known_again(alert, ended, clock),
        Rule::Unreachable => server::answers_again(alert, ended, clock),
        Rule::FullSync => server::no_more_full_syncs(alert),
        Rule::Failover => tree::no_more_failovers(alert, clock),
        Rule::HistoryLost => history::over(alert, ended, clock),
        Rule::SentinelQuorum => tree::quorum_is_back(alert, ended, clock),
        Rule::ClusterDown => tree::cluster_is_back(alert, ended, clock),
        Rule::ReceiverFailing => exporter::receiver_works(alert, ended, clock),
        Rule::MonitorIsolated => exporter::connected(alert, ended, clock),
        Rule::ExporterFault => exporter::access_is_back(alert, ended, clock),
        Rule::ConfigReloadFailed => exporter::reloaded(alert, ended, clock),
        Rule::ExporterOverloaded => exporter::keeps_its_intervals(alert, ended, clock),
        Rule::BacklogHeadroom => foresight::backlog_is_long_enough(alert),
        Rule::OutputBuffer => foresight::buffer_is_drained(alert),
        Rule::SyncQueue
        | Rule::SitesDiverged
        | Rule::ClockSkew
        | Rule::CounterRegressed
        | Rule::SitesUnknown => sites::over(alert, ended, clock),
    }
}

/// The target of the alert, at the beginning of a sentence.
fn subject(alert: &AlertSnapshot) -> String {
    match alert.identity.rule {
        Rule::LagSeconds
        | Rule::LagBytes
        | Rule::LinkDown
        | Rule::Unknown
        | Rule::Diverged
        | Rule::HistoryLost
        | Rule::BacklogHeadroom
        | Rule::OutputBuffer => pair::subject(&pair::news(alert)),
        Rule::Unreachable | Rule::FullSync | Rule::ExporterFault => server::subject(alert),
        Rule::Failover | Rule::SentinelQuorum => alert.label("pair").to_owned(),
        Rule::ClusterDown => format!("cluster {}", alert.label("cluster")),
        Rule::SyncQueue
        | Rule::SitesDiverged
        | Rule::ClockSkew
        | Rule::CounterRegressed
        | Rule::SitesUnknown => sites::subject(alert),
        Rule::ReceiverFailing => format!("receiver {}", alert.label("receiver")),
        Rule::MonitorIsolated | Rule::ConfigReloadFailed | Rule::ExporterOverloaded => {
            "this exporter".to_owned()
        }
    }
}

/// ` for 60 s (since 06:43:28 UTC)`: how long the fault has lasted.
fn lasting(line: Sentence, since: Option<Timestamp>, clock: Clock<'_>) -> Sentence {
    let Some(since) = since else {
        return line;
    };
    let lasts = words::span(clock.now - since, Rounding::Nearest);
    let line = line.and(format!(" for {lasts} (since "));
    line.at(since, clock).and(")")
}

/// `06:43:28 to 06:44:28 UTC (60 s)`: when the fault was, or the alert where the beginning of the
/// fault is not known.
fn stretch(line: Sentence, alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let context = &alert.context;
    let since = context.fault_since.unwrap_or(alert.started_at);
    let until = context.fault_until.unwrap_or(ended.at).max(since);
    let lasted = words::span(until - since, Rounding::Nearest);
    let line = line.from_to(since, until, clock);
    line.and(format!(" ({lasted})"))
}

/// `; it had lasted for 60 s (since 06:43:28 UTC)`, where that is known.
fn lasted(line: Sentence, alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    match alert.context.fault_since {
        Some(since) => lasting(line.and("; it had lasted"), Some(since), clock),
        None => line,
    }
}

#[cfg(test)]
mod tests;
