//! Heartbeats of a pair: records those that arrive, and every sign that what they prove may not
//! hold.

use super::PairTracker;
use crate::info::{LinkStatus, Observation, Role};
use crate::model::{RunId, Timestamp};
use crate::replication::epochs::MasterHistory;
use crate::replication::heartbeat::{ReceivedHeartbeat, ReplicaPoll};

impl PairTracker {
    /// Records a heartbeat that came out of the replica.
    pub fn heartbeat_arrived(&mut self, heartbeat: &ReceivedHeartbeat) {
        self.heartbeats.arrived(heartbeat);
        self.update_heartbeats();
    }

    /// Records that the replica's process `replica` delivered a heartbeat twice, or after a later
    /// one.
    pub fn heartbeat_repeated(&mut self, replica: RunId) {
        self.heartbeats.repeated(replica);
        self.update_heartbeats();
    }

    /// Records which process answered as the master at the top of the chain; `history` is that
    /// master's.
    pub fn top_answered(
        &mut self,
        run_id: Option<&RunId>,
        history: &MasterHistory,
        received: Timestamp,
    ) {
        let generation = history.generation();
        self.heartbeats
            .master_answered(run_id, generation, received);
        if let Some(located) = &self.facts.located {
            self.heartbeats
                .placed(located.sent(), located.bracket.hi, received);
        }
        self.update_heartbeats();
    }

    /// Records how many full syncs the direct master has given, by its answer at `received`.
    pub fn direct_master_synced(&mut self, full_syncs: Option<u64>, received: Timestamp) {
        self.heartbeats.full_syncs(full_syncs, received);
        self.update_heartbeats();
    }

    /// Looks for signs that the replica has gone back to an older state.
    pub(super) fn watch_for_steps_back(&mut self, seen: &Observation, received: Timestamp) {
        let is_replica = seen.replication.role.value() == Some(Role::Replica);
        let is_loading = seen.persistence.loading.value() == Some(true);
        let mut poll = ReplicaPoll {
            run_id: seen.server.run_id.get(),
            replid: seen.replication.replid.get(),
            applied: None,
            link_up: false,
            unsettled: is_loading || !is_replica,
            received,
        };
        if let Some(upstream) = &seen.replication.upstream {
            poll.applied = upstream.applied_offset.value();
            poll.link_up = upstream.link.value() == Some(LinkStatus::Up);
            poll.unsettled |= upstream.sync_in_progress.value() == Some(true);
        }
        self.heartbeats.replica_answered(&poll);
        self.update_heartbeats();
    }

    fn update_heartbeats(&mut self) {
        self.facts.heartbeats = self.heartbeats.facts().clone();
    }
}
