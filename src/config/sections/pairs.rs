//! `pairs`: masters and their replicas.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::alerts::Global;
use super::servers::{ConnectionKeys, PlacedServer, ServerMentions, server};
use super::{UniqueNames, heartbeat};
use crate::config::cursor::{Cursor, Section};
use crate::config::table::PAIR;
use crate::config::value::{MAX_LABEL_CHARS, is_label_name};
use crate::config::{HeartbeatSettings, PairSettings};
use crate::model::PairName;

/// Labels that the exporter itself adds to a pair's series and alerts.
const RESERVED_LABELS: [&str; 7] = [
    "pair",
    "source_dc",
    "target_dc",
    "replica",
    "master",
    "alertname",
    "severity",
];

/// The maximum number of labels of a pair: each is on every alert and in every message.
const MAX_LABELS: usize = 32;

/// The settings that every pair of the file inherits.
#[derive(Clone)]
pub(super) struct Inherited {
    pub(super) connection: ConnectionKeys,
    pub(super) alerts: Arc<Global>,
    pub(super) heartbeat: HeartbeatSettings,
}

impl Inherited {
    pub(super) fn read(
        root: &Section<'_>,
        alerts: Arc<Global>,
        heartbeat: HeartbeatSettings,
    ) -> Self {
        let connection = ConnectionKeys::read(&root.section("redis"), &ConnectionKeys::default());
        Self {
            connection,
            alerts,
            heartbeat,
        }
    }
}

pub(super) fn read(
    root: &Section<'_>,
    outer: &Inherited,
    names: &mut UniqueNames,
) -> Vec<PairSettings> {
    // Pairs are required only if there is nothing else to do.
    let others = ["sentinels", "clusters", "active_active"];
    let has_others = others.iter().any(|key| has_any(root, key)) || has_discovery(root);
    let entries = if has_others {
        root.items("pairs")
    } else {
        let meaning = "at least one pair of a master and its replicas";
        non_empty(root, "pairs", meaning)
    };
    let placed = placed(&entries, outer, names);
    placed.into_iter().map(|pair| pair.settings).collect()
}

/// A pair, and the key path of its entry.
pub(super) struct PlacedPair {
    pub(super) path: String,
    pub(super) settings: PairSettings,
}

/// The pairs of these `entries`, which agree on the servers that they share.
pub(super) fn placed(
    entries: &[Cursor<'_>],
    outer: &Inherited,
    names: &mut UniqueNames,
) -> Vec<PlacedPair> {
    let mut mentions = ServerMentions::default();
    let mut pairs = Vec::new();
    for entry in entries {
        if let Some(section) = entry.section(&PAIR)
            && let Some(settings) = pair(&section, outer, names, &mut mentions)
        {
            let path = entry.path().to_owned();
            pairs.push(PlacedPair { path, settings });
        }
    }
    for pair in &mut pairs {
        mentions.complete(&mut pair.settings);
    }
    pairs
}

fn has_any(root: &Section<'_>, key: &str) -> bool {
    root.get(key).is_some_and(|cursor| is_list_of_any(&cursor))
}

/// Whether one of the lists of `discovery` has something in it.
fn has_discovery(root: &Section<'_>) -> bool {
    let Some(discovery) = root.get("discovery").filter(Cursor::is_mapping) else {
        return false;
    };
    let lists = discovery.entries();
    lists.iter().any(|(_, list)| is_list_of_any(list))
}

fn is_list_of_any(cursor: &Cursor<'_>) -> bool {
    cursor.is_list() && !cursor.items().is_empty()
}

fn pair(
    section: &Section<'_>,
    outer: &Inherited,
    names: &mut UniqueNames,
    mentions: &mut ServerMentions,
) -> Option<PairSettings> {
    let connection = ConnectionKeys::read(section, &outer.connection);
    let name = name(section, names, "the pair's name");
    let labels = labels(section);
    let alerts = outer.alerts.for_pair(section);
    let heartbeat = heartbeat::read(section, outer.heartbeat);
    let master = section.read_required(
        "master",
        "the master, such as {address: \"host:port\", dc: dc1}",
        |cursor| consistent_server(cursor, &connection, mentions),
    );
    let replicas = replicas(section, &connection, mentions);
    let name = name?;
    let master = master?;
    check_distinct(section, &master, &replicas);
    let replicas = replicas.into_iter().map(|replica| replica.settings);
    Some(PairSettings {
        name,
        shard: None,
        master: master.settings,
        replicas: replicas.collect(),
        labels,
        alerts,
        heartbeat,
    })
}

pub(super) fn name(
    section: &Section<'_>,
    names: &mut UniqueNames,
    meaning: &str,
) -> Option<PairName> {
    let cursor = section.required("name", meaning)?;
    let name = cursor.name()?;
    names.check(name, &cursor);
    Some(PairName::new(name))
}

fn replicas(
    section: &Section<'_>,
    outer: &ConnectionKeys,
    mentions: &mut ServerMentions,
) -> Vec<PlacedServer> {
    let items = non_empty(
        section,
        "replicas",
        "at least one replica, such as [{address: \"host:port\"}]",
    );
    items
        .iter()
        .filter_map(|item| consistent_server(item, outer, mentions))
        .collect()
}

/// The items of the list at `key`, which must not be empty.
pub(super) fn non_empty<'a>(section: &Section<'a>, key: &str, meaning: &str) -> Vec<Cursor<'a>> {
    let Some(cursor) = section.required(key, meaning) else {
        return Vec::new();
    };
    let items = cursor.items();
    if cursor.is_list() && items.is_empty() {
        cursor.add_problem(format!("is empty: give {meaning}"));
    }
    items
}

/// Reads a server and checks that it agrees with its other mentions.
fn consistent_server(
    cursor: &Cursor<'_>,
    outer: &ConnectionKeys,
    mentions: &mut ServerMentions,
) -> Option<PlacedServer> {
    let server = server(cursor, outer)?;
    if let Err(sentence) = mentions.add(&server) {
        cursor.add_problem(sentence);
    }
    Some(server)
}

/// Refuses a server that the pair has twice.
fn check_distinct(section: &Section<'_>, master: &PlacedServer, replicas: &[PlacedServer]) {
    let mut seen = HashSet::from([&master.settings.addr]);
    for replica in replicas {
        let addr = &replica.settings.addr;
        if *addr == master.settings.addr {
            section.refuse_at(
                &replica.path,
                format!("{addr} is the pair's master as well"),
            );
        } else if !seen.insert(addr) {
            section.refuse_at(
                &replica.path,
                format!("{addr} is given twice among the pair's replicas"),
            );
        }
    }
}

/// The `labels` of `section`; empty where it has none.
pub(super) fn labels(section: &Section<'_>) -> BTreeMap<String, String> {
    let Some(cursor) = section.get("labels") else {
        return BTreeMap::new();
    };
    let entries = cursor.entries();
    if entries.len() > MAX_LABELS {
        cursor.refuse(format_args!("has more than {MAX_LABELS} labels"));
    }
    let mut labels = BTreeMap::new();
    for (name, value) in entries {
        check_label_name(name, &value);
        if let Some(text) = label_value(&value) {
            labels.insert(name.to_owned(), text.to_owned());
        }
    }
    labels
}

fn label_value<'a>(value: &Cursor<'a>) -> Option<&'a str> {
    let text = value.text()?;
    if text.chars().count() > MAX_LABEL_CHARS || text.chars().any(char::is_control) {
        value.refuse(format_args!(
            "is not a label's value; allowed: up to {MAX_LABEL_CHARS} characters, no control \
             characters"
        ));
    }
    Some(text)
}

fn check_label_name(name: &str, value: &Cursor<'_>) {
    if RESERVED_LABELS.contains(&name) {
        value.add_problem("the exporter has a label of this name itself; choose another");
    } else if !is_label_name(name) {
        value.add_problem("is not a label's name; allowed: letters, digits and _, not beginning with a digit or __");
    }
}
