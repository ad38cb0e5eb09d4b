//! What is done beside the servers when a master changes, such as pointing a DNS record to it: when
//! that is due, and what its failures mean. What a hook does is up to the executor.

use super::goal::Goal;
use super::hook_names::HookStage;
use super::intent::OperationKind;
use super::order::Order;
use super::run::{Act, Run};
use super::view::World;
use crate::model::ServerAddr;

impl Run {
    /// The hooks that are due before `act`: clients notice nothing until they have succeeded.
    pub(super) fn hooks_before(&self, act: &Act) -> Option<Act> {
        let Act::Do { order, .. } = act else {
            return None;
        };
        let is_due = self.changes_master() && self.goal == Goal::Forward && !self.hooks.before_done;
        // Which replica Sentinels choose is no news for clients.
        let is_noticed = !matches!(order, Order::Priority { .. });
        if !is_due || !is_noticed || self.intent.hooks.before.is_empty() {
            return None;
        }
        Some(Act::Hooks {
            stage: HookStage::Before,
            master: None,
        })
    }

    /// The hooks that are due because the new master takes writes.
    pub(super) fn hooks_once_open(&self, world: &World) -> Option<Act> {
        if self.proofs.opened_at.is_none() || !world.target.is_master() {
            return None;
        }
        self.hooks_after(&self.intent.target.addr)
    }

    /// The hooks that are due at the end of a run that began with some: whoever was told that the
    /// master is about to change is told who it is now.
    pub(super) fn hooks_at_end(&mut self, world: &World) -> Option<Act> {
        if self.proofs.opened_at.is_none() && !self.hooks.begun {
            return None;
        }
        let servers = [&world.target, &world.old];
        let mut masters = servers.into_iter().filter(|server| server.is_master());
        if let Some(master) = masters.next() {
            return self.hooks_after(&master.addr);
        }
        // Those of the other site run once its replica takes writes.
        let is_handed_over =
            self.intent.kind == OperationKind::HandOver && world.old.said().is_some();
        let is_due = self.changes_master() && !self.hooks.after_done && !is_handed_over;
        if is_due && !self.intent.hooks.after.is_empty() {
            self.add_open(
                "the hooks after it have not run, because it is not known who is the master"
                    .to_owned(),
            );
        }
        None
    }

    fn hooks_after(&self, master: &ServerAddr) -> Option<Act> {
        if !self.changes_master() || self.hooks.after_done || self.intent.hooks.after.is_empty() {
            return None;
        }
        Some(Act::Hooks {
            stage: HookStage::After,
            master: Some(master.clone()),
        })
    }

    fn changes_master(&self) -> bool {
        self.intent.kind.changes_master()
    }

    /// Notes how the hooks of `stage` ended: why one failed, a sentence each without a full stop.
    /// One that fails before the operation ends it; one that fails afterwards is left to a person.
    pub fn note_hooks(&mut self, stage: HookStage, failures: Vec<String>) {
        match stage {
            HookStage::Before => {
                self.hooks.begun = true;
                self.hooks.before_done = failures.is_empty();
                if let Some(failure) = failures.into_iter().next() {
                    self.turn_back(failure);
                }
            }
            HookStage::After => {
                self.hooks.after_done = true;
                for failure in failures {
                    self.add_open(format!("{failure}: do by hand what it does"));
                }
            }
        }
    }

    /// Notes an order of an earlier run: the hooks before it were through.
    pub(super) fn recall_hooks(&mut self, order: &Order) {
        let is_noticed = !matches!(order, Order::Priority { .. });
        if is_noticed && !self.intent.hooks.before.is_empty() {
            self.hooks.begun = true;
            self.hooks.before_done = true;
        }
    }
}
