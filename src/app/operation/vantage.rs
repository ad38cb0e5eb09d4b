//! What other places see of a master: the replicas' links, and exporters.

use super::hand::Hand;
use crate::model::{PairName, PollError, ServerAddr};
use crate::operation::{DeathEvidence, ExporterKnows, ServerView, Verdict, Witness};
use crate::report::{PairsReport, ServerReport};

/// An answer of an exporter that is older than this says nothing about now.
const FRESH: f64 = 10.0;

/// One exporter and what it says.
#[derive(Clone, Debug)]
pub struct ExporterView {
    /// Its URL.
    pub url: String,
    /// Whether it runs elsewhere, so that its view of a dead master counts.
    pub is_observer: bool,
    /// Its report, or why there is none.
    pub report: Result<PairsReport, String>,
}

/// Who sees the master at `old`, and what: this machine, its replicas (asked twice), observers.
pub(super) fn evidence(
    hand: Option<&Hand>,
    old: &ServerAddr,
    first: &[ServerView],
    second: &[ServerView],
    exporters: &[ExporterView],
) -> DeathEvidence {
    let mut witnesses = Vec::new();
    if let Some(view) = second.iter().find(|view| view.addr == *old) {
        witnesses.push(this_machine(hand, view));
    }
    for later in second.iter().filter(|view| view.addr != *old) {
        let earlier = first.iter().find(|view| view.addr == later.addr);
        witnesses.extend(earlier.and_then(|earlier| Witness::replica(earlier, later)));
    }
    for exporter in exporters.iter().filter(|exporter| exporter.is_observer) {
        witnesses.push(observer(exporter, old));
    }
    DeathEvidence { witnesses }
}

fn this_machine(hand: Option<&Hand>, view: &ServerView) -> Witness {
    let failure = hand.and_then(Hand::failure);
    let answers = |reason| {
        matches!(
            reason,
            PollError::Loading | PollError::Busy | PollError::MaxClients
        )
    };
    let (verdict, what) = match (&view.said, failure) {
        (Ok(_), _) => (Verdict::Alive, "it answers".to_owned()),
        (Err(why), Some(failure)) if failure.proves_life() || answers(failure.reason) => {
            (Verdict::Alive, format!("it is there: {why}"))
        }
        // This machine's own trouble says nothing about the server.
        (Err(why), Some(failure)) if failure.is_fault() => (Verdict::Unclear, why.clone()),
        (Err(why), Some(_)) => (Verdict::Dead, why.clone()),
        // It answered something, such as BUSY or NOPERM.
        (Err(why), None) if hand.is_some() => (Verdict::Alive, format!("it is there: {why}")),
        (Err(why), None) => (Verdict::Unclear, why.clone()),
    };
    Witness {
        who: "this machine".to_owned(),
        what,
        verdict,
    }
}

fn observer(exporter: &ExporterView, old: &ServerAddr) -> Witness {
    let who = format!("the exporter at {}", exporter.url);
    let unclear = |what: String| (Verdict::Unclear, what);
    let (verdict, what) = match &exporter.report {
        Err(why) => unclear(format!("it does not answer: {why}")),
        Ok(report) => match server(report, old) {
            None => unclear(format!("it does not know {old}")),
            Some(server) => judge(report, server),
        },
    };
    Witness { who, what, verdict }
}

fn judge(report: &PairsReport, server: &ServerReport) -> (Verdict, String) {
    let exporter = &report.exporter;
    let is_stuck = exporter.stuck_seconds.is_some();
    let Some(last) = server.last_answer_timestamp else {
        return (
            Verdict::Unclear,
            "it has never had an answer from it".to_owned(),
        );
    };
    let age = exporter.now_timestamp - last;
    match server.up {
        _ if is_stuck => (Verdict::Unclear, "it is stuck".to_owned()),
        Some(true) if age < FRESH => (Verdict::Alive, format!("it had an answer {age:.1} s ago")),
        Some(false) => {
            let reason = server
                .reason
                .clone()
                .unwrap_or_else(|| "no answer".to_owned());
            (Verdict::Dead, format!("no answer for {age:.1} s: {reason}"))
        }
        _ => (
            Verdict::Unclear,
            format!("its last answer is {age:.1} s old"),
        ),
    }
}

/// What the exporters certified of a pair: the first that knows both servers as its master and
/// replica.
pub(super) fn knowledge(
    exporters: &[ExporterView],
    pair: &PairName,
    old: &ServerAddr,
    target: &ServerAddr,
) -> Option<ExporterKnows> {
    for exporter in exporters {
        let Ok(report) = &exporter.report else {
            continue;
        };
        let master = old.to_string();
        let target = target.to_string();
        let fits = |known: &&crate::report::PairReport| {
            known.pair == pair.as_str() && known.master == master && known.replica == target
        };
        let Some(known) = report.pairs.iter().find(fits) else {
            continue;
        };
        let Some(last) = &known.last_known else {
            continue;
        };
        let asked = server(report, old);
        let is_silent = asked.is_some_and(|server| server.up == Some(false));
        return Some(ExporterKnows {
            certified_at: last.timestamp,
            upper_seconds: last.lag_upper_seconds,
            upper_bytes: last.lag_upper_bytes,
            master_last_answer: asked.and_then(|server| server.last_answer_timestamp),
            interval: report.exporter.effective_interval_seconds,
            silent_at: is_silent.then_some(report.exporter.now_timestamp),
        });
    }
    None
}

fn server<'a>(report: &'a PairsReport, addr: &ServerAddr) -> Option<&'a ServerReport> {
    let addr = addr.to_string();
    report.servers.iter().find(|server| server.server == addr)
}
