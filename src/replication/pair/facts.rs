//! The facts about a pair: the evidence that an assessment rests on.

use std::sync::Arc;

use super::super::ack::Ack;
use super::super::epochs::Comparison;
use super::super::heartbeat::HeartbeatFacts;
use super::super::history::{Bracket, Point};
use super::super::loss::HistoryLoss;
use super::super::no_forecast::NoForecast;
use super::super::output_buffer::OutputBuffer;
use super::super::split::Split;
use super::forecast::ForecastFacts;
use super::link::LinkFacts;
use super::located::Located;
use crate::info::ReplicaConnState;
use crate::model::{Bytes, ReplicationOffset, Span, Timestamp};

/// A replica ACKs once a second (`replicationCron` sends `REPLCONF ACK`). A little more than that,
/// because the two clocks may differ.
pub(in super::super) const ACK_PERIOD: Span = Span::from_millis(1_200);

/// What the master reports of a replica, placed in the history. It is evidence while the replica
/// itself is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AckEvidence {
    /// The replica's line in the master's last answer; `None` if no line certainly is the
    /// replica's.
    pub last: Option<Ack>,
    /// Whether some answer had such a line: only then does its absence mean that the replica is
    /// gone.
    pub seen: bool,
    /// When the newest ACK arrived.
    pub arrival: Option<AckArrival>,
    /// The ACKed position, where the history knows it.
    pub located: Option<Acked>,
    /// Bytes that the master has written and the replica has not ACKed, both from one reply.
    pub lag: Option<Bytes>,
    /// Whether the master has synced some replica since this one last answered: this one may have
    /// other data now.
    pub synced_since: bool,
    /// When the last poll was sent that the direct master answered.
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
    /// It is a master itself.
    IsMaster {
        /// What each of the two servers has that the other has not, where that is known.
        split: Option<Split>,
    },
    /// The configured master reports that it is a replica, so it has no own stream to compare with.
    MasterIsReplica {
        /// It follows the pair's replica, which is a replica, too: nobody takes writes.
        of_its_replica: bool,
    },
    /// The configured master's answer lacks the fields that say where its stream stands.
    MasterIncomplete,
    /// The replica's answer lacks the fields that say where it stands.
    Incomplete,
}

/// The last certified upper bounds of a pair's lag. They stay when the master is lost: at most this
/// much is lost.
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
    /// What the master reports of the replica.
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
    /// What heartbeats show.
    pub heartbeats: HeartbeatFacts,
    /// The period of polling, by which silence is judged.
    pub interval: Span,
    /// The lag that the link usually shows.
    pub usual_lag: Span,
    /// Since when the replica had not answered when the exporter was restarted.
    pub silent_before: Option<Timestamp>,
    /// The history that its master lost, until the pair has streamed in another one for long
    /// enough.
    pub loss: Option<Arc<HistoryLoss>>,
    /// What predictions rest on.
    pub forecast: ForecastFacts,
}

impl PairFacts {
    /// Whether one more poll of the replica, at once, would show something that its next regular
    /// poll would show too late.
    ///
    /// * Its last answer was the first with an unusual lag: a second one shows whether its position
    ///   moves.
    /// * Its master has synced it since: it is back, perhaps as another process.
    /// * What it ACKs is older than what a healthy replica ACKs (once a second), while its own last
    ///   answer showed the usual lag: the master's answer is enough to see that.
    pub fn deserves_replica_poll(&self) -> bool {
        let Some(located) = &self.located else {
            return false;
        };
        if self.is_back() {
            return true;
        }
        if self.relation != Relation::Comparable {
            return false;
        }
        let is_first_doubt = located.is_doubtful && located.same_applied == 1;
        is_first_doubt || located.is_usual && self.is_ack_too_old()
    }

    /// Whether the master had gone beyond the ACKed position for longer before it was last asked
    /// than ACKs of a healthy replica take.
    fn is_ack_too_old(&self) -> bool {
        let Some(position) = self.ack.located else {
            return false;
        };
        let (Some(passed), Some(asked)) = (position.bracket.hi, self.master_at) else {
            return false;
        };
        let usual_age = ACK_PERIOD + self.usual_lag + self.usual_lag;
        asked - passed > usual_age
    }

    /// The direct master's output buffer for the replica at `now`.
    pub fn output_buffer(&self, now: Timestamp) -> Result<OutputBuffer, NoForecast> {
        self.forecast.buffer.at(self.interval, now)
    }

    /// Whether its master has synced it since it last answered and has it online now: then it runs,
    /// even if this exporter cannot reach it.
    pub fn is_back(&self) -> bool {
        let Some(ack) = self.ack.last else {
            return false;
        };
        self.ack.synced_since && ack.state == ReplicaConnState::Online
    }

    /// When the replica's position was last learned, as long as it still can be compared.
    pub fn comparable_at(&self) -> Option<Timestamp> {
        let located = self.placed()?;
        Some(located.received())
    }

    /// The replica's last position, as long as it still can be compared. In a history that the
    /// master has lost there is no lag: what the replica lacks cannot be compared with what the
    /// master has.
    pub(in crate::replication) fn placed(&self) -> Option<&Located> {
        if !matches!(self.relation, Relation::Comparable | Relation::Restored) {
            return None;
        }
        let located = self.located.as_ref()?;
        let is_in_lost_history = self.loss.is_some() && !located.is_current();
        if is_in_lost_history {
            return None;
        }
        Some(located)
    }
}
