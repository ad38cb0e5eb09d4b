//! The live stream: server-sent events for who watches, made once for all of them.
//!
//! One task looks at the last snapshot every second while anybody listens, and hands everybody the
//! same bytes. Nobody is waited for: who does not take what is sent loses the stream, and knows by
//! that, where a queue would tell old news.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::Attendance;
use super::reply::{EVENTS, refuse};
use super::state::WebState;
use crate::monitor::FleetSnapshot;
use crate::report::{JournalEntryReport, LiveReport, PairsReport};

/// How often there is something to say: a snapshot where there is a new one, else a comment that
/// the stream lives.
const EVERY: Duration = Duration::from_secs(1);

/// Frames that wait for one client, each one second's. Beyond them it is too slow, and dropped.
const MAX_WAITING: usize = 8;

/// Happenings in one frame. When a datacenter is cut, thousands of pairs change at once, and the
/// snapshot says so.
const MAX_TOLD: usize = 50;

/// How soon a browser connects again, in milliseconds.
const RETRY: &str = "retry: 3000\n\n";

/// The number of the last event that a browser saw before it lost the stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Who listens. Cheap to clone.
#[derive(Clone)]
pub(super) struct Listeners {
    state: WebState,
    most: usize,
    all: Arc<Mutex<All>>,
}

#[derive(Default)]
struct All {
    listening: Vec<Listener>,
    /// Whether the task runs that tells them.
    told: bool,
}

struct Listener {
    frames: mpsc::Sender<Bytes>,
    /// The number of the last happening that it was told of.
    seen: u64,
    /// Whether it was told nothing yet: even an old snapshot is news to it.
    new: bool,
}

impl Listeners {
    /// Nobody yet, and at most so many.
    pub(super) fn new(state: WebState, most: usize) -> Self {
        Self {
            state,
            most,
            all: Arc::default(),
        }
    }

    /// The stream, for the client of this connection.
    pub(super) fn join(&self, headers: &HeaderMap, attendance: Attendance) -> Response {
        let (fleet, _) = self.state.current();
        let Some(frames) = self.enter(seen(headers).unwrap_or_else(|| fleet.journal.last())) else {
            let sentence =
                "too many clients listen already: ask /api/v1/pairs instead, or try again later";
            return refuse("/api/v1/events", StatusCode::SERVICE_UNAVAILABLE, sentence);
        };
        let mut response = Response::new(Body::new(Feed {
            frames,
            attendance,
            began: false,
        }));
        response
            .headers_mut()
            .insert(axum::http::header::CONTENT_TYPE, EVENTS);
        // A proxy that collects what it passes on would hold back news.
        response.headers_mut().insert(
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        );
        response
    }

    fn enter(&self, seen: u64) -> Option<mpsc::Receiver<Bytes>> {
        let mut all = self.all();
        all.listening
            .retain(|listener| !listener.frames.is_closed());
        if all.listening.len() >= self.most {
            return None;
        }
        let (frames, feed) = mpsc::channel(MAX_WAITING);
        all.listening.push(Listener {
            frames,
            seen,
            new: true,
        });
        if !std::mem::replace(&mut all.told, true) {
            drop(tokio::spawn(self.clone().tell()));
        }
        Some(feed)
    }

    /// Tells everybody, until nobody listens.
    async fn tell(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            ticks.tick().await;
            let Some((seen, anybody_new)) = self.wanted() else {
                return;
            };
            let (fleet, now) = self.state.current();
            let news = anybody_new || last != Some(fleet.anchor.mono);
            last = Some(fleet.anchor.mono);
            // A large fleet takes milliseconds to look through, and polls may not wait for that.
            let frames = tokio::task::spawn_blocking(move || {
                let snapshot = snapshot_frame(&fleet, now, news)?;
                let told = |seen| Ok((seen, frame(&fleet, seen, &snapshot)?));
                seen.into_iter()
                    .map(told)
                    .collect::<Result<BTreeMap<u64, Told>, serde_json::Error>>()
            });
            match frames.await {
                Ok(Ok(frames)) => self.send(&frames),
                Ok(Err(error)) => log(&error),
                Err(panicked) => log(&panicked),
            }
        }
    }

    /// From where on somebody wants to be told, and whether anybody is new; `None` when nobody
    /// listens any more: the next one begins anew.
    fn wanted(&self) -> Option<(Vec<u64>, bool)> {
        let mut all = self.all();
        all.listening
            .retain(|listener| !listener.frames.is_closed());
        all.told = !all.listening.is_empty();
        let mut seen: Vec<_> = all.listening.iter().map(|listener| listener.seen).collect();
        seen.sort_unstable();
        seen.dedup();
        let anybody_new = all.listening.iter().any(|listener| listener.new);
        all.listening
            .iter_mut()
            .for_each(|listener| listener.new = false);
        all.told.then_some((seen, anybody_new))
    }

    fn send(&self, frames: &BTreeMap<u64, Told>) {
        self.all().listening.retain_mut(|listener| {
            // Who came meanwhile is told the next time.
            let Some(told) = frames.get(&listener.seen) else {
                return true;
            };
            listener.seen = told.until;
            let sent = listener.frames.try_send(told.bytes.clone()).is_ok();
            if !sent {
                tracing::debug!("a client of the live stream left, or was too slow and is dropped");
            }
            sent
        });
    }

    fn all(&self) -> MutexGuard<'_, All> {
        // Every change is one call that cannot panic half way.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(error: &dyn std::error::Error) {
    tracing::error!(%error, "an event of the live stream could not be made");
}

fn seen(headers: &HeaderMap) -> Option<u64> {
    headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()
}

/// What somebody is told, and the number of the last happening in it.
struct Told {
    bytes: Bytes,
    until: u64,
}

fn snapshot_frame(
    fleet: &FleetSnapshot,
    now: crate::model::Timestamp,
    news: bool,
) -> Result<String, serde_json::Error> {
    if !news {
        return Ok(": nothing new\n\n".to_owned());
    }
    let report = LiveReport::new(fleet, &PairsReport::new(fleet, now));
    Ok(format!(
        "event: snapshot\ndata: {}\n\n",
        serde_json::to_string(&report)?
    ))
}

/// What happened after `seen`, as far as it is kept and not too much, and then how things are.
fn frame(fleet: &FleetSnapshot, seen: u64, snapshot: &str) -> Result<Told, serde_json::Error> {
    let happened = fleet.journal.after(seen);
    let too_many = happened.len().saturating_sub(MAX_TOLD);
    let mut text = String::new();
    for happening in happened.skip(too_many) {
        let report = JournalEntryReport::new(fleet, happening);
        let (number, event, data) = (
            happening.number,
            report.event(),
            serde_json::to_string(&report)?,
        );
        // JSON has no line ends of its own, so nothing in it can begin another field. Writing to a
        // String never fails.
        let _ = write!(text, "id: {number}\nevent: {event}\ndata: {data}\n\n");
    }
    text.push_str(snapshot);
    // Where a clock was set back, a number of an earlier run is above all: then all is told from
    // now on.
    Ok(Told {
        bytes: text.into(),
        until: fleet.journal.last(),
    })
}

/// The body of a stream: frames until the client is dropped, or its connection is to end.
struct Feed {
    frames: mpsc::Receiver<Bytes>,
    attendance: Attendance,
    began: bool,
}

impl hyper::body::Body for Feed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.attendance.poll_end(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.attendance.go_on();
        if !std::mem::replace(&mut self.began, true) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(RETRY.as_bytes())))));
        }
        self.frames
            .poll_recv(cx)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests;
