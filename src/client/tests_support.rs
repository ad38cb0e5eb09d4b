//! A scripted server for the tests of this room and of `poll`: it reads real requests and answers what it is told.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::model::ServerAddr;

type Answer = dyn Fn(&str) -> String + Send + Sync;

/// What a server answers: a function of the request, words joined by a space. An empty answer closes the connection.
#[derive(Clone)]
pub(crate) struct Script(Arc<Answer>);

/// The answer that never comes: the request is swallowed and the connection kept.
pub(crate) const SILENCE: &str = "(silence)";

/// A bulk string.
pub(crate) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

impl Script {
    /// Answers by `answer`.
    pub(crate) fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// A small master of this version, that takes several sections in one INFO from 7 on.
    pub(crate) fn version(version: &'static str) -> Self {
        Self::new(move |request| {
            let sections: Vec<_> = request.split(' ').skip(1).collect();
            match request.split(' ').next() {
                Some("INFO") if sections.len() > 1 && version < "7" => "-ERR syntax error\r\n".into(),
                Some("INFO") => {
                    bulk(&sections.iter().map(|section| section_text(section, version)).collect::<String>())
                }
                _ => "+OK\r\n".into(),
            }
        })
    }

    /// The same, but requests that begin with `command` are answered with `answer`.
    pub(crate) fn answer(self, command: &'static str, answer: &'static str) -> Self {
        Self::new(move |request| if request.starts_with(command) { answer.into() } else { (self.0)(request) })
    }
}

fn section_text(section: &str, version: &str) -> String {
    let fields = match section {
        "server" => format!("redis_version:{version}\r\nredis_mode:standalone\r\nrun_id:{}\r\n", "ab".repeat(20)),
        "replication" => format!("role:master\r\nmaster_replid:{}\r\nmaster_repl_offset:42\r\n", "cd".repeat(20)),
        _ => String::new(),
    };
    format!("# {section}\r\n{fields}\r\n")
}

/// A running fake. Dropping it closes everything that it holds.
pub(crate) struct FakeServer {
    requests: Arc<Mutex<Vec<String>>>,
    addr: Option<ServerAddr>,
    task: JoinHandle<()>,
}

impl FakeServer {
    /// Serves one connection.
    pub(crate) fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, script: Script) -> Self {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let task = tokio::spawn(serve(stream, script, Arc::clone(&requests)));
        Self { requests, addr: None, task }
    }

    /// Listens on a free port of this machine and serves every connection.
    pub(crate) async fn listen(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = ServerAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, script.clone(), Arc::clone(&seen)));
            }
        });
        Self { requests, addr: Some(addr), task }
    }

    /// Every request so far, over all connections, words joined by a space.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// How often a client introduced itself.
    pub(crate) fn connections(&self) -> usize {
        self.requests().iter().filter(|request| request.starts_with("CLIENT SETNAME")).count()
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> ServerAddr {
        self.addr.clone().expect("a fake that listens")
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, script: Script, requests: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let answer = (script.0)(&request);
        requests.lock().unwrap().push(request);
        if answer == SILENCE {
            continue;
        }
        if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// An array of bulk strings, as every client sends it.
async fn read_request(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let count = read_number(stream).await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = read_number(stream).await?;
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        words.push(String::from_utf8(word).ok()?);
    }
    Some(words.join(" "))
}

async fn read_number(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim().parse().ok()
}
