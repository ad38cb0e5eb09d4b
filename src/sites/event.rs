//! What the tasks that ask the sites report.

use super::fault::SiteFault;
use super::probe::{ProbeNews, ProbePath};
use super::reading::SiteReading;
use super::status::DirectionStatus;
use crate::model::{Datacenter, PairName, Timestamp};

/// News of one entry of `active_active`.
#[derive(Clone, Debug)]
pub struct SiteEvent {
    /// The entry.
    pub entry: PairName,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: SiteEventKind,
}

/// What can happen to the sites of an entry.
#[derive(Clone, Debug)]
pub enum SiteEventKind {
    /// A site answered, or why it did not.
    Reading {
        /// The site.
        site: Datacenter,
        /// What it says of itself.
        result: Result<Box<SiteReading>, SiteFault>,
    },
    /// Keys of two sites were compared, or why they were not.
    Compared {
        /// The site whose keys were read.
        source: Datacenter,
        /// The site that may lack them.
        target: Datacenter,
        /// What is known of this direction since.
        result: Result<Box<DirectionStatus>, SiteFault>,
    },
    /// A write was made to see how long it takes, has arrived or was given up.
    Probed {
        /// The site where it was written.
        source: Datacenter,
        /// The site that it goes to.
        target: Datacenter,
        /// The way that it takes.
        path: ProbePath,
        /// What became of it.
        news: ProbeNews,
    },
}
