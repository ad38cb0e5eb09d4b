//! The rows of the page's tables: values of a report as people read them.

use super::links::way;
use super::plot::Spark;
use super::query::{pair_address, runbook_address};
use crate::alert::{Labels, SilenceRecord, SilenceState};
use crate::journal::{JournalEntry, JournalEvent};
use crate::monitor::FleetSnapshot;
use crate::report::{
    AlertReport, DeadLetterReport, DeliveryReport, FailoverReport, FailoversReport,
    JournalEntryReport, LastKnownReport, Level, ListedState, PairReport, ReceiverReport,
    SentinelReport, SentinelsReport, ServerReport, amount_text, bytes_text, lag_text, seconds_text,
    utc_text,
};

/// What stands where a value is not known.
pub(super) const NOT_KNOWN: &str = "-";

/// An instant, for people in UTC and for the script that adds the reader's own time.
pub(super) struct Moment {
    /// RFC 3339.
    pub(super) machine: String,
    pub(super) text: String,
    /// Its time of day.
    pub(super) clock: String,
}

impl Moment {
    pub(super) fn from_unix(timestamp: f64) -> Self {
        let text = utc_text(timestamp);
        let machine = text
            .strip_suffix(" UTC")
            .map(|date| format!("{}Z", date.replace(' ', "T")));
        Self {
            machine: machine.unwrap_or_default(),
            clock: text.get(11..).unwrap_or(NOT_KNOWN).to_owned(),
            text,
        }
    }
}

pub(super) struct AlertRow {
    pub(super) name: String,
    /// What happened, to whom and since when, and what would be lost now.
    pub(super) summary: String,
    pub(super) level: &'static str,
    pub(super) state: &'static str,
    pub(super) about: String,
    pub(super) address: Option<String>,
    pub(super) value: String,
    /// What the value is compared with; of what is resolved, how long it lasted.
    pub(super) limit: String,
    pub(super) since: Moment,
    pub(super) until: Option<Moment>,
    pub(super) reason: String,
    /// The runbook, with the addresses of what the alert is about.
    pub(super) runbook: String,
    /// Why nobody is told of it, where that is so.
    pub(super) held: Option<String>,
    /// What a silence of it looks for, a line each.
    pub(super) matchers: String,
}

/// A silence that is in force, to come, or over.
pub(super) struct SilenceRow {
    pub(super) id: String,
    pub(super) state: &'static str,
    pub(super) level: &'static str,
    pub(super) matchers: String,
    pub(super) from: Moment,
    pub(super) until: Moment,
    pub(super) author: String,
    pub(super) comment: String,
    /// Whether it can be ended.
    pub(super) open: bool,
}

/// A receiver, and how deliveries to it go.
pub(super) struct ReceiverRow {
    pub(super) name: String,
    pub(super) level: &'static str,
    pub(super) waiting: String,
    pub(super) last: Option<Moment>,
    pub(super) given_up: u64,
    pub(super) closed_until: Option<Moment>,
    /// Since when it fails, where it does.
    pub(super) failing_since: Option<Moment>,
    /// What is wrong; empty where nothing is.
    pub(super) trouble: String,
}

/// Something that a receiver was told, or was to be told.
pub(super) struct DeliveryRow {
    pub(super) id: String,
    pub(super) receiver: String,
    pub(super) level: &'static str,
    pub(super) about: String,
    pub(super) status: String,
    pub(super) at: Moment,
    pub(super) attempts: u32,
    pub(super) outcome: String,
    /// Whether it may be sent again.
    pub(super) again: bool,
}

pub(super) struct ServerRow {
    pub(super) server: String,
    pub(super) dc: String,
    pub(super) silent_for: String,
    pub(super) last_answer: Option<Moment>,
    pub(super) reason: String,
}

/// The last failover of an entry.
pub(super) struct FailoverRow {
    pub(super) pair: String,
    pub(super) at: Moment,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) total: u64,
    pub(super) lost: String,
    pub(super) reason: String,
}

pub(super) struct SentinelRow {
    pub(super) pair: String,
    pub(super) master: String,
    pub(super) answering: String,
    pub(super) seeing_quorum: String,
    pub(super) level: &'static str,
    pub(super) trouble: String,
}

pub(super) struct PairRow {
    pub(super) name: String,
    pub(super) address: String,
    /// From where to where.
    pub(super) way: String,
    pub(super) master: String,
    pub(super) replica: String,
    pub(super) level: &'static str,
    pub(super) state: &'static str,
    /// The estimate, or the bound where there is no more.
    pub(super) lag: String,
    /// The interval that certainly holds it; empty where `lag` says all.
    pub(super) certain: String,
    pub(super) spark: Option<Spark>,
    pub(super) bytes: String,
    pub(super) headroom: String,
    pub(super) reason: String,
}

pub(super) struct HappeningRow {
    pub(super) at: Moment,
    pub(super) level: &'static str,
    pub(super) what: String,
    pub(super) about: String,
    pub(super) address: Option<String>,
    pub(super) reason: String,
}

impl AlertRow {
    pub(super) fn new(alert: &AlertReport) -> Self {
        let label = |name| alert.labels.get(name).map(String::as_str);
        let replica = label("pair").zip(label("replica"));
        Self {
            name: alert.alertname.clone(),
            summary: alert.summary.clone(),
            level: if alert.state == ListedState::Firing {
                alert.severity.label()
            } else {
                alert.state.label()
            },
            state: if alert.recovering {
                "recovering"
            } else {
                alert.state.label()
            },
            about: about(&alert.labels),
            address: replica.map(|(pair, replica)| pair_address(pair, replica)),
            value: alert_value(alert),
            limit: limit(alert),
            since: Moment::from_unix(since(alert)),
            until: until(alert).map(Moment::from_unix),
            reason: alert.reason.clone().unwrap_or_default(),
            runbook: runbook_address(alert),
            held: held(alert),
            matchers: matchers(alert),
        }
    }
}

fn held(alert: &AlertReport) -> Option<String> {
    let silenced = alert.silenced_by.as_ref().map(|_| "silenced".to_owned());
    let maintenance = alert
        .maintenance
        .as_ref()
        .map(|window| format!("maintenance: {window}"));
    let caused = alert
        .caused_by
        .as_ref()
        .map(|cause| format!("explained by {}", cause.alertname));
    silenced
        .or(maintenance)
        .or(caused)
        .or(alert.flapping.then(|| "flapping".to_owned()))
}

/// What tells the alert from others: its name and what it is about, without the labels that a
/// configuration adds.
fn matchers(alert: &AlertReport) -> String {
    let own = ["pair", "replica", "server", "name", "receiver"];
    let of_label = |name: &&str| Some(format!("{name}={}", alert.labels.get(*name)?));
    let name = format!("alertname={}", alert.alertname);
    std::iter::once(name)
        .chain(own.iter().filter_map(of_label))
        .collect::<Vec<_>>()
        .join("\n")
}

impl SilenceRow {
    pub(super) fn new((state, record): &(SilenceState, SilenceRecord)) -> Self {
        let matchers: Vec<_> = record
            .matchers
            .iter()
            .map(|(name, glob)| format!("{name}={glob}"))
            .collect();
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

/// What an alert is about: first what it is called, then where, then the other labels.
fn about(labels: &Labels) -> String {
    let label = |name| labels.get(name).cloned();
    let way = label("source_dc")
        .zip(label("target_dc"))
        .map(|(from, to)| format!("{from} → {to}"));
    let named = [
        label("pair"),
        label("name"),
        label("server"),
        label("receiver"),
        way,
        label("dc"),
    ];
    let replica = label("replica").map(|replica| format!("replica {replica}"));
    let told = [
        "pair",
        "name",
        "server",
        "receiver",
        "source_dc",
        "target_dc",
        "dc",
        "replica",
    ];
    let others = labels
        .iter()
        .filter(|(name, _)| !told.contains(&name.as_str()));
    let others = others.map(|(name, value)| format!("{name}={value}"));
    named
        .into_iter()
        .flatten()
        .chain(replica)
        .chain(others)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The value now; of what is resolved, the worst that it was.
fn alert_value(alert: &AlertReport) -> String {
    let text = |amount| amount_text(amount, alert.unit);
    if alert.state == ListedState::Resolved {
        let peak = alert.peak.map(text);
        return peak.map_or_else(|| NOT_KNOWN.to_owned(), |peak| format!("up to {peak}"));
    }
    match (alert.value, alert.lower) {
        (Some(value), _) => text(value),
        (None, Some(lower)) => format!("at least {}", text(lower)),
        (None, None) => NOT_KNOWN.to_owned(),
    }
}

/// Since when the fault lasts; of an alert without one, since when its condition holds.
fn since(alert: &AlertReport) -> f64 {
    let fault = alert.fault_since_timestamp;
    fault.unwrap_or(alert.started_timestamp)
}

/// When that ended, of what is resolved.
fn until(alert: &AlertReport) -> Option<f64> {
    let resolved = alert.resolved_timestamp?;
    Some(alert.fault_until_timestamp.unwrap_or(resolved))
}

/// `warning from 10.0 s`; of what is resolved `lasted 60.0 s`.
fn limit(alert: &AlertReport) -> String {
    if let Some(until) = until(alert) {
        return format!("lasted {}", seconds_text(until - since(alert)));
    }
    let threshold = amount_text(alert.threshold, alert.unit);
    format!("{} from {threshold}", alert.severity.label())
}

impl ServerRow {
    pub(super) fn new(server: &ServerReport) -> Self {
        Self {
            server: server.server.clone(),
            dc: server.dc.clone(),
            silent_for: server
                .unreachable_seconds
                .map_or_else(|| NOT_KNOWN.to_owned(), seconds_text),
            last_answer: server.last_answer_timestamp.map(Moment::from_unix),
            reason: server
                .reason
                .clone()
                .unwrap_or_else(|| NOT_KNOWN.to_owned()),
        }
    }
}

impl ReceiverRow {
    pub(super) fn new(receiver: &ReceiverReport) -> Self {
        let since = receiver
            .oldest_timestamp
            .map(|at| format!("{}, since {}", receiver.waiting, utc_text(at)));
        let levels = [Level::Ok, Level::Warning, Level::Critical];
        let level = levels
            .into_iter()
            .find(|level| level.label() == receiver.level)
            .unwrap_or(Level::Unknown);
        Self {
            name: receiver.receiver.clone(),
            level: level.label(),
            waiting: since.unwrap_or_else(|| receiver.waiting.to_string()),
            last: receiver.last_success_timestamp.map(Moment::from_unix),
            given_up: receiver.given_up,
            closed_until: receiver.circuit_open_until_timestamp.map(Moment::from_unix),
            failing_since: receiver.failing_since_timestamp.map(Moment::from_unix),
            trouble: receiver.trouble.clone().unwrap_or_default(),
        }
    }
}

impl DeliveryRow {
    pub(super) fn new(delivery: &DeliveryReport) -> Self {
        let subject = &delivery.subject;
        let name = subject
            .group
            .get("alertname")
            .cloned()
            .unwrap_or_else(|| NOT_KNOWN.to_owned());
        let mut others = subject.group.clone();
        others.remove("alertname");
        Self {
            id: subject.id.clone(),
            receiver: subject.receiver.clone(),
            level: if delivery.failure.is_some() {
                Level::Critical.label()
            } else {
                Level::Ok.label()
            },
            about: [name, about(&others)]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
            status: format!(
                "{} ({}), {}",
                subject.status,
                subject.severity.label(),
                subject.reason
            ),
            at: Moment::from_unix(delivery.ended_timestamp),
            attempts: subject.attempts,
            outcome: delivery
                .failure
                .as_ref()
                .map_or_else(|| "taken".to_owned(), |why| given_up(why, delivery)),
            again: false,
        }
    }

    pub(super) fn from_dead_letter(letter: &DeadLetterReport) -> Self {
        let row = Self::new(&letter.delivery);
        let over = if letter.over {
            "; what it says is over"
        } else {
            ""
        };
        Self {
            outcome: row.outcome.clone() + over,
            again: !letter.over,
            ..row
        }
    }
}

/// Why a delivery was given up: by what the receiver answered, where that is known.
fn given_up(why: &str, delivery: &DeliveryReport) -> String {
    format!("given up: {}", delivery.answer.as_deref().unwrap_or(why))
}

impl FailoverRow {
    pub(super) fn new((entry, latest): (&FailoversReport, &FailoverReport)) -> Self {
        let gone = match (latest.lost_bytes, latest.lost_at_least_bytes) {
            (None, Some(least)) if least > 0 => format!("at least {}", bytes_text(Some(least))),
            (known, _) => bytes_text(known),
        };
        Self {
            pair: entry.pair.clone(),
            at: Moment::from_unix(latest.timestamp),
            from: format!("{} ({})", latest.from, latest.from_dc),
            to: format!("{} ({})", latest.to, latest.to_dc),
            total: entry.total,
            lost: gone,
            reason: latest.reason.clone(),
        }
    }
}

impl SentinelRow {
    pub(super) fn new(group: &SentinelsReport) -> Self {
        let all = group.sentinels.len();
        let count = |is: fn(&SentinelReport) -> Option<bool>| {
            let said = group
                .sentinels
                .iter()
                .filter(|sentinel| is(sentinel) == Some(true))
                .count();
            format!("{said} of {all}")
        };
        let of_sentinel = |sentinel: &SentinelReport| {
            Some(format!("{}: {}", sentinel.server, sentinel.trouble()?))
        };
        let trouble = group
            .sentinels
            .iter()
            .filter_map(of_sentinel)
            .chain(group.risks.iter().cloned());
        let trouble = trouble.collect::<Vec<_>>().join("; ");
        Self {
            pair: group.pair.clone(),
            master: group.master.clone().unwrap_or_else(|| NOT_KNOWN.to_owned()),
            answering: count(|sentinel| sentinel.up),
            seeing_quorum: count(|sentinel| sentinel.quorum_ok),
            level: if trouble.is_empty() {
                Level::Ok.label()
            } else {
                Level::Warning.label()
            },
            trouble: if trouble.is_empty() {
                NOT_KNOWN.to_owned()
            } else {
                trouble
            },
        }
    }
}

impl PairRow {
    pub(super) fn new(pair: &PairReport, spark: Option<Spark>) -> Self {
        let lag = lag_text(
            pair.lag_lower_seconds,
            pair.lag_seconds,
            pair.lag_upper_seconds,
        );
        let (lag, certain) = match lag.split_once(" (") {
            Some((lag, certain)) => (lag.to_owned(), certain.trim_end_matches(')').to_owned()),
            None => (lag, String::new()),
        };
        Self {
            name: pair.pair.clone(),
            address: pair_address(&pair.pair, &pair.replica),
            way: way(&pair.source_dc, &pair.target_dc),
            master: pair.master.clone(),
            replica: pair.replica.clone(),
            level: pair.level().label(),
            state: pair.state.label(),
            lag,
            certain,
            spark,
            bytes: lag_bytes(pair),
            headroom: bytes_text(pair.backlog_headroom_bytes),
            reason: reason(pair),
        }
    }
}

pub(super) fn lag_bytes(pair: &PairReport) -> String {
    match (pair.lag_bytes, pair.lag_lower_bytes) {
        (None, Some(lower)) if lower > 0 => format!("at least {}", bytes_text(Some(lower))),
        (estimate, _) => bytes_text(estimate),
    }
}

/// The reason, with what else a person must know: that the lag is an assumption, or the last that
/// was certain.
pub(super) fn reason(pair: &PairReport) -> String {
    let stale = "the lag assumes that the silent replica applies nothing but what it acknowledges";
    let last_certain = pair
        .last_known
        .filter(|_| pair.lag_seconds.is_none())
        .map(last_certain);
    let parts = [
        Some(pair.why()),
        pair.stale.then(|| stale.to_owned()),
        last_certain,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn last_certain(known: LastKnownReport) -> String {
    let upper = seconds_text(known.lag_upper_seconds);
    let when = utc_text(known.timestamp);
    format!(
        "last certain: at most {upper} ({}) at {when}",
        bytes_text(known.lag_upper_bytes)
    )
}

impl HappeningRow {
    pub(super) fn new(fleet: &FleetSnapshot, happening: &JournalEntry) -> Self {
        match JournalEntryReport::new(fleet, happening) {
            JournalEntryReport::State {
                timestamp,
                pair,
                replica,
                from,
                state,
                reason,
            } => Self {
                at: Moment::from_unix(timestamp),
                level: Level::from_state(state).label(),
                what: format!(
                    "{} → {}",
                    from.map_or(NOT_KNOWN, |from| from.label()),
                    state.label()
                ),
                address: Some(pair_address(&pair, &replica)),
                about: format!("{pair}, replica {replica}"),
                reason,
            },
            JournalEntryReport::Alert {
                timestamp,
                change,
                alert,
            } => {
                let row = AlertRow::new(&alert);
                Self {
                    at: Moment::from_unix(timestamp),
                    level: if alert.state == ListedState::Resolved {
                        Level::Ok.label()
                    } else {
                        alert.severity.label()
                    },
                    what: format!("{} {change}", row.name),
                    about: row.about,
                    address: row.address,
                    reason: row.reason,
                }
            }
        }
    }

    /// Whether it is an alert about a pair or one of its servers. The pair's states have a table of
    /// their own.
    pub(super) fn is_alert_about(happening: &JournalEntry, pair: &PairReport) -> bool {
        let JournalEvent::Alert(transition) = &happening.event else {
            return false;
        };
        let labels = &transition.alert.identity.labels;
        let label = |name| labels.get(name).map(String::as_str);
        let own = label("pair") == Some(&pair.pair)
            && label("replica").is_none_or(|replica| replica == pair.replica);
        let servers = [pair.master.as_str(), pair.replica.as_str()];
        own || label("server").is_some_and(|server| servers.contains(&server))
    }
}
