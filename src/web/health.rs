//! `/-/healthy` and `/-/ready`, for supervisors and load balancers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::handler::HandlerState;
use super::pulse::STUCK_AFTER;
use super::reply::text;
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::report::stuck_for;

/// How many servers the sentence of a program that is not ready names.
const NAMED_SERVERS: usize = 5;

/// `GET /-/healthy`: the process answers, and its core is not stuck. Only a restart helps where it
/// is not.
pub(super) async fn healthy(State(handler): State<HandlerState>) -> Response {
    let silent = handler.web.pulse.silent_seconds();
    if silent < STUCK_AFTER {
        return text(StatusCode::OK, "healthy");
    }
    let sentence =
        format!("not healthy: the core has done nothing for {silent} s; restart the exporter");
    text(StatusCode::SERVICE_UNAVAILABLE, &sentence)
}

/// `GET /-/ready`: every server has been polled, and the monitor publishes.
pub(super) async fn ready(State(handler): State<HandlerState>) -> Response {
    let (fleet, now) = handler.web.newest().await;
    match why_not_ready(&fleet, now) {
        None => text(StatusCode::OK, "ready"),
        Some(sentence) => text(StatusCode::SERVICE_UNAVAILABLE, &sentence),
    }
}

/// What is missing, as a sentence; `None` when nothing is.
fn why_not_ready(fleet: &FleetSnapshot, now: Timestamp) -> Option<String> {
    if let Some(age) = stuck_for(fleet, now) {
        return Some(format!(
            "not ready: the monitor has published nothing for {age}; restart the exporter"
        ));
    }
    if fleet.ready {
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    let mut waiting = 0;
    for server in &fleet.servers {
        if server.facts.was_polled() {
            continue;
        }
        waiting += 1;
        if names.len() < NAMED_SERVERS {
            names.push(server.meta.addr.to_string());
        }
    }
    let total = fleet.servers.len();
    let more = if waiting > names.len() { ", ..." } else { "" };
    Some(format!(
        "not ready: {waiting} of {total} servers have not been polled yet: {}{more}",
        names.join(", ")
    ))
}
