//! Which receiver is notified of what and when, in simulated time.

use wildmatch::WildMatch;

use super::*;
use crate::alert::testing::{Simulation, at, firing, receiver, settings};
use crate::alert::{
    AlertContext, AlertStatus, Labels, Measured, NotifyReason, Quantity, Reading, ResolveReason,
    Rule,
};
use crate::config::Severity;
use crate::model::Span;

/// `5 chat first critical: a! b? | c`: when, to whom, why, severity: critical (!) and warning (?)
/// alerts that fire, and those that resolved.
fn spell(notification: &Notification) -> String {
    let Notification {
        receiver,
        reason,
        severity,
        alerts,
        decided_at,
        ..
    } = notification;
    let (fires, ended): (Vec<_>, Vec<_>) = alerts
        .iter()
        .partition(|alert| alert.status == AlertStatus::Firing);
    let mark = |alert: &&Arc<AlertSnapshot>| {
        if alert.severity == Severity::Critical {
            "!"
        } else {
            "?"
        }
    };
    let pair = |alert: &&Arc<AlertSnapshot>| alert.identity.labels["pair"].clone();
    let fires = fires
        .iter()
        .map(|alert| [" ", &pair(alert), mark(alert)].concat())
        .collect::<String>();
    let ended = ended
        .iter()
        .map(|alert| [" ", &pair(alert)].concat())
        .collect::<String>();
    let ended = if ended.is_empty() {
        ended
    } else {
        format!(" |{ended}")
    };
    let second = decided_at.as_nanos() / 1_000_000_000;
    format!(
        "{second} {receiver} {} {}:{fires}{ended}",
        reason.label(),
        severity.label()
    )
}

fn severity(mark: &str) -> Option<Severity> {
    match mark {
        "!" => Some(Severity::Critical),
        "?" => Some(Severity::Warning),
        _ => None,
    }
}

/// Plays events such as `0 a? b!` (at second 0 a fires as a warning, b as critical) and `9 a.` (a
/// resolves), then lets `until` come, and compares the notifications.
fn check(receivers: &[&str], events: &[&str], until: i64, expected: &[&str]) {
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
    let notified: Vec<_> = simulation.notifications.iter().map(spell).collect();
    assert_eq!(notified, expected, "{events:?}");
}

#[test]
fn a_new_group_is_notified_after_group_wait() {
    check(&["chat"], &["0 b?", "2 a?"], 4, &[]);
    check(
        &["chat"],
        &["0 b?", "2 a?"],
        60,
        &["5 chat first warning: a? b?"],
    );
    check(
        &["chat"],
        &["0 a?", "2 a!"],
        60,
        &["5 chat first critical: a!"],
    );
    check(
        &["a", "b"],
        &["0 x!"],
        60,
        &["5 a first critical: x!", "5 b first critical: x!"],
    );
}

#[test]
fn an_escalation_is_notified_at_once() {
    check(
        &["chat"],
        &["0 a?", "7 a!"],
        60,
        &["5 chat first warning: a?", "7 chat escalated critical: a!"],
    );
    let joined_as_critical = [
        "5 chat first warning: a?",
        "7 chat escalated critical: b! a?",
    ];
    check(&["chat"], &["0 a?", "7 b!"], 60, &joined_as_critical);
}

#[test]
fn alerts_that_escalate_one_after_the_other_are_notified_together() {
    let events = ["0 a? b? c? d?", "10 a!", "11 b!", "12 c!", "40 d!"];
    let first = "5 chat first warning: a? b? c? d?";
    let then = [
        "10 chat escalated critical: a! b? c? d?",
        "15 chat escalated critical: b! c! a! d?",
    ];
    check(
        &["chat"],
        &events,
        60,
        &[
            first,
            then[0],
            then[1],
            "40 chat escalated critical: d! a! b! c!",
        ],
    );
}

#[test]
fn an_alert_that_joins_is_notified_after_group_interval() {
    check(
        &["chat"],
        &["0 a?", "7 b?", "9 c?"],
        64,
        &["5 chat first warning: a?"],
    );
    let together = [
        "5 chat first warning: a?",
        "65 chat new_in_group warning: b? c? a?",
    ];
    check(&["chat"], &["0 a?", "7 b?", "9 c?"], 200, &together);
    let late = [
        "5 chat first warning: a?",
        "105 chat new_in_group warning: b? c? a?",
    ];
    check(&["chat"], &["0 a?", "100 b?", "103 c?"], 200, &late);
}

#[test]
fn an_alert_that_deescalates_is_notified_after_group_interval() {
    check(
        &["chat"],
        &["0 a! b?", "7 a?"],
        70,
        &[
            "5 chat first critical: a! b?",
            "65 chat deescalated warning: a? b?",
        ],
    );
    check(
        &["chat"],
        &["0 a? b?", "7 a."],
        70,
        &[
            "5 chat first warning: a? b?",
            "65 chat partly_resolved warning: b? | a",
        ],
    );
    check(
        &["chat"],
        &["0 a! b!", "7 a?"],
        300,
        &["5 chat first critical: a! b!"],
    );
}

#[test]
fn a_change_that_is_undone_before_its_notification_is_not_notified() {
    let first = ["5 chat first warning: a? b?"];
    check(&["chat"], &["0 a? b?", "7 a.", "9 a?"], 300, &first);
    check(&["chat"], &["0 a? b?", "7 c?", "9 c."], 300, &first);
    check(&["chat"], &["0 a? b?", "7 c?", "9 c.", "70 c?"], 72, &first);
    check(
        &["chat"],
        &["0 a? b!", "7 b?", "9 b!"],
        300,
        &["5 chat first critical: b! a?"],
    );
}

#[test]
fn a_resolved_group_is_notified_at_once_and_only_if_its_firing_was() {
    check(&["chat"], &["0 a?", "3 a."], 300, &[]);
    check(
        &["chat"],
        &["0 a? b!", "7 a. b."],
        300,
        &[
            "5 chat first critical: b! a?",
            "7 chat resolved critical: | b a",
        ],
    );
    let one_by_one = [
        "5 chat first warning: a? b?",
        "65 chat partly_resolved warning: b? | a",
        "80 chat resolved warning: | b",
    ];
    check(&["chat"], &["0 a? b?", "7 a.", "80 b."], 300, &one_by_one);
    check(
        &["chat"],
        &["0 a?", "7 b?", "8 a. b."],
        300,
        &["5 chat first warning: a?", "8 chat resolved warning: | a"],
    );
}

#[test]
fn a_group_that_fires_again_after_its_end_is_a_new_one() {
    check(
        &["chat"],
        &["0 a?", "3 a.", "4 a?"],
        60,
        &["9 chat first warning: a?"],
    );
    let again = [
        "5 chat first warning: a?",
        "7 chat resolved warning: | a",
        "13 chat first warning: a?",
    ];
    check(&["chat"], &["0 a?", "7 a.", "8 a?"], 60, &again);
}

#[test]
fn a_group_that_keeps_firing_is_repeated() {
    let first = "5 chat first warning: a?";
    check(&["chat"], &["0 a?"], 3604, &[first]);
    check(
        &["chat"],
        &["0 a?"],
        7300,
        &[
            first,
            "3605 chat repeat warning: a?",
            "7205 chat repeat warning: a?",
        ],
    );
    let put_off = [
        first,
        "1000 chat escalated critical: a!",
        "4600 chat repeat critical: a!",
    ];
    check(&["chat"], &["0 a?", "1000 a!"], 4600, &put_off);
}

#[test]
fn of_several_reasons_the_most_important_is_given() {
    let first = "5 chat first critical: b! c! a?";
    let events = |changes: &'static str| ["0 a? b! c!", changes];
    let check_reason = |changes, then: &str| check(&["chat"], &events(changes), 70, &[first, then]);
    check_reason("7 a! d? c.", "10 chat escalated critical: a! b! d? | c");
    check_reason(
        "7 b? c? d? a.",
        "65 chat new_in_group warning: d? b? c? | a",
    );
    check_reason("7 b? c. a.", "65 chat deescalated warning: b? | c a");
}

#[test]
fn a_receiver_of_critical_alerts_gets_no_warnings() {
    let oncall = &["oncall:critical"];
    check(oncall, &["0 a?"], 60, &[]);
    check(oncall, &["0 a? b!"], 60, &["5 oncall first critical: b!"]);
    check(
        oncall,
        &["0 a?", "30 a!"],
        60,
        &["35 oncall first critical: a!"],
    );
    check(
        oncall,
        &["0 a!", "30 a?", "90 a."],
        300,
        &[
            "5 oncall first critical: a!",
            "30 oncall resolved critical: | a",
        ],
    );
    check(oncall, &["0 a!", "3 a?"], 60, &[]);
    let partly = [
        "5 oncall first critical: a! b!",
        "65 oncall partly_resolved critical: b! | a",
    ];
    check(oncall, &["0 a! b!", "30 a?", "50 a."], 300, &partly);
}

#[test]
fn an_alert_that_falls_below_a_receivers_severity_resolves_with_its_old_severity() {
    let mut simulation = Simulation::new(&settings(&["oncall:critical"]));
    simulation.set("a", Some(Severity::Critical));
    simulation.advance(at(10));
    simulation.set("a", Some(Severity::Warning));
    simulation.advance(at(10));
    let ended = &simulation.notifications[1].alerts[0];
    assert_eq!(ended.resolved, Some((at(10), ResolveReason::Cleared)));
    assert_eq!(
        (
            ended.threshold.as_f64(),
            ended.value.best().unwrap().as_f64()
        ),
        (120.0, 30.0)
    );
}

#[test]
fn the_worst_alert_comes_first() {
    let alert = |pair: &str, severity, value: Option<i64>, threshold| {
        let reading = value.map_or(Reading::NO_DATA, |value| {
            Reading::exact(Span::from_secs(value))
        });
        let threshold = Quantity::Seconds(Span::from_secs(threshold));
        Arc::new(AlertSnapshot {
            value: Measured::from(reading),
            threshold,
            ..firing(pair, severity)
        })
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
    assert_eq!(simulation.notifications[0].alerts, expected);
}

#[test]
fn a_message_shows_the_values_at_its_time() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.set("a", Some(Severity::Warning));
    let newer = Measured::from(Reading::exact(Span::from_secs(77)));
    let newer = Arc::new(AlertSnapshot {
        value: newer,
        ..firing("a", Severity::Warning)
    });
    simulation.alerts.insert("a".to_owned(), Arc::clone(&newer));
    simulation.advance(at(5));
    assert_eq!(simulation.notifications[0].alerts, [newer]);
}

#[test]
fn alerts_are_grouped_by_name_and_direction() {
    let group = |rule, labels: &[(&str, &str)]| {
        let labels: Labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let identity = AlertKey::new(rule, Arc::new(labels)).identity().clone();
        let alert = AlertSnapshot {
            identity,
            ..firing("a", Severity::Warning)
        };
        GroupKey::new(&alert, &settings(&[]).group_by).text()
    };
    let lag = r#"alertname="RedisCrossDcLagHigh",source_dc="dc1",target_dc="dc2""#;
    assert_eq!(
        GroupKey::new(&firing("a", Severity::Warning), &settings(&[]).group_by).text(),
        lag
    );
    let server = group(Rule::Unreachable, &[("dc", "dc1"), ("server", "a:6379")]);
    assert_eq!(
        server,
        r#"alertname="RedisCrossDcServerUnreachable",dc="dc1""#
    );
}

#[test]
fn matchers_apply_to_every_label_that_is_sent() {
    let extra = Labels::from([("team".to_owned(), "payments".to_owned())]);
    let context = Arc::new(AlertContext {
        extra_labels: Arc::new(extra),
        ..AlertContext::default()
    });
    let alert = AlertSnapshot {
        context,
        ..firing("orders-1", Severity::Critical)
    };
    let check = |matchers: &[(&str, &str)], wanted| {
        let matchers = matchers
            .iter()
            .map(|(label, glob)| ((*label).to_owned(), WildMatch::new(glob)))
            .collect();
        let receiver = ReceiverGroups::new(
            &ReceiverSettings {
                matchers,
                ..receiver("chat")
            },
            &settings(&[]),
            BTreeMap::new(),
        );
        assert_eq!(receiver.wants(&alert), wanted, "{:?}", receiver.matchers);
    };
    check(&[], true);
    check(&[("pair", "orders-*")], true);
    check(&[("pair", "orders")], false);
    check(&[("pair", "orders-?"), ("team", "pay*")], true);
    check(&[("pair", "orders-?"), ("team", "search")], false);
    check(
        &[("alertname", "RedisCrossDcLag*"), ("severity", "critical")],
        true,
    );
    check(&[("severity", "warning")], false);
    check(&[("absent", "*")], true);
    check(&[("absent", "?*")], false);
}

/// Two alerts were notified, then the receivers change; the notifications after that.
fn check_reload(receivers: &[&str], then: &[&str]) {
    let mut simulation = Simulation::new(&settings(&["chat", "oncall:critical"]));
    simulation.set("a", Some(Severity::Warning));
    simulation.set("b", Some(Severity::Critical));
    simulation.advance(at(100));
    simulation.notifications.clear();
    simulation.reconfigure(&settings(receivers));
    simulation.advance(at(200));
    simulation.set("a", None);
    simulation.set("b", None);
    simulation.advance(at(300));
    assert_eq!(
        simulation
            .notifications
            .iter()
            .map(spell)
            .collect::<Vec<_>>(),
        then,
        "{receivers:?}"
    );
}

#[test]
fn a_reload_pages_no_receiver_again() {
    let (chat, oncall) = (
        "200 chat resolved critical: | b a",
        "200 oncall resolved critical: | b",
    );
    check_reload(&["chat", "oncall:critical"], &[chat, oncall]);
    check_reload(&["oncall:critical", "chat"], &[oncall, chat]);
    check_reload(&["chat"], &[chat, oncall]);
    let new = [
        "105 new first critical: b! a?",
        "200 new resolved critical: | b a",
        chat,
        oncall,
    ];
    check_reload(&["new"], &new);
}

#[test]
fn a_reload_that_changes_a_receivers_filter_notifies_the_difference() {
    let removed = "200 oncall resolved critical: | b";
    check_reload(
        &["chat:critical"],
        &[
            "105 chat partly_resolved critical: b! | a",
            "200 chat resolved critical: | b",
            removed,
        ],
    );
    let removed = "200 chat resolved critical: | b a";
    check_reload(
        &["oncall"],
        &[
            "105 oncall new_in_group critical: b! a?",
            "200 oncall resolved critical: | b a",
            removed,
        ],
    );
}

#[test]
fn a_reload_that_changes_the_waits_applies_to_open_groups() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.set("a", Some(Severity::Warning));
    simulation.advance(at(10));
    simulation.reconfigure(&NotifySettings {
        repeat_interval: Span::from_secs(100),
        ..settings(&["chat"])
    });
    simulation.advance(at(110));
    assert_eq!(
        simulation.notifications.last().map(spell).as_deref(),
        Some("105 chat repeat warning: a?")
    );
}

#[test]
fn without_anything_to_notify_there_is_no_wakeup() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    assert_eq!(simulation.groups.next_wakeup(), None);
    simulation.set("a", Some(Severity::Warning));
    simulation.advance(at(10));
    assert_eq!(simulation.groups.next_wakeup(), Some(at(3605)));
    simulation.set("a", None);
    simulation.advance(at(10));
    assert_eq!(
        (
            simulation.groups.next_wakeup(),
            simulation.notifications.last().unwrap().reason
        ),
        (None, NotifyReason::Resolved)
    );
}
