//! `sentinels`: groups of Sentinels that are queried for masters and replicas.

use wildmatch::WildMatch;

use super::address_list::AddressList;
use super::pairs::{Inherited, labels, name};
use super::servers::ConnectionKeys;
use super::{UniqueNames, check_prefix, heartbeat};
use crate::config::cursor::{Cursor, Section};
use crate::config::table::SENTINEL;
use crate::config::{MasterSelector, SentinelSettings, ServerSettings};
use crate::model::PairName;

/// The maximum length of a master's name or glob in bytes, as of the names in a Sentinel's reply.
const MAX_MASTER_NAME: usize = 256;

/// The maximum number of Sentinels of an entry. Three to five are recommended; each costs two
/// connections.
const MAX_SENTINELS: usize = 64;

pub(super) fn read(
    root: &Section<'_>,
    outer: &Inherited,
    names: &mut UniqueNames,
) -> Vec<SentinelSettings> {
    let items = root.items("sentinels");
    let entry = |item: &Cursor<'_>| sentinel(&item.section(&SENTINEL)?, outer, names);
    items.iter().filter_map(entry).collect()
}

/// Refuses names that a discovered pair could have too: an entry's pairs are called
/// `name/MASTER`.
pub(super) fn check_prefixes(
    root: &Section<'_>,
    entries: &[SentinelSettings],
    names: &[&PairName],
) {
    for entry in entries {
        if matches!(entry.masters, MasterSelector::Exact(_)) {
            continue;
        }
        for taken in names {
            check_prefix(root, "sentinels", (&entry.name, "the master's name"), taken);
        }
    }
}

fn sentinel(
    section: &Section<'_>,
    outer: &Inherited,
    names: &mut UniqueNames,
) -> Option<SentinelSettings> {
    let connection = ConnectionKeys::read(section, &outer.connection);
    let servers = connection.clone().for_discovered(section);
    let name = name(section, names, "the name of its pairs");
    let masters = master_selector(section);
    let labels = labels(section);
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
    let is_illegal = |c: char| c.is_control() || c == ' ';
    if text.is_empty() || text.len() > MAX_MASTER_NAME || text.contains(is_illegal) {
        cursor.refuse(format_args!(
            "is not a master's name; allowed: 1 to {MAX_MASTER_NAME} bytes without spaces and control characters, with * \
             and ? as a glob; leave it out for every master"
        ));
        return None;
    }
    if text.contains(['*', '?']) {
        Some(MasterSelector::Glob(WildMatch::new(text)))
    } else {
        Some(MasterSelector::Exact(text.to_owned()))
    }
}

/// The Sentinels of an entry. They have a separate login and never see the servers' passwords.
/// They inherit the TLS settings of the entry, key by key, because `tls-replication` makes Redis
/// use TLS for both.
fn addresses(section: &Section<'_>, entry: &ConnectionKeys) -> Vec<ServerSettings> {
    let auth = section.section("sentinel_auth");
    let keys = ConnectionKeys::read(&auth, &entry.without_login());
    let meaning = "the Sentinels, such as [\"dc1-sentinel:26379\", \"dc2-sentinel:26379\"]";
    let list = AddressList {
        meaning,
        what: "Sentinels",
        most: MAX_SENTINELS,
    };
    keys.servers_at(&auth, list.read(section))
}
