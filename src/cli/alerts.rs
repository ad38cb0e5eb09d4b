//! `alerts`: the alerts of a running exporter, what each is about, and which receivers were
//! notified.

use std::collections::BTreeMap;
use std::time::Duration;

use super::args::{AlertsArgs, Global, OutputFormat};
use super::block_on;
use super::exit::Exit;
use super::exporter::Exporter;
use super::notified::{clock_text, notified};
use super::output::{complain, print_coloured, say};
use super::style;
use super::wrapped::wrapped;
use crate::config::Severity;
use crate::http_client::HttpTimeouts;
use crate::report::{
    AlertReport, AlertsReport, DeliveriesReport, Level, ListedState, utc_text, visible_text,
};

/// A running exporter answers at once.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(10),
};

pub(super) fn alerts(global: &Global, args: &AlertsArgs) -> Exit {
    let exporter = match Exporter::new(global, &args.exporter, TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => {
            complain(&sentence);
            return Exit::Usage;
        }
    };
    match block_on(ask(&exporter, args)) {
        Ok(Ok(answer)) => print(&answer, &exporter.url, args.output),
        Ok(Err(why)) => {
            complain(&format!(
                "The request to the exporter at {} failed: {why}",
                exporter.url
            ));
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

/// What the exporter reports.
struct Answer {
    alerts: AlertsReport,
    /// `None` where this client may not see them.
    deliveries: Option<DeliveriesReport>,
}

async fn ask(exporter: &Exporter, args: &AlertsArgs) -> Result<Answer, String> {
    let mut alerts: AlertsReport = exporter.report("/api/v1/alerts").await?;
    if !args.resolved {
        alerts
            .alerts
            .retain(|alert| alert.state != ListedState::Resolved);
    }
    if let Some(name) = &args.pair {
        let is_wanted = |alert: &AlertReport| alert.labels.get("pair") == Some(name);
        alerts.alerts.retain(is_wanted);
    }
    let deliveries = exporter.report("/api/v1/deliveries").await.ok();
    Ok(Answer { alerts, deliveries })
}

fn print(answer: &Answer, url: &str, output: OutputFormat) -> Exit {
    match output {
        OutputFormat::Table => print_coloured(&screen(answer, url)),
        OutputFormat::Json => match serde_json::to_string_pretty(&answer.alerts) {
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
fn screen(answer: &Answer, url: &str) -> String {
    let alerts = &answer.alerts.alerts;
    let mut text = format!(
        "{}; asked the exporter at {}\n",
        headline(alerts),
        visible_text(url)
    );
    for alert in alerts {
        text.push('\n');
        text += &alert_text(alert, answer);
    }
    text
}

/// How many alerts have which state and severity: `2 firing: 1 critical, 1 warning; 1 pending`.
fn headline(alerts: &[AlertReport]) -> String {
    let mut states: BTreeMap<ListedState, BTreeMap<&str, usize>> = BTreeMap::new();
    for alert in alerts {
        let severities = states.entry(alert.state).or_default();
        *severities.entry(alert.severity.label()).or_default() += 1;
    }
    if states.is_empty() {
        return "No alerts".to_owned();
    }
    let mut parts = Vec::new();
    for (state, severities) in states {
        let total: usize = severities.values().sum();
        let counts: Vec<_> = severities
            .iter()
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        parts.push(format!("{total} {}: {}", state.label(), counts.join(", ")));
    }
    parts.join("; ")
}

fn alert_text(alert: &AlertReport, answer: &Answer) -> String {
    let colour = style::for_level(level(alert));
    let now = answer.alerts.exporter.now_timestamp;
    let severity = alert.severity.label();
    let name = visible_text(&alert.alertname);
    let since = clock_text(alert.started_timestamp, now);
    let mut text = format!(
        "{colour}{severity}{colour:#}  {name}  {}\n",
        state(alert, &since)
    );
    text += &wrapped(&about(alert));
    if let Some(reason) = &alert.reason {
        text += &wrapped(&visible_text(reason));
    }
    if alert.state == ListedState::Firing {
        let receivers = notified(alert, answer.deliveries.as_ref(), now);
        text += &wrapped(&receivers);
    }
    text
}

/// The summary; of an older exporter, which has none, the labels.
fn about(alert: &AlertReport) -> String {
    if !alert.summary.is_empty() {
        return visible_text(&alert.summary);
    }
    let mut labels = Vec::new();
    for (name, value) in &alert.labels {
        labels.push(format!("{name}={value}"));
    }
    visible_text(&labels.join(" "))
}

/// The state and since when; for a resolved alert also until when.
fn state(alert: &AlertReport, since: &str) -> String {
    match (alert.state, alert.resolved_timestamp) {
        (ListedState::Resolved, Some(until)) => {
            format!("resolved at {}, had begun at {since}", utc_text(until))
        }
        (ListedState::Firing, _) if alert.recovering => {
            format!("firing since {since}, recovering")
        }
        (state, _) => format!("{} since {since}", state.label()),
    }
}

/// The colour of an alert.
fn level(alert: &AlertReport) -> Level {
    match (alert.state, alert.severity) {
        (ListedState::Firing, Severity::Critical) => Level::Critical,
        (ListedState::Firing | ListedState::Pending, _) => Level::Warning,
        (ListedState::Resolved, _) => Level::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    fn alert(state: &str, severity: &str, summary: &str) -> AlertReport {
        serde_json::from_value(serde_json::json!({
            "alertname": "RedisCrossDcLinkDown", "severity": severity, "state": state,
            "recovering": false, "labels": {"pair": "orders"}, "summary": summary, "value": null,
            "lower": null, "upper": null, "unit": "seconds", "threshold": 60.0, "peak": null,
            "started_timestamp": 1_764_399_060.0, "resolved_timestamp": 1_764_399_070.0,
            "resolve_reason": null, "last_sample_timestamp": null, "fingerprint": "0",
            "reason": "nothing arrives", "master": null, "silenced_by": null, "maintenance": null,
            "caused_by": null, "flapping": false, "decision": null,
        }))
        .unwrap()
    }

    fn shown(alerts: Vec<AlertReport>) -> String {
        let mut exporter = report([]).exporter;
        exporter.now_timestamp = 1_764_399_080.0;
        let answer = Answer {
            alerts: AlertsReport { alerts, exporter },
            deliveries: None,
        };
        let screen = screen(&answer, "http://127.0.0.1:1");
        anstream::adapter::strip_str(&screen).to_string()
    }

    #[test]
    fn an_alert_says_what_it_is_about_since_when_and_who_was_notified() {
        let screen = shown(vec![alert("firing", "critical", "orders stalled")]);
        let expected = "1 firing: 1 critical; asked the exporter at http://127.0.0.1:1\n\n\
                        critical  RedisCrossDcLinkDown  firing since 06:51:00 UTC\n    \
                        orders stalled\n    nothing arrives\n    who was notified is not known\n";
        assert_eq!(screen, expected);
    }

    #[test]
    fn the_headline_counts_by_state_and_severity() {
        let alerts = vec![
            alert("firing", "critical", ""),
            alert("firing", "warning", ""),
            alert("pending", "warning", ""),
        ];
        let expected = "2 firing: 1 critical, 1 warning; 1 pending: 1 warning";
        assert_eq!(headline(&alerts), expected);
        assert!(shown(Vec::new()).starts_with("No alerts; asked"));
    }

    #[test]
    fn a_resolved_alert_says_when() {
        let screen = shown(vec![alert("resolved", "warning", "")]);
        assert!(
            screen.contains("resolved at 2025-11-29 06:51:10 UTC, had begun at 06:51:00 UTC"),
            "{screen}"
        );
        assert!(screen.contains("pair=orders"), "{screen}");
    }

    #[test]
    fn a_hostile_exporter_cannot_command_the_terminal() {
        let hostile = "\u{1b}]0;owned\u{7}";
        let mut bad = alert("firing", "critical", hostile);
        bad.alertname = hostile.to_owned();
        bad.reason = Some(hostile.to_owned());
        bad.labels = [(hostile.to_owned(), hostile.to_owned())].into();
        let plain = shown(vec![bad.clone()]);
        bad.summary = String::new();
        let without_summary = shown(vec![bad]);
        for text in [plain, without_summary] {
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n'),
                "{text:?}"
            );
        }
    }
}
