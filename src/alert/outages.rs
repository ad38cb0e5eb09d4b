//! The outages of one alert: how many there were recently, and whether it flaps.
//!
//! An outage is one firing episode, from `fired` to clear. Escalations do not count, nor do
//! episodes during which another alert inhibited this one all the time.

use serde::{Deserialize, Serialize};

use crate::config::{FlappingRule, Severity};
use crate::model::{ClockShift, Span, Timestamp};

/// How many outages are remembered: as many as a flapping rule may ask for.
const MAX_REMEMBERED: usize = 100;

/// One outage that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Outage {
    began: Timestamp,
    ended: Timestamp,
}

/// What is remembered of an alert's outages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outages {
    /// The outages that ended within the rule's window, oldest first; empty while the alert flaps.
    recent: Vec<Outage>,
    /// The series that goes on while the alert flaps.
    #[serde(rename = "flaps")]
    flapping: Option<Flapping>,
}

/// A series of outages that goes on until the alert is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Flapping {
    /// When the first outage of the series began.
    since: Timestamp,
    /// How many outages have ended.
    count: u32,
    /// When an outage of the series was last critical and not muted.
    critical_at: Option<Timestamp>,
    /// For how long it has to stay clear, or fire, to be stable.
    stable_for: Span,
}

/// A series of outages, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlapSeries {
    /// When the first outage began.
    pub since: Timestamp,
    /// How many outages have ended.
    pub outages: u32,
    /// For how long the alert has to stay clear, or fire, to be stable.
    pub stable_for: Span,
    /// Whether the present outage is a short one so far, which is not notified.
    pub muted: bool,
}

impl Outages {
    /// Counts an outage that has ended. The alert flaps once there are `rule.changes` of them
    /// within the rule's window.
    pub(super) fn count(&mut self, began: Timestamp, ended: Timestamp, rule: &FlappingRule) {
        if let Some(flapping) = &mut self.flapping {
            flapping.count = flapping.count.saturating_add(1);
            return;
        }
        self.remember(Outage { began, ended }, rule.window);
        let count = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if count < rule.changes {
            return;
        }
        let first = self.recent.first();
        self.flapping = Some(Flapping {
            since: first.map_or(began, |first| first.began),
            count,
            critical_at: None,
            stable_for: rule.stable_for,
        });
        self.recent.clear();
    }

    /// Adds the newest outage, and drops those that ended longer than `window` before it.
    fn remember(&mut self, newest: Outage, window: Span) {
        self.recent
            .retain(|outage| newest.ended - outage.ended < window);
        if self.recent.len() >= MAX_REMEMBERED {
            self.recent.remove(0);
        }
        self.recent.push(newest);
    }

    /// Whether the alert flaps.
    pub(super) const fn is_flapping(&self) -> bool {
        self.flapping.is_some()
    }

    /// The series as it is shown, while the alert flaps.
    pub(super) fn series(&self, muted: bool) -> Option<FlapSeries> {
        let flapping = self.flapping?;
        Some(FlapSeries {
            since: flapping.since,
            outages: flapping.count,
            stable_for: flapping.stable_for,
            muted,
        })
    }

    /// Decides whether an episode is muted that fires at `severity` now, and whose condition has
    /// held since `began`.
    ///
    /// One that has already lasted for `stable_for` ends the series. A rule that is critical from
    /// its first moment has no short outages; at most one every `stable_for` is notified.
    pub(super) fn mute(&mut self, now: Timestamp, began: Timestamp, severity: Severity) -> bool {
        if self.settle(now, began) {
            return false;
        }
        let Some(flapping) = &mut self.flapping else {
            return false;
        };
        let was_critical = match flapping.critical_at {
            Some(at) => now - at < flapping.stable_for,
            None => false,
        };
        if severity == Severity::Warning || was_critical {
            return true;
        }
        flapping.critical_at = Some(now);
        false
    }

    /// Records that an outage of a series became critical, so that it is not muted as a short one.
    pub(super) fn record_critical(&mut self, now: Timestamp) {
        if let Some(flapping) = &mut self.flapping {
            flapping.critical_at = Some(now);
        }
    }

    /// Ends the series if the alert has been as it is since `since` for long enough. Returns
    /// whether it ended.
    pub(super) fn settle(&mut self, now: Timestamp, since: Timestamp) -> bool {
        match self.flapping {
            Some(flapping) if now - since >= flapping.stable_for => self.clear(),
            _ => false,
        }
    }

    /// Forgets every outage. Returns whether the alert flapped.
    pub(super) fn clear(&mut self) -> bool {
        self.recent.clear();
        self.flapping.take().is_some()
    }

    /// Whether it does not flap and had no outage within the last `window`.
    pub(super) fn are_old(&self, now: Timestamp, window: Span) -> bool {
        let last = self.recent.last();
        !self.is_flapping() && last.is_none_or(|last| now - last.ended >= window)
    }

    /// Maps its instants from the clock of the process that saved them.
    pub(super) fn shift(&mut self, shift: &ClockShift) {
        for outage in &mut self.recent {
            outage.began = shift.past(outage.began);
            outage.ended = shift.past(outage.ended);
        }
        if let Some(flapping) = &mut self.flapping {
            flapping.since = shift.past(flapping.since);
            flapping.critical_at = flapping.critical_at.map(|at| shift.past(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: FlappingRule = FlappingRule {
        changes: 3,
        window: Span::from_secs(100),
        stable_for: Span::from_secs(50),
    };

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// The outages of these beginnings, each of one second.
    fn after(beginnings: &[i64]) -> Outages {
        let mut outages = Outages::default();
        for begin in beginnings {
            outages.count(at(*begin), at(begin + 1), &RULE);
        }
        outages
    }

    #[test]
    fn enough_outages_within_the_window_make_the_alert_flap() {
        assert!(!after(&[0, 10]).is_flapping());
        assert!(
            !after(&[0, 90, 110]).is_flapping(),
            "the first is too long ago"
        );
        let series = after(&[5, 10, 20, 30]).series(false).unwrap();
        assert_eq!((series.since, series.outages), (at(5), 4));
    }

    #[test]
    fn a_series_ends_when_the_alert_has_been_stable() {
        let mut outages = after(&[0, 10, 20]);
        assert!(!outages.settle(at(70), at(21)));
        assert!(outages.settle(at(71), at(21)) && !outages.is_flapping());
        assert!(!outages.settle(at(72), at(21)), "it did already");
    }

    #[test]
    fn short_outages_are_muted_and_critical_ones_are_not() {
        let (warning, critical) = (Severity::Warning, Severity::Critical);
        assert!(!after(&[0, 10]).mute(at(20), at(20), warning));
        let mut outages = after(&[0, 10, 20]);
        assert!(outages.mute(at(30), at(30), warning));
        assert!(!outages.mute(at(40), at(40), critical));
        assert!(outages.mute(at(60), at(60), critical), "again so soon");
        assert!(!outages.mute(at(90), at(90), critical));
        assert!(!outages.mute(at(99), at(49), warning), "it is no flap");
        assert!(!outages.is_flapping());
    }
}
