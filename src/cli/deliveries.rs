//! `deliveries`: the receivers of a running exporter, and its notifications: what waits, what was
//! accepted and what was given up.

use std::time::Duration;

use super::args::{DeliveriesArgs, Global, OutputFormat};
use super::block_on;
use super::columns::{pad, widths};
use super::exit::Exit;
use super::exporter::Exporter;
use super::notified::clock_text;
use super::output::{complain, say};
use crate::http_client::HttpTimeouts;
use crate::report::{
    DeadLetterReport, DeliveriesReport, DeliveryReport, ReceiverReport, SubjectReport,
    WaitingReport, visible_text,
};

/// A running exporter answers at once.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(10),
};

pub(super) fn deliveries(global: &Global, args: &DeliveriesArgs) -> Exit {
    let exporter = match Exporter::new(global, &args.exporter, TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => {
            complain(&sentence);
            return Exit::Usage;
        }
    };
    let report = match block_on(exporter.report::<DeliveriesReport>("/api/v1/deliveries")) {
        Ok(Ok(report)) => report,
        Ok(Err(why)) => {
            complain(&format!(
                "The request to the exporter at {} failed: {why}",
                exporter.url
            ));
            return Exit::Failed;
        }
        Err(exit) => return exit,
    };
    match &args.receiver {
        Some(name) => print_receiver(report, name, args.output),
        None => print(&report, args.output),
    }
}

fn print_receiver(mut report: DeliveriesReport, name: &str, output: OutputFormat) -> Exit {
    report
        .receivers
        .retain(|receiver| receiver.receiver == name);
    if report.receivers.is_empty() {
        complain(&format!("The exporter has no receiver called {name:?}."));
        return Exit::Usage;
    }
    report
        .waiting
        .retain(|waiting| waiting.subject.receiver == name);
    report.recent.retain(|past| past.subject.receiver == name);
    let letters = &mut report.dead_letters;
    letters.retain(|letter| letter.delivery.subject.receiver == name);
    print(&report, output)
}

fn print(report: &DeliveriesReport, output: OutputFormat) -> Exit {
    match output {
        OutputFormat::Table => say(screen(report).trim_end()),
        OutputFormat::Json => match serde_json::to_string_pretty(report) {
            Ok(text) => say(&text),
            Err(error) => {
                complain(&format!(
                    "The report cannot be written as JSON: {error}. Please report it."
                ));
                return Exit::Failed;
            }
        },
    }
    Exit::Ok
}

/// Everything in the answer comes from whatever listens at the exporter's address, so control
/// characters in it are escaped.
fn screen(report: &DeliveriesReport) -> String {
    let now = report.exporter.now_timestamp;
    if report.receivers.is_empty() {
        return "The configuration of this exporter has no receivers: nobody is notified.\n"
            .to_owned();
    }
    let mut text = receivers(&report.receivers, now);
    let waiting = report
        .waiting
        .iter()
        .map(|waiting| waiting_row(waiting, now));
    text += &notifications("Waiting", "NEXT TRY", waiting);
    let letters = report.dead_letters.iter();
    let given_up = letters.map(|letter| given_up_row(letter, now));
    text += &notifications("Given up, and may be sent again", "GIVEN UP", given_up);
    let recent = report.recent.iter().map(|past| recent_row(past, now));
    text += &notifications("Recently", "ENDED", recent);
    text
}

/// The receivers, with what is wrong with one below its row.
fn receivers(receivers: &[ReceiverReport], now: f64) -> String {
    let head = ["RECEIVER", "LEVEL", "WAITING", "LAST ACCEPTED", "GIVEN UP"];
    let mut rows = Vec::new();
    for receiver in receivers {
        rows.push([
            visible_text(&receiver.receiver),
            visible_text(&receiver.level),
            receiver.waiting.to_string(),
            time(receiver.last_success_timestamp, now),
            receiver.given_up.to_string(),
        ]);
    }
    let widths = widths(&head, &rows);
    let mut text = line(&head.map(str::to_owned), &widths);
    for (receiver, row) in receivers.iter().zip(&rows) {
        text += &line(row, &widths);
        if let Some(trouble) = &receiver.trouble {
            text += &format!("    {}\n", visible_text(trouble));
        }
    }
    text
}

/// The columns of a table of notifications; the first is its time.
const COLUMNS: usize = 6;

/// A table with its heading; nothing where it has no rows.
fn notifications(
    heading: &str,
    time: &str,
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = [time, "RECEIVER", "STATUS", "SEVERITY", "RESULT", "ALERTS"];
    let widths = widths(&head, &rows);
    let mut text = format!("\n{heading}:\n{}", line(&head.map(str::to_owned), &widths));
    for row in &rows {
        text += &line(row, &widths);
    }
    text
}

fn waiting_row(waiting: &WaitingReport, now: f64) -> [String; COLUMNS] {
    let next = match waiting.next_attempt_timestamp {
        Some(at) => clock_text(at, now),
        None => "now".to_owned(),
    };
    let subject = &waiting.subject;
    let result = match subject.attempts {
        0 => "not tried yet".to_owned(),
        1 => "tried once".to_owned(),
        attempts => format!("tried {attempts} times"),
    };
    row(next, subject, result)
}

fn given_up_row(letter: &DeadLetterReport, now: f64) -> [String; COLUMNS] {
    let mut row = recent_row(&letter.delivery, now);
    if letter.over
        && let [_, _, _, _, result, _] = &mut row
    {
        result.push_str("; over since");
    }
    row
}

fn recent_row(past: &DeliveryReport, now: f64) -> [String; COLUMNS] {
    let result = match (&past.failure, &past.answer) {
        (None, _) => "accepted".to_owned(),
        (Some(_), Some(answer)) => visible_text(answer),
        (Some(failure), None) => visible_text(failure),
    };
    row(clock_text(past.ended_timestamp, now), &past.subject, result)
}

fn row(time: String, subject: &SubjectReport, result: String) -> [String; COLUMNS] {
    let mut labels = Vec::new();
    for (name, value) in &subject.group {
        if name == "alertname" {
            labels.insert(0, value.clone());
        } else {
            labels.push(format!("{name}={value}"));
        }
    }
    [
        time,
        visible_text(&subject.receiver),
        visible_text(&subject.status),
        subject.severity.label().to_owned(),
        result,
        visible_text(&labels.join(" ")),
    ]
}

fn time(at: Option<f64>, now: f64) -> String {
    match at {
        Some(at) => clock_text(at, now),
        None => "-".to_owned(),
    }
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let mut padded = Vec::new();
    for (cell, width) in cells.iter().zip(widths) {
        padded.push(pad(cell, *width));
    }
    format!("{}\n", padded.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;
    use crate::report::testing::report;

    const NOW: f64 = 1_764_399_080.0;

    fn subject(name: &str) -> SubjectReport {
        let group = [("alertname", "LinkDown"), ("source_dc", name)];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        SubjectReport {
            id: "msg_1".to_owned(),
            receiver: name.to_owned(),
            group: group.into_iter().map(owned).collect(),
            status: "firing".to_owned(),
            severity: Severity::Critical,
            reason: "first".to_owned(),
            decided_timestamp: NOW,
            attempts: 2,
        }
    }

    fn past(name: &str, answer: Option<&str>) -> DeliveryReport {
        DeliveryReport {
            subject: subject(name),
            ended_timestamp: NOW - 20.0,
            failure: answer.map(|_| "client_error".to_owned()),
            answer: answer.map(str::to_owned),
        }
    }

    fn shown(name: &str) -> String {
        let mut exporter = report([]).exporter;
        exporter.now_timestamp = NOW;
        let receiver = ReceiverReport {
            receiver: name.to_owned(),
            waiting: 1,
            oldest_timestamp: None,
            last_success_timestamp: Some(NOW - 20.0),
            given_up: 1,
            circuit_open_until_timestamp: None,
            level: "warning".to_owned(),
            failing_since_timestamp: None,
            trouble: Some(format!("{name} refuses")),
        };
        screen(&DeliveriesReport {
            receivers: vec![receiver],
            waiting: vec![WaitingReport {
                subject: subject(name),
                next_attempt_timestamp: None,
            }],
            recent: vec![past(name, None)],
            dead_letters: vec![DeadLetterReport {
                delivery: past(name, Some("HTTP 404 Not Found")),
                over: true,
            }],
            exporter,
        })
    }

    #[test]
    fn every_notification_has_its_result() {
        let expected = "\
RECEIVER  LEVEL    WAITING  LAST ACCEPTED  GIVEN UP
chat      warning  1        06:51:00 UTC   1
    chat refuses

Waiting:
NEXT TRY  RECEIVER  STATUS  SEVERITY  RESULT         ALERTS
now       chat      firing  critical  tried 2 times  LinkDown source_dc=chat

Given up, and may be sent again:
GIVEN UP      RECEIVER  STATUS  SEVERITY  RESULT                          ALERTS
06:51:00 UTC  chat      firing  critical  HTTP 404 Not Found; over since  LinkDown source_dc=chat

Recently:
ENDED         RECEIVER  STATUS  SEVERITY  RESULT    ALERTS
06:51:00 UTC  chat      firing  critical  accepted  LinkDown source_dc=chat
";
        assert_eq!(shown("chat"), expected);
    }

    #[test]
    fn a_hostile_exporter_cannot_command_the_terminal() {
        let text = shown("\u{1b}]0;owned\u{7}");
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
    }
}
