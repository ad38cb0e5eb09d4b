//! The task that receives heartbeats from one replica.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::timeout;

use super::super::server::observe;
use super::sent::{Arrival, SentHeartbeats};
use super::status::HeartbeatStatus;
use super::usable_run_id;
use crate::client::{ChannelMessage, Subscription};
use crate::model::{HeartbeatError, PollError, RunId, ServerAddr, Span};
use crate::monitor::HeartbeatEvent;
use crate::replication::ReceivedHeartbeat;
use crate::topology::Server;

/// A subscription without messages is renewed after this time, or after ten intervals if that is
/// longer: an idle link cannot be distinguished from a connection whose other end is gone. One
/// connection a minute is cheap.
const SILENCE: Span = Span::from_secs(60);

/// Receives the heartbeats of one replica.
pub(super) struct Subscriber {
    pub(super) server: Arc<Server>,
    pub(super) top: ServerAddr,
    pub(super) timeout: Span,
    pub(super) interval: Span,
    pub(super) channel: Arc<str>,
    pub(super) sent: Arc<Mutex<SentHeartbeats>>,
    pub(super) status: HeartbeatStatus,
}

impl Subscriber {
    /// Listens until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            if let Err(error) = self.listen().await {
                let wait = self.status.failed(error);
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Subscribes and reports heartbeats, until there have been none for [`SILENCE`].
    async fn listen(&mut self) -> Result<(), HeartbeatError> {
        let (mut subscription, info) =
            Subscription::open(&self.server, &[&self.channel], self.timeout).await?;
        let seen = observe(&info.text)?;
        let replica = usable_run_id(&seen)?;
        let subscribed = timeout(self.timeout.to_duration(), subscription.subscribe()).await;
        subscribed.map_err(|_| PollError::Timeout)??;
        let silence = SILENCE.max(self.interval.mul_f64(10.0)).to_duration();
        let mut last = 0;
        while let Ok(message) = timeout(silence, subscription.next()).await {
            last = self.on_message(&message?, &replica, last)?;
        }
        Ok(())
    }

    /// Reports one message, which follows the number `last`. Returns its number.
    pub(super) fn on_message(
        &mut self,
        message: &ChannelMessage,
        replica: &RunId,
        last: u64,
    ) -> Result<u64, HeartbeatError> {
        // The channel belongs to this run alone: anything that was not sent is a forgery.
        let number: u64 = message.payload.parse().map_err(|_| PollError::Protocol)?;
        match self.arrival(number) {
            Arrival::Invented => return Err(PollError::Protocol.into()),
            Arrival::Known { .. } | Arrival::Forgotten if number <= last => {
                self.report_repeated(replica);
                return Ok(last);
            }
            Arrival::Known { master, .. } if master == *replica => {
                return Err(HeartbeatError::SameServer);
            }
            Arrival::Known { sent, master } => self.report_arrived(ReceivedHeartbeat {
                sent,
                received: message.received,
                master,
                replica: replica.clone(),
            }),
            Arrival::Forgotten => {}
        }
        Ok(number)
    }

    fn report_repeated(&mut self, replica: &RunId) {
        self.status.log(HeartbeatError::Repeated);
        self.status.report(HeartbeatEvent::Repeated {
            top: self.top.clone(),
            replica: replica.clone(),
        });
    }

    fn report_arrived(&self, heartbeat: ReceivedHeartbeat) {
        self.status.report(HeartbeatEvent::Arrived {
            top: self.top.clone(),
            beat: heartbeat,
        });
    }

    fn arrival(&self, number: u64) -> Arrival {
        // Every change is complete before anything could panic.
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.arrival(number)
    }
}
