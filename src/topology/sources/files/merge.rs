//! The pairs of all pair files together: each name once, and each server with one way to connect to
//! it, also compared with the configuration.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FileFailure, FileFault};
use crate::config::{FilePair, PairSettings, ServerSettings, Settings};
use crate::model::{PairName, ServerAddr};

/// The most pairs of all files together.
pub(super) const MAX_FILE_PAIRS: usize = 20_000;

/// What the configuration defines itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Configured {
    /// The names of its pairs, each with its key path.
    pairs: HashMap<PairName, String>,
    /// The names of its other entries, with which names of pairs begin.
    sources: HashMap<PairName, String>,
    servers: HashMap<ServerAddr, Mention>,
}

/// How a server is connected to, and where that is written.
#[derive(Clone, Debug)]
struct Mention {
    settings: ServerSettings,
    place: String,
}

/// The pairs that are in force, and what each file has beyond them.
#[derive(Clone, Debug, Default)]
pub(super) struct Merged {
    pub(super) entries: Vec<PairSettings>,
    /// How many pairs of each file are in force.
    pub(super) counts: BTreeMap<PathBuf, usize>,
    /// Why some pairs of a file are not: the first reason, and for how many it counts.
    pub(super) left_out: BTreeMap<PathBuf, FileFailure>,
}

impl Configured {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut configured = Self::default();
        for (index, pair) in settings.pairs.iter().enumerate() {
            let place = format!("pairs[{index}] of the configuration");
            for server in servers(pair) {
                configured.mention(server, &place);
            }
            configured.pairs.insert(pair.name.clone(), place);
        }
        let sentinels = settings.sentinels.iter().map(|entry| &entry.name);
        let clusters = settings.clusters.iter().map(|entry| &entry.name);
        let dns = settings.discovery.dns.iter().map(|entry| &entry.name);
        let sources = [
            ("sentinels", sentinels.collect::<Vec<_>>()),
            ("clusters", clusters.collect()),
            ("discovery.dns", dns.collect()),
        ];
        for (key, names) in sources {
            for (index, name) in names.into_iter().enumerate() {
                let place = format!("{key}[{index}] of the configuration");
                configured.sources.insert(name.clone(), place);
            }
        }
        configured
    }

    fn mention(&mut self, server: &ServerSettings, place: &str) {
        if !self.servers.contains_key(&server.addr) {
            let mention = Mention {
                settings: server.clone(),
                place: place.to_owned(),
            };
            self.servers.insert(server.addr.clone(), mention);
        }
    }

    /// Where the configuration has `name`, or an entry whose pairs could be called so.
    fn place_of(&self, name: &PairName) -> Option<&str> {
        if let Some(place) = self.pairs.get(name).or_else(|| self.sources.get(name)) {
            return Some(place);
        }
        let text = name.as_str();
        for (end, _) in text.match_indices('/') {
            let prefix = PairName::new(text.get(..end).unwrap_or_default());
            if let Some(place) = self.sources.get(&prefix) {
                return Some(place);
            }
        }
        None
    }
}

impl Merged {
    /// The pairs of `files`; of several with one name the first is in force.
    pub(super) fn new<'a>(
        files: impl Iterator<Item = (&'a PathBuf, &'a Arc<[FilePair]>)>,
        configured: &Configured,
    ) -> Self {
        let mut merge = Merge {
            configured,
            names: HashMap::new(),
            servers: HashMap::new(),
            merged: Self::default(),
        };
        for (path, pairs) in files {
            merge.add_file(path, pairs);
        }
        merge.merged
    }
}

/// A merge in progress.
struct Merge<'a> {
    configured: &'a Configured,
    names: HashMap<&'a PairName, Place<'a>>,
    servers: HashMap<&'a ServerAddr, (&'a ServerSettings, Place<'a>)>,
    merged: Merged,
}

/// A pair of a file.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    place: &'a str,
}

impl<'a> Merge<'a> {
    fn add_file(&mut self, path: &'a Path, pairs: &'a [FilePair]) {
        let mut count = 0;
        let mut refusals = Vec::new();
        for pair in pairs {
            let place = Place {
                path,
                place: &pair.place,
            };
            match self.check(pair) {
                Ok(()) => {
                    self.add(pair, place);
                    count += 1;
                }
                Err((fault, sentence)) => {
                    let name = &pair.settings.name;
                    let place = &pair.place;
                    refusals.push((fault, format!("{place}: {name} is left out: {sentence}")));
                }
            }
        }
        self.merged.counts.insert(path.to_owned(), count);
        let more = refusals.len().saturating_sub(1);
        if let Some((fault, mut sentence)) = refusals.into_iter().next() {
            if more > 0 {
                sentence += &format!("; and {more} more");
            }
            let failure = FileFailure {
                fault,
                sentence: sentence.into(),
            };
            self.merged.left_out.insert(path.to_owned(), failure);
        }
    }

    /// Why the pair cannot be in force.
    fn check(&self, pair: &'a FilePair) -> Result<(), (FileFault, String)> {
        if self.merged.entries.len() >= MAX_FILE_PAIRS {
            let sentence = format!("the pair files have more than {MAX_FILE_PAIRS} pairs");
            return Err((FileFault::TooMany, sentence));
        }
        let settings = &pair.settings;
        let duplicate = |sentence| Err((FileFault::Duplicate, sentence));
        if let Some(place) = self.configured.place_of(&settings.name) {
            return duplicate(format!("{place} has this name"));
        }
        if let Some(place) = self.names.get(&settings.name) {
            return duplicate(format!("{place} has this name"));
        }
        for server in servers(settings) {
            let configured = self.configured.servers.get(&server.addr);
            let known = configured.map(|known| (&known.settings, known.place.clone()));
            let known = known.or_else(|| {
                let (settings, place) = self.servers.get(&server.addr)?;
                Some((*settings, place.to_string()))
            });
            if let Some((known, place)) = known
                && let Some(difference) = difference(known, server)
            {
                let addr = &server.addr;
                return duplicate(format!(
                    "{place} gives {addr} {difference}; a server is polled once, so give it the \
                     same everywhere"
                ));
            }
        }
        Ok(())
    }

    fn add(&mut self, pair: &'a FilePair, place: Place<'a>) {
        self.names.insert(&pair.settings.name, place);
        for server in servers(&pair.settings) {
            self.servers.entry(&server.addr).or_insert((server, place));
        }
        self.merged.entries.push(pair.settings.clone());
    }
}

/// What two mentions of a server contradict each other in.
fn difference(known: &ServerSettings, other: &ServerSettings) -> Option<&'static str> {
    if known.credentials != other.credentials {
        Some("other credentials")
    } else if known.tls != other.tls {
        Some("other TLS settings")
    } else if known.dc.is_some() && other.dc.is_some() && known.dc != other.dc {
        Some("another datacenter")
    } else {
        None
    }
}

fn servers(pair: &PairSettings) -> impl Iterator<Item = &ServerSettings> {
    std::iter::once(&pair.master).chain(&pair.replicas)
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.path.display(), self.place)
    }
}
