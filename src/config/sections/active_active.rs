//! `active_active`: sites that applications write to side by side.

use std::collections::HashSet;

use super::UniqueNames;
use super::pairs::{Inherited, name, non_empty};
use super::servers::{ConnectionKeys, server};
use crate::config::cursor::{Cursor, Section};
use crate::config::table::ACTIVE_ACTIVE;
use crate::config::{ActiveActiveSettings, ServerSettings, SiteMonitorSettings, fields};

/// The maximum number of sites: every two of them are compared.
const MAX_SITES: usize = 16;

/// The sites of one queue: an item names no target.
const QUEUE_SITES: usize = 2;

/// The maximum number of patterns: each is a pass over all keys.
const MAX_PATTERNS: usize = 100;

/// The maximum length of a pattern and of a queue's key in bytes.
const MAX_KEY: usize = 512;

pub(super) fn read(root: &Section<'_>, outer: &Inherited) -> Vec<ActiveActiveSettings> {
    let mut names = UniqueNames::default();
    let mut entries = Vec::new();
    for item in root.items("active_active") {
        if let Some(section) = item.section(&ACTIVE_ACTIVE) {
            entries.extend(entry(&section, outer, &mut names));
        }
    }
    entries
}

fn entry(
    section: &Section<'_>,
    outer: &Inherited,
    names: &mut UniqueNames,
) -> Option<ActiveActiveSettings> {
    let connection = ConnectionKeys::read(section, &outer.connection);
    let name = name(section, names, "what the commands call it");
    let sites = sites(section, &connection);
    let sync_queue = section.read("sync_queue", key);
    if sync_queue.is_some() && sites.len() > QUEUE_SITES {
        section.refuse(format!(
            "it has a sync_queue and {} sites; an item of the queue names no target, so a queue is for \
             {QUEUE_SITES} sites: remove sync_queue, or give each two of the sites an entry",
            sites.len()
        ));
    }
    let keys = patterns(section, "keys");
    let counters = patterns(section, "counters");
    if keys.is_empty() && counters.is_empty() {
        section.refuse("it compares nothing: give keys, such as [\"user:*\"], or counters");
    }
    let monitor = fields::read(section, SiteMonitorSettings::default());
    if monitor.probe && !monitor.enabled {
        let path = format!("{}.probe", section.path());
        section.refuse_at(
            &path,
            "nobody would look at the probes without monitor: true: write that, or probe: false",
        );
    }
    Some(ActiveActiveSettings {
        name: name?,
        sites,
        sync_queue,
        keys,
        counters,
        monitor,
    })
}

fn sites(section: &Section<'_>, outer: &ConnectionKeys) -> Vec<ServerSettings> {
    let meaning =
        "the sites, such as [{address: \"dc1:6379\", dc: dc1}, {address: \"dc2:6379\", dc: dc2}]";
    let items = non_empty(section, "sites", meaning);
    if items.len() == 1 || items.len() > MAX_SITES {
        let count = items.len();
        section.refuse(format!("it has {count} sites; allowed: 2 to {MAX_SITES}"));
    }
    let mut seen = HashSet::new();
    let mut sites = Vec::new();
    for item in &items {
        let Some(site) = server(item, outer) else {
            continue;
        };
        let settings = site.settings;
        let Some(dc) = &settings.dc else {
            item.add_problem("has no dc: give the name that the site's clients write with");
            continue;
        };
        let is_new_dc = seen.insert(dc.as_str().to_owned());
        if !seen.insert(settings.addr.to_string()) || !is_new_dc {
            item.add_problem("has the address or the dc of another site of the entry");
        }
        if dc.as_str().contains('#') {
            item.add_problem("has a dc with #, which sets incarnations apart in counters");
        }
        sites.push(settings);
    }
    sites
}

fn patterns(section: &Section<'_>, list: &str) -> Vec<String> {
    let items = section.items(list);
    if items.len() > MAX_PATTERNS {
        let count = items.len();
        section.refuse(format!(
            "it has {count} {list}; allowed: at most {MAX_PATTERNS}"
        ));
    }
    items.iter().filter_map(key).collect()
}

fn key(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    if text.is_empty() || text.len() > MAX_KEY {
        cursor.refuse(format_args!(
            "is not a key or pattern; allowed: 1 to {MAX_KEY} bytes"
        ));
        return None;
    }
    Some(text.to_owned())
}
