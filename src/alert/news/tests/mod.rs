//! The sentences of every kind of alert, in full. Here: their helpers, pairs, failovers, the
//! exporter.

mod history;
mod lost_history;
mod servers;
mod sites;

use std::sync::Arc;

use super::*;
use crate::alert::{
    AlertContext, AlertIdentity, AlertStatus, AtRisk, BacklogHeadroom, Bounds, Details,
    DivergedFacts, EvidenceUntil, FailoverFacts, Labels, Measured, Quantity, Reading, Recovery,
    Resync, ServedPair, ServiceRole, Worst, WriteLoss,
};
use crate::config::Severity;
use crate::model::{Bytes, PollError, Span, WallTime};
use crate::replication::{EvidenceEnd, PairState};

const SECOND: i64 = 1_000_000_000;

/// 06:44:28 UTC.
const NOW: i64 = 10_000;

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_nanos(secs * SECOND)
}

fn anchor() -> ClockAnchor {
    ClockAnchor {
        mono: at(NOW),
        wall: WallTime::from_nanos(1_700_030_668 * SECOND),
    }
}

fn alert(rule: Rule, labels: &[(&str, &str)], context: AlertContext) -> AlertSnapshot {
    let labels: Labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let identity = AlertIdentity {
        rule,
        labels: Arc::new(labels),
    };
    AlertSnapshot {
        fingerprint: identity.fingerprint(),
        identity,
        severity: Severity::Critical,
        status: AlertStatus::Firing,
        started_at: at(NOW - 50),
        resolved: None,
        value: Measured::from(Reading::exact(Span::from_secs(60))),
        threshold: Quantity::Seconds(Span::from_secs(60)),
        peak: None,
        context: Arc::new(context),
        muted_by: None,
        recovering: false,
        series: None,
        decision: None,
    }
}

const PAIR: [(&str, &str); 4] = [
    ("pair", "orders"),
    ("source_dc", "dc1"),
    ("target_dc", "dc2"),
    ("replica", "127.2.0.10:17101"),
];

const SERVER: [(&str, &str); 2] = [("dc", "dc1"), ("server", "127.1.0.10:17100")];

fn sentence_of(alert: &AlertSnapshot) -> String {
    headline(alert, at(NOW), &anchor()).to_string()
}

fn as_resolved(mut alert: AlertSnapshot, reason: ResolveReason) -> AlertSnapshot {
    alert.status = AlertStatus::Resolved;
    alert.resolved = Some((at(NOW), reason));
    alert
}

fn risk(lag: i64, bytes: u64) -> AtRisk {
    let span = |millis| Some(Span::from_millis(millis));
    let bytes = Some(Bytes::new(bytes));
    AtRisk {
        lag: Bounds {
            lower: span(lag * 1000 - 400),
            estimate: span(lag * 1000),
            upper: span(lag * 1000 + 500),
        },
        bytes: Bounds {
            lower: bytes,
            estimate: bytes,
            upper: bytes,
        },
        as_of: None,
    }
}

fn last_known() -> AtRisk {
    AtRisk {
        lag: Bounds {
            upper: Some(Span::from_millis(18)),
            ..Bounds::default()
        },
        bytes: Bounds {
            upper: Some(Bytes::new(335)),
            ..Bounds::default()
        },
        as_of: Some(at(NOW - 66)),
    }
}

fn stalled() -> AlertContext {
    AlertContext {
        state: Some(PairState::Stalled),
        fault_since: Some(at(NOW - 60)),
        fault_state: Some(PairState::Stalled),
        at_risk: Some(risk(60, 1_048_576)),
        backlog: Some(BacklogHeadroom {
            headroom: Bytes::new(15_000_000),
            lasts: Some(Span::from_secs(850)),
            worst: None,
            history: None,
        }),
        worst: Worst {
            lag: Some(Span::from_secs(60)),
            bytes: Some(Bytes::new(1_048_576)),
        },
        ..AlertContext::default()
    }
}

#[test]
fn a_stall_has_its_begin_the_possible_loss_and_how_long_the_backlog_lasts() {
    let firing = alert(Rule::LinkDown, &PAIR, stalled());
    assert_eq!(
        sentence_of(&firing),
        "orders dc1 → dc2 stalled for 60 s (since 06:43:28 UTC). If dc1 died now: the last 60 s of \
         writes, 1.0 MiB, would be lost. Backlog lasts ~14 min more, then a full resync."
    );
    assert!(
        sentence_of(&firing)
            .chars()
            .take(100)
            .collect::<String>()
            .contains("If dc1 died now")
    );
}

#[test]
fn a_link_that_is_down_tells_when_a_full_resync_is_certain() {
    let overflowed = Some(BacklogHeadroom {
        headroom: Bytes::ZERO,
        lasts: None,
        worst: None,
        history: None,
    });
    let context = AlertContext {
        state: Some(PairState::LinkDown),
        names_replica: true,
        backlog: overflowed,
        ..stalled()
    };
    assert_eq!(
        sentence_of(&alert(Rule::LinkDown, &PAIR, context)),
        "orders dc1 → dc2 (127.2.0.10:17101) link down for 60 s (since 06:43:28 UTC). If dc1 died \
         now: the last 60 s of writes, 1.0 MiB, would be lost. The backlog has overflowed: a full \
         resync is certain."
    );
    let syncing = AlertContext {
        state: Some(PairState::FullSync),
        reason: Some("a full sync is under way: 70.1 MiB read".to_owned()),
        backlog: None,
        ..stalled()
    };
    assert_eq!(
        sentence_of(&alert(Rule::LinkDown, &PAIR, syncing)),
        "orders dc1 → dc2 out of sync for 60 s (since 06:43:28 UTC): a full sync is under way: 70.1 \
         MiB read. If dc1 died now: the last 60 s of writes, 1.0 MiB, would be lost."
    );
}

fn recovered(took: Option<i64>, lag: AtRisk) -> AlertContext {
    AlertContext {
        state: Some(PairState::Streaming),
        fault_until: Some(at(NOW)),
        same_since: Some(at(NOW - 5_000)),
        recovery: Some(Recovery {
            resync: Some(Resync::Partial),
            took: took.map(Span::from_millis),
        }),
        at_risk: Some(lag),
        ..stalled()
    }
}

#[test]
fn a_resolved_outage_has_its_times_its_peak_its_recovery_and_the_loss() {
    let context = recovered(Some(100), risk(0, 0));
    let ended = as_resolved(
        alert(Rule::LinkDown, &PAIR, context),
        ResolveReason::Cleared,
    );
    assert_eq!(
        sentence_of(&ended),
        "orders dc1 → dc2: resolved. Stalled 06:43:28 to 06:44:28 UTC (60 s), at worst 60 s / 1.0 \
         MiB behind; caught up by partial resync in 0.1 s; nothing lost."
    );
    let context = AlertContext {
        same_since: Some(at(NOW - 5)),
        ..recovered(None, risk(12, 2048))
    };
    let ended = as_resolved(
        alert(Rule::LinkDown, &PAIR, context),
        ResolveReason::Cleared,
    );
    assert_eq!(
        sentence_of(&ended),
        "orders dc1 → dc2: resolved. Stalled 06:43:28 to 06:44:28 UTC (60 s), at worst 60 s / 1.0 \
         MiB behind; catching up by partial resync, still 12 s, 2.0 KiB behind."
    );
}

#[test]
fn a_recovering_or_flapping_link_is_not_reported_as_down() {
    let mut waiting = alert(Rule::LinkDown, &PAIR, recovered(Some(100), risk(0, 0)));
    waiting.series = Some(FlapSeries {
        since: waiting.started_at,
        outages: 3,
        stable_for: Span::from_secs(300),
        muted: false,
    });
    assert_eq!(
        sentence_of(&waiting),
        "orders dc1 → dc2 streaming again since 06:44:28 UTC; stalled 06:43:28 to 06:44:28 UTC (60 \
         s). If dc1 died now: at most the last 0.5 s of writes would be lost. Flapping: short \
         outages are not notified until it is stable."
    );
}

#[test]
fn a_lag_is_in_seconds_or_bytes_and_its_resolve_has_the_duration() {
    let context = AlertContext {
        state: Some(PairState::Streaming),
        backlog: None,
        ..stalled()
    };
    let mut lag = alert(Rule::LagSeconds, &PAIR, context);
    assert_eq!(
        sentence_of(&lag),
        "orders dc1 → dc2 60 s behind. If dc1 died now: the last 60 s of writes, 1.0 MiB, would be \
         lost."
    );
    lag.identity.rule = Rule::LagBytes;
    lag.value = Measured::from(Reading::exact(Bytes::new(70 << 20)));
    assert!(
        sentence_of(&lag).starts_with("orders dc1 → dc2 70.0 MiB behind. If dc1"),
        "{}",
        sentence_of(&lag)
    );
    let context = AlertContext {
        recovery: None,
        ..recovered(None, risk(0, 0))
    };
    let ended = as_resolved(
        alert(Rule::LagSeconds, &PAIR, context),
        ResolveReason::Cleared,
    );
    assert_eq!(
        sentence_of(&ended),
        "orders dc1 → dc2: resolved. Behind 06:43:28 to 06:44:28 UTC (60 s), at worst 60 s / 1.0 \
         MiB; caught up; nothing lost."
    );
}

#[test]
fn an_unknown_lag_has_the_last_certain_statement() {
    let context = AlertContext {
        state: Some(PairState::ReplicaUnreachable),
        reason: Some("the replica does not answer".to_owned()),
        fault_since: Some(at(NOW - 95)),
        at_risk: Some(last_known()),
        ..AlertContext::default()
    };
    let firing = alert(Rule::Unknown, &PAIR, context);
    assert_eq!(
        sentence_of(&firing),
        "orders dc1 → dc2: lag unknown for 95 s (since 06:42:53 UTC): the replica does not answer. \
         If dc1 died now: at most the last 0.02 s of writes, 335 B, would be lost (certain as of \
         06:43:22 UTC)."
    );
    let ended = as_resolved(firing, ResolveReason::Cleared);
    assert_eq!(
        sentence_of(&ended),
        "orders dc1 → dc2: resolved. The lag is known again; unknown 06:42:53 to 06:44:28 UTC (95 s)."
    );
}

fn two_masters() -> AlertContext {
    AlertContext {
        state: Some(PairState::Diverged),
        fault_since: Some(at(NOW - 38)),
        details: Some(Details::Diverged(DivergedFacts {
            master: "127.1.0.10:17100".to_owned(),
            replica: "127.2.0.10:17101".to_owned(),
            two_masters: true,
            only_master: Some(Bytes::new(2048)),
            only_replica: Some(Bytes::new(7)),
            capture: None,
            evidence: None,
        })),
        ..AlertContext::default()
    }
}

#[test]
fn two_masters_are_named_and_so_is_the_one_that_loses() {
    let firing = alert(Rule::Diverged, &PAIR, two_masters());
    assert_eq!(
        sentence_of(&firing),
        "orders: two masters for 38 s (since 06:43:50 UTC): 127.1.0.10:17100 (dc1) has 2.0 KiB \
         alone, 127.2.0.10:17101 (dc2) has 7 B. Whichever becomes the other's replica loses what \
         only it has."
    );
    let mut captured = two_masters();
    if let Some(Details::Diverged(facts)) = &mut captured.details {
        facts.capture = Some("the writes that only m had are saved in /d/x.aof: 3 commands".into());
    }
    let captured = alert(Rule::Diverged, &PAIR, captured);
    let end = " The writes that only m had are saved in /d/x.aof: 3 commands.";
    assert!(sentence_of(&captured).ends_with(end));
    assert!(sentence_of(&as_resolved(captured, ResolveReason::Cleared)).ends_with(end));
    let mut fading = two_masters();
    for (left, expected) in [
        (
            2880,
            " The writes that only the deposed master has can be saved for another 48 min: then newer \
             writes push them out of its backlog.",
        ),
        (
            0,
            " It may be too late to save the writes that only the deposed master has.",
        ),
    ] {
        if let Some(Details::Diverged(facts)) = &mut fading.details {
            facts.evidence = Some(EvidenceUntil {
                at: at(NOW + left),
                end: EvidenceEnd::Backlog,
            });
        }
        let fading = alert(Rule::Diverged, &PAIR, fading.clone());
        let sentence = sentence_of(&fading);
        assert!(sentence.ends_with(expected), "{sentence}");
    }
    let ended = as_resolved(firing.clone(), ResolveReason::Cleared);
    assert_eq!(
        sentence_of(&ended),
        "orders: resolved. 127.1.0.10:17100 (dc1) and 127.2.0.10:17101 (dc2) were both masters \
         06:43:50 to 06:44:28 UTC (38 s); 127.1.0.10:17100 is the master: 7 B that only \
         127.2.0.10:17101 had are lost unless they were copied."
    );
    let turned = as_resolved(firing, ResolveReason::Failover);
    assert!(
        sentence_of(&turned).ends_with(
            "127.2.0.10:17101 is the master: 2.0 KiB that only 127.1.0.10:17100 had are lost unless \
             they were copied."
        ),
        "{}",
        sentence_of(&turned)
    );
}

fn service(role: ServiceRole, pair: &str, at_risk: AtRisk) -> ServedPair {
    ServedPair {
        role,
        pair: pair.to_owned(),
        peer_dc: "dc2".to_owned(),
        peer: "127.2.0.10:17101".to_owned(),
        at_risk: Some(at_risk),
        sync: None,
        history_lost: false,
    }
}

fn silent(services: Vec<ServedPair>, error: Option<PollError>) -> AlertContext {
    AlertContext {
        fault_since: Some(at(NOW - 65)),
        services,
        error,
        ..AlertContext::default()
    }
}

fn failover(lost: WriteLoss) -> AlertContext {
    AlertContext {
        details: Some(Details::Failover(FailoverFacts {
            from: "127.1.0.10:17100".to_owned(),
            from_dc: "dc1".to_owned(),
            to: "127.2.0.10:17101".to_owned(),
            to_dc: "dc2".to_owned(),
            at: at(NOW - 60),
            lost,
            window: Span::from_secs(600),
            operation: None,
        })),
        ..AlertContext::default()
    }
}

fn of_failover(lost: WriteLoss, count: u64) -> AlertSnapshot {
    let mut alert = alert(Rule::Failover, &[("pair", "orders")], failover(lost));
    alert.value = Measured::from(Reading::exact(count));
    alert
}

#[test]
fn f11_a_failover_is_one_sentence_with_the_best_statement_about_the_loss() {
    let begin = "orders: failover, 127.2.0.10:17101 (dc2) took over from 127.1.0.10:17100 (dc1) at \
                 06:43:28 UTC; ";
    let known = WriteLoss::AtMost {
        lag: Span::from_millis(24),
        bytes: Some(Bytes::new(335)),
        as_of: at(NOW - 66),
        at_least: None,
    };
    let within = WriteLoss::Within {
        lag: Span::from_secs(3),
        at_least: Some(Bytes::new(9)),
    };
    let cases = [
        (WriteLoss::Exactly(Bytes::ZERO), "nothing lost."),
        (
            WriteLoss::Exactly(Bytes::new(9)),
            "9 B that 127.1.0.10:17100 had written are not on the new master.",
        ),
        (
            WriteLoss::AtLeast(Bytes::new(9)),
            "at least 9 B lost; the rest is not known until 127.1.0.10:17100 answers.",
        ),
        (
            known,
            "at most the last 0.03 s of writes, 335 B, lost (certain as of 06:43:22 UTC).",
        ),
        (
            within,
            "lost is what 127.1.0.10:17100 wrote in its last 3 s, at least 9 B and the new master \
             lacked.",
        ),
        (
            WriteLoss::AtMost {
                lag: Span::ZERO,
                bytes: Some(Bytes::ZERO),
                as_of: at(NOW - 66),
                at_least: None,
            },
            "nothing lost that was written by 06:43:22 UTC; what 127.1.0.10:17100 wrote after that \
             is not known.",
        ),
        (
            WriteLoss::Unknown,
            "what was lost is not known until 127.1.0.10:17100 answers.",
        ),
    ];
    for (lost, end) in cases {
        assert_eq!(sentence_of(&of_failover(lost, 1)), format!("{begin}{end}"));
    }
    let three = sentence_of(&of_failover(known, 3));
    assert!(
        three.starts_with("orders: 3 failovers in the last 10 min, the last: 127.2.0.10:17101"),
        "{three}"
    );
    let ended = as_resolved(
        of_failover(WriteLoss::Exactly(Bytes::ZERO), 0),
        ResolveReason::Cleared,
    );
    assert_eq!(
        sentence_of(&ended),
        "orders: resolved. No further failover in the last 10 min; the last: 127.2.0.10:17101 (dc2) \
         took over from 127.1.0.10:17100 (dc1) at 06:43:28 UTC; nothing lost."
    );
}

#[test]
fn sentences_about_sentinels_receivers_and_isolation() {
    let since = Some(at(NOW - 35));
    let context = |reason: &str| AlertContext {
        fault_since: since,
        reason: Some(reason.to_owned()),
        ..AlertContext::default()
    };
    let labels = [("pair", "orders"), ("dc", "dc1")];
    let quorum = alert(Rule::SentinelQuorum, &labels, context("they say NOQUORUM"));
    assert_eq!(
        sentence_of(&quorum),
        "orders: no Sentinel quorum in dc1 for 35 s (since 06:43:53 UTC): they say NOQUORUM. No \
         automatic failover until it is back."
    );
    assert_eq!(
        sentence_of(&as_resolved(quorum, ResolveReason::Cleared)),
        "orders: resolved. No Sentinel quorum in dc1 06:43:53 to 06:44:28 UTC (35 s); an automatic \
         failover is possible again."
    );
    let labels = [("cluster", "catalog")];
    let reason = context("5461 slots are served by no living master");
    let cluster = alert(Rule::ClusterDown, &labels, reason);
    assert_eq!(
        sentence_of(&cluster),
        "Cluster catalog: down for 35 s (since 06:43:53 UTC): 5461 slots are served by no living \
         master."
    );
    assert_eq!(
        sentence_of(&as_resolved(cluster, ResolveReason::Cleared)),
        "Cluster catalog: resolved. Down 06:43:53 to 06:44:28 UTC (35 s); every slot is served again."
    );
    let labels = [("receiver", "hook")];
    let receiver = alert(
        Rule::ReceiverFailing,
        &labels,
        context("it answers HTTP 404"),
    );
    assert_eq!(
        sentence_of(&receiver),
        "Receiver hook failing for 35 s (since 06:43:53 UTC): it answers HTTP 404."
    );
    assert_eq!(
        sentence_of(&as_resolved(receiver, ResolveReason::Cleared)),
        "Receiver hook: resolved. Failing 06:43:53 to 06:44:28 UTC (35 s)."
    );
    let context = AlertContext {
        fault_since: since,
        details: Some(Details::Isolated { servers: 4 }),
        ..AlertContext::default()
    };
    let isolated = alert(Rule::MonitorIsolated, &[], context);
    assert_eq!(
        sentence_of(&isolated),
        "This exporter reaches none of the 4 servers outside its datacenter for 35 s (since 06:43:53 \
         UTC). Probably its own network has failed, not the servers: nothing is known of them until \
         it is back."
    );
    assert_eq!(
        sentence_of(&as_resolved(isolated, ResolveReason::Removed)),
        "this exporter: closed, no longer configured; it had lasted for 35 s (since 06:43:53 UTC)."
    );
}

#[test]
fn faults_of_the_exporter_are_reported_as_its_own() {
    let reason = "this exporter cannot log in to the server: the password file /run/x cannot be \
                  read: No such file or directory";
    let context = AlertContext {
        reason: Some(reason.to_owned()),
        fault_since: Some(at(NOW - 35)),
        ..AlertContext::default()
    };
    let labels = [("dc", "dc1"), ("server", "m:1")];
    let fault = alert(Rule::ExporterFault, &labels, context.clone());
    assert_eq!(
        sentence_of(&fault),
        "m:1 (dc1): no access for 35 s (since 06:43:53 UTC): this exporter cannot log in to the \
         server: the password file /run/x cannot be read: No such file or directory. Nothing is \
         known of the server meanwhile."
    );
    let context = AlertContext {
        reason: Some("the new configuration is refused: pol: is not a known key".to_owned()),
        ..context
    };
    assert_eq!(
        sentence_of(&alert(Rule::ConfigReloadFailed, &[], context.clone())),
        "This exporter has run with its old configuration for 35 s (since 06:43:53 UTC): the new \
         configuration is refused: pol: is not a known key."
    );
    let context = AlertContext {
        reason: Some("hook refused a notification: HTTP 404 Not Found".to_owned()),
        ..context
    };
    assert_eq!(
        sentence_of(&alert(
            Rule::ReceiverFailing,
            &[("receiver", "hook")],
            context
        )),
        "Receiver hook failing for 35 s (since 06:43:53 UTC): it refused a notification: HTTP 404 \
         Not Found."
    );
}

#[test]
fn facts_missing_in_an_old_alert_are_left_out() {
    let names = [("dc", "dc1"), ("server", "m:1"), ("receiver", "hook")];
    let labels = [&PAIR[..], &names[..]].concat();
    for rule in Rule::ALL {
        let bare = alert(rule, &labels, AlertContext::default());
        let text = sentence_of(&bare);
        assert!(!text.is_empty() && !text.contains("  "), "{rule:?}: {text}");
        for reason in [
            ResolveReason::Cleared,
            ResolveReason::Removed,
            ResolveReason::Failover,
        ] {
            let text = sentence_of(&as_resolved(bare.clone(), reason));
            assert!(
                text.ends_with('.') && !text.contains(".."),
                "{rule:?}: {text}"
            );
        }
    }
}

#[test]
fn a_name_with_control_characters_stays_in_one_line() {
    let labels = [
        ("pair", "or\nders\u{1b}[31m"),
        ("source_dc", "a"),
        ("target_dc", "b"),
    ];
    let text = sentence_of(&alert(Rule::LinkDown, &labels, stalled()));
    assert!(!text.contains(char::is_control), "{text:?}");
}

#[test]
fn the_first_sentence_fits_into_a_header() {
    let line = headline(&alert(Rule::LinkDown, &PAIR, stalled()), at(NOW), &anchor());
    let (first, rest) = line.first_sentence(150);
    assert_eq!(
        first,
        "orders dc1 → dc2 stalled for 60 s (since 06:43:28 UTC)"
    );
    assert!(
        rest.to_string().starts_with("If dc1 died now: the last"),
        "{rest}"
    );
    let long = Sentence::words("Down from 1 to 2; nothing lost. Good.");
    let (first, rest) = long.first_sentence(20);
    assert_eq!(
        (first.as_str(), rest.to_string().as_str()),
        ("Down from 1 to 2", "nothing lost. Good.")
    );
    let line = Sentence::words("127.1.0.10:17100 is one sentence.");
    let (first, rest) = line.first_sentence(150);
    assert_eq!(first, "127.1.0.10:17100 is one sentence");
    assert!(rest.is_empty());
}
