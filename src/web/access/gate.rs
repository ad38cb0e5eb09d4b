//! The gate that every request passes: configured headers onto the answer, and a password where
//! users are configured.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::password::{Login, Passwords};
use super::{ActiveConfig, ActiveConfigWatch, Authenticated, Peer};
use crate::web::reply::refuse;

/// What an unknown client is asked for (RFC 7617, section 2).
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"redis-cross-dc-exporter\", charset=\"UTF-8\"");

/// What is in force, and who was let in before. Cheap to clone.
#[derive(Clone)]
pub(in crate::web) struct Gate {
    published: ActiveConfigWatch,
    passwords: Arc<Passwords>,
}

impl Gate {
    /// A gate by what is `published`.
    pub(in crate::web) fn new(published: ActiveConfigWatch) -> Self {
        Self {
            published,
            passwords: Arc::new(Passwords::new()),
        }
    }

    /// What is in force now.
    pub(in crate::web) fn active(&self) -> Arc<ActiveConfig> {
        Arc::clone(&self.published.borrow())
    }
}

/// Lets a request through if its sender may read, and notes whether it has proved who it is. Puts
/// the configured headers on every answer, over the exporter's own.
pub(in crate::web) async fn guarded(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let active = gate.active();
    let login = Login::from_headers(request.headers());
    let certified = request
        .extensions()
        .get::<Peer>()
        .is_some_and(|peer| peer.certified);
    let mut response = if active.users.is_empty() {
        request.extensions_mut().insert(Authenticated(certified));
        next.run(request).await
    } else if logged_in(&gate.passwords, &active, login).await {
        request.extensions_mut().insert(Authenticated(true));
        next.run(request).await
    } else {
        unauthorized(request.uri().path())
    };
    for (name, value) in &active.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

async fn logged_in(passwords: &Passwords, active: &ActiveConfig, login: Option<Login>) -> bool {
    match login {
        Some(login) => passwords.accept(&active.users, login).await,
        None => false,
    }
}

fn unauthorized(path: &str) -> Response {
    let mut response = refuse(
        path,
        StatusCode::UNAUTHORIZED,
        "unauthorized: give a user and a password",
    );
    response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    response
}
