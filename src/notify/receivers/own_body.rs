//! A webhook's own body and the end of its URL, from the templates of the configuration.

use serde_json::{Value, json};
use tracing::warn;

use super::pagerduty::dedup_key;
use super::protocol::Delivery;
use crate::config::{WebhookSettings, check_url_end};
use crate::notify::message::{MAX_DESCRIBED, Message};
use crate::notify::templates::{RequestNames, request_values};
use crate::template::{MAX_WHOLE, Template};

/// What the templates of a webhook give.
pub(in crate::notify) struct OwnRequest {
    /// What is appended to the URL.
    pub(in crate::notify) path: String,
    /// The body; `None` where the webhook has no template for it.
    pub(in crate::notify) body: Option<String>,
}

/// How many alerts a body describes: as many as a message, and fewer where its template fails for
/// these, because it would be too large.
const DESCRIBED: [usize; 4] = [MAX_DESCRIBED, 5, 1, 0];

/// Renders the templates of `settings` for `delivery`.
///
/// # Errors
/// The end of the URL cannot be made: nothing can be sent. The templates were tried on samples when
/// the configuration was read, so this is rare.
pub(in crate::notify) fn render(
    settings: &WebhookSettings,
    delivery: &Delivery<'_>,
) -> Result<OwnRequest, String> {
    if settings.path.is_none() && settings.body.is_none() {
        return Ok(OwnRequest {
            path: String::new(),
            body: None,
        });
    }
    let message = delivery.message();
    let path = match &settings.path {
        Some(template) => path(template, &values(delivery, &message, 1))?,
        None => String::new(),
    };
    let body = settings.body.as_ref();
    Ok(OwnRequest {
        path,
        body: body.map(|template| body_or_plain(template, settings, delivery, &message)),
    })
}

fn values(delivery: &Delivery<'_>, message: &Message, described: usize) -> Value {
    let notification = &delivery.attempt.notification;
    let id = delivery.attempt.id.to_string();
    let names = RequestNames {
        // Always the first generation's: nobody remembers which of several a resolve would end.
        key: &dedup_key(delivery.identity, &notification.group, 0),
        id: &id,
        receiver: delivery.receiver,
    };
    request_values(notification, message, names, described)
}

fn path(template: &Template, values: &Value) -> Result<String, String> {
    let rendered = template.render_whole(values, MAX_WHOLE);
    let checked = rendered.and_then(|path| check_url_end(&path).map(|()| path));
    checked.map_err(|error| format!("webhook.path: the template fails: {error}"))
}

/// The body; all of the message as text where the template fails, so that a mistake costs no page
/// where the receiver takes that.
fn body_or_plain(
    template: &Template,
    settings: &WebhookSettings,
    delivery: &Delivery<'_>,
    message: &Message,
) -> String {
    let mut first_error = None;
    for described in DESCRIBED {
        let values = values(delivery, message, described);
        match body(template, settings, &values) {
            Ok(body) => return body,
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    let error = first_error.unwrap_or_default();
    warn!(
        receiver = delivery.receiver,
        error, "the template of this receiver's body failed: the built-in words are sent"
    );
    let text = message.in_short();
    if settings.is_json() {
        json!({ "text": text }).to_string()
    } else {
        text
    }
}

fn body(template: &Template, settings: &WebhookSettings, values: &Value) -> Result<String, String> {
    let body = template.render_whole(values, MAX_WHOLE)?;
    if settings.is_json()
        && let Err(error) = serde_json::from_str::<Value>(&body)
    {
        return Err(format!("it gives no JSON: {error}"));
    }
    Ok(body)
}
