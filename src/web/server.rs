//! The listener: accepts connections within limits and drains them when it is told to stop.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::access::{Gate, Published, WebConfig, WritePolicy};
use super::connection;
use super::error::WebError;
use super::limits::Limits;
use super::routes;
use super::state::WebState;

/// The pause after a failed accept: the process is out of file descriptors, which only time gives back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The HTTP server, before it listens.
#[derive(Debug, Default)]
pub struct Server {
    limits: Limits,
    config: Option<WebConfig>,
    writes: WritePolicy,
}

/// The HTTP server, listening. Clients wait until [`BoundServer::serve`] runs.
#[derive(Debug)]
pub struct BoundServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    server: Server,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they did not end within the grace period.
    pub cut: usize,
}

impl Server {
    /// A server with these limits.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, config: None, writes: WritePolicy { local_clients: false } }
    }

    /// Serves as `config` says: HTTPS, passwords, headers.
    #[must_use]
    pub fn with_config(mut self, config: Option<WebConfig>) -> Self {
        self.config = config;
        self
    }

    /// Whether clients on this machine may ask for changes without having proved who they are. Others may never.
    #[must_use]
    pub const fn with_admin_api(mut self, enabled: bool) -> Self {
        self.writes = WritePolicy { local_clients: enabled };
        self
    }

    /// What answers requests, by which limits, and the web configuration in force with the one that is to be followed.
    pub(super) fn app(self, state: WebState) -> (Router, Limits, Published, Option<WebConfig>) {
        let Self { limits, config, writes } = self;
        let published = config.as_ref().map_or_else(|| watch::Sender::default().subscribe(), WebConfig::published);
        (routes::router(state, limits, Gate::new(published.clone()), writes), limits, published, config)
    }

    /// Listens on `addr`; port 0 takes any free one.
    ///
    /// # Errors
    /// [`WebError::Bind`] when the address cannot be listened on.
    pub async fn bind(self, addr: SocketAddr) -> Result<BoundServer, WebError> {
        let bind = async {
            let listener = TcpListener::bind(addr).await?;
            let local_addr = listener.local_addr()?;
            io::Result::Ok((listener, local_addr))
        };
        let (listener, local_addr) = bind.await.map_err(|source| WebError::Bind { addr, source })?;
        Ok(BoundServer { listener, local_addr, server: self })
    }
}

impl BoundServer {
    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers requests until `shutdown` is ready, then takes no more, lets those that run end, and cuts what is left
    /// after the grace period.
    pub async fn serve(self, state: WebState, shutdown: impl Future<Output = ()>) -> Drained {
        let (app, limits, published, config) = self.server.app(state);
        let mut connections = Connections::new(app, limits, published);
        tokio::select! {
            () = shutdown => {}
            () = accept_all(&self.listener, &mut connections) => {}
            () = follow(config, limits.reread) => {}
        }
        drop(self.listener);
        connections.drain(limits.grace).await
    }
}

/// Follows the changes of the web configuration, if there is one, for ever.
async fn follow(config: Option<WebConfig>, every: Duration) {
    match config {
        Some(config) => config.follow(every).await,
        None => std::future::pending().await,
    }
}

/// Accepts for ever.
async fn accept_all(listener: &TcpListener, connections: &mut Connections) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => connections.take(stream, peer.ip()),
            // The client left before it was its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The open connections.
struct Connections {
    app: Router,
    limits: Limits,
    published: Published,
    served: JoinSet<()>,
    refused: JoinSet<()>,
    draining: watch::Sender<bool>,
    /// Whether the last connection was refused: the first refusal is logged, not each of an attack's.
    full: bool,
}

impl Connections {
    fn new(app: Router, limits: Limits, published: Published) -> Self {
        let draining = watch::Sender::new(false);
        Self { app, limits, published, served: JoinSet::new(), refused: JoinSet::new(), draining, full: false }
    }

    /// Serves a connection; over the limit it is told to come back, and over that limit, too, it is closed.
    fn take(&mut self, stream: TcpStream, ip: IpAddr) {
        reap(&mut self.served);
        reap(&mut self.refused);
        let full = self.served.len() >= self.limits.connections;
        if full && !self.full {
            tracing::warn!(open = self.served.len(), "refusing HTTP connections: too many are open");
        }
        self.full = full;
        if !full {
            let draining = self.draining.subscribe();
            let ends = connection::Ends { draining, published: self.published.clone() };
            self.served.spawn(connection::accept((stream, ip), self.app.clone(), self.limits, ends));
        } else if self.refused.len() < self.limits.refusals {
            self.refused.spawn(connection::refuse(stream, self.limits.refusal));
        }
    }

    /// Lets running requests end, for at most `grace`.
    async fn drain(mut self, grace: Duration) -> Drained {
        self.draining.send_replace(true);
        let all = async {
            while let Some(ended) = self.served.join_next().await {
                note_panic(ended);
            }
        };
        let in_time = timeout(grace, all).await.is_ok();
        let cut = if in_time { 0 } else { self.served.len() };
        self.served.shutdown().await;
        Drained { cut }
    }
}

/// Forgets the connections that have ended.
fn reap(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.try_join_next() {
        note_panic(ended);
    }
}

fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an HTTP connection's task panicked");
    }
}
