//! The links of a message: runbooks, the dashboard at the time of the alert or the pair's page; and
//! how to silence it: commands and a form that is filled in.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::alert::{AlertSnapshot, AlertStatus, Labels, Notification, Rule};
use crate::model::{ClockAnchor, Span, Timestamp, percent_encode, shell_quote};

use super::context::MessageContext;

/// What a dashboard shows of the time before the first alert began: how it came about.
const BEFORE: Span = Span::from_secs(900);

/// What a dashboard shows of the time after the last alert was over.
const AFTER: Span = Span::from_secs(300);

/// The longest command: one that wraps in a terminal is not copied correctly.
const MAX_COMMAND: usize = 1_000;

/// Alerts of one message with a command each; of more, one fits all of them or there is none.
const MAX_SILENCES: usize = 3;

/// The labels that our dashboards have as variables.
const VARIABLES: [&str; 4] = ["pair", "source_dc", "target_dc", "replica"];

/// A link of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The text of the link.
    pub name: &'static str,
    /// Its target.
    pub url: String,
}

/// The links of a message: the runbooks of the rules that fire, the dashboard, the silence form.
pub fn links(
    notification: &Notification,
    context: &MessageContext,
    anchor: &ClockAnchor,
) -> Vec<Link> {
    let mut links = Vec::new();
    let rules: BTreeSet<Rule> = firing(notification)
        .map(|alert| alert.identity.rule)
        .collect();
    for rule in rules {
        if let Some(url) = runbook(rule, context) {
            let name = "Runbook";
            links.push(Link { name, url });
        }
    }
    if let Some(url) = dashboard(&notification.alerts, context, anchor) {
        let name = if context.dashboard_url.is_some() {
            "Dashboard"
        } else {
            "Status page"
        };
        links.push(Link { name, url });
    }
    if let Some(url) = silence_form(notification, context) {
        let name = "Silence";
        links.push(Link { name, url });
    }
    links
}

/// The alerts that fire.
fn firing(notification: &Notification) -> impl Iterator<Item = &AlertSnapshot> {
    let alerts = notification.alerts.iter().map(|alert| &**alert);
    alerts.filter(|alert| alert.status == AlertStatus::Firing)
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
    let alerts = || alerts.iter().map(AsRef::as_ref);
    let Some(base) = &context.dashboard_url else {
        let base = context.external_url.as_deref()?.trim_end_matches('/');
        let mut page = format!("{base}/");
        if let Some((pair, replica)) = pair_in_common(alerts()) {
            page.push_str("pairs/");
            page.push_str(&percent_encode(pair));
            if let Some(replica) = replica {
                page.push_str("?replica=");
                page.push_str(&percent_encode(replica));
            }
        }
        return Some(page);
    };
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
            _ = write!(url, "&var-{name}={}", percent_encode(value));
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

/// The pair that all of `alerts` are about, and the replica, where it is one. An alert about a
/// server is about its only pair.
fn pair_in_common<'a>(
    alerts: impl Iterator<Item = &'a AlertSnapshot> + Clone,
) -> Option<(&'a str, Option<&'a str>)> {
    let mut pairs = alerts.clone().map(pair_of);
    let first = pairs.next()??;
    let is_one = pairs.all(|pair| pair == Some(first));
    is_one.then(|| (first, in_common(alerts, "replica")))
}

fn pair_of(alert: &AlertSnapshot) -> Option<&str> {
    if let Some(pair) = alert.identity.labels.get("pair") {
        return Some(pair);
    }
    let services = alert.context.services.iter();
    let mut served = services.map(|service| service.pair.as_str());
    let first = served.next()?;
    served.all(|pair| pair == first).then_some(first)
}

/// The matchers of silences that fit what fires and nothing else: one a alert where these are few,
/// else the labels of the group, if they name more than the alert. None where nothing fires.
fn silences(notification: &Notification) -> Vec<Labels> {
    let each: Vec<Labels> = firing(notification).map(matchers).collect();
    if each.len() <= MAX_SILENCES {
        return each;
    }
    let Some(mut shared) = each.into_iter().reduce(|mut shared, matchers| {
        shared.retain(|name, value| matchers.get(name) == Some(value));
        shared
    }) else {
        return Vec::new();
    };
    shared.retain(|_, value| !value.is_empty());
    let names_place = shared.keys().any(|name| name != "alertname");
    if names_place {
        vec![shared]
    } else {
        Vec::new()
    }
}

/// The labels that only this alert has.
fn matchers(alert: &AlertSnapshot) -> Labels {
    let mut labels = Labels::clone(&alert.identity.labels);
    labels.insert(
        "alertname".to_owned(),
        alert.identity.rule.alert_name().to_owned(),
    );
    labels
}

/// The commands that silence what fires for two hours, to be pasted where this exporter can be
/// reached. One that a person could not type is left out.
pub fn silence_commands(notification: &Notification, context: &MessageContext) -> Vec<String> {
    let exporter = match &context.external_url {
        Some(url) => format!(" --exporter.url {}", shell_quote(url.trim_end_matches('/'))),
        None => String::new(),
    };
    let command = |matchers: &Labels| {
        let words: Vec<_> = matchers
            .iter()
            .map(|(name, value)| shell_quote(&format!("{name}={value}")))
            .collect();
        let words = words.join(" ");
        format!(
            "redis-cross-dc-exporter silence add {words} --for 2h --comment 'looking into it'{exporter}"
        )
    };
    let commands = silences(notification);
    let commands = commands.iter().map(command);
    commands
        .filter(|command| !command.contains(char::is_control) && command.len() <= MAX_COMMAND)
        .collect()
}

/// The page's form, filled in for what fires; of several silences it could fill in only one.
fn silence_form(notification: &Notification, context: &MessageContext) -> Option<String> {
    let base = context.external_url.as_deref()?.trim_end_matches('/');
    let silences = silences(notification);
    let [matchers] = silences.as_slice() else {
        return None;
    };
    let queries: Vec<_> = matchers
        .iter()
        .map(|(name, value)| format!("silence={}", percent_encode(&format!("{name}={value}"))))
        .collect();
    let queries = queries.join("&");
    Some(format!("{base}/?{queries}&for=2h#silences"))
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
        let urls_of = |alerts, context: &MessageContext| {
            let mut urls = urls(alerts, context);
            urls.retain(|url| !url.starts_with("Silence"));
            urls
        };
        let runbook = "Runbook https://redis-lag.example.com/runbooks/RedisCrossDcLagHigh";
        let dashboard = "Dashboard https://grafana.example.com/d/x?orgId=1&from=1699998850000&to=now\
                         &var-pair=or%20ders&var-source_dc=dc1&var-target_dc=dc2";
        assert_eq!(urls_of(alerts, &grafana), [runbook, dashboard]);
        let over = urls_of(
            vec![resolved(server_alert())],
            &with_dashboard("http://g/d/x"),
        );
        assert_eq!(
            over,
            ["Dashboard http://g/d/x?from=1699998850000&to=1700000300000"]
        );
    }

    #[test]
    fn without_a_dashboard_it_leads_to_the_pairs_page_and_without_a_url_nowhere() {
        let page = |alerts| urls(alerts, &context())[1].clone();
        assert_eq!(
            page(vec![pair_alert("or ders/1", 0)]),
            "Status page https://redis-lag.example.com/pairs/or%20ders%2F1?replica=redis2%3A6379"
        );
        assert_eq!(
            page(vec![pair_alert("a", 0), pair_alert("a", 1)]),
            "Status page https://redis-lag.example.com/pairs/a"
        );
        assert_eq!(
            page(vec![pair_alert("a", 0), pair_alert("b", 0)]),
            "Status page https://redis-lag.example.com/"
        );
        assert_eq!(
            page(vec![server_alert()]),
            "Status page https://redis-lag.example.com/pairs/orders"
        );
        let alerts = vec![pair_alert("orders", 0)];
        assert_eq!(urls(alerts, &MessageContext::default()), [] as [&str; 0]);
    }

    #[test]
    fn a_link_opens_the_form_filled_in() {
        assert_eq!(
            urls(vec![pair_alert("or ders", 0)], &context())[2],
            "Silence https://redis-lag.example.com/?silence=alertname%3DRedisCrossDcLagHigh&silence=\
             pair%3Dor%20ders&silence=replica%3Dredis2%3A6379&silence=source_dc%3Ddc1&silence=\
             target_dc%3Ddc2&for=2h#silences"
        );
        let two = urls(vec![pair_alert("a", 0), pair_alert("b", 0)], &context());
        assert_eq!(two.len(), 2, "one form cannot silence two: {two:?}");
    }

    fn commands(alerts: Vec<Arc<AlertSnapshot>>) -> Vec<String> {
        silence_commands(&notification(NotifyReason::First, alerts), &context())
    }

    #[test]
    fn a_command_silences_what_fires_and_nothing_else() {
        let command = |rest: &str| {
            format!(
                "redis-cross-dc-exporter silence add alertname=RedisCrossDcLagHigh {rest}source_dc=dc1 \
                 target_dc=dc2 --for 2h --comment 'looking into it' --exporter.url \
                 https://redis-lag.example.com"
            )
        };
        let one = |pair: &str| command(&format!("pair={pair} replica=redis2:6379 "));
        assert_eq!(commands(vec![pair_alert("orders", 0)]), [one("orders")]);
        let two = vec![
            pair_alert("a", 0),
            resolved(pair_alert("c", 0)),
            pair_alert("b", 0),
        ];
        assert_eq!(commands(two), [one("a"), one("b")]);
        let many = ["a", "b", "c", "d"].map(|pair| pair_alert(pair, 0));
        assert_eq!(commands(many.into()), [command("replica=redis2:6379 ")]);
        assert_eq!(
            commands(vec![resolved(pair_alert("a", 0))]),
            [] as [&str; 0]
        );
        let local = MessageContext::default();
        let told = notification(NotifyReason::First, vec![pair_alert("a", 0)]);
        assert!(!silence_commands(&told, &local)[0].contains("--exporter.url"));
    }

    /// Full syncs of the whole company have only the alert's name in common.
    #[test]
    fn nothing_silences_a_rule_everywhere() {
        let servers = (0..4).map(|n| {
            let mut alert = (*server_alert()).clone();
            let labels = [
                ("dc".to_owned(), format!("dc{n}")),
                ("server".to_owned(), format!("s{n}:1")),
            ];
            alert.identity.labels = Arc::new(labels.into());
            Arc::new(alert)
        });
        assert_eq!(commands(servers.collect()), [] as [&str; 0]);
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
            let commands = commands(vec![pair_alert(&name, 0)]);
            let Some(command) = commands.first() else {
                assert!(
                    name.contains(char::is_control) || name.len() > 1_000,
                    "{name}"
                );
                continue;
            };
            assert!(
                words(command).contains(&format!("pair={name}")),
                "{command}"
            );
        }
    }
}
