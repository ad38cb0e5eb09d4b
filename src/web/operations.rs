//! HTTP endpoints that list operations, and take in what their controllers report (which requires
//! write access).

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::admin;
use super::handler::{HandlerState, json_report};
use super::renderer::Resource;
use super::reply::refuse;
use crate::admin::AdminCommand;
use crate::operation::OperationNotice;
use crate::report::OperationsReport;

/// The largest body that is read, in bytes: a notice with every text at its longest fits.
const MAX_BODY: usize = 32 * 1024;

/// `GET /api/v1/operations`.
pub(super) async fn list(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    json_report(
        &handler,
        Resource::Operations,
        &headers,
        OperationsReport::new,
    )
    .await
}

/// `POST /api/v1/operations`.
pub(super) async fn note(State(handler): State<HandlerState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Ok(body) = to_bytes(request.into_body(), MAX_BODY).await else {
        let sentence = "the body is too large for an operation, or broke off";
        return refuse(&path, StatusCode::PAYLOAD_TOO_LARGE, sentence);
    };
    let notice: OperationNotice = match serde_json::from_slice(&body) {
        Ok(notice) => notice,
        Err(error) => {
            let sentence = format!("the body is no operation: {error}");
            return refuse(&path, StatusCode::BAD_REQUEST, &sentence);
        }
    };
    let command = AdminCommand::NoteOperation(Box::new(notice));
    let answer = handler.web.admin.ask(command).await;
    admin::respond(&path, answer)
}
