//! Heartbeats as evidence: a number that was sent to the master and came out of the replica proves
//! that the replica has everything that the master had when the number was sent. docs/lag.md,
//! "Heartbeats", has the proof and its assumptions.

use crate::model::{ReplicationId, ReplicationOffset, RunId, Span, Timestamp};

/// The shortest time after which a heartbeat is missed.
const FRESH: Span = Span::from_secs(3);

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

/// When a heartbeat was sent to the master and when it was read from the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeartbeatTimes {
    sent: Timestamp,
    received: Timestamp,
}

/// What heartbeats show of a pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeartbeatFacts {
    /// How many came out of the replica, whether they prove anything or not.
    pub arrived: u64,
    /// The newest of them.
    last: Option<HeartbeatTimes>,
    /// The newest that proves something: whatever the master had executed when it was sent, the
    /// replica has.
    proof: Option<HeartbeatTimes>,
}

#[cfg(test)]
impl HeartbeatFacts {
    /// Facts in which a heartbeat proves that the replica has everything of `sent`.
    fn proving(sent: Timestamp) -> Self {
        let times = HeartbeatTimes {
            sent,
            received: sent,
        };
        Self {
            proof: Some(times),
            ..Self::default()
        }
    }
}

impl HeartbeatFacts {
    /// The instant of which the replica certainly has everything.
    pub fn proven_up_to(&self) -> Option<Timestamp> {
        let proof = self.proof?;
        Some(proof.sent)
    }

    /// How long the newest one took from the exporter through master and replica back to the
    /// exporter; `None` unless it came within three periods of `interval`, and within at least
    /// three seconds.
    pub fn delay(&self, interval: Span, now: Timestamp) -> Option<Span> {
        let last = self.last?;
        let fresh = interval.mul_f64(3.0).max(FRESH);
        if now - last.received > fresh {
            return None;
        }
        Some(last.received - last.sent)
    }
}

/// Checks, poll by poll, the assumptions on which the proof rests, and drops the proof as soon as
/// one of them may not hold.
#[derive(Clone, Debug, Default)]
pub(super) struct HeartbeatWatch {
    facts: HeartbeatFacts,
    /// Only heartbeats sent at this instant or later prove anything.
    counts_from: Timestamp,
    master: Option<RunId>,
    replica: Option<RunId>,
    /// The replica's last position.
    position: Option<(ReplicationId, ReplicationOffset)>,
    link_was_up: bool,
    generation: u64,
    /// The full syncs that the direct master has given.
    full_syncs: Option<u64>,
    /// The process of the replica from which a number was received twice.
    repeated_on: Option<RunId>,
}

/// What an answer of the replica shows about whether it may have gone back to older data.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplicaPoll<'a> {
    pub(super) run_id: Option<&'a RunId>,
    pub(super) replid: Option<&'a ReplicationId>,
    pub(super) applied: Option<ReplicationOffset>,
    pub(super) link_up: bool,
    /// A full sync is under way, its data set is being loaded, or the server is no replica at all.
    pub(super) unsettled: bool,
    pub(super) received: Timestamp,
}

impl ReplicaPoll<'_> {
    /// The replica's position, where the answer shows history and offset.
    fn position(&self) -> Option<(ReplicationId, ReplicationOffset)> {
        let replid = self.replid?;
        Some((replid.clone(), self.applied?))
    }
}

impl HeartbeatWatch {
    pub(super) fn facts(&self) -> &HeartbeatFacts {
        &self.facts
    }

    /// Records a heartbeat that came out of the replica.
    pub(super) fn arrived(&mut self, heartbeat: &ReceivedHeartbeat) {
        let times = HeartbeatTimes {
            sent: heartbeat.sent,
            received: heartbeat.received,
        };
        self.facts.arrived = self.facts.arrived.saturating_add(1);
        self.facts.last = Some(times);
        if let Some(known) = &self.replica
            && *known != heartbeat.replica
        {
            self.facts.proof = None; // it restarted, and no poll has shown that yet
        }
        if self.proves_more(heartbeat) {
            self.facts.proof = Some(times);
        }
    }

    /// Whether a heartbeat proves something that is not proved yet.
    fn proves_more(&self, heartbeat: &ReceivedHeartbeat) -> bool {
        let is_from_master = self.master.as_ref() == Some(&heartbeat.master);
        let is_from_replica = self.replica.as_ref() == Some(&heartbeat.replica);
        if !is_from_master || !is_from_replica || heartbeat.master == heartbeat.replica {
            return false;
        }
        if heartbeat.sent < self.counts_from
            || self.repeated_on.as_ref() == Some(&heartbeat.replica)
        {
            return false;
        }
        match self.facts.proof {
            Some(proof) => heartbeat.sent > proof.sent,
            None => true,
        }
    }

    /// Records that a number was received twice from the process `replica`: either the number has
    /// another way there than the replication stream, or the process went back to older data.
    /// Nothing that comes out of it proves anything any more.
    pub(super) fn repeated(&mut self, replica: RunId) {
        self.facts.proof = None;
        self.repeated_on = Some(replica);
    }

    /// Records an answer of the replica.
    pub(super) fn replica_answered(&mut self, poll: &ReplicaPoll<'_>) {
        let is_new_process = self.replica.as_ref() != poll.run_id;
        let has_reconnected = poll.link_up && !self.link_was_up;
        let position = poll.position();
        let has_gone_on = match (&self.position, &position) {
            (Some((old_history, before)), Some((history, now))) => {
                old_history == history && now >= before
            }
            _ => false,
        };
        if is_new_process || has_reconnected || poll.unsettled || !has_gone_on {
            self.distrust_before(poll.received);
        }
        self.replica = poll.run_id.cloned();
        self.link_was_up = poll.link_up;
        self.position = position;
    }

    /// Records which process answers as the master at the top, and which of its histories is
    /// current.
    pub(super) fn master_answered(
        &mut self,
        run_id: Option<&RunId>,
        generation: u64,
        received: Timestamp,
    ) {
        if self.master.as_ref() != run_id || self.generation != generation {
            self.distrust_before(received);
        }
        self.master = run_id.cloned();
        self.generation = generation;
    }

    /// Records how many full syncs the direct master has given: one between two polls of the
    /// replica shows only here.
    pub(super) fn full_syncs(&mut self, count: Option<u64>, received: Timestamp) {
        if self.full_syncs != count {
            self.distrust_before(received);
        }
        self.full_syncs = count;
    }

    /// Records that the master had certainly gone beyond the replica's position at `passed`, where
    /// the position is the one that the replica showed when it was asked at `sent`. A proof of more
    /// that is older than the question is refuted: the replica went back to older data.
    pub(super) fn placed(&mut self, sent: Timestamp, passed: Option<Timestamp>, now: Timestamp) {
        let (Some(proof), Some(passed)) = (self.facts.proof, passed) else {
            return;
        };
        if proof.received <= sent && passed < proof.sent {
            self.distrust_before(now);
        }
    }

    /// Lets no heartbeat sent before `from` prove anything any more.
    fn distrust_before(&mut self, from: Timestamp) {
        self.counts_from = self.counts_from.max(from);
        if let Some(proof) = self.facts.proof
            && proof.sent < self.counts_from
        {
            self.facts.proof = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replication::testing::{Scene as Pair, at, id, millis, offset};
    use crate::replication::{Assessment, Evidence, PairFacts, assess};

    fn process(name: &str) -> RunId {
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
            let mut scene = Self {
                watch: HeartbeatWatch::default(),
                replica: process("r"),
                replid: id('a'),
                applied: 100,
                link_up: true,
                unsettled: false,
            };
            scene.watch.full_syncs(Some(1), at(90));
            scene.watch.master_answered(Some(&process("m")), 1, at(90));
            scene.poll(100);
            scene.heartbeat(200, 250);
            assert_eq!(scene.proves(), Some(at(200)));
            scene
        }

        fn poll(&mut self, received: i64) {
            let poll = ReplicaPoll {
                run_id: Some(&self.replica),
                replid: Some(&self.replid),
                applied: Some(offset(self.applied)),
                link_up: self.link_up,
                unsettled: self.unsettled,
                received: at(received),
            };
            self.watch.replica_answered(&poll);
        }

        fn heartbeat(&mut self, sent: i64, received: i64) {
            let replica = self.replica.clone();
            self.watch.arrived(&ReceivedHeartbeat {
                sent: at(sent),
                received: at(received),
                master: process("m"),
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
        scene.heartbeat(300, 340);
        scene.heartbeat(280, 350);
        assert_eq!(
            (scene.proves(), scene.watch.facts().arrived),
            (Some(at(300)), 3)
        );
        scene.applied = 150;
        scene.poll(400);
        assert_eq!(
            scene.proves(),
            Some(at(300)),
            "a position that rises is no reason to doubt"
        );
    }

    type Change = fn(&mut Scene);

    #[test]
    fn every_sign_that_the_replica_may_have_gone_back_ends_the_proof() {
        let cases: [(&str, Change); 10] = [
            ("another process", |s| s.replica = process("r2")),
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
                s.watch.master_answered(Some(&process("m2")), 1, at(260));
            }),
            ("the master shows no run_id", |s| {
                s.watch.master_answered(None, 1, at(260));
            }),
            ("the master has another history", |s| {
                s.watch.master_answered(Some(&process("m")), 2, at(260));
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
            scene.heartbeat(240, 310);
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
    fn a_heartbeat_out_of_another_process_proves_nothing_and_ends_the_proof() {
        let mut scene = Scene::new();
        scene.replica = process("r2");
        scene.heartbeat(300, 340);
        assert_eq!(scene.proves(), None);
        scene.poll(400);
        scene.heartbeat(500, 540);
        assert_eq!(
            scene.proves(),
            Some(at(500)),
            "the polls have shown that process, too"
        );
    }

    #[test]
    fn a_server_that_is_its_own_master_proves_nothing() {
        let mut scene = Scene::new();
        scene.replica = process("m");
        scene.poll(300);
        scene.heartbeat(400, 401);
        assert_eq!(scene.proves(), None);
    }

    #[test]
    fn a_replica_that_delivers_a_number_twice_proves_nothing_until_it_restarts() {
        let mut scene = Scene::new();
        scene.watch.repeated(process("r"));
        scene.heartbeat(300, 340);
        assert_eq!(scene.proves(), None);
        scene.replica = process("r2");
        scene.poll(400);
        scene.heartbeat(500, 540);
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
    fn a_proof_lowers_the_upper_bound_and_the_estimate_follows() {
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
    fn a_proof_bounds_a_lag_that_polls_leave_without_an_upper_bound() {
        let mut started = Pair::new();
        started.round(0, 500, 100).round(1000, 600, 150);
        assert_eq!(started.assess(1100).lag.upper, None);
        assert_eq!(assessed(&started, 900, 1100).lag.upper, Some(millis(200)));
    }

    #[test]
    fn a_proof_bounds_nothing_where_polls_show_no_lag() {
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
            "a history that has ended"
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
    fn the_delay_is_that_of_a_recent_heartbeat() {
        let scene = Scene::new();
        let delay = |interval, now| scene.watch.facts().delay(millis(interval), at(now));
        assert_eq!(delay(100, 3250), Some(millis(50)));
        assert_eq!(delay(100, 3251), None);
        assert_eq!(delay(2000, 6250), Some(millis(50)));
        assert_eq!(HeartbeatFacts::default().delay(millis(100), at(0)), None);
    }
}
