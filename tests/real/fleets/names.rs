//! DNS names: servers that come and go in the answers of a name server, and name servers that fail.

use std::net::IpAddr;

use redis_cross_dc_exporter::lab::{RedisServer, eventually};

use super::dns::{DnsServer, Zone};
use super::{POLL, every_surface_says, until_metric};
use crate::exporter::Exporter;
use crate::failover::replicaof;
use crate::scrape::Scrape;
use crate::stage::LIMIT;

const NAME: &str = "redis.orders.test";
const OK: &str = "redis_cross_dc_discovery_name_ok";

fn configuration(dns: &DnsServer, record: &str, port: u16) -> String {
    format!(
        "{POLL}datacenters: [{{name: dc1, match: ['*']}}]\n\
         discovery: {{dns: [{{name: orders, names: [{NAME}], record: {record}, port: {port}, \
         interval: 1s, timeout: 1s, nameservers: ['{}'], labels: {{team: payments}}}}]}}\n",
        dns.addr
    )
}

/// The SRV records of these servers.
fn services(servers: &[&RedisServer]) -> Zone {
    let service = |server: &&RedisServer| {
        let (_, port) = server.addr().tcp().unwrap();
        ("localhost".to_owned(), port)
    };
    Zone::Services(servers.iter().map(service).collect())
}

/// Waits until the replicas of the only entry are these, below this master.
async fn until_pairs(exporter: &Exporter, master: &RedisServer, replicas: &[&RedisServer]) {
    let named = |server: &RedisServer| format!("localhost:{}", server.addr().tcp().unwrap().1);
    let mut expected: Vec<_> = replicas
        .iter()
        .map(|replica| format!("{}>{}", named(master), named(replica)))
        .collect();
    expected.sort();
    let same = || async {
        let pairs = exporter.pairs().await.pairs;
        let up = pairs.iter().filter(|pair| pair.link_up);
        let mut found: Vec<_> = up
            .map(|pair| format!("{}>{}", pair.master, pair.replica))
            .collect();
        found.sort();
        if found == expected && pairs.len() == expected.len() {
            Ok(())
        } else {
            Err(format!(
                "{found:?} of {} are up, and not {expected:?}",
                pairs.len()
            ))
        }
    };
    eventually("the pairs", LIMIT, same)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}

async fn server(master: Option<&RedisServer>) -> RedisServer {
    let builder = RedisServer::builder();
    let builder = match master {
        Some(master) => builder.replicaof(master.addr()),
        None => builder,
    };
    let server = builder.start().await.unwrap();
    if master.is_some() {
        server.wait_until_in_sync(LIMIT).await.unwrap();
    }
    server
}

#[tokio::test]
async fn servers_of_srv_records_come_and_go_and_say_themselves_who_is_master() {
    let dns = DnsServer::start().await;
    let first = server(None).await;
    let second = server(Some(&first)).await;
    dns.set(NAME, services(&[&first, &second]));
    let exporter = Exporter::start(&configuration(&dns, "srv", 6379)).await;
    until_pairs(&exporter, &first, &[&second]).await;
    assert_eq!(exporter.pair("orders").await.labels["team"], "payments");

    let third = server(Some(&first)).await;
    dns.set(NAME, services(&[&first, &second, &third]));
    until_pairs(&exporter, &first, &[&second, &third]).await;
    let labels = [("pair", "orders"), ("name", NAME)];
    until_metric(
        &exporter,
        "redis_cross_dc_discovery_name_addresses",
        &labels,
        3.0,
    )
    .await;

    // A failover, with no word of it in DNS.
    replicaof(&second, None).await;
    replicaof(&first, Some(second.addr())).await;
    replicaof(&third, Some(second.addr())).await;
    until_pairs(&exporter, &second, &[&first, &third]).await;

    // The name server fails, in every way that it can: nothing changes but what is said of it.
    let failures = [
        (Some(Zone::Fails), "cannot be resolved"),
        (Some(Zone::Silent), "resolved"),
        (Some(Zone::Services(Vec::new())), "has no SRV record"),
        (None, "does not exist"),
    ];
    for (zone, sentence) in failures {
        dns.set(NAME, services(&[&first, &second, &third]));
        until_metric(&exporter, OK, &labels, 1.0).await;
        match zone {
            Some(zone) => dns.set(NAME, zone),
            None => dns.forget(NAME),
        }
        until_metric(&exporter, OK, &labels, 0.0).await;
        every_surface_says(exporter.folder().path(), &exporter, sentence).await;
        until_pairs(&exporter, &second, &[&first, &third]).await;
    }
    dns.set(NAME, services(&[&second, &third]));
    until_metric(&exporter, OK, &labels, 1.0).await;
    until_pairs(&exporter, &second, &[&third]).await;
    let failures = Scrape::of(&exporter).await;
    let failures = failures.value("redis_cross_dc_discovery_name_failures_total", &labels);
    assert!(failures.is_some_and(|count| count >= 4.0), "{failures:?}");
}

#[tokio::test]
async fn addresses_of_a_headless_service_are_servers_on_one_port() {
    let dns = DnsServer::start().await;
    let port = redis_cross_dc_exporter::lab::ports::free().unwrap();
    let at = |host: &'static str| RedisServer::builder().host(host).port(port);
    let master = at("127.0.0.1").start().await.unwrap();
    let replica = at("127.0.0.2")
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let addresses: Vec<IpAddr> = ["127.0.0.1", "127.0.0.2"]
        .map(|ip| ip.parse().unwrap())
        .into();
    dns.set(NAME, Zone::Addresses(addresses));
    let exporter = Exporter::start(&configuration(&dns, "address", port)).await;
    exporter
        .wait_for("orders", "the pair to be up", LIMIT, |pair| pair.link_up)
        .await;
    let pair = exporter.pair("orders").await;
    assert_eq!(
        (pair.master, pair.replica),
        (master.addr().to_string(), replica.addr().to_string())
    );
}
