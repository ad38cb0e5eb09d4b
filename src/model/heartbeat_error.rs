//! Why a heartbeat was not sent or not received: a closed set, which is also the metric's `reason`.

use std::fmt;

use super::{PollError, PollFailure};

/// Why a server takes no part in heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeartbeatError {
    /// The connection or a command failed; [`PollError::Denied`] means PUBLISH, SUBSCRIBE or the
    /// channel.
    Failed(PollError),
    /// The server is a node of a Redis Cluster: messages travel over the cluster bus there, past
    /// the stream.
    ClusterMode,
    /// The server whose stream is to carry them is no master, so it would not pass them on.
    NotMaster,
    /// Master and replica are one process, which delivers each message at once.
    SameServer,
    /// Neither Redis nor Valkey, or a Sentinel: how it passes messages on is not known.
    Unsupported,
    /// The server does not name its `run_id`, so that its restarts cannot be seen.
    NoRunId,
    /// A number arrived twice, or after a higher one.
    Repeated,
}

impl HeartbeatError {
    /// The reason's label: lower case, with underscores.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Failed(error) => error.label(),
            Self::ClusterMode => "cluster_mode",
            Self::NotMaster => "not_master",
            Self::SameServer => "same_server",
            Self::Unsupported => "unsupported",
            Self::NoRunId => "no_run_id",
            Self::Repeated => "repeated",
        }
    }

    /// What happened and what to do about it: reads on after "the server".
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Failed(PollError::Denied) => {
                "does not let this user send or receive heartbeats: give it the ACL rules +publish +subscribe &__redis_cross_dc_exporter:*"
            }
            Self::Failed(error) => error.sentence(),
            Self::ClusterMode => {
                "is a node of a Redis Cluster, where a message does not travel through the replication stream and proves nothing: switch heartbeat off for this pair"
            }
            Self::NotMaster => {
                "is not a master, so it does not pass heartbeats on: check the pair's master"
            }
            Self::SameServer => "is one process with its master: check the pair's addresses",
            Self::Unsupported => {
                "does not report that it is an ordinary Redis or Valkey server: switch heartbeat off for this pair"
            }
            Self::NoRunId => {
                "does not name its run_id, without which its restarts cannot be seen: switch heartbeat off for this pair"
            }
            Self::Repeated => {
                "received a heartbeat twice: something forwards messages past the replication stream, or the replica went back to an older snapshot; heartbeats prove nothing until it restarts"
            }
        }
    }

    /// Whether only an operator can change it, so that retrying soon is useless.
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Failed(error) if !matches!(error, PollError::Denied))
    }
}

impl fmt::Display for HeartbeatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl From<PollFailure> for HeartbeatError {
    fn from(failure: PollFailure) -> Self {
        Self::Failed(failure.reason)
    }
}

impl From<PollError> for HeartbeatError {
    fn from(error: PollError) -> Self {
        Self::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_fit_a_metric_and_only_temporary_errors_are_retried_soon() {
        let settled = [
            HeartbeatError::ClusterMode,
            HeartbeatError::NotMaster,
            HeartbeatError::SameServer,
            HeartbeatError::Unsupported,
            HeartbeatError::NoRunId,
            HeartbeatError::Repeated,
            HeartbeatError::Failed(PollError::Denied),
        ];
        for error in settled {
            assert!(
                error.is_settled()
                    && error
                        .label()
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{error}"
            );
        }
        for error in PollError::ALL
            .into_iter()
            .filter(|error| *error != PollError::Denied)
        {
            assert!(!HeartbeatError::from(error).is_settled(), "{error}");
        }
    }
}
