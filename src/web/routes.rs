//! The routes of the server, and the handlers of those that only read.

use std::convert::Infallible;
use std::future;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{Redirect, Response};
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::access::{AccessGate, WritePolicy, authenticate};
use super::admin::{self, require_write_access};
use super::connection::ConnectionHandle;
use super::connection_table::ConnectionTable;
use super::events::EventStreams;
use super::handler::{HandlerState, json_report};
use super::health::{healthy, ready};
use super::layers::{add_security_headers, enforce_limits};
use super::limits::Limits;
use super::memory::AnswerMemory;
use super::not_found::not_found;
use super::operations;
use super::page::{self, Filter, PairView, Range};
use super::probes::{HEALTHY, READY};
use super::renderer::{Renderer, Resource};
use super::reply::refuse;
use super::runbooks::{self, RunbookSubject, SubjectNow};
use super::silences;
use super::since::since;
use super::state::WebState;
use crate::config::TelemetryPath;
use crate::monitor::FleetSnapshot;
use crate::report::{
    ActiveActiveReport, AlertsReport, DeliveriesReport, DoctorStatusReport, HistoryReport,
    PairsReport, TargetGroup,
};

/// What the routes are made from.
pub(super) struct RouterParts<'a> {
    pub(super) state: WebState,
    pub(super) connections: &'a ConnectionTable,
    pub(super) limits: Limits,
    pub(super) gate: AccessGate,
    pub(super) policy: WritePolicy,
    /// Where the metrics are.
    pub(super) telemetry_path: TelemetryPath,
}

/// Every path of the server, behind its limits and its access gate.
pub(super) fn router(parts: RouterParts<'_>) -> Router {
    let RouterParts {
        state,
        connections,
        limits,
        gate,
        policy,
        telemetry_path,
    } = parts;
    let memory = AnswerMemory::new(limits.answer_bytes, connections.clone(), limits.patience);
    let handler = HandlerState {
        renderer: Renderer::new(limits.renderers, memory),
        streams: EventStreams::new(state.clone(), limits.listeners),
        web: state,
    };
    let write_access = || from_fn_with_state((gate.clone(), policy), require_write_access);
    let replay = post(admin::replay).layer(write_access());
    let run_doctor = post(admin::run_doctor).layer(write_access());
    let note_operation = post(operations::note).layer(write_access());
    let add_silence = post(silences::add).layer(write_access());
    let expire_silence = delete(admin::expire_silence).layer(write_access());
    let mut router = Router::new().route(telemetry_path.as_str(), get(metrics));
    if !telemetry_path.is_default() {
        // Links lead there, and so may a scrape configuration of before.
        let elsewhere = move || future::ready(Redirect::temporary(telemetry_path.as_str()));
        router = router.route("/metrics", get(elsewhere));
    }
    router
        .route("/", get(landing_page))
        .route("/pairs/{name}", get(pair_page))
        .route("/style.css", get(stylesheet))
        .route("/script.js", get(script))
        .route("/icon.svg", get(icon))
        .route(HEALTHY, get(healthy))
        .route(READY, get(ready))
        .route("/-/reload", post(admin::reload).layer(write_access()))
        .route("/api/v1/pairs", get(pairs))
        .route("/api/v1/pairs/{pair}/history", get(history))
        .route("/api/v1/active-active", get(active_active))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/deliveries", get(deliveries))
        .route("/api/v1/deliveries/{id}/replay", replay)
        .route("/api/v1/doctor", get(doctor).merge(run_doctor))
        .route("/api/v1/events", get(events))
        .route("/api/v1/openapi.json", get(openapi))
        .route(
            "/api/v1/operations",
            get(operations::list).merge(note_operation),
        )
        .route("/api/v1/sd", get(targets))
        .route("/api/v1/silences", get(silences::list).merge(add_silence))
        .route("/api/v1/silences/{id}", expire_silence)
        .route("/runbooks/", get(runbook_index))
        .route("/runbooks/{name}", get(runbook))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(gate, authenticate))
        .layer(from_fn_with_state(limits, enforce_limits))
        .layer(from_fn(add_security_headers))
        .with_state(handler)
}

async fn landing_page(
    State(handler): State<HandlerState>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let filter = Filter::parse(query(&uri).unwrap_or_default());
    let resource = Resource::Page(filter.clone());
    let render = move |fleet: &FleetSnapshot, now| page::render(fleet, now, &filter);
    handler.respond(resource, &headers, render).await
}

/// The query of a pair's page and of its history.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PairQuery {
    replica: Option<String>,
    range: String,
    since: String,
}

async fn pair_page(
    State(handler): State<HandlerState>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let query = query::<PairQuery>(&uri).unwrap_or_default();
    let view = PairView {
        name,
        replica: query.replica,
        range: Range::parse(&query.range),
    };
    let (fleet, _) = handler.web.newest().await;
    if page::find(&fleet, &view).is_none() {
        let sentence = "there is no such pair (any more); / lists them all";
        return not_found(uri.path(), &headers, sentence);
    }
    let resource = Resource::Pair(view.clone());
    let render = move |fleet: &FleetSnapshot, now| page::render_pair(fleet, now, &view);
    handler.respond(resource, &headers, render).await
}

async fn runbook_index(state: State<HandlerState>, uri: Uri, headers: HeaderMap) -> Response {
    runbook(Path(runbooks::INDEX.to_owned()), state, uri, headers).await
}

async fn runbook(
    Path(name): Path<String>,
    State(handler): State<HandlerState>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(found) = runbooks::find(&name) else {
        let sentence = "there is no such runbook; /runbooks/ lists them all";
        return not_found(uri.path(), &headers, sentence);
    };
    let subject = query::<RunbookSubject>(&uri).unwrap_or_default();
    let resource = Resource::Runbook(found.0, subject.clone());
    let render = move |fleet: &FleetSnapshot, now| {
        let subject = SubjectNow::find(fleet, now, &subject);
        runbooks::render(found, subject.as_ref())
    };
    handler.respond(resource, &headers, render).await
}

async fn metrics(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    (handler.web.refresh)().await;
    let encode = handler.web.encode_metrics.clone();
    let render = move |fleet: &FleetSnapshot, now| encode(fleet, now);
    handler.respond(Resource::Metrics, &headers, render).await
}

async fn pairs(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    (handler.web.refresh)().await;
    json_report(&handler, Resource::Pairs, &headers, PairsReport::new).await
}

async fn alerts(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    json_report(&handler, Resource::Alerts, &headers, AlertsReport::new).await
}

async fn active_active(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    json_report(
        &handler,
        Resource::ActiveActive,
        &headers,
        ActiveActiveReport::new,
    )
    .await
}

/// The monitored servers as Prometheus' HTTP service discovery takes them.
async fn targets(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    let report = |fleet: &FleetSnapshot, _| TargetGroup::all(fleet);
    json_report(&handler, Resource::Targets, &headers, report).await
}

async fn deliveries(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    json_report(
        &handler,
        Resource::Deliveries,
        &headers,
        DeliveriesReport::new,
    )
    .await
}

async fn doctor(State(handler): State<HandlerState>, headers: HeaderMap) -> Response {
    json_report(
        &handler,
        Resource::Doctor,
        &headers,
        DoctorStatusReport::new,
    )
    .await
}

async fn history(
    State(handler): State<HandlerState>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let query = query::<PairQuery>(&uri);
    let (Ok(Path(name)), Some(query)) = (name, query) else {
        let sentence = "the path is not UTF-8 text, or the query has a parameter twice";
        return refuse(uri.path(), StatusCode::BAD_REQUEST, sentence);
    };
    let view = PairView {
        name,
        replica: query.replica,
        range: Range::default(),
    };
    let (fleet, now) = handler.web.newest().await;
    let Some((place, _)) = page::find(&fleet, &view) else {
        let sentence = "there is no such pair: /api/v1/pairs lists them all";
        return refuse(uri.path(), StatusCode::NOT_FOUND, sentence);
    };
    let Some(since) = since(&query.since, &fleet, now) else {
        let sentence = "since is a Unix time in seconds or how long ago, such as 1750000000 or 15m";
        return refuse(uri.path(), StatusCode::BAD_REQUEST, sentence);
    };
    // Of the snapshot in which the pair was found: in a later one it may be gone.
    let render = move || match fleet.pairs.get(place) {
        Some(pair) => serde_json::to_vec(&HistoryReport::new(&fleet, pair, since, now)),
        None => Ok(Vec::new()),
    };
    let resource = Resource::History(view, since);
    handler.renderer.respond(resource, &headers, render).await
}

async fn events(
    State(handler): State<HandlerState>,
    Extension(connection): Extension<ConnectionHandle>,
    headers: HeaderMap,
) -> Response {
    handler.streams.open(&headers, connection.begin_stream())
}

async fn openapi(state: State<HandlerState>, headers: HeaderMap) -> Response {
    fixed(state, headers, Resource::OpenApi, page::OPEN_API).await
}

async fn stylesheet(state: State<HandlerState>, headers: HeaderMap) -> Response {
    fixed(state, headers, Resource::Style, page::STYLE).await
}

async fn script(state: State<HandlerState>, headers: HeaderMap) -> Response {
    fixed(state, headers, Resource::Script, page::SCRIPT).await
}

async fn icon(state: State<HandlerState>, headers: HeaderMap) -> Response {
    fixed(state, headers, Resource::Icon, page::ICON).await
}

/// A file that is part of the program.
async fn fixed(
    State(handler): State<HandlerState>,
    headers: HeaderMap,
    resource: Resource,
    text: &'static str,
) -> Response {
    let render = move || Ok::<_, Infallible>(text.as_bytes().to_vec());
    handler.renderer.respond(resource, &headers, render).await
}

/// The query of `uri`; `None` where it cannot be read.
fn query<T: DeserializeOwned>(uri: &Uri) -> Option<T> {
    let Query(query) = Query::try_from_uri(uri).ok()?;
    Some(query)
}

async fn no_such_path(uri: Uri, headers: HeaderMap) -> Response {
    let sentence = "no such path: see / for the page, /metrics, /-/healthy, /-/ready, /api/v1/pairs, /api/v1/alerts, \
                    /api/v1/deliveries, /api/v1/silences, /api/v1/operations, /api/v1/doctor, \
                    /api/v1/active-active";
    not_found(uri.path(), &headers, sentence)
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let sentence = match method {
        _ if uri.path().starts_with("/api/v1/silences/") => "this path takes DELETE only",
        _ if matches!(
            uri.path(),
            "/api/v1/silences" | "/api/v1/doctor" | "/api/v1/operations"
        ) =>
        {
            "this path takes GET, HEAD and POST only"
        }
        Method::GET | Method::HEAD => "this path takes POST only",
        _ => "this path can only be read: use GET or HEAD",
    };
    refuse(uri.path(), StatusCode::METHOD_NOT_ALLOWED, sentence)
}
