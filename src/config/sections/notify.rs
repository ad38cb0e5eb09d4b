//! `notify`: the receivers, the grouping, and how often they are notified.

use super::email::email;
use super::headers::headers_of;
use super::webhook::webhook;
use super::{UniqueNames, maintenance, matchers};
use crate::config::cursor::{Cursor, Section};
use crate::config::fields;
use crate::config::table::RECEIVER;
use crate::config::value::is_label_name;
use crate::config::{
    AlertmanagerSettings, DeadMansSwitchSettings, FlappingRule, GroupReceiver, HttpSettings,
    MsTeamsSettings, NotifySettings, PagerDutySettings, ReceiverKind, ReceiverSettings, RepageOn,
    Severity, SlackBotSettings, SlackMention, SlackWebhookSettings, TemplateSettings,
};
use crate::model::Span;

/// What breaks together when a link between two datacenters does, or one datacenter.
const GROUP_BY: [&str; 4] = ["alertname", "source_dc", "target_dc", "dc"];

/// More labels than an alert has cannot tell more groups apart.
const MAX_GROUP_BY: usize = 32;

/// Where `PagerDuty` takes events, unless the account is in another region.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// Where Slack's Web API is.
const SLACK_API: &str = "https://slack.com/api";

/// Members of an Alertmanager's cluster: real ones have two to seven.
const MAX_ALERTMANAGERS: usize = 16;

/// Characters of a Slack channel's name or ID; Slack's names have up to 80.
const MAX_CHANNEL: usize = 81;

/// Mentions of one Slack receiver; a user group has room for more people.
const MAX_MENTIONS: usize = 16;

/// The kinds of receivers, each a key with its settings.
const KINDS: [&str; 7] = [
    "slack",
    "pagerduty",
    "msteams",
    "email",
    "webhook",
    "alertmanager",
    "heartbeat",
];

pub(super) fn read(root: &Section<'_>) -> NotifySettings {
    let section = root.section("notify");
    let group_by = section.read("group_by", group_by);
    let unread = NotifySettings {
        identity: String::new(),
        group_by: group_by.unwrap_or_else(default_group_by),
        group_wait: Span::ZERO,
        group_interval: Span::ZERO,
        repeat_interval: Span::ZERO,
        external_url: None,
        dashboard_url: None,
        flapping: flapping(&section),
        maintenance: maintenance::read(&section),
        receivers: receivers(&section),
    };
    fields::read(&section, unread)
}

fn receivers(notify: &Section<'_>) -> Vec<ReceiverSettings> {
    let mut names = UniqueNames::default();
    let mut receivers = Vec::new();
    let mut places = Vec::new();
    for item in notify.items("receivers") {
        let Some(section) = item.section(&RECEIVER) else {
            continue;
        };
        if let Some(receiver) = receiver(&section, &mut names) {
            receivers.push(receiver);
            places.push(section);
        }
    }
    for (receiver, section) in receivers.iter().zip(&places) {
        check_fallback(receiver, section, &receivers);
    }
    receivers
}

fn default_group_by() -> Vec<String> {
    GROUP_BY.map(str::to_owned).to_vec()
}

/// Reads the labels of a grouping. An empty list makes one group of everything.
fn group_by(cursor: &Cursor<'_>) -> Option<Vec<String>> {
    let items = cursor.items();
    if items.len() > MAX_GROUP_BY {
        cursor.add_problem(format!(
            "has {} labels; allowed: at most {MAX_GROUP_BY}",
            items.len()
        ));
    }
    let mut names = UniqueNames::default();
    items
        .iter()
        .map(|item| label_to_group_by(item, &mut names))
        .collect()
}

fn label_to_group_by(cursor: &Cursor<'_>, names: &mut UniqueNames) -> Option<String> {
    let name = cursor.text()?;
    if name == "severity" {
        cursor.add_problem(
            "alerts cannot be grouped by severity: a group would end whenever it escalates",
        );
    } else if !is_label_name(name) {
        cursor.refuse("is not a label's name; allowed: letters, digits and _, not beginning with a digit or __");
    }
    names.check(name, cursor);
    Some(name.to_owned())
}

/// Reads when an alert flaps; `null` is never.
fn flapping(notify: &Section<'_>) -> Option<FlappingRule> {
    if notify.get("flapping").is_some_and(|cursor| cursor.is_off()) {
        return None;
    }
    let unread = FlappingRule {
        changes: 0,
        window: Span::ZERO,
        stable_for: Span::ZERO,
    };
    Some(fields::read(&notify.section("flapping"), unread))
}

fn repage_on(cursor: &Cursor<'_>) -> RepageOn {
    let mut repage = RepageOn::NEVER;
    for item in cursor.items() {
        match item.text() {
            Some("escalated") => repage.escalated = true,
            Some("new_in_group") => repage.new_in_group = true,
            Some("new_critical") => repage.new_critical = true,
            Some(_) => item.refuse(
                "is no reason to page again; allowed: escalated, new_in_group, new_critical",
            ),
            None => {}
        }
    }
    repage
}

fn receiver(section: &Section<'_>, names: &mut UniqueNames) -> Option<ReceiverSettings> {
    let min_severity = section.read("min_severity", severity);
    let matchers = matchers::read(section);
    let group_by = section.read("group_by", group_by);
    let repage_on = match section.get("repage_on") {
        Some(cursor) => repage_on(&cursor),
        None => RepageOn::default(),
    };
    let kind = kind(section);
    let http = fields::read(&section.section("http"), HttpSettings::default());
    let template = fields::read(&section.section("template"), TemplateSettings::default());
    if section.has("template") && matches!(kind, Some(ReceiverKind::Periodic(_))) {
        section.refuse("a template is for messages, and this receiver gets none: remove template");
    }
    if section.has("http") && matches!(kind, Some(ReceiverKind::Group(GroupReceiver::Email(_)))) {
        section.refuse("mail goes over no HTTP: remove http (email has a key ca_file)");
    }
    let name = section.read_required("name", "the receiver's name", |cursor| {
        let name = cursor.name()?;
        names.check(name, cursor);
        Some(name.to_owned())
    });
    let fallback = section.read("fallback", |cursor| cursor.name().map(str::to_owned));
    Some(ReceiverSettings {
        name: name?,
        min_severity: min_severity.unwrap_or(Severity::Warning),
        matchers,
        fallback,
        group_by,
        repage_on,
        kind: kind?,
        http,
        template,
    })
}

/// A fallback is another receiver of the file, which is notified of groups.
fn check_fallback(receiver: &ReceiverSettings, section: &Section<'_>, all: &[ReceiverSettings]) {
    let (Some(name), Some(cursor)) = (&receiver.fallback, section.get("fallback")) else {
        return;
    };
    let named = all.iter().find(|other| other.name == *name);
    match named {
        _ if *name == receiver.name => cursor.add_problem("is the receiver itself: give another one"),
        None => cursor.add_problem("is not the name of a receiver of this file"),
        Some(other) if is_periodic(other) || is_periodic(receiver) => cursor.add_problem(
            "is for receivers that are notified of groups on both sides, and alertmanager and heartbeat are not",
        ),
        Some(_) => {}
    }
}

fn is_periodic(receiver: &ReceiverSettings) -> bool {
    matches!(receiver.kind, ReceiverKind::Periodic(_))
}

fn severity(cursor: &Cursor<'_>) -> Option<Severity> {
    let text = cursor.text()?;
    for severity in [Severity::Warning, Severity::Critical] {
        if severity.label() == text {
            return Some(severity);
        }
    }
    cursor.refuse("is not a severity; allowed: warning, critical");
    None
}

/// Reads the one kind that a receiver is of.
fn kind(section: &Section<'_>) -> Option<ReceiverKind> {
    let given: Vec<_> = KINDS.into_iter().filter(|kind| section.has(kind)).collect();
    match given.as_slice() {
        ["slack"] => slack(&section.given_section("slack")?),
        ["pagerduty"] => pagerduty(&section.given_section("pagerduty")?),
        ["msteams"] => msteams(&section.given_section("msteams")?),
        ["email"] => email(&section.given_section("email")?),
        ["webhook"] => webhook(&section.given_section("webhook")?),
        ["alertmanager"] => alertmanager(&section.given_section("alertmanager")?),
        [_] => heartbeat(&section.given_section("heartbeat")?),
        [] => {
            section.refuse_as_incomplete(format!(
                "the receiver sends to nothing: give one of {}",
                KINDS.join(", ")
            ));
            None
        }
        several => {
            section.refuse(format!(
                "the receiver has {}: give one of them, and a receiver for each",
                several.join(", ")
            ));
            None
        }
    }
}

/// The keys of a Slack bot, none of which a webhook has.
const BOT_KEYS: [&str; 4] = ["bot_token", "bot_token_file", "channel", "api_url"];

fn slack(section: &Section<'_>) -> Option<ReceiverKind> {
    let is_bot = BOT_KEYS.iter().any(|key| section.has(key));
    if !is_bot {
        return Some(ReceiverKind::from(SlackWebhookSettings {
            mention: mentions(section),
            url: section.required_secret("webhook_url")?,
        }));
    }
    if section.has("webhook_url") || section.has("webhook_url_file") {
        section.refuse(
            "a webhook and a bot are two receivers: give webhook_url, or bot_token with channel",
        );
        return None;
    }
    let token = section.required_secret("bot_token");
    let channel = section.read_required("channel", "the channel's name or ID", channel);
    let api_url = match section.get("api_url") {
        Some(cursor) => base_url(&cursor),
        None => Some(SLACK_API.to_owned()),
    };
    Some(ReceiverKind::from(SlackBotSettings {
        token: token?,
        channel: channel?,
        api_url: api_url?,
        mention: mentions(section),
    }))
}

/// Who is mentioned in Slack; nobody where the file has no such list.
fn mentions(section: &Section<'_>) -> Vec<SlackMention> {
    let items = section.items("mention");
    if items.len() > MAX_MENTIONS
        && let Some(cursor) = section.get("mention")
    {
        cursor.add_problem(format!(
            "has {} mentions; allowed: at most {MAX_MENTIONS}",
            items.len()
        ));
    }
    let mut mentions = Vec::new();
    for item in &items {
        let Some(text) = item.text() else { continue };
        match SlackMention::parse(text) {
            Some(mention) => mentions.push(mention),
            None => item.refuse(
                "is nobody in Slack; allowed: here, channel, everyone, the ID of a member (U... or W...) or of a \
                 user group (S...)",
            ),
        }
    }
    mentions
}

fn channel(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let length = text.chars().count();
    if !(1..=MAX_CHANNEL).contains(&length) || text.contains(char::is_whitespace) {
        cursor.refuse(format_args!(
            "is not a channel; allowed: its name or ID, up to {MAX_CHANNEL} characters, no spaces"
        ));
        return None;
    }
    Some(text.to_owned())
}

fn pagerduty(section: &Section<'_>) -> Option<ReceiverKind> {
    let url = match section.get("url") {
        Some(cursor) => shown_url(&cursor),
        None => Some(PAGERDUTY_URL.to_owned()),
    };
    let routing_key = section.required_secret("routing_key");
    Some(ReceiverKind::from(PagerDutySettings {
        routing_key: routing_key?,
        url: url?,
    }))
}

fn msteams(section: &Section<'_>) -> Option<ReceiverKind> {
    Some(ReceiverKind::from(MsTeamsSettings {
        url: section.required_secret("webhook_url")?,
    }))
}

fn alertmanager(section: &Section<'_>) -> Option<ReceiverKind> {
    let interval = section.span_or_default("interval");
    let headers = headers_of(section);
    let cursor = section.required("urls", "the URL of every member of the cluster")?;
    Some(ReceiverKind::from(AlertmanagerSettings {
        urls: alertmanager_urls(&cursor),
        interval,
        headers,
    }))
}

/// The URLs of a cluster's members, each of them once.
fn alertmanager_urls(cursor: &Cursor<'_>) -> Vec<String> {
    let items = cursor.items();
    if !(1..=MAX_ALERTMANAGERS).contains(&items.len()) && cursor.is_list() {
        cursor.add_problem(format!(
            "has {} URLs; allowed: 1 to {MAX_ALERTMANAGERS}",
            items.len()
        ));
    }
    let mut urls = Vec::new();
    for item in &items {
        let Some(url) = base_url(item) else { continue };
        if urls.contains(&url) {
            item.add_problem("the URL is given twice");
        }
        urls.push(url);
    }
    urls
}

fn heartbeat(section: &Section<'_>) -> Option<ReceiverKind> {
    let interval = section.span_or_default("interval");
    let headers = headers_of(section);
    Some(ReceiverKind::from(DeadMansSwitchSettings {
        url: section.required_secret("url")?,
        interval,
        headers,
    }))
}

/// A URL that something is appended to: without the slash at its end, which would be there twice.
fn base_url(cursor: &Cursor<'_>) -> Option<String> {
    let url = shown_url(cursor)?;
    if url.contains(['?', '#']) {
        cursor.refuse_hidden("has a query or a fragment, but something is appended to it");
    }
    Some(url.trim_end_matches('/').to_owned())
}

fn shown_url(cursor: &Cursor<'_>) -> Option<String> {
    cursor.url().map(str::to_owned)
}
