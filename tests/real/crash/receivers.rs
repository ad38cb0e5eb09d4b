//! Receivers of every kind, good ones and such that refuse, stall and break.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use fastrand::Rng;
use redis_cross_dc_exporter::lab::{Answer, Received, Response, eventually};
use serde_json::Value;

use crate::receiver::Receiver;

/// Answers that are drawn before; what comes after them is accepted.
const DRAWN: usize = 20_000;

/// What a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hook,
    Pager,
    Chat,
}

/// One receiver, and how it answers each request.
pub(crate) struct Told {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    receiver: Receiver,
    answers: Vec<Answer>,
    /// The first request that was accepted whatever had been drawn.
    good_from: OnceLock<usize>,
}

/// All receivers.
pub(crate) struct Receivers {
    pub(crate) all: Vec<Told>,
    folder: tempfile::TempDir,
}

impl Receivers {
    pub(crate) async fn start(rng: &mut Rng) -> Self {
        let mut all = Vec::new();
        for (name, kind, is_good) in [
            ("good hook", Kind::Hook, true),
            ("bad hook", Kind::Hook, false),
            ("good pager", Kind::Pager, true),
            ("bad pager", Kind::Pager, false),
            ("bad chat", Kind::Chat, false),
        ] {
            let answers: Vec<_> = (0..DRAWN)
                .map(|_| if is_good { Answer::Accept } else { draw(rng) })
                .collect();
            let receiver = Receiver::start(answers.clone()).await.unwrap();
            all.push(Told {
                name,
                kind,
                receiver,
                answers,
                good_from: OnceLock::new(),
            });
        }
        let receivers = Self {
            all,
            folder: tempfile::tempdir().unwrap(),
        };
        receivers.rotate_key(rng);
        receivers
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("routing-key")
    }

    /// From now on incidents are opened under another key, which the exporter reads at each
    /// attempt.
    pub(crate) fn rotate_key(&self, rng: &mut Rng) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, format!("key-{}", rng.u32(..4))).unwrap();
        std::fs::rename(next, self.key()).unwrap();
    }

    /// The entries of `notify.receivers`.
    pub(crate) fn config(&self) -> String {
        let entry = |told: &Told| {
            let kind = match told.kind {
                Kind::Hook => format!("webhook: {{url: '{}'}}", told.receiver.url("/hook")),
                Kind::Pager => format!(
                    "pagerduty: {{routing_key_file: '{}', url: '{}'}}",
                    self.key().display(),
                    told.receiver.url("/v2/enqueue")
                ),
                Kind::Chat => format!(
                    "slack: {{webhook_url: '{}'}}",
                    told.receiver.url("/services/x")
                ),
            };
            format!("{{name: {}, {kind}}}", told.name)
        };
        self.all.iter().map(entry).collect::<Vec<_>>().join(", ")
    }

    /// How many requests each has had.
    pub(crate) fn count(&self) -> Vec<usize> {
        self.all
            .iter()
            .map(|told| told.receiver.requests().len())
            .collect()
    }

    /// From now on everybody takes everything.
    pub(crate) fn become_good(&self) {
        for told in &self.all {
            told.good_from
                .get_or_init(|| told.receiver.requests().len());
            told.receiver.always(Answer::Accept);
        }
    }

    /// Waits until everybody has taken, after the first `since` requests, that the alert of each of
    /// these servers is of this status.
    pub(crate) async fn have_heard(
        &self,
        servers: &[String],
        status: &str,
        since: &[usize],
        limit: Duration,
    ) {
        let missing = || {
            let told = self.all.iter().zip(since);
            told.filter(|(told, since)| !told.has_heard(servers, status, **since))
                .map(|(told, _)| told.name)
        };
        let heard = || async {
            let missing: Vec<_> = missing().collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(missing.join(", "))
            }
        };
        let what = format!("everybody to hear that {servers:?} are {status}");
        eventually(&what, limit, heard).await.unwrap();
    }

    /// Waits until no receiver has got anything for longer than any repetition takes.
    pub(crate) async fn are_quiet(&self, limit: Duration) {
        let deadline = std::time::Instant::now() + limit;
        let mut seen = (self.count(), std::time::Instant::now());
        while seen.1.elapsed() < Duration::from_secs(8) {
            assert!(
                std::time::Instant::now() < deadline,
                "something is still sent: {:?}",
                self.count()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
            if self.count() != seen.0 {
                seen = (self.count(), std::time::Instant::now());
            }
        }
    }
}

impl Told {
    /// Every request with its answer.
    pub(crate) fn requests(&self) -> Vec<(Received, Answer)> {
        let drawn = *self.good_from.get().unwrap_or(&DRAWN);
        let answer = |n: usize| self.answers[..drawn].get(n).cloned().unwrap_or_default();
        self.receiver
            .requests()
            .into_iter()
            .enumerate()
            .map(|(n, request)| (request, answer(n)))
            .collect()
    }

    /// What it took, in order.
    pub(crate) fn taken(&self) -> impl Iterator<Item = Received> {
        self.requests()
            .into_iter()
            .filter(|(_, answer)| *answer == Answer::Accept)
            .map(|(request, _)| request)
    }

    fn has_heard(&self, servers: &[String], status: &str, since: usize) -> bool {
        let requests: Vec<_> = self.requests().split_off(since);
        let taken: Vec<_> = requests
            .iter()
            .filter(|(_, answer)| *answer == Answer::Accept)
            .map(|(r, _)| r)
            .collect();
        match self.kind {
            Kind::Hook => servers
                .iter()
                .all(|server| taken.iter().any(|request| says(request, server, status))),
            Kind::Pager => {
                let action = if status == "firing" {
                    "trigger"
                } else {
                    "resolve"
                };
                taken.iter().any(|request| {
                    is_about_servers(request) && request.json().unwrap()["event_action"] == action
                })
            }
            Kind::Chat => {
                let over = |request: &&Received| request.text().contains("[RESOLVED]");
                taken
                    .iter()
                    .any(|request| over(request) == (status == "resolved"))
            }
        }
    }
}

/// Whether a webhook's body has the server's alert in this status.
fn says(request: &Received, server: &str, status: &str) -> bool {
    let body = request.json().unwrap();
    let alerts = body["alerts"].as_array().cloned().unwrap_or_default();
    alerts
        .iter()
        .any(|alert: &Value| alert["labels"]["server"] == server && alert["status"] == status)
}

fn is_about_servers(request: &Received) -> bool {
    request.json().unwrap()["dedup_key"]
        .as_str()
        .is_some_and(|key| key.contains("ServerUnreachable"))
}

fn draw(rng: &mut Rng) -> Answer {
    match rng.u32(..20) {
        0..11 => Answer::Accept,
        11..14 => Answer::Respond(Response::new(500)),
        14..17 => Answer::Respond(Response::new(429)),
        17..19 => Answer::Close,
        _ => Answer::Hang,
    }
}
