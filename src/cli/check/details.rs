//! The lines below a pair's row: the reason for its state, since when, its alerts and who was
//! notified.

use super::WIDTH;
use super::layout::Layout;
use super::seen::Seen;
use crate::replication::PairState;
use crate::report::{
    AlertReport, DeliveriesReport, ListedState, PairReport, lag_text, seconds_text, utc_text,
    visible_text,
};

/// The indentation of a line below a row.
const INDENT: &str = "    ";

/// The lines about `pair`; none where all is well.
pub(super) fn details(pair: &PairReport, seen: &Seen, layout: Layout) -> Vec<String> {
    if pair.state == PairState::Streaming && pair.alerts.is_empty() && seen.is_ok(pair) {
        return Vec::new();
    }
    let alerts = seen.alerts_about(pair);
    let mut lines: Vec<_> = news(pair, seen.now()).into_iter().collect();
    lines.push(why(pair));
    lines.extend(unseen(pair, layout));
    lines.extend(alerts.iter().map(|alert| alert_line(alert, seen)));
    lines
}

/// The reason for the pair's state, with the last known lag where the current one is unknown.
fn why(pair: &PairReport) -> String {
    let reason = visible_text(&pair.why());
    match pair.last_known.filter(|_| pair.lag_seconds.is_none()) {
        Some(known) => format!(
            "{reason}; last known: at most {} behind",
            seconds_text(known.lag_upper_seconds)
        ),
        None => reason,
    }
}

/// The details that the row has no room for.
fn unseen(pair: &PairReport, layout: Layout) -> Option<String> {
    let replica = Some(format!("replica {}", visible_text(&pair.replica)));
    let interval = pair.lag_seconds.map(|estimate| {
        let lag = lag_text(
            pair.lag_lower_seconds,
            Some(estimate),
            pair.lag_upper_seconds,
        );
        format!("lag {lag}")
    });
    let parts: Vec<_> = [
        replica.filter(|_| !layout.replica),
        interval.filter(|_| !layout.interval),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What happened since when, and what would be lost now. An older exporter reports only since when
/// the link is down or stalled.
fn news(pair: &PairReport, now: f64) -> Option<String> {
    if !pair.summary.is_empty() {
        return Some(visible_text(&pair.summary));
    }
    let seconds = pair.link_down_seconds?;
    let word = pair.state.label().replace('_', " ");
    let began = clock_text(now - seconds, now);
    Some(format!("{word} since {began} ({})", seconds_text(seconds)))
}

/// One alert: since when, and who was notified of it, or why nobody was.
fn alert_line(alert: &AlertReport, seen: &Seen) -> String {
    let name = visible_text(&alert.alertname);
    let severity = alert.severity.label();
    let began = clock_text(alert.started_timestamp, seen.now());
    if alert.state == ListedState::Pending {
        return format!("{name} pending: {severity}, since {began}");
    }
    let notified = notified(alert, seen);
    format!("{name} firing: {severity}, since {began}; {notified}")
}

fn notified(alert: &AlertReport, seen: &Seen) -> String {
    if let Some(silence) = &alert.silenced_by {
        return format!("silenced by {}", visible_text(silence));
    }
    if let Some(window) = &alert.maintenance {
        return format!(
            "silenced by the maintenance window {}",
            visible_text(window)
        );
    }
    if let Some(cause) = &alert.caused_by {
        return format!("inhibited by {}", visible_text(&cause.alertname));
    }
    let Some(deliveries) = &seen.deliveries else {
        return "who was notified is not known".to_owned();
    };
    let receivers: Vec<_> = receivers_of(alert, deliveries)
        .into_iter()
        .map(|(name, at)| format!("{} {}", visible_text(name), clock_text(at, seen.now())))
        .collect();
    if receivers.is_empty() {
        "nobody was notified yet".to_owned()
    } else {
        format!("notified: {}", receivers.join(", "))
    }
}

/// The receivers that took a notification with the alert in it since it began, and when first.
fn receivers_of<'a>(alert: &AlertReport, deliveries: &'a DeliveriesReport) -> Vec<(&'a str, f64)> {
    let mut first: Vec<(&str, f64)> = Vec::new();
    for delivery in &deliveries.recent {
        let subject = &delivery.subject;
        let has_label = |(name, value): (&String, &String)| match name.as_str() {
            "alertname" => *value == alert.alertname,
            _ => alert.labels.get(name) == Some(value),
        };
        let is_taken = delivery.failure.is_none() && subject.status == "firing";
        let is_since = delivery.ended_timestamp >= alert.started_timestamp;
        if !is_taken || !is_since || !subject.group.iter().all(has_label) {
            continue;
        }
        let at = delivery.ended_timestamp;
        match first.iter_mut().find(|(name, _)| *name == subject.receiver) {
            Some((_, known)) => *known = known.min(at),
            None => first.push((&subject.receiver, at)),
        }
    }
    first.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(b.0)));
    first
}

/// The time of day in UTC, with the date where it is not that of `now`.
fn clock_text(at: f64, now: f64) -> String {
    let text = utc_text(at);
    let today = utc_text(now);
    match (text.split_once(' '), today.split_once(' ')) {
        (Some((date, time)), Some((today, _))) if date == today => time.to_owned(),
        _ => text,
    }
}

/// The sentence below a row, broken between words where it is too wide.
pub(super) fn wrapped(line: &str) -> String {
    let mut text = String::from(INDENT);
    let mut width = INDENT.len();
    for (index, word) in line.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && width + 1 + length > WIDTH {
            text += "\n";
            text += INDENT;
            text += INDENT;
            width = 2 * INDENT.len();
        } else if index > 0 {
            text.push(' ');
            width += 1;
        }
        text += word;
        width += length;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Labels;
    use crate::cli::check::source::Source;
    use crate::config::Severity;
    use crate::report::testing::{pair, report};
    use crate::report::{
        AlertBrief, AlertsReport, DeliveryReport, InhibitorReport, SubjectReport, ValueUnit,
    };

    const LINK_DOWN: &str = "RedisCrossDcLinkDown";

    /// 06:51:00 UTC, and the instant of the report a minute later.
    const BEGAN: f64 = 1_764_399_060.0;
    const NOW: f64 = BEGAN + 60.0;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn alert(state: ListedState) -> AlertReport {
        let replica = pair("orders").replica;
        serde_json::from_value(serde_json::json!({
            "alertname": LINK_DOWN, "severity": "critical", "state": state, "recovering": false,
            "labels": {"pair": "orders", "replica": replica, "source_dc": "dc1", "target_dc": "dc2"},
            "summary": "", "value": null, "lower": null, "upper": null, "unit": ValueUnit::Seconds, "threshold": 60.0,
            "peak": null, "started_timestamp": BEGAN, "resolved_timestamp": null,
            "resolve_reason": null, "last_sample_timestamp": null, "fingerprint": "0", "reason": null,
            "master": null, "silenced_by": null, "maintenance": null, "caused_by": null,
            "flapping": false, "decision": null,
        }))
        .unwrap()
    }

    fn delivery(receiver: &str, after: f64, failure: Option<&str>) -> DeliveryReport {
        DeliveryReport {
            subject: SubjectReport {
                id: "msg_1".to_owned(),
                receiver: receiver.to_owned(),
                group: labels(&[("alertname", LINK_DOWN), ("source_dc", "dc1")]),
                status: "firing".to_owned(),
                severity: Severity::Critical,
                reason: "first".to_owned(),
                decided_timestamp: BEGAN,
                attempts: 1,
            },
            ended_timestamp: BEGAN + after,
            failure: failure.map(str::to_owned),
            answer: None,
        }
    }

    /// The lines below a stalled pair with this alert.
    fn below(alert: AlertReport, recent: Vec<DeliveryReport>) -> Vec<String> {
        let mut stalled = pair("orders");
        stalled.state = PairState::Stalled;
        stalled.reason = "nothing arrives".to_owned();
        stalled.alerts = vec![AlertBrief {
            alertname: LINK_DOWN.to_owned(),
            severity: alert.severity,
            state: alert.state,
            recovering: false,
            reason: None,
        }];
        let mut report = report([stalled.clone()]);
        report.exporter.now_timestamp = NOW;
        let exporter = report.exporter.clone();
        let seen = Seen {
            report,
            source: Source::Exporter {
                url: "http://127.0.0.1:1".to_owned(),
            },
            alerts: Some(AlertsReport {
                alerts: vec![alert],
                exporter: exporter.clone(),
            }),
            deliveries: Some(DeliveriesReport {
                receivers: Vec::new(),
                waiting: Vec::new(),
                recent,
                dead_letters: Vec::new(),
                exporter,
            }),
        };
        let layout = Layout {
            interval: true,
            replica: true,
        };
        details(&stalled, &seen, layout)
    }

    #[test]
    fn who_was_notified_and_when_first_stands_with_the_alert() {
        let recent = vec![
            delivery("oncall", 31.0, None),
            delivery("chat", 5.0, None),
            delivery("oncall", 11.0, None),
            delivery("broken", 12.0, Some("server")),
            delivery("earlier", -100.0, None),
        ];
        let lines = below(alert(ListedState::Firing), recent);
        let expected = [
            "RedisCrossDcLinkDown: nothing arrives",
            "RedisCrossDcLinkDown firing: critical, since 06:51:00 UTC; \
             notified: chat 06:51:05 UTC, oncall 06:51:11 UTC",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn why_nobody_was_notified_is_said() {
        let last = |alert: AlertReport| below(alert, Vec::new()).pop().unwrap();
        let firing = alert(ListedState::Firing);
        assert!(last(firing.clone()).ends_with("; nobody was notified yet"));
        let mut silenced = firing.clone();
        silenced.silenced_by = Some("00ff".to_owned());
        assert!(last(silenced).ends_with("; silenced by 00ff"));
        let mut inhibited = firing;
        inhibited.caused_by = Some(InhibitorReport {
            alertname: "RedisCrossDcServerUnreachable".to_owned(),
            labels: Labels::new(),
            fingerprint: "1".to_owned(),
        });
        assert!(last(inhibited).ends_with("; inhibited by RedisCrossDcServerUnreachable"));
        let pending = last(alert(ListedState::Pending));
        assert_eq!(
            pending,
            "RedisCrossDcLinkDown pending: critical, since 06:51:00 UTC"
        );
    }

    #[test]
    fn another_day_has_its_date() {
        assert_eq!(clock_text(BEGAN, NOW), "06:51:00 UTC");
        assert_eq!(clock_text(BEGAN, NOW + 86_400.0), "2025-11-29 06:51:00 UTC");
    }

    #[test]
    fn a_line_breaks_between_words() {
        let text = wrapped(&"word ".repeat(30));
        assert!(text.lines().count() == 2 && text.lines().all(|line| line.len() <= WIDTH));
    }
}
