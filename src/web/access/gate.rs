//! The layer of every request: configured headers on the response, the limit on requests, and a
//! password where users are configured.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::password::{Login, LoginVerdict, Passwords};
use super::requests::RequestLimit;
use super::writes::is_on_this_machine;
use super::{ActiveConfig, ActiveConfigWatch, Authenticated, Peer};
use crate::model::Timestamp;
use crate::web::probes::is_probe;
use crate::web::reply::{refuse, text};

/// The challenge to a client without a login (RFC 7617, section 2).
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"redis-cross-dc-exporter\", charset=\"UTF-8\"");

/// The active web configuration, and the logins that were verified. Cheap to clone.
#[derive(Clone)]
pub(in crate::web) struct AccessGate {
    active: ActiveConfigWatch,
    passwords: Passwords,
    clock: fn() -> Timestamp,
}

/// Who a request comes from.
enum Sender {
    /// A client that may read.
    Reader(Authenticated),
    /// A health check of this machine that has not logged in: it gets one word.
    Probe,
}

/// Why a request is not passed on.
enum Refusal {
    /// It has no login of a user.
    Unauthorized,
    /// Its login is not checked.
    TooManyLogins,
    /// `rate_limit` allows no more for that many seconds.
    TooManyRequests { seconds: u64 },
}

impl AccessGate {
    /// A gate that follows `active`; `clock` is for the limit on requests.
    pub(in crate::web) fn new(active: ActiveConfigWatch, clock: fn() -> Timestamp) -> Self {
        Self {
            active,
            passwords: Passwords::new(),
            clock,
        }
    }

    /// The web configuration that is active now.
    pub(in crate::web) fn active(&self) -> Arc<ActiveConfig> {
        Arc::clone(&self.active.borrow())
    }

    /// Who the request comes from.
    async fn admit(
        &self,
        config: &ActiveConfig,
        peer: Option<Peer>,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Sender, Refusal> {
        let is_near = peer.is_some_and(|peer| is_on_this_machine(peer, headers));
        let is_probe = is_near && is_probe(path);
        // Who supervises this program must not end it because others have used up its requests.
        if !is_probe && let Some(limit) = &config.requests {
            self.count(limit)?;
        }
        if config.users.is_empty() {
            let certified = peer.is_some_and(|peer| peer.certified);
            return Ok(Sender::Reader(Authenticated(certified)));
        }
        match Login::from_headers(headers) {
            Some(login) => self.log_in(config, login).await,
            None if is_probe => Ok(Sender::Probe),
            None => Err(Refusal::Unauthorized),
        }
    }

    /// Counts a request.
    fn count(&self, limit: &RequestLimit) -> Result<(), Refusal> {
        let now = (self.clock)();
        if limit.admits(now) {
            return Ok(());
        }
        let wait = limit.retry_after(now).to_duration();
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Err(Refusal::TooManyRequests { seconds })
    }

    async fn log_in(&self, config: &ActiveConfig, login: Login) -> Result<Sender, Refusal> {
        match self.passwords.judge(&config.users, login).await {
            LoginVerdict::Accepted => Ok(Sender::Reader(Authenticated(true))),
            LoginVerdict::Refused => Err(Refusal::Unauthorized),
            LoginVerdict::Busy => Err(Refusal::TooManyLogins),
        }
    }
}

impl Refusal {
    fn response(&self, path: &str) -> Response {
        let (status, sentence) = match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized: give a user and a password",
            ),
            Self::TooManyLogins => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many passwords are being checked: try again later",
            ),
            Self::TooManyRequests { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests: rate_limit of the web configuration allows no more now",
            ),
        };
        let mut response = refuse(path, status, sentence);
        let headers = response.headers_mut();
        match self {
            Self::Unauthorized => headers.insert(WWW_AUTHENTICATE, CHALLENGE),
            Self::TooManyLogins => headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            Self::TooManyRequests { seconds } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(*seconds))
            }
        };
        response
    }
}

/// Passes a request on if its sender may read, and records whether the sender is authenticated.
/// Configured headers replace the exporter's own.
pub(in crate::web) async fn authenticate(
    State(gate): State<AccessGate>,
    mut request: Request,
    next: Next,
) -> Response {
    let config = gate.active();
    let peer = request.extensions().get::<Peer>().copied();
    let path = request.uri().path();
    let admitted = gate.admit(&config, peer, path, request.headers()).await;
    let mut response = match admitted {
        Ok(Sender::Reader(authenticated)) => {
            request.extensions_mut().insert(authenticated);
            next.run(request).await
        }
        Ok(Sender::Probe) => {
            request.extensions_mut().insert(Authenticated(false));
            in_a_word(next.run(request).await.status())
        }
        Err(refusal) => refusal.response(request.uri().path()),
    };
    for (name, value) in &config.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// What a health check gets that has not logged in: the sentence could name servers.
fn in_a_word(status: StatusCode) -> Response {
    let word = if status.is_success() { "ok" } else { "not ok" };
    text(status, word)
}
