//! What a rule about active-active sites sees: one site, and those that it is compared with.

use super::facts::{ServerAudit, ServerFacts};
use super::subject::Verdict;
use crate::model::PairName;

/// Everything that was collected of one entry of `active_active`.
#[derive(Clone, Debug, PartialEq)]
pub struct SitesAudit {
    /// The entry's name.
    pub name: PairName,
    /// Its sites, in the configuration's order.
    pub sites: Vec<ServerAudit>,
    /// The key of their queue; `None` without one.
    pub queue: Option<String>,
}

/// A site whose facts a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct SiteSubject<'a> {
    /// The site.
    pub(super) server: &'a ServerAudit,
    /// Its facts.
    pub(super) facts: &'a ServerFacts,
    /// The key of its queue.
    pub(super) queue: Option<&'a str>,
    /// The sites before it: with all of them, every two sites are compared once.
    pub(super) before: &'a [ServerAudit],
}

/// The rule of a check: what is wrong with one site.
pub(super) type SiteRule = fn(&SiteSubject<'_>) -> Verdict;

impl SiteSubject<'_> {
    /// `command` on this site, for the place of a measurement.
    pub(super) fn on_server(&self, command: &str) -> String {
        format!("{command} on {}", self.server.addr)
    }
}
