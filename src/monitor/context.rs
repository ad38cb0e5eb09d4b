//! The context of an alert, from which its texts are made: facts of a pair, a server or an entry.

use std::sync::Arc;

use super::alerting::ObservedPair;
use super::failover::Failover;
use super::outage::Outage;
use crate::alert::{
    AlertContext, AtRisk, BacklogHeadroom, Bounds, Details, DivergedFacts, EvidenceUntil,
    FailoverFacts, Inhibitor, MAX_SERVICES, OutputBufferFacts, ServedPair, ServiceRole, Worst,
    WriteLoss,
};
use crate::lost_writes::{CaptureState, CaptureStatus};
use crate::model::{Bytes, Span, Timestamp};
use crate::replication::{
    Assessment, Diverged, Headroom, HistoryLoss, LagBytes, LagInterval, LastKnown, OutputBuffer,
    PairState, ServerFacts, StateReason, Writes,
};

/// Which of a pair's faults an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairFault {
    /// The replica lacks writes.
    Lag,
    /// The link is down or stalled.
    Link,
    /// The lag is unknown.
    Unknown,
    /// Two histories.
    Diverged,
    /// The master lost its history; the loss itself gives the time.
    HistoryLost,
    /// A cut of the link would soon end in a full resync. Nothing has broken yet that could be
    /// timed.
    Headroom,
    /// The output buffer will run over. Likewise.
    OutputBuffer,
}

/// What would be lost if the pair's master failed: as of now, or by the last certified bound.
pub(super) fn at_risk(seen: &Assessment) -> Option<AtRisk> {
    let lag = seconds(seen.lag);
    let now = AtRisk {
        lag,
        bytes: bytes(seen.bytes),
        as_of: None,
    };
    let is_bounded = lag.estimate.is_some() || lag.upper.is_some();
    match seen.last_known {
        _ if is_bounded => Some(now),
        Some(known) => Some(at_risk_as_of(known)),
        None if lag.is_unknown() => None,
        None => Some(now),
    }
}

fn at_risk_as_of(known: LastKnown) -> AtRisk {
    AtRisk {
        lag: Bounds {
            upper: Some(known.upper),
            ..Bounds::default()
        },
        bytes: Bounds {
            upper: known.upper_bytes,
            ..Bounds::default()
        },
        as_of: Some(known.at),
    }
}

fn seconds(lag: LagInterval) -> Bounds<Span> {
    Bounds {
        lower: lag.lower,
        estimate: lag.estimate,
        upper: lag.upper,
    }
}

fn bytes(lag: LagBytes) -> Bounds<Bytes> {
    Bounds {
        lower: lag.lower,
        estimate: lag.estimate,
        upper: lag.upper,
    }
}

/// How much longer the backlog of the pair's master covers an outage, by what it has written.
pub(super) fn backlog(
    seen: &Assessment,
    writes: &Writes,
    now: Timestamp,
) -> Option<BacklogHeadroom> {
    let headroom = Headroom::new(None, seen, writes, now);
    Some(BacklogHeadroom {
        headroom: headroom.bytes.ok()?,
        lasts: headroom.expected.ok(),
        worst: headroom.worst.ok(),
        history: headroom.history,
    })
}

/// The replica has every write up to this instant.
pub(super) fn last_data(seen: &Assessment, now: Timestamp) -> Option<Timestamp> {
    if let Some(lag) = seen.lag.estimate {
        return Some(now - lag);
    }
    let known = seen.last_known?;
    Some(known.at - known.upper)
}

/// The context of an alert about a pair.
pub(super) fn pair_context(
    observed: &ObservedPair<'_>,
    fault: PairFault,
    inhibitors: &Arc<[Inhibitor]>,
    now: Timestamp,
) -> Arc<AlertContext> {
    let pair = observed.pair;
    let seen = observed.seen;
    let at_risk = at_risk(seen);
    let mut context = AlertContext {
        extra_labels: Arc::clone(&pair.labels),
        master: Some(pair.master.to_string()),
        state: Some(seen.state),
        reason: Some(seen.reason.to_string()),
        last_sample: seen.sampled_at.or(seen.last_known.map(|known| known.at)),
        inhibitors: Arc::clone(inhibitors),
        last_data: last_data(seen, now),
        worst: at_risk.map_or(Worst::default(), |risk| risk.worst()),
        backlog: backlog(seen, &observed.writes(), now),
        at_risk,
        names_replica: pair.shares_dc,
        same_since: observed.link.same_history_since(),
        history_lost: observed.has_lost_history,
        details: details(observed, fault, now),
        ..AlertContext::default()
    };
    add_fault(&mut context, observed, fault, now);
    Arc::new(context)
}

/// Adds when the fault began, and when it ended.
fn add_fault(
    context: &mut AlertContext,
    observed: &ObservedPair<'_>,
    fault: PairFault,
    now: Timestamp,
) {
    let since = observed.since;
    match fault {
        PairFault::Lag => context.fault_since = observed.seen.lag.estimate.map(|lag| now - lag),
        PairFault::Unknown => context.fault_since = Some(since.known),
        PairFault::Diverged => match since.diverged {
            Some(since) => context.fault_since = Some(since),
            None => context.fault_until = Some(now),
        },
        PairFault::HistoryLost | PairFault::Headroom | PairFault::OutputBuffer => {}
        PairFault::Link => {
            if let Some(outage) = observed.link.outage() {
                add_outage(context, outage);
            }
        }
    }
}

fn add_outage(context: &mut AlertContext, outage: &Outage) {
    context.fault_since = Some(outage.since());
    context.fault_until = outage.until();
    context.worst = outage.worst();
    context.fault_state = Some(outage.state());
    context.recovery = outage.recovery();
}

/// The context of an alert about a history that the pair's master lost.
pub(super) fn lost_history_context(
    observed: &ObservedPair<'_>,
    loss: Option<&Arc<HistoryLoss>>,
    inhibitors: &Arc<[Inhibitor]>,
    now: Timestamp,
) -> Arc<AlertContext> {
    let mut context = pair_context(observed, PairFault::HistoryLost, inhibitors, now);
    let Some(loss) = loss else {
        return context;
    };
    let own = Arc::make_mut(&mut context);
    own.reason = Some(loss.to_string());
    own.fault_since = Some(loss.seen_at);
    if loss.is_over(now) {
        own.fault_until = Some(loss.streams_since.unwrap_or(now));
    }
    own.details = Some(Details::HistoryLost(Arc::clone(loss)));
    context
}

fn details(observed: &ObservedPair<'_>, fault: PairFault, now: Timestamp) -> Option<Details> {
    if fault == PairFault::OutputBuffer {
        return observed.output_buffer(now).ok().map(output_buffer);
    }
    diverged(observed, now).map(Details::Diverged)
}

fn output_buffer(buffer: OutputBuffer) -> Details {
    Details::OutputBuffer(OutputBufferFacts {
        size: buffer.size,
        limit: buffer.limit(),
        disconnect_in: buffer.disconnect_in.ok(),
    })
}

fn diverged(observed: &ObservedPair<'_>, now: Timestamp) -> Option<DivergedFacts> {
    if observed.seen.state != PairState::Diverged {
        return None;
    }
    let diverged = observed.seen.diverged;
    let capture = newest_capture(observed);
    Some(DivergedFacts {
        master: observed.pair.master.to_string(),
        replica: observed.pair.key.replica.to_string(),
        two_masters: matches!(observed.seen.reason, StateReason::TwoMasters { .. }),
        only_master: diverged.and_then(Diverged::master),
        only_replica: diverged.map(Diverged::replica),
        capture: capture.map(CaptureStatus::to_string),
        evidence: evidence_until(observed, capture, now),
    })
}

/// Until when there is something to save: nothing is, once it is in a file.
fn evidence_until(
    observed: &ObservedPair<'_>,
    capture: Option<&CaptureStatus>,
    now: Timestamp,
) -> Option<EvidenceUntil> {
    let is_settled = |status: &CaptureStatus| {
        matches!(
            status.state,
            CaptureState::Saved | CaptureState::Nothing | CaptureState::Gone
        )
    };
    if capture.is_some_and(is_settled) {
        return None;
    }
    let left = observed.evidence?;
    Some(EvidenceUntil {
        at: now + left.lasts,
        end: left.end,
    })
}

/// The newest capture of one of the pair's servers.
fn newest_capture<'a>(observed: &ObservedPair<'a>) -> Option<&'a CaptureStatus> {
    let key = &observed.pair.key;
    let mut newest: Option<&'a CaptureStatus> = None;
    for status in observed.captures {
        let is_of_pair = status.pair == key.name
            && (status.deposed == key.replica || status.deposed == observed.pair.master);
        if is_of_pair && newest.is_none_or(|known| status.timestamp >= known.timestamp) {
            newest = Some(status);
        }
    }
    newest
}

/// The context of an alert about a server that does not answer.
pub(super) fn server_context(
    facts: &ServerFacts,
    mut services: Vec<ServedPair>,
    inhibitors: Option<&Arc<[Inhibitor]>>,
) -> Arc<AlertContext> {
    let error = facts.last_error.as_ref();
    let answered = facts.last_answer.map(|(_, received)| received);
    let is_answering = facts.unanswered_since.is_none();
    let lost_history =
        |service: &ServedPair| service.role == ServiceRole::Master && service.history_lost;
    let history_lost = services.iter().any(lost_history);
    let more_services = services.len().saturating_sub(MAX_SERVICES);
    services.truncate(MAX_SERVICES);
    Arc::new(AlertContext {
        reason: error.map(|error| error.sentence("the server")),
        last_sample: answered,
        inhibitors: inhibitors.cloned().unwrap_or_default(),
        fault_since: facts.silent_since(),
        fault_until: if is_answering { answered } else { None },
        services,
        more_services,
        history_lost,
        same_since: facts.lives_since(),
        error: error.map(|error| error.reason),
        ..AlertContext::default()
    })
}

/// The context of an alert about the failovers of an entry.
pub(super) fn failover_context(
    last: Option<&Failover>,
    first: Option<Timestamp>,
    history_lost: bool,
    window: Span,
) -> Arc<AlertContext> {
    let mut context = AlertContext {
        fault_since: first,
        history_lost,
        ..AlertContext::default()
    };
    if let Some(failover) = last {
        context.master = Some(failover.promotion.to.to_string());
        context.reason = Some(failover.to_string());
        context.last_sample = failover.last_known.map(|known| known.at);
        context.details = Some(Details::Failover(failover_facts(failover, window)));
    }
    Arc::new(context)
}

fn failover_facts(failover: &Failover, window: Span) -> FailoverFacts {
    FailoverFacts {
        from: failover.promotion.from.to_string(),
        from_dc: failover.from_dc.to_string(),
        to: failover.promotion.to.to_string(),
        to_dc: failover.to_dc.to_string(),
        at: failover.at,
        lost: lost(failover),
        window,
        operation: failover.operation.as_deref().map(str::to_owned),
    }
}

/// The tightest statement about what the failover cost. What was certain before the failover is
/// often tighter than what the return of the old master proves: that bounds the loss only by the
/// whole time of its absence.
fn lost(failover: &Failover) -> WriteLoss {
    let loss = failover.loss;
    if let Some(bytes) = loss.exactly() {
        return WriteLoss::Exactly(bytes);
    }
    let at_least = loss.at_least().filter(|bytes| *bytes > Bytes::ZERO);
    let within = loss.within();
    if let Some(known) = failover.last_known
        && failover.is_bound_better(within)
    {
        return WriteLoss::AtMost {
            lag: known.upper,
            bytes: known.upper_bytes,
            as_of: known.at,
            at_least,
        };
    }
    match (within, at_least) {
        (Some(lag), at_least) => WriteLoss::Within { lag, at_least },
        (None, Some(at_least)) => WriteLoss::AtLeast(at_least),
        (None, None) => WriteLoss::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Datacenter, PairName, ServerAddr};
    use crate::monitor::FailoverLoss;
    use crate::monitor::Promotion;
    use crate::replication::LastKnown;

    fn failover(loss: FailoverLoss, known: Option<(i64, u64)>) -> Failover {
        let promotion = Promotion {
            pair: PairName::new("orders"),
            from: ServerAddr::new("a", 1),
            to: ServerAddr::new("b", 1),
        };
        let last_known = known.map(|(millis, bytes)| LastKnown {
            upper: Span::from_millis(millis),
            upper_bytes: Some(Bytes::new(bytes)),
            at: Timestamp::from_nanos(5),
        });
        Failover {
            promotion,
            from_dc: Datacenter::new("dc1"),
            to_dc: Datacenter::new("dc2"),
            at: Timestamp::from_nanos(9),
            loss,
            last_known,
            operation: None,
        }
    }

    #[test]
    fn a_server_of_many_pairs_names_some_and_counts_the_rest() {
        let service = |n: usize| ServedPair {
            history_lost: false,
            role: crate::alert::ServiceRole::Master,
            pair: format!("p{n}"),
            peer_dc: "dc2".to_owned(),
            peer: format!("r{n}:1"),
            at_risk: None,
            sync: None,
        };
        let services = (0..20).map(service).collect();
        let context = server_context(&ServerFacts::default(), services, None);
        assert_eq!(context.services.len(), MAX_SERVICES);
        assert_eq!(context.more_services, 20 - MAX_SERVICES);
    }

    #[test]
    fn f11_a_better_earlier_bound_is_never_replaced_by_a_worse_one() {
        let absence = |secs| FailoverLoss::Unseen {
            at_least: Bytes::ZERO,
            within: Some(Span::from_secs(secs)),
        };
        let known = Some((24, 335));
        let early = WriteLoss::AtMost {
            lag: Span::from_millis(24),
            bytes: Some(Bytes::new(335)),
            as_of: Timestamp::from_nanos(5),
            at_least: None,
        };
        let within = WriteLoss::Within {
            lag: Span::from_secs(60),
            at_least: None,
        };
        let five = Bytes::new(5);
        let cases = [
            (FailoverLoss::AtLeast(Bytes::ZERO), known, early),
            (absence(60), known, early),
            (absence(60), None, within),
            (absence(60), Some((90_000, 1)), within),
            (
                FailoverLoss::Exactly(Bytes::ZERO),
                known,
                WriteLoss::Exactly(Bytes::ZERO),
            ),
            (FailoverLoss::AtLeast(five), None, WriteLoss::AtLeast(five)),
            (FailoverLoss::Unknown, None, WriteLoss::Unknown),
        ];
        for (loss, known, expected) in cases {
            assert_eq!(lost(&failover(loss, known)), expected, "{loss:?}");
        }
    }
}
