//! Sentences about servers: those that do not answer, and those that give full syncs.

use super::sentence::Sentence;
use super::words::{Clock, Rounding, count, names, span};
use super::{Ended, lasting, loss, stretch};
use crate::alert::{AlertSnapshot, Details, Quantity, ServedPair, ServiceRole};
use crate::model::{PollError, Span};

/// How many names of pairs one sentence has.
const MAX_NAMES: usize = 3;

/// An unknown lag in comparisons: it is longer than any other.
const UNKNOWN_LAG: Span = Span::from_nanos(i64::MAX);

/// The server and its part in its pairs: `orders: master 127.1.0.10:6379 (dc1)`.
pub(super) fn subject(alert: &AlertSnapshot) -> String {
    let server = format!("{} ({})", alert.label("server"), alert.label("dc"));
    let services = &alert.context.services;
    let Some(first) = services.first() else {
        return server;
    };
    let own = pair_names(services, first.role);
    let pairs = some_names(&own, alert.context.more_services);
    if first.role == ServiceRole::Replica {
        return format!("{pairs}: replica {server}");
    }
    let also = pair_names(services, ServiceRole::Replica);
    if also.is_empty() {
        return format!("{pairs}: master {server}");
    }
    let also = some_names(&also, 0);
    format!("{pairs}: master {server} (also replica of {also})")
}

/// The first names, and how many there are beyond them; `more` were never listed.
fn some_names(all: &[&str], more: usize) -> String {
    let shown: Vec<&str> = all.iter().take(MAX_NAMES).copied().collect();
    names(&shown, all.len() - shown.len() + more)
}

/// The names of the pairs in which the server has this role, each once.
fn pair_names(services: &[ServedPair], role: ServiceRole) -> Vec<&str> {
    let own = services.iter().filter(|service| service.role == role);
    let mut names: Vec<&str> = own.map(|service| service.pair.as_str()).collect();
    names.dedup();
    names
}

/// The server does not answer.
pub(super) fn silent(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let context = &alert.context;
    let subject = subject(alert);
    if let Some(until) = context.fault_until {
        let line = Sentence::words(format!("{subject} answers again since ")).at(until, clock);
        if context.history_lost {
            return line.and(
                ", but its replication history is lost: RedisCrossDcHistoryLost has what is missing.",
            );
        }
        return line.and(".");
    }
    let line = Sentence::words(format!("{subject} {}", fails(context.error)));
    let line = lasting(line, context.fault_since, clock).and(".");
    line.and_line(cost(alert, clock))
}

/// What the server has done since its polls fail; the sentence goes on with how long.
const fn fails(error: Option<PollError>) -> &'static str {
    match error {
        None | Some(PollError::Timeout) => "has not answered",
        Some(PollError::Refused) => "has refused connections",
        Some(PollError::Reset) => "has closed every connection",
        Some(PollError::Dns) => "has not been found by its name",
        Some(PollError::Tls) => "has failed the TLS handshake",
        Some(PollError::Auth) => "has refused the exporter's login",
        Some(PollError::Denied) => "has not let the exporter call INFO",
        Some(PollError::Loading) => "has been loading its data set",
        Some(PollError::Busy) => "has been busy with a script",
        Some(PollError::MaxClients) => "has had no room for another client",
        Some(PollError::TooLarge | PollError::Protocol | PollError::Parse) => {
            "has not answered as a Redis server"
        }
    }
}

/// What failing over would lose, or what is at risk without the replica: for the pair, or for the
/// worst of several.
fn cost(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let services = &alert.context.services;
    let Some(first) = services.first() else {
        return Sentence::default();
    };
    match first.role {
        ServiceRole::Master => cost_of_master(alert, &first.pair, clock),
        ServiceRole::Replica => cost_of_replica(alert, clock),
    }
}

/// What would be lost without the replica, for the worst of its pairs.
fn cost_of_replica(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let services = alert.context.services.iter();
    let replicas = services.filter(|service| service.role == ServiceRole::Replica);
    let Some(worst) = replicas.max_by_key(|service| worst_lag(service)) else {
        return Sentence::default();
    };
    let dc = if is_elsewhere(worst, alert) {
        worst.peer_dc.as_str()
    } else {
        "the master"
    };
    let at_risk = loss::claimable(worst.at_risk.as_ref(), worst.history_lost);
    loss::if_died(dc, at_risk, clock)
}

/// What failing over from the master of `pair` to its best replica would lose.
fn cost_of_master(alert: &AlertSnapshot, pair: &str, clock: Clock<'_>) -> Sentence {
    let services = &alert.context.services;
    let of_pair = services
        .iter()
        .filter(|service| service.role == ServiceRole::Master && service.pair == pair);
    let Some(best) = of_pair.min_by_key(|service| worst_lag(service)) else {
        return Sentence::default();
    };
    let mut to = if is_elsewhere(best, alert) {
        best.peer_dc.clone()
    } else {
        best.peer.clone()
    };
    let has_other_pairs = pair_names(services, ServiceRole::Master).len() > 1;
    if has_other_pairs {
        to = format!("{to} ({pair})");
    }
    let at_risk = loss::claimable(best.at_risk.as_ref(), best.history_lost);
    loss::by_failover(&to, at_risk, clock)
}

/// Whether the other server of the pair is known to be in another datacenter.
fn is_elsewhere(service: &ServedPair, alert: &AlertSnapshot) -> bool {
    service.peer_dc != alert.label("dc") && service.peer_dc != "unknown"
}

/// The pair's lag for comparisons: its upper bound; an unknown one is the worst.
fn worst_lag(service: &ServedPair) -> Span {
    let Some(risk) = &service.at_risk else {
        return UNKNOWN_LAG;
    };
    risk.lag.upper.or(risk.lag.estimate).unwrap_or(UNKNOWN_LAG)
}

/// The server answers again.
pub(super) fn answers_again(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let line = Sentence::words(format!("{}: resolved. No answer ", subject(alert)));
    let line = stretch(line, alert, ended, clock);
    let context = &alert.context;
    if context.history_lost {
        return line.and(
            "; it answers again, but its replication history is lost: RedisCrossDcHistoryLost has \
             what is missing.",
        );
    }
    if context.is_the_same() {
        return line.and("; it is the same process: nothing of its data is lost.");
    }
    let is_known = context.same_since.is_some() && context.fault_since.is_some();
    if is_known {
        return line.and("; it is another process: it was restarted.");
    }
    line.and(".")
}

/// The server started full syncs: first those under way, with their progress.
pub(super) fn full_syncs(alert: &AlertSnapshot) -> Sentence {
    let number = match alert.value.best() {
        Some(Quantity::Count(number)) => number,
        _ => 0,
    };
    let syncs = count(number, "full sync", "full syncs");
    let total = format!("{} gave {syncs}{}.", subject(alert), in_window(alert));
    let mut parts = under_way(&alert.context.services);
    parts.truncate(MAX_NAMES);
    parts.push(total);
    Sentence::words(parts.concat())
}

/// `orders: full sync to 127.2.0.10:6379: 1.0 MiB of 5.0 MiB. `, for each full sync in progress.
fn under_way(services: &[ServedPair]) -> Vec<String> {
    let mut parts = Vec::new();
    for service in services {
        let ServedPair { pair, peer, .. } = service;
        if service.role == ServiceRole::Master
            && let Some(sync) = service.sync
        {
            parts.push(format!("{pair}: full sync to {peer}: {sync}. "));
        }
    }
    parts
}

/// No more full syncs.
pub(super) fn no_more_full_syncs(alert: &AlertSnapshot) -> Sentence {
    let subject = subject(alert);
    let window = in_window(alert);
    Sentence::words(format!(
        "{subject}: resolved. No further full sync{window}."
    ))
}

/// ` in the last 10 min`, where that is known.
fn in_window(alert: &AlertSnapshot) -> String {
    match &alert.context.details {
        Some(Details::FullSyncs { window }) => {
            format!(" in the last {}", span(*window, Rounding::Nearest))
        }
        _ => String::new(),
    }
}
