//! Renders and compresses responses away from the threads that poll, once for all clients that
//! wait for the same one.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use super::encoding::{WORTH_COMPRESSING, accepts_gzip, gzip};
use super::memory::AnswerMemory;
use super::page::{Filter, PairView};
use super::reply::{CSS, HTML, JAVASCRIPT, JSON, METRICS, SVG, failed, log_failure};
use super::runbooks::RunbookSubject;
use crate::model::Timestamp;

/// Any error of a rendering. It is logged; clients only learn that it happened.
pub(super) type RenderError = Box<dyn Error + Send + Sync>;

/// What is rendered. Requests for the same resource may share a rendering.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    /// The page, with these pairs.
    Page(Filter),
    /// The page of a pair.
    Pair(PairView),
    /// The history of a pair since an instant, as JSON.
    History(PairView, Timestamp),
    /// The pages' stylesheet.
    Style,
    /// The pages' script.
    Script,
    /// The pages' icon.
    Icon,
    /// The description of the API.
    OpenApi,
    /// The runbook of this name, filled in for this pair or server.
    Runbook(&'static str, RunbookSubject),
    /// The metrics.
    Metrics,
    /// Every pair, as JSON.
    Pairs,
    /// Every alert, as JSON.
    Alerts,
    /// Every delivery, as JSON.
    Deliveries,
    /// Every silence, as JSON.
    Silences,
    /// Every operation, as JSON.
    Operations,
    /// The last audit, as JSON.
    Doctor,
    /// The active-active sites, as JSON.
    ActiveActive,
    /// The monitored servers, as JSON.
    Targets,
}

/// Renders resources, a few at once.
///
/// A request that arrives while a rendering of its resource waits for its turn shares it: five
/// hundred scrapes at once cost two renderings, and each is about an instant after its request. A
/// rendering that has begun is not shared with later requests.
#[derive(Clone)]
pub(super) struct Renderer {
    turns: Arc<Semaphore>,
    memory: AnswerMemory,
    waiting: Arc<Mutex<BTreeMap<RenderKey, SharedRendering>>>,
}

/// A resource, and whether it may be compressed.
type RenderKey = (Resource, bool);

/// The result of a rendering, for all requests that wait for it; `None` until it is there.
type SharedRendering = watch::Receiver<Option<Rendered>>;

#[derive(Clone)]
enum Rendered {
    Body { bytes: Bytes, gzipped: bool },
    Failed,
}

impl Renderer {
    /// A renderer of at most `at_once` resources at once, whose results live in `memory`.
    pub(super) fn new(at_once: usize, memory: AnswerMemory) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            memory,
            waiting: Arc::default(),
        }
    }

    /// The response with what `render` makes, on a blocking thread: a large fleet takes
    /// milliseconds to write, and polls must not wait for that. An error or a panic ends as a 500;
    /// the log has the reason, the client does not.
    pub(super) async fn respond<F, E>(
        &self,
        resource: Resource,
        headers: &HeaderMap,
        render: F,
    ) -> Response
    where
        F: FnOnce() -> Result<Vec<u8>, E> + Send + 'static,
        E: Into<RenderError>,
    {
        let key = (resource.clone(), accepts_gzip(headers));
        let mut shared = self.join(key, || render().map_err(Into::into));
        let rendered = match shared.wait_for(Option::is_some).await {
            Ok(rendered) => rendered.clone(),
            // The runtime is ending.
            Err(_) => None,
        };
        match rendered {
            Some(Rendered::Body { bytes, gzipped }) => response(&resource, bytes, gzipped),
            Some(Rendered::Failed) | None => failed(),
        }
    }

    /// The rendering of `key` that has not begun yet; a new one where there is none.
    fn join(
        &self,
        key: RenderKey,
        render: impl FnOnce() -> Result<Vec<u8>, RenderError> + Send + 'static,
    ) -> SharedRendering {
        let mut waiting = self.waiting();
        if let Some(shared) = waiting.get(&key) {
            return shared.clone();
        }
        let (done, shared) = watch::channel(None);
        waiting.insert(key.clone(), shared.clone());
        drop(tokio::spawn(self.clone().render(key, render, done)));
        shared
    }

    /// Waits for a turn and renders. The work keeps its turn even when all its clients have left.
    async fn render(
        self,
        key: RenderKey,
        render: impl FnOnce() -> Result<Vec<u8>, RenderError> + Send + 'static,
        done: watch::Sender<Option<Rendered>>,
    ) {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.ok();
        // Requests from now on need a later instant.
        self.waiting().remove(&key);
        if done.is_closed() {
            return;
        }
        let (_, compress) = key;
        let work = move || encode(render()?, compress);
        let rendered = match tokio::task::spawn_blocking(work).await {
            Ok(Ok((bytes, gzipped))) => tokio::select! {
                bytes = self.memory.hold(bytes) => Rendered::Body { bytes, gzipped },
                () = done.closed() => return,
            },
            Ok(Err(error)) => failure(&*error),
            Err(panicked) => failure(&panicked),
        };
        done.send_replace(Some(rendered));
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<RenderKey, SharedRendering>> {
        // Every change is one call that cannot panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(error: &dyn Error) -> Rendered {
    log_failure(error);
    Rendered::Failed
}

/// The bytes of the response, and whether they are compressed.
fn encode(bytes: Vec<u8>, compress: bool) -> Result<(Vec<u8>, bool), RenderError> {
    if compress && bytes.len() >= WORTH_COMPRESSING {
        return Ok((gzip(&bytes)?, true));
    }
    Ok((bytes, false))
}

fn response(resource: &Resource, bytes: Bytes, gzipped: bool) -> Response {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, resource.media_type());
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

impl Resource {
    const fn media_type(&self) -> HeaderValue {
        match self {
            Self::Page(_) | Self::Pair(_) | Self::Runbook(..) => HTML,
            Self::Style => CSS,
            Self::Script => JAVASCRIPT,
            Self::Icon => SVG,
            Self::Metrics => METRICS,
            Self::Pairs
            | Self::Alerts
            | Self::Deliveries
            | Self::Silences
            | Self::Operations
            | Self::Doctor
            | Self::ActiveActive
            | Self::Targets
            | Self::History(..)
            | Self::OpenApi => JSON,
        }
    }
}
