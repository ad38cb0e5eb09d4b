//! What is answered where nothing is: a page with a way back for people, a sentence for programs.

use askama::Template;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::reply::{HTML, refuse};

/// `templates/lost.html`.
#[derive(Template)]
#[template(path = "lost.html")]
struct Lost<'a> {
    sentence: &'a str,
}

/// The answer 404 for `path`, in the form that the client reads.
pub(super) fn lost(path: &str, headers: &HeaderMap, sentence: &str) -> Response {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let reads_pages = accepted.is_some_and(|types| types.contains("text/html"));
    if !reads_pages || path.starts_with("/api/") {
        return refuse(path, StatusCode::NOT_FOUND, sentence);
    }
    match (Lost { sentence }).render() {
        Ok(page) => (StatusCode::NOT_FOUND, [(CONTENT_TYPE, HTML)], page).into_response(),
        Err(_) => refuse(path, StatusCode::NOT_FOUND, sentence),
    }
}
