//! Tests of receivers (`test-notify`): a marked firing and its resolve are sent as real ones are,
//! and each answer is shown.
//!
//! Nothing is queued or retried, because the person who runs the test wants to see the first
//! answer.

use std::sync::Arc;

use crate::alert::{
    AlertContext, AlertIdentity, AlertSnapshot, AlertStatus, GroupKey, Labels, Measured,
    Notification, NotifyReason, Quantity, ResolveReason, Rule,
};
use crate::clock;
use crate::config::{
    AlertmanagerSettings, DeadMansSwitchSettings, GroupReceiver, NotifySettings, PeriodicReceiver,
    ReceiverKind, ReceiverSettings, Severity,
};
use crate::http_client::{HttpClient, HttpError, HttpTimeouts};
use crate::model::{ClockAnchor, Secret, Span};

use super::attempt::{Attempt, DeliveryId};
use super::context::MessageContext;
use super::dispatch::{WriteAheadGate, send};
use super::incident::IncidentRef;
use super::periodic;
use super::receivers::alertmanager::{FiringAlert, SentAlerts};
use super::receivers::{GroupConfig, PeriodicConfig, readable_secrets};
use super::retry::{
    AnswerRules, AttemptResult, Circumstances, Disposition, HttpAnswers, RetryVerdict, Timing,
    judge,
};
use super::text;

/// The longest answer that is shown: enough for a service's sentence.
const MAX_ANSWER: usize = 200;

/// One request of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestStep {
    /// What was sent: `firing`, `resolved`, `firing to http://am1:9093`, `heartbeat`.
    pub what: String,
    /// Whether the receiver accepted it.
    pub accepted: bool,
    /// The result, with the beginning of the answer's body. It may hold anything that the receiver
    /// sends, but none of the receiver's secrets.
    pub answer: String,
}

/// Tests one receiver.
///
/// # Errors
/// When the TLS library cannot be set up.
pub async fn test_receiver(
    settings: &NotifySettings,
    receiver: &ReceiverSettings,
    context: &MessageContext,
    timing: &Timing,
) -> Result<Vec<TestStep>, HttpError> {
    let timeouts = HttpTimeouts {
        connect: timing.connect.to_duration(),
        total: timing.attempt.to_duration(),
    };
    let client = HttpClient::for_receivers(timeouts)?;
    let context = MessageContext {
        test: true,
        ..context.clone()
    };
    let test = TestDelivery {
        client,
        name: receiver.name.clone(),
        secrets: readable_secrets(receiver),
        timing: *timing,
    };
    let steps = match &receiver.kind {
        ReceiverKind::Group(group) => test.group(settings, receiver, group, &context).await,
        ReceiverKind::Periodic(PeriodicReceiver::Alertmanager(cluster)) => {
            let config = PeriodicConfig::new(settings, receiver, cluster, &context);
            test.alertmanager(Arc::new(config)).await
        }
        ReceiverKind::Periodic(PeriodicReceiver::DeadMansSwitch(switch)) => {
            let config = PeriodicConfig::new(settings, receiver, switch, &context);
            vec![test.dead_mans_switch(Arc::new(config)).await]
        }
    };
    Ok(steps)
}

struct TestDelivery {
    client: HttpClient,
    /// The receiver's name.
    name: String,
    /// Secrets of the receiver: an answer that repeats one is not shown.
    secrets: Vec<Secret>,
    timing: Timing,
}

impl TestDelivery {
    async fn group(
        &self,
        settings: &NotifySettings,
        receiver: &ReceiverSettings,
        group: &GroupReceiver,
        context: &MessageContext,
    ) -> Vec<TestStep> {
        let config = Arc::new(GroupConfig::new(settings, receiver, group, context));
        let anchor = clock::anchor();
        let (mut steps, fired) = self
            .notify(&config, anchor, NotifyReason::First, None)
            .await;
        // A firing that was refused needs no resolve; one that may have arrived does.
        if let Some(incident) = fired {
            let (resolves, _) = self
                .notify(&config, anchor, NotifyReason::Resolved, Some(incident))
                .await;
            steps.extend(resolves);
        }
        steps
    }

    /// Sends one notification, and again as plain text if the layout is refused. Returns the
    /// incident that the receiver may have open.
    async fn notify(
        &self,
        config: &Arc<GroupConfig>,
        anchor: ClockAnchor,
        reason: NotifyReason,
        incident: Option<IncidentRef>,
    ) -> (Vec<TestStep>, Option<IncidentRef>) {
        let mut steps = Vec::new();
        for plain in [false, true] {
            let attempt = self.attempt(anchor, reason, incident.as_ref(), plain);
            let gate = WriteAheadGate::open(&attempt);
            let outcome = send(self.client.clone(), Arc::clone(config), attempt, gate).await;
            let circumstances = circumstances(outcome.rules, plain);
            let verdict = judge(&self.timing, &circumstances, &outcome.result);
            let what = if plain {
                format!("{} as plain text", status_of(reason))
            } else {
                status_of(reason).to_owned()
            };
            steps.push(self.step(what, &verdict, &outcome.result));
            if matches!(verdict.disposition, Disposition::RetryPlain { .. }) {
                continue;
            }
            let is_delivered = verdict.disposition == Disposition::Delivered;
            if is_delivered || verdict.maybe_received {
                return (steps, outcome.incident);
            }
            break;
        }
        (steps, None)
    }

    fn attempt(
        &self,
        anchor: ClockAnchor,
        reason: NotifyReason,
        incident: Option<&IncidentRef>,
        plain: bool,
    ) -> Attempt {
        Attempt {
            id: DeliveryId::for_test(status_of(reason), anchor.wall.as_nanos()),
            notification: Arc::new(notification(&self.name, &anchor, reason)),
            anchor,
            number: 1,
            plain,
            left: None,
            incident: incident.cloned(),
            open_incidents: incident.into_iter().cloned().collect(),
        }
    }

    async fn alertmanager(
        &self,
        config: Arc<PeriodicConfig<AlertmanagerSettings>>,
    ) -> Vec<TestStep> {
        let anchor = clock::anchor();
        let mut sent = SentAlerts::default();
        let mut firing = Vec::new();
        for alert in notification(&self.name, &anchor, NotifyReason::First).alerts {
            let suppressed = false;
            firing.push(FiringAlert { alert, suppressed });
        }
        sent.update(anchor.mono, &firing, &[]);
        let mut steps = self.each_member(&config, "firing", &sent).await;
        let resolved = notification(&self.name, &anchor, NotifyReason::Resolved).alerts;
        sent.update(anchor.mono, &[], &resolved);
        steps.extend(self.each_member(&config, "resolved", &sent).await);
        steps
    }

    /// Sends `sent` to every member of the cluster.
    async fn each_member(
        &self,
        config: &Arc<PeriodicConfig<AlertmanagerSettings>>,
        what: &str,
        sent: &SentAlerts,
    ) -> Vec<TestStep> {
        let mut steps = Vec::new();
        for url in &config.receiver.urls {
            let result = periodic::resend(&self.client, config, url, sent).await;
            steps.push(self.judged(format!("{what} to {url}"), &result));
        }
        steps
    }

    async fn dead_mans_switch(
        &self,
        config: Arc<PeriodicConfig<DeadMansSwitchSettings>>,
    ) -> TestStep {
        let result = periodic::request(&self.client, &config).await;
        self.judged("heartbeat".to_owned(), &result)
    }

    fn judged(&self, what: String, result: &AttemptResult) -> TestStep {
        let verdict = judge(&self.timing, &circumstances(&HttpAnswers, true), result);
        self.step(what, &verdict, result)
    }

    fn step(&self, what: String, verdict: &RetryVerdict, result: &AttemptResult) -> TestStep {
        // Others have it: the receiver works.
        let is_for_the_rest = !verdict.left.is_empty();
        let consequence = match verdict.disposition {
            Disposition::Delivered => String::new(),
            _ if is_for_the_rest => " (a real one would be tried again for these)".to_owned(),
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
        TestStep {
            what,
            accepted: verdict.disposition == Disposition::Delivered || is_for_the_rest,
            answer: format!("{result}{consequence}{body}"),
        }
    }

    /// The beginning of an answer's body, unless it repeats a secret of the request.
    fn shown(&self, body: &str) -> String {
        let body = body.trim();
        if body.is_empty() {
            return String::new();
        }
        let mut secrets = self.secrets.iter();
        if secrets.any(|secret| body.contains(secret.reveal())) {
            return ": the answer repeats a secret and is not shown".to_owned();
        }
        format!(": {}", text::cut(body, MAX_ANSWER))
    }
}

fn circumstances(rules: &'static dyn AnswerRules, plain: bool) -> Circumstances {
    Circumstances {
        rules,
        attempt: 1,
        plain,
        to_the_rest: false,
        jitter: 0.0,
        now: clock::anchor(),
    }
}

fn status_of(reason: NotifyReason) -> &'static str {
    match reason {
        NotifyReason::Resolved => "resolved",
        _ => "firing",
    }
}

/// A notification about nothing: a critical lag of a pair that does not exist, with the label
/// `test`.
fn notification(receiver: &str, anchor: &ClockAnchor, reason: NotifyReason) -> Notification {
    let mut alert = firing_alert(anchor);
    if reason == NotifyReason::Resolved {
        alert.status = AlertStatus::Resolved;
        alert.resolved = Some((anchor.mono, ResolveReason::Cleared));
    }
    let mut group = Labels::clone(&alert.identity.labels);
    group.retain(|name, _| name.ends_with("_dc"));
    let rule = alert.identity.rule.alert_name();
    group.insert("alertname".to_owned(), rule.to_owned());
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

fn firing_alert(anchor: &ClockAnchor) -> AlertSnapshot {
    let identity = AlertIdentity {
        rule: Rule::LagSeconds,
        labels: labels(&[
            ("pair", "test-notify"),
            ("source_dc", "test"),
            ("target_dc", "test"),
            ("replica", "test"),
        ]),
    };
    AlertSnapshot {
        fingerprint: identity.fingerprint(),
        identity,
        severity: Severity::Critical,
        status: AlertStatus::Firing,
        started_at: anchor.mono,
        resolved: None,
        value: Measured {
            estimate: Some(seconds(123)),
            lower: Some(seconds(122)),
            upper: Some(seconds(124)),
        },
        threshold: seconds(120),
        peak: Some(seconds(123)),
        context: Arc::new(AlertContext {
            extra_labels: labels(&[("test", "true")]),
            reason: Some("this is a test of the receiver: nothing is wrong".to_owned()),
            ..AlertContext::default()
        }),
        muted_by: None,
        recovering: false,
        series: None,
        decision: None,
    }
}

fn seconds(seconds: i64) -> Quantity {
    Quantity::Seconds(Span::from_secs(seconds))
}

fn labels(pairs: &[(&str, &str)]) -> Arc<Labels> {
    let mut labels = Labels::new();
    for (name, value) in pairs {
        labels.insert((*name).to_owned(), (*value).to_owned());
    }
    Arc::new(labels)
}

#[cfg(test)]
mod tests;
