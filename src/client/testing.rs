//! A scripted Redis server for the tests of this room, of `poll` and of `discovery`: it parses real
//! requests and answers by a script.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::model::ServerAddr;

type Answer = dyn Fn(&str) -> String + Send + Sync;

/// What a server answers: a function of the request, its words joined by a space. An empty answer
/// closes the connection.
#[derive(Clone)]
pub(crate) struct Script(Arc<Answer>);

/// A bulk string.
pub(crate) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

impl Script {
    /// Answers by `answer`.
    pub(crate) fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// The answer to `request`.
    pub(crate) fn ask(&self, request: &str) -> String {
        (self.0)(request)
    }

    /// A small master of this version, which accepts several sections in one INFO from 7 on.
    pub(crate) fn version(version: &'static str) -> Self {
        Self::new(move |request| {
            let sections: Vec<_> = request.split(' ').skip(1).collect();
            match request.split(' ').next() {
                Some("INFO") if sections.len() > 1 && version < "7" => {
                    "-ERR syntax error\r\n".into()
                }
                Some("INFO") => bulk(
                    &sections
                        .iter()
                        .map(|section| section_text(section, version))
                        .collect::<String>(),
                ),
                _ => "+OK\r\n".into(),
            }
        })
    }

    /// Answers requests that begin with `command` with `answer`, and the others as before.
    pub(crate) fn answer(self, command: &'static str, answer: &'static str) -> Self {
        Self::new(move |request| {
            if request.starts_with(command) {
                answer.into()
            } else {
                (self.0)(request)
            }
        })
    }
}

fn section_text(section: &str, version: &str) -> String {
    let fields = match section {
        "server" => format!(
            "redis_version:{version}\r\nredis_mode:standalone\r\nrun_id:{}\r\n",
            "ab".repeat(20)
        ),
        "replication" => format!(
            "role:master\r\nmaster_replid:{}\r\nmaster_repl_offset:42\r\n",
            "cd".repeat(20)
        ),
        _ => String::new(),
    };
    format!("# {section}\r\n{fields}\r\n")
}

/// A running fake. Dropping it closes its connections.
pub(crate) struct FakeServer {
    requests: Arc<Mutex<Vec<String>>>,
    addr: Option<ServerAddr>,
    mood: watch::Sender<Mood>,
    task: JoinHandle<()>,
}

/// What a fake does with its connections at present.
#[derive(Clone, Copy, Default)]
struct Mood {
    /// It reads but does not answer.
    frozen: bool,
    /// Incremented to close all of them.
    kicks: u32,
}

impl FakeServer {
    /// Serves one connection.
    pub(crate) fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        script: Script,
    ) -> Self {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let mood = watch::Sender::default();
        let task = tokio::spawn(serve(
            stream,
            script,
            Arc::clone(&requests),
            mood.subscribe(),
        ));
        Self {
            requests,
            addr: None,
            mood,
            task,
        }
    }

    /// Listens on a free port of this machine and serves every connection.
    pub(crate) async fn listen(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = ServerAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let mood = watch::Sender::default();
        let seen = Arc::clone(&requests);
        let moods = mood.subscribe();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // As Redis does: several small answers in a row would each wait for an
                // acknowledgement.
                stream.set_nodelay(true).unwrap();
                connections.spawn(serve(
                    stream,
                    script.clone(),
                    Arc::clone(&seen),
                    moods.clone(),
                ));
            }
        });
        Self {
            requests,
            addr: Some(addr),
            mood,
            task,
        }
    }

    /// Every request so far, over all connections, words joined by a space.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// How many connections were introduced by CLIENT SETNAME.
    pub(crate) fn connections(&self) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.starts_with("CLIENT SETNAME"))
            .count()
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> ServerAddr {
        self.addr.clone().expect("a fake that listens")
    }

    /// From now on it reads requests and withholds the answers, until it thaws.
    pub(crate) fn freeze(&self) {
        self.mood.send_modify(|mood| mood.frozen = true);
    }

    /// It sends the answers that it withheld, and answers immediately again.
    pub(crate) fn thaw(&self) {
        self.mood.send_modify(|mood| mood.frozen = false);
    }

    /// It closes every connection, as a server does that restarts.
    pub(crate) fn kick(&self) {
        self.mood.send_modify(|mood| mood.kicks += 1);
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Script,
    requests: Arc<Mutex<Vec<String>>>,
    mut mood: watch::Receiver<Mood>,
) {
    let mut stream = BufReader::new(stream);
    let kicks = mood.borrow().kicks;
    let mut kicked = mood.clone();
    loop {
        let request = tokio::select! {
            request = read_request(&mut stream) => request,
            _ = kicked.wait_for(|mood| mood.kicks != kicks) => None,
        };
        let Some(request) = request else { return };
        let answer = (script.0)(&request);
        requests.lock().unwrap().push(request);
        if mood.wait_for(|mood| !mood.frozen).await.is_err() {
            return;
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
