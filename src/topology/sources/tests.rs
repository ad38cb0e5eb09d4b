use super::*;
use crate::config::HostPattern;
use crate::config::testing::{sentinels_of, settings_of};
use crate::info::{KnownReplica, KnownSentinel, QuorumCheck, SeenHealth, WatchedMaster};
use crate::model::{Datacenter, PollError};
use crate::topology::{ObservedMasters, Topology};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_nanos(secs * 1_000_000_000)
}

fn addr(host: &str) -> ServerAddr {
    ServerAddr::new(host, 1)
}

/// Settings with an entry `e` of Sentinels `s1.a`, `s2.b`, `s3.b`, and datacenters `a` and `b`
/// by the end of names.
fn settings() -> Settings {
    let mut settings = settings_of(&[]);
    settings.sentinels = vec![sentinels_of(
        "e",
        &["s1.a:1", "s2.b:1", "s3.b:1"].map(str::to_owned),
    )];
    settings.datacenters = ["a", "b"].map(place).into();
    settings
}

fn place(dc: &str) -> DatacenterRule {
    let patterns = vec![HostPattern::Glob(wildmatch::WildMatch::new(&format!(
        "*.{dc}"
    )))];
    DatacenterRule {
        name: Datacenter::new(dc),
        patterns,
        local: false,
    }
}

/// A Sentinel's view: masters, each as `name@epoch:master<replica,replica`.
fn view(masters: &str) -> SentinelView {
    let health = SeenHealth::default();
    let master = |text: &str| {
        let (name, rest) = text.split_once('@').unwrap();
        let (epoch, rest) = rest.split_once(':').unwrap();
        let (master, replicas) = rest.split_once('<').unwrap();
        let master = WatchedMaster {
            name: name.to_owned(),
            addr: addr(master),
            health,
            quorum: Some(2),
            other_sentinels: Some(2),
            config_epoch: epoch.parse().ok(),
        };
        let replica = |host: &str| KnownReplica {
            addr: addr(host),
            health,
            announced: true,
        };
        let replicas = replicas
            .split(',')
            .filter(|host| !host.is_empty())
            .map(replica)
            .collect();
        let sentinels = ["s2.b", "s3.b"]
            .map(|host| KnownSentinel {
                addr: addr(host),
                health,
            })
            .into();
        (
            name.to_owned(),
            MasterView {
                master,
                replicas,
                sentinels: Some(sentinels),
                quorum: Some(QuorumCheck::Reached),
            },
        )
    };
    SentinelView {
        masters: masters
            .split(' ')
            .filter(|m| !m.is_empty())
            .map(master)
            .collect(),
        tilted: Some(false),
    }
}

/// What the Sentinels of [`settings`] report, one answer after the other.
struct Reports(Discovered);

impl Reports {
    fn new() -> Self {
        Self(Discovered::new(&settings()))
    }

    /// What the answer of this Sentinel changes; `-` is no answer.
    fn report(&mut self, secs: i64, sentinel: &str, masters: &str) -> String {
        let result = if masters == "-" {
            Err(PollError::Timeout.into())
        } else {
            Ok(View::Sentinel(view(masters)))
        };
        let source = SourceId {
            entry: PairName::new("e"),
            reporter: addr(sentinel),
        };
        let event = DiscoveryEvent::Reporter { source, result };
        let shown = |change: DiscoveryChange| match change {
            DiscoveryChange::Found { pair, .. } => format!("+{pair}"),
            DiscoveryChange::Gone { pair } => format!("-{pair}"),
            DiscoveryChange::Replicas { pair } | DiscoveryChange::Labels { pair } => {
                format!("~{pair}")
            }
            DiscoveryChange::Entries { .. } => unreachable!("there are no files"),
            DiscoveryChange::Renamed { from, to } => format!("{from}={to}"),
            DiscoveryChange::Switched { pair, from, to } => {
                format!("{pair}:{}>{}", from.host().unwrap(), to.host().unwrap())
            }
        };
        self.0
            .handle(event, at(secs))
            .changes
            .into_iter()
            .map(shown)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn groups(&self) -> Vec<SentinelGroup> {
        let mut groups = Vec::new();
        for health in self.0.health() {
            if let SourceHealth::Sentinels(group) = health {
                groups.push(group);
            }
        }
        groups
    }

    fn entries(&self) -> String {
        let entry = |entry: PairSettings| {
            let replicas: Vec<_> = entry
                .replicas
                .iter()
                .filter_map(|r| r.addr.host().map(str::to_owned))
                .collect();
            format!(
                "{}:{}<{}",
                entry.name,
                entry.master.addr.host().unwrap(),
                replicas.join(",")
            )
        };
        self.0
            .entries()
            .into_iter()
            .map(entry)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[test]
fn masters_with_replicas_become_entries() {
    let mut reports = Reports::new();
    assert_eq!(reports.entries(), "");
    assert_eq!(
        reports.report(0, "s1.a", "m@0:x.a<y.b n@0:z.a<"),
        "+e/m +e/n"
    );
    assert_eq!(
        reports.entries(),
        "e/m:x.a<y.b",
        "a master without replicas is no pair"
    );
    assert_eq!(
        reports.report(1, "s1.a", "m@0:x.a<y.b,w.b n@0:z.a<v.b"),
        "~e/m ~e/n"
    );
    assert_eq!(reports.entries(), "e/m:x.a<w.b,y.b e/n:z.a<v.b");
    assert_eq!(reports.report(2, "s2.b", "m@0:x.a<y.b,w.b n@0:z.a<v.b"), "");
}

#[test]
fn a_failover_is_followed_at_the_first_report() {
    let mut reports = Reports::new();
    for sentinel in ["s1.a", "s2.b", "s3.b"] {
        reports.report(0, sentinel, "m@0:x.a<y.b");
    }
    assert_eq!(reports.report(1, "s2.b", "m@1:y.b<x.a"), "e/m:x.a>y.b");
    assert_eq!(reports.entries(), "e/m:y.b<x.a");
    let agrees = |reports: &Reports| {
        reports.groups()[0]
            .sentinels
            .iter()
            .map(|s| s.agrees)
            .collect::<Vec<_>>()
    };
    assert_eq!(agrees(&reports), [Some(false), Some(true), Some(false)]);
    assert_eq!(
        (
            reports.report(2, "s1.a", "m@1:y.b<x.a"),
            reports.report(2, "s3.b", "m@1:y.b<x.a")
        ),
        (String::new(), String::new())
    );
    assert_eq!(agrees(&reports), [Some(true); 3]);
}

#[test]
fn silent_sentinels_change_nothing() {
    let mut reports = Reports::new();
    reports.report(0, "s1.a", "m@0:x.a<y.b");
    for secs in 1..600 {
        assert_eq!(reports.report(secs, "s1.a", "-"), "");
    }
    assert_eq!(reports.entries(), "e/m:x.a<y.b");
}

#[test]
fn a_partition_does_not_undo_a_failover() {
    let mut reports = Reports::new();
    reports.report(0, "s1.a", "m@0:x.a<y.b");
    reports.report(1, "s2.b", "m@1:y.b<x.a");
    reports.report(2, "s2.b", "-");
    assert_eq!(reports.report(99, "s1.a", "m@0:x.a<y.b"), "");
    assert_eq!(reports.entries(), "e/m:y.b<x.a");
}

#[test]
fn a_master_that_all_have_forgotten_is_dropped_after_a_while() {
    let mut reports = Reports::new();
    reports.report(0, "s1.a", "m@0:x.a<y.b");
    reports.report(0, "s2.b", "m@0:x.a<y.b");
    assert_eq!(
        reports.report(10, "s1.a", ""),
        "",
        "the other one still knows it"
    );
    assert_eq!(
        (
            reports.report(99, "s2.b", ""),
            reports.report(128, "s1.a", "")
        ),
        (String::new(), String::new())
    );
    assert_eq!(reports.report(129, "s1.a", ""), "-e/m");
    assert_eq!(reports.entries(), "");
    assert_eq!(
        reports.groups()[0].pair.as_str(),
        "e",
        "the entry's own name again"
    );
}

#[test]
fn the_number_of_masters_is_bounded() {
    let mut reports = Reports::new();
    let masters = |from: usize| {
        (from..from + 3000)
            .map(|n| format!("m{n}@0:x.a<y.b"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    reports.report(0, "s1.a", &masters(0));
    reports.report(0, "s2.b", &masters(3000));
    assert_eq!(reports.0.entries().len(), sentinel::MAX_MASTERS);
}

#[test]
fn a_reload_keeps_what_was_reported_about_the_entries_that_stay() {
    let mut reports = Reports::new();
    reports.report(0, "s1.a", "m@0:x.a<y.b n@0:z.a<v.b");
    let mut narrower = settings();
    narrower.sentinels[0].masters = crate::config::MasterSelector::Exact("m".to_owned());
    narrower.sentinels[0].sentinels.remove(0);
    reports.0.reconfigure(&narrower);
    assert_eq!(reports.entries(), "e:x.a<y.b");
    assert_eq!(
        reports.report(1, "s1.a", ""),
        "",
        "it is no longer a reporter"
    );
    assert_eq!(
        reports.report(1, "s2.b", "m@0:y.b<x.a n@0:z.a<v.b"),
        "e:x.a>y.b",
        "its own view"
    );
    reports.0.reconfigure(&settings_of(&[]));
    assert_eq!(
        (reports.entries(), reports.groups().len()),
        (String::new(), 0)
    );
}

#[test]
fn a_group_has_the_state_of_its_sentinels_and_their_placement_risks() {
    let mut reports = Reports::new();
    let fresh = &reports.groups()[0];
    assert_eq!(
        (
            fresh.pair.as_str(),
            fresh.master.clone(),
            fresh.sentinels.len()
        ),
        ("e", None, 3)
    );
    assert!(
        fresh
            .sentinels
            .iter()
            .all(|sentinel| sentinel.answer.is_none())
    );
    let fresh_placement = fresh.placement_known;
    reports.report(0, "s1.a", "m@0:x.a<y.b");
    reports.report(0, "s2.b", "-");
    let group = &reports.groups()[0];
    let answers: Vec<_> = group
        .sentinels
        .iter()
        .map(|sentinel| sentinel.answer.clone())
        .collect();
    assert_eq!(
        answers,
        [Some(Ok(())), Some(Err(PollError::Timeout.into())), None]
    );
    assert_eq!(
        (group.pair.as_str(), group.sentinels[0].dc.as_str()),
        ("e/m", "a")
    );
    assert!(group.placement_known && !fresh_placement);
    assert_eq!(
        group
            .risks
            .iter()
            .map(|risk| (risk.dc.as_str(), risk.sentinels))
            .collect::<Vec<_>>(),
        [("b", 2)]
    );
}

#[test]
fn discovered_entries_join_the_topology_and_the_file_decides_how_to_connect() {
    let mut reports = Reports::new();
    reports.report(0, "s1.a", "m@0:x.a<y.b");
    let mut settings = settings_of(&[("own", "x.a:1", &["w.b:1"])]);
    settings.datacenters = ["a", "b"].map(place).into();
    settings.pairs[0].master.credentials.username = Some("named".to_owned());
    let entries: Vec<_> = settings
        .pairs
        .iter()
        .cloned()
        .chain(reports.0.entries())
        .collect();
    let topology = Topology::observed(&entries, &settings.datacenters, &ObservedMasters::default());
    let pairs: Vec<_> = topology
        .pairs
        .iter()
        .map(|p| format!("{} {}>{}", p.key, p.source_dc, p.target_dc))
        .collect();
    assert_eq!(pairs, ["own/w.b:1 a>b", "e/m/y.b:1 a>b"]);
    assert_eq!(
        topology.servers[&addr("x.a")]
            .credentials
            .username
            .as_deref(),
        Some("named")
    );
    assert_eq!(topology.trees.len(), 1, "they share a master");
}
