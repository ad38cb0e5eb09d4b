//! The lines below a pair's row: the reason for its state, since when, its alerts, and the
//! receivers that were notified.

use super::layout::Layout;
use super::seen::Seen;
use crate::cli::notified::{clock_text, notified};
use crate::replication::PairState;
use crate::report::{
    AlertReport, ListedState, PairReport, at_most_text, lag_text, seconds_text, visible_text,
};

/// The lines about `pair`; none where all is well.
pub(super) fn details(pair: &PairReport, seen: &Seen, layout: Layout) -> Vec<String> {
    if pair.state == PairState::Streaming && pair.alerts.is_empty() && seen.is_ok(pair) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    lines.extend(news(pair, seen.now()));
    lines.push(why(pair));
    lines.extend(left_out(pair, layout));
    lines.extend(foreseen(pair));
    for alert in seen.alerts_about(pair) {
        lines.push(alert_line(alert, seen));
    }
    lines
}

/// The reason for the pair's state, with the last known lag where the current one is unknown.
fn why(pair: &PairReport) -> String {
    let reason = visible_text(&pair.why());
    match (pair.lag_seconds, pair.last_known) {
        (None, Some(known)) => {
            let upper = at_most_text(known.lag_upper_seconds);
            format!("{reason}; last known: at most {upper} behind")
        }
        _ => reason,
    }
}

/// The details that the row has no room for.
fn left_out(pair: &PairReport, layout: Layout) -> Option<String> {
    let mut parts = Vec::new();
    if !layout.replica {
        parts.push(format!("replica {}", visible_text(&pair.replica)));
    }
    if !layout.interval && pair.lag_seconds.is_some() {
        let lag = lag_text(
            pair.lag_lower_seconds,
            pair.lag_seconds,
            pair.lag_upper_seconds,
        );
        parts.push(format!("lag {lag}"));
    }
    if parts.is_empty() {
        return None;
    }
    Some(parts.join(", "))
}

/// What is expected of the pair.
fn foreseen(pair: &PairReport) -> Option<String> {
    let mut parts = Vec::new();
    for (name, text) in pair.forecast.known() {
        let name = name.to_lowercase();
        parts.push(visible_text(&format!("{name} {text}")));
    }
    if parts.is_empty() {
        return None;
    }
    Some(format!("foreseen: {}", parts.join("; ")))
}

/// What happened since when, and what would be lost now. An older exporter has no such summary;
/// then only since when the link is down or stalled.
fn news(pair: &PairReport, now: f64) -> Option<String> {
    if !pair.summary.is_empty() {
        return Some(visible_text(&pair.summary));
    }
    let seconds = pair.link_down_seconds?;
    let word = pair.state.label().replace('_', " ");
    let began = clock_text(now - seconds, now);
    Some(format!("{word} since {began} ({})", seconds_text(seconds)))
}

/// One alert: since when, and which receivers were notified, or why none was.
fn alert_line(alert: &AlertReport, seen: &Seen) -> String {
    let name = visible_text(&alert.alertname);
    let severity = alert.severity.label();
    let began = clock_text(alert.started_timestamp, seen.now());
    if alert.state == ListedState::Pending {
        return format!("{name} pending: {severity}, since {began}");
    }
    let notified = notified(alert, seen.deliveries.as_ref(), seen.now());
    format!("{name} firing: {severity}, since {began}; {notified}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Labels;
    use crate::cli::check::source::Source;
    use crate::config::Severity;
    use crate::report::testing::{pair, report};
    use crate::report::{
        AlertBrief, AlertsReport, DeliveriesReport, DeliveryReport, InhibitorReport, SubjectReport,
        ValueUnit,
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
    fn an_alert_lists_the_notified_receivers_and_when_each_was_first() {
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
    fn an_alert_explains_why_no_receiver_was_notified() {
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
}
