//! The tasks of the servers. They outlive the trees that send them commands: a tree may get another
//! root or other members, and every server that stays keeps its connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::context::PollContext;
use super::server::{PollCommand, ServerTask};
use crate::model::ServerAddr;
use crate::topology::{Server, Topology};

/// Commands that may wait for one server. A second one would only poll late: it is skipped instead.
const COMMAND_QUEUE: usize = 1;

/// One task a server, each with its connection.
#[derive(Debug, Default)]
pub(super) struct Connections {
    running: BTreeMap<ServerAddr, Running>,
}

#[derive(Debug)]
struct Running {
    server: Arc<Server>,
    commands: mpsc::Sender<PollCommand>,
    task: JoinHandle<()>,
}

impl Connections {
    /// Starts and drops tasks so that they match the servers of `topology`. The task of a server
    /// that is gone, or has another login, ends as soon as no tree holds its sender any more.
    pub(super) fn reload(&mut self, topology: &Topology, context: &PollContext) {
        self.running
            .retain(|addr, running| topology.servers.get(addr) == Some(&running.server));
        for (addr, server) in &topology.servers {
            self.running.entry(addr.clone()).or_insert_with(|| {
                let (commands, task) = start(server, context);
                Running {
                    server: Arc::clone(server),
                    commands,
                    task,
                }
            });
        }
    }

    /// Where the task of the server at `addr` takes commands.
    pub(super) fn commands(&self, addr: &ServerAddr) -> Option<mpsc::Sender<PollCommand>> {
        let running = self.running.get(addr)?;
        Some(running.commands.clone())
    }

    /// Waits until every connection is closed. To be called when no tree sends commands any more.
    pub(super) async fn stop(&mut self) {
        for (_, running) in std::mem::take(&mut self.running) {
            drop(running.commands);
            // An error means that the task panicked; then it has ended too.
            drop(running.task.await);
        }
    }
}

/// Starts the task of one server, without a connection. It ends when all senders are dropped.
pub(super) fn start(
    server: &Arc<Server>,
    context: &PollContext,
) -> (mpsc::Sender<PollCommand>, JoinHandle<()>) {
    let (commands, received) = mpsc::channel(COMMAND_QUEUE);
    let task = ServerTask::new(
        Arc::clone(server),
        received,
        context.reporter.clone(),
        context.own_delay.clone(),
    );
    (commands, context.runtime.spawn(task.run()))
}
