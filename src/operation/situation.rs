//! Where an operation stands, by what its servers say.

use super::intent::Intent;
use super::view::World;
use crate::info::Role;

/// The roles of the two servers that change places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// The old master is the master, and the target follows it.
    Before,
    /// Each follows the other: nobody takes writes.
    Nobody,
    /// The target is the master, and the old one follows it.
    After,
    /// Both are masters.
    TwoMasters,
    /// The old master does not answer; the target has this role.
    OldSilent(Role),
    /// The target does not answer; the old master has this role.
    TargetSilent(Role),
    /// Neither answers.
    BothSilent,
    /// A server follows a third one: somebody else changed something.
    Elsewhere,
}

impl Situation {
    /// The situation of `world`, which an operation with `intent` is in.
    pub fn from_world(world: &World, intent: &Intent) -> Self {
        match (world.old.role(), world.target.role()) {
            (None, None) => Self::BothSilent,
            (None, Some(role)) => Self::OldSilent(role),
            (Some(role), None) => Self::TargetSilent(role),
            (Some(Role::Master), Some(Role::Master)) => Self::TwoMasters,
            (Some(Role::Master), Some(Role::Replica)) => {
                if world.target.follows(&intent.old_for_target) {
                    Self::Before
                } else {
                    Self::Elsewhere
                }
            }
            (Some(Role::Replica), Some(role)) => {
                if !world.old.follows(&intent.target.addr) {
                    return Self::Elsewhere;
                }
                match role {
                    Role::Master => Self::After,
                    Role::Replica if world.target.follows(&intent.old_for_target) => Self::Nobody,
                    Role::Replica => Self::Elsewhere,
                }
            }
        }
    }
}
