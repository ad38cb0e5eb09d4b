//! The sections of the configuration. Each file reads one of them into its part of [`Settings`].

mod active_active;
mod address_list;
mod alerts;
mod clusters;
mod datacenters;
mod discovery;
mod doctor;
mod email;
mod headers;
mod heartbeat;
mod hooks;
mod maintenance;
mod matchers;
mod notify;
mod operator;
mod pairs;
mod poll;
mod recover;
mod sentinels;
mod servers;
mod tls;
mod webhook;

use std::collections::HashMap;
use std::sync::Arc;

use super::cursor::{Context, Cursor, Section};
use super::node::Table;
use super::table::ROOT;
use super::{Environment, ListenAddress, MetricsSettings, Settings, StateSettings, fields};
use crate::model::PairName;
pub(super) use maintenance::day_name;

/// Reads the whole tree. Refused values are replaced by defaults, so the result is valid only if no
/// problem was recorded.
pub(super) fn read(root: &Table, context: Context<'_>, environment: &Environment) -> Settings {
    let root = Section::root(root, context, &ROOT);
    let alerts = Arc::new(alerts::Global::read(&root));
    let poll = poll::read(&root);
    let outer = pairs::Inherited::read(&root, Arc::clone(&alerts), poll.heartbeat);
    let mut names = UniqueNames::default();
    let pairs = pairs::read(&root, &outer, &mut names);
    let sentinels = sentinels::read(&root, &outer, &mut names);
    let clusters = clusters::read(&root, &outer, &mut names);
    let discovery = discovery::read(&root, &outer, environment, &mut names);
    let mut taken: Vec<&PairName> = pairs.iter().map(|pair| &pair.name).collect();
    taken.extend(sentinels.iter().map(|entry| &entry.name));
    taken.extend(clusters.iter().map(|entry| &entry.name));
    taken.extend(discovery.dns.iter().map(|entry| &entry.name));
    sentinels::check_prefixes(&root, &sentinels, &taken);
    clusters::check_prefixes(&root, &clusters, &taken);
    Settings {
        datacenters: datacenters::read(&root),
        poll,
        pairs,
        sentinels,
        clusters,
        discovery,
        active_active: active_active::read(&root, &outer),
        alerts: alerts.settings(),
        notify: notify::read(&root),
        state: state(&root, context),
        metrics: fields::read(&root.section("metrics"), MetricsSettings::default()),
        listen_address: web(&root).unwrap_or_default(),
        doctor: doctor::read(&root),
        shard: None,
        recover: recover::read(&root, context),
        operator: operator::read(&root),
        observers: operator::observers(&root),
        hooks: hooks::read(&root),
    }
}

/// The address to listen on, whatever is wrong elsewhere in the tree.
pub(super) fn listen_address(root: &Table, context: Context<'_>) -> Option<ListenAddress> {
    web(&Section::root(root, context, &ROOT))
}

/// The address in `web`; `None` where the file has none, or one that is refused.
fn web(root: &Section<'_>) -> Option<ListenAddress> {
    root.section("web").read("listen_address", |address| {
        address.checked(address.text()?.parse())
    })
}

fn state(root: &Section<'_>, context: Context<'_>) -> StateSettings {
    let default = StateSettings {
        path: context.in_folder("./data"),
    };
    fields::read(&root.section("state"), default)
}

/// Refuses the name `taken` where an entry's pairs could have it: they are called the entry's name,
/// a slash and `rest`.
fn check_prefix(root: &Section<'_>, key: &str, (entry, rest): (&PairName, &str), taken: &PairName) {
    let prefix = format!("{entry}/");
    if taken.as_str().starts_with(&prefix) {
        let sentence = format!(
            "the pairs of {entry} are called {prefix} and {rest}, and {taken} is a name of this file as well: rename one of \
             them"
        );
        root.refuse_at(key, sentence);
    }
}

/// Finds duplicate names.
#[derive(Default)]
struct UniqueNames(HashMap<String, String>);

impl UniqueNames {
    /// Records a problem at `cursor` if `name` was given before.
    fn check(&mut self, name: &str, cursor: &Cursor<'_>) {
        if let Some(first) = self.0.get(name) {
            cursor.refuse(format_args!("is given twice: {first} has it already"));
        } else {
            self.0.insert(name.to_owned(), cursor.path().to_owned());
        }
    }
}
