//! `notify`: who is told, and how often.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use wildmatch::WildMatch;

use super::Unique;
use crate::config::cursor::{Cursor, Section, inline_source};
use crate::config::schema::{NOTIFY, PAGERDUTY, RECEIVER, SLACK, WEBHOOK};
use crate::config::value::{MAX_LABEL_CHARS, check_url, is_header_name, is_label_name};
use crate::config::{NotifySettings, ReceiverKind, ReceiverSettings, SecretSource, Severity};
use crate::model::Span;

/// The only grouping of this version.
const GROUP_BY: [&str; 3] = ["alertname", "source_dc", "target_dc"];

/// Where `PagerDuty` takes events, unless the account is in another region.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

const GROUP_WAIT: RangeInclusive<Span> = Span::ZERO..=Span::from_secs(600);

/// `group_interval` and `repeat_interval`: from what tests need to a month.
const INTERVALS: RangeInclusive<Span> = Span::from_millis(100)..=Span::from_secs(30 * 86_400);

/// Headers that the exporter sets itself, or that belong to the connection.
const OWN_HEADERS: [&str; 5] = ["connection", "content-length", "content-type", "host", "transfer-encoding"];

/// The kinds of receivers, each a key with its settings.
const KINDS: [&str; 3] = ["slack", "pagerduty", "webhook"];

pub(super) fn read(root: &Section<'_>) -> NotifySettings {
    let section = root.section("notify", &NOTIFY);
    if let Some(cursor) = section.get("group_by") {
        check_group_by(&cursor);
    }
    let mut names = Unique::default();
    let receivers = section.items("receivers");
    let read = receivers.iter().filter_map(|item| receiver(&item.section(&RECEIVER)?, &mut names));
    let (receivers, fallbacks): (Vec<_>, Vec<_>) = read.unzip();
    for (receiver, cursor) in receivers.iter().zip(&fallbacks) {
        cursor.iter().for_each(|cursor| check_fallback(receiver, cursor, &receivers));
    }
    NotifySettings {
        identity: section.get("identity").and_then(|cursor| identity(&cursor)).unwrap_or_default(),
        group_wait: section.span("group_wait", Span::from_secs(5), &GROUP_WAIT),
        group_interval: section.span("group_interval", Span::from_secs(60), &INTERVALS),
        repeat_interval: section.span("repeat_interval", Span::from_secs(4 * 3600), &INTERVALS),
        receivers,
    }
}

/// The default may be written out; anything else is for a later version.
fn check_group_by(cursor: &Cursor<'_>) {
    let names: Option<Vec<_>> = cursor.items().iter().map(Cursor::text).collect();
    if names.is_some_and(|names| names != GROUP_BY) {
        cursor.note(format!("another grouping than [{}] is not in this version", GROUP_BY.join(", ")));
    }
}

fn identity(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    if text.is_empty() { Some(String::new()) } else { cursor.name().map(ToOwned::to_owned) }
}

/// A receiver, and where its fallback is named.
fn receiver<'a>(section: &Section<'a>, names: &mut Unique) -> Option<(ReceiverSettings, Option<Cursor<'a>>)> {
    let min_severity = section.get("min_severity").and_then(|cursor| severity(&cursor)).unwrap_or(Severity::Warning);
    let matchers = section.get("match").map(|cursor| matchers(&cursor)).unwrap_or_default();
    let kind = kind(section);
    let cursor = section.required("name", "the receiver's name")?;
    let name = cursor.name()?;
    names.check(name, &cursor);
    let place = section.get("fallback");
    let fallback = place.as_ref().and_then(|cursor| cursor.name().map(ToOwned::to_owned));
    let place = place.filter(|_| fallback.is_some());
    Some((ReceiverSettings { name: name.to_owned(), min_severity, matchers, fallback, kind: kind? }, place))
}

/// A fallback is another receiver of the file.
fn check_fallback(receiver: &ReceiverSettings, cursor: &Cursor<'_>, all: &[ReceiverSettings]) {
    if receiver.fallback.as_ref() == Some(&receiver.name) {
        cursor.note("is the receiver itself: give another one");
    } else if !all.iter().any(|other| Some(&other.name) == receiver.fallback.as_ref()) {
        cursor.note("is not the name of a receiver of this file");
    }
}

fn severity(cursor: &Cursor<'_>) -> Option<Severity> {
    let text = cursor.text()?;
    let known = [Severity::Warning, Severity::Critical].into_iter().find(|severity| severity.label() == text);
    cursor.checked(known.ok_or("is not a severity; allowed: warning, critical"))
}

fn matchers(cursor: &Cursor<'_>) -> BTreeMap<String, WildMatch> {
    let matcher = |(name, value): &(&str, Cursor<'_>)| {
        if !is_label_name(name) {
            value.note("is not a label's name; allowed: letters, digits and _, not beginning with a digit or __");
        }
        let glob = value.text()?;
        if glob.is_empty() || glob.chars().count() > MAX_LABEL_CHARS {
            value.refuse(format_args!("is not a glob; allowed: 1 to {MAX_LABEL_CHARS} characters, such as orders-*"));
        }
        Some(((*name).to_owned(), WildMatch::new(glob)))
    };
    cursor.entries().iter().filter_map(matcher).collect()
}

/// Reads the one kind that a receiver is of.
fn kind(section: &Section<'_>) -> Option<ReceiverKind> {
    let given: Vec<_> = KINDS.iter().filter_map(|kind| Some((*kind, section.get(kind)?))).collect();
    match given.as_slice() {
        [("slack", cursor)] => slack(&cursor.section(&SLACK)?),
        [("pagerduty", cursor)] => pagerduty(&cursor.section(&PAGERDUTY)?),
        [(_, cursor)] => webhook(&cursor.section(&WEBHOOK)?),
        [] => {
            section.refuse_as_incomplete(format!("the receiver sends to nothing: give one of {}", KINDS.join(", ")));
            None
        }
        several => {
            let names: Vec<_> = several.iter().map(|(kind, _)| *kind).collect();
            section.refuse(format!("the receiver has {}: give one of them, and a receiver for each", names.join(", ")));
            None
        }
    }
}

fn slack(section: &Section<'_>) -> Option<ReceiverKind> {
    Some(ReceiverKind::SlackWebhook { url: section.required_secret("webhook_url", secret_url)? })
}

fn pagerduty(section: &Section<'_>) -> Option<ReceiverKind> {
    let url = section.get("url").map_or_else(|| Some(PAGERDUTY_URL.to_owned()), |cursor| shown_url(&cursor));
    let routing_key = section.required_secret("routing_key", |_| Ok(()));
    Some(ReceiverKind::PagerDuty { routing_key: routing_key?, url: url? })
}

fn webhook(section: &Section<'_>) -> Option<ReceiverKind> {
    let headers = section.get("headers").map(|cursor| headers(&cursor)).unwrap_or_default();
    Some(ReceiverKind::Webhook { url: section.required_secret("url", secret_url)?, headers })
}

fn secret_url(text: &str) -> Result<(), String> {
    check_url(text).map_err(|error| error.to_string())
}

/// A URL that is no secret. Still not shown when it is wrong: what is wrong may be that a secret stands in it.
fn shown_url(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    check_url(text).map_err(|error| cursor.refuse_hidden(error)).ok()?;
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
            // The name is not shown: `{Authorization:secret}` and `{Authorization, secret}` make one of the secret.
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
            Some(_) => value.file_path().map(SecretSource::File),
            None => inline_source(&value, |_| Ok(())),
        };
        headers.extend(source.map(|source| (name.to_owned(), source)));
    }
    headers
}
