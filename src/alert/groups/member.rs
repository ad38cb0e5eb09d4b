//! One alert of a group: its present state, and how its receiver was last notified of it.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use crate::alert::{AlertSnapshot, AlertStatus, Quantity, ResolveReason, Suppression};
use crate::config::Severity;
use crate::model::Timestamp;

/// An alert of the group. Its snapshot is the receiver's view: resolved also when the receiver no
/// longer wants it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent fact about the last notification"
)]
pub(super) struct GroupMember {
    pub(super) alert: Arc<AlertSnapshot>,
    /// The severity that it had in the last notification.
    pub(super) notified: Option<Severity>,
    /// Whether the last notification reported that it flaps and is clear for now.
    pub(super) notified_flapping: bool,
    /// Whether the event that it counts happened once more since the last notification.
    pub(super) happened_again: bool,
    /// Whether a notification has reported that it is critical.
    pub(super) notified_critical: bool,
    /// Why changes of it are not notified now.
    pub(super) suppression: Option<Suppression>,
    /// Whether the present suppression has been counted.
    counted: bool,
}

impl GroupMember {
    pub(super) fn new(alert: &Arc<AlertSnapshot>) -> Self {
        Self {
            alert: Arc::clone(alert),
            notified: None,
            notified_flapping: false,
            happened_again: false,
            notified_critical: false,
            suppression: None,
            counted: false,
        }
    }

    pub(super) fn is_firing(&self) -> bool {
        self.alert.status == AlertStatus::Firing
    }

    /// Whether the receiver was notified that it fires, and it flaps and is clear for now.
    pub(super) fn is_clear_for_now(&self) -> bool {
        self.notified.is_some() && self.alert.is_clear_for_now()
    }

    /// Whether it has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.is_firing() || self.is_clear_for_now()
    }

    /// Its severity while it is open. An alert that is clear for now counts as a warning.
    pub(super) fn open_severity(&self) -> Option<Severity> {
        if self.is_clear_for_now() {
            Some(Severity::Warning)
        } else if self.is_firing() {
            Some(self.alert.severity)
        } else {
            None
        }
    }

    /// When it began to fire at its severity.
    pub(super) fn fired_at(&self) -> Timestamp {
        match self.alert.decision {
            Some(decision) => decision.at,
            None => self.alert.started_at,
        }
    }

    /// Whether the receiver was notified of it, or may be.
    pub(super) fn is_visible(&self) -> bool {
        self.notified.is_some() || self.may_be_notified()
    }

    /// Whether changes of it may be notified.
    pub(super) fn may_be_notified(&self) -> bool {
        self.suppression.is_none() && !self.alert.recovering
    }

    /// Whether it fires and the receiver was not notified of that, or not of that severity.
    fn is_news(&self) -> bool {
        let is_worse = self.notified < Some(self.alert.severity) || self.notified_flapping;
        self.is_firing() && self.may_be_notified() && is_worse
    }

    /// Whether it is new and belongs at the head of a message of this severity.
    pub(super) fn leads(&self, severity: Severity) -> bool {
        self.is_news() && self.alert.severity == severity
    }

    /// Whether it is critical, and never was before for this receiver.
    pub(super) fn is_newly_critical(&self) -> bool {
        let is_critical = self.alert.severity == Severity::Critical;
        is_critical && self.is_news() && !self.notified_critical
    }

    /// Records that a notification reported it as it is.
    pub(super) fn mark_notified(&mut self) {
        self.notified = self.open_severity();
        self.notified_critical |= self.notified == Some(Severity::Critical);
        self.notified_flapping = self.is_clear_for_now();
        self.happened_again = false;
    }

    /// Records why changes of it are not notified. Returns the suppression when it has to be
    /// counted: once, and only if there is something to notify.
    pub(super) fn suppress(&mut self, suppression: Option<Suppression>) -> Option<Suppression> {
        self.suppression = suppression;
        let is_news = self.notified < Some(self.alert.severity);
        let counts = is_news || suppression == Some(Suppression::Flapping);
        let was_counted = self.counted;
        self.counted = counts && suppression.is_some();
        if was_counted || !counts {
            return None;
        }
        suppression
    }

    /// Ends it for this receiver: the alert resolved, or the receiver no longer wants it.
    pub(super) fn end(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        self.alert = resolved_for_receiver(now, &self.alert, alert);
        self.suppression = alert.muted_by.as_ref().map(Suppression::from);
        self.counted = false;
    }

    /// Takes the newest values. A snapshot of another status or severity waits for its transition.
    pub(super) fn refresh(&mut self, current: Option<Arc<AlertSnapshot>>) {
        let Some(current) = current else {
            return;
        };
        let is_same =
            current.status == self.alert.status && current.severity == self.alert.severity;
        if is_same && self.is_firing() {
            self.alert = current;
        }
    }

    /// The order in a message of this severity: news of that severity first, then the worst.
    pub(super) fn cmp_in_message(&self, other: &Self, severity: Severity) -> Ordering {
        let by_news = other.leads(severity).cmp(&self.leads(severity));
        by_news.then_with(|| worse_first(&self.alert, &other.alert))
    }
}

/// How an alert that left the group ends for this receiver. One that still fires, below the
/// receiver's severity or beyond its matchers, ends as the receiver last saw it, with its newest
/// value.
fn resolved_for_receiver(
    now: Timestamp,
    seen: &AlertSnapshot,
    alert: &Arc<AlertSnapshot>,
) -> Arc<AlertSnapshot> {
    if alert.status == AlertStatus::Resolved {
        return Arc::clone(alert);
    }
    let fell = alert.severity < seen.severity || seen.series.is_some();
    let reason = if fell {
        ResolveReason::Cleared
    } else {
        ResolveReason::Removed
    };
    Arc::new(AlertSnapshot {
        severity: seen.severity,
        threshold: seen.threshold,
        status: AlertStatus::Resolved,
        resolved: Some((now, reason)),
        recovering: false,
        series: None,
        ..AlertSnapshot::clone(alert)
    })
}

/// Firing before resolved; then by severity, by the value as a multiple of its threshold, by the
/// value, and by identity.
fn worse_first(a: &AlertSnapshot, b: &AlertSnapshot) -> Ordering {
    let rank = |alert: &AlertSnapshot| (alert.status, Reverse(alert.severity));
    let by_rank = rank(a).cmp(&rank(b));
    by_rank
        .then_with(|| ratio(b).total_cmp(&ratio(a)))
        .then_with(|| value(b).total_cmp(&value(a)))
        .then_with(|| a.identity.cmp(&b.identity))
}

/// The value for sorting: an unknown one comes last.
fn value(alert: &AlertSnapshot) -> f64 {
    let best = alert.value.best();
    best.map_or(f64::NEG_INFINITY, Quantity::badness)
}

/// How many times worse the value is than its threshold; infinite where that would divide by zero.
fn ratio(alert: &AlertSnapshot) -> f64 {
    let threshold = alert.threshold.as_f64();
    let Some(best) = alert.value.best().map(Quantity::as_f64) else {
        return f64::NEG_INFINITY;
    };
    let (part, whole) = if alert.threshold.is_worse_when_small() {
        (threshold, best)
    } else {
        (best, threshold)
    };
    if whole > 0.0 {
        part / whole
    } else {
        f64::INFINITY
    }
}
