//! Why nothing was learned of a site.

use crate::active_active::SiteError;
use crate::model::closed_set;

closed_set! {
    /// Why a request to a site failed: the reasons of [`SiteError`] that reading can have.
    pub enum SiteFaultReason {
        /// No answer in time.
        Timeout => "timeout",
        /// There is no connection, or it broke.
        Disconnected => "disconnected",
        /// The server is reading its data from the disk.
        Loading => "loading",
        /// A replica that has lost its master and refuses to answer.
        MasterDown => "master_down",
        /// A script or a command has been running for too long.
        Busy => "busy",
        /// The cluster is down or is moving the key.
        Cluster => "cluster",
        /// The login is missing or wrong.
        Auth => "auth",
        /// The user lacks a right.
        Denied => "denied",
        /// The queue, or a list beside it, holds another type of value.
        WrongType => "wrong_type",
        /// The reply exceeds what the connection accepts.
        TooLarge => "too_large",
        /// A reply of another shape, or another error.
        Unexpected => "unexpected",
    }
}

impl From<&SiteError> for SiteFaultReason {
    fn from(error: &SiteError) -> Self {
        match error {
            SiteError::Timeout => Self::Timeout,
            SiteError::Disconnected => Self::Disconnected,
            SiteError::Loading => Self::Loading,
            SiteError::MasterDown => Self::MasterDown,
            SiteError::Busy => Self::Busy,
            SiteError::Cluster => Self::Cluster,
            SiteError::Login => Self::Auth,
            SiteError::Denied => Self::Denied,
            SiteError::WrongType => Self::WrongType,
            SiteError::TooLarge => Self::TooLarge,
            // What only writes can meet, too.
            SiteError::ReadOnly
            | SiteError::NoWrites
            | SiteError::Overflow
            | SiteError::NotANumber
            | SiteError::Unexpected(_) => Self::Unexpected,
        }
    }
}

/// What is wrong with a site, or with the comparison of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFault {
    /// Its kind, for counting.
    pub reason: SiteFaultReason,
    /// What happened and where, as a sentence without its end.
    pub why: String,
}
