//! One attempt: its requests are prepared, wait at the write-ahead gate and are sent.

use std::sync::Arc;
use std::time::Duration;

use super::gate::WriteAheadGate;
use crate::clock;
use crate::http_client::{HttpClient, HttpError};
use crate::notify::attempt::Attempt;
use crate::notify::incident::IncidentRef;
use crate::notify::receivers::{
    Delivery, Exchange, GroupConfig, Outgoing, OutgoingRequest, blocking, client_for,
};
use crate::notify::retry::{AnswerRules, AttemptResult, HttpAnswers};
use crate::smtp::{self, Mail, MailServer};

/// How an attempt ended.
#[derive(Debug)]
pub(in crate::notify) struct SendOutcome {
    /// What the receiver's answers mean.
    pub(in crate::notify) rules: &'static dyn AnswerRules,
    /// The result of the last request.
    pub(in crate::notify) result: AttemptResult,
    /// What the receiver has open, or may have; `None` when no request was made.
    pub(in crate::notify) incident: Option<IncidentRef>,
    /// Whether the receiver has `incident` open for certain although the attempt as a whole failed.
    pub(in crate::notify) has_reached: bool,
}

impl SendOutcome {
    /// The outcome of an attempt that sent nothing.
    const fn unsent(rules: &'static dyn AnswerRules, result: AttemptResult) -> Self {
        Self {
            rules,
            result,
            incident: None,
            has_reached: false,
        }
    }

    /// The outcome of an attempt whose task ended without a result. A request may have left, so the
    /// attempt is repeated.
    pub(super) const fn unknown() -> Self {
        Self {
            rules: &HttpAnswers,
            result: AttemptResult::Failed(HttpError::Broken),
            incident: None,
            has_reached: false,
        }
    }
}

/// Makes `attempt`. Its first request leaves once `gate` releases it.
pub(in crate::notify) async fn send(
    client: HttpClient,
    config: Arc<GroupConfig>,
    attempt: Attempt,
    gate: WriteAheadGate,
) -> SendOutcome {
    let rules = config.protocol().answer_rules();
    let (client, mut exchange) = match prepare(client, config, attempt).await {
        Ok(prepared) => prepared,
        Err(result) => return SendOutcome::unsent(rules, result),
    };
    gate.acquire(exchange.incident()).await;
    let mut result = AttemptResult::NothingToSend;
    let mut next = exchange.next_request(None);
    while let Some(outgoing) = next {
        result = match outgoing {
            Outgoing::Http(request) => post(&client, request).await,
            Outgoing::Mail(server, mail) => hand_over(&server, &mail).await,
        };
        next = exchange.next_request(Some(&result));
    }
    SendOutcome {
        rules,
        result,
        incident: Some(exchange.incident()),
        has_reached: exchange.has_reached(),
    }
}

async fn prepare(
    client: HttpClient,
    config: Arc<GroupConfig>,
    attempt: Attempt,
) -> Result<(HttpClient, Box<dyn Exchange>), AttemptResult> {
    let receiver = config.name.clone();
    let prepare = move || {
        let delivery = Delivery {
            attempt: &attempt,
            receiver: &config.name,
            identity: &config.identity,
            context: &config.context,
            now: clock::wall_now(),
        };
        let exchange = config.protocol().prepare(&delivery)?;
        let client = client_for(&client, &config.http)?;
        Ok((client, exchange))
    };
    blocking(&receiver, prepare).await
}

/// The longest that a mail takes. Longer than an HTTP request, because a mail server may verify
/// each address and the content while it is asked.
const MAIL_LIMIT: Duration = Duration::from_secs(30);

async fn hand_over(server: &MailServer, mail: &Mail) -> AttemptResult {
    match smtp::send(server, mail, MAIL_LIMIT).await {
        Ok(accepted) => AttemptResult::MailAccepted(accepted),
        Err(error) => AttemptResult::MailFailed(error),
    }
}

async fn post(client: &HttpClient, request: OutgoingRequest) -> AttemptResult {
    let OutgoingRequest {
        method,
        url,
        headers,
        body,
    } = request;
    let answer = client.send_body(method, url.reveal(), &headers, body).await;
    match answer {
        Ok(response) => AttemptResult::Answered(response),
        Err(error) => AttemptResult::Failed(error),
    }
}
