//! Notifications for this room's tests.

use std::sync::Arc;

use crate::alert::{
    AlertContext, AlertIdentity, AlertSnapshot, AlertStatus, AtRisk, BacklogHeadroom, Bounds,
    GroupKey, Labels, Measured, Notification, NotifyReason, Quantity, ResolveReason, Rule,
    ServedPair, ServiceRole, Worst,
};
use crate::config::Severity;
use crate::model::{Bytes, ClockAnchor, Span, Timestamp, WallTime};
use crate::replication::PairState;

use super::context::MessageContext;

/// When the notifications are decided.
pub(super) fn now() -> Timestamp {
    Timestamp::from_nanos(1_000_000_000_000)
}

/// [`now`] is 2023-11-14T22:13:20Z.
pub(super) fn anchor() -> ClockAnchor {
    ClockAnchor {
        mono: now(),
        wall: WallTime::from_nanos(1_700_000_000_000_000_000),
    }
}

pub(super) fn context() -> MessageContext {
    MessageContext {
        exporter: "monitor-1".to_owned(),
        external_url: Some("https://redis-lag.example.com".to_owned()),
        ..MessageContext::default()
    }
}

pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Arc<Labels> {
    Arc::new(
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

/// A critical lag from dc1 to dc2; `n` tells replicas apart.
pub(super) fn pair_alert(pair: &str, n: usize) -> Arc<AlertSnapshot> {
    let replica = if n == 0 {
        "redis2:6379".to_owned()
    } else {
        format!("redis2-{n}:6379")
    };
    let target = [
        ("pair", pair),
        ("source_dc", "dc1"),
        ("target_dc", "dc2"),
        ("replica", &*replica),
    ];
    alert(
        Rule::LagSeconds,
        labels(target),
        AlertContext {
            extra_labels: labels([("team", "payments")]),
            master: Some("redis1:6379".to_owned()),
            state: Some(PairState::Stalled),
            reason: Some("no byte arrived for 130 s".to_owned()),
            last_sample: Some(now() - Span::from_millis(500)),
            last_data: Some(now() - Span::from_secs(130)),
            fault_since: Some(now() - Span::from_secs(250)),
            at_risk: Some(at_risk()),
            worst: Worst {
                lag: Some(Span::from_secs(140)),
                bytes: Some(Bytes::new(4_718_592)),
            },
            backlog: Some(BacklogHeadroom {
                headroom: Bytes::new(11_534_336),
                lasts: None,
                worst: None,
                history: None,
            }),
            ..AlertContext::default()
        },
    )
}

/// What is lost if dc1 fails: 130 s, 4.2 MiB.
fn at_risk() -> AtRisk {
    let bytes = Some(Bytes::new(4_404_019));
    AtRisk {
        lag: Bounds {
            lower: Some(Span::from_secs(128)),
            estimate: Some(Span::from_secs(130)),
            upper: Some(Span::from_secs(131)),
        },
        bytes: Bounds {
            lower: bytes,
            estimate: bytes,
            upper: bytes,
        },
        as_of: None,
    }
}

/// A server that does not answer: the master of orders.
pub(super) fn server_alert() -> Arc<AlertSnapshot> {
    let service = ServedPair {
        history_lost: false,
        role: ServiceRole::Master,
        pair: "orders".to_owned(),
        peer_dc: "dc2".to_owned(),
        peer: "redis2:6379".to_owned(),
        at_risk: Some(at_risk()),
        sync: None,
    };
    alert(
        Rule::Unreachable,
        labels([("dc", "dc1"), ("server", "redis1:6379")]),
        AlertContext {
            fault_since: Some(now() - Span::from_secs(65)),
            services: vec![service],
            ..AlertContext::default()
        },
    )
}

fn alert(rule: Rule, labels: Arc<Labels>, context: AlertContext) -> Arc<AlertSnapshot> {
    let seconds = |secs| Some(Quantity::Seconds(Span::from_secs(secs)));
    let identity = AlertIdentity { rule, labels };
    Arc::new(AlertSnapshot {
        fingerprint: identity.fingerprint(),
        identity,
        severity: Severity::Critical,
        status: AlertStatus::Firing,
        started_at: now() - Span::from_secs(250),
        resolved: None,
        value: Measured {
            estimate: seconds(130),
            lower: seconds(128),
            upper: seconds(131),
        },
        threshold: Quantity::Seconds(Span::from_secs(120)),
        peak: seconds(140),
        context: Arc::new(context),
        muted_by: None,
        recovering: false,
        series: None,
        decision: None,
    })
}

/// `alert`, over as of [`now`].
pub(super) fn resolved(alert: Arc<AlertSnapshot>) -> Arc<AlertSnapshot> {
    let mut alert = Arc::unwrap_or_clone(alert);
    alert.status = AlertStatus::Resolved;
    alert.resolved = Some((now(), ResolveReason::Cleared));
    Arc::new(alert)
}

/// A notification about `alerts`, grouped as the first of them is.
pub(super) fn notification(reason: NotifyReason, alerts: Vec<Arc<AlertSnapshot>>) -> Notification {
    let identity = &alerts[0].identity;
    let mut group = Labels::from([(
        "alertname".to_owned(),
        identity.rule.alert_name().to_owned(),
    )]);
    let direction = identity
        .labels
        .iter()
        .filter(|(name, _)| name.ends_with("_dc"));
    group.extend(direction.map(|(name, value)| (name.clone(), value.clone())));
    let over = alerts
        .iter()
        .all(|alert| alert.status == AlertStatus::Resolved);
    Notification {
        receiver: "chat".into(),
        group: GroupKey(Arc::new(group)),
        status: if over {
            AlertStatus::Resolved
        } else {
            AlertStatus::Firing
        },
        reason,
        severity: Severity::Critical,
        alerts,
        affected: None,
        news: 0,
        held: 0,
        generation: 0,
        decided_at: now(),
    }
}

/// `text` without the tokens that show a time in the reader's zone.
pub(super) fn without_times(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, token)) = rest.split_once("<!date^") {
        left.push_str(before);
        rest = token.split_once('>').map_or("", |(_, after)| after);
    }
    left + rest
}

/// Names as no configuration should have them.
pub(super) fn hostile_names() -> Vec<String> {
    vec![
        "\"quoted\\\" 'name'".to_owned(),
        "line\nbreak\r\n\u{1b}[31m".to_owned(),
        "<!channel> <script>alert(1)</script> &amp; & < >".to_owned(),
        "x".repeat(10_240),
        "&".repeat(10_240),
        "😀".repeat(3_000),
        format!("x{}", "😀".repeat(3_000)),
    ]
}

/// Compares `body` with the agreed one in `testdata`. Where the change is meant, `UPDATE_GOLDEN=1`
/// writes the new file.
pub(super) fn golden(file: &str, body: &serde_json::Value) {
    let path = format!("{}/src/notify/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    let agreed = std::fs::read_to_string(&path).unwrap_or_default();
    let actual = serde_json::to_string_pretty(body).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &actual).expect("testdata is writable");
        return;
    }
    assert!(
        agreed == actual,
        "{file} should be, if this change is meant:\n{actual}"
    );
}
