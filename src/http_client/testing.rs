//! A small HTTP/1.1 server for tests: it records its requests and answers by a script.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long tests wait for something before they fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its first line.
    pub(crate) line: String,
    /// Its headers, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body.
    pub(crate) body: String,
    /// When its last byte came.
    pub(crate) at: Instant,
}

impl Request {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers with a status, headers (`Name: value\r\n` each) and a body.
    Full(u16, String, String),
    /// Never answers.
    Never,
    /// Closes the connection without an answer.
    Close,
    /// Sends its headers a byte at a time, and never ends.
    Drip,
    /// Answers 200, and sends its body a byte at a time until the client gives up.
    DripBody,
}

impl Reply {
    /// `status` with an empty body.
    pub(crate) fn status(status: u16) -> Self {
        Self::body(status, "")
    }

    /// `status` and `body`.
    pub(crate) fn body(status: u16, body: &str) -> Self {
        Self::Full(status, String::new(), body.to_owned())
    }

    /// `status` with one header.
    pub(crate) fn header(status: u16, header: &str) -> Self {
        Self::Full(status, format!("{header}\r\n"), String::new())
    }
}

type Script = dyn Fn(usize, &Request) -> Reply + Send + Sync;

/// A running server. It stops when the runtime does.
pub(crate) struct TestServer {
    /// Where it listens: `http://127.0.0.1:port/path`.
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl TestServer {
    /// Answers each request by `script`, which is given the number of requests before it.
    pub(crate) async fn start(
        script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!(
            "http://{}/services/hunter2",
            listener.local_addr().expect("an address")
        );
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let script: Arc<Script> = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&script)));
            }
        });
        Self { url, requests }
    }

    /// Answers the requests with `replies` in turn, and then always with the last of them.
    pub(crate) async fn replying(replies: Vec<Reply>) -> Self {
        Self::start(move |n, _| replies[n.min(replies.len() - 1)].clone()).await
    }

    /// What arrived so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .expect("no test panics while it holds this")
            .clone()
    }

    /// The first `count` requests, as soon as they have arrived.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Request> {
        let began = Instant::now();
        loop {
            let requests = self.requests();
            if requests.len() >= count {
                return requests;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{} of {count} requests came: {requests:#?}",
                requests.len()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>, script: Arc<Script>) {
    while let Some(request) = read_request(&mut stream).await {
        let reply = {
            let mut seen = seen.lock().expect("no test panics while it holds this");
            let reply = script(seen.len(), &request);
            seen.push(request);
            reply
        };
        match reply {
            Reply::Full(status, headers, body) => {
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n\r\n{body}"
                );
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Close => return,
            Reply::Never => std::future::pending().await,
            Reply::Drip => return drip(&mut stream, "HTTP/1.1 200 x\r\nx: ").await,
            Reply::DripBody => {
                return drip(
                    &mut stream,
                    "HTTP/1.1 200 x\r\ncontent-length: 60000\r\n\r\n",
                )
                .await;
            }
        }
    }
}

/// Sends `head`, and then a byte at a time until the client gives up.
async fn drip(stream: &mut TcpStream, head: &str) {
    let mut sent = stream.write_all(head.as_bytes()).await;
    while sent.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        sent = stream.write_all(b"o").await;
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().expect("a length"));
    while bytes.len() < end + 4 + length {
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    }
    let body = String::from_utf8(bytes.split_off(end + 4)).ok()?;
    Some(Request {
        line,
        headers,
        body,
        at: Instant::now(),
    })
}
