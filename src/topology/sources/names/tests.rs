use super::*;
use crate::config::testing::parsed;
use crate::model::{PairName, PollError};
use crate::topology::{Discovered, DiscoveryEvent, NamesGroup, SourceHealth, SourceId, View};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_nanos(secs * 1_000_000_000)
}

fn addr(host: &str) -> ServerAddr {
    ServerAddr::new(host, 6379)
}

struct Names(Discovered);

impl Names {
    fn new() -> Self {
        let settings = parsed("discovery: {dns: [{name: orders, names: [one, two]}]}");
        Self(Discovered::new(&settings))
    }

    /// The name resolves to these hosts; `-` is a failure. Returns the entry that follows.
    fn resolve(&mut self, secs: i64, name: &str, hosts: &str) -> String {
        let hosts = hosts.split_whitespace();
        let result = match hosts.clone().next() {
            Some("-") => Err("does not exist".into()),
            _ => Ok(hosts.map(addr).collect()),
        };
        let event = DiscoveryEvent::Name(NameEvent {
            entry: PairName::new("orders"),
            name: name.to_owned(),
            result,
        });
        self.0.handle(event, at(secs));
        self.entry()
    }

    /// The server's answer: `m` or `r` and its history, or `-`.
    fn answer(&mut self, secs: i64, host: &str, answer: &str) -> String {
        let history = answer.get(1..).unwrap_or_default().repeat(40);
        let role = match answer.get(..1) {
            Some("m") => Some(Role::Master),
            Some("r") => Some(Role::Replica),
            _ => None,
        };
        let result = match role {
            None => Err(PollError::Timeout.into()),
            role => Ok(View::Role(RoleView {
                role,
                history: ReplicationId::parse(&history),
            })),
        };
        let source = SourceId {
            entry: PairName::new("orders"),
            reporter: addr(host),
        };
        self.0
            .handle(DiscoveryEvent::Reporter { source, result }, at(secs));
        self.entry()
    }

    fn entry(&self) -> String {
        let mut text = String::new();
        for entry in self.0.entries() {
            let hosts: Vec<_> = entry
                .replicas
                .iter()
                .filter_map(|r| r.addr.host())
                .collect();
            text += &format!("{}<{}", entry.master.addr.host().unwrap(), hosts.join(","));
        }
        text
    }

    fn group(&self) -> NamesGroup {
        match self.0.health().remove(0) {
            SourceHealth::Names(group) => group,
            other => panic!("{other:?}"),
        }
    }

    fn learned(&self) -> usize {
        self.0.learned().len()
    }
}

#[test]
fn who_is_master_follows_from_what_the_servers_say() {
    let mut names = Names::new();
    assert_eq!(names.resolve(0, "one", "a b c"), "");
    assert_eq!(names.learned(), 3);
    assert_eq!(names.answer(1, "b", "r1"), "", "no master is known");
    assert_eq!(names.answer(1, "a", "m1"), "a<b,c");
    names.answer(1, "c", "r1");
    assert_eq!(
        names.answer(2, "a", "-"),
        "a<b,c",
        "silence changes nothing"
    );
    assert_eq!(names.answer(3, "b", "m2"), "b<a,c");
    names.answer(3, "c", "r2");
    assert_eq!(
        names.answer(4, "a", "m1"),
        "b<a,c",
        "the old master is back, and nobody follows it"
    );
    assert_eq!(names.answer(5, "c", "r1"), "a<b,c", "most replicas decide");
    assert_eq!(names.answer(5, "c", "r2"), "b<a,c");
    assert_eq!(names.group().trouble(), None);
}

#[test]
fn a_failed_resolution_keeps_the_last_good_answer() {
    let mut names = Names::new();
    names.resolve(0, "one", "a b");
    names.answer(0, "a", "m1");
    for secs in 1..100 {
        assert_eq!(names.resolve(secs, "one", "-"), "a<b");
    }
    let group = names.group();
    assert_eq!(
        (group.names[0].is_ok, group.names[0].failures),
        (Some(false), 99)
    );
    assert_eq!(
        group.names[0].trouble().unwrap(),
        "one does not exist; the 2 servers of the last good answer stay"
    );
    assert_eq!(
        group.names[1].is_ok, None,
        "the other name was not resolved yet"
    );
    names.resolve(100, "one", "a b");
    assert_eq!(names.group().names[0].trouble(), None);
}

#[test]
fn a_server_that_leaves_the_answers_is_watched_for_a_while() {
    let mut names = Names::new();
    names.resolve(0, "one", "a b");
    names.answer(0, "a", "m1");
    assert_eq!(names.resolve(10, "one", "a c"), "a<b,c");
    assert_eq!(names.answer(39, "a", "m1"), "a<b,c");
    assert_eq!(names.answer(40, "a", "m1"), "a<c");
    assert_eq!(names.learned(), 2);
    names.resolve(50, "one", "a");
    assert_eq!(
        names.resolve(60, "one", "a c"),
        "a<c",
        "it came back in time"
    );
    assert_eq!(names.resolve(99, "one", "a c"), "a<c");
}

#[test]
fn a_master_in_one_name_and_replicas_in_another_are_one_pair() {
    let mut names = Names::new();
    names.resolve(0, "one", "a");
    names.answer(0, "a", "m1");
    assert_eq!(
        names.entry(),
        "",
        "a master without replicas replicates to nobody"
    );
    assert_eq!(names.resolve(1, "two", "b c"), "a<b,c");
}

#[test]
fn replicas_without_a_master_are_reported() {
    let mut names = Names::new();
    names.resolve(0, "one", "a b");
    assert_eq!(names.group().trouble(), None, "they were not asked yet");
    names.answer(0, "a", "r1");
    names.answer(0, "b", "-");
    assert!(
        names
            .group()
            .trouble()
            .unwrap()
            .contains("says that it is a master")
    );
    names.answer(1, "a", "-");
    assert!(names.group().trouble().unwrap().contains("answers"));
}

#[test]
fn the_number_of_addresses_is_bounded() {
    let mut names = Names::new();
    let hosts: Vec<String> = (0..2 * MAX_ADDRESSES).map(|n| format!("h{n}")).collect();
    names.resolve(0, "one", &hosts.join(" "));
    assert_eq!(names.learned(), MAX_ADDRESSES);
}
