//! What Alertmanager is told: every alert that fires, again and again, with an end that is put off
//! each time (<https://prometheus.io/docs/alerting/latest/clients/>, API v2). Nothing is queued:
//! what is lost is told again.
//!
//! All exporters that watch the same servers send the same labels, so Alertmanager takes two of
//! them for one. Severity is a label there, so an alert that escalates is another alert: the old
//! one ends in the request that begins the new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::alert::{AlertSnapshot, Fingerprint, Labels};
use crate::model::{ClockAnchor, Span, Timestamp};

use super::message::MessageContext;
use super::text::rfc3339;
use super::webhook::{annotations, labels};

/// An alert that is not told again is over after this many intervals, as with Prometheus: three
/// requests may get lost.
const INTERVALS_TO_LIVE: f64 = 4.0;

/// How long the end of an alert is told again: one that is lost must not leave it open until it
/// runs out.
const TOLD_AFTER_END: Span = Span::from_secs(15 * 60);

/// Alerts in one request, and those that end in it with them. At some 2 KB each a request stays
/// below 1 MB, where common limits of proxies begin.
pub const MAX_BATCH: usize = 256;

/// Alerts that are remembered: what fires or has just ended in the largest fleet, every pair with
/// several alerts. Beyond it the newest ends are forgotten, and run out by themselves.
const MAX_TOLD: usize = 200_000;

/// What the cluster was told and is to be told.
#[derive(Debug, Default)]
pub struct Told {
    alerts: BTreeMap<(Fingerprint, Arc<Labels>), Standing>,
}

/// An alert that fires.
#[derive(Clone, Debug)]
pub struct Firing {
    /// The alert.
    pub alert: Arc<AlertSnapshot>,
    /// Whether news of it are kept quiet: by a silence, by maintenance or by an alert that explains
    /// it.
    pub quiet: bool,
}

/// How one alert stands.
#[derive(Clone, Debug)]
struct Standing {
    alert: Arc<AlertSnapshot>,
    ended: Option<Timestamp>,
}

impl Told {
    /// Takes in which alerts fire for this receiver now, and which are over and still listed.
    /// Returns whether there is something new that should not wait.
    pub fn look(&mut self, now: Timestamp, firing: &[Firing], over: &[Arc<AlertSnapshot>]) -> bool {
        let mut news = false;
        let wanted: BTreeMap<_, _> = firing
            .iter()
            .filter_map(|firing| Some((self.key_of(firing)?, &firing.alert)))
            .collect();
        let ends: BTreeMap<_, _> = over
            .iter()
            .filter_map(|alert| Some((alert.fingerprint, (alert.resolved?.0, alert))))
            .collect();
        for ((fingerprint, labels), standing) in &mut self.alerts {
            if standing.ended.is_none() && !wanted.contains_key(&(*fingerprint, Arc::clone(labels)))
            {
                // An end that was seen is told as it was; otherwise it is another alert from now
                // on.
                let end = ends
                    .get(fingerprint)
                    .map(|&(at, alert)| (at, Arc::clone(alert)));
                let (at, alert) = end.unwrap_or_else(|| (now, Arc::clone(&standing.alert)));
                *standing = Standing {
                    ended: Some(at.max(alert.started_at)),
                    alert,
                };
                news = true;
            }
        }
        self.alerts
            .retain(|_, standing| standing.ended.is_none_or(|at| now - at < TOLD_AFTER_END));
        for (key, alert) in wanted {
            news |= self
                .alerts
                .get(&key)
                .is_none_or(|known| known.ended.is_some());
            if self.alerts.len() < MAX_TOLD || self.alerts.contains_key(&key) {
                self.alerts.insert(
                    key,
                    Standing {
                        alert: Arc::clone(alert),
                        ended: None,
                    },
                );
            }
        }
        news
    }

    /// As which alert it is told; `None` when it is not. One that is kept quiet neither begins nor
    /// changes, but goes on as it was told before: an end that is none would be a lie.
    fn key_of(&self, firing: &Firing) -> Option<(Fingerprint, Arc<Labels>)> {
        let alert = &firing.alert;
        let told = || {
            let first = (alert.fingerprint, Arc::default());
            let of_alert = self
                .alerts
                .range(first..)
                .take_while(|((print, _), _)| *print == alert.fingerprint);
            of_alert
                .filter(|(_, standing)| standing.ended.is_none())
                .map(|(key, _)| key.clone())
                .next()
        };
        if firing.quiet {
            told()
        } else {
            Some((alert.fingerprint, Arc::new(labels(alert))))
        }
    }

    /// Whether there is anything to tell.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// The bodies of the requests that tell everything as of `now`. What ends and what begins of
    /// one alert stand in one.
    pub fn bodies(
        &self,
        now: &ClockAnchor,
        interval: Span,
        context: &MessageContext,
    ) -> Vec<Value> {
        let until = now.mono + interval.mul_f64(INTERVALS_TO_LIVE);
        let (mut bodies, mut batch, mut last) = (Vec::new(), Vec::new(), None);
        for ((fingerprint, labels), standing) in &self.alerts {
            if batch.len() >= MAX_BATCH && last != Some(*fingerprint) {
                bodies.push(Value::Array(std::mem::take(&mut batch)));
            }
            batch.push(standing.describe(labels, now, until, context));
            last = Some(*fingerprint);
        }
        bodies.extend((!batch.is_empty()).then_some(Value::Array(batch)));
        bodies
    }
}

impl Standing {
    fn describe(
        &self,
        labels: &Labels,
        now: &ClockAnchor,
        until: Timestamp,
        context: &MessageContext,
    ) -> Value {
        // Labels that are empty are refused, and mean the same as none.
        let labels: BTreeMap<_, _> = labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
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
    use super::super::testing::{
        anchor, context, golden, hostile_names, now, pair_alert, resolved,
    };
    use super::*;
    use crate::config::Severity;

    const MINUTE: Span = Span::from_secs(60);

    fn at_level(alert: &Arc<AlertSnapshot>, severity: Severity) -> Arc<AlertSnapshot> {
        Arc::new(AlertSnapshot {
            severity,
            ..(**alert).clone()
        })
    }

    fn loud(alerts: &[Arc<AlertSnapshot>]) -> Vec<Firing> {
        alerts
            .iter()
            .map(|alert| Firing {
                alert: Arc::clone(alert),
                quiet: false,
            })
            .collect()
    }

    fn quiet(alert: &Arc<AlertSnapshot>) -> Vec<Firing> {
        vec![Firing {
            alert: Arc::clone(alert),
            quiet: true,
        }]
    }

    #[test]
    fn what_is_kept_quiet_begins_nothing_and_ends_nothing() {
        let (mut told, critical) = (Told::default(), pair_alert("orders", 0));
        let warning = at_level(&critical, Severity::Warning);
        assert!(!told.look(now(), &quiet(&warning), &[]) && told.is_empty());
        told.look(now(), &loud(&[Arc::clone(&warning)]), &[]);
        assert!(
            !told.look(now(), &quiet(&critical), &[]),
            "an escalation is kept quiet"
        );
        assert_eq!(spelled(&told, now()), ["warning firing"]);
        assert!(told.look(now(), &loud(&[critical]), &[]));
        assert_eq!(spelled(&told, now()), ["critical firing", "warning ended"]);
        assert!(
            told.look(now(), &[], &[]),
            "the end of what was told is told"
        );
        assert_eq!(spelled(&told, now()), ["critical ended", "warning ended"]);
        assert!(!told.look(now(), &quiet(&warning), &[]));
    }

    /// `critical firing`, `warning ended`: what is told of the alerts, in order.
    fn spelled(told: &Told, now: Timestamp) -> Vec<String> {
        let now = ClockAnchor {
            mono: now,
            wall: anchor().wall(now),
        };
        let bodies = told.bodies(&now, MINUTE, &context());
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
    fn the_bodies_are_as_agreed() {
        let mut told = Told::default();
        let warning = at_level(&pair_alert("orders", 0), Severity::Warning);
        told.look(now(), &loud(&[warning]), &[]);
        told.look(now() + MINUTE, &loud(&[pair_alert("orders", 0)]), &[]);
        let later = ClockAnchor {
            mono: now() + MINUTE,
            wall: anchor().wall(now() + MINUTE),
        };
        golden(
            "alertmanager_escalation.json",
            &Value::Array(told.bodies(&later, MINUTE, &context())),
        );
    }

    #[test]
    fn an_escalation_ends_the_old_alert_beside_the_new_one() {
        let (mut told, critical) = (Told::default(), pair_alert("orders", 0));
        let warning = at_level(&critical, Severity::Warning);
        assert!(told.look(now(), &loud(&[Arc::clone(&warning)]), &[]));
        assert_eq!(spelled(&told, now()), ["warning firing"]);
        assert!(
            !told.look(now(), &loud(&[Arc::clone(&warning)]), &[]),
            "nothing is new"
        );
        assert!(told.look(now(), &loud(&[Arc::clone(&critical)]), &[]));
        assert_eq!(spelled(&told, now()), ["critical firing", "warning ended"]);
        assert!(told.look(now(), &loud(&[warning]), &[]), "and back");
        assert_eq!(spelled(&told, now()), ["critical ended", "warning firing"]);
    }

    #[test]
    fn an_end_is_told_for_a_quarter_of_an_hour_with_its_own_time() {
        let (mut told, alert) = (Told::default(), pair_alert("orders", 0));
        told.look(now(), &loud(&[Arc::clone(&alert)]), &[]);
        let later = now() + Span::from_secs(5);
        assert!(told.look(later, &[], &[resolved(Arc::clone(&alert))]));
        let bodies = told.bodies(&anchor(), MINUTE, &context());
        assert_eq!(
            bodies[0][0]["endsAt"],
            rfc3339(anchor().wall(now())),
            "when it was over, not when that was seen"
        );
        assert!(!told.look(now() + Span::from_secs(899), &[], &[]) && !told.is_empty());
        told.look(now() + Span::from_secs(900), &[], &[]);
        assert!(told.is_empty());
    }

    #[test]
    fn an_alert_that_fires_again_is_news() {
        let (mut told, alert) = (Told::default(), pair_alert("orders", 0));
        told.look(now(), &loud(&[Arc::clone(&alert)]), &[]);
        told.look(now(), &[], &[]);
        assert_eq!(spelled(&told, now()), ["critical ended"]);
        assert!(told.look(now() + MINUTE, &loud(&[alert]), &[]));
        assert_eq!(spelled(&told, now() + MINUTE), ["critical firing"]);
    }

    #[test]
    fn ten_thousand_alerts_go_in_requests_of_a_bounded_size_and_no_alert_is_split() {
        let mut told = Told::default();
        let alerts: Vec<_> = (0..10_000).map(|n| pair_alert("orders", n)).collect();
        let warnings: Vec<_> = alerts
            .iter()
            .map(|alert| at_level(alert, Severity::Warning))
            .collect();
        told.look(now(), &loud(&warnings), &[]);
        told.look(now(), &loud(&alerts), &[]);
        let bodies = told.bodies(&anchor(), MINUTE, &context());
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
            let mut told = Told::default();
            told.look(now(), &loud(&[pair_alert(&name, 0)]), &[]);
            let bodies = told.bodies(&anchor(), MINUTE, &context());
            let again: Value = serde_json::from_str(&bodies[0].to_string()).unwrap();
            assert_eq!(again[0]["labels"]["pair"], name.as_str());
        }
    }

    #[test]
    fn two_exporters_send_the_same_labels() {
        let mut told = Told::default();
        told.look(now(), &loud(&[pair_alert("orders", 0)]), &[]);
        let by = |exporter: &str| {
            let context = MessageContext {
                exporter: exporter.to_owned(),
                ..context()
            };
            told.bodies(&anchor(), MINUTE, &context)[0][0]["labels"].clone()
        };
        assert_eq!(by("monitor-1"), by("monitor-2"));
    }
}
