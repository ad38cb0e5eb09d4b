//! The live stream: server-sent events, rendered once for all clients.
//!
//! While there is a client, one task takes the latest snapshot every second and sends the same
//! bytes to all of them. Slow clients are disconnected, not buffered, so nobody reads stale events.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::StreamGuard;
use super::reply::{EVENTS, refuse};
use super::state::WebState;
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::report::{JournalEntryReport, LiveReport, PairsReport};

/// How often a frame is sent: the snapshot where there is a new one, else a comment that keeps the
/// connection alive.
const EVERY: Duration = Duration::from_secs(1);

/// Frames that wait for one client, each one second's. Beyond them it is too slow, and dropped.
const MAX_WAITING: usize = 8;

/// Journal entries in one frame. When a datacenter is cut off, thousands of pairs change at once,
/// and the snapshot shows them all.
const MAX_ENTRIES: usize = 50;

/// How soon a browser reconnects, in milliseconds.
const RETRY: &str = "retry: 3000\n\n";

/// The number of the last event that a browser received before it lost the stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// nginx's switch against buffering: a proxy that collects what it passes on would delay events.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The clients of the live stream. Cheap to clone.
#[derive(Clone)]
pub(super) struct EventStreams {
    state: WebState,
    max_clients: usize,
    clients: Arc<Mutex<Clients>>,
}

#[derive(Default)]
struct Clients {
    all: Vec<StreamClient>,
    /// Whether the task runs that sends to them.
    is_served: bool,
}

struct StreamClient {
    frames: mpsc::Sender<Bytes>,
    /// The number of the last journal entry that it was sent.
    seen: u64,
    /// Whether it was sent nothing yet: even an old snapshot is new to it.
    is_new: bool,
}

/// What the next frames have to contain.
struct Demand {
    /// The numbers after which clients want journal entries, each once.
    seen: Vec<u64>,
    any_new: bool,
}

/// The frame of all clients that have seen the same entries.
struct ClientFrame {
    bytes: Bytes,
    /// The number of the last journal entry in it.
    last: u64,
}

impl EventStreams {
    /// Streams for at most `max_clients`; none is open yet.
    pub(super) fn new(state: WebState, max_clients: usize) -> Self {
        Self {
            state,
            max_clients,
            clients: Arc::default(),
        }
    }

    /// The response with a new stream; 503 where there are too many.
    pub(super) fn open(&self, headers: &HeaderMap, guard: StreamGuard) -> Response {
        let (fleet, _) = self.state.current();
        let seen = last_event_id(headers).unwrap_or_else(|| fleet.journal.last());
        let Some(frames) = self.join(seen) else {
            let sentence =
                "too many live streams are open: use /api/v1/pairs instead, or try again later";
            return refuse("/api/v1/events", StatusCode::SERVICE_UNAVAILABLE, sentence);
        };
        let body = EventBody {
            frames,
            guard,
            began: false,
        };
        let mut response = Response::new(Body::new(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, EVENTS);
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response
    }

    /// Adds a client, and starts the task that sends if it does not run.
    fn join(&self, seen: u64) -> Option<mpsc::Receiver<Bytes>> {
        let mut clients = self.clients();
        clients.forget_closed();
        if clients.all.len() >= self.max_clients {
            return None;
        }
        let (frames, received) = mpsc::channel(MAX_WAITING);
        clients.all.push(StreamClient {
            frames,
            seen,
            is_new: true,
        });
        if !clients.is_served {
            clients.is_served = true;
            drop(tokio::spawn(self.clone().run()));
        }
        Some(received)
    }

    /// Sends a frame to every client at each interval, until there is none.
    async fn run(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_sent = None;
        loop {
            ticks.tick().await;
            let Some(demand) = self.demand() else {
                return;
            };
            let (fleet, now) = self.state.newest().await;
            let with_snapshot = demand.any_new || last_sent != Some(fleet.anchor.mono);
            last_sent = Some(fleet.anchor.mono);
            // A large fleet takes milliseconds to write, and polls must not wait for that.
            let render = move || render_frames(&fleet, now, &demand.seen, with_snapshot);
            match tokio::task::spawn_blocking(render).await {
                Ok(Ok(frames)) => self.send(&frames),
                Ok(Err(error)) => log_failure(&error),
                Err(panicked) => log_failure(&panicked),
            }
        }
    }

    /// What the next frames have to contain; `None` when no client is left, and the task ends.
    fn demand(&self) -> Option<Demand> {
        let mut clients = self.clients();
        clients.forget_closed();
        clients.is_served = !clients.all.is_empty();
        if !clients.is_served {
            return None;
        }
        let mut demand = Demand {
            seen: Vec::new(),
            any_new: false,
        };
        for client in &mut clients.all {
            demand.seen.push(client.seen);
            demand.any_new |= client.is_new;
            client.is_new = false;
        }
        demand.seen.sort_unstable();
        demand.seen.dedup();
        Some(demand)
    }

    fn send(&self, frames: &BTreeMap<u64, ClientFrame>) {
        self.clients().all.retain_mut(|client| {
            // Clients that joined after the frames were made get the next ones.
            let Some(frame) = frames.get(&client.seen) else {
                return true;
            };
            client.seen = frame.last;
            let sent = client.frames.try_send(frame.bytes.clone()).is_ok();
            if !sent {
                tracing::debug!("a client of the live stream left, or was too slow and is dropped");
            }
            sent
        });
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        // Every change is one call that cannot panic half way.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clients {
    fn forget_closed(&mut self) {
        self.all.retain(|client| !client.frames.is_closed());
    }
}

fn log_failure(error: &dyn std::error::Error) {
    tracing::error!(%error, "an event of the live stream could not be made");
}

fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()
}

/// The frames of all clients, by the last journal entry that they have seen.
fn render_frames(
    fleet: &FleetSnapshot,
    now: Timestamp,
    seen: &[u64],
    with_snapshot: bool,
) -> Result<BTreeMap<u64, ClientFrame>, serde_json::Error> {
    let ending = if with_snapshot {
        snapshot_event(fleet, now)?
    } else {
        ": nothing new\n\n".to_owned()
    };
    let mut frames = BTreeMap::new();
    for seen in seen {
        frames.insert(*seen, frame(fleet, *seen, &ending)?);
    }
    Ok(frames)
}

fn snapshot_event(fleet: &FleetSnapshot, now: Timestamp) -> Result<String, serde_json::Error> {
    let report = LiveReport::new(fleet, &PairsReport::new(fleet, now));
    let data = serde_json::to_string(&report)?;
    Ok(format!("event: snapshot\ndata: {data}\n\n"))
}

/// The journal entries after `seen`, as far as they are kept and not too many, then `ending`.
fn frame(fleet: &FleetSnapshot, seen: u64, ending: &str) -> Result<ClientFrame, serde_json::Error> {
    let entries = fleet.journal.after(seen);
    let too_many = entries.len().saturating_sub(MAX_ENTRIES);
    let mut text = String::new();
    for entry in entries.skip(too_many) {
        let report = JournalEntryReport::new(fleet, entry);
        let data = serde_json::to_string(&report)?;
        // Compact JSON contains no line break, so nothing in it can begin another field.
        let event = format!(
            "id: {}\nevent: {}\ndata: {data}\n\n",
            entry.number,
            report.event()
        );
        text.push_str(&event);
    }
    text.push_str(ending);
    Ok(ClientFrame {
        bytes: text.into(),
        // Not the largest of both: where the clock was set back, a number of an earlier run may be
        // above all of this run's.
        last: fleet.journal.last(),
    })
}

/// The body of a stream: frames until the client is dropped, or its connection is to end.
struct EventBody {
    frames: mpsc::Receiver<Bytes>,
    guard: StreamGuard,
    began: bool,
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.guard.poll_end(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.guard.still_answering();
        let bytes = if self.began {
            ready!(self.frames.poll_recv(cx))
        } else {
            self.began = true;
            Some(Bytes::from_static(RETRY.as_bytes()))
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests;
