//! Who is told what, and when: one set of groups for each receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use wildmatch::WildMatch;

use super::group::{Group, Statement, Timing};
use super::saved::GroupsKept;
use super::{AlertKey, AlertSnapshot, AlertStatus, GroupKey, Notification};
use crate::config::{NotifySettings, ReceiverSettings, Severity};
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
#[derive(Debug)]
pub struct AlertGroups {
    timing: Timing,
    pub(super) receivers: Vec<Receiver>,
    /// Which groups the disk knows.
    pub(super) kept: GroupsKept,
}

/// One receiver's groups and which alerts it wants.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) name: Arc<str>,
    min_severity: Severity,
    matchers: BTreeMap<String, WildMatch>,
    pub(super) groups: BTreeMap<GroupKey, Group>,
    /// It is no longer configured: what it was told of goes on to its end, and nothing is added.
    pub(super) retired: bool,
}

impl AlertGroups {
    /// No groups yet, for these receivers.
    pub fn new(settings: &NotifySettings) -> Self {
        let receivers = settings.receivers.iter().map(|receiver| Receiver::new(receiver, BTreeMap::new()));
        Self { timing: Timing::of(settings), receivers: receivers.collect(), kept: GroupsKept::default() }
    }

    /// Takes an alert into account that changed. To record an alert twice makes no difference.
    pub fn record(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        self.kept.touched = true;
        let group = GroupKey::of(&alert.identity);
        for receiver in &mut self.receivers {
            receiver.record(now, &group, alert);
        }
    }

    /// Changes receivers and waits. `firing` are the alerts that fire now.
    ///
    /// A receiver whose name stays keeps its groups, so nobody is paged again for what is known; alerts that it no longer
    /// wants end for it as resolved. What fires is new to a new receiver. A receiver that is gone is told of nothing new;
    /// the groups that it was told of go on until they resolve, since an incident that it opened must not stay open.
    pub fn reconfigure(&mut self, now: Timestamp, settings: &NotifySettings, firing: &[Arc<AlertSnapshot>]) {
        self.timing = Timing::of(settings);
        let mut old: BTreeMap<_, _> =
            self.receivers.drain(..).map(|receiver| (receiver.name.clone(), receiver)).collect();
        for receiver in &settings.receivers {
            let groups = old.remove(receiver.name.as_str()).map(|old| old.groups).unwrap_or_default();
            self.receivers.push(Receiver::new(receiver, groups));
        }
        self.receivers.extend(old.into_values().filter_map(Receiver::retire));
        for group in self.receivers.iter_mut().flat_map(|receiver| receiver.groups.values_mut()) {
            group.replan();
        }
        for alert in firing {
            self.record(now, alert);
        }
    }

    /// The receiver with this name, or one that is no longer configured.
    pub(super) fn receiver_or_retired(&mut self, name: &str) -> &mut Receiver {
        let known = self.receivers.iter().position(|receiver| &*receiver.name == name);
        let index = known.unwrap_or_else(|| {
            self.receivers.push(Receiver::retired(name));
            self.receivers.len() - 1
        });
        &mut self.receivers[index]
    }

    /// Every notification that is due, ordered by receiver (as configured) and group.
    ///
    /// `current` gives an alert as it is now (`AlertEngine::snapshot`), so that a message shows the values of the moment
    /// it is decided and not those of the last transition.
    pub fn due(
        &mut self,
        now: Timestamp,
        current: &dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    ) -> Vec<Notification> {
        let timing = self.timing;
        let due: Vec<_> = self.receivers.iter_mut().flat_map(|receiver| receiver.due(now, timing, current)).collect();
        self.kept.touched |= !due.is_empty();
        self.receivers.retain(|receiver| !receiver.retired || !receiver.groups.is_empty());
        due
    }

    /// When [`due`](Self::due) wants to be called next; a time that has passed means at once, `None` not before the next
    /// [`record`](Self::record).
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.receivers.iter().flat_map(|receiver| receiver.groups.values()).map(Group::wakeup).min()
    }
}

impl Receiver {
    fn new(settings: &ReceiverSettings, groups: BTreeMap<GroupKey, Group>) -> Self {
        Self {
            name: settings.name.as_str().into(),
            min_severity: settings.min_severity,
            matchers: settings.matchers.clone(),
            groups,
            retired: false,
        }
    }

    fn retired(name: &str) -> Self {
        let (min_severity, matchers, groups) = (Severity::Warning, BTreeMap::new(), BTreeMap::new());
        Self { name: name.into(), min_severity, matchers, groups, retired: true }
    }

    /// The receiver of which only what it was told remains; `None` when that is nothing.
    fn retire(mut self) -> Option<Self> {
        self.groups.retain(|_, group| group.was_told());
        self.retired = true;
        (!self.groups.is_empty()).then_some(self)
    }

    fn record(&mut self, now: Timestamp, key: &GroupKey, alert: &Arc<AlertSnapshot>) {
        if self.retired {
            if let Some(group) = self.groups.get_mut(key) {
                group.follow(now, alert);
            }
        } else if self.wants(alert) {
            self.groups.entry(key.clone()).or_insert_with(|| Group::new(now)).put(now, alert);
        } else if let Some(group) = self.groups.get_mut(key) {
            // An empty group stays until the next look: what else changes at this instant may still join it.
            group.leave(now, alert);
        }
    }

    fn due(
        &mut self,
        now: Timestamp,
        timing: Timing,
        current: &dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    ) -> Vec<Notification> {
        let mut notifications = Vec::new();
        self.groups.retain(|key, group| {
            let plan = group.plan(timing);
            if plan.due <= now && !group.is_over() {
                let statement = group.tell(now, plan.reason, current);
                notifications.extend(statement.map(|statement| statement.to(&self.name, key, now)));
                group.plan(timing);
            }
            !group.is_over()
        });
        notifications
    }

    /// Whether the receiver is to know of the alert as firing.
    fn wants(&self, alert: &AlertSnapshot) -> bool {
        alert.status == AlertStatus::Firing
            && alert.severity >= self.min_severity
            && self.matchers.iter().all(|(label, glob)| glob.matches(label_of(alert, label)))
    }
}

impl Statement {
    fn to(self, receiver: &Arc<str>, group: &GroupKey, decided_at: Timestamp) -> Notification {
        let Self { status, reason, severity, alerts } = self;
        Notification {
            receiver: Arc::clone(receiver),
            group: group.clone(),
            status,
            reason,
            severity,
            alerts,
            decided_at,
        }
    }
}

/// A label of what is sent about an alert. As everywhere in Prometheus' world, a label that is absent is empty.
fn label_of<'a>(alert: &'a AlertSnapshot, label: &str) -> &'a str {
    match label {
        "alertname" => alert.identity.rule.alert_name(),
        "severity" => alert.severity.label(),
        _ => alert
            .identity
            .labels
            .get(label)
            .or_else(|| alert.context.extra_labels.get(label))
            .map_or("", String::as_str),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::testing::{Simulation, at, firing, key, receiver, settings};
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
            GroupKey::of(AlertKey::new(rule, Arc::new(labels)).identity()).text()
        };
        let lag = r#"alertname="RedisCrossDcLagHigh",source_dc="dc1",target_dc="dc2""#;
        assert_eq!(GroupKey::of(key("a").identity()).text(), lag);
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
            let receiver = Receiver::new(&ReceiverSettings { matchers, ..receiver("chat") }, BTreeMap::new());
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
        check_reload(&["chat"], &[chat, oncall]);
        let new = ["105 new first critical: b! a?", "200 new resolved critical: | b a", chat, oncall];
        check_reload(&["new"], &new);
    }

    #[test]
    fn a_reload_that_changes_what_a_receiver_wants_tells_the_difference() {
        check_reload(
            &["chat:critical"],
            &[
                "105 chat partly_resolved critical: b! | a",
                "200 chat resolved critical: | b",
                "200 oncall resolved critical: | b",
            ],
        );
        check_reload(
            &["oncall"],
            &[
                "105 oncall new_in_group critical: b! a?",
                "200 oncall resolved critical: | b a",
                "200 chat resolved critical: | b a",
            ],
        );
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
