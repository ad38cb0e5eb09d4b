//! The metrics of the exporter's last audit.

use std::collections::BTreeSet;

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label};
use crate::doctor::{EntryReport, FindingSeverity};
use crate::monitor::FleetSnapshot;

/// The findings of every entry that is still monitored; nothing before the first audit has ended.
pub(super) fn add_findings(families: &mut Families, snapshot: &FleetSnapshot) {
    let Some(last) = &snapshot.doctor.last else {
        return;
    };
    let pairs = snapshot.pairs.iter();
    let monitored: BTreeSet<&str> = pairs.map(|pair| pair.meta.key.name.as_str()).collect();
    let entries = snapshot.active_active.iter();
    let sites: BTreeSet<&str> = entries.map(|entry| entry.name.as_str()).collect();
    let ended = snapshot.anchor.wall(last.ended);
    for entry in &last.report.pairs {
        let name = entry.pair.as_str();
        let is_shown = match entry.master {
            Some(_) => monitored.contains(name),
            // Sites may have the name of a pair, which then has the series.
            None => sites.contains(name) && !monitored.contains(name),
        };
        if !is_shown {
            continue;
        }
        let labels = SeriesLabels::new([label("pair", &entry.pair)]);
        let counts =
            FindingSeverity::ALL.map(|severity| (severity.label(), count(entry, severity)));
        families.add_each(&c::DOCTOR_FINDINGS, &labels, "severity", counts);
        let open = entry.not_checked.iter().map(|gap| gap.checks.len());
        families.add(&c::DOCTOR_NOT_CHECKED, &labels, open.sum::<usize>());
        families.add(&c::DOCTOR_LAST_RUN, &labels, ended);
    }
}

fn count(entry: &EntryReport, severity: FindingSeverity) -> usize {
    let findings = entry.findings.iter();
    findings
        .filter(|finding| finding.severity == severity)
        .count()
}
