//! The settings: the resolved and checked configuration, and the only form of it that other rooms
//! use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{DiscoverySettings, ListenAddress, ReceiverKind};
use crate::model::{
    Bytes, Datacenter, DoctorCheck, FleetShard, PairName, Secret, ServerAddr, ShardId, Share, Span,
    TimeLeft, closed_set, serde_as_label,
};
use crate::template::Template;

/// The whole configuration. Immutable; a reload makes a new one.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Rules that place servers in datacenters, first match wins.
    pub datacenters: Vec<DatacenterRule>,
    /// How servers are polled.
    pub poll: PollSettings,
    /// The pairs, in the order of the file. Names are unique.
    pub pairs: Vec<PairSettings>,
    /// The groups of Sentinels that find further pairs, in the order of the file. Names are unique,
    /// also among the pairs.
    pub sentinels: Vec<SentinelSettings>,
    /// The Redis Clusters, whose nodes find further pairs, in the order of the file. Names are
    /// unique, also among the pairs and Sentinels.
    pub clusters: Vec<ClusterSettings>,
    /// Further pairs: files that list them, and DNS names of their servers.
    pub discovery: DiscoverySettings,
    /// Sites that applications write to side by side. Names are unique.
    pub active_active: Vec<ActiveActiveSettings>,
    /// Rules for servers, and the defaults that pairs started from.
    pub alerts: AlertSettings,
    /// Receivers and how alerts are grouped for them.
    pub notify: NotifySettings,
    /// Where state is persisted.
    pub state: StateSettings,
    /// Which series `/metrics` has besides those that dashboards and rules need.
    pub metrics: MetricsSettings,
    /// Where the exporter listens.
    pub listen_address: ListenAddress,
    /// What `doctor` asks for, and what it leaves out.
    pub doctor: DoctorSettings,
    /// Which share of the fleet this exporter watches; `None` for all of it. Only a flag sets it.
    pub shard: Option<FleetShard>,
    /// Whether and where lost writes are saved.
    pub recover: RecoverSettings,
    /// How `failover` and `failback` log in to Redis servers; `None` for the login that polls use.
    pub operator: Option<Credentials>,
    /// URLs of exporters elsewhere, whose view of a dead master counts.
    pub observers: Vec<String>,
    /// What is done beside the servers when a command changes a master.
    pub hooks: HookSettings,
}

/// What is done beside the servers when a command changes a master, such as pointing DNS to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HookSettings {
    /// Before clients notice anything, one after the other.
    pub before: Vec<HookSetting>,
    /// As soon as the new master takes writes, one after the other.
    pub after: Vec<HookSetting>,
}

/// One hook.
#[derive(Clone, Debug, PartialEq)]
pub struct HookSetting {
    /// What plans, journals and reports call it.
    pub name: String,
    /// What it does.
    pub action: HookAction,
    /// How long it may take.
    pub timeout: Span,
}

/// What a hook does.
#[derive(Clone, Debug, PartialEq)]
pub enum HookAction {
    /// Runs a program: its path and its arguments.
    Command(Vec<String>),
    /// Posts JSON to a URL.
    Webhook(SecretSource),
}

impl Settings {
    /// Whether there may be pairs that the configuration does not list itself.
    pub fn has_sources(&self) -> bool {
        let discovery = &self.discovery;
        let has_entries = !discovery.files.is_empty() || !discovery.dns.is_empty();
        has_entries || !self.sentinels.is_empty() || !self.clusters.is_empty()
    }
}

/// A datacenter and the hosts that are in it.
#[derive(Clone, Debug, PartialEq)]
pub struct DatacenterRule {
    /// Its name.
    pub name: Datacenter,
    /// Host patterns; a server whose host matches any of them is here.
    pub patterns: Vec<HostPattern>,
    /// Whether this exporter runs in this datacenter; true for at most one.
    pub local: bool,
}

/// A pattern for a server's host.
#[derive(Clone, Debug, PartialEq)]
pub enum HostPattern {
    /// An address range, for hosts that are written as addresses.
    Network(ipnet::IpNet),
    /// A glob (`*`, `?`) over the host as written, upper and lower case alike.
    Glob(wildmatch::WildMatch),
}

/// How servers are polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSettings {
    /// Base period of a replication tree's polling round.
    pub interval: Span,
    /// Period while lag moves or nears a threshold; at most `interval`.
    pub min_interval: Span,
    /// Budget of the whole exporter, in polls a second.
    pub max_polls_per_second: u32,
    /// Time allowed to a server in the local datacenter.
    pub timeout_local: Span,
    /// Time allowed to every other server.
    pub timeout_remote: Span,
    /// Whether a scrape that finds old samples polls first.
    pub refresh_on_scrape: bool,
    /// Whether masters are asked for the output buffers of their replicas, with CLIENT LIST and
    /// CONFIG GET.
    pub output_buffers: bool,
    /// Heartbeats of pairs that have no settings for them.
    pub heartbeat: HeartbeatSettings,
}

/// How old, in poll periods, the upper bound of a pair without lag becomes: the write before the
/// last one is dated by the poll before the last one, and the next poll has to be answered.
pub const BOUND_PERIODS: f64 = 2.5;

/// Numbered messages that a master publishes to its replicas and that prove how far they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatSettings {
    /// Whether they are sent.
    pub enabled: bool,
    /// Time between two of them.
    pub interval: Span,
}

impl Default for HeartbeatSettings {
    /// Off: by default monitored servers receive only queries.
    fn default() -> Self {
        Self {
            enabled: false,
            interval: Span::from_secs(1),
        }
    }
}

/// One entry of `pairs`: a master and its replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSettings {
    /// The entry's name.
    pub name: PairName,
    /// The master's shard, if a source that has shards discovered the entry; never configured.
    pub shard: Option<ShardId>,
    /// The configured master. Roles are observed, so it may turn out to be something else.
    pub master: ServerSettings,
    /// The configured replicas; at least one, all distinct and none of them the master.
    pub replicas: Vec<ServerSettings>,
    /// Labels for alerts and `pair_info`; names are legal Prometheus label names and none of the
    /// exporter's own.
    pub labels: BTreeMap<String, String>,
    /// The rules of this entry, already merged over the global ones.
    pub alerts: AlertSettings,
    /// The heartbeats of this entry, already merged over the global ones.
    pub heartbeat: HeartbeatSettings,
}

/// One entry of `sentinels`: a group of Sentinels, and which of their masters are monitored.
#[derive(Clone, Debug, PartialEq)]
pub struct SentinelSettings {
    /// The entry's name: also that of its pairs if it names one master, otherwise their prefix.
    pub name: PairName,
    /// Which masters.
    pub masters: MasterSelector,
    /// The Sentinels; at least one, all distinct.
    pub sentinels: Vec<ServerSettings>,
    /// How to connect to the servers that the Sentinels report.
    pub servers: ConnectionSettings,
    /// Labels of every pair.
    pub labels: BTreeMap<String, String>,
    /// The rules of every pair, already merged over the global ones.
    pub alerts: AlertSettings,
    /// The heartbeats of every pair, already merged over the global ones.
    pub heartbeat: HeartbeatSettings,
}

/// One entry of `clusters`: some nodes of a Redis Cluster, which know all the others.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSettings {
    /// The entry's name, with which those of its pairs begin.
    pub name: PairName,
    /// The nodes; at least one, all distinct.
    pub nodes: Vec<ServerSettings>,
    /// How to connect to the nodes that those report: as to them, but without the TLS that only an
    /// address asks for.
    pub servers: ConnectionSettings,
    /// Labels of every pair.
    pub labels: BTreeMap<String, String>,
    /// The rules of every pair, already merged over the global ones.
    pub alerts: AlertSettings,
}

/// One entry of `active_active`: sites that applications write to side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveActiveSettings {
    /// The entry's name.
    pub name: PairName,
    /// The sites, at least two, each with its datacenter; all addresses and datacenters differ.
    pub sites: Vec<ServerSettings>,
    /// The list at each site in which its writes wait for the other one; then there are two sites.
    pub sync_queue: Option<String>,
    /// Patterns of the keys of registers.
    pub keys: Vec<String>,
    /// Patterns of the keys of counters.
    pub counters: Vec<String>,
    /// Whether and how the exporter monitors the sites.
    pub monitor: SiteMonitorSettings,
}

/// Whether and how the exporter monitors active-active sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteMonitorSettings {
    /// Whether it does.
    pub enabled: bool,
    /// How many keys of each site are compared with each other site, per second.
    pub keys_per_second: u32,
    /// How long a difference has to last to be settled.
    pub settle: Span,
    /// Whether keys of its own are written, to see how long writes take.
    pub probe: bool,
}

/// Which of the masters that Sentinels list are monitored.
#[derive(Clone, Debug, PartialEq)]
pub enum MasterSelector {
    /// All of them.
    All,
    /// The one of this name.
    Exact(String),
    /// Those whose name matches.
    Glob(wildmatch::WildMatch),
}

/// How to connect to servers that are discovered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionSettings {
    /// How to log in to it.
    pub credentials: Credentials,
    /// How to secure the connection; `None` for plain text.
    pub tls: Option<TlsSettings>,
}

/// One server of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSettings {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Its datacenter where the file names one; otherwise the datacenter rules decide.
    pub dc: Option<Datacenter>,
    /// How to log in to it.
    pub credentials: Credentials,
    /// How to secure the connection; `None` for plain text. Always `None` for a Unix socket.
    pub tls: Option<TlsSettings>,
}

/// How to secure the connection to a server. The files are read at each connection, so that
/// rotation needs no restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate authorities that are trusted, and no others; absent means the system's.
    pub ca_file: Option<PathBuf>,
    /// What this program shows a server that asks for a certificate (mutual TLS).
    pub client_certificate: Option<ClientCertificate>,
    /// The name or IP address that the server's certificate must have; absent means the address's
    /// host. A name is also sent to the server (SNI).
    pub server_name: Option<String>,
    /// Accepts every certificate, so anybody on the network path can pose as the server.
    pub insecure_skip_verify: bool,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by those of the authorities in between.
    pub cert_file: PathBuf,
    /// The key, not encrypted.
    pub key_file: PathBuf,
}

/// How to log in to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The ACL user; absent means the default user.
    pub username: Option<String>,
    /// The password; absent means no AUTH at all.
    pub password: Option<SecretSource>,
}

/// Where a secret comes from. A file is read at each use, so that rotation needs no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the configuration, or expanded from the environment.
    Inline(Secret),
    /// The content of a file, without the white space around it.
    File(PathBuf),
}

/// The alert rules that apply to a pair, or by default.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSettings {
    /// `lag_seconds`: warning on the estimate, critical on the certified lower bound.
    pub lag_seconds: LevelRule<Span>,
    /// `lag_bytes`: likewise, in bytes.
    pub lag_bytes: LevelRule<Bytes>,
    /// `link_down`: how long the link has been down or stalled.
    pub link_down: LevelRule<Span>,
    /// `unreachable`: how long a server has not answered. Per server: taken from the global rules
    /// only.
    pub unreachable: LevelRule<Span>,
    /// `unknown`: how long there has been no comparable sample.
    pub unknown: LevelRule<Span>,
    /// `full_sync`: how many full syncs a server gave. Per server: taken from the global rules
    /// only.
    pub full_sync: CountRule,
    /// `diverged`: how long there have been two histories.
    pub diverged: LevelRule<Span>,
    /// `sentinel_quorum`: how long the Sentinels of a datacenter have seen no quorum. Taken from
    /// the global rules only.
    pub sentinel_quorum: LevelRule<Span>,
    /// `cluster_down`: how long a Redis Cluster has been out of reach, or has served a part of its
    /// slots only. Taken from the global rules only.
    pub cluster_down: LevelRule<Span>,
    /// `failover`: how often another server became the master.
    pub failover: CountRule,
    /// `backlog_headroom`: how long the link may be cut before a full resync, by the expected
    /// estimate.
    pub backlog_headroom: LevelRule<TimeLeft>,
    /// `output_buffer`: how full the master's output buffer for the replica is.
    pub output_buffer: LevelRule<Share>,
    /// `sync_queue`: how many items wait in a queue between active-active sites. Taken from the
    /// global rules only.
    pub sync_queue: LevelRule<u64>,
    /// `clock_skew`: how far the clocks of active-active sites are apart for certain. Taken from
    /// the global rules only.
    pub clock_skew: LevelRule<Span>,
}

impl AlertSettings {
    /// Lets every level fire at once (`for: 0s`), for a single evaluation.
    pub fn fire_at_once(&mut self) {
        let all = [
            &mut self.lag_seconds.pending_for,
            &mut self.lag_bytes.pending_for,
            &mut self.link_down.pending_for,
            &mut self.unreachable.pending_for,
            &mut self.unknown.pending_for,
            &mut self.full_sync.levels.pending_for,
            &mut self.diverged.pending_for,
            &mut self.sentinel_quorum.pending_for,
            &mut self.cluster_down.pending_for,
            &mut self.failover.levels.pending_for,
            &mut self.backlog_headroom.pending_for,
            &mut self.output_buffer.pending_for,
            &mut self.sync_queue.pending_for,
            &mut self.clock_skew.pending_for,
        ];
        for span in all {
            *span = Span::ZERO;
        }
    }
}

/// A rule on how often something happened within a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountRule {
    /// The levels, as counts.
    pub levels: LevelRule<u64>,
    /// Events before this window no longer count.
    pub window: Span,
}

/// A rule with two levels over a quantity of type `T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelRule<T> {
    /// The warning level; `None` is off.
    pub warning: Option<LevelThreshold<T>>,
    /// The critical level; `None` is off. Not below the warning level.
    pub critical: Option<LevelThreshold<T>>,
    /// How long a level's condition must hold before the alert fires (`for`).
    pub pending_for: Span,
    /// How long the value must stay clear before the alert resolves.
    pub keep_firing_for: Span,
}

/// One level's threshold with its hysteresis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelThreshold<T> {
    /// The condition holds at or above this.
    pub at: T,
    /// The level is clear below this; at most `at`.
    pub clear_below: T,
}

/// Receivers, and how alerts are grouped and notified.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifySettings {
    /// Part of every dedup key; empty by default.
    pub identity: String,
    /// The labels that alerts of one message have in common.
    pub group_by: Vec<String>,
    /// How long a new group waits for more members before its first notification.
    pub group_wait: Span,
    /// How long a changed group waits before its next notification.
    pub group_interval: Span,
    /// How often a group that keeps firing is notified again.
    pub repeat_interval: Span,
    /// The base URL of this exporter's pages, if it is configured.
    pub external_url: Option<String>,
    /// The dashboard that messages link to, without `from` and `to`, if there is one.
    pub dashboard_url: Option<String>,
    /// When a flapping alert is no longer notified; `None` is never.
    pub flapping: Option<FlappingRule>,
    /// Recurring windows in which alerts are muted. Names are unique.
    pub maintenance: Vec<MaintenanceWindow>,
    /// The receivers. Names are unique.
    pub receivers: Vec<ReceiverSettings>,
}

/// When an alert flaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlappingRule {
    /// The number of outages within the window that makes it flap.
    pub changes: u32,
    /// Outages that ended before this window no longer count.
    pub window: Span,
    /// How long it has to be clear, or to fire, to be stable again.
    pub stable_for: Span,
}

/// A recurring window of maintenance.
#[derive(Clone, Debug, PartialEq)]
pub struct MaintenanceWindow {
    /// Its name.
    pub name: String,
    /// Label globs that an alert must all match to be muted; empty matches every alert.
    pub matchers: BTreeMap<String, wildmatch::WildMatch>,
    /// The days on which it begins, in the order of a week, each once; at least one.
    pub every: Vec<jiff::civil::Weekday>,
    /// The local time at which it begins. A time that the clocks skip is right after the skip, and
    /// one that occurs twice is the first of the two.
    pub start: jiff::civil::Time,
    /// How long it lasts, in real time.
    pub duration: Span,
    /// The zone of `start`; it has an IANA name.
    pub timezone: jiff::tz::TimeZone,
}

/// One receiver of notifications.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiverSettings {
    /// The receiver's name.
    pub name: String,
    /// Alerts below this severity are not sent to it.
    pub min_severity: Severity,
    /// Label globs that an alert must all match; empty matches every alert.
    pub matchers: BTreeMap<String, wildmatch::WildMatch>,
    /// The receiver of what this one rejects permanently, or misses while it is gone (410).
    pub fallback: Option<String>,
    /// The labels that alerts of one message have in common; `None` for `NotifySettings::group_by`.
    pub group_by: Option<Vec<String>>,
    /// What starts a new incident instead of updating a known one.
    pub repage_on: RepageOn,
    /// What it is and how to reach it.
    pub kind: ReceiverKind,
    /// The trusted authorities and the proxy of requests to it.
    pub http: HttpSettings,
    /// The templates of its messages, where they are not the built-in ones.
    pub template: TemplateSettings,
}

/// The templates of a receiver's messages; absent ones are built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateSettings {
    /// The title: one line.
    pub title: Option<Template>,
    /// The summary: one or several sentences.
    pub summary: Option<Template>,
}

/// How requests reach a receiver. By default with the system's authorities and proxy variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// The certificate authorities that are trusted, and no others (PEM, read at each request).
    pub ca_file: Option<PathBuf>,
    /// The proxy that every request goes through; a secret, as it may hold a password.
    pub proxy: Option<SecretSource>,
}

/// What starts a new incident for a group that has one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepageOn {
    /// An alert of the group became critical.
    pub escalated: bool,
    /// Another alert joined the group.
    pub new_in_group: bool,
    /// Another alert is critical, so long after the last one that it is a different problem.
    pub new_critical: bool,
}

impl Default for RepageOn {
    fn default() -> Self {
        Self {
            new_critical: true,
            ..Self::NEVER
        }
    }
}

impl RepageOn {
    /// Nothing does.
    pub const NEVER: Self = Self {
        escalated: false,
        new_in_group: false,
        new_critical: false,
    };
}

closed_set! {
    /// How severe an alert is. Ordered: a warning is less than critical.
    pub enum Severity {
        /// Needs attention during working hours.
        Warning => "warning",
        /// Needs attention immediately.
        Critical => "critical",
    }
}
// A severity of a later version reads as critical: a needless page is safer than a missing one.
serde_as_label!(Severity, else Critical);

/// The audit for disaster recovery.
#[derive(Clone, Debug, PartialEq)]
pub struct DoctorSettings {
    /// The interruption between the datacenters that replication has to survive without a full
    /// sync.
    pub survive: Span,
    /// How often the exporter makes the audit by itself; `None` is never.
    pub every: Option<Span>,
    /// Findings that are known and accepted.
    pub ignore: Vec<DoctorException>,
}

/// A finding that is known and accepted, for a reason.
#[derive(Clone, Debug, PartialEq)]
pub struct DoctorException {
    /// The check.
    pub check: DoctorCheck,
    /// The pairs, as a glob over their names; `None` for all of them.
    pub pair: Option<wildmatch::WildMatch>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day (UTC) on which it is; `None` for no end.
    pub until: Option<jiff::civil::Date>,
}

/// The writes that only a deposed master has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverSettings {
    /// Whether the exporter saves them by itself.
    pub capture: bool,
    /// The folder of the files.
    pub dir: PathBuf,
    /// The most that is read of one server.
    pub max_bytes: Bytes,
}

/// Which series `/metrics` has besides those that dashboards and rules need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Whether what the servers report, and what is no lag, has series.
    pub raw_signals: bool,
    /// Which states have series.
    pub states: ShownStates,
    /// Which thresholds have series.
    pub thresholds: ShownThresholds,
    /// Whether what is for diagnosis of the exporter only has series.
    pub diagnostics: bool,
}

closed_set! {
    /// Which states of a pair, and roles of a server, have series.
    #[derive(Default)]
    pub enum ShownStates {
        /// The one that is true.
        #[default]
        Current => "current",
        /// All of them: 1 for the one that is true, 0 for the others.
        All => "all",
    }
}

closed_set! {
    /// Which thresholds have series.
    #[derive(Default)]
    pub enum ShownThresholds {
        /// The default ones, and every pair's.
        On => "on",
        /// The default ones, and those of pairs that differ from them.
        #[default]
        Overrides => "overrides",
        /// None.
        Off => "off",
    }
}

/// Where state is persisted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// The directory of the embedded database: the lag history, alerts and their outbox.
    pub path: PathBuf,
}

impl<T> LevelRule<T> {
    /// The same rule over another quantity.
    pub(super) fn map<U>(self, convert: impl Fn(T) -> U) -> LevelRule<U> {
        let level = |level: LevelThreshold<T>| LevelThreshold {
            at: convert(level.at),
            clear_below: convert(level.clear_below),
        };
        LevelRule {
            warning: self.warning.map(&level),
            critical: self.critical.map(&level),
            pending_for: self.pending_for,
            keep_firing_for: self.keep_firing_for,
        }
    }
}

impl ConnectionSettings {
    /// The server at `addr`, which nobody but its address places.
    pub fn server(&self, addr: ServerAddr) -> ServerSettings {
        ServerSettings {
            addr,
            dc: None,
            credentials: self.credentials.clone(),
            tls: self.tls.clone(),
        }
    }
}

impl SentinelSettings {
    /// The name of the pairs of `master`, a name from the Sentinels; `None` if it is not monitored.
    pub fn pair_name(&self, master: &str) -> Option<PairName> {
        self.masters.matches(master).then(|| match self.masters {
            MasterSelector::Exact(_) => self.name.clone(),
            MasterSelector::Glob(_) | MasterSelector::All => {
                PairName::new(&format!("{}/{master}", self.name))
            }
        })
    }
}

impl SentinelSettings {
    /// What the Sentinels call the master of `pair`, if it can be one of theirs: the reverse of
    /// [`Self::pair_name`]. For a single master that is the configured name.
    pub fn master_of<'a>(&'a self, pair: &'a PairName) -> Option<&'a str> {
        let master = match &self.masters {
            MasterSelector::Exact(name) => name.as_str(),
            MasterSelector::Glob(_) | MasterSelector::All => {
                let rest = pair.as_str().strip_prefix(self.name.as_str())?;
                rest.strip_prefix('/')?
            }
        };
        if self.pair_name(master).as_ref() == Some(pair) {
            Some(master)
        } else {
            None
        }
    }
}

impl MasterSelector {
    /// Whether `master`, a name from the Sentinels, is monitored.
    pub fn matches(&self, master: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(name) => name == master,
            Self::Glob(glob) => glob.matches(master),
        }
    }
}

impl HostPattern {
    /// Whether `host` (a name or an address, without brackets) matches.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Network(network) => host
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| network.contains(&ip)),
            Self::Glob(glob) => glob.matches(&host.to_ascii_lowercase()),
        }
    }
}
