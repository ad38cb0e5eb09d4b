//! The rules: one function a check, from the facts of an entry to what is wrong with it. All of them
//! are pure.

mod persistence;
mod promotion;
mod reachable;
mod replication;
mod sentinels;
mod setup;
#[cfg(test)]
mod tests;

pub(super) use setup::NO_DRILLS;

use super::subject::{Subject, Verdict};
use crate::model::DoctorCheck;

/// A rule.
pub(super) type Rule = fn(&Subject<'_>) -> Verdict;

/// Which servers of an entry a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckScope {
    /// The master.
    Master,
    /// Each replica, compared with the master.
    Replica,
    /// Master and replicas alike: after a switch their roles change.
    Each,
    /// None: this version cannot make the check, and says so once.
    Nothing,
}

/// The rule of `check`, and which servers it looks at.
pub(super) fn rule(check: DoctorCheck) -> (CheckScope, Rule) {
    use CheckScope::{Each, Master, Nothing, Replica};
    match check {
        DoctorCheck::A1 => (Replica, promotion::min_replicas),
        DoctorCheck::A2 => (Replica, promotion::memory),
        DoctorCheck::A3 => (Replica, promotion::databases),
        DoctorCheck::A4 => (Replica, promotion::disk),
        DoctorCheck::A5 => (Replica, promotion::reverse_login),
        DoctorCheck::A6 => (Replica, promotion::users),
        DoctorCheck::A7 => (Replica, reachable::listening),
        DoctorCheck::A9 => (Replica, reachable::programs),
        DoctorCheck::A10 => (Replica, promotion::max_clients),
        DoctorCheck::A11 => (Replica, promotion::read_only),
        DoctorCheck::A12 => (Each, promotion::config_file),
        DoctorCheck::A14 => (Replica, reachable::clocks),
        DoctorCheck::B1 => (Each, replication::backlog_size),
        DoctorCheck::B2 => (Each, replication::backlog_ttl),
        DoctorCheck::B3 => (Each, replication::output_buffer),
        DoctorCheck::B4 => (Each, replication::timeout),
        DoctorCheck::B5 => (Each, replication::diskless),
        DoctorCheck::B6 => (Each, replication::nodelay),
        DoctorCheck::B8 => (Each, replication::fork_room),
        DoctorCheck::C1 => (Master, persistence::master),
        DoctorCheck::C2 => (Replica, persistence::replica),
        DoctorCheck::C3 => (Master, persistence::aof_history),
        DoctorCheck::C4 => (Each, persistence::aof_timestamps),
        DoctorCheck::C5 => (Each, persistence::last_save),
        DoctorCheck::D1 => (Master, setup::self_fence),
        DoctorCheck::D2 => (Master, setup::priorities),
        DoctorCheck::D3 => (Replica, setup::announced),
        DoctorCheck::D4 => (Replica, setup::announced_address),
        DoctorCheck::D5 => (Each, setup::keepalive),
        DoctorCheck::E1 => (Master, sentinels::sentinel_placement),
        DoctorCheck::E2 => (Master, sentinels::down_after),
        DoctorCheck::E3 => (Master, sentinels::differing),
        DoctorCheck::E4 => (Master, sentinels::phantoms),
        DoctorCheck::E5 => (Master, sentinels::parallel_syncs),
        DoctorCheck::F1 => (Nothing, setup::drill),
        DoctorCheck::F3 => (Master, setup::refused_resyncs),
    }
}
