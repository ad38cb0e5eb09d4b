//! HTTP endpoints that list silences and create them (creating requires write access).

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::admin;
use super::handler::{HandlerState, json_report};
use super::renderer::Resource;
use super::reply::{json, refuse};
use crate::admin::{AdminCommand, AdminReply};
use crate::alert::NewSilence;
use crate::model::WallTime;
use crate::report::{SilenceMade, SilenceRequest, SilencesReport, WouldSilence};

/// The largest body that is read, in bytes: every matcher at its longest fits.
const MAX_BODY: usize = 64 * 1024;

/// `GET /api/v1/silences`.
pub(super) async fn list(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    json_report(&handler, Resource::Silences, &headers, SilencesReport::new).await
}

/// `POST /api/v1/silences`.
pub(super) async fn add(State(handler): State<HandlerState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Ok(body) = to_bytes(request.into_body(), MAX_BODY).await else {
        let sentence = "the body is too large for a silence, or broke off";
        return refuse(&path, StatusCode::PAYLOAD_TOO_LARGE, sentence);
    };
    let (fleet, now) = handler.web.newest().await;
    let new = match parse(&body, fleet.anchor.wall(now)) {
        Ok(new) => new,
        Err(sentence) => return refuse(&path, StatusCode::BAD_REQUEST, &sentence),
    };
    let would = WouldSilence::new(&fleet, &new.matchers);
    if let Some(sentence) = would.unknown_labels.first() {
        return refuse(&path, StatusCode::BAD_REQUEST, sentence);
    }
    let warning = if would.is_nothing() {
        Some(would.words())
    } else {
        None
    };
    match handler.web.admin.ask(AdminCommand::AddSilence(new)).await {
        Ok(AdminReply::SilenceAdded(id)) => {
            let id = id.to_string();
            json(StatusCode::OK, &SilenceMade { id, warning })
        }
        answer => admin::respond(&path, answer),
    }
}

/// The silence that the body describes; a sentence where it describes none.
fn parse(body: &[u8], now: WallTime) -> Result<NewSilence, String> {
    let requested: SilenceRequest = match serde_json::from_slice(body) {
        Ok(requested) => requested,
        Err(error) => return Err(format!("the body is no silence: {error}")),
    };
    requested.into_new(now)
}
