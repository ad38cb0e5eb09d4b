//! The task that queries one Sentinel. It has two connections: one for queries, and a subscription
//! to the events that the Sentinel publishes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::query_pace::{QueryPace, SHORTEST};
use crate::client::{SentinelConnection, Subscription};
use crate::config::MasterSelector;
use crate::info::{SENTINEL_CHANNELS, SentinelMessage};
use crate::model::{PollError, PollFailure, Span};
use crate::topology::{DiscoveryEvent, SentinelView, Server, SourceId, View};

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
            () = self.query_repeatedly(&source, &events, &event_seen) => {}
            () = self.listen(&source, &event_seen) => {}
        }
    }

    /// Queries once, on a new connection.
    pub(super) async fn query_once(self, source: SourceId) -> DiscoveryEvent {
        let result = match self.connect().await {
            Ok(mut connection) => self.query(&mut connection).await,
            Err(failure) => Err(failure),
        };
        discovery_event(source, result)
    }

    /// Queries every second, and at once after an event.
    async fn query_repeatedly(
        &self,
        source: &SourceId,
        events: &mpsc::Sender<DiscoveryEvent>,
        event_seen: &Notify,
    ) {
        let mut connection = None;
        let mut pace = QueryPace::default();
        loop {
            let began = Instant::now();
            let result = self.query_on(&mut connection).await;
            let wait = match &result {
                Ok(_) => pace.after_answer(fastrand::f64()),
                Err(_) => pace.after_failure(fastrand::f64()),
            };
            let event = discovery_event(source.clone(), result);
            if events.send(event).await.is_err() {
                return; // the program is stopping
            }
            tokio::select! {
                () = sleep_until(began + wait.to_duration()) => {}
                () = event_seen.notified() => sleep_until(began + SHORTEST.to_duration()).await,
            }
        }
    }

    /// Queries on the open connection, or on a new one. The Sentinel may have closed an open
    /// connection long ago, by a restart or an idle timeout, so its failure is no failure of the
    /// Sentinel now.
    async fn query_on(
        &self,
        connection: &mut Option<SentinelConnection>,
    ) -> Result<SentinelView, PollFailure> {
        if let Some(open) = connection.take() {
            let result = self.query_and_keep(open, connection).await;
            if reason(&result) != Some(PollError::Reset) {
                return result;
            }
        }
        let fresh = self.connect().await?;
        self.query_and_keep(fresh, connection).await
    }

    /// Queries on `open`, and keeps it in `connection` if it can take another query. After a
    /// timeout it cannot: a late answer would be mistaken for that of the next query.
    async fn query_and_keep(
        &self,
        mut open: SentinelConnection,
        connection: &mut Option<SentinelConnection>,
    ) -> Result<SentinelView, PollFailure> {
        let result = self.query(&mut open).await;
        if open.is_open() && reason(&result) != Some(PollError::Timeout) {
            *connection = Some(open);
        }
        result
    }

    async fn connect(&self) -> Result<SentinelConnection, PollFailure> {
        SentinelConnection::connect(&self.server, self.timeout).await
    }

    async fn query(
        &self,
        connection: &mut SentinelConnection,
    ) -> Result<SentinelView, PollFailure> {
        let answer = timeout(self.timeout.to_duration(), connection.query(&self.masters));
        let answer = answer.await.unwrap_or(Err(PollError::Timeout));
        answer.map_err(|reason| connection.explain(reason))
    }

    /// Listens to events without end. A subscription that fails is not reported: the queries show
    /// whether the Sentinel answers.
    async fn listen(&self, source: &SourceId, event_seen: &Notify) {
        let mut pace = QueryPace::default();
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
        *pace = QueryPace::default();
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

fn reason(result: &Result<SentinelView, PollFailure>) -> Option<PollError> {
    let failure = result.as_ref().err()?;
    Some(failure.reason)
}

fn discovery_event(source: SourceId, result: Result<SentinelView, PollFailure>) -> DiscoveryEvent {
    DiscoveryEvent {
        source,
        result: result.map(View::Sentinel),
    }
}
