//! The states of a pair: one word that an operator can act on, and a sentence with the reason.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::split::Split;
use crate::info::{Engine, Role};
use crate::model::{Bytes, PollFailure, Span, closed_set, serde_as_label};

closed_set! {
    /// A pair's state. Exactly one holds at any time: the first that fits, in the order of
    /// declaration.
    ///
    /// A label of a later version is read as `unknown`, so that a `check` that is older than its
    /// exporter keeps working; the reason still explains the state.
    pub enum PairState {
        /// A server is of a kind whose offsets are not bytes.
        Unsupported => "unsupported",
        /// The master does not answer.
        MasterUnreachable => "master_unreachable",
        /// The replica does not answer.
        ReplicaUnreachable => "replica_unreachable",
        /// Two masters, or a replica with bytes that its master does not have.
        Diverged => "diverged",
        /// The replica follows another server.
        WrongMaster => "wrong_master",
        /// The replica has never been in sync.
        NeverSynced => "never_synced",
        /// A full sync is under way.
        FullSync => "full_sync",
        /// The link is down.
        LinkDown => "link_down",
        /// The link claims to be up, and nothing arrives although the master writes.
        Stalled => "stalled",
        /// The link is up, and data flows as far as there is any.
        Streaming => "streaming",
        /// Not known (yet).
        Unknown => "unknown",
    }
}
serde_as_label!(PairState, else Unknown);

/// Why a pair is in its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateReason {
    /// The server is of a kind whose offsets are not bytes.
    UnsupportedServer {
        /// Which server.
        who: Role,
        /// Its kind.
        engine: Engine,
    },
    /// The server does not answer.
    NoAnswer {
        /// Which server.
        who: Role,
        /// Why the last poll failed, if it failed and is not only late.
        error: Option<PollFailure>,
        /// For how long.
        for_: Option<Span>,
    },
    /// This exporter has no access to the server, because of its own fault or because the server
    /// refuses it. It is not known whether the server is healthy.
    NoAccess {
        /// Which server.
        who: Role,
        /// What is wrong.
        fault: PollFailure,
    },
    /// Both servers report that they are masters.
    TwoMasters {
        /// What each of them has that the other has not, where that is known.
        split: Option<Split>,
    },
    /// The replica applied bytes that the promoted master does not have.
    UnsharedBytes {
        /// How many.
        bytes: Bytes,
    },
    /// Several servers take turns in answering at one address: a proxy or a load balancer hands
    /// each poll to another one.
    SeveralServers {
        /// Whose address it is.
        who: Role,
    },
    /// Both addresses lead to one server.
    OneServer,
    /// The replica reports that it is a master, and the configured master that it is a replica.
    RolesSwapped,
    /// The configured master reports that it is a replica.
    MasterIsReplica,
    /// Each follows the other: a switch-over is under way, or was interrupted.
    NoMaster,
    /// The link is up and the position is in no history of the configured master.
    ForeignHistory,
    /// The replica never had a position.
    NeverSynced {
        /// Bytes of the first full sync that were read so far, while it is under way.
        read: Option<Bytes>,
    },
    /// A full sync is under way.
    FullSync(SyncProgress),
    /// The link is down.
    LinkDown {
        /// For how long.
        for_: Option<Span>,
    },
    /// Nothing arrives although the master writes.
    Stalled {
        /// For how long.
        for_: Span,
    },
    /// Nothing arrives although the master writes, and that began before the first poll: the
    /// servers' own counters show for how long.
    AlreadyStalled {
        /// Nothing has arrived for at least this long.
        idle_for: Span,
        /// The link has been stalled for at least this long.
        for_: Span,
    },
    /// The link is up, but the server that it replicates from has lost its own master.
    ParentCutOff {
        /// For how long.
        for_: Span,
    },
    /// All is well.
    Streaming,
    /// The link is up, but there is nothing to compare: the master keeps no backlog, or its history
    /// is not known yet.
    MasterHistoryUnknown,
    /// The link is up, and the replica still has a history that its master has ended.
    EndedHistory,
    /// The link is up, and the replica has not yet reached what the master had when it was first
    /// polled, so nothing bounds its lag.
    NotYetReached {
        /// How long ago that was.
        for_: Span,
    },
    /// The replica shows an offset beyond its master's.
    Ahead,
    /// The server's answer lacks fields without which its state is not known.
    IncompleteAnswer {
        /// Which server.
        who: Role,
    },
    /// The first polls are under way.
    Starting,
    /// The exporter itself did not run, and the next polls are under way.
    ExporterPaused {
        /// For how long.
        for_: Span,
    },
    /// The exporter gets no time to poll the server, or to read its answers.
    NotPolled {
        /// Which server.
        who: Role,
        /// For how long.
        for_: Span,
    },
}

impl fmt::Display for StateReason {
    /// One sentence for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedServer { who, engine: Engine::Unknown } => {
                write!(f, "the {} does not say which program it is: only Redis and Valkey are understood", who.label())
            }
            Self::UnsupportedServer { who, engine } => {
                write!(f, "the {} is {}, whose offsets are not bytes", who.label(), engine.label())
            }
            Self::NoAnswer { who, error, for_ } => write_no_answer(f, *who, error.as_ref(), *for_),
            Self::NoAccess { who, fault } => f.write_str(&fault.sentence(&format!("the {}", who.label()))),
            Self::TwoMasters { split: Some(Split { master, replica, .. }) } => {
                write!(
                    f,
                    "both servers are masters: {master} are only on the pair's master, {replica} only on its replica"
                )
            }
            Self::TwoMasters { split: None } => f.write_str("both servers are masters"),
            Self::UnsharedBytes { bytes } => {
                write!(f, "{bytes} are only on the replica: its master does not have them")
            }
            Self::SeveralServers { who } => write!(
                f,
                "several servers answer in turn at the {}'s address, so that none of them is observed: name each server \
                 by an address of its own, and not by that of a proxy or a load balancer",
                who.label()
            ),
            Self::OneServer => f.write_str(
                "one server answers at both addresses (the same run_id), so that the other one is not observed: name each \
                 server by an address of its own",
            ),
            Self::RolesSwapped => f.write_str("the roles are swapped: the configured replica is the master now"),
            Self::MasterIsReplica => f.write_str("the configured master is a replica itself"),
            Self::NoMaster => f.write_str(
                "there is no master: each follows the other, because a switch-over is under way or was interrupted \
                 (failover --status)",
            ),
            Self::ForeignHistory => f.write_str("the replica follows another history than the configured master's"),
            Self::NeverSynced { read: None } => f.write_str("the replica has never been in sync"),
            Self::NeverSynced { read: Some(read) } => write!(f, "the first full sync is under way: {read} read"),
            Self::FullSync(progress) if progress.read.is_none() => {
                write!(f, "a full sync is {progress}")
            }
            Self::FullSync(progress) => write!(f, "a full sync is under way: {progress}"),
            Self::LinkDown { for_: Some(span) } => write!(f, "the replica lost its master {span} ago"),
            Self::LinkDown { for_: None } => f.write_str("the replica is not connected to its master"),
            Self::Stalled { for_ } => {
                write!(f, "the link claims to be up, but nothing has arrived for {for_} although the master writes")
            }
            Self::AlreadyStalled { idle_for, .. } => write!(
                f,
                "the link claims to be up, but nothing has arrived for at least {} although the master writes",
                idle_for.shown_at_least()
            ),
            Self::ParentCutOff { for_ } => {
                write!(f, "the link is up, but the replica above it lost its own master {for_} ago")
            }
            Self::Streaming => f.write_str("the link is up"),
            Self::MasterHistoryUnknown => {
                f.write_str("the master's history is not known: it keeps no backlog, or was not polled yet")
            }
            Self::EndedHistory => f.write_str(
                "the replica still follows a history that its master has ended: a restart, or another master",
            ),
            Self::NotYetReached { for_ } => write!(
                f,
                "the replica still lacks what the master had {for_} ago, when it was first asked: nobody has seen since when"
            ),
            Self::Ahead => f.write_str("the replica shows an offset beyond its master's: their histories differ"),
            Self::IncompleteAnswer { who } => {
                write!(f, "the {}'s INFO reply lacks fields without which nothing can be said", who.label())
            }
            Self::Starting => f.write_str("the first polls are under way"),
            Self::ExporterPaused { for_ } => write!(f, "the exporter was paused for {for_}"),
            Self::NotPolled { who, for_ } => {
                let who = who.label();
                write!(f, "the exporter is late: it has read no answer of the {who} for {for_}")
            }
        }
    }
}

fn write_no_answer(
    f: &mut fmt::Formatter<'_>,
    who: Role,
    error: Option<&PollFailure>,
    for_: Option<Span>,
) -> fmt::Result {
    let whom = format!("the {}", who.label());
    match error {
        Some(error) => f.write_str(&error.sentence(&whom))?,
        None => write!(f, "{whom} does not answer")?,
    }
    match for_ {
        Some(span) => write!(f, " (for {span})"),
        None => Ok(()),
    }
}

/// The progress of a full sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncProgress {
    /// Bytes of the transfer that were read; `None` while it is prepared or loaded.
    pub read: Option<Bytes>,
    /// Of how many; `None` where Redis does not report it: in a diskless sync.
    pub total: Option<Bytes>,
    /// Of how many a diskless sync will probably be, by the part of its keys that the master has
    /// sent.
    #[serde(default)]
    pub expected: Option<Bytes>,
    /// Bytes read per second, recently.
    pub rate: Option<Bytes>,
    /// For how long nothing has been read, if it is more than a few seconds.
    pub still_for: Option<Span>,
    /// How many full syncs have begun since the replica last streamed for a minute, this one
    /// included.
    #[serde(default)]
    pub attempt: u32,
}

impl fmt::Display for SyncProgress {
    /// `70.1 MiB of 240.0 MiB read, 6.0 MiB/s, ~28 s left`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(read) = self.read else {
            f.write_str("being prepared or loaded")?;
            return self.write_attempt(f);
        };
        match (self.total, self.expected) {
            (Some(total), _) => write!(f, "{read} of {total} read")?,
            (None, Some(expected)) => write!(f, "{read} of about {expected} read")?,
            (None, None) => write!(f, "{read} read, size unknown")?,
        }
        self.write_speed(f)?;
        self.write_attempt(f)
    }
}

impl SyncProgress {
    fn write_speed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(still) = self.still_for {
            return write!(f, ", no progress for {still}");
        }
        let Some(rate) = self.rate else {
            return Ok(());
        };
        write!(f, ", {rate}/s")?;
        match self.seconds_left() {
            Some(seconds) => write!(f, ", ~{} left", duration_text(seconds)),
            None => Ok(()),
        }
    }

    /// `; attempt 3 since the replica last streamed`: more than one is a loop.
    fn write_attempt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempt < 2 {
            return Ok(());
        }
        write!(
            f,
            "; attempt {} since the replica last streamed",
            self.attempt
        )
    }

    /// How long the rest of the transfer takes at the present rate.
    pub fn left(&self) -> Option<Span> {
        let seconds = self.seconds_left()?;
        Some(Span::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }

    /// The same in whole seconds.
    fn seconds_left(&self) -> Option<u64> {
        let total = self.total.or(self.expected)?;
        let missing = total.get().checked_sub(self.read?.get())?;
        let rate = self.rate?.get();
        if rate == 0 {
            return None;
        }
        Some(missing.div_ceil(rate))
    }
}

/// A rough duration for people: in seconds, minutes or hours.
fn duration_text(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PollError;

    #[test]
    fn the_order_of_states_is_their_precedence() {
        assert!(PairState::ALL.windows(2).all(|w| w[0] < w[1]));
    }

    /// A transfer of which 2 KiB were read.
    fn sync(total: Option<u64>, rate: Option<u64>, still_for: Option<i64>) -> StateReason {
        StateReason::FullSync(SyncProgress {
            read: Some(Bytes::new(2048)),
            expected: None,
            attempt: 1,
            total: total.map(Bytes::new),
            rate: rate.map(Bytes::new),
            still_for: still_for.map(Span::from_secs),
        })
    }

    #[test]
    fn reasons_read_as_sentences() {
        let cases = [
            (
                StateReason::LinkDown {
                    for_: Some(Span::from_secs(90)),
                },
                "the replica lost its master 90.0 s ago",
            ),
            (
                StateReason::NoAnswer {
                    who: Role::Master,
                    error: Some(PollError::Refused.into()),
                    for_: None,
                },
                "the master refused the connection: nothing listens there, or a firewall rejects it",
            ),
            (
                StateReason::NoAccess {
                    who: Role::Master,
                    fault: PollFailure::access(
                        PollError::Auth,
                        "refused the login of user monitor (WRONGPASS)",
                    ),
                },
                "the master refused the login of user monitor (WRONGPASS)",
            ),
            (
                StateReason::TwoMasters {
                    split: Some(Split {
                        master: Bytes::new(2048),
                        replica: Bytes::new(7),
                        master_was_promoted: true,
                    }),
                },
                "both servers are masters: 2.0 KiB are only on the pair's master, 7 B only on its replica",
            ),
            (
                StateReason::ParentCutOff {
                    for_: Span::from_secs(12),
                },
                "the link is up, but the replica above it lost its own master 12.0 s ago",
            ),
            (
                sync(None, None, None),
                "a full sync is under way: 2.0 KiB read, size unknown",
            ),
            (
                sync(Some(10_240), Some(1024), None),
                "a full sync is under way: 2.0 KiB of 10.0 KiB read, 1.0 KiB/s, ~8 s left",
            ),
            (
                sync(None, Some(1024), None),
                "a full sync is under way: 2.0 KiB read, size unknown, 1.0 KiB/s",
            ),
            (
                sync(Some(1_000_000), Some(1024), None),
                "a full sync is under way: 2.0 KiB of 976.6 KiB read, 1.0 KiB/s, ~16 min left",
            ),
            (
                sync(Some(10_240), Some(0), Some(12)),
                "a full sync is under way: 2.0 KiB of 10.0 KiB read, no progress for 12.0 s",
            ),
            (
                StateReason::ExporterPaused {
                    for_: Span::from_secs(42),
                },
                "the exporter was paused for 42.0 s",
            ),
            (
                StateReason::NotPolled {
                    who: Role::Master,
                    for_: Span::from_secs(5),
                },
                "the exporter is late: it has read no answer of the master for 5.000 s",
            ),
        ];
        for (reason, sentence) in cases {
            assert_eq!(reason.to_string(), sentence);
        }
    }
}
