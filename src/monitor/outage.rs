//! The outages of one pair's link: when data stopped, how far behind the replica fell, and how it
//! got everything again.

use crate::alert::{Recovery, Resync, Worst};
use crate::model::{Span, Timestamp};
use crate::replication::{Assessment, LinkFacts, MasterHistory, PairState, ServerFacts};

/// A replica that lacks no more than the writes of this time has everything but what is on its
/// way. In order: the ways between datacenters take less.
const CAUGHT_UP: Span = Span::from_secs(1);

/// What is noted of one link.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LinkWatch {
    /// What the master had counted when the link was fine for the last time.
    fine: Option<Syncs>,
    /// The master's history that was seen last, by its generation, and since when.
    history: Option<(u64, Timestamp)>,
    outage: Option<Outage>,
}

/// The last outage of a link.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outage {
    /// When data stopped.
    since: Timestamp,
    /// When the link was seen to be fine again.
    until: Option<Timestamp>,
    /// When the answer came that first showed it fine.
    shown: Timestamp,
    /// When the replica had everything again.
    caught_up: Option<Timestamp>,
    worst: Worst,
    /// What it was last: a link that is given up after a stall is down.
    state: PairState,
    full_sync: bool,
    before: Syncs,
    now: Syncs,
}

/// What a pair's master had counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Syncs {
    full: Option<u64>,
    partial: Option<u64>,
}

/// What a link looks like at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkLook<'a> {
    /// What is true of the pair.
    pub(super) seen: &'a Assessment,
    /// The link, as the replica tells.
    pub(super) link: &'a LinkFacts,
    /// The server that the replica replicates from.
    pub(super) master: &'a ServerFacts,
    /// The replica.
    pub(super) replica: &'a ServerFacts,
    /// The history that the pair is measured against.
    pub(super) history: Option<&'a MasterHistory>,
}

impl LinkWatch {
    /// Takes in a look at the link: an outage begins, goes on or ends.
    pub(super) fn note(&mut self, look: LinkLook<'_>, now: Timestamp) {
        let generation = look.history.map(MasterHistory::generation);
        if generation != self.history.map(|(known, _)| known) {
            self.history = generation.map(|generation| (generation, now));
        }
        let began = look.since(now);
        let is_another = match (&self.outage, began) {
            (Some(outage), Some(since)) => outage.until.is_some_and(|until| since >= until),
            (None, began) => began.is_some(),
            (Some(_), None) => false,
        };
        if let Some(since) = began.filter(|_| is_another) {
            let before = self.fine.unwrap_or_else(|| look.syncs());
            self.outage = Some(Outage::new(since, before, look));
        }
        if let Some(outage) = &mut self.outage {
            outage.go_on(began, look, now);
        }
        if look.seen.state == PairState::Streaming {
            self.fine = Some(look.syncs());
        }
    }

    /// The last outage.
    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// Since when the master has its present history, as far as was seen.
    pub(super) fn same_history_since(&self) -> Option<Timestamp> {
        self.history.map(|(_, since)| since)
    }
}

impl Outage {
    fn new(since: Timestamp, before: Syncs, look: LinkLook<'_>) -> Self {
        Self {
            since,
            until: None,
            shown: since,
            caught_up: None,
            worst: Worst::default(),
            state: look.seen.state,
            full_sync: false,
            before,
            now: look.syncs(),
        }
    }

    fn go_on(&mut self, began: Option<Timestamp>, look: LinkLook<'_>, now: Timestamp) {
        if self.caught_up.is_some() && began.is_none() {
            return;
        }
        self.now = look.syncs();
        self.full_sync |= look.seen.state == PairState::FullSync;
        let worst = Worst {
            lag: look.seen.lag.estimate.or(look.seen.lag.lower),
            bytes: look.seen.bytes.estimate.or(look.seen.bytes.lower),
        };
        match began {
            Some(since) => {
                self.since = self.since.min(since);
                if look.seen.state != PairState::FullSync {
                    self.state = look.seen.state;
                }
                self.until = None;
                self.caught_up = None;
                self.worst = self.worst.or_worse(worst);
            }
            None if look.seen.state == PairState::Streaming => self.come_back(look, now),
            None => {}
        }
    }

    fn come_back(&mut self, look: LinkLook<'_>, now: Timestamp) {
        if self.until.is_none() {
            self.until = Some(now);
            self.shown = look
                .replica
                .last_answer
                .map_or(now, |(_, received)| received);
        }
        let has_everything = look.seen.lag.estimate.is_some_and(|lag| lag < CAUGHT_UP);
        if has_everything && self.is_placed(look.seen) {
            self.caught_up = Some(now);
        }
    }

    /// Since when data does not flow, as long as it does not.
    pub(super) fn lasts_since(&self) -> Option<Timestamp> {
        Some(self.since).filter(|_| self.until.is_none())
    }

    /// When data stopped.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// When the link was seen to be fine again.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// What the link was, at the end of the outage or now.
    pub(super) fn state(&self) -> PairState {
        self.state
    }

    /// How far behind the replica fell.
    pub(super) fn worst(&self) -> Worst {
        self.worst
    }

    /// Whether the replica was placed in its master's history since the link is fine again: before
    /// that, its lag is the one of the outage.
    pub(super) fn is_placed(&self, seen: &Assessment) -> bool {
        seen.sampled_at.is_some_and(|at| at >= self.shown)
    }

    /// How the replica got everything again, once the link is fine.
    pub(super) fn recovery(&self) -> Option<Recovery> {
        let until = self.until?;
        Some(Recovery {
            resync: self.resync(),
            took: self.caught_up.map(|at| at - until),
        })
    }

    /// How the stream went on, as far as the counters of the master tell, which count the syncs of
    /// all its replicas.
    fn resync(&self) -> Option<Resync> {
        let grew = |before: Option<u64>, now: Option<u64>| Some(now? > before?);
        let full = grew(self.before.full, self.now.full);
        let partial = grew(self.before.partial, self.now.partial);
        match (self.full_sync, full, partial) {
            (true, ..) | (false, Some(true), Some(false)) => Some(Resync::Full),
            (false, Some(false), Some(true)) => Some(Resync::Partial),
            (false, Some(false), Some(false)) => Some(Resync::None),
            _ => None,
        }
    }
}

impl LinkLook<'_> {
    /// Since when data does not flow: the link is down or stalled, or a full sync makes up for it.
    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        match self.seen.state {
            PairState::LinkDown | PairState::Stalled => {
                self.seen.link_down_for.map(|lasts| now - lasts)
            }
            PairState::FullSync => self.link.down_since,
            _ => None,
        }
    }

    fn syncs(&self) -> Syncs {
        Syncs {
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
        let look = LinkLook {
            seen: &seen,
            link: &scene.tracker.facts().link,
            master,
            replica: &scene.replica,
            history: Some(&scene.history),
        };
        watch.note(look, at(now));
    }

    fn counted(full: u64, partial: u64) -> ServerFacts {
        let mut facts = ServerFacts::default();
        facts.full_syncs.observe(full, None);
        facts.partial_syncs_ok.observe(partial, None);
        facts
    }

    #[test]
    fn it_has_the_times_and_the_peak_of_the_outage_and_says_how_it_ended() {
        let mut scene = Scene::new();
        let mut watch = LinkWatch::default();
        let before = counted(3, 7);
        scene.round(0, 100, 100);
        look_at(&mut watch, &scene, &before, 0);
        assert_eq!(watch.outage(), None, "all is well");
        for second in 1..=20_i64 {
            let written = 100 + 10 * second.unsigned_abs();
            scene.master(second * 1000, 'a', written);
            scene.says(second * 1000 + 20, 'a', down(100, second), false);
            scene.master(second * 1000 + 40, 'a', written);
            look_at(&mut watch, &scene, &before, second);
        }
        let open = watch.outage().unwrap();
        assert!((open.since() - at(0)) < millis(1100), "{open:?}");
        assert_eq!((open.until(), open.recovery()), (None, None));
        let after = counted(3, 8);
        scene
            .master(21_000, 'a', 300)
            .says(21_020, 'a', upstream(300), false);
        look_at(&mut watch, &scene, &after, 21);
        let shown = watch.outage().unwrap();
        assert!(
            !shown.is_placed(&scene.assess(21_090)),
            "its lag is of the outage"
        );
        scene.master(22_000, 'a', 300).round(22_100, 300, 300);
        look_at(&mut watch, &scene, &after, 22);
        let over = watch.outage().unwrap();
        assert!(
            over.until().is_some() && over.lasts_since().is_none(),
            "{over:?}"
        );
        assert!(
            over.worst().lag.is_some_and(|lag| lag > millis(18_000)),
            "{over:?}"
        );
        assert_eq!(over.state(), PairState::LinkDown);
        let recovery = over.recovery().unwrap();
        assert_eq!(recovery.resync, Some(Resync::Partial));
        assert!(recovery.took.is_some(), "{recovery:?}");
        assert!(watch.same_history_since().unwrap() <= over.since() + millis(100));
    }

    #[test]
    fn how_the_stream_went_on_is_said_only_where_the_counters_are_clear() {
        let syncs = |full, partial| Syncs {
            full: Some(full),
            partial: Some(partial),
        };
        let cases = [
            (false, syncs(3, 8), Some(Resync::Partial)),
            (false, syncs(3, 7), Some(Resync::None)),
            (false, syncs(4, 7), Some(Resync::Full)),
            (false, syncs(4, 8), None),
            (true, syncs(4, 8), Some(Resync::Full)),
            (false, Syncs::default(), None),
        ];
        for (full_sync, now, expected) in cases {
            let outage = Outage {
                since: at(0),
                until: Some(at(1)),
                shown: at(0),
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
