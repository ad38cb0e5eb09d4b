//! In which order the servers of one replication tree are polled. Pure, sans-IO: it is told the
//! time and the answers, and says whom to ask and when it wants to be called again.
//!
//! A round is a sandwich: the roots, then other servers, then the roots again. A replica's answer
//! between two answers of its master is what makes byte lag exact and "caught up" provable: the
//! second poll of the master is sent after the replica's answer came. In a base round a replica at
//! the end of a long link is asked a little later than its master ([`super::lead`]); in a boosted
//! round only who is boosted is asked. A half-interval round is the end of a sandwich: who answered in the round
//! before, then the roots. Its beginning is the last poll of the roots, half a period earlier.
//!
//! **Invariants:** nobody is asked twice in one stage; nobody is waited for longer than its
//! patience; a server that was silent or failing last time is asked but not waited for, so one hung
//! server delays the others once, not for ever.

use super::lead::lead;
use super::pace::{Intervals, Pace, Round};
use crate::model::{Span, Timestamp};
use crate::replication::MinRtt;

/// The shortest time that an answer is waited for: above what a busy but healthy server takes.
const MIN_PATIENCE: Span = Span::from_millis(100);

/// How many times its smallest round trip a server may take before it counts as slow.
const PATIENCE_FACTOR: f64 = 4.0;

/// A replica that has to be asked later than this after the roots stands at the end of a long link.
const SHORT_LEAD: Span = Span::from_millis(100);

/// One tree's rounds.
#[derive(Debug)]
pub struct TreeSchedule {
    /// Members before this are roots.
    roots: usize,
    members: Vec<Member>,
    intervals: Intervals,
    pace: Pace,
    /// The round under way, or the last one.
    round: Round,
    stage: Stage,
    /// Who is to be asked in this stage, and when.
    to_ask: Vec<(usize, Timestamp)>,
    /// Who is waited for in this stage, and until when.
    waiting: Vec<(usize, Timestamp)>,
    /// When the stage had nobody left to wait for.
    settled_at: Timestamp,
}

/// Whom to poll, as [`TreeSchedule::on_time`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuePoll {
    /// The server's place in the tree, roots first.
    pub server: usize,
    /// When the poll was to be sent.
    pub planned: Timestamp,
    /// After how long without an answer the server counts as silent.
    pub patience: Span,
}

#[derive(Debug)]
struct Member {
    timeout: Span,
    rtt: MinRtt,
    /// Whether its last poll was answered in time (true before the first).
    responsive: bool,
    /// Whether it answered in this round.
    answered: bool,
    /// It was asked and, because it was silent or failing before, not waited for.
    unawaited: bool,
    /// It is polled in boost rounds until then.
    boosted_until: Timestamp,
    /// What its link takes, one way.
    delay: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Between two rounds.
    Rest,
    /// The roots are asked.
    Opening,
    /// Other servers are asked.
    Others,
    /// The roots are asked again.
    Closing,
}

impl TreeSchedule {
    /// A schedule for `timeouts.len()` servers, of which the first `roots` are roots, with each
    /// one's timeout. `seed`, the hash of the tree's identity, spreads the trees of a fleet evenly
    /// over the interval.
    pub fn new(
        roots: usize,
        timeouts: &[Span],
        intervals: Intervals,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            roots: roots.min(timeouts.len()),
            members: timeouts
                .iter()
                .map(|timeout| Member::new(*timeout))
                .collect(),
            intervals,
            // A server without replicas needs no half-interval round: nothing is dated by it.
            pace: Pace::new(intervals, timeouts.len() > 1, seed, now),
            round: Round::Base,
            stage: Stage::Rest,
            to_ask: Vec::new(),
            waiting: Vec::new(),
            settled_at: now,
        }
    }

    /// When [`Self::on_time`] is to be called next; at once when that has passed.
    pub fn poll_at(&self) -> Timestamp {
        if self.stage == Stage::Rest {
            return self.pace.next();
        }
        let to_ask = self.to_ask.iter().map(|(_, at)| *at).min();
        to_ask
            .or_else(|| self.waiting.iter().map(|(_, until)| *until).max())
            .unwrap_or(self.settled_at)
    }

    /// The round that begins when [`Self::on_time`] is called with `now`, if one does.
    pub fn due_round(&self, now: Timestamp) -> Option<Round> {
        if self.stage == Stage::Rest {
            self.pace.due(now)
        } else {
            None
        }
    }

    /// Whether a round is under way.
    pub(super) fn is_polling(&self) -> bool {
        self.stage != Stage::Rest
    }

    /// Whether a refresh is wanted and has not begun.
    pub(super) fn wants_refresh(&self) -> bool {
        self.pace.wants_refresh()
    }

    /// How many polls such a round would take at `now`.
    pub(super) fn polls_in(&self, round: Round, now: Timestamp) -> usize {
        let others = match round {
            Round::Base | Round::Refresh => self.members.len() - self.roots,
            Round::Boost => self.boosted_others(now).count(),
            Round::HalfInterval => {
                return self.answering_roots().count() + self.half_interval_others().count();
            }
        };
        polls_per_round(self.roots, others)
    }

    /// How many polls a second boost rounds would take beyond the base rounds, without a limit.
    pub(super) fn boost_demand(&self, now: Timestamp) -> f64 {
        if self
            .members
            .iter()
            .all(|member| member.boosted_until <= now)
        {
            return 0.0;
        }
        let Intervals { base, boosted } = self.intervals;
        let rounds = 1.0 / boosted.as_secs_f64() - 1.0 / base.as_secs_f64();
        rounds.max(0.0) * self.polls_in(Round::Boost, now) as f64
    }

    /// Rounds that were skipped because their time had passed.
    pub(super) fn missed_rounds(&self) -> u64 {
        self.pace.missed()
    }

    /// Goes on as far as `now` allows, but not from one round into the next; returns whom to poll
    /// at once.
    pub fn on_time(&mut self, now: Timestamp) -> Vec<DuePoll> {
        let mut asks = Vec::new();
        self.ask_who_is_due(now, &mut asks);
        while self.is_stage_over(now) {
            self.next_stage(now);
            if self.stage == Stage::Rest {
                break;
            }
            self.ask_who_is_due(now, &mut asks);
        }
        asks
    }

    /// Instead of the `round` that is due, none runs; not for base rounds.
    pub(super) fn put_off(&mut self, round: Round, now: Timestamp) {
        self.pace.put_off(round, now);
    }

    /// `server` answered a request that was sent and answered at these instants, in this round or
    /// an earlier one.
    ///
    /// Where nobody waited for it, the roots were not asked after it, and only that tells where it
    /// stands: while somebody is boosted, the next round begins at once.
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
                self.pace.hasten(now);
            }
        }
        self.no_longer_wait_for(server, now);
    }

    /// `server`'s poll ended without a usable answer.
    pub fn on_give_up(&mut self, server: usize, now: Timestamp) {
        if let Some(member) = self.members.get_mut(server) {
            member.responsive = false;
        }
        self.no_longer_wait_for(server, now);
    }

    /// `server` is polled in boost rounds, too, until `until`.
    pub fn boost(&mut self, server: usize, until: Timestamp, now: Timestamp) {
        if let Some(member) = self.members.get_mut(server) {
            member.boosted_until = member.boosted_until.max(until);
            self.pace.boost(until, now);
        }
    }

    /// The link to `server` takes `delay`, one way.
    pub fn set_link_delay(&mut self, server: usize, delay: Option<Span>) {
        if let Some(member) = self.members.get_mut(server) {
            member.delay = delay;
        }
    }

    /// Boost rounds are to be `factor` times as far apart as their period says.
    pub(super) fn set_stretch(&mut self, factor: f64) {
        self.pace.set_stretch(factor);
    }

    /// Everybody is to be polled at once; a round under way that polls everybody does.
    pub fn refresh(&mut self, now: Timestamp) {
        if self.stage == Stage::Rest || matches!(self.round, Round::Boost | Round::HalfInterval) {
            self.pace.refresh(now);
        }
    }

    /// Before the first base round, which may be a period away, everybody is polled once: after
    /// this part of the wait.
    pub(super) fn look_first(&mut self, part: f64, now: Timestamp) {
        self.pace.look_first(part, now);
    }

    /// Changes the periods and the servers' timeouts (in the servers' order).
    pub(super) fn set_intervals(
        &mut self,
        intervals: Intervals,
        timeouts: &[Span],
        now: Timestamp,
    ) {
        self.intervals = intervals;
        self.pace.set_intervals(intervals, now);
        for (member, timeout) in self.members.iter_mut().zip(timeouts) {
            member.timeout = *timeout;
        }
    }

    /// Whether nobody is left to ask or to wait for. Whoever's patience is over is silent from here
    /// on.
    fn is_stage_over(&mut self, now: Timestamp) -> bool {
        if self.stage == Stage::Rest {
            return self.pace.next() <= now;
        }
        let (silent, waiting) = self.waiting.drain(..).partition(|(_, until)| *until <= now);
        self.waiting = waiting;
        for (server, until) in silent {
            self.members[server].responsive = false;
            self.settled_at = self.settled_at.max(until);
        }
        self.waiting.is_empty() && self.to_ask.is_empty()
    }

    fn next_stage(&mut self, now: Timestamp) {
        match self.stage {
            Stage::Rest => self.begin_round(now),
            Stage::Opening if self.members.len() == 1 => self.stage = Stage::Rest,
            Stage::Opening => {
                let others = match self.round {
                    Round::Base => (self.roots..self.members.len())
                        .map(|i| (i, self.lead_of(i)))
                        .collect(),
                    Round::Refresh => (self.roots..self.members.len())
                        .map(|i| (i, Span::ZERO))
                        .collect(),
                    Round::Boost => self.boosted_others(now).map(|i| (i, Span::ZERO)).collect(),
                    Round::HalfInterval => Vec::new(), // it begins with the others
                };
                self.enter(Stage::Others, others);
            }
            Stage::Others => {
                // A root that is down or silent is asked once a round: its second poll could prove
                // nothing, and would count its failure twice.
                let answered = self
                    .answering_roots()
                    .map(|root| (root, Span::ZERO))
                    .collect();
                self.enter(Stage::Closing, answered);
            }
            Stage::Closing => self.stage = Stage::Rest,
        }
    }

    fn begin_round(&mut self, now: Timestamp) {
        let Some(round) = self.pace.due(now) else {
            return;
        };
        self.round = round;
        self.settled_at = self.pace.begin(round, now);
        if round == Round::HalfInterval {
            let others = self
                .half_interval_others()
                .map(|server| (server, Span::ZERO))
                .collect();
            return self.enter(Stage::Others, others);
        }
        self.members
            .iter_mut()
            .for_each(|member| member.answered = false);
        self.enter(
            Stage::Opening,
            (0..self.roots).map(|root| (root, Span::ZERO)).collect(),
        );
    }

    /// The roots that answered in this round, or in the one before a half-interval round. Another poll of one
    /// that did not could prove nothing.
    fn answering_roots(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.roots).filter(|root| self.members[*root].answered)
    }

    /// The others that are worth a half-interval round: they answered in the round before, and not from the end
    /// of a long link, where an answer tells little without a poll of the root in time before it.
    fn half_interval_others(&self) -> impl Iterator<Item = usize> + '_ {
        let useful =
            |server: &usize| self.members[*server].answered && self.lead_of(*server) <= SHORT_LEAD;
        let others = if self.answering_roots().next().is_some() {
            self.roots..self.members.len()
        } else {
            0..0
        };
        others.filter(useful)
    }

    /// Goes over to `stage`, in which these servers are asked, each so much later than the stage
    /// before ended.
    fn enter(&mut self, stage: Stage, servers: Vec<(usize, Span)>) {
        self.stage = stage;
        self.to_ask = servers
            .into_iter()
            .map(|(server, wait)| (server, self.settled_at + wait))
            .collect();
    }

    fn ask_who_is_due(&mut self, now: Timestamp, asks: &mut Vec<DuePoll>) {
        let (due, later) = self.to_ask.drain(..).partition(|(_, at)| *at <= now);
        self.to_ask = later;
        for (server, planned) in due {
            let member = &mut self.members[server];
            let patience = patience(member.rtt.get(), member.timeout);
            member.unawaited = !member.responsive;
            if member.responsive {
                self.waiting.push((server, now + patience));
            }
            asks.push(DuePoll {
                server,
                planned,
                patience,
            });
        }
    }

    fn boosted_others(&self, now: Timestamp) -> impl Iterator<Item = usize> + '_ {
        (self.roots..self.members.len())
            .filter(move |server| self.members[*server].boosted_until > now)
    }

    /// How long after the roots answered `server` is asked in a base round.
    fn lead_of(&self, server: usize) -> Span {
        let root = self.members[..self.roots]
            .iter()
            .filter_map(|root| root.rtt.get())
            .min();
        let Member {
            delay: Some(delay),
            rtt,
            ..
        } = &self.members[server]
        else {
            return Span::ZERO;
        };
        let known = root.zip(rtt.get());
        known.map_or(Span::ZERO, |(root, replica)| {
            lead(*delay, root, replica, self.intervals.base)
        })
    }

    fn no_longer_wait_for(&mut self, server: usize, now: Timestamp) {
        let before = self.waiting.len();
        self.waiting.retain(|(waited, _)| *waited != server);
        if self.waiting.len() < before {
            self.settled_at = self.settled_at.max(now);
        }
    }
}

impl Member {
    fn new(timeout: Span) -> Self {
        Self {
            timeout,
            rtt: MinRtt::default(),
            responsive: true,
            answered: false,
            unawaited: false,
            boosted_until: Timestamp::default(),
            delay: None,
        }
    }
}

/// How many polls a round of a tree takes in which so many roots and others are polled.
pub(super) fn polls_per_round(roots: usize, others: usize) -> usize {
    if roots + others == 1 {
        1
    } else {
        2 * roots + others
    }
}

/// How long an answer is waited for before the server counts as silent: 100 ms or four times its
/// smallest round trip, whichever is more, and never more than `timeout`.
fn patience(min_rtt: Option<Span>, timeout: Span) -> Span {
    let usual = min_rtt.map_or(Span::ZERO, |rtt| rtt.mul_f64(PATIENCE_FACTOR));
    usual.max(MIN_PATIENCE).min(timeout)
}

#[cfg(test)]
mod tests;
