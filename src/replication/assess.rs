//! What is true of a pair at one instant: state, lag, and everything derived from them.
//!
//! Metrics, pages, JSON and alerts all ask this one function with their own `now`, so that they
//! tell one story.

use super::epochs::Comparison;
use super::gap::Gap;
use super::lag::{LagBytes, LagInterval};
use super::pair::{LastKnown, Located, PairFacts, Relation, Split};
use super::server::ServerFacts;
use super::silent::{silent_bytes, silent_lag};
use super::state::{PairState, StateReason};
use crate::info::{Engine, LinkStatus, Role};
use crate::model::{Bytes, Span, Timestamp};

/// While a position moves, its trend is carried on for this many polls.
const CARRIED_POLLS: f64 = 1.5;

/// A position that was learned more than this many polls before the replica's last answer is that
/// of a replica that was silent meanwhile.
const PLACED_WITHIN_POLLS: f64 = 2.0;

/// For how long a change of the master's history is watched closely: a failover in good order is
/// over by then.
const LOST_LATELY: Span = Span::from_secs(5);

/// A trend is carried on only where one of its two estimates is above this: below, it is noise.
const TREND_FLOOR: Span = Span::from_millis(50);

/// What is true of a pair at one instant. What is not known is `None`; `reason` says why.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The state.
    pub state: PairState,
    /// Why.
    pub reason: StateReason,
    /// Why nothing can be said of one of the servers, where that is the exporter's own doing: then
    /// nobody may judge the pair.
    pub gap: Option<Gap>,
    /// Seconds of lag now.
    pub lag: LagInterval,
    /// Whether the lag rests on the assumption that a silent replica applies nothing but what it
    /// ACKs.
    pub stale: bool,
    /// Whether one more poll of the replica, at once, would settle a doubt.
    pub deserves_replica_poll: bool,
    /// Bytes of lag.
    pub bytes: LagBytes,
    /// When the replica's position was last learned.
    pub sampled_at: Option<Timestamp>,
    /// The last certified statement.
    pub last_known: Option<LastKnown>,
    /// How long the link has been down or stalled; `None` in every other state.
    pub link_down_for: Option<Span>,
    /// Unshared history, while diverged and where it is known.
    pub diverged: Option<Diverged>,
    /// How many bytes the master may write during a cut before the replica needs a full resync.
    pub backlog_headroom: Option<Bytes>,
}

/// What only one of two servers has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diverged {
    /// Both are masters.
    Both(Split),
    /// The replica has so much of an older history that its master does not have.
    Replica(Bytes),
}

impl Diverged {
    /// The end of the older history: what is lost when the server that was promoted stays the
    /// master.
    pub const fn older(self) -> Bytes {
        match self {
            Self::Both(split) => split.older(),
            Self::Replica(bytes) => bytes,
        }
    }

    /// What only the pair's master has, beyond an ordinary lag.
    pub const fn master(self) -> Option<Bytes> {
        match self {
            Self::Both(split) => Some(split.master),
            Self::Replica(_) => None,
        }
    }

    /// What only the replica has.
    pub const fn replica(self) -> Bytes {
        match self {
            Self::Both(split) => split.replica,
            Self::Replica(bytes) => bytes,
        }
    }
}

/// What is known of a pair: the evidence that an assessment rests on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The configured master.
    pub master: &'a ServerFacts,
    /// The replica.
    pub replica: &'a ServerFacts,
    /// The pair.
    pub pair: &'a PairFacts,
}

/// What the evidence says at the instant `now`.
pub fn assess(evidence: Evidence<'_>, now: Timestamp) -> Assessment {
    let pair = evidence.pair;
    let master_silent = evidence.master.is_silent(now, pair.interval);
    let (lag, stale) = lag_at(evidence, now, master_silent);
    let (verdict, why) = state_at(evidence, now);
    let bytes = bytes_at(evidence, now, master_silent);
    let link_down_for = match why {
        StateReason::LinkDown { for_ } => for_,
        StateReason::Stalled { for_ }
        | StateReason::AlreadyStalled { for_, .. }
        | StateReason::ParentCutOff { for_ } => Some(for_),
        _ => None,
    };
    let diverged = match why {
        StateReason::TwoMasters { split } => split.map(Diverged::Both),
        StateReason::UnsharedBytes { bytes } => Some(Diverged::Replica(bytes)),
        _ => None,
    };
    Assessment {
        state: verdict,
        reason: why,
        gap: gap_of(evidence, now).map(|(_, gap)| gap),
        lag,
        stale,
        deserves_replica_poll: !master_silent
            && (pair.deserves_replica_poll() || was_lost_lately(pair, now)),
        bytes,
        sampled_at: pair.comparable_at().or_else(|| {
            lag.estimate
                .and(pair.located.as_ref())
                .map(Located::received)
        }),
        last_known: pair.last_known,
        link_down_for,
        diverged,
        backlog_headroom: headroom(pair, bytes),
    }
}

/// Whether the master has another history, or none of its own, since a moment ago: what it is and
/// who continues it shows with the next answers.
fn was_lost_lately(pair: &PairFacts, now: Timestamp) -> bool {
    let is_lost = matches!(
        pair.relation,
        Relation::MasterIsReplica | Relation::NotComparable(_)
    );
    is_lost
        && pair
            .located
            .as_ref()
            .is_some_and(|located| now - located.received() < LOST_LATELY)
}

/// The lag at `now`, carried on from the last polls, and whether it rests on a silent replica's
/// assumption.
fn lag_at(evidence: Evidence<'_>, now: Timestamp, master_silent: bool) -> (LagInterval, bool) {
    let pair = evidence.pair;
    if evidence.master.gap(now, pair.interval).is_some() {
        // It may have written anything, and the replica may have applied it.
        return (LagInterval::UNKNOWN, false);
    }
    let Some(located) = pair.placed() else {
        return (handed_over(evidence, now), false);
    };
    if master_silent {
        return (
            LagInterval {
                lower: located.at_sample.lower,
                ..LagInterval::UNKNOWN
            },
            false,
        );
    }
    if let Some(unanswered) = silent_since(evidence, located, now) {
        let silent = silent_lag(pair, located, unanswered, now);
        let estimate = silent.estimate.filter(|_| was_seen_silent(evidence, now));
        let bounds = LagInterval { estimate, ..silent };
        return (narrowed(bounds, pair, located, now), true);
    }
    let upper = located.bracket.lo.map(|lo| now - lo);
    let estimate = carried(pair, located, now);
    // What was certain at the sample is not any more while the replica catches up.
    let lower = located
        .at_sample
        .lower
        .map(|lower| estimate.map_or(lower, |e| e.or_zero().min(lower)));
    (
        narrowed(
            LagInterval {
                lower,
                estimate,
                upper,
            },
            pair,
            located,
            now,
        ),
        false,
    )
}

/// The lag while the master says, since a moment ago, that it is a replica: who goes on with its
/// history shows with the next answers. As with a master that misses a poll, the estimate stands
/// until two are missing; but somebody may write since before that answer, so nothing bounds it.
fn handed_over(evidence: Evidence<'_>, now: Timestamp) -> LagInterval {
    let pair = evidence.pair;
    let is_recent = pair
        .master_at
        .is_some_and(|asked| now - asked <= pair.interval.mul_f64(PLACED_WITHIN_POLLS));
    let is_over = pair.relation == Relation::MasterIsReplica && is_recent;
    let located = pair
        .located
        .as_ref()
        .filter(|located| is_over && located.is_current());
    let estimate = located.and_then(|located| match silent_since(evidence, located, now) {
        Some(unanswered) => silent_lag(pair, located, unanswered, now).estimate,
        None => carried(pair, located, now),
    });
    LagInterval {
        lower: estimate.map(|_| Span::ZERO),
        estimate,
        upper: None,
    }
    .ordered()
}

/// The interval with what a heartbeat proves: the replica has everything up to some instant. Only
/// that bounds anything: that a heartbeat has not come says nothing, because its own way back may
/// be slow. docs/lag.md, "Heartbeats".
fn narrowed(lag: LagInterval, pair: &PairFacts, located: &Located, now: Timestamp) -> LagInterval {
    let proven = pair
        .heartbeats
        .proven_up_to()
        .filter(|_| located.is_current())
        .map(|instant| now - instant);
    let upper = lag.upper.into_iter().chain(proven).min();
    LagInterval { upper, ..lag }.ordered()
}

/// Since when nothing is known of where the replica stands: it does not answer; or its answer came
/// so late that it may be old; or it answers again and the master was not asked since. A replica
/// that was frozen for an hour would else show, when it goes on, the lag that it had before.
fn silent_since(evidence: Evidence<'_>, located: &Located, now: Timestamp) -> Option<Timestamp> {
    let interval = evidence.pair.interval;
    let replica = evidence.replica;
    // What nobody asks is not silent: an exporter that gets no time to poll must not take that for
    // lag.
    let limit = interval.mul_f64(PLACED_WITHIN_POLLS);
    let was_silent = replica
        .last_answer
        .is_some_and(|(_, received)| received - located.received() > limit);
    let restored = evidence.pair.relation == Relation::Restored;
    let silent_before = evidence.pair.silent_before.filter(|_| restored);
    let since = match silent_before.or(replica.unanswered_since) {
        Some(unanswered) => unanswered,
        None if restored => located.received() + interval,
        None if located.is_late(interval) => located.sent(),
        None if was_silent || replica.is_silent(now, interval) => located.received() + interval,
        None if replica.gap(now, interval).is_some() => located.received() + interval,
        None => return None,
    };
    Some(since)
}

/// Whether the silence of the replica is its own: not one that only this exporter's own absence, by
/// a restart or a pause, makes it seem. An estimate rests on that; bounds do not.
fn was_seen_silent(evidence: Evidence<'_>, now: Timestamp) -> bool {
    let Evidence { replica, pair, .. } = evidence;
    let is_confirmed = pair.relation != Relation::Restored || replica.failures > 0;
    is_confirmed && replica.gap(now, pair.interval).is_none()
}

/// The estimate at `now` while the replica answers.
fn carried(pair: &PairFacts, located: &Located, now: Timestamp) -> Option<Span> {
    if located.bracket.hi.is_none() {
        // The end of a history that is over says nothing about what came after it.
        return located
            .at_sample
            .estimate
            .filter(|_| located.is_caught_up());
    }
    if located.is_frozen() {
        return located.point.map(|point| now - point.at);
    }
    let last = located.at_sample.estimate?;
    let trend = located
        .previous
        .filter(|(_, before)| !located.is_usual && last.max(*before) > TREND_FLOOR);
    let Some((before_at, before)) = trend else {
        return Some(last);
    };
    let between = located.received() - before_at;
    if between <= Span::ZERO {
        return Some(last);
    }
    // An answer that took long may be older than it seems: no reason to expect more.
    let steepest = if located.took_long() { 0.0 } else { 1.0 };
    let slope = ((last - before).as_secs_f64() / between.as_secs_f64()).min(steepest);
    let ahead = (now - located.received())
        .min(pair.interval.mul_f64(CARRIED_POLLS))
        .or_zero();
    Some(last + ahead.mul_f64(slope))
}

/// The bytes of lag: as of the last poll, or up to the master's newest offset while the replica
/// stands still.
fn bytes_at(evidence: Evidence<'_>, now: Timestamp, master_silent: bool) -> LagBytes {
    let pair = evidence.pair;
    // What the master has written since a history ended is counted in another history: no
    // difference means anything.
    let Some(located) = pair.placed().filter(|located| located.is_current()) else {
        return LagBytes::UNKNOWN;
    };
    if evidence.master.gap(now, pair.interval).is_some() {
        return LagBytes::UNKNOWN;
    }
    if master_silent {
        return LagBytes {
            lower: located.bytes.lower,
            ..LagBytes::UNKNOWN
        };
    }
    if silent_since(evidence, located, now).is_some() {
        let silent = silent_bytes(pair, located);
        let estimate = silent.estimate.filter(|_| was_seen_silent(evidence, now));
        return LagBytes { estimate, ..silent };
    }
    let newest = pair
        .master_offset
        .filter(|_| located.is_frozen())
        .map(|m| m.since(located.applied()));
    LagBytes {
        lower: located.bytes.lower,
        estimate: newest.or(located.bytes.estimate),
        upper: located.bytes.upper.max(newest),
    }
}

/// The first state that fits.
fn state_at(evidence: Evidence<'_>, now: Timestamp) -> (PairState, StateReason) {
    let Evidence {
        master,
        replica,
        pair,
    } = evidence;
    for (who, server) in [(Role::Master, master), (Role::Replica, replica)] {
        let is_judged = server.gap(now, pair.interval).is_none();
        if is_judged && server.is_unsupported() {
            let engine = server.engine.unwrap_or(Engine::Unknown);
            return (
                PairState::Unsupported,
                StateReason::UnsupportedServer { who, engine },
            );
        }
    }
    let silent = [
        (Role::Master, master, PairState::MasterUnreachable),
        (Role::Replica, replica, PairState::ReplicaUnreachable),
    ];
    for (who, server, state) in silent {
        if server.is_silent(now, pair.interval) {
            if let Some(fault) = server.fault().cloned() {
                return (PairState::Unknown, StateReason::NoAccess { who, fault });
            }
            let for_ = server
                .unreachable_for(now)
                .filter(|silent| *silent > Span::ZERO);
            return (
                state,
                StateReason::NoAnswer {
                    who,
                    error: server.last_error.clone(),
                    for_,
                },
            );
        }
    }
    if let Some((who, gap)) = gap_of(evidence, now) {
        return (PairState::Unknown, gap.reason(who));
    }
    related_state(master.role, pair).unwrap_or_else(|| link_state(pair, now))
}

/// Why nothing can be said of one of the two servers, where that is the exporter's own doing.
fn gap_of(evidence: Evidence<'_>, now: Timestamp) -> Option<(Role, Gap)> {
    let servers = [
        (Role::Master, evidence.master),
        (Role::Replica, evidence.replica),
    ];
    servers
        .into_iter()
        .find_map(|(who, server)| Some((who, server.gap(now, evidence.pair.interval)?)))
}

/// The states that follow from how the two servers' histories relate; `None` where the link
/// decides.
fn related_state(master_role: Option<Role>, pair: &PairFacts) -> Option<(PairState, StateReason)> {
    let link_up = pair.link.status == Some(LinkStatus::Up);
    let found = match pair.relation {
        Relation::IsMaster { .. } if master_role == Some(Role::Replica) => {
            (PairState::Unknown, StateReason::RolesSwapped)
        }
        Relation::IsMaster { split } => (PairState::Diverged, StateReason::TwoMasters { split }),
        Relation::NotComparable(Comparison::Diverged { bytes }) => {
            (PairState::Diverged, StateReason::UnsharedBytes { bytes })
        }
        Relation::NotComparable(Comparison::Foreign) if link_up => {
            (PairState::WrongMaster, StateReason::ForeignHistory)
        }
        Relation::NeverSynced => (
            PairState::NeverSynced,
            StateReason::NeverSynced {
                read: pair.link.sync_read.map(|r| r.0),
            },
        ),
        _ => return None,
    };
    Some(found)
}

/// The states that the link itself decides.
fn link_state(pair: &PairFacts, now: Timestamp) -> (PairState, StateReason) {
    let link = &pair.link;
    if link.syncing {
        let reason = StateReason::FullSync(link.sync_progress(now));
        return (PairState::FullSync, reason);
    }
    if link.status == Some(LinkStatus::Down) {
        return (
            PairState::LinkDown,
            StateReason::LinkDown {
                for_: link.down_since.map(|since| (now - since).or_zero()),
            },
        );
    }
    match pair.relation {
        Relation::Comparable if pair.parent_down_since.is_some() => {
            let for_ = pair
                .parent_down_since
                .map_or(Span::ZERO, |since| (now - since).or_zero());
            (PairState::Stalled, StateReason::ParentCutOff { for_ })
        }
        Relation::Comparable if link.status == Some(LinkStatus::Up) && has_ended_history(pair) => {
            (PairState::Unknown, StateReason::EndedHistory)
        }
        Relation::Comparable => flow_state(pair, now),
        Relation::NotComparable(_) => (PairState::Unknown, StateReason::MasterHistoryUnknown),
        Relation::Ahead => (PairState::Unknown, StateReason::Ahead),
        Relation::Incomplete => (
            PairState::Unknown,
            StateReason::IncompleteAnswer { who: Role::Replica },
        ),
        Relation::MasterIsReplica => (PairState::Unknown, StateReason::MasterIsReplica),
        Relation::MasterIncomplete => (
            PairState::Unknown,
            StateReason::IncompleteAnswer { who: Role::Master },
        ),
        Relation::Unseen
        | Relation::Restored
        | Relation::IsMaster { .. }
        | Relation::NeverSynced => (PairState::Unknown, StateReason::Starting),
    }
}

/// Whether the stream flows, where the link does not say that it is down and the histories agree.
fn flow_state(pair: &PairFacts, now: Timestamp) -> (PairState, StateReason) {
    if let Some(stall) = pair.stall(now) {
        let for_ = now - stall.since;
        let reason = match stall.quiet_since {
            Some(since) => StateReason::AlreadyStalled {
                idle_for: now - since,
                for_,
            },
            None => StateReason::Stalled { for_ },
        };
        return (PairState::Stalled, reason);
    }
    if pair.link.status != Some(LinkStatus::Up) {
        return (
            PairState::Unknown,
            StateReason::IncompleteAnswer { who: Role::Replica },
        );
    }
    let bracket = pair.located.as_ref().map(|located| located.bracket);
    match bracket.and_then(|bracket| bracket.hi) {
        Some(passed) if pair.is_unbounded() => (
            PairState::Unknown,
            StateReason::NotYetReached {
                for_: (now - passed).or_zero(),
            },
        ),
        _ => (PairState::Streaming, StateReason::Streaming),
    }
}

/// Whether the replica's position is in a history that its master no longer writes: with its link
/// up it follows somebody else, or has not noticed yet, and "streaming" would be a lie.
fn has_ended_history(pair: &PairFacts) -> bool {
    pair.located
        .as_ref()
        .is_some_and(|located| !located.is_current())
}

/// `repl_backlog_size - (M - R)`: nothing when the replica is already further behind than the
/// backlog reaches.
fn headroom(pair: &PairFacts, bytes: LagBytes) -> Option<Bytes> {
    Some(Bytes::new(
        pair.backlog_size?
            .get()
            .saturating_sub(bytes.estimate?.get()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::{Field, ReplicaConnState, UpstreamInfo};
    use crate::replication::testing::{Scene, at, down, id, millis, observation, upstream};

    /// A replica that stands at 100 while its master writes on, `rounds` seconds long.
    fn frozen(rounds: i64) -> Scene {
        let mut scene = Scene::new();
        scene.round(0, 100, 100);
        for second in 1..=rounds {
            scene.round(
                second * 1000,
                100 + 10 * u64::try_from(second).unwrap(),
                100,
            );
        }
        scene
    }

    fn check(
        scene: &Scene,
        now: i64,
        state: PairState,
        lag: (Option<i64>, Option<i64>, Option<i64>),
    ) {
        let seen = scene.assess(now);
        let (lower, estimate, upper) = lag;
        let expected = [lower, estimate, upper].map(|m| m.map(millis));
        assert_eq!(
            (
                seen.state,
                [seen.lag.lower, seen.lag.estimate, seen.lag.upper]
            ),
            (state, expected)
        );
    }

    #[test]
    fn a_caught_up_replica_lacks_nothing_until_the_bound_says_otherwise() {
        let mut scene = Scene::new();
        scene.round(0, 100, 100);
        check(
            &scene,
            50,
            PairState::Streaming,
            (Some(0), Some(0), Some(10)),
        );
        check(
            &scene,
            900,
            PairState::Streaming,
            (Some(0), Some(0), Some(860)),
        );
    }

    #[test]
    fn a_frozen_replica_ages_with_the_clock_and_its_link_is_stalled() {
        let scene = frozen(2);
        let early = scene.assess(2050);
        let later = scene.assess(2550);
        assert_eq!(
            later
                .lag
                .estimate
                .zip(early.lag.estimate)
                .map(|(l, e)| l - e),
            Some(millis(500))
        );
        assert_eq!(early.state, PairState::Streaming, "not for long yet");
        assert_eq!(frozen(4).assess(4050).state, PairState::Stalled);
    }

    /// It would show the lag that it had before the silence, for as long as the master is not
    /// asked.
    #[test]
    fn an_answer_after_a_silence_says_nothing_until_the_master_was_asked_after_it() {
        let back = |acked: u64| {
            let mut scene = Scene::new();
            scene
                .acks(ReplicaConnState::Online, Some(acked))
                .round(0, 100, 100)
                .replica_fails(1000);
            scene
                .master(1020, 'a', 110)
                .replica_fails(2000)
                .master(2020, 'a', 200)
                .master(7990, 'a', 300);
            scene.replica(8000, 'a', 300);
            scene
        };
        let frozen = back(100).assess(8050);
        assert!(
            frozen.stale && frozen.lag.estimate.is_some_and(|lag| lag > millis(6000)),
            "{:?}",
            frozen.lag
        );
        let only_unheard = back(300).assess(8050);
        assert!(
            only_unheard.lag.upper.is_some_and(|lag| lag <= millis(100)),
            "{:?}",
            only_unheard.lag
        );
        let mut placed = back(100);
        placed.master(8060, 'a', 300);
        check(
            &placed,
            8080,
            PairState::Streaming,
            (Some(0), Some(0), Some(20)),
        );
    }

    /// The server may have stood still for five seconds, or the network have held its answer back:
    /// only ACKs tell.
    #[test]
    fn a_late_answer_is_no_news_of_the_moment_at_which_it_came() {
        let late = |acked: u64, takes: i64| {
            let mut scene = Scene::new();
            scene
                .acks(ReplicaConnState::Online, Some(acked))
                .round(0, 100, 100)
                .master(1000, 'a', 100);
            scene
                .master(1040, 'a', 300)
                .answers_late(1020, takes, upstream(100))
                .master(1030 + takes, 'a', 500);
            scene.assess(1050 + takes)
        };
        let in_time = late(100, 900);
        assert!(
            !in_time.stale && in_time.lag.lower == Some(Span::ZERO),
            "{in_time:?}"
        );
        let stood_still = late(100, 5000);
        assert!(
            stood_still.stale
                && stood_still
                    .lag
                    .estimate
                    .is_some_and(|lag| lag > millis(4500)),
            "{stood_still:?}"
        );
        let held_back = late(500, 5000);
        assert!(
            held_back.stale && held_back.lag.estimate == Some(Span::ZERO),
            "{held_back:?}"
        );
    }

    #[test]
    fn a_link_that_came_up_a_moment_ago_is_not_stalled() {
        let mut scene = Scene::new();
        scene.round(0, 100, 100);
        for second in 1..6 {
            let bytes = 100 + u64::try_from(second).unwrap();
            scene.master(second * 1000, 'a', bytes).says(
                second * 1000 + 20,
                'a',
                down(100, second),
                false,
            );
            scene.master(second * 1000 + 40, 'a', bytes);
        }
        scene.replica(6020, 'a', 105);
        assert_eq!(scene.assess(6030).state, PairState::Streaming);
    }

    #[test]
    fn what_is_not_proven_does_not_grow_between_polls() {
        let mut scene = Scene::new();
        scene.round(0, 100, 100).round(1000, 114, 100);
        assert!(
            scene
                .assess(1050)
                .lag
                .estimate
                .is_some_and(|lag| lag < millis(100))
        );
        assert_eq!(
            scene.assess(1900).lag.estimate,
            scene.assess(1050).lag.estimate
        );
    }

    #[test]
    fn the_lower_bound_yields_while_a_replica_drains() {
        let mut scene = frozen(5);
        scene.round(6000, 200, 145);
        let sampled = scene.tracker.facts().located.as_ref().unwrap().at_sample;
        let later = scene.assess(6900).lag;
        assert!(
            later.estimate < sampled.estimate && later.lower <= later.estimate,
            "{later:?} {sampled:?}"
        );
    }

    #[test]
    fn a_silent_master_leaves_the_lower_bound_only() {
        let mut scene = frozen(3);
        let before = scene.assess(3050);
        scene.master_fails(4000).master_fails(5000);
        let seen = scene.assess(5050);
        assert_eq!(seen.state, PairState::MasterUnreachable);
        assert_eq!(
            (seen.lag.lower, seen.lag.estimate, seen.lag.upper),
            (before.lag.lower, None, None)
        );
        assert_eq!(
            (seen.bytes.estimate, seen.bytes.upper, seen.backlog_headroom),
            (None, None, None)
        );
        assert!(seen.last_known.is_some());
    }

    #[test]
    fn a_silent_replica_rests_on_what_its_master_says_of_it() {
        let silent = |acks: Option<Option<u64>>| {
            let mut scene = Scene::new();
            if let Some(offset) = acks {
                scene.acks(ReplicaConnState::Online, offset);
            }
            scene
                .round(0, 100, 100)
                .replica_fails(1000)
                .master(1020, 'a', 100)
                .replica_fails(2000);
            scene.master(2020, 'a', 200);
            scene.assess(2050)
        };
        let cases = [
            (None, None),
            (Some(Some(200)), Some(millis(0))),
            (Some(Some(100)), Some(millis(775))),
        ];
        for (acks, estimate) in cases {
            let seen = silent(acks);
            assert_eq!(
                (seen.state, seen.stale, seen.lag.lower),
                (PairState::ReplicaUnreachable, true, Some(Span::ZERO))
            );
            assert_eq!(
                seen.bytes.estimate.is_some(),
                estimate.is_some(),
                "{acks:?}"
            );
            let near = seen
                .lag
                .estimate
                .zip(estimate)
                .is_none_or(|(a, b)| (a - b).as_nanos().abs() < 300_000_000);
            assert!(
                near && seen.lag.estimate.is_some() == estimate.is_some(),
                "{acks:?} {:?}",
                seen.lag
            );
        }
    }

    #[test]
    fn a_history_that_is_over_gives_neither_zero_nor_bytes() {
        let mut caught_up = Scene::new();
        caught_up.round(0, 100, 100).master(1000, 'b', 14);
        check(
            &caught_up,
            1050,
            PairState::Unknown,
            (Some(0), None, Some(1010)),
        );
        caught_up
            .acks(ReplicaConnState::Online, Some(14))
            .replica_fails(1060)
            .master(1080, 'b', 14);
        check(
            &caught_up,
            1100,
            PairState::Unknown,
            (Some(0), None, Some(1060)),
        );
        let mut behind = frozen(3);
        behind.master(4000, 'b', 14);
        assert_eq!(behind.assess(4050).bytes, LagBytes::UNKNOWN);
        assert!(
            behind.assess(4050).lag.estimate > Some(Span::from_secs(3)),
            "its age is known"
        );
    }

    #[test]
    fn the_link_decides_where_histories_agree() {
        let cases = [
            (upstream(100), false, PairState::Streaming),
            (down(100, 3), false, PairState::LinkDown),
            (
                UpstreamInfo {
                    sync_in_progress: Field::Value(true),
                    ..down(100, 3)
                },
                false,
                PairState::FullSync,
            ),
            (down(1, 3), true, PairState::FullSync),
            (
                UpstreamInfo {
                    link: Field::Malformed,
                    ..upstream(100)
                },
                false,
                PairState::Unknown,
            ),
        ];
        for (says, loading, state) in cases {
            let mut scene = Scene::new();
            scene
                .round(0, 100, 100)
                .says(1020, 'a', says.clone(), loading)
                .master(1040, 'a', 100);
            assert_eq!(scene.assess(1050).state, state, "{says:?}");
        }
    }

    #[test]
    fn a_full_sync_that_is_prepared_shows_on_the_master() {
        let mut scene = Scene::new();
        scene
            .round(0, 100, 100)
            .acks(ReplicaConnState::WaitBgsave, None)
            .master(1000, 'a', 100);
        scene
            .says(1020, 'a', down(100, 1), false)
            .master(1040, 'a', 100);
        assert_eq!(scene.assess(1050).state, PairState::FullSync);
    }

    #[test]
    fn how_the_servers_relate_comes_before_the_link() {
        let mut foreign = Scene::new();
        foreign
            .master(0, 'a', 100)
            .replica(20, 'f', 100)
            .master(40, 'a', 100);
        assert_eq!(foreign.assess(50).state, PairState::WrongMaster);
        let mut promoted = Scene::new();
        let info = crate::info::ReplicationInfo {
            role: Field::Value(Role::Master),
            replid: Field::Value(id('c')),
            ..Default::default()
        };
        promoted
            .round(0, 100, 100)
            .replica_answers(1000, &observation(info));
        assert_eq!(promoted.assess(1050).state, PairState::Diverged);
        promoted.master.role = Some(Role::Replica);
        assert_eq!(promoted.assess(1050).reason, StateReason::RolesSwapped);
    }

    #[test]
    fn a_master_that_is_none_is_named_as_the_reason() {
        for (is_replica, reason) in [
            (true, StateReason::MasterIsReplica),
            (false, StateReason::IncompleteAnswer { who: Role::Master }),
        ] {
            let mut scene = Scene::new();
            scene.round(0, 100, 100);
            scene.tracker.master_is_no_master(is_replica);
            assert_eq!(scene.assess(50).reason, reason);
            assert_eq!(scene.assess(2050).lag, LagInterval::UNKNOWN);
            assert_eq!(
                scene.assess(50).lag.estimate.is_some(),
                is_replica,
                "it may have handed over"
            );
        }
    }

    /// Half a second without a number at each failover would be half a second without an alert.
    #[test]
    fn a_master_that_hands_over_leaves_the_estimate_for_two_polls_and_no_bound() {
        let mut scene = frozen(3);
        let before = scene.assess(3050).lag;
        scene.tracker.master_is_no_master(true);
        let seen = scene.assess(3550);
        assert_eq!(
            (seen.state, seen.reason),
            (PairState::Unknown, StateReason::MasterIsReplica)
        );
        assert_eq!(
            seen.lag.estimate,
            before.estimate.map(|lag| lag + millis(500)),
            "it certainly stands still"
        );
        assert_eq!(
            (seen.lag.lower, seen.lag.upper, seen.bytes),
            (Some(Span::ZERO), None, LagBytes::UNKNOWN)
        );
        assert!(seen.sampled_at.is_some() && seen.deserves_replica_poll);
        assert_eq!(scene.assess(5060).lag, LagInterval::UNKNOWN);
        scene.continues = Some(('a', 131));
        scene.master(3600, 'b', 140);
        let after = scene.assess(3620);
        assert!(
            after.lag.upper.is_some() && after.lag.lower.is_some_and(|lag| lag > millis(1500)),
            "{:?}",
            after.lag
        );
        assert_eq!(
            after.state,
            PairState::Stalled,
            "its position is in the history that goes on, and stands still"
        );
    }

    #[test]
    fn headroom_is_what_the_backlog_has_left() {
        assert_eq!(
            frozen(3).assess(3050).backlog_headroom,
            Some(Bytes::new(970))
        );
        let mut gone = Scene::new();
        gone.round(0, 100, 100).round(1000, 5000, 100);
        assert_eq!(gone.assess(1050).backlog_headroom, Some(Bytes::new(0)));
    }

    #[test]
    fn an_outage_is_as_old_as_the_server_says() {
        let mut scene = Scene::new();
        scene
            .round(0, 100, 100)
            .master(9000, 'a', 200)
            .says(9020, 'a', down(100, 5), false)
            .master(9040, 'a', 200);
        assert_eq!(scene.assess(9050).link_down_for, Some(at(9050) - at(4020)));
    }
}
