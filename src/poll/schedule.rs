//! In which order the servers of one replication tree are polled. Pure, sans-IO: it is told the time and the answers,
//! and says whom to ask and when it wants to be called again.
//!
//! A round is a sandwich: the roots, then all other servers, then the roots again. A replica's answer between two
//! answers of its master is what makes byte lag exact and "caught up" provable: the second poll of the master is sent
//! after the replica's answer came.
//!
//! **Invariants:** nobody is asked twice in one stage; nobody is waited for longer than its patience; a server that was
//! silent or failing last time is asked but not waited for, so one hung server delays the others once, not for ever.

use super::pace::Pace;
use crate::model::{Span, Timestamp};
use crate::replication::MinRtt;

/// The shortest time that an answer is waited for: above what a busy but healthy server takes.
const MIN_PATIENCE: Span = Span::from_millis(100);

/// How many times its smallest round trip a server may take before it counts as slow.
const PATIENCE_FACTOR: f64 = 4.0;

/// One tree's rounds.
#[derive(Debug)]
pub(super) struct TreeSchedule {
    /// Members before this are roots.
    roots: usize,
    members: Vec<Member>,
    pace: Pace,
    stage: Stage,
    /// Who is waited for in this stage, and until when.
    waiting: Vec<(usize, Timestamp)>,
    /// When the stage had nobody left to wait for.
    settled_at: Timestamp,
}

/// Whom to poll, as [`TreeSchedule::on_time`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// The server's place in the tree, roots first.
    pub(super) server: usize,
    /// When the poll was to be sent.
    pub(super) planned: Timestamp,
    /// After how long without an answer the server counts as silent.
    pub(super) patience: Span,
}

/// The times that a schedule keeps to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    /// The base period of a round.
    pub(super) base: Span,
    /// The period while the tree is urgent.
    pub(super) urgent: Span,
}

#[derive(Debug)]
struct Member {
    timeout: Span,
    rtt: MinRtt,
    /// Whether its last poll was answered in time (true before the first).
    responsive: bool,
    /// Whether it answered in this round.
    answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Between two rounds.
    Rest,
    /// The roots are asked.
    Opening,
    /// All other servers are asked.
    Others,
    /// The roots are asked again.
    Closing,
}

impl TreeSchedule {
    /// A schedule for `timeouts.len()` servers, of which the first `roots` are roots, with each one's timeout. `seed`,
    /// the hash of the tree's identity, spreads the trees of a fleet evenly over the interval.
    pub(super) fn new(roots: usize, timeouts: &[Span], intervals: Intervals, seed: u64, now: Timestamp) -> Self {
        let member =
            |timeout: &Span| Member { timeout: *timeout, rtt: MinRtt::default(), responsive: true, answered: false };
        Self {
            roots: roots.min(timeouts.len()),
            members: timeouts.iter().map(member).collect(),
            pace: Pace::new(intervals.base, intervals.urgent, seed, now),
            stage: Stage::Rest,
            waiting: Vec::new(),
            settled_at: now,
        }
    }

    /// When [`Self::on_time`] is to be called next; at once when that has passed.
    pub(super) fn poll_at(&self) -> Timestamp {
        match self.stage {
            Stage::Rest => self.pace.next(),
            _ => self.waiting.iter().map(|(_, until)| *until).max().unwrap_or(self.settled_at),
        }
    }

    /// Whether a round is due at `now` that is one more than the base period asks for.
    pub(super) fn is_extra_due(&self, now: Timestamp) -> bool {
        self.is_round_due(now) && self.pace.is_extra()
    }

    /// Whether a round begins when [`Self::on_time`] is called with `now`.
    pub(super) fn is_round_due(&self, now: Timestamp) -> bool {
        self.stage == Stage::Rest && self.pace.next() <= now
    }

    /// How many polls one round takes.
    pub(super) fn polls_per_round(&self) -> usize {
        polls_per_round(self.roots, self.members.len() - self.roots)
    }

    /// Rounds that were skipped because their time had passed.
    pub(super) fn missed_rounds(&self) -> u64 {
        self.pace.missed()
    }

    /// Goes on as far as `now` allows, but not from one round into the next; returns whom to poll at once.
    pub(super) fn on_time(&mut self, now: Timestamp) -> Vec<Ask> {
        let mut asks = Vec::new();
        while self.is_stage_over(now) {
            self.next_stage(now, &mut asks);
            if self.stage == Stage::Rest {
                break;
            }
        }
        asks
    }

    /// Instead of an extra round that is due, none runs.
    pub(super) fn put_off_extra(&mut self, now: Timestamp) {
        self.pace.put_off(now);
    }

    /// `server` answered a request that was sent and answered at these instants, in this round or an earlier one.
    pub(super) fn on_answer(&mut self, server: usize, sent: Timestamp, received: Timestamp, now: Timestamp) {
        if let Some(member) = self.members.get_mut(server) {
            member.rtt.observe(received - sent, received);
            member.responsive = true;
            member.answered = true;
        }
        self.no_longer_wait_for(server, now);
    }

    /// `server`'s poll ended without a usable answer.
    pub(super) fn on_give_up(&mut self, server: usize, now: Timestamp) {
        if let Some(member) = self.members.get_mut(server) {
            member.responsive = false;
        }
        self.no_longer_wait_for(server, now);
    }

    /// Rounds follow at the urgent period until `until`.
    pub(super) fn set_urgent(&mut self, until: Timestamp, now: Timestamp) {
        self.pace.set_urgent(until, now);
    }

    /// A round is to begin at once, or as soon as the one under way is over.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        self.pace.refresh(now);
    }

    /// Changes the periods and the servers' timeouts (in the servers' order).
    pub(super) fn set_intervals(&mut self, intervals: Intervals, timeouts: &[Span], now: Timestamp) {
        self.pace.set_intervals(intervals.base, intervals.urgent, now);
        for (member, timeout) in self.members.iter_mut().zip(timeouts) {
            member.timeout = *timeout;
        }
    }

    /// Whether nobody is left to wait for. Whoever's patience is over is silent from here on.
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
        self.waiting.is_empty()
    }

    fn next_stage(&mut self, now: Timestamp, asks: &mut Vec<Ask>) {
        let lone = self.members.len() == 1;
        match self.stage {
            Stage::Rest => {
                self.settled_at = self.pace.begin(now);
                self.members.iter_mut().for_each(|member| member.answered = false);
                self.enter(Stage::Opening, 0..self.roots, now, asks);
            }
            Stage::Opening if lone => self.stage = Stage::Rest,
            Stage::Opening => self.enter(Stage::Others, self.roots..self.members.len(), now, asks),
            Stage::Others => {
                // A root that is down or silent is asked once a round: its second poll could prove nothing, and would
                // count its failure twice.
                let answered = (0..self.roots).filter(|root| self.members[*root].answered).collect::<Vec<_>>();
                self.enter(Stage::Closing, answered, now, asks);
            }
            Stage::Closing => self.stage = Stage::Rest,
        }
    }

    fn enter(&mut self, stage: Stage, servers: impl IntoIterator<Item = usize>, now: Timestamp, asks: &mut Vec<Ask>) {
        let planned = self.settled_at;
        self.stage = stage;
        for server in servers {
            let member = &self.members[server];
            let patience = patience(member.rtt.get(), member.timeout);
            if member.responsive {
                self.waiting.push((server, now + patience));
            }
            asks.push(Ask { server, planned, patience });
        }
    }

    fn no_longer_wait_for(&mut self, server: usize, now: Timestamp) {
        let before = self.waiting.len();
        self.waiting.retain(|(waited, _)| *waited != server);
        if self.waiting.len() < before {
            self.settled_at = self.settled_at.max(now);
        }
    }
}

/// How many polls one round of a tree takes.
pub(super) fn polls_per_round(roots: usize, others: usize) -> usize {
    if roots + others == 1 { 1 } else { 2 * roots + others }
}

/// How long an answer is waited for before the server counts as silent: 100 ms or four times its smallest round trip,
/// whichever is more, and never more than `timeout`.
fn patience(min_rtt: Option<Span>, timeout: Span) -> Span {
    let usual = min_rtt.map_or(Span::ZERO, |rtt| rtt.mul_f64(PATIENCE_FACTOR));
    usual.max(MIN_PATIENCE).min(timeout)
}

#[cfg(test)]
mod tests;
