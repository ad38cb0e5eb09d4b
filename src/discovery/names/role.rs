//! The task that asks a server, which a DNS name resolved to, for its role.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use crate::client::Connection;
use crate::discovery::reporter::{QueryConnection, Reporter, query_repeatedly};
use crate::info::{self, InfoError};
use crate::model::{PollError, PollFailure, Span};
use crate::topology::{DiscoveryEvent, RoleView, Server, SourceId, View};

/// How to ask one server.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::discovery) struct RolePlan {
    pub(in crate::discovery) server: Arc<Server>,
    /// The time between two questions.
    pub(in crate::discovery) interval: Span,
    /// How long one may take.
    pub(in crate::discovery) timeout: Span,
}

impl RolePlan {
    /// Asks repeatedly, until it is dropped or the receiver of the answers is.
    pub(in crate::discovery) async fn run(
        self,
        source: SourceId,
        events: mpsc::Sender<DiscoveryEvent>,
    ) {
        let no_events = Notify::new();
        query_repeatedly(&self, &source, &events, &no_events).await;
    }
}

impl Reporter for RolePlan {
    type Connection = Connection;

    fn timeout(&self) -> Span {
        self.timeout
    }

    fn interval(&self) -> Span {
        self.interval
    }

    async fn connect(&self) -> Result<Connection, PollFailure> {
        Connection::connect(&self.server, self.timeout).await
    }

    async fn query(&self, connection: &mut Connection) -> Result<View, PollError> {
        let answer = connection.read_info(role).await?;
        answer.content.map(View::Role)
    }
}

fn role(text: &str) -> Result<RoleView, PollError> {
    let observation = info::parse(text).map_err(|error| match error {
        InfoError::Loading => PollError::Loading,
        _ => PollError::Parse,
    })?;
    let replication = observation.replication;
    Ok(RoleView {
        role: replication.role.get().copied(),
        history: replication.replid.get().cloned(),
    })
}

impl QueryConnection for Connection {
    fn is_open(&self) -> bool {
        Connection::is_open(self)
    }

    fn explain(&self, reason: PollError) -> PollFailure {
        Connection::explain(self, reason)
    }
}
