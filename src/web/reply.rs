//! Responses that are sentences, for requests that cannot be served; and the media types.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Prometheus' text format, version 0.0.4.
pub(super) const METRICS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(super) const JAVASCRIPT: HeaderValue =
    HeaderValue::from_static("text/javascript; charset=utf-8");
pub(super) const SVG: HeaderValue = HeaderValue::from_static("image/svg+xml");
pub(super) const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
pub(super) const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");

/// Logs why an answer could not be made. The client does not receive the reason.
pub(super) fn log_failure(error: &dyn std::error::Error) {
    tracing::error!(%error, "a response could not be rendered");
}

/// The answer where the real one could not be made.
pub(super) fn failed() -> Response {
    let sentence = "this answer could not be made; the exporter's log says why\n";
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        [(CONTENT_TYPE, TEXT)],
        sentence,
    )
        .into_response()
}

/// A sentence as plain text.
pub(super) fn text(status: StatusCode, sentence: &str) -> Response {
    (status, [(CONTENT_TYPE, TEXT)], format!("{sentence}\n")).into_response()
}

/// What an API answers when it cannot do what was asked.
#[derive(Serialize)]
struct ApiError<'a> {
    error: &'a str,
}

/// A sentence in the form that the path's readers expect: JSON under `/api`, text elsewhere.
pub(super) fn refuse(path: &str, status: StatusCode, sentence: &str) -> Response {
    if path != "/api" && !path.starts_with("/api/") {
        return text(status, sentence);
    }
    json(status, &ApiError { error: sentence })
}

/// `answer` as JSON.
pub(super) fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    match serde_json::to_vec(answer) {
        Ok(body) => (status, [(CONTENT_TYPE, JSON)], body).into_response(),
        Err(error) => {
            log_failure(&error);
            failed()
        }
    }
}
