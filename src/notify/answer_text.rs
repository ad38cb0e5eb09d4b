//! A receiver's answer as text that may be shown. A body may echo a secret, so that only words of a
//! closed set are taken from it.

/// What Slack's incoming webhooks answer with when they refuse
/// (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).
const KNOWN_WORDS: [&str; 14] = [
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_attachments",
    "invalid_blocks",
    "invalid_payload",
    "invalid_token",
    "no_active_hooks",
    "no_service",
    "no_service_id",
    "no_team",
    "no_text",
    "team_disabled",
    "user_not_found",
];

/// `HTTP 404 Not Found`, or `HTTP 404 Not Found, no_service` where the body is a known word.
pub(super) fn describe(status: u16, body: &str) -> String {
    let mut text = format!("HTTP {status}");
    if let Some(name) = name_of(status) {
        text.push(' ');
        text.push_str(name);
    }
    if KNOWN_WORDS.contains(&body.trim()) {
        text.push_str(", ");
        text.push_str(body.trim());
    }
    text
}

/// The status' name (RFC 9110 and 6585), for those that receivers give.
const fn name_of(status: u16) -> Option<&'static str> {
    match status {
        200 => Some("OK"),
        202 => Some("Accepted"),
        204 => Some("No Content"),
        301 => Some("Moved Permanently"),
        302 => Some("Found"),
        400 => Some("Bad Request"),
        401 => Some("Unauthorized"),
        403 => Some("Forbidden"),
        404 => Some("Not Found"),
        405 => Some("Method Not Allowed"),
        408 => Some("Request Timeout"),
        410 => Some("Gone"),
        413 => Some("Content Too Large"),
        422 => Some("Unprocessable Content"),
        429 => Some("Too Many Requests"),
        500 => Some("Internal Server Error"),
        502 => Some("Bad Gateway"),
        503 => Some("Service Unavailable"),
        504 => Some("Gateway Timeout"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_of_a_body_are_shown() {
        assert_eq!(
            describe(404, "no_service\n"),
            "HTTP 404 Not Found, no_service"
        );
        assert_eq!(
            describe(500, "the key is 123"),
            "HTTP 500 Internal Server Error"
        );
        assert_eq!(describe(418, ""), "HTTP 418");
    }
}
