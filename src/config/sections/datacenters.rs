//! `datacenters`: the rules that assign servers to datacenters.

use ipnet::IpNet;
use std::net::IpAddr;
use wildmatch::WildMatch;

use super::UniqueNames;
use crate::config::cursor::{Cursor, Section};
use crate::config::table::DATACENTER;
use crate::config::{DatacenterRule, HostPattern};
use crate::model::Datacenter;

pub(super) fn read(root: &Section<'_>) -> Vec<DatacenterRule> {
    let mut names = UniqueNames::default();
    let mut local = None;
    let items = root.items("datacenters");
    items
        .iter()
        .filter_map(|item| rule(&item.section(&DATACENTER)?, &mut names, &mut local))
        .collect()
}

fn rule(
    section: &Section<'_>,
    names: &mut UniqueNames,
    local: &mut Option<String>,
) -> Option<DatacenterRule> {
    let patterns = section.items("match").iter().filter_map(pattern).collect();
    let is_local = section.read("local", |flag| only_one(flag, local));
    let name = section.required("name", "the datacenter's name")?;
    names.check(name.text()?, &name);
    Some(DatacenterRule {
        name: datacenter(&name)?,
        patterns,
        local: is_local.unwrap_or(false),
    })
}

/// Reads `local`, which is true for one datacenter at most.
fn only_one(flag: &Cursor<'_>, local: &mut Option<String>) -> Option<bool> {
    let value = flag.flag()?;
    if value && let Some(first) = local.replace(flag.path().to_owned()) {
        flag.add_problem(format!(
            "only one datacenter can be the local one, and {first} is true already"
        ));
    }
    Some(value)
}

/// Reads a datacenter's name.
pub(super) fn datacenter(cursor: &Cursor<'_>) -> Option<Datacenter> {
    let name = cursor.name()?;
    if name == Datacenter::unknown().as_str() {
        cursor.refuse("is kept for servers that no rule places; choose another name");
        return None;
    }
    Some(Datacenter::new(name))
}

/// Reads a host pattern: an address or an address range where it is one, otherwise a glob.
fn pattern(cursor: &Cursor<'_>) -> Option<HostPattern> {
    let text = cursor.text()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(HostPattern::Network(address.into()));
    }
    if text.contains('/') {
        let range = text
            .parse::<IpNet>()
            .map_err(|_| "is not an address range; write it like 10.1.0.0/16 or 2001:db8::/32");
        return Some(HostPattern::Network(cursor.checked(range)?));
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._:*?".contains(&b);
    if text.is_empty() || text.len() > 253 || !text.bytes().all(legal) {
        cursor.refuse("is not a pattern for hosts; write it like *.dc1.example.com or 10.1.0.0/16");
        return None;
    }
    Some(HostPattern::Glob(WildMatch::new(
        &text.to_ascii_lowercase(),
    )))
}
