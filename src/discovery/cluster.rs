//! The task that queries one node of a Redis Cluster.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::reporter::{QueryConnection, Reporter, query_repeatedly};
use crate::client::ClusterConnection;
use crate::model::{PollError, PollFailure, Span};
use crate::topology::{DiscoveryEvent, Server, SourceId, View};

/// The time between two queries. Nodes publish no events, and what a majority of them knows should
/// be followed within a second.
const INTERVAL: Span = Span::from_millis(500);

/// How to query one node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClusterPlan {
    pub(super) server: Arc<Server>,
    /// How long one query may take.
    pub(super) timeout: Span,
}

impl ClusterPlan {
    /// Queries the node repeatedly, until it is dropped or the receiver of the answers is.
    pub(super) async fn run(self, source: SourceId, events: mpsc::Sender<DiscoveryEvent>) {
        let no_events = Notify::new();
        query_repeatedly(&self, &source, &events, &no_events).await;
    }
}

impl Reporter for ClusterPlan {
    type Connection = ClusterConnection;

    fn timeout(&self) -> Span {
        self.timeout
    }

    fn interval(&self) -> Span {
        INTERVAL
    }

    async fn connect(&self) -> Result<ClusterConnection, PollFailure> {
        ClusterConnection::connect(&self.server, self.timeout).await
    }

    async fn query(&self, connection: &mut ClusterConnection) -> Result<View, PollError> {
        connection.query().await.map(View::Cluster)
    }
}

impl QueryConnection for ClusterConnection {
    fn is_open(&self) -> bool {
        ClusterConnection::is_open(self)
    }

    fn explain(&self, reason: PollError) -> PollFailure {
        ClusterConnection::explain(self, reason)
    }
}
