//! The paths and what they answer.

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use hyper::body::Body as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::access::{Authenticated, Gate, Peer, WritePolicy, guarded, refuse_write};
use super::connection::Connected;
use super::connection_table::ConnectionTable;
use super::events::Listeners;
use super::limits::Limits;
use super::lost::lost;
use super::memory::Memory;
use super::page::{self, Filter, PairView, Range};
use super::renderer::{Document, Renderer};
use super::reply::{json, refuse, text};
use super::runbooks::{self, About, Subject};
use super::silences;
use super::since::since;
use super::state::WebState;
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::report::{
    AlertsReport, DeliveriesReport, HistoryReport, PairsReport, ReloadError, ReplayRefusal,
    stuck_for,
};

/// How many servers a sentence names.
const NAMED_SERVERS: usize = 5;

/// Nothing but the pages' own stylesheet, script and icon may be loaded, nothing written into a
/// page may run or style it, the script may ask this exporter only, and nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// On every response: nothing is guessed, framed, told to other sites, or kept (a page is true for
/// seconds).
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// What every handler is given.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) state: WebState,
    pub(super) renderer: Renderer,
    listeners: Listeners,
}

/// Every path of the server, behind its limits and its gate.
pub(super) fn router(
    state: WebState,
    crowd: &ConnectionTable,
    limits: Limits,
    gate: Gate,
    policy: WritePolicy,
) -> Router {
    let memory = Memory::new(limits.answer_bytes, crowd.clone(), limits.patience);
    let renderer = Renderer::new(limits.renderers, memory);
    let listeners = Listeners::new(state.clone(), limits.listeners);
    let writers = || from_fn_with_state((gate.clone(), policy), require_write_access);
    Router::new()
        .route("/", get(landing_page))
        .route("/pairs/{name}", get(pair_page))
        .route("/style.css", get(stylesheet))
        .route("/script.js", get(script))
        .route("/icon.svg", get(icon))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload).layer(writers()))
        .route("/api/v1/pairs", get(pairs))
        .route("/api/v1/pairs/{pair}/history", get(history))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/deliveries", get(deliveries))
        .route(
            "/api/v1/deliveries/{id}/replay",
            post(replay).layer(writers()),
        )
        .route("/api/v1/events", get(events))
        .route("/api/v1/openapi.json", get(openapi))
        .route(
            "/api/v1/silences",
            get(silences::list).merge(post(silences::add).layer(writers())),
        )
        .route(
            "/api/v1/silences/{id}",
            delete(silences::expire).layer(writers()),
        )
        .route("/runbooks/", get(runbook_index))
        .route("/runbooks/{name}", get(runbook))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(gate, guarded))
        .layer(from_fn_with_state(limits, limited))
        .layer(from_fn(secured))
        .with_state(Shared {
            state,
            renderer,
            listeners,
        })
}

async fn landing_page(State(shared): State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    let state = shared.state;
    let filter = Filter::parse(query(&uri).unwrap_or_default());
    let document = Document::Page(filter.clone());
    let render = move || {
        let (fleet, now) = state.current();
        page::render(&fleet, now, &filter)
    };
    shared.renderer.respond(document, &headers, render).await
}

/// What a pair's page is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PairQuery {
    replica: Option<String>,
    range: String,
    since: String,
}

async fn pair_page(
    State(shared): State<Shared>,
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
    let state = shared.state;
    if page::find(&state.current().0, &view).is_none() {
        let sentence = "there is no such pair (any more); / lists them all";
        return lost(uri.path(), &headers, sentence);
    }
    let document = Document::Pair(view.clone());
    let render = move || {
        let (fleet, now) = state.current();
        page::render_pair(&fleet, now, &view)
    };
    shared.renderer.respond(document, &headers, render).await
}

async fn history(
    State(shared): State<Shared>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let (Ok(Path(name)), Some(query)) = (name, query::<PairQuery>(&uri)) else {
        let sentence = "the path is no UTF-8 text, or the query says something twice";
        return refuse(uri.path(), StatusCode::BAD_REQUEST, sentence);
    };
    let view = PairView {
        name,
        replica: query.replica,
        range: Range::default(),
    };
    let (fleet, now) = shared.state.current();
    let Some((place, _)) = page::find(&fleet, &view) else {
        return refuse(
            uri.path(),
            StatusCode::NOT_FOUND,
            "there is no such pair: /api/v1/pairs lists them all",
        );
    };
    let Some(since) = since(&query.since, &fleet, now) else {
        let sentence = "since is a Unix time in seconds or how long ago, such as 1750000000 or 15m";
        return refuse(uri.path(), StatusCode::BAD_REQUEST, sentence);
    };
    let render = move || match fleet.pairs.get(place) {
        Some(pair) => serde_json::to_vec(&HistoryReport::new(&fleet, pair, since, now)),
        None => Ok(Vec::new()),
    };
    shared
        .renderer
        .respond(Document::History(view, since), &headers, render)
        .await
}

async fn events(
    State(shared): State<Shared>,
    Extension(connected): Extension<Connected>,
    headers: HeaderMap,
) -> Response {
    shared.listeners.join(&headers, connected.attend())
}

async fn openapi(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    shared
        .renderer
        .respond(Document::OpenApi, &headers, fixed(page::OPEN_API))
        .await
}

async fn stylesheet(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    shared
        .renderer
        .respond(Document::Style, &headers, fixed(page::STYLE))
        .await
}

async fn script(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    shared
        .renderer
        .respond(Document::Script, &headers, fixed(page::SCRIPT))
        .await
}

async fn icon(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    shared
        .renderer
        .respond(Document::Icon, &headers, fixed(page::ICON))
        .await
}

/// What is asked for behind the `?`; `None` where that cannot be read.
fn query<T: DeserializeOwned>(uri: &Uri) -> Option<T> {
    Query::try_from_uri(uri).ok().map(|Query(query)| query)
}

/// A document that is always the same.
fn fixed(text: &'static str) -> impl FnOnce() -> Result<Vec<u8>, std::convert::Infallible> {
    move || Ok(text.as_bytes().to_vec())
}

async fn runbook_index(state: State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    runbook(Path(runbooks::INDEX.to_owned()), state, uri, headers).await
}

async fn runbook(
    Path(name): Path<String>,
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(found) = runbooks::find(&name) else {
        let sentence = "there is no such runbook; /runbooks/ lists them all";
        return lost(uri.path(), &headers, sentence);
    };
    let subject = query::<Subject>(&uri).unwrap_or_default();
    let state = shared.state;
    let document = Document::Runbook(found.0, subject.clone());
    let render = move || {
        let (fleet, now) = state.current();
        runbooks::render(found, About::find(&fleet, now, &subject).as_ref())
    };
    shared.renderer.respond(document, &headers, render).await
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let state = shared.state;
    (state.refresh)().await;
    let render = move || {
        let (fleet, now) = state.current();
        (state.encode_metrics)(&fleet, now)
    };
    shared
        .renderer
        .respond(Document::Metrics, &headers, render)
        .await
}

async fn pairs(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let state = shared.state;
    (state.refresh)().await;
    let render = move || {
        let (fleet, now) = state.current();
        serde_json::to_vec(&PairsReport::new(&fleet, now))
    };
    shared
        .renderer
        .respond(Document::Pairs, &headers, render)
        .await
}

async fn alerts(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let state = shared.state;
    let render = move || {
        let (fleet, now) = state.current();
        serde_json::to_vec(&AlertsReport::new(&fleet, now))
    };
    shared
        .renderer
        .respond(Document::Alerts, &headers, render)
        .await
}

async fn deliveries(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let state = shared.state;
    let render = move || {
        let (fleet, now) = state.current();
        serde_json::to_vec(&DeliveriesReport::new(&fleet, now))
    };
    shared
        .renderer
        .respond(Document::Deliveries, &headers, render)
        .await
}

/// Sends a dead letter again and says to whom.
async fn replay(
    id: Result<Path<String>, PathRejection>,
    State(shared): State<Shared>,
    uri: Uri,
) -> Response {
    let Ok(Path(id)) = id else {
        return refuse(
            uri.path(),
            StatusCode::NOT_FOUND,
            "a path that is no UTF-8 text names no delivery",
        );
    };
    match (shared.state.replay)(id).await {
        Ok(report) => json(StatusCode::ACCEPTED, &report),
        Err(refusal) => {
            let status = match refusal {
                ReplayRefusal::Unknown(_) => StatusCode::NOT_FOUND,
                ReplayRefusal::Untrue(_) => StatusCode::CONFLICT,
                ReplayRefusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
            };
            refuse(uri.path(), status, &refusal.to_string())
        }
    }
}

async fn healthy() -> Response {
    text(StatusCode::OK, "healthy")
}

async fn ready(State(shared): State<Shared>) -> Response {
    let (fleet, now) = shared.state.current();
    match why_not_ready(&fleet, now) {
        None => text(StatusCode::OK, "ready"),
        Some(sentence) => text(StatusCode::SERVICE_UNAVAILABLE, &sentence),
    }
}

/// What is missing, as a sentence; `None` when nothing is.
fn why_not_ready(fleet: &FleetSnapshot, now: Timestamp) -> Option<String> {
    if let Some(age) = stuck_for(fleet, now) {
        return Some(format!(
            "not ready: the monitor has said nothing for {age}; restart the exporter"
        ));
    }
    if fleet.ready {
        return None;
    }
    let waiting = fleet
        .servers
        .iter()
        .filter(|server| !server.facts.was_polled());
    let (count, total) = (waiting.clone().count(), fleet.servers.len());
    let names: Vec<_> = waiting
        .take(NAMED_SERVERS)
        .map(|server| server.meta.addr.to_string())
        .collect();
    let more = if count > names.len() { ", ..." } else { "" };
    Some(format!(
        "not ready: {count} of {total} servers have not been polled yet: {}{more}",
        names.join(", ")
    ))
}

/// Loads the configuration anew and says what that came to. A refused one is 500, as in Prometheus:
/// the request was right, what stands on this machine is not.
async fn reload(State(shared): State<Shared>) -> Response {
    match (shared.state.reload)().await {
        Ok(report) => text(StatusCode::OK, &report.to_string()),
        Err(error @ ReloadError::Refused(_)) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// Stands before everything that changes something.
async fn require_write_access(
    State((gate, policy)): State<(Gate, WritePolicy)>,
    Extension(peer): Extension<Peer>,
    Extension(authenticated): Extension<Authenticated>,
    request: Request,
    next: Next,
) -> Response {
    let (uri, active) = (request.uri(), gate.active());
    match refuse_write(
        policy,
        &active,
        (peer, authenticated),
        uri,
        request.headers(),
    ) {
        None => next.run(request).await,
        Some((status, sentence)) => refuse(uri.path(), status, sentence),
    }
}

async fn not_found(uri: Uri, headers: HeaderMap) -> Response {
    let sentence = "no such path: see / for the page, /metrics, /-/healthy, /-/ready, /api/v1/pairs, /api/v1/alerts, \
                    /api/v1/deliveries, /api/v1/silences";
    lost(uri.path(), &headers, sentence)
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let sentence = match method {
        _ if uri.path().starts_with("/api/v1/silences/") => "this path takes DELETE only",
        _ if uri.path() == "/api/v1/silences" => "this path takes GET, HEAD and POST only",
        Method::GET | Method::HEAD => "this path takes POST only",
        _ => "this path can only be read: use GET or HEAD",
    };
    refuse(uri.path(), StatusCode::METHOD_NOT_ALLOWED, sentence)
}

/// Keeps a request within the limits of size and time.
async fn limited(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let length = request
        .uri()
        .path_and_query()
        .map_or(0, |full| full.as_str().len());
    if length > limits.uri_bytes {
        return closing(refuse(
            &path,
            StatusCode::URI_TOO_LONG,
            "the path and query are too long",
        ));
    }
    if request.body().size_hint().lower() > limits.body_bytes {
        return closing(refuse(
            &path,
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large: no path here reads so much",
        ));
    }
    tokio::time::timeout(limits.request, next.run(request))
        .await
        .unwrap_or_else(|_| too_late(&path))
}

fn too_late(path: &str) -> Response {
    let sentence = "the answer took too long to make: try again";
    let mut response = refuse(path, StatusCode::SERVICE_UNAVAILABLE, sentence);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Ends the connection with the response: what else the client sends is not wanted.
fn closing(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn secured(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY_HEADERS {
        // What the web configuration sets counts.
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}
