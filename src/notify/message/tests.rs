use std::sync::Arc;

use super::*;
use crate::alert::{Affected, FlapSeries, TargetKind};
use crate::model::Span;
use crate::notify::testing::{
    anchor, context, notification, now, pair_alert, resolved, server_alert,
};

fn message(notification: &Notification) -> Message {
    Message::new(notification, &anchor(), &context())
}

#[test]
fn a_message_about_one_alert_is_its_headline() {
    let message = message(&notification(
        NotifyReason::First,
        vec![pair_alert("orders", 0)],
    ));
    assert_eq!(
        message.title,
        "[CRITICAL] orders dc1 → dc2 2 min 10 s behind (stalled)"
    );
    let rest = "If dc1 died now: the last 2 min 10 s of writes, 4.2 MiB, would be lost. Backlog \
                has 11.0 MiB left, then a full resync.";
    assert_eq!(message.in_short(), format!("{}. {rest}", message.title));
    assert_eq!(
        message.summary,
        format!("orders dc1 → dc2 2 min 10 s behind (stalled). {rest}")
    );
    assert_eq!(message.as_of, "2023-11-14T22:13:20.000Z");
    assert_eq!(
        (message.alerts.len(), message.more, message.advice.len()),
        (1, 0, 1)
    );
}

#[test]
fn a_large_group_describes_twenty_alerts_and_counts_the_others() {
    let alerts = (0..500).map(|n| pair_alert("orders", n)).collect();
    let message = message(&notification(NotifyReason::First, alerts));
    assert_eq!(message.title, "[CRITICAL] 500 pairs dc1 → dc2 behind");
    let begin = "500 pairs dc1 → dc2 behind. Worst: orders dc1 → dc2 2 min 10 s behind";
    assert!(message.summary.starts_with(begin), "{}", message.summary);
    assert_eq!(
        (message.alerts.len(), message.more, message.advice.len()),
        (20, 480, 1)
    );
}

fn cut_link(firing: usize, resolved_too: usize, of: usize) -> Notification {
    let over = (firing..firing + resolved_too).map(|n| resolved(pair_alert("orders", n)));
    let alerts = (0..firing)
        .map(|n| pair_alert("orders", n))
        .chain(over)
        .collect();
    let affected = Some(Affected {
        kind: TargetKind::Pair,
        firing,
        of,
    });
    Notification {
        affected,
        ..notification(NotifyReason::First, alerts)
    }
}

#[test]
fn a_title_begins_with_how_many_are_affected() {
    let all = message(&cut_link(500, 0, 500));
    assert_eq!(all.title, "[CRITICAL] 500 of 500 pairs dc1 → dc2 behind");
    let part = message(&cut_link(300, 200, 501));
    assert_eq!(
        part.title,
        "[CRITICAL] 300 of 501 pairs dc1 → dc2 behind, 200 resolved"
    );
    let over = message(&cut_link(0, 3, 3));
    assert_eq!(over.title, "[RESOLVED] All 3 alerts of this group resolved");
}

#[test]
fn a_title_names_the_alert_that_joined_or_escalated() {
    let mut new = (*server_alert()).clone();
    new.decision = Some(crate::alert::Decision {
        change: crate::alert::AlertChange::Escalated,
        at: new.started_at,
        value: new.value,
    });
    let alerts = vec![pair_alert("orders", 0), std::sync::Arc::new(new)];
    let joined = message(&notification(NotifyReason::NewInGroup, alerts.clone()));
    let begin = "[CRITICAL] orders: master redis1:6379 (dc1) has not answered for 65 s";
    assert!(joined.title.starts_with(begin), "{}", joined.title);
    assert!(
        joined
            .summary
            .ends_with(" In all: 2 alerts dc1 → dc2 firing."),
        "{}",
        joined.summary
    );
    let known = message(&notification(NotifyReason::Repeat, alerts));
    assert!(
        known
            .title
            .starts_with("[CRITICAL] 2 alerts dc1 → dc2 firing")
    );
}

#[test]
fn suppressed_and_flapping_alerts_are_mentioned() {
    let series = Some(FlapSeries {
        since: now() - Span::from_secs(570),
        outages: 3,
        stable_for: Span::from_secs(300),
        muted: false,
    });
    let mut fires = (*pair_alert("orders", 0)).clone();
    fires.series = series;
    let muted = Notification {
        held: 7,
        alerts: vec![Arc::new(fires)],
        ..cut_link(1, 0, 9)
    };
    let end = " Flapping: short outages are not notified until it is stable. 7 more firing, \
               suppressed by silences or maintenance.";
    let summary = message(&muted).summary;
    assert!(summary.ends_with(end), "{summary}");

    let mut clear = (*resolved(pair_alert("orders", 0))).clone();
    clear.series = series;
    let flapping = message(&Notification {
        status: AlertStatus::Firing,
        severity: Severity::Warning,
        ..notification(NotifyReason::Flapping, vec![Arc::new(clear)])
    });
    let begin = "[FLAPPING] orders dc1 → dc2 flapping: fired 3 times in 9 min 30 s, clear now";
    assert!(flapping.title.starts_with(begin), "{}", flapping.title);
    assert_eq!(
        (flapping.level(), flapping.alerts[0].level()),
        (FLAPPING, FLAPPING)
    );
}

#[test]
fn every_reason_has_a_different_description() {
    let reasons = [
        NotifyReason::First,
        NotifyReason::Escalated,
        NotifyReason::Deescalated,
        NotifyReason::NewInGroup,
        NotifyReason::Flapping,
        NotifyReason::PartlyResolved,
        NotifyReason::Repeat,
        NotifyReason::Resolved,
    ];
    let descriptions: std::collections::BTreeSet<_> = reasons.map(describe_reason).into();
    assert_eq!(descriptions.len(), reasons.len(), "{descriptions:?}");
    assert!(
        descriptions
            .iter()
            .all(|text| !text.contains('_') && *text != "first")
    );
    let escalated = message(&notification(
        NotifyReason::Escalated,
        vec![pair_alert("orders", 0)],
    ));
    let first = message(&notification(
        NotifyReason::First,
        vec![pair_alert("orders", 0)],
    ));
    assert_eq!(
        escalated.title, first.title,
        "the reason is in the level and the footer"
    );
    assert_eq!(escalated.as_of_time, "22:13:20 UTC");
}

#[test]
fn resolved_alerts_of_a_firing_group_are_counted() {
    let alerts = vec![pair_alert("orders", 0), resolved(pair_alert("orders", 1))];
    let message = message(&notification(NotifyReason::PartlyResolved, alerts));
    assert_eq!(
        message.title,
        "[CRITICAL] 1 pair dc1 → dc2 behind, 1 resolved"
    );
    assert_eq!(message.alerts[1].level(), "RESOLVED");
}

#[test]
fn a_resolve_shows_begin_and_end_and_gives_no_advice() {
    let message = message(&notification(
        NotifyReason::Resolved,
        vec![resolved(pair_alert("orders", 0))],
    ));
    assert_eq!(
        message.title,
        "[RESOLVED] orders dc1 → dc2: Behind 22:09:10 to 22:13:20 UTC (4 min 10 s), at worst 2 \
         min 20 s / 4.5 MiB; now 2 min 10 s, 4.2 MiB behind"
    );
    assert!(
        message
            .summary
            .starts_with("orders dc1 → dc2: resolved. Behind 22:09:10")
    );
    assert!(message.advice.is_empty());
}

#[test]
fn an_alert_about_a_server_names_its_role_and_pair() {
    let message = message(&notification(NotifyReason::First, vec![server_alert()]));
    assert_eq!(
        message.title,
        "[CRITICAL] orders: master redis1:6379 (dc1) has not answered for 65 s (since 22:12:15 \
         UTC)"
    );
}

#[test]
fn no_name_breaks_the_line() {
    let message = message(&notification(
        NotifyReason::First,
        vec![pair_alert("or\nders\u{7}", 0)],
    ));
    for line in [&message.title, &message.summary, &message.alerts[0].subject] {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}
