//! The journal and the report.

use super::super::*;
use super::{addr, intent};
use crate::model::Span;

fn entries() -> Vec<Entry> {
    let order = Order::Pause {
        server: addr(1),
        lease: Span::from_secs(2),
    };
    let records = [
        Record::Began {
            intent: Box::new(intent(OperationKind::SwitchOver)),
        },
        Record::Will {
            order: order.clone(),
        },
        Record::Did {
            order,
            seconds: 0.001,
            failure: None,
        },
        Record::Proved {
            what: "a \"quoted\" proof\nwith a line".to_owned(),
        },
        Record::Ended {
            ending: Ending::new(Outcome::Incomplete, "it stopped")
                .with_open(vec!["look".to_owned()]),
        },
    ];
    let entry = |record| Entry {
        at: 1_796_000_000.5,
        record,
    };
    records.into_iter().map(entry).collect()
}

fn text() -> String {
    entries()
        .iter()
        .map(|entry| encode(entry).unwrap())
        .collect()
}

#[test]
fn a_journal_is_read_as_it_was_written() {
    let text = text();
    assert_eq!(text.lines().count(), 5, "one line an entry");
    let read = decode(&text).unwrap();
    assert_eq!(read.intent, intent(OperationKind::SwitchOver));
    assert_eq!(read.entries, entries());
    assert_eq!(read.length, text.len());
}

#[test]
fn a_torn_last_line_is_left_out_wherever_it_is_torn() {
    let text = text();
    let last = text.trim_end().rfind('\n').unwrap() + 1;
    for length in last..text.len() {
        let read = decode(&text[..length]).unwrap();
        assert_eq!(read.entries, entries()[..4], "{length}");
        assert_eq!(read.length, last, "what is torn is not counted");
    }
}

#[test]
fn a_damaged_line_is_never_believed() {
    let text = text();
    let second = text.find('\n').unwrap() + 1;
    let third = second + text[second..].find('\n').unwrap() + 1;
    for at in second..third - 1 {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(damaged) = String::from_utf8(bytes) else {
            continue;
        };
        if damaged[second..third - 1].contains('\n') {
            continue;
        }
        assert_eq!(
            decode(&damaged),
            Err(JournalError::Damaged { line: 2 }),
            "{at}"
        );
    }
    assert_eq!(decode(""), Err(JournalError::NoIntent));
    assert_eq!(decode(&text[second..]), Err(JournalError::NoIntent));
}

#[test]
fn the_report_has_every_step_and_how_it_ended() {
    let entries = entries();
    let measured = Measured {
        pause: Some(0.012),
        ..Measured::default()
    };
    let report = OperationReport::new(&intent(OperationKind::SwitchOver), &entries, measured);
    assert_eq!(report.outcome, Some(Outcome::Incomplete));
    assert_eq!(report.open, ["look"]);
    assert_eq!(report.steps.len(), 2);
    let text = report.markdown(|at| format!("<{at}>"));
    assert!(text.contains("writes waited: 0.012 s"), "{text}");
    assert!(
        text.contains("10.0.0.1:1: CLIENT PAUSE 2000 WRITE"),
        "{text}"
    );
    let interrupted = OperationReport::new(
        &intent(OperationKind::SwitchOver),
        &entries[..3],
        Measured::default(),
    );
    assert_eq!((interrupted.outcome, interrupted.ended), (None, None));
}

#[test]
fn the_last_line_says_who_is_master_and_what_is_open() {
    let done = Ending::new(Outcome::Done, "10.0.0.1:2 (dc2) is the master");
    assert_eq!(
        done.last_line(),
        "Done: 10.0.0.1:2 (dc2) is the master. Nothing is open."
    );
    let open = Ending::new(Outcome::Incomplete, "no server is a master")
        .with_open(vec!["one thing".to_owned(), "another".to_owned()]);
    assert_eq!(
        open.last_line(),
        "Incomplete: no server is a master. Open: one thing; another."
    );
}

#[test]
fn orders_are_shown_as_they_are_sent() {
    let demote = Order::Demote {
        server: addr(1),
        master: addr(2),
        unpause: true,
        rewrite: true,
    };
    assert_eq!(
        demote.commands(),
        [
            "MULTI",
            "CLIENT UNPAUSE",
            "REPLICAOF 10.0.0.1 2",
            "CONFIG REWRITE",
            "EXEC"
        ]
    );
    let promote = Order::Promote { server: addr(2) };
    assert_eq!(promote.commands(), ["REPLICAOF NO ONE"]);
}
