//! What becomes of an attempt: delivered, tried again, or dead. Pure: the clock and the jitter are
//! arguments.

use std::fmt;

use jiff::fmt::rfc2822::DateTimeParser;

use crate::http_client::{HttpError, HttpResponse};
use crate::model::{ClockAnchor, Span, Timestamp};
use crate::monitor::DeliveryFailure;

use super::answer;
use super::slack_bot::{self, Said};

/// How long things last. The defaults are the product's; tests shrink them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time for one attempt, from the first packet to the last byte of the answer.
    pub attempt: Span,
    /// Time for an attempt's connection, TLS included; less than `attempt`.
    pub connect: Span,
    /// The first backoff; each further one is twice as long.
    pub first_backoff: Span,
    /// The longest backoff.
    pub max_backoff: Span,
    /// The longest backoff after `PagerDuty` said 429.
    pub max_backoff_pagerduty_limited: Span,
    /// A longer `Retry-After` counts as this much: it must not silence a receiver for a day.
    pub max_retry_after: Span,
    /// How long a receiver that says 410 Gone is left alone. Not for ever: it may be a proxy that
    /// says so.
    pub gone: Span,
    /// The least time between two messages to a Slack channel, which takes about one a second.
    pub slack_pace: Span,
    /// How long an undelivered resolve is worth sending.
    pub resolve_lifetime: Span,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            attempt: Span::from_secs(10),
            connect: Span::from_secs(5),
            first_backoff: Span::from_secs(1),
            max_backoff: Span::from_secs(60),
            max_backoff_pagerduty_limited: Span::from_secs(300),
            max_retry_after: Span::from_secs(600),
            gone: Span::from_secs(900),
            slack_pace: Span::from_secs(1),
            resolve_lifetime: Span::from_secs(24 * 3600),
        }
    }
}

/// How many attempts are made while a Slack webhook answers 2xx without `ok`. The answer may be a
/// login page in between, which passes; or a receiver with words of its own, which must not get the
/// same message for ever.
const MAX_UNCONFIRMED: u32 = 3;

/// The rules that differ by receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A Slack incoming webhook.
    Slack,
    /// Slack's Web API.
    SlackBot,
    /// `PagerDuty` Events API v2.
    PagerDuty,
    /// A generic webhook.
    Webhook,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The receiver answered.
    Answered(HttpResponse),
    /// It did not.
    Failed(HttpError),
    /// Nothing was sent: a secret could not be read.
    SecretUnreadable,
}

/// The circumstances of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The receiver's rules.
    pub protocol: Protocol,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Whether it was plain text already.
    pub plain: bool,
    /// A random number in `[0, 1)`: full jitter, so that exporters and groups do not retry in step.
    pub jitter: f64,
    /// When it ended.
    pub now: ClockAnchor,
}

/// What becomes of a notification after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The receiver took it.
    Delivered,
    /// It is tried again.
    Retry {
        /// Not before this.
        at: Timestamp,
        /// Why it failed.
        reason: DeliveryFailure,
    },
    /// It is tried again at once, as plain text: the receiver refused the layout.
    RetryPlain {
        /// Why it failed.
        reason: DeliveryFailure,
    },
    /// It will not be tried again.
    Dead {
        /// Why it failed.
        reason: DeliveryFailure,
    },
}

/// The judgement on an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of the notification.
    pub disposition: Disposition,
    /// Nothing at all is sent to the receiver before this.
    pub hold_until: Option<Timestamp>,
    /// The receiver says that it is gone: its circuit is open until then. Every other answer closes
    /// it.
    pub circuit_until: Option<Timestamp>,
    /// Whether the receiver may have acted on it although the attempt failed: its resolve must be
    /// sent then.
    pub maybe_received: bool,
}

impl Verdict {
    fn of(disposition: Disposition) -> Self {
        Self {
            disposition,
            hold_until: None,
            circuit_until: None,
            maybe_received: false,
        }
    }

    fn dead(reason: DeliveryFailure) -> Self {
        Self::of(Disposition::Dead { reason })
    }
}

/// The result in a few words, without anything of the answer's body.
impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(response) => write!(f, "status {}", response.status),
            Self::Failed(error) => error.fmt(f),
            Self::SecretUnreadable => f.write_str("nothing sent: a secret cannot be read"),
        }
    }
}

impl AttemptResult {
    /// The result for people, in bounded words without secrets: `HTTP 404 Not Found`.
    pub fn words(&self) -> String {
        match self {
            Self::Answered(response) => answer::words(response.status, &response.body),
            Self::Failed(error) => error.to_string(),
            Self::SecretUnreadable => "nothing was sent: a secret cannot be read".to_owned(),
        }
    }
}

/// Judges how an attempt ended.
pub fn judge(timing: &Timing, circumstances: &Circumstances, result: &AttemptResult) -> Verdict {
    match result {
        AttemptResult::Answered(response) => judge_answer(timing, circumstances, response),
        AttemptResult::Failed(error) => {
            let verdict = back_off(
                timing,
                circumstances,
                network_reason(*error),
                timing.max_backoff,
            );
            Verdict {
                maybe_received: matches!(error, HttpError::Timeout | HttpError::Broken),
                ..verdict
            }
        }
        AttemptResult::SecretUnreadable => back_off(
            timing,
            circumstances,
            DeliveryFailure::Secret,
            timing.max_backoff,
        ),
    }
}

/// The reason's place in the closed set. A URL or header that is none comes from the secret's
/// source.
fn network_reason(error: HttpError) -> DeliveryFailure {
    match error {
        HttpError::Timeout => DeliveryFailure::Timeout,
        HttpError::Connect(_) | HttpError::Tls(_) | HttpError::Broken | HttpError::Setup => {
            DeliveryFailure::Connect
        }
        HttpError::Invalid => DeliveryFailure::Secret,
    }
}

fn judge_answer(
    timing: &Timing,
    circumstances: &Circumstances,
    response: &HttpResponse,
) -> Verdict {
    use DeliveryFailure as F;
    let status = response.status;
    let retry = |reason, max| {
        let verdict = back_off(timing, circumstances, reason, max);
        respect_retry_after(timing, circumstances, response, verdict)
    };
    let slack = circumstances.protocol == Protocol::Slack;
    match status {
        200..300 if circumstances.protocol == Protocol::SlackBot => judge_bot(
            timing,
            circumstances,
            response,
            slack_bot::said(&response.body),
        ),
        200..300 if slack && response.body.trim() != "ok" => unconfirmed(timing, circumstances),
        200..300 => pace(timing, circumstances, Verdict::of(Disposition::Delivered)),
        300..400 => Verdict::dead(F::Redirect),
        400 if slack && !circumstances.plain && refuses_layout(&response.body) => {
            Verdict::of(Disposition::RetryPlain { reason: F::Client })
        }
        410 if slack && response.body.trim() == "channel_is_archived" => Verdict::dead(F::Client),
        410 => gone(circumstances, timing.gone),
        429 if circumstances.protocol == Protocol::PagerDuty => {
            hold(retry(F::RateLimited, timing.max_backoff_pagerduty_limited))
        }
        429 => hold(retry(F::RateLimited, timing.max_backoff)),
        408 | 425 => retry(F::Client, timing.max_backoff),
        401 | 403 => Verdict::dead(F::Auth),
        400..500 => Verdict::dead(F::Client),
        // A gateway's timeout: what stands behind it may have acted.
        504 => Verdict {
            maybe_received: true,
            ..retry(F::Server, timing.max_backoff)
        },
        _ => retry(F::Server, timing.max_backoff),
    }
}

/// The Web API answers 200 also when it refuses.
fn judge_bot(
    timing: &Timing,
    circumstances: &Circumstances,
    response: &HttpResponse,
    said: Said,
) -> Verdict {
    use DeliveryFailure as F;
    let retry = |reason| {
        let verdict = back_off(timing, circumstances, reason, timing.max_backoff);
        respect_retry_after(timing, circumstances, response, verdict)
    };
    match said {
        Said::Done => pace(timing, circumstances, Verdict::of(Disposition::Delivered)),
        Said::Layout if !circumstances.plain => {
            Verdict::of(Disposition::RetryPlain { reason: F::Client })
        }
        Said::Layout | Said::Fixed | Said::Refused => Verdict::dead(F::Client),
        Said::Limited => hold(retry(F::RateLimited)),
        Said::Trouble => retry(F::Server),
        Said::Denied => Verdict::dead(F::Auth),
        Said::Nonsense => unconfirmed(timing, circumstances),
    }
}

/// Slack's words for a body that it cannot use.
fn refuses_layout(body: &str) -> bool {
    [
        "invalid_payload",
        "invalid_blocks",
        "invalid_attachments",
        "no_text",
    ]
    .iter()
    .any(|word| body.contains(word))
}

/// A 2xx that did not say `ok`.
fn unconfirmed(timing: &Timing, circumstances: &Circumstances) -> Verdict {
    let reason = DeliveryFailure::Server;
    let verdict = if circumstances.attempt < MAX_UNCONFIRMED {
        back_off(timing, circumstances, reason, timing.max_backoff)
    } else {
        Verdict::dead(reason)
    };
    Verdict {
        maybe_received: true,
        ..verdict
    }
}

fn pace(timing: &Timing, circumstances: &Circumstances, verdict: Verdict) -> Verdict {
    let next = circumstances.now.mono + timing.slack_pace;
    let paced = matches!(circumstances.protocol, Protocol::Slack | Protocol::SlackBot);
    Verdict {
        hold_until: paced.then_some(next),
        ..verdict
    }
}

/// The whole receiver rests for `span`.
fn gone(circumstances: &Circumstances, span: Span) -> Verdict {
    let at = circumstances.now.mono + span;
    let verdict = hold(Verdict::of(Disposition::Retry {
        at,
        reason: DeliveryFailure::Client,
    }));
    Verdict {
        circuit_until: Some(at),
        ..verdict
    }
}

/// The whole receiver rests as long as this notification does.
fn hold(verdict: Verdict) -> Verdict {
    match verdict.disposition {
        Disposition::Retry { at, .. } => Verdict {
            hold_until: Some(at),
            ..verdict
        },
        _ => verdict,
    }
}

/// Exponential backoff with full jitter: uniform in `[0, min(max, first * 2^(attempt - 1)))`.
fn back_off(
    timing: &Timing,
    circumstances: &Circumstances,
    reason: DeliveryFailure,
    max: Span,
) -> Verdict {
    let doublings = circumstances.attempt.saturating_sub(1).min(30);
    let ceiling = timing
        .first_backoff
        .mul_f64(f64::from(1_u32 << doublings))
        .min(max);
    let at = circumstances.now.mono + ceiling.mul_f64(circumstances.jitter);
    Verdict::of(Disposition::Retry { at, reason })
}

/// `Retry-After` is a floor, for everything that goes to this receiver.
fn respect_retry_after(
    timing: &Timing,
    circumstances: &Circumstances,
    response: &HttpResponse,
    verdict: Verdict,
) -> Verdict {
    let wanted =
        retry_after(response, &circumstances.now).map(|span| span.min(timing.max_retry_after));
    match (verdict.disposition, wanted) {
        (Disposition::Retry { at, reason }, Some(span)) => {
            let at = at.max(circumstances.now.mono + span);
            hold(Verdict {
                disposition: Disposition::Retry { at, reason },
                ..verdict
            })
        }
        _ => verdict,
    }
}

/// How long the receiver wants to be left alone (RFC 9110, section 10.2.3): seconds, or a date,
/// which is compared with the answer's own `Date` where there is one, as the two clocks need not
/// agree.
fn retry_after(response: &HttpResponse, now: &ClockAnchor) -> Option<Span> {
    let text = response.retry_after.as_deref()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(
            text.parse()
                .map_or(Span::from_nanos(i64::MAX), Span::from_secs),
        );
    }
    let until = http_date(text)?;
    let from = response.date.as_deref().and_then(http_date);
    let from = from.unwrap_or_else(|| i128::from(now.wall.as_nanos()));
    let nanos = i64::try_from(until.saturating_sub(from)).unwrap_or(i64::MAX);
    Some(Span::from_nanos(nanos).or_zero())
}

/// Nanoseconds since the epoch of an HTTP date in its preferred form (`Sun, 06 Nov 1994 08:49:37
/// GMT`).
fn http_date(text: &str) -> Option<i128> {
    Some(
        DateTimeParser::new()
            .parse_timestamp(text.trim())
            .ok()?
            .as_nanosecond(),
    )
}

#[cfg(test)]
mod tests;
