//! The layer of every request: configured headers on the response, and a password where users are
//! configured.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::password::{Login, Passwords};
use super::{ActiveConfig, ActiveConfigWatch, Authenticated, Peer};
use crate::web::reply::refuse;

/// The challenge to a client without a login (RFC 7617, section 2).
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"redis-cross-dc-exporter\", charset=\"UTF-8\"");

/// The active web configuration, and the logins that were verified. Cheap to clone.
#[derive(Clone)]
pub(in crate::web) struct AccessGate {
    active: ActiveConfigWatch,
    passwords: Arc<Passwords>,
}

impl AccessGate {
    /// A gate that follows `active`.
    pub(in crate::web) fn new(active: ActiveConfigWatch) -> Self {
        Self {
            active,
            passwords: Arc::new(Passwords::new()),
        }
    }

    /// The web configuration that is active now.
    pub(in crate::web) fn active(&self) -> Arc<ActiveConfig> {
        Arc::clone(&self.active.borrow())
    }

    /// Whether the headers have a login of a user of `config`.
    async fn accepts_login(&self, config: &ActiveConfig, headers: &HeaderMap) -> bool {
        match Login::from_headers(headers) {
            Some(login) => self.passwords.accept(&config.users, login).await,
            None => false,
        }
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
    let mut response = if config.users.is_empty() {
        let peer = request.extensions().get::<Peer>();
        let certified = peer.is_some_and(|peer| peer.certified);
        request.extensions_mut().insert(Authenticated(certified));
        next.run(request).await
    } else if gate.accepts_login(&config, request.headers()).await {
        request.extensions_mut().insert(Authenticated(true));
        next.run(request).await
    } else {
        unauthorized(request.uri().path())
    };
    for (name, value) in &config.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

fn unauthorized(path: &str) -> Response {
    let sentence = "unauthorized: give a user and a password";
    let mut response = refuse(path, StatusCode::UNAUTHORIZED, sentence);
    response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    response
}
