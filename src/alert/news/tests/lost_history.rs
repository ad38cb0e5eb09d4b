//! While a pair's master has lost its history, no sentence about the pair calls anything safe.

use super::*;

/// What no sentence may claim then.
const CLAIMS: [&str; 5] = [
    "othing lost",
    "othing is lost",
    "othing of its data is lost",
    "nothing that was written",
    "loses nothing",
];

fn lost(mut context: AlertContext) -> AlertContext {
    context.history_lost = true;
    for service in &mut context.services {
        service.history_lost = true;
    }
    context
}

fn nothing_at_risk() -> AtRisk {
    AtRisk {
        lag: Bounds {
            upper: Some(Span::ZERO),
            ..Bounds::default()
        },
        ..last_known()
    }
}

/// A fault in a history that is as old as the fault, with nothing at risk.
fn context(state: PairState) -> AlertContext {
    AlertContext {
        state: Some(state),
        fault_since: Some(at(NOW - 65)),
        fault_until: Some(at(NOW - 5)),
        same_since: Some(at(NOW - 1000)),
        at_risk: Some(nothing_at_risk()),
        recovery: Some(Recovery {
            resync: Some(Resync::Full),
            took: Some(Span::ZERO),
        }),
        ..AlertContext::default()
    }
}

fn claims(alert: &AlertSnapshot) -> bool {
    let text = sentence_of(alert);
    CLAIMS.iter().any(|claim| text.contains(claim))
}

#[test]
fn a_server_that_returns_without_its_history_is_not_called_safe() {
    let own = vec![service(ServiceRole::Master, "orders", last_known())];
    let back = AlertContext {
        fault_until: Some(at(NOW)),
        same_since: Some(at(NOW - 10)),
        ..silent(own, None)
    };
    let alert = alert(Rule::Unreachable, &SERVER, lost(back));
    assert_eq!(
        sentence_of(&as_resolved(alert.clone(), ResolveReason::Cleared)),
        "orders: master 127.1.0.10:17100 (dc1): resolved. No answer 06:43:23 to 06:44:28 UTC (65 \
         s); it answers again, but its replication history is lost: RedisCrossDcHistoryLost has \
         what is missing."
    );
    assert!(sentence_of(&alert).ends_with(
        "answers again since 06:44:28 UTC, but its replication history is lost: \
         RedisCrossDcHistoryLost has what is missing."
    ));
}

#[test]
fn no_sentence_about_the_pair_claims_that_nothing_is_lost() {
    let diverged = AlertContext {
        details: Some(Details::Diverged(DivergedFacts {
            master: "127.1.0.10:17100".to_owned(),
            replica: "127.2.0.10:17101".to_owned(),
            two_masters: false,
            only_master: Some(Bytes::ZERO),
            only_replica: Some(Bytes::ZERO),
            capture: None,
            evidence: None,
        })),
        ..context(PairState::Streaming)
    };
    let service = service(ServiceRole::Master, "orders", nothing_at_risk());
    let known = WriteLoss::AtMost {
        lag: Span::ZERO,
        bytes: None,
        as_of: at(NOW - 66),
        at_least: None,
    };
    let pair = &PAIR[..];
    let entry = &PAIR[..1];
    let cases = [
        (Rule::LinkDown, pair, context(PairState::Streaming), true),
        (
            Rule::LagSeconds,
            pair,
            context(PairState::MasterUnreachable),
            false,
        ),
        (
            Rule::Unknown,
            pair,
            context(PairState::MasterUnreachable),
            false,
        ),
        (Rule::Diverged, pair, diverged, true),
        (
            Rule::Failover,
            entry,
            failover(WriteLoss::Exactly(Bytes::ZERO)),
            false,
        ),
        (Rule::Failover, entry, failover(known), false),
        (
            Rule::Unreachable,
            &SERVER[..],
            silent(vec![service], None),
            false,
        ),
    ];
    for (rule, labels, context, is_over) in cases {
        let end = |alert| {
            if is_over {
                as_resolved(alert, ResolveReason::Cleared)
            } else {
                alert
            }
        };
        let well = end(alert(rule, labels, context.clone()));
        assert!(
            claims(&well),
            "it has something to claim: {}",
            sentence_of(&well)
        );
        let ill = end(alert(rule, labels, lost(context)));
        assert!(!claims(&ill), "{}", sentence_of(&ill));
    }
}
