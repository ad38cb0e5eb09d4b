//! An address of a managed service: a proxy or a load balancer before real servers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis_cross_dc_exporter::lab::{
    Connection, Loopback, RedisServer, Reply, eventually, read_reply,
};
use redis_cross_dc_exporter::model::ServerAddr;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::stage::LIMIT;

/// The age in seconds at which a process is not one that has just been started.
const OLD: u64 = 5;

/// A running endpoint. On drop it stops.
pub(crate) struct Endpoint {
    listener: Loopback,
    shared: Arc<Shared>,
}

struct Shared {
    /// The servers behind the address.
    servers: Vec<ServerAddr>,
    /// Which of them answers.
    routing: Routing,
    /// The requests so far, or the place of the server that answers.
    next: AtomicUsize,
    /// Fields that are cut out of INFO.
    hidden: &'static [&'static str],
    /// Commands that are refused as unknown.
    blocked: &'static [&'static str],
}

/// Which server an endpoint hands requests to.
#[derive(Clone, Copy, PartialEq)]
enum Routing {
    /// Each batch of requests to the next one.
    InTurn,
    /// All to one, until somebody moves the address.
    ToOne,
}

impl Endpoint {
    /// Hands each request to the next of `servers`.
    pub(crate) async fn in_turn(servers: &[&RedisServer]) -> Self {
        Self::start(servers, Routing::InTurn, &[], &[]).await
    }

    /// Hands all requests to the first of `servers`, until [`Self::move_to`].
    pub(crate) async fn to_one(servers: &[&RedisServer]) -> Self {
        Self::start(servers, Routing::ToOne, &[], &[]).await
    }

    /// Hands all requests to `server`, cuts `hidden` fields out of INFO, and refuses to pass on
    /// `blocked` commands.
    pub(crate) async fn restricted(
        server: &RedisServer,
        hidden: &'static [&'static str],
        blocked: &'static [&'static str],
    ) -> Self {
        Self::start(&[server], Routing::ToOne, hidden, blocked).await
    }

    /// Starts it once the processes behind it are old enough to be told from restarted ones: their
    /// uptime is in whole seconds.
    async fn start(
        servers: &[&RedisServer],
        routing: Routing,
        hidden: &'static [&'static str],
        blocked: &'static [&'static str],
    ) -> Self {
        for server in servers {
            let is_old = || async {
                let uptime = server.info_field("server", "uptime_in_seconds").await;
                let uptime = uptime.ok().flatten().and_then(|text| text.parse().ok());
                uptime.is_some_and(|seconds: u64| seconds >= OLD)
            };
            eventually("the servers to be some seconds old", LIMIT, is_old)
                .await
                .unwrap();
        }
        let servers = servers.iter().map(|server| server.addr().clone());
        let shared = Arc::new(Shared {
            servers: servers.collect(),
            routing,
            next: AtomicUsize::new(0),
            hidden,
            blocked,
        });
        let behind = Arc::clone(&shared);
        let handle = move |stream| {
            let behind = Arc::clone(&behind);
            async move {
                // The client may leave at any time, and servers may die: that is all that can go
                // wrong.
                let _ = serve(stream, &behind).await;
            }
        };
        Self {
            listener: Loopback::start(handle).await.unwrap(),
            shared,
        }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> &ServerAddr {
        self.listener.addr()
    }

    /// From now on the server with this index answers.
    pub(crate) fn move_to(&self, index: usize) {
        self.shared.next.store(index, Ordering::Relaxed);
    }
}

impl Shared {
    /// The server that answers the next batch of requests.
    fn choose(&self) -> &ServerAddr {
        let number = match self.routing {
            Routing::InTurn => self.next.fetch_add(1, Ordering::Relaxed),
            Routing::ToOne => self.next.load(Ordering::Relaxed),
        };
        &self.servers[number % self.servers.len()]
    }
}

/// Answers the requests of one client. Requests that arrive together are one batch, as a proxy that
/// keeps their order has it.
async fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut client = BufReader::new(stream);
    let mut behind: Option<(ServerAddr, Connection)> = None;
    while let Some(command) = read_reply(&mut client).await? {
        let mut batch = vec![words_of(&command)];
        while !client.buffer().is_empty() {
            match read_reply(&mut client).await? {
                Some(command) => batch.push(words_of(&command)),
                None => return Ok(()),
            }
        }
        let chosen = shared.choose();
        if behind.as_ref().is_none_or(|(server, _)| server != chosen) {
            let connection = Connection::open(chosen, None).await;
            behind = Some((chosen.clone(), connection.map_err(io::Error::other)?));
        }
        for words in &batch {
            let answer = match &mut behind {
                Some((_, connection)) => answer(words, connection, shared).await?,
                None => return Ok(()),
            };
            client.write_all(&answer).await?;
        }
    }
    Ok(())
}

/// What is answered to one command.
async fn answer(
    words: &[String],
    connection: &mut Connection,
    shared: &Shared,
) -> io::Result<Vec<u8>> {
    let name = words.first().map(String::as_str).unwrap_or_default();
    let is_named = |blocked: &&str| blocked.eq_ignore_ascii_case(name);
    if shared.blocked.iter().any(is_named) {
        return Ok(format!("-ERR unknown command '{name}'\r\n").into_bytes());
    }
    let replies = connection.commands(&[words.to_vec()]).await;
    let reply = replies.map_err(io::Error::other)?.pop();
    let mut text = match reply {
        Some(Reply::Bulk(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Some(Reply::Error(line)) => return Ok(format!("-{line}\r\n").into_bytes()),
        Some(Reply::Simple(line)) => return Ok(format!("+{line}\r\n").into_bytes()),
        other => return Err(io::Error::other(format!("not passed on: {other:?}"))),
    };
    for field in shared.hidden {
        let start = format!("{field}:");
        let kept = text.split_inclusive('\n');
        text = kept.filter(|line| !line.starts_with(&start)).collect();
    }
    Ok(format!("${}\r\n{text}\r\n", text.len()).into_bytes())
}

fn words_of(command: &Reply) -> Vec<String> {
    match command {
        Reply::Array(words) => words.iter().filter_map(Reply::text).collect(),
        _ => Vec::new(),
    }
}
