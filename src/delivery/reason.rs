//! Why a notification was not delivered: closed sets, which are also label values of metrics.

use serde::{Deserialize, Serialize};

use crate::alert::Suppression;

/// Why an attempt to deliver failed. The serialised names are saved on disk; [`Self::label`] is
/// what metrics and the API show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryFailure {
    /// No answer within the timeout.
    Timeout,
    /// No connection, a name that does not resolve, or a failed TLS handshake.
    Connect,
    /// 401 or 403: the receiver rejects the credential.
    Auth,
    /// 429: too many requests.
    RateLimited,
    /// 3xx: never followed, because it would hand the secret to another host.
    Redirect,
    /// Any other 4xx.
    Client,
    /// 5xx.
    Server,
    /// The file of a secret cannot be read; nothing was sent.
    Secret,
}

/// Why a notification was deliberately not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuppressReason {
    /// A newer notification about the same group replaced it before it was sent.
    Superseded,
    /// The group resolved before its receiver was notified that it fires.
    NeverDelivered,
    /// The receiver's queue was full.
    QueueFull,
    /// A resolve that was undeliverable for 24 hours.
    Expired,
    /// The receiver is no longer configured.
    Removed,
    /// A silence.
    Silenced,
    /// A maintenance window.
    Maintenance,
    /// Inhibited: another firing alert explains it.
    Caused,
    /// The alert flaps.
    Flapping,
}

impl From<Suppression> for SuppressReason {
    fn from(why: Suppression) -> Self {
        match why {
            Suppression::Silenced => Self::Silenced,
            Suppression::Maintenance => Self::Maintenance,
            Suppression::Inhibited => Self::Caused,
            Suppression::Flapping => Self::Flapping,
        }
    }
}

impl DeliveryFailure {
    /// All reasons, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Connect,
        Self::Auth,
        Self::RateLimited,
        Self::Redirect,
        Self::Client,
        Self::Server,
        Self::Secret,
    ];

    /// The label's value: in `snake_case`, as all labels are.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Auth => "auth_error",
            Self::RateLimited => "rate_limited",
            Self::Redirect => "redirect",
            Self::Client => "client_error",
            Self::Server => "server_error",
            Self::Secret => "secret_unreadable",
        }
    }
}

impl SuppressReason {
    /// All reasons, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Superseded,
        Self::NeverDelivered,
        Self::QueueFull,
        Self::Expired,
        Self::Removed,
        Self::Silenced,
        Self::Maintenance,
        Self::Caused,
        Self::Flapping,
    ];

    /// The label's value: in `snake_case`, as all labels are.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::NeverDelivered => "never_delivered",
            Self::QueueFull => "queue_full",
            Self::Expired => "expired",
            Self::Removed => "removed",
            Self::Silenced => "silenced",
            Self::Maintenance => "maintenance",
            Self::Caused => "caused",
            Self::Flapping => "flapping",
        }
    }
}
