//! How the names of an entry are: what they resolve to, and which server is the master.

use std::sync::Arc;

use super::NamesSource;
use crate::model::{PairName, ServerAddr};
use crate::topology::sources::entry::SourceEntry;

/// One entry of `discovery.dns`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamesGroup {
    /// The pair's name.
    pub pair: PairName,
    /// Its names, in alphabetical order.
    pub names: Vec<ResolvedName>,
    /// The master by what the servers say; `None` while none says that it is one.
    pub master: Option<ServerAddr>,
    /// Every server that was found, master and replicas.
    pub servers: Vec<ServerAddr>,
    /// How many of them said which role they have, the last time.
    pub answering: usize,
    /// Whether every server was asked once.
    pub all_asked: bool,
}

/// One DNS name.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedName {
    /// The name.
    pub name: String,
    /// Whether the last resolution succeeded; `None` before the first.
    pub is_ok: Option<bool>,
    /// Why the last resolution failed, as a sentence whose subject is the name.
    pub failure: Option<Arc<str>>,
    /// How many addresses the last good answer had.
    pub addresses: usize,
    /// How many resolutions have failed since the start.
    pub failures: u64,
}

impl NamesGroup {
    /// What is wrong with the entry as a whole; `None` where nothing is, or nothing is known yet.
    pub fn trouble(&self) -> Option<&'static str> {
        if self.servers.is_empty() || self.master.is_some() || !self.all_asked {
            return None;
        }
        Some(if self.answering == 0 {
            "no server that its names resolve to answers: which one is the master is not known"
        } else {
            "no server that its names resolve to says that it is a master: add the name of the master"
        })
    }
}

impl ResolvedName {
    /// What is wrong with the name and what is watched instead; `None` where nothing is.
    pub fn trouble(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let name = &self.name;
        Some(match self.addresses {
            0 => format!("{name} {failure}"),
            count => format!("{name} {failure}; the {count} servers of the last good answer stay"),
        })
    }
}

/// The names of `source`.
pub(in crate::topology::sources) fn group(source: &SourceEntry<NamesSource>) -> NamesGroup {
    let kind = &source.kind;
    let mut names = Vec::new();
    for (name, state) in &kind.names {
        names.push(ResolvedName {
            name: name.clone(),
            is_ok: state.was_resolved.then_some(state.failure.is_none()),
            failure: state.failure.clone(),
            addresses: state.addresses.len(),
            failures: state.failures,
        });
    }
    NamesGroup {
        pair: kind.settings.name.clone(),
        names,
        master: kind.master.clone(),
        servers: kind.addresses.keys().cloned().collect(),
        answering: source
            .views()
            .filter(|(_, view)| view.role.is_some())
            .count(),
        all_asked: source.answers().all(|(_, answer)| answer.is_some()),
    }
}
