//! What begins, goes on and is shown of one server and one pair.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{PairEntry, ServerEntry};
use crate::model::{Span, Timestamp, stable_hash};
use crate::monitor::alerting::Since;
use crate::monitor::chart::PairChart;
use crate::monitor::outage::LinkWatch;
use crate::monitor::poll_boost::ReportedDelay;
use crate::monitor::snapshot::ServerSnapshot;
use crate::replication::{Footprint, HistoryLoss, Located, MinuteMax, PairTracker, ServerFacts};
use crate::topology::{Pair, Server};

impl ServerEntry {
    pub(super) fn anew(meta: &Arc<Server>, known: Option<Self>) -> Self {
        let fresh = Self {
            meta: Arc::clone(meta),
            facts: ServerFacts::default(),
            own_port: None,
            replid: None,
            claim: None,
            polls: 0,
            skipped: 0,
            errors: BTreeMap::new(),
            heartbeat_errors: BTreeMap::new(),
            as_top: Vec::new(),
            as_master: Vec::new(),
            as_replica: Vec::new(),
        };
        match known {
            Some(known) => Self {
                meta: fresh.meta,
                as_top: Vec::new(),
                as_master: Vec::new(),
                as_replica: Vec::new(),
                ..known
            },
            None => fresh,
        }
    }

    pub(super) fn snapshot(&self, history: Option<Footprint>) -> ServerSnapshot {
        ServerSnapshot {
            meta: Arc::clone(&self.meta),
            facts: self.facts.clone(),
            polls: self.polls,
            skipped: self.skipped,
            errors: self.errors.clone(),
            history,
            heartbeat_errors: self.heartbeat_errors.clone(),
        }
    }
}

/// Where the steps of a pair's chart begin: everywhere within the shortest, over the fleet.
fn phase(pair: &Pair) -> Span {
    let step = PairChart::finest_step().as_nanos();
    let hash = stable_hash([pair.key.name.as_str(), &pair.key.replica.to_string()]);
    Span::from_nanos(i64::try_from(hash >> 1).unwrap_or(0) % step)
}

impl PairEntry {
    pub(super) fn anew(
        meta: &Arc<Pair>,
        known: Option<Self>,
        only_replica: bool,
        interval: Span,
        now: Timestamp,
    ) -> Self {
        let mut entry = known.unwrap_or_else(|| Self {
            meta: Arc::clone(meta),
            tracker: PairTracker::new(interval),
            lag_max: MinuteMax::default(),
            chart: PairChart::new(phase(meta)),
            chart_saved_at: None,
            reported_delay: ReportedDelay::default(),
            only_replica,
            noted: None,
            diverged_since: None,
            link: LinkWatch::default(),
            watched_since: now,
        });
        entry.meta = Arc::clone(meta);
        entry.only_replica = only_replica;
        entry.tracker.set_interval(interval);
        // The tree's polling may have begun anew.
        entry.reported_delay.reset();
        entry
    }

    /// What is noted of its link.
    pub(in crate::monitor) fn link(&self) -> &LinkWatch {
        &self.link
    }

    /// The history that its master lost.
    pub(in crate::monitor) fn loss(&self) -> Option<&Arc<HistoryLoss>> {
        self.tracker.facts().loss.as_ref()
    }

    /// Since when the pair is as the rules of time look at it.
    pub(in crate::monitor) fn since(&self) -> Since {
        let facts = self.tracker.facts();
        let sampled = facts.located.as_ref().map(Located::received);
        let known = [
            Some(self.watched_since),
            sampled,
            facts.link.sync_progress_at,
        ]
        .into_iter()
        .flatten()
        .max();
        Since {
            known: known.unwrap_or_default(),
            diverged: self.diverged_since,
        }
    }
}
