//! Commands over HTTP: checks write access, sends them to the core, and turns its answers into
//! responses.

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use super::access::{AccessGate, Authenticated, Peer, WritePolicy, refuse_write};
use super::handler::HandlerState;
use super::reply::{json, refuse, text};
use crate::admin::{AdminAnswer, AdminCommand, AdminError, AdminReply};
use crate::alert::{SilenceError, SilenceId};
use crate::monitor::OperationError;
use crate::notify::ReplayError;
use crate::report::{DoctorBegan, OperationNoted, SilenceMade};

/// The layer of every route that changes something: passes on only requests with write access.
pub(super) async fn require_write_access(
    State((gate, policy)): State<(AccessGate, WritePolicy)>,
    Extension(peer): Extension<Peer>,
    Extension(authenticated): Extension<Authenticated>,
    request: Request,
    next: Next,
) -> Response {
    let sender = (peer, authenticated);
    let config = gate.active();
    let refused = refuse_write(policy, &config, sender, request.uri(), request.headers());
    match refused {
        None => next.run(request).await,
        Some((status, sentence)) => refuse(request.uri().path(), status, sentence),
    }
}

/// `POST /-/reload`.
pub(super) async fn reload(State(handler): State<HandlerState>, uri: Uri) -> Response {
    let answer = handler.web.admin.ask(AdminCommand::Reload).await;
    respond(uri.path(), answer)
}

/// `POST /api/v1/deliveries/{id}/replay`.
pub(super) async fn replay(
    id: Result<Path<String>, PathRejection>,
    State(handler): State<HandlerState>,
    uri: Uri,
) -> Response {
    let Ok(Path(id)) = id else {
        let sentence = "a path that is not UTF-8 text names no delivery";
        return refuse(uri.path(), StatusCode::NOT_FOUND, sentence);
    };
    let command = AdminCommand::ReplayDelivery { id };
    let answer = handler.web.admin.ask(command).await;
    respond(uri.path(), answer)
}

/// `POST /api/v1/doctor`.
pub(super) async fn run_doctor(State(handler): State<HandlerState>, uri: Uri) -> Response {
    let answer = handler.web.admin.ask(AdminCommand::RunDoctor).await;
    respond(uri.path(), answer)
}

/// `DELETE /api/v1/silences/{id}`.
pub(super) async fn expire_silence(
    State(handler): State<HandlerState>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Response {
    // A path that is not UTF-8 text names no silence either.
    let id = id.ok().and_then(|Path(id)| SilenceId::parse(&id));
    let Some(id) = id else {
        let sentence = "a silence is named by 16 hexadecimal digits";
        return refuse(uri.path(), StatusCode::NOT_FOUND, sentence);
    };
    let answer = handler.web.admin.ask(AdminCommand::ExpireSilence(id)).await;
    respond(uri.path(), answer)
}

/// The core's answer in the form that readers of `path` expect.
pub(super) fn respond(path: &str, answer: AdminAnswer) -> Response {
    match answer {
        Ok(reply) => done(&reply),
        Err(error) => refuse(path, status_of(&error), &error.to_string()),
    }
}

fn done(reply: &AdminReply) -> Response {
    match reply {
        AdminReply::Reloaded(report) => text(StatusCode::OK, &report.to_string()),
        AdminReply::DeliveryReplayed(report) => json(StatusCode::ACCEPTED, report),
        AdminReply::OperationNoted => json(StatusCode::OK, &OperationNoted::default()),
        AdminReply::DoctorBegan => json(StatusCode::ACCEPTED, &DoctorBegan { began: true }),
        AdminReply::SilenceAdded(id) | AdminReply::SilenceExpired(id) => {
            let made = SilenceMade {
                id: id.to_string(),
                warning: None,
            };
            json(StatusCode::OK, &made)
        }
    }
}

const fn status_of(error: &AdminError) -> StatusCode {
    match error {
        AdminError::Busy | AdminError::ShuttingDown | AdminError::NoReply => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        // As in Prometheus: the request was right, the file on this machine is not.
        AdminError::Config(_) => StatusCode::INTERNAL_SERVER_ERROR,
        AdminError::Replay(ReplayError::Unknown)
        | AdminError::Operation(OperationError::UnknownPair(_))
        | AdminError::Silence(SilenceError::Unknown(_)) => StatusCode::NOT_FOUND,
        AdminError::Replay(_)
        | AdminError::DoctorRuns
        | AdminError::Operation(OperationError::InProgress(_))
        | AdminError::Silence(SilenceError::Expired(_) | SilenceError::TooMany) => {
            StatusCode::CONFLICT
        }
        AdminError::Silence(_) | AdminError::Operation(OperationError::Invalid(_)) => {
            StatusCode::BAD_REQUEST
        }
    }
}
