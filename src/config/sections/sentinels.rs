//! `sentinels`: groups of Sentinels that are queried for masters and replicas.

use std::collections::HashSet;

use wildmatch::WildMatch;

use super::pairs::{Outer, labels, name, non_empty};
use super::servers::{ConnectionKeys, address};
use super::tls::AddressScheme;
use super::{Unique, heartbeat};
use crate::config::cursor::{Cursor, Section};
use crate::config::table::SENTINEL;
use crate::config::{MasterSelector, SentinelSettings, ServerSettings};
use crate::model::{PairName, ServerAddr};

/// The maximum length of a master's name or glob in bytes, as of the names in a Sentinel's reply.
const MAX_MASTER_NAME: usize = 256;

/// The maximum number of Sentinels of an entry. Three to five are recommended; each costs two
/// connections.
const MAX_SENTINELS: usize = 64;

pub(super) fn read(
    root: &Section<'_>,
    outer: &Outer<'_>,
    names: &mut Unique,
) -> Vec<SentinelSettings> {
    let items = root.items("sentinels");
    let entry = |item: &Cursor<'_>| sentinel(&item.section(&SENTINEL)?, outer, names);
    items.iter().filter_map(entry).collect()
}

/// Refuses names that a discovered pair could have as well: an entry's pairs are called
/// `name/MASTER`.
pub(super) fn check_prefixes(
    root: &Section<'_>,
    entries: &[SentinelSettings],
    pairs: &[&PairName],
) {
    let sentinel_names = entries.iter().map(|entry| &entry.name);
    let all_names: Vec<_> = sentinel_names.chain(pairs.iter().copied()).collect();
    for entry in entries {
        if matches!(entry.masters, MasterSelector::Exact(_)) {
            continue;
        }
        let prefix = format!("{}/", entry.name);
        for taken in &all_names {
            if !taken.as_str().starts_with(&prefix) {
                continue;
            }
            let sentence = format!(
                "the pairs of {} are called {prefix} and the master's name, and {taken} is a name of this file as well: \
                 rename one of them",
                entry.name
            );
            root.refuse_at("sentinels", sentence);
        }
    }
}

fn sentinel(
    section: &Section<'_>,
    outer: &Outer<'_>,
    names: &mut Unique,
) -> Option<SentinelSettings> {
    let connection = ConnectionKeys::read(section, &outer.connection);
    let servers = connection.clone().for_discovered(section);
    let name = name(section, names, "the name of its pairs");
    let masters = master_selector(section);
    let labels = section
        .get("labels")
        .map(|cursor| labels(&cursor))
        .unwrap_or_default();
    let alerts = outer.alerts.for_pair(section);
    let heartbeat = heartbeat::read(section, outer.heartbeat);
    let sentinels = addresses(section, &connection);
    Some(SentinelSettings {
        name: name?,
        masters: masters?,
        sentinels,
        servers,
        labels,
        alerts,
        heartbeat,
    })
}

fn master_selector(section: &Section<'_>) -> Option<MasterSelector> {
    let Some(cursor) = section.get("master_name") else {
        return Some(MasterSelector::All);
    };
    let text = cursor.text()?;
    if text.is_empty()
        || text.len() > MAX_MASTER_NAME
        || text.chars().any(|c| c.is_control() || c == ' ')
    {
        cursor.refuse(format_args!(
            "is not a master's name; allowed: 1 to {MAX_MASTER_NAME} bytes without spaces and control characters, with * \
             and ? as a glob; leave it out for every master"
        ));
        return None;
    }
    let glob = text.contains(['*', '?']);
    Some(if glob {
        MasterSelector::Glob(WildMatch::new(text))
    } else {
        MasterSelector::Exact(text.to_owned())
    })
}

/// The Sentinels of an entry. They have a login of their own and never see the servers' passwords.
/// They inherit the TLS settings of the entry, key by key, because `tls-replication` makes Redis use
/// TLS for both.
fn addresses(section: &Section<'_>, entry: &ConnectionKeys) -> Vec<ServerSettings> {
    let auth = section.section("sentinel_auth");
    let keys = ConnectionKeys::read(&auth, &entry.without_login());
    let items = non_empty(
        section,
        "addresses",
        "the Sentinels, such as [\"dc1-sentinel:26379\", \"dc2-sentinel:26379\"]",
    );
    if items.len() > MAX_SENTINELS {
        section.refuse(format!(
            "it has {} addresses; at most {MAX_SENTINELS} Sentinels can be asked",
            items.len()
        ));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    keys.servers_at(
        &auth,
        items
            .iter()
            .filter_map(|item| distinct(item, &mut seen))
            .collect(),
    )
}

fn distinct(
    item: &Cursor<'_>,
    seen: &mut HashSet<ServerAddr>,
) -> Option<(AddressScheme, ServerAddr)> {
    let (scheme, addr) = address(item)?;
    if !seen.insert(addr.clone()) {
        item.refuse("stands twice among the Sentinels of the entry");
        return None;
    }
    Some((scheme, addr))
}
