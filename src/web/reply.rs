//! Responses: rendered away from the threads that poll, compressed there, and never without a sentence.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::encoding::{WORTH_COMPRESSING, accepts_gzip, gzip};

/// Prometheus' text format, version 0.0.4.
pub(super) const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(super) const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");

/// Renders responses, a few at once.
#[derive(Clone)]
pub(super) struct Renderer(Arc<Semaphore>);

/// A rendered body.
struct Rendered {
    bytes: Vec<u8>,
    gzipped: bool,
}

impl Renderer {
    /// A renderer of at most `at_once` responses at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// The response that `render` makes, on a thread of its own: a large fleet takes milliseconds to write, and polls
    /// may not wait for that. A panic ends as a 500. What goes wrong is logged, and not told to the client.
    pub(super) async fn respond<F, E>(&self, kind: HeaderValue, headers: &HeaderMap, render: F) -> Response
    where
        F: FnOnce() -> Result<Vec<u8>, E> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let compress = accepts_gzip(headers);
        // The semaphore is never closed. The permit stays with the work, also when nobody waits for it any more.
        let permit = Arc::clone(&self.0).acquire_owned().await.ok();
        let work = move || {
            let _permit = permit;
            encode(render().map_err(Into::into)?, compress)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(rendered)) => rendered.into_response(kind),
            Ok(Err(error)) => broken(&*error),
            Err(panicked) => broken(&panicked),
        }
    }
}

fn encode(bytes: Vec<u8>, compress: bool) -> Result<Rendered, Box<dyn std::error::Error + Send + Sync>> {
    if compress && bytes.len() >= WORTH_COMPRESSING {
        return Ok(Rendered { bytes: gzip(&bytes)?, gzipped: true });
    }
    Ok(Rendered { bytes, gzipped: false })
}

impl Rendered {
    fn into_response(self, kind: HeaderValue) -> Response {
        let mut response = Response::new(Body::from(self.bytes));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if self.gzipped {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn broken(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a response could not be rendered");
    let sentence = "this answer could not be made; the exporter's log says why\n";
    (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, TEXT)], sentence).into_response()
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
    match serde_json::to_vec(&ApiError { error: sentence }) {
        Ok(body) => (status, [(CONTENT_TYPE, JSON)], body).into_response(),
        Err(error) => broken(&error),
    }
}
