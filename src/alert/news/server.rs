//! Sentences about servers: unreachable, and full syncs.

use super::sentence::Sentence;
use super::words::{Clock, Rounding, count, names, span};
use super::{Ended, lasting, loss, stretch};
use crate::alert::{AlertSnapshot, AtRisk, Details, Quantity, ServedPair, ServiceRole};
use crate::model::PollError;

/// How many names of pairs one sentence has.
const MAX_NAMES: usize = 3;

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
        return Sentence::words(format!("{subject} answers again since "))
            .at(until, clock)
            .and(if context.history_lost {
                ", but its replication history is lost: RedisCrossDcHistoryLost has what is missing."
            } else {
                "."
            });
    }
    let line = Sentence::words(format!("{subject} {}", fails(context.error)));
    let line = lasting(line, context.fault_since, clock).and(".");
    line.and_line(cost(alert, clock))
}

/// What the server has done since its polls fail; how long follows.
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
    let own = services.iter().filter(|service| service.role == first.role);
    if first.role == ServiceRole::Replica {
        let Some(worst) = own.max_by_key(|service| at_worst(service.at_risk.as_ref())) else {
            return Sentence::default();
        };
        let dc = &worst.peer_dc;
        let is_here = dc == alert.label("dc") || dc == "unknown";
        let who = if is_here { "the master" } else { dc.as_str() };
        let at_risk = loss::claimable(worst.at_risk.as_ref(), worst.history_lost);
        return loss::if_died(who, at_risk, clock);
    }
    // A pair fails over to its best replica.
    let best = own
        .filter(|service| service.pair == first.pair)
        .min_by_key(|service| at_worst(service.at_risk.as_ref()));
    let Some(best) = best else {
        return Sentence::default();
    };
    let is_elsewhere = best.peer_dc != alert.label("dc") && best.peer_dc != "unknown";
    let others = pair_names(services, ServiceRole::Master).len() > 1;
    let to = if is_elsewhere {
        &best.peer_dc
    } else {
        &best.peer
    };
    let to = if others {
        format!("{to} ({})", best.pair)
    } else {
        to.clone()
    };
    let at_risk = loss::claimable(best.at_risk.as_ref(), best.history_lost);
    loss::by_failover(&to, at_risk, clock)
}

/// The risk for comparisons: the upper bound in nanoseconds; an unknown one is the worst.
fn at_worst(risk: Option<&AtRisk>) -> i64 {
    let lag = risk.and_then(|risk| risk.lag.upper.or(risk.lag.estimate));
    lag.map_or(i64::MAX, crate::model::Span::as_nanos)
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
    let services = &alert.context.services;
    let given = services
        .iter()
        .filter(|service| service.role == ServiceRole::Master);
    let under_way = given.filter_map(|service| {
        let sync = service.sync?;
        let ServedPair { pair, peer, .. } = service;
        Some(format!("{pair}: full sync to {peer}: {sync}. "))
    });
    let under_way: String = under_way.take(MAX_NAMES).collect();
    let total = format!("{} gave {}.", subject(alert), syncs(alert));
    Sentence::words(under_way + &total)
}

fn syncs(alert: &AlertSnapshot) -> String {
    let number = match alert.value.best() {
        Some(Quantity::Count(number)) => number,
        _ => 0,
    };
    let text = count(number, "full sync", "full syncs");
    match &alert.context.details {
        Some(Details::FullSyncs { window }) => {
            format!("{text} in the last {}", span(*window, Rounding::Nearest))
        }
        _ => text,
    }
}

/// No more full syncs.
pub(super) fn no_more_full_syncs(alert: &AlertSnapshot) -> Sentence {
    let subject = subject(alert);
    let text = match &alert.context.details {
        Some(Details::FullSyncs { window }) => {
            format!(" in the last {}", span(*window, Rounding::Nearest))
        }
        _ => String::new(),
    };
    Sentence::words(format!("{subject}: resolved. No further full sync{text}."))
}
