//! One log line for each attempt.

use crate::delivery::DeliveryFailure;
use crate::model::Timestamp;
use crate::notify::attempt::Attempt;
use crate::notify::retry::{AttemptResult, Disposition};

/// Logs how `attempt` to `receiver` ended at `now`. Never the URL, a header or the answer's body,
/// which may echo both.
pub(super) fn log(
    receiver: &str,
    attempt: &Attempt,
    result: &AttemptResult,
    disposition: &Disposition,
    now: Timestamp,
) {
    let notification = &attempt.notification;
    let (group, id) = (notification.group.text(), attempt.id.to_string());
    let (status, reason) = (notification.status.label(), notification.reason.label());
    let (attempt, answer) = (attempt.number, result.to_string());
    // The fields are the same on every line; what does not apply is left out of it.
    macro_rules! line {
        ($level:ident, $text:literal, $latency:expr, $failure:expr, $retry_in:expr, $advice:expr) => {{
            let (latency, failure, retry_in, advice): (
                Option<f64>,
                Option<&str>,
                Option<f64>,
                Option<&str>,
            ) = ($latency, $failure, $retry_in, $advice);
            tracing::$level!(
                receiver, group, status, reason, attempt, answer, latency, failure, retry_in,
                advice, id, $text
            );
        }};
    }
    match *disposition {
        Disposition::Delivered => {
            let latency = (now - notification.decided_at).as_secs_f64();
            line!(
                info,
                "notification delivered",
                Some(latency),
                None,
                None,
                None
            );
        }
        Disposition::Retry {
            at,
            reason: failure,
        } => {
            let wait = (at - now).as_secs_f64();
            line!(
                warn,
                "notification failed, it is tried again",
                None,
                Some(failure.label()),
                Some(wait),
                None
            );
        }
        Disposition::RetryPlain { reason: failure } => {
            line!(
                warn,
                "notification refused, it is tried as plain text",
                None,
                Some(failure.label()),
                None,
                None
            );
        }
        Disposition::Dead { reason: failure } => {
            let advice = advice(failure);
            line!(
                error,
                "notification refused for good",
                None,
                Some(failure.label()),
                None,
                Some(advice)
            );
        }
    }
}

/// What to do about a failure that is final.
fn advice(failure: DeliveryFailure) -> &'static str {
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
