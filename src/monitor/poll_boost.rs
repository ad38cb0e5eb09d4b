//! When a closer look pays: which pair is to be polled faster, and by how much a replica's poll may
//! trail its master's.

use crate::config::{AlertSettings, LevelRule, LevelThreshold};
use crate::model::{Bytes, Span};
use crate::replication::{Assessment, PairFacts, PairState};

/// How long polling stays fast after the last reason for it: a drain is not over at the first good
/// sample.
const BOOST_FOR: Span = Span::from_secs(5);

/// Lag this much above what the link itself takes asks for faster polling.
const BOOST_LAG: Span = Span::from_millis(100);

/// How long it stays fast where one more look tells: an answer comes sooner.
const ONE_MORE_POLL: Span = Span::from_millis(300);

/// What takes longer one way is no link between datacenters, but lag.
const LONGEST_LINK: Span = Span::from_millis(500);

/// How old, in base periods, the upper bound of a pair that lacks nothing becomes at the base
/// period: the write before the last one is dated by the poll before the last one, and the next
/// poll has to be answered.
const BOUND_PERIODS: f64 = 2.5;

/// What besides the assessment decides about a pair's haste.
#[derive(Clone, Copy)]
pub(super) struct BoostContext<'a> {
    /// What is known of the pair.
    pub(super) facts: &'a PairFacts,
    /// Its rules.
    pub(super) rules: &'a AlertSettings,
    /// Whether an alert on its lag is pending or firing.
    pub(super) alert: bool,
}

/// For how long a closer look at the pair pays: while lag moves or nears a threshold, or the link
/// is in trouble, and for one more poll of the replica where that would tell. A master that does
/// not answer gains nothing from being asked more often.
pub(super) fn boost_for(seen: &Assessment, context: BoostContext<'_>) -> Option<Span> {
    let usual = context.facts.usual_lag.min(LONGEST_LINK);
    let lags = seen
        .lag
        .estimate
        .is_some_and(|lag| lag >= usual + BOOST_LAG);
    let trouble = matches!(
        seen.state,
        PairState::FullSync | PairState::LinkDown | PairState::Stalled
    );
    if lags || trouble || seen.stale || nears_a_threshold(seen, context) {
        return Some(BOOST_FOR);
    }
    seen.deserves_replica_poll.then_some(ONE_MORE_POLL)
}

/// Whether the lag may pass a threshold before the next base poll; or an alert is open, and base
/// polls would leave a bound that cannot prove it clear.
fn nears_a_threshold(seen: &Assessment, context: BoostContext<'_>) -> bool {
    let BoostContext {
        facts,
        rules,
        alert,
        ..
    } = context;
    let interval = facts.interval;
    let seconds = seen.lag.estimate.is_some_and(|lag| {
        let rises = |level: &LevelThreshold<Span>| lag + interval >= level.at;
        let stays = |level: &LevelThreshold<Span>| {
            alert && lag + interval.mul_f64(BOUND_PERIODS) >= level.clear_below
        };
        levels(&rules.lag_seconds).any(|level| rises(&level) || stays(&level))
    });
    // How fast bytes pile up is not known: half of a threshold is near.
    let near = |bytes: Bytes, at: Bytes| bytes.get() >= at.get() / 2;
    let bytes = |level: LevelThreshold<Bytes>| {
        let rises = seen
            .bytes
            .estimate
            .is_some_and(|bytes| near(bytes, level.at));
        rises
            || alert
                && seen
                    .bytes
                    .upper
                    .is_some_and(|bytes| near(bytes, level.clear_below))
    };
    seconds || levels(&rules.lag_bytes).any(bytes)
}

fn levels<T: Copy>(rule: &LevelRule<T>) -> impl Iterator<Item = LevelThreshold<T>> {
    [rule.warning, rule.critical].into_iter().flatten()
}

/// What polling was told that a link takes.
#[derive(Clone, Debug, Default)]
pub(super) struct ReportedDelay(Option<Span>);

impl ReportedDelay {
    /// A change that is worth telling, at the least; also, as a part of what was told.
    const CHANGE: Span = Span::from_millis(3);
    const CHANGE_PART: f64 = 0.1;

    /// What the link takes one way, where that is news: the lag that it usually shows.
    pub(super) fn changed(&mut self, facts: &PairFacts) -> Option<Span> {
        let delay = facts.usual_lag;
        let near = |told: Span| {
            (delay - told).max(told - delay) <= Self::CHANGE.max(told.mul_f64(Self::CHANGE_PART))
        };
        if near(self.0.unwrap_or(Span::ZERO)) {
            return None;
        }
        self.0 = Some(delay);
        Some(delay)
    }

    /// Whoever was told has forgotten it.
    pub(super) fn reset(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::default_alerts;
    use crate::model::Timestamp;
    use crate::replication::{Evidence, LagBytes, LagInterval, ServerFacts, assess};

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
        let unknown = assess(
            Evidence {
                master: &servers,
                replica: &servers,
                pair: &facts,
            },
            at(0),
        );
        let lag = LagInterval {
            lower: Some(Span::ZERO),
            estimate: Some(millis(estimate)),
            upper: Some(millis(estimate + 2000)),
        };
        Assessment {
            gap: None,
            state: PairState::Streaming,
            lag,
            ..unknown
        }
    }

    /// What a case is made of besides the assessment.
    struct Case {
        facts: PairFacts,
        rules: AlertSettings,
        alert: bool,
    }

    impl Case {
        /// A pair that is polled each second, with warnings at 30 s and critical ones at 120 s.
        fn new() -> Self {
            let facts = PairFacts {
                interval: SECOND,
                ..PairFacts::default()
            };
            Self {
                facts,
                rules: default_alerts(),
                alert: false,
            }
        }

        fn warning(mut self, at: i64, clear_below: i64) -> Self {
            let level = LevelThreshold {
                at: millis(at),
                clear_below: millis(clear_below),
            };
            self.rules.lag_seconds.warning = Some(level);
            self
        }

        fn bytes(mut self, at: u64) -> Self {
            let level = LevelThreshold {
                at: Bytes::new(at),
                clear_below: Bytes::new(at),
            };
            self.rules.lag_bytes.warning = Some(level);
            self
        }

        fn open(mut self) -> Self {
            self.alert = true;
            self
        }

        fn delay(mut self, delay: i64) -> Self {
            self.facts.usual_lag = millis(delay);
            self
        }

        fn check(&self, seen: &Assessment, expected: bool, why: &str) {
            let Self {
                facts,
                rules,
                alert,
            } = self;
            let context = BoostContext {
                facts,
                rules,
                alert: *alert,
            };
            assert_eq!(
                boost_for(seen, context),
                expected.then_some(BOOST_FOR),
                "{why}"
            );
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
        case.check(
            &Assessment {
                stale: true,
                ..lag(0)
            },
            true,
            "the replica is silent",
        );
        let unknown = LagInterval::UNKNOWN;
        for state in [
            PairState::MasterUnreachable,
            PairState::WrongMaster,
            PairState::Diverged,
            PairState::Unknown,
        ] {
            case.check(
                &Assessment {
                    state,
                    lag: unknown,
                    ..lag(0)
                },
                false,
                "more polls tell nothing",
            );
        }
    }

    #[test]
    fn what_the_link_itself_takes_is_no_lag() {
        let case = Case::new().delay(150);
        case.check(&lag(150), false, "that is the link");
        case.check(&lag(249), false, "that is the link");
        case.check(&lag(250), true, "that is lag");
        Case::new()
            .delay(5000)
            .check(&lag(5000), true, "no link takes so long");
    }

    #[test]
    fn a_threshold_that_the_next_base_poll_may_find_passed_is_near() {
        Case::new()
            .warning(2500, 2000)
            .check(&lag(0), false, "2.5 s are far");
        Case::new().delay(500).warning(1551, 1000).check(
            &lag(550),
            false,
            "more than a period is left",
        );
        Case::new()
            .delay(500)
            .warning(1550, 1000)
            .check(&lag(550), true, "a period is left");
        Case::new().warning(1000, 800).check(
            &lag(0),
            true,
            "a threshold within one period is always near",
        );
    }

    #[test]
    fn an_open_alert_is_polled_until_its_bound_can_be_clear() {
        Case::new().warning(2500, 2000).open().check(
            &lag(0),
            true,
            "2 s are no more than base polls leave",
        );
        Case::new()
            .warning(3125, 2500)
            .open()
            .check(&lag(0), true, "2.5 s neither");
        Case::new()
            .warning(3200, 2560)
            .open()
            .check(&lag(0), false, "2.56 s are");
        Case::new().open().check(&lag(0), false, "24 s are");
    }

    #[test]
    fn half_of_a_threshold_in_bytes_is_near() {
        let with = |estimate, upper| {
            let bytes = LagBytes {
                estimate: Some(Bytes::new(estimate)),
                upper: Some(Bytes::new(upper)),
                lower: None,
            };
            Assessment { bytes, ..lag(0) }
        };
        Case::new()
            .bytes(1000)
            .check(&with(499, 600), false, "less than half");
        Case::new().bytes(1000).check(&with(500, 600), true, "half");
        Case::new()
            .bytes(1000)
            .open()
            .check(&with(0, 499), false, "clear");
        Case::new()
            .bytes(1000)
            .open()
            .check(&with(0, 500), true, "the bound is near");
        Case::new()
            .bytes(1000)
            .open()
            .check(&lag(0), false, "nothing is known");
    }

    #[test]
    fn what_a_link_takes_is_told_when_it_changes() {
        let mut told = ReportedDelay::default();
        let news = |told: &mut ReportedDelay, usual: i64| {
            told.changed(&PairFacts {
                usual_lag: millis(usual),
                ..PairFacts::default()
            })
        };
        assert_eq!(news(&mut told, 0), None, "not measured yet");
        assert_eq!(news(&mut told, 150), Some(millis(150)));
        assert_eq!(news(&mut told, 165), None, "not news");
        assert_eq!(news(&mut told, 166), Some(millis(166)));
        told.reset();
        assert_eq!(news(&mut told, 166), Some(millis(166)));
    }
}
