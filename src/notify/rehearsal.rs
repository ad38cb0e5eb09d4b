//! A test of receivers: a marked firing and its end take the way that real ones take, and each
//! answer is told.
//!
//! One attempt each, nothing is queued: a person looks on, who wants to see the first answer and
//! not the fifth.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alert::{
    AlertContext, AlertIdentity, AlertSnapshot, AlertStatus, GroupKey, Labels, Measured,
    Notification, NotifyReason, Quantity, ResolveReason, Rule,
};
use crate::clock;
use crate::config::{NotifySettings, ReceiverKind, ReceiverSettings, Severity};
use crate::http_client::{HttpClient, HttpError, HttpTimeouts};
use crate::model::{ClockAnchor, Span};

use super::alertmanager::{Firing, Told};
use super::delivery::{Gate, ReceiverConfig, Sent, secrets_of, send};
use super::message::MessageContext;
use super::periodic::{beat, tell};
use super::queue::{Attempt, DeliveryId, Opening};
use super::retry::{AttemptResult, Circumstances, Disposition, Protocol, Timing, judge};

/// What is shown of an answer: room for a service's sentence.
const MAX_ANSWER: usize = 200;

/// One request of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was sent: `firing`, `resolved`, `firing to http://am1:9093`, `heartbeat`.
    pub what: String,
    /// Whether the receiver took it.
    pub accepted: bool,
    /// What came of it, with the beginning of the answer's body. May hold anything that the far
    /// side says, but none of the receiver's secrets.
    pub answer: String,
}

/// Tests one receiver.
///
/// # Errors
/// When the TLS library cannot be set up.
pub async fn rehearse(
    settings: &NotifySettings,
    receiver: &ReceiverSettings,
    context: &MessageContext,
    timing: &Timing,
) -> Result<Vec<Step>, HttpError> {
    let timeouts = HttpTimeouts {
        connect: timing.connect.to_duration(),
        total: timing.attempt.to_duration(),
    };
    let client = HttpClient::for_receivers(timeouts)?;
    let context = MessageContext {
        test: true,
        ..context.clone()
    };
    let config = Arc::new(ReceiverConfig::of(settings, receiver, &context));
    let rehearsal = Rehearsal {
        client,
        config,
        timing: *timing,
    };
    Ok(match &receiver.kind {
        ReceiverKind::Heartbeat { .. } => vec![rehearsal.heartbeat().await],
        ReceiverKind::Alertmanager { urls, interval, .. } => {
            rehearsal.members(urls, *interval).await
        }
        _ => rehearsal.group().await,
    })
}

struct Rehearsal {
    client: HttpClient,
    config: Arc<ReceiverConfig>,
    timing: Timing,
}

impl Rehearsal {
    async fn group(&self) -> Vec<Step> {
        let anchor = clock::anchor();
        let (mut steps, fired) = self.notify(anchor, NotifyReason::First, None).await;
        // What was not taken is not ended, unless it may have been taken all the same.
        if let Some(opening) = fired {
            let (ends, _) = self
                .notify(anchor, NotifyReason::Resolved, Some(opening))
                .await;
            steps.extend(ends);
        }
        steps
    }

    /// Sends one notification, once more as plain text where the layout is refused.
    async fn notify(
        &self,
        anchor: ClockAnchor,
        reason: NotifyReason,
        opening: Option<Opening>,
    ) -> (Vec<Step>, Option<Opening>) {
        let what = if reason == NotifyReason::Resolved {
            "resolved"
        } else {
            "firing"
        };
        let mut steps = Vec::new();
        for plain in [false, true] {
            let attempt = Attempt {
                id: DeliveryId::of_test(what, anchor.wall.as_nanos()),
                notification: Arc::new(notification(&self.config.settings.name, &anchor, reason)),
                anchor,
                number: 1,
                plain,
                opening: opening.clone(),
                opened: opening.iter().cloned().collect(),
            };
            let gate = Gate::open(&attempt);
            let Sent {
                protocol,
                result,
                opening,
                ..
            } = send(self.client.clone(), Arc::clone(&self.config), attempt, gate).await;
            let verdict = judge(&self.timing, &circumstances(protocol, plain), &result);
            let what = if plain {
                format!("{what} as plain text")
            } else {
                what.to_owned()
            };
            steps.push(self.step(what, verdict.disposition, &result));
            let taken = verdict.disposition == Disposition::Delivered || verdict.maybe_received;
            if !matches!(verdict.disposition, Disposition::RetryPlain { .. }) {
                return (steps, opening.filter(|_| taken));
            }
        }
        (steps, None)
    }

    async fn members(&self, urls: &[String], interval: Span) -> Vec<Step> {
        let anchor = clock::anchor();
        let alert = |reason| notification(&self.config.settings.name, &anchor, reason).alerts;
        let (firing, over) = (alert(NotifyReason::First), alert(NotifyReason::Resolved));
        let mut steps = Vec::new();
        let mut told = Told::default();
        let firing: Vec<_> = firing
            .into_iter()
            .map(|alert| Firing {
                alert,
                quiet: false,
            })
            .collect();
        told.look(anchor.mono, &firing, &[]);
        for url in urls {
            let result = tell(&self.client, &self.config, url, &told, interval).await;
            steps.push(self.judged(format!("firing to {url}"), &result));
        }
        told.look(anchor.mono, &[], &over);
        for url in urls {
            let result = tell(&self.client, &self.config, url, &told, interval).await;
            steps.push(self.judged(format!("resolved to {url}"), &result));
        }
        steps
    }

    async fn heartbeat(&self) -> Step {
        let result = beat(&self.client, &self.config).await;
        self.judged("heartbeat".to_owned(), &result)
    }

    fn judged(&self, what: String, result: &AttemptResult) -> Step {
        let verdict = judge(
            &self.timing,
            &circumstances(Protocol::Webhook, true),
            result,
        );
        self.step(what, verdict.disposition, result)
    }

    fn step(&self, what: String, disposition: Disposition, result: &AttemptResult) -> Step {
        let accepted = disposition == Disposition::Delivered;
        let then = match disposition {
            Disposition::Delivered => String::new(),
            Disposition::Retry { reason, .. } => {
                format!(" ({}; a real one would be tried again)", reason.label())
            }
            Disposition::RetryPlain { reason } => {
                format!(" ({}; it is tried as plain text)", reason.label())
            }
            Disposition::Dead { reason } => {
                format!(" ({}; a real one would be given up)", reason.label())
            }
        };
        let body = match result {
            AttemptResult::Answered(response) => self.shown(&response.body),
            _ => String::new(),
        };
        Step {
            what,
            accepted,
            answer: format!("{result}{then}{body}"),
        }
    }

    /// The beginning of an answer, unless it repeats a secret that it was sent.
    fn shown(&self, body: &str) -> String {
        let body = body.trim();
        if body.is_empty() {
            return String::new();
        }
        if secrets_of(&self.config.settings)
            .iter()
            .any(|secret| body.contains(secret.reveal()))
        {
            return ": the answer repeats a secret and is not shown".to_owned();
        }
        format!(": {}", super::text::cut(body, MAX_ANSWER))
    }
}

fn circumstances(protocol: Protocol, plain: bool) -> Circumstances {
    Circumstances {
        protocol,
        attempt: 1,
        plain,
        jitter: 0.0,
        now: clock::anchor(),
    }
}

/// A notification about nothing: a critical lag of a pair that does not exist, with a label that
/// says so.
fn notification(receiver: &str, anchor: &ClockAnchor, reason: NotifyReason) -> Notification {
    let over = reason == NotifyReason::Resolved;
    let alert = alert(anchor, over);
    let group = alert
        .identity
        .labels
        .iter()
        .filter(|(name, _)| name.ends_with("_dc"));
    let name = (
        "alertname".to_owned(),
        alert.identity.rule.alert_name().to_owned(),
    );
    let group = group
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain([name])
        .collect();
    Notification {
        receiver: receiver.into(),
        group: GroupKey(Arc::new(group)),
        status: alert.status,
        reason,
        severity: alert.severity,
        alerts: vec![Arc::new(alert)],
        affected: None,
        news: 0,
        held: 0,
        generation: 0,
        decided_at: anchor.mono,
    }
}

fn alert(anchor: &ClockAnchor, over: bool) -> AlertSnapshot {
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let target = [
        ("pair", "test-notify"),
        ("source_dc", "test"),
        ("target_dc", "test"),
        ("replica", "test"),
    ];
    let identity = AlertIdentity {
        rule: Rule::LagSeconds,
        labels: Arc::new(labels(&target)),
    };
    let seconds = |secs| Some(Quantity::Seconds(Span::from_secs(secs)));
    AlertSnapshot {
        fingerprint: identity.fingerprint(),
        identity,
        severity: Severity::Critical,
        status: if over {
            AlertStatus::Resolved
        } else {
            AlertStatus::Firing
        },
        started_at: anchor.mono,
        resolved: over.then_some((anchor.mono, ResolveReason::Cleared)),
        value: Measured {
            estimate: seconds(123),
            lower: seconds(122),
            upper: seconds(124),
        },
        threshold: Quantity::Seconds(Span::from_secs(120)),
        peak: seconds(123),
        context: Arc::new(AlertContext {
            extra_labels: Arc::new(labels(&[("test", "true")])),
            reason: Some("this is a test of the receiver: nothing is wrong".to_owned()),
            ..AlertContext::default()
        }),
        muted_by: None,
        recovering: false,
        series: None,
        decision: None,
    }
}

#[cfg(test)]
mod tests;
