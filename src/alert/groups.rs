//! Who is told what, and when: one set of groups for each receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wildmatch::WildMatch;

use super::group::{Group, Statement, Timing};
use super::types::label_of;
use super::{
    Affected, AlertKey, AlertSnapshot, AlertStatus, GroupKey, HeldBack, Labels, Notification, Rule, TargetKind,
};
use crate::config::{NotifySettings, ReceiverSettings, RepageOn, Severity};
use crate::model::Timestamp;

/// The groups of every receiver.
///
/// Transitions go in through [`record`](Self::record), notifications come out of [`due`](Self::due):
///
/// * a new group is told `group_wait` after its first alert;
/// * when its highest severity rises it is told at once, when further alerts of a group that is known to be critical
///   escalate, at most every `group_wait`;
/// * what joins, leaves or calms down is told together: `group_wait` after the first such change, and not before
///   `group_interval` after the last notification;
/// * when all of it resolved it is told at once, if it ever was told; then the group is gone, and firing again makes a new
///   one;
/// * while nothing changes it is told again every `repeat_interval`.
///
/// Alerts are kept quiet by a silence, by maintenance, or by an alert that explains them: one that fires, that the receiver is
/// told of, and that is as severe. They open no group, join none, are no escalation, and are not repeated. What was told before
/// is told to be over all the same. When the quiet ends they are as new.
///
/// An alert stays in its group until it is over, whatever becomes of its labels and of `group_by`.
#[derive(Debug)]
pub struct AlertGroups {
    timing: Timing,
    receivers: Vec<Receiver>,
}

/// What groups ask about when they speak.
pub struct Outlook<'a> {
    /// An alert as it is now (`AlertEngine::snapshot`), so that a message shows the values of the moment it is decided and not
    /// those of the last transition.
    pub current: &'a dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    /// Everything that there could be an alert about.
    pub targets: &'a [Target],
}

/// Something that there could be an alert about.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// The identity labels that its alerts have.
    pub labels: Arc<Labels>,
    /// Its configured labels.
    pub extra: Arc<Labels>,
}

/// What there is to do about notifications.
#[derive(Debug, Default, PartialEq)]
pub struct Due {
    /// Those to send, ordered by receiver (as configured) and group.
    pub notifications: Vec<Notification>,
    /// For each that was not made, or not repeated, on purpose: the receiver and why.
    pub held_back: Vec<(Arc<str>, HeldBack)>,
}

/// One receiver's groups and which alerts it wants.
#[derive(Debug)]
struct Receiver {
    name: Arc<str>,
    min_severity: Severity,
    matchers: BTreeMap<String, WildMatch>,
    group_by: Vec<String>,
    repage_on: RepageOn,
    groups: BTreeMap<GroupKey, Group>,
    /// In which group each alert is.
    member_of: BTreeMap<AlertKey, GroupKey>,
    /// The alerts that explain others, as far as the receiver wants them, with their severity.
    causes: BTreeMap<AlertKey, Severity>,
    /// Whether what explains others changed since the groups were asked.
    causes_changed: bool,
    /// What was kept quiet and is not reported yet.
    held_back: Vec<HeldBack>,
}

impl AlertGroups {
    /// No groups yet, for these receivers.
    pub fn new(settings: &NotifySettings) -> Self {
        let receivers = wanting_groups(settings).map(|receiver| Receiver::new(receiver, settings, BTreeMap::new()));
        Self { timing: Timing::of(settings), receivers: receivers.collect() }
    }

    /// Takes an alert into account that changed. To record an alert twice makes no difference.
    pub fn record(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        for receiver in &mut self.receivers {
            receiver.record(now, alert);
        }
    }

    /// Takes in that a change of an alert was kept quiet because it flaps.
    pub fn note_flapping(&mut self, alert: &AlertSnapshot) {
        for receiver in self.receivers.iter_mut().filter(|receiver| receiver.wants(alert)) {
            receiver.held_back.push(HeldBack::Flapping);
        }
    }

    /// Asks anew what keeps alerts quiet: silences or maintenance windows began or ended.
    pub fn review(&mut self, now: Timestamp, current: &dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>) {
        for receiver in &mut self.receivers {
            receiver.groups.values_mut().for_each(|group| group.refresh(current));
            receiver.review(now);
        }
    }

    /// Changes receivers and waits. `firing` are the alerts that fire now.
    ///
    /// A receiver whose name stays keeps its groups, so nobody is paged again for what is known; alerts that it no longer
    /// wants end for it as resolved. The groups of a receiver that is gone vanish. What fires is new to a new receiver.
    pub fn reconfigure(&mut self, now: Timestamp, settings: &NotifySettings, firing: &[Arc<AlertSnapshot>]) {
        self.timing = Timing::of(settings);
        let old = self.receivers.drain(..).map(|receiver| (receiver.name, receiver.groups));
        let mut old: BTreeMap<_, _> = old.collect();
        for receiver in wanting_groups(settings) {
            let groups = old.remove(receiver.name.as_str()).unwrap_or_default();
            self.receivers.push(Receiver::new(receiver, settings, groups));
        }
        for group in self.receivers.iter_mut().flat_map(|receiver| receiver.groups.values_mut()) {
            group.replan();
        }
        for alert in firing {
            self.record(now, alert);
        }
    }

    /// Every notification that is due.
    pub fn due(&mut self, now: Timestamp, outlook: &Outlook<'_>) -> Due {
        let mut due = Due::default();
        for receiver in &mut self.receivers {
            due.notifications.extend(receiver.due(now, self.timing, outlook));
            let held_back = std::mem::take(&mut receiver.held_back).into_iter();
            due.held_back.extend(held_back.map(|why| (Arc::clone(&receiver.name), why)));
        }
        due
    }

    /// When [`due`](Self::due) wants to be called next; a time that has passed means at once, `None` not before the next
    /// [`record`](Self::record).
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.receivers.iter().flat_map(|receiver| receiver.groups.values()).filter_map(Group::wakeup).min()
    }
}

/// The receivers that are told of groups; the others look at the alerts themselves.
fn wanting_groups(settings: &NotifySettings) -> impl Iterator<Item = &ReceiverSettings> {
    settings.receivers.iter().filter(|receiver| receiver.kind.takes_groups())
}

impl Receiver {
    fn new(settings: &ReceiverSettings, all: &NotifySettings, groups: BTreeMap<GroupKey, Group>) -> Self {
        let members = groups.iter().flat_map(|(key, group)| group.keys().map(|alert| (alert.clone(), key.clone())));
        Self {
            name: settings.name.as_str().into(),
            min_severity: settings.min_severity,
            matchers: settings.matchers.clone(),
            group_by: settings.group_by.as_ref().unwrap_or(&all.group_by).clone(),
            repage_on: settings.repage_on,
            member_of: members.collect(),
            groups,
            causes: BTreeMap::new(),
            causes_changed: true,
            held_back: Vec::new(),
        }
    }

    fn record(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        let (key, wanted) = (alert.key(), self.wants(alert));
        if alert.identity.rule.is_cause() {
            let severity = wanted.then_some(alert.severity);
            let before = match severity {
                Some(severity) => self.causes.insert(key.clone(), severity),
                None => self.causes.remove(&key),
            };
            self.causes_changed |= before != severity;
        }
        if wanted {
            let quiet = self.quiet_of(alert);
            let group = self.member_of.entry(key).or_insert_with(|| GroupKey::of(alert, &self.group_by));
            let counted = self.groups.entry(group.clone()).or_default().put(now, alert, quiet);
            self.held_back.extend(counted);
        } else if let Some(group) = self.member_of.get(&key).and_then(|group| self.groups.get_mut(group)) {
            // An empty group stays until the next look: what else changes at this instant may still join it.
            group.leave(now, alert);
            if !group.holds(&key) {
                self.member_of.remove(&key);
            }
        }
    }

    fn due(&mut self, now: Timestamp, timing: Timing, outlook: &Outlook<'_>) -> Vec<Notification> {
        if self.causes_changed {
            self.review(now);
        }
        let is_due = |group: &Group| group.wakeup().is_some_and(|at| at <= now);
        let keys: Vec<_> = self.groups.iter().filter(|(_, group)| is_due(group)).map(|(key, _)| key.clone()).collect();
        let mut notifications = Vec::new();
        for key in keys {
            let Some(mut group) = self.groups.remove(&key) else { continue };
            notifications.extend(self.say(now, timing, outlook, &key, &mut group));
            if !group.is_over() {
                group.plan(timing, self.repage_on);
                self.groups.insert(key, group);
            }
        }
        notifications
    }

    /// What the group has to say now.
    fn say(
        &mut self,
        now: Timestamp,
        timing: Timing,
        outlook: &Outlook<'_>,
        key: &GroupKey,
        group: &mut Group,
    ) -> Option<Notification> {
        let plan = group.plan(timing, self.repage_on).filter(|plan| plan.due <= now)?;
        if let Some(quiet) = group.skip_repeat(now, plan) {
            self.held_back.push(quiet);
            return None;
        }
        let statement = group.tell(now, plan, outlook.current)?;
        for over in statement.alerts.iter().filter(|alert| alert.status == AlertStatus::Resolved) {
            self.member_of.remove(&over.key());
        }
        let affected = self.affected(key, &statement.alerts, outlook.targets);
        Some(statement.to(&self.name, key, affected, now))
    }

    /// Looks at what keeps alerts quiet.
    fn review(&mut self, now: Timestamp) {
        self.causes_changed = false;
        let mut groups = std::mem::take(&mut self.groups);
        for group in groups.values_mut() {
            let counted = group.review(now, &|alert| self.quiet_of(alert));
            self.held_back.extend(counted);
        }
        self.groups = groups;
    }

    /// What keeps news of the alert from this receiver.
    fn quiet_of(&self, alert: &AlertSnapshot) -> Option<HeldBack> {
        let explains = |severity: &Severity| *severity >= alert.severity;
        let caused = || {
            let mut causes = alert.context.causes.iter().filter(|cause| alert.severity <= cause.up_to);
            causes.any(|cause| self.causes.get(&cause.key).is_some_and(explains))
        };
        alert.hold.as_ref().map(HeldBack::from).or_else(|| caused().then_some(HeldBack::Caused))
    }

    /// Whether the receiver is to know of the alert as firing.
    fn wants(&self, alert: &AlertSnapshot) -> bool {
        wanted(&self.name, self.min_severity, &self.matchers, alert)
    }

    /// How many of the group's targets fire, and of how many.
    fn affected(&self, key: &GroupKey, alerts: &[Arc<AlertSnapshot>], targets: &[Target]) -> Option<Affected> {
        let mut kinds = alerts.iter().map(|alert| alert.identity.rule.target());
        let kind = kinds.next().filter(|first| kinds.all(|kind| kind == *first))?;
        let firing = alerts.iter().filter(|alert| alert.status == AlertStatus::Firing);
        let firing = firing.map(|alert| &*alert.identity.labels).collect::<BTreeSet<_>>().len();
        let of = targets.iter().filter(|target| target.kind == kind && self.could_hold(key, target)).count();
        // A target that is gone by now may still be told to be over.
        Some(Affected { kind, firing, of: of.max(firing) })
    }

    /// Whether an alert about the target would be one of the group.
    fn could_hold(&self, key: &GroupKey, target: &Target) -> bool {
        let label = |name: &str| label_of(&target.labels, &target.extra, name);
        let of_alert = |name: &str| name == "alertname" || name == "severity";
        key.0.iter().all(|(name, value)| of_alert(name) || label(name) == value)
            && self.matchers.iter().all(|(name, glob)| of_alert(name) || glob.matches(label(name)))
    }
}

impl Statement {
    fn to(
        self,
        receiver: &Arc<str>,
        group: &GroupKey,
        affected: Option<Affected>,
        decided_at: Timestamp,
    ) -> Notification {
        let Self { status, reason, severity, alerts, held, generation } = self;
        let (receiver, group) = (Arc::clone(receiver), group.clone());
        Notification { receiver, group, status, reason, severity, alerts, affected, held, generation, decided_at }
    }
}

/// Whether a receiver with these settings is to know of the alert as firing.
pub fn wants(receiver: &ReceiverSettings, alert: &AlertSnapshot) -> bool {
    wanted(&receiver.name, receiver.min_severity, &receiver.matchers, alert)
}

fn wanted(name: &str, min: Severity, matchers: &BTreeMap<String, WildMatch>, alert: &AlertSnapshot) -> bool {
    // That a receiver fails is for the others to hear.
    let about_itself = alert.identity.rule == Rule::ReceiverFailing && alert.label("receiver") == name;
    alert.status == AlertStatus::Firing
        && alert.severity >= min
        && !about_itself
        && matchers.iter().all(|(label, glob)| glob.matches(alert.label(label)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::testing::{Simulation, at, firing, receiver, settings};
    use crate::alert::{AlertContext, Labels, Measured, NotifyReason, Quantity, Reading, ResolveReason, Rule};
    use crate::model::Span;

    /// `5 chat first critical: a! b? | c`: when, to whom, why, severity: critical (!) and warning (?) alerts that fire,
    /// and those that resolved.
    fn spell(notification: &Notification) -> String {
        let Notification { receiver, reason, severity, alerts, decided_at, .. } = notification;
        let (fires, over): (Vec<_>, Vec<_>) = alerts.iter().partition(|alert| alert.status == AlertStatus::Firing);
        let mark = |alert: &&Arc<AlertSnapshot>| if alert.severity == Severity::Critical { "!" } else { "?" };
        let pair = |alert: &&Arc<AlertSnapshot>| alert.identity.labels["pair"].clone();
        let fires = fires.iter().map(|alert| [" ", &pair(alert), mark(alert)].concat()).collect::<String>();
        let over = over.iter().map(|alert| [" ", &pair(alert)].concat()).collect::<String>();
        let over = if over.is_empty() { over } else { format!(" |{over}") };
        let second = decided_at.as_nanos() / 1_000_000_000;
        format!("{second} {receiver} {} {}:{fires}{over}", reason.label(), severity.label())
    }

    fn severity(mark: &str) -> Option<Severity> {
        match mark {
            "!" => Some(Severity::Critical),
            "?" => Some(Severity::Warning),
            _ => None,
        }
    }

    /// Plays events such as `0 a? b!` (at second 0 a fires as a warning, b as critical) and `9 a.` (a resolves), then lets
    /// `until` come, and compares what was said.
    fn check(receivers: &[&str], events: &[&str], until: i64, said: &[&str]) {
        let mut simulation = Simulation::new(&settings(receivers));
        for event in events {
            let (second, changes) = event.split_once(' ').unwrap();
            simulation.advance(at(second.parse().unwrap()));
            for change in changes.split(' ') {
                let (pair, mark) = change.split_at(change.len() - 1);
                simulation.set(pair, severity(mark));
            }
        }
        simulation.advance(at(until));
        let heard: Vec<_> = simulation.said.iter().map(spell).collect();
        assert_eq!(heard, said, "{events:?}");
    }

    #[test]
    fn a_new_group_waits_for_more_members() {
        check(&["chat"], &["0 b?", "2 a?"], 4, &[]);
        check(&["chat"], &["0 b?", "2 a?"], 60, &["5 chat first warning: a? b?"]);
        check(&["chat"], &["0 a?", "2 a!"], 60, &["5 chat first critical: a!"]);
        check(&["a", "b"], &["0 x!"], 60, &["5 a first critical: x!", "5 b first critical: x!"]);
    }

    #[test]
    fn an_escalation_is_told_at_once() {
        check(&["chat"], &["0 a?", "7 a!"], 60, &["5 chat first warning: a?", "7 chat escalated critical: a!"]);
        let joined_as_critical = ["5 chat first warning: a?", "7 chat escalated critical: b! a?"];
        check(&["chat"], &["0 a?", "7 b!"], 60, &joined_as_critical);
    }

    #[test]
    fn alerts_that_escalate_one_after_the_other_are_told_together() {
        let events = ["0 a? b? c? d?", "10 a!", "11 b!", "12 c!", "40 d!"];
        let first = "5 chat first warning: a? b? c? d?";
        let then = ["10 chat escalated critical: a! b? c? d?", "15 chat escalated critical: a! b! c! d?"];
        check(&["chat"], &events, 60, &[first, then[0], then[1], "40 chat escalated critical: a! b! c! d!"]);
    }

    #[test]
    fn what_joins_is_told_after_group_interval() {
        check(&["chat"], &["0 a?", "7 b?", "9 c?"], 64, &["5 chat first warning: a?"]);
        let together = ["5 chat first warning: a?", "65 chat new_in_group warning: a? b? c?"];
        check(&["chat"], &["0 a?", "7 b?", "9 c?"], 200, &together);
        let late = ["5 chat first warning: a?", "105 chat new_in_group warning: a? b? c?"];
        check(&["chat"], &["0 a?", "100 b?", "103 c?"], 200, &late);
    }

    #[test]
    fn what_calms_down_is_told_after_group_interval() {
        check(
            &["chat"],
            &["0 a! b?", "7 a?"],
            70,
            &["5 chat first critical: a! b?", "65 chat deescalated warning: a? b?"],
        );
        check(
            &["chat"],
            &["0 a? b?", "7 a."],
            70,
            &["5 chat first warning: a? b?", "65 chat partly_resolved warning: b? | a"],
        );
        check(&["chat"], &["0 a! b!", "7 a?"], 300, &["5 chat first critical: a! b!"]);
    }

    #[test]
    fn a_change_that_is_undone_before_it_is_told_is_not_told() {
        let first = ["5 chat first warning: a? b?"];
        check(&["chat"], &["0 a? b?", "7 a.", "9 a?"], 300, &first);
        check(&["chat"], &["0 a? b?", "7 c?", "9 c."], 300, &first);
        check(&["chat"], &["0 a? b?", "7 c?", "9 c.", "70 c?"], 72, &first);
        check(&["chat"], &["0 a? b!", "7 b?", "9 b!"], 300, &["5 chat first critical: b! a?"]);
    }

    #[test]
    fn a_group_that_resolved_is_told_at_once_and_only_if_it_was_told_to_fire() {
        check(&["chat"], &["0 a?", "3 a."], 300, &[]);
        check(
            &["chat"],
            &["0 a? b!", "7 a. b."],
            300,
            &["5 chat first critical: b! a?", "7 chat resolved critical: | b a"],
        );
        let one_by_one =
            ["5 chat first warning: a? b?", "65 chat partly_resolved warning: b? | a", "80 chat resolved warning: | b"];
        check(&["chat"], &["0 a? b?", "7 a.", "80 b."], 300, &one_by_one);
        check(
            &["chat"],
            &["0 a?", "7 b?", "8 a. b."],
            300,
            &["5 chat first warning: a?", "8 chat resolved warning: | a"],
        );
    }

    #[test]
    fn a_group_that_fires_again_begins_anew() {
        check(&["chat"], &["0 a?", "3 a.", "4 a?"], 60, &["9 chat first warning: a?"]);
        let again = ["5 chat first warning: a?", "7 chat resolved warning: | a", "13 chat first warning: a?"];
        check(&["chat"], &["0 a?", "7 a.", "8 a?"], 60, &again);
    }

    #[test]
    fn what_goes_on_firing_is_repeated() {
        let first = "5 chat first warning: a?";
        check(&["chat"], &["0 a?"], 3604, &[first]);
        check(&["chat"], &["0 a?"], 7300, &[first, "3605 chat repeat warning: a?", "7205 chat repeat warning: a?"]);
        let put_off = [first, "1000 chat escalated critical: a!", "4600 chat repeat critical: a!"];
        check(&["chat"], &["0 a?", "1000 a!"], 4600, &put_off);
    }

    #[test]
    fn the_weightiest_reason_is_given() {
        let first = "5 chat first critical: b! c! a?";
        let events = |changes: &'static str| ["0 a? b! c!", changes];
        let check_reason = |changes, then: &str| check(&["chat"], &events(changes), 70, &[first, then]);
        check_reason("7 a! d? c.", "10 chat escalated critical: a! b! d? | c");
        check_reason("7 b? c? d? a.", "65 chat new_in_group warning: b? c? d? | a");
        check_reason("7 b? c. a.", "65 chat deescalated warning: b? | c a");
    }

    #[test]
    fn a_receiver_of_critical_alerts_sees_nothing_else() {
        let oncall = &["oncall:critical"];
        check(oncall, &["0 a?"], 60, &[]);
        check(oncall, &["0 a? b!"], 60, &["5 oncall first critical: b!"]);
        check(oncall, &["0 a?", "30 a!"], 60, &["35 oncall first critical: a!"]);
        check(
            oncall,
            &["0 a!", "30 a?", "90 a."],
            300,
            &["5 oncall first critical: a!", "30 oncall resolved critical: | a"],
        );
        check(oncall, &["0 a!", "3 a?"], 60, &[]);
        let partly = ["5 oncall first critical: a! b!", "65 oncall partly_resolved critical: b! | a"];
        check(oncall, &["0 a! b!", "30 a?", "50 a."], 300, &partly);
    }

    #[test]
    fn an_alert_that_falls_below_a_receiver_ends_as_what_it_was() {
        let mut simulation = Simulation::new(&settings(&["oncall:critical"]));
        simulation.set("a", Some(Severity::Critical));
        simulation.advance(at(10));
        simulation.set("a", Some(Severity::Warning));
        simulation.advance(at(10));
        let ended = &simulation.said[1].alerts[0];
        assert_eq!(ended.resolved, Some((at(10), ResolveReason::Cleared)));
        assert_eq!((ended.threshold.as_f64(), ended.value.best().unwrap().as_f64()), (120.0, 30.0));
    }

    #[test]
    fn the_worst_comes_first() {
        let alert = |pair: &str, severity, value: Option<i64>, threshold| {
            let reading = value.map_or(Reading::NO_DATA, |value| Reading::exact(Span::from_secs(value)));
            let threshold = Quantity::Seconds(Span::from_secs(threshold));
            Arc::new(AlertSnapshot { value: Measured::from(reading), threshold, ..firing(pair, severity) })
        };
        let (warning, critical) = (Severity::Warning, Severity::Critical);
        let expected = [
            alert("zero_threshold", critical, Some(1), 0),
            alert("twice", critical, Some(20), 10),
            alert("more_but_once", critical, Some(100), 100),
            alert("a_same", critical, Some(90), 90),
            alert("b_same", critical, Some(90), 90),
            alert("unknown", critical, None, 10),
            alert("only_warning", warning, Some(9000), 10),
        ];
        let mut simulation = Simulation::new(&settings(&["chat"]));
        for alert in expected.iter().rev() {
            simulation.groups.record(at(0), alert);
        }
        simulation.advance(at(5));
        assert_eq!(simulation.said[0].alerts, expected);
    }

    #[test]
    fn a_message_shows_the_values_of_its_moment() {
        let mut simulation = Simulation::new(&settings(&["chat"]));
        simulation.set("a", Some(Severity::Warning));
        let newer = Measured::from(Reading::exact(Span::from_secs(77)));
        let newer = Arc::new(AlertSnapshot { value: newer, ..firing("a", Severity::Warning) });
        simulation.alerts.insert("a".to_owned(), Arc::clone(&newer));
        simulation.advance(at(5));
        assert_eq!(simulation.said[0].alerts, [newer]);
    }

    #[test]
    fn alerts_are_grouped_by_name_and_direction() {
        let group = |rule, labels: &[(&str, &str)]| {
            let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let identity = AlertKey::new(rule, Arc::new(labels)).identity().clone();
            let alert = AlertSnapshot { identity, ..firing("a", Severity::Warning) };
            GroupKey::of(&alert, &settings(&[]).group_by).text()
        };
        let lag = r#"alertname="RedisCrossDcLagHigh",source_dc="dc1",target_dc="dc2""#;
        assert_eq!(GroupKey::of(&firing("a", Severity::Warning), &settings(&[]).group_by).text(), lag);
        let server = group(Rule::Unreachable, &[("dc", "dc1"), ("server", "a:6379")]);
        assert_eq!(server, r#"alertname="RedisCrossDcServerUnreachable""#);
    }

    #[test]
    fn matchers_look_at_every_label_that_is_sent() {
        let extra = Labels::from([("team".to_owned(), "payments".to_owned())]);
        let context = Arc::new(AlertContext { extra_labels: Arc::new(extra), ..AlertContext::default() });
        let alert = AlertSnapshot { context, ..firing("orders-1", Severity::Critical) };
        let check = |matchers: &[(&str, &str)], wanted| {
            let matchers = matchers.iter().map(|(label, glob)| ((*label).to_owned(), WildMatch::new(glob))).collect();
            let receiver =
                Receiver::new(&ReceiverSettings { matchers, ..receiver("chat") }, &settings(&[]), BTreeMap::new());
            assert_eq!(receiver.wants(&alert), wanted, "{:?}", receiver.matchers);
        };
        check(&[], true);
        check(&[("pair", "orders-*")], true);
        check(&[("pair", "orders")], false);
        check(&[("pair", "orders-?"), ("team", "pay*")], true);
        check(&[("pair", "orders-?"), ("team", "search")], false);
        check(&[("alertname", "RedisCrossDcLag*"), ("severity", "critical")], true);
        check(&[("severity", "warning")], false);
        check(&[("absent", "*")], true);
        check(&[("absent", "?*")], false);
    }

    /// Two alerts were told, then the receivers change; what is said after that.
    fn check_reload(receivers: &[&str], then: &[&str]) {
        let mut simulation = Simulation::new(&settings(&["chat", "oncall:critical"]));
        simulation.set("a", Some(Severity::Warning));
        simulation.set("b", Some(Severity::Critical));
        simulation.advance(at(100));
        simulation.said.clear();
        simulation.reconfigure(&settings(receivers));
        simulation.advance(at(200));
        simulation.set("a", None);
        simulation.set("b", None);
        simulation.advance(at(300));
        assert_eq!(simulation.said.iter().map(spell).collect::<Vec<_>>(), then, "{receivers:?}");
    }

    #[test]
    fn a_reload_pages_nobody_again() {
        let (chat, oncall) = ("200 chat resolved critical: | b a", "200 oncall resolved critical: | b");
        check_reload(&["chat", "oncall:critical"], &[chat, oncall]);
        check_reload(&["oncall:critical", "chat"], &[oncall, chat]);
        check_reload(&["chat"], &[chat]);
        let new = ["105 new first critical: b! a?", "200 new resolved critical: | b a"];
        check_reload(&["new"], &new);
    }

    #[test]
    fn a_reload_that_changes_what_a_receiver_wants_tells_the_difference() {
        check_reload(
            &["chat:critical"],
            &["105 chat partly_resolved critical: b! | a", "200 chat resolved critical: | b"],
        );
        check_reload(&["oncall"], &["105 oncall new_in_group critical: b! a?", "200 oncall resolved critical: | b a"]);
    }

    #[test]
    fn a_reload_that_changes_the_waits_counts_for_open_groups_too() {
        let mut simulation = Simulation::new(&settings(&["chat"]));
        simulation.set("a", Some(Severity::Warning));
        simulation.advance(at(10));
        simulation.reconfigure(&NotifySettings { repeat_interval: Span::from_secs(100), ..settings(&["chat"]) });
        simulation.advance(at(110));
        assert_eq!(simulation.said.last().map(spell).as_deref(), Some("105 chat repeat warning: a?"));
    }

    #[test]
    fn nothing_wakes_when_there_is_nothing_to_say() {
        let mut simulation = Simulation::new(&settings(&["chat"]));
        assert_eq!(simulation.groups.next_wakeup(), None);
        simulation.set("a", Some(Severity::Warning));
        simulation.advance(at(10));
        assert_eq!(simulation.groups.next_wakeup(), Some(at(3605)));
        simulation.set("a", None);
        simulation.advance(at(10));
        assert_eq!(
            (simulation.groups.next_wakeup(), simulation.said.last().unwrap().reason),
            (None, NotifyReason::Resolved)
        );
    }
}
