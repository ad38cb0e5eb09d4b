//! The listener: accepts connections within limits and drains them when it is told to stop.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::access::{ActiveConfigWatch, Gate, WebConfig, WritePolicy};
use super::connection::{self, Host};
use super::connection_table::{ConnectionTable, NoSlot, Slot, TableLimits};
use super::error::WebError;
use super::limits::Limits;
use super::routes;
use super::state::WebState;

/// The pause after a failed accept: the process is out of file descriptors, which only time gives
/// back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a full house is looked at for a place: most who have just come are served and gone
/// long before they would have to give way.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Connections that the kernel keeps until they are accepted: as many as it allows by default
/// (`net.core.somaxconn`). While nobody has to give way yet they wait there; where that is full,
/// too, a client tries again only after a second.
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

    /// Serves as `config` says: HTTPS, passwords, headers.
    #[must_use]
    pub fn with_config(mut self, config: Option<WebConfig>) -> Self {
        self.config = config;
        self
    }

    /// Whether clients on this machine may ask for changes without having proved who they are.
    /// Others may never.
    #[must_use]
    pub const fn with_admin_api(mut self, enabled: bool) -> Self {
        self.writes = WritePolicy {
            local_clients: enabled,
        };
        self
    }

    /// What answers requests, by which limits, and the web configuration in force with the one that
    /// is to be followed.
    pub(super) fn host(
        self,
        state: WebState,
        crowd: &ConnectionTable,
    ) -> (Host, ActiveConfigWatch, Option<WebConfig>) {
        let Self {
            limits,
            config,
            writes,
        } = self;
        let published = config.as_ref().map_or_else(
            || watch::Sender::default().subscribe(),
            WebConfig::published,
        );
        let app = routes::router(state, crowd, limits, Gate::new(published.clone()), writes);
        (Host { app, limits }, published, config)
    }

    /// Listens on `addr`; port 0 takes any free one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`WebError::Bind`] when the address cannot be listened on.
    pub fn bind(self, addr: SocketAddr) -> Result<BoundServer, WebError> {
        let listening = listen(addr, self.limits.send_buffer)
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (local_addr, listener) = listening.map_err(|source| WebError::Bind { addr, source })?;
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

    /// Answers requests until `shutdown` is ready, then takes no more, lets those that run end, and
    /// cuts what is left after the grace period.
    pub async fn serve(self, state: WebState, shutdown: impl Future<Output = ()>) -> Drained {
        let crowd = ConnectionTable::default();
        let (host, published, config) = self.server.host(state, &crowd);
        let limits = host.limits;
        let mut connections = Connections::new(host, crowd, published);
        tokio::select! {
            () = shutdown => {}
            () = accept_all(&self.listener, &mut connections) => {}
            () = follow(config, limits.reread) => {}
        }
        drop(self.listener);
        connections.drain(limits.grace).await
    }
}

/// Listens as `TcpListener::bind` does, with a bound on what the kernel keeps for each client that
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
            Ok((stream, peer)) => {
                connections.take(stream, peer.ip()).await;
                // A connection must have its turn to read before so many others come that it has to
                // give way.
                yield_now().await;
            }
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
    host: Host,
    crowd: ConnectionTable,
    published: ActiveConfigWatch,
    served: JoinSet<()>,
    refused: JoinSet<()>,
    draining: watch::Sender<bool>,
    /// Whether there was no room for the last connection: that is logged once, not for each of an
    /// attack's.
    full: bool,
}

impl Connections {
    fn new(host: Host, crowd: ConnectionTable, published: ActiveConfigWatch) -> Self {
        let draining = watch::Sender::new(false);
        Self {
            host,
            crowd,
            published,
            served: JoinSet::new(),
            refused: JoinSet::new(),
            draining,
            full: false,
        }
    }

    /// Serves a connection. Over the limit, the least useful one gives way to it; where there is
    /// none, it is told to come back; and over that limit, too, it is closed.
    async fn take(&mut self, stream: TcpStream, ip: IpAddr) {
        reap(&mut self.served);
        reap(&mut self.refused);
        let limits = self.host.limits;
        self.note_crowd(self.crowd.len(), limits.connections);
        if let Some(seat) = self.seat().await {
            let ends = connection::Ends {
                draining: self.draining.subscribe(),
                published: self.published.clone(),
            };
            let served = connection::accept((stream, ip), seat.activity(), self.host.clone(), ends);
            self.served.spawn(seat.hold(served));
        } else if self.refused.len() < limits.refusals {
            self.refused
                .spawn(connection::refuse(stream, limits.refusal));
        }
    }

    /// A place, as soon as somebody has to give way; `None` where nobody has.
    async fn seat(&self) -> Option<Slot> {
        let Limits {
            connections: most,
            min_age_before_eviction,
            patience,
            ..
        } = self.host.limits;
        loop {
            match self.crowd.enter(TableLimits {
                most,
                min_age_before_eviction,
                patience,
            }) {
                Ok(seat) => return Some(seat),
                Err(NoSlot::AllBusy) => return None,
                Err(NoSlot::RetryAfter(left)) => sleep(left.min(LOOK_AGAIN)).await,
            }
        }
    }

    fn note_crowd(&mut self, open: usize, most: usize) {
        let full = open >= most;
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
