//! `notify`: who is told, and how often.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use wildmatch::WildMatch;

use super::{Unique, maintenance};
use crate::config::cursor::{Cursor, Section, inline_source};
use crate::config::files::FileKind;
use crate::config::schema::{
    ALERTMANAGER, FLAPPING, HEARTBEAT_RECEIVER, HTTP, NOTIFY, PAGERDUTY, RECEIVER, SLACK, TEMPLATE,
    WEBHOOK,
};
use crate::config::signing_key;
use crate::config::value::{MAX_LABEL_CHARS, check_url, is_header_name, is_label_name};
use crate::config::{
    AlertmanagerSettings, DeadMansSwitchSettings, FlappingRule, HttpSettings, NotifySettings,
    PagerDutySettings, ReceiverKind, ReceiverSettings, RepageOn, SecretSource, Severity,
    SlackBotSettings, SlackWebhookSettings, TemplateSettings, WebhookSettings,
};
use crate::model::Span;
use crate::template::Template;

/// What breaks together when a link between two datacenters does, or one datacenter.
const GROUP_BY: [&str; 4] = ["alertname", "source_dc", "target_dc", "dc"];

/// More labels than an alert has cannot tell more groups apart.
const MAX_GROUP_BY: usize = 32;

/// `notify.flapping.changes`: one outage is no flapping, and what has more is caught by a smaller
/// window.
const CHANGES: RangeInclusive<u32> = 2..=100;

/// So many outages within ten minutes are no news any more: who was notified of two has looked.
const DEFAULT_CHANGES: u32 = 3;

/// `notify.flapping.window` and `stable_for`: from what tests need to a day.
const FLAPPING_SPANS: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(86_400);

/// Where `PagerDuty` takes events, unless the account is in another region.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// Where Slack's Web API is.
const SLACK_API: &str = "https://slack.com/api";

/// Members of an Alertmanager's cluster: real ones have two to seven.
const MAX_ALERTMANAGERS: usize = 16;

/// Characters of a Slack channel's name or ID; Slack's names have up to 80.
const MAX_CHANNEL: usize = 81;

/// How often something is told again: from what tests need to an hour. What fires ends for
/// Alertmanager after four.
const PERIODS: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(3600);

/// How often a heartbeat beats and Alertmanager is told again, by default.
const PERIOD: Span = Span::from_secs(60);

const GROUP_WAIT: RangeInclusive<Span> = Span::ZERO..=Span::from_secs(600);

/// `group_interval` and `repeat_interval`: from what tests need to a month.
const INTERVALS: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(30 * 86_400);

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
    let section = root.section("notify", &NOTIFY);
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
    NotifySettings {
        identity: section
            .get("identity")
            .and_then(|cursor| identity(&cursor))
            .unwrap_or_default(),
        group_by: section
            .get("group_by")
            .and_then(|cursor| group_by(&cursor))
            .unwrap_or_else(default_group_by),
        group_wait: section.span("group_wait", Span::from_secs(5), &GROUP_WAIT),
        group_interval: section.span("group_interval", Span::from_secs(60), &INTERVALS),
        repeat_interval: section.span("repeat_interval", Span::from_secs(4 * 3600), &INTERVALS),
        external_url: section
            .get("external_url")
            .and_then(|cursor| shown_url(&cursor)),
        dashboard_url: section
            .get("dashboard_url")
            .and_then(|cursor| shown_url(&cursor)),
        flapping: flapping(&section),
        maintenance: maintenance::read(&section),
        receivers,
    }
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
    let section = notify.section("flapping", &FLAPPING);
    Some(FlappingRule {
        changes: section
            .get("changes")
            .and_then(|cursor| cursor.whole_number(&CHANGES))
            .unwrap_or(DEFAULT_CHANGES),
        window: section.span("window", Span::from_secs(600), &FLAPPING_SPANS),
        stable_for: section.span("stable_for", Span::from_secs(300), &FLAPPING_SPANS),
    })
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

fn identity(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    if text.is_empty() {
        Some(String::new())
    } else {
        cursor.name().map(ToOwned::to_owned)
    }
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
    let matchers = section
        .get("match")
        .map(|cursor| matchers(&cursor))
        .unwrap_or_default();
    let group_by = section.get("group_by").and_then(|cursor| group_by(&cursor));
    let repage_on = section
        .get("repage_on")
        .map(|cursor| repage_on(&cursor))
        .unwrap_or_default();
    let kind = kind(section);
    let http = http(&section.section("http", &HTTP));
    let template = template(&section.section("template", &TEMPLATE));
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

/// A fallback is another receiver of the file, which is told of groups.
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

pub(super) fn matchers(cursor: &Cursor<'_>) -> BTreeMap<String, WildMatch> {
    let matcher = |(name, value): &(&str, Cursor<'_>)| {
        if !is_label_name(name) {
            value.note("is not a label's name; allowed: letters, digits and _, not beginning with a digit or __");
        }
        let glob = value.text()?;
        if glob.is_empty() || glob.chars().count() > MAX_LABEL_CHARS {
            value.refuse(format_args!(
                "is not a glob; allowed: 1 to {MAX_LABEL_CHARS} characters, such as orders-*"
            ));
        }
        Some(((*name).to_owned(), WildMatch::new(glob)))
    };
    cursor.entries().iter().filter_map(matcher).collect()
}

/// Reads the one kind that a receiver is of.
fn kind(section: &Section<'_>) -> Option<ReceiverKind> {
    let given: Vec<_> = KINDS
        .iter()
        .filter_map(|kind| Some((*kind, section.get(kind)?)))
        .collect();
    match given.as_slice() {
        [("slack", cursor)] => slack(&cursor.section(&SLACK)?),
        [("pagerduty", cursor)] => pagerduty(&cursor.section(&PAGERDUTY)?),
        [("webhook", cursor)] => webhook(&cursor.section(&WEBHOOK)?),
        [("alertmanager", cursor)] => alertmanager(&cursor.section(&ALERTMANAGER)?),
        [(_, cursor)] => heartbeat(&cursor.section(&HEARTBEAT_RECEIVER)?),
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
            url: section.required_secret("webhook_url", secret_url)?,
        }));
    }
    if section.has("webhook_url") || section.has("webhook_url_file") {
        section.refuse(
            "a webhook and a bot are two receivers: give webhook_url, or bot_token with channel",
        );
        return None;
    }
    let token = section.required_secret("bot_token", |_| Ok(()));
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

/// The words of messages.
fn template(section: &Section<'_>) -> TemplateSettings {
    let text = |key: &str| {
        let cursor = section.get(key)?;
        Template::new(cursor.text()?)
            .map_err(|error| cursor.note(format!("the text {error}")))
            .ok()
    };
    TemplateSettings {
        title: text("title"),
        summary: text("summary"),
    }
}

/// How requests find their way.
fn http(section: &Section<'_>) -> HttpSettings {
    HttpSettings {
        ca_file: section
            .get("ca_file")
            .and_then(|cursor| cursor.named_file(FileKind::Pem)),
        proxy: section.secret("proxy_url", proxy_url),
    }
}

/// A proxy's URL, which may have a user and a password in it.
fn proxy_url(text: &str) -> Result<(), String> {
    let without_login = match text.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    };
    secret_url(&without_login)
}

fn pagerduty(section: &Section<'_>) -> Option<ReceiverKind> {
    let url = section.get("url").map_or_else(
        || Some(PAGERDUTY_URL.to_owned()),
        |cursor| shown_url(&cursor),
    );
    let routing_key = section.required_secret("routing_key", |_| Ok(()));
    Some(ReceiverKind::from(PagerDutySettings {
        routing_key: routing_key?,
        url: url?,
    }))
}

fn webhook(section: &Section<'_>) -> Option<ReceiverKind> {
    let secret = section.secret("secret", |text| {
        signing_key(text).map(|_| ()).map_err(ToOwned::to_owned)
    });
    let headers = headers_of(section);
    Some(ReceiverKind::from(WebhookSettings {
        url: section.required_secret("url", secret_url)?,
        headers,
        secret,
    }))
}

fn alertmanager(section: &Section<'_>) -> Option<ReceiverKind> {
    let interval = section.span("interval", PERIOD, &PERIODS);
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
    let interval = section.span("interval", PERIOD, &PERIODS);
    let headers = headers_of(section);
    Some(ReceiverKind::from(DeadMansSwitchSettings {
        url: section.required_secret("url", secret_url)?,
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

fn secret_url(text: &str) -> Result<(), String> {
    check_url(text).map_err(|error| error.to_string())
}

/// A URL that is no secret. Still not shown when it is wrong: what is wrong may be that a secret
/// stands in it.
fn shown_url(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    check_url(text)
        .map_err(|error| cursor.refuse_hidden(error))
        .ok()?;
    Some(text.to_owned())
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
            None => inline_source(&value, |_| Ok(())),
        };
        headers.extend(source.map(|source| (name.to_owned(), source)));
    }
    headers
}
