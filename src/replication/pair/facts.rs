//! What is known of a pair: the evidence that an assessment rests on.

use super::super::ack::Ack;
use super::super::beat::BeatFacts;
use super::super::epochs::Comparison;
use super::super::history::Bracket;
use super::link::LinkFacts;
use super::located::Located;
use crate::model::{Bytes, ReplicationOffset, Span, Timestamp};

/// What the master says of a replica, placed in the history; evidence while the replica itself is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckEvidence {
    /// What the master's last answer said; `None` when no line can be meant.
    pub last: Option<Ack>,
    /// Whether some answer had a line that can be meant: only then does its absence mean that the replica is gone.
    pub seen: bool,
    /// The ACKed position's bracket and likeliest instant, where the history knows it.
    pub located: Option<(ReplicationOffset, Bracket, Option<Timestamp>)>,
    /// Bytes that the master has written and the replica has not ACKed, both from one reply.
    pub lag: Option<Bytes>,
}

/// How the replica's last answer relates to the master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relation {
    /// It has not answered yet, or not since a poll of the master.
    #[default]
    Unseen,
    /// Its position is in the master's history.
    Comparable,
    /// Its position is in no history of the master.
    NotComparable(Comparison),
    /// It shows an offset beyond what its master has: not the history it claims to be.
    Ahead,
    /// It has never had a position.
    NeverSynced,
    /// It is a master itself; with the bytes that the other master has and it does not share, where that is known.
    IsMaster {
        /// Unshared history of the configured master.
        unshared: Option<Bytes>,
    },
    /// The configured master says that it is a replica, so it has no stream of its own to compare with.
    MasterIsReplica,
    /// The configured master's answer lacks the fields that say where its stream stands.
    MasterIncomplete,
    /// The replica's answer lacks the fields that say where it stands.
    Incomplete,
}

/// The last certified statement about a pair; it stays when the master is lost: this much may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastKnown {
    /// Upper bound of the lag in seconds.
    pub upper: Span,
    /// Upper bound in bytes.
    pub upper_bytes: Option<Bytes>,
    /// When the replica answered.
    pub at: Timestamp,
}

/// Everything that is known of one pair. Cheap to clone: it is copied into every snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairFacts {
    /// The last position that could be located.
    pub located: Option<Located>,
    /// How the last answer relates to the master.
    pub relation: Relation,
    /// The link.
    pub link: LinkFacts,
    /// What the master says of the replica.
    pub ack: AckEvidence,
    /// The master's newest offset.
    pub master_offset: Option<ReplicationOffset>,
    /// `repl_backlog_size` of the master.
    pub backlog_size: Option<Bytes>,
    /// The last certified statement.
    pub last_known: Option<LastKnown>,
    /// Stream bytes that the replica applied since this program first saw it.
    pub applied_total: Option<u64>,
    /// What heartbeats say.
    pub beats: BeatFacts,
    /// The period of polling, by which silence is judged.
    pub interval: Span,
}

impl PairFacts {
    /// When the replica's position was last learned, as long as it still can be compared.
    pub fn comparable_at(&self) -> Option<Timestamp> {
        self.located.as_ref().filter(|_| self.relation == Relation::Comparable).map(Located::received)
    }
}
