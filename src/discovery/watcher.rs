//! The task that asks one Sentinel, on two connections: one for questions, one for what it says by
//! itself.

use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::Plan;
use super::pace::{Pace, SHORTEST};
use crate::client::{SentinelConnection, Subscription};
use crate::info::{SENTINEL_CHANNELS, SentinelMessage};
use crate::model::{PollError, PollFailure};
use crate::topology::{SentinelEvent, SentinelView};

/// A subscription that hears nothing for this long is made anew: nobody can tell a quiet Sentinel
/// from a connection whose other end is gone. One connection a minute is no burden.
const SILENCE: Duration = Duration::from_mins(1);

/// Asks one Sentinel.
pub(super) struct Watcher {
    plan: Plan,
    events: mpsc::Sender<SentinelEvent>,
    connection: Option<SentinelConnection>,
    /// Something happened: ask at once.
    happened: Notify,
}

/// Asks once, on a connection of its own.
pub(super) async fn ask_once(plan: &Plan) -> SentinelEvent {
    let result = match connect(plan).await {
        Ok(mut connection) => look(plan, &mut connection).await,
        Err(error) => Err(error),
    };
    event(plan, result)
}

impl Watcher {
    pub(super) fn new(plan: Plan, events: mpsc::Sender<SentinelEvent>) -> Self {
        Self {
            plan,
            events,
            connection: None,
            happened: Notify::new(),
        }
    }

    /// Asks and listens until it is dropped, or nobody takes the answers any more.
    pub(super) async fn run(self) {
        let Self {
            plan,
            events,
            connection,
            happened,
        } = self;
        let asks = ask(&plan, &events, connection, &happened);
        tokio::select! {
            () = asks => {}
            () = listen(&plan, &happened) => {}
        }
    }
}

/// Asks every second, and at once when something happened.
async fn ask(
    plan: &Plan,
    events: &mpsc::Sender<SentinelEvent>,
    mut connection: Option<SentinelConnection>,
    happened: &Notify,
) {
    let mut pace = Pace::default();
    loop {
        let began = Instant::now();
        let result = view(plan, &mut connection).await;
        let wait = match &result {
            Ok(_) => pace.after_answer(fastrand::f64()),
            Err(_) => pace.after_failure(fastrand::f64()),
        };
        if events.send(event(plan, result)).await.is_err() {
            return; // the program is stopping
        }
        tokio::select! {
            () = sleep_until(began + wait.to_duration()) => {}
            () = happened.notified() => sleep_until(began + SHORTEST.to_duration()).await,
        }
    }
}

/// Asks on the connection that stands, or on a new one. A connection that stood may have been
/// closed long ago, by a restart or an idle timeout: that says nothing about the Sentinel now.
async fn view(
    plan: &Plan,
    connection: &mut Option<SentinelConnection>,
) -> Result<SentinelView, PollFailure> {
    if let Some(mut standing) = connection.take() {
        let result = look(plan, &mut standing).await;
        if standing.is_open() && reason_of(&result) != Some(PollError::Timeout) {
            *connection = Some(standing);
        }
        if reason_of(&result) != Some(PollError::Reset) {
            return result;
        }
    }
    let mut fresh = connect(plan).await?;
    let result = look(plan, &mut fresh).await;
    // After a timeout the answer may still come, and would be taken for that of the next question.
    if fresh.is_open() && reason_of(&result) != Some(PollError::Timeout) {
        *connection = Some(fresh);
    }
    result
}

fn reason_of(result: &Result<SentinelView, PollFailure>) -> Option<PollError> {
    result.as_ref().err().map(|failure| failure.reason)
}

async fn connect(plan: &Plan) -> Result<SentinelConnection, PollFailure> {
    SentinelConnection::connect(&plan.sentinel, plan.timeout).await
}

async fn look(
    plan: &Plan,
    connection: &mut SentinelConnection,
) -> Result<SentinelView, PollFailure> {
    let answer = timeout(plan.timeout.to_duration(), connection.query(&plan.masters)).await;
    let answer = answer.unwrap_or(Err(PollError::Timeout));
    answer.map_err(|reason| connection.explain(reason))
}

fn event(plan: &Plan, result: Result<SentinelView, PollFailure>) -> SentinelEvent {
    SentinelEvent {
        entry: plan.entry.clone(),
        sentinel: plan.sentinel.addr.clone(),
        result,
    }
}

/// Listens for ever. That it cannot is no event of its own: whether the Sentinel answers, the
/// questions tell.
async fn listen(plan: &Plan, happened: &Notify) {
    let mut pace = Pace::default();
    let mut warned = false;
    loop {
        let Err(error) = hear(plan, happened, &mut pace).await else {
            continue;
        };
        if error == PollError::Denied && !std::mem::replace(&mut warned, true) {
            let (sentinel, entry) = (&plan.sentinel.addr, &plan.entry);
            warn!(%sentinel, %entry, "the Sentinel's user may not subscribe to its events (+subscribe &+* &-*): failovers are seen by polling only, up to a second later");
        }
        sleep(pace.after_failure(fastrand::f64()).to_duration()).await;
    }
}

/// Subscribes and passes on that something happened, until nothing does for long.
async fn hear(plan: &Plan, happened: &Notify, pace: &mut Pace) -> Result<(), PollError> {
    let (mut subscription, _) =
        Subscription::open(&plan.sentinel, &SENTINEL_CHANNELS, plan.timeout).await?;
    let subscribed = timeout(plan.timeout.to_duration(), subscription.subscribe()).await;
    subscribed.map_err(|_| PollError::Timeout)??;
    *pace = Pace::default();
    // What happened before the subscription stood was not heard.
    happened.notify_one();
    while let Ok(message) = timeout(SILENCE, subscription.next()).await {
        let message = message?;
        match SentinelMessage::parse(&message.channel, &message.payload) {
            Some(SentinelMessage::Switched { name, from, to }) => {
                let (sentinel, entry) = (&plan.sentinel.addr, &plan.entry);
                if plan.masters.matches(&name) {
                    info!(%sentinel, %entry, master = name, %from, %to, "a Sentinel tells of a failover");
                    happened.notify_one();
                }
            }
            Some(SentinelMessage::Other) => happened.notify_one(),
            None => {}
        }
    }
    Ok(())
}
