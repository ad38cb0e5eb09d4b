//! One resolution of one DNS name.
//!
//! Each uses a resolver of its own without a cache: the answers are wanted as they are now, and
//! `/etc/resolv.conf` may change.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use tokio::time::timeout;

use crate::config::{DnsRecord, DnsSettings};
use crate::model::ServerAddr;
use crate::topology::MAX_ADDRESSES;

/// The most characters of a resolver's own message.
const MAX_DETAIL: usize = 200;

/// The servers that `name` resolves to now. An error is a sentence whose subject is the name.
pub(super) async fn resolve(
    entry: &DnsSettings,
    name: &str,
) -> Result<BTreeSet<ServerAddr>, Arc<str>> {
    let lookup = look_up(entry, name);
    let Ok(answer) = timeout(entry.timeout.to_duration(), lookup).await else {
        let within = entry.timeout;
        return Err(format!("was not resolved within {within}").into());
    };
    let addresses = answer.map_err(|error| sentence(&error, entry.record))?;
    if addresses.is_empty() {
        return Err(no_record(entry.record).into());
    }
    Ok(bounded(addresses))
}

/// As many of the addresses as an entry may have.
pub(super) fn bounded(mut addresses: BTreeSet<ServerAddr>) -> BTreeSet<ServerAddr> {
    while addresses.len() > MAX_ADDRESSES {
        addresses.pop_last();
    }
    addresses
}

async fn look_up(entry: &DnsSettings, name: &str) -> Result<BTreeSet<ServerAddr>, NetError> {
    let resolver = resolver(entry)?;
    let mut addresses = BTreeSet::new();
    match entry.record {
        DnsRecord::Address => {
            for ip in resolver.lookup_ip(name).await?.iter() {
                let host = ip.to_string();
                addresses.insert(ServerAddr::new(&host, entry.port));
            }
        }
        DnsRecord::Srv => {
            for record in resolver.srv_lookup(name).await?.answers() {
                let RData::SRV(service) = &record.data else {
                    continue; // a CNAME on the way
                };
                // A lone dot says that there is no such service.
                if !service.target.is_root() {
                    let host = service.target.to_lowercase().to_ascii();
                    let host = host.trim_end_matches('.');
                    addresses.insert(ServerAddr::new(host, service.port));
                }
            }
        }
    }
    Ok(addresses)
}

fn resolver(entry: &DnsSettings) -> Result<TokioResolver, NetError> {
    let mut builder = if entry.nameservers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = entry.nameservers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // Half of the time for each attempt, so that one lost packet is no failure.
    options.timeout = entry.timeout.mul_f64(0.45).to_duration();
    options.attempts = 2;
    builder.build()
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn sentence(error: &NetError, record: DnsRecord) -> Arc<str> {
    if error.is_nx_domain() {
        return "does not exist, say the name servers".into();
    }
    if error.is_no_records_found() {
        return no_record(record).into();
    }
    let detail: String = error.to_string().chars().take(MAX_DETAIL).collect();
    format!("cannot be resolved: {detail}").into()
}

const fn no_record(record: DnsRecord) -> &'static str {
    match record {
        DnsRecord::Address => "has no address (A or AAAA record)",
        DnsRecord::Srv => "has no SRV record",
    }
}
