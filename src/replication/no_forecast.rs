//! Why there is no prediction.

use crate::model::closed_set;

closed_set! {
    /// Why a prediction is absent.
    pub enum NoForecast {
        /// The replica cannot be compared with its master.
        LagUnknown => "lag_unknown",
        /// The master reports no size of its backlog.
        BacklogUnknown => "backlog_unknown",
        /// Too little is known of the master's writes.
        ShortHistory => "short_history",
        /// The master writes nothing, or so little that it is no matter.
        NothingWritten => "nothing_written",
        /// The replica has everything.
        CaughtUp => "caught_up",
        /// The replica does not come closer to its master, or that is not known yet.
        NotDraining => "not_draining",
        /// The master writes so unevenly that no single number would be right.
        Uneven => "uneven",
        /// The master has written more than the replica applies.
        Outpaced => "outpaced",
        /// The link is not streaming.
        NotStreaming => "not_streaming",
        /// The exporter is not configured to ask.
        NotAsked => "not_asked",
        /// The master has not answered the question yet, or does not answer it any more.
        NotAnswered => "not_answered",
        /// The exporter's user may not ask.
        Denied => "denied",
        /// The master lists no connection of the replica.
        NoConnection => "no_connection",
        /// Several replicas connect from one address.
        Ambiguous => "ambiguous",
        /// The master has no limit.
        NoLimit => "no_limit",
        /// The buffer does not grow towards its limit.
        NotGrowing => "not_growing",
        /// No full sync is under way.
        NoFullSync => "no_full_sync",
        /// The size or the rate of the full sync is not known yet.
        SizeUnknown => "size_unknown",
        /// The pair has one history.
        NotDiverged => "not_diverged",
        /// The server with the unshared writes follows another one already.
        Following => "following",
        /// What each side has alone is not known.
        SplitUnknown => "split_unknown",
        /// Nothing that is known ends it.
        NoEnd => "no_end",
    }
}

impl NoForecast {
    /// The reason as the end of a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::LagUnknown => "how much the replica lacks is not known",
            Self::BacklogUnknown => "the master does not report the size of its backlog",
            Self::ShortHistory => "the master's writes have not been watched for long enough",
            Self::NothingWritten => {
                "the master writes so little that its backlog lasts for more than 30 days"
            }
            Self::CaughtUp => "the replica is less than a second behind",
            Self::NotDraining => {
                "the replica does not come closer to its master, or that is not known yet"
            }
            Self::Uneven => "the master writes too unevenly for one number",
            Self::Outpaced => {
                "over the last minutes the master wrote more than the replica applies"
            }
            Self::NotStreaming => "the link is not streaming",
            Self::NotAsked => "poll.output_buffers is off, or the master has not answered yet",
            Self::NotAnswered => "the master has not answered CLIENT LIST or CONFIG GET",
            Self::Denied => "the master does not let the exporter call CLIENT LIST or CONFIG GET",
            Self::NoConnection => "the master lists no connection of the replica",
            Self::Ambiguous => "several replicas connect to the master from one address",
            Self::NoLimit => "the master has no limit for replicas",
            Self::NotGrowing => {
                "the buffer does not grow towards its limit, or that is not known yet"
            }
            Self::NoFullSync => "no full sync is under way",
            Self::SizeUnknown => "the servers have not reported its size or its rate yet",
            Self::NotDiverged => "the pair is not diverged",
            Self::Following => {
                "the server with the unshared writes follows another one and will replace them"
            }
            Self::SplitUnknown => "what each side has alone is not known",
            Self::NoEnd => {
                "nothing that is known ends it: the server has replicas or they left before it was watched, and it writes nothing"
            }
        }
    }
}
