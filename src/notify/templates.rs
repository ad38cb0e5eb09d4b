//! A receiver's own templates for the texts of a message.

use serde_json::{Map, Value, json};

use crate::alert::{AlertStatus, Notification};
use crate::config::TemplateSettings;
use crate::model::ClockAnchor;
use crate::template::Template;

use super::context::MessageContext;
use super::facts::FACTS;
use super::message::{DescribedAlert, Message, marked, unmarked};
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
/// the built-in text stays and the message says so: a mistake must not cost a page.
fn apply(context: &MessageContext, notification: &Notification, message: &mut Message) {
    let values = values(notification, message, context);
    let mut errors = Vec::new();
    let mut render =
        |name: &str, template: &Option<Template>| match template.as_ref()?.render(&values) {
            Ok(text) => Some(text),
            Err(error) => {
                errors.push(format!("{name}: {error}"));
                None
            }
        };
    if let Some(title) = render("title", &context.template.title) {
        message.title = marked(context, &one_line(&title));
        message.news = None;
    }
    if let Some(summary) = render("summary", &context.template.summary) {
        message.summary = marked(context, &lines(&summary));
        message.news = None;
    }
    if !errors.is_empty() {
        message.failed_template = Some(one_line(&errors.join("; ")));
    }
}

/// `text` in lines, without other control characters.
fn lines(text: &str) -> String {
    text.lines().map(one_line).collect::<Vec<_>>().join("\n")
}

/// The values that a template may name. One that is not known is empty.
fn values(notification: &Notification, message: &Message, context: &MessageContext) -> Value {
    let label = |name: &str| notification.group.0.get(name).cloned().unwrap_or_default();
    let firing = notification
        .alerts
        .iter()
        .filter(|alert| alert.status == AlertStatus::Firing)
        .count();
    let affected = notification.affected.map(|affected| {
        let kind = affected.kind.noun(affected.of);
        json!({"firing": affected.firing, "of": affected.of, "kind": kind})
    });
    let link = |name: &str| {
        message
            .links
            .iter()
            .find(|link| link.name == name)
            .map(|link| link.url.clone())
    };
    json!({
        "title": unmarked(context, &message.title),
        "summary": unmarked(context, &message.summary),
        "status": message.status.label(),
        "severity": message.severity.label(),
        "level": message.level(),
        "reason": message.reason.label(),
        "alertname": label("alertname"),
        "source_dc": label("source_dc"),
        "target_dc": label("target_dc"),
        "group": &*notification.group.0,
        "firing": firing,
        "resolved": notification.alerts.len() - firing,
        "affected": affected,
        "held": notification.held,
        "alerts": notification.alerts.iter().zip(&message.alerts).map(|(of, alert)| {
            described(&of.identity.labels, alert)
        }).collect::<Vec<_>>(),
        "more": message.more,
        "advice": message.advice,
        "runbook_url": link("Runbook").unwrap_or_default(),
        "dashboard_url": link("Dashboard").or_else(|| link("Status page")).unwrap_or_default(),
        "silence": message.silence.join("\n"),
        "as_of": message.as_of,
        "exporter": message.exporter,
    })
}

fn described(labels: &crate::alert::Labels, alert: &DescribedAlert) -> Value {
    let mut facts: Map<String, Value> = FACTS
        .iter()
        .map(|key| ((*key).to_owned(), json!("")))
        .collect();
    facts.extend(
        alert
            .facts
            .iter()
            .map(|fact| (fact.key.to_owned(), json!(fact.text.to_string()))),
    );
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
        let told = notification(
            NotifyReason::First,
            vec![pair_alert("or\u{7}ders", 0), pair_alert("b", 1)],
        );
        let context = MessageContext {
            template,
            ..context()
        };
        message(&told, &anchor(), &context)
    }

    #[test]
    fn a_receivers_words_take_the_place_of_ours() {
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
    fn a_template_that_fails_leaves_our_words_and_says_so() {
        let ours = with_templates(None, None);
        let failed = with_templates(Some("{{ titel }}"), Some("{{ alertname }}"));
        assert_eq!(
            (failed.title, failed.summary.as_str()),
            (ours.title, "RedisCrossDcLagHigh")
        );
        assert!(
            failed
                .failed_template
                .is_some_and(|why| why.starts_with("title: undefined value"))
        );
    }
}
