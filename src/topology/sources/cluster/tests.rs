use super::*;
use crate::config::testing::{clusters_of, settings_of};
use crate::config::{DatacenterRule, HostPattern, Settings};
use crate::info::{ClusterNode, NodeFlags, SlotRange};
use crate::model::{Datacenter, PairName, PollError};
use crate::topology::{Discovered, DiscoveryChange, DiscoveryEvent, SourceHealth, SourceId, View};

fn at(secs: f64) -> Timestamp {
    Timestamp::default() + crate::model::Span::from_secs(1).mul_f64(secs)
}

/// The node `m1a` listens at `m1.a`, which is in the datacenter `a`.
fn addr(node: &str) -> ServerAddr {
    let (name, dc) = node.split_at(node.len() - 1);
    ServerAddr::new(&format!("{name}.{dc}"), 1)
}

fn id(node: &str) -> NodeId {
    NodeId::parse(node).unwrap()
}

/// A cluster `c`, of which these nodes are configured, in the datacenters `a` and `b`.
fn settings(nodes: &[&str]) -> Settings {
    let mut settings = settings_of(&[]);
    let addresses: Vec<_> = nodes.iter().map(|node| addr(node).to_string()).collect();
    settings.clusters = vec![clusters_of("c", &addresses)];
    settings.datacenters = ["a", "b"].map(place).into();
    settings
}

fn place(dc: &str) -> DatacenterRule {
    let glob = wildmatch::WildMatch::new(&format!("*.{dc}"));
    DatacenterRule {
        name: Datacenter::new(dc),
        patterns: vec![HostPattern::Glob(glob)],
        local: false,
    }
}

/// What `reporter` knows: masters as `NAME@EPOCH:SLOTS`, with `!` if they have failed, and replicas
/// as `NAME>MASTER`.
fn view(reporter: &str, nodes: &str) -> ClusterView {
    let mut view = ClusterView {
        is_ok: Some(true),
        ..ClusterView::default()
    };
    for text in nodes.split(' ') {
        let has_failed = text.ends_with('!');
        let text = text.trim_end_matches('!');
        let (name, master, epoch, slots) = if let Some((name, master)) = text.split_once('>') {
            (name, Some(id(master)), 0, "")
        } else {
            let (name, rest) = text.split_once('@').unwrap();
            let (epoch, slots) = rest.split_once(':').unwrap();
            (name, None, epoch.parse().unwrap(), slots)
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap();
            SlotRange {
                first: first.parse().unwrap(),
                last: last.parse().unwrap(),
            }
        };
        let slots = slots.split(',').filter(|range| !range.is_empty());
        let node = ClusterNode {
            id: id(name),
            addr: Some(addr(name)),
            flags: NodeFlags {
                is_myself: name == reporter,
                is_down: has_failed,
                is_in_handshake: false,
            },
            master,
            config_epoch: epoch,
            slots: slots.map(range).collect(),
        };
        view.nodes.insert(id(name), node);
    }
    view
}

/// What the nodes report, one answer after the other.
struct Reports(Discovered);

const HALVES: &str = "m1a@1:0-8191 r1b>m1a m2b@2:8192-16383 r2a>m2b";
const THIRDS: &str = "m1a@1:0-5460 r1b>m1a m2b@2:5461-10922 r2a>m2b m3a@3:10923-16383 r3b>m3a";

impl Reports {
    fn new(nodes: &[&str]) -> Self {
        Self(Discovered::new(&settings(nodes)))
    }

    /// What the answer of this node changes; `-` is no answer.
    fn report(&mut self, secs: f64, node: &str, nodes: &str) -> String {
        let result = if nodes == "-" {
            Err(PollError::Timeout.into())
        } else {
            Ok(View::Cluster(view(node, nodes)))
        };
        let source = SourceId {
            entry: PairName::new("c"),
            reporter: addr(node),
        };
        let update = self
            .0
            .handle(DiscoveryEvent::Reporter { source, result }, at(secs));
        let shown = |change: DiscoveryChange| match change {
            DiscoveryChange::Found { pair, .. } => format!("+{pair}"),
            DiscoveryChange::Gone { pair } => format!("-{pair}"),
            DiscoveryChange::Replicas { pair } => format!("~{pair}"),
            DiscoveryChange::Labels { pair } => format!("#{pair}"),
            DiscoveryChange::Entries { .. } => unreachable!("there are no files"),
            DiscoveryChange::Renamed { from, to } => format!("{from}={to}"),
            DiscoveryChange::Switched { pair, from, to } => {
                format!("{pair}:{}>{}", from.host().unwrap(), to.host().unwrap())
            }
        };
        let changes: Vec<_> = update.changes.into_iter().map(shown).collect();
        changes.join(" ")
    }

    /// The same answer of several nodes; what the last of them changes.
    fn all_report(&mut self, secs: f64, reporters: &str, nodes: &str) -> String {
        let mut changes = String::new();
        for node in reporters.split(' ') {
            changes = self.report(secs, node, nodes);
        }
        changes
    }

    /// `NAME[SLOTS]:MASTER<REPLICAS` of every entry, in the order of the names.
    fn entries(&self) -> String {
        let mut shown = Vec::new();
        for entry in self.0.entries() {
            let hosts = entry
                .replicas
                .iter()
                .filter_map(|server| server.addr.host());
            shown.push(format!(
                "{}[{}]:{}<{}",
                entry.name,
                entry.labels["slots"],
                entry.master.addr.host().unwrap(),
                hosts.collect::<Vec<_>>().join(","),
            ));
        }
        shown.sort();
        shown.join(" ")
    }

    fn keys(&self) -> Vec<String> {
        let entries = self.0.entries();
        let shards = entries.iter().map(|entry| entry.shard.as_ref().unwrap());
        shards.map(|shard| shard.as_str().to_owned()).collect()
    }

    fn learned(&self) -> String {
        let mut hosts = Vec::new();
        for source in self.0.learned() {
            hosts.push(source.reporter.host().unwrap().to_owned());
        }
        hosts.join(" ")
    }

    fn group(&self) -> ClusterGroup {
        match self.0.health().remove(0) {
            SourceHealth::Cluster(group) => group,
            other => panic!("{other:?}"),
        }
    }

    /// The nodes that disagree, `forgotten` ones with that word.
    fn dissenters(&self) -> String {
        let mut shown = Vec::new();
        for node in self.group().nodes {
            match node.dissent {
                Some(Dissent::OtherSlots) => shown.push(node.addr.host().unwrap().to_owned()),
                Some(Dissent::Forgotten) => {
                    shown.push(format!("{} forgotten", node.addr.host().unwrap()));
                }
                None => {}
            }
        }
        shown.join(" ")
    }
}

#[test]
fn each_shard_is_an_entry_named_after_its_lowest_slot() {
    let mut reports = Reports::new(&["m1a"]);
    assert_eq!((reports.entries(), reports.learned()), Default::default());
    assert_eq!(reports.report(0.0, "m1a", HALVES), "+c/slot-0 +c/slot-8192");
    assert_eq!(
        reports.entries(),
        "c/slot-0[0-8191]:m1.a<r1.b c/slot-8192[8192-16383]:m2.b<r2.a"
    );
    assert_eq!(
        reports.learned(),
        "m2.b r1.b r2.a",
        "the others are asked as well"
    );
    assert_eq!(reports.all_report(0.5, "m2b r1b r2a", HALVES), "");
    let group = reports.group();
    assert_eq!(
        (
            group.shards,
            group.is_ok,
            group.slots_uncovered,
            group.dissenters()
        ),
        (2, Some(true), Some(0), Some(0))
    );
    assert_eq!(group.risks, []);
}

#[test]
fn a_node_that_is_configured_by_another_name_is_not_asked_twice() {
    let mut settings = settings(&["m1a"]);
    let alias = ServerAddr::new("alias.example.com", 1);
    settings.clusters[0].nodes[0].addr = alias.clone();
    let mut discovered = Discovered::new(&settings);
    let source = SourceId {
        entry: PairName::new("c"),
        reporter: alias,
    };
    let result = Ok(View::Cluster(view("m1a", HALVES)));
    discovered.handle(DiscoveryEvent::Reporter { source, result }, at(0.0));
    let learned = discovered.learned();
    assert!(
        learned.iter().all(|source| source.reporter != addr("m1a")),
        "{learned:?}"
    );
    assert_eq!(learned.len(), 3);
}

const FAILED_OVER: &str = "m1a@1:! r1b@4:0-5460 m2b@2:5461-10922 r2a>m2b m3a@3:10923-16383 r3b>m3a";

#[test]
fn a_failover_is_followed_once_most_masters_that_answer_share_it() {
    let mut reports = Reports::new(&["m1a"]);
    reports.report(0.0, "m1a", THIRDS);
    reports.all_report(0.0, "m2b m3a r1b r2a r3b", THIRDS);
    let keys = reports.keys();
    reports.report(1.0, "m1a", "-");
    assert_eq!(
        reports.report(1.5, "r1b", FAILED_OVER),
        "",
        "the new master alone"
    );
    assert_eq!(
        reports.report(1.6, "m2b", FAILED_OVER),
        "c/slot-0:m1.a>r1.b"
    );
    assert_eq!(reports.dissenters(), "m3.a r2.a r3.b");
    assert_eq!(reports.all_report(1.7, "m3a r2a r3b", FAILED_OVER), "");
    assert_eq!(reports.dissenters(), "");
    assert!(
        reports.entries().starts_with("c/slot-0[0-5460]:r1.b<m1.a "),
        "the old master stays as a replica: {}",
        reports.entries()
    );
    assert_eq!(reports.keys(), keys, "it is the same shard");
    let back = FAILED_OVER.replace("m1a@1:!", "m1a>r1b");
    assert_eq!(
        reports.all_report(9.0, "m1a m2b m3a r1b r2a r3b", &back),
        ""
    );
}

#[test]
fn a_manual_failover_without_a_failed_master_is_the_same_shard_as_well() {
    let mut reports = Reports::new(&["m1a"]);
    reports.report(0.0, "m1a", HALVES);
    reports.all_report(0.0, "m2b r1b r2a", HALVES);
    let swapped = "r1b@3:0-8191 m1a>r1b m2b@2:8192-16383 r2a>m2b";
    assert_eq!(reports.report(1.0, "r1b", swapped), "", "one against two");
    assert_eq!(
        reports.report(1.1, "m1a", swapped),
        "c/slot-0:m1.a>r1.b",
        "of equally many masters the higher epoch counts"
    );
}

#[test]
fn a_minority_that_was_cut_off_is_named_and_not_believed() {
    let mut reports = Reports::new(&["m1a"]);
    reports.report(0.0, "m1a", THIRDS);
    reports.all_report(0.0, "m2b m3a r1b r2a r3b", THIRDS);
    reports.all_report(3.0, "m2b m3a r1b r2a r3b", FAILED_OVER);
    assert_eq!(
        reports.dissenters(),
        "m1.a",
        "it still takes writes for its slots"
    );
    assert_eq!(reports.group().dissenters(), Some(1));
    for node in ["m2b", "m3a", "r1b", "r2a", "r3b"] {
        assert_eq!(reports.report(4.0, node, "-"), "");
    }
    assert_eq!(
        reports.report(5.0, "m1a", THIRDS),
        "",
        "nor when it alone is reachable"
    );
    assert!(reports.entries().starts_with("c/slot-0[0-5460]:r1.b<m1.a "));
    assert_eq!(reports.group().is_ok, None, "nobody that agrees answers");
}

#[test]
fn a_view_does_not_become_weaker_because_its_masters_fall_silent() {
    let mut reports = Reports::new(&["m1a"]);
    reports.report(0.0, "m1a", THIRDS);
    reports.all_report(0.0, "m2b m3a r1b r2a r3b", THIRDS);
    reports.report(1.0, "r1b", FAILED_OVER);
    assert_eq!(
        reports.report(1.0, "m2b", FAILED_OVER),
        "c/slot-0:m1.a>r1.b",
        "two against two, of a higher epoch"
    );
    for node in ["m2b", "m1a"] {
        assert_eq!(reports.report(2.0, node, "-"), "");
    }
    assert_eq!(
        reports.report(3.0, "m1a", THIRDS),
        "",
        "two against one that had two"
    );
}

#[test]
fn a_cluster_that_was_made_again_is_believed() {
    let mut reports = Reports::new(&["m1a"]);
    let old = HALVES.replace("@1:", "@11:").replace("@2:", "@12:");
    reports.report(0.0, "m1a", &old);
    reports.all_report(0.0, "m2b r1b r2a", &old);
    // Other IDs at the same addresses, and lower epochs.
    let again = view("N1a", "N1a@1:0-8191 N2b>N1a N3a@2:8192-16383 N4b>N3a");
    for node in ["m1a", "m2b", "r1b", "r2a"] {
        reports.report(1.0, node, "-");
    }
    let source = SourceId {
        entry: PairName::new("c"),
        reporter: addr("m1a"),
    };
    let result = Ok(View::Cluster(again));
    reports
        .0
        .handle(DiscoveryEvent::Reporter { source, result }, at(2.0));
    assert!(reports.entries().starts_with("c/slot-0[0-8191]:N1.a<N2.b "));
}

#[test]
fn shards_are_renamed_once_no_slot_moves_any_more() {
    let mut reports = Reports::new(&["m1a", "m2b"]);
    let moved = |count: u32| {
        format!(
            "m1a@1:{count}-8191 r1b>m1a m2b@3:0-{},8192-16383 r2a>m2b",
            count - 1
        )
    };
    reports.all_report(0.0, "m1a m2b", HALVES);
    let keys = reports.keys();
    for count in 1..=50_u32 {
        let secs = 1.0 + f64::from(count) / 50.0;
        assert_eq!(reports.all_report(secs, "m1a m2b", &moved(count)), "");
    }
    assert_eq!(reports.report(2.9, "m1a", &moved(50)), "");
    assert_eq!(
        reports.report(3.1, "m1a", &moved(50)),
        "c/slot-0=c/slot-50 c/slot-8192=c/slot-0"
    );
    assert_eq!(
        reports.entries(),
        "c/slot-0[0-49 8192-16383]:m2.b<r2.a c/slot-50[50-8191]:m1.a<r1.b"
    );
    let mut after = reports.keys();
    after.sort();
    assert_eq!(after, keys, "the shards are the same");
    let widened = "m1a@1:50-8000 r1b>m1a m2b@3:0-49,8001-16383 r2a>m2b";
    reports.all_report(5.0, "m1a m2b", widened);
    assert_eq!(reports.report(6.1, "m1a", widened), "#c/slot-50 #c/slot-0");
}

#[test]
fn a_new_shard_has_a_name_of_its_own_from_the_first_slot_on() {
    let mut reports = Reports::new(&["m1a", "m2b"]);
    reports.all_report(0.0, "m1a m2b", HALVES);
    let grown = "m1a@1:2-8191 r1b>m1a m2b@2:8192-16383 r2a>m2b m3a@4:0-1 r3b>m3a";
    let first = reports.report(1.0, "m1a", grown);
    assert_eq!(
        first, "+c/slot-1",
        "another shard still has the name of slot 0"
    );
    reports.report(2.5, "m1a", grown);
    assert_eq!(
        reports.entries(),
        "c/slot-0[0-1]:m3.a<r3.b c/slot-2[2-8191]:m1.a<r1.b c/slot-8192[8192-16383]:m2.b<r2.a"
    );
}

#[test]
fn nodes_that_come_and_go_are_followed_at_the_majoritys_word() {
    let mut reports = Reports::new(&["m1a"]);
    reports.report(0.0, "m1a", HALVES);
    reports.all_report(0.0, "m2b r1b r2a", HALVES);
    let more = format!("{HALVES} r3b>m1a");
    assert_eq!(reports.report(1.0, "m1a", &more), "");
    assert_eq!(
        reports.report(1.0, "r1b", &more),
        "",
        "half of them is no majority"
    );
    assert_eq!(reports.report(1.0, "m2b", &more), "~c/slot-0");
    assert!(reports.learned().contains("r3.b"));
    reports.all_report(2.0, "r2a r3b", &more);
    let fewer = more.replace(" r1b>m1a", "");
    reports.all_report(3.0, "m1a m2b", &fewer);
    assert_eq!(reports.report(3.0, "r2a", &fewer), "~c/slot-0");
    assert!(!reports.learned().contains("r1.b"));
}

#[test]
fn a_configured_node_that_was_forgotten_is_no_longer_watched_but_named() {
    let mut reports = Reports::new(&["m1a", "r1b"]);
    reports.all_report(0.0, "m1a r1b", HALVES);
    reports.all_report(0.0, "m2b r2a", HALVES);
    let without = HALVES.replace(" r1b>m1a", "");
    reports.all_report(1.0, "m1a m2b r2a", &without);
    assert_eq!(
        reports.report(1.5, "r1b", HALVES),
        "",
        "it still knows itself"
    );
    assert_eq!(reports.entries(), "c/slot-8192[8192-16383]:m2.b<r2.a");
    assert_eq!(reports.dissenters(), "r1.b forgotten");
    let risks: Vec<_> = reports
        .group()
        .risks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(risks[0].starts_with("c/slot-0 has no replica"), "{risks:?}");
    // After CLUSTER RESET it has a cluster of its own without slots.
    reports.report(2.0, "r1b", "r1b@0:");
    assert_eq!(reports.dissenters(), "r1.b");
}

#[test]
fn silent_nodes_change_nothing_and_leave_the_health_unknown() {
    let mut reports = Reports::new(&["m1a"]);
    reports.report(0.0, "m1a", HALVES);
    let before = reports.entries();
    for secs in 1..600 {
        assert_eq!(reports.report(f64::from(secs), "m1a", "-"), "");
    }
    assert_eq!(reports.entries(), before);
    let group = reports.group();
    assert_eq!(
        (
            group.is_reachable(),
            group.is_ok,
            group.slots_uncovered,
            group.dissenters()
        ),
        (Some(false), None, None, None)
    );
}

#[test]
fn slots_of_a_master_that_has_failed_are_uncovered() {
    let mut reports = Reports::new(&["m1a"]);
    let failed = THIRDS.replace("m3a@3:10923-16383", "m3a@3:10923-16383!");
    reports.report(0.0, "m1a", &failed);
    assert_eq!(reports.group().slots_uncovered, Some(5461));
    let missing = THIRDS.replace("0-5460", "1-5460");
    let mut reports = Reports::new(&["m2b"]);
    reports.report(0.0, "m2b", &missing);
    assert_eq!(reports.group().slots_uncovered, Some(1));
}

#[test]
fn the_number_of_learned_nodes_is_bounded_and_masters_come_first() {
    let mut nodes = "m1a@1:0-8191 zza@2:8192-16383".to_owned();
    for n in 0..300 {
        nodes += &format!(" r{n}b>m1a");
    }
    let mut reports = Reports::new(&["m1a"]);
    reports.report(0.0, "m1a", &nodes);
    assert_eq!(reports.0.learned().len(), MAX_LEARNED_NODES);
    assert!(
        reports.learned().ends_with(" zz.a"),
        "{}",
        reports.learned()
    );
}

#[test]
fn a_replaced_node_at_the_same_address_is_watched_once() {
    let mut reports = Reports::new(&["m1a"]);
    let mut replaced = view("m1a", "m1a@1:0-16383 r1b>m1a! new>m1a");
    replaced.nodes.get_mut(&id("new")).unwrap().addr = Some(addr("r1b"));
    let source = SourceId {
        entry: PairName::new("c"),
        reporter: addr("m1a"),
    };
    let result = Ok(View::Cluster(replaced));
    reports
        .0
        .handle(DiscoveryEvent::Reporter { source, result }, at(0.0));
    assert_eq!(reports.entries(), "c/slot-0[0-16383]:m1.a<r1.b");
}

#[test]
fn a_reload_keeps_what_was_reported() {
    let mut reports = Reports::new(&["m1a"]);
    reports.report(0.0, "m1a", HALVES);
    let mut changed = settings(&["m2b"]);
    changed.clusters[0].labels.insert("team".into(), "x".into());
    reports.0.reconfigure(&changed);
    assert_eq!(reports.learned(), "m1.a r1.b r2.a");
    let entries = reports.0.entries();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].labels["team"], "x");
    reports.0.reconfigure(&settings_of(&[]));
    assert_eq!(reports.entries(), "");
}
