//! Which pairs to poll faster, and how much later than its master to poll a replica.

use crate::config::{AlertSettings, BOUND_PERIODS, LevelRule, LevelThreshold};
use crate::model::{Bytes, Span};
use crate::replication::{Assessment, PairFacts, PairState};

/// How long a boost lasts after the last reason for it: one good sample does not prove that a
/// backlog is drained.
const BOOST_FOR: Span = Span::from_secs(5);

/// Lag that exceeds the delay of the link by this much is a reason to boost.
const BOOST_LAG: Span = Span::from_millis(100);

/// How long a boost lasts that is meant for one more poll.
const ONE_MORE_POLL: Span = Span::from_millis(300);

/// A one-way delay beyond this is no link between datacenters, but lag.
const LONGEST_LINK: Span = Span::from_millis(500);

/// What decides about a boost besides the assessment.
#[derive(Clone, Copy)]
pub(super) struct BoostContext<'a> {
    pub(super) facts: &'a PairFacts,
    /// The pair's alert rules.
    pub(super) rules: &'a AlertSettings,
    /// Whether an alert on the pair's lag is pending or firing.
    pub(super) alert: bool,
}

/// For how long to boost the pair: while its lag moves or nears a threshold, or its link is in
/// trouble, and for one more poll of the replica if that would show something new. More polls gain
/// nothing from a master that does not answer.
pub(super) fn boost_for(seen: &Assessment, context: BoostContext<'_>) -> Option<Span> {
    let link = context.facts.usual_lag.min(LONGEST_LINK);
    let lags = seen.lag.estimate.is_some_and(|lag| lag >= link + BOOST_LAG);
    let in_trouble = matches!(
        seen.state,
        PairState::FullSync | PairState::LinkDown | PairState::Stalled
    );
    let nears_a_threshold =
        nears_a_threshold_in_seconds(seen, context) || nears_a_threshold_in_bytes(seen, context);
    if lags || in_trouble || seen.stale || nears_a_threshold {
        Some(BOOST_FOR)
    } else if seen.deserves_replica_poll {
        Some(ONE_MORE_POLL)
    } else {
        None
    }
}

/// Whether the lag may pass a threshold before the next base poll, or an alert is open that base
/// polls could not prove clear.
fn nears_a_threshold_in_seconds(seen: &Assessment, context: BoostContext<'_>) -> bool {
    let Some(lag) = seen.lag.estimate else {
        return false;
    };
    let interval = context.facts.interval;
    let bound = lag + interval.mul_f64(BOUND_PERIODS);
    for level in levels(&context.rules.lag_seconds) {
        let may_pass = lag + interval >= level.at;
        let cannot_clear = context.alert && bound >= level.clear_below;
        if may_pass || cannot_clear {
            return true;
        }
    }
    false
}

/// The same in bytes. How fast bytes accumulate is not known: half of a threshold is near.
fn nears_a_threshold_in_bytes(seen: &Assessment, context: BoostContext<'_>) -> bool {
    let is_near = |bytes: Option<Bytes>, threshold: Bytes| {
        bytes.is_some_and(|bytes| bytes.get() >= threshold.get() / 2)
    };
    levels(&context.rules.lag_bytes).any(|level| {
        let may_pass = is_near(seen.bytes.estimate, level.at);
        let cannot_clear = context.alert && is_near(seen.bytes.upper, level.clear_below);
        may_pass || cannot_clear
    })
}

fn levels<T: Copy>(rule: &LevelRule<T>) -> impl Iterator<Item = LevelThreshold<T>> {
    [rule.warning, rule.critical].into_iter().flatten()
}

/// The link delay that was last reported to polling; `None` before the first time.
#[derive(Clone, Debug, Default)]
pub(super) struct ReportedDelay(Option<Span>);

impl ReportedDelay {
    /// The smallest change that is reported: this or [`Self::CHANGE_PART`], whichever is more.
    const CHANGE: Span = Span::from_millis(3);
    /// As a part of the reported delay.
    const CHANGE_PART: f64 = 0.1;

    /// The one-way delay of the link, if it has changed: the lag that the link usually shows.
    pub(super) fn changed(&mut self, facts: &PairFacts) -> Option<Span> {
        let delay = facts.usual_lag;
        let reported = self.0.unwrap_or(Span::ZERO);
        let difference = (delay - reported).max(reported - delay);
        if difference <= Self::CHANGE.max(reported.mul_f64(Self::CHANGE_PART)) {
            return None;
        }
        self.0 = Some(delay);
        Some(delay)
    }

    /// Polling has started again, without any delay.
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
    fn lag_and_a_broken_link_boost_polling_and_a_silent_master_does_not() {
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
                "more polls show nothing",
            );
        }
    }

    #[test]
    fn the_delay_of_the_link_is_not_counted_as_lag() {
        let case = Case::new().delay(150);
        case.check(&lag(150), false, "that is the link");
        case.check(&lag(249), false, "that is the link");
        case.check(&lag(250), true, "that is lag");
        Case::new()
            .delay(5000)
            .check(&lag(5000), true, "no link takes so long");
    }

    #[test]
    fn a_threshold_that_may_be_passed_before_the_next_base_poll_is_near() {
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
    fn a_link_delay_is_reported_when_it_changes() {
        let mut reported = ReportedDelay::default();
        let change = |reported: &mut ReportedDelay, usual: i64| {
            reported.changed(&PairFacts {
                usual_lag: millis(usual),
                ..PairFacts::default()
            })
        };
        assert_eq!(change(&mut reported, 0), None, "not measured yet");
        assert_eq!(change(&mut reported, 150), Some(millis(150)));
        assert_eq!(change(&mut reported, 165), None, "hardly another");
        assert_eq!(change(&mut reported, 166), Some(millis(166)));
        reported.reset();
        assert_eq!(change(&mut reported, 166), Some(millis(166)));
    }
}
