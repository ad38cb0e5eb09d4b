//! A pair and its two servers for unit tests: polls that take 10 ms each, in milliseconds of test
//! time.

use super::assess;
use super::{
    Ack, Assessment, Evidence, HistoryChange, HistoryLimits, MasterHistory, MasterSample,
    PairTracker, ServerFacts,
};
use crate::info::{
    Engine, Field, LinkStatus, Observation, PersistenceInfo, ReplicaConnState, ReplicationInfo,
    Role, UpstreamInfo,
};
use crate::model::{Bytes, PollError, ReplicationId, ReplicationOffset, Span, Timestamp};

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

pub(crate) fn millis(count: i64) -> Span {
    Span::from_millis(count)
}

pub(crate) fn offset(bytes: u64) -> ReplicationOffset {
    ReplicationOffset::new(bytes)
}

pub(crate) fn id(letter: char) -> ReplicationId {
    ReplicationId::parse(&letter.to_string().repeat(40)).expect("a hexadecimal letter")
}

/// What a replica reports of its link: up, without a sync, unless a test changes it.
pub(crate) fn upstream(applied: u64) -> UpstreamInfo {
    UpstreamInfo {
        link: Field::Value(LinkStatus::Up),
        applied_offset: Field::Value(offset(applied)),
        read_offset: Field::Value(offset(applied)),
        ..UpstreamInfo::default()
    }
}

/// The same with the link down for `secs` seconds.
pub(crate) fn down(applied: u64, secs: i64) -> UpstreamInfo {
    UpstreamInfo {
        link: Field::Value(LinkStatus::Down),
        link_down_since: Field::Value(Span::from_secs(secs)),
        ..upstream(applied)
    }
}

/// A pair whose servers are polled by hand.
pub(crate) struct Scene {
    pub(crate) master: ServerFacts,
    pub(crate) replica: ServerFacts,
    pub(crate) history: MasterHistory,
    pub(crate) tracker: PairTracker,
    /// What the master reports of the replica.
    pub(crate) ack: Option<Ack>,
    /// When the last ACK came: when the offset of `ack` was first shown.
    acked: Option<(Option<ReplicationOffset>, i64)>,
    /// The history that the master continued, and the first offset that it does not share.
    pub(crate) continues: Option<(char, u64)>,
}

const TAKES: i64 = 10;

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            master: ServerFacts::default(),
            replica: ServerFacts::default(),
            history: MasterHistory::new(HistoryLimits::default()),
            tracker: PairTracker::new(Span::from_secs(1)),
            ack: None,
            acked: None,
            continues: None,
        }
    }

    /// What the master reports of the replica at `sent`: the same offset again is the same ACK.
    fn ack_at(&mut self, sent: i64) -> Option<Ack> {
        let ack = self.ack?;
        let (_, came) = *self.acked.insert(
            self.acked
                .filter(|(known, _)| *known == ack.offset)
                .unwrap_or((ack.offset, sent)),
        );
        Some(Ack {
            age: Some(Span::from_secs((sent - came) / 1000)),
            ..ack
        })
    }

    /// The master answers that its history `letter` is at `bytes`.
    pub(crate) fn master(&mut self, sent: i64, letter: char, bytes: u64) -> &mut Self {
        let ack = self.ack_at(sent);
        let mut info = ReplicationInfo {
            role: Field::Value(Role::Master),
            replid: Field::Value(id(letter)),
            master_offset: Field::Value(offset(bytes)),
            ..ReplicationInfo::default()
        };
        info.backlog.active = Field::Value(true);
        info.backlog.size = Field::Value(Bytes::new(1000));
        if let Some((old, second)) = self.continues {
            info.replid2 = Field::Value(id(old));
            info.second_offset = Field::Value(offset(second));
        }
        let (sent, received) = (at(sent), at(sent + TAKES));
        let seen = observation(info);
        self.master.answered(&seen, sent, received);
        self.tracker
            .direct_master_answered(ack, &seen, sent, received);
        let sample = MasterSample::from_info(&seen.replication, &self.master, sent, received)
            .expect("a master");
        if self.history.observe(&sample) != HistoryChange::Reordered {
            self.tracker.master_answered(&sample, &self.history);
        }
        self
    }

    /// The replica answers with this about its link, in the history `letter`.
    pub(crate) fn reports(
        &mut self,
        sent: i64,
        letter: char,
        upstream: UpstreamInfo,
        loading: bool,
    ) -> &mut Self {
        let info = ReplicationInfo {
            role: Field::Value(Role::Replica),
            replid: Field::Value(id(letter)),
            upstream: Some(upstream),
            ..ReplicationInfo::default()
        };
        let persistence = PersistenceInfo {
            loading: Field::Value(loading),
            ..PersistenceInfo::default()
        };
        self.replica_answers(
            sent,
            &Observation {
                persistence,
                ..observation(info)
            },
        )
    }

    /// The replica answers that its link is up and that it applied and received `bytes`.
    pub(crate) fn replica(&mut self, sent: i64, letter: char, bytes: u64) -> &mut Self {
        self.reports(sent, letter, upstream(bytes), false)
    }

    pub(crate) fn replica_answers(&mut self, sent: i64, seen: &Observation) -> &mut Self {
        let (sent, received) = (at(sent), at(sent + TAKES));
        self.replica.answered(seen, sent, received);
        self.tracker
            .replica_answered(seen, sent, received, millis(TAKES), &self.history);
        self
    }

    /// Master, replica, master, as a round of polling asks them.
    pub(crate) fn round(&mut self, sent: i64, master: u64, replica: u64) -> &mut Self {
        self.master(sent, 'a', master)
            .replica(sent + 20, 'a', replica)
            .master(sent + 40, 'a', master)
    }

    /// The replica answers only after `takes` milliseconds.
    pub(crate) fn answers_late(
        &mut self,
        sent: i64,
        takes: i64,
        upstream: UpstreamInfo,
    ) -> &mut Self {
        let (sent, received) = (at(sent), at(sent + takes));
        let info = ReplicationInfo {
            role: Field::Value(Role::Replica),
            replid: Field::Value(id('a')),
            upstream: Some(upstream),
            ..ReplicationInfo::default()
        };
        let seen = observation(info);
        self.replica.answered(&seen, sent, received);
        self.tracker
            .replica_answered(&seen, sent, received, millis(TAKES), &self.history);
        self
    }

    pub(crate) fn master_fails(&mut self, began: i64) -> &mut Self {
        self.master.failed(PollError::Timeout, at(began));
        self
    }

    pub(crate) fn replica_fails(&mut self, began: i64) -> &mut Self {
        self.replica.failed(PollError::Timeout, at(began));
        self
    }

    /// The master's line for the replica: it ACKed `bytes`; none is "nothing yet".
    pub(crate) fn acks(&mut self, state: ReplicaConnState, bytes: Option<u64>) -> &mut Self {
        self.ack = Some(Ack {
            offset: bytes.map(offset),
            age: Some(Span::ZERO),
            state,
        });
        self
    }

    /// The master's line for the replica: it ACKed `bytes`, and the last ACK came at `came`.
    pub(crate) fn acked_at(&mut self, bytes: u64, came: i64) -> &mut Self {
        self.acked = Some((Some(offset(bytes)), came));
        self.acks(ReplicaConnState::Online, Some(bytes))
    }

    pub(crate) fn assess(&self, now: i64) -> Assessment {
        let evidence = Evidence {
            master: &self.master,
            replica: &self.replica,
            pair: self.tracker.facts(),
        };
        assess(evidence, at(now))
    }
}

pub(crate) fn observation(replication: ReplicationInfo) -> Observation {
    let mut seen = Observation {
        replication,
        ..Observation::default()
    };
    seen.server.engine = Engine::Redis;
    seen
}
