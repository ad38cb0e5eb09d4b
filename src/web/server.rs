//! The listener: accepts connections within limits and drains them when it has to stop.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::access::{AccessGate, ActiveConfigWatch, WebConfig, WritePolicy};
use super::connection::{self, CloseSignals, HttpService};
use super::connection_table::{ConnectionTable, NoSlot, Slot, TableLimits};
use super::error::WebError;
use super::limits::Limits;
use super::refusal;
use super::routes;
use super::state::WebState;

/// The pause after a failed accept: the process is out of file descriptors, and only time gives
/// some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a full table is asked for a slot again: most new connections are served and closed
/// long before they are old enough to be evicted.
const SLOT_RETRY: Duration = Duration::from_millis(10);

/// Connections that the kernel keeps until they are accepted: as many as it allows by default
/// (`net.core.somaxconn`). They wait there while nothing may be evicted yet; beyond it, a client
/// tries again only after a second.
const BACKLOG: u32 = 4096;

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

/// The parts of a [`Server`] that are built from the state that it serves.
pub(super) struct ServerParts {
    pub(super) service: HttpService,
    pub(super) active: ActiveConfigWatch,
    /// The web configuration whose file is followed.
    pub(super) config: Option<WebConfig>,
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
        Self {
            limits,
            config: None,
            writes: WritePolicy {
                local_clients: false,
            },
        }
    }

    /// Serves by `config`: HTTPS, passwords, headers.
    #[must_use]
    pub fn with_config(mut self, config: Option<WebConfig>) -> Self {
        self.config = config;
        self
    }

    /// Whether clients on this machine have write access without authentication. Others never have.
    #[must_use]
    pub const fn with_admin_api(mut self, enabled: bool) -> Self {
        self.writes = WritePolicy {
            local_clients: enabled,
        };
        self
    }

    /// The service of every connection, and the web configuration that it follows.
    pub(super) fn into_parts(self, state: WebState, connections: &ConnectionTable) -> ServerParts {
        let active = match &self.config {
            Some(config) => config.watch_active(),
            None => watch::Sender::default().subscribe(),
        };
        let gate = AccessGate::new(active.clone());
        let app = routes::router(state, connections, self.limits, gate, self.writes);
        ServerParts {
            service: HttpService {
                app,
                limits: self.limits,
            },
            active,
            config: self.config,
        }
    }

    /// Listens on `addr`; port 0 takes any free one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`WebError::Bind`] when the address cannot be listened on.
    pub fn bind(self, addr: SocketAddr) -> Result<BoundServer, WebError> {
        let failed = |source| WebError::Bind { addr, source };
        let listener = listen(addr, self.limits.send_buffer).map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(BoundServer {
            listener,
            local_addr,
            server: self,
        })
    }
}

impl BoundServer {
    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers requests until `shutdown` is ready, then accepts no more, lets running requests end,
    /// and cuts what is left after the grace period.
    pub async fn serve(self, state: WebState, shutdown: impl Future<Output = ()>) -> Drained {
        let table = ConnectionTable::default();
        let parts = self.server.into_parts(state, &table);
        let limits = parts.service.limits;
        let mut connections = Connections::new(parts.service, table, parts.active);
        tokio::select! {
            () = shutdown => {}
            () = accept_all(&self.listener, &mut connections) => {}
            () = follow(parts.config, limits.reread) => {}
        }
        drop(self.listener);
        connections.drain(limits.grace).await
    }
}

/// Listens as `TcpListener::bind` does, with a bound on what the kernel buffers for each client that
/// does not read.
fn listen(addr: SocketAddr, send_buffer: u32) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(send_buffer)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Follows the changes of the web configuration, if there is one. Never ends.
async fn follow(config: Option<WebConfig>, every: Duration) {
    match config {
        Some(config) => config.follow(every).await,
        None => std::future::pending().await,
    }
}

/// Accepts connections. Never ends.
async fn accept_all(listener: &TcpListener, connections: &mut Connections) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.serve(stream, peer.ip()).await;
                // A connection must have its turn to read before so many others arrive that it is
                // evicted.
                yield_now().await;
            }
            // The client left before it was accepted.
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
    service: HttpService,
    table: ConnectionTable,
    active: ActiveConfigWatch,
    served: JoinSet<()>,
    refused: JoinSet<()>,
    draining: watch::Sender<bool>,
    /// Whether there was no room for the last connection: that is logged once, not for each
    /// connection of an attack.
    full: bool,
}

impl Connections {
    fn new(service: HttpService, table: ConnectionTable, active: ActiveConfigWatch) -> Self {
        Self {
            service,
            table,
            active,
            served: JoinSet::new(),
            refused: JoinSet::new(),
            draining: watch::Sender::new(false),
            full: false,
        }
    }

    /// Serves a connection. Over the limit, another one is evicted for it; where none may be, it is
    /// refused with a 503; and over the limit of refusals, it is closed.
    async fn serve(&mut self, stream: TcpStream, ip: IpAddr) {
        reap(&mut self.served);
        reap(&mut self.refused);
        self.log_when_full();
        let limits = self.service.limits;
        if let Some(slot) = self.slot().await {
            let close = CloseSignals {
                draining: self.draining.subscribe(),
                config: self.active.clone(),
            };
            let service = self.service.clone();
            let connection = connection::accept((stream, ip), slot.state(), service, close);
            self.served.spawn(slot.run(connection));
        } else if self.refused.len() < limits.refusals {
            let refusal = refusal::too_many_connections(stream, limits.refusal);
            self.refused.spawn(refusal);
        }
    }

    /// A slot, as soon as a connection is old enough to be evicted; `None` when all are busy.
    async fn slot(&self) -> Option<Slot> {
        let limits = self.service.limits;
        let limits = TableLimits {
            connections: limits.connections,
            min_age_before_eviction: limits.min_age_before_eviction,
            patience: limits.patience,
        };
        loop {
            match self.table.acquire(limits) {
                Ok(slot) => return Some(slot),
                Err(NoSlot::AllBusy) => return None,
                Err(NoSlot::RetryAfter(left)) => sleep(left.min(SLOT_RETRY)).await,
            }
        }
    }

    fn log_when_full(&mut self) {
        let open = self.table.len();
        let full = open >= self.service.limits.connections;
        if full && !self.full {
            tracing::warn!(
                open,
                "too many HTTP connections are open: closing idle ones for new ones, or refusing those"
            );
        }
        self.full = full;
    }

    /// Lets running requests end, for at most `grace`.
    async fn drain(mut self, grace: Duration) -> Drained {
        self.draining.send_replace(true);
        let all = async {
            while let Some(ended) = self.served.join_next().await {
                log_panic(ended);
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
        log_panic(ended);
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an HTTP connection's task panicked");
    }
}
