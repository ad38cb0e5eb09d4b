//! The state of the discovery sources: shown to readers, and evaluated by the rules of their kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::clusters::{ClusterFault, ClusterFaults};
use super::sentinels::{Quorum, SentinelQuorums};
use crate::alert::AlertKey;
use crate::model::Timestamp;
use crate::replication::Pause;
use crate::topology::SourceHealth;

/// Every discovery source.
#[derive(Debug, Default)]
pub(super) struct Sources {
    health: Arc<[SourceHealth]>,
    /// What only Sentinels have.
    quorums: SentinelQuorums,
    /// What only clusters have.
    clusters: ClusterFaults,
}

impl Sources {
    /// Replaces what is known of the sources. Returns the keys of their alerts.
    pub(super) fn update(
        &mut self,
        health: Vec<SourceHealth>,
        now: Timestamp,
    ) -> BTreeSet<AlertKey> {
        let mut groups = Vec::new();
        let mut clusters = Vec::new();
        for source in &health {
            match source {
                SourceHealth::Sentinels(group) => groups.push(group),
                SourceHealth::Cluster(group) => clusters.push(group),
                // What is wrong with them is shown; their pairs have alerts.
                SourceHealth::Names(_) | SourceHealth::Files(_) => {}
            }
        }
        let mut keys = self.quorums.update(&groups, now);
        keys.extend(self.clusters.update(&clusters, now));
        self.health = health.into();
        keys
    }

    /// The fault of this alert has lasted since before a restart.
    pub(super) fn resume(&mut self, key: &AlertKey, since: Timestamp) {
        self.quorums.resume(key, since);
        self.clusters.resume(key, since);
    }

    /// Notes that the exporter was paused: that time counts towards no loss.
    pub(super) fn note_pause(&mut self, pause: Pause) {
        self.quorums.note_pause(pause);
        self.clusters.note_pause(pause);
    }

    /// Every Redis Cluster at `now`.
    pub(super) fn clusters(&self, now: Timestamp) -> impl Iterator<Item = ClusterFault<'_>> {
        self.clusters.faults(now)
    }

    /// Every Sentinel quorum at `now`.
    pub(super) fn quorums(&self, now: Timestamp) -> impl Iterator<Item = Quorum<'_>> {
        self.quorums.quorums(now)
    }

    /// The health of every source.
    pub(super) fn health(&self) -> Arc<[SourceHealth]> {
        Arc::clone(&self.health)
    }

    /// Whether there is no source.
    pub(super) fn is_empty(&self) -> bool {
        self.health.is_empty()
    }

    /// Whether every reporter of every source has answered once, or failed to.
    pub(super) fn all_queried(&self) -> bool {
        self.health.iter().all(SourceHealth::was_queried)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sentinels::tests::group;
    use super::*;

    #[test]
    fn the_program_is_not_ready_before_every_reporter_was_queried() {
        let mut sources = Sources::default();
        assert!(sources.all_queried(), "no sources at all");
        for (sentinels, ready) in [("ar b?", false), ("ar bs", true)] {
            let health = SourceHealth::Sentinels(group(sentinels));
            sources.update(vec![health], Timestamp::default());
            assert_eq!(sources.all_queried(), ready, "{sentinels}");
        }
    }
}
