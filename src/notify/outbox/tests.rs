use super::*;
use crate::alert::NotifyReason;
use crate::config::{
    HttpSettings, PagerDutySettings, ReceiverKind, RepageOn, SecretSource, Severity,
};
use crate::delivery::DeliveryFailure;
use crate::model::{ClockShift, SavedDocument, Secret};
use crate::notify::receivers::pagerduty::Incident;
use crate::notify::retry::Disposition;
use crate::notify::testing::{anchor, labels, notification, now, pair_alert, resolved};

const ALL: Durable = Durable::Everything;
const DELIVERED: RetryVerdict = RetryVerdict {
    disposition: Disposition::Delivered,
    hold_until: None,
    circuit_until: None,
    maybe_received: false,
    left: Vec::new(),
};
const DEAD: RetryVerdict = RetryVerdict {
    disposition: Disposition::Dead {
        reason: DeliveryFailure::Auth,
    },
    hold_until: None,
    circuit_until: None,
    maybe_received: false,
    left: Vec::new(),
};

fn gone() -> RetryVerdict {
    let at = now() + Span::from_secs(900);
    let disposition = Disposition::Retry {
        at,
        reason: DeliveryFailure::Client,
    };
    RetryVerdict {
        disposition,
        hold_until: Some(at),
        circuit_until: Some(at),
        ..DELIVERED
    }
}

/// `oncall>chat` is a receiver with a fallback.
fn receivers(names: &[&str]) -> Vec<ReceiverSettings> {
    let receiver = |name: &&str| {
        let (name, fallback) = name
            .split_once('>')
            .map_or((*name, None), |(name, to)| (name, Some(to.to_owned())));
        let routing_key = SecretSource::Inline(Secret::new("key"));
        ReceiverSettings {
            name: name.to_owned(),
            min_severity: Severity::Warning,
            matchers: BTreeMap::new(),
            fallback,
            group_by: None,
            repage_on: RepageOn::default(),
            http: HttpSettings::default(),
            template: crate::config::TemplateSettings::default(),
            kind: ReceiverKind::from(PagerDutySettings {
                routing_key,
                url: "http://pd.example.com/".to_owned(),
            }),
        }
    };
    names.iter().map(receiver).collect()
}

fn outbox(names: &[&str]) -> Outbox {
    let mut outbox = Outbox::new(7, Span::from_secs(24 * 3600));
    outbox.configure(&receivers(names));
    outbox
}

fn group(name: &str) -> GroupKey {
    GroupKey(labels([("alertname", name)]))
}

fn group_notification(receiver: &str, name: &str, reason: NotifyReason) -> Notification {
    let alert = pair_alert("orders", 0);
    let alert = if reason == NotifyReason::Resolved {
        resolved(alert)
    } else {
        alert
    };
    Notification {
        receiver: receiver.into(),
        group: group(name),
        ..notification(reason, vec![alert])
    }
}

fn firing(receiver: &str, name: &str) -> Notification {
    group_notification(receiver, name, NotifyReason::First)
}

fn resolving(receiver: &str, name: &str) -> Notification {
    group_notification(receiver, name, NotifyReason::Resolved)
}

/// Everything that is due gets this answer. Returns it as `chat firing a`, or `chat firing a
/// !oncall` for what did not reach `oncall`.
fn send(outbox: &mut Outbox, verdict: &RetryVerdict) -> Vec<String> {
    let mut sent = Vec::new();
    for attempt in outbox.start(now(), ALL) {
        let Notification {
            receiver,
            group,
            status,
            ..
        } = &*attempt.notification;
        let undelivered = group
            .0
            .get(UNDELIVERED_TO)
            .map(|whose| format!(" !{whose}"))
            .unwrap_or_default();
        sent.push(format!(
            "{receiver} {} {}{undelivered}",
            status.label(),
            group.0["alertname"]
        ));
        let reference = attempt.incident.clone().unwrap_or_else(|| incident("key"));
        outbox.announce_incident(receiver, group, reference.clone());
        outbox.on_result(&attempt, Some(reference), verdict, None, anchor());
    }
    sent
}

fn incident(key: &str) -> IncidentRef {
    IncidentRef::PagerDuty(Incident {
        routing_key: Secret::new(key),
        dedup_key: "a".to_owned(),
    })
}

/// The outbox after a kill and a restart with these receivers.
fn restarted(outbox: &mut Outbox, names: &[&str]) -> Outbox {
    let shift = ClockShift {
        now: anchor(),
        ..ClockShift::default()
    };
    let mut saved = SavedDocuments::new();
    for Document { table, key, body } in outbox.take_unsaved(true) {
        saved.entry(table).or_default().push(SavedDocument {
            key,
            body: body.expect("all of it"),
            shift,
        });
    }
    let mut restarted = Outbox::new(8, Span::from_secs(24 * 3600));
    assert_eq!(restarted.restore(&saved, &receivers(names)), [""; 0]);
    restarted
}

#[test]
fn a_dead_firing_and_its_resolve_go_to_the_fallback() {
    let mut outbox = outbox(&["oncall>chat", "chat"]);
    outbox.push(firing("oncall", "a"), anchor());
    assert_eq!(send(&mut outbox, &DEAD), ["oncall firing a"]);
    assert_eq!(send(&mut outbox, &DELIVERED), ["chat firing a !oncall"]);
    outbox.push(resolving("oncall", "a"), anchor());
    assert_eq!(send(&mut outbox, &DELIVERED), ["chat resolved a !oncall"]);
    outbox.push(firing("oncall", "b"), anchor());
    outbox.push(resolving("oncall", "b"), anchor());
    assert_eq!(
        send(&mut outbox, &DELIVERED),
        [""; 0],
        "the fallback was not notified that it fires"
    );
}

#[test]
fn while_a_receiver_is_gone_its_fallback_is_notified() {
    let mut outbox = outbox(&["oncall>chat", "chat"]);
    outbox.push(firing("oncall", "a"), anchor());
    send(&mut outbox, &gone());
    assert_eq!(send(&mut outbox, &DELIVERED), ["chat firing a !oncall"]);
    outbox.push(firing("oncall", "b"), anchor());
    assert_eq!(send(&mut outbox, &DELIVERED), ["chat firing b !oncall"]);
    outbox.retry_now("oncall", now());
    assert_eq!(send(&mut outbox, &DELIVERED), ["oncall firing a"]);
    assert_eq!(send(&mut outbox, &DELIVERED), ["oncall firing b"]);
    outbox.push(firing("oncall", "c"), anchor());
    assert_eq!(send(&mut outbox, &DELIVERED), ["oncall firing c"]);
    outbox.push(resolving("oncall", "b"), anchor());
    assert_eq!(
        send(&mut outbox, &DELIVERED),
        ["chat resolved b !oncall", "oncall resolved b"]
    );
}

#[test]
fn a_notification_that_its_fallback_refuses_goes_no_further() {
    let mut outbox = outbox(&["oncall>chat", "chat>oncall"]);
    outbox.push(firing("oncall", "a"), anchor());
    for sent in ["oncall firing a", "chat firing a !oncall"] {
        assert_eq!(send(&mut outbox, &DEAD), [sent]);
    }
    assert_eq!(send(&mut outbox, &DEAD), [""; 0]);
    assert_eq!(outbox.deliveries().dead_letters.len(), 2);
}

#[test]
fn a_dead_letter_is_replayed_under_its_id_unless_its_group_resolved() {
    let mut outbox = outbox(&["chat"]);
    outbox.push(firing("chat", "a"), anchor());
    let attempt = outbox.start(now(), ALL).remove(0);
    outbox.on_result(&attempt, None, &DEAD, None, anchor());
    let id = outbox.deliveries().dead_letters[0]
        .delivery
        .subject
        .id
        .clone();
    assert_eq!(id, attempt.id.to_string());
    let mut outbox = restarted(&mut outbox, &["chat"]);
    assert_eq!(
        outbox.replay("msg_nothing", anchor()),
        Err(ReplayError::Unknown)
    );
    assert_eq!(outbox.replay("\n", anchor()), Err(ReplayError::Unknown));
    let mut another = restarted(&mut outbox, &["chat"]);
    assert_eq!(outbox.replay(&id, anchor()), Ok("chat".into()));
    assert_eq!(outbox.start(now(), ALL)[0].id.to_string(), id);
    assert!(outbox.deliveries().dead_letters.is_empty());
    another.push(resolving("chat", "a"), anchor());
    assert!(another.deliveries().dead_letters[0].over);
    assert_eq!(another.replay(&id, anchor()), Err(ReplayError::Over));
    another.push(firing("chat", "a"), anchor());
    assert_eq!(another.replay(&id, anchor()), Err(ReplayError::Over));
}

#[test]
fn a_dead_resolve_is_replayed_with_its_incident_unless_the_group_fires_again() {
    let mut outbox = outbox(&["chat"]);
    outbox.push(firing("chat", "a"), anchor());
    send(&mut outbox, &DELIVERED);
    outbox.push(resolving("chat", "a"), anchor());
    send(&mut outbox, &DEAD);
    let id = outbox.deliveries().dead_letters[0]
        .delivery
        .subject
        .id
        .clone();
    let mut began_again = restarted(&mut outbox, &["chat"]);
    began_again.push(firing("chat", "a"), anchor());
    assert_eq!(
        began_again.replay(&id, anchor()),
        Err(ReplayError::Superseded)
    );
    let mut outbox = restarted(&mut outbox, &["chat"]);
    outbox.replay(&id, anchor()).unwrap();
    let again = outbox.start(now(), ALL).remove(0);
    assert_eq!(
        (again.id.to_string(), again.incident),
        (id, Some(incident("key")))
    );
}

#[test]
fn a_restart_keeps_the_queue_the_open_incidents_and_the_circuit() {
    let mut outbox = outbox(&["chat", "oncall"]);
    outbox.push(firing("chat", "a"), anchor());
    send(&mut outbox, &DELIVERED);
    outbox.push(firing("chat", "b"), anchor());
    outbox.push(firing("oncall", "c"), anchor());
    outbox.on_result(
        &outbox.slots["oncall"]
            .queue
            .clone()
            .start(now(), ALL)
            .unwrap(),
        None,
        &gone(),
        None,
        anchor(),
    );
    let mut outbox = restarted(&mut outbox, &["chat", "oncall"]);
    assert_eq!(
        send(&mut outbox, &DELIVERED),
        ["chat firing b"],
        "the circuit of the other one is still open"
    );
    outbox.push(resolving("chat", "a"), anchor());
    assert_eq!(send(&mut outbox, &DELIVERED), ["chat resolved a"]);
    assert_eq!(
        outbox.deliveries().recent.len(),
        3,
        "past deliveries are restored"
    );
}

#[test]
fn an_incident_announced_before_a_kill_is_resolved() {
    for announced in [true, false] {
        let mut outbox = outbox(&["oncall"]);
        outbox.push(firing("oncall", "a"), anchor());
        let attempt = outbox.start(now(), ALL).remove(0);
        let mut expected = outbox.revision();
        expected.advance();
        if announced {
            let wait_for =
                outbox.announce_incident("oncall", &attempt.notification.group, incident("key"));
            assert_eq!(
                (wait_for, outbox.revision()),
                (Some(expected), expected),
                "it has to be on the disk first"
            );
        }
        let mut outbox = restarted(&mut outbox, &["oncall"]);
        outbox.push(resolving("oncall", "a"), anchor());
        let ends = outbox.start(now(), ALL);
        assert_eq!(
            ends.iter()
                .map(|end| end.incident.clone())
                .collect::<Vec<_>>(),
            vec![Some(incident("key")); usize::from(announced)]
        );
    }
}

#[test]
fn an_incident_that_is_known_is_not_written_again() {
    let mut outbox = outbox(&["oncall"]);
    outbox.push(firing("oncall", "a"), anchor());
    send(&mut outbox, &DELIVERED);
    outbox.push(
        group_notification("oncall", "a", NotifyReason::Repeat),
        anchor(),
    );
    let attempt = outbox.start(now(), ALL).remove(0);
    let group = &attempt.notification.group;
    assert_eq!(
        outbox.announce_incident("oncall", group, incident("key")),
        None
    );
    let written_first = outbox.announce_incident("oncall", group, incident("another"));
    assert!(written_first.is_some());
}

#[test]
fn a_receiver_removed_between_two_runs_gets_its_resolves() {
    let mut outbox = outbox(&["oncall"]);
    outbox.push(firing("oncall", "a"), anchor());
    send(&mut outbox, &DELIVERED);
    outbox.push(firing("oncall", "b"), anchor());
    let mut outbox = restarted(&mut outbox, &[]);
    assert_eq!(send(&mut outbox, &DELIVERED), [""; 0]);
    let url: Arc<str> = "http://pd.example.com/".into();
    assert_eq!(
        outbox.retired().collect::<Vec<_>>(),
        [(&"oncall".into(), Some(&url))]
    );
    outbox.push(resolving("oncall", "a"), anchor());
    assert_eq!(send(&mut outbox, &DELIVERED), ["oncall resolved a"]);
    assert_eq!(outbox.retired().count(), 0);
    let gone = outbox.take_unsaved(false);
    assert!(
        gone.iter()
            .any(|document| document.table == DocumentTable::Receivers && document.body.is_none()),
        "{gone:?}"
    );
}

#[test]
fn orphaned_groups_are_resolved() {
    let mut outbox = outbox(&["chat", "oncall>chat"]);
    for name in ["a", "b"] {
        outbox.push(firing("chat", name), anchor());
        send(&mut outbox, &DELIVERED);
    }
    outbox.push(firing("oncall", "a"), anchor());
    send(&mut outbox, &DEAD);
    send(&mut outbox, &DELIVERED);
    let mut outbox = restarted(&mut outbox, &["chat", "oncall>chat"]);
    assert_eq!(
        outbox.end_orphans(
            |receiver, known| receiver == "oncall" || *known == group("a"),
            anchor()
        ),
        1
    );
    let end = outbox.start(now(), ALL).remove(0).notification;
    assert_eq!(
        (end.status, end.group.clone()),
        (AlertStatus::Resolved, group("b"))
    );
    assert!(end.alerts.iter().all(|alert| alert.resolved.is_some()));
}

#[test]
fn damaged_documents_are_refused_and_no_key_is_shown() {
    let mut outbox = outbox(&["oncall"]);
    outbox.push(firing("oncall", "a"), anchor());
    send(&mut outbox, &DELIVERED);
    let shift = ClockShift {
        now: anchor(),
        ..ClockShift::default()
    };
    let nonsense = |table| {
        (
            table,
            vec![SavedDocument {
                key: "x".to_owned(),
                body: "{\"routing_key\":1}".to_owned(),
                shift,
            }],
        )
    };
    let documents = [
        DocumentTable::Outbox,
        DocumentTable::DeadLetters,
        DocumentTable::Receivers,
        DocumentTable::Deliveries,
    ]
    .map(nonsense)
    .into();
    let refused = Outbox::new(8, Span::ZERO).restore(&documents, &[]);
    assert_eq!(refused.len(), 4, "{refused:?}");
    assert!(!format!("{:?}", outbox.deliveries()).contains("key\""));
}

#[test]
fn only_changed_documents_are_written() {
    let mut outbox = outbox(&["chat"]);
    outbox.push(firing("chat", "a"), anchor());
    let tables = |documents: Vec<Document>| {
        documents
            .iter()
            .map(|d| (d.table, d.body.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        tables(outbox.take_unsaved(false)),
        [
            (DocumentTable::Outbox, true),
            (DocumentTable::Receivers, true)
        ]
    );
    assert!(!outbox.has_unsaved() && outbox.take_unsaved(false).is_empty());
    send(&mut outbox, &DELIVERED);
    assert_eq!(
        tables(outbox.take_unsaved(false)),
        [
            (DocumentTable::Deliveries, true),
            (DocumentTable::Outbox, true)
        ]
    );
    outbox.push(resolving("chat", "a"), anchor());
    send(&mut outbox, &DELIVERED);
    assert_eq!(
        tables(outbox.take_unsaved(false)),
        [
            (DocumentTable::Deliveries, true),
            (DocumentTable::Outbox, false)
        ]
    );
}

#[test]
fn past_deliveries_are_bounded_in_memory() {
    let mut outbox = outbox(&["chat"]);
    for _ in 0..MAX_RECENT.max(MAX_UNWRITTEN) + 5 {
        outbox.push(firing("chat", "a"), anchor());
        send(&mut outbox, &DELIVERED);
    }
    assert_eq!(outbox.deliveries().recent.len(), MAX_RECENT);
    let ends = outbox
        .take_unsaved(false)
        .into_iter()
        .filter(|document| document.table == DocumentTable::Deliveries);
    assert_eq!(ends.count(), MAX_UNWRITTEN);
}
