//! What the exporter's last audit found on the servers of one pair's entry.

use super::Moment;
use crate::doctor::{EntryReport, Finding, FindingSeverity, NotChecked};
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::report::{DoctorStatusReport, Level, seconds_text};

/// The section of a pair's page.
pub(in crate::web::page) struct DoctorView {
    /// How much was found, or why nothing is known.
    pub(in crate::web::page) headline: String,
    /// When the findings were true, and how long ago that is.
    pub(in crate::web::page) ended: Option<(Moment, String)>,
    pub(in crate::web::page) findings: Vec<FindingRow>,
    pub(in crate::web::page) gaps: Vec<GapRow>,
    /// How many findings the configuration accepts.
    pub(in crate::web::page) ignored: usize,
}

/// One finding.
pub(in crate::web::page) struct FindingRow {
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) severity: &'static str,
    pub(in crate::web::page) check: &'static str,
    pub(in crate::web::page) server: String,
    pub(in crate::web::page) what: String,
    pub(in crate::web::page) evidence: String,
    pub(in crate::web::page) consequence: String,
    /// Which server the commands are for.
    pub(in crate::web::page) fix_on: String,
    /// Commands, one a line; empty where there are none.
    pub(in crate::web::page) commands: String,
    /// Lines of redis.conf; empty where there are none.
    pub(in crate::web::page) lines: String,
    pub(in crate::web::page) note: String,
}

/// Checks without a result.
pub(in crate::web::page) struct GapRow {
    pub(in crate::web::page) server: String,
    pub(in crate::web::page) checks: String,
    pub(in crate::web::page) why: String,
}

impl DoctorView {
    /// What is known of the entry called `pair`; `None` where no audit was ever asked for.
    pub(in crate::web::page) fn new(
        fleet: &FleetSnapshot,
        pair: &str,
        now: Timestamp,
    ) -> Option<Self> {
        let doctor = &fleet.doctor;
        let is_used =
            doctor.every.is_some() || doctor.running_since.is_some() || doctor.failure.is_some();
        let Some(last) = &doctor.last else {
            let reason = DoctorStatusReport::reason(fleet);
            return is_used.then(|| Self::unknown(reason.unwrap_or_default()));
        };
        let mut entries = last.report.pairs.iter();
        let is_it = |entry: &&EntryReport| entry.pair == pair && entry.master.is_some();
        let Some(entry) = entries.find(is_it) else {
            return Some(Self::unknown("it is newer than the last audit".to_owned()));
        };
        let ended = fleet.anchor.wall(last.ended).as_secs_f64();
        let age = (now - last.ended).or_zero().as_secs_f64();
        let mut view = Self::of_entry(entry);
        view.ended = Some((Moment::from_unix(ended), seconds_text(age)));
        if let Some(failure) = &doctor.failure {
            view.headline += &format!("; the latest audit brought no newer findings: {failure}");
        }
        Some(view)
    }

    fn unknown(reason: String) -> Self {
        Self {
            headline: reason,
            ended: None,
            findings: Vec::new(),
            gaps: Vec::new(),
            ignored: 0,
        }
    }

    fn of_entry(entry: &EntryReport) -> Self {
        Self {
            headline: entry.summary().sentence(),
            ended: None,
            findings: entry.findings.iter().map(FindingRow::new).collect(),
            gaps: entry.not_checked.iter().map(GapRow::new).collect(),
            ignored: entry.ignored.len(),
        }
    }
}

impl FindingRow {
    fn new(finding: &Finding) -> Self {
        let level = match finding.severity {
            FindingSeverity::Critical => Level::Critical,
            FindingSeverity::Warning => Level::Warning,
            FindingSeverity::Advice => Level::Ok,
        };
        let evidence = &finding.evidence;
        Self {
            level: level.label(),
            severity: finding.severity.label(),
            check: finding.check.label(),
            server: format!("{} in {}", finding.server, finding.dc),
            what: finding.what.clone(),
            evidence: format!(
                "{}; needed: {}; by {}",
                evidence.value, evidence.need, evidence.measured
            ),
            consequence: finding.consequence.clone(),
            fix_on: finding.fix.server.clone(),
            commands: finding.fix.commands.join("\n"),
            lines: finding.fix.lines.join("\n"),
            note: finding.fix.note.clone(),
        }
    }
}

impl GapRow {
    fn new(gap: &NotChecked) -> Self {
        let checks: Vec<&str> = gap.checks.iter().map(|check| check.label()).collect();
        Self {
            server: gap.server.clone(),
            checks: checks.join(" "),
            why: gap.why.clone(),
        }
    }
}
