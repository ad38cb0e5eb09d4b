//! The catalogue: what every check looks at, when it finds something, and why that matters. One
//! constant a check, one file a chapter. docs/doctor.md is made from it.

mod persistence;
mod practice;
mod promotion;
mod replication;
mod sentinels;
mod setup;
mod sites;

pub(super) use sites::SITE_CHECKS;

use super::subject::Rule;
use crate::model::DoctorCheck;

/// Which servers of an entry a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckScope {
    /// The master.
    Master,
    /// Each replica, compared with the master.
    Replica,
    /// Master and replicas alike: after a switch their roles change.
    Each,
    /// Each active-active site; nothing of a pair.
    Site,
}

/// Everything about a check.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(test),
    allow(
        dead_code,
        reason = "some of it is read only by the test of the documentation"
    )
)]
pub(super) struct CheckRow {
    /// What it is about.
    pub(super) title: &'static str,
    /// The commands that it needs.
    pub(super) looks_at: &'static str,
    /// The versions from which on it is made.
    pub(super) versions: &'static str,
    /// What is critical, a warning and advice.
    pub(super) finds: &'static str,
    /// What follows from a finding, as one sentence.
    pub(super) consequence: &'static str,
    /// When a finding may be wrong.
    pub(super) may_be_wrong: &'static str,
    /// Where the rule comes from.
    pub(super) source: &'static str,
    /// The servers that it looks at.
    pub(super) scope: CheckScope,
    /// Its rule.
    pub(super) rule: Rule,
}

/// The row of `check`.
pub(super) const fn row(check: DoctorCheck) -> &'static CheckRow {
    match check {
        DoctorCheck::A1 => &promotion::A1,
        DoctorCheck::A2 => &promotion::A2,
        DoctorCheck::A3 => &promotion::A3,
        DoctorCheck::A4 => &promotion::A4,
        DoctorCheck::A5 => &promotion::A5,
        DoctorCheck::A6 => &promotion::A6,
        DoctorCheck::A7 => &promotion::A7,
        DoctorCheck::A8 => &promotion::A8,
        DoctorCheck::A9 => &promotion::A9,
        DoctorCheck::A10 => &promotion::A10,
        DoctorCheck::A11 => &promotion::A11,
        DoctorCheck::A12 => &promotion::A12,
        DoctorCheck::A13 => &promotion::A13,
        DoctorCheck::A14 => &promotion::A14,
        DoctorCheck::B1 => &replication::B1,
        DoctorCheck::B2 => &replication::B2,
        DoctorCheck::B3 => &replication::B3,
        DoctorCheck::B4 => &replication::B4,
        DoctorCheck::B5 => &replication::B5,
        DoctorCheck::B6 => &replication::B6,
        DoctorCheck::B7 => &replication::B7,
        DoctorCheck::B8 => &replication::B8,
        DoctorCheck::C1 => &persistence::C1,
        DoctorCheck::C2 => &persistence::C2,
        DoctorCheck::C3 => &persistence::C3,
        DoctorCheck::C4 => &persistence::C4,
        DoctorCheck::C5 => &persistence::C5,
        DoctorCheck::D1 => &setup::D1,
        DoctorCheck::D2 => &setup::D2,
        DoctorCheck::D3 => &setup::D3,
        DoctorCheck::D4 => &setup::D4,
        DoctorCheck::D5 => &setup::D5,
        DoctorCheck::E1 => &sentinels::E1,
        DoctorCheck::E2 => &sentinels::E2,
        DoctorCheck::E3 => &sentinels::E3,
        DoctorCheck::E4 => &sentinels::E4,
        DoctorCheck::E5 => &sentinels::E5,
        DoctorCheck::E6 => &sentinels::E6,
        DoctorCheck::E7 => &sentinels::E7,
        DoctorCheck::E8 => &sentinels::E8,
        DoctorCheck::F1 => &practice::F1,
        DoctorCheck::F2 => &practice::F2,
        DoctorCheck::F3 => &practice::F3,
        DoctorCheck::G1 => &sites::G1,
        DoctorCheck::G2 => &sites::G2,
        DoctorCheck::G3 => &sites::G3,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HEAD: &str = "| check | looks at | from | finds | then | may be wrong when | source |\n\
                        |---|---|---|---|---|---|---|\n";

    fn table() -> String {
        let mut table = HEAD.to_owned();
        for check in DoctorCheck::ALL {
            let row = row(check);
            let cells = [
                row.looks_at,
                row.versions,
                row.finds,
                row.consequence,
                row.may_be_wrong,
                row.source,
            ];
            table += &format!("| **{check}** {} | {} |\n", row.title, cells.join(" | "));
        }
        table
    }

    #[test]
    fn the_documentation_has_every_check() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once("## The checks\n\n").unwrap();
        let (intro, rest) = after.split_once("| check |").unwrap();
        let end = rest.find("\n\n").unwrap();
        let made = format!(
            "{before}## The checks\n\n{intro}{}{}",
            table().trim_end(),
            &rest[end..]
        );
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, made).unwrap();
            return;
        }
        assert_eq!(text, made, "run: make docs-update");
    }

    #[test]
    fn consequences_are_sentences() {
        for check in DoctorCheck::ALL {
            let row = row(check);
            assert!(row.consequence.ends_with('.'), "{check}");
            assert!(!row.title.is_empty() && !row.source.is_empty(), "{check}");
            assert!(!table().contains("\n\n"));
        }
    }
}
