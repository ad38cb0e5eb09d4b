//! The answer 404: a page with links for people, a sentence for programs.

use askama::Template;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::reply::{HTML, refuse};

/// `templates/not_found.html`.
#[derive(Template)]
#[template(path = "not_found.html")]
struct NotFoundPage<'a> {
    sentence: &'a str,
}

/// The answer 404 for `path`, in the form that the client reads.
pub(super) fn not_found(path: &str, headers: &HeaderMap, sentence: &str) -> Response {
    if path.starts_with("/api/") || !accepts_html(headers) {
        return refuse(path, StatusCode::NOT_FOUND, sentence);
    }
    match (NotFoundPage { sentence }).render() {
        Ok(page) => (StatusCode::NOT_FOUND, [(CONTENT_TYPE, HTML)], page).into_response(),
        Err(_) => refuse(path, StatusCode::NOT_FOUND, sentence),
    }
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|types| types.contains("text/html"))
}
