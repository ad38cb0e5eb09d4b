//! The outages of one pair's link: when data stopped, how far the replica fell behind, and how it
//! caught up.

use crate::alert::{Recovery, Resync, Worst};
use crate::model::{Span, Timestamp};
use crate::replication::{Assessment, LinkFacts, MasterHistory, PairState, ServerFacts};

/// A replica has caught up when it lacks no more than the writes of this time: links between
/// datacenters take less, so the rest is in flight.
const CAUGHT_UP: Span = Span::from_secs(1);

/// The outages of one link.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LinkWatch {
    /// The master's counters when the pair last streamed.
    before: Option<SyncCounters>,
    /// The generation of the master's present history, and since when it has been seen.
    history: Option<(u64, Timestamp)>,
    last: Option<Outage>,
}

/// The last outage of a link.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outage {
    /// When data stopped.
    since: Timestamp,
    /// When the pair was first seen to stream again.
    until: Option<Timestamp>,
    /// When the answer that showed that was received.
    shown_at: Timestamp,
    /// When the replica had caught up.
    caught_up: Option<Timestamp>,
    worst: Worst,
    /// The pair's last state during the outage: a stalled link that is given up becomes down.
    state: PairState,
    /// Whether a full sync was seen.
    full_sync: bool,
    /// The master's counters before the outage.
    before: SyncCounters,
    /// The master's counters in its last answer.
    now: SyncCounters,
}

/// How many syncs a pair's master has given, to all its replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SyncCounters {
    full: Option<u64>,
    partial: Option<u64>,
}

/// What is known of a link at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct ObservedLink<'a> {
    /// What is true of the pair.
    pub(super) seen: &'a Assessment,
    /// The link, as the replica reports it.
    pub(super) link: &'a LinkFacts,
    /// The server that the replica replicates from.
    pub(super) master: &'a ServerFacts,
    /// The replica.
    pub(super) replica: &'a ServerFacts,
    /// The history that the pair is measured against.
    pub(super) history: Option<&'a MasterHistory>,
}

impl LinkWatch {
    /// Records what is known of the link at `now`: an outage begins, goes on or ends.
    pub(super) fn record(&mut self, observed: ObservedLink<'_>, now: Timestamp) {
        self.record_history(observed.history, now);
        let down_since = observed.down_since(now);
        if let Some(since) = down_since
            && self.is_another(since)
        {
            let before = self.before.unwrap_or_else(|| observed.sync_counters());
            self.last = Some(Outage::new(since, before, observed));
        }
        if let Some(outage) = &mut self.last {
            outage.record(down_since, observed, now);
        }
        if observed.seen.state == PairState::Streaming {
            self.before = Some(observed.sync_counters());
        }
    }

    /// Records which history the master has, and when it was first seen.
    fn record_history(&mut self, history: Option<&MasterHistory>, now: Timestamp) {
        let Some(history) = history else {
            self.history = None;
            return;
        };
        let generation = history.generation();
        match self.history {
            Some((known, _)) if known == generation => {}
            _ => self.history = Some((generation, now)),
        }
    }

    /// Whether an outage that began at `since` is another one than the last.
    fn is_another(&self, since: Timestamp) -> bool {
        match &self.last {
            Some(last) => last.until.is_some_and(|until| since >= until),
            None => true,
        }
    }

    /// The last outage.
    pub(super) fn outage(&self) -> Option<&Outage> {
        self.last.as_ref()
    }

    /// When the master's present history was first seen.
    pub(super) fn same_history_since(&self) -> Option<Timestamp> {
        self.history.map(|(_, since)| since)
    }
}

impl Outage {
    fn new(since: Timestamp, before: SyncCounters, observed: ObservedLink<'_>) -> Self {
        Self {
            since,
            until: None,
            shown_at: since,
            caught_up: None,
            worst: Worst::default(),
            state: observed.seen.state,
            full_sync: false,
            before,
            now: observed.sync_counters(),
        }
    }

    /// Records what is known of the link at `now`. `down_since` is since when it has been down, if
    /// it is.
    fn record(
        &mut self,
        down_since: Option<Timestamp>,
        observed: ObservedLink<'_>,
        now: Timestamp,
    ) {
        if self.caught_up.is_some() && down_since.is_none() {
            return;
        }
        self.now = observed.sync_counters();
        self.full_sync |= observed.seen.state == PairState::FullSync;
        if let Some(since) = down_since {
            self.go_on(since, observed.seen);
        } else if observed.seen.state == PairState::Streaming {
            self.recover(observed, now);
        }
    }

    /// The link is down, as it has been since `since`.
    fn go_on(&mut self, since: Timestamp, seen: &Assessment) {
        self.since = self.since.min(since);
        self.until = None;
        self.caught_up = None;
        if seen.state != PairState::FullSync {
            self.state = seen.state;
        }
        let lag = seen.lag.estimate.or(seen.lag.lower);
        let bytes = seen.bytes.estimate.or(seen.bytes.lower);
        self.worst = self.worst.or_worse(Worst { lag, bytes });
    }

    /// The pair streams again.
    fn recover(&mut self, observed: ObservedLink<'_>, now: Timestamp) {
        if self.until.is_none() {
            self.until = Some(now);
            self.shown_at = match observed.replica.last_answer {
                Some((_, received)) => received,
                None => now,
            };
        }
        let lag = observed.seen.lag.estimate;
        if lag.is_some_and(|lag| lag < CAUGHT_UP) && self.is_located(observed.seen) {
            self.caught_up = Some(now);
        }
    }

    /// For how long it has lasted; `None` once the pair streams again.
    pub(super) fn lasts(&self, now: Timestamp) -> Option<Span> {
        match self.until {
            Some(_) => None,
            None => Some(now - self.since),
        }
    }

    /// When data stopped.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// When the pair was first seen to stream again.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The pair's last state in it.
    pub(super) fn state(&self) -> PairState {
        self.state
    }

    /// How far the replica fell behind.
    pub(super) fn worst(&self) -> Worst {
        self.worst
    }

    /// Whether the replica was located in its master's history since the pair streams again: before
    /// that, its lag is the one of the outage.
    pub(super) fn is_located(&self, seen: &Assessment) -> bool {
        seen.sampled_at.is_some_and(|at| at >= self.shown_at)
    }

    /// How the replica caught up, once the pair streams again.
    pub(super) fn recovery(&self) -> Option<Recovery> {
        let until = self.until?;
        Some(Recovery {
            resync: self.resync(),
            took: self.caught_up.map(|at| at - until),
        })
    }

    /// How the stream was resumed, where the master's counters are clear about it: they count the
    /// syncs of all its replicas.
    fn resync(&self) -> Option<Resync> {
        if self.full_sync {
            return Some(Resync::Full);
        }
        let gave_full = self.now.full? > self.before.full?;
        let gave_partial = self.now.partial? > self.before.partial?;
        match (gave_full, gave_partial) {
            (true, false) => Some(Resync::Full),
            (false, true) => Some(Resync::Partial),
            (false, false) => Some(Resync::None),
            (true, true) => None, // either may have been for this replica
        }
    }
}

impl ObservedLink<'_> {
    /// Since when no data has arrived: the link is down or stalled, or a full sync follows that.
    fn down_since(&self, now: Timestamp) -> Option<Timestamp> {
        match self.seen.state {
            PairState::LinkDown | PairState::Stalled => {
                self.seen.link_down_for.map(|lasts| now - lasts)
            }
            PairState::FullSync => self.link.down_since,
            _ => None,
        }
    }

    fn sync_counters(&self) -> SyncCounters {
        SyncCounters {
            full: self.master.full_syncs.total(),
            partial: self.master.partial_syncs_ok.total(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::testing::{Scene, at, down, millis, upstream};

    fn look_at(watch: &mut LinkWatch, scene: &Scene, master: &ServerFacts, second: i64) {
        let now = second * 1000 + 90;
        let seen = scene.assess(now);
        let observed = ObservedLink {
            seen: &seen,
            link: &scene.tracker.facts().link,
            master,
            replica: &scene.replica,
            history: Some(&scene.history),
        };
        watch.record(observed, at(now));
    }

    fn counted(full: u64, partial: u64) -> ServerFacts {
        let mut facts = ServerFacts::default();
        facts.full_syncs.observe(full, None);
        facts.partial_syncs_ok.observe(partial, None);
        facts
    }

    #[test]
    fn an_outage_has_its_times_its_peak_and_its_recovery() {
        let mut scene = Scene::new();
        let mut watch = LinkWatch::default();
        let before = counted(3, 7);
        scene.round(0, 100, 100);
        look_at(&mut watch, &scene, &before, 0);
        assert_eq!(watch.outage(), None, "all is well");
        for second in 1..=20_i64 {
            let written = 100 + 10 * second.unsigned_abs();
            scene.master(second * 1000, 'a', written);
            scene.reports(second * 1000 + 20, 'a', down(100, second), false);
            scene.master(second * 1000 + 40, 'a', written);
            look_at(&mut watch, &scene, &before, second);
        }
        let open = watch.outage().unwrap();
        assert!((open.since() - at(0)) < millis(1100), "{open:?}");
        assert_eq!((open.until(), open.recovery()), (None, None));
        let after = counted(3, 8);
        scene
            .master(21_000, 'a', 300)
            .reports(21_020, 'a', upstream(300), false);
        look_at(&mut watch, &scene, &after, 21);
        let shown = watch.outage().unwrap();
        assert!(
            !shown.is_located(&scene.assess(21_090)),
            "its lag is of the outage"
        );
        scene.master(22_000, 'a', 300).round(22_100, 300, 300);
        look_at(&mut watch, &scene, &after, 22);
        let ended = watch.outage().unwrap();
        assert!(ended.until().is_some(), "{ended:?}");
        assert!(
            ended.worst().lag.is_some_and(|lag| lag > millis(18_000)),
            "{ended:?}"
        );
        assert_eq!(ended.state(), PairState::LinkDown);
        let recovery = ended.recovery().unwrap();
        assert_eq!(recovery.resync, Some(Resync::Partial));
        assert!(recovery.took.is_some(), "{recovery:?}");
        assert!(watch.same_history_since().unwrap() <= ended.since() + millis(100));
    }

    #[test]
    fn the_kind_of_resync_is_reported_only_where_the_counters_are_clear() {
        let syncs = |full, partial| SyncCounters {
            full: Some(full),
            partial: Some(partial),
        };
        let cases = [
            (false, syncs(3, 8), Some(Resync::Partial)),
            (false, syncs(3, 7), Some(Resync::None)),
            (false, syncs(4, 7), Some(Resync::Full)),
            (false, syncs(4, 8), None),
            (true, syncs(4, 8), Some(Resync::Full)),
            (false, SyncCounters::default(), None),
        ];
        for (full_sync, now, expected) in cases {
            let outage = Outage {
                since: at(0),
                until: Some(at(1)),
                shown_at: at(0),
                caught_up: None,
                worst: Worst::default(),
                state: PairState::Stalled,
                full_sync,
                before: syncs(3, 7),
                now,
            };
            assert_eq!(outage.resync(), expected, "{full_sync} {now:?}");
        }
    }
}
