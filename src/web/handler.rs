//! What handlers are given, and how they answer with a report of the fleet.

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use super::events::EventStreams;
use super::renderer::{RenderError, Renderer, Resource};
use super::state::WebState;
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;

/// What every handler is given.
#[derive(Clone)]
pub(super) struct HandlerState {
    pub(super) web: WebState,
    pub(super) renderer: Renderer,
    pub(super) streams: EventStreams,
}

impl HandlerState {
    /// The response with what `render` makes of the snapshot that is the latest when its turn
    /// comes: that of now, or of a later instant.
    pub(super) async fn respond<F, E>(
        &self,
        resource: Resource,
        headers: &HeaderMap,
        render: F,
    ) -> Response
    where
        F: FnOnce(&FleetSnapshot, Timestamp) -> Result<Vec<u8>, E> + Send + 'static,
        E: Into<RenderError>,
    {
        let web = self.web.clone();
        (web.newest)().await;
        let render_current = move || {
            let (fleet, now) = web.current();
            render(&fleet, now)
        };
        self.renderer
            .respond(resource, headers, render_current)
            .await
    }
}

/// A report of the whole fleet as JSON.
pub(super) async fn json_report<R: Serialize + 'static>(
    handler: &HandlerState,
    resource: Resource,
    headers: &HeaderMap,
    report: fn(&FleetSnapshot, Timestamp) -> R,
) -> Response {
    let render = move |fleet: &FleetSnapshot, now| serde_json::to_vec(&report(fleet, now));
    handler.respond(resource, headers, render).await
}
