//! What a receiver's answer means for the notification; the retry rules follow from it.

use std::fmt;

use super::Timing;
use crate::delivery::DeliveryFailure;
use crate::http_client::HttpResponse;
use crate::model::Span;

/// What an answer means for the notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerMeaning {
    /// The receiver accepted it.
    Accepted,
    /// A success without the confirmation that this receiver gives: perhaps the login page of a
    /// proxy.
    Unconfirmed,
    /// The receiver does not accept the layout; it may accept plain text.
    LayoutRefused,
    /// The receiver does not accept it, and would not accept it later.
    Refused(DeliveryFailure),
    /// The receiver limits the rate: nothing is sent to it for a while.
    RateLimited,
    /// 410: the receiver is gone. Nothing is sent to it for a long while.
    Gone,
    /// A failure that may pass.
    Unavailable(DeliveryFailure),
    /// A gateway's timeout. The receiver behind it may have acted.
    GatewayTimeout,
}

/// What distinguishes receivers in the meaning of their answers.
pub trait AnswerRules: fmt::Debug + Sync {
    /// What `response` means; `_plain` says whether the message was plain text.
    fn interpret(&self, response: &HttpResponse, _plain: bool) -> AnswerMeaning {
        meaning_of_status(response.status)
    }

    /// The wait that the answer's body asks for, where the receiver writes it there and not into
    /// the header `Retry-After`.
    fn wait_in_body(&self, _response: &HttpResponse) -> Option<Span> {
        None
    }

    /// The longest backoff after the receiver limited the rate.
    fn max_backoff_when_limited(&self, timing: &Timing) -> Span {
        timing.max_backoff
    }

    /// The least time between two messages; `None` for a receiver that takes any number.
    fn pace(&self, _timing: &Timing) -> Option<Span> {
        None
    }
}

/// The rules of HTTP alone, for receivers without special rules.
#[derive(Clone, Copy, Debug)]
pub struct HttpAnswers;

impl AnswerRules for HttpAnswers {}

/// What a status code means by the rules of HTTP alone.
pub fn meaning_of_status(status: u16) -> AnswerMeaning {
    match status {
        200..300 => AnswerMeaning::Accepted,
        300..400 => AnswerMeaning::Refused(DeliveryFailure::Redirect),
        401 | 403 => AnswerMeaning::Refused(DeliveryFailure::Auth),
        408 | 425 => AnswerMeaning::Unavailable(DeliveryFailure::Client),
        410 => AnswerMeaning::Gone,
        429 => AnswerMeaning::RateLimited,
        400..500 => AnswerMeaning::Refused(DeliveryFailure::Client),
        504 => AnswerMeaning::GatewayTimeout,
        _ => AnswerMeaning::Unavailable(DeliveryFailure::Server),
    }
}
