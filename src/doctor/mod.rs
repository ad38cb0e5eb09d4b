//! The audit for disaster recovery: what would go wrong if the master's datacenter were lost, or if
//! its replica took over, found before it happens.
//!
//! **Invariant:** pure. The facts come from elsewhere (`app/audit`); here is what they mean. A rule
//! is a function from the facts of an entry to its problems; a fact that is missing makes a check
//! "not checked: why", which is neither clean nor a warning. No secret is kept: of passwords only
//! whether they are set, of ACL users only their names and a fingerprint.
//!
//! A check is a variant of [`DoctorCheck`](crate::model::DoctorCheck), a row in `catalogue` (from
//! which docs/doctor.md is made) and a rule in `rules`; the compiler asks for all three. Chapter A
//! alone, for one replica, is [`promotion_traps`]: what a failover has to know first.

mod acl;
mod audit;
mod book;
mod catalogue;
mod commands;
mod directive;
mod facts;
mod finding;
mod report;
mod rights;
mod round_trip;
mod rules;
mod site_subject;
mod sites;
mod subject;
#[cfg(test)]
pub(crate) mod testing;
mod version;
mod writes;

pub use acl::AclUsers;
pub use audit::{PromotionTraps, audit, audit_all, promotion_traps};
pub use commands::KnownCommands;
pub use directive::Directive;
pub use facts::{ClockReading, Gap, ServerAudit, ServerFacts, Setting};
pub use finding::{Evidence, Finding, FindingSeverity, Fix, IgnoredFinding, NotChecked};
pub use report::{AuditSummary, DoctorReport, EntryReport, MissingCheck, RateReport, ServerRef};
pub use rights::{FAILOVER_RIGHTS, OperatorRights, SentinelUsers};
pub use site_subject::SitesAudit;
pub use subject::{AuditOptions, EntryAudit, SentinelAudit};
pub use writes::{PEAK_WINDOWS, WriteHistory, WritePeak, WriteRate};
