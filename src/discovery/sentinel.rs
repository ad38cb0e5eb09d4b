//! The task that queries one Sentinel. It has two connections: one for queries, and a subscription
//! to the events that the Sentinel publishes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::query_pace::QueryPace;
use super::reporter::{QueryConnection, Reporter, query_repeatedly};
use crate::client::{SentinelConnection, Subscription};
use crate::config::MasterSelector;
use crate::info::{SENTINEL_CHANNELS, SentinelMessage};
use crate::model::{PollError, PollFailure, Span};
use crate::topology::{DiscoveryEvent, Server, SourceId, View};

/// How often a Sentinel is queried. A failover is seen within this time even if its event is lost.
const INTERVAL: Span = Span::from_secs(1);

/// A subscription without messages is renewed after this time: an idle Sentinel cannot be told
/// apart from a connection whose other end is gone. One connection a minute is cheap.
const SILENCE: Duration = Duration::from_mins(1);

/// How to query one Sentinel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SentinelPlan {
    pub(super) server: Arc<Server>,
    /// The masters that the entry selects.
    pub(super) masters: MasterSelector,
    /// How long one query may take.
    pub(super) timeout: Span,
}

impl SentinelPlan {
    /// Queries the Sentinel every second and at each of its events, until it is dropped or the
    /// receiver of the answers is.
    pub(super) async fn run(self, source: SourceId, events: mpsc::Sender<DiscoveryEvent>) {
        let event_seen = Notify::new();
        tokio::select! {
            () = query_repeatedly(&self, &source, &events, &event_seen) => {}
            () = self.listen(&source, &event_seen) => {}
        }
    }

    /// Listens to events without end. A subscription that fails is not reported: the queries show
    /// whether the Sentinel answers.
    async fn listen(&self, source: &SourceId, event_seen: &Notify) {
        let mut pace = QueryPace::new(INTERVAL);
        let mut has_warned = false;
        loop {
            let Err(error) = self.subscribe(source, event_seen, &mut pace).await else {
                continue;
            };
            if error == PollError::Denied && !has_warned {
                has_warned = true;
                let SourceId { entry, reporter } = source;
                warn!(sentinel = %reporter, %entry, "the Sentinel's user may not subscribe to its events (+subscribe &+* &-*): \
                     failovers are seen by polling only, up to a second later");
            }
            sleep(pace.after_failure(fastrand::f64()).to_duration()).await;
        }
    }

    /// Subscribes and passes on that there was an event, until there has been none for
    /// [`SILENCE`].
    async fn subscribe(
        &self,
        source: &SourceId,
        event_seen: &Notify,
        pace: &mut QueryPace,
    ) -> Result<(), PollError> {
        let (mut subscription, _) =
            Subscription::open(&self.server, &SENTINEL_CHANNELS, self.timeout).await?;
        let subscribed = timeout(self.timeout.to_duration(), subscription.subscribe()).await;
        subscribed.map_err(|_| PollError::Timeout)??;
        *pace = QueryPace::new(INTERVAL);
        // Events before the subscription were missed.
        event_seen.notify_one();
        while let Ok(message) = timeout(SILENCE, subscription.next()).await {
            let message = message?;
            let parsed = SentinelMessage::parse(&message.channel, &message.payload);
            if let Some(message) = parsed
                && self.concerns(&message, source)
            {
                event_seen.notify_one();
            }
        }
        Ok(())
    }

    /// Whether a message is a reason to query the Sentinel. A failover is logged.
    fn concerns(&self, message: &SentinelMessage, source: &SourceId) -> bool {
        let SentinelMessage::Switched { name, from, to } = message else {
            return true;
        };
        let is_selected = self.masters.matches(name);
        if is_selected {
            let SourceId { entry, reporter } = source;
            info!(sentinel = %reporter, %entry, master = name, %from, %to, "a Sentinel reports a failover");
        }
        is_selected
    }
}

impl Reporter for SentinelPlan {
    type Connection = SentinelConnection;

    fn timeout(&self) -> Span {
        self.timeout
    }

    fn interval(&self) -> Span {
        INTERVAL
    }

    async fn connect(&self) -> Result<SentinelConnection, PollFailure> {
        SentinelConnection::connect(&self.server, self.timeout).await
    }

    async fn query(&self, connection: &mut SentinelConnection) -> Result<View, PollError> {
        connection.query(&self.masters).await.map(View::Sentinel)
    }
}

impl QueryConnection for SentinelConnection {
    fn is_open(&self) -> bool {
        SentinelConnection::is_open(self)
    }

    fn explain(&self, reason: PollError) -> PollFailure {
        SentinelConnection::explain(self, reason)
    }
}
