use std::collections::BTreeSet;
use std::sync::Arc;

use super::testing::{DnsServer, Zone};
use super::*;
use crate::config::testing::parsed;
use crate::model::{ServerAddr, Span};
use crate::topology::MAX_ADDRESSES;

/// An entry that asks this server for the records of `name`.
fn entry(server: &DnsServer, record: &str) -> DnsSettings {
    let text = format!(
        "discovery: {{dns: [{{name: orders, names: [redis.test], record: {record}, port: 7000, \
         timeout: 1s, nameservers: ['{}']}}]}}",
        server.addr
    );
    parsed(&text).discovery.dns.remove(0)
}

async fn resolve(entry: &DnsSettings) -> Result<String, Arc<str>> {
    let result = resolver::resolve(entry, "redis.test").await;
    let shown = |addresses: BTreeSet<_>| {
        let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        texts.join(" ")
    };
    result.map(shown)
}

#[tokio::test]
async fn addresses_of_both_families_get_the_entrys_port() {
    let server = DnsServer::start().await;
    let addresses = ["10.0.0.2", "10.0.0.1", "fd00::1"].map(|text| text.parse().unwrap());
    server.set("redis.test", Zone::Addresses(addresses.to_vec()));
    let found = resolve(&entry(&server, "address")).await;
    assert_eq!(
        found.as_deref(),
        Ok("10.0.0.1:7000 10.0.0.2:7000 [fd00::1]:7000")
    );
    server.set("redis.test", Zone::Addresses(vec![addresses[1]]));
    let found = resolve(&entry(&server, "address")).await;
    assert_eq!(found.as_deref(), Ok("10.0.0.1:7000"), "nothing is cached");
}

#[tokio::test]
async fn srv_records_name_hosts_and_ports() {
    let server = DnsServer::start().await;
    let services = vec![
        ("Redis-0.test".to_owned(), 6379),
        ("redis-1.test".to_owned(), 6380),
    ];
    server.set("redis.test", Zone::Services(services));
    let found = resolve(&entry(&server, "srv")).await;
    assert_eq!(found.as_deref(), Ok("redis-0.test:6379 redis-1.test:6380"));
    let none = resolve(&entry(&server, "address")).await.unwrap_err();
    assert_eq!(&*none, "has no address (A or AAAA record)");
}

#[tokio::test]
async fn every_failure_says_what_it_is() {
    let server = DnsServer::start().await;
    let mut entry = entry(&server, "address");
    let error = resolve(&entry).await.unwrap_err();
    assert_eq!(&*error, "does not exist, say the name servers");
    server.set("redis.test", Zone::Fails);
    server.forget("redis.test");
    let error = resolve(&entry).await.unwrap_err();
    assert_eq!(&*error, "does not exist, say the name servers");
    server.set("redis.test", Zone::Addresses(Vec::new()));
    let error = resolve(&entry).await.unwrap_err();
    assert_eq!(&*error, "has no address (A or AAAA record)");
    server.set("redis.test", Zone::Fails);
    let error = resolve(&entry).await.unwrap_err();
    assert!(error.starts_with("cannot be resolved: "), "{error}");
    server.set("redis.test", Zone::Silent);
    entry.timeout = Span::from_millis(300);
    let error = resolve(&entry).await.unwrap_err();
    let is_late = error.starts_with("was not resolved within") || error.contains("timed out");
    assert!(is_late, "{error}");
}

#[test]
fn an_answer_of_too_many_addresses_is_cut() {
    let hosts = (0..=MAX_ADDRESSES).map(|n| ServerAddr::new(&format!("h{n}"), 1));
    assert_eq!(resolver::bounded(hosts.collect()).len(), MAX_ADDRESSES);
}
