//! The rows of pair files and DNS names.

use super::NOT_KNOWN;
use crate::report::{Level, NamesReport, PairFileReport, ResolvedNameReport};

/// A pair file or a DNS name.
pub(in crate::web::page) struct DiscoveryRow {
    /// Where pairs come from.
    pub(in crate::web::page) source: String,
    /// What they are.
    pub(in crate::web::page) kind: &'static str,
    pub(in crate::web::page) state: &'static str,
    /// What is watched of it.
    pub(in crate::web::page) found: String,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) trouble: String,
}

impl DiscoveryRow {
    pub(in crate::web::page) fn of_file(file: &PairFileReport) -> Self {
        let (state, level) = state(Some(file.ok));
        Self {
            source: file.file.clone(),
            kind: "pair file",
            state,
            found: counted(file.pairs, "pair"),
            level: level.label(),
            trouble: file.reason.clone().unwrap_or_else(|| NOT_KNOWN.to_owned()),
        }
    }

    /// The names of an entry. What is wrong with the entry as a whole is said at the first.
    pub(in crate::web::page) fn of_names(entry: &NamesReport) -> Vec<Self> {
        let mut rows = Vec::new();
        for name in &entry.names {
            rows.push(Self::of_name(entry, name));
        }
        if let (Some(first), Some(reason)) = (rows.first_mut(), &entry.reason) {
            first.level = Level::Warning.label();
            if first.trouble == NOT_KNOWN {
                first.trouble.clone_from(reason);
            } else {
                first.trouble += &format!("; {reason}");
            }
        }
        rows
    }

    fn of_name(entry: &NamesReport, name: &ResolvedNameReport) -> Self {
        let (state, level) = state(name.ok);
        Self {
            source: format!("{} ({})", name.name, entry.pair),
            kind: "DNS name",
            state,
            found: counted(name.addresses, "server"),
            level: level.label(),
            trouble: name.reason.clone().unwrap_or_else(|| NOT_KNOWN.to_owned()),
        }
    }
}

const fn state(ok: Option<bool>) -> (&'static str, Level) {
    match ok {
        Some(true) => ("ok", Level::Ok),
        Some(false) => ("failed", Level::Warning),
        None => (NOT_KNOWN, Level::Ok),
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
