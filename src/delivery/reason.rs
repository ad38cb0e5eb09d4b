//! Why a notification was not delivered: closed sets, which are also label values of metrics.

use serde::{Deserialize, Serialize};

use crate::alert::Suppression;
use crate::model::closed_set;

closed_set! {
    /// Why an attempt to deliver failed. The serialised names are saved on disk; [`Self::label`] is
    /// what metrics and the API show.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum DeliveryFailure {
        /// No answer within the timeout.
        Timeout => "timeout",
        /// No connection, a name that does not resolve, or a failed TLS handshake.
        Connect => "connect",
        /// 401 or 403: the receiver rejects the credential.
        Auth => "auth_error",
        /// 429: too many requests.
        RateLimited => "rate_limited",
        /// 3xx: never followed, because it would hand the secret to another host.
        Redirect => "redirect",
        /// Any other 4xx.
        Client => "client_error",
        /// 5xx.
        Server => "server_error",
        /// The file of a secret cannot be read; nothing was sent.
        Secret => "secret_unreadable",
    }
}

closed_set! {
    /// Why a notification was deliberately not sent.
    pub enum SuppressReason {
        /// A newer notification about the same group replaced it before it was sent.
        Superseded => "superseded",
        /// The group resolved before its receiver was notified that it fires.
        NeverDelivered => "never_delivered",
        /// The receiver's queue was full.
        QueueFull => "queue_full",
        /// A resolve that was undeliverable for 24 hours.
        Expired => "expired",
        /// The receiver is no longer configured.
        Removed => "removed",
        /// A silence.
        Silenced => "silenced",
        /// A maintenance window.
        Maintenance => "maintenance",
        /// An operation that is under way and causes it.
        Operation => "operation",
        /// Inhibited: another firing alert explains it.
        Inhibited => "caused",
        /// The alert flaps.
        Flapping => "flapping",
    }
}

impl From<Suppression> for SuppressReason {
    fn from(why: Suppression) -> Self {
        match why {
            Suppression::Silenced => Self::Silenced,
            Suppression::Maintenance => Self::Maintenance,
            Suppression::Operation => Self::Operation,
            Suppression::Inhibited => Self::Inhibited,
            Suppression::Flapping => Self::Flapping,
        }
    }
}
