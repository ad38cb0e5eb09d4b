//! Sentences about pairs: lag, a broken link, an unknown lag, and diverged histories.

use super::sentence::Sentence;
use super::words::{Clock, Rounding, bytes, span};
use super::{Ended, lasted, lasting, loss, stretch};
use crate::alert::{
    AlertSnapshot, AtRisk, BacklogHeadroom, Details, DivergedFacts, EvidenceUntil, Quantity,
    Recovery, ResolveReason, Resync, Rule, Worst,
};
use crate::model::{Bytes, Span, Timestamp};
use crate::replication::PairState;

/// The facts of a sentence about a pair, from an alert or from a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct PairNews<'a> {
    /// The pair.
    pub pair: &'a str,
    /// The master's datacenter.
    pub source_dc: &'a str,
    /// The replica's datacenter.
    pub target_dc: &'a str,
    /// The replica, `host:port`.
    pub replica: &'a str,
    /// Whether the replica has to be named: another one of the pair runs in the same datacenter.
    pub names_replica: bool,
    /// The link's state.
    pub state: PairState,
    /// Why, as a sentence.
    pub reason: Option<&'a str>,
    /// Since when no data flows, where that is so.
    pub since: Option<Timestamp>,
    /// What would be lost if the master's datacenter failed.
    pub at_risk: Option<&'a AtRisk>,
    /// How much of the backlog is left.
    pub backlog: Option<&'a BacklogHeadroom>,
    /// Whether the master came back without its replication history, and that has not ended.
    pub history_lost: bool,
}

/// Catching up that takes less than this is reported as "at once".
const AT_ONCE: Span = Span::from_millis(50);

/// The sentence about a pair as of now: its state and since when, and what would be lost.
pub fn pair_line(news: &PairNews<'_>, clock: Clock<'_>) -> Sentence {
    let line = state_line(news, clock).and(".");
    line.and_line(loss_line(news, clock))
        .and_line(backlog_line(news))
        .in_one_line()
}

pub(super) fn news(alert: &AlertSnapshot) -> PairNews<'_> {
    let context = &*alert.context;
    PairNews {
        pair: alert.label("pair"),
        source_dc: alert.label("source_dc"),
        target_dc: alert.label("target_dc"),
        replica: alert.label("replica"),
        names_replica: context.names_replica,
        state: context.state.unwrap_or(PairState::Unknown),
        reason: context.reason.as_deref(),
        since: context.fault_since,
        at_risk: context.at_risk.as_ref(),
        backlog: context.backlog.as_ref(),
        history_lost: context.history_lost,
    }
}

/// `orders dc1 → dc2`.
pub(super) fn subject(news: &PairNews<'_>) -> String {
    let PairNews {
        pair,
        source_dc,
        target_dc,
        replica,
        ..
    } = news;
    let direction = format!("{pair} {source_dc} → {target_dc}");
    if news.names_replica {
        format!("{direction} ({replica})")
    } else {
        direction
    }
}

/// The state and since when: `orders dc1 → dc2 stalled for 60 s (since 06:43:28 UTC)`.
fn state_line(news: &PairNews<'_>, clock: Clock<'_>) -> Sentence {
    let subject = subject(news);
    let reason = news.reason.unwrap_or("nothing is known");
    let lasts = |what: &str| {
        let line = Sentence::words(format!("{subject} {what}"));
        lasting(line, news.since, clock)
    };
    match news.state {
        PairState::Streaming => Sentence::words(format!("{subject} streaming")),
        PairState::Stalled => lasts("stalled"),
        PairState::LinkDown => lasts("link down"),
        PairState::FullSync => lasts("out of sync").and(format!(": {reason}")),
        _ => Sentence::words(format!("{subject}: {reason}")),
    }
}

fn loss_line(news: &PairNews<'_>, clock: Clock<'_>) -> Sentence {
    let at_risk = loss::claimable(news.at_risk, news.history_lost);
    match news.state {
        PairState::Diverged | PairState::Unsupported | PairState::NeverSynced => {
            Sentence::default()
        }
        PairState::MasterUnreachable => loss::by_failover(&failover_target(news), at_risk, clock),
        _ => loss::if_died(&failing(news), at_risk, clock),
    }
}

/// What may fail: the source datacenter, or the master where the replica runs in the same one.
fn failing(news: &PairNews<'_>) -> String {
    if news.source_dc == news.target_dc || news.source_dc == "unknown" {
        "the master".to_owned()
    } else {
        news.source_dc.to_owned()
    }
}

fn failover_target(news: &PairNews<'_>) -> String {
    if news.source_dc == news.target_dc || news.target_dc == "unknown" || news.names_replica {
        news.replica.to_owned()
    } else {
        news.target_dc.to_owned()
    }
}

/// How long the backlog lasts, while the replica is cut off.
fn backlog_line(news: &PairNews<'_>) -> Sentence {
    let is_down = match news.state {
        PairState::LinkDown => true,
        PairState::Stalled => false,
        _ => return Sentence::default(),
    };
    let Some(backlog) = news.backlog else {
        return Sentence::default();
    };
    let text = match (backlog.headroom, backlog.lasts) {
        (Bytes::ZERO, _) if is_down => {
            " The backlog has overflowed: a full resync is certain.".to_owned()
        }
        (Bytes::ZERO, _) => {
            " The backlog has overflowed: a full resync follows if the connection breaks."
                .to_owned()
        }
        (_, Some(lasts)) => {
            let lasts = span(lasts, Rounding::Down);
            format!(" Backlog lasts ~{lasts} more, then a full resync.")
        }
        (headroom, None) => {
            let left = bytes(headroom, Rounding::Down);
            format!(" Backlog has {left} left, then a full resync.")
        }
    };
    Sentence::words(text)
}

/// The link is down or stalled, or streams again while the alert recovers.
pub(super) fn link_down(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let news = news(alert);
    if news.state == PairState::Streaming
        && let Some(since) = alert.context.fault_since
        && let Some(until) = alert.context.fault_until
    {
        let line = Sentence::words(format!("{} streaming again since ", subject(&news)));
        let was = if was_stalled(alert) {
            "stalled"
        } else {
            "down"
        };
        let line = line.at(until, clock).and(format!("; {was} "));
        let lasted = span(until - since, Rounding::Nearest);
        let line = line.from_to(since, until, clock);
        let line = line.and(format!(" ({lasted})."));
        return line.and_line(loss_line(&news, clock));
    }
    pair_line(&news, clock)
}

/// Whether the link was stalled and not down.
fn was_stalled(alert: &AlertSnapshot) -> bool {
    alert.context.fault_state == Some(PairState::Stalled)
}

/// The replica is behind.
pub(super) fn behind(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let news = news(alert);
    let subject = subject(&news);
    let amount = match alert.value.best() {
        Some(Quantity::Seconds(lag)) => span(lag, Rounding::Nearest),
        Some(Quantity::Bytes(size)) => bytes(size, Rounding::Nearest),
        _ => return pair_line(&news, clock),
    };
    let state = if news.state == PairState::Streaming {
        String::new()
    } else {
        format!(" ({})", news.state.label().replace('_', " "))
    };
    let line = Sentence::words(format!("{subject} {amount} behind{state}."));
    line.and_line(loss_line(&news, clock))
        .and_line(backlog_line(&news))
}

/// The lag is unknown.
pub(super) fn unknown(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let news = news(alert);
    let line = Sentence::words(format!("{}: lag unknown", subject(&news)));
    let line = lasting(line, news.since, clock);
    let reason = news.reason.unwrap_or("nothing is known");
    let line = line.and(format!(": {reason}."));
    line.and_line(loss_line(&news, clock))
}

/// Master and replica have different histories.
pub(super) fn diverged(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let news = news(alert);
    let pair = news.pair;
    let Some(Details::Diverged(facts)) = &alert.context.details else {
        let line = Sentence::words(format!("{} diverged", subject(&news)));
        return lasting(line, news.since, clock).and(".");
    };
    if facts.two_masters {
        let line = Sentence::words(format!("{pair}: two masters"));
        let line = lasting(line, news.since, clock);
        let alone = alone(facts, &news);
        let line = line.and(format!(
            ": {alone}. Whichever becomes the other's replica loses what only it has."
        ));
        return line.and(capture(facts)).and(evidence(facts, clock));
    }
    let replica = &facts.replica;
    let dc = news.target_dc;
    let line = Sentence::words(format!("{pair}: replica {replica} ({dc}) diverged"));
    let line = lasting(line, news.since, clock);
    let writes = match facts.only_replica {
        Some(size) => bytes(size, Rounding::Nearest),
        None => "writes".to_owned(),
    };
    line.and(format!(
        ": {writes} that only it has are lost when it resyncs."
    ))
}

/// What has become of the writes that would be lost; nothing where nobody captures them.
fn capture(facts: &DivergedFacts) -> String {
    let Some(capture) = &facts.capture else {
        return String::new();
    };
    let mut letters = capture.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let sentence: String = first.into_iter().chain(letters).collect();
    format!(" {sentence}.")
}

/// How long the writes that would be lost can still be saved; nothing where that is not known.
fn evidence(facts: &DivergedFacts, clock: Clock<'_>) -> String {
    let Some(EvidenceUntil { at, end }) = facts.evidence else {
        return String::new();
    };
    let left = at - clock.now;
    if left <= Span::ZERO {
        return " It may be too late to save the writes that only the deposed master has."
            .to_owned();
    }
    let left = span(left, Rounding::Down);
    let end = end.sentence();
    format!(
        " The writes that only the deposed master has can be saved for another {left}: then {end}."
    )
}

/// What each of two masters has that the other lacks.
fn alone(facts: &DivergedFacts, news: &PairNews<'_>) -> String {
    let master = format!("{} ({})", facts.master, news.source_dc);
    let replica = format!("{} ({})", facts.replica, news.target_dc);
    match (facts.only_master, facts.only_replica) {
        (Some(only_master), Some(only_replica)) => {
            let only_master = bytes(only_master, Rounding::Nearest);
            let only_replica = bytes(only_replica, Rounding::Nearest);
            format!("{master} has {only_master} alone, {replica} has {only_replica}")
        }
        _ => format!("{master} and {replica}; what each has alone is not known"),
    }
}

/// The link is fine again.
pub(super) fn link_is_back(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let subject = subject(&news(alert));
    let was = if was_stalled(alert) {
        "Stalled"
    } else {
        "Down"
    };
    let line = Sentence::words(format!("{subject}: resolved. {was} "));
    let line = stretch(line, alert, ended, clock);
    let worst = at_worst(alert.context.worst, " behind");
    let how = recovery(alert);
    line.and(format!("{worst}{how}{}.", nothing_lost(alert)))
}

/// The replica is no longer behind.
pub(super) fn caught_up(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let line = Sentence::words(format!("{}: resolved. Behind ", subject(&news(alert))));
    let line = stretch(line, alert, ended, clock);
    let worst = at_worst(alert.context.worst, "");
    let line = line.and(worst);
    let at_risk = alert.context.at_risk.as_ref();
    let lag = at_risk.and_then(|risk| risk.lag.estimate);
    if lag.is_some_and(|lag| lag < Span::from_secs(1)) {
        return line.and(format!("; caught up{}.", nothing_lost(alert)));
    }
    match loss::behind(at_risk) {
        Some(behind) => line.and(format!("; now {behind}.")),
        None => line.and("."),
    }
}

/// `, at worst 60 s / 1.0 MiB behind`.
fn at_worst(worst: Worst, end: &str) -> String {
    let mut parts = Vec::new();
    if let Some(lag) = worst.lag {
        parts.push(span(lag, Rounding::Nearest));
    }
    if let Some(size) = worst.bytes
        && size > Bytes::ZERO
    {
        parts.push(bytes(size, Rounding::Nearest));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!(", at worst {}{end}", parts.join(" / "))
}

/// `; caught up by partial resync in 0.1 s`.
fn recovery(alert: &AlertSnapshot) -> String {
    let Some(Recovery { resync, took }) = alert.context.recovery else {
        return String::new();
    };
    let how = match resync {
        Some(Resync::Partial) => " by partial resync",
        Some(Resync::Full) => " by full resync",
        Some(Resync::None) => " over the same connection",
        None => "",
    };
    match took {
        Some(took) if took < AT_ONCE => format!("; caught up{how} at once"),
        Some(took) => format!("; caught up{how} in {}", span(took, Rounding::Nearest)),
        None => match loss::behind(alert.context.at_risk.as_ref()) {
            Some(behind) => format!("; catching up{how}, still {behind}"),
            None => format!("; catching up{how}"),
        },
    }
}

/// `; nothing lost`, where that is certain: the replica has all of the history in which the fault
/// began, and the master still has that history.
fn nothing_lost(alert: &AlertSnapshot) -> &'static str {
    let context = &alert.context;
    let has_everything = context.recovery.is_none_or(|how| how.took.is_some());
    if has_everything && context.is_the_same() && !context.history_lost {
        "; nothing lost"
    } else {
        ""
    }
}

/// The lag is known again.
pub(super) fn known_again(alert: &AlertSnapshot, ended: Ended, clock: Clock<'_>) -> Sentence {
    let subject = subject(&news(alert));
    let line = Sentence::words(format!("{subject}: resolved. The lag is known again"));
    let line = match loss::behind(alert.context.at_risk.as_ref()) {
        Some(behind) => line.and(format!(", {behind}")),
        None => line,
    };
    stretch(line.and("; unknown "), alert, ended, clock).and(".")
}

/// Another server became the master: the direction that the alert is about is gone.
pub(super) fn turned(alert: &AlertSnapshot, clock: Clock<'_>) -> Sentence {
    let news = news(alert);
    let what = match alert.identity.rule {
        Rule::LinkDown => "link down",
        Rule::Unknown => "lag unknown",
        _ => "behind",
    };
    let subject = subject(&news);
    let text = format!("{subject} {what}: closed by a failover, another server is the master now");
    lasted(Sentence::words(text), alert, clock).and(".")
}

/// Master and replica have the same history again.
pub(super) fn no_longer_diverged(
    alert: &AlertSnapshot,
    ended: Ended,
    clock: Clock<'_>,
) -> Sentence {
    let news = news(alert);
    let Some(Details::Diverged(facts)) = &alert.context.details else {
        let line = Sentence::words(format!("{}: resolved. Diverged ", subject(&news)));
        return stretch(line, alert, ended, clock).and(".");
    };
    let DivergedFacts {
        master, replica, ..
    } = facts;
    let [here, there] = [news.source_dc, news.target_dc];
    let what = if facts.two_masters {
        format!("{master} ({here}) and {replica} ({there}) were both masters ")
    } else {
        format!("{replica} ({there}) had writes of its own ")
    };
    let line = Sentence::words(format!("{}: resolved. {what}", news.pair));
    let line = stretch(line, alert, ended, clock);
    let end = if ended.reason == ResolveReason::Failover {
        OneHistory {
            winner: replica,
            loser: master,
            only_loser: facts.only_master,
        }
    } else {
        OneHistory {
            winner: master,
            loser: replica,
            only_loser: facts.only_replica,
        }
    };
    let lost = end.lost(alert.context.history_lost);
    let line = line.and(format!("; {} is the master: {lost}.", end.winner));
    line.and(capture(facts))
}

/// The end of two histories: the server whose history stays, and the one that gave up its own.
struct OneHistory<'a> {
    winner: &'a str,
    loser: &'a str,
    /// What only the loser had, where that is known.
    only_loser: Option<Bytes>,
}

impl OneHistory<'_> {
    fn lost(&self, history_lost: bool) -> String {
        let Self { winner, loser, .. } = self;
        match self.only_loser {
            Some(Bytes::ZERO) if history_lost => {
                let see = loss::SEE_HISTORY_LOST;
                format!("{loser} had nothing that {winner} lacks; {see}")
            }
            Some(Bytes::ZERO) => format!("{loser} had nothing that {winner} lacks: nothing lost"),
            Some(size) => {
                let size = bytes(size, Rounding::Nearest);
                format!("{size} that only {loser} had are lost unless they were copied")
            }
            None => format!("what only {loser} had is lost unless it was copied"),
        }
    }
}
