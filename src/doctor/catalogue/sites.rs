//! Chapter G: sites that applications write to side by side (`active_active`).

use super::super::rules::sites;
use super::super::site_subject::SiteRule;
use super::CheckRow;
use super::CheckScope::Site;
use crate::model::DoctorCheck;

/// The checks of this chapter, each with its rule.
pub(in crate::doctor) const SITE_CHECKS: [(DoctorCheck, SiteRule); 3] = [
    (DoctorCheck::G1, sites::eviction),
    (DoctorCheck::G2, sites::persistence),
    (DoctorCheck::G3, sites::clocks),
];

pub(super) const G1: CheckRow = CheckRow {
    title: "what a full site evicts",
    looks_at: "`INFO memory`",
    versions: "5.0",
    finds: "critical: an allkeys policy where there is a `sync_queue`; warning: one without a queue; advice: a volatile \
            policy with a limit of memory, or an allkeys policy without a limit",
    consequence: "The queue is one key: a full server may evict all of it at once, with every write that the other site \
                  lacks, and tombstones, so that deleted keys come back.",
    may_be_wrong: "the limit is never reached",
    source: "redis.conf, maxmemory-policy; docs/active-active.md",
    scope: Site,
    rule: sites::of_no_pair,
};

pub(super) const G2: CheckRow = CheckRow {
    title: "what a restart of a site loses",
    looks_at: "`CONFIG GET save`, `INFO persistence`",
    versions: "5.0",
    finds: "critical: neither an append-only file nor snapshots; warning: snapshots alone",
    consequence: "What was written since the last snapshot is gone, with its entries in the queue; counters go back, and \
                  what is counted then is swallowed by the next merge of clients other than the library.",
    may_be_wrong: "a replica takes over in every restart, and is never behind",
    source: "docs/active-active.md",
    scope: Site,
    rule: sites::of_no_pair,
};

pub(super) const G3: CheckRow = CheckRow {
    title: "the clocks of the sites",
    looks_at: "`TIME` of every site",
    versions: "5.0",
    finds: "warning: apart by half a second for certain; critical: by 5 s",
    consequence: "The site with the later clock wins over later writes of the other one.",
    may_be_wrong: "-",
    source: "docs/active-active.md",
    scope: Site,
    rule: sites::of_no_pair,
};
