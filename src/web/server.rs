//! The listener: accepts connections within limits and drains them when it has to stop.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::access::{AccessGate, ActiveConfigWatch, WebConfig, WritePolicy};
use super::connection::{self, CloseSignals, HttpService};
use super::connection_table::{ConnectionTable, NoSlot, Slot, TableLimits};
use super::error::WebError;
use super::limits::Limits;
use super::listeners::Listeners;
use super::refusal;
use super::routes::{self, RouterParts};
use super::state::WebState;
use crate::config::TelemetryPath;

/// The pause after a failed accept: the process is out of file descriptors, and only time gives
/// some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a full table is asked for a slot again: most new connections are served and closed
/// long before they are old enough to be evicted.
const SLOT_RETRY: Duration = Duration::from_millis(10);

/// The HTTP server, before it listens.
#[derive(Debug, Default)]
pub struct Server {
    limits: Limits,
    config: Option<WebConfig>,
    writes: WritePolicy,
    /// `None` for the default one.
    telemetry_path: Option<TelemetryPath>,
}

/// The HTTP server, listening. Clients wait until [`BoundServer::serve`] runs.
#[derive(Debug)]
pub struct BoundServer {
    listeners: Listeners,
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
            telemetry_path: None,
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

    /// Serves the metrics at `path`.
    #[must_use]
    pub fn with_telemetry_path(mut self, path: TelemetryPath) -> Self {
        self.telemetry_path = Some(path);
        self
    }

    /// The service of every connection, and the web configuration that it follows.
    pub(super) fn into_parts(self, state: WebState, connections: &ConnectionTable) -> ServerParts {
        let active = match &self.config {
            Some(config) => config.watch_active(),
            None => watch::Sender::default().subscribe(),
        };
        let gate = AccessGate::new(active.clone(), state.clock);
        let app = routes::router(RouterParts {
            state,
            connections,
            limits: self.limits,
            gate,
            policy: self.writes,
            telemetry_path: self.telemetry_path.unwrap_or_default(),
        });
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
        self.bind_all(&[addr])
    }

    /// Listens on all of these addresses.
    ///
    /// # Errors
    /// As [`Self::bind`]; [`WebError::NoAddress`] without an address.
    pub fn bind_all(self, addrs: &[SocketAddr]) -> Result<BoundServer, WebError> {
        let listeners = Listeners::bind(addrs, self.limits.send_buffer)?;
        Ok(BoundServer {
            listeners,
            server: self,
        })
    }

    /// Accepts connections on sockets that listen already and do not block. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// [`WebError::Socket`] when one of them cannot be used; [`WebError::NoAddress`] without one.
    pub fn on_sockets(self, sockets: Vec<TcpListener>) -> Result<BoundServer, WebError> {
        Ok(BoundServer {
            listeners: Listeners::passed(sockets)?,
            server: self,
        })
    }
}

impl BoundServer {
    /// Where it listens: the first address.
    pub const fn local_addr(&self) -> SocketAddr {
        self.listeners.first_addr()
    }

    /// Where it listens: all addresses.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.addrs()
    }

    /// Answers requests until `shutdown` is ready, then accepts no more, lets running requests end,
    /// and cuts what is left after the grace period.
    pub async fn serve(self, state: WebState, shutdown: impl Future<Output = ()>) -> Drained {
        let mut listeners = self.listeners;
        let table = ConnectionTable::default();
        let pulse = state.pulse.clone();
        let parts = self.server.into_parts(state, &table);
        let limits = parts.service.limits;
        let mut connections = Connections::new(parts.service, table, parts.active);
        tokio::select! {
            () = shutdown => {}
            () = accept_all(&mut listeners, &mut connections) => {}
            () = follow(parts.config, limits.reread) => {}
            () = pulse.follow() => {}
        }
        drop(listeners);
        connections.drain(limits.grace).await
    }
}

/// Follows the changes of the web configuration, if there is one. Never ends.
async fn follow(config: Option<WebConfig>, every: Duration) {
    match config {
        Some(config) => config.follow(every).await,
        None => std::future::pending().await,
    }
}

/// Accepts connections. Never ends.
async fn accept_all(listeners: &mut Listeners, connections: &mut Connections) {
    loop {
        match listeners.accept().await {
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
