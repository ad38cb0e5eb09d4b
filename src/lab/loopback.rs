//! A TCP server on 127.0.0.1 that gives each connection to a handler and ends, with its
//! connections, on drop.

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::LabError;
use crate::model::ServerAddr;

/// Connections carried at once; more wait in the kernel's backlog. Far above what a test or the
/// demo opens.
const MAX_CONNECTIONS: usize = 256;
/// The pause after a failed accept: the usual cause, no free file descriptor, does not go away at
/// once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running server.
#[derive(Debug)]
pub struct Loopback {
    addr: ServerAddr,
    accepted: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Loopback {
    /// Listens on a port that the system picks and runs `handle` on each connection.
    pub async fn start<H, F>(handle: H) -> Result<Self, LabError>
    where
        H: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(LabError::io("listen on 127.0.0.1"))?;
        let addr = listener.local_addr();
        let addr = addr.map_err(LabError::io("read the listener's port"))?;
        let accepted = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept_all(listener, Arc::clone(&accepted), handle));
        Ok(Self {
            addr: ServerAddr::new("127.0.0.1", addr.port()),
            accepted,
            task,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> &ServerAddr {
        &self.addr
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts until it is aborted; the handlers end with it because the set that owns them is dropped.
async fn accept_all<H, F>(listener: TcpListener, accepted: Arc<AtomicU64>, handle: H)
where
    H: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut handlers = JoinSet::new();
    loop {
        tokio::select! {
            connection = listener.accept(), if handlers.len() < MAX_CONNECTIONS => match connection {
                Ok((stream, _)) => {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    handlers.spawn(handle(stream));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = handlers.join_next() => {}
        }
    }
}
