//! Layers around every route: limits on size and time, and the security headers.

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Body as _;

use super::limits::Limits;
use super::reply::refuse;

/// Only the pages' own stylesheet, script and icon may be loaded; no script or style inside a page
/// runs; the script may connect to this exporter only; no site may frame a page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// On every response: no guessing of types, no frames, no referrer to other sites, no caching (a
/// page is true for seconds).
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Refuses requests that are too large, and gives up answers that take too long.
pub(super) async fn enforce_limits(
    State(limits): State<Limits>,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri();
    let path = uri.path().to_owned();
    let length = uri.path_and_query().map_or(0, |full| full.as_str().len());
    if length > limits.uri_bytes {
        let sentence = "the path and query are too long";
        return closing(refuse(&path, StatusCode::URI_TOO_LONG, sentence));
    }
    if request.body().size_hint().lower() > limits.body_bytes {
        let sentence = "the body is too large: no path here reads so much";
        return closing(refuse(&path, StatusCode::PAYLOAD_TOO_LARGE, sentence));
    }
    match tokio::time::timeout(limits.request, next.run(request)).await {
        Ok(response) => response,
        Err(_) => too_late(&path),
    }
}

fn too_late(path: &str) -> Response {
    let sentence = "the answer took too long to make: try again";
    let mut response = refuse(path, StatusCode::SERVICE_UNAVAILABLE, sentence);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Ends the connection with the response: nothing else that the client sends is read.
fn closing(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Puts [`SECURITY_HEADERS`] on a response, unless the web configuration has set its own.
pub(super) async fn add_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}
