//! All servers of an operation: asked in the order that makes brackets, and updated by each order.

use super::hand::Hand;
use super::sentinels::{self, SentinelHand};
use crate::model::ServerAddr;
use crate::operation::{Order, OrderResult, ServerView, World};

/// The connections of one operation.
pub(super) struct Hands {
    pub(super) old: Hand,
    pub(super) target: Hand,
    pub(super) others: Vec<Hand>,
    /// The Sentinels that watch the master.
    pub(super) sentinels: Vec<SentinelHand>,
}

impl Hands {
    /// Asks the old master, the target and the old master again; the others where `everyone` says
    /// so, else what they said in `before` stays.
    pub(super) async fn look(&mut self, before: Option<&World>, everyone: bool) -> World {
        let old = self.old.view().await;
        let target = self.target.view().await;
        // A server that has just been silent is not asked twice: each time takes its timeout.
        let old_again = if old.said.is_ok() {
            Some(self.old.view().await)
        } else {
            None
        };
        let (others, sentinels) = match before {
            Some(before) if !everyone => (before.others.clone(), before.sentinels.clone()),
            _ => (
                self.ask_others().await,
                sentinels::ask(&mut self.sentinels).await,
            ),
        };
        World {
            old,
            target,
            old_again,
            others,
            sentinels,
        }
    }

    async fn ask_others(&mut self) -> Vec<ServerView> {
        let mut views = Vec::with_capacity(self.others.len());
        for hand in &mut self.others {
            views.push(hand.view().await);
        }
        views
    }

    /// Gives an order to its server.
    pub(super) async fn perform(&mut self, order: &Order) -> Option<OrderResult> {
        if let Order::SentinelFailover { sentinel, .. } = order {
            let mut fitting = self
                .sentinels
                .iter_mut()
                .filter(|hand| hand.is_at(sentinel));
            return Some(fitting.next()?.fail_over().await);
        }
        let hand = self.hand(order.server())?;
        Some(hand.perform(order).await)
    }

    fn hand(&mut self, addr: &ServerAddr) -> Option<&mut Hand> {
        let all = [&mut self.old, &mut self.target]
            .into_iter()
            .chain(&mut self.others);
        let mut fitting = all.filter(|hand| hand.server().addr == *addr);
        fitting.next()
    }
}

/// Puts what a server said behind an order into the world; a server that said nothing is silent
/// until it is asked again.
pub(super) fn update(world: &mut World, order: &Order, result: &OrderResult) {
    world.old_again = None;
    let addr = order.server();
    let servers = [&mut world.old, &mut world.target]
        .into_iter()
        .chain(&mut world.others);
    for view in servers {
        if view.addr != *addr {
            continue;
        }
        view.said = match &result.said {
            Some(said) => Ok(said.clone()),
            None => Err("it did not answer the last order".to_owned()),
        };
    }
}
