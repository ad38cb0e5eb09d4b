//! What the reporters of all kinds have in common: one connection for queries, which is kept, and
//! the loop that queries on it.

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::query_pace::{QueryPace, SHORTEST};
use crate::model::{PollError, PollFailure, Span};
use crate::topology::{DiscoveryEvent, SourceId, View};

/// A reporter that can be queried.
pub(super) trait Reporter {
    /// A connection that is ready for queries.
    type Connection: QueryConnection;

    /// How long one query may take, and opening a connection.
    fn timeout(&self) -> Span;

    /// The time between two queries.
    fn interval(&self) -> Span;

    async fn connect(&self) -> Result<Self::Connection, PollFailure>;

    /// Queries once, without a limit in time.
    async fn query(&self, connection: &mut Self::Connection) -> Result<View, PollError>;
}

/// A connection for queries.
pub(super) trait QueryConnection {
    /// Whether it can take another query.
    fn is_open(&self) -> bool;

    /// The failure behind `reason`, with the detail that the connection has of it.
    fn explain(&self, reason: PollError) -> PollFailure;
}

/// Queries once, on a new connection.
pub(super) async fn query_once<R: Reporter>(reporter: &R, source: SourceId) -> DiscoveryEvent {
    let result = match reporter.connect().await {
        Ok(mut connection) => query(reporter, &mut connection).await,
        Err(failure) => Err(failure),
    };
    DiscoveryEvent::Reporter { source, result }
}

/// Queries at every interval, and at once after an event, until the receiver of the answers is
/// dropped.
pub(super) async fn query_repeatedly<R: Reporter>(
    reporter: &R,
    source: &SourceId,
    events: &mpsc::Sender<DiscoveryEvent>,
    event_seen: &Notify,
) {
    let mut connection = None;
    let mut pace = QueryPace::new(reporter.interval());
    loop {
        let began = Instant::now();
        let result = query_on(reporter, &mut connection).await;
        let wait = match &result {
            Ok(_) => pace.after_answer(fastrand::f64()),
            Err(_) => pace.after_failure(fastrand::f64()),
        };
        let source = source.clone();
        if events
            .send(DiscoveryEvent::Reporter { source, result })
            .await
            .is_err()
        {
            return; // the program is stopping
        }
        tokio::select! {
            () = sleep_until(began + wait.to_duration()) => {}
            () = event_seen.notified() => sleep_until(began + SHORTEST.to_duration()).await,
        }
    }
}

/// Queries on the open connection, or on a new one. The reporter may have closed an open connection
/// long ago, by a restart or an idle timeout, so its failure is no failure of the reporter now.
async fn query_on<R: Reporter>(
    reporter: &R,
    connection: &mut Option<R::Connection>,
) -> Result<View, PollFailure> {
    if let Some(open) = connection.take() {
        let result = query_and_keep(reporter, open, connection).await;
        if reason(&result) != Some(PollError::Reset) {
            return result;
        }
    }
    let fresh = reporter.connect().await?;
    query_and_keep(reporter, fresh, connection).await
}

/// Queries on `open`, and keeps it in `connection` if it can take another query. After a timeout it
/// cannot: a late answer would be mistaken for that of the next query.
async fn query_and_keep<R: Reporter>(
    reporter: &R,
    mut open: R::Connection,
    connection: &mut Option<R::Connection>,
) -> Result<View, PollFailure> {
    let result = query(reporter, &mut open).await;
    if open.is_open() && reason(&result) != Some(PollError::Timeout) {
        *connection = Some(open);
    }
    result
}

async fn query<R: Reporter>(
    reporter: &R,
    connection: &mut R::Connection,
) -> Result<View, PollFailure> {
    let answer = timeout(reporter.timeout().to_duration(), reporter.query(connection)).await;
    let answer = answer.unwrap_or(Err(PollError::Timeout));
    answer.map_err(|reason| connection.explain(reason))
}

fn reason(result: &Result<View, PollFailure>) -> Option<PollError> {
    let failure = result.as_ref().err()?;
    Some(failure.reason)
}
