//! What comes next, by the kind of operation.

use super::ending::{Ending, Outcome};
use super::intent::OperationKind;
use super::run::{Act, Run, TOO_MANY_ORDERS};
use super::view::World;
use super::{disaster, hand_over, rejoin, sentinel, switch_over, take_over};
use crate::model::Timestamp;

impl Run {
    /// What to do next, in this `world` at `now`.
    pub fn next(&mut self, world: &World, now: Timestamp) -> Act {
        if self.orders > TOO_MANY_ORDERS {
            let masters = world.masters();
            let sentence = format!("{masters}; it did not settle after {TOO_MANY_ORDERS} orders");
            return Act::End(self.end(Outcome::Incomplete, sentence));
        }
        if world.old.said.is_ok() && world.target.said.is_ok() {
            self.proofs.silent_since = None;
        }
        if let Some(hooks) = self.hooks_once_open(world) {
            return hooks;
        }
        let act = match self.intent.kind {
            OperationKind::SwitchOver => switch_over::next(self, world, now),
            OperationKind::Disaster => disaster::next(self, world, now),
            OperationKind::Rejoin => rejoin::next(self, world, now),
            OperationKind::HandOver => hand_over::next(self, world, now),
            OperationKind::TakeOver => take_over::next(self, world, now),
        };
        match act {
            Act::End(ending) => {
                let unfinished =
                    sentinel::restore(self, world).or_else(|| self.hooks_at_end(world));
                unfinished.unwrap_or_else(|| Act::End(self.with_all_open(ending)))
            }
            other => self.hooks_before(&other).unwrap_or(other),
        }
    }

    /// The end with what turned out to be open while it was prepared.
    fn with_all_open(&self, mut ending: Ending) -> Ending {
        for open in &self.proofs.open {
            if ending.open.contains(open) {
                continue;
            }
            ending.open.push(open.clone());
            if ending.outcome == Outcome::Done {
                ending.outcome = Outcome::Incomplete;
            }
        }
        ending
    }
}
