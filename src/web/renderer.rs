//! Documents: rendered away from the threads that poll, compressed there, once for everybody who
//! waits.

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
use super::memory::Memory;
use super::page::{Filter, PairView};
use super::reply::{CSS, HTML, JAVASCRIPT, JSON, METRICS, SVG, failed, log_failure};
use super::runbooks::Subject;
use crate::model::Timestamp;

/// What is rendered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Document {
    /// The page, with these pairs.
    Page(Filter),
    /// The page of a pair.
    Pair(PairView),
    /// The past of a pair, as JSON, by its page and from when on.
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
    Runbook(&'static str, Subject),
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
}

/// Renders documents, a few at once.
///
/// Whoever asks for a document while it waits for its turn shares it: five hundred scrapes at once
/// cost two renderings, and each is about an instant after its request. Nobody gets one that was
/// begun before it asked.
#[derive(Clone)]
pub(super) struct Renderer {
    turns: Arc<Semaphore>,
    memory: Memory,
    waiting: Arc<Mutex<BTreeMap<Key, Round>>>,
}

/// A document, and whether it may be compressed.
type Key = (Document, bool);

/// What a rendering comes to, for everybody who waits for it.
type Round = watch::Receiver<Option<Outcome>>;

#[derive(Clone)]
enum Outcome {
    Rendered { bytes: Bytes, gzipped: bool },
    Failed,
}

type Rendering = Result<Vec<u8>, Box<dyn Error + Send + Sync>>;

impl Renderer {
    /// A renderer of at most `at_once` documents at once, which live in `memory`.
    pub(super) fn new(at_once: usize, memory: Memory) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            memory,
            waiting: Arc::default(),
        }
    }

    /// The response with the document that `render` makes, on a thread of its own: a large fleet
    /// takes milliseconds to write, and polls may not wait for that. A panic ends as a 500. What
    /// goes wrong is logged, and not told to the client.
    pub(super) async fn respond<F, E>(
        &self,
        document: Document,
        headers: &HeaderMap,
        render: F,
    ) -> Response
    where
        F: FnOnce() -> Result<Vec<u8>, E> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let key = (document.clone(), accepts_gzip(headers));
        let mut round = self.join(key, || render().map_err(Into::into));
        let outcome = round
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|outcome| outcome.clone());
        match outcome {
            Some(Outcome::Rendered { bytes, gzipped }) => response(&document, bytes, gzipped),
            // Without an outcome the runtime is ending.
            Some(Outcome::Failed) | None => failed(),
        }
    }

    /// The rendering of `key` that has not begun yet; a new one where there is none.
    fn join(&self, key: Key, render: impl FnOnce() -> Rendering + Send + 'static) -> Round {
        let mut waiting = self.waiting();
        if let Some(round) = waiting.get(&key) {
            return round.clone();
        }
        let (done, round) = watch::channel(None);
        waiting.insert(key.clone(), round.clone());
        drop(tokio::spawn(self.clone().render(key, render, done)));
        round
    }

    /// Waits for a turn and renders. The turn stays with the work, also when nobody waits for it
    /// any more.
    async fn render(
        self,
        key: Key,
        render: impl FnOnce() -> Rendering + Send + 'static,
        done: watch::Sender<Option<Outcome>>,
    ) {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.ok();
        // Who asks from now on is told of a later instant.
        self.waiting().remove(&key);
        if done.is_closed() {
            return;
        }
        let compress = key.1;
        let outcome = match tokio::task::spawn_blocking(move || encode(render()?, compress)).await {
            Ok(Ok((bytes, gzipped))) => tokio::select! {
                bytes = self.memory.hold(bytes) => Outcome::Rendered { bytes, gzipped },
                () = done.closed() => return,
            },
            Ok(Err(error)) => failure(&*error),
            Err(panicked) => failure(&panicked),
        };
        done.send_replace(Some(outcome));
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Key, Round>> {
        // Every change is one call that cannot panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(error: &dyn Error) -> Outcome {
    log_failure(error);
    Outcome::Failed
}

fn encode(bytes: Vec<u8>, compress: bool) -> Result<(Vec<u8>, bool), Box<dyn Error + Send + Sync>> {
    if compress && bytes.len() >= WORTH_COMPRESSING {
        return Ok((gzip(&bytes)?, true));
    }
    Ok((bytes, false))
}

fn response(document: &Document, bytes: Bytes, gzipped: bool) -> Response {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, document.media_type());
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

impl Document {
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
            | Self::History(..)
            | Self::OpenApi => JSON,
        }
    }
}
