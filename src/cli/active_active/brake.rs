//! When a drain has to wait, and when it will have ended: pure.

use crate::info::{Observation, ReplicaConnState};
use crate::model::{Bytes, Span};

/// How far the target's replicas may be behind: a quarter of the output that Redis keeps for a
/// replica for a minute before it drops the connection.
const STRAINED_BEHIND: Bytes = Bytes::new(16 * 1024 * 1024);

/// From so many times its least duration on a round trip counts as slow.
const SLOW_FACTOR: f64 = 4.0;

/// A round trip below this is never slow.
const NEVER_SLOW: Span = Span::from_millis(20);

/// Whether the target can follow.
#[derive(Debug, Default)]
pub(super) struct Brake {
    least: Option<Span>,
}

/// Why a drain waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strain {
    /// The target's own replica that is farthest behind lacks so much.
    Replicas(Bytes),
    /// A round trip takes so long.
    RoundTrip(Span),
}

impl Brake {
    /// What strains the target, judged by its answer to INFO and the round trip of that.
    pub(super) fn strain(&mut self, round_trip: Span, target: &Observation) -> Option<Strain> {
        let least = self.least.map_or(round_trip, |least| least.min(round_trip));
        self.least = Some(least);
        if let Some(behind) = behind(target).filter(|behind| *behind > STRAINED_BEHIND) {
            return Some(Strain::Replicas(behind));
        }
        let is_slow = round_trip > least.mul_f64(SLOW_FACTOR).max(NEVER_SLOW);
        is_slow.then_some(Strain::RoundTrip(round_trip))
    }
}

impl Strain {
    /// As the end of a sentence.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::Replicas(behind) => {
                format!("waits, for a replica of the other site is {behind} behind its master")
            }
            Self::RoundTrip(took) => {
                format!("waits, for the other site takes {took} to answer")
            }
        }
    }
}

/// How far the replica that is farthest behind is, of those that are connected; `None` without one.
fn behind(master: &Observation) -> Option<Bytes> {
    let written = master.replication.master_offset.value()?;
    let replicas = master.replication.replicas.iter();
    let online = replicas.filter(|replica| replica.state == ReplicaConnState::Online);
    let offsets = online.filter_map(|replica| replica.offset.value());
    offsets.map(|offset| written.since(offset)).max()
}

/// When a queue will be empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Eta {
    /// After so long.
    In(Span),
    /// Never: it does not become shorter.
    Never,
}

impl Eta {
    /// When a queue of `length` items is empty that becomes shorter by so many a second; negative
    /// if it grows.
    pub(super) fn new(length: u64, shorter_per_second: f64) -> Self {
        if length == 0 {
            return Self::In(Span::ZERO);
        }
        if shorter_per_second <= 0.0 {
            return Self::Never;
        }
        Self::In(Span::from_secs_f64(length as f64 / shorter_per_second))
    }

    /// In seconds; `None` for never.
    pub(super) fn seconds(self) -> Option<f64> {
        match self {
            Self::In(span) => Some(span.as_secs_f64()),
            Self::Never => None,
        }
    }

    /// As the end of a sentence.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::In(span) => format!("empty in about {:.0} s", span.as_secs_f64().ceil()),
            Self::Never => "never empty at this rate: as much is added".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info;

    fn target(offset: u64) -> Observation {
        let text = format!(
            "# Replication\r\nrole:master\r\nmaster_repl_offset:100000000\r\nconnected_slaves:1\r\n\
             slave0:ip=10.0.0.1,port=6379,state=online,offset={offset},lag=0\r\n"
        );
        info::parse(&text).unwrap()
    }

    #[test]
    fn a_target_whose_replica_is_behind_gets_a_rest() {
        let mut brake = Brake::default();
        let fast = Span::from_millis(1);
        assert_eq!(brake.strain(fast, &target(99_000_000)), None);
        let strain = brake.strain(fast, &target(50_000_000));
        assert_eq!(strain, Some(Strain::Replicas(Bytes::new(50_000_000))));
        assert_eq!(brake.strain(fast, &Observation::default()), None);
    }

    #[test]
    fn a_round_trip_that_grows_gets_a_rest() {
        let mut brake = Brake::default();
        let nobody = Observation::default();
        assert_eq!(brake.strain(Span::from_millis(80), &nobody), None);
        assert_eq!(brake.strain(Span::from_millis(300), &nobody), None);
        let slow = Span::from_millis(321);
        assert_eq!(brake.strain(slow, &nobody), Some(Strain::RoundTrip(slow)));
        let mut near = Brake::default();
        assert_eq!(near.strain(Span::from_nanos(100_000), &nobody), None);
        assert_eq!(near.strain(Span::from_millis(20), &nobody), None);
    }

    #[test]
    fn a_queue_that_grows_is_never_empty() {
        assert_eq!(Eta::new(0, -5.0), Eta::In(Span::ZERO));
        assert_eq!(Eta::new(1000, 500.0), Eta::In(Span::from_secs(2)));
        assert_eq!(Eta::new(1000, 0.0), Eta::Never);
        assert_eq!(Eta::new(1, -1.0).seconds(), None);
        assert!(Eta::new(1, 0.5).sentence().ends_with("2 s"));
    }
}
