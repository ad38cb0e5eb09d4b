//! Replies of a master and a replica, through everything that is ever said of them.

use std::path::Path;
use std::sync::LazyLock;

use redis_cross_dc_exporter::alert::{AlertStatus, Notification};
use redis_cross_dc_exporter::config::{Environment, Format, Settings, parse};
use redis_cross_dc_exporter::info;
use redis_cross_dc_exporter::metrics::{self, Exposition};
use redis_cross_dc_exporter::model::{
    ClockAnchor, PollError, Secret, ServerAddr, Span, Timestamp, WallTime,
};
use redis_cross_dc_exporter::monitor::{Action, FleetSnapshot, Monitor, PollEvent, PollEventKind};
use redis_cross_dc_exporter::notify::MessageContext;
use redis_cross_dc_exporter::notify::message::Message;
use redis_cross_dc_exporter::notify::receivers::pagerduty::{self, Incident};
use redis_cross_dc_exporter::notify::receivers::{slack, webhook};
use redis_cross_dc_exporter::report::{AlertsReport, PairReport, PairsReport};
use redis_cross_dc_exporter::topology::Topology;

use super::exposition;

/// Separates replies: no UTF-8 text has this byte.
pub const SEPARATOR: u8 = 0xff;

/// The most replies of one input: more of them only make it slow.
const MAX_REPLIES: usize = 48;

/// A replica of a replica, short thresholds, and a receiver of everything.
const CONFIG: &str = "
pairs:
  - name: orders
    master: {address: 'm:1', dc: dc1}
    replicas: [{address: 'r:1', dc: dc2}]
    alerts: {lag_bytes: {warning: 1, critical: 1000}}
  - {name: chain, master: {address: 'r:1', dc: dc2}, replicas: [{address: 'c:1', dc: dc3}]}
alerts:
  lag_seconds: {warning: 1s, critical: 3s, for: 0s}
  link_down: {warning: 1s, critical: 2s}
  unknown: {warning: 1s, critical: 4s}
notify: {group_wait: 0s, group_interval: 1s, receivers: [{name: hook, webhook: {url: 'http://localhost/'}}]}
";

/// Made once: it costs more than a reply.
static WATCHED: LazyLock<(Settings, Topology)> = LazyLock::new(|| {
    let settings = parse(
        CONFIG,
        Format::Yaml,
        Path::new("/etc"),
        &Environment::default(),
    );
    let settings = settings.expect("the configuration above");
    let topology = Topology::from_settings(&settings);
    (settings, topology)
});

const SERVERS: [&str; 3] = ["m:1", "r:1", "c:1"];

/// Each part of `data` is a reply; its first byte says whose it is and how much time passes. After
/// every reply all that the program says must hold together: no negative number, bounds around the
/// estimate, texts that can be read back.
pub fn run(data: &[u8]) {
    let mut story = Story::begin();
    for part in data.split(|byte| *byte == SEPARATOR).take(MAX_REPLIES) {
        let Some((&first, reply)) = part.split_first() else {
            continue;
        };
        story.pass(Span::from_millis(
            [1, 150, 1100, 30_000][usize::from(first / 3 % 4)],
        ));
        story.tell(SERVERS[usize::from(first % 3)], reply);
    }
    story.pass(Span::from_millis(100));
    let snapshot = story.monitor.snapshot(story.anchor());
    check(&snapshot, story.now);
    // Silence, and a look at it much later.
    check(&snapshot, story.now + Span::from_secs(86_400));
}

struct Story {
    monitor: Monitor,
    now: Timestamp,
}

impl Story {
    fn begin() -> Self {
        let now = Timestamp::from_nanos(1_000_000_000);
        let (settings, topology) = &*WATCHED;
        Self {
            monitor: Monitor::new(settings, topology, anchor(now)),
            now,
        }
    }

    fn anchor(&self) -> ClockAnchor {
        anchor(self.now)
    }

    fn pass(&mut self, span: Span) {
        self.now += span;
        for action in self.monitor.tick(self.now) {
            if let Action::Notify(notification) = action {
                tell_receivers(&notification, &self.anchor());
            }
        }
    }

    fn tell(&mut self, server: &str, reply: &[u8]) {
        let sent = self.now;
        self.now += Span::from_millis(2);
        let late = Span::ZERO;
        let kind = match info::parse_bytes(reply) {
            Ok(observation) => PollEventKind::Answered {
                sent,
                received: self.now,
                late,
                observation: Box::new(observation),
            },
            Err(_) => PollEventKind::Failed {
                began: sent,
                at: self.now,
                late,
                error: PollError::Parse.into(),
            },
        };
        let server = ServerAddr::parse(server).expect("an address");
        self.monitor.handle_poll(PollEvent { server, kind });
    }
}

fn anchor(now: Timestamp) -> ClockAnchor {
    ClockAnchor {
        mono: now,
        wall: WallTime::from_nanos(1_700_000_000_000_000_000 + now.as_nanos()),
    }
}

/// Every series that there is.
static EXPOSITION: LazyLock<Exposition> = LazyLock::new(|| {
    let yaml = "pairs: [{name: p, master: {address: 'm:1'}, replicas: [{address: 'r:1'}]}]\n\
        metrics: {raw_signals: true, states: all, thresholds: on, diagnostics: true}";
    let settings = parse(yaml, Format::Yaml, Path::new("."), &Environment::default());
    Exposition::new(&settings.expect("the configuration above"))
});

fn check(snapshot: &FleetSnapshot, now: Timestamp) {
    exposition::check(&metrics::collect(snapshot, now, &EXPOSITION).to_text());
    let pairs = PairsReport::new(snapshot, now);
    pairs.pairs.iter().for_each(consistent);
    not_negative(&serde_json::to_value(&pairs).expect("a report is JSON"));
    let text = serde_json::to_string(&pairs).expect("a report is JSON");
    serde_json::from_str::<PairsReport>(&text).expect("check reads what the exporter writes");
    not_negative(
        &serde_json::to_value(AlertsReport::new(snapshot, now)).expect("a report is JSON"),
    );
}

fn consistent(pair: &PairReport) {
    ordered(
        pair,
        [
            pair.lag_lower_seconds,
            pair.lag_seconds,
            pair.lag_upper_seconds,
        ],
    );
    let bytes = [pair.lag_lower_bytes, pair.lag_bytes, pair.lag_upper_bytes];
    ordered(pair, bytes.map(|n| n.map(|n| n as f64)));
    assert!(
        !pair.reason.is_empty() && !pair.reason.contains(char::is_control),
        "{pair:?}"
    );
    if pair.state.label() == "unsupported" {
        assert!(
            pair.lag_seconds.is_none() && pair.lag_bytes.is_none(),
            "{pair:?}"
        );
    }
}

fn ordered(pair: &PairReport, [lower, estimate, upper]: [Option<f64>; 3]) {
    let known: Vec<f64> = [lower, estimate, upper].into_iter().flatten().collect();
    assert!(
        known.windows(2).all(|w| w[0] <= w[1]),
        "{known:?} in {pair:?}"
    );
}

fn not_negative(value: &serde_json::Value) {
    match value {
        serde_json::Value::Number(n) => assert!(n.as_f64().is_some_and(|n| n >= 0.0), "{n}"),
        serde_json::Value::Array(items) => items.iter().for_each(not_negative),
        serde_json::Value::Object(members) => members.values().for_each(not_negative),
        _ => {}
    }
}

/// What every kind of receiver would be sent.
fn tell_receivers(notification: &Notification, anchor: &ClockAnchor) {
    let context = MessageContext {
        exporter: "fuzz".to_owned(),
        ..MessageContext::default()
    };
    let message = Message::new(notification, anchor, &context);
    assert!(
        !message.title.contains(char::is_control) && !message.summary.contains(char::is_control),
        "{message:?}"
    );
    let dedup_key = pagerduty::dedup_key("", &notification.group, notification.generation);
    let incident = Incident {
        routing_key: Secret::new("key"),
        dedup_key,
    };
    let event = match notification.status {
        AlertStatus::Firing => {
            pagerduty::trigger(notification, &message, anchor, &context, &incident)
        }
        AlertStatus::Resolved => pagerduty::resolve(&incident),
    };
    let bodies = [
        slack::rich(&message),
        slack::plain(&message),
        webhook::body(notification, "", anchor, &context),
        event,
    ];
    for body in bodies {
        assert!(
            body.to_string().len() <= 1_000_000,
            "no receiver takes more"
        );
    }
}
