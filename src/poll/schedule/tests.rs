//! A tree in virtual time: the schedule on one side, simulated servers on the other.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::round_timer::DITHER;
use super::*;

const INTERVALS: Intervals = Intervals {
    base: Span::from_secs(1),
    boosted: Span::from_millis(250),
};
const TIMEOUT: Span = Span::from_secs(2);

/// By how much a period of a second is longer or shorter so that rounds begin at beats.
const BEAT: f64 = 0.0026;

/// What a server does with a poll.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Temper {
    /// Answers after this many milliseconds.
    Answers(i64),
    /// Fails after this many milliseconds.
    Fails(i64),
    /// Never answers.
    Hangs,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Timestamp,
    server: usize,
    stage: RoundStage,
    round: usize,
    /// Whether the schedule meant to wait for it.
    waited: bool,
    patience: Span,
    answered: Option<Timestamp>,
}

struct Tree {
    schedule: TreeSchedule,
    tempers: Vec<Temper>,
    now: Timestamp,
    polls: Vec<Sent>,
    /// Which server was polled in which round, whether it was sent or skipped.
    asked: BTreeSet<(usize, usize)>,
    /// Answers under way, by when they arrive, then by poll.
    under_way: BTreeSet<(Timestamp, usize)>,
    outstanding: Vec<bool>,
    /// All rounds except half-interval rounds, whose polls have the number 0.
    rounds: usize,
    half_interval_rounds: bool,
    skipped: usize,
}

impl Tree {
    fn new(roots: usize, tempers: &[Temper]) -> Self {
        let timeouts = vec![TIMEOUT; tempers.len()];
        let now = Timestamp::default() + Span::from_secs(100);
        Self {
            schedule: TreeSchedule::new(roots, &timeouts, INTERVALS, 7, now),
            tempers: tempers.to_vec(),
            now,
            polls: Vec::new(),
            asked: BTreeSet::new(),
            under_way: BTreeSet::new(),
            outstanding: vec![false; tempers.len()],
            rounds: 0,
            half_interval_rounds: false,
            skipped: 0,
        }
    }

    fn run(mut self, span: Span) -> Self {
        let end = self.now + span;
        loop {
            let answer = self.under_way.first().copied();
            let due = self.schedule.poll_at().max(self.now);
            match answer {
                Some((at, poll)) if at <= due => self.arrive(at, poll),
                _ if due >= end => return self,
                _ => self.tick(due),
            }
        }
    }

    fn arrive(&mut self, at: Timestamp, poll: usize) {
        self.now = at;
        self.under_way.remove(&(at, poll));
        let Sent {
            server, at: sent, ..
        } = self.polls[poll];
        self.outstanding[server] = false;
        match self.tempers[server] {
            Temper::Answers(_) => {
                self.polls[poll].answered = Some(at);
                self.schedule.on_answer(server, sent, at, at);
            }
            Temper::Fails(_) | Temper::Hangs => self.schedule.on_give_up(server, at),
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.now = now;
        if let Some(round) = self.schedule.due_round(now) {
            self.half_interval_rounds = round == Round::HalfInterval;
            self.rounds += usize::from(!self.half_interval_rounds);
        }
        let round = if self.half_interval_rounds {
            0
        } else {
            self.rounds
        };
        for due in self.schedule.on_time(now) {
            let again = !self.asked.insert((round, due.server));
            let waited = self
                .schedule
                .awaited
                .iter()
                .any(|(server, _)| *server == due.server);
            if std::mem::replace(&mut self.outstanding[due.server], true) {
                assert!(!waited, "an outstanding request is not waited for");
                self.skipped += 1;
                continue;
            }
            let stage = if due.server >= self.schedule.roots {
                RoundStage::Others
            } else if again {
                RoundStage::Closing
            } else {
                RoundStage::Opening
            };
            let (at, server, patience) = (now, due.server, due.patience);
            self.polls.push(Sent {
                at,
                server,
                stage,
                round,
                waited,
                patience,
                answered: None,
            });
            if let Temper::Answers(millis) | Temper::Fails(millis) = self.tempers[server] {
                self.under_way
                    .insert((now + Span::from_millis(millis), self.polls.len() - 1));
            }
        }
    }

    fn polls_of(&self, server: usize) -> Vec<Sent> {
        self.polls
            .iter()
            .filter(|p| p.server == server)
            .copied()
            .collect()
    }

    fn round(&self, round: usize) -> Vec<Sent> {
        self.polls
            .iter()
            .filter(|p| p.round == round)
            .copied()
            .collect()
    }

    /// From a round's first poll to its last one, for each round from the second on.
    fn durations(&self) -> Vec<Span> {
        (2..self.rounds)
            .filter_map(|round| {
                let polls = self.round(round);
                Some(polls.last()?.at - polls.first()?.at)
            })
            .collect()
    }
}

fn millis(count: i64) -> Span {
    Span::from_millis(count)
}

#[test]
fn a_round_is_master_replicas_master() {
    let tree = Tree::new(
        1,
        &[
            Temper::Answers(10),
            Temper::Answers(30),
            Temper::Answers(50),
        ],
    )
    .run(millis(1500));
    let round: Vec<_> = tree
        .round(1)
        .iter()
        .map(|p| (p.server, p.at - tree.polls[0].at))
        .collect();
    assert_eq!(
        round,
        [
            (0, Span::ZERO),
            (1, millis(10)),
            (2, millis(10)),
            (0, millis(60))
        ]
    );
}

#[test]
fn a_server_without_replicas_is_polled_once_a_round() {
    let tree = Tree::new(1, &[Temper::Answers(10)]).run(Span::from_secs(100));
    assert!(
        (97..=103).contains(&tree.polls.len()),
        "{}",
        tree.polls.len()
    );
    assert_eq!(tree.schedule.polls_in(Round::Base, tree.now), 1);
}

#[test]
fn a_ring_of_roots_is_polled_twice_a_round() {
    let tree = Tree::new(2, &[Temper::Answers(10), Temper::Answers(20)]).run(millis(1500));
    let round: Vec<_> = tree
        .round(1)
        .iter()
        .map(|p| (p.server, p.at - tree.polls[0].at))
        .collect();
    assert_eq!(
        round,
        [
            (0, Span::ZERO),
            (1, Span::ZERO),
            (0, millis(20)),
            (1, millis(20))
        ]
    );
    assert_eq!(tree.schedule.polls_in(Round::Base, tree.now), 4);
}

#[test]
fn a_hundred_replicas_are_one_round() {
    let mut tempers = vec![Temper::Answers(5)];
    tempers.extend((0..100).map(Temper::Answers));
    let tree = Tree::new(1, &tempers).run(Span::from_secs(10));
    assert!(tree.rounds >= 9);
    assert!(
        tree.durations().iter().all(|d| *d == millis(5 + 99)),
        "{:?}",
        tree.durations()
    );
    assert_eq!(
        tree.round(3).len(),
        tree.schedule.polls_in(Round::Base, tree.now)
    );
}

#[test]
fn a_hung_replica_delays_the_first_round_by_its_patience_and_no_other() {
    let tree = Tree::new(
        1,
        &[Temper::Answers(10), Temper::Answers(20), Temper::Hangs],
    )
    .run(Span::from_secs(20));
    let first = tree.round(1);
    assert_eq!(first.last().unwrap().at - first[0].at, millis(10 + 100));
    assert!(
        tree.durations().iter().all(|d| *d == millis(10 + 20)),
        "{:?}",
        tree.durations()
    );
    assert_eq!(
        tree.polls_of(2).len(),
        1,
        "one request, outstanding forever"
    );
    assert_eq!(tree.skipped, tree.rounds - 1);
}

#[test]
fn a_hung_master_delays_its_replicas_once() {
    let tree = Tree::new(1, &[Temper::Hangs, Temper::Answers(20)]).run(Span::from_secs(20));
    let first = tree.round(1);
    assert_eq!(first[1].at - first[0].at, millis(100));
    assert_eq!(
        tree.polls_of(1).len(),
        tree.rounds,
        "the replica is polled in every round"
    );
}

#[test]
fn a_failing_master_is_polled_once_a_round_and_delays_no_replica() {
    let tree = Tree::new(1, &[Temper::Fails(50), Temper::Answers(20)]).run(Span::from_secs(20));
    assert_eq!(tree.polls_of(0).len(), tree.rounds);
    assert!(
        tree.durations().iter().all(|d| *d == Span::ZERO),
        "{:?}",
        tree.durations()
    );
}

#[test]
fn a_slow_replica_is_waited_for_as_soon_as_its_round_trip_is_known() {
    let tree = Tree::new(1, &[Temper::Answers(10), Temper::Answers(300)]).run(Span::from_secs(20));
    let first = tree.round(1);
    assert_eq!(
        first.last().unwrap().at - first[0].at,
        millis(10 + 100),
        "nothing is known of it"
    );
    assert!(
        tree.durations().iter().all(|d| *d == millis(10 + 300)),
        "{:?}",
        tree.durations()
    );
}

#[test]
fn a_tree_whose_rounds_take_longer_than_the_period_is_polled_round_after_round() {
    let mut tree = Tree::new(1, &[Temper::Answers(500), Temper::Answers(500)]);
    tree.schedule
        .boost(1, tree.now + Span::from_secs(1000), tree.now);
    let tree = tree.run(Span::from_secs(100));
    // 1.5 s a round, but for the first few: nothing piles up, the periods that do not fit are
    // counted.
    assert!((62..=72).contains(&tree.rounds), "{}", tree.rounds);
    assert!(tree.schedule.missed_rounds() > 20);
    assert!(
        tree.polls
            .iter()
            .all(|p| p.answered.is_some() || p.round >= tree.rounds - 1)
    );
}

#[test]
fn one_call_never_begins_a_second_round() {
    let mut tree = Tree::new(1, &[Temper::Hangs]);
    let due = tree.schedule.poll_at();
    assert_eq!(tree.schedule.on_time(due).len(), 1);
    let later = due + Span::from_secs(50);
    assert_eq!(tree.schedule.on_time(later), []);
    assert!(
        tree.schedule.due_round(later).is_some(),
        "the next round is the caller's decision"
    );
    tree.now = later;
    assert_eq!(tree.schedule.on_time(later).len(), 1);
    assert_eq!(tree.schedule.missed_rounds(), 48);
}

#[test]
fn a_refresh_polls_all_servers_at_once_and_shares_a_running_round() {
    let mut tree = Tree::new(1, &[Temper::Answers(10), Temper::Answers(10)]).run(millis(1500));
    tree.schedule.set_link_delay(1, Some(millis(200)));
    let now = tree.now;
    assert!(tree.schedule.poll_at() > now);
    tree.schedule.refresh(now);
    assert_eq!(tree.schedule.due_round(now), Some(Round::Refresh));
    tree.tick(now);
    tree.schedule.refresh(now);
    assert!(tree.schedule.is_polling() && !tree.schedule.wants_refresh());
    let tree = tree.run(millis(100));
    let round: Vec<_> = tree
        .round(tree.rounds)
        .iter()
        .map(|p| (p.server, p.at - now))
        .collect();
    assert_eq!(
        round,
        [(0, Span::ZERO), (1, millis(10)), (0, millis(20))],
        "without the delay"
    );
}

#[test]
fn a_refresh_without_budget_does_not_run() {
    let mut tree = Tree::new(1, &[Temper::Answers(10), Temper::Answers(10)]).run(millis(1500));
    tree.schedule.refresh(tree.now);
    tree.schedule.put_off(Round::Refresh, tree.now);
    assert_eq!(tree.schedule.due_round(tree.now), None);
    assert!(!tree.schedule.wants_refresh());
}

#[test]
fn a_refresh_during_a_boost_round_runs_after_it() {
    let mut tree = Tree::new(
        1,
        &[
            Temper::Answers(10),
            Temper::Answers(10),
            Temper::Answers(10),
        ],
    )
    .run(millis(1500));
    tree.schedule.boost(1, tree.now + millis(9000), tree.now);
    let now = tree.schedule.poll_at();
    tree.tick(now);
    assert_eq!(tree.schedule.round, Round::Boost);
    tree.schedule.refresh(now);
    assert!(tree.schedule.wants_refresh());
    let tree = tree.run(millis(60));
    assert_eq!(
        tree.polls_of(2).last().unwrap().at - now,
        millis(40),
        "right after the 30 ms of the other"
    );
}

#[test]
fn half_interval_rounds_poll_the_replicas_that_answer_and_then_the_roots() {
    let tree = Tree::new(
        1,
        &[Temper::Answers(10), Temper::Answers(20), Temper::Fails(1)],
    )
    .run(Span::from_secs(20));
    let half_interval_rounds: Vec<_> = tree.polls.iter().filter(|poll| poll.round == 0).collect();
    assert!(
        (38..=40).contains(&half_interval_rounds.len()),
        "{half_interval_rounds:?}"
    );
    let before = |round: &Sent| {
        tree.polls
            .iter()
            .rfind(|p| p.stage == RoundStage::Opening && p.round > 0 && p.at < round.at)
    };
    for round in half_interval_rounds.chunks_exact(2) {
        assert_eq!(
            (round[0].server, round[1].server),
            (1, 0),
            "a failing server is not worth a half-interval round"
        );
        assert_eq!(round[0].at - before(round[0]).unwrap().at, millis(500));
        assert_eq!(
            Some(round[1].at),
            round[0].answered,
            "after the answer: only that tells where it stands"
        );
    }
    for roots in [
        &[Temper::Fails(10), Temper::Answers(20)],
        &[Temper::Hangs, Temper::Answers(20)],
    ] {
        let tree = Tree::new(1, roots).run(Span::from_secs(20));
        assert!(tree.polls.iter().all(|poll| poll.round > 0), "{roots:?}");
    }
}

#[test]
fn a_half_interval_round_skips_replicas_at_the_end_of_a_long_link() {
    for (delay, expected) in [(40, vec![0, 1]), (200, vec![0])] {
        let mut tree = Tree::new(1, &[Temper::Answers(2), Temper::Answers(2)]);
        tree.schedule.set_link_delay(1, Some(millis(delay)));
        let tree = tree.run(Span::from_secs(10));
        let mut servers: Vec<_> = tree
            .polls
            .iter()
            .filter(|poll| poll.round == 0)
            .map(|poll| poll.server)
            .collect();
        // Before the first answers the delay is unknown.
        servers.drain(..2);
        servers.sort_unstable();
        servers.dedup();
        assert_eq!(servers, expected, "{delay} ms");
    }
}

/// A replica that comes back answers beside its roots and not between them, and is placed only by
/// the next round.
#[test]
fn an_unawaited_answer_of_a_boosted_server_starts_a_boost_round_at_once() {
    for (boosted, within) in [(true, 15), (false, 250)] {
        let mut tree = Tree::new(1, &[Temper::Answers(10), Temper::Fails(1)]);
        if boosted {
            tree.schedule
                .boost(1, tree.now + Span::from_secs(100), tree.now);
        }
        let mut tree = tree.run(millis(5000));
        tree.tempers[1] = Temper::Answers(10);
        let tree = tree.run(millis(1500));
        let back = tree
            .polls_of(1)
            .into_iter()
            .find(|poll| poll.answered.is_some())
            .expect("it is back");
        let roots = tree.polls_of(0);
        let next = roots
            .iter()
            .find(|root| Some(root.at) >= back.answered)
            .expect("another poll of the root");
        let waited = next.at - back.answered.expect("answered");
        assert_eq!(waited <= millis(within), boosted, "{waited}");
        let last: Vec<_> = tree
            .polls_of(1)
            .iter()
            .rev()
            .take(3)
            .map(|poll| poll.at)
            .collect();
        let period = if boosted { 150 } else { 400 };
        assert!(
            last.windows(2).all(|two| two[0] - two[1] > millis(period)),
            "once: {last:?}"
        );
    }
}

#[test]
fn boost_rounds_poll_the_roots_and_the_boosted_servers() {
    let mut tree = Tree::new(
        1,
        &[
            Temper::Answers(10),
            Temper::Answers(20),
            Temper::Answers(30),
        ],
    );
    tree.schedule
        .boost(2, tree.now + Span::from_secs(1000), tree.now);
    assert_eq!(tree.schedule.polls_in(Round::Boost, tree.now), 3);
    assert!(
        (tree.schedule.boost_demand(tree.now) - 3.0 * 3.0).abs() < 1e-9,
        "three more rounds a second"
    );
    let tree = tree.run(Span::from_secs(100));
    let polls = [0, 1, 2].map(|server| tree.polls_of(server).len());
    assert!(
        polls[0].abs_diff(800) < 12 && polls[1].abs_diff(100) < 4 && polls[2].abs_diff(400) < 8,
        "{polls:?}"
    );
    assert!(
        (tree.schedule.boost_demand(tree.now + Span::from_secs(1000))).abs() < 1e-9,
        "over"
    );
}

#[test]
fn only_a_replica_behind_a_long_link_is_polled_later() {
    let mut tree = Tree::new(
        1,
        &[
            Temper::Answers(10),
            Temper::Answers(20),
            Temper::Answers(100),
        ],
    );
    tree.schedule.set_link_delay(2, Some(millis(150)));
    let tree = tree.run(millis(2500));
    let offsets = |round: usize| -> Vec<_> {
        let polls = tree.round(round);
        polls
            .iter()
            .map(|p| (p.server, p.at - polls[0].at))
            .collect()
    };
    assert_eq!(
        offsets(1)[2],
        (2, millis(10)),
        "its round trip is not known yet"
    );
    // 150 + 15 + 5 ms after the master read its offset (5 ms before it answered), less 50 ms on the
    // way.
    let asked = millis(10 + 150 + 15 + 5 - 5 - 50);
    assert_eq!(
        offsets(2),
        [
            (0, Span::ZERO),
            (1, millis(10)),
            (2, asked),
            (0, asked + millis(100))
        ]
    );
}

#[test]
fn a_delayed_poll_is_not_late() {
    let mut tree = Tree::new(1, &[Temper::Answers(10), Temper::Answers(100)]).run(millis(1700));
    tree.schedule.set_link_delay(1, Some(millis(150)));
    let due = tree.schedule.poll_at();
    tree.schedule.on_time(due);
    tree.schedule
        .on_answer(0, due, due + millis(10), due + millis(10));
    assert_eq!(tree.schedule.on_time(due + millis(10)), []);
    let polls = tree.schedule.on_time(due + millis(130));
    assert_eq!(
        polls
            .iter()
            .map(|poll| poll.planned - due)
            .collect::<Vec<_>>(),
        [millis(10 + 115)]
    );
}

fn tempers() -> impl Strategy<Value = Vec<Temper>> {
    let temper = prop_oneof![
        6 => (0_i64..400).prop_map(Temper::Answers),
        1 => (0_i64..400).prop_map(Temper::Fails),
        1 => Just(Temper::Hangs),
    ];
    proptest::collection::vec(temper, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_round_brackets_its_replicas_and_waits_for_none_too_long(
        tempers in tempers(), roots in 1_usize..3, delay in 0_i64..400, boosted in 0_usize..12,
    ) {
        let roots = roots.min(tempers.len());
        let mut tree = Tree::new(roots, &tempers);
        for server in 0..tempers.len() {
            tree.schedule.set_link_delay(server, Some(millis(delay)));
        }
        tree.schedule.boost(boosted, tree.now + Span::from_secs(15), tree.now);
        let tree = tree.run(Span::from_secs(30));
        for round in 1..tree.rounds {
            let polls = tree.round(round);
            for server in 0..tempers.len() {
                let count = polls.iter().filter(|p| p.server == server).count();
                prop_assert!(count <= if server < roots { 2 } else { 1 }, "asked twice in one stage");
            }
            for (i, poll) in polls.iter().enumerate() {
                // Whoever was asked in an earlier stage and waited for has answered or was given
                // its patience.
                for earlier in polls[..i].iter().filter(|p| p.stage != poll.stage && p.waited) {
                    let over = earlier.answered.is_some_and(|at| at <= poll.at) || poll.at - earlier.at >= earlier.patience
                        || matches!(tempers[earlier.server], Temper::Fails(_));
                    prop_assert!(over, "{earlier:?} was not waited for before {poll:?}");
                }
                // And no server waits longer than the longest patience of the stage before, and its
                // delay.
                if let Some(before) = polls[..i].iter().rfind(|p| p.stage != poll.stage) {
                    let stage = polls[..i].iter().filter(|p| p.stage == before.stage);
                    let patience = stage.filter(|p| p.waited).map(|p| p.patience).max().unwrap_or(Span::ZERO);
                    let delay = if poll.stage == RoundStage::Others { millis(500) } else { Span::ZERO };
                    prop_assert!(poll.at - before.at <= patience + delay);
                }
            }
        }
    }

    #[test]
    fn a_silent_server_delays_the_others_in_the_first_round_only(mut tempers in tempers(), hung in 0_usize..12) {
        for temper in &mut tempers {
            if matches!(temper, Temper::Answers(_)) {
                *temper = Temper::Answers(7);
            }
        }
        let hung = hung % tempers.len();
        tempers[hung] = Temper::Hangs;
        let tree = Tree::new(1, &tempers).run(Span::from_secs(10));
        prop_assert!(tree.durations().iter().all(|d| *d <= millis(14)), "{:?}", tree.durations());
    }

    #[test]
    fn the_rate_is_right_and_each_period_is_dithered(rtt in 0_i64..150, others in 0_usize..5) {
        let tree = Tree::new(1, &vec![Temper::Answers(rtt); others + 1]).run(Span::from_secs(300));
        prop_assert!((297..=303).contains(&tree.rounds), "{}", tree.rounds);
        let starts: Vec<_> = (1..tree.rounds).map(|round| tree.round(round)[0].at).collect();
        for pair in starts.windows(2) {
            let period = (pair[1] - pair[0]).as_secs_f64();
            prop_assert!((period - 1.0).abs() <= DITHER + BEAT, "{}", period);
        }
        prop_assert_eq!(tree.schedule.missed_rounds(), 0);
    }
}

#[test]
fn patience_follows_the_round_trip_between_its_bounds() {
    let (millis, timeout) = (|m: i64| Span::from_millis(m), Span::from_millis(500));
    assert_eq!(patience(None, timeout), millis(100), "nothing is known");
    for (rtt, expected) in [(400, 500), (80, 320), (1, 100)] {
        assert_eq!(
            patience(Some(millis(rtt)), timeout),
            millis(expected),
            "{rtt} ms"
        );
    }
    assert_eq!(patience(None, millis(20)), millis(20));
}
