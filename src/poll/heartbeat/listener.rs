//! The task that hears heartbeats come out of one replica.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::timeout;

use super::super::server::observe;
use super::beats::Arrival;
use super::outcome::Outcome;
use super::{Beats, settled};
use crate::client::{ChannelMessage, Subscription};
use crate::model::{HeartbeatError, PollError, RunId, ServerAddr, Span};
use crate::monitor::HeartbeatEvent;
use crate::replication::ReceivedHeartbeat;
use crate::topology::Server;

/// A subscription that hears nothing for this long is made anew, or for ten intervals if that is
/// longer: nobody can tell a link without messages from a connection whose other end is gone. One
/// connection a minute is no burden.
const SILENCE: Span = Span::from_secs(60);

/// Hears what comes out of one replica.
pub(super) struct Listener {
    pub(super) server: Arc<Server>,
    pub(super) top: ServerAddr,
    pub(super) timeout: Span,
    pub(super) interval: Span,
    pub(super) channel: Arc<str>,
    pub(super) beats: Arc<Mutex<Beats>>,
    pub(super) outcome: Outcome,
}

impl Listener {
    /// Listens until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let wait = match self.listen().await {
                Ok(Silent) => continue,
                Err(error) => self.outcome.failed(error),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Subscribes and reports what is heard, until nothing is for long.
    async fn listen(&mut self) -> Result<Silent, HeartbeatError> {
        let (mut subscription, info) =
            Subscription::open(&self.server, &[&self.channel], self.timeout).await?;
        let replica = settled(&observe(&info.text)?)?;
        let subscribed = timeout(self.timeout.to_duration(), subscription.subscribe()).await;
        subscribed.map_err(|_| PollError::Timeout)??;
        let silence = SILENCE.max(self.interval.mul_f64(10.0)).to_duration();
        let mut last = 0;
        while let Ok(message) = timeout(silence, subscription.next()).await {
            last = self.hear(&message?, &replica, last)?;
        }
        Ok(Silent)
    }

    /// Reports one message, which came after the number `last`; returns its number.
    pub(super) fn hear(
        &mut self,
        message: &ChannelMessage,
        replica: &RunId,
        last: u64,
    ) -> Result<u64, HeartbeatError> {
        // The channel is this run's own: whatever is no number that was sent comes from somebody
        // who plays games.
        let number: u64 = message.payload.parse().map_err(|_| PollError::Protocol)?;
        let arrival = self
            .beats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .arrived(number);
        let top = self.top.clone();
        match arrival {
            Arrival::Invented => return Err(PollError::Protocol.into()),
            _ if number <= last => {
                self.outcome.say(HeartbeatError::Repeated);
                self.outcome.report(HeartbeatEvent::Repeated {
                    top,
                    replica: replica.clone(),
                });
                return Ok(last);
            }
            Arrival::Forgotten => {}
            Arrival::Known { master, .. } if master == *replica => {
                return Err(HeartbeatError::SameServer);
            }
            Arrival::Known { sent, master } => {
                let beat = ReceivedHeartbeat {
                    sent,
                    received: message.received,
                    master,
                    replica: replica.clone(),
                };
                self.outcome.report(HeartbeatEvent::Arrived { top, beat });
            }
        }
        Ok(number)
    }
}

/// Nothing was heard for long.
struct Silent;
