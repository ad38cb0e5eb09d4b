//! A webhook receiver: records what is posted to it, and answers as its script says.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};

use super::LabError;
use super::http::{self, Request, RequestError};
use super::loopback::Loopback;
use crate::clock;
use crate::model::Timestamp;

/// Requests kept; the oldest are dropped first. With bodies of a few KiB this is some tens of MiB.
const MAX_RECORDED: usize = 10_000;
/// Requests that a slow subscriber may fall behind before it loses the oldest.
const SUBSCRIBER_QUEUE: usize = 1024;

/// A request that the receiver has read in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// When its last byte was read.
    pub at: Timestamp,
    /// The method, such as `POST`.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// Header fields in order, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header field called `name` (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        http::header(&self.headers, name)
    }

    /// The body as text, bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay: Duration,
}

impl Response {
    /// An empty response with `status`.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
            delay: Duration::ZERO,
        }
    }

    /// Adds a header field, such as `Retry-After: 2`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// Sends it only after `delay`.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// What the receiver does with a request, once it has recorded it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Accepts it as the real services do: 202 and JSON for `PagerDuty`'s path, otherwise Slack's
    /// 200 and `ok`.
    #[default]
    Accept,
    /// Sends this response.
    Respond(Response),
    /// Never answers; the connection stays open.
    Hang,
    /// Closes the connection without an answer.
    Close,
}

/// A running receiver. On drop it stops.
#[derive(Debug)]
pub struct Receiver {
    server: Loopback,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// How many requests have been received, ever; changes wake [`Receiver::wait_for`].
    count: watch::Sender<u64>,
    subscribers: broadcast::Sender<Received>,
}

#[derive(Debug, Default)]
struct State {
    recorded: VecDeque<Received>,
    /// The next answers, one a request.
    script: VecDeque<Answer>,
    /// The answer once the script is used up.
    otherwise: Answer,
}

impl Receiver {
    /// Listens on 127.0.0.1. The first requests are answered by `script`, one answer each, later
    /// ones are accepted.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(script: impl IntoIterator<Item = Answer>) -> Result<Self, LabError> {
        let state = State {
            script: script.into_iter().collect(),
            ..State::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            count: watch::Sender::new(0),
            subscribers: broadcast::Sender::new(SUBSCRIBER_QUEUE),
        });
        let for_handlers = Arc::clone(&shared);
        let handle = move |stream| serve(stream, Arc::clone(&for_handlers));
        let server = Loopback::start(handle).await?;
        Ok(Self { server, shared })
    }

    /// Answers every request from now on with `answer`; what is left of the script is dropped.
    pub fn always(&self, answer: Answer) {
        let mut state = self.shared.state();
        state.script.clear();
        state.otherwise = answer;
    }

    /// The URL of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addr())
    }

    /// The requests so far, oldest first; of more than 10000, the last.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.state().recorded.iter().cloned().collect()
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> u64 {
        self.server.accepted()
    }

    /// The requests from now on, as they come. A subscriber that falls 1024 requests behind loses
    /// the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Received> {
        self.shared.subscribers.subscribe()
    }

    /// Waits for a request, past or future, that `matches`; `what` names it for the error.
    ///
    /// # Errors
    /// [`LabError::NotReached`] after `limit`, with the requests that came instead.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        matches: impl Fn(&Received) -> bool,
    ) -> Result<Received, LabError> {
        let mut count = self.shared.count.subscribe();
        let search = async {
            loop {
                count.mark_unchanged();
                if let Some(found) = self.shared.state().find(&matches) {
                    return found;
                }
                if count.changed().await.is_err() {
                    return pending().await; // cannot happen: `self` holds the sender
                }
            }
        };
        match timeout(limit, search).await {
            Ok(found) => Ok(found),
            Err(_) => Err(LabError::NotReached {
                what: what.to_owned(),
                limit,
                last_seen: self.shared.state().summary(),
            }),
        }
    }
}

impl State {
    fn record(&mut self, received: Received) -> Answer {
        if self.recorded.len() == MAX_RECORDED {
            self.recorded.pop_front();
        }
        self.recorded.push_back(received);
        match self.script.pop_front() {
            Some(answer) => answer,
            None => self.otherwise.clone(),
        }
    }

    /// The oldest request that `matches`.
    fn find(&self, matches: impl Fn(&Received) -> bool) -> Option<Received> {
        let mut requests = self.recorded.iter();
        requests.find(|request| matches(request)).cloned()
    }

    /// The number of requests and the last few in short, for an error.
    fn summary(&self) -> String {
        let count = self.recorded.len();
        let mut last = Vec::new();
        for request in self.recorded.iter().skip(count.saturating_sub(3)) {
            let Received { method, path, .. } = request;
            last.push(format!("{method} {path} {:.200}", request.text()));
        }
        format!("{count} requests, the last: [{}]", last.join("; "))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, request: Request) -> Answer {
        let Request {
            method,
            path,
            headers,
            body,
        } = request;
        let received = Received {
            at: clock::now(),
            method,
            path,
            headers,
            body,
        };
        let answer = self.state().record(received.clone());
        // An error means that there are no subscribers.
        let _ = self.subscribers.send(received);
        self.count.send_modify(|count| *count += 1);
        answer
    }
}

/// Serves one connection until the client closes it, it breaks, or an answer ends it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    loop {
        match http::read_request(&mut stream).await {
            Ok(Some(request)) => {
                let path = request.path.clone();
                let answer = shared.record(request);
                if respond(&mut stream, answer, &path).await.is_err() {
                    return;
                }
            }
            Err(RequestError::Refused(status)) => {
                let close = [("connection".to_owned(), "close".to_owned())];
                let refusal = http::encode_response(status, &close, "");
                // The connection ends whether the client gets this or not.
                let _ = stream.write_all(&refusal).await;
                return;
            }
            Ok(None) | Err(RequestError::Broken) => return,
        }
    }
}

/// Sends one answer; an error ends the connection.
async fn respond(stream: &mut BufReader<TcpStream>, answer: Answer, path: &str) -> io::Result<()> {
    let response = match answer {
        Answer::Accept => accepted(path),
        Answer::Respond(response) => response,
        Answer::Hang => pending().await,
        Answer::Close => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    let Response {
        status,
        headers,
        body,
        delay,
    } = response;
    sleep(delay).await;
    let encoded = http::encode_response(status, &headers, &body);
    stream.write_all(&encoded).await
}

/// What the real services answer to a good request: Slack's incoming webhooks answer `ok`, the
/// Events API v2 of `PagerDuty` answers 202 with a JSON object.
fn accepted(path: &str) -> Response {
    if path.starts_with("/v2/enqueue") {
        let body = r#"{"status":"success","message":"Event processed","dedup_key":"lab"}"#;
        return Response::new(202)
            .header("content-type", "application/json")
            .body(body);
    }
    Response::new(200)
        .header("content-type", "text/plain")
        .body("ok")
}

#[cfg(test)]
mod tests;
