//! Where a person goes from a message: the runbook, the dashboard of that time, and the command
//! that silences it.

use std::fmt::Write as _;

use crate::alert::{AlertSnapshot, AlertStatus, Labels, Notification, Rule};
use crate::model::{ClockAnchor, Span, Timestamp};

use super::message::MessageContext;

/// What a dashboard shows of the time before the first alert began: how it came about.
const BEFORE: Span = Span::from_secs(900);

/// What a dashboard shows of the time after the last alert was over.
const AFTER: Span = Span::from_secs(300);

/// The longest command: one of several lines of a terminal is copied wrongly, or not at all.
const MAX_COMMAND: usize = 1_000;

/// The labels that our dashboards have as variables.
const VARIABLES: [&str; 4] = ["pair", "source_dc", "target_dc", "replica"];

/// One way on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What is there.
    pub name: &'static str,
    /// Where it is.
    pub url: String,
}

/// The ways on from a message: the runbooks of the rules that fire, then the dashboard.
pub fn links(
    notification: &Notification,
    context: &MessageContext,
    anchor: &ClockAnchor,
) -> Vec<Link> {
    let firing = notification
        .alerts
        .iter()
        .filter(|alert| alert.status == AlertStatus::Firing);
    let mut rules: Vec<_> = firing.map(|alert| alert.identity.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let runbooks = rules.into_iter().filter_map(|rule| runbook(rule, context));
    let runbooks = runbooks.map(|url| Link {
        name: "Runbook",
        url,
    });
    let name = if context.dashboard_url.is_some() {
        "Dashboard"
    } else {
        "Status page"
    };
    let dashboard = dashboard(&notification.alerts, context, anchor).map(|url| Link { name, url });
    runbooks.chain(dashboard).collect()
}

/// The runbook of `rule`, which the exporter serves itself.
pub fn runbook(rule: Rule, context: &MessageContext) -> Option<String> {
    let base = context.external_url.as_deref()?.trim_end_matches('/');
    Some(format!("{base}/runbooks/{}", rule.alert_name()))
}

/// The dashboard from before the first of `alerts` until now, or until the last was over; without a
/// dashboard the exporter's own page.
pub fn dashboard<A>(alerts: &[A], context: &MessageContext, anchor: &ClockAnchor) -> Option<String>
where
    A: AsRef<AlertSnapshot>,
{
    let Some(base) = &context.dashboard_url else {
        return Some(format!(
            "{}/",
            context.external_url.as_deref()?.trim_end_matches('/')
        ));
    };
    let alerts = || alerts.iter().map(AsRef::as_ref);
    let begin = alerts().map(|alert| alert.started_at).min()?;
    let fires = alerts().any(|alert| alert.status == AlertStatus::Firing);
    let end = alerts()
        .filter_map(|alert| Some(alert.resolved?.0))
        .max()
        .filter(|_| !fires);
    let millis = |at: Timestamp| anchor.wall(at).as_nanos() / 1_000_000;
    let mut url = format!(
        "{base}{}from={}",
        if base.contains('?') { '&' } else { '?' },
        millis(begin - BEFORE)
    );
    match end {
        Some(end) => _ = write!(url, "&to={}", millis(end + AFTER)),
        None => url.push_str("&to=now"),
    }
    for name in VARIABLES {
        if let Some(value) = in_common(alerts(), name) {
            _ = write!(url, "&var-{name}={}", encoded(value));
        }
    }
    Some(url)
}

/// The value of a label, where all of `alerts` have the same.
fn in_common<'a>(
    mut alerts: impl Iterator<Item = &'a AlertSnapshot>,
    name: &str,
) -> Option<&'a str> {
    let first = alerts.next()?.identity.labels.get(name)?;
    alerts
        .all(|alert| alert.identity.labels.get(name) == Some(first))
        .then_some(first)
}

/// The command that silences what is told for two hours; absent when a person could not type it.
pub fn silence_command(notification: &Notification) -> Option<String> {
    if notification.status == AlertStatus::Resolved {
        return None;
    }
    let mut labels = (*notification.group.0).clone();
    if let [only] = notification.alerts.as_slice() {
        labels.extend(Labels::clone(&only.identity.labels));
        labels.insert(
            "alertname".to_owned(),
            only.identity.rule.alert_name().to_owned(),
        );
    }
    let matches = labels
        .iter()
        .map(|(name, value)| format!(" {}", shell_word(&format!("{name}={value}"))));
    let matches: String = matches.collect();
    let command = format!(
        "redis-cross-dc-exporter silence add{matches} --for 2h --comment 'looking into it'"
    );
    let typeable =
        !command.contains(char::is_control) && command.len() <= MAX_COMMAND && !labels.is_empty();
    typeable.then_some(command)
}

/// `text` as one word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-=./:@,+".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `text` as the value of a URL's query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'~' => {
                url.push(char::from(byte));
            }
            other => _ = write!(url, "%{other:02X}"),
        }
        url
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        anchor, context, hostile_names, notification, pair_alert, resolved, server_alert,
    };
    use super::*;
    use crate::alert::NotifyReason;
    use std::sync::Arc;

    fn with_dashboard(url: &str) -> MessageContext {
        MessageContext {
            dashboard_url: Some(url.to_owned()),
            ..context()
        }
    }

    fn urls(alerts: Vec<Arc<AlertSnapshot>>, context: &MessageContext) -> Vec<String> {
        let links = links(
            &notification(NotifyReason::First, alerts),
            context,
            &anchor(),
        );
        links
            .into_iter()
            .map(|link| format!("{} {}", link.name, link.url))
            .collect()
    }

    #[test]
    fn a_message_leads_to_the_runbook_and_to_the_dashboard_of_that_time() {
        let alerts = vec![pair_alert("or ders", 0), pair_alert("or ders", 1)];
        let grafana = with_dashboard("https://grafana.example.com/d/x?orgId=1");
        let runbook = "Runbook https://redis-lag.example.com/runbooks/RedisCrossDcLagHigh";
        let dashboard = "Dashboard https://grafana.example.com/d/x?orgId=1&from=1699998850000&to=now\
                         &var-pair=or%20ders&var-source_dc=dc1&var-target_dc=dc2";
        assert_eq!(urls(alerts, &grafana), [runbook, dashboard]);
        let over = urls(
            vec![resolved(server_alert())],
            &with_dashboard("http://g/d/x"),
        );
        assert_eq!(
            over,
            ["Dashboard http://g/d/x?from=1699998850000&to=1700000300000"]
        );
    }

    #[test]
    fn without_a_dashboard_the_exporters_page_is_one_and_without_a_url_there_is_none() {
        let alerts = || vec![pair_alert("orders", 0)];
        assert_eq!(
            urls(alerts(), &context())[1],
            "Status page https://redis-lag.example.com/"
        );
        assert_eq!(urls(alerts(), &MessageContext::default()), [] as [&str; 0]);
    }

    fn command(alerts: Vec<Arc<AlertSnapshot>>) -> Option<String> {
        silence_command(&notification(NotifyReason::First, alerts))
    }

    #[test]
    fn the_command_silences_one_alert_or_the_group() {
        let one = "redis-cross-dc-exporter silence add alertname=RedisCrossDcLagHigh pair=orders replica=redis2:6379 \
                   source_dc=dc1 target_dc=dc2 --for 2h --comment 'looking into it'";
        assert_eq!(command(vec![pair_alert("orders", 0)]).as_deref(), Some(one));
        let group = "redis-cross-dc-exporter silence add alertname=RedisCrossDcLagHigh source_dc=dc1 target_dc=dc2 \
                     --for 2h --comment 'looking into it'";
        assert_eq!(
            command(vec![pair_alert("a", 0), pair_alert("b", 0)]).as_deref(),
            Some(group)
        );
        assert_eq!(command(vec![resolved(pair_alert("a", 0))]), None);
    }

    /// What `sh` makes of the words of `command`, which runs nothing.
    fn words(command: &str) -> Vec<String> {
        let script = format!("printf '%s\\n' {command}");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}");
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(ToOwned::to_owned)
            .collect()
    }

    #[test]
    fn no_name_gets_out_of_its_word() {
        for name in hostile_names()
            .into_iter()
            .chain(["$(reboot); `id` 'x' \\ & | * ~".to_owned()])
        {
            let Some(command) = command(vec![pair_alert(&name, 0)]) else {
                assert!(
                    name.contains(char::is_control) || name.len() > 1_000,
                    "{name}"
                );
                continue;
            };
            assert!(
                words(&command).contains(&format!("pair={name}")),
                "{command}"
            );
        }
    }
}
