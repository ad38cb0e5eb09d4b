//! The sections of the configuration: each file reads one of them into its part of [`Settings`].

mod alerts;
mod datacenters;
mod heartbeat;
mod maintenance;
mod notify;
mod pairs;
mod poll;
mod sentinels;
mod servers;
mod tls;

use std::collections::HashMap;
use std::path::PathBuf;

use super::cursor::{Context, Cursor, Section};
use super::node::Table;
use super::schema::{ROOT, STATE, WEB};
use super::{ListenAddress, Settings, StateSettings};
pub(super) use maintenance::day_name;

/// Reads the whole tree. Where a problem is noted, a default stands in: the result counts only if
/// none is.
pub(super) fn read(root: &Table, context: Context<'_>) -> Settings {
    let root = Section::root(root, context, &ROOT);
    let alerts = alerts::Global::read(&root);
    let poll = poll::read(&root);
    let outer = pairs::Outer::read(&root, &alerts, poll.heartbeat);
    let mut names = Unique::default();
    let pairs = pairs::read(&root, &outer, &mut names);
    let sentinels = sentinels::read(&root, &outer, &mut names);
    sentinels::check_prefixes(
        &root,
        &sentinels,
        &pairs.iter().map(|pair| &pair.name).collect::<Vec<_>>(),
    );
    Settings {
        datacenters: datacenters::read(&root),
        poll,
        pairs,
        sentinels,
        alerts: alerts.settings(),
        notify: notify::read(&root),
        state: state(&root, context),
        listen_address: web(&root).unwrap_or_default(),
    }
}

/// Where the exporter listens, whatever is wrong elsewhere in the tree.
pub(super) fn listen_address(root: &Table, context: Context<'_>) -> Option<ListenAddress> {
    web(&Section::root(root, context, &ROOT))
}

fn web(root: &Section<'_>) -> Option<ListenAddress> {
    let address = root.section("web", &WEB).get("listen_address")?;
    address.checked(address.text()?.parse())
}

fn state(root: &Section<'_>, context: Context<'_>) -> StateSettings {
    let given: Option<PathBuf> = root
        .section("state", &STATE)
        .get("path")
        .and_then(|path| path.file_path());
    StateSettings {
        path: given.unwrap_or_else(|| context.in_folder("./data")),
    }
}

/// Notes names that stand twice.
#[derive(Default)]
struct Unique(HashMap<String, String>);

impl Unique {
    /// Notes a problem at `cursor` when `name` stood somewhere before.
    fn check(&mut self, name: &str, cursor: &Cursor<'_>) {
        if let Some(first) = self.0.get(name) {
            cursor.refuse(format_args!("is given twice: {first} has it already"));
        } else {
            self.0.insert(name.to_owned(), cursor.path().to_owned());
        }
    }
}
