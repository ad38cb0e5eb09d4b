use super::*;
use crate::alert::{AlertSnapshot, AlertState, ListedAlert};
use crate::clock;
use crate::config::{HttpSettings, ReceiverSettings, RepageOn, SecretSource, Severity};
use crate::delivery::{DeliveryEventKind, DeliveryFailure};
use crate::http_client::testing::{PATIENCE, Reply, TestServer};
use crate::model::{Secret, Span, Timestamp};
use crate::notify::testing::{pair_alert, resolved};
use crate::report::testing::{Scene, fleet};

/// The product's rules in milliseconds instead of seconds.
fn quick() -> Timing {
    Timing {
        first_backoff: Span::from_millis(2),
        max_backoff: Span::from_millis(10),
        ..Timing::default()
    }
}

struct Rig {
    senders: PeriodicSenders,
    snapshots: watch::Sender<Arc<FleetSnapshot>>,
    events: mpsc::Receiver<DeliveryEvent>,
}

impl Rig {
    fn new(receivers: Vec<ReceiverSettings>) -> Self {
        let (snapshots, newest) = watch::channel(Arc::new(snapshot(Vec::new())));
        let (sender, events) = mpsc::channel(1_000);
        let senders = PeriodicSenders::start(
            &settings(receivers),
            MessageContext::default(),
            quick(),
            newest,
            sender,
        )
        .unwrap();
        Self {
            senders,
            snapshots,
            events,
        }
    }

    fn shows(&self, alerts: Vec<ListedAlert>) {
        self.snapshots.send_replace(Arc::new(snapshot(alerts)));
    }

    async fn event(&mut self) -> DeliveryEvent {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event")
            .unwrap()
    }
}

/// A fleet that polls, with these alerts.
fn snapshot(alerts: Vec<ListedAlert>) -> FleetSnapshot {
    let (mut fleet, _) = fleet(Scene::Streaming);
    fleet.anchor = clock::anchor();
    fleet.alerts = alerts.into();
    fleet
}

fn settings(receivers: Vec<ReceiverSettings>) -> NotifySettings {
    NotifySettings {
        receivers,
        ..crate::config::testing::settings_of(&[]).notify
    }
}

fn receiver(name: &str, kind: ReceiverKind) -> ReceiverSettings {
    ReceiverSettings {
        fallback: None,
        name: name.to_owned(),
        min_severity: Severity::Warning,
        matchers: BTreeMap::new(),
        group_by: None,
        repage_on: RepageOn::default(),
        kind,
        http: HttpSettings::default(),
        template: crate::config::TemplateSettings::default(),
    }
}

fn cluster(servers: &[&TestServer]) -> ReceiverSettings {
    let urls = servers
        .iter()
        .map(|server| server.url.trim_end_matches('/').to_owned())
        .collect();
    let headers = BTreeMap::from([("x-team".to_owned(), SecretSource::Inline(Secret::new("a")))]);
    receiver(
        "am",
        ReceiverKind::from(AlertmanagerSettings {
            urls,
            interval: Span::from_millis(100),
            headers,
        }),
    )
}

fn switch(server: &TestServer) -> ReceiverSettings {
    let url = SecretSource::Inline(Secret::new(server.url.clone()));
    let interval = Span::from_millis(100);
    receiver(
        "deadman",
        ReceiverKind::from(DeadMansSwitchSettings {
            url,
            interval,
            headers: BTreeMap::new(),
        }),
    )
}

fn listed(state: AlertState, alert: &Arc<AlertSnapshot>) -> ListedAlert {
    ListedAlert {
        state,
        alert: Arc::clone(alert),
        inhibited_by: None,
    }
}

#[tokio::test]
async fn every_member_is_sent_a_firing_repeatedly_and_then_its_end() {
    let servers = [
        TestServer::replying(vec![Reply::status(200)]).await,
        TestServer::replying(vec![Reply::status(200)]).await,
    ];
    let rig = Rig::new(vec![cluster(&[&servers[0], &servers[1]])]);
    let alert = pair_alert("orders", 0);
    rig.shows(vec![
        listed(AlertState::Firing, &alert),
        listed(AlertState::Pending, &pair_alert("pending", 0)),
    ]);
    for server in &servers {
        server.wait_for(3).await;
        let request = server.requests().pop().unwrap();
        assert!(
            request
                .line
                .starts_with("POST /services/hunter2/api/v2/alerts "),
            "{}",
            request.line
        );
        assert_eq!(request.headers["x-team"], "a");
        let body = request.json();
        assert_eq!(
            body.as_array().unwrap().len(),
            1,
            "a pending alert is not sent"
        );
        assert_eq!(body[0]["labels"]["alertname"], "RedisCrossDcLagHigh");
    }
    let mut over = Arc::unwrap_or_clone(resolved(alert));
    let end = clock::now();
    over.resolved = Some((end, over.resolved.unwrap().1));
    rig.shows(vec![listed(AlertState::Resolved, &Arc::new(over))]);
    let expected = crate::notify::text::rfc3339(clock::anchor().wall(end));
    let has_ended = |server: &TestServer| {
        let body = server.requests().pop().unwrap().json();
        body[0]["endsAt"].as_str().unwrap()[..19] == expected[..19]
    };
    for server in &servers {
        // Firings that were on their way come first.
        let mut count = server.requests().len();
        let limit = count + 20;
        while !has_ended(server) {
            assert!(count < limit, "its end was not sent");
            count += 1;
            server.wait_for(count).await;
        }
    }
}

#[tokio::test]
async fn a_failing_member_delays_no_other_and_shows_in_the_backlog() {
    let gone = TestServer::replying(vec![Reply::status(500)]).await;
    let good = TestServer::replying(vec![Reply::status(200)]).await;
    let mut rig = Rig::new(vec![cluster(&[&gone, &good])]);
    rig.shows(vec![listed(AlertState::Firing, &pair_alert("orders", 0))]);
    let mut failed = 0;
    let mut delivered = 0;
    while failed < 1 || delivered < 3 {
        let event = rig.event().await;
        match event.kind {
            DeliveryEventKind::Failed { reason, dead } => {
                assert_eq!(
                    (reason, dead, event.queue.depth > 0),
                    (DeliveryFailure::Server, false, true)
                );
                failed += 1;
            }
            DeliveryEventKind::Delivered { .. } => delivered += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refused_request_is_repeated_in_the_next_round() {
    let server = TestServer::replying(vec![Reply::status(400), Reply::status(200)]).await;
    let mut rig = Rig::new(vec![cluster(&[&server])]);
    rig.shows(vec![listed(AlertState::Firing, &pair_alert("orders", 0))]);
    let first = rig.event().await;
    assert_eq!(
        first.kind,
        DeliveryEventKind::Failed {
            reason: DeliveryFailure::Client,
            dead: false
        }
    );
    assert!(matches!(
        rig.event().await.kind,
        DeliveryEventKind::Delivered { .. }
    ));
}

#[tokio::test]
async fn unsent_changes_are_sent_before_the_program_ends() {
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let rig = Rig::new(vec![receiver(
        "am",
        ReceiverKind::from(AlertmanagerSettings {
            urls: vec![server.url.trim_end_matches('/').to_owned()],
            interval: Span::from_secs(60),
            headers: BTreeMap::new(),
        }),
    )]);
    rig.shows(vec![listed(AlertState::Firing, &pair_alert("orders", 0))]);
    rig.senders.drain(PATIENCE).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_dead_mans_switch_is_requested_until_it_is_removed() {
    let server = TestServer::replying(vec![Reply::status(200)]).await;
    let mut rig = Rig::new(vec![switch(&server)]);
    server.wait_for(3).await;
    assert!(
        server.requests()[0]
            .line
            .starts_with("GET /services/hunter2 ")
    );
    assert!(matches!(
        rig.event().await.kind,
        DeliveryEventKind::Delivered { .. }
    ));
    // A receiver that was removed gets no further requests.
    rig.senders.reload(&settings(Vec::new()));
    rig.senders.drain(PATIENCE).await;
    let count = server.requests().len();
    rig.snapshots.send_replace(Arc::new(snapshot(Vec::new())));
    assert_eq!(server.requests().len(), count);
}

/// The health problem `seconds` after a first check that found none. `publishes`: the monitor has
/// published since; `polls`: a poll has ended since.
fn health_problem(seconds: i64, publishes: bool, polls: bool) -> Option<String> {
    let (mut fleet, now) = fleet(Scene::Streaming);
    let mut liveness = liveness::Liveness::new(now);
    assert_eq!(liveness.health_problem(&fleet, now), None);
    let later: Timestamp = now + Span::from_secs(seconds);
    if publishes {
        fleet.anchor.mono = later;
    }
    if polls {
        let server = Arc::make_mut(&mut fleet.servers[0]);
        server.polls += 1;
    }
    liveness.health_problem(&fleet, later)
}

#[test]
fn a_stuck_monitor_and_a_stuck_poller_are_health_problems() {
    assert_eq!(health_problem(30, true, false), None);
    assert_eq!(
        health_problem(31, true, false).as_deref(),
        Some("no poll has ended for 31.0 s")
    );
    assert_eq!(health_problem(31, true, true), None);
    assert_eq!(
        health_problem(31, false, false).as_deref(),
        Some("the monitor has said nothing for 31.0 s")
    );
    let (mut fleet, now) = fleet(Scene::Streaming);
    fleet
        .servers
        .iter_mut()
        .for_each(|server| Arc::make_mut(server).polls = 0);
    let why = liveness::Liveness::new(now).health_problem(&fleet, now);
    assert_eq!(why.as_deref(), Some("no server has been polled yet"));
    fleet.servers.clear();
    assert_eq!(
        liveness::Liveness::new(now).health_problem(&fleet, now),
        None,
        "there is nothing to poll"
    );
}
