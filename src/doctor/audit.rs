//! The audit of one entry: every rule on every server that it looks at, exceptions applied.

use super::book::Book;
use super::catalogue::{CheckScope, row};
use super::facts::{Gap, ServerAudit};
use super::finding::{Finding, IgnoredFinding, NotChecked, Problem};
use super::report::{DoctorReport, EntryReport, RateReport, ServerRef};
use super::site_subject::SitesAudit;
use super::sites::audit_sites;
use super::subject::{AuditOptions, EntryAudit, SentinelAudit, Subject};
use crate::config::DoctorException;
use crate::info::Role;
use crate::model::{DoctorCheck, ServerAddr};

/// The checks that ask each Sentinel.
const SENTINEL_CHECKS: [DoctorCheck; 6] = [
    DoctorCheck::E2,
    DoctorCheck::E3,
    DoctorCheck::E4,
    DoctorCheck::E5,
    DoctorCheck::E6,
    DoctorCheck::E7,
];

/// Makes every check of `entry`. What fits one of `exceptions` is listed apart.
pub fn audit(
    entry: &EntryAudit,
    exceptions: &[DoctorException],
    options: AuditOptions,
) -> EntryReport {
    let mut auditor = Auditor::new(entry, exceptions, options);
    auditor.run();
    auditor.into_report()
}

/// The report on `entries` and on active-active `sites`. What fits one of `exceptions` is listed
/// apart.
pub fn audit_all(
    entries: &[EntryAudit],
    sites: &[SitesAudit],
    exceptions: &[DoctorException],
    options: AuditOptions,
) -> DoctorReport {
    let mut reports = Vec::with_capacity(entries.len() + sites.len());
    for entry in entries {
        reports.push(audit(entry, exceptions, options));
    }
    for entry in sites {
        reports.push(audit_sites(entry, exceptions, options));
    }
    let timestamp = options.now.as_secs_f64();
    DoctorReport::new(reports, timestamp, options.survive.as_secs_f64())
}

/// What a promotion of one replica would run into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotionTraps {
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What was not checked, and why: it may be a trap as well.
    pub not_checked: Vec<NotChecked>,
    /// What the configuration accepts.
    pub ignored: Vec<IgnoredFinding>,
}

/// Makes the checks of chapter A alone, for a promotion of the replica at `target`: what makes it
/// useless in the second after that, whatever its link and its offset say. A failover asks this
/// first. Nothing but a check that was not made comes of a `target` that is none of the replicas.
pub fn promotion_traps(
    entry: &EntryAudit,
    target: &ServerAddr,
    exceptions: &[DoctorException],
    options: AuditOptions,
) -> PromotionTraps {
    let mut auditor = Auditor::new(entry, exceptions, options);
    auditor.run_for_promotion(target);
    let report = auditor.into_report();
    PromotionTraps {
        findings: report.findings,
        not_checked: report.not_checked,
        ignored: report.ignored,
    }
}

struct Auditor<'a> {
    entry: &'a EntryAudit,
    options: AuditOptions,
    book: Book<'a>,
}

impl<'a> Auditor<'a> {
    fn new(
        entry: &'a EntryAudit,
        exceptions: &'a [DoctorException],
        options: AuditOptions,
    ) -> Self {
        Self {
            entry,
            options,
            book: Book::new(&entry.name, exceptions, options),
        }
    }

    /// Makes the checks of chapter A on the replica at `target`, and those of them that are about
    /// any server also on the master, which becomes a replica.
    fn run_for_promotion(&mut self, target: &ServerAddr) {
        let entry = self.entry;
        let Some(replica) = entry.replicas.iter().find(|server| server.addr == *target) else {
            let why = format!("{target} is no replica of {}", entry.name);
            let dc = entry.master.dc.to_string();
            for check in DoctorCheck::ALL {
                if check.is_promotion_trap() {
                    let target = target.to_string();
                    self.book.add_gap(check, target, dc.clone(), why.clone());
                }
            }
            return;
        };
        for check in DoctorCheck::ALL {
            if !check.is_promotion_trap() {
                continue;
            }
            let scope = row(check).scope;
            if scope == CheckScope::Each {
                self.check(check, &entry.master, scope);
            }
            self.check(check, replica, scope);
        }
    }

    fn run(&mut self) {
        self.audit_server(&self.entry.master, true);
        for replica in &self.entry.replicas {
            self.audit_server(replica, false);
        }
        for sentinel in &self.entry.sentinels {
            self.note_silence(sentinel);
        }
    }

    fn audit_server(&mut self, server: &'a ServerAudit, is_master: bool) {
        for check in DoctorCheck::ALL {
            let scope = row(check).scope;
            let fits = match scope {
                CheckScope::Master => is_master,
                CheckScope::Replica => !is_master,
                CheckScope::Each => true,
                CheckScope::Site => false,
            };
            if fits {
                self.check(check, server, scope);
            }
        }
    }

    /// Makes one check on one server.
    fn check(&mut self, check: DoctorCheck, server: &'a ServerAudit, scope: CheckScope) {
        if is_about_sentinels(check) && !self.entry.has_sentinels() {
            return;
        }
        let facts = match &server.facts {
            Ok(facts) => facts,
            Err(why) => {
                let why = format!("it could not be asked: {why}");
                return self.add_gap(check, server, Gap::NotChecked(why));
            }
        };
        if let Some(gap) = wrong_kind(server, scope) {
            return self.add_gap(check, server, gap);
        }
        let subject = Subject {
            entry: self.entry,
            server,
            facts,
            options: self.options,
        };
        match (row(check).rule)(&subject) {
            Ok(problems) => {
                for problem in problems {
                    self.add_problem(check, server, problem);
                }
            }
            Err(gap) => self.add_gap(check, server, gap),
        }
    }

    fn note_silence(&mut self, sentinel: &SentinelAudit) {
        let Err(why) = &sentinel.watch else {
            return;
        };
        let why = format!("the Sentinel could not be asked: {why}");
        for check in SENTINEL_CHECKS {
            let server = sentinel.addr.to_string();
            let dc = sentinel.dc.to_string();
            self.book.add_gap(check, server, dc, why.clone());
        }
    }

    fn add_gap(&mut self, check: DoctorCheck, server: &ServerAudit, gap: Gap) {
        let Gap::NotChecked(why) = gap else {
            return;
        };
        let dc = server.dc.to_string();
        self.book.add_gap(check, server.addr.to_string(), dc, why);
    }

    fn add_problem(&mut self, check: DoctorCheck, subject: &ServerAudit, problem: Problem) {
        let addr = problem.server.as_ref().unwrap_or(&subject.addr);
        let server = addr.to_string();
        let dc = self.dc_of(&server);
        self.book.add_problem(check, server, dc, problem);
    }

    /// The datacenter of the server or Sentinel at `addr`.
    fn dc_of(&self, addr: &str) -> String {
        let entry = self.entry;
        let servers = std::iter::once(&entry.master).chain(&entry.replicas);
        let servers = servers.map(|server| (&server.addr, &server.dc));
        let sentinels = entry.sentinels.iter();
        let sentinels = sentinels.map(|sentinel| (&sentinel.addr, &sentinel.dc));
        let mut all = servers.chain(sentinels);
        let found = all.find(|(known, _)| known.to_string() == addr);
        found.map_or_else(String::new, |(_, dc)| dc.to_string())
    }

    fn into_report(self) -> EntryReport {
        let closed = self.book.close();
        let master = &self.entry.master;
        let rate = master.facts().and_then(|facts| facts.write_rate.clone());
        EntryReport {
            pair: self.entry.name.to_string(),
            master: Some(ServerRef::new(master)),
            replicas: self.entry.replicas.iter().map(ServerRef::new).collect(),
            sites: Vec::new(),
            write_rate: rate.ok().as_ref().map(RateReport::new),
            findings: closed.findings,
            not_checked: closed.not_checked,
            ignored: closed.ignored,
        }
    }
}

/// Whether `check` has an object only where Sentinels watch the master.
fn is_about_sentinels(check: DoctorCheck) -> bool {
    let others = [
        DoctorCheck::D2,
        DoctorCheck::D3,
        DoctorCheck::E1,
        DoctorCheck::E8,
    ];
    SENTINEL_CHECKS.contains(&check) || others.contains(&check)
}

/// Why a check of this scope cannot be made on a server of this kind.
fn wrong_kind(server: &ServerAudit, scope: CheckScope) -> Option<Gap> {
    let facts = server.facts.as_ref().ok()?;
    let engine = facts.observation.server.engine;
    if !engine.counts_bytes() {
        let why = format!("it runs {engine}, which doctor does not know");
        return Some(Gap::NotChecked(why));
    }
    let why = match (scope, server.role()) {
        (CheckScope::Replica, Some(Role::Master)) => {
            "it is configured as a replica and says that it is a master: see `check`"
        }
        (CheckScope::Master, Some(Role::Replica)) => {
            "it is configured as the master and says that it is a replica: see `check`"
        }
        _ => return None,
    };
    Some(Gap::because(why))
}
