//! Stalls: a link that claims to be up and brings nothing although the master writes.
//!
//! Redis itself reports `master_link_status:up` for up to `repl-timeout` (60 s) after a silent
//! partition. Where polls have shown when the master went beyond the replica, they alone decide
//! ([`Located::stalled_since`]). An exporter that starts during a stall has not seen that; then the
//! servers' own counters decide.

use super::pair::{LinkIdle, Located, PairFacts};
use crate::model::{Span, Timestamp};

/// Data that a replica has lacked for longer than this is not on its way: no link between
/// datacenters takes a second.
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
    /// where polls showed the stall begin.
    pub idle_since: Option<Timestamp>,
}

impl PairFacts {
    /// The stall of the link at `now`. Meaningful only while the link claims to be up and the
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

    /// A stall that began before the first poll, so that no poll showed the master pass the
    /// position.
    fn unseen_stall(&self, located: &Located, now: Timestamp) -> Option<Stall> {
        let lacking_since = located.bracket.hi?;
        if located.bracket.lo.is_some() || !located.stands_still() || located.is_late(self.interval)
        {
            return None;
        }
        let mut since = lacking_since;
        let mut idle_since = lacking_since;
        let mut is_proved = located.is_long_enough(now - lacking_since, self.interval);
        if let Some(idle) = self.link.idle
            && located.received() - idle.since > IDLE_FOR
        {
            idle_since = idle_since.min(idle.since);
            if let Some(stalled) = self.stalled_by_counters(located, lacking_since, idle) {
                since = since.min(stalled);
                is_proved = true;
            }
        }
        if !is_proved {
            return None;
        }
        Some(Stall {
            since,
            idle_since: Some(idle_since),
        })
    }

    /// Since when the link has been stalled at the latest, if the servers' counters prove it.
    ///
    /// That nothing arrives is no proof by itself, because an idle master sends nothing; nor is an
    /// old ACK, because only the way back may be stalled. So the replica has to lack something for
    /// longer than a link takes.
    fn stalled_by_counters(
        &self,
        located: &Located,
        lacking_since: Timestamp,
        idle: LinkIdle,
    ) -> Option<Timestamp> {
        if located.sent() - lacking_since < NOT_ON_ITS_WAY {
            return None;
        }
        let mut by_acks = None;
        if let Some(no_ack_since) = self.no_ack_since() {
            // Neither direction has brought anything since.
            by_acks = Some(no_ack_since.max(idle.since));
        }
        let mut by_ping = None;
        if located.received() - idle.since > NO_PING_FOR {
            // Before its next PING an idle master may have had nothing to send.
            by_ping = Some(idle.since + PING_PERIOD);
        }
        [by_acks, by_ping].into_iter().flatten().min()
    }

    /// Since when the master has received no ACK of the replica, where that is longer than usual.
    fn no_ack_since(&self) -> Option<Timestamp> {
        self.ack.last?;
        let since = self.ack.arrival?.before;
        let asked = self.ack.asked_at?;
        if asked - since <= NO_ACK_FOR {
            return None;
        }
        Some(since)
    }

    /// Whether nothing bounds the lag from above: the replica has not shown yet what the master had
    /// when it was first asked.
    pub fn is_unbounded(&self) -> bool {
        let is_bounded_by_polls = match &self.located {
            Some(located) => located.bracket.lo.is_some(),
            None => false,
        };
        !is_bounded_by_polls && self.heartbeats.proven_up_to().is_none()
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
            .reports(start + 20, 'a', says, false)
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
    fn after_the_first_round_in_a_stall_the_state_is_unknown() {
        let seen = started_in_a_stall(42, 43, 0);
        assert_eq!(seen.state, PairState::Unknown);
        assert!(matches!(seen.reason, StateReason::NotYetReached { .. }));
    }

    #[test]
    fn the_servers_own_counters_date_a_stall_at_the_second_round() {
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
    fn a_short_silence_is_a_stall_once_polls_have_shown_it_for_long_enough() {
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
    fn an_idle_link_is_healthy_however_long_nothing_arrives() {
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
    fn missing_acks_alone_are_no_stall() {
        let busy = [(500, 400, 0), (1500, 1400, 0), (2500, 2400, 0)];
        let states = never_stalled(60, &busy);
        assert_eq!(states[1..], [PairState::Streaming; 2]);
    }

    #[test]
    fn a_replica_that_drains_is_neither_stalled_nor_streaming() {
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
            .reports(2020, 'a', lost, false)
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
