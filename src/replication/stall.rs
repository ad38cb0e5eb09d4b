//! Whether a link that claims to be up brings nothing although the master writes.
//!
//! Redis itself reports `master_link_status:up` for up to `repl-timeout` (60 s) after a silent
//! partition. Where the polls saw when the master went beyond the replica, they alone decide
//! ([`Located::stalled_since`]). A program that starts in the middle of a stall did not see that;
//! then what the servers themselves have counted decides.

use super::pair::{LinkIdle, Located, PairFacts};
use crate::model::{Span, Timestamp};

/// What a replica lacks for longer than this is not on its way: no link between datacenters takes
/// a second.
const NOT_ON_ITS_WAY: Span = Span::from_secs(1);

/// `repl-ping-replica-period` unless it was configured: an idle master writes a PING this often.
const PING_PERIOD: Span = Span::from_secs(10);

/// A link that has been idle for longer lacks a PING, with a margin for a busy master.
const NO_PING_FOR: Span = Span::from_secs(13);

/// The shortest idle time of a link that counts, whatever else is known.
const IDLE_FOR: Span = Span::from_secs(3);

/// A replica ACKs once a second; the master reports the age in whole seconds.
const NO_ACK_FOR: Span = Span::from_secs(5);

/// A link that claims to be up and brings nothing although the master writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The link has been stalled since this instant, at the latest.
    pub since: Timestamp,
    /// Nothing has arrived since this instant, at the latest, by the replica's own count; `None`
    /// where the polls saw the stall begin.
    pub idle_since: Option<Timestamp>,
}

impl PairFacts {
    /// The stall of the link at `now`. Means something only while the link claims to be up and the
    /// replica's position is in the master's current history.
    pub fn stall(&self, now: Timestamp) -> Option<Stall> {
        let located = self.located.as_ref()?;
        if let Some(since) = located.stalled_since(now, self.interval) {
            return Some(Stall {
                since,
                idle_since: None,
            });
        }
        self.unseen_stall(located, now)
    }

    /// A stall that began before the first poll, so that nobody saw the master pass the position.
    fn unseen_stall(&self, located: &Located, now: Timestamp) -> Option<Stall> {
        let lacking_since = located.bracket.hi?;
        if located.bracket.lo.is_some() || !located.stands_still() || located.is_late(self.interval)
        {
            return None;
        }
        let idle = self
            .link
            .idle
            .filter(|idle| located.received() - idle.since > IDLE_FOR);
        let by_counters =
            idle.and_then(|idle| self.stalled_by_counters(located, lacking_since, idle));
        let by_polls = located.is_long_enough(now - lacking_since, self.interval);
        if by_counters.is_none() && !by_polls {
            return None;
        }
        let earlier = |since: Timestamp| since.min(lacking_since);
        Some(Stall {
            since: by_counters.map_or(lacking_since, earlier),
            idle_since: Some(idle.map_or(lacking_since, |idle| earlier(idle.since))),
        })
    }

    /// Since when the link has been stalled at the latest, if what the servers have counted proves
    /// it.
    ///
    /// That nothing arrives proves nothing alone, for an idle master sends nothing; nor does an old
    /// ACK, for the way back may be stalled alone. So the replica has to lack something for longer
    /// than a link takes.
    fn stalled_by_counters(
        &self,
        located: &Located,
        lacking_since: Timestamp,
        idle: LinkIdle,
    ) -> Option<Timestamp> {
        if located.sent() - lacking_since < NOT_ON_ITS_WAY {
            return None;
        }
        // Neither direction has brought anything since.
        let by_acks = self.no_ack_since().map(|since| since.max(idle.since));
        // An idle master may have had nothing to send before its next PING.
        let lacks_ping = located.received() - idle.since > NO_PING_FOR;
        let by_ping = lacks_ping.then_some(idle.since + PING_PERIOD);
        match (by_acks, by_ping) {
            (Some(by_acks), Some(by_ping)) => Some(by_acks.min(by_ping)),
            (by_acks, by_ping) => by_acks.or(by_ping),
        }
    }

    /// Since when the master has had no ACK of the replica, where that is longer than it should be.
    fn no_ack_since(&self) -> Option<Timestamp> {
        self.ack.last?;
        let since = self.ack.arrival?.before;
        let asked = self.ack.asked_at?;
        (asked - since > NO_ACK_FOR).then_some(since)
    }

    /// Whether nothing bounds the lag from above: the replica has not shown yet what the master had
    /// when it was first asked.
    pub fn is_unbounded(&self) -> bool {
        let by_polls = self.located.as_ref().and_then(|located| located.bracket.lo);
        by_polls.is_none() && self.heartbeats.proven_up_to().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::{Field, UpstreamInfo};
    use crate::replication::testing::{Scene, upstream};
    use crate::replication::{Assessment, PairState, StateReason};

    /// A round at the second `second`: the replica has `replica` and says that its last byte came
    /// `last_io` seconds ago.
    fn round(scene: &mut Scene, second: i64, master: u64, replica: u64, last_io: i64) {
        let says = UpstreamInfo {
            last_io: Field::Value(Span::from_secs(last_io)),
            ..upstream(replica)
        };
        let start = second * 1000;
        scene
            .master(start, 'a', master)
            .says(start + 20, 'a', says, false)
            .master(start + 40, 'a', master);
    }

    /// The first seconds of a program that starts when nothing has arrived for `last_io` seconds
    /// and no ACK for `no_ack` seconds, while the master writes on.
    fn started_in_a_stall(last_io: i64, no_ack: i64, seconds: i64) -> Assessment {
        let mut scene = Scene::new();
        for second in 0..=seconds {
            let ack_came = if no_ack == 0 { second } else { -no_ack };
            scene.acked_at(100, ack_came * 1000);
            let written = 500 + 10 * u64::try_from(second).unwrap();
            round(&mut scene, second, written, 100, last_io + second);
        }
        scene.assess(seconds * 1000 + 50)
    }

    fn at_least(span: Option<Span>, seconds: i64) {
        let near = |span: Span| {
            let more = span - Span::from_secs(seconds);
            more >= Span::ZERO && more < Span::from_secs(1)
        };
        assert!(span.is_some_and(near), "{span:?}, not {seconds} s");
    }

    fn idle_for(seen: &Assessment) -> Option<Span> {
        match seen.reason {
            StateReason::AlreadyStalled { idle_for, .. } => Some(idle_for),
            _ => None,
        }
    }

    #[test]
    fn the_first_round_in_a_stall_is_no_reason_to_say_that_data_flows() {
        let seen = started_in_a_stall(42, 43, 0);
        assert_eq!(seen.state, PairState::Unknown);
        assert!(matches!(seen.reason, StateReason::NotYetReached { .. }));
    }

    #[test]
    fn the_servers_own_counts_date_a_stall_at_the_second_round() {
        let both_ways = started_in_a_stall(42, 43, 1);
        assert_eq!(both_ways.state, PairState::Stalled);
        at_least(idle_for(&both_ways), 42);
        at_least(both_ways.link_down_for, 42);
        let to_the_replica_only = started_in_a_stall(42, 0, 1);
        at_least(idle_for(&to_the_replica_only), 42);
        at_least(to_the_replica_only.link_down_for, 32);
        let a_recent_one = started_in_a_stall(6, 7, 1);
        at_least(a_recent_one.link_down_for, 6);
    }

    #[test]
    fn a_short_silence_is_a_stall_once_the_polls_saw_it_themselves() {
        assert_eq!(started_in_a_stall(5, 0, 2).state, PairState::Unknown);
        let seen = started_in_a_stall(5, 0, 4);
        assert_eq!(seen.state, PairState::Stalled);
        at_least(seen.link_down_for, 4);
        assert_eq!(seen.lag.upper, None);
    }

    /// Each second: what the master has, what the replica has, and its `last_io`.
    fn never_stalled(no_ack: i64, seconds: &[(u64, u64, i64)]) -> Vec<PairState> {
        let mut scene = Scene::new();
        let mut states = Vec::new();
        for (second, (master, replica, last_io)) in (0_i64..).zip(seconds) {
            scene.acked_at(*replica, (second - no_ack) * 1000);
            round(&mut scene, second, *master, *replica, *last_io);
            states.push(scene.assess(second * 1000 + 50).state);
        }
        states
    }

    #[test]
    fn a_healthy_pair_streams_from_the_second_round_on() {
        let behind_by_what_is_on_its_way = [(500, 400, 0), (1500, 1400, 0), (2500, 2400, 0)];
        let states = never_stalled(0, &behind_by_what_is_on_its_way);
        assert_eq!(states[1..], [PairState::Streaming; 2]);
    }

    #[test]
    fn an_idle_link_is_healthy_however_long_it_is_quiet() {
        // `repl-ping-replica-period 60`: the first write after 57 s is just on its way.
        let idle = [
            (100, 100, 55),
            (100, 100, 56),
            (200, 100, 57),
            (200, 200, 0),
        ];
        assert_eq!(never_stalled(0, &idle), [PairState::Streaming; 4]);
        let met_at_the_first_write = [(200, 100, 57), (200, 200, 0), (200, 200, 1)];
        let states = never_stalled(0, &met_at_the_first_write);
        assert_eq!(states[1..], [PairState::Streaming; 2]);
    }

    #[test]
    fn acks_that_stay_away_alone_are_no_stall() {
        let busy = [(500, 400, 0), (1500, 1400, 0), (2500, 2400, 0)];
        let states = never_stalled(60, &busy);
        assert_eq!(states[1..], [PairState::Streaming; 2]);
    }

    #[test]
    fn a_replica_that_drains_is_neither_stalled_nor_well() {
        let far_behind: Vec<_> = (0..20).map(|n| (100_000 + n, 100 + 10 * n, 0)).collect();
        assert_eq!(never_stalled(0, &far_behind), [PairState::Unknown; 20]);
    }

    /// Redis gives the link up after `repl-timeout`; the outage keeps its age.
    #[test]
    fn a_stall_that_becomes_a_loss_of_the_link_is_as_old_as_it_was() {
        let mut scene = Scene::new();
        scene.acked_at(100, -50_000);
        round(&mut scene, 0, 500, 100, 50);
        round(&mut scene, 1, 510, 100, 51);
        let before = scene.assess(1050).link_down_for;
        let lost = crate::replication::testing::down(100, 0);
        scene
            .master(2000, 'a', 520)
            .says(2020, 'a', lost, false)
            .master(2040, 'a', 520);
        let after = scene.assess(2050);
        assert_eq!(after.state, PairState::LinkDown);
        let grown = after
            .link_down_for
            .zip(before)
            .map(|(after, before)| after - before);
        assert_eq!(grown, Some(Span::from_secs(1)));
    }
}
