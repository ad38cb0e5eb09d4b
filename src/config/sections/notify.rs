//! `notify`: the receivers, the grouping, and how often they are notified.

use std::collections::{BTreeMap, HashSet};

use super::{Unique, maintenance, matchers};
use crate::config::cursor::{Cursor, Section, inline_source};
use crate::config::fields;
use crate::config::table::RECEIVER;
use crate::config::value::{any_secret, is_header_name, is_label_name};
use crate::config::{
    AlertmanagerSettings, DeadMansSwitchSettings, FlappingRule, HttpSettings, NotifySettings,
    PagerDutySettings, ReceiverKind, ReceiverSettings, RepageOn, SecretSource, Severity,
    SlackBotSettings, SlackWebhookSettings, TemplateSettings, WebhookSettings,
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

/// Headers that the exporter sets itself, or that belong to the connection.
const OWN_HEADERS: [&str; 5] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// The kinds of receivers, each a key with its settings.
const KINDS: [&str; 5] = ["slack", "pagerduty", "webhook", "alertmanager", "heartbeat"];

pub(super) fn read(root: &Section<'_>) -> NotifySettings {
    let section = root.section("notify");
    let mut names = Unique::default();
    let receivers = section.items("receivers");
    let read = receivers
        .iter()
        .filter_map(|item| receiver(&item.section(&RECEIVER)?, &mut names));
    let (receivers, fallbacks): (Vec<_>, Vec<_>) = read.unzip();
    for (receiver, cursor) in receivers.iter().zip(&fallbacks) {
        if let Some(cursor) = cursor {
            check_fallback(receiver, cursor, &receivers);
        }
    }
    let group_by = section.get("group_by").and_then(|cursor| group_by(&cursor));
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
        receivers,
    };
    fields::read(&section, unread)
}

fn default_group_by() -> Vec<String> {
    GROUP_BY.map(str::to_owned).to_vec()
}

/// Reads the labels of a grouping. An empty list makes one group of everything.
fn group_by(cursor: &Cursor<'_>) -> Option<Vec<String>> {
    let items = cursor.items();
    if items.len() > MAX_GROUP_BY {
        cursor.note(format!(
            "has {} labels; allowed: at most {MAX_GROUP_BY}",
            items.len()
        ));
    }
    let mut names = Unique::default();
    items
        .iter()
        .map(|item| label_to_group_by(item, &mut names))
        .collect()
}

fn label_to_group_by(cursor: &Cursor<'_>, names: &mut Unique) -> Option<String> {
    let name = cursor.text()?;
    if name == "severity" {
        cursor
            .note("alerts cannot be grouped by severity: a group would end whenever it escalates");
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

/// A receiver, and where its fallback is named.
fn receiver<'a>(
    section: &Section<'a>,
    names: &mut Unique,
) -> Option<(ReceiverSettings, Option<Cursor<'a>>)> {
    let min_severity = section
        .get("min_severity")
        .and_then(|cursor| severity(&cursor))
        .unwrap_or(Severity::Warning);
    let matchers = matchers::read(section);
    let group_by = section.get("group_by").and_then(|cursor| group_by(&cursor));
    let repage_on = section
        .get("repage_on")
        .map(|cursor| repage_on(&cursor))
        .unwrap_or_default();
    let kind = kind(section);
    let http = fields::read(&section.section("http"), HttpSettings::default());
    let template = fields::read(&section.section("template"), TemplateSettings::default());
    if section.has("template") && matches!(kind, Some(ReceiverKind::Periodic(_))) {
        section.refuse("a template is for messages, and this receiver gets none: remove template");
    }
    let cursor = section.required("name", "the receiver's name")?;
    let name = cursor.name()?;
    names.check(name, &cursor);
    let place = section.get("fallback");
    let fallback = place
        .as_ref()
        .and_then(|cursor| cursor.name().map(ToOwned::to_owned));
    let place = place.filter(|_| fallback.is_some());
    let name = name.to_owned();
    let kind = kind?;
    let settings = ReceiverSettings {
        name,
        min_severity,
        matchers,
        fallback,
        group_by,
        repage_on,
        kind,
        http,
        template,
    };
    Some((settings, place))
}

/// A fallback is another receiver of the file, which is notified of groups.
fn check_fallback(receiver: &ReceiverSettings, cursor: &Cursor<'_>, all: &[ReceiverSettings]) {
    let other = all
        .iter()
        .find(|other| Some(&other.name) == receiver.fallback.as_ref());
    if receiver.fallback.as_ref() == Some(&receiver.name) {
        cursor.note("is the receiver itself: give another one");
    } else if other.is_none() {
        cursor.note("is not the name of a receiver of this file");
    } else if other.is_some_and(is_periodic) || is_periodic(receiver) {
        cursor.note("is for slack, pagerduty and webhook receivers on both sides: alertmanager and heartbeat are not told of groups");
    }
}

fn is_periodic(receiver: &ReceiverSettings) -> bool {
    matches!(receiver.kind, ReceiverKind::Periodic(_))
}

fn severity(cursor: &Cursor<'_>) -> Option<Severity> {
    let text = cursor.text()?;
    let known = [Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|severity| severity.label() == text);
    cursor.checked(known.ok_or("is not a severity; allowed: warning, critical"))
}

/// Reads the one kind that a receiver is of.
fn kind(section: &Section<'_>) -> Option<ReceiverKind> {
    let given: Vec<_> = KINDS
        .iter()
        .filter_map(|kind| Some((*kind, section.get(kind)?)))
        .collect();
    match given.as_slice() {
        [("slack", _)] => slack(&section.given_section("slack")?),
        [("pagerduty", _)] => pagerduty(&section.given_section("pagerduty")?),
        [("webhook", _)] => webhook(&section.given_section("webhook")?),
        [("alertmanager", _)] => alertmanager(&section.given_section("alertmanager")?),
        [_] => heartbeat(&section.given_section("heartbeat")?),
        [] => {
            section.refuse_as_incomplete(format!(
                "the receiver sends to nothing: give one of {}",
                KINDS.join(", ")
            ));
            None
        }
        several => {
            let names: Vec<_> = several.iter().map(|(kind, _)| *kind).collect();
            section.refuse(format!(
                "the receiver has {}: give one of them, and a receiver for each",
                names.join(", ")
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
    let channel = section
        .required("channel", "the channel's name or ID")
        .and_then(|cursor| channel(&cursor));
    let api_url = section
        .get("api_url")
        .map_or_else(|| Some(SLACK_API.to_owned()), |cursor| base_url(&cursor));
    Some(ReceiverKind::from(SlackBotSettings {
        token: token?,
        channel: channel?,
        api_url: api_url?,
    }))
}

fn channel(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let fits =
        (1..=MAX_CHANNEL).contains(&text.chars().count()) && !text.contains(char::is_whitespace);
    let refusal = || {
        format!(
            "is not a channel; allowed: its name or ID, up to {MAX_CHANNEL} characters, no spaces"
        )
    };
    cursor.checked(fits.then(|| text.to_owned()).ok_or_else(refusal))
}

fn pagerduty(section: &Section<'_>) -> Option<ReceiverKind> {
    let url = section.get("url").map_or_else(
        || Some(PAGERDUTY_URL.to_owned()),
        |cursor| shown_url(&cursor),
    );
    let routing_key = section.required_secret("routing_key");
    Some(ReceiverKind::from(PagerDutySettings {
        routing_key: routing_key?,
        url: url?,
    }))
}

fn webhook(section: &Section<'_>) -> Option<ReceiverKind> {
    let secret = section.secret("secret");
    let headers = headers_of(section);
    Some(ReceiverKind::from(WebhookSettings {
        url: section.required_secret("url")?,
        headers,
        secret,
    }))
}

fn alertmanager(section: &Section<'_>) -> Option<ReceiverKind> {
    let interval = section.span_or_default("interval");
    let headers = headers_of(section);
    let cursor = section.required("urls", "the URL of every member of the cluster")?;
    let items = cursor.items();
    let urls: Vec<_> = items.iter().filter_map(base_url).collect();
    if !(1..=MAX_ALERTMANAGERS).contains(&items.len()) && cursor.is_list() {
        cursor.note(format!(
            "has {} URLs; allowed: 1 to {MAX_ALERTMANAGERS}",
            items.len()
        ));
    }
    if let Some(twice) = urls
        .iter()
        .enumerate()
        .find_map(|(at, url)| urls[..at].contains(url).then_some(at))
    {
        items[twice].note("the URL stands twice");
    }
    Some(ReceiverKind::from(AlertmanagerSettings {
        urls,
        interval,
        headers,
    }))
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

fn headers_of(section: &Section<'_>) -> BTreeMap<String, SecretSource> {
    section
        .get("headers")
        .map(|cursor| headers(&cursor))
        .unwrap_or_default()
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

/// Reads headers: `Name: value`, or `Name_file: path`.
fn headers(cursor: &Cursor<'_>) -> BTreeMap<String, SecretSource> {
    let mut seen = HashSet::new();
    let mut headers = BTreeMap::new();
    for (key, value) in cursor.entries() {
        let file_name = key.strip_suffix("_file");
        let name = file_name.unwrap_or(key);
        if !is_header_name(name) || value.is_null() {
            // The name is not shown: `{Authorization:secret}` and `{Authorization, secret}` make
            // one of the secret.
            cursor.note("has an entry that is no header with a value (is there a space behind every colon?)");
            continue;
        }
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            value.note("the exporter sets this header itself");
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            value.note("the header stands twice (upper and lower case are alike, and Name_file gives Name)");
        }
        let source = match file_name {
            Some(_) => value.secret_file(),
            None => inline_source(&value, any_secret),
        };
        headers.extend(source.map(|source| (name.to_owned(), source)));
    }
    headers
}
