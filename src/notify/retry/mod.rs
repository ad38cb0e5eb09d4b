//! The retry rules: whether a notification counts as delivered after an attempt, is tried again and
//! when, or is given up. Pure: the clock and the jitter are arguments.

mod answer;
mod mail;

use std::fmt;

use jiff::fmt::rfc2822::DateTimeParser;

use super::answer_text;
use crate::delivery::DeliveryFailure;
use crate::http_client::{HttpError, HttpResponse};
use crate::model::{ClockAnchor, Span, Timestamp};
use crate::smtp::{Accepted, SmtpError};

use mail::MailFailure;

pub use answer::{AnswerMeaning, AnswerRules, HttpAnswers, meaning_of_status};

/// Timeouts and waits. The defaults are the product's; tests shrink them.
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
    /// The longest backoff after `PagerDuty` answered 429.
    pub max_backoff_pagerduty_limited: Span,
    /// The longest `Retry-After` that is respected; a longer one counts as this much.
    pub max_retry_after: Span,
    /// How long nothing is sent to a receiver that answers 410 Gone. It is tried again after that,
    /// because a proxy may have answered.
    pub gone: Span,
    /// The least time between two messages to a Slack channel, which takes about one a second.
    pub slack_pace: Span,
    /// How long an undelivered resolve is retried.
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

/// How many attempts are made while a receiver answers 2xx without its confirmation. It may be a
/// proxy's login page, which passes; or an endpoint that confirms in its own way, which must not
/// get the same message repeatedly.
const MAX_UNCONFIRMED: u32 = 3;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The receiver answered.
    Answered(HttpResponse),
    /// It did not.
    Failed(HttpError),
    /// The mail server took the mail.
    MailAccepted(Accepted),
    /// It did not.
    MailFailed(SmtpError),
    /// Nothing was sent: a secret could not be read.
    SecretUnreadable,
    /// Nothing was sent, and nothing had to be.
    NothingToSend,
}

/// The circumstances of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// What the receiver's answers mean.
    pub rules: &'static dyn AnswerRules,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Whether it was plain text already.
    pub plain: bool,
    /// Whether it went to some of the recipients only, because the others have it already.
    pub to_the_rest: bool,
    /// A random number in `[0, 1)`: full jitter, so that exporters and groups do not retry in step.
    pub jitter: f64,
    /// When it ended.
    pub now: ClockAnchor,
}

/// What happens to a notification after an attempt.
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

/// What follows from an attempt, for its notification and for its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryVerdict {
    /// What happens to the notification.
    pub disposition: Disposition,
    /// Nothing at all is sent to the receiver before this.
    pub hold_until: Option<Timestamp>,
    /// The receiver answered that it is gone: its circuit is open until then. Every other answer
    /// closes it.
    pub circuit_until: Option<Timestamp>,
    /// Whether the receiver may have acted on it although the attempt failed: its resolve must be
    /// sent then.
    pub maybe_received: bool,
    /// The recipients that the repetition is for, where the others have it. Empty: as before.
    pub left: Vec<String>,
}

impl RetryVerdict {
    fn new(disposition: Disposition) -> Self {
        Self {
            disposition,
            hold_until: None,
            circuit_until: None,
            maybe_received: false,
            left: Vec::new(),
        }
    }

    fn dead(reason: DeliveryFailure) -> Self {
        Self::new(Disposition::Dead { reason })
    }
}

/// The result briefly for the log, without anything of the answer's body.
impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(response) => write!(f, "status {}", response.status),
            Self::Failed(error) => error.fmt(f),
            Self::MailAccepted(accepted) => f.write_str(&mail::describe(accepted)),
            Self::MailFailed(error) => error.fmt(f),
            Self::SecretUnreadable => f.write_str("nothing sent: a secret cannot be read"),
            Self::NothingToSend => f.write_str("nothing had to be sent"),
        }
    }
}

impl AttemptResult {
    /// The result for people, as bounded text without secrets: `HTTP 404 Not Found`.
    pub fn text(&self) -> String {
        match self {
            Self::Answered(response) => answer_text::describe(response.status, &response.body),
            Self::Failed(error) => error.to_string(),
            Self::MailAccepted(accepted) => mail::describe(accepted),
            Self::MailFailed(error) => error.to_string(),
            Self::SecretUnreadable => "nothing was sent: a secret cannot be read".to_owned(),
            Self::NothingToSend => "nothing had to be sent".to_owned(),
        }
    }

    /// Whether the status of the answer is a success.
    pub fn is_success(&self) -> bool {
        self.success_body().is_some()
    }

    /// The body of an answer whose status is a success.
    pub fn success_body(&self) -> Option<&str> {
        match self {
            Self::Answered(response) if (200..300).contains(&response.status) => {
                Some(&response.body)
            }
            _ => None,
        }
    }
}

/// Judges how an attempt ended.
pub fn judge(
    timing: &Timing,
    circumstances: &Circumstances,
    result: &AttemptResult,
) -> RetryVerdict {
    let back_off = |reason| back_off(timing, circumstances, reason, timing.max_backoff);
    match result {
        AttemptResult::Answered(response) => judge_answer(timing, circumstances, response),
        AttemptResult::Failed(error) => RetryVerdict {
            maybe_received: matches!(error, HttpError::Timeout | HttpError::Broken),
            ..back_off(network_reason(*error))
        },
        AttemptResult::MailAccepted(mail) if !mail.deferred.is_empty() => RetryVerdict {
            maybe_received: true,
            left: mail.deferred.clone(),
            ..back_off(DeliveryFailure::Server)
        },
        AttemptResult::MailAccepted(_) => accepted(timing, circumstances),
        // As if they had been refused at the first attempt, which the others accepted.
        AttemptResult::MailFailed(error)
            if circumstances.to_the_rest && mail::refuses_recipients(error) =>
        {
            accepted(timing, circumstances)
        }
        AttemptResult::MailFailed(error) => match mail::failure(error) {
            MailFailure::Final(reason) => RetryVerdict::dead(reason),
            MailFailure::MayPass(reason) => RetryVerdict {
                maybe_received: error.maybe_sent(),
                ..back_off(reason)
            },
        },
        AttemptResult::SecretUnreadable => back_off(DeliveryFailure::Secret),
        AttemptResult::NothingToSend => RetryVerdict::new(Disposition::Delivered),
    }
}

/// The reason in the closed set. A malformed URL or header comes from the secret's source.
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
) -> RetryVerdict {
    let rules = circumstances.rules;
    let retry = |reason, max_backoff| {
        let verdict = back_off(timing, circumstances, reason, max_backoff);
        respect_retry_after(timing, circumstances, response, verdict)
    };
    match rules.interpret(response, circumstances.plain) {
        AnswerMeaning::Accepted => accepted(timing, circumstances),
        AnswerMeaning::Unconfirmed => unconfirmed(timing, circumstances),
        AnswerMeaning::LayoutRefused => RetryVerdict::new(Disposition::RetryPlain {
            reason: DeliveryFailure::Client,
        }),
        AnswerMeaning::Refused(reason) => RetryVerdict::dead(reason),
        AnswerMeaning::RateLimited => {
            let max_backoff = rules.max_backoff_when_limited(timing);
            hold(retry(DeliveryFailure::RateLimited, max_backoff))
        }
        AnswerMeaning::Gone => gone(circumstances, timing.gone),
        AnswerMeaning::Unavailable(reason) => retry(reason, timing.max_backoff),
        AnswerMeaning::GatewayTimeout => RetryVerdict {
            maybe_received: true,
            ..retry(DeliveryFailure::Server, timing.max_backoff)
        },
    }
}

/// Delivered. A receiver that takes only so many messages gets the next one later.
fn accepted(timing: &Timing, circumstances: &Circumstances) -> RetryVerdict {
    let mut verdict = RetryVerdict::new(Disposition::Delivered);
    if let Some(pace) = circumstances.rules.pace(timing) {
        verdict.hold_until = Some(circumstances.now.mono + pace);
    }
    verdict
}

/// A success that lacks the receiver's confirmation.
fn unconfirmed(timing: &Timing, circumstances: &Circumstances) -> RetryVerdict {
    let reason = DeliveryFailure::Server;
    let verdict = if circumstances.attempt < MAX_UNCONFIRMED {
        back_off(timing, circumstances, reason, timing.max_backoff)
    } else {
        RetryVerdict::dead(reason)
    };
    RetryVerdict {
        maybe_received: true,
        ..verdict
    }
}

/// Nothing is sent to the receiver for `span`.
fn gone(circumstances: &Circumstances, span: Span) -> RetryVerdict {
    let at = circumstances.now.mono + span;
    let verdict = hold(RetryVerdict::new(Disposition::Retry {
        at,
        reason: DeliveryFailure::Client,
    }));
    RetryVerdict {
        circuit_until: Some(at),
        ..verdict
    }
}

/// Nothing is sent to the receiver until this notification is retried.
fn hold(verdict: RetryVerdict) -> RetryVerdict {
    match verdict.disposition {
        Disposition::Retry { at, .. } => RetryVerdict {
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
) -> RetryVerdict {
    let doublings = circumstances.attempt.saturating_sub(1).min(30);
    let ceiling = timing
        .first_backoff
        .mul_f64(f64::from(1_u32 << doublings))
        .min(max);
    let at = circumstances.now.mono + ceiling.mul_f64(circumstances.jitter);
    RetryVerdict::new(Disposition::Retry { at, reason })
}

/// `Retry-After`, or what stands for it in the body, is the least wait, for every notification to
/// this receiver.
fn respect_retry_after(
    timing: &Timing,
    circumstances: &Circumstances,
    response: &HttpResponse,
    verdict: RetryVerdict,
) -> RetryVerdict {
    let Disposition::Retry { at, reason } = verdict.disposition else {
        return verdict;
    };
    let in_header = retry_after(response, &circumstances.now);
    let wanted = in_header.or_else(|| circumstances.rules.wait_in_body(response));
    let Some(wanted) = wanted else {
        return verdict;
    };
    let earliest = circumstances.now.mono + wanted.min(timing.max_retry_after);
    hold(RetryVerdict {
        disposition: Disposition::Retry {
            at: at.max(earliest),
            reason,
        },
        ..verdict
    })
}

/// The wait that the receiver asks for (RFC 9110, section 10.2.3): seconds, or a date. The date is
/// compared with the answer's own `Date` where there is one, because the two clocks may differ.
fn retry_after(response: &HttpResponse, now: &ClockAnchor) -> Option<Span> {
    let text = response.retry_after.as_deref()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(seconds) => Some(Span::from_secs(seconds)),
            Err(_) => Some(Span::from_nanos(i64::MAX)), // more digits than fit
        };
    }
    let until = http_date(text)?;
    let answered_at = match answer_date(response) {
        Some(date) => date,
        None => i128::from(now.wall.as_nanos()),
    };
    let nanos = i64::try_from(until.saturating_sub(answered_at)).unwrap_or(i64::MAX);
    Some(Span::from_nanos(nanos).or_zero())
}

fn answer_date(response: &HttpResponse) -> Option<i128> {
    http_date(response.date.as_deref()?)
}

/// Nanoseconds since the epoch of an HTTP date in its preferred form (`Sun, 06 Nov 1994 08:49:37
/// GMT`).
fn http_date(text: &str) -> Option<i128> {
    let date = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(date.as_nanosecond())
}

#[cfg(test)]
mod tests;
