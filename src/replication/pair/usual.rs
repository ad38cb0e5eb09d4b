//! The usual lag: what a healthy link shows while data is on its way.
//!
//! Between two polls of the master only bytes are known, so an instant that is computed from them
//! is uncertain. While it agrees with what the link usually shows, the usual lag is the better
//! estimate: a computed instant is inaccurate far more often than a link breaks. Where it disagrees
//! by more than its own uncertainty explains, something has changed.

use crate::model::Span;

/// What is assumed of a link before it was measured: half of the most that links between
/// datacenters take.
const UNMEASURED: f64 = 0.05;

/// A disagreement of more standard deviations than this is no coincidence.
const COINCIDENCE: f64 = 3.0;

/// A disagreement of more standard deviations than this deserves one more poll.
const DOUBT: f64 = 1.5;

/// A disagreement of less than this, in seconds, never does.
const NEGLIGIBLE: f64 = 0.05;

/// An instant with a larger standard deviation than this, in seconds, is not used for learning.
///
/// A single command that a poll finds on its way has been on its way for a short time, but may have
/// been written at any time since the poll before. Polls find the slow ones more often, so learning
/// from all of them would overestimate the lag.
const LEARNED_SPREAD: f64 = 0.1;

/// Nor is one whose standard deviation is a larger part of its bracket than this.
const LEARNED_PART: f64 = 0.15;

/// Standard deviation by which the usual lag may change from one poll to the next, in seconds.
const DRIFT: f64 = 0.002;

/// The usual lag is never taken to be more certain than this: the smallest change of a route that
/// matters.
const GRAIN: f64 = 0.002;

/// A running estimate of the usual lag with its variance (a scalar Kalman filter), in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct UsualLag {
    mean: f64,
    variance: f64,
}

impl Default for UsualLag {
    fn default() -> Self {
        Self {
            mean: UNMEASURED,
            variance: UNMEASURED * UNMEASURED,
        }
    }
}

/// What a computed lag means, compared with the usual one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LagJudgement {
    /// The best estimate from both.
    pub(super) estimate: Span,
    /// Whether the link shows what it usually shows.
    pub(super) is_usual: bool,
    /// Whether it may well be more than that; one more answer of the replica would show.
    pub(super) is_doubtful: bool,
}

impl UsualLag {
    /// The usual lag and its standard deviation.
    pub(super) fn parts(&self) -> (Span, Span) {
        (self.lag(), Span::from_secs_f64(self.variance.sqrt()))
    }

    /// The estimate with these [`Self::parts`]. Parts that no estimate has give the one before any
    /// measurement.
    pub(super) fn from_parts((mean, deviation): (Span, Span)) -> Self {
        if mean < Span::ZERO || deviation <= Span::ZERO {
            return Self::default();
        }
        Self {
            mean: mean.as_secs_f64(),
            variance: deviation.as_secs_f64().powi(2),
        }
    }

    /// The usual lag.
    pub(super) fn lag(&self) -> Span {
        Span::from_secs_f64(self.mean)
    }

    /// What a lag of `computed` with the standard deviation `spread` means.
    pub(super) fn judge(&self, computed: Span, spread: Span) -> LagJudgement {
        let noise = spread.as_secs_f64().powi(2);
        let off = computed.as_secs_f64() - self.mean;
        let deviation = (self.variance + noise).sqrt();
        let is_doubtful = off > (DOUBT * deviation).max(NEGLIGIBLE);
        if off.abs() > COINCIDENCE * deviation {
            return LagJudgement {
                estimate: computed,
                is_usual: false,
                is_doubtful,
            };
        }
        let weight = self.variance / (self.variance + noise);
        LagJudgement {
            estimate: Span::from_secs_f64(self.mean + weight * off),
            is_usual: true,
            is_doubtful,
        }
    }

    /// Learns from a computed lag of a replica whose position moved, in a bracket of this width.
    pub(super) fn learn(&mut self, computed: Span, spread: Span, width: Span) {
        let uncertain = spread.as_secs_f64();
        let most_in_bracket = (width.as_secs_f64() * LEARNED_PART).max(GRAIN);
        if uncertain > LEARNED_SPREAD || uncertain > most_in_bracket {
            return;
        }
        let noise = spread.as_secs_f64().powi(2) + GRAIN * GRAIN;
        let off = computed.as_secs_f64() - self.mean;
        self.variance += DRIFT * DRIFT;
        if off.abs() > COINCIDENCE * (self.variance + noise).sqrt() {
            // A change or a coincidence: the estimate becomes less certain, so that a lasting
            // change becomes the usual lag.
            self.variance += off * off / 8.0;
            return;
        }
        let weight = self.variance / (self.variance + noise);
        self.mean += weight * off;
        self.variance *= 1.0 - weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: i64) -> Span {
        Span::from_millis(millis)
    }

    fn taught(lags: &[i64]) -> UsualLag {
        let mut usual = UsualLag::default();
        for lag in lags {
            usual.learn(ms(*lag), ms(10), ms(1000));
        }
        usual
    }

    #[test]
    fn a_repeated_lag_becomes_usual() {
        for lag in [0, 40, 300] {
            let usual = taught(&[lag; 40]);
            assert!(
                (usual.mean - ms(lag).as_secs_f64()).abs() < 0.003,
                "{lag}: {usual:?}"
            );
            assert!(usual.judge(ms(lag + 15), ms(10)).is_usual);
            assert!(!usual.judge(ms(lag + 200), ms(10)).is_usual);
        }
    }

    #[test]
    fn an_uncertain_instant_gives_the_usual_lag_and_changes_nothing() {
        let mut usual = taught(&[40; 20]);
        let before = usual;
        let judged = usual.judge(ms(500), ms(290));
        assert!(judged.is_usual && judged.estimate < ms(45), "{judged:?}");
        usual.learn(ms(500), ms(290), ms(1000));
        usual.learn(ms(200), ms(72), ms(250));
        assert_eq!(usual, before);
    }

    #[test]
    fn an_unmeasured_link_is_assumed_to_take_what_links_take() {
        let usual = UsualLag::default();
        assert!(usual.judge(ms(500), ms(290)).estimate < ms(100));
        assert_eq!(
            usual.judge(ms(500), ms(20)),
            LagJudgement {
                estimate: ms(500),
                is_usual: false,
                is_doubtful: true
            }
        );
    }

    #[test]
    fn a_single_outlier_is_forgotten_and_a_lasting_change_becomes_usual() {
        let mut usual = taught(&[40; 30]);
        usual.learn(ms(2000), ms(10), ms(1000));
        for _ in 0..10 {
            usual.learn(ms(40), ms(10), ms(1000));
        }
        assert!((usual.mean - 0.04).abs() < 0.005, "{usual:?}");
        for _ in 0..20 {
            usual.learn(ms(300), ms(10), ms(1000));
        }
        assert!((usual.mean - 0.3).abs() < 0.01, "{usual:?}");
    }
}
