//! The log line of an attempt: how it ended and, where it is final, what to do.

use crate::delivery::DeliveryFailure;
use crate::model::{Span, Timestamp};
use crate::notify::attempt::Attempt;
use crate::notify::retry::{AttemptResult, Disposition};

/// The fields that not every line has; `None` is left out of the line.
#[derive(Default)]
struct OptionalFields {
    latency: Option<f64>,
    failure: Option<&'static str>,
    retry_in: Option<f64>,
    advice: Option<&'static str>,
}

/// Logs how `attempt` ended at `now`. The URL, the headers and the answer's body are
/// not logged, because each may contain a secret.
pub(super) fn log(
    attempt: &Attempt,
    result: &AttemptResult,
    disposition: &Disposition,
    now: Timestamp,
) {
    let notification = &attempt.notification;
    let receiver = &*notification.receiver;
    let group = notification.group.text();
    let id = attempt.id.to_string();
    let status = notification.status.label();
    let reason = notification.reason.label();
    let attempt = attempt.number;
    let answer = result.to_string();
    let OptionalFields {
        latency,
        failure,
        retry_in,
        advice,
    } = optional_fields(disposition, now - notification.decided_at, now);
    macro_rules! line {
        ($level:ident, $text:literal) => {
            tracing::$level!(
                receiver, group, status, reason, attempt, answer, latency, failure, retry_in,
                advice, id, $text
            )
        };
    }
    match disposition {
        Disposition::Delivered => line!(info, "notification delivered"),
        Disposition::Retry { .. } => line!(warn, "notification failed, it is tried again"),
        Disposition::RetryPlain { .. } => {
            line!(warn, "notification refused, it is tried as plain text");
        }
        Disposition::Dead { .. } => line!(error, "notification refused for good"),
    }
}

fn optional_fields(disposition: &Disposition, latency: Span, now: Timestamp) -> OptionalFields {
    match *disposition {
        Disposition::Delivered => OptionalFields {
            latency: Some(latency.as_secs_f64()),
            ..OptionalFields::default()
        },
        Disposition::Retry { at, reason } => OptionalFields {
            failure: Some(reason.label()),
            retry_in: Some((at - now).as_secs_f64()),
            ..OptionalFields::default()
        },
        Disposition::RetryPlain { reason } => OptionalFields {
            failure: Some(reason.label()),
            ..OptionalFields::default()
        },
        Disposition::Dead { reason } => OptionalFields {
            failure: Some(reason.label()),
            advice: Some(advice_for(reason)),
            ..OptionalFields::default()
        },
    }
}

/// What to do about a failure that is final.
fn advice_for(failure: DeliveryFailure) -> &'static str {
    match failure {
        DeliveryFailure::Auth => "the receiver does not accept the credential: renew its secret",
        DeliveryFailure::Redirect => {
            "the URL leads elsewhere, which is never followed: configure the final URL"
        }
        _ => {
            "the receiver does not accept the request: check its URL, its key and that its channel or service exists"
        }
    }
}
