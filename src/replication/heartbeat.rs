//! Heartbeats as evidence: a number that came out of the replica proves how far it had come. The
//! proof and the assumptions stand in docs/lag.md, "Heartbeats".

use crate::model::{ReplicationId, ReplicationOffset, RunId, Span, Timestamp};

/// A heartbeat that came out of the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedHeartbeat {
    /// Just before the exporter sent it to the master.
    pub sent: Timestamp,
    /// Just after the exporter had read it from the replica.
    pub received: Timestamp,
    /// The process that it was sent to.
    pub master: RunId,
    /// The process that it came out of.
    pub replica: RunId,
}

/// What heartbeats say of a pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeartbeatFacts {
    /// How many came out of the replica, whether they prove anything or not.
    pub arrived: u64,
    /// The newest of them: when it was sent and when it was read.
    pub last: Option<(Timestamp, Timestamp)>,
    /// The newest that proves something, likewise: whatever the master had executed when it was
    /// sent, the replica has.
    proof: Option<(Timestamp, Timestamp)>,
}

#[cfg(test)]
impl HeartbeatFacts {
    /// Facts in which a heartbeat proves that the replica has everything of `sent`.
    fn proving(sent: Timestamp) -> Self {
        Self {
            proof: Some((sent, sent)),
            ..Self::default()
        }
    }
}

impl HeartbeatFacts {
    /// The instant of which the replica certainly has everything.
    pub fn proven_up_to(&self) -> Option<Timestamp> {
        self.proof.map(|(sent, _)| sent)
    }

    /// How long the newest one took from the exporter over master and replica back to the exporter;
    /// `None` unless it came within three periods of `interval`, three seconds at least.
    pub fn delay(&self, interval: Span, now: Timestamp) -> Option<Span> {
        let fresh = interval.mul_f64(3.0).max(FRESH);
        self.last
            .filter(|(_, received)| now - *received <= fresh)
            .map(|(sent, received)| received - sent)
    }
}

/// The shortest time after which a heartbeat is missed.
const FRESH: Span = Span::from_secs(3);

/// Watches over the assumptions on which the proof rests, poll by poll, and drops it as soon as one
/// may not hold.
#[derive(Clone, Debug, Default)]
pub(super) struct HeartbeatWatch {
    facts: HeartbeatFacts,
    /// Only what was sent later proves anything.
    counts_from: Timestamp,
    master: Option<RunId>,
    replica: Option<RunId>,
    /// The replica's last position.
    position: Option<(ReplicationId, ReplicationOffset)>,
    link_was_up: bool,
    generation: u64,
    /// The full syncs that the direct master has given.
    full_syncs: Option<u64>,
    /// The replica on which a number was heard twice.
    repeated_on: Option<RunId>,
}

/// What an answer of the replica says about whether it may have stepped back.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplicaPoll<'a> {
    pub(super) run_id: Option<&'a RunId>,
    pub(super) replid: Option<&'a ReplicationId>,
    pub(super) applied: Option<ReplicationOffset>,
    pub(super) link_up: bool,
    /// A full sync is under way, its data set is being loaded, or it is no replica at all.
    pub(super) unsettled: bool,
    pub(super) received: Timestamp,
}

impl HeartbeatWatch {
    pub(super) fn facts(&self) -> &HeartbeatFacts {
        &self.facts
    }

    /// Takes in a heartbeat that came out of the replica.
    pub(super) fn arrived(&mut self, beat: &ReceivedHeartbeat) {
        self.facts.arrived = self.facts.arrived.saturating_add(1);
        self.facts.last = Some((beat.sent, beat.received));
        if self
            .replica
            .as_ref()
            .is_some_and(|known| *known != beat.replica)
        {
            self.facts.proof = None; // it restarted, and the polls have not seen it yet
        }
        let same_lives = self.master.as_ref() == Some(&beat.master)
            && self.replica.as_ref() == Some(&beat.replica);
        let two_servers = beat.master != beat.replica;
        let counts =
            beat.sent >= self.counts_from && self.repeated_on.as_ref() != Some(&beat.replica);
        let newer = self.facts.proof.is_none_or(|(sent, _)| beat.sent > sent);
        if same_lives && two_servers && counts && newer {
            self.facts.proof = Some((beat.sent, beat.received));
        }
    }

    /// Takes in that a number was heard twice on the process `replica`: there is a way from the
    /// master to it past the stream, or it stepped back. Nothing that comes out of this process
    /// proves anything any more.
    pub(super) fn repeated(&mut self, replica: RunId) {
        self.facts.proof = None;
        self.repeated_on = Some(replica);
    }

    /// Takes in an answer of the replica.
    pub(super) fn replica_answered(&mut self, look: &ReplicaPoll<'_>) {
        let new_life = self.replica.as_ref() != look.run_id;
        let back_again = look.link_up && !self.link_was_up;
        let position = look.replid.cloned().zip(look.applied);
        let on = match (&self.position, &position) {
            (Some((old, was)), Some((new, is))) => old == new && is >= was,
            _ => false,
        };
        if new_life || back_again || look.unsettled || !on {
            self.doubt(look.received);
        }
        self.replica = look.run_id.cloned();
        self.link_was_up = look.link_up;
        self.position = position;
    }

    /// Takes in which process answers as the master at the top, and which of its histories is
    /// current.
    pub(super) fn master_answered(
        &mut self,
        run_id: Option<&RunId>,
        generation: u64,
        received: Timestamp,
    ) {
        if self.master.as_ref() != run_id || self.generation != generation {
            self.doubt(received);
        }
        self.master = run_id.cloned();
        self.generation = generation;
    }

    /// Takes in how many full syncs the direct master has given: one between two polls of the
    /// replica shows only here.
    pub(super) fn full_syncs(&mut self, count: Option<u64>, received: Timestamp) {
        if self.full_syncs != count {
            self.doubt(received);
        }
        self.full_syncs = count;
    }

    /// Takes in that the master had certainly gone beyond the replica's position at `passed`, which
    /// the replica showed when it was asked at `sent`. A proof of more that is older than the
    /// question is refuted: the replica stepped back.
    pub(super) fn placed(&mut self, sent: Timestamp, passed: Option<Timestamp>, now: Timestamp) {
        let refuted = |proof: (Timestamp, Timestamp)| {
            proof.1 <= sent && passed.is_some_and(|passed| passed < proof.0)
        };
        if self.facts.proof.is_some_and(refuted) {
            self.doubt(now);
        }
    }

    /// What was sent before `from` proves nothing any more.
    pub(super) fn doubt(&mut self, from: Timestamp) {
        self.counts_from = self.counts_from.max(from);
        self.facts.proof = self
            .facts
            .proof
            .filter(|(sent, _)| *sent >= self.counts_from);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replication::testing::{Scene as Pair, at, id, millis, offset};
    use crate::replication::{Assessment, Evidence, PairFacts, assess};

    fn life(name: &str) -> RunId {
        RunId::parse(name).expect("a name")
    }

    /// A pair that was polled at 100 ms, and a heartbeat of 200 ms that came at 250 ms.
    struct Scene {
        watch: HeartbeatWatch,
        replica: RunId,
        replid: ReplicationId,
        applied: u64,
        link_up: bool,
        unsettled: bool,
    }

    impl Scene {
        fn new() -> Self {
            let (watch, replica, replid) = (HeartbeatWatch::default(), life("r"), id('a'));
            let mut scene = Self {
                watch,
                replica,
                replid,
                applied: 100,
                link_up: true,
                unsettled: false,
            };
            scene.watch.full_syncs(Some(1), at(90));
            scene.watch.master_answered(Some(&life("m")), 1, at(90));
            scene.poll(100);
            scene.beat(200, 250);
            assert_eq!(scene.proves(), Some(at(200)));
            scene
        }

        fn poll(&mut self, received: i64) {
            let look = ReplicaPoll {
                run_id: Some(&self.replica),
                replid: Some(&self.replid),
                applied: Some(offset(self.applied)),
                link_up: self.link_up,
                unsettled: self.unsettled,
                received: at(received),
            };
            self.watch.replica_answered(&look);
        }

        fn beat(&mut self, sent: i64, received: i64) {
            let replica = self.replica.clone();
            self.watch.arrived(&ReceivedHeartbeat {
                sent: at(sent),
                received: at(received),
                master: life("m"),
                replica,
            });
        }

        fn proves(&self) -> Option<Timestamp> {
            self.watch.facts().proven_up_to()
        }
    }

    #[test]
    fn the_newest_heartbeat_counts_and_an_older_one_changes_nothing() {
        let mut scene = Scene::new();
        scene.beat(300, 340);
        scene.beat(280, 350);
        assert_eq!(
            (scene.proves(), scene.watch.facts().arrived),
            (Some(at(300)), 3)
        );
        scene.applied = 150;
        scene.poll(400);
        assert_eq!(
            scene.proves(),
            Some(at(300)),
            "going on is no reason to doubt"
        );
    }

    type Change = fn(&mut Scene);

    #[test]
    fn whatever_may_have_set_the_replica_back_ends_the_proof() {
        let cases: [(&str, Change); 10] = [
            ("another process", |s| s.replica = life("r2")),
            ("another history", |s| s.replid = id('b')),
            ("it shows less than before", |s| s.applied = 99),
            ("a full sync", |s| s.unsettled = true),
            ("the link comes back", |s| {
                s.link_up = false;
                s.poll(260);
                assert_eq!(
                    s.proves(),
                    Some(at(200)),
                    "while it is down, nothing sets it back"
                );
                s.link_up = true;
            }),
            ("the master restarted", |s| {
                s.watch.master_answered(Some(&life("m2")), 1, at(260));
            }),
            ("the master says no run_id", |s| {
                s.watch.master_answered(None, 1, at(260));
            }),
            ("the master's history is another one", |s| {
                s.watch.master_answered(Some(&life("m")), 2, at(260));
            }),
            ("the direct master gave a full sync", |s| {
                s.watch.full_syncs(Some(2), at(260));
            }),
            ("its position refutes it", |s| {
                s.watch.placed(at(255), Some(at(199)), at(260));
            }),
        ];
        for (what, change) in cases {
            let mut scene = Scene::new();
            change(&mut scene);
            scene.poll(300);
            assert_eq!(scene.proves(), None, "{what}");
            scene.beat(240, 310);
            assert_eq!(
                scene.proves(),
                None,
                "{what}: sent before it was seen, it may have been applied before"
            );
        }
    }

    #[test]
    fn a_position_that_is_older_than_the_heartbeat_or_agrees_with_it_refutes_nothing() {
        for (sent, passed) in [(249, Some(199)), (260, Some(200)), (260, None)] {
            let mut scene = Scene::new();
            scene.watch.placed(at(sent), passed.map(at), at(270));
            assert_eq!(scene.proves(), Some(at(200)), "{sent} {passed:?}");
        }
    }

    #[test]
    fn a_heartbeat_out_of_another_process_proves_nothing_and_ends_what_was_proven() {
        let mut scene = Scene::new();
        scene.replica = life("r2");
        scene.beat(300, 340);
        assert_eq!(scene.proves(), None);
        scene.poll(400);
        scene.beat(500, 540);
        assert_eq!(
            scene.proves(),
            Some(at(500)),
            "the polls know that process, too"
        );
    }

    #[test]
    fn a_server_that_is_its_own_master_proves_nothing() {
        let mut scene = Scene::new();
        scene.replica = life("m");
        scene.poll(300);
        scene.beat(400, 401);
        assert_eq!(scene.proves(), None);
    }

    #[test]
    fn a_replica_that_hears_a_number_twice_proves_nothing_until_it_restarts() {
        let mut scene = Scene::new();
        scene.watch.repeated(life("r"));
        scene.beat(300, 340);
        assert_eq!(scene.proves(), None);
        scene.replica = life("r2");
        scene.poll(400);
        scene.beat(500, 540);
        assert_eq!(scene.proves(), Some(at(500)));
    }

    /// What is true of `pair` at `now`, in ms, when a heartbeat of `proof` came out of its replica.
    fn assessed(pair: &Pair, proof: i64, now: i64) -> Assessment {
        let facts = PairFacts {
            heartbeats: HeartbeatFacts::proving(at(proof)),
            ..pair.tracker.facts().clone()
        };
        assess(
            Evidence {
                master: &pair.master,
                replica: &pair.replica,
                pair: &facts,
            },
            at(now),
        )
    }

    #[test]
    fn a_proof_narrows_the_upper_bound_and_the_estimate_yields() {
        let mut behind = Pair::new();
        behind
            .round(0, 100, 100)
            .round(1000, 200, 100)
            .round(2000, 300, 100);
        let before = behind.assess(3000).lag;
        assert!(before.estimate > Some(millis(2000)), "{before:?}");
        let lag = assessed(&behind, 2900, 3000).lag;
        assert_eq!(
            (lag.estimate, lag.upper),
            (Some(millis(100)), Some(millis(100)))
        );
        assert!(lag.lower <= lag.estimate, "{lag:?}");
        assert_eq!(
            assessed(&behind, 10, 3000).lag,
            before,
            "a heartbeat that proves less than the polls"
        );
    }

    #[test]
    fn a_proof_bounds_a_lag_of_which_polls_know_no_upper_bound() {
        let mut started = Pair::new();
        started.round(0, 500, 100).round(1000, 600, 150);
        assert_eq!(started.assess(1100).lag.upper, None);
        assert_eq!(assessed(&started, 900, 1100).lag.upper, Some(millis(200)));
    }

    #[test]
    fn a_proof_makes_no_number_where_there_is_none() {
        let mut silent = Pair::new();
        silent
            .round(0, 100, 100)
            .master_fails(1000)
            .master_fails(2000);
        assert_eq!(
            assessed(&silent, 2900, 3000).lag.upper,
            None,
            "a silent master"
        );
        let mut ended = Pair::new();
        ended.round(0, 100, 100).master(1000, 'b', 14);
        let polls = ended.assess(1100).lag;
        assert_eq!(
            assessed(&ended, 1050, 1100).lag,
            polls,
            "a history that is over"
        );
        assert_eq!(
            assessed(&Pair::new(), 0, 100).lag.upper,
            None,
            "never polled"
        );
    }

    proptest! {
        #[test]
        fn a_proof_only_narrows_and_keeps_the_order(
            offsets in proptest::collection::vec((0..50_u64, 0..50_u64), 2..8), proof in 0..9_000_i64, later in 0..2_000_i64,
        ) {
            let mut pair = Pair::new();
            let (mut master, mut replica, mut now) = (100, 100, 0);
            for (written, applied) in offsets {
                master += written;
                replica = master.min(replica + applied);
                pair.round(now, master, replica);
                now += 1000;
            }
            let now = now + later;
            let (polls, with) = (pair.assess(now).lag, assessed(&pair, proof.min(now), now).lag);
            prop_assert!(with.upper.is_some() && polls.upper.is_none_or(|upper| with.upper <= Some(upper)));
            prop_assert!(with.lower <= polls.lower && with.estimate.is_some() == polls.estimate.is_some());
            let known: Vec<_> = [with.lower, with.estimate, with.upper].into_iter().flatten().collect();
            prop_assert!(known.windows(2).all(|two| two[0] <= two[1]), "{with:?}");
        }
    }

    #[test]
    fn the_delay_is_that_of_a_heartbeat_that_came_lately() {
        let scene = Scene::new();
        let delay = |interval, now| scene.watch.facts().delay(millis(interval), at(now));
        assert_eq!(delay(100, 3250), Some(millis(50)));
        assert_eq!(delay(100, 3251), None);
        assert_eq!(delay(2000, 6250), Some(millis(50)));
        assert_eq!(HeartbeatFacts::default().delay(millis(100), at(0)), None);
    }
}
