//! The lag that a healthy link usually shows: how long data is on its way.
//!
//! Between two polls of the master only bytes are known, so a place in time that is computed from
//! them is uncertain. While it agrees with what the link usually shows, the usual lag is the better
//! estimate: a link breaks far more rarely than a computed instant is off. Where it disagrees by
//! more than its own uncertainty explains, something has changed.

use crate::model::Span;

/// What is assumed of a link before it was measured: half of the most that links between
/// datacenters take.
const UNMEASURED: f64 = 0.05;

/// A disagreement of so many standard deviations is no accident.
const ACCIDENT: f64 = 3.0;

/// A disagreement of so many standard deviations deserves a closer look, and one of less than this
/// never does, in seconds.
const DOUBT: f64 = 1.5;
const NEGLIGIBLE: f64 = 0.05;

/// Instants that are less certain than this, in seconds, or than this part of their bracket, teach
/// nothing: a lone command that was found on its way was on its way for a short time, but may have
/// been written at any time since the poll before. Counting only those that were found would count
/// the slow ones.
const TEACHES: f64 = 0.1;
const TEACHES_PART: f64 = 0.15;

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

    /// The estimate of which these were the parts; of what is none, the one before any measurement.
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
        if off.abs() > ACCIDENT * deviation {
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
        if uncertain > TEACHES || uncertain > (width.as_secs_f64() * TEACHES_PART).max(GRAIN) {
            return;
        }
        let noise = spread.as_secs_f64().powi(2) + GRAIN * GRAIN;
        let off = computed.as_secs_f64() - self.mean;
        self.variance += DRIFT * DRIFT;
        if off.abs() > ACCIDENT * (self.variance + noise).sqrt() {
            // A change, or an accident: less is sure than it was, and if it stays so it will be
            // usual.
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
    fn what_a_link_shows_again_and_again_becomes_usual() {
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
    fn an_uncertain_instant_yields_to_what_is_usual_and_teaches_nothing() {
        let mut usual = taught(&[40; 20]);
        let before = usual;
        let judged = usual.judge(ms(500), ms(290));
        assert!(judged.is_usual && judged.estimate < ms(45), "{judged:?}");
        usual.learn(ms(500), ms(290), ms(1000));
        usual.learn(ms(200), ms(72), ms(250));
        assert_eq!(usual, before);
    }

    #[test]
    fn a_link_that_nobody_measured_yet_may_take_what_links_take() {
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
    fn an_accident_is_forgotten_and_a_change_is_believed() {
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
