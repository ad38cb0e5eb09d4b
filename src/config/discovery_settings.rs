//! The settings of `discovery`, and what reads pair files.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::{
    AlertSettings, ConfigErrors, ConnectionSettings, FilePattern, Format, HeartbeatSettings,
    PairSettings,
};
use crate::model::{PairName, Span, closed_set};

/// `discovery`: pairs that come and go without a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscoverySettings {
    /// The files that list pairs, in the order of the configuration.
    pub files: Vec<FilePattern>,
    /// Pairs whose servers are what DNS names resolve to. Names are unique, also among the other
    /// entries.
    pub dns: Vec<DnsSettings>,
    /// How to connect to servers for which a pair file says nothing else.
    pub servers: ConnectionSettings,
    /// Reads pair files with all that they inherit.
    pub reader: PairFileReader,
}

/// One entry of `discovery.dns`: a pair whose servers are what names resolve to. Which of them is
/// the master, they say themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsSettings {
    /// The pair's name.
    pub name: PairName,
    /// The DNS names; at least one, all distinct.
    pub names: Vec<String>,
    /// Which records they have.
    pub record: DnsRecord,
    /// The port of the servers; SRV records have their own.
    pub port: u16,
    /// The time between two resolutions.
    pub interval: Span,
    /// How long one resolution may take.
    pub timeout: Span,
    /// The name servers; empty means the system's.
    pub nameservers: Vec<SocketAddr>,
    /// How to connect to the servers.
    pub servers: ConnectionSettings,
    /// Labels of every pair.
    pub labels: BTreeMap<String, String>,
    /// The rules of every pair, already merged over the global ones.
    pub alerts: AlertSettings,
    /// The heartbeats of every pair, already merged over the global ones.
    pub heartbeat: HeartbeatSettings,
}

closed_set! {
    /// The DNS records that a name is looked up for.
    pub enum DnsRecord {
        /// A and AAAA: addresses.
        Address => "address",
        /// SRV: host names with ports.
        Srv => "srv",
    }
}

/// A pair of a pair file.
#[derive(Clone, Debug, PartialEq)]
pub struct FilePair {
    /// The key path of its entry, such as `[3]`.
    pub place: String,
    /// The pair.
    pub settings: PairSettings,
}

/// Parses the text of a pair file.
pub trait ParsePairFile: Send + Sync {
    /// The pairs in `text`; relative paths in it start from `folder`.
    ///
    /// # Errors
    /// As of a configuration: after a syntax error only that one, otherwise every problem.
    fn parse(
        &self,
        text: &str,
        format: Format,
        folder: &Path,
    ) -> Result<Vec<FilePair>, ConfigErrors>;
}

/// Reads pair files with what their pairs inherit from the configuration. All readers count as
/// equal: what they differ in is part of the other settings.
#[derive(Clone)]
pub struct PairFileReader(pub(super) Arc<dyn ParsePairFile>);

impl PairFileReader {
    /// As [`ParsePairFile::parse`].
    ///
    /// # Errors
    /// As there.
    pub fn parse(
        &self,
        text: &str,
        format: Format,
        folder: &Path,
    ) -> Result<Vec<FilePair>, ConfigErrors> {
        self.0.parse(text, format, folder)
    }

    /// Whether both come from the same load of the configuration.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for PairFileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairFileReader")
    }
}

impl PartialEq for PairFileReader {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
