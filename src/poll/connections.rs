//! The tasks of the servers. They outlive the trees that give them orders: a tree may get another
//! root or other members, and every server that stays keeps its connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::report::Reporter;
use super::server::{Assignment, ServerTask};
use crate::model::ServerAddr;
use crate::topology::{Server, Topology};

/// Orders that may wait for one server. One: an order that finds another one waiting is not worth
/// more.
const ORDER_QUEUE: usize = 1;

/// One task a server, each with its connection.
#[derive(Debug, Default)]
pub(super) struct Connections {
    running: BTreeMap<ServerAddr, Running>,
}

#[derive(Debug)]
struct Running {
    server: Arc<Server>,
    orders: mpsc::Sender<Assignment>,
    task: JoinHandle<()>,
}

impl Connections {
    /// Goes over to the servers of `topology`. One that is gone, or has another login, ends as soon
    /// as no tree gives it orders any more.
    pub(super) fn reload(&mut self, topology: &Topology, reporter: &Reporter) {
        self.running
            .retain(|addr, running| topology.servers.get(addr) == Some(&running.server));
        for (addr, server) in &topology.servers {
            if !self.running.contains_key(addr) {
                let (orders, task) = start(server, reporter);
                self.running.insert(
                    addr.clone(),
                    Running {
                        server: Arc::clone(server),
                        orders,
                        task,
                    },
                );
            }
        }
    }

    /// Where the server at `addr` takes orders.
    pub(super) fn orders(&self, addr: &ServerAddr) -> Option<mpsc::Sender<Assignment>> {
        self.running.get(addr).map(|running| running.orders.clone())
    }

    /// Waits until every connection is closed. To be called when no tree gives orders any more.
    pub(super) async fn stop(&mut self) {
        for (_, Running { orders, task, .. }) in std::mem::take(&mut self.running) {
            drop(orders);
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }
}

/// A task for one server, without a connection yet; it ends when nobody can give it orders.
pub(super) fn start(
    server: &Arc<Server>,
    reporter: &Reporter,
) -> (mpsc::Sender<Assignment>, JoinHandle<()>) {
    let (orders, received) = mpsc::channel(ORDER_QUEUE);
    let task = ServerTask::new(Arc::clone(server), received, reporter.clone());
    (orders, tokio::spawn(task.run()))
}
