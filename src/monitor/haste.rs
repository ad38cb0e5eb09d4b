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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests_support::default_alerts;
    use crate::model::{PollError, ReplicationOffset};
    use crate::replication::{Bracket, Evidence, LagBytes, LagInterval, assess};

    const SECOND: Span = Span::from_secs(1);

    fn at(millis: i64) -> Timestamp {
        Timestamp::default() + Span::from_millis(millis)
    }

    fn millis(count: i64) -> Span {
        Span::from_millis(count)
    }

    /// A pair that streams with this lag.
    fn lag(estimate: i64) -> Assessment {
        let facts = PairFacts::default();
        let servers = ServerFacts::default();
        let unknown = assess(Evidence { master: &servers, replica: &servers, pair: &facts }, at(0));
        let lag = LagInterval {
            lower: Some(Span::ZERO),
            estimate: Some(millis(estimate)),
            upper: Some(millis(estimate + 2000)),
        };
        Assessment { state: PairState::Streaming, lag, ..unknown }
    }

    /// What a case is made of besides the assessment.
    struct Case {
        facts: PairFacts,
        master: ServerFacts,
        delay: Option<Span>,
        rules: AlertSettings,
        alert: bool,
    }

    impl Case {
        /// A pair that is polled each second, with warnings at 30 s and critical ones at 120 s.
        fn new() -> Self {
            let facts = PairFacts { interval: SECOND, ..PairFacts::default() };
            Self { facts, master: ServerFacts::default(), delay: None, rules: default_alerts(), alert: false }
        }

        fn warning(mut self, at: i64, clear_below: i64) -> Self {
            let level = LevelThreshold { at: millis(at), clear_below: millis(clear_below) };
            self.rules.lag_seconds.warning = Some(level);
            self
        }

        fn bytes(mut self, at: u64) -> Self {
            let level = LevelThreshold { at: Bytes::new(at), clear_below: Bytes::new(at) };
            self.rules.lag_bytes.warning = Some(level);
            self
        }

        fn open(mut self) -> Self {
            self.alert = true;
            self
        }

        fn delay(mut self, delay: i64) -> Self {
            self.delay = Some(millis(delay));
            self
        }

        /// The master was asked at 10 s and went beyond what the replica had ACKed at that instant.
        fn acked(mut self, passed: i64) -> Self {
            self.master.last_answer = Some((at(10_000), at(10_002)));
            let bracket = Bracket { lo: None, hi: Some(at(passed)) };
            self.facts.ack.located = Some((ReplicationOffset::new(1), bracket, None));
            self
        }

        fn check(&self, seen: &Assessment, expected: bool, why: &str) {
            let Self { facts, master, delay, rules, alert } = self;
            let situation = Situation { facts, master, delay: *delay, rules, alert: *alert };
            assert_eq!(is_urgent(seen, situation), expected, "{why}");
        }
    }

    #[test]
    fn lag_and_trouble_are_reasons_and_a_silent_master_is_none() {
        let case = Case::new();
        case.check(&lag(0), false, "all is well");
        case.check(&lag(99), false, "on its way");
        case.check(&lag(100), true, "it lags");
        for state in [PairState::FullSync, PairState::LinkDown, PairState::Stalled] {
            case.check(&Assessment { state, ..lag(0) }, true, "trouble");
        }
        case.check(&Assessment { stale: true, ..lag(0) }, true, "the replica is silent");
        let unknown = LagInterval::UNKNOWN;
        for state in [PairState::MasterUnreachable, PairState::WrongMaster, PairState::Diverged, PairState::Unknown] {
            case.check(&Assessment { state, lag: unknown, ..lag(0) }, false, "more polls tell nothing");
        }
    }

    #[test]
    fn what_the_link_itself_takes_is_no_lag() {
        let case = Case::new().delay(150);
        case.check(&lag(150), false, "that is the link");
        case.check(&lag(249), false, "that is the link");
        case.check(&lag(250), true, "that is lag");
    }

    #[test]
    fn a_threshold_that_the_next_base_poll_may_find_passed_is_near() {
        Case::new().warning(2500, 2000).check(&lag(0), false, "2.5 s are far");
        Case::new().delay(1600).warning(2500, 2000).check(&lag(1400), false, "1.1 s are left");
        Case::new().delay(1600).warning(2500, 2000).check(&lag(1500), true, "1 s is left");
        Case::new().warning(1000, 800).check(&lag(0), true, "a threshold within one period is always near");
    }

    #[test]
    fn an_open_alert_is_polled_until_its_bound_can_be_clear() {
        Case::new().warning(2500, 2000).open().check(&lag(0), true, "2 s are no more than base polls leave");
        Case::new().warning(3125, 2500).open().check(&lag(0), true, "2.5 s neither");
        Case::new().warning(3200, 2560).open().check(&lag(0), false, "2.56 s are");
        Case::new().open().check(&lag(0), false, "24 s are");
    }

    #[test]
    fn half_of_a_threshold_in_bytes_is_near() {
        let with = |estimate, upper| {
            let bytes = LagBytes { estimate: Some(Bytes::new(estimate)), upper: Some(Bytes::new(upper)), lower: None };
            Assessment { bytes, ..lag(0) }
        };
        Case::new().bytes(1000).check(&with(499, 600), false, "less than half");
        Case::new().bytes(1000).check(&with(500, 600), true, "half");
        Case::new().bytes(1000).open().check(&with(0, 499), false, "clear");
        Case::new().bytes(1000).open().check(&with(0, 500), true, "the bound is near");
        Case::new().bytes(1000).open().check(&lag(0), false, "nothing is known");
    }

    #[test]
    fn an_ack_that_is_older_than_acks_are_is_lag_that_nobody_has_seen_yet() {
        Case::new().acked(8_701).check(&lag(0), false, "1.3 s old");
        Case::new().acked(8_699).check(&lag(0), true, "older");
        Case::new().delay(200).acked(8_301).check(&lag(0), false, "and the way there and back");
        Case::new().delay(200).acked(8_299).check(&lag(0), true, "older");
        let mut silent = Case::new().acked(8_699);
        silent.master.last_answer = None;
        silent.master.failed(PollError::Timeout, at(0));
        silent.check(&lag(0), false, "nobody says so");
    }

    #[test]
    fn what_a_link_takes_is_the_median_of_what_was_on_its_way() {
        let mut link = LinkDelay::default();
        for (count, age) in [150, 900, 140].into_iter().enumerate() {
            assert_eq!((link.get(), link.news()), (None, None), "{count} are not enough");
            link.recent.push_back(millis(age));
        }
        assert_eq!((link.get(), link.news(), link.news()), (Some(millis(150)), Some(millis(150)), None));
        link.recent.extend([millis(164); 4]);
        assert_eq!((link.get(), link.news()), (Some(millis(164)), None), "not news yet");
        link.recent.extend([millis(170); 9]);
        assert_eq!(link.news(), Some(millis(170)));
        link.tell_again();
        assert_eq!(link.news(), Some(millis(170)));
    }
}
