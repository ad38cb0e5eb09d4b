//! A receiver's own words for a message, in place of the built-in ones.

use serde_json::{Map, Value, json};

use crate::alert::{AlertStatus, Notification};
use crate::config::TemplateSettings;

use super::facts::FACTS;
use super::message::{DescribedAlert, Message};
use super::text::one_line;

/// Puts the words of `templates` in place of the message's. Where one fails, the built-in text
/// stays and the message says so: a mistake in a template must not cost a page.
pub(super) fn apply(
    templates: &TemplateSettings,
    notification: &Notification,
    message: &mut Message,
) {
    if *templates == TemplateSettings::default() {
        return;
    }
    let values = values(notification, message);
    let mut errors = Vec::new();
    let mut words = |name: &str, template: &Option<crate::template::Template>| {
        let rendered = template.as_ref()?.render(&values);
        rendered
            .map_err(|error| errors.push(format!("{name}: {error}")))
            .ok()
    };
    if let Some(title) = words("title", &templates.title) {
        message.title = one_line(&title);
        message.news = None;
    }
    if let Some(summary) = words("summary", &templates.summary) {
        message.summary = lines(&summary);
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

/// What a template may name. What is not known is empty.
fn values(notification: &Notification, message: &Message) -> Value {
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
        "title": message.title,
        "summary": message.summary,
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
    use crate::notify::MessageContext;
    use crate::template::Template;

    fn message(title: Option<&str>, summary: Option<&str>) -> Message {
        let template = |text: &str| Template::new(text).unwrap();
        let template = TemplateSettings {
            title: title.map(template),
            summary: summary.map(template),
        };
        let told = notification(
            NotifyReason::First,
            vec![pair_alert("or\u{7}ders", 0), pair_alert("b", 1)],
        );
        Message::new(
            &told,
            &anchor(),
            &MessageContext {
                template,
                ..context()
            },
        )
    }

    #[test]
    fn a_receivers_words_take_the_place_of_ours() {
        let title = "{{ level }} {{ source_dc }}>{{ target_dc }}: {{ alerts[0].labels.pair }}";
        let summary = "{% for a in alerts %}{{ a.subject }}: {{ a.facts.value }}{{ a.facts.server }}\n{% endfor %}";
        let message = message(Some(title), Some(summary));
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
        let ours = message(None, None);
        let failed = message(Some("{{ titel }}"), Some("{{ alertname }}"));
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
