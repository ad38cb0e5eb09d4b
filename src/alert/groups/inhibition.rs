//! Inhibition for one receiver: only alerts that it is notified of inhibit others for it.

use std::collections::BTreeMap;

use super::wanted::fits;
use crate::alert::engine::inhibits_up_to;
use crate::alert::{AlertKey, AlertSnapshot, AlertState, ListedAlert};
use crate::config::{ReceiverSettings, Severity};
use crate::model::{Span, Timestamp};

/// The inhibitors that one receiver is notified of, and their recent past.
#[derive(Debug, Default)]
pub(super) struct KnownInhibitors {
    known: BTreeMap<AlertKey, KnownInhibitor>,
    /// Whether any of them changed since [`Self::forget_lapsed`].
    changed: bool,
}

/// An inhibitor, as a receiver was notified of it.
#[derive(Clone, Copy, Debug, Default)]
struct KnownInhibitor {
    /// The severity that it fires at.
    fires: Option<Severity>,
    /// The severity that it had until it fell or ended, and when that was: it inhibits for
    /// `group_wait` after that.
    before: Option<(Severity, Timestamp)>,
}

impl KnownInhibitors {
    /// No inhibitors yet. `changed`, so that the groups of a new receiver are reviewed once.
    pub(super) fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            changed: true,
        }
    }

    /// Whether any of them changed since [`Self::forget_lapsed`].
    pub(super) const fn have_changed(&self) -> bool {
        self.changed
    }

    /// Records that an inhibitor fires at this severity, or no longer fires.
    pub(super) fn record(&mut self, now: Timestamp, key: &AlertKey, severity: Option<Severity>) {
        if severity.is_none() && !self.known.contains_key(key) {
            return;
        }
        let inhibitor = self.known.entry(key.clone()).or_default();
        if inhibitor.fires == severity {
            return;
        }
        if let Some(higher) = inhibitor.fires
            && severity < Some(higher)
        {
            inhibitor.before = Some((higher, now));
        }
        inhibitor.fires = severity;
        self.changed = true;
    }

    /// When the next inhibitor that has ended ceases to inhibit.
    pub(super) fn next_lapse(&self, linger: Span) -> Option<Timestamp> {
        let ends = self.known.values().filter_map(|inhibitor| inhibitor.before);
        ends.map(|(_, end)| end + linger).min()
    }

    /// Forgets the inhibitors that no longer inhibit. Returns when the first of them had ended.
    pub(super) fn forget_lapsed(&mut self, now: Timestamp, linger: Span) -> Option<Timestamp> {
        self.changed = false;
        let mut first: Option<Timestamp> = None;
        for inhibitor in self.known.values_mut() {
            let Some((_, end)) = inhibitor.before else {
                continue;
            };
            if now - end >= linger {
                inhibitor.before = None;
                first = Some(first.unwrap_or(end).min(end));
            }
        }
        self.known
            .retain(|_, inhibitor| inhibitor.fires.is_some() || inhibitor.before.is_some());
        first
    }

    /// Whether one of them inhibits the alert.
    pub(super) fn inhibit(&self, alert: &AlertSnapshot, now: Timestamp, linger: Span) -> bool {
        is_inhibited(alert, |key| self.known.get(key)?.up_to(now, linger))
    }
}

impl KnownInhibitor {
    /// The highest severity that it inhibits.
    fn up_to(&self, now: Timestamp, linger: Span) -> Option<Severity> {
        match self.before {
            Some((severity, end)) if now - end < linger => self.fires.max(Some(severity)),
            _ => self.fires,
        }
    }
}

/// The inhibitors of a receiver that reads the list of alerts itself, by the same rules as for
/// groups.
#[derive(Debug)]
pub struct Inhibitors(BTreeMap<AlertKey, Severity>);

impl Inhibitors {
    /// Those among `listed` that a receiver with these settings is notified of, or was less than
    /// `linger` ago.
    pub fn seen_by(
        receiver: &ReceiverSettings,
        listed: &[ListedAlert],
        now: Timestamp,
        linger: Span,
    ) -> Self {
        let mut inhibitors = BTreeMap::new();
        for ListedAlert { state, alert, .. } in listed {
            if *state == AlertState::Pending || !alert.identity.rule.can_inhibit() {
                continue;
            }
            let end = alert.resolved.map(|(at, _)| at);
            let up_to = inhibits_up_to(alert.severity, end, alert.decision, now, linger);
            if let Some(severity) = up_to
                && severity >= receiver.min_severity
                && fits(&receiver.name, &receiver.matchers, alert)
            {
                inhibitors.insert(alert.key(), severity);
            }
        }
        Self(inhibitors)
    }

    /// Whether one of them inhibits the alert.
    pub fn inhibit(&self, alert: &AlertSnapshot) -> bool {
        is_inhibited(alert, |key| self.0.get(key).copied())
    }
}

/// Whether an alert is inhibited, where `up_to` is the highest severity that an alert inhibits now.
fn is_inhibited(alert: &AlertSnapshot, up_to: impl Fn(&AlertKey) -> Option<Severity>) -> bool {
    let inhibitors = &alert.context.inhibitors;
    inhibitors.iter().any(|inhibitor| {
        alert.severity <= inhibitor.up_to && up_to(&inhibitor.key) >= Some(alert.severity)
    })
}
