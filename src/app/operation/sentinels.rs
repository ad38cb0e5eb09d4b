//! The Sentinels of a pair: asked what they would do, and told to promote.

use super::operator::timeout;
use crate::client::{PromotionAnswer, SentinelConnection};
use crate::clock;
use crate::config::Settings;
use crate::model::{PairName, PollError, PollFailure, Span, Timestamp};
use crate::operation::{OrderError, OrderResult, SentinelSaid, SentinelView};
use crate::topology::{Server, Topology};

/// A Sentinel that did not answer is not asked again for this long: each question takes its
/// timeout.
const LEFT_ALONE_FOR: Span = Span::from_secs(5);

/// A Sentinel and the connection to it.
pub(super) struct SentinelHand {
    server: Server,
    within: Span,
    /// What it calls the master.
    master: String,
    connection: Option<SentinelConnection>,
    /// Until when it is not asked, and why it did not answer.
    silent: Option<(Timestamp, String)>,
}

/// The Sentinels of `pair` in the configuration, and what they call its master.
pub(super) fn hands(settings: &Settings, pair: &PairName) -> Option<(String, Vec<SentinelHand>)> {
    for entry in &settings.sentinels {
        let Some(name) = entry.master_of(pair) else {
            continue;
        };
        let mut hands = Vec::new();
        for sentinel in &entry.sentinels {
            let server = Topology::server(sentinel, &settings.datacenters);
            hands.push(SentinelHand {
                within: timeout(&server, settings),
                server,
                master: name.to_owned(),
                connection: None,
                silent: None,
            });
        }
        return Some((name.to_owned(), hands));
    }
    None
}

/// Asks all of them, one after the other.
pub(super) async fn ask(hands: &mut [SentinelHand]) -> Vec<SentinelView> {
    let mut views = Vec::with_capacity(hands.len());
    for hand in hands {
        views.push(hand.view().await);
    }
    views
}

impl SentinelHand {
    pub(super) fn is_at(&self, addr: &crate::model::ServerAddr) -> bool {
        self.server.addr == *addr
    }

    async fn view(&mut self) -> SentinelView {
        let now = clock::now();
        let said = match &self.silent {
            Some((until, why)) if now < *until => Err(why.clone()),
            _ => self.said().await,
        };
        self.silent = match &said {
            Err(why) if self.silent.as_ref().is_none_or(|(until, _)| now >= *until) => {
                Some((clock::now() + LEFT_ALONE_FOR, why.clone()))
            }
            Err(_) => self.silent.take(),
            Ok(_) => None,
        };
        SentinelView {
            addr: self.server.addr.clone(),
            said,
        }
    }

    async fn said(&mut self) -> Result<SentinelSaid, String> {
        let had_connection = self.connection.is_some();
        let mut answer = self.promotion().await;
        if answer.is_err() && had_connection {
            answer = self.promotion().await;
        }
        let answer = answer.map_err(|failure| failure.sentence("the Sentinel"))?;
        Ok(SentinelSaid {
            master: answer.master.addr,
            epoch: answer.master.config_epoch,
            is_down: answer.master.health.subjectively_down,
            failing_over: answer.master.health.failing_over,
            tilted: answer.tilted,
            down_after: answer.settings.down_after,
            priorities: answer.priorities,
        })
    }

    async fn promotion(&mut self) -> Result<PromotionAnswer, PollFailure> {
        let mut connection = self.connect().await?;
        let limit = self.within.to_duration();
        let asked = tokio::time::timeout(limit, connection.promotion(&self.master)).await;
        match asked {
            Ok(Ok(answer)) => {
                self.connection = Some(connection);
                Ok(answer)
            }
            Ok(Err(reason)) => Err(connection.explain(reason)),
            Err(_) => Err(PollError::Timeout.into()),
        }
    }

    /// Has it promote a replica.
    pub(super) async fn fail_over(&mut self) -> OrderResult {
        let sent = clock::now();
        let reply = match self.connect().await {
            Err(failure) => Err(OrderError::Refused(failure.sentence("the Sentinel"))),
            Ok(mut connection) => {
                let limit = self.within.to_duration();
                let told = tokio::time::timeout(limit, connection.fail_over(&self.master)).await;
                match told {
                    Ok(Ok(answer)) => {
                        self.connection = Some(connection);
                        answer.map_err(OrderError::Refused)
                    }
                    Ok(Err(reason)) => {
                        let failure = connection.explain(reason);
                        Err(OrderError::Unknown(failure.sentence("the Sentinel")))
                    }
                    Err(_) => Err(OrderError::Unknown(
                        "the Sentinel did not answer in time".to_owned(),
                    )),
                }
            }
        };
        OrderResult {
            sent,
            received: clock::now(),
            reply,
            said: None,
        }
    }

    /// The open connection, which is given back after a whole answer, or a new one.
    async fn connect(&mut self) -> Result<SentinelConnection, PollFailure> {
        match self.connection.take() {
            Some(connection) if connection.is_open() => Ok(connection),
            _ => SentinelConnection::connect(&self.server, self.within).await,
        }
    }
}
