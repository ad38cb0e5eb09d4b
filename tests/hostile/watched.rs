//! A fleet of one pair that is given INFO replies, and all output of the program about it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use redis_cross_dc_exporter::alert::{AlertStatus, Notification};
use redis_cross_dc_exporter::config::{Environment, Format, Settings, parse};
use redis_cross_dc_exporter::metrics::{self, Exposition};
use redis_cross_dc_exporter::model::{ClockAnchor, Secret, ServerAddr, Span, Timestamp, WallTime};
use redis_cross_dc_exporter::monitor::{Action, Monitor, PollEvent, PollEventKind};
use redis_cross_dc_exporter::notify::MessageContext;
use redis_cross_dc_exporter::notify::message::Message;
use redis_cross_dc_exporter::notify::receivers::pagerduty::{self, Incident};
use redis_cross_dc_exporter::notify::receivers::{slack, webhook};
use redis_cross_dc_exporter::report::{PairReport, PairsReport};
use redis_cross_dc_exporter::topology::Topology;
use redis_cross_dc_exporter::web::{Awaited, CorePulse, Limits, Server, WebState};
use redis_cross_dc_exporter::{admin, info};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::watch;

pub(crate) const MASTER: &str = "m:1";
pub(crate) const REPLICA: &str = "r:1";

/// A healthy master and its replica.
pub(crate) const MASTER_REPLY: &str =
    include_str!("../fixtures/info/redis-7.4/master_info_all.txt");
pub(crate) const REPLICA_REPLY: &str =
    include_str!("../fixtures/info/redis-7.4/replica_info_all.txt");

/// The pair's configuration in JSON, which can hold every name; alerts fire at once.
pub(crate) fn settings(config: &Value) -> Settings {
    parse(
        &config.to_string(),
        Format::Json,
        Path::new("/etc"),
        &Environment::default(),
    )
    .unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) struct Watched {
    monitor: Monitor,
    now: Timestamp,
    pub(crate) notifications: Vec<Notification>,
}

impl Watched {
    pub(crate) fn begin(settings: &Settings) -> Self {
        let now = Timestamp::from_nanos(0) + Span::from_secs(100);
        let monitor = Monitor::new(settings, &Topology::from_settings(settings), anchor(now));
        Self {
            monitor,
            now,
            notifications: Vec::new(),
        }
    }

    pub(crate) fn pass(&mut self, span: Span) {
        self.now += span;
        let told = self
            .monitor
            .tick(self.now)
            .into_iter()
            .filter_map(|action| match action {
                Action::Notify(notification) => Some(notification),
                _ => None,
            });
        self.notifications.extend(told);
    }

    pub(crate) fn answers(&mut self, server: &str, reply: &str) {
        let sent = self.now;
        self.pass(Span::from_millis(2));
        let observation = Box::new(info::parse(reply).unwrap());
        let kind = PollEventKind::Answered {
            sent,
            received: self.now,
            observation,
            late: Span::ZERO,
        };
        self.monitor.handle_poll(PollEvent {
            server: ServerAddr::parse(server).unwrap(),
            kind,
        });
    }

    /// As many rounds of master, replica, master, a second apart.
    pub(crate) fn rounds(&mut self, rounds: usize, master: &str, replica: &str) {
        for _ in 0..rounds {
            self.answers(MASTER, master);
            self.answers(REPLICA, replica);
            self.answers(MASTER, master);
            self.pass(Span::from_millis(994));
        }
    }

    pub(crate) fn scrape(&self) -> String {
        let snapshot = self.monitor.snapshot(anchor(self.now));
        metrics::collect(&snapshot, self.now, &Exposition::default()).to_text()
    }

    pub(crate) fn pair(&self) -> PairReport {
        PairsReport::new(&self.monitor.snapshot(anchor(self.now)), self.now)
            .pairs
            .remove(0)
    }

    /// What a GET of `path` is answered.
    pub(crate) async fn get(&self, path: &str) -> String {
        let (_sender, snapshots) =
            watch::channel(Arc::new(self.monitor.snapshot(anchor(self.now))));
        let encode_metrics = Arc::new(|fleet: &_, now| {
            let families = metrics::collect(fleet, now, &Exposition::default());
            Ok(families.to_text().into_bytes())
        });
        let nothing: Awaited = Arc::new(|| Box::pin(std::future::ready(())));
        // A GET sends no command, so there is no core.
        let (admin, _) = admin::channel();
        let state = WebState {
            snapshots,
            clock: Timestamp::default,
            encode_metrics,
            refresh: Arc::clone(&nothing),
            newest: nothing,
            pulse: CorePulse::default(),
            admin,
        };
        let server = Server::new(Limits::default()).over_streams(state);
        let (theirs, mut ours) = duplex(1 << 20);
        ours.write_all(
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await
        .unwrap();
        let mut answer = String::new();
        let ((), read) = tokio::join!(
            server.serve(theirs, Ipv4Addr::LOCALHOST.into()),
            ours.read_to_string(&mut answer)
        );
        read.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body.to_owned()
    }

    /// The bodies that receivers of every kind are sent about `notification`: Slack's two, the
    /// webhook's, `PagerDuty`'s.
    pub(crate) fn bodies(&self, notification: &Notification) -> [Value; 4] {
        let (anchor, context) = (anchor(self.now), MessageContext::default());
        let message = Message::new(notification, &anchor, &context);
        let dedup_key = pagerduty::dedup_key("", &notification.group, notification.generation);
        let incident = Incident {
            routing_key: Secret::new("key"),
            dedup_key,
        };
        let event = match notification.status {
            AlertStatus::Firing => {
                pagerduty::trigger(notification, &message, &anchor, &context, &incident)
            }
            AlertStatus::Resolved => pagerduty::resolve(&incident),
        };
        [
            slack::rich(&message),
            slack::plain(&message),
            webhook::body(notification, "", &anchor, &context),
            event,
        ]
    }
}

fn anchor(now: Timestamp) -> ClockAnchor {
    ClockAnchor {
        mono: now,
        wall: WallTime::from_nanos(1_750_000_000_000_000_000 + now.as_nanos()),
    }
}
