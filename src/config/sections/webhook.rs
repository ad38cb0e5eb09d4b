//! `webhook`: any HTTP endpoint, with a body of its own where Alertmanager's does not fit.

use serde_json::Value;

use super::headers::headers_of;
use crate::config::cursor::{Cursor, Section};
use crate::config::value::check_url_end;
use crate::config::{ReceiverKind, WebhookMethod, WebhookSettings, sample_messages};
use crate::template::{MAX_WHOLE, Template};

/// Characters of a media type; real ones have up to some sixty.
const MAX_CONTENT_TYPE: usize = 128;

/// Reads a webhook. Its templates are tried on made-up messages.
pub(super) fn webhook(section: &Section<'_>) -> Option<ReceiverKind> {
    let secret = section.secret("secret");
    let headers = headers_of(section);
    let method = section.read("method", method).unwrap_or_default();
    let content_type = section.read("content_type", content_type);
    let has_known_type = content_type.is_some() || !section.has("content_type");
    let path = section.read("path", template);
    let body = section.read("body", template);
    let settings = WebhookSettings {
        headers,
        secret,
        method,
        path,
        body,
        content_type: content_type.unwrap_or_else(|| WebhookSettings::CONTENT_TYPE.to_owned()),
        ..WebhookSettings::to(section.required_secret("url")?)
    };
    if let (Some(cursor), Some(path)) = (section.get("path"), &settings.path) {
        try_path(&cursor, path);
    }
    if !has_known_type {
        return Some(ReceiverKind::from(settings));
    }
    if let (Some(cursor), Some(body)) = (section.get("body"), &settings.body) {
        try_body(&cursor, body, settings.is_json());
    }
    if !section.has("body") && !settings.is_json() {
        section.refuse(
            "Alertmanager's body is JSON: give a body of the content_type, or remove content_type",
        );
    }
    Some(ReceiverKind::from(settings))
}

fn method(cursor: &Cursor<'_>) -> Option<WebhookMethod> {
    let method = WebhookMethod::parse(cursor.text()?);
    if method.is_none() {
        let allowed = WebhookMethod::ALL.map(WebhookMethod::label).join(", ");
        cursor.refuse(format_args!("is not allowed; allowed: {allowed}"));
    }
    method
}

fn content_type(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let is_header_value = text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let has_two_parts = match text.split_once('/') {
        Some((kind, rest)) => !kind.trim().is_empty() && !rest.trim().is_empty(),
        None => false,
    };
    if !is_header_value || !has_two_parts || text.len() > MAX_CONTENT_TYPE {
        cursor.refuse(format_args!(
            "is not a media type; write it like application/json or text/plain; charset=utf-8, up to \
             {MAX_CONTENT_TYPE} characters"
        ));
        return None;
    }
    Some(text.to_owned())
}

fn template(cursor: &Cursor<'_>) -> Option<Template> {
    match Template::new(cursor.text()?) {
        Ok(template) => Some(template),
        Err(error) => {
            cursor.add_problem(format!("the text {error}"));
            None
        }
    }
}

/// Records what is wrong with the end of the URL, for one of the made-up messages.
fn try_path(cursor: &Cursor<'_>, path: &Template) {
    for sample in &sample_messages() {
        let rendered = path.render_whole(sample, MAX_WHOLE);
        let checked = rendered.and_then(|text| check_url_end(&text));
        if let Err(error) = checked {
            return cursor.add_problem(format!("the template fails: {error}"));
        }
    }
}

/// Records what is wrong with the body, for one of the made-up messages.
fn try_body(cursor: &Cursor<'_>, body: &Template, is_json: bool) {
    for sample in &sample_messages() {
        let rendered = body.render_whole(sample, MAX_WHOLE);
        let checked = match rendered {
            Ok(text) if is_json => check_json(&text),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            return cursor.add_problem(format!("the template fails: {error}"));
        }
    }
}

fn check_json(text: &str) -> Result<(), String> {
    match serde_json::from_str::<Value>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "it gives no JSON: {error}; write texts without quotation marks as {{{{ title | json }}}}, or give \
             another content_type"
        )),
    }
}
