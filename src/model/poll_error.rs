//! Why a poll failed: a closed set, which is also the metric's `reason`.

use super::{closed_set, serde_as_label};

closed_set! {
    /// Why a server gave no usable answer to a poll.
    pub enum PollError {
        /// No answer within the timeout.
        Timeout => "timeout",
        /// The connection was refused.
        Refused => "refused",
        /// The connection was closed or reset.
        Reset => "reset",
        /// The host name could not be resolved.
        Dns => "dns",
        /// The TLS handshake failed.
        Tls => "tls",
        /// The server refused the username or password, or asks for one (`WRONGPASS`, `NOAUTH`).
        Auth => "auth",
        /// The user may not call INFO (`NOPERM`).
        Denied => "denied",
        /// The server is loading its data set (`LOADING`).
        Loading => "loading",
        /// The server is busy with a script (`BUSY`).
        Busy => "busy",
        /// The server has no room for another client.
        MaxClients => "max_clients",
        /// The reply is longer than the limit.
        TooLarge => "too_large",
        /// What came is not the Redis protocol, or an error reply that no other reason fits.
        Protocol => "protocol",
        /// The reply is not an INFO text that can be understood.
        Parse => "parse",
    }
}
serde_as_label!(PollError, write only);

impl PollError {
    /// What happened and what to do about it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_fit_a_metric() {
        let is_legal = |b: u8| b.is_ascii_lowercase() || b == b'_';
        for error in PollError::ALL {
            assert!(error.label().bytes().all(is_legal), "{error}");
        }
    }
}
