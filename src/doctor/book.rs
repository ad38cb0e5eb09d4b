//! What an audit has found so far, exceptions applied.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::catalogue::row;
use super::finding::{Finding, IgnoredFinding, NotChecked, Problem};
use super::subject::AuditOptions;
use crate::config::DoctorException;
use crate::model::{DoctorCheck, PairName};

/// What was found in one entry.
pub(super) struct Book<'a> {
    exceptions: Vec<&'a DoctorException>,
    today: Date,
    findings: Vec<Finding>,
    ignored: Vec<IgnoredFinding>,
    /// Checks without a result, by server, its datacenter and the reason.
    gaps: BTreeMap<(String, String, String), Vec<DoctorCheck>>,
}

/// The book when the audit is over.
pub(super) struct Closed {
    /// Worst first.
    pub(super) findings: Vec<Finding>,
    pub(super) not_checked: Vec<NotChecked>,
    pub(super) ignored: Vec<IgnoredFinding>,
}

impl<'a> Book<'a> {
    /// An empty book about the entry `name`.
    pub(super) fn new(
        name: &PairName,
        exceptions: &'a [DoctorException],
        options: AuditOptions,
    ) -> Self {
        let fits = |exception: &&DoctorException| match &exception.pair {
            Some(glob) => glob.matches(name.as_str()),
            None => true,
        };
        Self {
            exceptions: exceptions.iter().filter(fits).collect(),
            today: day_of(options),
            findings: Vec::new(),
            ignored: Vec::new(),
            gaps: BTreeMap::new(),
        }
    }

    /// A check has no result on `server` in `dc`.
    pub(super) fn add_gap(&mut self, check: DoctorCheck, server: String, dc: String, why: String) {
        match self.exception(check) {
            Some(exception) if !self.has_ended(exception) => {
                let what = format!("not checked: {why}");
                let ignored = ignored(check, server, what, exception);
                self.ignored.push(ignored);
            }
            _ => self.gaps.entry((server, dc, why)).or_default().push(check),
        }
    }

    /// A check has found something on `server` in `dc`.
    pub(super) fn add_problem(
        &mut self,
        check: DoctorCheck,
        server: String,
        dc: String,
        problem: Problem,
    ) {
        let exception = self.exception(check);
        if let Some(exception) = exception
            && !self.has_ended(exception)
        {
            let ignored = ignored(check, server, problem.what, exception);
            self.ignored.push(ignored);
            return;
        }
        let row = row(check);
        self.findings.push(Finding {
            check,
            severity: problem.severity,
            dc,
            server,
            what: problem.what,
            evidence: problem.evidence,
            consequence: problem.consequence.unwrap_or(row.consequence).to_owned(),
            fix: problem.fix,
            source: row.source.to_owned(),
            exception_ended: exception.and_then(ended_sentence),
        });
    }

    /// The exception for `check`: one that is in force before one that has ended.
    fn exception(&self, check: DoctorCheck) -> Option<&'a DoctorException> {
        let mut for_check = self.exceptions.iter().filter(|e| e.check == check);
        let in_force = for_check
            .clone()
            .find(|exception| !self.has_ended(exception));
        in_force.or_else(|| for_check.next()).copied()
    }

    fn has_ended(&self, exception: &DoctorException) -> bool {
        exception.until.is_some_and(|until| until < self.today)
    }

    /// Puts the findings into their order: worst first, the order of the checks among equals.
    pub(super) fn close(mut self) -> Closed {
        self.findings.sort_by(|a, b| {
            let worst_first = b.severity.cmp(&a.severity);
            worst_first.then_with(|| (a.check, &a.server).cmp(&(b.check, &b.server)))
        });
        let mut not_checked = Vec::with_capacity(self.gaps.len());
        for ((server, dc, why), checks) in self.gaps {
            not_checked.push(NotChecked {
                server,
                dc,
                checks,
                why,
            });
        }
        Closed {
            findings: self.findings,
            not_checked,
            ignored: self.ignored,
        }
    }
}

/// The day of `now` in UTC; the first of all days where the clock is unusable, so that no exception
/// ends by it.
fn day_of(options: AuditOptions) -> Date {
    let nanos = i128::from(options.now.as_nanos());
    match jiff::Timestamp::from_nanosecond(nanos) {
        Ok(instant) => instant.to_zoned(TimeZone::UTC).date(),
        Err(_) => Date::MIN,
    }
}

fn ignored(
    check: DoctorCheck,
    server: String,
    what: String,
    exception: &DoctorException,
) -> IgnoredFinding {
    IgnoredFinding {
        check,
        server,
        what,
        reason: exception.reason.clone(),
        until: exception.until.map(|until| until.to_string()),
    }
}

/// That the exception is no longer in force.
fn ended_sentence(exception: &DoctorException) -> Option<String> {
    let until = exception.until?;
    Some(format!(
        "it was accepted until {until}: {}",
        exception.reason
    ))
}
