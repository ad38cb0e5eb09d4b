//! In which order the servers of one replication tree are polled. Pure, sans-IO: the caller passes
//! the time and the answers in, and gets back which servers to poll and when to call again.
//!
//! In each round the roots are polled, then other servers, then the roots again, so that every
//! replica's answer is bracketed by two answers of its master. That is what makes the lag in bytes
//! exact and "caught up" provable: the master's second poll is sent after the replica's answer was
//! received. In a base round a replica at the end of a long link is polled a little later than its
//! master ([`super::replica_delay`]); in a boost round only boosted replicas are polled. A
//! half-interval round has no first poll of the roots: the closing poll of the round before, half
//! a period earlier, takes its place.
//!
//! **Invariants:** no server is polled twice in one stage; no answer is awaited beyond its
//! patience; a server that was silent or failing last time is polled but not awaited, so a hung
//! server delays the others once, and not in every round.

use super::replica_delay::replica_delay;
use super::round_timer::{Intervals, Round, RoundTimer};
use crate::model::{Span, Timestamp};
use crate::replication::MinRtt;

/// The shortest time to wait for an answer: more than a busy but healthy server takes.
const MIN_PATIENCE: Span = Span::from_millis(100);

/// How many of its smallest round trips a server may take before it counts as silent.
const PATIENCE_FACTOR: f64 = 4.0;

/// A replica with a longer delay is at the end of a long link.
const SHORT_DELAY: Span = Span::from_millis(100);

/// The rounds of one tree.
#[derive(Debug)]
pub struct TreeSchedule {
    /// The first members are the roots: this many.
    roots: usize,
    members: Vec<TreeMember>,
    intervals: Intervals,
    timer: RoundTimer,
    /// The current round, or the last one.
    round: Round,
    stage: RoundStage,
    /// Members to poll in this stage, and when.
    to_poll: Vec<(usize, Timestamp)>,
    /// Members whose answers are awaited in this stage, and until when.
    awaited: Vec<(usize, Timestamp)>,
    /// When the last answer of the stage was received, or given up.
    settled_at: Timestamp,
}

/// A server to poll at once, as returned by [`TreeSchedule::on_time`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuePoll {
    /// The server's index in the tree, roots first.
    pub server: usize,
    /// When the poll was due.
    pub planned: Timestamp,
    /// After how long without an answer the server counts as silent.
    pub patience: Span,
}

#[derive(Debug)]
struct TreeMember {
    timeout: Span,
    rtt: MinRtt,
    /// Whether its last poll was answered in time (true before the first).
    responsive: bool,
    /// Whether it answered in this round.
    answered: bool,
    /// Whether it was polled but, because it was not responsive, not awaited.
    unawaited: bool,
    /// Until when it takes part in boost rounds.
    boosted_until: Timestamp,
    /// How long its link takes, one way.
    link_delay: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum RoundStage {
    /// Between two rounds.
    Idle,
    /// The roots are polled.
    Opening,
    /// Other servers are polled.
    Others,
    /// The roots are polled again.
    Closing,
}

impl TreeSchedule {
    /// A schedule for `timeouts.len()` servers, each with its timeout; the first `roots` of them
    /// are the roots. `seed`, the hash of the tree's identity, spreads the trees of a fleet evenly
    /// over the interval.
    pub fn new(
        roots: usize,
        timeouts: &[Span],
        intervals: Intervals,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        let members = timeouts.iter().map(|timeout| TreeMember::new(*timeout));
        // A server without replicas needs no half-interval rounds: they would date nothing.
        let half_interval_rounds = timeouts.len() > 1;
        Self {
            roots: roots.min(timeouts.len()),
            members: members.collect(),
            intervals,
            timer: RoundTimer::new(intervals, half_interval_rounds, seed, now),
            round: Round::Base,
            stage: RoundStage::Idle,
            to_poll: Vec::new(),
            awaited: Vec::new(),
            settled_at: now,
        }
    }

    /// When [`Self::on_time`] has to be called next; at once if that has passed.
    pub fn poll_at(&self) -> Timestamp {
        if self.stage == RoundStage::Idle {
            return self.timer.next();
        }
        let next_poll = self.to_poll.iter().map(|(_, at)| *at).min();
        let last_wait = self.awaited.iter().map(|(_, until)| *until).max();
        next_poll.or(last_wait).unwrap_or(self.settled_at)
    }

    /// The round that begins when [`Self::on_time`] is called with `now`, if one does.
    pub fn due_round(&self, now: Timestamp) -> Option<Round> {
        if self.stage == RoundStage::Idle {
            self.timer.due(now)
        } else {
            None
        }
    }

    /// Whether a round is in progress.
    pub(super) fn is_polling(&self) -> bool {
        self.stage != RoundStage::Idle
    }

    /// Whether a refresh was requested and has not begun.
    pub(super) fn wants_refresh(&self) -> bool {
        self.timer.wants_refresh()
    }

    /// How many polls a round of this kind would take at `now`.
    pub(super) fn polls_in(&self, round: Round, now: Timestamp) -> usize {
        let others = match round {
            Round::Base | Round::Refresh => self.others().count(),
            Round::Boost => self.boosted_others(now).count(),
            Round::HalfInterval => {
                return self.answering_roots().count() + self.half_interval_others().count();
            }
        };
        polls_per_round(self.roots, others)
    }

    /// The polls a second that boost rounds would take in addition to the base rounds, if the
    /// budget allowed all of them.
    pub(super) fn boost_demand(&self, now: Timestamp) -> f64 {
        if !self.members.iter().any(|member| member.is_boosted(now)) {
            return 0.0;
        }
        let Intervals { base, boosted } = self.intervals;
        let rounds = 1.0 / boosted.as_secs_f64() - 1.0 / base.as_secs_f64();
        rounds.max(0.0) * self.polls_in(Round::Boost, now) as f64
    }

    /// Rounds that were skipped because their time had passed.
    pub(super) fn missed_rounds(&self) -> u64 {
        self.timer.missed()
    }

    /// Advances as far as `now` allows, but not from one round into the next. Returns the servers
    /// to poll at once.
    pub fn on_time(&mut self, now: Timestamp) -> Vec<DuePoll> {
        let mut polls = Vec::new();
        self.take_due_polls(now, &mut polls);
        while self.is_stage_over(now) {
            self.next_stage(now);
            if self.stage == RoundStage::Idle {
                break;
            }
            self.take_due_polls(now, &mut polls);
        }
        polls
    }

    /// Cancels the `round` that is due. A base round cannot be cancelled.
    pub(super) fn put_off(&mut self, round: Round, now: Timestamp) {
        self.timer.put_off(round, now);
    }

    /// `server` answered a request of this round or an earlier one, which was sent and answered at
    /// these instants.
    ///
    /// If the answer was not awaited, the roots were not polled after it, and only that locates
    /// the server: if it is boosted, the next boost round begins at once.
    pub fn on_answer(
        &mut self,
        server: usize,
        sent: Timestamp,
        received: Timestamp,
        now: Timestamp,
    ) {
        if let Some(member) = self.members.get_mut(server) {
            member.rtt.observe(received - sent, received);
            member.responsive = true;
            member.answered = true;
            if std::mem::take(&mut member.unawaited) {
                self.timer.add_boost_round(now);
            }
        }
        self.stop_awaiting(server, now);
    }

    /// The poll of `server` ended without a usable answer.
    pub fn on_give_up(&mut self, server: usize, now: Timestamp) {
        self.mark_unresponsive(server);
        self.stop_awaiting(server, now);
    }

    /// `server` takes part in boost rounds until `until`.
    pub fn boost(&mut self, server: usize, until: Timestamp, now: Timestamp) {
        if let Some(member) = self.members.get_mut(server) {
            member.boosted_until = member.boosted_until.max(until);
            self.timer.boost(until, now);
        }
    }

    /// The link to `server` takes `delay`, one way.
    pub fn set_link_delay(&mut self, server: usize, delay: Option<Span>) {
        if let Some(member) = self.members.get_mut(server) {
            member.link_delay = delay;
        }
    }

    /// Multiplies the period of boost rounds by `factor`.
    pub(super) fn set_stretch(&mut self, factor: f64) {
        self.timer.set_stretch(factor);
    }

    /// Polls all servers at once, unless a round that polls all of them is in progress.
    pub fn refresh(&mut self, now: Timestamp) {
        let polls_all = matches!(self.round, Round::Base | Round::Refresh);
        if self.stage == RoundStage::Idle || !polls_all {
            self.timer.refresh(now);
        }
    }

    /// Polls all servers once before the first base round, which may be a period away: after this
    /// part of the wait for it.
    pub(super) fn poll_early(&mut self, part: f64, now: Timestamp) {
        self.timer.poll_early(part, now);
    }

    /// Changes the periods and the servers' timeouts (in the order of the servers).
    pub(super) fn set_intervals(
        &mut self,
        intervals: Intervals,
        timeouts: &[Span],
        now: Timestamp,
    ) {
        self.intervals = intervals;
        self.timer.set_intervals(intervals, now);
        for (member, timeout) in self.members.iter_mut().zip(timeouts) {
            member.timeout = *timeout;
        }
    }

    /// Whether the stage has no server left to poll or to wait for. A server whose patience has
    /// run out counts as unresponsive from here on.
    fn is_stage_over(&mut self, now: Timestamp) -> bool {
        if self.stage == RoundStage::Idle {
            return self.timer.next() <= now;
        }
        let mut awaited = std::mem::take(&mut self.awaited);
        awaited.retain(|(server, until)| {
            let is_expired = *until <= now;
            if is_expired {
                self.mark_unresponsive(*server);
                self.settled_at = self.settled_at.max(*until);
            }
            !is_expired
        });
        self.awaited = awaited;
        self.awaited.is_empty() && self.to_poll.is_empty()
    }

    fn next_stage(&mut self, now: Timestamp) {
        match self.stage {
            RoundStage::Idle => self.begin_round(now),
            RoundStage::Opening if self.members.len() == 1 => self.stage = RoundStage::Idle,
            RoundStage::Opening => {
                let others = self.others_in_round(now);
                self.enter(RoundStage::Others, others);
            }
            RoundStage::Others => {
                // A root that did not answer is polled once a round: a second poll could prove
                // nothing, and would count the failure twice.
                let roots = self.answering_roots().map(at_once).collect();
                self.enter(RoundStage::Closing, roots);
            }
            RoundStage::Closing => self.stage = RoundStage::Idle,
        }
    }

    fn begin_round(&mut self, now: Timestamp) {
        let Some(round) = self.timer.due(now) else {
            return;
        };
        self.round = round;
        self.settled_at = self.timer.begin(round, now);
        if round == Round::HalfInterval {
            let others = self.half_interval_others().map(at_once).collect();
            self.enter(RoundStage::Others, others);
            return;
        }
        for member in &mut self.members {
            member.answered = false;
        }
        let roots = self.roots().map(|(root, _)| at_once(root)).collect();
        self.enter(RoundStage::Opening, roots);
    }

    /// The servers to poll after the roots in this round, and how much later.
    fn others_in_round(&self, now: Timestamp) -> Vec<(usize, Span)> {
        let others = self.others();
        match self.round {
            Round::Base => others
                .map(|(server, member)| (server, self.replica_delay(member)))
                .collect(),
            Round::Refresh => others.map(|(server, _)| at_once(server)).collect(),
            Round::Boost => self.boosted_others(now).map(at_once).collect(),
            Round::HalfInterval => Vec::new(), // it begins with them
        }
    }

    /// The roots, each with its index.
    fn roots(&self) -> impl Iterator<Item = (usize, &TreeMember)> {
        self.members.iter().enumerate().take(self.roots)
    }

    /// The servers that are not roots, each with its index.
    fn others(&self) -> impl Iterator<Item = (usize, &TreeMember)> {
        self.members.iter().enumerate().skip(self.roots)
    }

    /// The roots that answered in this round, or in the one before a half-interval round.
    fn answering_roots(&self) -> impl Iterator<Item = usize> {
        let answering = self.roots().filter(|(_, root)| root.answered);
        answering.map(|(root, _)| root)
    }

    /// The servers that are worth a poll in a half-interval round: they answered in the round
    /// before, as did a root, and are not at the end of a long link, where an answer means little
    /// without a poll of the root just before it.
    fn half_interval_others(&self) -> impl Iterator<Item = usize> {
        let root_answered = self.answering_roots().next().is_some();
        let useful = self.others().filter(move |(_, member)| {
            root_answered && member.answered && self.replica_delay(member) <= SHORT_DELAY
        });
        useful.map(|(server, _)| server)
    }

    fn boosted_others(&self, now: Timestamp) -> impl Iterator<Item = usize> {
        let others = self.others();
        let boosted = others.filter(move |(_, member)| member.is_boosted(now));
        boosted.map(|(server, _)| server)
    }

    /// Enters `stage`, in which these servers are polled, each with its delay after the end of the
    /// stage before.
    fn enter(&mut self, stage: RoundStage, servers: Vec<(usize, Span)>) {
        self.stage = stage;
        self.to_poll.clear();
        for (server, delay) in servers {
            self.to_poll.push((server, self.settled_at + delay));
        }
    }

    fn take_due_polls(&mut self, now: Timestamp, polls: &mut Vec<DuePoll>) {
        let mut to_poll = std::mem::take(&mut self.to_poll);
        to_poll.retain(|(server, planned)| {
            let is_due = *planned <= now;
            if is_due {
                polls.extend(self.begin_poll(*server, *planned, now));
            }
            !is_due
        });
        self.to_poll = to_poll;
    }

    /// The poll of `server` that is due, whose answer is awaited from now on.
    fn begin_poll(&mut self, server: usize, planned: Timestamp, now: Timestamp) -> Option<DuePoll> {
        let member = self.members.get_mut(server)?;
        let patience = patience(member.rtt.get(), member.timeout);
        member.unawaited = !member.responsive;
        if member.responsive {
            self.awaited.push((server, now + patience));
        }
        Some(DuePoll {
            server,
            planned,
            patience,
        })
    }

    /// How long after the roots' answers `member` is polled in a base round.
    fn replica_delay(&self, member: &TreeMember) -> Span {
        let root = self.roots().filter_map(|(_, root)| root.rtt.get()).min();
        match (member.link_delay, root, member.rtt.get()) {
            (Some(link_delay), Some(root), Some(replica)) => {
                replica_delay(link_delay, root, replica, self.intervals.base)
            }
            _ => Span::ZERO,
        }
    }

    fn mark_unresponsive(&mut self, server: usize) {
        if let Some(member) = self.members.get_mut(server) {
            member.responsive = false;
        }
    }

    fn stop_awaiting(&mut self, server: usize, now: Timestamp) {
        let before = self.awaited.len();
        self.awaited.retain(|(awaited, _)| *awaited != server);
        if self.awaited.len() < before {
            self.settled_at = self.settled_at.max(now);
        }
    }
}

impl TreeMember {
    fn new(timeout: Span) -> Self {
        Self {
            timeout,
            rtt: MinRtt::default(),
            responsive: true,
            answered: false,
            unawaited: false,
            boosted_until: Timestamp::default(),
            link_delay: None,
        }
    }

    fn is_boosted(&self, now: Timestamp) -> bool {
        self.boosted_until > now
    }
}

const fn at_once(server: usize) -> (usize, Span) {
    (server, Span::ZERO)
}

/// How many polls a round of this many roots and other servers takes.
pub(super) fn polls_per_round(roots: usize, others: usize) -> usize {
    if roots + others == 1 {
        1
    } else {
        2 * roots + others
    }
}

/// How long an answer is awaited before the server counts as silent: 100 ms or four times its
/// smallest round trip, whichever is more, and never more than `timeout`.
fn patience(min_rtt: Option<Span>, timeout: Span) -> Span {
    let usual = min_rtt.map_or(Span::ZERO, |rtt| rtt.mul_f64(PATIENCE_FACTOR));
    usual.max(MIN_PATIENCE).min(timeout)
}

#[cfg(test)]
mod tests;
