//! The connections of a proxy: accept, connect onward, relay both ways, reset on a cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::relay::{Flow, Lane, relay};
use super::{Direction, WanConditions};
use crate::model::ServerAddr;

/// Connections carried at once; more wait in the kernel's backlog. With 4 MiB each way this bounds
/// the memory.
const MAX_CONNECTIONS: usize = 128;
/// How long the master may take to accept: it is on the same machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a failed accept: the usual cause, no free file descriptor, does not go away at
/// once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections of a proxy share.
#[derive(Debug)]
pub(super) struct Link {
    target: ServerAddr,
    conditions: watch::Receiver<WanConditions>,
    pub(super) to_replica: Arc<Flow>,
    pub(super) to_master: Arc<Flow>,
    pub(super) accepted: AtomicU64,
    pub(super) open: AtomicU64,
}

impl Link {
    pub(super) fn new(target: ServerAddr, conditions: watch::Receiver<WanConditions>) -> Self {
        Self {
            target,
            conditions,
            to_replica: Arc::new(Flow::new(Direction::ToReplica)),
            to_master: Arc::new(Flow::new(Direction::ToMaster)),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
        }
    }

    fn lane(&self, flow: &Arc<Flow>) -> Lane {
        Lane::new(Arc::clone(flow), self.conditions.clone())
    }

    /// Connects to the master once nothing stalls: a handshake needs both directions.
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut conditions = self.conditions.clone();
        // An error means that the proxy is gone; the cut then ends this connection.
        let _ = conditions.wait_for(|now| now.stalled.is_none()).await;
        let connecting = TcpStream::connect(self.target.to_string());
        match timeout(CONNECT_LIMIT, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Accepts until the cut; returns when the listener is closed and every connection has been reset.
pub(super) async fn accept_all(
    listener: TcpListener,
    link: Arc<Link>,
    mut cut: watch::Receiver<()>,
) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            // `changed` never yields a value: it returns when the sender is dropped, which is the
            // cut.
            _ = cut.changed() => break,
            connection = listener.accept(), if carried.len() < MAX_CONNECTIONS => match connection {
                Ok((replica, _)) => {
                    link.accepted.fetch_add(1, Ordering::Relaxed);
                    carried.spawn(carry(replica, Arc::clone(&link), cut.clone()));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = carried.join_next() => {}
        }
    }
    drop(listener);
    while carried.join_next().await.is_some() {}
}

/// Carries one connection until both sides have closed. A cut, or a reset by one side, resets the
/// other.
async fn carry(mut replica: TcpStream, link: Arc<Link>, mut cut: watch::Receiver<()>) {
    let _open = Open::count(&link.open);
    let connected = tokio::select! {
        connected = link.connect() => connected,
        _ = cut.changed() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    let Ok(mut master) = connected else {
        return reset(&replica);
    };
    let relayed = tokio::select! {
        relayed = relay_both(&mut replica, &mut master, &link) => relayed,
        _ = cut.changed() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    if relayed.is_err() {
        reset(&replica);
        reset(&master);
    }
}

async fn relay_both(
    replica: &mut TcpStream,
    master: &mut TcpStream,
    link: &Link,
) -> io::Result<()> {
    // Otherwise Nagle's algorithm would add another delay.
    replica.set_nodelay(true)?;
    master.set_nodelay(true)?;
    let (from_replica, to_replica) = replica.split();
    let (from_master, to_master) = master.split();
    let up = relay(link.lane(&link.to_master), from_replica, to_master);
    let down = relay(link.lane(&link.to_replica), from_master, to_replica);
    tokio::try_join!(up, down)?;
    Ok(())
}

/// Makes the close that follows a reset (RST) instead of an orderly end.
fn reset(stream: &TcpStream) {
    // A socket that refuses the option has already lost its connection.
    let _ = stream.set_zero_linger();
}

/// Counts a connection as open for as long as it lives, also when its task is aborted.
struct Open<'a>(&'a AtomicU64);

impl<'a> Open<'a> {
    fn count(open: &'a AtomicU64) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
