//! The outcome of an audit, as it is written in JSON.

use serde::{Deserialize, Serialize};

use super::catalogue::row;
use super::facts::ServerAudit;
use super::finding::{Finding, FindingSeverity, IgnoredFinding, NotChecked};
use super::writes::WriteRate;
use crate::model::DoctorCheck;

/// The audit of all entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// How much was found.
    pub summary: AuditSummary,
    /// When, in Unix seconds.
    pub timestamp: f64,
    /// The interruption that replication should survive, in seconds.
    pub survive_seconds: f64,
    /// The entries, worst first.
    pub pairs: Vec<EntryReport>,
    /// Checks that this version cannot make on any server.
    pub not_in_this_version: Vec<MissingCheck>,
}

/// How much was found, over all entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSummary {
    /// Critical findings.
    pub critical: usize,
    /// Warnings.
    pub warning: usize,
    /// Pieces of advice.
    pub advice: usize,
    /// Checks of a server without a result.
    pub not_checked: usize,
    /// Accepted by the configuration.
    pub ignored: usize,
}

/// A check that this version cannot make, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingCheck {
    /// The check.
    pub check: DoctorCheck,
    /// Why.
    pub why: String,
}

/// The audit of one entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryReport {
    /// The entry's name.
    pub pair: String,
    /// Its master, as the servers say; `null` for active-active sites, which have none.
    pub master: Option<ServerRef>,
    /// Its replicas.
    pub replicas: Vec<ServerRef>,
    /// The sites of an entry of `active_active`; of a pair there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<ServerRef>,
    /// How much the master writes; `null` where it could not be measured.
    pub write_rate: Option<RateReport>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What was not checked.
    pub not_checked: Vec<NotChecked>,
    /// What the configuration accepts.
    pub ignored: Vec<IgnoredFinding>,
}

/// A server by its address and datacenter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRef {
    /// Its address.
    pub server: String,
    /// Its datacenter.
    pub dc: String,
}

/// How much a master writes, and on how much history that rests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateReport {
    /// Bytes a second; of a history in its busiest minute.
    pub bytes_per_second: f64,
    /// How long that was measured, or how long the history is.
    pub measured_seconds: f64,
    /// Whether it is the history of a running exporter.
    #[serde(default)]
    pub is_history: bool,
    /// The same as a sentence.
    pub sentence: String,
}

impl ServerRef {
    pub(super) fn new(server: &ServerAudit) -> Self {
        Self {
            server: server.addr.to_string(),
            dc: server.dc.to_string(),
        }
    }
}

impl RateReport {
    pub(super) fn new(rate: &WriteRate) -> Self {
        Self {
            bytes_per_second: rate.per_second(),
            measured_seconds: rate.over().as_secs_f64(),
            is_history: rate.is_history(),
            sentence: rate.to_string(),
        }
    }
}

impl EntryReport {
    /// How much was found in this entry.
    pub fn summary(&self) -> AuditSummary {
        AuditSummary::from_pairs(std::slice::from_ref(self))
    }

    /// The worst finding.
    pub fn worst(&self) -> Option<FindingSeverity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

impl DoctorReport {
    /// The report on `pairs` at `timestamp`.
    pub fn new(mut pairs: Vec<EntryReport>, timestamp: f64, survive_seconds: f64) -> Self {
        // The sort is stable: pairs of the same kind keep the configuration's order.
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.worst()));
        Self {
            summary: AuditSummary::from_pairs(&pairs),
            timestamp,
            survive_seconds,
            pairs,
            not_in_this_version: Vec::new(),
        }
    }

    /// What a check looks at, for people.
    pub fn title(check: DoctorCheck) -> &'static str {
        row(check).title
    }
}

impl AuditSummary {
    fn from_pairs(pairs: &[EntryReport]) -> Self {
        let mut summary = Self::default();
        for pair in pairs {
            summary.ignored += pair.ignored.len();
            for gap in &pair.not_checked {
                summary.not_checked += gap.checks.len();
            }
            for finding in &pair.findings {
                match finding.severity {
                    FindingSeverity::Critical => summary.critical += 1,
                    FindingSeverity::Warning => summary.warning += 1,
                    FindingSeverity::Advice => summary.advice += 1,
                }
            }
        }
        summary
    }

    /// The news in one line.
    pub fn sentence(&self) -> String {
        let counted = |count: usize, one: &str, many: &str| {
            let noun = if count == 1 { one } else { many };
            format!("{count} {noun}")
        };
        let mut parts = Vec::new();
        if self.critical > 0 {
            parts.push(counted(self.critical, "critical", "critical"));
        }
        if self.warning > 0 {
            parts.push(counted(self.warning, "warning", "warnings"));
        }
        if parts.is_empty() {
            parts.push("nothing critical, no warning".to_owned());
        }
        if self.advice > 0 {
            parts.push(counted(self.advice, "piece of advice", "pieces of advice"));
        }
        if self.not_checked > 0 {
            parts.push(counted(self.not_checked, "not checked", "not checked"));
        }
        if self.ignored > 0 {
            parts.push(counted(self.ignored, "ignored", "ignored"));
        }
        parts.join(", ")
    }
}
