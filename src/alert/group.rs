//! One group of alerts for one receiver: what it was told, what is true now, and so what to say and
//! when.
//!
//! Nothing is queued: a group keeps what each member was last told as, and the difference to what
//! is true now is what there is to say. A change that is undone before it was told therefore
//! cancels out by itself.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    AlertKey, AlertSnapshot, AlertStatus, NotifyReason, Quantity, ResolveReason, Suppression,
    TargetKind,
};
use crate::config::{NotifySettings, RepageOn, Severity};
use crate::model::{Span, Timestamp};

/// A pair that becomes critical within so many `group_interval` after another one of its group
/// belongs to the same page: a bottleneck takes pair after pair.
const PAIRS_BELONG: f64 = 5.0;

/// The same, at least.
const PAIRS_BELONG_AT_LEAST: Span = Span::from_secs(60);

/// How long groups wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) group_wait: Span,
    group_interval: Span,
    repeat_interval: Span,
}

/// One group. Without members it is over.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<AlertKey, Member>,
    /// What the receiver was told last; `None` when it believes that nothing of the group fires.
    pub(super) told: Option<Told>,
    /// When the first change came that was not told yet.
    pub(super) changed_at: Option<Timestamp>,
    /// What to say next, if anything; not up to date after a change.
    pub(super) plan: Option<Plan>,
    pub(super) planned: bool,
    /// Which incident of the group this is.
    pub(super) generation: u32,
    /// Whether the disk knows less than this.
    pub(super) unsaved: bool,
}

/// An alert of the group. Its snapshot is the receiver's view: resolved also when the receiver no
/// longer wants it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about what was said"
)]
pub(super) struct Member {
    pub(super) alert: Arc<AlertSnapshot>,
    /// The severity that it had in the last notification.
    pub(super) told: Option<Severity>,
    /// Whether the last notification said that it flaps and is clear for now.
    pub(super) told_flapping: bool,
    /// Whether what it counts happened once more since the last notification.
    pub(super) happened_again: bool,
    /// Whether a notification has said that it is critical.
    pub(super) told_critical: bool,
    /// What keeps news of it from being told.
    quiet: Option<Suppression>,
    /// Whether it was counted that it is kept quiet.
    counted: bool,
}

/// The group's last notification.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    pub(super) severity: Severity,
    /// When the receiver was last told that one more alert is critical.
    #[serde(default)]
    pub(super) critical_at: Option<Timestamp>,
}

/// The next notification, if nothing changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) reason: NotifyReason,
    pub(super) due: Timestamp,
    /// Whether it is a new page.
    repage: bool,
    /// Whether nothing of the group may be repeated now.
    hushed: bool,
    /// What keeps it from being repeated, where that is counted.
    quiet: Option<Suppression>,
}

/// How the members differ from what was told.
#[derive(Debug, Default)]
struct Tally {
    /// The highest severity that fires and is, or may be, told.
    severity: Option<Severity>,
    /// What there is to say.
    news: BTreeSet<NotifyReason>,
    /// What is critical without being part of what a person was paged for.
    critical: NewlyCritical,
    /// Whether there is an alert that may be told.
    awake: bool,
    /// What keeps one that was told from being repeated.
    quiet: Option<Suppression>,
}

/// What is critical that no page was about.
#[derive(Clone, Copy, Debug, Default)]
struct NewlyCritical {
    /// Something of which the receiver was notified that it is clear for now.
    back: bool,
    /// An alert about a pair that never was critical before.
    pair: bool,
    /// The same of a server, or of anything else but a pair.
    other: bool,
}

/// What became of a reminder that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reminder {
    /// It is to be sent.
    Due,
    /// It is not sent; this is why, where that is counted.
    Skipped(Option<Suppression>),
}

/// What is said of the group: the parts of a notification that the group knows.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) status: AlertStatus,
    pub(super) reason: NotifyReason,
    pub(super) severity: Severity,
    pub(super) alerts: Vec<Arc<AlertSnapshot>>,
    /// How many of the alerts, from the first on, are news of the group's severity.
    pub(super) news: usize,
    pub(super) held: usize,
    pub(super) generation: u32,
}

impl Timing {
    pub(super) const fn new(settings: &NotifySettings) -> Self {
        let NotifySettings {
            group_wait,
            group_interval,
            repeat_interval,
            ..
        } = *settings;
        Self {
            group_wait,
            group_interval,
            repeat_interval,
        }
    }
}

impl Group {
    /// Whether nothing is left to be said of the group, ever.
    pub(super) fn is_over(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether anybody was told of it.
    pub(super) const fn was_told(&self) -> bool {
        self.told.is_some()
    }

    /// Forgets the alerts that nobody was told of.
    pub(super) fn forget_untold(&mut self) {
        self.members.retain(|_, member| member.told.is_some());
        (self.planned, self.unsaved) = (false, true);
    }

    /// Whether the alert is one of the group's.
    pub(super) fn holds(&self, key: &AlertKey) -> bool {
        self.members.contains_key(key)
    }

    /// The group's alerts.
    pub(super) fn keys(&self) -> impl Iterator<Item = &AlertKey> {
        self.members.keys()
    }

    /// The alert fires, and the receiver wants it. `quiet` says what keeps news of it from being
    /// told; the result is that, when it has not been counted yet.
    pub(super) fn put(
        &mut self,
        now: Timestamp,
        alert: &Arc<AlertSnapshot>,
        quiet: Option<Suppression>,
    ) -> Option<Suppression> {
        let member = self
            .members
            .entry(alert.key())
            .or_insert_with(|| Member::new(alert));
        member.alert = Arc::clone(alert);
        let counted = member.keep_quiet(quiet);
        self.touch(now);
        counted
    }

    /// The alert resolved, or the receiver does not want it any more. Of a member that was never
    /// told nothing remains.
    pub(super) fn leave(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        let key = alert.key();
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if member.is_up_for_now() && alert.status == AlertStatus::Firing {
            // It began again, but not so that the receiver wants to know. It is shown as it is.
            member.alert = Arc::clone(alert);
            member.quiet = Some(Suppression::Flapping);
            self.touch(now);
            return;
        }
        if member.told.is_none() {
            self.members.remove(&key);
        } else if member.is_open() {
            member.alert = resolved_for_receiver(now, &member.alert, alert);
            member.quiet = alert.muted_by.as_ref().map(Suppression::from);
            member.counted = false;
        }
        self.touch(now);
    }

    /// Asks anew what keeps each alert quiet. Returns what has not been counted yet.
    ///
    /// A cause that is over explains its effects for `group_wait`. What was explained until then has
    /// waited since `caused_until`, when the cause ended.
    pub(super) fn review(
        &mut self,
        now: Timestamp,
        caused_until: Option<Timestamp>,
        quiet_of: &dyn Fn(&AlertSnapshot) -> Option<Suppression>,
    ) -> Vec<Suppression> {
        let mut changed_at = None;
        let mut counted = Vec::new();
        for member in self.members.values_mut().filter(|member| member.fires()) {
            let quiet = quiet_of(&member.alert);
            if quiet.is_some() != member.quiet.is_some() {
                let was_caused = member.quiet == Some(Suppression::Inhibited);
                let since = if was_caused { member.fired_at() } else { now };
                let at = since.max(caused_until.unwrap_or(now)).min(now);
                changed_at = Some(changed_at.map_or(at, |other: Timestamp| other.min(at)));
            }
            counted.extend(member.keep_quiet(quiet));
        }
        if let Some(at) = changed_at {
            self.touch(at);
        }
        counted
    }

    /// What the alert counts happened once more: that is news, although nothing of it changed.
    pub(super) fn note_again(&mut self, now: Timestamp, key: &AlertKey) {
        if let Some(member) = self.members.get_mut(key) {
            member.happened_again = true;
            self.touch(now);
        }
    }

    /// Takes the alerts as they are now, without taking what changed for news.
    pub(super) fn refresh(&mut self, current: &dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>) {
        for (key, member) in &mut self.members {
            member.refresh(current(key));
        }
    }

    /// Makes the group look again at what it has to say, because something else than a member
    /// changed.
    pub(super) fn replan(&mut self) {
        self.planned = false;
    }

    /// When to look at the group next; a change wants a look at once. `None` as long as there is
    /// nothing to say.
    pub(super) fn wakeup(&self) -> Option<Timestamp> {
        if self.planned {
            self.plan.map(|plan| plan.due)
        } else {
            Some(self.changed_at.unwrap_or_default())
        }
    }

    /// What is to be said next, and when; `None` when nothing is.
    pub(super) fn plan(&mut self, timing: Timing, repage_on: RepageOn) -> Option<Plan> {
        if !self.planned {
            self.plan = self.make_plan(timing, repage_on);
            self.planned = true;
            if self
                .plan
                .is_none_or(|plan| plan.reason == NotifyReason::Repeat)
            {
                self.changed_at = None; // whatever had changed is undone, or is not to be told
            }
        }
        self.plan
    }

    /// Says what there is to say, with the members as they are now, and remembers that it was said.
    /// `None` when nobody was ever told of the group and nothing fires that may be told.
    pub(super) fn tell(
        &mut self,
        now: Timestamp,
        plan: Plan,
        current: &dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    ) -> Option<Statement> {
        self.refresh(current);
        let open = self.visible().filter_map(Member::open_severity).max();
        let severity = open.or(self.told.map(|told| told.severity))?;
        let status = if open.is_some() {
            AlertStatus::Firing
        } else {
            AlertStatus::Resolved
        };
        self.generation += u32::from(plan.repage);
        let generation = self.generation;
        let alerts = self.news_first(severity);
        let news = self
            .visible()
            .filter(|member| member.leads(severity))
            .count();
        let has_new_critical = self.visible().any(Member::is_newly_critical);
        let held = self.members.len() - alerts.len();
        self.members.retain(|_, member| member.is_open());
        self.members
            .values_mut()
            .filter(|member| member.is_visible())
            .for_each(Member::note_told);
        let critical_at = if has_new_critical {
            Some(now)
        } else {
            self.told.and_then(|told| told.critical_at)
        };
        self.told = open.map(|severity| Told {
            at: now,
            severity,
            critical_at,
        });
        if self.told.is_none() {
            self.generation = 0;
        }
        (self.changed_at, self.planned, self.unsaved) = (None, false, true);
        Some(Statement {
            status,
            reason: plan.reason,
            severity,
            alerts,
            news,
            held,
            generation,
        })
    }

    /// Lets a reminder pass that is not to be sent.
    pub(super) fn review_reminder(&mut self, now: Timestamp, plan: Plan) -> Reminder {
        if !plan.hushed || plan.reason != NotifyReason::Repeat {
            return Reminder::Due;
        }
        if let Some(told) = &mut self.told {
            told.at = now;
        }
        (self.planned, self.unsaved) = (false, true);
        Reminder::Skipped(plan.quiet)
    }

    fn touch(&mut self, now: Timestamp) {
        self.changed_at.get_or_insert(now);
        (self.planned, self.unsaved) = (false, true);
    }

    fn make_plan(&self, timing: Timing, repage_on: RepageOn) -> Option<Plan> {
        let tally = self.tally();
        let Some(told) = self.told else {
            let due = self.changed_at.unwrap_or_default() + timing.group_wait;
            return tally.awake.then_some(Plan {
                reason: NotifyReason::First,
                due,
                repage: false,
                hushed: false,
                quiet: None,
            });
        };
        let changed_at = self.changed_at.unwrap_or(told.at);
        let repeat_at = told.at + timing.repeat_interval;
        let Some(reason) = tally.reason(told) else {
            return Some(Plan {
                reason: NotifyReason::Repeat,
                due: repeat_at,
                repage: false,
                hushed: !tally.awake,
                quiet: tally.quiet.filter(|_| !tally.awake),
            });
        };
        let due = match reason {
            // That something works again is never kept back.
            NotifyReason::Resolved | NotifyReason::Flapping => changed_at,
            NotifyReason::Escalated if tally.severity > Some(told.severity) => changed_at,
            // The receiver knows that the group is critical: alerts that escalate one after the
            // other, as all do when a datacenter is cut, are told together.
            NotifyReason::Escalated => changed_at.max(told.at + timing.group_wait),
            NotifyReason::NewInGroup if tally.critical.other => {
                changed_at.max(told.at) + timing.group_wait
            }
            // What joins or heals together does so over some seconds: the first of it does not go
            // out alone.
            _ => (changed_at + timing.group_wait).max(told.at + timing.group_interval),
        };
        let has = |reason| tally.news.contains(&reason);
        let repage = tally.critical.back
            || (repage_on.new_critical && tally.is_another_matter(told, due, timing))
            || (repage_on.escalated && has(NotifyReason::Escalated))
            || (repage_on.new_in_group && has(NotifyReason::NewInGroup));
        Some(Plan {
            reason,
            due: due.min(repeat_at.max(changed_at)),
            repage,
            hushed: false,
            quiet: None,
        })
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for member in self.members.values() {
            tally.add(member);
        }
        tally
    }

    /// The members that the receiver knows of, or may be told of.
    fn visible(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.is_visible())
    }

    /// The alerts: of the most severe ones those that are news first, then the worst.
    fn news_first(&self, severity: Severity) -> Vec<Arc<AlertSnapshot>> {
        let mut members: Vec<_> = self.visible().collect();
        members.sort_by(|a, b| {
            let by_news = b.leads(severity).cmp(&a.leads(severity));
            by_news.then_with(|| worse_first(&a.alert, &b.alert))
        });
        members
            .into_iter()
            .map(|member| Arc::clone(&member.alert))
            .collect()
    }
}

impl Member {
    pub(super) fn new(alert: &Arc<AlertSnapshot>) -> Self {
        Self {
            alert: Arc::clone(alert),
            told: None,
            told_flapping: false,
            happened_again: false,
            told_critical: false,
            quiet: None,
            counted: false,
        }
    }

    fn fires(&self) -> bool {
        self.alert.status == AlertStatus::Firing
    }

    /// Whether the receiver was told that it fires, and it flaps and is clear for now.
    fn is_up_for_now(&self) -> bool {
        self.told.is_some() && self.alert.is_up_for_now()
    }

    /// Whether it is not over.
    fn is_open(&self) -> bool {
        self.fires() || self.is_up_for_now()
    }

    /// The severity of what is open. What is clear for now is no more than a warning.
    fn open_severity(&self) -> Option<Severity> {
        if self.is_up_for_now() {
            return Some(Severity::Warning);
        }
        self.fires().then_some(self.alert.severity)
    }

    /// When it began to fire at its severity.
    fn fired_at(&self) -> Timestamp {
        let decision = self.alert.decision;
        decision.map_or(self.alert.started_at, |decision| decision.at)
    }

    fn is_visible(&self) -> bool {
        self.told.is_some() || (self.quiet.is_none() && !self.alert.recovering)
    }

    /// Whether it fires and the receiver was not told so, or not that it is so severe.
    fn is_news(&self) -> bool {
        let is_worse = self.told < Some(self.alert.severity) || self.told_flapping;
        self.fires() && self.quiet.is_none() && !self.alert.recovering && is_worse
    }

    /// Whether it is news that leads a message of this severity.
    fn leads(&self, severity: Severity) -> bool {
        self.is_news() && self.alert.severity == severity
    }

    /// Whether it is critical, and never was before for this receiver.
    fn is_newly_critical(&self) -> bool {
        self.is_news() && self.alert.severity == Severity::Critical && !self.told_critical
    }

    fn note_told(&mut self) {
        self.told = self.open_severity();
        self.told_critical |= self.told == Some(Severity::Critical);
        self.told_flapping = self.is_up_for_now();
        self.happened_again = false;
    }

    /// Takes in what keeps news of it from being told. Returns that, once, when there is news.
    fn keep_quiet(&mut self, quiet: Option<Suppression>) -> Option<Suppression> {
        self.quiet = quiet;
        let is_news = self.told < Some(self.alert.severity);
        let held = quiet.filter(|why| is_news || *why == Suppression::Flapping);
        let is_new = held.is_some() && !self.counted;
        self.counted = held.is_some();
        held.filter(|_| is_new)
    }

    /// Takes the newest values. A snapshot that says something else than the last transition is not
    /// news yet.
    fn refresh(&mut self, current: Option<Arc<AlertSnapshot>>) {
        let same = |new: &Arc<AlertSnapshot>| {
            (new.status, new.severity) == (self.alert.status, self.alert.severity)
        };
        if let Some(current) = current.filter(same).filter(|_| self.fires()) {
            self.alert = current;
        }
    }
}

impl Tally {
    fn add(&mut self, member: &Member) {
        let Some(severity) = member.open_severity() else {
            self.news.insert(NotifyReason::PartlyResolved);
            return;
        };
        if member.quiet.is_some() || member.alert.recovering {
            // Nothing of it is news. One that was told stays open as it was told.
            self.severity = self.severity.max(member.told);
            self.quiet = self
                .quiet
                .or(member.quiet.filter(|_| member.told.is_some()));
            return;
        }
        self.awake = true;
        self.severity = self.severity.max(Some(severity));
        if member.is_up_for_now() {
            if !member.told_flapping {
                self.news.insert(NotifyReason::Flapping);
            }
            return;
        }
        if member.is_newly_critical() {
            let is_pair = member.alert.identity.rule.target() == TargetKind::Pair;
            self.critical.pair |= is_pair;
            self.critical.other |= !is_pair;
        }
        if member.told.is_some_and(|told| told < severity) {
            self.news.insert(NotifyReason::Escalated);
            self.critical.back |= member.told_flapping;
        } else if member.told.is_none() || member.told_flapping {
            self.news.insert(NotifyReason::NewInGroup);
        }
        if member.happened_again {
            self.news.insert(NotifyReason::HappenedAgain);
        }
    }

    /// Whether what became critical is another matter than what the receiver was told of: then it is
    /// a new page, which goes out at `due`. What one cause breaks becomes critical together, or, for
    /// pairs, one after the other.
    fn is_another_matter(&self, told: Told, due: Timestamp, timing: Timing) -> bool {
        let Some(last) = told.critical_at else {
            return false;
        };
        let pairs = timing
            .group_interval
            .mul_f64(PAIRS_BELONG)
            .max(PAIRS_BELONG_AT_LEAST);
        (self.critical.other && due - last >= timing.group_interval)
            || (self.critical.pair && due - last >= pairs)
    }

    /// The weightiest thing there is to say; `None` when nothing is new.
    fn reason(&self, told: Told) -> Option<NotifyReason> {
        let Some(severity) = self.severity else {
            return Some(NotifyReason::Resolved);
        };
        let has = |reason| self.news.contains(&reason);
        let candidates = [
            (
                has(NotifyReason::Escalated) || severity > told.severity,
                NotifyReason::Escalated,
            ),
            (has(NotifyReason::Flapping), NotifyReason::Flapping),
            (has(NotifyReason::NewInGroup), NotifyReason::NewInGroup),
            (
                has(NotifyReason::HappenedAgain),
                NotifyReason::HappenedAgain,
            ),
            (severity < told.severity, NotifyReason::Deescalated),
            (
                has(NotifyReason::PartlyResolved),
                NotifyReason::PartlyResolved,
            ),
        ];
        candidates
            .into_iter()
            .find_map(|(applies, reason)| applies.then_some(reason))
    }
}

/// How an alert that left ends for this receiver. One that still fires, below the receiver's
/// severity or beyond its matchers, ends as the last thing that the receiver saw of it, with its
/// newest value.
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

/// What fires before what resolved; then by severity, by how many times the threshold the value is,
/// by the value, and by identity.
fn worse_first(a: &AlertSnapshot, b: &AlertSnapshot) -> Ordering {
    let rank = |alert: &AlertSnapshot| (alert.status, Reverse(alert.severity));
    let by_ratio = || ratio(b).total_cmp(&ratio(a));
    let by_value = || value(b).total_cmp(&value(a));
    rank(a)
        .cmp(&rank(b))
        .then_with(by_ratio)
        .then_with(by_value)
        .then_with(|| a.identity.cmp(&b.identity))
}

/// The value for sorting: what is unknown comes last.
fn value(alert: &AlertSnapshot) -> f64 {
    alert
        .value
        .best()
        .map_or(f64::NEG_INFINITY, Quantity::as_f64)
}

/// The value as a multiple of its threshold. Any value is past a threshold of zero without limit.
fn ratio(alert: &AlertSnapshot) -> f64 {
    let threshold = alert.threshold.as_f64();
    if threshold > 0.0 {
        value(alert) / threshold
    } else {
        f64::INFINITY
    }
}
