//! Pair files and DNS names in a report: which are in force, and what is wrong with the others.

use serde::{Deserialize, Serialize};

use crate::monitor::FleetSnapshot;
use crate::topology::{NamesGroup, PairFileState, SourceHealth};

/// What makes pairs come and go without a reload, but for Sentinels and clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiscoveryReport {
    /// The pair files, by path.
    pub files: Vec<PairFileReport>,
    /// The entries of `discovery.dns`, by name.
    pub names: Vec<NamesReport>,
}

/// One pair file, or a path or glob of the configuration that stands for none because of a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairFileReport {
    /// Its path.
    pub file: String,
    /// Whether its present content is in force as a whole.
    pub ok: bool,
    /// The kind of fault, as the metric's `reason`; `null` where there is none.
    pub fault: Option<String>,
    /// What is wrong and what is watched instead, as a sentence; `null` where nothing is wrong.
    pub reason: Option<String>,
    /// How many of its pairs are watched.
    pub pairs: usize,
    /// How often its content turned out to be of no use since the start.
    pub failures_total: u64,
}

/// The DNS names of one pair's servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamesReport {
    /// The pair's name.
    pub pair: String,
    /// The names.
    pub names: Vec<ResolvedNameReport>,
    /// The master by what the servers say; `null` while none says that it is one.
    pub master: Option<String>,
    /// Every server that was found, master and replicas.
    pub servers: Vec<String>,
    /// What is wrong with them as a whole, as a sentence; `null` where nothing is wrong.
    pub reason: Option<String>,
}

/// One DNS name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResolvedNameReport {
    /// The name.
    pub name: String,
    /// Whether the last resolution succeeded; `null` before the first.
    pub ok: Option<bool>,
    /// Why it failed and what is watched instead, as a sentence; `null` where nothing is wrong.
    pub reason: Option<String>,
    /// How many addresses the last good answer had.
    pub addresses: usize,
    /// How many resolutions have failed since the start.
    pub failures_total: u64,
}

impl DiscoveryReport {
    /// Every pair file and DNS name.
    pub(super) fn new(fleet: &FleetSnapshot) -> Self {
        let mut report = Self::default();
        for source in &*fleet.sources {
            match source {
                SourceHealth::Files(group) => {
                    let files = group.files.iter().map(PairFileReport::new);
                    report.files.extend(files);
                }
                SourceHealth::Names(group) => report.names.push(NamesReport::new(group)),
                SourceHealth::Sentinels(_) | SourceHealth::Cluster(_) => {}
            }
        }
        report
    }

    /// What is wrong, a line each: the file or name, and a sentence.
    pub fn troubles(&self) -> Vec<(String, &str)> {
        let mut troubles = Vec::new();
        for file in &self.files {
            if let Some(reason) = &file.reason {
                troubles.push((format!("Pair file {}", file.file), reason.as_str()));
            }
        }
        for entry in &self.names {
            let subject = format!("Names of {}", entry.pair);
            for name in &entry.names {
                if let Some(reason) = &name.reason {
                    troubles.push((subject.clone(), reason));
                }
            }
            if let Some(reason) = &entry.reason {
                troubles.push((subject, reason));
            }
        }
        troubles
    }
}

impl PairFileReport {
    fn new(file: &PairFileState) -> Self {
        let fault = file.failure.as_ref().map(|failure| failure.fault);
        Self {
            file: file.path.display().to_string(),
            ok: fault.is_none(),
            fault: fault.map(|fault| fault.label().to_owned()),
            reason: file.trouble(),
            pairs: file.pairs,
            failures_total: file.failures,
        }
    }
}

impl NamesReport {
    fn new(group: &NamesGroup) -> Self {
        let mut names = Vec::new();
        for name in &group.names {
            names.push(ResolvedNameReport {
                name: name.name.clone(),
                ok: name.is_ok,
                reason: name.trouble(),
                addresses: name.addresses,
                failures_total: name.failures,
            });
        }
        Self {
            pair: group.pair.to_string(),
            names,
            master: group.master.as_ref().map(ToString::to_string),
            servers: group.servers.iter().map(ToString::to_string).collect(),
            reason: group.trouble().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PairName, ServerAddr};
    use crate::topology::{FileFailure, FileFault, ResolvedName};

    #[test]
    fn what_is_wrong_is_a_line_for_each_file_and_name() {
        let failure = FileFailure {
            fault: FileFault::Refused,
            sentence: "[0].name: is missing".into(),
        };
        let file = |path: &str, failure: Option<FileFailure>| PairFileState {
            path: path.into(),
            is_unlisted: false,
            failures: u64::from(failure.is_some()),
            failure,
            pairs: 2,
        };
        let name = ResolvedName {
            name: "redis.example".to_owned(),
            is_ok: Some(false),
            failure: Some("does not exist".into()),
            addresses: 0,
            failures: 3,
        };
        let group = NamesGroup {
            pair: PairName::new("orders"),
            names: vec![name],
            master: None,
            servers: vec![ServerAddr::new("a", 1)],
            answering: 0,
            all_asked: true,
        };
        let files = [file("good.yml", None), file("bad.yml", Some(failure))];
        let report = DiscoveryReport {
            files: files.iter().map(PairFileReport::new).collect(),
            names: vec![NamesReport::new(&group)],
        };
        let lines: Vec<_> = report
            .troubles()
            .into_iter()
            .map(|(subject, reason)| format!("{subject}: {reason}"))
            .collect();
        assert_eq!(
            lines,
            [
                "Pair file bad.yml: [0].name: is missing; its last good content stays: 2 pairs",
                "Names of orders: redis.example does not exist",
                "Names of orders: no server that its names resolve to answers: which one is the \
                 master is not known",
            ]
        );
        assert!(report.files[0].ok && report.files[1].fault.as_deref() == Some("refused"));
    }
}
