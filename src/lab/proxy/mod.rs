//! A TCP proxy in place of the WAN between two datacenters: delay, limited rate, stalls and
//! cuts on demand.
//!
//! It works on byte streams, not packets: nothing is lost or reordered, as on a WAN seen through
//! TCP. The replica's side connects to the proxy, the proxy connects to the master. A new
//! connection is accepted at once (the kernel does that), but its bytes take the delay and a stall
//! holds them.

mod link;
mod relay;

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{LabError, ports};
use crate::model::{Bytes, ServerAddr};
use link::Link;

/// How long a port that is taken is tried again, and the pause between tries.
const PORT_LIMIT: Duration = Duration::from_secs(1);
const PORT_PAUSE: Duration = Duration::from_millis(5);

/// Which way bytes flow. The replica is the side that connects to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    Both,
    /// From the master to the replica: the replication stream.
    ToReplica,
    /// From the replica to the master: its acknowledgements.
    ToMaster,
}

impl Direction {
    /// Whether `self` includes the one-way direction `one`.
    fn covers(self, one: Self) -> bool {
        self == Self::Both || self == one
    }
}

/// What the WAN is like at the moment. The default is a perfect line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WanConditions {
    /// One-way delay, applied in each direction: a round trip takes twice as long. It does not
    /// limit the throughput until 4 MiB are under way.
    pub delay: Duration,
    /// The line's rate in bytes per second, each way, shared by all connections; `None` is
    /// unlimited, 0 counts as 1.
    pub rate: Option<u64>,
    /// Where bytes do not flow at the moment, while the connections stay open.
    pub stalled: Option<Direction>,
}

impl WanConditions {
    fn is_stalled(&self, one: Direction) -> bool {
        self.stalled.is_some_and(|direction| direction.covers(one))
    }
}

/// What has passed through a proxy since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyStats {
    /// Bytes delivered from the master to the replica.
    pub to_replica: Bytes,
    /// Bytes delivered from the replica to the master.
    pub to_master: Bytes,
    /// Connections accepted, ever.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
}

/// A running proxy. On drop it resets its connections and stops listening.
#[derive(Debug)]
pub struct WanProxy {
    addr: ServerAddr,
    link: Arc<Link>,
    conditions: watch::Sender<WanConditions>,
    /// `None` while the line is cut.
    line: Mutex<Option<Line>>,
}

/// One period in which the proxy listens: from start or heal to cut.
#[derive(Debug)]
struct Line {
    /// Dropping it cuts: the listener closes and every connection is reset.
    cut: watch::Sender<()>,
    acceptor: JoinHandle<()>,
}

impl WanProxy {
    /// Listens on 127.0.0.1, on `port` or a free one, and carries each connection to `target` (the
    /// master).
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(
        port: Option<u16>,
        target: &ServerAddr,
        conditions: WanConditions,
    ) -> Result<Self, LabError> {
        // Not a port of the system's choice: it could be lost to an outgoing connection while the
        // line is cut.
        let port = match port {
            Some(port) => port,
            None => ports::free()?,
        };
        let (conditions, current) = watch::channel(conditions);
        let link = Arc::new(Link::new(target.clone(), current));
        let proxy = Self {
            addr: ServerAddr::new("127.0.0.1", port),
            link,
            conditions,
            line: Mutex::new(None),
        };
        proxy.listen().await?;
        Ok(proxy)
    }

    /// Where the proxy listens: the address that a replica gets as its master.
    pub fn addr(&self) -> &ServerAddr {
        &self.addr
    }

    /// The conditions in force.
    pub fn conditions(&self) -> WanConditions {
        *self.conditions.borrow()
    }

    /// Sets the one-way delay. It applies to the bytes under way too.
    pub fn set_delay(&self, delay: Duration) {
        self.conditions
            .send_modify(|conditions| conditions.delay = delay);
    }

    /// Sets the rate in bytes per second, each way; `None` is unlimited, 0 counts as 1.
    pub fn set_rate(&self, rate: Option<u64>) {
        self.conditions
            .send_modify(|conditions| conditions.rate = rate);
    }

    /// Stops the flow of bytes. Connections stay open and the proxy stops reading, so that senders
    /// feel TCP's back-pressure. A later stall replaces an earlier one.
    pub fn stall(&self, direction: Direction) {
        self.conditions
            .send_modify(|conditions| conditions.stalled = Some(direction));
    }

    /// Resets every connection and refuses new ones. When it returns, all are gone.
    pub async fn cut(&self) {
        if let Some(line) = self.line.lock().await.take() {
            drop(line.cut);
            // Fails only when the runtime is shutting down, which ends the connections too.
            let _ = line.acceptor.await;
        }
    }

    /// Undoes [`stall`](Self::stall) and [`cut`](Self::cut); delay and rate stay as they are.
    ///
    /// # Errors
    /// When the line was cut and another process has taken the port since.
    pub async fn heal(&self) -> Result<(), LabError> {
        self.conditions
            .send_modify(|conditions| conditions.stalled = None);
        self.listen().await
    }

    /// Listens unless it does already.
    async fn listen(&self) -> Result<(), LabError> {
        let mut line = self.line.lock().await;
        if line.is_none() {
            let listener = self
                .bind()
                .await
                .map_err(LabError::io(format!("listen on {}", self.addr)))?;
            let (cut, uncut) = watch::channel(());
            let acceptor = tokio::spawn(link::accept_all(listener, Arc::clone(&self.link), uncut));
            *line = Some(Line { cut, acceptor });
        }
        Ok(())
    }

    /// Binds its port. A child that another thread started while the line was being cut may have
    /// the old listener until it runs its own program, so a port that is taken is tried again for
    /// [`PORT_LIMIT`].
    async fn bind(&self) -> std::io::Result<TcpListener> {
        let start = Instant::now();
        loop {
            match TcpListener::bind(self.addr.to_string()).await {
                Err(error)
                    if error.kind() == ErrorKind::AddrInUse && start.elapsed() < PORT_LIMIT =>
                {
                    sleep(PORT_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// What has passed so far.
    pub fn stats(&self) -> ProxyStats {
        ProxyStats {
            to_replica: self.link.to_replica.delivered(),
            to_master: self.link.to_master.delivered(),
            accepted: self.link.accepted.load(Ordering::Relaxed),
            open: self.link.open.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
