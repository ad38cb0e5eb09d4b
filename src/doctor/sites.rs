//! The audit of active-active sites: each of them alone, and their clocks against each other. They
//! have no master and no replicas, so the chapters about pairs say nothing of them.

use super::book::Book;
use super::catalogue::SITE_CHECKS;
use super::facts::{Gap, ServerAudit};
use super::report::{EntryReport, ServerRef};
use super::site_subject::{SiteSubject, SitesAudit};
use super::subject::AuditOptions;
use crate::config::DoctorException;

/// Makes every check of the sites of `entry`. What fits one of `exceptions` is listed apart.
pub(super) fn audit_sites(
    entry: &SitesAudit,
    exceptions: &[DoctorException],
    options: AuditOptions,
) -> EntryReport {
    let mut book = Book::new(&entry.name, exceptions, options);
    let mut before = Vec::new();
    for server in &entry.sites {
        audit_site(entry, server, &before, &mut book);
        before.push(server.clone());
    }
    let closed = book.close();
    EntryReport {
        pair: entry.name.to_string(),
        master: None,
        replicas: Vec::new(),
        sites: entry.sites.iter().map(ServerRef::new).collect(),
        write_rate: None,
        findings: closed.findings,
        not_checked: closed.not_checked,
        ignored: closed.ignored,
    }
}

fn audit_site(
    entry: &SitesAudit,
    server: &ServerAudit,
    before: &[ServerAudit],
    book: &mut Book<'_>,
) {
    let addr = server.addr.to_string();
    let dc = server.dc.to_string();
    for (check, rule) in SITE_CHECKS {
        let verdict = match &server.facts {
            Ok(facts) => rule(&SiteSubject {
                server,
                facts,
                queue: entry.queue.as_deref(),
                before,
            }),
            Err(why) => Err(Gap::because(format!("it could not be asked: {why}"))),
        };
        match verdict {
            Ok(problems) => {
                for problem in problems {
                    book.add_problem(check, addr.clone(), dc.clone(), problem);
                }
            }
            Err(Gap::NotApplicable) => {}
            Err(Gap::NotChecked(why)) => book.add_gap(check, addr.clone(), dc.clone(), why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::directive::Directive;
    use super::super::facts::{ServerFacts, Setting};
    use super::super::finding::FindingSeverity;
    use super::super::testing::{options, sites};
    use super::*;
    use crate::info::Field;
    use crate::model::{Bytes, DoctorCheck, Span, WallTime};

    fn second(entry: &mut SitesAudit) -> &mut ServerFacts {
        entry.sites[1].facts.as_mut().unwrap()
    }

    fn report(entry: &SitesAudit) -> EntryReport {
        audit_sites(entry, &[], options())
    }

    fn findings(entry: &SitesAudit) -> Vec<(DoctorCheck, FindingSeverity, String)> {
        let found = report(entry).findings.into_iter();
        found.map(|f| (f.check, f.severity, f.dc)).collect()
    }

    #[test]
    fn sites_that_are_well_set_up_have_no_finding() {
        let report = report(&sites());
        assert!(report.findings.is_empty(), "{report:#?}");
        assert!(report.not_checked.is_empty(), "{report:#?}");
        assert_eq!(report.master, None);
        assert_eq!(report.sites[1].dc, "dc2");
    }

    #[test]
    fn a_site_that_may_evict_its_queue_is_found() {
        let mut entry = sites();
        let policies = [
            ("allkeys-lru", FindingSeverity::Critical),
            ("volatile-ttl", FindingSeverity::Advice),
        ];
        for (policy, severity) in policies {
            second(&mut entry).details.eviction_policy = Field::Value(policy.to_owned());
            let expected = (DoctorCheck::G1, severity, "dc2".to_owned());
            assert_eq!(findings(&entry), [expected], "{policy}");
        }
        second(&mut entry).details.eviction_policy = Field::Value("allkeys-lfu".to_owned());
        let report = report(&entry);
        let what = &report.findings[0].what;
        assert!(what.contains("the whole queue sync_queue"), "{what}");
        entry.queue = None;
        assert_eq!(findings(&entry)[0].1, FindingSeverity::Warning);
        second(&mut entry).details.max_memory = Field::None;
        assert_eq!(findings(&entry)[0].1, FindingSeverity::Advice);
        second(&mut entry).details.max_memory = Field::Value(Bytes::new(1));
        second(&mut entry).details.eviction_policy = Field::Missing;
        let report = audit_sites(&entry, &[], options());
        assert_eq!(report.not_checked[0].checks, [DoctorCheck::G1]);
    }

    #[test]
    fn a_site_that_loses_its_queue_in_a_restart_is_found() {
        let mut entry = sites();
        let facts = second(&mut entry);
        facts.observation.persistence.aof_enabled = Field::Value(false);
        let found = |severity| vec![(DoctorCheck::G2, severity, "dc2".to_owned())];
        assert_eq!(findings(&entry), found(FindingSeverity::Warning));
        let nothing = Setting::Known(String::new());
        second(&mut entry).settings.insert(Directive::Save, nothing);
        assert_eq!(findings(&entry), found(FindingSeverity::Critical));
        let denied = Setting::Denied;
        second(&mut entry).settings.insert(Directive::Save, denied);
        let report = report(&entry);
        assert_eq!(report.not_checked[0].checks, [DoctorCheck::G2]);
    }

    #[test]
    fn clocks_that_are_apart_are_found_once() {
        for (apart, severity) in [
            (Span::from_millis(700), FindingSeverity::Warning),
            (Span::from_secs(9), FindingSeverity::Critical),
        ] {
            let mut entry = sites();
            let clock = second(&mut entry).clock.as_mut().unwrap();
            let ahead = clock.wall.as_nanos() + apart.as_nanos();
            clock.wall = WallTime::from_nanos(ahead);
            let expected = (DoctorCheck::G3, severity, "dc2".to_owned());
            assert_eq!(findings(&entry), [expected]);
        }
    }

    #[test]
    fn a_site_that_does_not_answer_is_not_clean() {
        let mut entry = sites();
        entry.sites[0].facts = Err("connection refused".to_owned());
        let report = report(&entry);
        assert!(report.findings.is_empty(), "{report:#?}");
        let gap = &report.not_checked[0];
        assert_eq!(gap.dc, "dc1");
        assert_eq!(
            gap.checks,
            [DoctorCheck::G1, DoctorCheck::G2, DoctorCheck::G3]
        );
    }
}
