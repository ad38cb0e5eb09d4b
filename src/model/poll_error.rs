//! Why a poll failed: a closed set, which is also the metric's `reason`.

use std::fmt;

/// Why a server gave no usable answer to a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PollError {
    /// No answer within the timeout.
    Timeout,
    /// The connection was refused.
    Refused,
    /// The connection was closed or reset.
    Reset,
    /// The host name could not be resolved.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The server refused the username or password, or asks for one (`WRONGPASS`, `NOAUTH`).
    Auth,
    /// The user may not call INFO (`NOPERM`).
    Denied,
    /// The server is loading its data set (`LOADING`).
    Loading,
    /// The server is busy with a script (`BUSY`).
    Busy,
    /// The server has no room for another client.
    MaxClients,
    /// The reply is longer than the limit.
    TooLarge,
    /// What came is not the Redis protocol, or an error reply that no other reason fits.
    Protocol,
    /// The reply is not an INFO text that can be understood.
    Parse,
}

impl PollError {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 13] = [
        Self::Timeout,
        Self::Refused,
        Self::Reset,
        Self::Dns,
        Self::Tls,
        Self::Auth,
        Self::Denied,
        Self::Loading,
        Self::Busy,
        Self::MaxClients,
        Self::TooLarge,
        Self::Protocol,
        Self::Parse,
    ];

    /// The reason's label: lower case, with underscores.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Denied => "denied",
            Self::Loading => "loading",
            Self::Busy => "busy",
            Self::MaxClients => "max_clients",
            Self::TooLarge => "too_large",
            Self::Protocol => "protocol",
            Self::Parse => "parse",
        }
    }

    /// What happened and what to do about it, for the person who reads it at night.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Timeout => {
                "gave no answer in time: it is stopped, blocked, or the network drops its packets"
            }
            Self::Refused => {
                "refused the connection: nothing listens there, or a firewall rejects it"
            }
            Self::Reset => {
                "closed the connection: it may be restarting, a proxy cut it, or its port speaks TLS and redis.tls is not set"
            }
            Self::Dns => {
                "has a host name that cannot be resolved: check the name and this machine's DNS"
            }
            Self::Tls => {
                "failed the TLS handshake: check its certificate, redis.tls and whether the port speaks TLS; the log says more"
            }
            Self::Auth => "refused the credentials: check redis.username and redis.password",
            Self::Denied => "does not let this user call INFO: give it the ACL rule +info",
            Self::Loading => "is loading its data set into memory",
            Self::Busy => "is busy with a script that does not end",
            Self::MaxClients => "has reached maxclients and takes no more connections",
            Self::TooLarge => "sent a reply larger than the limit: is this a Redis server?",
            Self::Protocol => {
                "did not answer in the Redis protocol, or with an error that INFO never has: is this a Redis server?"
            }
            Self::Parse => "sent an INFO reply that cannot be understood: is this a Redis server?",
        }
    }
}

impl fmt::Display for PollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_and_fit_a_metric() {
        let mut labels: Vec<_> = PollError::ALL.iter().map(|e| e.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), PollError::ALL.len());
        assert!(
            labels
                .iter()
                .all(|l| l.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
    }
}
