//! Silences over HTTP: who may write makes and ends them.

use axum::body::to_bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::renderer::Document;
use super::reply::{JSON, failed, log_failure, refuse};
use super::routes::Shared;
use crate::alert::{SilenceError, SilenceId};
use crate::report::{
    SilenceCommand, SilenceMade, SilenceRefusal, SilenceRequest, SilencesReport, WouldSilence,
};

/// The largest silence: all of its matchers at their longest.
const MAX_BODY: usize = 64 * 1024;

/// Every silence.
pub(super) async fn list(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let state = shared.state;
    let render = move || {
        let (fleet, now) = state.current();
        serde_json::to_vec(&SilencesReport::new(&fleet, now))
    };
    shared
        .renderer
        .respond(Document::Silences, &headers, render)
        .await
}

/// Makes a silence.
pub(super) async fn add(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Ok(body) = to_bytes(request.into_body(), MAX_BODY).await else {
        return refuse(
            &path,
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large for a silence, or broke off",
        );
    };
    let asked: SilenceRequest = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => {
            return refuse(
                &path,
                StatusCode::BAD_REQUEST,
                &format!("the body is no silence: {error}"),
            );
        }
    };
    let (fleet, now) = shared.state.current();
    match asked.into_new(fleet.anchor.wall(now)) {
        Ok(new) => {
            let would = WouldSilence::new(&fleet, &new.matchers);
            if let Some(sentence) = would.unknown_labels.first() {
                return refuse(&path, StatusCode::BAD_REQUEST, sentence);
            }
            let warning = would.is_nothing().then(|| would.words());
            command(&shared, &path, SilenceCommand::Add(new), warning).await
        }
        Err(sentence) => refuse(&path, StatusCode::BAD_REQUEST, &sentence),
    }
}

/// Ends a silence.
pub(super) async fn expire(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Response {
    // A path that is no UTF-8 text names no silence either.
    match id.ok().and_then(|Path(id)| SilenceId::parse(&id)) {
        Some(id) => command(&shared, uri.path(), SilenceCommand::Expire(id), None).await,
        None => refuse(
            uri.path(),
            StatusCode::NOT_FOUND,
            "a silence is named by 16 hexadecimal digits",
        ),
    }
}

async fn command(
    shared: &Shared,
    path: &str,
    command: SilenceCommand,
    warning: Option<String>,
) -> Response {
    let made = |id: SilenceId| SilenceMade {
        id: id.to_string(),
        warning,
    };
    match (shared.state.silence)(command).await {
        Ok(id) => match serde_json::to_vec(&made(id)) {
            Ok(body) => (StatusCode::OK, [(CONTENT_TYPE, JSON)], body).into_response(),
            Err(error) => {
                log_failure(&error);
                failed()
            }
        },
        Err(refusal) => refuse(path, status_of(&refusal), &refusal.to_string()),
    }
}

const fn status_of(refusal: &SilenceRefusal) -> StatusCode {
    match refusal {
        SilenceRefusal::Refused(SilenceError::Unknown(_)) => StatusCode::NOT_FOUND,
        SilenceRefusal::Refused(SilenceError::Expired(_) | SilenceError::TooMany) => {
            StatusCode::CONFLICT
        }
        SilenceRefusal::Refused(_) => StatusCode::BAD_REQUEST,
        SilenceRefusal::Busy | SilenceRefusal::Ending => StatusCode::SERVICE_UNAVAILABLE,
    }
}
