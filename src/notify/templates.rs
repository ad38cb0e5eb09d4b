//! A receiver's own templates: they replace the title and the summary of its messages.

use serde_json::{Map, Value, json};

use crate::alert::{AlertStatus, Labels, Notification};
use crate::config::TemplateSettings;
use crate::model::ClockAnchor;
use crate::template::Template;

use super::context::MessageContext;
use super::facts::FACTS;
use super::fields::set;
use super::message::{DescribedAlert, Message, marked, plain, unmarked};
use super::text::one_line;

/// The message for `notification`, with the receiver's own templates where it has any; `anchor`
/// gives the wall time of its instants.
pub fn message(
    notification: &Notification,
    anchor: &ClockAnchor,
    context: &MessageContext,
) -> Message {
    let mut message = Message::new(notification, anchor, context);
    if context.template != TemplateSettings::default() {
        apply(context, notification, &mut message);
    }
    message
}

/// Replaces the texts of `message` by those of the receiver's templates. Where a template fails,
/// the built-in text stays and the message carries the error: a mistake must not cost a page.
fn apply(context: &MessageContext, notification: &Notification, message: &mut Message) {
    let mut values = values(notification, message);
    // The results are marked, and would be so twice.
    set(&mut values, "title", unmarked(context, &message.title));
    set(&mut values, "summary", unmarked(context, &message.summary));
    let mut errors = Vec::new();
    if let Some(title) = render(
        "title",
        context.template.title.as_ref(),
        &values,
        &mut errors,
    ) {
        message.title = marked(context, &one_line(&title));
        message.built_in = None;
    }
    if let Some(summary) = render(
        "summary",
        context.template.summary.as_ref(),
        &values,
        &mut errors,
    ) {
        message.summary = marked(context, &lines(&summary));
        message.built_in = None;
    }
    if !errors.is_empty() {
        message.failed_template = Some(one_line(&errors.join("; ")));
    }
}

/// The text of the template called `name`; `None` where there is none, or where it fails, which is
/// added to `errors`.
fn render(
    name: &str,
    template: Option<&Template>,
    values: &Value,
    errors: &mut Vec<String>,
) -> Option<String> {
    match template?.render(values) {
        Ok(text) => Some(text),
        Err(error) => {
            errors.push(format!("{name}: {error}"));
            None
        }
    }
}

/// `text` in lines, without other control characters.
fn lines(text: &str) -> String {
    text.lines().map(one_line).collect::<Vec<_>>().join("\n")
}

/// What a receiver knows a request by.
#[derive(Clone, Copy, Debug)]
pub struct RequestNames<'a> {
    /// The group's key: the same in each of its messages, and over restarts.
    pub key: &'a str,
    /// The delivery's id: the same in each attempt.
    pub id: &'a str,
    /// The receiver's name.
    pub receiver: &'a str,
}

/// The values that the template of a request may name: those of `message`, of which it describes
/// `described` alerts, all of its text, and the names that a receiver knows it by.
pub fn request_values(
    notification: &Notification,
    message: &Message,
    names: RequestNames<'_>,
    described: usize,
) -> Value {
    let mut values = values(notification, message);
    let mut alerts = described_alerts(notification, message);
    let left_out = alerts.len().saturating_sub(described);
    alerts.truncate(described);
    set(&mut values, "alerts", alerts);
    set(&mut values, "more", message.more + left_out);
    set(&mut values, "text", plain::lines(message).join("\n"));
    set(&mut values, "key", names.key);
    set(&mut values, "id", names.id);
    set(&mut values, "receiver", names.receiver);
    values
}

/// The values that a template may name. One that is not known is empty.
fn values(notification: &Notification, message: &Message) -> Value {
    let labels: &Labels = &notification.group.0;
    let label = |name: &str| labels.get(name).map_or("", String::as_str);
    let firing = firing_count(notification);
    let dashboard = link_url(message, "Dashboard").or(link_url(message, "Status page"));
    json!({
        "title": message.title,
        "summary": message.summary,
        "status": message.status.label(),
        "severity": message.severity.label(),
        "level": message.level(),
        "reason": message.reason.label(),
        "alertname": label("alertname"),
        "source_dc": label("source_dc"),
        "target_dc": label("target_dc"),
        "group": labels,
        "firing": firing,
        "resolved": notification.alerts.len() - firing,
        "affected": affected(notification),
        "held": notification.held,
        "alerts": described_alerts(notification, message),
        "more": message.more,
        "advice": message.advice,
        "runbook_url": link_url(message, "Runbook").unwrap_or_default(),
        "dashboard_url": dashboard.unwrap_or_default(),
        "silence": message.silence.join("\n"),
        "as_of": message.as_of,
        "exporter": message.exporter,
    })
}

fn firing_count(notification: &Notification) -> usize {
    let mut count = 0;
    for alert in &notification.alerts {
        if alert.status == AlertStatus::Firing {
            count += 1;
        }
    }
    count
}

/// How many of how many targets are affected; null where that is not known.
fn affected(notification: &Notification) -> Value {
    match notification.affected {
        Some(affected) => json!({
            "firing": affected.firing,
            "of": affected.of,
            "kind": affected.kind.noun(affected.of),
        }),
        None => Value::Null,
    }
}

/// The URL of the message's first link called `name`.
fn link_url<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let link = message.links.iter().find(|link| link.name == name)?;
    Some(&link.url)
}

/// The described alerts: the first of the notification, with their labels.
fn described_alerts(notification: &Notification, message: &Message) -> Vec<Value> {
    let mut alerts = Vec::new();
    for (alert, description) in notification.alerts.iter().zip(&message.alerts) {
        alerts.push(described(&alert.identity.labels, description));
    }
    alerts
}

fn described(labels: &Labels, alert: &DescribedAlert) -> Value {
    let mut facts = Map::new();
    for key in FACTS {
        facts.insert(key.to_owned(), json!(""));
    }
    for fact in &alert.facts {
        facts.insert(fact.key.to_owned(), json!(fact.text.to_string()));
    }
    json!({
        "status": alert.status.label(),
        "severity": alert.severity.label(),
        "level": alert.level(),
        "subject": alert.subject,
        "labels": labels,
        "facts": facts,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{anchor, context, notification, pair_alert};
    use super::*;
    use crate::alert::NotifyReason;

    fn with_templates(title: Option<&str>, summary: Option<&str>) -> Message {
        let template = |text: &str| Template::new(text).unwrap();
        let template = TemplateSettings {
            title: title.map(template),
            summary: summary.map(template),
        };
        let notification = notification(
            NotifyReason::First,
            vec![pair_alert("or\u{7}ders", 0), pair_alert("b", 1)],
        );
        let context = MessageContext {
            template,
            ..context()
        };
        message(&notification, &anchor(), &context)
    }

    #[test]
    fn a_receivers_templates_replace_the_built_in_texts() {
        let title = "{{ level }} {{ source_dc }}>{{ target_dc }}: {{ alerts[0].labels.pair }}";
        let summary = "{% for a in alerts %}{{ a.subject }}: {{ a.facts.value }}{{ a.facts.server }}\n{% endfor %}";
        let message = with_templates(Some(title), Some(summary));
        assert_eq!(message.title, "CRITICAL dc1>dc2: or ders");
        let lines: Vec<_> = message.summary.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(
            lines[1],
            "b: dc1 → dc2, replica redis2-1:6379: 2 min 10 s (certainly 2 min 8 s to 2 min 11 s)"
        );
        assert_eq!(message.failed_template, None);
    }

    #[test]
    fn a_template_that_fails_leaves_the_built_in_text_and_is_reported() {
        let built_in = with_templates(None, None);
        let failed = with_templates(Some("{{ titel }}"), Some("{{ alertname }}"));
        assert_eq!(
            (failed.title, failed.summary.as_str()),
            (built_in.title, "RedisCrossDcLagHigh")
        );
        assert!(
            failed
                .failed_template
                .is_some_and(|why| why.starts_with("title: undefined value"))
        );
    }

    /// The names of all values, with those inside of mappings and of a list's first item: `group`
    /// and `labels` have any names, and `affected` may be null.
    fn names(value: &Value, path: &str, all: &mut std::collections::BTreeSet<String>) {
        let is_open = matches!(path.rsplit('.').next(), Some("group" | "labels"));
        all.insert(path.to_owned());
        match value {
            Value::Object(fields) if !is_open => {
                for (name, value) in fields {
                    names(value, &format!("{path}.{name}"), all);
                }
            }
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    names(first, &format!("{path}[]"), all);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_samples_of_the_configuration_have_the_names_of_real_messages() {
        let mut firing = notification(
            NotifyReason::First,
            vec![pair_alert("orders", 0), pair_alert("b", 1)],
        );
        firing.affected = Some(crate::alert::Affected {
            kind: crate::alert::TargetKind::Pair,
            firing: 2,
            of: 3,
        });
        let message = Message::new(&firing, &anchor(), &context());
        let ids = RequestNames {
            key: "k",
            id: "i",
            receiver: "r",
        };
        let mut real = std::collections::BTreeSet::new();
        names(&request_values(&firing, &message, ids, 20), "", &mut real);
        let samples = crate::config::sample_messages();
        let mut made_up = std::collections::BTreeSet::new();
        names(&samples[0], "", &mut made_up);
        assert_eq!(made_up, real);
        for sample in &samples {
            let top = |value: &Value| {
                let fields = value.as_object().unwrap();
                fields.keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(top(sample), top(&samples[0]));
        }
    }

    #[test]
    fn the_template_of_a_request_describes_as_many_alerts_as_wanted_and_counts_the_others() {
        let notification = notification(
            NotifyReason::First,
            vec![pair_alert("orders", 0), pair_alert("b", 1)],
        );
        let message = Message::new(&notification, &anchor(), &context());
        let ids = RequestNames {
            key: "k",
            id: "i",
            receiver: "r",
        };
        let values = request_values(&notification, &message, ids, 1);
        assert_eq!(values["alerts"].as_array().unwrap().len(), 1);
        assert_eq!((&values["more"], &values["key"]), (&json!(1), &json!("k")));
        assert!(
            values["text"]
                .as_str()
                .unwrap()
                .contains("sent by monitor-1")
        );
    }
}
