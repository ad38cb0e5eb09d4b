//! What the polls of a pair show that predictions rest on.

use super::super::drain::Drain;
use super::super::no_forecast::NoForecast;
use super::super::output_buffer::{BufferFacts, BufferSample, effective_limit};
use super::{PairTracker, located::Located};
use crate::info::{Observation, OutputBufferLimit, ReplicaConnState, ReplicaConnection};
use crate::model::{Bytes, Span, Timestamp};
use crate::replication::ack::{Ack, ReplicaIdentity, find_address};

/// The first major version whose replicas share their output buffers with the backlog.
const SHARES_BUFFERS_SINCE: u32 = 7;

/// What the polls of a pair show that predictions rest on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ForecastFacts {
    /// Where the replica was in the last polls.
    pub(in crate::replication) drain: Drain,
    /// The direct master's output buffer for the replica.
    pub(in crate::replication) buffer: BufferFacts,
    /// How often the link was lost and came back between two polls of the master, both of which
    /// showed it up.
    pub flaps: u64,
}

impl ForecastFacts {
    /// Whether the replica comes closer to its master, so that it is asked when it will be there.
    pub fn is_draining(&self) -> bool {
        self.drain.speed().is_some()
    }
}

/// What a master answered when it was asked for the connections of its replicas.
#[derive(Clone, Debug)]
pub struct BufferAnswer {
    /// INFO of the same moment, by which a connection is matched with its replica.
    pub info: Observation,
    /// The connections, or why they are not known.
    pub connections: Result<Vec<ReplicaConnection>, NoForecast>,
    /// The limits as they are configured, or why they are not known.
    pub limit: Result<OutputBufferLimit, NoForecast>,
    /// `repl-backlog-ttl`, where it may be asked for.
    pub backlog_ttl: Option<Span>,
    /// When the answer was received.
    pub received: Timestamp,
}

impl BufferAnswer {
    /// What the answer says of one replica.
    pub fn about(&self, who: ReplicaIdentity<'_>) -> BufferSample {
        let info = &self.info;
        let shares = shares_buffers(info);
        let backlog = info.replication.backlog.size.value();
        BufferSample {
            size: buffered(self, who),
            limit: self
                .limit
                .map(|limit| effective_limit(limit, backlog, shares)),
            at: self.received,
        }
    }
}

impl PairTracker {
    /// Records what the direct master buffers for the replica; it is asked each `interval`.
    pub fn buffer_answered(&mut self, sample: BufferSample, interval: Span) {
        self.facts.forecast.buffer.observe(sample, interval);
    }

    /// Records where the replica is, after it was located again.
    pub(super) fn observe_drain(&mut self) {
        let interval = self.facts.interval;
        let drain = &mut self.facts.forecast.drain;
        let located = self
            .facts
            .located
            .as_ref()
            .filter(|located| located.is_current());
        match located.and_then(Located::drain_position) {
            Some(position) => drain.observe(position, interval),
            None => drain.clear(),
        }
    }

    /// Counts a link that was lost and is back, although both answers of the master show it up.
    /// With several replicas it is not known whose link that was.
    pub(super) fn count_flap(&mut self, has_synced: bool, ack: Option<Ack>, seen: &Observation) {
        let was_online = is_online(self.facts.ack.last);
        let is_only = seen.replication.connected_replicas.value() == Some(1);
        if has_synced && is_only && was_online && is_online(ack) {
            self.facts.forecast.flaps += 1;
        }
    }
}

fn is_online(ack: Option<Ack>) -> bool {
    ack.is_some_and(|ack| ack.state == ReplicaConnState::Online)
}

/// What is buffered for the replica: of the only connection, or of the only one from the address
/// that the master lists for it.
fn buffered(answer: &BufferAnswer, who: ReplicaIdentity<'_>) -> Result<Bytes, NoForecast> {
    let connections = answer.connections.as_ref().map_err(|reason| *reason)?;
    let listed = find_address(&answer.info, who).ok_or(NoForecast::NoConnection)?;
    if let [only] = &connections[..] {
        return Ok(only.buffered);
    }
    let mut from_there = connections.iter().filter(|one| one.ip == listed);
    let first = from_there.next().ok_or(NoForecast::NoConnection)?;
    match from_there.next() {
        None => Ok(first.buffered),
        Some(_) => Err(NoForecast::Ambiguous),
    }
}

/// Whether the server's replicas share their output buffers with its backlog.
fn shares_buffers(info: &Observation) -> bool {
    // Valkey began as Redis 7.2, and its own versions are 7.2 and later.
    let version = info.server.version.get();
    let major = version.and_then(|version| version.split('.').next()?.parse().ok());
    major.is_some_and(|major: u32| major >= SHARES_BUFFERS_SINCE)
}
