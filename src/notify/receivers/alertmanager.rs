//! Alertmanager, API v2 (<https://prometheus.io/docs/alerting/latest/clients/>): every firing alert
//! is resent at intervals, with an end that is put off each time. Nothing is queued: a lost request
//! is made up for by the next one.
//!
//! All exporters that monitor the same servers send the same labels, so that Alertmanager
//! deduplicates them. Severity is a label there, so that an alert that escalates becomes another
//! alert: the old one ends in the request that starts the new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::protocol::ReceiverSecrets;
use super::webhook::{annotations, labels};
use crate::alert::{AlertSnapshot, Fingerprint, Labels};
use crate::config::{AlertmanagerSettings, SecretSource};
use crate::model::{ClockAnchor, Span, Timestamp};
use crate::notify::context::MessageContext;
use crate::notify::text::rfc3339;

/// Alertmanager resolves an alert that is not resent for this many intervals, as it does for
/// Prometheus: three requests may get lost.
const INTERVALS_TO_LIVE: f64 = 4.0;

/// How long the end of an alert is resent. A lost end must not leave the alert open until it
/// expires.
const RESEND_END_FOR: Span = Span::from_secs(15 * 60);

/// Alerts in one request, not counting their former severities. At some 2 KB each a request stays
/// below 1 MB, where common limits of proxies begin.
pub const MAX_BATCH: usize = 256;

/// Alerts that are remembered: what fires or has just ended in the largest fleet, several alerts of
/// every pair. Alerts beyond it are not sent.
const MAX_SENT: usize = 200_000;

impl ReceiverSecrets for AlertmanagerSettings {
    fn secrets(&self) -> Vec<&SecretSource> {
        self.headers.values().collect()
    }
}

/// An alert as Alertmanager identifies it: by its labels, among them the severity.
type SentKey = (Fingerprint, Arc<Labels>);

/// The alerts that a member was sent and that are resent to it.
#[derive(Debug, Default)]
pub struct SentAlerts {
    alerts: BTreeMap<SentKey, SentAlert>,
}

/// An alert that fires.
#[derive(Clone, Debug)]
pub struct FiringAlert {
    /// The alert.
    pub alert: Arc<AlertSnapshot>,
    /// Whether changes of it are suppressed: by a silence, by maintenance or by an alert that
    /// inhibits it.
    pub suppressed: bool,
}

#[derive(Clone, Debug)]
struct SentAlert {
    alert: Arc<AlertSnapshot>,
    ended: Option<Timestamp>,
}

impl SentAlerts {
    /// Updates it with the alerts that fire for this receiver at `now`, and the listed ones that
    /// are resolved. Returns whether there is a change that should be sent at once.
    pub fn update(
        &mut self,
        now: Timestamp,
        firing: &[FiringAlert],
        resolved: &[Arc<AlertSnapshot>],
    ) -> bool {
        let mut wanted = BTreeMap::new();
        for firing in firing {
            if let Some(key) = self.key_of(firing) {
                wanted.insert(key, &firing.alert);
            }
        }
        let some_ended = self.end_others(now, &wanted, resolved);
        self.alerts
            .retain(|_, sent| sent.ended.is_none_or(|at| now - at < RESEND_END_FOR));
        let mut some_began = false;
        for (key, alert) in wanted {
            let known = self.alerts.get(&key);
            let fires_already = match known {
                Some(known) => known.ended.is_none(),
                None => false,
            };
            some_began |= !fires_already;
            if known.is_some() || self.alerts.len() < MAX_SENT {
                let alert = Arc::clone(alert);
                self.alerts.insert(key, SentAlert { alert, ended: None });
            }
        }
        some_ended || some_began
    }

    /// Ends the alerts that are not `wanted` any more. Returns whether there were any.
    fn end_others(
        &mut self,
        now: Timestamp,
        wanted: &BTreeMap<SentKey, &Arc<AlertSnapshot>>,
        resolved: &[Arc<AlertSnapshot>],
    ) -> bool {
        let mut ends = BTreeMap::new();
        for alert in resolved {
            if let Some((at, _)) = alert.resolved {
                ends.insert(alert.fingerprint, (at, alert));
            }
        }
        let mut some_ended = false;
        for (key, sent) in &mut self.alerts {
            if sent.ended.is_some() || wanted.contains_key(key) {
                continue;
            }
            some_ended = true;
            // Without a listed end the alert changed its severity, or is no longer for this
            // receiver.
            let mut ended_at = now;
            if let Some(&(at, alert)) = ends.get(&key.0) {
                ended_at = at;
                sent.alert = Arc::clone(alert);
            }
            sent.ended = Some(ended_at.max(sent.alert.started_at));
        }
        some_ended
    }

    /// The key under which the alert is sent; `None` when it is not sent. A suppressed alert
    /// neither begins nor changes, but continues as it was sent before: it has not ended.
    fn key_of(&self, firing: &FiringAlert) -> Option<SentKey> {
        let alert = &firing.alert;
        if !firing.suppressed {
            return Some((alert.fingerprint, Arc::new(labels(alert))));
        }
        let first = (alert.fingerprint, Arc::default());
        for (key, sent) in self.alerts.range(first..) {
            if key.0 != alert.fingerprint {
                return None;
            }
            if sent.ended.is_none() {
                return Some(key.clone());
            }
        }
        None
    }

    /// Whether there is nothing to resend.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// The bodies of the requests that resend everything as of `now`. What ends and what begins of
    /// one alert is in one request.
    pub fn bodies(
        &self,
        now: &ClockAnchor,
        interval: Span,
        context: &MessageContext,
    ) -> Vec<Value> {
        let until = now.mono + interval.mul_f64(INTERVALS_TO_LIVE);
        let mut bodies = Vec::new();
        let mut batch = Vec::new();
        let mut last = None;
        for ((fingerprint, labels), sent) in &self.alerts {
            if batch.len() >= MAX_BATCH && last != Some(*fingerprint) {
                bodies.push(Value::Array(std::mem::take(&mut batch)));
            }
            batch.push(sent.describe(labels, now, until, context));
            last = Some(*fingerprint);
        }
        if !batch.is_empty() {
            bodies.push(Value::Array(batch));
        }
        bodies
    }
}

impl SentAlert {
    fn describe(
        &self,
        labels: &Labels,
        now: &ClockAnchor,
        until: Timestamp,
        context: &MessageContext,
    ) -> Value {
        // Alertmanager refuses empty labels, which mean the same as absent ones.
        let mut labels = labels.clone();
        labels.retain(|_, value| !value.is_empty());
        json!({
            "labels": labels,
            "annotations": annotations(&self.alert, now.mono, now, context),
            "startsAt": rfc3339(now.wall(self.alert.started_at)),
            "endsAt": rfc3339(now.wall(self.ended.unwrap_or(until))),
            "generatorURL": context.external_url.as_deref().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;
    use crate::notify::testing::{
        anchor, context, golden, hostile_names, now, pair_alert, resolved,
    };

    const MINUTE: Span = Span::from_secs(60);

    fn at_level(alert: &Arc<AlertSnapshot>, severity: Severity) -> Arc<AlertSnapshot> {
        Arc::new(AlertSnapshot {
            severity,
            ..(**alert).clone()
        })
    }

    fn unsuppressed(alerts: &[Arc<AlertSnapshot>]) -> Vec<FiringAlert> {
        alerts
            .iter()
            .map(|alert| FiringAlert {
                alert: Arc::clone(alert),
                suppressed: false,
            })
            .collect()
    }

    fn suppressed(alert: &Arc<AlertSnapshot>) -> Vec<FiringAlert> {
        vec![FiringAlert {
            alert: Arc::clone(alert),
            suppressed: true,
        }]
    }

    #[test]
    fn a_suppressed_alert_neither_begins_nor_ends() {
        let (mut sent, critical) = (SentAlerts::default(), pair_alert("orders", 0));
        let warning = at_level(&critical, Severity::Warning);
        assert!(!sent.update(now(), &suppressed(&warning), &[]) && sent.is_empty());
        sent.update(now(), &unsuppressed(&[Arc::clone(&warning)]), &[]);
        assert!(
            !sent.update(now(), &suppressed(&critical), &[]),
            "a suppressed escalation is not sent"
        );
        assert_eq!(spelled(&sent, now()), ["warning firing"]);
        assert!(sent.update(now(), &unsuppressed(&[critical]), &[]));
        assert_eq!(spelled(&sent, now()), ["critical firing", "warning ended"]);
        assert!(
            sent.update(now(), &[], &[]),
            "the end of what was sent is sent"
        );
        assert_eq!(spelled(&sent, now()), ["critical ended", "warning ended"]);
        assert!(!sent.update(now(), &suppressed(&warning), &[]));
    }

    /// `critical firing`, `warning ended`: what is sent about the alerts, in order.
    fn spelled(sent: &SentAlerts, now: Timestamp) -> Vec<String> {
        let now = ClockAnchor {
            mono: now,
            wall: anchor().wall(now),
        };
        let bodies = sent.bodies(&now, MINUTE, &context());
        let alerts: Vec<_> = bodies
            .iter()
            .flat_map(|body| body.as_array().unwrap())
            .collect();
        let spell = |alert: &&Value| {
            let over = alert["endsAt"].as_str().unwrap() <= rfc3339(now.wall).as_str();
            let state = if over { "ended" } else { "firing" };
            format!("{} {state}", alert["labels"]["severity"].as_str().unwrap())
        };
        alerts.iter().map(spell).collect()
    }

    #[test]
    fn the_bodies_match_the_golden_files() {
        let mut sent = SentAlerts::default();
        let warning = at_level(&pair_alert("orders", 0), Severity::Warning);
        sent.update(now(), &unsuppressed(&[warning]), &[]);
        sent.update(
            now() + MINUTE,
            &unsuppressed(&[pair_alert("orders", 0)]),
            &[],
        );
        let later = ClockAnchor {
            mono: now() + MINUTE,
            wall: anchor().wall(now() + MINUTE),
        };
        golden(
            "alertmanager_escalation.json",
            &Value::Array(sent.bodies(&later, MINUTE, &context())),
        );
    }

    #[test]
    fn an_escalation_ends_the_old_alert_and_starts_the_new_one() {
        let (mut sent, critical) = (SentAlerts::default(), pair_alert("orders", 0));
        let warning = at_level(&critical, Severity::Warning);
        assert!(sent.update(now(), &unsuppressed(&[Arc::clone(&warning)]), &[]));
        assert_eq!(spelled(&sent, now()), ["warning firing"]);
        assert!(
            !sent.update(now(), &unsuppressed(&[Arc::clone(&warning)]), &[]),
            "nothing is new"
        );
        assert!(sent.update(now(), &unsuppressed(&[Arc::clone(&critical)]), &[]));
        assert_eq!(spelled(&sent, now()), ["critical firing", "warning ended"]);
        assert!(
            sent.update(now(), &unsuppressed(&[warning]), &[]),
            "and back"
        );
        assert_eq!(spelled(&sent, now()), ["critical ended", "warning firing"]);
    }

    #[test]
    fn an_end_is_resent_for_15_minutes_with_its_own_time() {
        let (mut sent, alert) = (SentAlerts::default(), pair_alert("orders", 0));
        sent.update(now(), &unsuppressed(&[Arc::clone(&alert)]), &[]);
        let later = now() + Span::from_secs(5);
        assert!(sent.update(later, &[], &[resolved(Arc::clone(&alert))]));
        let bodies = sent.bodies(&anchor(), MINUTE, &context());
        assert_eq!(
            bodies[0][0]["endsAt"],
            rfc3339(anchor().wall(now())),
            "when it was over, not when that was seen"
        );
        assert!(!sent.update(now() + Span::from_secs(899), &[], &[]) && !sent.is_empty());
        sent.update(now() + Span::from_secs(900), &[], &[]);
        assert!(sent.is_empty());
    }

    #[test]
    fn an_alert_that_fires_again_is_sent_at_once() {
        let (mut sent, alert) = (SentAlerts::default(), pair_alert("orders", 0));
        sent.update(now(), &unsuppressed(&[Arc::clone(&alert)]), &[]);
        sent.update(now(), &[], &[]);
        assert_eq!(spelled(&sent, now()), ["critical ended"]);
        assert!(sent.update(now() + MINUTE, &unsuppressed(&[alert]), &[]));
        assert_eq!(spelled(&sent, now() + MINUTE), ["critical firing"]);
    }

    #[test]
    fn ten_thousand_alerts_go_in_requests_of_a_bounded_size_and_no_alert_is_split() {
        let mut sent = SentAlerts::default();
        let alerts: Vec<_> = (0..10_000).map(|n| pair_alert("orders", n)).collect();
        let warnings: Vec<_> = alerts
            .iter()
            .map(|alert| at_level(alert, Severity::Warning))
            .collect();
        sent.update(now(), &unsuppressed(&warnings), &[]);
        sent.update(now(), &unsuppressed(&alerts), &[]);
        let bodies = sent.bodies(&anchor(), MINUTE, &context());
        assert_eq!(
            bodies
                .iter()
                .map(|body| body.as_array().unwrap().len())
                .sum::<usize>(),
            20_000
        );
        let mut seen = std::collections::BTreeSet::new();
        for body in &bodies {
            let replicas: std::collections::BTreeSet<_> = body
                .as_array()
                .unwrap()
                .iter()
                .map(|alert| alert["labels"]["replica"].to_string())
                .collect();
            assert!(
                body.as_array().unwrap().len() <= MAX_BATCH + 1
                    && body.to_string().len() <= 1_000_000
            );
            assert!(
                replicas.iter().all(|replica| seen.insert(replica.clone())),
                "an alert is in two requests"
            );
        }
    }

    #[test]
    fn hostile_names_arrive_as_they_are() {
        for name in hostile_names() {
            let mut sent = SentAlerts::default();
            sent.update(now(), &unsuppressed(&[pair_alert(&name, 0)]), &[]);
            let bodies = sent.bodies(&anchor(), MINUTE, &context());
            let again: Value = serde_json::from_str(&bodies[0].to_string()).unwrap();
            assert_eq!(again[0]["labels"]["pair"], name.as_str());
        }
    }

    #[test]
    fn two_exporters_send_the_same_labels() {
        let mut sent = SentAlerts::default();
        sent.update(now(), &unsuppressed(&[pair_alert("orders", 0)]), &[]);
        let by = |exporter: &str| {
            let context = MessageContext {
                exporter: exporter.to_owned(),
                ..context()
            };
            sent.bodies(&anchor(), MINUTE, &context)[0][0]["labels"].clone()
        };
        assert_eq!(by("monitor-1"), by("monitor-2"));
    }
}
