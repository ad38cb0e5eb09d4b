//! Work that a command does on a pair, and the alerts that it causes: they are not notified while
//! the command says that it is at work, and not longer.

use std::sync::Arc;

use crate::alert::{AlertSnapshot, Rule};

/// Work on a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedWork {
    /// The name of the operation.
    pub id: Arc<str>,
    /// The pair.
    pub pair: Arc<str>,
    /// Its servers that change, `host:port`.
    pub servers: Vec<String>,
    /// Whether another server becomes the master.
    pub changes_master: bool,
}

impl PlannedWork {
    /// Whether the alert is about something that this work brings about: links that are down or
    /// unknown for a moment, lag, full syncs, and the change of the master itself. Two masters, a
    /// lost history or a server that does not answer are never planned.
    pub(super) fn causes(&self, alert: &AlertSnapshot) -> bool {
        match alert.identity.rule {
            Rule::LagSeconds | Rule::LagBytes | Rule::LinkDown | Rule::Unknown => {
                alert.label("pair") == &*self.pair
            }
            Rule::Failover => self.changes_master && alert.label("pair") == &*self.pair,
            Rule::FullSync => {
                let server = alert.label("server");
                self.servers.iter().any(|own| own == server)
            }
            _ => false,
        }
    }
}
