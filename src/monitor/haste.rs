//! When a closer look pays: which pair is to be polled faster, and by how much a replica's poll may trail its master's.

use std::collections::VecDeque;

use crate::config::{AlertSettings, LevelRule, LevelThreshold};
use crate::model::{Bytes, Span, Timestamp};
use crate::replication::{Assessment, Located, PairFacts, PairState, ServerFacts};

/// How long polling stays fast after the last reason for it: a drain is not over at the first good sample.
pub(super) const URGENT_FOR: Span = Span::from_secs(5);

/// Lag this much above what the link itself takes asks for faster polling.
const URGENT_LAG: Span = Span::from_millis(100);

/// A replica ACKs once a second. Its master's timer runs at 10 Hz and the answer takes its time, so an ACKed position this
/// much older than a second is one that lags, and not one that waits for the next ACK.
const ACK_PERIOD: Span = Span::from_millis(1300);

/// How old, in base periods, the upper bound of a pair that lacks nothing becomes at the base period: the write before the
/// last one is dated by the poll before the last one, and the next poll has to be answered.
const BOUND_PERIODS: f64 = 2.5;

/// What besides the assessment decides about a pair's haste.
#[derive(Clone, Copy)]
pub(super) struct Situation<'a> {
    /// What is known of the pair.
    pub(super) facts: &'a PairFacts,
    /// Its own master, which takes its ACKs.
    pub(super) master: &'a ServerFacts,
    /// What its link takes, one way.
    pub(super) delay: Option<Span>,
    /// Its rules.
    pub(super) rules: &'a AlertSettings,
    /// Whether an alert on its lag is pending or firing.
    pub(super) alert: bool,
}

/// Whether a closer look at the pair pays: lag moves or nears a threshold, or the link is in trouble. A master that does
/// not answer gains nothing from being asked more often.
pub(super) fn is_urgent(seen: &Assessment, situation: Situation<'_>) -> bool {
    let usual = situation.delay.unwrap_or(Span::ZERO);
    let lags = seen.lag.estimate.is_some_and(|lag| lag >= usual + URGENT_LAG);
    let trouble = matches!(seen.state, PairState::FullSync | PairState::LinkDown | PairState::Stalled);
    lags || trouble || seen.stale || nears_a_threshold(seen, situation) || acks_lag(situation, usual)
}

/// Whether the lag may pass a threshold before the next base poll; or an alert is open, and base polls would leave a bound
/// that cannot prove it clear.
fn nears_a_threshold(seen: &Assessment, situation: Situation<'_>) -> bool {
    let Situation { facts, rules, alert, .. } = situation;
    let interval = facts.interval;
    let seconds = seen.lag.estimate.is_some_and(|lag| {
        let rises = |level: &LevelThreshold<Span>| lag + interval >= level.at;
        let stays = |level: &LevelThreshold<Span>| alert && lag + interval.mul_f64(BOUND_PERIODS) >= level.clear_below;
        levels(&rules.lag_seconds).any(|level| rises(&level) || stays(&level))
    });
    // How fast bytes pile up is not known: half of a threshold is near.
    let near = |bytes: Bytes, at: Bytes| bytes.get() >= at.get() / 2;
    let bytes = |level: LevelThreshold<Bytes>| {
        let rises = seen.bytes.estimate.is_some_and(|bytes| near(bytes, level.at));
        rises || alert && seen.bytes.upper.is_some_and(|bytes| near(bytes, level.clear_below))
    };
    seconds || levels(&rules.lag_bytes).any(bytes)
}

fn levels<T: Copy>(rule: &LevelRule<T>) -> impl Iterator<Item = LevelThreshold<T>> {
    [rule.warning, rule.critical].into_iter().flatten()
}

/// Whether what the replica had ACKed when its master last answered was older than ACKs ever are: it fell behind since
/// its own last answer.
fn acks_lag(situation: Situation<'_>, usual: Span) -> bool {
    let Situation { facts, master, .. } = situation;
    let Some((_, bracket, _)) = facts.ack.located else { return false };
    let Some((asked, _)) = master.last_answer else { return false };
    bracket.hi.is_some_and(|passed| asked - passed > ACK_PERIOD + usual + usual)
}

/// What a link takes, one way: the median age of the oldest write that its replica lacked, over the last samples of a
/// link that streams. While the master writes, that write is the one which is about to arrive.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkDelay {
    recent: VecDeque<Span>,
    sampled_at: Option<Timestamp>,
    told: Option<Span>,
}

impl LinkDelay {
    /// Samples that the median is taken of: a lag of some seconds is not yet what the link takes.
    const SAMPLES: usize = 15;

    /// Samples before which nothing is said.
    const ENOUGH: usize = 3;

    /// The least time between two samples: fast polls of one short lag are not many reasons.
    const APART: Span = Span::from_millis(900);

    /// What takes longer is no link between datacenters, but lag.
    const LONGEST: Span = Span::from_secs(1);

    /// A change that is worth telling, at the least; also, as a part of what was told.
    const NEWS: Span = Span::from_millis(3);
    const NEWS_PART: f64 = 0.1;

    /// Takes in where the replica was located, if it is news. `rtt` is the smallest round trip to it.
    pub(super) fn observe(&mut self, seen: &Assessment, facts: &PairFacts, rtt: Span) {
        let Some(located) = facts.located.as_ref().filter(|_| seen.state == PairState::Streaming) else { return };
        if self.sampled_at.is_some_and(|last| located.received() - last < Self::APART) {
            return;
        }
        let Some(age) = oldest_lack(located, rtt).filter(|age| (Span::ZERO..=Self::LONGEST).contains(age)) else {
            return;
        };
        self.sampled_at = Some(located.received());
        self.recent.push_back(age);
        if self.recent.len() > Self::SAMPLES {
            self.recent.pop_front();
        }
    }

    /// What the link takes; `None` until enough is known.
    pub(super) fn get(&self) -> Option<Span> {
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= Self::ENOUGH)
    }

    /// Whoever was told has forgotten it.
    pub(super) fn tell_again(&mut self) {
        self.told = None;
    }

    /// What the link takes, when that is worth telling anew.
    pub(super) fn news(&mut self) -> Option<Span> {
        let delay = self.get()?;
        let near = |told: Span| (delay - told).max(told - delay) <= Self::NEWS.max(told.mul_f64(Self::NEWS_PART));
        if self.told.is_some_and(near) {
            return None;
        }
        self.told = Some(delay);
        Some(delay)
    }
}

/// How old the oldest write that the replica lacked was when it read its offset; `None` when it lacked none or its
/// position stands still.
fn oldest_lack(located: &Located, rtt: Span) -> Option<Span> {
    let moves = located.is_current() && !located.is_frozen() && located.bracket.hi.is_some();
    let written = located.point.filter(|_| moves)?;
    Some(located.received() - rtt.half() - written)
}
