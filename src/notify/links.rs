//! The links of a message: runbooks, the dashboard at the time of the alert or the pair's page; and
//! how to silence the alert: commands, and a form that is filled in.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::alert::{AlertSnapshot, AlertStatus, Labels, Notification, Rule};
use crate::model::{ClockAnchor, Span, Timestamp, percent_encode, shell_quote};

use super::context::MessageContext;

/// How much a dashboard shows of the time before the first alert began, to show how it came about.
const BEFORE: Span = Span::from_secs(900);

/// How much a dashboard shows of the time after the last alert resolved.
const AFTER: Span = Span::from_secs(300);

/// The longest command: one that wraps in a terminal is not copied correctly.
const MAX_COMMAND: usize = 1_000;

/// Up to so many alerts of a message have a command each. More alerts share one, or there is none.
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
            let url = url + &runbook_query(notification, rule);
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

/// The labels that the exporter's runbooks fill into their commands.
const FILLED_IN: [&str; 3] = ["pair", "replica", "server"];

/// What all alerts of the rule that fire are about: the runbook is filled in with it.
fn runbook_query(notification: &Notification, rule: Rule) -> String {
    let of_rule = firing(notification).filter(|alert| alert.identity.rule == rule);
    let alerts: Vec<&AlertSnapshot> = of_rule.collect();
    let mut query = String::new();
    for name in FILLED_IN {
        if let Some(value) = common_label(&alerts, name) {
            let separator = if query.is_empty() { '?' } else { '&' };
            _ = write!(query, "{separator}{name}={}", percent_encode(value));
        }
    }
    query
}

/// The dashboard at the time of `alerts`; the exporter's own page where there is no dashboard.
pub fn dashboard<A>(alerts: &[A], context: &MessageContext, anchor: &ClockAnchor) -> Option<String>
where
    A: AsRef<AlertSnapshot>,
{
    let alerts: Vec<&AlertSnapshot> = alerts.iter().map(AsRef::as_ref).collect();
    match &context.dashboard_url {
        Some(base) => configured_dashboard(base, &alerts, anchor),
        None => status_page(&alerts, context),
    }
}

/// The dashboard at `base` from before the first of `alerts` until now, or until the last has
/// resolved.
fn configured_dashboard(
    base: &str,
    alerts: &[&AlertSnapshot],
    anchor: &ClockAnchor,
) -> Option<String> {
    let begin = alerts.iter().map(|alert| alert.started_at).min()?;
    let separator = if base.contains('?') { '&' } else { '?' };
    let from = unix_millis(begin - BEFORE, anchor);
    let mut url = format!("{base}{separator}from={from}");
    match last_end(alerts) {
        Some(end) => _ = write!(url, "&to={}", unix_millis(end + AFTER, anchor)),
        None => url.push_str("&to=now"),
    }
    for name in VARIABLES {
        if let Some(value) = common_label(alerts, name) {
            _ = write!(url, "&var-{name}={}", percent_encode(value));
        }
    }
    Some(url)
}

/// When the last of `alerts` resolved; `None` while one of them fires.
fn last_end(alerts: &[&AlertSnapshot]) -> Option<Timestamp> {
    let mut last = None;
    for alert in alerts {
        if alert.status == AlertStatus::Firing {
            return None;
        }
        if let Some((at, _)) = alert.resolved {
            last = last.max(Some(at));
        }
    }
    last
}

fn unix_millis(at: Timestamp, anchor: &ClockAnchor) -> i64 {
    anchor.wall(at).as_nanos() / 1_000_000
}

/// The exporter's own page of the pair that all of `alerts` are about, or its status page.
fn status_page(alerts: &[&AlertSnapshot], context: &MessageContext) -> Option<String> {
    let base = context.external_url.as_deref()?.trim_end_matches('/');
    let Some(pair) = common_pair(alerts) else {
        return Some(format!("{base}/"));
    };
    let mut url = format!("{base}/pairs/{}", percent_encode(pair));
    if let Some(replica) = common_label(alerts, "replica") {
        _ = write!(url, "?replica={}", percent_encode(replica));
    }
    Some(url)
}

/// The value of a label, if all of `alerts` have the same.
fn common_label<'a>(alerts: &[&'a AlertSnapshot], name: &str) -> Option<&'a str> {
    let (first, others) = alerts.split_first()?;
    let value = first.identity.labels.get(name)?;
    for other in others {
        if other.identity.labels.get(name) != Some(value) {
            return None;
        }
    }
    Some(value)
}

/// The pair that all of `alerts` are about.
fn common_pair<'a>(alerts: &[&'a AlertSnapshot]) -> Option<&'a str> {
    let (first, others) = alerts.split_first()?;
    let pair = pair_of(first)?;
    for other in others {
        if pair_of(other) != Some(pair) {
            return None;
        }
    }
    Some(pair)
}

/// The pair of an alert. An alert about a server is about the server's only pair.
fn pair_of(alert: &AlertSnapshot) -> Option<&str> {
    if let Some(pair) = alert.identity.labels.get("pair") {
        return Some(pair);
    }
    let (first, others) = alert.context.services.split_first()?;
    let is_only_pair = others.iter().all(|other| other.pair == first.pair);
    if is_only_pair {
        Some(&first.pair)
    } else {
        None
    }
}

/// The matchers of silences that fit what fires and nothing else: one for each alert where these
/// are few, else one with the labels that all have, if it names more than the rule.
fn silences(notification: &Notification) -> Vec<Labels> {
    let each: Vec<Labels> = firing(notification).map(matchers).collect();
    if each.len() <= MAX_SILENCES {
        return each;
    }
    let mut each = each.into_iter();
    let Some(mut shared) = each.next() else {
        return Vec::new();
    };
    for matchers in each {
        shared.retain(|name, value| matchers.get(name) == Some(value));
    }
    shared.retain(|_, value| !value.is_empty());
    let only_names_rule = shared.keys().all(|name| name == "alertname");
    if only_names_rule {
        return Vec::new(); // it would silence the rule everywhere
    }
    vec![shared]
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
    let mut commands = Vec::new();
    for matchers in silences(notification) {
        let command = silence_command(&matchers, context);
        if command.len() <= MAX_COMMAND && !command.contains(char::is_control) {
            commands.push(command);
        }
    }
    commands
}

fn silence_command(matchers: &Labels, context: &MessageContext) -> String {
    let mut command = "redis-cross-dc-exporter silence add".to_owned();
    for (name, value) in matchers {
        let matcher = format!("{name}={value}");
        _ = write!(command, " {}", shell_quote(&matcher));
    }
    command.push_str(" --for 2h --comment 'looking into it'");
    if let Some(url) = &context.external_url {
        let url = shell_quote(url.trim_end_matches('/'));
        _ = write!(command, " --exporter.url {url}");
    }
    command
}

/// The page's form, filled in for what fires; of several silences it could fill in only one.
fn silence_form(notification: &Notification, context: &MessageContext) -> Option<String> {
    let base = context.external_url.as_deref()?.trim_end_matches('/');
    let silences = silences(notification);
    let [matchers] = silences.as_slice() else {
        return None;
    };
    let mut url = format!("{base}/?");
    for (name, value) in matchers {
        let matcher = format!("{name}={value}");
        _ = write!(url, "silence={}&", percent_encode(&matcher));
    }
    url.push_str("for=2h#silences");
    Some(url)
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
    fn a_message_links_to_the_runbook_and_to_the_dashboard_of_that_time() {
        let alerts = vec![pair_alert("or ders", 0), pair_alert("or ders", 1)];
        let grafana = with_dashboard("https://grafana.example.com/d/x?orgId=1");
        let urls_of = |alerts, context: &MessageContext| {
            let mut urls = urls(alerts, context);
            urls.retain(|url| !url.starts_with("Silence"));
            urls
        };
        let runbook =
            "Runbook https://redis-lag.example.com/runbooks/RedisCrossDcLagHigh?pair=or%20ders";
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
    fn a_runbook_is_filled_in_with_what_all_alerts_are_about() {
        let runbook = |alerts| urls(alerts, &context())[0].clone();
        let base = "Runbook https://redis-lag.example.com/runbooks/";
        assert_eq!(
            runbook(vec![pair_alert("a/1", 0)]),
            format!("{base}RedisCrossDcLagHigh?pair=a%2F1&replica=redis2%3A6379")
        );
        assert_eq!(
            runbook(vec![pair_alert("a", 0), pair_alert("b", 1)]),
            format!("{base}RedisCrossDcLagHigh")
        );
        let server = runbook(vec![server_alert()]);
        assert!(server.contains("?server="), "{server}");
    }

    #[test]
    fn without_a_dashboard_a_message_links_to_the_pairs_page() {
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
    fn a_link_fills_in_the_silence_form() {
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
    fn a_command_silences_only_the_firing_alerts() {
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
        let notification = notification(NotifyReason::First, vec![pair_alert("a", 0)]);
        assert!(!silence_commands(&notification, &local)[0].contains("--exporter.url"));
    }

    /// Full syncs of the whole company have only the alert's name in common.
    #[test]
    fn no_command_silences_a_rule_everywhere() {
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

    /// The words into which `sh` splits `command`, which is not run.
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
    fn a_hostile_name_stays_one_shell_word() {
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
