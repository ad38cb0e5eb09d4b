//! What is known of a pair: the evidence that an assessment rests on.

use std::sync::Arc;

use super::super::ack::Ack;
use super::super::epochs::Comparison;
use super::super::heartbeat::HeartbeatFacts;
use super::super::history::{Bracket, Point};
use super::super::loss::HistoryLoss;
use super::super::split::Split;
use super::link::LinkFacts;
use super::located::Located;
use crate::info::ReplicaConnState;
use crate::model::{Bytes, ReplicationOffset, Span, Timestamp};

/// A replica ACKs once a second (`replicationCron` sends `REPLCONF ACK`); a bit more, since its
/// clock is not ours.
pub(in super::super) const ACK_PERIOD: Span = Span::from_millis(1_200);

/// What the master says of a replica, placed in the history; evidence while the replica itself is
/// silent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AckEvidence {
    /// What the master's last answer said; `None` when no line can be meant.
    pub last: Option<Ack>,
    /// Whether some answer had a line that can be meant: only then does its absence mean that the
    /// replica is gone.
    pub seen: bool,
    /// When the newest ACK arrived.
    pub arrival: Option<AckArrival>,
    /// The ACKed position, where the history knows it.
    pub located: Option<Acked>,
    /// Bytes that the master has written and the replica has not ACKed, both from one reply.
    pub lag: Option<Bytes>,
    /// Whether the master synced some replica since this one last answered: it may have started over,
    /// with other data.
    pub synced_since: bool,
    /// When the direct master was last asked, of the polls that it answered.
    pub asked_at: Option<Timestamp>,
}

/// When an ACK arrived at the master: an interval that certainly holds the instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckArrival {
    /// It arrived after this.
    pub after: Timestamp,
    /// It arrived before this.
    pub before: Timestamp,
}

/// The position that a replica ACKed last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Acked {
    /// Bytes that it had applied.
    pub offset: ReplicationOffset,
    /// Holds the instant at which the master went beyond them.
    pub bracket: Bracket,
    /// The likeliest such instant.
    pub point: Option<Point>,
    /// The lag that it had when the ACK came.
    pub lag: Option<Span>,
    /// The history of the master that was current then.
    pub(super) generation: u64,
}

/// How the replica's last answer relates to the master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relation {
    /// It has not answered yet, or not since a poll of the master.
    #[default]
    Unseen,
    /// Its position is in the master's history.
    Comparable,
    /// Its position from before a restart of this program is in the history that the master shows
    /// now; it has not answered since.
    Restored,
    /// Its position is in no history of the master.
    NotComparable(Comparison),
    /// It shows an offset beyond what its master has: not the history it claims to be.
    Ahead,
    /// It has never had a position.
    NeverSynced,
    /// It is a master itself; with what each of the two has alone, where that is known.
    IsMaster {
        /// The unshared history of both.
        split: Option<Split>,
    },
    /// The configured master says that it is a replica, so it has no stream of its own to compare
    /// with.
    MasterIsReplica,
    /// The configured master's answer lacks the fields that say where its stream stands.
    MasterIncomplete,
    /// The replica's answer lacks the fields that say where it stands.
    Incomplete,
}

/// The last certified statement about a pair; it stays when the master is lost: this much may be
/// gone.
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
    /// Since when the server that it replicates from has lost its own master, in a chain.
    pub parent_down_since: Option<Timestamp>,
    /// What the master says of the replica.
    pub ack: AckEvidence,
    /// The master's newest offset.
    pub master_offset: Option<ReplicationOffset>,
    /// When the master was last asked.
    pub master_at: Option<Timestamp>,
    /// `repl_backlog_size` of the master.
    pub backlog_size: Option<Bytes>,
    /// The last certified statement.
    pub last_known: Option<LastKnown>,
    /// Stream bytes that the replica applied since this program first saw it.
    pub applied_total: Option<u64>,
    /// What heartbeats say.
    pub heartbeats: HeartbeatFacts,
    /// The period of polling, by which silence is judged.
    pub interval: Span,
    /// The lag that the link usually shows.
    pub usual_lag: Span,
    /// Since when the replica had not answered when this program was restarted.
    pub silent_before: Option<Timestamp>,
    /// The history that its master lost, until the pair has streamed in another one for long enough.
    pub loss: Option<Arc<HistoryLoss>>,
}

impl PairFacts {
    /// Whether one more poll of the replica, at once, would show something that its next regular
    /// poll would show too late.
    ///
    /// * Its last answer was the first that is not what the link usually shows: the second shows
    ///   whether its position moves.
    /// * Its master synced it since: it is back, perhaps as another process.
    /// * What it ACKs is older than ACKs of a healthy replica are (they come once a second), and
    ///   its own last answer does not say so: the master's answer is enough to see that.
    pub fn deserves_replica_poll(&self) -> bool {
        if self.is_back() && self.located.is_some() {
            return true;
        }
        let Some(located) = self
            .located
            .as_ref()
            .filter(|_| self.relation == Relation::Comparable)
        else {
            return false;
        };
        let first_doubt = located.is_doubtful && located.same_applied == 1;
        let usual_age = ACK_PERIOD + self.usual_lag + self.usual_lag;
        let passed = self
            .ack
            .located
            .and_then(|acked| acked.bracket.hi)
            .filter(|_| located.is_usual);
        first_doubt
            || passed
                .zip(self.master_at)
                .is_some_and(|(passed, asked)| asked - passed > usual_age)
    }

    /// Whether its master synced it since it last answered and has it online now: it is there,
    /// whoever cannot reach it.
    pub fn is_back(&self) -> bool {
        self.ack.synced_since
            && self
                .ack
                .last
                .is_some_and(|ack| ack.state == ReplicaConnState::Online)
    }

    /// When the replica's position was last learned, as long as it still can be compared.
    pub fn comparable_at(&self) -> Option<Timestamp> {
        self.placed().map(Located::received)
    }

    /// The replica's last position, as long as it still can be compared. In a history that the
    /// master has lost there is no lag: what it lacks cannot be compared with what the master has.
    pub(in crate::replication) fn placed(&self) -> Option<&Located> {
        let comparable = matches!(self.relation, Relation::Comparable | Relation::Restored);
        self.located
            .as_ref()
            .filter(|located| comparable && (self.loss.is_none() || located.is_current()))
    }
}
