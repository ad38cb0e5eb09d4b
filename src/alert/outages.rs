//! Outages of one alert: how many there were lately, and whether it flaps.
//!
//! An outage is one firing episode, from `fired` to clear. Escalations are none, and neither is an
//! episode that another alert explained all the time.

use serde::{Deserialize, Serialize};

use crate::config::{FlappingRule, Severity};
use crate::model::{ClockShift, Span, Timestamp};

/// Outages that are remembered: as many as a flapping rule may ask for.
const MAX_REMEMBERED: usize = 100;

/// One outage that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Outage {
    began: Timestamp,
    ended: Timestamp,
}

/// What is remembered of an alert's outages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outages {
    /// Those that ended within the rule's window, oldest first; empty while the alert flaps.
    recent: Vec<Outage>,
    /// While it flaps.
    flaps: Option<Flaps>,
}

/// An alert that flaps: a series of outages that goes on until the alert is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Flaps {
    /// When the first outage of the series began.
    since: Timestamp,
    /// The outages that are over.
    count: u32,
    /// When an outage of the series last was critical and was not kept from receivers.
    critical_at: Option<Timestamp>,
    /// For how long it has to stay up, or down, until it is stable.
    stable_for: Span,
}

/// A series of outages, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// When the first outage began.
    pub since: Timestamp,
    /// How many outages are over.
    pub outages: u32,
    /// For how long the alert has to stay up, or down, until it is stable.
    pub stable_for: Span,
    /// Whether the outage that goes on is a short one so far, of which nobody is notified.
    pub muted: bool,
}

impl Outages {
    /// Takes in that an outage is over. With as many as the rule says within its window the alert
    /// flaps.
    pub(super) fn count(&mut self, began: Timestamp, ended: Timestamp, rule: &FlappingRule) {
        if let Some(flaps) = &mut self.flaps {
            flaps.count = flaps.count.saturating_add(1);
            return;
        }
        self.recent
            .retain(|outage| ended - outage.ended < rule.window);
        if self.recent.len() >= MAX_REMEMBERED {
            self.recent.remove(0);
        }
        self.recent.push(Outage { began, ended });
        let count = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if count < rule.changes {
            return;
        }
        let first = self.recent.first().map_or(began, |first| first.began);
        self.recent.clear();
        self.flaps = Some(Flaps {
            since: first,
            count,
            critical_at: None,
            stable_for: rule.stable_for,
        });
    }

    /// Whether the alert flaps.
    pub(super) const fn flap(&self) -> bool {
        self.flaps.is_some()
    }

    /// The series as it is shown, while the alert flaps.
    pub(super) fn series(&self, muted: bool) -> Option<Series> {
        self.flaps.map(|flaps| Series {
            since: flaps.since,
            outages: flaps.count,
            stable_for: flaps.stable_for,
            muted,
        })
    }

    /// The alert fires at `severity`, and its condition has held since `began`: whether nobody is
    /// notified of that, because it flaps.
    ///
    /// What has lasted until it is stable ends the series. A rule that is critical from its first
    /// moment has no short outages; receivers hear of one at most every `stable_for`.
    pub(super) fn mutes(&mut self, now: Timestamp, began: Timestamp, severity: Severity) -> bool {
        if self.settles(now, began) {
            return false;
        }
        let Some(flaps) = &mut self.flaps else {
            return false;
        };
        let was_critical = flaps
            .critical_at
            .is_some_and(|at| now - at < flaps.stable_for);
        if severity == Severity::Warning || was_critical {
            return true;
        }
        flaps.critical_at = Some(now);
        false
    }

    /// An outage of a series became critical: that is no short one.
    pub(super) fn note_critical(&mut self, now: Timestamp) {
        if let Some(flaps) = &mut self.flaps {
            flaps.critical_at = Some(now);
        }
    }

    /// Ends the series, if the alert has been as it is since `since` for long enough. Returns
    /// whether it did.
    pub(super) fn settles(&mut self, now: Timestamp, since: Timestamp) -> bool {
        let settles = self
            .flaps
            .is_some_and(|flaps| now - since >= flaps.stable_for);
        settles && self.forget()
    }

    /// Forgets every outage. Returns whether the alert flapped.
    pub(super) fn forget(&mut self) -> bool {
        self.recent.clear();
        self.flaps.take().is_some()
    }

    /// Whether nothing of it matters any more.
    pub(super) fn are_old(&self, now: Timestamp, window: Span) -> bool {
        let recent = self.recent.last();
        !self.flap() && recent.is_none_or(|last| now - last.ended >= window)
    }

    /// Reads its instants, which are of another clock.
    pub(super) fn shift(&mut self, shift: &ClockShift) {
        for outage in &mut self.recent {
            outage.began = shift.past(outage.began);
            outage.ended = shift.past(outage.ended);
        }
        if let Some(flaps) = &mut self.flaps {
            flaps.since = shift.past(flaps.since);
            flaps.critical_at = flaps.critical_at.map(|at| shift.past(at));
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
    fn as_many_outages_within_the_window_are_a_series() {
        assert!(!after(&[0, 10]).flap());
        assert!(!after(&[0, 90, 110]).flap(), "the first is too long ago");
        let series = after(&[5, 10, 20, 30]).series(false).unwrap();
        assert_eq!((series.since, series.outages), (at(5), 4));
    }

    #[test]
    fn a_series_ends_when_the_alert_has_been_stable() {
        let mut outages = after(&[0, 10, 20]);
        assert!(!outages.settles(at(70), at(21)));
        assert!(outages.settles(at(71), at(21)) && !outages.flap());
        assert!(!outages.settles(at(72), at(21)), "it did already");
    }

    #[test]
    fn short_outages_are_muted_and_critical_ones_are_not() {
        let (warning, critical) = (Severity::Warning, Severity::Critical);
        assert!(!after(&[0, 10]).mutes(at(20), at(20), warning));
        let mut outages = after(&[0, 10, 20]);
        assert!(outages.mutes(at(30), at(30), warning));
        assert!(!outages.mutes(at(40), at(40), critical));
        assert!(outages.mutes(at(60), at(60), critical), "again so soon");
        assert!(!outages.mutes(at(90), at(90), critical));
        assert!(!outages.mutes(at(99), at(49), warning), "it is no flap");
        assert!(!outages.flap());
    }
}
